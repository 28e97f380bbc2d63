// The router against an oracle that knows no trees and no hashes: it lists every match that applies and sorts them by
// the words of the Gateway API (v1.6.1).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LISTENER, listenerHost, request } from '../../../test/support/routing.ts';
import type { Match, RuleEntry, ValueMatch } from '../../ir/ir.ts';
import { normalizeTarget } from './normalize.ts';
import { Router } from './router.ts';

interface Ask {
  readonly host: string;
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}

// ---- the oracle

function covers(hostname: string, host: string): boolean {
  if (hostname === '*') return true;
  if (hostname.startsWith('*.')) return host.endsWith(hostname.slice(1)) && host.length > hostname.length - 1;
  return hostname === host;
}

/** Larger is more specific: exact, then more labels in the suffix, then '*'. */
function specificity(hostname: string): number {
  if (hostname === '*') return 0;
  return hostname.startsWith('*.') ? hostname.split('.').length : 1000;
}

function mostSpecific(hostnames: readonly string[], host: string): string[] {
  return hostnames.filter((h) => covers(h, host)).sort((a, b) => specificity(b) - specificity(a));
}

function elements(path: string): string[] {
  return path.replace(/\/+$/, '').split('/');
}

function pathApplies(match: Match, path: string): boolean {
  const { type, value } = match.path;
  if (type === 'Exact') return value === path;
  if (type === 'RegularExpression') return new RegExp(`^(?:${value})$`).test(path);
  const wanted = elements(value);
  return wanted.every((element, i) => path.split('/')[i] === element);
}

function valuesApply(matches: readonly ValueMatch[], values: Readonly<Record<string, string>>): boolean {
  return matches.every((m) => {
    const value = values[m.name];
    if (value === undefined) return false;
    return m.type === 'Exact' ? value === m.value : new RegExp(`^(?:${m.value})$`).test(value);
  });
}

interface Ranked {
  readonly key: string;
  readonly rank: readonly (number | string)[];
}

function rankOf(rule: RuleEntry, i: number, hostname: string): Ranked {
  const match = rule.matches[i] as Match;
  const { type, value } = match.path;
  const kind = { Exact: 0, RegularExpression: 1, PathPrefix: 2 }[type];
  const length = type === 'PathPrefix' ? elements(value).join('/').length : value.length;
  const rank = [
    -specificity(hostname),
    kind,
    -length,
    match.method === '' ? 1 : 0,
    -match.headers.length,
    -match.query.length,
    rule.created,
    rule.route,
    rule.index,
    i,
  ];
  return { key: rule.key, rank };
}

function compare(a: Ranked, b: Ranked): number {
  for (let i = 0; i < a.rank.length; i++) {
    const x = a.rank[i] as number | string;
    const y = b.rank[i] as number | string;
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

function oracle(hosts: readonly string[], rules: Iterable<RuleEntry>, ask: Ask): string | null {
  const listener = mostSpecific(hosts, ask.host)[0];
  const ranked: Ranked[] = [];
  for (const rule of rules) {
    const hostnames = rule.attachments.filter((a) => a.host === listener).flatMap((a) => a.hostnames);
    for (const hostname of mostSpecific(hostnames, ask.host)) {
      rule.matches.forEach((match, i) => {
        const applies =
          pathApplies(match, ask.path) &&
          (match.method === '' || match.method === ask.method) &&
          valuesApply(match.headers, ask.headers) &&
          valuesApply(match.query, ask.query);
        if (applies) ranked.push(rankOf(rule, i, hostname));
      });
    }
  }
  return ranked.sort(compare)[0]?.key ?? null;
}

// ---- what is asked and configured, from small alphabets, so that things meet

const host = fc.constantFrom('a.example', 'b.example', 'x.a.example', 'y.x.a.example', 'example', 'other');
const hostname = fc.constantFrom(
  '*',
  '*.example',
  '*.a.example',
  '*.x.a.example',
  'a.example',
  'x.a.example',
  'example',
);
const element = fc.constantFrom('a', 'b', 'ab', 'aa', 'api');
const path = fc
  .tuple(fc.array(element, { maxLength: 4 }), fc.boolean())
  .map(([parts, slash]) => `/${parts.join('/')}${slash && parts.length > 0 ? '/' : ''}`);
const values = fc.dictionary(fc.constantFrom('p', 'q', 'r'), fc.constantFrom('1', '2'), { noNullPrototype: true });
const valueMatches = fc.uniqueArray(
  fc.oneof(
    fc.record({
      name: fc.constantFrom('p', 'q', 'r'),
      type: fc.constant('Exact' as const),
      value: fc.constantFrom('1', '2'),
    }),
    fc.record({
      name: fc.constantFrom('p', 'q', 'r'),
      type: fc.constant('RegularExpression' as const),
      value: fc.constantFrom('[12]', '2+', '1|x'),
    }),
  ),
  { maxLength: 2, selector: (m) => m.name },
);
const match: fc.Arbitrary<Match> = fc.record({
  path: fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant('PathPrefix' as const), value: path }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('Exact' as const), value: path }) },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('RegularExpression' as const),
        value: fc.constantFrom('/a/.*', '/.*', '/(a|b)/?', '.*/ab', '/[a-z]+/.*'),
      }),
    },
  ),
  method: fc.constantFrom('', '', 'GET', 'POST'),
  headers: valueMatches,
  query: valueMatches,
});
const attachment = fc.record({
  socket: fc.constant(LISTENER),
  host: hostname,
  hostnames: fc.uniqueArray(hostname, { minLength: 1, maxLength: 3 }),
});
const someRule: fc.Arbitrary<RuleEntry> = fc
  .record({
    name: fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5', 'r6'),
    index: fc.nat(2),
    created: fc.constantFrom(0, 100, 200),
    attachments: fc.uniqueArray(attachment, { minLength: 1, maxLength: 2, selector: (a) => a.host }),
    matches: fc.array(match, { minLength: 1, maxLength: 3 }),
  })
  .map(({ name, index, created, attachments, matches }) => ({
    kind: 'rule',
    key: `rule/HTTPRoute/default/${name}/${index}`,
    routeKind: 'HTTPRoute',
    route: `default/${name}`,
    index,
    name: '',
    created,
    attachments,
    matches,
    filters: [],
    action: { type: 'respond', status: 500 },
    timeouts: { requestMs: null, backendMs: null },
    retry: null,
  }));
