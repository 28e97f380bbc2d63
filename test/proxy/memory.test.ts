// Back-pressure: whoever does not read stops who sends to it, and the proxy holds little meanwhile.

import assert from 'node:assert/strict';
import { onBoth, type Peer, simOnly } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig } from './rig.ts';

const BOUND = 256 * 1024;

/** Bytes of the arena in use. */
function held(net: { io: { kind: string }; sim: { arena: { bytes: number } } | null }): number {
  return net.sim === null ? 0 : net.sim.arena.bytes;
}

/** Takes everything a peer offers, a piece at a time; returns how much that was. */
async function flood(peer: Peer, total: number, stop: () => boolean): Promise<number> {
  const piece = Buffer.alloc(64 * 1024, 0x61);
  let sent = 0;
  while (sent < total && !stop()) {
    const n = peer.trySend(piece.subarray(0, Math.min(piece.length, total - sent)));
    sent += n;
    if (n === 0) return sent;
  }
  return sent;
}

simOnly('a client that reads a large response byte by byte holds little in the proxy', async (net) => {
  const total = 100 * 1024 * 1024;
  let sent = 0;
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
    for (;;) {
      sent += await flood(peer, total - sent, () => false);
      await net.advance(10);
      if (sent > 30_000_000) return;
      if (net.sim.nowMs > 1_100_000) return;
    }
  });
  const rig = new Rig(net, [backend]);
  const before = held(net);
  const client = await rig.connect();
  await client.send(get());
  await client.readHead();
  let most = 0;
  for (let i = 0; i < 100; i++) {
    await client.readExactly(1);
    await net.advance(1000);
    most = Math.max(most, held(net) - before);
  }
  assert.ok(most < BOUND, `${most} bytes held`);
  assert.ok(sent < 2_000_000, `the backend got rid of ${sent} bytes`);
  client.reset();
  await net.advance(100);
  assert.ok(held(net) - before <= 8192, `${held(net) - before} bytes stay`);
  await rig.end();
});

simOnly('a trickling upload, and one that the backend does not read, hold little in the proxy', async (net) => {
  let stalled: Peer | null = null;
  const backend = net.serve(async (peer) => {
    const head = await peer.readHead();
    if (head.target === '/stalled') {
      stalled = peer;
      return;
    }
    for (;;) if ((await peer.read().catch(() => null)) === null) return;
  });
  const rig = new Rig(net, [backend]);
  const before = held(net);
  const trickle = await rig.connect();
  await trickle.send('POST /trickle HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
  const stuffed = await rig.connect();
  await stuffed.send('POST /stalled HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n');
  let sent = 0;
  let most = 0;
  for (let i = 0; i < 50; i++) {
    await trickle.send('x');
    sent += await flood(stuffed, 100_000_000 - sent, () => false);
    await net.advance(500);
    most = Math.max(most, held(net) - before);
  }
  assert.ok(stalled !== null);
  assert.ok(most < BOUND, `${most} bytes held`);
  assert.ok(sent < 2_000_000, `the client got rid of ${sent} bytes`);
  trickle.reset();
  stuffed.reset();
  await net.advance(100);
  await rig.end();
});

simOnly('idle connections hold no block', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const first = await rig.connect();
  await first.send(get());
  await first.readMessage();
  const before = held(net);
  const clients = await Promise.all(Array.from({ length: 50 }, () => rig.connect()));
  for (const client of clients) {
    await client.send(get());
    await client.readMessage();
  }
  await net.settle();
  assert.equal(held(net), before);
  for (const client of [first, ...clients]) client.close();
  await rig.end();
});

onBoth('a client that pipelines and does not read is not served without end', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('y'.repeat(20_000)))]);
  const client = await rig.connect();
  const requests = Buffer.from(get().repeat(3000));
  let sent = 0;
  for (let i = 0; i < 20 && sent < requests.length; i++) {
    sent += client.trySend(requests.subarray(sent));
    await net.advance(10);
  }
  const served = rig.records.all.length;
  assert.ok(served < 2900, `${served} requests answered`);
  for (let i = 0; i < served; i++) assert.equal(bodyText(await client.readMessage()).length, 20_000);
  client.reset();
  await net.advance(10);
  await rig.end();
});
