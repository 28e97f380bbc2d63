import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applied, diff } from './diff.ts';
import type { ClusterEntry, Ir } from './ir.ts';

function cluster(name: string, addresses: readonly string[]): ClusterEntry {
  return {
    kind: 'cluster',
    key: `cluster/Service/ns/${name}/80`,
    backend: `ns/${name}`,
    protocol: 'http1',
    balancer: { type: 'roundRobin' },
    endpoints: addresses.map((address) => ({ id: address, address, port: 80, zone: '', weight: 1, state: 'ready' })),
  };
}
function ir(...entries: ClusterEntry[]): Ir {
  return new Map(entries.map((entry) => [entry.key, entry]));
}

test('what changed, appeared and vanished, and nothing else', () => {
  const before = ir(cluster('same', ['a']), cluster('changed', ['a']), cluster('gone', []));
  const next = ir(cluster('new', []), cluster('changed', ['b']), cluster('same', ['a']));
  const delta = diff(before, next);
  assert.deepEqual(delta.upserts.map((entry) => entry.key).sort(), [
    'cluster/Service/ns/changed/80',
    'cluster/Service/ns/new/80',
  ]);
  assert.deepEqual(delta.removals, ['cluster/Service/ns/gone/80']);
  assert.deepEqual(diff(applied(before, delta), next), { upserts: [], removals: [] });
  assert.equal(before.size, 3, 'the old one is left as it was');
});

test('the order of entries carries no meaning', () => {
  const [a, b] = [cluster('a', []), cluster('b', [])];
  assert.deepEqual(diff(ir(a, b), ir(b, a)), { upserts: [], removals: [] });
});