const someAsk: fc.Arbitrary<Ask> = fc.record({
  host,
  path,
  method: fc.constantFrom('GET', 'POST'),
  headers: values,
  query: values,
});
const hosts = fc.uniqueArray(hostname, { minLength: 1, maxLength: 5 });

function find(router: Router<string>, ask: Ask): string | null {
  const query = new URLSearchParams(ask.query).toString();
  const lines = Object.entries(ask.headers).map(([name, value]) => `${name}: ${value}`);
  const { mem, head } = request(ask.host, query === '' ? ask.path : `${ask.path}?${query}`, lines, ask.method);
  assert.ok(normalizeTarget(mem, head));
  return router.find(mem, head);
}

test('the router finds what the oracle finds, through any history of changes', () => {
  const change = fc.oneof(
    { weight: 4, arbitrary: someRule.map((rule) => ({ type: 'set' as const, rule })) },
    { weight: 2, arbitrary: fc.nat(50).map((n) => ({ type: 'remove' as const, n })) },
    { weight: 1, arbitrary: hosts.map((list) => ({ type: 'hosts' as const, list })) },
  );
  fc.assert(
    fc.property(
      hosts,
      fc.array(change, { minLength: 1, maxLength: 25 }),
      fc.array(someAsk, { minLength: 10, maxLength: 25 }),
      (first, changes, asks) => {
        const router = new Router<string>(LISTENER);
        const rules = new Map<string, RuleEntry>();
        let listed: readonly string[] = first;
        router.setHosts(first.map(listenerHost));
        for (const step of changes) {
          if (step.type === 'set') {
            rules.set(step.rule.key, step.rule);
            router.set(step.rule, step.rule.key);
          } else if (step.type === 'remove') {
            const key = [...rules.keys()][step.n % Math.max(1, rules.size)];
            if (key !== undefined) {
              rules.delete(key);
              router.remove(key);
            }
          } else {
            listed = step.list;
            router.setHosts(listed.map(listenerHost));
          }
        }
        assert.equal(router.size, rules.size);
        for (const ask of asks) {
          assert.equal(find(router, ask), oracle(listed, rules.values(), ask), JSON.stringify(ask));
        }
      },
    ),
    { seed: 20261121, numRuns: 400 },
  );
});

test('added and removed in any order, the same rules give the same answers, and an empty router none', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(someRule, { minLength: 2, maxLength: 12, selector: (rule) => rule.key }),
      fc.uniqueArray(someRule, { maxLength: 8, selector: (rule) => rule.key }),
      fc.array(someAsk, { minLength: 5, maxLength: 15 }),
      fc.infiniteStream(fc.nat()),
      (rules, passing, asks, numbers) => {
        const shuffled = (list: readonly RuleEntry[]): RuleEntry[] =>
          list
            .map((rule) => ({ rule, n: numbers.next().value as number }))
            .sort((a, b) => a.n - b.n)
            .map(({ rule }) => rule);
        const router = new Router<string>(LISTENER);
        const all = ['*', '*.example', '*.a.example', 'a.example', 'x.a.example'];
        router.setHosts(all.map(listenerHost));
        for (const rule of shuffled([...rules, ...passing])) router.set(rule, rule.key);
        for (const rule of shuffled(passing)) router.remove(rule.key);
        for (const rule of shuffled(rules)) router.set(rule, rule.key);
        for (const ask of asks) assert.equal(find(router, ask), oracle(all, rules, ask));
        for (const rule of shuffled(rules)) router.remove(rule.key);
        assert.equal(router.size, 0);
        for (const ask of asks) assert.equal(find(router, ask), null);
      },
    ),
    { seed: 20261121, numRuns: 200 },
  );
});
