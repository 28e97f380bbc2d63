// External authorization by Envoy's protocol of gRPC, and of clients that speak HTTP/2.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { ExternalAuth } from '../../src/ir/ir.ts';
import { MessageReader, MessageWriter } from '../../src/proxy/auth/protobuf.ts';
import { CODE } from '../../src/proxy/http2/frames.ts';
import { authCell } from '../../src/telemetry/layout.ts';
import type { Field } from '../support/hpack.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import { type Asked, serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { auth, post, site } from './auth-rig.ts';
import { answering, bodyText, cluster, endpoint, get, ok, Rig, type RuleOptions, rule } from './rig.ts';

const { onBoth, simOnly } = plainly('the protocol of clients is what is tested in the clear');

const HEAD: readonly Field[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];

function framed(message: MessageWriter): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.bytes.length, 1);
  return Buffer.concat([prefix, message.bytes]);
}

const status = (code: number): MessageWriter => new MessageWriter().integer(1, code);
const option = (name: string, value: string, append?: boolean, action = 0): MessageWriter => {
  const one = new MessageWriter().message(1, new MessageWriter().text(1, name).text(2, value));
  if (append !== undefined) one.message(2, new MessageWriter().integer(1, append ? 1 : 0));
  return one.integer(3, action);
};

/** A CheckResponse that lets go on, with these of OkHttpResponse. */
function allowing(answer = new MessageWriter()): MessageWriter {
  return new MessageWriter().message(1, status(0)).message(3, answer);
}

async function reply(asked: Asked, message: MessageWriter): Promise<void> {
  await asked.head(HEAD);
  await asked.data(framed(message));
  await asked.head([['grpc-status', '0']], true);
}

/** All fields of a message, by path of numbers: texts, and messages as far as they are read so. */
function told(asked: Asked): Map<string, string> {
  const all = Buffer.concat(asked.body);
  assert.equal(all.readUInt32BE(1), all.length - 5);
  const found = new Map<string, string>();
  const messages = new Set(['1', '1.1', '1.1.1', '1.1.1.1', '1.4', '1.4.1', '1.4.2', '1.4.2.3']);
  const walk = (bytes: Uint8Array, path: string): void => {
    const reader = new MessageReader(bytes);
    let name = '';
    while (reader.next()) {
      const at = path === '' ? String(reader.field) : `${path}.${reader.field}`;
      if (reader.wire === 0) found.set(at, String(reader.int32));
      else if (messages.has(at)) walk(reader.bytes, at);
      else if (path === '1.4.2.3' && reader.field === 1) name = reader.text;
      else if (path === '1.4.2.3') found.set(name, reader.text);
      else found.set(at, Buffer.from(reader.bytes).toString('latin1'));
    }
  };
  walk(all.subarray(5), '');
  return found;
}

const grpc = (more: Partial<ExternalAuth> = {}): ExternalAuth =>
  auth({ protocol: 'grpc', responseHeaders: [], ...more });

function proxy(
  net: TestNet,
  onAsked: (asked: Asked) => Promise<void> | void,
  filter = grpc(),
  options: RuleOptions = {},
): { rig: Rig; served: string[]; answers: string[] } {
  const served: string[] = [];
  const answers = [ok('app', 'X-App: 1\r\nX-Two: app\r\n')];
  const app = answering(net, ({ head, body }) => {
    served.push(`${head}\n${bodyText({ body })}`);
    return answers[0] as string;
  });
  const server = serveHttp2(net, async (asked) => {
    await asked.end();
    if (asked.reset === null) await onAsked(asked);
  });
  const entries = [
    rule({ filters: [filter], ...options }),
    cluster('auth', [endpoint(server.address)], { protocol: 'http2' }),
  ];
  return { rig: new Rig(net, [app], entries), served, answers };
}

