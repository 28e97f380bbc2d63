// Fuzzing of whole connections of clients: sequences of frames of chance, legal and not, cut anywhere, against an
// engine with a slow backend and a quick one. Whatever comes, nothing is thrown, nothing is left behind, each request
// is logged once, and the next client is served. FUZZ_SECONDS and FUZZ_SEED as in http1.test.ts.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { GENTLE } from '../../src/sim/faults.ts';
import { answering, cluster, endpoint, ok, Rig, rule } from '../proxy/rig.ts';
import type { Field } from '../support/hpack.ts';
import { ask, block, frame, Http2Client, PREFACE, settings, word } from '../support/http2.ts';
import { isGone } from '../support/peer.ts';
import { SimNet } from '../support/sim-net.ts';
import { Chance } from './http1-mutate.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);
const STEPS = 60;

const NUMBERS = [0, 1, 2, 5, 8, 16, 65_535, 65_536, 0x7fffffff, 0x80000000, 0xffffffff];
const PATHS = ['/', '/slow', '/big', '/a?b', 'x', '', '/%zz', '*'];

function fields(chance: Chance): readonly Field[] {
  const all: Field[] = [...ask(chance.pick(PATHS), [], chance.pick(['GET', 'POST', 'HEAD', 'CONNECT']))];
  for (let n = chance.next(4); n > 0; n--) {
    all.push(
      chance.pick<Field>([
        ['content-length', String(chance.next(40))],
        ['expect', '100-continue'],
        ['te', 'trailers'],
        ['cookie', 'a=b'],
        ['x-a', 'y'.repeat(chance.next(300))],
        ['connection', 'close'],
        ['X', 'y'],
      ]),
    );
  }
  if (chance.next(6) === 0) all.unshift([':protocol', 'websocket']);
  if (chance.next(6) === 0) all.splice(chance.next(all.length), 1);
  return all;
}

/** Some frames that a client may send next; `next` is the stream that it would open. */
function frames(chance: Chance, next: number): { readonly bytes: Buffer; readonly next: number } {
  const some = (): number => (chance.next(8) === 0 ? chance.next(20) : Math.max(1, next - 2 * (1 + chance.next(4))));
  const one = (type: number, flags: number, id: number, payload: Uint8Array | string): Buffer =>
    frame(type, flags, id, payload);
  switch (chance.next(12)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      const ends = chance.next(2) === 0 ? FLAG.END_STREAM : 0;
      const whole = block(fields(chance));
      if (chance.next(5) > 0) return { bytes: one(TYPE.HEADERS, FLAG.END_HEADERS | ends, next, whole), next: next + 2 };
      const cut = chance.next(whole.length);
      const rest = one(TYPE.CONTINUATION, chance.next(8) === 0 ? 0 : FLAG.END_HEADERS, next, whole.subarray(cut));
      return { bytes: Buffer.concat([one(TYPE.HEADERS, ends, next, whole.subarray(0, cut)), rest]), next: next + 2 };
    }
    case 4:
    case 5: {
      const payload = Buffer.alloc(chance.pick([0, 1, 10, 1000, 16_384]), 'd');
      const flags = chance.pick([0, 0, FLAG.END_STREAM, FLAG.PADDED]);
      if (flags === FLAG.PADDED && payload.length > 0) payload[0] = chance.next(12);
      return { bytes: one(TYPE.DATA, flags, some(), payload), next };
    }
    case 6:
      return { bytes: one(TYPE.RST_STREAM, 0, some(), word(chance.next(16))), next };
    case 7:
      return { bytes: settings([[chance.next(9), chance.pick(NUMBERS)]]), next };
    case 8:
      return { bytes: one(TYPE.WINDOW_UPDATE, 0, chance.next(2) === 0 ? 0 : some(), word(chance.pick(NUMBERS))), next };
    case 9:
      return { bytes: one(TYPE.PING, chance.next(2), 0, '12345678'), next };
    case 10: {
      const trailers = one(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, some(), block([['x-t', '1']]));
      return { bytes: trailers, next };
    }
    default: {
      const payload = Buffer.from(Array.from({ length: chance.next(30) }, () => chance.next(256)));
      return { bytes: one(chance.next(11), chance.next(64), chance.next(3) === 0 ? 0 : some(), payload), next };
    }
  }
}

async function attack(chance: Chance, rig: Rig, net: SimNet): Promise<void> {
  const peer = await rig.connect();
  let next = 1;
  let bytes: Buffer = Buffer.concat([
    Buffer.from(PREFACE),
    settings(chance.next(3) === 0 ? [[4, chance.next(2000)]] : []),
  ]);
  for (let n = 1 + chance.next(40); n > 0; n--) {
    const more = frames(chance, next);
    next = more.next;
    bytes = Buffer.concat([bytes, more.bytes]);
  }
  if (chance.next(3) === 0) bytes[24 + chance.next(bytes.length - 24)] = chance.next(256);
  const reads = chance.next(2) === 0;
  const reading = (async (): Promise<void> => {
    while (reads && (await peer.read()) !== null);
  })().catch((error) => assert.ok(isGone(error), error as Error));
  try {
    for (let at = 0; at < bytes.length; ) {
      const n = chance.pick([1, 9, 100, 5000, 100_000]);
      await peer.send(bytes.subarray(at, at + n));
      at += n;
      if (chance.next(10) === 0) await net.settle();
    }
    if (chance.next(2) === 0) await net.advance(chance.pick([1, 2000]));
  } catch (error) {
    assert.ok(isGone(error), error as Error);
  }
  if (chance.next(2) === 0) peer.end();
  await net.settle();
  peer.reset();
  await reading;
}

test('frames of chance', async (t) => {
  const first = Number(process.env['FUZZ_SEED'] ?? (SECONDS > 0 ? randomInt(2 ** 31) : 1));
  const end = performance.now() + SECONDS * 1000;
  let seed = first;
  for (; SECONDS > 0 ? performance.now() < end : seed < first + STEPS; seed++) {
    const chance = new Chance(seed);
    const net = new SimNet({ seed, faults: GENTLE, sendBufferBytes: 16_384, receiveBufferBytes: 16_384 });
    try {
      const quick = answering(net, ({ target }) => (target === '/big' ? ok('b'.repeat(200_000)) : ok('quick')));
      const slow = net.serve(async (peer) => {
        for (;;) {
          const request = await peer.readMessage().catch(() => null);
          if (request === null) return;
          await net.settle();
          await peer
            .send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n')
            .catch(() => {});
        }
      });
      const rules = [rule({}), rule({ name: 'slow', path: '/slow', to: ['slow'] })];
      const rig = new Rig(net, [quick], [cluster('slow', [endpoint(slow)]), ...rules]);
      for (let n = 0; n < 4; n++) await attack(chance, rig, net);
      const client = await Http2Client.open(await rig.connect());
      await client.send(frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, block(ask())));
      assert.equal((await client.outcome(1)).body.toString(), 'quick');
      client.peer.reset();
      await rig.end();
    } catch (error) {
      throw new Error(`failed with seed ${seed} (run again by FUZZ_SEED=${seed}): ${(error as Error).message}`, {
        cause: error,
      });
    } finally {
      await net.close();
    }
  }
  t.diagnostic(`seeds ${first} to ${seed - 1}`);
});
