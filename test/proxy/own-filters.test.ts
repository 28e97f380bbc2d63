// RAUTA's own filters on the wire: static responses, and who may ask.

import assert from 'node:assert/strict';
import type { Access, Action, Filter } from '../../src/ir/ir.ts';
import { onBoth, type TestNet } from '../support/net.ts';
import { get, ok, Rig, type RuleOptions, rule } from './rig.ts';

interface Seen {
  readonly status: number;
  readonly fields: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
  readonly requests: number;
  readonly flags: string;
}

async function ask(net: TestNet, options: RuleOptions, request = get('/a/b')): Promise<Seen> {
  let requests = 0;
  const backend = net.serve(async (peer) => {
    while ((await peer.readMessage().catch(() => null)) !== null) {
      requests++;
      await peer.send(ok('x'));
    }
  });
  const rig = new Rig(net, [backend], [rule(options)]);
  const client = await rig.connect();
  await client.send(request);
  const message = await client.readMessage({ answersHead: request.startsWith('HEAD') });
  // The connection is good for another one, whatever was answered.
  await client.send(request);
  const again = await client.readMessage({ answersHead: request.startsWith('HEAD') });
  assert.equal(again.status, message.status);
  client.close();
  await rig.end();
  const { status, headers: fields, body } = message;
  return { status, fields, body: Buffer.from(body).toString(), requests, flags: rig.records.all[0]?.flags ?? '' };
}

const answer = (status: number, body = '', headers: readonly { name: string; value: string }[] = []): Action => ({
  type: 'static',
  status,
  headers,
  body: Buffer.from(body).toString('base64'),
});

onBoth('a static response is answered whole, without a backend', async (net) => {
  const seen = await ask(net, { action: answer(503, 'down\n', [{ name: 'Retry-After', value: '60' }]) });
  assert.deepEqual([seen.status, seen.body, seen.requests], [503, 'down\n', 0]);
  assert.deepEqual(seen.fields.get('retry-after'), ['60']);
  assert.deepEqual(seen.fields.get('content-length'), ['5']);
});

onBoth('a static response of 64 KB comes whole, none of its content to HEAD, none at all with 204', async (net) => {
  const large = 'x'.repeat(65_536);
  assert.equal((await ask(net, { action: answer(200, large) })).body, large);
  const head = await ask(net, { action: answer(200, large) }, 'HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n');
  assert.deepEqual([head.body, head.fields.get('content-length')], ['', ['65536']]);
  const none = await ask(net, { action: answer(204) });
  assert.deepEqual([none.body, none.fields.get('content-length')], ['', undefined]);
});

onBoth('filters that edit responses edit a static one, too', async (net) => {
  const edits = {
    set: [{ name: 'X-A', value: 'filter' }],
    add: [{ name: 'X-B', value: 'added' }],
    remove: ['X-C'],
  };
  const own = ['X-A', 'X-B', 'X-C'].map((name) => ({ name, value: 'own' }));
  const seen = await ask(net, { action: answer(200, 'x', own), filters: [{ type: 'responseHeaders', edits }] });
  assert.deepEqual(
    ['x-a', 'x-b', 'x-c'].map((name) => seen.fields.get(name)),
    [['filter'], ['own', 'added'], undefined],
  );
});

const access = (effect: Access['effect'], what: Partial<Access>): Filter => ({
  type: 'access',
  effect,
  ranges: [],
  methods: [],
  paths: [],
  ...what,
});

const CASES: readonly [name: string, filters: readonly Filter[], allowed: boolean][] = [
  ['allowed by its range', [access('allow', { ranges: ['127.0.0.0/8'] })], true],
  ['allowed by its address', [access('allow', { ranges: ['127.0.0.1'] })], true],
  ['not among those that are allowed', [access('allow', { ranges: ['10.0.0.0/8', '::/0'] })], false],
  ['denied by its range', [access('deny', { ranges: ['127.0.0.0/8'] })], false],
  ['not among those that are denied', [access('deny', { ranges: ['10.0.0.0/8'] })], true],
  ['denied with everybody', [access('deny', {})], false],
  ['denied by its method', [access('deny', { methods: ['POST', 'GET'] })], false],
  ['another method is denied', [access('deny', { methods: ['GETS', 'GE', 'get'] })], true],
  ['denied by a prefix of its path', [access('deny', { paths: [{ type: 'PathPrefix', value: '/a/' }] })], false],
  ['a prefix of no whole element', [access('deny', { paths: [{ type: 'PathPrefix', value: '/a/bb' }] })], true],
  [
    'an element is more than a prefix of it',
    [
      access('deny', {
        paths: [
          { type: 'PathPrefix', value: '/a/' },
          { type: 'Exact', value: '/a' },
        ],
      }),
    ],
    false,
  ],
  ['denied by its very path', [access('deny', { paths: [{ type: 'Exact', value: '/%61/b' }] })], false],
  ['another path is denied', [access('deny', { paths: [{ type: 'Exact', value: '/a/b/' }] })], true],
  [
    'all of address, method and path have to be meant',
    [access('deny', { ranges: ['127.0.0.1'], methods: ['PUT'] })],
    true,
  ],
  ['of two filters each may refuse', [access('allow', {}), access('deny', { methods: ['GET'] })], false],
];

