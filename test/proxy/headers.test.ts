// What a backend and a client are told: Host, forwarded fields, request ids, hop-by-hop fields, filters.

import assert from 'node:assert/strict';
import type { Filter, HeaderEdits, RuleEntry } from '../../src/ir/ir.ts';
import { onBoth, type TestNet } from '../support/net.ts';
import { get, ok, Rig, type RuleOptions, rule } from './rig.ts';

type Fields = Map<string, string[]>;

/** Sends one request; returns what the backend saw and the answer. */
async function through(
  net: TestNet,
  request: string,
  options: RuleOptions = {},
  trustedProxies: readonly string[] = [],
  answer = ok('x'),
  kind: RuleEntry['routeKind'] = 'HTTPRoute',
): Promise<{ seen: Fields; target: string; answer: Fields; rig: Rig; status: number }> {
  let seen: Fields = new Map();
  let target = '';
  const backend = net.serve(async (peer) => {
    const message = await peer.readMessage();
    seen = message.headers;
    target = message.target;
    await peer.send(answer);
  });
  const rig = new Rig(net, [backend], [{ ...rule(options), routeKind: kind }], { trustedProxies });
  const client = await rig.connect();
  await client.send(request);
  const message = await client.readMessage();
  client.close();
  await rig.end();
  return { seen, target, answer: message.headers, rig, status: message.status };
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

onBoth('without trusted proxies what a client says of itself is discarded and set afresh', async (net) => {
  const { seen, rig } = await through(
    net,
    get(
      '/',
      `X-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: ${net.tls ? 'http' : 'https'}\r\n` +
        'X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n' +
        'X-Forwarded-Client-Cert: By=evil\r\nForwarded: for=6.6.6.6\r\nX-Request-ID: mine\r\nX-Real-IP: 6.6.6.6\r\n',
    ),
  );
  assert.deepEqual(seen.get('x-forwarded-for'), ['127.0.0.1']);
  assert.deepEqual(seen.get('x-forwarded-proto'), [net.tls ? 'https' : 'http']);
  assert.deepEqual(seen.get('x-forwarded-host'), ['a.example']);
  for (const name of ['x-forwarded-port', 'x-forwarded-client-cert', 'forwarded', 'x-real-ip']) {
    assert.equal(seen.get(name), undefined, name);
  }
  const id = seen.get('x-request-id')?.[0] ?? '';
  assert.match(id, UUID_V7);
  assert.equal(rig.records.last.id, id);
  assert.equal(rig.records.last.client, '127.0.0.1');
});

onBoth('a trusted proxy is believed and its list continued', async (net) => {
  const { seen, rig } = await through(
    net,
    get(
      '/',
      'X-Forwarded-For: 6.6.6.6, 10.0.0.1\r\nX-Forwarded-For: 127.0.0.9\r\nX-Forwarded-Proto: https\r\n' +
        'X-Request-ID: mine\r\nForwarded: for=10.0.0.1\r\n',
    ),
    {},
    ['127.0.0.0/8'],
  );
  assert.deepEqual(seen.get('x-forwarded-for'), ['6.6.6.6, 10.0.0.1, 127.0.0.9, 127.0.0.1']);
  assert.deepEqual(seen.get('x-forwarded-proto'), ['https']);
  assert.deepEqual(seen.get('x-forwarded-host'), ['a.example']);
  assert.deepEqual(seen.get('x-request-id'), ['mine']);
  assert.deepEqual(seen.get('forwarded'), ['for=10.0.0.1']);
  assert.equal(rig.records.last.id, 'mine');
  // The last one that is not a trusted proxy.
  assert.equal(rig.records.last.client, '10.0.0.1');
});

const OF_INGRESS = ['x-real-ip', 'x-forwarded-port', 'x-forwarded-scheme', 'x-scheme'] as const;

onBoth('backends of an Ingress are told of clients as ingress-nginx tells them, whatever these say', async (net) => {
  const said =
    'X-Real-IP: 6.6.6.6\r\nX-Forwarded-Port: 1\r\nx-forwarded-scheme: ftp\r\nX-Scheme: ftp\r\nx_scheme: ftp\r\nX.Real.Ip: 6\r\n';
  const { seen } = await through(net, get('/', said), {}, [], ok('x'), 'Ingress');
  const scheme = net.tls ? 'https' : 'http';
  assert.deepEqual(
    OF_INGRESS.map((name) => seen.get(name)),
    [['127.0.0.1'], ['80'], [scheme], [scheme]],
  );
  for (const name of ['x_scheme', 'x.real.ip']) assert.equal(seen.get(name), undefined, name);
  // Others are not, and what the client says of its scheme they are not told either.
  const route = await through(net, get('/', said));
  for (const name of [...OF_INGRESS, 'x_scheme']) assert.equal(route.seen.get(name), undefined, name);
});

onBoth(
  'of an Ingress, too, what a trusted proxy says stays, and what it leaves out follows from the rest',
  async (net) => {
    const ask = async (fields: string): Promise<unknown[]> => {
      const { seen } = await through(net, get('/', fields), {}, ['127.0.0.0/8'], ok('x'), 'Ingress');
      return OF_INGRESS.map((name) => seen.get(name));
    };
    const said = 'X-Real-IP: 6.6.6.6\r\nX-Forwarded-Port: 8443\r\nX-Forwarded-Scheme: https\r\nX-Scheme: wss\r\n';
    assert.deepEqual(await ask(said), [['6.6.6.6'], ['8443'], ['https'], ['wss']]);
    assert.deepEqual(await ask('X-Forwarded-For: 6.6.6.6, 9.9.9.9\r\nX-Forwarded-Proto: https\r\n'), [
      ['9.9.9.9'],
      [net.tls ? '80' : '443'],
      ['https'],
      ['https'],
    ]);
    assert.deepEqual(await ask('X-Forwarded-Proto: http\r\n'), [['127.0.0.1'], ['80'], ['http'], ['http']]);
  },
);

onBoth('hop-by-hop fields and those Connection names end here (RFC 9110 section 7.6.1)', async (net) => {
  const { seen, answer } = await through(
    net,
    get(
      '/',
      'Connection: keep-alive, X-Secret\r\nKeep-Alive: 5\r\nX-Secret: 1\r\nProxy-Connection: x\r\nTE: gzip\r\n' +
        'Upgrade: h2c\r\nX-Kept: 1\r\n',
    ),
    {},
    [],
    ok('x', 'Connection: x-internal\r\nX-Internal: 1\r\nKeep-Alive: 9\r\nServer: s\r\nX-Kept: 2\r\n'),
  );
  for (const name of ['connection', 'keep-alive', 'x-secret', 'proxy-connection', 'te', 'upgrade']) {
    assert.equal(seen.get(name), undefined, name);
  }
  assert.deepEqual(seen.get('x-kept'), ['1']);
  for (const name of ['connection', 'x-internal', 'keep-alive']) assert.equal(answer.get(name), undefined, name);
  assert.deepEqual(answer.get('server'), ['s']);
  assert.deepEqual(answer.get('x-kept'), ['2']);
});

onBoth(
  'an https target in the clear is misdirected and reaches no backend (RFC 9110 section 7.4)',
  async (net) => {
    const { status, target, rig } = await through(net, 'GET https://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n');
    assert.equal(status, 421);
    assert.equal(target, '');
    assert.equal(rig.records.last.flags, 'NR');
  },
  { plain: 'over TLS it is in order' },
);

onBoth('Host is kept; an absolute target replaces it (RFC 9112 section 3.2.2)', async (net) => {
  const kept = await through(net, 'GET / HTTP/1.1\r\nHost: A.Example:8080\r\n\r\n');
  assert.deepEqual(kept.seen.get('host'), ['A.Example:8080']);
  assert.equal(kept.rig.records.last.host, 'A.Example');
  const absolute = await through(net, 'GET http://b.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n');
  assert.deepEqual(absolute.seen.get('host'), ['b.example']);
  assert.equal(absolute.target, '/x?y');
  const bare = await through(net, 'GET http://b.example HTTP/1.1\r\nHost: a.example\r\n\r\n');
  assert.equal(bare.target, '/');
});

onBoth('a missing Date is added (RFC 9110 section 6.6.1), a present one kept', async (net) => {
  const added = await through(net, get());
  assert.match(added.answer.get('date')?.[0] ?? '', /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  const kept = await through(net, get(), {}, [], ok('x', 'Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n'));
  assert.deepEqual(kept.answer.get('date'), ['Sat, 01 Jan 2000 00:00:00 GMT']);
});

function edits(type: 'requestHeaders' | 'responseHeaders', more: Partial<HeaderEdits>): Filter {
  return { type, edits: { set: [], add: [], remove: [], ...more } };
}

onBoth('filters edit both heads, with a UUID where a value asks for one', async (net) => {
  const filters = [
    edits('requestHeaders', {
      set: [{ name: 'X-Set', value: 'new' }],
      add: [{ name: 'X-Id', value: 'r-{{uuid}}' }],
      remove: ['x-gone'],
    }),
    edits('responseHeaders', { add: [{ name: 'X-Id', value: '{{uuid}}' }], remove: ['server'] }),
  ];
  const { seen, answer } = await through(
    net,
    get('/', 'X-Set: old\r\nX-Gone: 1\r\n'),
    { filters },
    [],
    ok('x', 'Server: s\r\n'),
  );
  assert.deepEqual(seen.get('x-set'), ['new']);
  assert.equal(seen.get('x-gone'), undefined);
  const id = seen.get('x-request-id')?.[0] as string;
  assert.deepEqual(seen.get('x-id'), [`r-${id}`]);
  assert.deepEqual(answer.get('x-id'), [id]);
  assert.equal(answer.get('server'), undefined);
});

onBoth('a filter that sets a forwarded field has the last word', async (net) => {
  const filters = [
    edits('requestHeaders', { set: [{ name: 'X-Forwarded-Proto', value: 'https' }], remove: ['x-forwarded-for'] }),
  ];
  const { seen } = await through(net, get(), { filters });
  assert.deepEqual(seen.get('x-forwarded-proto'), ['https']);
  assert.equal(seen.get('x-forwarded-for'), undefined);
});

onBoth('a rewrite changes Host and path, and keeps the query', async (net) => {
  const filters: Filter[] = [
    { type: 'rewrite', hostname: 'inner.example', path: { type: 'ReplacePrefixMatch', value: '/v2' } },
  ];
  const { seen, target } = await through(net, get('/api/x?q=1'), { path: '/api', filters });
  assert.equal(target, '/v2/x?q=1');
  assert.deepEqual(seen.get('host'), ['inner.example']);
  assert.deepEqual(seen.get('x-forwarded-host'), ['a.example']);
});

onBoth('a path is forwarded as it was matched', async (net) => {
  const { target, rig } = await through(net, get('/public/../%61dmin?x=%2e'));
  assert.equal(target, '/admin?x=%2e');
  assert.equal(rig.records.last.path, '/public/../%61dmin');
  const refused = await through(net, get('/../etc'));
  assert.equal(refused.status, 400);
  assert.deepEqual(refused.answer.get('connection'), ['close']);
});

onBoth('a redirect is answered at once, also to a request with a body', async (net) => {
  const redirect = { scheme: 'https', hostname: null, port: null, path: null, status: 301 } as const;
  const rig = new Rig(net, [], [rule({ action: { type: 'redirect', redirect } })]);
  const client = await rig.connect();
  await client.send('POST /a?b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc');
  const first = await client.readMessage();
  assert.equal(first.status, 301);
  assert.deepEqual(first.headers.get('location'), ['https://a.example/a?b']);
  // When the body came with its head the connection goes on.
  const again = first.headers.has('connection') ? await rig.connect() : client;
  await again.send(get('/c'));
  const second = await again.readMessage();
  assert.deepEqual(second.headers.get('location'), ['https://a.example/c']);
  client.close();
  again.close();
  await rig.end();
  assert.equal(rig.records.all.length, 2);
  assert.equal(rig.records.last.status, 301);
  assert.equal(rig.records.last.attempts, 0);
});

onBoth("a rule's own status, with its response filters", async (net) => {
  const filters = [edits('responseHeaders', { add: [{ name: 'X-Why', value: 'rule' }] })];
  const { answer, status } = await through(net, get(), { filters, action: { type: 'respond', status: 500 } });
  assert.equal(status, 500);
  assert.deepEqual(answer.get('x-why'), ['rule']);
  assert.deepEqual(answer.get('content-length'), ['0']);
});