onBoth('the server of gRPC is told of the request, and lets it go on', async (net) => {
  const calls: Asked[] = [];
  const { rig, served } = proxy(net, async (asked) => {
    calls.push(asked);
    await reply(asked, allowing());
  });
  const client = await rig.connect();
  await client.send(get('/a?b=c', 'Cookie: a=1\r\nX-Two: 1\r\nX-Two: 2\r\nX-Forwarded-For: 6.6.6.6\r\n'));
  assert.equal(bodyText(await client.readMessage()), 'app');
  const call = calls[0] as Asked;
  const { fields } = call;
  assert.deepEqual(
    [':method', ':path', ':authority', 'content-type', 'te', 'grpc-timeout'].map((name) => fields.get(name)),
    ['POST', '/envoy.service.auth.v3.Authorization/Check', 'auth.default', 'application/grpc', 'trailers', '4000m'],
  );
  const said = told(call);
  assert.equal(said.get('1.1.1.1.2'), '127.0.0.1');
  assert.deepEqual(
    ['1.4.2.2', '1.4.2.4', '1.4.2.5', '1.4.2.6', '1.4.2.10', '1.4.2.9'].map((path) => said.get(path)),
    ['GET', '/a?b=c', 'a.example', 'http', 'HTTP/1.1', undefined],
  );
  assert.deepEqual(
    [':path', ':authority', 'cookie', 'x-two', 'x-forwarded-for', 'host'].map((name) => said.get(name)),
    ['/a?b=c', 'a.example', 'a=1', '1,2', '127.0.0.1', undefined],
  );
  assert.equal(said.get('1.4.2.1'), rig.records.last.id);
  assert.match(served[0] as string, /Cookie: a=1/);
  assert.deepEqual([rig.get(authCell('allowed')), rig.records.last.auth], [1, 'allowed']);
  client.close();
  await rig.end();
});

onBoth('only the named fields, and the content as text or as bytes', async (net) => {
  const calls: Asked[] = [];
  const filter = grpc({ requestHeaders: ['cookie'], bodyBytes: 100 });
  const { rig, served } = proxy(
    net,
    async (asked) => {
      calls.push(asked);
      await reply(asked, allowing());
    },
    filter,
  );
  const client = await rig.connect();
  await client.send(post('hello', 'Cookie: a=1\r\nX-Two: 2\r\n'));
  await client.readMessage();
  await client.send(Buffer.from(post('\xff\x00\xfe'), 'latin1'));
  await client.readMessage();
  const [first, second] = calls.map(told) as [Map<string, string>, Map<string, string>];
  assert.deepEqual(
    ['cookie', 'x-two', ':path', '1.4.2.9', '1.4.2.11', '1.4.2.12'].map((name) => first.get(name)),
    ['a=1', undefined, undefined, '5', 'hello', undefined],
  );
  assert.deepEqual([second.get('1.4.2.11'), second.get('1.4.2.12')], [undefined, '\xff\x00\xfe']);
  assert.match(served[0] as string, /\nhello$/);
  client.close();
  await rig.end();
});

onBoth('it changes the request, and the response', async (net) => {
  const answer = new MessageWriter()
    .message(2, option('x-user', 'alice'))
    .message(2, option('X-Two', 'server', true))
    .message(2, option('x-absent', 'a', undefined, 1))
    .message(2, option('x-present', 'b', undefined, 1))
    .message(2, option('x-set', 'c', undefined, 2))
    .message(2, option('x-nobody', 'd', undefined, 3))
    .message(2, option('x-somebody', 'e', undefined, 3))
    .text(5, 'authorization')
    .text(5, ':path')
    .text(5, 'Host')
    .message(6, option('X-Two', 'auth'))
    .message(6, option('set-cookie', 's={{uuid}}', true))
    // What the rule sets stands there for who decides.
    .message(6, option('x-rule', 'absent', undefined, 1))
    .message(6, option('x-rule-two', 'present', undefined, 3));
  const { rig, served } = proxy(net, (asked) => reply(asked, allowing(answer)), grpc(), {
    filters: [
      grpc(),
      {
        type: 'responseHeaders',
        edits: {
          set: [{ name: 'X-Rule', value: 'r' }],
          add: [{ name: 'X-Rule-Two', value: 's' }],
          remove: [],
        },
      },
    ],
  });
  const client = await rig.connect();
  await client.send(
    get(
      '/a',
      'Authorization: secret\r\nX-User: mallory\r\nX_User: eve\r\nX-Two: client\r\nx-present: p\r\nx-set: s\r\nX-Somebody: s\r\n',
    ),
  );
  const response = await client.readMessage();
  const [request = ''] = served;
  assert.doesNotMatch(request, /secret|mallory|eve|x-nobody|x-set: s\r|x-present: b|Somebody: s\r/);
  for (const line of [
    'x-user: alice',
    'X-Two: client',
    'x-two: server',
    'x-absent: a',
    'x-present: p',
    'x-set: c',
    'x-somebody: e',
  ]) {
    assert.ok(request.includes(`\r\n${line}\r\n`), line);
  }
  assert.match(request, /Host: a\.example/);
  assert.match(response.head, /X-App: 1\r\n/);
  assert.match(response.head, /X-Rule: r\r\n/);
  assert.match(response.head, /x-rule-two: present\r\n/);
  assert.doesNotMatch(response.head, /absent|X-Rule-Two: s/);
  assert.match(response.head, /x-two: auth\r\nset-cookie: s=\{\{uuid\}\}\r\n/);
  assert.doesNotMatch(response.head, /X-Two: app/);
  client.close();
  await rig.end();
});

