// Whole connections of HTTP/2 against a model of RFC 9113 (http2-model.ts): generated sequences of frames, legal and
// not, to the proxy's server side from a client, and to its client side from a backend. Each frame is answered as the
// RFC lets it be: by nothing, by a reset of its stream, by the end of the connection, with a code that is right.
// Nothing is thrown, no backend sees a request that is none, no client is told a false end, no window is exceeded, and
// nothing is left behind. FUZZ_SECONDS and FUZZ_SEED as in http1.test.ts. A sequence that fails is made smaller first.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { CODE, TYPE } from '../../src/proxy/http2/frames.ts';
import { CELL } from '../../src/telemetry/layout.ts';
import { cluster, endpoint, ok, Rig, rule } from '../proxy/rig.ts';
import { describe, type Frame, frame, nameOfCode, PREFACE } from '../support/http2.ts';
import type { Peer } from '../support/net.ts';
import { isGone } from '../support/peer.ts';
import { SimNet } from '../support/sim-net.ts';
import { Chance } from './http1-mutate.ts';
import { Model, type Sent, type Verdict } from './http2-model.ts';
import { move } from './http2-moves.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);
/** Sequences of each side in a short run. */
const SHORT = 100;
const MOST_MOVES = 40;
const BIG = 'b'.repeat(300_000);
const REQUESTS = 3;

/** One end of a connection that speaks frames, whose other end is the proxy. */
class Wire {
  readonly peer: Peer;
  readonly model: Model;
  readonly log: string[] = [];
  /** Frames of the proxy since the last move. */
  heard: Frame[] = [];
  over = false;
  #held: Buffer = Buffer.alloc(0);
  readonly #skip: number;

  /** `skip`: bytes in front of the first frame, the preface. */
  constructor(peer: Peer, model: Model, skip: number) {
    this.peer = peer;
    this.model = model;
    this.#skip = skip;
  }

