// What a channel believes of its other side, and whose fault an end is.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import type { Handle } from '../io/io.ts';
import { createShared, openNative, recvMessage, socketPair } from '../native/index.ts';
import { Channel, type ChannelEnd, type ChannelOwner, type ChannelRules } from './channel.ts';
import { encodeFrame, FRAME, type Frame } from './frames.ts';
import { ProtocolError } from './protocol-error.ts';

const io = openNative({ arenaBytes: 16 << 20 });
after(() => io.dispose());
const UNTRUSTED: ChannelRules = { frameBytes: LIMITS.WORKER_FRAME_BYTES, descriptors: false };

class Owner implements ChannelOwner {
  readonly frames: string[] = [];
  end: ChannelEnd | null = null;
  onFrame(frame: Frame): void {
    this.frames.push(frame.body.toString());
  }
  onEnded(end: ChannelEnd): void {
    assert.equal(this.end, null, 'told once');
    this.end = end;
  }
}

function pair(owner: ChannelOwner, rules?: ChannelRules): { channel: Channel<string>; other: Channel<unknown> } {
  const [ours, theirs]: [Handle, Handle] = socketPair(io);
  return { channel: new Channel(io, ours, owner, rules), other: new Channel(io, theirs, new Owner()) };
}

function turns(): void {
  for (let i = 0; i < 10; i++) io.turn(0);
}

const openFiles = (): number => readdirSync('/proc/self/fd').length;

test('descriptors that a worker sends along are never ours, and are a violation', () => {
  const owner = new Owner();
  const { channel, other } = pair(owner, UNTRUSTED);
  const fd = createShared('rauta-test', 4096);
  const before = openFiles();
  other.message({ type: 'ack' }, [fd, fd, fd]);
  turns();
  assert.deepEqual(owner.end, { cause: 'violation', reason: 'descriptors that nobody asked for' });
  assert.ok(!channel.open);
  assert.ok(openFiles() < before, 'our end was closed and nothing was opened');
  other.close();
});

test('descriptors that came and were not asked for are closed with the channel', () => {
  const owner = new Owner();
  const { channel, other } = pair(owner);
  const fd = createShared('rauta-test', 4096);
  const before = openFiles();
  other.message({}, [fd, fd]);
  turns();
  assert.equal(openFiles(), before + 2);
  channel.takeFd();
  channel.close();
  assert.equal(openFiles(), before, 'one was taken and stays, the channel and the other one are gone');
  other.close();
});

test('a frame larger than the other side may send is a violation', () => {
  const owner = new Owner();
  const { other } = pair(owner, UNTRUSTED);
  other.send(encodeFrame(FRAME.MESSAGE, Buffer.alloc(LIMITS.WORKER_FRAME_BYTES + 1)));
  turns();
  assert.equal(owner.end?.cause, 'violation');
  other.close();
});

test('what the owner does not understand is a violation; what the owner does wrong is its own bug', () => {
  const peer = new Owner();
  peer.onFrame = () => {
    throw new ProtocolError('what is that?');
  };
  const first = pair(peer, UNTRUSTED);
  first.other.message('x');
  turns();
  assert.deepEqual(peer.end, { cause: 'violation', reason: 'what is that?' });
  first.other.close();

  const own = new Owner();
  own.onFrame = () => {
    throw new TypeError('undefined is not a function');
  };
  const second = pair(own, UNTRUSTED);
  second.other.message('x');
  assert.throws(turns, { name: 'TypeError' });
  assert.equal(own.end, null, 'the other side is not blamed');
  second.channel.close();
  second.other.close();
});

test('what comes while nothing is taken waits, in its order, and the end behind it', () => {
  const owner = new Owner();
  const { channel, other } = pair(owner);
  const say = (...texts: string[]): void =>
    other.send(Buffer.concat(texts.map((text) => encodeFrame(FRAME.MESSAGE, Buffer.from(text)))));
  const taken = owner.onFrame.bind(owner);
  owner.onFrame = (frame) => {
    taken(frame);
    if (frame.body.toString().startsWith('hold')) channel.hold();
  };
  say('a', 'hold 1', 'b', 'hold 2', 'c');
  turns();
  say('d');
  other.close();
  turns();
  assert.deepEqual(owner.frames, ['a', 'hold 1']);
  channel.release();
  turns();
  assert.deepEqual(owner.frames, ['a', 'hold 1', 'b', 'hold 2']);
  assert.equal(owner.end, null);
  channel.release();
  turns();
  assert.deepEqual(owner.frames, ['a', 'hold 1', 'b', 'hold 2', 'c', 'd']);
  assert.deepEqual(owner.end, { cause: 'closed', reason: 'closed by the other side' });
});

test('what waits goes on without a turn of the reactor when its owner says so', () => {
  const [ours, theirs]: [Handle, Handle] = socketPair(io);
  const channel = new Channel<string>(io, ours, new Owner());
  const block = io.alloc(LIMITS.READ_BYTES);
  const takeAll = (): number => {
    for (let sum = 0; ; ) {
      const n = recvMessage(io, theirs, block, LIMITS.READ_BYTES, null);
      if (n <= 0) return sum;
      sum += n;
    }
  };
  const size = 4 << 20;
  channel.send(Buffer.alloc(size));
  let taken = 0;
  for (let rounds = 0; channel.queued > 0; rounds++) {
    assert.ok(rounds < size, 'each time something goes');
    taken += takeAll();
    channel.flush();
  }
  assert.equal(taken + takeAll(), size);
  channel.close();
  channel.flush();
  io.free(block);
  io.close(theirs);
});

test('last words are read though nothing can be sent any more', () => {
  const owner = new Owner();
  const { channel, other } = pair(owner, UNTRUSTED);
  other.message('I cannot: no such user');
  other.close();
  channel.message('take this');
  turns();
  assert.deepEqual(owner.frames, ['"I cannot: no such user"']);
  assert.equal(owner.end?.cause, 'closed');
});

test('finish reads what is there and closes, whoever else holds the other end', () => {
  const owner = new Owner();
  const { channel, other } = pair(owner, UNTRUSTED);
  other.message('one');
  other.message('two');
  channel.finish();
  assert.deepEqual(owner.frames, ['"one"', '"two"']);
  assert.ok(!channel.open);
  other.close();
});