onBoth('it changes the query: what is set and what is removed, however it was written', async (net) => {
  const parameter = new MessageWriter().text(1, 'user').text(2, 'alice & co');
  const answer = new MessageWriter().message(7, parameter).text(8, 'token').message(2, option('x-user', 'alice'));
  const { rig, served } = proxy(net, (asked) => reply(asked, allowing(answer)));
  const client = await rig.connect();
  for (const target of ['/a?%74oken=secret&x=1&token=s', '/a?user=m&x', '/a?token=s', '/a']) {
    await client.send(get(target));
    await client.readMessage();
  }
  const lines = served.map((text) => /^GET (\S+) HTTP\/1\.1\r\nHost: a\.example\r\n/.exec(text)?.[1]);
  const user = 'user=alice%20%26%20co';
  assert.deepEqual(lines, [`/a?x=1&${user}`, `/a?${user}&x`, `/a?${user}`, `/a?${user}`]);
  for (const text of served) assert.doesNotMatch(text, /secret|:query/);
  assert.match(served[0] as string, /x-user: alice\r\n/);
  client.close();
  await rig.end();
});

onBoth('it denies with a status, fields and content of its own, or with 403', async (net) => {
  const denial = new MessageWriter()
    .message(1, status(401))
    .message(2, option('WWW-Authenticate', 'Basic'))
    .message(2, option('set-cookie', 'a=1'))
    .message(2, option('set-cookie', 'b=2'))
    .text(3, 'who?');
  const messages = [
    new MessageWriter().message(1, status(7)).message(2, denial),
    // Whoever denies is believed, whatever the status.
    new MessageWriter().message(1, status(0)).message(2, denial),
    new MessageWriter().message(1, status(16)),
  ];
  let n = 0;
  const { rig, served } = proxy(net, (asked) => reply(asked, messages[n++] as MessageWriter));
  const client = await rig.connect();
  const seen: string[] = [];
  for (let i = 0; i < messages.length; i++) {
    await client.send(get());
    const answer = await client.readMessage();
    seen.push(`${answer.status} ${bodyText(answer)}`);
    if (i < 2) assert.match(answer.head, /www-authenticate: Basic\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n/);
  }
  assert.deepEqual([seen, served], [['401 who?', '401 who?', '403 '], []]);
  assert.deepEqual([rig.get(authCell('denied')), rig.records.last.auth], [3, 'denied']);
  client.close();
  await rig.end();
});

onBoth('whoever denies is believed, whatever else it says that cannot be done', async (net) => {
  const denial = (one: MessageWriter): MessageWriter =>
    new MessageWriter().message(1, status(401)).message(2, option('x-why', 'w')).message(2, one).text(3, 'no');
  const raw = new MessageWriter().text(1, 'x-raw').bytesField(3, Uint8Array.of(0x4a, 0xf8));
  const odd = [
    option(':path', '/x'),
    option('content-length', '100'),
    option('transfer-encoding', 'chunked'),
    option('connection', 'close'),
    option('x-a', 'a\r\nx-b: c'),
    option('x-a', 'a', undefined, 9),
    option('', 'a'),
    new MessageWriter().message(1, raw),
    new MessageWriter().bytesField(1, Uint8Array.of(0x0a, 0x7f)),
  ].map((one) => new MessageWriter().message(1, status(7)).message(2, denial(one)));
  // It cannot be read at all.
  const broken = new MessageWriter().message(1, status(7)).bytesField(2, Uint8Array.of(0x0a, 0x7f));
  for (const failOpen of [false, true]) {
    let n = 0;
    const messages = [...odd, broken];
    const { rig, served } = proxy(net, (asked) => reply(asked, messages[n++] as MessageWriter), grpc({ failOpen }));
    const client = await rig.connect();
    for (let i = 0; i < messages.length; i++) {
      await client.send(get());
      const answer = await client.readMessage();
      const bare = i === odd.length;
      assert.deepEqual([answer.status, bodyText(answer)], bare ? [403, ''] : [401, 'no'], `denial ${i}`);
      if (!bare) assert.match(answer.head, /\r\nx-why: w\r\n/);
      assert.doesNotMatch(answer.head, /x-b|:path|x-a:/i);
      if (i === 7) assert.match(answer.head, /\r\nx-raw: J\xf8\r\n/, 'bytes as they are');
    }
    assert.deepEqual([served, rig.get(authCell('denied')), rig.get(authCell('open'))], [[], messages.length, 0]);
    client.close();
    await rig.end();
  }
});

