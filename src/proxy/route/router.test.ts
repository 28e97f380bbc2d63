// The router against the words and the conformance cases of the Gateway API, v1.6.1.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LISTENER, listenerHost, match, request, rule } from '../../../test/support/routing.ts';
import { RegexError } from '../../base/regex.ts';
import type { Match, RuleEntry } from '../../ir/ir.ts';
import { LABELS } from './labels.ts';
import { normalizeTarget } from './normalize.ts';
import { Router } from './router.ts';

/** A router whose payloads are the names of the routes. */
function routerOf(rules: readonly RuleEntry[], hosts: readonly string[] = ['*']): Router<string> {
  const router = new Router<string>(LISTENER);
  router.setHosts(hosts.map(listenerHost));
  for (const one of rules) router.set(one, `${one.route.slice(one.route.indexOf('/') + 1)}.${one.index}`);
  return router;
}

function ask(
  router: Router<string>,
  host: string,
  target: string,
  lines: readonly string[] = [],
  method = 'GET',
): string | null {
  const { mem, head } = request(host, target, lines, method);
  assert.ok(normalizeTarget(mem, head));
  return router.find(mem, head);
}

/** Rules of one route on any host, one for each list of matches. */
const rulesOf = (...matches: readonly (readonly Match[])[]): RuleEntry[] =>
  matches.map((list, index) => rule({ index, matches: list }));

const at = (path: string): Match[] => [match('PathPrefix', path)];

test('listener isolation (conformance GatewayHTTPListenerIsolation)', () => {
  const hosts = ['*', '*.example.com', '*.foo.example.com', 'abc.foo.example.com'];
  const on = (name: string, host: string, hostnames: readonly string[]): RuleEntry =>
    rule({ route: `default/${name}`, host, hostnames, matches: at(`/${name}`) });
  for (const rules of [
    [
      on('empty', '*', ['*']),
      on('example', '*.example.com', ['*.example.com']),
      on('foo', '*.foo.example.com', ['*.foo.example.com']),
      on('abc', 'abc.foo.example.com', ['abc.foo.example.com']),
    ],
    [
      on('empty', '*', ['bar.com', '*.example.com', '*.foo.example.com', 'abc.foo.example.com']),
      on('example', '*.example.com', ['*.example.com', '*.foo.example.com', 'abc.foo.example.com']),
      on('foo', '*.foo.example.com', ['*.foo.example.com', 'abc.foo.example.com']),
      on('abc', 'abc.foo.example.com', ['abc.foo.example.com']),
    ],
  ]) {
    const router = routerOf(rules, hosts);
    const owners = {
      'bar.com': 'empty',
      'bar.example.com': 'example',
      'bar.foo.example.com': 'foo',
      'abc.foo.example.com': 'abc',
    };
    for (const [host, owner] of Object.entries(owners)) {
      for (const name of ['empty', 'example', 'foo', 'abc']) {
        assert.equal(ask(router, host, `/${name}`), name === owner ? `${name}.0` : null, `${host} /${name}`);
      }
    }
  }
});

test('listener hostnames (conformance HTTPRouteListenerHostnameMatching)', () => {
  const hosts = ['bar.com', 'foo.bar.com', '*.bar.com', '*.foo.com'];
  const on = (name: string, ...hostnames: readonly string[]): RuleEntry =>
    rule({
      route: `default/${name}`,
      attachments: hostnames.map((host) => ({ socket: LISTENER, host, hostnames: [host] })),
    });
  const router = routerOf([on('v1', 'bar.com'), on('v2', 'foo.bar.com'), on('v3', '*.bar.com', '*.foo.com')], hosts);
  assert.equal(ask(router, 'bar.com', '/'), 'v1.0');
  assert.equal(ask(router, 'foo.bar.com', '/'), 'v2.0');
  for (const host of ['baz.bar.com', 'boo.bar.com', 'multiple.prefixes.bar.com', 'multiple.prefixes.foo.com']) {
    assert.equal(ask(router, host, '/'), 'v3.0');
    assert.equal(router.host?.hostname, host.endsWith('.foo.com') ? '*.foo.com' : '*.bar.com');
  }
  for (const host of ['foo.com', 'no.matching.host', '']) {
    assert.equal(ask(router, host, '/'), null);
    assert.equal(router.host, null);
  }
});

