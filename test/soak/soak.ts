// `make soak`: 64 connections for 10 minutes through the whole program: bodies of 0 B to 10 MB both ways, half of them
// chunked, compared byte for byte at both ends, while some clients abort at random. Anything wrong, or memory that
// keeps growing, is a failure. `--tls`: over TLS, while certificates are replaced all the time, clients come and go and
// some leave in the middle of a handshake; at the end no object of TLS may be left. `bin/node test/soak/soak.ts
// [--seconds 600] [--connections 64] [--seed 1] [--tls] [--out soak]`

import { writeFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import { request as requestTls, Agent as TlsAgent } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { parseArgs } from 'node:util';
import { circumstances, writeResult } from '../../bench/macro/result.ts';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { backendYaml, freePort, gateway, Rauta, routeYaml } from '../process/support.ts';
import { mulberry32 } from '../support/mulberry32.ts';
import { Check, MAX_BYTES, send } from './bytes.ts';

const ABORT_SHARE = 0.03;
const SAMPLE_MS = 5_000;
/** Of the program's log, after a run that was not good. */
const LINES = 50;
/** Of the run, before memory is looked at. */
const WARM_UP = 0.3;
/** How much larger memory may be in the last third than in the one before. */
const GROWTH = 1.1;

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    connections: { type: 'string', default: '64' },
    seed: { type: 'string', default: '1' },
    tls: { type: 'boolean', default: false },
    out: { type: 'string', default: '' },
  },
});
const seconds = Number(args.seconds);
const connections = Number(args.connections);

/** A connection ends after so many exchanges over TLS, so that handshakes go on. */
const EXCHANGES_PER_CONNECTION = 20;
const ROTATE_MS = 50;
const SCARE_MS = 20;

const tally = { rotations: 0, scares: 0, exchanges: 0, aborted: 0, wrong: 0, failed: 0, bytes: 0 };
const complaints: string[] = [];
function wrong(what: string): void {
  tally.wrong++;
  if (complaints.length < 20) complaints.push(what);
}

function taken(check: Check, part: Buffer): void {
  check.take(part);
  tally.bytes += part.length;
}

/** The path tells everything: /seed/request size/response size/response chunked */
const backend = createServer((incoming, response) => {
  const [, seed = 0, requestSize = 0, responseSize = 0, chunked = 0] = (incoming.url ?? '').split('/').map(Number);
  const check = new Check(seed, requestSize);
  incoming.on('data', (part: Buffer) => taken(check, part));
  incoming.on('end', () => {
    const verdict = check.verdict();
    if (verdict !== '') wrong(`request body ${incoming.url}: ${verdict}`);
    response.writeHead(200, chunked === 1 ? { 'x-seed': seed } : { 'x-seed': seed, 'content-length': responseSize });
    void send(response, seed + 1, responseSize);
  });
  incoming.on('error', () => response.destroy());
});
backend.keepAliveTimeout = 70_000;
await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));

const authorityOfAll = authority('Soak');
const own = (): string => {
  const { der, keyDer } = leaf(authorityOfAll, ['soak.example']);
  const data = [pem('CERTIFICATE', der), pem('PRIVATE KEY', keyDer)].map((text) =>
    Buffer.from(text).toString('base64'),
  );
  return `apiVersion: v1
kind: Secret
metadata: { name: soak }
data: { tls.crt: ${data[0]}, tls.key: ${data[1]} }
`;
};
const port = await freePort();
const listener = args.tls
  ? gateway(port).replace('protocol: HTTP }', 'protocol: HTTPS, tls: { certificateRefs: [{ name: soak }] } }')
  : gateway(port);
const rauta = await Rauta.start(
  {
    'a.yaml': listener + routeYaml('app', '/', 'app') + backendYaml('app', (backend.address() as AddressInfo).port),
    ...(args.tls ? { 'secret.yaml': own() } : {}),
  },
  ['--access-log', 'off', '--workers', '2'],
);

