import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formOf } from './forms.ts';
import { knownKinds } from './kinds.ts';
import type { Shape } from './shape.ts';

function* patterns(shape: Shape): Generator<string> {
  if (shape.pattern !== undefined) yield shape.pattern;
  for (const child of Object.values(shape.fields ?? {})) yield* patterns(child);
  if (shape.items !== undefined) yield* patterns(shape.items);
  if (shape.values !== undefined) yield* patterns(shape.values);
}

test('every pattern of every kind has a form in words, which shows nothing of the pattern', () => {
  const all = new Set(knownKinds().flatMap(({ versions }) => Object.values(versions).flatMap((s) => [...patterns(s)])));
  assert.ok(all.size > 10);
  for (const pattern of all) {
    const { must } = formOf(pattern, '\u0001', () => true);
    assert.doesNotMatch(must, /another form|\^|\]\*|\)\?/, pattern);
  }
});

test('what is offered in place of a wrong value is right by the pattern that refused it', () => {
  const wrong = [
    ...['App.Example.com', 'app.example.com:80', 'https://a.b/c', 'a_b', 'a..b', '*x.y', 'x.*.y', 'ü.de', 'a.', ''],
    ...['10', '1.5s', '1d', '90 s', '2 minutes', '0.001s', 'X Env', 'X-Env:', 'run/x', 'http://a.b/c?d', 'a b', '-a-'],
  ];
  for (const { versions } of knownKinds()) {
    for (const pattern of Object.values(versions).flatMap((shape) => [...patterns(shape)])) {
      for (const value of wrong) {
        const { write } = formOf(pattern, value, (text) => new RegExp(pattern, 'u').test(text));
        if (write !== '') assert.match(write, new RegExp(pattern, 'u'), `${pattern} of ${value}`);
        if (value === 'app.example.com:80' && pattern.startsWith('^(\\*')) assert.equal(write, 'app.example.com');
      }
    }
  }
});
