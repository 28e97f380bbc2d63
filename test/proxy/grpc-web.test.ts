// gRPC-Web (PROTOCOL-WEB of gRPC) to backends of gRPC: binary and text, from HTTP/1.1 and HTTP/2.

import assert from 'node:assert/strict';
import type { Filter } from '../../src/ir/ir.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import { type Asked, serveHttp2 } from '../support/http2-backend.ts';
import { onBoth, plainly, type TestNet } from '../support/net.ts';
import { cluster, endpoint, Rig, rule } from './rig.ts';

const { onBoth: onBothPlainly } = plainly('over TLS clients agree on the protocol by ALPN');

const TYPE = 'application/grpc-web';
const CORS: Filter = {
  type: 'cors',
  cors: {
    origins: ['https://shop.example'],
    credentials: false,
    methods: ['POST'],
    headers: ['content-type', 'x-grpc-web'],
    exposedHeaders: ['grpc-status', 'grpc-message'],
    maxAgeS: 60,
  },
};

function message(text: string, flags = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(text.length, 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
}

const END = message('grpc-status: 0\r\ngrpc-message: fine\r\n', 0x80);

function proxy(net: TestNet, onCall: (asked: Asked) => Promise<void> | void, filters: readonly Filter[] = []): Rig {
  const app = serveHttp2(net, onCall);
  const entry = rule({ to: ['grpc'], filters: [{ type: 'grpcWeb' }, ...filters] });
  return new Rig(net, [], [entry, cluster('grpc', [endpoint(app.address)], { protocol: 'http2' })]);
}

/** Answers with what came, and that it is well. */
async function echo(asked: Asked): Promise<void> {
  await asked.head([
    [':status', '200'],
    ['content-type', 'application/grpc+proto'],
  ]);
  await asked.end();
  await asked.data(Buffer.concat(asked.body));
  await asked.head(
    [
      ['grpc-status', '0'],
      ['grpc-message', 'fine'],
    ],
    true,
  );
}

function post(body: Buffer, type: string, more = ''): Buffer {
  const lines = `POST /pkg.Echo/Unary HTTP/1.1\r\nHost: a.example\r\nContent-Type: ${type}\r\n${more}`;
  return Buffer.concat([Buffer.from(`${lines}Content-Length: ${body.length}\r\n\r\n`), body]);
}

onBoth('binary over HTTP/1.1: a call to the backend, the trailers as a message to the client', async (net) => {
  const seen: Asked[] = [];
  const rig = proxy(net, (asked) => {
    seen.push(asked);
    return echo(asked);
  });
  const client = await rig.connect();
  for (const text of ['one', 'two']) {
    await client.send(post(message(text), `${TYPE}+proto`, 'X-Grpc-Web: 1\r\n'));
    const answer = await client.readMessage();
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.headers.get('content-type'), ['application/grpc-web+proto']);
    assert.deepEqual(Buffer.from(answer.body), Buffer.concat([message(text), END]));
  }
  assert.deepEqual(
    ['content-type', 'te', 'content-length'].map((name) => seen[0]?.fields.get(name)),
    ['application/grpc+proto', 'trailers', '8'],
  );
  client.close();
  await rig.end();
  assert.deepEqual(
    rig.records.all.map(({ grpcStatus }) => grpcStatus),
    [0, 0],
  );
});

onBoth('rules of a GRPCRoute translate it without being told', async (net) => {
  const app = serveHttp2(net, echo);
  const entry = { ...rule({ to: ['grpc'] }), routeKind: 'GRPCRoute' as const };
  const rig = new Rig(net, [], [entry, cluster('grpc', [endpoint(app.address)], { protocol: 'http2' })]);
  const client = await rig.connect();
  await client.send(post(message('one'), TYPE));
  assert.deepEqual(Buffer.from((await client.readMessage()).body), Buffer.concat([message('one'), END]));
  client.close();
  await rig.end();
});

/** Base64 that may be several texts, each padded. */
function decoded(text: string): Buffer {
  return Buffer.concat([...text.matchAll(/[^=]+=*/g)].map(([part]) => Buffer.from(part, 'base64')));
}

onBoth('text over HTTP/1.1: Base64 both ways, however it is cut', async (net) => {
  const seen: Asked[] = [];
  const rig = proxy(net, (asked) => {
    seen.push(asked);
    return echo(asked);
  });
  const whole = Buffer.concat([message('a'.repeat(20_000)), message('bc')]);
  // Two texts, each padded, as clients that send message by message write them.
  const body = Buffer.from(
    whole.subarray(0, 7).toString('base64') +
      whole.subarray(7, 9).toString('base64') +
      whole.subarray(9).toString('base64'),
  );
  const request = post(body, `${TYPE}-text`);
  const client = await rig.connect();
  const cut = request.length - body.length + 3;
  await client.send(request.subarray(0, cut));
  await net.settle();
  await client.send(request.subarray(cut));
  const answer = await client.readMessage();
  assert.deepEqual(answer.headers.get('content-type'), ['application/grpc-web-text+proto']);
  assert.deepEqual(decoded(Buffer.from(answer.body).toString('latin1')), Buffer.concat([whole, END]));
  assert.deepEqual(
    [seen[0]?.fields.get('content-type'), seen[0]?.fields.get('content-length')],
    ['application/grpc', undefined],
  );
  client.close();
  await rig.end();
});

