// What RFC 9113 calls malformed (sections 8.1 to 8.3): refused, logged, and never heard of by a backend; the connection
// goes on.

import assert from 'node:assert/strict';
import { FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { answering, ok, Rig, rule } from '../proxy/rig.ts';
import type { Field } from '../support/hpack.ts';
import { ask, block, data, frame, Http2Client, head } from '../support/http2.ts';
import { plainly } from '../support/net.ts';

const { onBoth } = plainly('what is above TLS is the same: h2spec is run over both');

const M: Field = [':method', 'GET'];
const S: Field = [':scheme', 'http'];
const A: Field = [':authority', 'a.example'];
const P: Field = [':path', '/'];

/** Requests that are reset with PROTOCOL_ERROR. */
const MALFORMED: readonly (readonly [string, readonly Field[]])[] = [
  ['no method', [S, A, P]],
  ['no scheme', [M, A, P]],
  ['no path', [M, S, A]],
  ['an empty path', [M, S, A, [':path', '']]],
  ['a path without a slash', [M, S, A, [':path', 'a']]],
  ['an asterisk that is not for OPTIONS', [M, S, A, [':path', '*']]],
  ['a whole URI for a path', [M, S, A, [':path', 'http://a.example/']]],
  ['a fragment', [M, S, A, [':path', '/a#b']]],
  ['a space in the path', [M, S, A, [':path', '/a b']]],
  ['a request line in the path', [M, S, A, [':path', '/ HTTP/1.1\r\nX: y\r\n\r\nGET /admin']]],
  ['a control byte in the query', [M, S, A, [':path', '/?\x01']]],
  ['a byte above ASCII in the path', [M, S, A, [':path', '/\xe4']]],
  ['no authority, no Host', [M, S, P]],
  ['an empty authority', [M, S, [':authority', ''], P]],
  ['user and password in the authority', [M, S, [':authority', 'u:p@a.example'], P]],
  ['a port that is none', [M, S, [':authority', 'a.example:99999'], P]],
  ['CRLF in the authority', [M, S, [':authority', 'a.example\r\nX: y'], P]],
  ['a Host that says otherwise', ask('/', [['host', 'b.example']])],
  ['a Host with another port', ask('/', [['host', 'a.example:81']])],
  ['two Hosts', [M, S, P, ['host', 'a.example'], ['host', 'a.example']]],
  ['an unknown scheme', [M, [':scheme', 'ftp'], A, P]],
  ['a method that is no token', [[':method', 'GE T'], S, A, P]],
  ['an empty method', [[':method', ''], S, A, P]],
  ['CRLF in the method', [[':method', 'GET / HTTP/1.1\r\nX: y\r\n\r\nGET'], S, A, P]],
  ['a second method', [M, M, S, A, P]],
  ['a second path', [M, S, A, P, P]],
  ['a second authority', [M, S, A, A, P]],
  ['a pseudo-field behind a field', [M, S, A, ['x', '1'], P]],
  ['an unknown pseudo-field', [M, S, A, P, [':x', '1']]],
  ['a pseudo-field of responses', [M, S, A, P, [':status', '200']]],
  ['a protocol that nobody offered', [[':method', 'CONNECT'], [':protocol', 'websocket'], S, A, P]],
  ['a pseudo-field with capitals', [M, S, A, [':Path', '/']]],
  ['a name with capitals', ask('/', [['X-A', '1']])],
  ['an empty name', ask('/', [['', '1']])],
  ['a name with a space', ask('/', [['x a', '1']])],
  ['a name with a colon', ask('/', [['x:a', '1']])],
  ['a name with CRLF', ask('/', [['x\r\ny', '1']])],
  ['a name with NUL', ask('/', [['x\0', '1']])],
  ['a name above ASCII', ask('/', [['x\xe4', '1']])],
  ['a value with CR', ask('/', [['x', 'a\rb']])],
  ['a value with LF', ask('/', [['x', 'a\nb']])],
  ['a value with CRLF and a field', ask('/', [['x', 'a\r\ntransfer-encoding: chunked']])],
  ['a value with NUL', ask('/', [['x', 'a\0b']])],
  ['a value with DEL', ask('/', [['x', 'a\x7fb']])],
  ['a value with a space in front', ask('/', [['x', ' a']])],
  ['a value with a tab behind', ask('/', [['x', 'a\t']])],
  ['Connection', ask('/', [['connection', 'close']])],
  ['Keep-Alive', ask('/', [['keep-alive', 'timeout=1']])],
  ['Proxy-Connection', ask('/', [['proxy-connection', 'close']])],
  ['Transfer-Encoding', ask('/', [['transfer-encoding', 'chunked']])],
  ['Upgrade', ask('/', [['upgrade', 'websocket']])],
  ['TE with a coding', ask('/', [['te', 'trailers, gzip']])],
  ['TE with another', ask('/', [['te', 'gzip']])],
  ['a length without content', ask('/', [['content-length', '5']])],
  ['a length that is no number', ask('/', [['content-length', '-1']])],
  [
    'two lengths',
    ask('/', [
      ['content-length', '0'],
      ['content-length', '0'],
    ]),
  ],
  ['CONNECT with a path', [[':method', 'CONNECT'], A, P]],
  ['CONNECT without a port', [[':method', 'CONNECT'], A]],
];

/** Requests that are answered. */
const ANSWERED: readonly (readonly [string, readonly Field[], number])[] = [
  ['an expectation that is none', ask('/', [['expect', '200-ok']]), 417],
  ['a method of 40 letters', ask('/', [], 'M'.repeat(40)), 501],
  ['a path of 17 KB', ask(`/${'a'.repeat(17_000)}`), 414],
  [
    'a hundred and one fields',
    ask(
      '/',
      Array.from({ length: 101 }, (_, i): Field => [`x-${i}`, '1']),
    ),
    431,
  ],
  [
    'CONNECT',
    [
      [':method', 'CONNECT'],
      [':authority', 'a.example:443'],
    ],
    404,
  ],
  ['an https target in the clear', [M, [':scheme', 'https'], A, P], 421],
  ['an escaped dot segment that leaves the root', ask('/%2e%2e/a'), 400],
];

onBoth('malformed heads are reset, others answered; no backend hears of any', async (net) => {
  const seen: string[] = [];
  const app = answering(net, ({ target }) => {
    seen.push(target);
    return ok(target);
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  let id = 1;
  for (const [name, fields] of MALFORMED) {
    await client.send(head(id, fields));
    const { reset, status } = await client.outcome(id);
    assert.deepEqual([status, reset], [0, 'PROTOCOL_ERROR'], name);
    const { last } = rig.records;
    assert.deepEqual([last.status, last.flags, last.responseBytes], [400, 'DPE', 0], name);
    id += 2;
  }
  for (const [name, fields, wanted] of ANSWERED) {
    await client.send(head(id, fields));
    const { reset, status } = await client.outcome(id);
    assert.deepEqual([status, reset], [wanted, null], name);
    id += 2;
  }
  assert.equal(rig.records.all.length, MALFORMED.length + ANSWERED.length);
  assert.deepEqual(seen, []);
  await client.send(
    head(
      id,
      ask('/after', [
        ['te', 'trailers'],
        ['host', 'A.EXAMPLE'],
        ['proxy-authorization', 'x'],
      ]),
    ),
  );
  assert.equal((await client.outcome(id)).body.toString(), '/after');
  assert.deepEqual(seen, ['/after']);
  client.peer.close();
  await rig.end();
});

onBoth('content that is not what the head said, and sections behind it that are none', async (net) => {
  let whole = 0;
  const app = answering(net, () => {
    whole++;
    return ok('');
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  const post = (id: number, length: string): Buffer => head(id, ask('/', [['content-length', length]], 'POST'), false);
  const trailers = (id: number, fields: readonly Field[], flags: number): Buffer =>
    frame(TYPE.HEADERS, FLAG.END_HEADERS | flags, id, block(fields));
  const cases: readonly (readonly [string, (id: number) => readonly Buffer[]])[] = [
    ['less', (id) => [post(id, '5'), data(id, 'abc', true)]],
    ['more', (id) => [post(id, '2'), data(id, 'abc', true)]],
    ['more, in two', (id) => [post(id, '2'), data(id, 'ab'), data(id, 'c', true)]],
    ['some where none was announced', (id) => [post(id, '0'), data(id, 'c', true)]],
    ['less, with trailers', (id) => [post(id, '5'), data(id, 'abc'), trailers(id, [['x', '1']], FLAG.END_STREAM)]],
    ['trailers without an end', (id) => [post(id, '3'), data(id, 'abc'), trailers(id, [['x', '1']], 0)]],
    ['pseudo-fields in trailers', (id) => [post(id, '3'), data(id, 'abc'), trailers(id, [P], FLAG.END_STREAM)]],
    ['capitals in trailers', (id) => [post(id, '3'), data(id, 'abc'), trailers(id, [['X', '1']], FLAG.END_STREAM)]],
    ['CRLF in trailers', (id) => [post(id, '3'), data(id, 'abc'), trailers(id, [['x', '\r\n']], FLAG.END_STREAM)]],
  ];
  let id = 1;
  for (const [name, frames] of cases) {
    await client.send(...frames(id));
    assert.equal((await client.outcome(id)).reset, 'PROTOCOL_ERROR', name);
    const { last } = rig.records;
    assert.equal(last.flags, 'DPE', name);
    id += 2;
  }
  await net.settle();
  assert.equal(whole, 0);
  client.peer.close();
  await rig.end();
});

onBoth('an https target in the clear is served where a proxy that is trusted asks for it', async (net) => {
  const seen: string[] = [];
  const app = answering(net, ({ head: text }) => {
    seen.push(/x-forwarded-proto: (.*)\r/i.exec(text)?.[1] ?? '');
    return ok('fine');
  });
  for (const trustedProxies of [['127.0.0.0/8'], ['10.0.0.0/8']]) {
    const rig = new Rig(net, [app], [rule({})], { trustedProxies });
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, [M, [':scheme', 'https'], A, P]));
    await client.send(head(3, [M, [':scheme', 'https'], A, P, ['x-forwarded-proto', 'http']]));
    const status = trustedProxies[0] === '127.0.0.0/8' ? 200 : 421;
    assert.deepEqual([(await client.outcome(1)).status, (await client.outcome(3)).status], [status, status]);
    client.peer.close();
    await rig.end();
  }
  assert.deepEqual(seen, ['https', 'http']);
});
