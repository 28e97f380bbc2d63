// Resets keep their meaning from one side of the proxy to the other: docs/reference/http2.md's table, in each pairing.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { CODE, TYPE } from '../../src/proxy/http2/frames.ts';
import type { Field } from '../support/hpack.ts';
import { ask, data, frame, Http2Client, head, nameOfCode, word } from '../support/http2.ts';
import { serveHttp2 } from '../support/http2-backend.ts';
import { plainly } from '../support/net.ts';
import { cluster, endpoint, Rig, rule } from './rig.ts';

const { onBoth, simOnly } = plainly('over TLS clients agree on the protocol by ALPN');

const GRPC: readonly Field[] = [
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];
/** By what the backend says: status and gRPC's code before a head, the client's code behind one. */
const BY_CODE: readonly (readonly [number, number, string, string])[] = [
  [CODE.CANCEL, 502, '1', 'CANCEL'],
  [CODE.ENHANCE_YOUR_CALM, 503, '8', 'ENHANCE_YOUR_CALM'],
  [CODE.REFUSED_STREAM, 503, '14', 'INTERNAL_ERROR'],
  ...[
    CODE.NO_ERROR,
    CODE.PROTOCOL_ERROR,
    CODE.INTERNAL_ERROR,
    CODE.FLOW_CONTROL_ERROR,
    CODE.STREAM_CLOSED,
    CODE.CONNECT_ERROR,
    CODE.INADEQUATE_SECURITY,
    CODE.HTTP_1_1_REQUIRED,
    99,
  ].map((code) => [code, 502, '14', 'INTERNAL_ERROR'] as const),
];

onBoth(
  "a backend's reset is told a client of HTTP/2 by what it means, and never as one that may be repeated",
  async (net) => {
    const app = serveHttp2(net, async (asked) => {
      const code = Number(asked.path.slice(2));
      if (asked.path[1] === 'l') {
        await asked.head([[':status', '200']]);
        await asked.data('half');
        await asked.until(() => asked.content === 'go on');
      }
      await asked.refuse(code);
    });
    const rig = new Rig(net, [], [rule({ to: ['h2'] }), cluster('h2', [endpoint(app.address)], { protocol: 'http2' })]);
    const client = await Http2Client.open(await rig.connect());
    let id = 1;
    for (const [code, status, grpc, behind] of BY_CODE) {
      const name = nameOfCode(code);
      await client.send(head(id, ask(`/e${code}`, [], 'POST')), head(id + 2, ask(`/e${code}`, GRPC, 'POST')));
      const early = await client.outcome(id);
      assert.deepEqual([early.status, early.reset], [status, null], name);
      assert.equal((await client.outcome(id + 2)).fields.get('grpc-status'), grpc, name);
      await client.send(head(id + 4, ask(`/l${code}`, [], 'POST'), false));
      while (client.body(id + 4).length < 4) await client.read();
      await client.send(data(id + 4, 'go on'));
      const late = await client.outcome(id + 4);
      assert.deepEqual([late.status, late.body.toString(), late.reset], [200, 'half', behind], name);
      assert.equal(rig.records.last.flags, 'UC', name);
      id += 6;
    }
    assert.equal(app.connections.length, 1);
    client.peer.close();
    await rig.end();
  },
);

onBoth("a client's reset is CANCEL for a backend of HTTP/2, whatever its code, at each stage", async (net) => {
  const app = serveHttp2(net, async (asked) => {
    if (asked.path !== '/answering') return;
    await asked.head([[':status', '200']]);
    await asked.data('half');
  });
  const rig = new Rig(net, [], [rule({ to: ['h2'] }), cluster('h2', [endpoint(app.address)], { protocol: 'http2' })]);
  const client = await Http2Client.open(await rig.connect());
  let id = 1;
  for (const code of [CODE.CANCEL, CODE.NO_ERROR, CODE.INTERNAL_ERROR, CODE.PROTOCOL_ERROR]) {
    for (const path of ['/waiting', '/answering', '/sending']) {
      await client.send(head(id, ask(path, [], 'POST'), path !== '/sending'));
      while (app.requests.length < (id + 1) / 2) await net.settle();
      if (path === '/answering') while (client.body(id).length < 4) await client.read();
      await client.send(frame(TYPE.RST_STREAM, 0, id, word(code)));
      const asked = app.requests.at(-1);
      await asked?.until(() => asked.reset !== null);
      assert.equal(asked?.reset, 'CANCEL', `${nameOfCode(code)} ${path}`);
      assert.deepEqual([rig.records.last.flags, rig.records.last.end], ['DC', 'client']);
      id += 2;
    }
  }
  assert.equal(app.connections.length, 1);
  client.peer.close();
  await rig.end();
});

simOnly('a time that is over is CANCEL for both sides once a response has begun', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    await asked.head([[':status', '200']]);
    await asked.data('half');
  });
  const entries = [
    rule({ name: 'timed', path: '/timed', to: ['h2'], requestTimeoutMs: 500 }),
    rule({ name: 'rest', to: ['h2'] }),
    cluster('h2', [endpoint(app.address)], { protocol: 'http2' }),
  ];
  const rig = new Rig(net, [], entries);
  const client = await Http2Client.open(await rig.connect());
  const cases: readonly (readonly [string, readonly Field[], number, string])[] = [
    ['/timed', [], 600, 'UT'],
    ['/call', [...GRPC, ['grpc-timeout', '300m']], LIMITS.GRPC_DEADLINE_GRACE_MS + 400, 'UT'],
    ['/idle', [], LIMITS.STREAM_IDLE_MS + 1000, 'SI'],
  ];
  for (const [i, [path, fields, ms, flags]] of cases.entries()) {
    const id = 2 * i + 1;
    await client.send(head(id, ask(path, fields, 'POST')));
    while (client.body(id).length < 4) await client.read();
    const over = client.outcome(id);
    for (let at = 0; at < ms; at += 1000) await net.advance(Math.min(1000, ms - at));
    assert.equal((await over).reset, 'CANCEL', path);
    const asked = app.requests[i];
    await asked?.until(() => asked.reset !== null);
    assert.equal(asked?.reset, 'CANCEL', path);
    assert.equal(rig.records.last.flags, flags, path);
  }
  client.peer.close();
  await rig.end();
});

onBoth('a tunnel whose backend is reset is CANCEL for its stream', async (net) => {
  const reset = Promise.withResolvers<void>();
  const app = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\nhi');
    await reset.promise;
    peer.reset();
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  const fields: readonly Field[] = [
    [':method', 'CONNECT'],
    [':protocol', 'chat'],
    [':scheme', 'http'],
    [':authority', 'a.example'],
    [':path', '/'],
  ];
  await client.send(head(1, fields, false));
  while (client.body(1).length < 2) await client.read();
  reset.resolve();
  assert.equal((await client.outcome(1)).reset, 'CANCEL');
  assert.deepEqual([rig.records.last.flags, rig.records.last.end], ['UC', 'backend']);
  client.peer.close();
  await rig.end();
});
