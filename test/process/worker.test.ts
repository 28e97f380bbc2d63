// One worker, with the test in the keeper's place: what it does with what it is sent.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../../src/base/limits.ts';
import { encodeEntry } from '../../src/ir/codec.ts';
import type { CellsEntry } from '../../src/ir/ir.ts';
import { createShared, openNative, PORT_TABLE_BYTES, Reactor, socketPair } from '../../src/native/index.ts';
import { Channel, type ChannelEnd } from '../../src/stream/channel.ts';
import { fromWorker } from '../../src/stream/checks.ts';
import { encodeBegin, encodeJson, encodePut, FRAME } from '../../src/stream/frames.ts';
import { type FromWorker, PROTOCOL, type ToWorker } from '../../src/stream/messages.ts';
import { CELLS_BYTES } from '../../src/stream/segments.ts';
import { METHOD_TABLE_BYTES } from '../../src/telemetry/grpc-methods.ts';
import { ringBytes } from '../../src/telemetry/log-ring.ts';
import { rule } from '../proxy/rig.ts';

const MAIN = fileURLToPath(new URL('../../src/main/main.js', import.meta.url));
const io = openNative({ arenaBytes: 16 << 20 });
const reactor = new Reactor(io);
reactor.run();
after(() => reactor.stop());

class Keeper {
  readonly process: ChildProcess;
  readonly channel: Channel<ToWorker>;
  readonly heard: FromWorker[] = [];
  end: ChannelEnd | null = null;
  #waiting: { is: (message: FromWorker) => boolean; resolve: (message: FromWorker) => void }[] = [];

  constructor(t: { after(fn: () => void): void }) {
    const [ours, theirs] = socketPair(io);
    this.process = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, '__child', 'worker'], {
      stdio: ['ignore', 'ignore', 'ignore', io.fdOf(theirs)],
    });
    io.close(theirs);
    this.channel = new Channel<ToWorker>(io, ours, {
      onFrame: ({ body }) => this.#hear(fromWorker(body)),
      onEnded: (end) => {
        this.end = end;
      },
    });
    t.after(() => {
      this.process.kill('SIGKILL');
      this.channel.close();
    });
  }

  #hear(message: FromWorker): void {
    this.heard.push(message);
    for (const waiting of this.#waiting.filter((w) => w.is(message))) {
      this.#waiting = this.#waiting.filter((w) => w !== waiting);
      waiting.resolve(message);
    }
  }

  /** The first such message, past or to come. */
  hears<T extends FromWorker['type']>(
    type: T,
    is: (message: Extract<FromWorker, { type: T }>) => boolean = () => true,
  ): Promise<Extract<FromWorker, { type: T }>> {
    const match = (message: FromWorker): boolean => message.type === type && is(message as never);
    const past = this.heard.find(match);
    return (
      past !== undefined
        ? Promise.resolve(past)
        : new Promise<FromWorker>((resolve) => this.#waiting.push({ is: match, resolve }))
    ) as Promise<Extract<FromWorker, { type: T }>>;
  }

  assign(user: string | null = null): void {
    const fds = [createShared('test-cells', CELLS_BYTES), createShared('test-ring', ringBytes(LIMITS.LOG_RING_BYTES))];
    fds.push(createShared('test-ports', PORT_TABLE_BYTES), createShared('test-methods', METHOD_TABLE_BYTES));
    const settings = {
      trustedProxies: [],
      accessLogQuery: false,
      accessLogFormat: 'json' as const,
      user,
      logLevel: 'error' as const,
      logJson: true,
      drainTimeoutMs: 1_000,
      tunnelDrainTimeoutMs: 1_000,
      clientIdleMs: 60_000,
      streamIdleMs: 300_000,
      bodyIdleMs: 30_000,
      halfClose: false,
      ownBinds: [],
    };
    this.channel.message({ type: 'assign', slot: 0, settings }, fds);
  }

  revise(revision: number, base: number | null, entries: Readonly<Record<string, Uint8Array>>): void {
    this.channel.send(encodeBegin({ revision, base }));
    for (const [key, bytes] of Object.entries(entries)) this.channel.send(encodePut(key, Buffer.from(bytes)));
    this.channel.send(encodeJson(FRAME.COMMIT, { revision }));
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }
}

