// Whatever stands in a file, checking it never throws; what is good stays as it is when it is checked again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { OWN_KINDS } from './backend.ts';
import { CORE_KINDS } from './core.ts';
import { GATEWAY_API_KINDS } from './generated/index.ts';
import { checkObject } from './schema.ts';
import type { KindInfo, Shape } from './shape.ts';

const KINDS = [...GATEWAY_API_KINDS, ...CORE_KINDS, ...OWN_KINDS];

const TEXTS = [
  'a',
  '/a',
  'a.example.com',
  '10s',
  '1s',
  '',
  'Kind',
  '127.0.0.1',
  'HTTP',
  'eA==',
  'rauta.io/x',
  'http://a.example',
  '*',
];

function fits(text: string, { min = 0, max = 999, pattern = '', format }: Shape): boolean {
  if (text.length < min || text.length > max || (format === 'byte' && text !== 'eA==')) return false;
  return new RegExp(pattern).test(text);
}

/** Values that mostly fit the shape, and sometimes do not. */
function valueFor(shape: Shape, depth: number): fc.Arbitrary<unknown> {
  const good = ((): fc.Arbitrary<unknown> => {
    switch (shape.type) {
      case 'object': {
        const fields = Object.entries(shape.fields ?? {}).map(
          ([name, child]) => [name, valueFor(child, depth + 1)] as const,
        );
        const required = (shape.required ?? []).filter((name) => shape.fields?.[name] !== undefined);
        if (depth > 7) return fc.constant({});
        return fc.record(Object.fromEntries(fields), { requiredKeys: required });
      }
      case 'map':
        return fc.dictionary(
          fc.constantFrom('a', 'b.c', 'tls.crt', '__proto__'),
          valueFor(shape.values as Shape, depth + 1),
          { maxKeys: 2 },
        );
      case 'array':
        return fc.array(valueFor(shape.items as Shape, depth + 1), {
          minLength: Math.min(shape.min ?? 0, 2),
          maxLength: 2,
        });
      case 'string':
        return fc.constantFrom(...(shape.enum ?? TEXTS.filter((text) => fits(text, shape))));
      case 'integer':
      case 'number':
        return fc.constantFrom(
          ...(shape.enum ?? [0, 1, 80, 443, 500].filter((n) => n >= (shape.min ?? 0) && n <= (shape.max ?? 999))),
        );
      case 'boolean':
        return fc.boolean();
      case 'intOrString':
        return fc.constantFrom<unknown>(80, 'http');
      case 'free':
        return fc.constant({ any: 'thing' });
    }
  })();
  return fc.oneof(
    { weight: 60, arbitrary: good },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(null, 0, 'x', [], {}, true) },
  );
}

function objectOf({ kind, apiVersion, versions }: KindInfo): fc.Arbitrary<unknown> {
  const metadata = fc.oneof(
    {
      weight: 20,
      arbitrary: fc.constantFrom<unknown>({ name: 'a' }, { name: 'b', namespace: 'c', labels: { d: 'e' } }),
    },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(null, [], { name: 1 }, { name: 'A', labels: [] }) },
  );
  return fc.tuple(metadata, valueFor(versions[apiVersion] as Shape, 0)).map(([m, body]) => ({
    ...(typeof body === 'object' ? body : {}),
    apiVersion,
    kind,
    metadata: m,
  }));
}

for (const info of KINDS) {
  test(`${info.kind}: any object is checked without throwing, a good one for good`, () => {
    let good = 0;
    fc.assert(
      fc.property(objectOf(info), (value) => {
        const { object, problems } = checkObject(value);
        if (object === null) {
          assert.ok(
            problems.some((p) => p.severity === 'error'),
            JSON.stringify(value),
          );
          return;
        }
        good++;
        const again = checkObject(object);
        assert.deepEqual(again.object, object);
        assert.deepEqual(
          again.problems.filter((p) => p.severity === 'error' || p.message.startsWith('unknown field')),
          [],
        );
      }),
      { seed: 20261121, numRuns: 60 },
    );
    assert.ok(good > 0, 'not one good object was made');
  });
}

test('any JSON at all', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...KINDS), (spec, { kind, apiVersion }) => {
      checkObject(spec);
      checkObject({ apiVersion, kind, metadata: { name: 'a' }, spec });
      checkObject({ apiVersion, kind, metadata: spec, spec: {} });
    }),
    { seed: 20261121, numRuns: 300 },
  );
});