test('hostnames intersected with the listener (conformance HTTPRouteHostnameIntersection)', () => {
  const on = (name: string, host: string, hostnames: readonly string[]): RuleEntry =>
    rule({ route: `default/${name}`, host, hostnames, matches: at(`/${name}`) });
  const router = routerOf(
    [
      on('s1', 'very.specific.com', ['very.specific.com']),
      on('s2', '*.wildcard.io', ['foo.wildcard.io', 'bar.wildcard.io', 'foo.bar.wildcard.io']),
      on('s3', 'very.specific.com', ['very.specific.com']),
      on('s4', '*.anotherwildcard.io', ['*.anotherwildcard.io']),
    ],
    ['very.specific.com', '*.wildcard.io', '*.anotherwildcard.io'],
  );
  const found: Readonly<Record<string, string | null>> = {
    'very.specific.com /s1': 's1.0',
    'very.specific.com:1234 /s1': 's1.0',
    'non.matching.com /s1': null,
    'foo.wildcard.io /s1': null,
    'very.specific.com /non-matching-prefix': null,
    'foo.wildcard.io /s2': 's2.0',
    'bar.wildcard.io /s2': 's2.0',
    'foo.bar.wildcard.io /s2': 's2.0',
    'other.wildcard.io /s2': null,
    'wildcard.io /s2': null,
    'very.specific.com /s2': null,
    'very.specific.com /s3': 's3.0',
    'foo.specific.com /s3': null,
    'foo.anotherwildcard.io /s4': 's4.0',
    'foo.bar.anotherwildcard.io /s4': 's4.0',
    'anotherwildcard.io /s4': null,
  };
  for (const [key, expected] of Object.entries(found)) {
    const [host, path] = key.split(' ') as [string, string];
    assert.equal(ask(router, host, path), expected, key);
  }
});

test('of several hostnames the most specific comes first, and the next when it has no matching rule', () => {
  const on = (name: string, hostname: string, path = '/'): RuleEntry =>
    rule({ route: `default/${name}`, hostnames: [hostname], matches: at(path) });
  const router = routerOf([
    on('any', '*'),
    on('com', '*.com', '/com'),
    on('example', '*.example.com', '/example'),
    on('www', 'www.example.com', '/www'),
  ]);
  assert.equal(ask(router, 'www.example.com', '/www'), 'www.0');
  assert.equal(ask(router, 'www.example.com', '/example'), 'example.0');
  assert.equal(ask(router, 'www.example.com', '/com'), 'com.0');
  assert.equal(ask(router, 'www.example.com', '/'), 'any.0');
  assert.equal(ask(router, 'example.com', '/example'), 'any.0');
  assert.equal(ask(router, 'example.com', '/com'), 'com.0');
});

test('a hostname beats every other criterion', () => {
  const router = routerOf([
    rule({ route: 'default/exact', hostnames: ['*.example.com'], matches: [match('Exact', '/a')] }),
    rule({ route: 'default/prefix', hostnames: ['a.example.com'], matches: at('/') }),
  ]);
  assert.equal(ask(router, 'a.example.com', '/a'), 'prefix.0');
});

test('hosts: case, port, trailing dot, missing host, IP literals, odd ones', () => {
  const router = routerOf([
    rule({ route: 'default/example', hostnames: ['a.example.com'] }),
    rule({ route: 'default/under', hostnames: ['*.example.org'] }),
  ]);
  assert.equal(ask(router, 'A.eXample.COM', '/'), 'example.0');
  assert.equal(ask(router, 'a.example.com.', '/'), 'example.0');
  assert.equal(ask(router, 'a.example.com.:8080', '/'), 'example.0');
  assert.equal(ask(router, `${'x.'.repeat(120)}example.org`, '/'), 'under.0');
  assert.equal(ask(router, '.example.org', '/'), null);
  assert.equal(ask(router, 'example.org', '/'), null);
  assert.equal(ask(router, 'aXexample.com', '/'), null);
  assert.equal(ask(router, '', '/'), null);
  router.set(rule({ route: 'default/any' }), 'any');
  for (const host of ['', '10.0.0.1', '[::1]:80', 'a', '.', `${'x'.repeat(300)}.com`]) {
    assert.equal(ask(router, host, '/'), 'any', host);
  }
});

