// Worlds of external authorization by Envoy's protocol, by chance: what the server is told of requests in every
// writing, and what becomes of all that it may say. A model says what server, backend, client and log must see.
// SEEDS=5000 for a long run, SEED=n to repeat one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExternalAuth, Filter } from '../../src/ir/ir.ts';
import { MessageReader, MessageWriter } from '../../src/proxy/auth/protobuf.ts';
import { GENTLE, NO_FAULTS } from '../../src/sim/faults.ts';
import { authCell } from '../../src/telemetry/layout.ts';
import { auth } from '../proxy/auth-rig.ts';
import { cluster, clusterKey, endpoint, Rig, rule } from '../proxy/rig.ts';
import { type Message, readBody } from '../support/http.ts';
import { type Asked, serveHttp2 } from '../support/http2-backend.ts';
import { type Backend, type Peer, runSeed, seedsOf } from '../support/net.ts';
import type { SimNet } from '../support/sim-net.ts';
import { askOf, Dice, linesOf, send, served } from './auth-asks.ts';
import { type Ask, byName, keptOf, type Line, loose, toldOf } from './auth-model.ts';

const SEEDS = 40;
const HEAD = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
] as const;

/** A header of an answer: action of HeaderAppendAction, or `append`. */
interface Option {
  readonly name: string;
  readonly value: string;
  readonly append: boolean;
  readonly action: number;
}

/** What can be done of a request, and what cannot. */
const GOOD: readonly Line[] = [
  ['x-user', 'alice'],
  ['X-User', 'bob'],
  ['X-Tenant', 't9'],
  ['x-new', ' padded\t'],
  ['x-utf', 'J\xc3\xa9r\xc3\xb4me'],
  ['x-latin', 'J\xe9r\xf4me \xa0'],
  ['authorization', 'Bearer inner'],
  ['cookie', 'z=9'],
  ['x-template', '{{uuid}}'],
  ['x-empty', ''],
];
const BAD: readonly Line[] = [
  [':path', '/x'],
  ['host', 'evil'],
  ['content-length', '3'],
  ['Transfer-Encoding', 'chunked'],
  ['connection', 'x-user'],
  ['te', 'trailers'],
  ['x-forwarded-for', '9.9.9.9'],
  ['X_Forwarded_For', '9.9.9.9'],
  ['x-real-ip', '9.9.9.9'],
  ['x-scheme', 'https'],
  ['x-a', 'a\r\nx-b: c'],
  ['x-a', 'a\0'],
  ['x a', 'a'],
  ['', 'a'],
];
/** Of a denial these can be said. */
const ONLY_ASKED = new Set(['x-forwarded-for', 'x-real-ip', 'x-scheme']);
const REMOVED = [
  'x-user',
  'X-Tenant',
  'authorization',
  'x-latin',
  'host',
  ':path',
  'content-length',
  'x-forwarded-for',
];
const NAMES = ['x-user', 'x-tenant', 'cookie', 'x-latin', 'x-forwarded-for', 'content-type'];

type Says =
  | {
      readonly type: 'ok';
      readonly options: readonly Option[];
      readonly removed: readonly string[];
      readonly told: readonly Option[];
      readonly query: boolean;
    }
  | { readonly type: 'denied'; readonly status: number; readonly options: readonly Option[]; readonly content: string }
  | { readonly type: 'failed'; readonly how: number };

const latin = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const code = (value: number): MessageWriter => new MessageWriter().integer(1, value);

function optionMessage({ name, value, append, action }: Option): MessageWriter {
  const header = new MessageWriter().bytesField(1, latin(name));
  if (value !== '') header.bytesField(value.length % 2 === 0 ? 2 : 3, latin(value));
  const one = new MessageWriter().message(1, header);
  if (append) one.message(2, new MessageWriter().integer(1, 1));
  return one.integer(3, action);
}

