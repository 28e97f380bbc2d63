// What one client may take of what all share: of an endpoint's connections, of a turn, of the worker's patience.
// Whoever asks beside one that takes as much as it can is answered.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { HEAD_WORK } from '../../src/proxy/transport/shared.ts';
import { CELL, limitCell } from '../../src/telemetry/layout.ts';
import type { Field } from '../support/hpack.ts';
import { ask, windowUpdate as grant, Http2Client, head } from '../support/http2.ts';
import { serveHttp2 } from '../support/http2-backend.ts';
import { type Peer, plainly, type TestNet } from '../support/net.ts';
import { bodyText, cluster, endpoint, get, ok, Rig, rule } from './rig.ts';

const { onBoth, simOnly } = plainly('what is above TLS is the same');

const MOST = LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT;
const FEW = LIMITS.UPSTREAM_FEW_REQUESTS;
const NO_WINDOW = [[SETTING.INITIAL_WINDOW_SIZE, 0]] as const;
const LARGE = ok('x'.repeat(1_500_000));
const odd = (n: number): number => 2 * n + 1;

const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n';
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: echo\r\n';
const CONNECT: readonly Field[] = [[':method', 'CONNECT'], [':protocol', 'echo'], ...ask('/flood').slice(1)];

/** A tunnel: everything comes back; at /flood much comes first. */
async function tunnel(peer: Peer, target: string): Promise<void> {
  await peer.send(SWITCHED);
  if (target === '/flood') await peer.send('y'.repeat(1_500_000));
  for (let bytes = await peer.read(); bytes !== null; bytes = await peer.read()) await peer.send(bytes);
}

/**
 * A backend that keeps who asks for /held waiting, answers /large with much, /rest and /flood with tunnels, and
 * everybody else at once.
 */
function backend(net: TestNet): ReturnType<TestNet['serve']> {
  return net.serve(async (peer) => {
    for (;;) {
      const request = await peer.readMessage().catch(() => null);
      if (request === null) return;
      if (request.target === '/held') {
        await peer.read().catch(() => null);
        return;
      }
      if (request.target === '/rest' || request.target === '/flood') {
        await tunnel(peer, request.target).catch(() => {});
        return;
      }
      await peer.send(request.target === '/large' ? LARGE : ok('served')).catch(() => {});
    }
  });
}

/** `clients` connections with `streams` requests each. */
async function crowd(
  rig: Rig,
  clients: number,
  streams: number,
  path: string,
  method = 'GET',
): Promise<readonly Http2Client[]> {
  const all: Http2Client[] = [];
  for (let n = 0; n < clients; n++) {
    const client = await Http2Client.open(await rig.connect(), path === '/large' ? NO_WINDOW : []);
    await client.send(
      ...Array.from({ length: streams }, (_, i) => head(odd(i), ask(path, [], method), method === 'GET')),
    );
    all.push(client);
  }
  await rig.net.settle();
  return all;
}

function close(clients: readonly Http2Client[]): void {
  for (const client of clients) client.peer.close();
}

simOnly('clients with many requests at an endpoint leave connections for others', async (net) => {
  const rig = new Rig(net, [backend(net)]);
  const clients = await crowd(rig, MOST / LIMITS.HTTP2_STREAMS, LIMITS.HTTP2_STREAMS, '/held');
  const victim = await rig.connect();
  for (let n = 0; n < 20; n++) {
    await victim.send(get());
    assert.equal(bodyText(await victim.readMessage()), 'served');
  }
  const small = await Http2Client.open(await rig.connect());
  await small.send(...Array.from({ length: FEW }, (_, n) => head(odd(n), ask())));
  for (let n = 0; n < FEW; n++) assert.equal((await small.outcome(odd(n))).status, 200);
  assert.ok(rig.get(limitCell('UPSTREAM_RESERVED_PER_ENDPOINT')) > 0);
  close(clients);
  small.peer.close();
  victim.close();
  await rig.end();
});

simOnly('one client alone may have all its streams at one endpoint', async (net) => {
  const rig = new Rig(net, [backend(net)]);
  const clients = await crowd(rig, 4, LIMITS.HTTP2_STREAMS, '/held');
  const last = await crowd(rig, 1, LIMITS.HTTP2_STREAMS, '/large');
  const [client] = last;
  for (let n = 0; n < LIMITS.HTTP2_STREAMS; n++) {
    while (client?.interim(odd(n)) === undefined) await client?.read();
  }
  assert.equal(rig.get(limitCell('UPSTREAM_RESERVED_PER_ENDPOINT')), 0);
  close([...clients, ...last]);
  await rig.end();
});