const KEY = 'cells/route/HTTPRoute/default/a';
const cells: CellsEntry = { kind: 'cells', key: KEY, blocks: { route: 1024 } };
const good = { [KEY]: encodeEntry(cells) };

test('an entry that a worker cannot read is refused with its key; it lives, and the next good revision heals', async (t) => {
  const keeper = new Keeper(t);
  assert.equal((await keeper.hears('hello')).protocol, PROTOCOL);
  keeper.assign();
  keeper.revise(1, 0, good);
  assert.equal((await keeper.hears('ack')).revision, 1);
  for (const [revision, bytes] of [
    [2, Buffer.from('not an entry')],
    [3, Buffer.from('{"kind":"rule"}')],
    [4, Buffer.from('{"kind":"unheard-of","key":"x"}')],
    [5, Buffer.alloc(0)],
  ] as const) {
    keeper.revise(revision, 1, { ...good, 'rule/HTTPRoute/default/broken/0': bytes });
    const { reason } = await keeper.hears('nack', (m) => m.revision === revision);
    assert.match(reason, /^rule\/HTTPRoute\/default\/broken\/0: /, reason);
  }
  // A change of what was refused is passed over: the keeper was told, and sends everything.
  keeper.revise(6, 5, good);
  keeper.revise(7, null, good);
  assert.equal((await keeper.hears('ack', (m) => m.revision > 1)).revision, 7);
  assert.ok(keeper.alive);
  assert.equal(keeper.end, null);
});

test('what comes behind a large revision waits for it, and is served in its order', async (t) => {
  const keeper = new Keeper(t);
  keeper.assign();
  const many = Object.fromEntries(
    Array.from({ length: 5 * LIMITS.REVISION_WORK_PER_TURN }, (_, i) => {
      const entry = rule({ name: `r${i}`, path: `/${i}` });
      return [entry.key, encodeEntry(entry)];
    }),
  );
  const bad = { 'rule/HTTPRoute/default/broken/0': Buffer.from('no') };
  keeper.revise(1, null, many);
  keeper.revise(2, 1, good);
  keeper.revise(3, 2, { ...many, ...bad });
  keeper.revise(4, 3, good);
  keeper.revise(5, null, many);
  await keeper.hears('ack', (m) => m.revision === 5);
  assert.deepEqual(
    keeper.heard.flatMap((m) => (m.type === 'ack' || m.type === 'nack' ? [`${m.type} ${m.revision}`] : [])),
    ['ack 1', 'ack 2', 'nack 3', 'ack 5'],
  );
});

test('a reason is never longer than the keeper takes', async (t) => {
  const keeper = new Keeper(t);
  keeper.assign();
  const key = `rule/${'x'.repeat(2 * LIMITS.STREAM_TEXT_CHARACTERS)}`;
  keeper.revise(1, null, { [key]: Buffer.from('no') });
  assert.equal((await keeper.hears('nack')).reason.length, LIMITS.STREAM_TEXT_CHARACTERS);
});

test('a worker that cannot become one says why before it ends', async (t) => {
  if (process.getuid?.() !== 0) {
    t.diagnostic('only root changes the user');
    return;
  }
  const keeper = new Keeper(t);
  keeper.assign('4294967295');
  const exited = once(keeper.process, 'exit');
  assert.match((await keeper.hears('failed')).reason, /4294967295/);
  assert.deepEqual(await exited, [3, null]);
});

test('a stopped worker whose keeper ends is made to run by SIGCONT, and a spare ends with its keeper', async (t) => {
  const keeper = new Keeper(t);
  await keeper.hears('hello');
  const exited = once(keeper.process, 'exit');
  process.kill(keeper.process.pid as number, 'SIGSTOP');
  keeper.channel.close();
  // This process lives on, so the kernel says nothing; whoever continues it sees the end of the channel.
  process.kill(keeper.process.pid as number, 'SIGCONT');
  assert.deepEqual(await exited, [0, null]);
});
