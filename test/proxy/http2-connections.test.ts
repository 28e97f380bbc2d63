// Connections of HTTP/2 to backends: how many, what becomes of them, and of the requests on them when they end.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { Entry } from '../../src/ir/ir.ts';
import { BACKEND_ERROR } from '../../src/proxy/counts.ts';
import { Http2Connector } from '../../src/proxy/http2/client.ts';
import { CODE, MOST } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { CELL, ENDPOINT, limitCell, OTHER_ENDPOINT_BLOCK } from '../../src/telemetry/layout.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import { type Http2Backend, serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { bodyText, cluster, endpoint, endpointsKey, get, Rig, rule } from './rig.ts';

const { onBoth, simOnly } = plainly('over TLS clients agree on the protocol by ALPN');
type Addresses = Parameters<typeof endpoint>[0];

function entries(addresses: readonly Addresses[]): (Entry | readonly Entry[])[] {
  const endpoints = addresses.map((address) => endpoint(address));
  return [rule({ to: ['h2'] }), cluster('h2', endpoints, { protocol: 'http2' })];
}

function proxy(net: TestNet, ...backends: readonly Http2Backend[]): Rig {
  return new Rig(net, [], entries(backends.map(({ address }) => address)));
}

async function text(rig: Rig, request: string): Promise<string> {
  const client = await rig.connect();
  await client.send(request);
  const message = await client.readMessage();
  client.close();
  return `${message.head.slice(9, 12)} ${bodyText(message)}`;
}
const post = (target = '/'): string => `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx`;

onBoth('many requests at once share one connection', async (net) => {
  const all = Promise.withResolvers<void>();
  const app = serveHttp2(net, async (asked) => {
    if (app.requests.length === 100) all.resolve();
    await all.promise;
    await asked.respond(asked.path);
  });
  const rig = proxy(net, app);
  const client = await Http2Client.open(await rig.connect());
  for (let id = 1; id < 200; id += 2) await client.send(head(id, ask(`/${id}`)));
  for (let id = 1; id < 200; id += 2) assert.equal((await client.outcome(id)).body.toString(), `/${id}`);
  assert.equal(app.connections.length, 1);
  assert.equal(rig.get(CELL.UPSTREAM_CONNECTIONS), 1);
  client.peer.close();
  await rig.end();
});

onBoth('a backend that allows few streams gets no more on a connection, and more connections', async (net) => {
  let most = 0;
  const all = Promise.withResolvers<void>();
  const app = serveHttp2(
    net,
    async (asked) => {
      const busy = [...asked.connection.streams.values()].filter((one) => one.fields.get('x-over') === undefined);
      most = Math.max(most, busy.length - done.filter((one) => one === asked.connection).length);
      if (app.requests.length === 10) all.resolve();
      await all.promise;
      done.push(asked.connection);
      await asked.respond('ok');
    },
    { settings: [[SETTING.MAX_CONCURRENT_STREAMS, 2]] },
  );
  const done: unknown[] = [];
  const rig = proxy(net, app);
  const client = await Http2Client.open(await rig.connect());
  for (let id = 1; id < 20; id += 2) await client.send(head(id, ask()));
  for (let id = 1; id < 20; id += 2) assert.equal((await client.outcome(id)).status, 200);
  assert.equal(most, 2);
  assert.equal(app.connections.length, 5);
  client.peer.close();
  await rig.end();
});

onBoth(
  'what a backend that leaves did not begin is asked again, whatever it is; the rest is finished there',
  async (net) => {
    const app = serveHttp2(net, async (asked) => {
      const { connection } = asked;
      if (app.connections.length > 1) await asked.respond(`second ${asked.path}`);
      else if (asked.id === 3) {
        await asked.end();
        await connection.goAway(1);
        await connection.streams.get(1)?.respond('first');
      }
    });
    const rig = proxy(net, app);
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, ask('/1')));
    while (app.requests.length === 0) await net.settle();
    await client.send(head(3, ask('/3', [], 'POST'), false), data(3, 'x', true));
    const outcomes = [await client.outcome(1), await client.outcome(3)];
    assert.deepEqual(
      outcomes.map(({ status, body }) => [status, body.toString()]),
      [
        [200, 'first'],
        [200, 'second /3'],
      ],
    );
    // The connection that it left ends when nothing is under way on it.
    while (app.connections[0]?.over !== true) await net.settle();
    assert.equal(rig.records.all.find(({ path }) => path === '/3')?.attempts, 2);
    // It left in order, and nobody lost anything.
    assert.equal(rig.get(OTHER_ENDPOINT_BLOCK + ENDPOINT.ERRORS + BACKEND_ERROR.reset), 0);
    client.peer.close();
    await rig.end();
  },
);

onBoth('a connection is replaced before its numbers run out, while requests go on', async (net) => {
  // Each begins with the last two of them (RFC 9113 section 5.1.1).
  const { connect } = Http2Connector.prototype;
  Http2Connector.prototype.connect = function (...args) {
    return Object.assign(connect.apply(this, args), { nextId: MOST - 4 });
  };
  try {
    const app = serveHttp2(net, (asked) => asked.respond(asked.path));
    const rig = proxy(net, app);
    const client = await Http2Client.open(await rig.connect());
    for (let id = 1; id < 16; id += 2) {
      await client.send(head(id, ask(`/${id}`, [], 'POST')));
      // Some wait for the one before, some do not.
      if (id % 4 === 1) assert.equal((await client.outcome(id)).status, 200);
    }
    for (let id = 1; id < 16; id += 2) assert.equal((await client.outcome(id)).body.toString(), `/${id}`);
    await net.settle();
    assert.deepEqual(
      app.connections.map(({ streams, goaway }) => [...streams.keys(), goaway]),
      app.connections.map(() => [MOST - 4, MOST - 2, 'NO_ERROR']),
    );
    assert.equal(app.connections.length, 4);
    client.peer.close();
    await rig.end();
  } finally {
    Http2Connector.prototype.connect = connect;
  }
});