for (const [name, filters, allowed] of CASES) {
  onBoth(`access control: ${name}`, async (net) => {
    const seen = await ask(net, { filters });
    assert.equal(seen.status, allowed ? 200 : 403);
    assert.deepEqual([seen.requests, seen.flags], allowed ? [2, ''] : [0, 'RBAC']);
    if (!allowed) assert.equal(seen.body, 'access denied\n');
  });
}

onBoth('who is kept out of a path gets no further by another writing of it; who is let in has one', async (net) => {
  const paths = [{ type: 'PathPrefix', value: '/a/admin' } as const];
  const asked = ['/a/admin', '/a/admin/x', '/a/admin%2fx', '/a%2Fadmin', '/a/admin%5cx', '/a/admin\\x', '/a/admin;x'];
  asked.push('/a/admin%3bx/y', '/a/;/admin', '/a;x/%2f/admin/', '/a\\admin');
  for (const target of asked) {
    const denied = await ask(net, { filters: [access('deny', { paths })] }, get(target));
    assert.deepEqual([denied.status, denied.requests], [403, 0], target);
    const allowed = await ask(net, { filters: [access('allow', { paths })] }, get(target));
    assert.equal(allowed.status, /^\/a\/admin(\/|$)/.test(target) ? 200 : 403, target);
  }
  for (const target of ['/a/adminx', '/a/admin%252fx', '/a%20/admin', '/a/x;/admin', '/a/x%2fadmin', '/a/admi;n'])
    assert.equal((await ask(net, { filters: [access('deny', { paths })] }, get(target))).status, 200, target);
  const exact = [{ type: 'Exact', value: '/a/b' } as const];
  for (const [target, status] of [
    ['/a/b;x', 403],
    ['/a%2fb', 403],
    ['/a/b%2f', 200],
    ['/a/b/;x', 200],
  ] as const)
    assert.equal((await ask(net, { filters: [access('deny', { paths: exact })] }, get(target))).status, status, target);
});

onBoth('nothing hides a path: it is the one that rules see', async (net) => {
  const filters = [access('deny', { paths: [{ type: 'PathPrefix', value: '/admin' }] })];
  for (const path of ['/admin', '/admin/x', '//admin', '/x/../admin', '/%61dmin', '/admin?a', '/./admin/']) {
    assert.equal((await ask(net, { filters }, get(path))).status, 403, path);
  }
  assert.equal((await ask(net, { filters }, get('/administrator'))).status, 200);
});

onBoth('redirects, static responses and preflights are refused to whoever may not ask', async (net) => {
  const denied = access('deny', {});
  const redirect = { scheme: null, hostname: 'b.example', port: null, path: null, status: 302 } as const;
  for (const action of [answer(200, 'x'), { type: 'redirect', redirect } as const]) {
    assert.equal((await ask(net, { action, filters: [denied] })).status, 403);
  }
  const cors = { origins: ['*'], credentials: false, methods: ['*'], headers: ['*'], exposedHeaders: [], maxAgeS: 5 };
  const preflight = 'OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\nAccess-Control-Request-Method: PUT\r\n\r\n';
  const seen = await ask(net, { filters: [{ type: 'cors', cors }, denied] }, preflight);
  assert.equal(seen.status, 403);
});

