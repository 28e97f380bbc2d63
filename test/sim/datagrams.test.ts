// The simulation's datagrams against the real kernel's: the same calls, the same results, the same readiness.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOfWords } from '../../src/base/ip.ts';
import { type DatagramBatch, PATH, PLACE_BYTES } from '../../src/io/datagrams.ts';
import { ERRNO, type Handle, type Io, type IpAddress, type ReadySink } from '../../src/io/io.ts';
import { NativeNet } from '../support/native-net.ts';
import type { TestNet } from '../support/net.ts';
import { SimNet } from '../support/sim-net.ts';

const NAMES = new Map(Object.entries(ERRNO).map(([name, value]) => [-value, name]));

function shown(result: number): string {
  return NAMES.get(result) ?? String(result);
}

class End implements ReadySink {
  readonly handle: Handle;
  seen = 0;
  /** What was not read is told of in each turn: it is noted once. */
  onReady(events: number): void {
    this.seen |= events;
  }
  constructor(io: Io, handle: Handle) {
    assert.ok(handle >= 0, shown(handle));
    this.handle = handle;
    assert.equal(io.datagrams.watch(handle, this), 0);
  }
}

class Stage {
  readonly lines: string[] = [];
  readonly net: TestNet;
  readonly io: Io;
  readonly batch: DatagramBatch;
  readonly ends = new Map<string, End>();
  readonly #bind: (address: IpAddress) => Handle;
  readonly #local: (handle: Handle) => IpAddress;

  constructor(net: NativeNet | SimNet) {
    this.net = net;
    this.io = net.io;
    const batch = net.io.datagrams.open();
    assert.ok(batch !== null);
    this.batch = batch;
    this.#bind = (address) =>
      net instanceof NativeNet ? net.io.datagrams.bind(address, { first: true }) : net.io.datagrams.bind(address);
    const { io } = net;
    this.#local = (handle) => io.localAddress(handle) as IpAddress;
  }