function message(says: Exclude<Says, { readonly type: 'failed' }>): MessageWriter {
  if (says.type === 'denied') {
    const denied = new MessageWriter();
    if (says.status !== 0) denied.message(1, code(says.status));
    for (const option of says.options) denied.message(2, optionMessage(option));
    return new MessageWriter().message(1, code(7)).message(2, denied.bytesField(3, latin(says.content)));
  }
  const ok = new MessageWriter();
  for (const option of says.options) ok.message(2, optionMessage(option));
  for (const name of says.removed) ok.text(5, name);
  for (const option of says.told) ok.message(6, optionMessage(option));
  if (says.query) ok.message(7, new MessageWriter().text(1, 'user').text(2, 'a b')).text(8, 'b');
  return new MessageWriter().message(1, code(0)).message(3, ok);
}

function framed(message: MessageWriter, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.bytes.length, 1);
  return Buffer.concat([prefix, message.bytes]);
}

const LETS = new MessageWriter().message(1, code(0)).message(3, new MessageWriter());
/** How a server fails that would let go on. */
const FAILURES: readonly ((asked: Asked) => Promise<void>)[] = [
  (asked) => asked.refuse(2),
  (asked) => asked.refuse(7),
  (asked) => Promise.resolve(asked.connection.peer.close()),
  (asked) => asked.head([...HEAD, ['grpc-status', '14']], true),
  (asked) => asked.head([[':status', '503']], true),
  async (asked) => {
    await asked.head(HEAD);
    await asked.data(framed(LETS), true);
  },
  async (asked) => {
    await asked.head(HEAD);
    await asked.data(framed(LETS, 1));
    await asked.head([['grpc-status', '0']], true);
  },
  async (asked) => {
    await asked.head(HEAD);
    await asked.data(framed(LETS));
    await asked.head([['grpc-status', '13']], true);
  },
  async (asked) => {
    await asked.head(HEAD);
    await asked.data(Buffer.concat([framed(LETS), Buffer.alloc(3)]));
    await asked.head([['grpc-status', '0']], true);
  },
  async (asked) => {
    await asked.head(HEAD);
    await asked.data(framed(new MessageWriter().message(5, new MessageWriter())));
    await asked.head([['grpc-status', '0']], true);
  },
  async (asked) => {
    await asked.head(HEAD);
    await asked.data(framed(new MessageWriter().bytesField(3, Uint8Array.of(0x12, 0x7f))));
    await asked.head([['grpc-status', '0']], true);
  },
  async (asked) => {
    await asked.head(HEAD);
    await asked.data(framed(LETS).subarray(0, 6));
  },
  async (asked) => {
    for (let i = 0; i < 40; i++) await asked.head([[':status', '103']]);
  },
  async () => {},
];

/** Attributes of a question by their numbers, and its headers. */
function read(asked: Asked): { headers: Record<string, string>; by: Record<string, string> } {
  const all = Buffer.concat(asked.body);
  assert.equal(all.readUInt32BE(1), all.length - 5);
  const headers: Record<string, string> = {};
  const by: Record<string, string> = {};
  const parts = new Set(['1', '1.1', '1.1.1', '1.1.1.1', '1.4', '1.4.2']);
  const walk = (bytes: Uint8Array, path: string): void => {
    const reader = new MessageReader(bytes);
    while (reader.next()) {
      const at = path === '' ? String(reader.field) : `${path}.${reader.field}`;
      if (at === '1.4.2.3') {
        const one = new MessageReader(reader.bytes);
        const pair = ['', '', ''];
        while (one.next()) pair[one.field] = one.text;
        headers[pair[1] as string] = pair[2] as string;
      } else if (parts.has(at)) walk(reader.bytes, at);
      else if (reader.wire === 0) by[at] = String(reader.int32);
      else by[at] = Buffer.from(reader.bytes).toString('latin1');
    }
  };
  walk(all.subarray(5), '');
  return { headers, by };
}

