// HTTP/2 from clients: requests, responses, content both ways, through the engine to HTTP/1 backends.

import assert from 'node:assert/strict';
import { FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { ask, data, frame, Http2Client, head, PREFACE, settings, word } from '../support/http2.ts';
import { serveHttp2 } from '../support/http2-backend.ts';
import { plainly } from '../support/net.ts';
import { answering, bodyText, cluster, endpoint, ok, Rig, rule } from './rig.ts';

const { onBoth } = plainly('over TLS the protocol is agreed on by ALPN: http2-clients.test.ts');

onBoth('a request and its response, by prior knowledge', async (net) => {
  const seen: string[] = [];
  const app = answering(net, ({ head: request }) => {
    seen.push(request);
    return ok('hello', 'X-From: app\r\nDate: Thu, 26 Nov 2026 10:00:00 GMT\r\n');
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(
    head(
      1,
      ask('/a?b=c', [
        ['accept', '*/*'],
        ['cookie', 'a=1'],
        ['cookie', 'b=2'],
      ]),
    ),
  );
  const { status, fields, body, reset } = await client.outcome(1);
  assert.deepEqual([status, body.toString(), reset], [200, 'hello', null]);
  assert.deepEqual(
    [...fields],
    [
      [':status', '200'],
      ['content-length', '5'],
      ['x-from', 'app'],
      ['date', 'Thu, 26 Nov 2026 10:00:00 GMT'],
    ],
  );
  assert.match(
    seen[0] as string,
    /^GET \/a\?b=c HTTP\/1\.1\r\nHost: a\.example\r\naccept: \*\/\*\r\ncookie: a=1; b=2\r\nX-Forwarded-For: /,
  );
  const { last } = rig.records;
  assert.deepEqual([last.method, last.path, last.status, last.responseBytes, last.flags], ['GET', '/a', 200, 5, '']);
  client.peer.close();
  await rig.end();
});

onBoth('content of requests, whole and in pieces, with and without a length, and trailers', async (net) => {
  const app = answering(net, (request) => ok(`${request.method} ${bodyText(request)}`));
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(
    head(1, ask('/', [['content-length', '3']], 'POST'), false),
    data(1, 'abc', true),
    head(3, ask('/', [], 'POST'), false),
    data(3, 'de'),
    data(3, ''),
    data(3, 'f'),
    head(3, [['x-trailer', '1']]),
    head(5, ask('/', [['content-length', '0']], 'PUT'), false),
    data(5, '', true),
    frame(TYPE.HEADERS, FLAG.END_HEADERS, 7, head(7, ask('/', [], 'POST')).subarray(9)),
    frame(TYPE.DATA, FLAG.END_STREAM | FLAG.PADDED, 7, '\x03ghi\0\0\0'),
  );
  const bodies: string[] = [];
  for (const id of [1, 3, 5, 7]) bodies.push((await client.outcome(id)).body.toString());
  assert.deepEqual(bodies, ['POST abc', 'POST def', 'PUT ', 'POST ghi']);
  client.peer.close();
  await rig.end();
});

onBoth('a large response waits for both windows, and so does its backend', async (net) => {
  const big = Buffer.alloc(600_000, 'x');
  for (let i = 0; i < big.length; i += 1000) big.writeUInt32BE(i, i);
  const app = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n`);
    await peer.send(big);
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  client.grants = false;
  await client.send(head(1, ask()));
  while (client.body(1).length < 65_535) await client.read();
  await net.settle();
  // Nothing more comes: a PING is answered next.
  await client.send(frame(TYPE.PING, 0, 0, '12345678'));
  assert.equal((await client.read()).type, TYPE.PING);
  await client.send(frame(TYPE.WINDOW_UPDATE, 0, 0, word(1_000_000)));
  await client.send(frame(TYPE.PING, 0, 0, '12345678'));
  assert.equal((await client.read()).type, TYPE.PING);
  await client.send(frame(TYPE.WINDOW_UPDATE, 0, 1, word(1_000_000)));
  const { body, status } = await client.outcome(1);
  assert.equal(status, 200);
  assert.ok(body.equals(big));
  client.peer.close();
  await rig.end();
});

onBoth('a large upload is granted as the backend takes it', async (net) => {
  const big = Buffer.alloc(700_000, 'y');
  const app = answering(net, (request) => ok(String(request.body.length)));
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  let window = 65_535;
  let streamWindow = client.settings.get(4) as number;
  for (const one of client.control) if (one.type === TYPE.WINDOW_UPDATE) window += one.payload.readUInt32BE();
  await client.send(head(1, ask('/', [['content-length', String(big.length)]], 'POST'), false));
  for (let at = 0; at < big.length; ) {
    const n = Math.min(16_384, window, streamWindow, big.length - at);
    if (n === 0) {
      const one = await client.until(TYPE.WINDOW_UPDATE);
      if (one.stream === 0) window += one.payload.readUInt32BE();
      else streamWindow += one.payload.readUInt32BE();
      continue;
    }
    at += n;
    window -= n;
    streamWindow -= n;
    await client.send(data(1, big.subarray(at - n, at), at === big.length));
  }
  assert.equal((await client.outcome(1)).body.toString(), '700000');
  client.peer.close();
  await rig.end();
});

onBoth('many at once, each its own; one that is reset is nobody else’s matter', async (net) => {
  const app = answering(net, ({ target }) => ok(target));
  const rig = new Rig(net, [app, answering(net, ({ target }) => ok(target))]);
  const client = await Http2Client.open(await rig.connect());
  const ids = Array.from({ length: 60 }, (_, i) => 2 * i + 1);
  await client.send(...ids.map((id) => head(id, ask(`/${id}`))), frame(TYPE.RST_STREAM, 0, 41, word(8)));
  for (const id of ids) {
    if (id === 41) continue;
    assert.equal((await client.outcome(id)).body.toString(), `/${id}`);
  }
  client.peer.close();
  await rig.end();
  assert.equal(rig.records.all.length, 60);
  assert.equal(rig.records.all.filter(({ flags }) => flags === 'DC').length, 1);
});

onBoth('more requests behind the preface than one turn has room for are all read', async (net) => {
  const app = answering(net, ({ target }) => ok(target));
  const rig = new Rig(net, [app, answering(net, ({ target }) => ok(target))]);
  const peer = await rig.connect();
  const ids = Array.from({ length: 50 }, (_, i) => 2 * i + 1);
  await peer.send(Buffer.concat([Buffer.from(PREFACE), settings(), ...ids.map((id) => head(id, ask(`/${id}`)))]));
  const client = new Http2Client(peer);
  for (const id of ids) assert.equal((await client.outcome(id)).body.toString(), `/${id}`);
  client.peer.close();
  await rig.end();
});

onBoth('a preface behind a request is no preface', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('1'))]);
  const peer = await rig.connect();
  await peer.send(`GET / HTTP/1.1\r\nHost: a.example\r\n\r\n${PREFACE}`);
  assert.equal((await peer.readMessage()).status, 200);
  assert.equal((await peer.readMessage()).status, 505);
  assert.equal((await peer.readAll()).length, 0);
  await rig.end();
});

onBoth('a request without content says so in HTTP/1.1, where its method means some', async (net) => {
  const seen: string[] = [];
  const app = answering(net, ({ head: request }) => {
    seen.push(...(request.match(/^content-length: .*$/gim) ?? ['nothing']));
    return ok('');
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  let id = 1;
  for (const method of ['POST', 'PUT', 'PATCH', 'GET', 'HEAD', 'DELETE', 'OPTIONS']) {
    await client.send(head(id, ask('/', [], method)));
    assert.equal((await client.outcome(id)).status, 200);
    id += 2;
  }
  await client.send(head(id, ask('/', [['content-length', '0']], 'POST')));
  assert.equal((await client.outcome(id)).status, 200);
  client.peer.close();
  await rig.end();
  const zero = 'Content-Length: 0';
  assert.deepEqual(seen, [zero, zero, zero, 'nothing', 'nothing', 'nothing', 'nothing', 'content-length: 0']);
});

onBoth('each size of a header table that a client says counts, also the smaller one of two at once', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok(''))]);
  const client = await Http2Client.open(await rig.connect());
  const first = async (id: number): Promise<number> => {
    await client.send(head(id, ask()));
    const { payload } = await client.until(TYPE.HEADERS);
    await client.outcome(id);
    return payload[0] ?? 0;
  };
  assert.equal(await first(1), 0x88);
  await client.send(
    settings([
      [SETTING.HEADER_TABLE_SIZE, 0],
      [SETTING.HEADER_TABLE_SIZE, 4096],
    ]),
  );
  // RFC 7541 section 4.2: the smallest, then the last.
  assert.equal(await first(3), 0x20);
  assert.equal(await first(5), 0x88);
  client.peer.close();
  await rig.end();
});

onBoth('a field of a connection behind content makes a message malformed, as one in front does', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    await asked.end();
    await asked.head([[':status', '200']]);
    await asked.head([[asked.path.slice(3), 'x']], true);
  });
  const entries = [
    rule({ to: ['h2'], path: '/2', name: 'two' }),
    rule({}),
    cluster('h2', [endpoint(app.address)], { protocol: 'http2' }),
  ];
  const old = net.serve(async (peer) => {
    await peer.readUntil('abc');
    await assert.rejects(peer.readUntil('0\r\n\r\n'));
  });
  const rig = new Rig(net, [old], entries);
  const client = await Http2Client.open(await rig.connect());
  let id = 1;
  for (const name of ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']) {
    await client.send(head(id, ask(`/2/${name}`)));
    assert.equal((await client.outcome(id)).reset, 'INTERNAL_ERROR', name);
    assert.equal(rig.records.last.flags, 'UPE', name);
    await client.send(head(id + 2, ask('/', [], 'POST'), false), data(id + 2, 'abc'));
    await net.settle();
    await client.send(head(id + 2, [[name, 'x']]));
    assert.equal((await client.outcome(id + 2)).reset, 'PROTOCOL_ERROR', name);
    id += 4;
  }
  await client.send(head(id, ask('/2/x-other')));
  assert.equal((await client.outcome(id)).trailers?.get('x-other'), 'x');
  client.peer.close();
  await rig.end();
});