/** Certificates replaced all the time, and clients that leave in the middle of a handshake. */
async function disturb(): Promise<void> {
  const ended = (): boolean => performance.now() >= until;
  const rotate = async (): Promise<void> => {
    while (!ended()) {
      writeFileSync(join(rauta.folder, 'secret.yaml'), own());
      tally.rotations++;
      await new Promise((resolve) => setTimeout(resolve, ROTATE_MS));
    }
  };
  const scare = async (): Promise<void> => {
    while (!ended()) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      const client = connectTls({ socket, servername: 'soak.example', rejectUnauthorized: false });
      client.on('error', () => {});
      const leave = (): void => {
        socket.resetAndDestroy();
      };
      // Before the ClientHello, somewhere in the handshake, and right behind it.
      const when = tally.scares % 3;
      if (when === 0) socket.once('connect', leave);
      else if (when === 1) setTimeout(leave, tally.scares % 8);
      else client.once('secureConnect', leave);
      tally.scares++;
      await new Promise((resolve) => setTimeout(resolve, SCARE_MS));
    }
  };
  await Promise.all([rotate(), scare()]);
}

/** Sum of a metric over the workers. */
async function metric(name: string): Promise<number> {
  const text = (await rauta.ask('/metrics')).body;
  return [...text.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].reduce((n, m) => n + Number(m[1]), 0);
}

