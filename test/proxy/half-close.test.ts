// A client that sends FIN while something is not answered yet (docs/adr/0011-half-close.md), and what the log says was
// delivered.

import assert from 'node:assert/strict';
import type { SocketAddress } from '../../src/io/io.ts';
import { onBoth, simOnly, type TestNet } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig, rule } from './rig.ts';

/**
 * A backend that reads a request and says nothing until the proxy lets go of it; `targets` are what it was asked for.
 */
function silent(net: TestNet): { address: SocketAddress; targets: string[]; ended: string[] } {
  const targets: string[] = [];
  const ended: string[] = [];
  const address = net.serve(async (peer) => {
    const request = await peer.readMessage();
    targets.push(request.target);
    await peer.readAll().catch(() => {});
    ended.push(await peer.closed);
  });
  return { address, targets, ended };
}

onBoth('a client that closes while the backend works is noticed: cancelled upstream, logged 499 DC', async (net) => {
  const backend = silent(net);
  const rig = new Rig(net, [backend.address]);
  const client = await rig.connect();
  await client.send(get('/slow'));
  while (backend.targets.length === 0) await net.advance(1);
  assert.equal(rig.records.all.length, 0);
  client.end();
  while (backend.ended.length === 0) await net.advance(1);
  await rig.end();
  assert.equal(rig.records.all.length, 1);
  assert.equal(rig.records.last.status, 499);
  assert.equal(rig.records.last.flags, 'DC');
});

onBoth('a FIN that comes with the request is noticed like one that comes later', async (net) => {
  const backend = silent(net);
  const rig = new Rig(net, [backend.address]);
  const client = await rig.connect();
  await client.send('POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
  client.end();
  await assert.rejects(client.readMessage());
  await rig.end();
  assert.equal(rig.records.last.status, 499);
  assert.equal(rig.records.last.flags, 'DC');
});

onBoth('requests behind the one that is cancelled are not begun', async (net) => {
  const backend = silent(net);
  const rig = new Rig(net, [backend.address]);
  const client = await rig.connect();
  await client.send(get('/1') + get('/2') + get('/3'));
  while (backend.targets.length === 0) await net.advance(1);
  client.end();
  while (backend.ended.length === 0) await net.advance(1);
  await rig.end();
  assert.deepEqual(backend.targets, ['/1']);
  assert.equal(rig.records.all.length, 1);
});

simOnly('a FIN is noticed while reading is paused because the backend takes no more of the upload', async (net) => {
  let leave = (): void => {};
  const leaving = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    await leaving;
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n');
  await net.settle();
  const before = net.sim.arena.bytes;
  // Until the proxy holds what the backend does not take: it reads no more from then on, and there is room for the FIN.
  while (net.sim.arena.bytes === before) {
    await client.send('x'.repeat(1000));
    await net.settle();
  }
  client.end();
  await net.settle();
  assert.equal(rig.records.all.length, 1);
  assert.equal(rig.records.last.status, 499);
  assert.equal(rig.records.last.flags, 'DC');
  leave();
  await rig.end();
});

onBoth('while an answer is under way FIN ends it too, and the log says how much went', async (net) => {
  const part = 'x'.repeat(5000);
  let ended = '';
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${part}`);
    await peer.readAll().catch(() => {});
    ended = await peer.closed;
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get());
  await client.readHead();
  await client.readExactly(part.length);
  client.end();
  while (ended === '') await net.advance(1);
  await rig.end();
  assert.equal(rig.records.last.status, 200);
  assert.equal(rig.records.last.flags, 'DC');
  assert.equal(rig.records.last.responseBytes, part.length);
});

onBoth('an answer of our own is not lost to a FIN behind its request', async (net) => {
  const rig = new Rig(net, [], [rule({ action: { type: 'respond', status: 404 } })]);
  const client = await rig.connect();
  await client.send(get('/a') + get('/b'));
  client.end();
  for (let i = 0; i < 2; i++) assert.equal((await client.readMessage()).status, 404);
  assert.equal(await client.read(), null);
  await rig.end();
  assert.deepEqual(
    rig.records.all.map((r) => r.flags.includes('DC')),
    [false, false],
  );
});

onBoth('--half-close on: FIN after the requests costs no answer (RFC 9112 section 9.6)', async (net) => {
  const rig = new Rig(net, [answering(net, (r) => ok(r.target))], undefined, { halfClose: true });
  const client = await rig.connect();
  await client.send(get('/1') + get('/2'));
  client.end();
  assert.equal(bodyText(await client.readMessage()), '/1');
  assert.equal(bodyText(await client.readMessage()), '/2');
  assert.equal(await client.read(), null);
  await rig.end();
  assert.equal(rig.records.all.length, 2);
});

simOnly('--half-close on: a client that is half-closed and then resets is gone all the same', async (net) => {
  const backend = silent(net);
  const rig = new Rig(net, [backend.address], undefined, { halfClose: true });
  const client = await rig.connect();
  await client.send(get());
  client.end();
  while (backend.targets.length === 0) await net.advance(1);
  await net.advance(50);
  assert.equal(rig.records.all.length, 0);
  client.reset();
  while (backend.ended.length === 0) await net.advance(1);
  await rig.end();
  assert.equal(rig.records.last.flags, 'DC');
});

simOnly('a client that resets with the rest of a complete answer unread: the log says what went', async (net) => {
  const total = 150_000;
  const rig = new Rig(net, [answering(net, () => ok('z'.repeat(total)))]);
  const client = await rig.connect();
  await client.send(get());
  await client.readHead();
  await client.readExactly(10);
  await net.settle();
  client.reset();
  await net.settle();
  await rig.end();
  assert.equal(rig.records.all.length, 1);
  const { status, flags, responseBytes } = rig.records.last;
  assert.equal(status, 200);
  // With large buffers the kernels had taken all of it before the client left.
  if (net.sim.network.sendBufferBytes + net.sim.network.receiveBufferBytes < total - 40_000) {
    assert.equal(flags, 'DC');
    assert.ok(responseBytes < total, `${responseBytes}`);
  }
});

simOnly('an answer is logged when the client has taken it', async (net) => {
  const total = 150_000;
  const rig = new Rig(net, [answering(net, () => ok('z'.repeat(total)))]);
  const client = await rig.connect();
  await client.send(get());
  await client.readHead();
  await net.advance(500);
  const before = rig.records.all.length;
  await client.readExactly(total);
  await net.settle();
  assert.equal(rig.records.all.length, 1);
  assert.equal(rig.records.last.flags, '');
  assert.equal(rig.records.last.responseBytes, total);
  if (before === 0) assert.ok(rig.records.last.durationUs >= 500_000);
  client.close();
  await rig.end();
});
