// Switching protocols (RFC 9110 section 7.8): a request's Upgrade goes on, a backend's 101 opens a tunnel of bytes.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { tunnelCell } from '../../src/telemetry/layout.ts';
import { nativeOnly, onBoth, type Peer, simOnly, type TestNet } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig, rule } from './rig.ts';

const UPGRADE =
  'Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

/** A backend that switches, says `hello` in the same segment, and returns every byte until the other side ends. */
function echoing(net: TestNet, seen: { head: string; ended: boolean }) {
  return net.serve(async (peer) => {
    seen.head = (await peer.readHead()).head;
    await peer.send(`${SWITCHED}hello`);
    for (;;) {
      const bytes = await peer.read().catch(() => null);
      if (bytes === null) break;
      await peer.send(bytes);
    }
    seen.ended = true;
    peer.end();
  });
}

async function opened(rig: Rig): Promise<Peer> {
  const client = await rig.connect();
  await client.send(get('/chat', UPGRADE));
  const head = await client.readHead();
  assert.equal(head.status, 101);
  assert.deepEqual(head.headers.get('upgrade'), ['websocket']);
  assert.deepEqual(head.headers.get('connection'), ['upgrade']);
  assert.deepEqual(head.headers.get('sec-websocket-accept'), ['s3pPLMBiTxaQ9kYGzzhZRbK+xOo=']);
  return client;
}

onBoth('a WebSocket goes through: bytes both ways, each side ends for itself', async (net) => {
  const seen = { head: '', ended: false };
  const rig = new Rig(net, [echoing(net, seen)]);
  const client = await opened(rig);
  assert.equal(Buffer.from(await client.readExactly(5)).toString(), 'hello');
  // A masked text frame (RFC 6455 section 5.7), then more than any buffer holds.
  const frame = Uint8Array.of(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58);
  await client.send(frame);
  assert.deepEqual(new Uint8Array(await client.readExactly(frame.length)), frame);
  const large = Buffer.alloc(1_000_000, 'GET /smuggled HTTP/1.1\\r\\n');
  const [back] = await Promise.all([client.readExactly(large.length), client.send(large)]);
  assert.ok(large.equals(back));
  assert.deepEqual([rig.get(tunnelCell('websocket')), rig.get(tunnelCell('other'))], [1, 0]);
  client.end();
  assert.equal(await client.read(), null);
  client.close();
  await rig.end();
  assert.deepEqual([rig.get(tunnelCell('websocket')), rig.get(tunnelCell('other'))], [0, 0]);
  assert.ok(seen.ended);
  assert.match(seen.head, /\r\nConnection: upgrade\r\nUpgrade: websocket\r\n/);
  assert.match(seen.head, /\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n/);
  assert.equal(rig.records.all.length, 1);
  const { status, flags, requestBytes, responseBytes, end, upgrade } = rig.records.last;
  assert.deepEqual([status, flags, end, upgrade], [101, '', 'client', 'websocket']);
  assert.deepEqual([requestBytes, responseBytes], [frame.length + 1_000_000, 5 + frame.length + 1_000_000]);
});

onBoth('the backend ends first, and the client still speaks', async (net) => {
  let heard = '';
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send(`${SWITCHED}bye`);
    peer.end();
    heard = Buffer.from(await peer.readAll()).toString();
  });
  const rig = new Rig(net, [backend]);
  const client = await opened(rig);
  assert.equal(Buffer.from(await client.readAll()).toString(), 'bye');
  await client.send('last words');
  client.end();
  await client.closed;
  await rig.end();
  assert.equal(heard, 'last words');
  assert.deepEqual([rig.records.last.status, rig.records.last.flags, rig.records.last.end], [101, '', 'backend']);
});

for (const who of ['client', 'backend'] as const) {
  onBoth(`a tunnel that its ${who} breaks off is broken off on the other side`, async (net) => {
    let broken = false;
    const backend = net.serve(async (peer) => {
      await peer.readHead();
      await peer.send(SWITCHED);
      await peer.send(await peer.readExactly(1));
      if (who === 'backend') {
        await peer.readExactly(1);
        peer.reset();
      } else {
        await peer.readAll().catch(() => (broken = true));
      }
    });
    const rig = new Rig(net, [backend]);
    const client = await opened(rig);
    await client.send('x');
    await client.readExactly(1);
    if (who === 'client') {
      client.reset();
    } else {
      await client.send('y');
      await assert.rejects(client.readAll());
    }
    await rig.end();
    if (who === 'client') assert.ok(broken);
    const { status, flags, end } = rig.records.last;
    assert.deepEqual([status, flags, end], [101, who === 'client' ? 'DC' : 'UC', who]);
  });
}