test('an absolute target routes by its own host (RFC 9112 section 3.2.2)', () => {
  const router = routerOf([rule({ hostnames: ['a.example'] })]);
  assert.equal(ask(router, 'b.example', 'http://a.example/x'), 'route.0');
  assert.equal(ask(router, 'a.example', 'http://b.example/x'), null);
});

test('path order (conformance HTTPRoutePathMatchOrder)', () => {
  const router = routerOf(
    rulesOf(
      [match('Exact', '/match')],
      [match('Exact', '/match/exact')],
      [match('Exact', '/match/exact/one')],
      at('/match/'),
      at('/match/prefix/'),
      at('/match/prefix/one'),
    ),
  );
  assert.equal(ask(router, 'h', '/match/exact/one'), 'route.2');
  assert.equal(ask(router, 'h', '/match/exact'), 'route.1');
  assert.equal(ask(router, 'h', '/match'), 'route.0');
  assert.equal(ask(router, 'h', '/match/prefix/one/any'), 'route.5');
  assert.equal(ask(router, 'h', '/match/prefix/any'), 'route.4');
  assert.equal(ask(router, 'h', '/match/any'), 'route.3');
});

test('an exact path is that path alone (PathMatchExact)', () => {
  const router = routerOf(rulesOf([match('Exact', '/abc')], [match('Exact', '/def/')], [match('Exact', '/')]));
  assert.equal(ask(router, 'h', '/abc'), 'route.0');
  assert.equal(ask(router, 'h', '/abc?x=/'), 'route.0');
  assert.equal(ask(router, 'h', '/def/'), 'route.1');
  assert.equal(ask(router, 'h', '/'), 'route.2');
  for (const path of ['/abc/', '/Abc', '/abcd', '/ab', '/abc/d', '/def', '/def/x']) {
    assert.equal(ask(router, 'h', path), null, path);
  }
});

test('a prefix is matched by elements, without its trailing slash (PathMatchPathPrefix)', () => {
  for (const prefix of ['/abc', '/abc/']) {
    const router = routerOf(rulesOf(at(prefix)));
    for (const path of ['/abc', '/abc/', '/abc/def', '/abc//def']) {
      assert.equal(ask(router, 'h', path), 'route.0', path);
      assert.equal(router.prefixLength, 4);
    }
    for (const path of ['/abcd', '/ab', '/', '/Abc']) assert.equal(ask(router, 'h', path), null, path);
  }
});

test('the prefix / matches every request, also those without a path', () => {
  const router = routerOf(rulesOf(at('/')));
  assert.equal(ask(router, 'h', '/'), 'route.0');
  assert.equal(ask(router, 'h', '/a/b?c'), 'route.0');
  assert.equal(ask(router, 'h', '*', [], 'OPTIONS'), 'route.0');
  assert.equal(ask(router, 'h:443', 'h:443', [], 'CONNECT'), 'route.0');
  assert.equal(router.prefixLength, 0);
});

test('regular expressions stand between exact paths and prefixes, the longer pattern first', () => {
  const rules = rulesOf(
    at('/a/b/c'),
    [match('RegularExpression', '/a/.*')],
    [match('RegularExpression', '/a/[a-z]+/c')],
    [match('Exact', '/a/b')],
  );
  assert.equal(ask(routerOf([...rules].reverse()), 'h', '/a/b/c'), 'route.2');
  const router = routerOf(rules);
  assert.equal(ask(router, 'h', '/a/b'), 'route.3');
  assert.equal(ask(router, 'h', '/a/b/c'), 'route.2');
  assert.equal(router.prefixLength, 6);
  assert.equal(ask(router, 'h', '/a/1/c'), 'route.1');
  assert.equal(ask(router, 'h', '/x/a/1'), null, 'the whole path must match');
});