onBoth('what it says and is not understood is a failure', async (net) => {
  const bad =
    (answer: MessageWriter): ((asked: Asked) => Promise<void>) =>
    (asked) =>
      reply(asked, allowing(answer));
  const failures: ((asked: Asked) => Promise<void>)[] = [
    bad(new MessageWriter().message(2, option(':path', '/x'))),
    bad(new MessageWriter().message(2, option('host', 'x'))),
    bad(new MessageWriter().message(2, option('content-length', '1'))),
    bad(new MessageWriter().message(2, option('x-a', 'a\r\nx-b: c'))),
    bad(new MessageWriter().message(2, option('x-a', 'a', undefined, 9))),
    bad(new MessageWriter().message(2, option('x-forwarded-for', '6.6.6.6'))),
    (asked) => reply(asked, new MessageWriter().message(1, status(13)).message(5, new MessageWriter())),
    (asked) => asked.head([...HEAD, ['grpc-status', '14']], true),
    async (asked) => {
      await asked.head(HEAD);
      await asked.data(framed(allowing()));
      await asked.head([['grpc-status', '2']], true);
    },
    async (asked) => {
      await asked.head(HEAD);
      await asked.head([['grpc-status', '0']], true);
    },
    (asked) => asked.respond(framed(allowing())),
    async (asked) => {
      await asked.head(HEAD);
      await asked.data(framed(allowing()), true);
    },
    async (asked) => {
      await asked.head(HEAD);
      await asked.data(Buffer.concat([framed(allowing()), framed(allowing())]));
      await asked.head([['grpc-status', '0']], true);
    },
    async (asked) => {
      await asked.head(HEAD);
      await asked.data(Buffer.from('010000000100', 'hex'));
      await asked.head([['grpc-status', '0']], true);
    },
    (asked) => asked.refuse(CODE.INTERNAL_ERROR),
  ];
  let n = 0;
  const { rig, served } = proxy(net, (asked) => (failures[n++] as (asked: Asked) => Promise<void>)(asked));
  const client = await rig.connect();
  for (let i = 0; i < failures.length; i++) {
    await client.send(get());
    assert.equal((await client.readMessage()).status, 403, `failure ${i}`);
  }
  assert.deepEqual([served, rig.get(authCell('failed'))], [[], failures.length]);
  client.close();
  await rig.end();
});

onBoth('a stream that it refuses is asked again; a server of HTTP/1 is none of gRPC', async (net) => {
  let n = 0;
  const { rig } = proxy(net, (asked) => (n++ === 0 ? asked.refuse(CODE.REFUSED_STREAM) : reply(asked, allowing())));
  const client = await rig.connect();
  await client.send(get());
  assert.equal((await client.readMessage()).status, 200);
  client.close();
  await rig.end();
  const other = site(net, () => ok('', 'Content-Type: application/grpc\r\ngrpc-status: 0\r\n'), grpc());
  const second = await other.rig.connect();
  await second.send(get());
  assert.equal((await second.readMessage()).status, 403);
  second.close();
  await other.rig.end();
});

onBoth(
  'streams of one client are asked about each for itself; one that is reset takes its question with it',
  async (net) => {
    const calls: Asked[] = [];
    const { rig, served } = proxy(net, (asked) => void calls.push(asked), grpc({ bodyBytes: 10 }));
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, ask('/1')), head(3, ask('/3')), head(5, ask('/5', [], 'POST'), false), data(5, 'abc'));
    while (calls.length < 2) await net.settle();
    const at = (path: string): Asked => calls.find((one) => told(one).get('1.4.2.4') === path) as Asked;
    await reply(at('/3'), allowing());
    assert.equal((await client.outcome(3)).status, 200);
    await client.send(frameReset(1), data(5, 'def', true));
    await at('/1').until(() => at('/1').reset !== null);
    while (calls.length < 3) await net.settle();
    assert.deepEqual([told(at('/5')).get('1.4.2.11'), told(at('/5')).get('1.4.2.10')], ['abcdef', 'HTTP/2']);
    await reply(at('/5'), allowing());
    assert.equal(String((await client.outcome(5)).body), 'app');
    assert.equal(served.length, 2);
    client.peer.close();
    await rig.end();
  },
);