simOnly('whose client takes nothing gives way when others wait, one for one', async (net) => {
  const rig = new Rig(net, [backend(net)]);
  const held = await crowd(rig, MOST / FEW - 1, FEW, '/held');
  const stalled = await crowd(rig, 1, FEW, '/large');
  const victim = await rig.connect();
  await victim.send(get());
  await net.advance(LIMITS.STALLED_MS - 1000);
  assert.equal(rig.get(limitCell('STALLED_MS')), 0);
  await net.advance(2000);
  assert.equal(bodyText(await victim.readMessage()), 'served');
  assert.equal(rig.get(limitCell('STALLED_MS')), 1);
  const lines = rig.records.all.filter(({ limit }) => limit === 'STALLED_MS');
  assert.deepEqual(
    lines.map(({ status, flags, end }) => [status, flags, end]),
    [[200, 'SI', 'limit']],
  );
  close([...held, ...stalled]);
  victim.close();
  await rig.end();
});

simOnly('so does whose content does not come, and is answered 408', async (net) => {
  const rig = new Rig(net, [backend(net)]);
  const held = await crowd(rig, MOST / FEW - 1, FEW, '/held');
  const stalled = await crowd(rig, 1, FEW, '/', 'POST');
  const victim = await rig.connect();
  await victim.send(get());
  await net.advance(LIMITS.STALLED_MS + 1000);
  assert.equal(bodyText(await victim.readMessage()), 'served');
  assert.deepEqual(
    rig.records.all.filter(({ limit }) => limit === 'STALLED_MS').map(({ status, flags }) => [status, flags]),
    [[408, 'DT']],
  );
  close([...held, ...stalled]);
  victim.close();
  await rig.end();
});

simOnly('nobody gives way while there is room, nor who moves, nor who waits for the backend', async (net) => {
  const rig = new Rig(net, [backend(net)]);
  const [slow] = await crowd(rig, 1, 1, '/large');
  await net.advance(LIMITS.STALLED_MS * 4);
  const held = await crowd(rig, MOST / FEW - 1, FEW, '/held');
  const rest = await crowd(rig, 1, FEW - 1, '/held');
  const victim = await rig.connect();
  for (let n = 0; n < 3; n++) {
    await (slow as Http2Client).send(grant(0, 2000), grant(1, 2000));
    await net.settle();
    if (n === 0) await victim.send(get());
    await net.advance(LIMITS.STALLED_MS - 2000);
  }
  assert.equal(rig.get(limitCell('STALLED_MS')), 0);
  close([slow as Http2Client, ...held, ...rest]);
  victim.close();
  await rig.end();
});

simOnly('whose client waits to be told to go on waits for the backend, and does not give way', async (net) => {
  const rig = new Rig(net, [backend(net)]);
  const held = await crowd(rig, MOST / FEW - 1, FEW, '/held');
  const asks = await Http2Client.open(await rig.connect());
  const expects = ask('/', [['expect', '100-continue']], 'POST');
  await asks.send(...Array.from({ length: FEW }, (_, n) => head(odd(n), expects, false)));
  await net.settle();
  const victim = await rig.connect();
  await victim.send(get());
  await net.advance(LIMITS.STALLED_MS + 1000);
  assert.equal(rig.get(limitCell('STALLED_MS')), 0);
  close([...held, asks]);
  victim.close();
  await rig.end();
});

/** A tunnel over HTTP/1.1, which has switched. */
async function switched(rig: Rig, target: string): Promise<Peer> {
  const client = await rig.connect();
  await client.send(get(target, UPGRADE));
  assert.equal((await client.readHead()).status, 101);
  return client;
}