onBoth('a refused stream goes to another endpoint', async (net) => {
  const refusing = serveHttp2(net, (asked) => asked.refuse(CODE.REFUSED_STREAM));
  const app = serveHttp2(net, (asked) => asked.respond('ok'));
  const rig = proxy(net, refusing, app);
  for (let i = 0; i < 4; i++) assert.equal(await text(rig, post()), '200 ok');
  assert.equal(app.requests.length, 4);
  assert.ok(refusing.requests.length > 0);
  await rig.end();
});

onBoth('an endpoint that refuses everything is not asked without end', async (net) => {
  const app = serveHttp2(net, (asked) => asked.refuse(CODE.REFUSED_STREAM));
  const rig = proxy(net, app);
  assert.match(await text(rig, post()), /^503 upstream refused the request/);
  assert.equal(app.requests.length, LIMITS.UPSTREAM_ATTEMPTS);
  assert.equal(rig.records.last.flags, 'UC');
  await rig.end();
});

onBoth('a connection that is lost takes with it what may not be repeated, and nothing else', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    if (asked.path === '/first' || app.connections.length > 1) await asked.respond('ok');
    else if (asked.connection.streams.size === 3) asked.connection.peer.reset();
  });
  const rig = proxy(net, app);
  assert.equal(await text(rig, get('/first')), '200 ok');
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, ask('/get')));
  while (app.requests.length < 2) await net.settle();
  await client.send(head(3, ask('/post', [], 'POST')));
  assert.deepEqual([(await client.outcome(1)).status, (await client.outcome(3)).status], [200, 502]);
  client.peer.close();
  await rig.end();
});

onBoth('one that speaks something else than HTTP/2 is no backend', async (net) => {
  const address = net.serve(async (peer) => {
    await peer.send('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    peer.end();
  });
  const rig = new Rig(net, [], entries([address]));
  assert.match(await text(rig, get()), /^503 upstream connect failed/);
  assert.equal(rig.records.last.flags, 'UF');
  await rig.end();
});

simOnly('one that accepts and says nothing is given as long as a connection takes', async (net) => {
  const app = serveHttp2(net, () => {}, { settings: null });
  const rig = proxy(net, app);
  const client = await rig.connect();
  await client.send(get());
  await net.advance(LIMITS.UPSTREAM_CONNECT_MS * LIMITS.UPSTREAM_ATTEMPTS + 1000);
  assert.match((await client.readMessage()).head, /^HTTP\/1\.1 503 /);
  assert.equal(rig.get(limitCell('UPSTREAM_PENDING_MS')) + rig.get(limitCell('UPSTREAM_CONNECT_MS')) > 0, true);
  client.close();
  await rig.end();
});

simOnly('a backend that has died without a word is found out by a PING; one that lives is left alone', async (net) => {
  const app = serveHttp2(
    net,
    () => {},
    (connection) => ({ answers: connection === 0 }),
  );
  const rig = proxy(net, app);
  const patient = await rig.connect();
  await patient.send(get('/slow'));
  await net.advance(3 * (LIMITS.UPSTREAM_PING_QUIET_MS + LIMITS.UPSTREAM_PING_MS));
  assert.equal(app.connections[0]?.pings, 1);
  assert.equal(rig.records.all.length, 0);
  patient.reset();
  await net.settle();
  await app.connections[0]?.goAway(1);
  await net.settle();
  const client = await rig.connect();
  await client.send(get('/dead'));
  await net.advance(LIMITS.UPSTREAM_PING_QUIET_MS + LIMITS.UPSTREAM_PING_MS + 1000);
  assert.match((await client.readMessage()).head, /^HTTP\/1\.1 502 /);
  assert.equal(rig.get(limitCell('UPSTREAM_PING_MS')), 1);
  client.close();
  await rig.end();
});

simOnly('an idle connection is closed in order after a while', async (net) => {
  const app = serveHttp2(net, (asked) => asked.respond('ok'));
  const rig = proxy(net, app);
  assert.equal(await text(rig, get()), '200 ok');
  await net.advance(LIMITS.UPSTREAM_IDLE_MS - LIMITS.UPSTREAM_PING_QUIET_MS);
  assert.equal(app.connections[0]?.over, false);
  await net.advance(LIMITS.UPSTREAM_PING_QUIET_MS + 1000);
  assert.deepEqual([app.connections[0]?.over, app.connections[0]?.goaway], [true, 'NO_ERROR']);
  await rig.end();
});

onBoth('an endpoint that leaves the configuration finishes what it has, and gets no more', async (net) => {
  const go = Promise.withResolvers<void>();
  const old = serveHttp2(net, async (asked) => {
    await go.promise;
    await asked.respond('old');
  });
  const app = serveHttp2(net, (asked) => asked.respond('new'));
  const rig = proxy(net, old);
  const client = await rig.connect();
  await client.send(get());
  while (old.requests.length === 0) await net.settle();
  rig.apply({
    upserts: [{ kind: 'endpoints', key: endpointsKey('h2'), endpoints: [endpoint(app.address)] }],
    removals: [],
  });
  assert.equal(await text(rig, get()), '200 new');
  go.resolve();
  assert.equal(bodyText(await client.readMessage()), 'old');
  while (old.connections[0]?.over !== true) await net.settle();
  assert.equal(old.requests.length, 1);
  client.close();
  await rig.end();
});