  /** Until the other end is gone. */
  async listen(): Promise<void> {
    try {
      if (this.#skip > 0) await this.peer.readExactly(this.#skip);
      for (;;) {
        const bytes = await this.peer.read();
        if (bytes === null) break;
        this.#held = Buffer.concat([this.#held, bytes]);
        this.#frames();
      }
    } catch (error) {
      if (!isGone(error) && (error as Error).name !== 'EndedEarly') throw error;
    } finally {
      this.over = true;
    }
  }

  #frames(): void {
    while (this.#held.length >= 9) {
      const end = 9 + this.#held.readUIntBE(0, 3);
      if (this.#held.length < end) return;
      const [type = 0, flags = 0] = this.#held.subarray(3, 5);
      const stream = this.#held.readUInt32BE(5) & 0x7fffffff;
      const one = { type, flags, stream, payload: Buffer.from(this.#held.subarray(9, end)) };
      this.#held = this.#held.subarray(end);
      this.log.push(`    < ${describe(one)}`);
      this.heard.push(one);
      this.model.watch(one);
    }
  }

  async send({ type, flags, stream, payload, section }: Sent): Promise<void> {
    this.log.push(`  > ${describe({ type, flags, stream, payload })} ${section ?? ''}`);
    await this.peer.send(frame(type, flags, stream, payload)).catch((error) => assert.ok(isGone(error), String(error)));
  }
}

/** Codes of resets that are no answer to a frame: a response that is complete, or a backend's. */
const OWN_RESETS: ReadonlySet<number> = new Set([CODE.NO_ERROR, CODE.CANCEL, CODE.INTERNAL_ERROR]);

/** What the proxy did about a frame, against what it may have done. */
function check(wire: Wire, verdict: Verdict, mayReset: (id: number) => boolean): void {
  const goaway = wire.heard.find(({ type }) => type === TYPE.GOAWAY);
  const code = goaway?.payload.readUInt32BE(4) ?? CODE.NO_ERROR;
  const resets = wire.heard.filter(({ type }) => type === TYPE.RST_STREAM);
  const must = verdict.connection.size + verdict.stream.size > 0;
  const allowed = [...verdict.connection, ...verdict.stream].map(nameOfCode).join(' ');
  assert.deepEqual(wire.model.wrong, []);
  if (code !== CODE.NO_ERROR) {
    const good = verdict.connection.has(code) || verdict.stream.has(code);
    assert.ok(good, `GOAWAY ${nameOfCode(code)}, allowed: ${allowed || 'nothing'}`);
    assert.ok(wire.over, 'the connection ends behind GOAWAY');
    return;
  }
  let answered = false;
  for (const { stream, payload } of resets) {
    const reset = payload.readUInt32BE(0);
    if (stream === verdict.id && verdict.stream.has(reset)) answered = true;
    else if (!OWN_RESETS.has(reset) || !mayReset(stream))
      assert.fail(`RST_STREAM ${nameOfCode(reset)} of ${stream}, allowed: ${allowed || 'nothing'}`);
  }
  assert.ok(!must || answered || verdict.lax || wire.over, `nothing answers, expected: ${allowed}`);
  // Without GOAWAY it ends only when it may: behind a GOAWAY of the peer's.
  if (!must) wire.heard.length = 0;
}

async function play(wire: Wire, net: SimNet, seed: number, which: readonly number[]): Promise<void> {
  const { model } = wire;
  let leaves = false;
  for (const n of which) {
    const chance = new Chance(Math.imul(seed, 0x9e3779b1) + n);
    const frames: readonly Sent[] =
      n < 0 ? [{ type: TYPE.SETTINGS, flags: 0, stream: 0, payload: first(chance) }] : move(chance, model, `${n}`);
    for (const one of frames) {
      if (wire.over) return;
      const before = new Map([...model.streams].map(([id, state]) => [id, state.closed]));
      const verdict = model.judge(one);
      leaves ||= one.type === TYPE.GOAWAY;
      wire.heard = [];
      await wire.send(one);
      await net.settle();
      const mayReset = (id: number): boolean => before.get(id) === 'no' || before.get(id) === undefined;
      check(wire, verdict, mayReset);
      if (leaves) return;
    }
  }
}

/** SETTINGS of one who speaks first: mostly of none. */
function first(chance: Chance): Buffer {
  if (chance.next(3) > 0) return Buffer.alloc(0);
  const pair = Buffer.alloc(6);
  pair.writeUInt16BE(4, 0);
  pair.writeUInt32BE(chance.pick([0, 1, 100, 70_000]), 2);
  return pair;
}

async function readChunks(peer: Peer): Promise<void> {
  for (;;) {
    const size = Number.parseInt(await peer.readUntil('\r\n'), 16);
    if (size > 0) await peer.readExactly(size + 2);
    else break;
  }
  while ((await peer.readUntil('\r\n')) !== '\r\n');
}

type Run = (seed: number, which: readonly number[]) => Promise<string[]>;

/** A client of chance at the proxy's server. */
const fromClient: Run = async (seed, which) => {
  const net = new SimNet({ seed, sendBufferBytes: 65_536, receiveBufferBytes: 65_536 });
  const seen: string[] = [];
  const app = net.serve(async (peer) => {
    for (;;) {
      const head = await peer.readHead();
      seen.push(head.headers.get('x-tag')?.[0] ?? 'none');
      if (head.target === '/early') await peer.send(ok('early', 'Connection: close\r\n'));
      const length = Number(head.headers.get('content-length')?.[0] ?? 0);
      if (head.headers.has('transfer-encoding')) await readChunks(peer);
      else if (length > 0) await peer.readExactly(length);
      if (head.target === '/early') return;
      if (head.target === '/never') await peer.readAll();
      await peer.send(ok(head.target === '/big' ? BIG : 'quick'));
    }
  });
  const rig = new Rig(net, [app]);
  const wire = new Wire(await rig.connect(), new Model(false), 0);
  const listening = wire.listen();
  try {
    await wire.peer.send(PREFACE);
    await net.settle();
    await play(wire, net, seed, which);
    for (const tag of seen) assert.ok(wire.model.good.has(tag), `a backend saw request ${tag}, which is none`);
    assert.equal(new Set(seen).size, seen.length, 'a backend sees each request once');
    wire.peer.reset();
    await listening;
    await net.settle();
    assert.equal(rig.get(CELL.HTTP2_STREAMS), 0, 'streams are left');
    assert.equal(rig.engine.stats().connections, 0);
    assert.equal(rig.engine.stats().held, 0, 'content that waits for nobody');
    assert.ok(rig.records.all.length >= wire.model.good.size, 'each request is logged');
    await rig.end();
    assert.equal(rig.get(CELL.HTTP2_STREAMS + 1), 0);
    return wire.log;
  } catch (error) {
    throw Object.assign(error as Error, { frames: wire.log });
  } finally {
    await net.close();
  }
};

/** What a client of the proxy got. */
interface Got {
  status: number;
  body: string;
  whole: boolean;
}

async function asks(peer: Peer, n: number, got: Got): Promise<void> {
  const content = n % 2 === 0 ? '' : 'Content-Length: 4\r\n';
  await peer.send(`${n % 2 === 0 ? 'GET' : 'POST'} /${n} HTTP/1.1\r\nHost: a.example\r\n${content}\r\n`);
  if (content !== '') await peer.send('abcd');
  try {
    for (;;) {
      const message = await peer.readMessage();
      if (message.status < 200) continue;
      Object.assign(got, { status: message.status, body: Buffer.from(message.body).toString(), whole: true });
      return;
    }
  } catch (error) {
    if (!isGone(error) && (error as Error).name !== 'EndedEarly') throw error;
  }
}

/** A backend of chance at the proxy's client, with clients who wait for what it says. */
const fromBackend: Run = async (seed, which) => {
  const net = new SimNet({ seed, sendBufferBytes: 65_536, receiveBufferBytes: 65_536 });
  const came = Promise.withResolvers<Peer>();
  const done = Promise.withResolvers<void>();
  let connections = 0;
  const app = net.serve(async (peer) => {
    // It has one connection to say something on; others are nobody's.
    if (connections++ > 0) return peer.reset();
    came.resolve(peer);
    await done.promise;
  });
  const rig = new Rig(net, [], [rule({ to: ['h2'] }), cluster('h2', [endpoint(app)], { protocol: 'http2' })]);
  const all: Got[] = [];
  const clients: Peer[] = [];
  const waiting: Promise<void>[] = [];
  let log: string[] = [];
  try {
    for (let n = 0; n < REQUESTS; n++) {
      const client = await rig.connect();
      clients.push(client);
      const got: Got = { status: 0, body: '', whole: false };
      all.push(got);
      waiting.push(asks(client, n, got));
    }
    const wire = new Wire(await came.promise, new Model(true), PREFACE.length);
    log = wire.log;
    const listening = wire.listen();
    await net.settle();
    await play(wire, net, seed, which);
    await net.settle();
    for (const got of all) sound(got, wire.model);
    wire.peer.reset();
    done.resolve();
    await listening;
    for (const client of clients) client.reset();
    await Promise.all(waiting);
    await net.settle();
    assert.equal(rig.get(CELL.HTTP2_STREAMS + 1), 0, 'streams are left');
    assert.equal(rig.records.all.length, REQUESTS, 'each request is logged once');
    await rig.end();
    return wire.log;
  } catch (error) {
    throw Object.assign(error as Error, { frames: log });
  } finally {
    done.resolve();
    await net.close();
  }
};

/** Never a false end: a 200 that is whole was whole at the backend too, or as long as its head said. */
function sound(got: Got, model: Model): void {
  if (got.status !== 200 || !got.whole) return;
  const lengths = [...model.streams.values()]
    .filter(({ whole, headed, reached }) => headed && (whole || reached))
    .map(({ reached, announced, got: n }) => (reached ? announced : n));
  assert.ok(
    lengths.includes(got.body.length),
    `a client has a whole response of ${got.body.length}, no backend said it`,
  );
}

async function fails(
  run: Run,
  seed: number,
  which: readonly number[],
): Promise<(Error & { frames?: string[] }) | null> {
  try {
    await run(seed, which);
    return null;
  } catch (error) {
    return error as Error;
  }
}

/** The shortest beginning that fails, then without each move that need not be. */
async function shrink(run: Run, seed: number, all: readonly number[]): Promise<Error> {
  let which = all;
  for (let n = 1; n <= all.length; n++) {
    if ((await fails(run, seed, all.slice(0, n))) === null) continue;
    which = all.slice(0, n);
    break;
  }
  for (const one of [...which]) {
    const less = which.filter((n) => n !== one);
    if (one >= 0 && (await fails(run, seed, less)) !== null) which = less;
  }
  const error = (await fails(run, seed, which)) as Error & { frames?: string[] };
  const story = error.frames?.join('\n') ?? '';
  return new Error(`seed ${seed} (run again by FUZZ_SEED=${seed}): ${error.message}\n${story}`, { cause: error });
}

for (const [name, run] of [
  ['a client of chance', fromClient],
  ['a backend of chance', fromBackend],
] as const) {
  test(`${name} is answered as RFC 9113 has it`, async (t) => {
    const start = Number(process.env['FUZZ_SEED'] ?? (SECONDS > 0 ? randomInt(2 ** 31) : 1));
    const end = performance.now() + SECONDS * 1000;
    let seed = start;
    for (; SECONDS > 0 ? performance.now() < end : seed < start + SHORT; seed++) {
      const moves = 1 + new Chance(seed).next(MOST_MOVES);
      // The first is SETTINGS, mostly.
      const all = Array.from({ length: moves }, (_, n) => n - (seed % 20 === 0 ? 0 : 1));
      if ((await fails(run, seed, all)) !== null) throw await shrink(run, seed, all);
    }
    t.diagnostic(`seeds ${start} to ${seed - 1}`);
  });
}