simOnly('tunnels whose clients take nothing give way, of either protocol; those that rest do not', async (net) => {
  const rig = new Rig(net, [backend(net)]);
  const held = await crowd(rig, MOST / FEW - 1, FEW, '/held');
  const resting: Peer[] = [];
  for (let n = 0; n < FEW - 2; n++) resting.push(await switched(rig, '/rest'));
  const flooded = await switched(rig, '/flood');
  const stream = await Http2Client.open(await rig.connect(), NO_WINDOW);
  await stream.send(head(1, CONNECT, false));
  await net.settle();
  // The first keeps what it gets, so that there has to be more for the second.
  const victims = [await rig.connect(), await rig.connect()] as const;
  await victims[0].send(get('/held'));
  await net.settle();
  await victims[1].send(get());
  await net.advance(LIMITS.STALLED_MS - 1000);
  assert.equal(rig.get(limitCell('STALLED_MS')), 0);
  await net.advance(2000);
  assert.equal(bodyText(await victims[1].readMessage()), 'served');
  assert.deepEqual(
    rig.records.all
      .filter(({ limit }) => limit === 'STALLED_MS')
      .map(({ status, flags, end, upgrade }) => [status, flags, end, upgrade]),
    [0, 1].map(() => [101, 'SI', 'limit', 'echo']),
  );
  assert.equal((await stream.outcome(1)).reset, 'CANCEL');
  // What was there for it comes first, and then the reset.
  let cut = false;
  const reading = assert.rejects(flooded.readAll()).then(() => {
    cut = true;
  });
  while (!cut) await net.advance(20);
  await reading;
  // Whoever rests has not been touched, however long.
  await net.advance(LIMITS.STALLED_MS * 3);
  for (const peer of resting) {
    await peer.send('still here');
    assert.equal(Buffer.from(await peer.readExactly(10)).toString(), 'still here');
  }
  for (const peer of [...resting, ...victims, stream.peer]) peer.close();
  close(held);
  await rig.end();
});

simOnly('a tunnel whose client takes nothing and sends meanwhile is one that moves', async (net) => {
  const rig = new Rig(net, [backend(net)]);
  const held = await crowd(rig, MOST / FEW - 1, FEW, '/held');
  const rest = await crowd(rig, 1, FEW - 1, '/held');
  const client = await switched(rig, '/flood');
  const victim = await rig.connect();
  await victim.send(get());
  for (let n = 0; n < 2; n++) {
    await client.send('z'.repeat(2 * LIMITS.STALLED_BYTES));
    await net.advance(LIMITS.STALLED_MS - 1000);
  }
  assert.equal(rig.get(limitCell('STALLED_MS')), 0);
  client.close();
  victim.close();
  close([...held, ...rest]);
  await rig.end();
});

onBoth('clients that send all they can share a turn, however many they are', async (net) => {
  const CLIENTS = 14;
  const rig = new Rig(net, [backend(net)]);
  let before = 0;
  let most = 0;
  net.io.onTurn(() => {
    const begun = rig.get(CELL.REQUESTS_TOTAL);
    most = Math.max(most, begun - before);
    before = begun;
  });
  const clients = await crowd(rig, CLIENTS, 0, '/');
  const frames = Array.from({ length: LIMITS.HTTP2_STREAMS }, (_, n) => head(odd(n), ask()));
  const victim = await rig.connect();
  await Promise.all(clients.map((client) => client.send(...frames)));
  await victim.send(get());
  assert.equal(bodyText(await victim.readMessage()), 'served');
  for (const client of clients) {
    for (let n = 0; n < LIMITS.HTTP2_STREAMS; n++) assert.equal((await client.outcome(odd(n))).status, 200);
  }
  // Each has the least, and goes a request beyond it, once when it is read and once in the backlog.
  const bound = (LIMITS.WORK_OF_TURN + LIMITS.WORK_OF_BACKLOG) / HEAD_WORK + 4 * CLIENTS;
  assert.ok(most > 0 && most <= bound, `${most} requests in one turn`);
  close(clients);
  victim.close();
  await rig.end();
});

onBoth('clients that take nothing do not hold up others whose responses come by the same connection', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    await asked.head([[':status', '200']]);
    await asked.data('x'.repeat(asked.path === '/small' ? 10 : 300_000), true);
  });
  const rig = new Rig(net, [], [rule({ to: ['h2'] }), cluster('h2', [endpoint(app.address)], { protocol: 'http2' })]);
  const stalled = await crowd(rig, 3, 32, '/large');
  const victim = await Http2Client.open(await rig.connect());
  for (const [n, path] of ['/small', '/other', '/other'].entries()) {
    await victim.send(head(odd(n), ask(path)));
    const { status, body } = await victim.outcome(odd(n));
    assert.deepEqual([status, body.length], [200, path === '/small' ? 10 : 300_000]);
  }
  assert.equal(app.connections.length, 1);
  // Those take what waits for them, whenever they like.
  const [late] = stalled as [Http2Client];
  await late.send(grant(0, 1_000_000), grant(1, 400_000));
  assert.equal((await late.outcome(1)).body.length, 300_000);
  close(stalled);
  victim.peer.close();
  await rig.end();
});
