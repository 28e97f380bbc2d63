// The simulation against the real kernel: the same calls on both, in the same order, must return the same results and
// report the same readiness. What tcp_poll, tcp_recvmsg and tcp_reset really do is thereby not a matter of memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRNO, type Handle, type Io, type ReadySink, type SocketAddress } from '../../src/io/io.ts';
import { Random } from '../../src/sim/random.ts';
import { NativeNet } from '../support/native-net.ts';
import { type Peer, seedsOf, type TestNet } from '../support/net.ts';
import { SimNet } from '../support/sim-net.ts';

const NAMES = new Map(Object.entries(ERRNO).map(([name, value]) => [-value, name]));
const BUFFER_BYTES = 65_536;

function shown(result: number): string {
  return NAMES.get(result) ?? String(result);
}

/** One end of the connection, watched; it remembers which readiness it was told of. */
class End implements ReadySink {
  readonly io: Io;
  readonly handle: Handle;
  seen = 0;
  constructor(io: Io, handle: Handle) {
    this.io = io;
    this.handle = handle;
    assert.ok(handle >= 0, shown(handle));
    assert.equal(io.watch(handle, this), 0);
  }
  onReady(events: number): void {
    this.seen |= events;
  }
}

/** What a script does and what it sees: a line for each call, and after each call the events of both ends. */
class Stage {
  readonly lines: string[] = [];
  readonly net: TestNet;
  readonly io: Io;
  a!: End;
  b!: End;
  readonly #buffer: number;
  readonly #pipe: Handle;

