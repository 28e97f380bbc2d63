import assert from 'node:assert/strict';
import { test } from 'node:test';
import { causesOnly, hintFor } from './causes.ts';
import type { Problem } from './problem.ts';

const missing = (absent: string): Problem => ({
  severity: 'error',
  message: 'does not exist',
  place: { object: 'HTTPRoute/default/app' },
  absent,
});
const refused = (object: string): Problem => ({
  severity: 'error',
  message: 'wrong',
  place: { object },
  effect: 'is not served',
});

test('what refers to an object that is wrong itself is not told that it is not there', () => {
  const cause = refused('Gateway/default/web');
  assert.deepEqual(causesOnly([cause, missing('Gateway/default/web')]), [cause]);
  // A name that only its letters make wrong is still the one that is meant.
  const upper = refused('Gateway/default/Web_1');
  assert.deepEqual(causesOnly([upper, missing('Gateway/default/web-1')]), [upper]);
});

test('what is missing for no fault of another object is told', () => {
  const other = refused('Gateway/default/other');
  const both = [other, missing('Gateway/default/web'), missing('Gateway/shop/other')];
  assert.deepEqual(causesOnly(both), both);
  // One that is only warned of is there.
  const warned: Problem = { ...refused('Gateway/default/web'), severity: 'warning' };
  assert.equal(causesOnly([warned, missing('Gateway/default/web')]).length, 2);
});

test('a text that cannot be read hides what it may define', () => {
  const broken = (kind: string | null, name: string | null): Problem => ({
    severity: 'error',
    message: 'no YAML',
    place: {},
    hides: [{ kind, name }],
  });
  assert.equal(causesOnly([broken(null, 'web'), missing('Gateway/default/web')]).length, 1);
  assert.equal(causesOnly([broken('Gateway', null), missing('Gateway/default/web')]).length, 1);
  assert.equal(causesOnly([broken('Service', 'web'), missing('Gateway/default/web')]).length, 2);
  assert.equal(causesOnly([broken(null, 'app'), missing('Gateway/default/web')]).length, 2);
});

test('who needs any object of a kind is not told where something is wrong with one', () => {
  const cause = refused('EndpointSlice/default/a');
  assert.deepEqual(causesOnly([cause, missing('EndpointSlice/default/')]), [cause]);
  assert.equal(causesOnly([cause, missing('EndpointSlice/shop/')]).length, 2);
});

test('a reference to nobody: the Backend of that name, the nearest name, the other namespace, what there is', () => {
  const keys = ['Backend/default/shop', 'Service/default/cart', 'Service/team/mail', 'Gateway/default/web'];
  keys.push('XBackend/default/api');
  const place = (): { file: string; line: number } => ({ file: 'b.yaml', line: 4 });
  const asked: string[] = [];
  const keysOf = (kind: string): string[] => {
    asked.push(kind);
    return keys.filter((key) => key.startsWith(`${kind}/`));
  };
  const hint = (absent: string): string => hintFor(absent, keysOf, place);
  assert.equal(
    hint('Service/default/shop'),
    ' For Backend default/shop (b.yaml:4) write group: rauta.io, kind: Backend.',
  );
  assert.equal(hint('Backend/default/cart'), ' For Service default/cart (b.yaml:4) leave out group and kind.');
  assert.equal(hint('Service/default/car'), ' Did you mean cart?');
  assert.equal(hint('Service/default/mail'), ' There is one in namespace team: write namespace: team.');
  assert.equal(hint('Gateway/default/other'), ' There is web.');
  assert.equal(
    hint('Service/default/api'),
    ' For XBackend default/api (b.yaml:4) write group: gateway.networking.x-k8s.io, kind: XBackend.',
  );
  assert.equal(hint('XBackend/default/cart'), ' For Service default/cart (b.yaml:4) leave out group and kind.');
  assert.equal(hint('Secret/default/cert'), '');
  // Whoever has thousands of routes has as many complaints, and each would go over all objects.
  assert.deepEqual([...new Set(asked)].sort(), ['Backend', 'Gateway', 'Secret', 'Service', 'XBackend']);
});

test('a warning of an object that is there takes no error of what it lacks away', () => {
  const idle: Problem = { severity: 'warning', message: 'no effect', place: { object: 'ReferenceGrant/shop/one' } };
  const lacking = missing('ReferenceGrant/shop/');
  assert.deepEqual(causesOnly([idle, lacking]), [idle, lacking]);
  assert.deepEqual(causesOnly([refused('ReferenceGrant/shop/one'), lacking]).length, 1);
});

test('that nobody refers to something is no complaint where a document is left out', () => {
  const idle: Problem = { severity: 'warning', message: 'no effect', place: { object: 'X/shop/one' }, idle: true };
  assert.deepEqual(causesOnly([idle]), [idle]);
  const left = refused('HTTPRoute/shop/app');
  assert.deepEqual(causesOnly([left, idle]), [left]);
});