function canBe({ name, value, append, action }: Option, asked: boolean): boolean {
  const lower = name.toLowerCase();
  const bad = BAD.some(([one, said]) => one.toLowerCase() === lower && (!lower.startsWith('x-a') || said === value));
  if (!append && action > 3) return false;
  return !bad || (!asked && (ONLY_ASKED.has(lower) || lower === 'x_forwarded_for'));
}

const trimmed = (value: string): string => value.replace(/^[ \t]+|[ \t]+$/g, '');

/** The fields with these changes, one after the other; names that look alike are one where `alike`. */
function changed(lines: readonly Line[], options: readonly Option[], alike: boolean): Line[] {
  const same = (a: string, b: string): boolean =>
    a.toLowerCase() === b.toLowerCase() || (alike && loose(a) === loose(b));
  let now: Line[] = [...lines];
  let added: Line[] = [];
  for (const { name, value, append, action } of options) {
    const there = [...now, ...added].some(([one]) => one.toLowerCase() === name.toLowerCase());
    if (!append && ((action === 1 && there) || (action === 3 && !there))) continue;
    if (!append) {
      now = now.filter(([one]) => !same(one, name));
      added = added.filter(([one]) => one.toLowerCase() !== name.toLowerCase());
    }
    added.push([name, trimmed(value)]);
  }
  return [...now, ...added];
}

class World {
  readonly #net: SimNet;
  readonly #dice: Dice;
  readonly #filter: ExternalAuth;
  readonly #edits: boolean;
  readonly #rig: Rig;
  #says: Says = { type: 'failed', how: 0 };
  #asked: Asked[] = [];
  #served: Message[] = [];
  readonly #counts = { allowed: 0, denied: 0, failed: 0, open: 0 };