  constructor(net: TestNet) {
    this.net = net;
    this.io = net.io;
    this.#buffer = net.io.alloc(BUFFER_BYTES);
    this.#pipe = net.io.openPipe();
    assert.ok(this.#pipe >= 0, shown(this.#pipe));
  }

  /** Connects `a` to a listener and accepts it as `b`. */
  async open(address: SocketAddress, listener: Handle): Promise<void> {
    this.a = new End(this.io, this.io.connect(address));
    await this.net.settle();
    this.lines.push(`connectError ${this.io.connectError(this.a.handle)}`);
    this.b = new End(this.io, this.io.accept(listener));
    await this.look('open');
  }

  async look(what: string): Promise<void> {
    await this.net.settle();
    this.lines.push(`${what}; a ${bits(this.a.seen)}, b ${bits(this.b.seen)}`);
    this.a.seen = 0;
    this.b.seen = 0;
  }

  async recv(end: End, length: number): Promise<void> {
    await this.look(`${this.#name(end)} recv ${length} = ${shown(this.io.recv(end.handle, this.#buffer, length))}`);
  }
  async send(end: End, length: number): Promise<void> {
    await this.look(`${this.#name(end)} send ${length} = ${shown(this.io.send(end.handle, this.#buffer, length))}`);
  }
  /** Into the pipe, and out of it. */
  async spliceIn(end: End, length: number): Promise<void> {
    const result = shown(this.io.spliceIn(end.handle, this.#pipe, length));
    await this.look(`${this.#name(end)} splice in ${length} = ${result}`);
  }
  async spliceOut(end: End, length: number): Promise<void> {
    const result = shown(this.io.spliceOut(this.#pipe, end.handle, length));
    await this.look(`${this.#name(end)} splice out ${length} = ${result}`);
  }
  async shutdown(end: End): Promise<void> {
    await this.look(`${this.#name(end)} shutdown = ${shown(this.io.shutdown(end.handle))}`);
  }
  async close(end: End): Promise<void> {
    this.io.close(end.handle);
    await this.look(`${this.#name(end)} close`);
  }
  async reset(end: End): Promise<void> {
    this.io.reset(end.handle);
    await this.look(`${this.#name(end)} reset`);
  }

  /** Sends until the network takes no more; the count is the kernel's own affair. */
  async fill(end: End): Promise<number> {
    let sent = 0;
    for (let quiet = 0; quiet < 2; ) {
      const n = this.io.send(end.handle, this.#buffer, BUFFER_BYTES);
      quiet = n > 0 ? 0 : quiet + 1;
      if (n > 0) sent += n;
      else {
        assert.equal(n, -ERRNO.EAGAIN);
        await this.net.settle();
      }
    }
    this.a.seen = 0;
    this.b.seen = 0;
    return sent;
  }

  async drain(end: End, length: number): Promise<void> {
    let got = 0;
    while (got < length) {
      const n = this.io.recv(end.handle, this.#buffer, BUFFER_BYTES);
      if (n > 0) got += n;
      else {
        assert.equal(n, -ERRNO.EAGAIN);
        await this.net.settle();
      }
    }
    assert.equal(got, length);
  }

  finish(): void {
    this.io.close(this.a.handle);
    this.io.close(this.b.handle);
    this.io.close(this.#pipe);
    this.io.free(this.#buffer);
  }

  #name(end: End): string {
    return end === this.a ? 'a' : 'b';
  }
}

function bits(events: number): string {
  const names = ['readable', 'writable', 'peer-closed', 'broken'].filter((_, i) => (events & (1 << i)) !== 0);
  return names.length === 0 ? '-' : names.join('+');
}

type Script = (s: Stage) => Promise<void>;

async function onOne(net: TestNet, script: Script): Promise<string[]> {
  const stage = new Stage(net);
  const { handle, address } = net.listen();
  net.io.watch(handle, { onReady() {} });
  try {
    await stage.open(address, handle);
    await script(stage);
    stage.finish();
    await net.settle();
    assert.deepEqual(net.leaks(), []);
  } finally {
    await net.close();
  }
  return stage.lines;
}

async function compare(script: Script): Promise<void> {
  const real = await onOne(new NativeNet(), script);
  const simulated = await onOne(new SimNet({ seed: 1 }), script);
  assert.deepEqual(simulated.map(withoutIdle), real.map(withoutIdle));
}

/**
 * An edge that says "writable" and nothing else, to who was not waiting for it, comes with a late ACK or not at all.
 */
function withoutIdle(line: string): string {
  return line.startsWith('drained') ? line : line.replace(/ (a|b) writable(?=,|$)/g, ' $1 -');
}

function same(name: string, script: Script): void {
  test(`kernel and simulation agree: ${name}`, () => compare(script));
}

same('edges come with each arrival, not while data waits', async (s) => {
  await s.send(s.b, 3);
  await s.send(s.b, 1);
  await s.recv(s.a, 2);
  await s.look('nothing new');
  await s.recv(s.a, 100);
  await s.recv(s.a, 100);
});

same('FIN: the rest, then 0 for ever; the other way stays open', async (s) => {
  await s.send(s.a, 5);
  await s.shutdown(s.a);
  await s.recv(s.b, 100);
  await s.recv(s.b, 100);
  await s.recv(s.b, 100);
  await s.send(s.b, 7);
  await s.recv(s.a, 100);
  await s.shutdown(s.b);
  await s.recv(s.a, 100);
  await s.send(s.b, 1);
  await s.shutdown(s.a);
});

same('RST: what had arrived stays readable, then one error, then the end', async (s) => {
  await s.send(s.a, 5);
  await s.reset(s.a);
  await s.recv(s.b, 100);
  await s.recv(s.b, 100);
  await s.recv(s.b, 100);
  await s.send(s.b, 1);
  await s.shutdown(s.b);
});

same('RST met by sending first', async (s) => {
  await s.send(s.a, 5);
  await s.reset(s.a);
  await s.send(s.b, 1);
  await s.send(s.b, 1);
  await s.recv(s.b, 100);
  await s.recv(s.b, 100);
});

same('RST behind FIN', async (s) => {
  await s.send(s.a, 5);
  await s.shutdown(s.a);
  await s.reset(s.a);
  await s.recv(s.b, 100);
  await s.recv(s.b, 100);
  await s.send(s.b, 1);
  await s.send(s.b, 1);
});

same('close with unread input is a reset', async (s) => {
  await s.send(s.a, 5);
  await s.send(s.b, 5);
  await s.close(s.a);
  await s.recv(s.b, 100);
  await s.recv(s.b, 100);
  await s.send(s.b, 1);
});

same('sending to who has closed: taken, then reset', async (s) => {
  await s.close(s.a);
  await s.send(s.b, 1);
  await s.send(s.b, 1);
  await s.recv(s.b, 100);
});

same('data for who has closed destroys what he still had to send', async (s) => {
  await s.send(s.a, 5);
  await s.close(s.a);
  await s.send(s.b, 1);
  await s.recv(s.b, 100);
  await s.recv(s.b, 100);
});

same('a full way: no edge while full, one when a third is free, a reset wakes', async (s) => {
  const sent = await s.fill(s.a);
  await s.look('full');
  await s.send(s.b, 3);
  await s.recv(s.a, 100);
  await s.drain(s.b, sent);
  await s.net.settle();
  // When exactly the reader was told depends on the sizes of the kernel's segments.
  s.b.seen = 0;
  await s.look('drained');
  await s.send(s.a, 1);
  await s.recv(s.b, 100);
  await s.fill(s.a);
  await s.reset(s.b);
  await s.send(s.a, 1);
});

same('a pipe: what arrived goes through it, the rest of it too when asked again; FIN is 0', async (s) => {
  await s.spliceIn(s.a, 100);
  await s.spliceOut(s.a, 100);
  await s.send(s.b, 5);
  await s.spliceIn(s.a, 3);
  await s.recv(s.a, 100);
  await s.spliceOut(s.a, 1);
  await s.recv(s.b, 100);
  await s.send(s.b, 4);
  await s.spliceIn(s.a, 100);
  await s.spliceOut(s.a, 100);
  await s.recv(s.b, 100);
  await s.spliceOut(s.a, 100);
  await s.send(s.b, 2);
  await s.shutdown(s.b);
  await s.spliceIn(s.a, 100);
  await s.spliceIn(s.a, 100);
  await s.spliceIn(s.a, 100);
  await s.spliceOut(s.a, 100);
  await s.recv(s.b, 100);
});

same(
  'a pipe and a reset: what had arrived, the error once, then the end; what is in the pipe goes nowhere',
  async (s) => {
    await s.send(s.a, 5);
    await s.send(s.b, 3);
    await s.spliceIn(s.a, 100);
    await s.reset(s.a);
    await s.spliceOut(s.b, 100);
    await s.spliceIn(s.b, 100);
    await s.spliceIn(s.b, 100);
    await s.spliceIn(s.b, 100);
    await s.spliceOut(s.b, 100);
  },
);

same('stale handles', async (s) => {
  await s.close(s.a);
  await s.recv(s.a, 1);
  await s.send(s.a, 1);
  await s.spliceIn(s.a, 1);
  await s.spliceOut(s.a, 1);
  await s.shutdown(s.a);
  await s.close(s.a);
  await s.reset(s.a);
});

test('kernel and simulation agree: refused connects', async () => {
  const lines: string[][] = [];
  for (const net of [new NativeNet(), new SimNet({ seed: 1 })]) {
    const seen: string[] = [];
    const buffer = net.io.alloc(16);
    for (const first of ['connectError', 'recv', 'send']) {
      const end = new End(net.io, net.io.connect(net.refuse()));
      await net.settle();
      seen.push(bits(end.seen));
      if (first === 'connectError') seen.push(String(net.io.connectError(end.handle)));
      if (first === 'recv') seen.push(shown(net.io.recv(end.handle, buffer, 16)));
      seen.push(shown(net.io.send(end.handle, buffer, 16)), shown(net.io.recv(end.handle, buffer, 16)));
      seen.push(shown(net.io.shutdown(end.handle)), String(net.io.connectError(end.handle)));
      net.io.close(end.handle);
    }
    net.io.free(buffer);
    lines.push(seen);
    await net.close();
  }
  assert.deepEqual(lines[1], lines[0]);
});

test('kernel and simulation agree: unix sockets', async () => {
  const lines: string[][] = [];
  for (const net of [new NativeNet(), new SimNet({ seed: 1 })]) {
    const seen: string[] = [];
    const buffer = net.io.alloc(64);
    for (const step of ['fin', 'close', 'unread'] as const) {
      let accepted: (peer: Peer) => void = () => {};
      const backend = net.serveUnix((peer) => accepted(peer));
      const peer = new Promise<Peer>((resolve) => {
        accepted = resolve;
      });
      const end = new End(net.io, net.io.connect(backend));
      const other = await peer;
      await other.send('abc');
      if (step === 'unread') net.io.send(end.handle, buffer, 64);
      if (step === 'fin') other.end();
      else other.close();
      await net.settle();
      seen.push(step, bits(end.seen), shown(net.io.recv(end.handle, buffer, 64)));
      seen.push(shown(net.io.recv(end.handle, buffer, 64)), shown(net.io.send(end.handle, buffer, 1)));
      net.io.close(end.handle);
    }
    seen.push(shown(net.io.connect({ family: 'unix', path: '/nowhere/rauta.sock' })));
    net.io.free(buffer);
    lines.push(seen);
    await net.close();
  }
  assert.deepEqual(lines[1], lines[0]);
});

test('kernel and simulation agree on random scripts', async () => {
  for (const seed of seedsOf(12)) {
    await compare(async (s) => {
      const random = new Random(seed);
      for (let i = 0; i < 14; i++) {
        const end = random.chance(0.5) ? s.a : s.b;
        const pick = random.below(100);
        if (pick < 40) await s.send(end, random.between(1, 3000));
        else if (pick < 60) await s.recv(end, random.between(1, 5000));
        else if (pick < 70) await s.spliceIn(end, random.between(1, 5000));
        else if (pick < 80) await s.spliceOut(end, random.between(1, 5000));
        else if (pick < 90) await s.shutdown(end);
        else if (pick < 95) await s.close(end);
        else await s.reset(end);
      }
    }).catch((error: Error) => {
      throw new Error(`script ${seed}: ${error.message}`, { cause: error });
    });
  }
});