onBoth('what is no Base64 is a call that failed', async (net) => {
  const rig = proxy(net, () => {});
  const client = await rig.connect();
  await client.send(post(Buffer.from('AAAA*AAA'), `${TYPE}-text+proto`));
  const answer = await client.readMessage();
  assert.deepEqual([answer.status, answer.headers.get('grpc-status'), answer.body.length], [200, ['13'], 0]);
  assert.deepEqual(answer.headers.get('content-type'), ['application/grpc-web-text+proto']);
  client.close();
  await rig.end();
});

onBoth('a status alone stays in the head; so does what the proxy says; scripts may read it by CORS', async (net) => {
  const rig = proxy(
    net,
    (asked) =>
      asked.head(
        [
          [':status', '200'],
          ['content-type', 'application/grpc'],
          ['grpc-status', '7'],
        ],
        true,
      ),
    [CORS],
  );
  const client = await rig.connect();
  const origin = 'Origin: https://shop.example\r\n';
  await client.send(post(message('x'), `${TYPE}+proto`, origin));
  const answer = await client.readMessage();
  assert.deepEqual([answer.headers.get('grpc-status'), answer.body.length], [['7'], 0]);
  assert.deepEqual(answer.headers.get('access-control-allow-origin'), ['https://shop.example']);
  assert.deepEqual(answer.headers.get('access-control-expose-headers'), ['grpc-status, grpc-message']);
  await client.send(
    `OPTIONS /pkg.Echo/Unary HTTP/1.1\r\nHost: a.example\r\n${origin}Access-Control-Request-Method: POST\r\n` +
      'Access-Control-Request-Headers: content-type,x-grpc-web\r\n\r\n',
  );
  assert.equal((await client.readMessage()).status, 204);
  client.close();
  await rig.end();

  const gone = new Rig(net, [], [rule({ to: ['gone'], filters: [{ type: 'grpcWeb' }] }), cluster('gone', [])]);
  const other = await gone.connect();
  await other.send(post(message('x'), TYPE));
  const refused = await other.readMessage();
  assert.deepEqual([refused.status, refused.headers.get('grpc-status')], [200, ['14']]);
  assert.deepEqual(refused.headers.get('content-type'), ['application/grpc-web+proto']);
  other.close();
  await gone.end();
});

onBoth('an answer that is no call, and a request that is none, stay as they are', async (net) => {
  const rig = proxy(net, async (asked) => {
    await asked.end();
    await asked.head([
      [':status', '502'],
      ['content-type', 'text/html'],
    ]);
    await asked.data(Buffer.from(`${asked.fields.get('content-type')}`));
    await asked.head([['x-after', 'yes']], true);
  });
  const client = await rig.connect();
  for (const [type, sent] of [
    [`${TYPE}-text`, 'application/grpc'],
    [`${TYPE}x`, `${TYPE}x`],
    ['text/plain', 'text/plain'],
  ] as const) {
    await client.send(post(Buffer.from('AAAA'), type));
    const answer = await client.readMessage();
    assert.deepEqual([answer.status, Buffer.from(answer.body).toString()], [502, sent]);
  }
  client.close();
  await rig.end();
});

onBothPlainly('over HTTP/2, message by message', async (net) => {
  const rig = proxy(net, async (asked) => {
    await asked.head([
      [':status', '200'],
      ['content-type', 'application/grpc'],
    ]);
    for (const text of ['a', 'bb', 'ccc']) await asked.data(message(text));
    await asked.end();
    await asked.head(
      [
        ['grpc-status', '0'],
        ['grpc-message', 'fine'],
      ],
      true,
    );
  });
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, ask('/pkg.Echo/Both', [['content-type', `${TYPE}-text+proto`]], 'POST'), false));
  await client.send(data(1, 'AAAAAAA=', true));
  const { fields, body, trailers } = await client.outcome(1);
  assert.deepEqual([fields.get('content-type'), trailers], ['application/grpc-web-text+proto', null]);
  assert.deepEqual(decoded(body.toString('latin1')), Buffer.concat([message('a'), message('bb'), message('ccc'), END]));
  client.peer.close();
  await rig.end();
});

onBoth('a client that leaves leaves nothing of its call behind', async (net) => {
  for (const type of [TYPE, `${TYPE}-text`]) {
    const came = Promise.withResolvers<void>();
    const rig = proxy(net, async (asked) => {
      came.resolve();
      await asked.until(() => asked.reset !== null);
    });
    const client = await rig.connect();
    await client.send(post(Buffer.from('AAAAAAA='), type));
    await came.promise;
    client.reset();
    await rig.end();
    assert.equal(rig.records.last.status, 499);
  }
});
