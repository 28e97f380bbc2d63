// What the translator hands out, the data plane takes: a worker refuses a revision as a whole, so a rule that the
// translator lets through and the proxy cannot compile would stop everybody's changes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KubeObject } from '../src/api/object.ts';
import { bytesOf } from '../src/base/bytes.ts';
import { normalizedPath } from '../src/proxy/route/normalize.ts';
import { Store } from '../src/store/store.ts';
import { pathFault } from '../src/translate/path.ts';
import { Translator } from '../src/translate/translator.ts';
import { goldenNames, readGolden } from '../tools/golden.ts';
import { Worker } from './support/worker-config.ts';

const OPTIONS = {
  controllerName: 'rauta.io/gateway-controller',
  implicitClass: 'rauta',
  defaultAddresses: ['0.0.0.0'],
  portMap: new Map(),
};

test('every golden configuration', () => {
  const worker = new Worker();
  for (const name of goldenNames()) {
    const { objects, options } = readGolden(name);
    const store = new Store();
    const translator = new Translator(options);
    translator.update(store, { keys: store.apply(objects, []) });
    worker.takes(translator.ir.values());
  }
  for (const kind of ['socket', 'gateway', 'rule', 'cluster', 'endpoints']) {
    assert.ok((worker.kinds.get(kind) ?? 0) > 50, `${kind}: ${worker.kinds.get(kind)}`);
  }
});

// Texts near what is allowed, and far from it.
const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({
    unit: fc.constantFrom(
      '/',
      '/',
      '.',
      '.',
      '%2e',
      '%5C',
      '%00',
      '%61',
      '%',
      '2',
      'a',
      '~',
      '#',
      '?',
      ' ',
      ';',
      '@',
      '\\\\',
      '%3b',
      '%2F',
      '..;',
    ),
    maxLength: 10,
  }),
  fc.constantFrom('/', '//', '/%00', '/a/%2e%2e/b', '/%2e', '/ä', '*', '', '/a?b', '/a#b', '/\u0000', '/%zz', '/a%'),
);
const path = fc.oneof(
  { arbitrary: fc.constantFrom('/a', '/a/', '/a%20b', '/~a/b.c'), weight: 3 },
  nasty,
  nasty.map((text) => `/${text}`),
);
test('a path that the translator finds no fault with is one for workers', () => {
  const property = fc.property(path, (text) => {
    if (text.startsWith('/') && pathFault(text) === null) assert.notEqual(normalizedPath(bytesOf(text)), null, text);
  });
  fc.assert(property, { numRuns: 20_000 });
});

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
      fc
        .record({
          to: fc.constantFrom(
            { name: 'app', port: 80 },
            { name: 'app', group: 'rauta.io', kind: 'Backend' },
            { name: 'nobody', port: 80 },
          ),
          weight: fc.constantFrom(undefined, 0, 1, 1_000_000),
          filters: fc.array(filter, { maxLength: 1 }),
        })
        .map(({ to, ...rest }) => ({ ...to, ...rest })),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
);

const port = fc.constantFrom<unknown>(80, 65_535, 0, 65_536, -1, '80', 1.5);
const backendEndpoint = fc.record(
  {
    address: fc.oneof(fc.constantFrom('10.0.0.1', '::1', 'fe80::1%lo', '10.0.0.256'), nasty),
    unix: fc.oneof({ arbitrary: fc.constant(undefined), weight: 4 }, fc.constant('/run/app.sock'), nasty),
    port,
    zone: nasty,
    weight: fc.constantFrom<unknown>(undefined, 1, 7, 0, -1, 1e9),
  },
  { requiredKeys: [] },
);
const listener = fc.record({
  name: nasty,
  port,
  protocol: fc.constantFrom('HTTP', 'HTTP', 'HTTPS', 'TCP', 'http'),
  hostname,
});

test('whatever a rule, a Backend or a listener says', () => {
  const worker = new Worker();
  let served = 0;
  fc.assert(
    fc.property(
      fc.array(rule, { minLength: 1, maxLength: 4 }),
      fc.array(hostname, { maxLength: 2 }),
      fc.array(backendEndpoint, { maxLength: 3 }),
      fc.array(listener, { maxLength: 2 }),
      (rules, hostnames, endpoints, listeners) => {
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
              listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }, ...listeners],
            }),
            object('Service', 'app', { ports: [{ port: 80 }] }),
            object('Backend', 'app', { endpoints }),
            object('HTTPRoute', 'app', { parentRefs: [{ name: 'edge' }], hostnames, rules }),
          ],
          [],
        );
        const translator = new Translator(OPTIONS);
        translator.update(store, { keys });
        worker.takes(translator.ir.values());
        for (const entry of translator.ir.values()) {
          if (entry.kind === 'rule' && entry.action.type !== 'respond') served++;
        }
      },
    ),
    { seed: 5, numRuns: 2_000 },
  );
  assert.ok(served > 400, `${served} rules were more than a refusal`);
});