test('method, then headers, then query parameters, then age, name, and place (HTTPRouteRule.matches)', () => {
  const path = 'PathPrefix';
  const all: RuleEntry[] = [
    rule({ route: 'b/method', created: 9, matches: [match(path, '/', { method: 'GET' })] }),
    rule({ route: 'b/headers2', created: 9, matches: [match(path, '/', { headers: ['a=1', 'b=2'] })] }),
    rule({ route: 'b/headers1', created: 9, matches: [match(path, '/', { headers: ['a=1'], query: ['x=1', 'y=2'] })] }),
    rule({ route: 'b/query2', created: 9, matches: [match(path, '/', { query: ['x=1', 'y=2'] })] }),
    rule({ route: 'b/query1', created: 9, matches: [match(path, '/', { query: ['x=1'] })] }),
    rule({ route: 'z/older', created: 5 }),
    rule({ route: 'a/younger', created: 7 }),
    rule({ route: 'b/younger', created: 7, index: 0 }),
    rule({ route: 'b/younger', created: 7, index: 1 }),
  ];
  for (const order of [all, [...all].reverse()]) {
    const left = [...order];
    const router = new Router<string>(LISTENER);
    router.setHosts([listenerHost('*')]);
    for (const one of order) router.set(one, one.key);
    for (const expected of all) {
      assert.equal(ask(router, 'h', '/?x=1&y=2', ['a: 1', 'b: 2']), expected.key);
      assert.equal(router.remove(expected.key), true);
      left.splice(left.indexOf(expected), 1);
      assert.equal(router.size, left.length);
    }
  }
});

test('matches of one rule are alternatives, each with a precedence of its own', () => {
  const router = routerOf([
    rule({ route: 'default/a', matches: [match('Exact', '/x'), match('PathPrefix', '/long/prefix')] }),
    rule({ route: 'default/b', matches: [match('PathPrefix', '/long'), match('PathPrefix', '/x')] }),
  ]);
  assert.equal(ask(router, 'h', '/x'), 'a.0');
  assert.equal(router.match?.path.type, 'Exact');
  assert.equal(ask(router, 'h', '/x/y'), 'b.0');
  assert.equal(ask(router, 'h', '/long/prefix/z'), 'a.0');
  assert.equal(router.match?.path.value, '/long/prefix');
});

test('query parameters (conformance HTTPRouteQueryParamMatching)', () => {
  const any = (query: readonly string[], headers: readonly string[] = [], path = '/'): Match =>
    match('PathPrefix', path, { query, headers });
  const router = routerOf(
    rulesOf(
      [any(['animal=whale'])],
      [any(['animal=dolphin'])],
      [any(['animal=dolphin', 'color=blue']), any(['ANIMAL=Whale'])],
      [any(['animal=whale'], [], '/path1')],
      [any(['animal=whale'], ['version=one'])],
      [any(['animal=whale'], ['version=two'], '/path2')],
      [any(['animal=shark'], [], '/path3'), any(['animal=kraken'], ['version=three'], '/path4')],
      [any([], [], '/path5')],
      [any(['animal=hydra'])],
      [any([], ['version=four'])],
    ),
  );
  const cases: readonly (readonly [target: string, expected: number | null, line?: string])[] = [
    ['/?animal=whale', 0],
    ['/?animal=dolphin', 1],
    ['/?animal=dolphin&color=blue', 2],
    ['/?ANIMAL=Whale', 2],
    ['/?animal=whale&otherparam=irrelevant', 0],
    ['/?animal=dolphin&color=yellow', 1],
    ['/?color=blue', null],
    ['/?animal=dog', null],
    ['/?animal=whaledolphin', null],
    ['/', null],
    ['/path1?animal=whale', 3],
    ['/?animal=whale', 4, 'version: one'],
    ['/path2?animal=whale', 5, 'version: two'],
    ['/path3?animal=shark', 6],
    ['/path4?animal=kraken', 6, 'version: three'],
    ['/?animal=shark', null],
    ['/path4?animal=kraken', null],
    ['/path5?animal=hydra', 7],
    ['/?animal=hydra', 9, 'version: four'],
  ];
  for (const [target, expected, line] of cases) {
    const found = ask(router, 'h', target, line === undefined ? [] : [line]);
    assert.equal(found, expected === null ? null : `route.${expected}`, target);
  }
});

