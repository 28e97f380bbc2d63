// Interim responses (RFC 9110 section 15.2) and Expect: 100-continue (section 10.1.1).

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { onBoth } from '../support/net.ts';
import { bodyText, get, ok, Rig } from './rig.ts';

onBoth('100-continue goes end to end', async (net) => {
  const backend = net.serve(async (peer) => {
    const head = await peer.readHead();
    assert.deepEqual(head.headers.get('expect'), ['100-continue']);
    await peer.send('HTTP/1.1 100 Continue\r\n\r\n');
    assert.equal(Buffer.from(await peer.readExactly(4)).toString(), 'body');
    await peer.send(ok('done'));
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n');
  assert.equal((await client.readMessage()).status, 100);
  await client.send('body');
  assert.equal(bodyText(await client.readMessage()), 'done');
  client.close();
  await rig.end();
  assert.equal(rig.records.all.length, 1);
  assert.equal(rig.records.last.status, 200);
});

onBoth('a final answer instead of 100 reaches the client, and the connection ends with it', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno');
    await peer.read().catch(() => null);
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n');
  const answer = await client.readMessage();
  assert.equal(answer.status, 417);
  assert.deepEqual(answer.headers.get('connection'), ['close']);
  assert.equal(await client.read(), null);
  client.close();
  await rig.end();
});

onBoth('103 is relayed with its fields; HTTP/1.0 clients get no interim response', async (net) => {
  const backend = net.serve(async (peer) => {
    for (;;) {
      if ((await peer.readMessage().catch(() => null)) === null) return;
      await peer.send('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n');
      await peer.send(ok('late'));
    }
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get());
  const hints = await client.readMessage();
  assert.equal(hints.status, 103);
  assert.deepEqual(hints.headers.get('link'), ['</a.css>']);
  assert.equal(hints.headers.get('x-hop'), undefined);
  assert.equal(bodyText(await client.readMessage()), 'late');
  client.close();
  const old = await rig.connect();
  await old.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
  assert.equal((await old.readMessage()).status, 200);
  await rig.end();
});

onBoth('interim responses without end are refused', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send('HTTP/1.1 102 Processing\r\n\r\n'.repeat(LIMITS.INTERIM_RESPONSES + 1));
    await peer.read().catch(() => null);
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get());
  let answer = await client.readMessage();
  while (answer.status < 200) answer = await client.readMessage();
  assert.equal(answer.status, 502);
  client.close();
  await rig.end();
  assert.equal(rig.records.last.flags, 'UPE');
});

onBoth('a 101 that was not asked for is refused (RFC 9110 section 15.2.2)', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n');
    await peer.read().catch(() => null);
  });
  const rig = new Rig(net, [backend]);
  // None asks for it: not without Connection, not with HTTP/1.0, not with content, not for h2c, not twice.
  for (const request of [
    get(),
    get('/', 'Upgrade: x\r\n'),
    'GET / HTTP/1.0\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\ny',
    get('/', 'Connection: upgrade, HTTP2-Settings\r\nUpgrade: x, h2c\r\nHTTP2-Settings: AAMAAABk\r\n'),
    get('/', 'Connection: upgrade\r\nUpgrade: x\r\nUpgrade: y\r\n'),
  ]) {
    const client = await rig.connect();
    await client.send(request);
    assert.equal((await client.readMessage()).status, 502, request);
    client.close();
  }
  await rig.end();
});