onBoth(
  'what stands behind a request for another protocol is a request when that is refused, and the tunnel’s when not',
  async (net) => {
    const refusing = answering(net, (r) => ok(r.target));
    const rig = new Rig(net, [refusing]);
    const client = await rig.connect();
    await client.send(get('/one', UPGRADE) + get('/two'));
    assert.equal(bodyText(await client.readMessage()), '/one');
    assert.equal(bodyText(await client.readMessage()), '/two');
    client.close();
    await rig.end();

    const seen = { head: '', ended: false };
    const other = new Rig(net, [echoing(net, seen)]);
    const tunnel = await other.connect();
    await tunnel.send(get('/one', UPGRADE) + get('/two'));
    assert.equal((await tunnel.readHead()).status, 101);
    assert.equal(Buffer.from(await tunnel.readExactly(5 + get('/two').length)).toString(), `hello${get('/two')}`);
    tunnel.close();
    await other.end();
    assert.equal(other.records.all.length, 1);
  },
);

simOnly('a tunnel lives for as long as anything moves, whatever the times of its rule, and no longer', async (net) => {
  const seen = { head: '', ended: false };
  const entries = [rule({ requestTimeoutMs: 1000, backendTimeoutMs: 1000 })];
  const rig = new Rig(net, [echoing(net, seen)], entries, { streamIdleMs: 60_000 });
  const client = await opened(rig);
  await client.readExactly(5);
  for (let i = 0; i < 4; i++) {
    await net.advance(50_000);
    await client.send('ping');
    await client.readExactly(4);
  }
  // Looked at four times as often: a quarter more at the most.
  for (let i = 0; i < 5; i++) await net.advance(15_000);
  await assert.rejects(client.readAll());
  await rig.end();
  const { status, flags, end, limit } = rig.records.last;
  assert.deepEqual([status, flags, end, limit], [101, 'SI', 'idle', 'STREAM_IDLE_MS']);
  assert.equal(LIMITS.STREAM_IDLE_MS, 300_000);
});

nativeOnly(
  'what comes in large pieces goes on within the kernel where both sides are plain, and is counted',
  async (net) => {
    const rig = new Rig(net, [echoing(net, { head: '', ended: false })]);
    const { io } = net;
    const splice = io.spliceIn.bind(io);
    let spliced = 0;
    io.spliceIn = (from, pipe, length) => {
      const n = splice(from, pipe, length);
      if (n > 0) spliced += n;
      return n;
    };
    const client = await opened(rig);
    await client.readExactly(5);
    const large = Buffer.alloc(8_000_000, 'abcdefg');
    const [back] = await Promise.all([client.readExactly(large.length), client.send(large)]);
    assert.ok(large.equals(back));
    client.end();
    assert.equal(await client.read(), null);
    client.close();
    await rig.end();
    assert.ok(spliced > large.length / 2, `${spliced} of ${2 * large.length} bytes`);
    assert.deepEqual([rig.records.last.requestBytes, rig.records.last.responseBytes], [8_000_000, 8_000_005]);
  },
);

onBoth(
  'a backend that has ended and takes no more keeps nobody: what comes is dropped until the client ends',
  async (net) => {
    const gone = Promise.withResolvers<void>();
    const app = net.serve(async (peer) => {
      await peer.readHead();
      await peer.send(`${SWITCHED}bye`);
      peer.end();
      await gone.promise;
      // As a program does that ends with something unread.
      peer.reset();
    });
    const rig = new Rig(net, [app]);
    const client = await rig.connect();
    await client.send(get('/chat', UPGRADE));
    await client.readHead();
    assert.equal(Buffer.from(await client.readAll()).toString(), 'bye');
    // More than the backend's socket and the proxy hold.
    const sent = client.send(Buffer.alloc(4_000_000));
    await net.settle();
    gone.resolve();
    await sent;
    client.end();
    await net.settle();
    while (rig.records.all.length === 0) await net.advance(10);
    assert.deepEqual([rig.records.last.status, rig.records.last.end, rig.records.last.flags], [101, 'backend', '']);
    client.close();
    await rig.end();
  },
);

onBoth('a client that has ended and is gone ends its tunnel, whatever the backend still says', async (net) => {
  const gone = Promise.withResolvers<void>();
  const app = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send(SWITCHED);
    assert.equal(await peer.read(), null);
    gone.resolve();
    await peer.send(Buffer.alloc(4_000_000));
  });
  const rig = new Rig(net, [app]);
  const client = await rig.connect();
  await client.send(get('/chat', UPGRADE));
  await client.readHead();
  client.end();
  await gone.promise;
  await net.settle();
  client.reset();
  await net.settle();
  while (rig.records.all.length === 0) await net.advance(10);
  assert.deepEqual([rig.records.last.status, rig.records.last.end, rig.records.last.flags], [101, 'client', 'DC']);
  await rig.end();
});