onBoth(
  'a path that takes too long to rewrite by what it captures is answered 414, and no backend sees it',
  async (net) => {
    const path = { type: 'ReplaceExpression', pattern: '(?i:/(.*)/(.*)).*', value: '/$2' } as const;
    const filters: Filter[] = [{ type: 'rewrite', hostname: null, path }];
    const rig = new Rig(net, [net.serve(() => assert.fail('it was asked'))], [rule({ filters })]);
    const client = await rig.connect();
    await client.send(get(`/a/${'b'.repeat(3_000)}`));
    assert.equal((await client.readMessage()).status, 414);
    client.close();
    await rig.end();
    assert.deepEqual([rig.records.last.flags, rig.records.last.limit], ['DPE', 'REWRITE_EXPRESSION_BYTES']);
    assert.equal((await ask(net, { filters }, get('/a/b'))).status, 200);
  },
);

onBoth('more content than a rule admits is answered 413, announced or not; what is as much passes', async (net) => {
  let whole = 0;
  const backend = net.serve(async (peer) => {
    while ((await peer.readMessage().catch(() => null)) !== null) {
      whole++;
      await peer.send(ok('x'));
    }
  });
  const rig = new Rig(net, [backend], [rule({ filters: [{ type: 'contentLimit', bytes: 10 }] })]);
  const post = (fields: string, body: string): string => `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n${body}`;
  const chunks = 'Transfer-Encoding: chunked';
  for (const [request, status] of [
    [post('Content-Length: 10', '0123456789'), 200],
    [post('Content-Length: 11', '01234567890'), 413],
    [post(chunks, 'a\r\n0123456789\r\n0\r\n\r\n'), 200],
    [post(chunks, 'b\r\n01234567890\r\n0\r\n\r\n'), 413],
    [post(chunks, '8\r\n01234567\r\n8\r\n01234567\r\n'), 413],
    [get('/'), 200],
  ] as const) {
    const client = await rig.connect();
    await client.send(request);
    assert.equal((await client.readMessage()).status, status, request);
    client.close();
  }
  await rig.end();
  assert.equal(whole, 3);
});

onBoth('what a path captures never leads out of where it is put: 400, and no backend sees it', async (net) => {
  const path = { type: 'ReplaceExpression', pattern: '(?i:/a(.*)).*', value: '/public/$1' } as const;
  const filters: Filter[] = [{ type: 'rewrite', hostname: null, path }];
  for (const target of ['/a../admin', '/a.%2e/admin', '/a..%2fadmin']) {
    const rig = new Rig(net, [net.serve(() => assert.fail('it was asked'))], [rule({ filters })]);
    const client = await rig.connect();
    await client.send(get(target));
    assert.equal((await client.readMessage()).status, 400, target);
    client.close();
    await rig.end();
  }
});

onBoth(
  'runs of slashes go on where a rule keeps them: in full, behind a prefix that is replaced, and again',
  async (net) => {
    const seen: string[] = [];
    const backend = net.serve(async (peer) => {
      for (;;) {
        const request = await peer.readMessage().catch(() => null);
        if (request === null) return;
        seen.push(request.target);
        await peer.send(ok('x'));
      }
    });
    const keep: Filter = { type: 'keepSlashes' };
    const replaced = (value: string): Filter => ({
      type: 'rewrite',
      hostname: null,
      path: { type: 'ReplacePrefixMatch', value },
    });
    const captured: Filter = {
      type: 'rewrite',
      hostname: null,
      path: { type: 'ReplaceExpression', pattern: '/c/(.*)', value: '/d/$1' },
    };
    const rig = new Rig(
      net,
      [backend],
      [
        rule({ name: 'kept', path: '/kept', filters: [keep] }),
        rule({ name: 'merged', path: '/merged' }),
        rule({ name: 'img', path: '/img', filters: [keep, replaced('/')] }),
        rule({ name: 'captured', path: '/c', filters: [keep, captured] }),
      ],
    );
    const client = await rig.connect();
    for (const target of [
      '/kept/https://a.example//b/?c=//d',
      '//kept/%61//./b',
      '/merged/https://a.example//b/',
      '//img//plain/https://a.example/',
      'http://a.example/kept//x',
      '/c//x//y',
      '/kept/plain',
    ]) {
      await client.send(`GET ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      assert.equal((await client.readMessage()).status, 200, target);
    }
    client.close();
    await rig.end();
    assert.deepEqual(seen, [
      '/kept/https://a.example//b/?c=//d',
      '//kept/a//b',
      '/merged/https:/a.example/b/',
      '//plain/https://a.example/',
      '/kept//x',
      '/d/x/y',
      '/kept/plain',
    ]);
  },
);
