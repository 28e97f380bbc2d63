// What the translator hands out, the data plane takes: a worker refuses a revision as a whole, so a rule that the
// translator lets through and the proxy cannot compile would stop everybody's changes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KubeObject } from '../src/api/object.ts';
import type { Entry } from '../src/ir/ir.ts';
import { ClusterRef, CompiledRule, RouteCells } from '../src/proxy/exchange/rule.ts';
import { Router } from '../src/proxy/route/router.ts';
import { Store } from '../src/store/store.ts';
import { Translator } from '../src/translate/translator.ts';
import { goldenNames, readGolden } from '../tools/golden.ts';

const OPTIONS = {
  controllerName: 'rauta.io/gateway-controller',
  implicitClass: 'rauta',
  defaultAddresses: ['0.0.0.0'],
  portMap: new Map(),
};

function takes(entries: Iterable<Entry>): number {
  const routers = new Map<string, Router<CompiledRule>>();
  let rules = 0;
  for (const entry of entries) {
    if (entry.kind !== 'rule') continue;
    const rule = new CompiledRule(entry, new RouteCells(), (key) => new ClusterRef(key));
    for (const { socket } of entry.attachments) {
      let router = routers.get(socket);
      if (router === undefined) {
        router = new Router<CompiledRule>(socket);
        routers.set(socket, router);
      }
      router.set(entry, rule);
    }
    rules++;
  }
  return rules;
}

test('every golden configuration', () => {
  let rules = 0;
  for (const name of goldenNames()) {
    const { objects, options } = readGolden(name);
    const store = new Store();
    const translator = new Translator(options);
    translator.update(store, { keys: store.apply(objects, []) });
    rules += takes(translator.ir.values());
  }
  assert.ok(rules > 80);
});