test('a change of listener hosts takes effect at once, also before or after its rules', () => {
  const router = routerOf([rule({ host: '*.example.com', hostnames: ['a.example.com'] })], []);
  assert.equal(ask(router, 'a.example.com', '/'), null);
  router.setHosts([listenerHost('*'), listenerHost('*.example.com')]);
  assert.equal(ask(router, 'a.example.com', '/'), 'route.0');
  router.setHosts([listenerHost('*')]);
  assert.equal(ask(router, 'a.example.com', '/'), null);
  assert.equal(router.host?.hostname, '*');
  router.setHosts([{ ...listenerHost('*.example.com'), gateway: 'gateway/other/gateway' }]);
  assert.equal(ask(router, 'a.example.com', '/'), 'route.0');
  assert.equal(router.host?.gateway, 'gateway/other/gateway');
});

test('attachments to other listeners do not count', () => {
  const other = { socket: 'socket/0.0.0.0/81/tcp', host: '*', hostnames: ['*'] };
  const router = routerOf([rule({ attachments: [other] })]);
  assert.equal(ask(router, 'h', '/'), null);
  assert.equal(router.remove('rule/HTTPRoute/default/route/0'), true);
  assert.equal(router.remove('rule/HTTPRoute/default/route/0'), false);
});

test('a rule that cannot be compiled changes nothing', () => {
  const router = routerOf([rule({})]);
  assert.throws(() => router.set(rule({ matches: [match('RegularExpression', '(')] }), 'new'), RegexError);
  assert.throws(
    () => router.set(rule({ matches: at('/a/../..') }), 'new'),
    /"\/a\/..\/.." is not a valid absolute path/,
  );
  assert.equal(ask(router, 'h', '/'), 'route.0');
});

test('10,000 rules on one host: a change touches its own path only', () => {
  const router = new Router<number>(LISTENER);
  router.setHosts([listenerHost('*')]);
  const of = (i: number): RuleEntry => rule({ route: `default/r${i}`, matches: at(`/api/v1/service-${i}`) });
  for (let i = 0; i < 10_000; i++) router.set(of(i), i);
  for (let i = 0; i < 10_000; i += 3) router.remove(of(i).key);
  for (const i of [0, 1, 2, 3, 4998, 4999, 5000, 9998, 9999]) {
    const { mem, head } = request('h', `/api/v1/service-${i}/x`);
    assert.equal(router.find(mem, head), i % 3 === 0 ? null : i);
  }
  assert.equal(router.size, 6666);
});

test('what rules that are gone have used is free again', () => {
  const router = routerOf([rule({ matches: at('/stays/here') })]);
  const before = LABELS.inUse;
  const paths = ['/stays', '/stays/here/too', '/stays/there', '/a/b/c', '/a/b/d', '/a', '/'];
  const passing = paths.map((path, i) =>
    rule({ route: `default/passing${i}`, hostnames: ['*', '*.example', 'h.example'], matches: at(path) }),
  );
  for (let round = 0; round < 3; round++) {
    for (const one of passing) router.set(one, 'passing');
    assert.ok(LABELS.inUse > before);
    for (const one of round === 1 ? [...passing].reverse() : passing) router.remove(one.key);
    assert.equal(LABELS.inUse, before);
    assert.equal(ask(router, 'h', '/stays/here'), 'route.0');
    assert.equal(ask(router, 'h', '/stays'), null);
  }
  router.remove('rule/HTTPRoute/default/route/0');
  router.setHosts([]);
  assert.equal(LABELS.inUse, before - '/stays/here'.length - '**'.length);
});
