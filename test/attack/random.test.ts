// Everything at once, at random: clients that pipeline in pieces, leave or dawdle; backends that answer in every
// framing, lie, cut off, reset or leave; a configuration that changes meanwhile. Whatever happens, a client that gets a
// whole answer gets its own. ATTACK_SECONDS makes it longer, ATTACK_SEED chooses the run.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Chance } from '../fuzz/http1-mutate.ts';
import { backendYaml, gateway, routeYaml } from '../process/support.ts';
import { EndedEarly, isGone } from '../support/peer.ts';
import { get, PATIENCE_MS, pause, RawBackend, type Script, Target, until, type Wire } from './support.ts';

const SECONDS = Number(process.env['ATTACK_SECONDS'] ?? 4);
const SEED = Number(process.env['ATTACK_SEED'] ?? 20261121);
const CLIENTS = 12;

let target: Target;
let other: RawBackend;
before(async () => {
  other = await RawBackend.start(script(new Chance(SEED ^ 1)));
  target = await Target.start({ script: script(new Chance(SEED)), ruleMore: '      timeouts: { request: 5s }\n' });
});
after(async () => {
  other.close();
  await target.end();
});

/** What the answer to a request must hold: it can be of nobody else's. */
function answerOf(id: string, size: number): string {
  const digest = createHash('sha256').update(id).digest('hex');
  return `${id} `.padEnd(size, digest);
}

function script(chance: Chance): Script {
  return async (wire, backend) => {
    for (;;) {
      const request = await wire.readMessage();
      const id = request.target.slice(1);
      // The body of a POST names its request too.
      if (request.method === 'POST' && !Buffer.from(request.body).toString().startsWith(`${id} `)) {
        backend.violations.push(`the body of ${id} is another's`);
      }
      const body = answerOf(id, [0, 10, 1_000, 70_000][chance.next(4)] as number);
      if (chance.next(4) === 0) await pause(chance.next(8));
      const text = [
        `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\nX: y\r\n\r\n`,
        `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        `HTTP/1.0 200 OK\r\n\r\n${body}`,
      ][chance.next(4)] as string;
      switch (chance.next(24)) {
        case 0: // too much, where the end is known
          if (text.startsWith('HTTP/1.0')) return wire.reset();
          await wire.send(`${text}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON`);
          return wire.end();
        case 1: // too little
          await wire.send(text.slice(0, chance.next(text.length)));
          // Close-delimited, an end in order would be the end.
          return wire.reset();
        case 2:
          return wire.reset();
        case 3:
          return wire.end();
        case 4: // rubbish
          await wire.send('HTTP/1.1 2x0 OK\r\n\r\n');
          return;
        case 5: // slow
          for (let at = 0; at < text.length; at += 1 + (text.length >> 3)) {
            await wire.send(text.slice(at, at + 1 + (text.length >> 3)));
            await pause(1);
          }
          break;
        default:
          await wire.send(text);
      }
      if (text.startsWith('HTTP/1.0') || chance.next(8) === 0) return wire.end();
    }
  };
}

interface Tally {
  whole: number;
  failed: number;
  cut: number;
  left: number;
}

/** One client: connections with pipelines of one to six requests each. */
async function run(n: number, over: () => boolean, tally: Tally): Promise<void> {
  const chance = new Chance(SEED + 1000 + n);
  for (let round = 0; !over(); round++) {
    const client = await target.connect();
    const ids = Array.from({ length: 1 + chance.next(6) }, (_, i) => `${n}-${round}-${i}`);
    const text = ids.map((id) => requestOf(chance, id)).join('');
    const leaves = chance.next(8) === 0;
    const sending = send(client, text, chance, leaves ? chance.next(text.length) : text.length);
    try {
      for (const id of ids) {
        let answer = await client.readMessage();
        while (answer.status < 200) answer = await client.readMessage();
        const body = Buffer.from(answer.body).toString('latin1');
        if (answer.status === 200) {
          const size = body.length;
          assert.equal(body, size === 0 ? '' : answerOf(id, size).slice(0, Math.max(size, id.length + 1)), id);
          tally.whole++;
        } else {
          assert.ok([404, 500, 502, 503, 504].includes(answer.status), `${id}: ${answer.status}`);
          tally.failed++;
        }
        if (answer.headers.get('connection')?.[0] === 'close') break;
      }
    } catch (error) {
      if (!(error instanceof EndedEarly) && !isGone(error)) throw error;
      if (leaves) tally.left++;
      else tally.cut++;
    }
    await sending;
    if (chance.next(2) === 0) client.reset();
    else client.close();
  }
}

function requestOf(chance: Chance, id: string): string {
  const body = answerOf(id, [id.length + 1, 500, 9_000, 100_000][chance.next(4)] as number);
  switch (chance.next(4)) {
    case 0:
      return `POST /${id} HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    case 1: {
      const half = body.length >> 1;
      return (
        `POST /${id} HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `${half.toString(16)};x="y"\r\n${body.slice(0, half)}\r\n${(body.length - half).toString(16)}\r\n${body.slice(half)}\r\n0\r\n\r\n`
      );
    }
    default:
      return get(`/${id}`);
  }
}

/** Sends `text` up to `end` in pieces; leaves with a reset when that is not all. */
async function send(client: Wire, text: string, chance: Chance, end: number): Promise<void> {
  for (let at = 0; at < end && !client.socket.destroyed; ) {
    const size = 1 + chance.next([3, 100, 100_000][chance.next(3)] as number);
    client.trySend(text.slice(at, Math.min(end, at + size)));
    at += size;
    if (chance.next(6) === 0) await pause(chance.next(3));
  }
  if (end < text.length) client.reset();
}

/** The route goes to the other backend, to both, to none, and back. */
async function change(over: () => boolean): Promise<void> {
  const both = backendYaml('app', target.backend.port) + backendYaml('other', other.port);
  const timeouts = '      timeouts: { request: 5s }\n';
  const routes = [
    routeYaml('app', '/', 'other', timeouts),
    routeYaml('app', '/', 'app', timeouts).replace(
      'name: app }]\n',
      'name: app }, { group: rauta.io, kind: Backend, name: other }]\n',
    ),
    routeYaml('app', '/elsewhere', 'app', timeouts),
    routeYaml('app', '/', 'app', timeouts),
  ];
  for (let i = 0; !over(); i++) {
    target.rauta.write('a.yaml', gateway(target.port) + both + (routes[i % routes.length] as string));
    await pause(150);
  }
}

test(`for ${SECONDS} s with seed ${SEED}`, async () => {
  const tally: Tally = { whole: 0, failed: 0, cut: 0, left: 0 };
  const enough = (): boolean => tally.whole > 50 && tally.failed > 5 && tally.cut > 0 && tally.left > 0;
  const started = performance.now();
  const over = (): boolean => {
    const ms = performance.now() - started;
    return ms > SECONDS * 1000 && (enough() || ms > SECONDS * 1000 + PATIENCE_MS);
  };
  await Promise.all([change(over), ...Array.from({ length: CLIENTS }, (_, n) => run(n, over, tally))]);
  assert.deepEqual(target.backend.violations, []);
  assert.deepEqual(other.violations, []);
  assert.ok(enough(), JSON.stringify(tally));
  // Nothing is left behind.
  await until(async () => (await target.rauta.metric('rauta_connections')) === 0, 'their ends');
  assert.equal(await target.rauta.metric('rauta_requests_active'), 0);
});