// Texts near what is allowed, and far from it.
const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({
    unit: fc.constantFrom('/', '/', '.', '.', '%2e', '%5C', '%00', '%61', '%', '2', 'a', '~', '#', '?', ' ', ';', '@'),
    maxLength: 10,
  }),
  fc.constantFrom('/', '//', '/%00', '/a/%2e%2e/b', '/%2e', '/ä', '*', '', '/a?b', '/a#b', '/\u0000', '/%zz', '/a%'),
);
const path = fc.oneof(
  { arbitrary: fc.constantFrom('/a', '/a/', '/a%20b', '/~a/b.c'), weight: 3 },
  nasty,
  nasty.map((text) => `/${text}`),
);
const expression = fc.oneof(
  { arbitrary: fc.constantFrom('.*', 'a|b', '/x/[0-9]+'), weight: 3 },
  nasty,
  fc.string({
    unit: fc.constantFrom('(', ')', '[', ']', '{', '}', '*', '+', '?', '|', '\\', 'a', '1', ',', '^', '$'),
    maxLength: 12,
  }),
  fc.constantFrom('(?=a)', '(a){1000}', '((a{100}){100})', '\\1', '.*', '[[:alpha:]]+', '(?P<x>a)'),
);
const fieldName = fc.oneof(
  { arbitrary: fc.constantFrom('X-A', 'x-a', 'Date', 'Via'), weight: 4 },
  nasty,
  fc.constantFrom(
    'X-A',
    'x-a',
    'Host',
    'EXPECT',
    'Connection',
    'Content-Length',
    'Transfer-Encoding',
    'TE',
    'Trailer',
    'Upgrade',
    'Keep-Alive',
    'Proxy-Connection',
    'HTTP2-Settings',
    'Date',
    'Server',
    'Via',
    'Set-Cookie',
    'X-Forwarded-For',
  ),
);
const fieldValue = fc.oneof(
  { arbitrary: fc.constantFrom('a', '{{uuid}}', ' x y '), weight: 4 },

  nasty,
  fc.constantFrom('{{uuid}}', 'a{{uuid}}b{{uuid}}', ' x ', 'a\r\nb: c', '\t', '\u0085', '\ud800'),
);
const valueMatch = fc.record({
  name: fieldName,
  type: fc.constantFrom(undefined, 'Exact', 'RegularExpression'),
  value: fc.oneof(expression, fieldValue),
});
const match = fc.record(
  {
    path: fc.record({ type: fc.constantFrom('Exact', 'PathPrefix'), value: path }),
    method: fc.constantFrom('GET', 'GET', 'PATCH', 'get'),
    headers: fc.array(valueMatch, { maxLength: 1 }),
    queryParams: fc.array(valueMatch, { maxLength: 1 }),
  },
  { requiredKeys: [] },
);
const expressionMatch = fc.record({ path: fc.record({ type: fc.constant('RegularExpression'), value: expression }) });
const field = fc.record({ name: fieldName, value: fieldValue });
const modifier = fc.record({
  set: fc.array(field, { maxLength: 1 }),
  add: fc.array(field, { maxLength: 1 }),
  remove: fc.array(fieldName, { maxLength: 2 }),
});
const pathModifier = fc.oneof(
  path.map((value) => ({ type: 'ReplaceFullPath', replaceFullPath: value })),
  path.map((value) => ({ type: 'ReplacePrefixMatch', replacePrefixMatch: value })),
);
const hostname = fc.oneof(
  { arbitrary: fc.constantFrom('a.example', 'b.example'), weight: 3 },
  nasty,
  fc.constantFrom('a.example', '*.example', 'A.example', 'a'.repeat(300)),
);
const filter = fc.oneof(
  modifier.map((requestHeaderModifier) => ({ type: 'RequestHeaderModifier', requestHeaderModifier })),
  modifier.map((responseHeaderModifier) => ({ type: 'ResponseHeaderModifier', responseHeaderModifier })),
  fc
    .record({ hostname, path: pathModifier }, { requiredKeys: [] })
    .map((urlRewrite) => ({ type: 'URLRewrite', urlRewrite })),
  fc
    .record(
      { hostname, path: pathModifier, port: fc.constantFrom(0, 80, 8443), scheme: fc.constantFrom('http', 'ftp') },
      { requiredKeys: [] },
    )
    .map((requestRedirect) => ({ type: 'RequestRedirect', requestRedirect })),
);
const rule = fc.record(
  {
    name: nasty,
    matches: fc.array(fc.oneof(match, expressionMatch), { maxLength: 1 }),
    filters: fc.array(filter, { maxLength: 2 }),
    backendRefs: fc.array(
      fc.record({
        name: fc.constantFrom('app', 'nobody'),
        port: fc.constant(80),
        weight: fc.constantFrom(undefined, 0, 1, 1_000_000),
        filters: fc.array(filter, { maxLength: 1 }),
      }),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
);

test('whatever a rule says', () => {
  let served = 0;
  fc.assert(
    fc.property(
      fc.array(rule, { minLength: 1, maxLength: 4 }),
      fc.array(hostname, { maxLength: 2 }),
      (rules, hostnames) => {
        const object = (kind: string, name: string, spec: unknown): KubeObject => ({
          apiVersion: 'any/v1',
          kind,
          metadata: { name, namespace: 'default' },
          spec,
        });
        const store = new Store();
        const keys = store.apply(
          [
            object('Gateway', 'edge', {
              gatewayClassName: 'rauta',
              listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
            }),
            object('Service', 'app', { ports: [{ port: 80 }] }),
            object('HTTPRoute', 'app', { parentRefs: [{ name: 'edge' }], hostnames, rules }),
          ],
          [],
        );
        const translator = new Translator(OPTIONS);
        translator.update(store, { keys });
        takes(translator.ir.values());
        for (const entry of translator.ir.values()) {
          if (entry.kind === 'rule' && entry.action.type !== 'respond') served++;
        }
      },
    ),
    { seed: 5, numRuns: 2_000 },
  );
  assert.ok(served > 400, `${served} rules were more than a refusal`);
});
