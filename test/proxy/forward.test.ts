// Requests forwarded and answered: what reaches the backend, what reaches the client, what is logged.

import assert from 'node:assert/strict';
import { CELL } from '../../src/telemetry/layout.ts';
import { onBoth } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig, rule } from './rig.ts';

onBoth('a GET is forwarded and answered', async (net) => {
  const rig = new Rig(net, [answering(net, (r) => ok(`${r.method} ${r.target}`))]);
  const client = await rig.connect();
  await client.send(get('/a/b?c=d', 'User-Agent: t/1\r\n'));
  const answer = await client.readMessage();
  assert.equal(answer.status, 200);
  assert.equal(bodyText(answer), 'GET /a/b?c=d');
  client.close();
  await rig.end();
  const { last } = rig.records;
  assert.equal(rig.records.all.length, 1);
  assert.equal(last.method, 'GET');
  assert.equal(last.path, '/a/b');
  assert.equal(last.query, 'c=d');
  assert.equal(last.host, 'a.example');
  assert.equal(last.agent, 't/1');
  assert.equal(last.status, 200);
  assert.equal(last.flags, '');
  assert.equal(last.responseBytes, 12);
  assert.equal(last.listener, '"gateway":"default/gw","listener":"http"');
  assert.equal(last.route, '"route":"default/r","rule":"0"');
  assert.equal(last.backend, '"backend":"default/app:80"');
  assert.equal(rig.get(CELL.REQUESTS_TOTAL), 1);
  assert.equal(rig.get(CELL.REQUESTS_ACTIVE), 0);
  assert.equal(rig.get(CELL.CONNECTIONS), 0);
});

onBoth('connections are kept alive on both sides', async (net) => {
  let connections = 0;
  const backend = net.serve(async (peer) => {
    connections++;
    for (;;) {
      const request = await peer.readMessage().catch(() => null);
      if (request === null) return;
      await peer.send(ok(request.target));
    }
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  for (let i = 0; i < 5; i++) {
    await client.send(get(`/${i}`));
    assert.equal(bodyText(await client.readMessage()), `/${i}`);
  }
  client.close();
  await rig.end();
  assert.equal(connections, 1);
  assert.equal(rig.get(CELL.UPSTREAM_CONNECTS_TOTAL), 1);
  assert.equal(rig.get(CELL.UPSTREAM_REUSED_TOTAL), 4);
});

onBoth('pipelined requests are answered in order (RFC 9112 section 9.3.2)', async (net) => {
  const rig = new Rig(net, [answering(net, (r) => ok(r.target))]);
  const client = await rig.connect();
  const wanted = Array.from({ length: 40 }, (_, i) => `/${i}`);
  await client.send(wanted.map((target) => get(target)).join(''));
  for (const target of wanted) assert.equal(bodyText(await client.readMessage()), target);
  client.close();
  await rig.end();
  assert.equal(rig.records.all.length, 40);
});

onBoth('pipelined requests that are answered here are answered in order too, and none is forgotten', async (net) => {
  const rig = new Rig(net, [answering(net, (r) => ok(r.target))], [rule({ path: '/there' })]);
  const client = await rig.connect();
  const targets = Array.from({ length: 100 }, (_, i) => (i % 30 === 29 ? `/there/${i}` : `/${i}`));
  await client.send(targets.map((target) => get(target)).join(''));
  for (const target of targets) {
    const answer = await client.readMessage();
    if (answer.status === 200) assert.equal(bodyText(answer), target);
    else assert.equal(target.startsWith('/there'), false);
  }
  client.close();
  await rig.end();
  assert.equal(rig.records.all.length, 100);
  assert.deepEqual(
    rig.records.all.map((r) => r.path),
    targets,
  );
});

onBoth('OPTIONS of a whole server is sent to a whole server, too', async (net) => {
  const redirect = { scheme: 'https', hostname: null, port: null, path: null, status: 302 } as const;
  const rig = new Rig(net, [], [rule({ action: { type: 'redirect', redirect } })]);
  const client = await rig.connect();
  for (const target of ['*', 'http://a.example']) {
    await client.send(`OPTIONS ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    assert.deepEqual((await client.readMessage()).headers.get('location'), ['https://a.example/']);
  }
  client.close();
  await rig.end();
});
