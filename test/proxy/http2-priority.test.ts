// Priorities of RFC 9218: which response goes on when a client's window opens.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { ask, frame, Http2Client, head, windowUpdate, word } from '../support/http2.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { answering, ok, Rig } from './rig.ts';

const { simOnly: simulated } = plainly('over TLS clients agree on the protocol by ALPN');

/** Without seeds: what a backend's pieces leave waiting would decide, too. */
const simOnly = (name: string, script: (net: TestNet) => Promise<void>): void => simulated(name, script, { seeds: 0 });

const FIRST = 65_535;
const FRAME = 16_384;

/** Asks for a large response that takes the connection's window, then for others by `said`: their Priority. */
async function waiting(net: TestNet, said: readonly (string | null)[]) {
  const rig = new Rig(net, [answering(net, () => ok('x'.repeat(200_000)))]);
  const client = await Http2Client.open(await rig.connect(), [[SETTING.INITIAL_WINDOW_SIZE, 1_000_000]]);
  client.grants = false;
  assert.equal(client.settings.get(SETTING.NO_RFC7540_PRIORITIES), 1);
  await client.send(head(1, ask('/', [['priority', 'u=7']])));
  while (client.body(1).length < FIRST) await client.read();
  const ids = said.map((_, i) => 3 + 2 * i);
  for (const [i, priority] of said.entries()) {
    await client.send(head(3 + 2 * i, ask('/', priority === null ? [] : [['priority', priority]])));
    await client.until(TYPE.HEADERS);
  }
  await net.settle();
  /** Frames of each stream that a window of so many brings: a few, so that nobody waits for its backend. */
  const opened = async (frames: number): Promise<number[]> => {
    await net.settle();
    const before = ids.map((id) => client.body(id).length);
    const all = (): number => [1, ...ids].reduce((sum, id) => sum + client.body(id).length, 0);
    const until = all() + frames * FRAME;
    await client.send(windowUpdate(0, frames * FRAME));
    while (all() < until) await client.read();
    return ids.map((id, i) => Math.round((10 * (client.body(id).length - (before[i] as number))) / FRAME) / 10);
  };
  const end = async (): Promise<void> => {
    client.peer.close();
    await rig.end();
  };
  return { rig, client, opened, end };
}

simOnly('the most urgent goes first, one after the other where each is of use only whole', async (net) => {
  const { client, opened, end } = await waiting(net, ['u=5, i', null, 'u=1', 'u=1', 'u=3, i']);
  for (let n = 0; n < 3; n++) assert.deepEqual(await opened(4), [0, 0, 4, 0, 0]);
  const [, , rest = 0, next = 0] = await opened(3);
  assert.ok(rest < 0.5 && next >= 1.5, `${rest} ${next}`);
  assert.equal(client.body(7).length, 200_000);
  await end();
});

simOnly('whoever says nothing, or that parts are of use, takes turns', async (net) => {
  const { opened, end } = await waiting(net, [null, 'u=3, i', null]);
  const turns = await opened(9);
  for (const frames of turns) assert.ok(frames >= 1.5 && frames <= 4.5, `${turns}`);
  await end();
});

simOnly('PRIORITY_UPDATE changes what waits, and is kept for a stream to come', async (net) => {
  const { client, opened, end } = await waiting(net, ['u=4', 'u=4']);
  const update = (id: number, text: string): Buffer =>
    frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([word(id), Buffer.from(text)]));
  assert.deepEqual(await opened(2), [2, 0]);
  await client.send(update(5, 'u=0'), update(7, 'u=6'), update(99, 'u=0'));
  assert.deepEqual(await opened(2), [0, 2]);
  // What was said ahead counts, not the field.
  await client.send(head(7, ask('/', [['priority', 'u=0']])));
  await client.until(TYPE.HEADERS);
  assert.deepEqual(await opened(2), [0, 2]);
  assert.equal(client.body(7).length, 0);
  await end();
});

simOnly('nobody waits for good: one frame in sixteen is of the least urgent', async (net) => {
  const { client, opened, end } = await waiting(net, ['u=0', 'u=0', 'u=0', 'u=0']);
  const before = client.body(1).length;
  for (let n = 0; n < LIMITS.HTTP2_URGENT_FRAMES; n += 2) await opened(4);
  const frames = (client.body(1).length - before) / FRAME;
  assert.ok(frames > 0.5 && frames < 4, `${frames}`);
  await end();
});

simOnly('priorities of streams that never come are few, those that are none end the connection', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const many = await Http2Client.open(await rig.connect());
  const updates = Array.from({ length: 3 * LIMITS.HTTP2_PRIORITIES }, (_, i) =>
    frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([word(2 * i + 101), Buffer.from('u=1')])),
  );
  await many.send(...updates, head(1, ask()));
  assert.equal((await many.outcome(1)).status, 200);
  assert.equal(rig.get(limitCell('HTTP2_PRIORITIES')), 2 * LIMITS.HTTP2_PRIORITIES);
  many.peer.close();
  const faults: readonly (readonly [Buffer, string])[] = [
    [frame(TYPE.PRIORITY_UPDATE, 0, 1, Buffer.concat([word(1), Buffer.from('u=1')])), 'PROTOCOL_ERROR'],
    [frame(TYPE.PRIORITY_UPDATE, 0, 0, word(0)), 'PROTOCOL_ERROR'],
    [frame(TYPE.PRIORITY_UPDATE, 0, 0, word(2)), 'PROTOCOL_ERROR'],
    [frame(TYPE.PRIORITY_UPDATE, 0, 0, 'abc'), 'FRAME_SIZE_ERROR'],
  ];
  for (const [bytes, code] of faults) {
    const client = await Http2Client.open(await rig.connect());
    await client.send(bytes);
    assert.equal(await client.ended(), code);
    client.peer.close();
  }
  await rig.end();
});