/** What is left of TLS when all clients are gone: connections, contexts. */
async function leftOver(): Promise<{ connections: number; contexts: number }> {
  for (let i = 0; ; i++) {
    const of = (kind: string): Promise<number> => metric(`rauta_worker_tls_objects\\{worker="\\d+",kind="${kind}"\\}`);
    const left = { connections: await of('connection'), contexts: await of('context') };
    if (left.connections === 0 || i === 100) return left;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function size(next: () => number): number {
  const kind = next();
  return kind < 0.1 ? 0 : Math.floor(2 ** (next() * Math.log2(MAX_BYTES)));
}

function exchange(agent: Agent | TlsAgent, next: () => number): Promise<void> {
  return new Promise((resolve) => {
    const seed = Math.floor(next() * 2 ** 31);
    const requestSize = next() < 0.5 ? 0 : size(next);
    const responseSize = size(next);
    const [requestChunked, responseChunked] = [next() < 0.5, next() < 0.5];
    const abortAfter = next() < ABORT_SHARE ? Math.floor(next() * 50) : -1;
    const path = `/${seed}/${requestSize}/${responseSize}/${responseChunked ? 1 : 0}`;
    const headers: Record<string, string | number> = { host: 'soak.example' };
    if (requestSize > 0 && !requestChunked) headers['content-length'] = requestSize;
    let ended = false;
    const end = (outcome: 'ok' | 'aborted' | 'failed', why = ''): void => {
      if (ended) return;
      ended = true;
      if (outcome === 'ok') tally.exchanges++;
      else tally[outcome]++;
      if (outcome === 'failed' && complaints.length < 20) complaints.push(`${path}: ${why}`);
      resolve();
    };
    const ask = args.tls ? requestTls : request;
    const outgoing = ask(
      {
        ...{ host: '127.0.0.1', port, path, method: requestSize > 0 ? 'POST' : 'GET', headers, agent },
        ...(args.tls ? { rejectUnauthorized: false, servername: 'soak.example' } : {}),
      },
      (response: IncomingMessage) => {
        const check = new Check(seed + 1, responseSize);
        if (response.statusCode !== 200 || response.headers['x-seed'] !== String(seed))
          wrong(`${path}: status ${response.statusCode}, seed ${response.headers['x-seed']}`);
        response.on('data', (part: Buffer) => taken(check, part));
        response.on('end', () => {
          const verdict = check.verdict();
          if (verdict !== '') wrong(`response body ${path}: ${verdict}`);
          end('ok');
        });
        response.on('error', (error) => end(abortAfter >= 0 ? 'aborted' : 'failed', error.message));
      },
    );
    outgoing.on('error', (error) => end(abortAfter >= 0 ? 'aborted' : 'failed', error.message));
    if (abortAfter >= 0) setTimeout(() => outgoing.destroy(), abortAfter);
    if (requestSize > 0) void send(outgoing, seed, requestSize);
    else outgoing.end();
  });
}

async function client(index: number, until: number): Promise<void> {
  const next = mulberry32(Number(args.seed) * 1000 + index);
  while (performance.now() < until) {
    const options = { keepAlive: true, maxSockets: 1 };
    const agent = args.tls ? new TlsAgent(options) : new Agent(options);
    for (let i = 0; performance.now() < until && (i < EXCHANGES_PER_CONNECTION || !args.tls); i++) {
      await exchange(agent, next);
    }
    agent.destroy();
  }
}

interface Memory {
  readonly second: number;
  readonly rssMb: number;
  readonly arenaMb: number;
}
const memory: Memory[] = [];
const started = performance.now();
const until = started + seconds * 1000;
const sampler = setInterval(async () => {
  const text = (await rauta.ask('/metrics')).body;
  const sum = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}\\{[^}]*\\} (.*)$`, 'gm'))].reduce((n, m) => n + Number(m[1]), 0);
  memory.push({
    second: Math.round((performance.now() - started) / 1000),
    rssMb: sum('rauta_worker_resident_memory_bytes') / 1e6,
    arenaMb: sum('rauta_worker_arena_bytes') / 1e6,
  });
  const last = memory.at(-1) as Memory;
  process.stdout.write(
    `${last.second} s: ${tally.exchanges} exchanges, ${(tally.bytes / 1e9).toFixed(2)} GB, ${tally.aborted} aborted, ${tally.wrong} wrong, ${tally.failed} failed, workers ${last.rssMb.toFixed(0)} MB (buffers ${last.arenaMb.toFixed(1)})\n`,
  );
}, SAMPLE_MS);

const clients = Array.from({ length: connections }, (_, i) => client(i, until));
await Promise.all(args.tls ? [...clients, disturb()] : clients);
clearInterval(sampler);
const left = args.tls ? await leftOver() : { connections: 0, contexts: 0 };
const workersServing = (await rauta.workers()).filter((worker) => worker.pid !== 0).length;
// One context for each worker's one way of speaking with clients.
const freed = left.connections === 0 && left.contexts <= workersServing;

const warm = memory.filter((m) => m.second >= seconds * WARM_UP);
const middle = Math.floor(warm.length / 2);
const most = (part: readonly Memory[]): number => Math.max(...part.map((m) => m.rssMb), 0);
const flat = warm.length < 4 || most(warm.slice(middle)) <= most(warm.slice(0, middle)) * GROWTH;
const deaths = rauta.log.filter((line) => line.message === 'worker died').length;
const code = await rauta.stop();
backend.close();
backend.closeAllConnections();
const result = {
  ...circumstances(),
  command: `bin/node test/soak/soak.ts --seconds ${seconds} --connections ${connections} --seed ${args.seed}${args.tls ? ' --tls' : ''}`,
  ...tally,
  complaints,
  workerDeaths: deaths,
  exitCode: code,
  memoryFlatAfterWarmUp: flat,
  leftOfTls: left,
  memory: memory.filter((_, i) => i % Math.max(1, Math.floor(memory.length / 20)) === 0),
};
writeResult(args.out || (args.tls ? 'soak-tls' : 'soak'), result);
const good =
  tally.wrong === 0 && tally.failed === 0 && deaths === 0 && code === 0 && flat && freed && tally.exchanges > 0;
process.stdout.write(
  `${good ? 'good' : `BAD: ${complaints.join('; ')}`}: ${tally.exchanges} exchanges, ${tally.wrong} wrong, ${tally.failed} failed, memory ${flat ? 'flat' : 'growing'}, left of TLS ${JSON.stringify(left)}\n`,
);
if (!good) {
  const odd = rauta.log.filter(({ level }) => level !== 'info').slice(-LINES);
  for (const line of odd) process.stdout.write(`${JSON.stringify(line)}\n`);
}
process.exitCode = good ? 0 : 1;