  bind(name: string, address: string): IpAddress {
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    const end = new End(this.io, this.#bind({ family, address, port: 0 }));
    this.ends.set(name, end);
    return this.#local(end.handle);
  }

  connect(name: string, to: IpAddress): void {
    this.ends.set(name, new End(this.io, this.io.datagrams.connect(to)));
  }

  async look(what: string): Promise<void> {
    await this.net.settle();
    const seen = [...this.ends].map(([name, end]) => `${name} ${end.seen}`);
    for (const end of this.ends.values()) end.seen = 0;
    this.lines.push(`${what}; ${seen.join(', ')}`);
  }

  async send(name: string, text: string): Promise<void> {
    const { handle } = this.ends.get(name) as End;
    this.io.mem.set(Buffer.from(text), this.batch.at);
    await this.look(
      `${name} send ${text.length} = ${shown(this.io.datagrams.send(handle, this.batch.at, text.length, 0))}`,
    );
  }

  /** What comes, and to which address of ours; senders by their names. */
  async receive(name: string, count: number, bound = true): Promise<number> {
    const { handle } = this.ends.get(name) as End;
    const { datagrams } = this.io;
    const n = bound
      ? datagrams.receiveFrom(handle, this.batch, 0, count)
      : datagrams.receive(handle, this.batch, 0, count);
    const got = Array.from({ length: Math.max(0, n) }, (_, i) => {
      const at = this.batch.at + i * PLACE_BYTES;
      const text = Buffer.from(this.io.mem.slice(at, at + (this.batch.lengths[i] as number))).toString();
      if (!bound) return text;
      const path = i * PATH.WORDS;
      const port = this.batch.paths[path + PATH.PORT];
      const by = [...this.ends].find(([, end]) => this.#local(end.handle).port === port)?.[0];
      const { family, paths } = this.batch;
      return `${text} by ${by} at ${textOfWords(paths, path, family)} to ${textOfWords(paths, path + PATH.LOCAL, family)}`;
    });
    await this.look(`${name} receive ${count} = ${shown(n)} [${got.join(', ')}]`);
    return n;
  }

  /** Sends the first `count` that came back to where they came from. */
  async answer(name: string, count: number): Promise<void> {
    const { handle } = this.ends.get(name) as End;
    await this.look(`${name} answer ${count} = ${shown(this.io.datagrams.sendTo(handle, this.batch, 0, count))}`);
  }

  async close(name: string): Promise<void> {
    this.io.close((this.ends.get(name) as End).handle);
    this.ends.delete(name);
    await this.look(`${name} close`);
  }

  finish(): void {
    for (const { handle } of this.ends.values()) this.io.close(handle);
    this.io.datagrams.release(this.batch);
  }
}

type Script = (s: Stage) => Promise<void>;

async function onOne(net: NativeNet | SimNet, script: Script): Promise<string[]> {
  const stage = new Stage(net);
  try {
    await script(stage);
    stage.finish();
    assert.deepEqual(net.leaks(), []);
  } finally {
    await net.close();
  }
  return stage.lines;
}

function same(name: string, script: Script, expected?: RegExp): void {
  test(`kernel and simulation agree on datagrams: ${name}`, async () => {
    const real = await onOne(new NativeNet(), script);
    const simulated = await onOne(new SimNet({ seed: 1 }), script);
    assert.deepEqual(simulated, real);
    if (expected !== undefined) assert.match(real.join('\n'), expected);
  });
}

same('each comes whole, an empty one too; what is not read is told of again', async (s) => {
  s.connect('a', s.bind('b', '127.0.0.1'));
  await s.send('a', 'one');
  await s.send('a', '');
  await s.send('a', 'three');
  await s.receive('b', 2);
  await s.look('one is left');
  await s.receive('b', 8);
  await s.receive('b', 8);
});

same(
  'an answer leaves from the address that was asked, and no other socket hears it',
  async (s) => {
    const any = s.bind('b', '0.0.0.0');
    s.connect('a', { ...any, address: '127.0.0.5' });
    s.connect('c', { ...any, address: '127.0.0.6' });
    await s.send('a', 'question');
    await s.send('c', 'other');
    await s.receive('b', 8);
    await s.answer('b', 2);
    await s.receive('a', 8, false);
    await s.receive('c', 8, false);
  },
  /a receive 8 = 1 \[question\].*\n.*c receive 8 = 1 \[other\]/,
);

same('IPv6', async (s) => {
  const any = s.bind('b', '::');
  s.connect('a', { ...any, address: '::1' });
  await s.send('a', 'question');
  await s.receive('b', 8);
  await s.answer('b', 1);
  await s.receive('a', 8, false);
});

same(
  'nobody is there: the next call is told, whichever it is, and its datagram is not sent',
  async (s) => {
    const address = s.bind('b', '127.0.0.1');
    s.connect('a', address);
    await s.close('b');
    await s.send('a', 'lost');
    await s.send('a', 'not sent');
    await s.send('a', 'lost too');
    await s.receive('a', 1, false);
    await s.receive('a', 1, false);
  },
  /send 8 = ECONNREFUSED/,
);

same('what a bound socket sends to nobody disturbs no other datagram of its', async (s) => {
  s.connect('a', s.bind('b', '127.0.0.1'));
  s.connect(
    'c',
    (s.net.io as unknown as { localAddress(h: Handle): IpAddress }).localAddress(s.ends.get('b')?.handle ?? -1),
  );
  await s.send('a', 'first');
  await s.send('c', 'second');
  await s.receive('b', 8);
  await s.close('a');
  await s.answer('b', 2);
  await s.receive('c', 8, false);
  await s.answer('b', 2);
  await s.receive('c', 8, false);
});

same('a connected socket hears from its peer alone', async (s) => {
  const address = s.bind('b', '127.0.0.1');
  s.connect('a', address);
  await s.send('a', 'hello');
  await s.receive('b', 1);
  s.bind('d', '127.0.0.1');
  await s.answer('d', 1);
  await s.receive('a', 1, false);
  await s.answer('b', 1);
  await s.receive('a', 1, false);
});