  constructor(net: SimNet, seed: number) {
    this.#net = net;
    net.patient = true;
    const dice = new Dice(seed);
    this.#dice = dice;
    this.#filter = auth({
      protocol: 'grpc',
      cluster: clusterKey('auth'),
      responseHeaders: [],
      requestHeaders: dice.chance(0.5) ? [] : dice.some(NAMES, 0.5),
      bodyBytes: dice.pick([0, 0, 10, 5000]),
      failOpen: dice.chance(0.4),
    });
    this.#edits = dice.chance(0.3);
    const edits = { set: [{ name: 'X-Edit', value: 'e' }], add: [], remove: ['X-Tenant'] };
    const filters: Filter[] = this.#edits ? [this.#filter, { type: 'requestHeaders', edits }] : [this.#filter];
    net.sim.network.faults = NO_FAULTS;
    const server = serveHttp2(net, async (asked) => {
      await asked.end();
      if (asked.reset !== null) return;
      this.#asked.push(asked);
      await this.#reply(asked);
    });
    const entry = cluster('auth', [endpoint(server.address)], { protocol: 'http2' });
    this.#rig = new Rig(net, [this.#backend()], [rule({ filters }), entry]);
    net.sim.network.faults = dice.chance(0.5) ? GENTLE : NO_FAULTS;
  }

  // ---- the world

  async #reply(asked: Asked): Promise<void> {
    const says = this.#says;
    if (says.type === 'failed') {
      await (FAILURES[says.how] as (typeof FAILURES)[number])(asked).catch(() => null);
      return;
    }
    await asked.head(HEAD);
    await asked.data(framed(message(says)));
    await asked.head([['grpc-status', '0']], true);
  }

  #backend(): Backend {
    return this.#net.serve(async (peer) => {
      for (;;) {
        const head = await peer.readHead();
        if (head.headers.has('expect') && head.framing !== 'none') await peer.send('HTTP/1.1 100 Continue\r\n\r\n');
        const rest = await readBody(peer, head);
        this.#served.push({ ...head, ...rest });
        const body = head.method === 'HEAD' ? '' : 'app';
        await peer.send(`HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-User: app\r\n\r\n${body}`);
      }
    });
  }

  #options(p: number): Option[] {
    const dice = this.#dice;
    const lines = dice.chance(0.15) ? [...dice.some(GOOD, p), dice.pick(BAD)] : dice.some(GOOD, p);
    return lines.map(([name, value]) => ({
      name,
      value,
      append: dice.chance(0.3),
      action: dice.pick([0, 0, 1, 2, 3]),
    }));
  }

  #saying(): Says {
    const dice = this.#dice;
    if (dice.chance(0.2)) return { type: 'failed', how: dice.int(FAILURES.length) };
    if (dice.chance(0.4)) {
      const content = 'n'.repeat(dice.pick([0, 2, 500]));
      return {
        type: 'denied',
        status: dice.pick([0, 200, 302, 304, 401, 403, 503, 99, 700]),
        options: this.#options(0.3),
        content,
      };
    }
    const removed = dice.some(REMOVED, 0.2);
    return { type: 'ok', options: this.#options(0.3), removed, told: this.#options(0.1), query: dice.chance(0.2) };
  }

  // ---- what is to be seen

  #checkQuestion(asked: Asked, ask: Ask & { readonly meant: string }): void {
    const { headers, by } = read(asked);
    const { requestHeaders, bodyBytes } = this.#filter;
    const told: Record<string, string> = {};
    if (requestHeaders.length === 0) {
      Object.assign(told, {
        ':authority': ask.authority,
        ':method': ask.method,
        ':path': ask.meant,
        ':scheme': 'http',
      });
    }
    for (const [name, value] of toldOf(ask)) {
      const lower = name.toLowerCase();
      if (requestHeaders.length > 0 && !requestHeaders.includes(lower)) continue;
      const text = Buffer.from(value, 'latin1').toString('utf8');
      const before = told[lower];
      told[lower] = before === undefined ? text : `${before}${lower === 'cookie' ? '; ' : ','}${text}`;
    }
    delete headers['x-request-id'];
    assert.deepEqual(headers, told, 'headers of the question');
    const content = bodyBytes > 0 ? (ask.content ?? '') : '';
    const size = ask.content === null ? '0' : ask.chunked && content === '' ? '-1' : String(ask.content.length);
    const seen = ['1.1.1.1.2', '1.4.2.2', '1.4.2.4', '1.4.2.5', '1.4.2.6', '1.4.2.9', '1.4.2.10', '1.4.2.11'];
    const wanted = ['127.0.0.1', ask.method, ask.meant, ask.authority, 'http', size, `HTTP/${ask.version}`, content];
    assert.deepEqual(
      seen.map((at) => by[at] ?? (at === '1.4.2.9' ? '0' : '')),
      wanted,
    );
  }

  #toBackend(ask: Ask & { readonly meant: string }, removed: readonly string[], options: readonly Option[]): unknown {
    const removals = removed.filter((name) => canBe({ name, value: '', append: false, action: 0 }, true));
    const gone = new Set([...removals, ...options.filter(({ append }) => !append).map(({ name }) => name)].map(loose));
    let fields = keptOf(ask).filter(([name]) => !removals.map(loose).includes(loose(name)));
    fields = changed(fields, options, true);
    if (this.#edits) {
      const taken = new Set(['x-tenant', 'x-edit']);
      for (const name of taken) gone.add(name);
      fields = [...fields.filter(([name]) => !taken.has(loose(name))), ['X-Edit', 'e']];
    }
    const trailers = ask.trailers.filter(([name]) => !gone.has(loose(name)));
    let { meant } = ask;
    if (this.#says.type === 'ok' && this.#says.query) {
      const [path, query = ''] = meant.split(/\?(.*)/s);
      const rest = query.split('&').filter((one) => one !== '' && !/^b(=|$)/.test(one));
      meant = `${path}?${[...rest, 'user=a%20b'].join('&')}`;
    }
    return {
      head: [ask.method, meant, ask.authority],
      fields: byName(fields),
      body: ask.content ?? '',
      trailers: byName(trailers),
    };
  }

  #check(ask: Ask, answer: Message): void {
    const says = this.#says;
    const { failOpen, bodyBytes } = this.#filter;
    const log = this.#rig.records.last;
    const note = [log.status, log.flags, log.auth];
    const body = Buffer.from(answer.body).toString('latin1');
    assert.deepEqual([log.status, log.responseBytes], [answer.status, answer.body.length], 'the log');
    const { meant } = ask;
    if (meant === null || (bodyBytes > 0 && ask.content !== null && ask.content.length > bodyBytes)) {
      assert.equal(answer.status, meant === null ? 400 : 413);
      assert.deepEqual([this.#asked.length, this.#served.length], [0, 0]);
      return;
    }
    const known = { ...ask, meant };
    assert.ok(this.#asked.length > 0, 'nobody was asked');
    for (const one of this.#asked) this.#checkQuestion(one, known);
    if (says.type === 'denied') {
      this.#counts.denied++;
      const status = says.status >= 200 && says.status <= 599 ? says.status : 403;
      const own = new Set(['content-length', 'connection', 'date']);
      const shown = linesOf(answer).filter(([name]) => !own.has(name));
      const lines = says.options
        .filter((one) => canBe(one, false))
        .map(({ name, value }): Line => [name, trimmed(value)]);
      assert.deepEqual(byName(shown), byName(lines), 'fields of a denial');
      assert.equal(body, ask.method === 'HEAD' || status === 304 ? '' : says.content);
      assert.deepEqual([note, this.#served.length], [[status, 'UAEX', 'denied'], 0]);
      return;
    }
    const done =
      says.type === 'ok' &&
      [...says.options.map((one) => canBe(one, true)), ...says.told.map((one) => canBe(one, false))].every(Boolean);
    if (!done && !failOpen) {
      this.#counts.failed++;
      assert.deepEqual(
        [note, body, this.#served.length],
        [[403, 'UAEX', 'failed'], ask.method === 'HEAD' ? '' : 'authorization failed\n', 0],
      );
      return;
    }
    this.#counts[done ? 'allowed' : 'open']++;
    assert.deepEqual([note, body], [[200, '', done ? 'allowed' : 'failed'], ask.method === 'HEAD' ? '' : 'app']);
    const { options, removed, told } = says.type === 'ok' && done ? says : { options: [], removed: [], told: [] };
    if (!done && says.type === 'ok') this.#says = { type: 'failed', how: 0 };
    assert.deepEqual(
      this.#served.map((one) => served(one)),
      [this.#toBackend(known, removed, options)],
    );
    const own = new Set(['content-length', 'connection', 'date']);
    const shown = linesOf(answer).filter(([name]) => !own.has(name));
    assert.deepEqual(byName(shown), byName(changed([['X-User', 'app']], told, false)), 'fields of the response');
  }

  async run(): Promise<void> {
    let client: Peer | null = null;
    for (let i = 0; i < 6; i++) {
      const ask = askOf(this.#dice);
      this.#says = this.#saying();
      this.#asked = [];
      this.#served = [];
      client ??= await this.#rig.connect();
      const text = JSON.stringify({ ask, says: this.#says, filter: this.#filter, edits: this.#edits });
      try {
        const answer = await send(client, ask);
        await this.#net.settle();
        this.#check(ask, answer);
        if (answer.headers.get('connection')?.[0] === 'close') {
          assert.equal((await client.readAll()).length, 0);
          client = null;
        }
      } catch (error) {
        throw new Error(`${text.replaceAll(/([ncl])\1{20,}/g, '$1…')}\n${(error as Error).message}`);
      }
    }
    client?.close();
    for (const name of ['allowed', 'denied', 'failed', 'open'] as const) {
      assert.equal(this.#rig.get(authCell(name)), this.#counts[name], name);
    }
    await this.#rig.end();
  }
}

test('a server of gRPC, the backend, the client and the log see what the model says', async () => {
  for (const seed of seedsOf(SEEDS)) await runSeed(seed, (net) => new World(net, seed).run(), NO_FAULTS);
});
