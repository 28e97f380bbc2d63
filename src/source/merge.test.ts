import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type KubeObject, keyOf } from '../api/object.ts';
import { HandSource, MemorySink } from './file/testing.ts';
import { Merge } from './merge.ts';

const object = (name: string, from: string, n = 0): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { from, n },
});
const NAMES = ['the files', 'the cluster', 'the environment'];

function rig(): { sources: HandSource[]; sink: MemorySink; merge: Merge } {
  const sources = NAMES.map(() => new HandSource());
  const sink = new MemorySink();
  const merge = new Merge(sources.map((source, i) => ({ name: NAMES[i] as string, source })));
  merge.start(sink);
  return { sources, sink, merge };
}

test('the first source counts, and what it removes uncovers the next', () => {
  const { sources, sink } = rig();
  const [files, cluster, environment] = sources as [HandSource, HandSource, HandSource];
  environment.sink?.apply([object('a', 'environment')], []);
  files.sink?.apply([object('a', 'files')], []);
  const key = 'Service/default/a';
  const from = (): unknown => (sink.objects.get(key)?.spec as { from?: string } | undefined)?.from;
  assert.equal(from(), 'files');
  assert.deepEqual(
    [...sink.told.values()].flat().map((p) => `${p.severity} ${p.place.object} ${p.message}`),
    [`warning ${key} comes from the files and the environment; the files count`],
  );
  environment.sink?.apply([object('a', 'environment', 1)], []);
  cluster.sink?.apply([], [key]);
  assert.equal(sink.steps.length, 2, 'what is covered changes nothing');
  files.sink?.apply([], [key]);
  assert.deepEqual(sink.objects.get(key), object('a', 'environment', 1));
  assert.equal(sink.told.size, 0);
  environment.sink?.apply([], [key]);
  assert.equal(sink.objects.size, 0);
});

test("whole when all are; complaints are each source's own", () => {
  const { sources, sink } = rig();
  for (const source of sources) {
    assert.equal(sink.isSynced, false);
    source.sink?.problems('x', [{ severity: 'error', message: 'm', place: {} }]);
    source.sink?.synced();
  }
  assert.equal(sink.isSynced, true);
  assert.equal([...sink.told.values()].flat().length, 3);
  sources[1]?.sink?.problems('x', []);
  assert.equal([...sink.told.values()].flat().length, 2);
});

test('after any steps of any sources, the sink holds what the first that has it says', () => {
  const step = fc.record({
    place: fc.integer({ min: 0, max: NAMES.length - 1 }),
    come: fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c'), n: fc.integer({ min: 0, max: 3 }) }), {
      maxLength: 3,
    }),
    gone: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { sources, sink } = rig();
      const model = NAMES.map(() => new Map<string, KubeObject>());
      for (const { place, come, gone } of steps) {
        const upserts = come.map(({ name, n }) => object(name, NAMES[place] as string, n));
        const removals = gone.map((name) => `Service/default/${name}`);
        for (const key of removals) model[place]?.delete(key);
        for (const o of upserts) model[place]?.set(keyOf(o), o);
        sources[place]?.sink?.apply(upserts, removals);
        const wanted = new Map<string, KubeObject>();
        for (const one of [...model].reverse()) for (const [key, o] of one) wanted.set(key, o);
        assert.deepEqual(sink.objects, wanted);
        const shared = [...wanted.keys()].filter((key) => model.filter((m) => m.has(key)).length > 1);
        assert.deepEqual(
          [...sink.told.values()]
            .flat()
            .map((p) => p.place.object)
            .sort(),
          shared.sort(),
        );
      }
    }),
    { seed: 20261126, numRuns: 300 },
  );
});