function frameReset(stream: number): Buffer {
  const frame = Buffer.alloc(13);
  frame.writeUIntBE(4, 0, 3);
  frame[3] = 3;
  frame.writeUInt32BE(stream, 5);
  frame.writeUInt32BE(CODE.CANCEL, 9);
  return frame;
}

onBoth('a call of gRPC is told as one: 16 for 401, 7 for 403 and for a failure', async (net) => {
  const denials = [401, 403];
  let n = 0;
  const { rig } = proxy(net, async (asked) => {
    const code = denials[n++];
    if (code === undefined) await asked.refuse(CODE.INTERNAL_ERROR);
    else await reply(asked, new MessageWriter().message(2, new MessageWriter().message(1, status(code))));
  });
  const client = await Http2Client.open(await rig.connect());
  const seen: unknown[] = [];
  for (const id of [1, 3, 5]) {
    const call: Field[] = [
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ];
    await client.send(head(id, ask('/pkg.Echo/Unary', call, 'POST'), false), data(id, Buffer.alloc(5), true));
    const { status: http, fields } = await client.outcome(id);
    seen.push([http, fields.get('grpc-status')]);
  }
  assert.deepEqual(seen, [
    [200, '16'],
    [200, '7'],
    [200, '7'],
  ]);
  client.peer.close();
  await rig.end();
});

onBoth('a call of gRPC-Web, as text, is seen as what it means; a denial is told as to a call', async (net) => {
  const calls: Asked[] = [];
  const server = serveHttp2(net, async (asked) => {
    calls.push(await asked.end());
    const verdict = calls.length === 1 ? allowing() : new MessageWriter().message(1, status(7));
    await reply(asked, verdict);
  });
  const bodies: string[] = [];
  const app = serveHttp2(net, async (asked) => {
    bodies.push((await asked.end()).content);
    await asked.head(HEAD);
    await asked.data(Buffer.from('\0\0\0\0\x02hi', 'latin1'));
    await asked.head([['grpc-status', '0']], true);
  });
  const http2 = { protocol: 'http2' } as const;
  const rig = new Rig(
    net,
    [],
    [
      rule({ to: ['grpc'], filters: [grpc({ bodyBytes: 100 }), { type: 'grpcWeb' }] }),
      cluster('auth', [endpoint(server.address)], http2),
      cluster('grpc', [endpoint(app.address)], http2),
    ],
  );
  const client = await rig.connect();
  const message = '\0\0\0\0\x03abc';
  const text = Buffer.from(message, 'latin1').toString('base64');
  const call =
    'POST /pkg.Echo/Unary HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/grpc-web-text\r\n' +
    `Content-Length: ${text.length}\r\n\r\n${text}`;
  await client.send(call);
  assert.equal((await client.readMessage()).status, 200);
  assert.deepEqual([bodies, told(calls[0] as Asked).get('1.4.2.11')], [[message], message]);
  await client.send(call);
  const denied = await client.readMessage();
  assert.match(denied.head, /grpc-status: 7\r\n/);
  assert.equal(bodies.length, 1);
  client.close();
  await rig.end();
});

onBoth('content of HTTP/2 that is too large, and one that is asked for', async (net) => {
  const { rig, served } = proxy(net, (asked) => reply(asked, allowing()), grpc({ bodyBytes: 4 }));
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, ask('/', [], 'POST'), false), data(1, '12345'));
  assert.equal((await client.outcome(1)).status, 413);
  await client.send(head(3, ask('/', [['content-length', '5']], 'POST'), false));
  assert.equal((await client.outcome(3)).status, 413);
  await client.send(head(5, ask('/', [['expect', '100-continue']], 'POST'), false));
  while (client.interim(5).length === 0) await client.read();
  await client.send(data(5, '1234', true));
  const { status: http, interim } = await client.outcome(5);
  assert.deepEqual([http, interim], [200, [100]]);
  assert.equal(served.length, 1);
  assert.doesNotMatch(served[0] as string, /expect/i);
  client.peer.close();
  await rig.end();
});

simOnly('a call without an answer has its time', async (net) => {
  const { rig, served } = proxy(net, () => {});
  const client = await rig.connect();
  await client.send(get());
  await net.advance(LIMITS.EXTERNAL_AUTH_MS + 100);
  assert.deepEqual([(await client.readMessage()).status, served], [403, []]);
  client.close();
  await rig.end();
});
