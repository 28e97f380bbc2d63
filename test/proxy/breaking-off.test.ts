// What a backend said of a response that it breaks off, and what either side of a tunnel said before it was reset, is
// passed on before the reset is: a reset at once takes with it what waits here and in the kernel.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { breakOff, PATTERN, readToReset, SEND_BUFFER } from '../support/break-off.ts';
import { onBoth, type Peer, simOnly } from '../support/net.ts';
import { get, Rig } from './rig.ts';

const LENGTH = `HTTP/1.1 200 OK\r\nContent-Length: ${PATTERN.length * 2}\r\n\r\n`;
/** What is lost with the one who breaks off: his kernel's, and a record of his TLS. */
const LOST = SEND_BUFFER + 16_384;
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: bytes\r\n';
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: bytes\r\nConnection: Upgrade\r\n\r\n';

onBoth('what came of a response before its backend was reset arrives at a client that reads later', async (net) => {
  const said = Promise.withResolvers<number>();
  const app = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send(LENGTH);
    said.resolve(await breakOff(net, peer));
  });
  const rig = new Rig(net, [app]);
  const client = await rig.connect();
  await client.send(get());
  const sent = await said.promise;
  assert.equal((await client.readHead()).status, 200);
  const got = await readToReset(net, client);
  // What its own kernel still had is lost with it, as without us.
  if (net.kind === 'sim') assert.ok(got >= sent - LOST, `${got} of ${sent}`);
  assert.ok(got > 0);
  assert.deepEqual([rig.records.last.status, rig.records.last.flags], [200, 'UC']);
  await rig.end();
});

/** A response that is no whole one, with so much of PATTERN, and how its backend goes. */
const BREAKS: Readonly<Record<string, readonly [flags: string, (peer: Peer, some: number) => Promise<void>]>> = {
  'an end before its length': [
    'UC',
    async (peer, some) => {
      await peer.send(LENGTH);
      await peer.send(PATTERN.subarray(0, some));
      peer.end();
    },
  ],
  'a chunk that is none': [
    'UPE',
    async (peer, some) => {
      await peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      await peer.send(`${some.toString(16)}\r\n`);
      await peer.send(Buffer.concat([PATTERN.subarray(0, some), Buffer.from('\r\nzz\r\n')]));
    },
  ],
};

for (const [name, [flags, breaks]] of Object.entries(BREAKS)) {
  onBoth(`all of a response arrives that came in front of ${name}`, async (net) => {
    // As much as waits on its way to a client that does not read.
    const some = net.kind === 'sim' ? 150_000 : 1_000_000;
    const app = net.serve(async (peer) => {
      await peer.readHead();
      await breaks(peer, some);
      await peer.readAll().catch(() => null);
      peer.close();
    });
    const rig = new Rig(net, [app]);
    const client = await rig.connect();
    await client.send('GET / HTTP/1.0\r\nHost: a.example\r\n\r\n');
    for (let i = 0; i < 20 && rig.records.all.length === 0; i++) await net.advance(10);
    assert.equal((await client.readHead()).status, 200);
    assert.equal(await readToReset(net, client), some);
    assert.deepEqual([rig.records.last.status, rig.records.last.flags], [200, flags]);
    await rig.end();
  });
}

onBoth('what a backend of a tunnel said before it was reset arrives, then the reset', async (net) => {
  const said = Promise.withResolvers<number>();
  const app = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send(SWITCHED);
    said.resolve(await breakOff(net, peer));
  });
  const rig = new Rig(net, [app]);
  const client = await rig.connect();
  await client.send(get('/', UPGRADE));
  assert.equal((await client.readHead()).status, 101);
  // Unread on the other side, too.
  await client.send('and what nobody reads');
  const sent = await said.promise;
  const got = await readToReset(net, client);
  if (net.kind === 'sim') assert.ok(got >= sent - LOST, `${got} of ${sent}`);
  assert.ok(got > 0);
  assert.deepEqual([rig.records.last.status, rig.records.last.end], [101, 'backend']);
  await rig.end();
});

onBoth('and what its client said, at the backend', async (net) => {
  const later = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<number>();
  const app = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send(`${SWITCHED}and what nobody reads`);
    await later.promise;
    heard.resolve(await readToReset(net, peer));
  });
  const rig = new Rig(net, [app]);
  const client = await rig.connect();
  await client.send(get('/', UPGRADE));
  assert.equal((await client.readHead()).status, 101);
  const sent = await breakOff(net, client);
  later.resolve();
  const got = await heard.promise;
  if (net.kind === 'sim') assert.ok(got >= sent - LOST, `${got} of ${sent}`);
  assert.ok(got > 0);
  assert.deepEqual([rig.records.last.status, rig.records.last.end], [101, 'client']);
  await rig.end();
});

simOnly(
  'who takes nothing of it is reset after a while, on either side',
  async (net) => {
    const app = net.serve(async (peer) => {
      const { target } = await peer.readHead();
      await peer.send(target === '/' ? LENGTH : SWITCHED);
      if (target !== '/client') await breakOff(net, peer);
      else await net.advance(LIMITS.LINGER_MS * 5);
    });
    const rig = new Rig(net, [app]);
    for (const path of ['/', '/backend', '/client']) {
      const client = await rig.connect();
      await client.send(get(path, path === '/' ? '' : UPGRADE));
      await client.readHead();
      if (path === '/client') await breakOff(net, client);
      // A client that reads nothing may do so while nobody else waits for it.
      else await net.advance(LIMITS.STREAM_IDLE_MS * 2);
      await net.advance(LIMITS.LINGER_MS * 4);
      if (path !== '/client') await assert.rejects(client.readAll(), { code: 'ECONNRESET' });
    }
    assert.deepEqual(
      rig.records.all.map(({ status, flags, end, limit }) => [status, flags, end, limit]),
      [
        [200, 'SI', 'idle', 'STREAM_IDLE_MS'],
        [101, 'SI', 'idle', 'STREAM_IDLE_MS'],
        [101, 'DC', 'client', 'LINGER_MS'],
      ],
    );
    assert.ok(rig.get(limitCell('LINGER_MS')) > 1);
    await rig.end();
  },
  // Without faults: whether a reset is met behind what came or in the middle of it is not what is asked here.
  { seeds: 0, sim: { sendBufferBytes: 4_096, receiveBufferBytes: 4_096 } },
);
