import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGolden } from '../../tools/golden.ts';
import type { KubeObject } from '../api/object.ts';
import { Store } from '../store/store.ts';
import { Translator } from './translator.ts';

test('who gets a Service in the update in which another leaves it has it, in whatever order they came', () => {
  const { objects, options } = readGolden('service-names-that-meet');
  const gateways = objects.filter(({ kind }) => kind === 'Gateway');
  const service = objects.filter(({ kind }) => kind === 'Service');
  const rest = objects.filter((object) => !gateways.includes(object) && !service.includes(object));
  assert.deepEqual([gateways.length, service.length], [2, 1]);
  for (const order of [gateways, gateways.toReversed()]) {
    const store = new Store();
    const translator = new Translator(options);
    const step = (upserts: readonly KubeObject[]): void => {
      translator.update(store, { keys: store.apply([...upserts], []) });
    };
    const holder = (key: string): string | undefined => translator.generated.get(key)?.gateway;
    step(rest);
    for (const gateway of order) step([gateway]);
    assert.equal(holder('Service/shop/a-b-c'), 'Gateway/shop/a');
    // It turns out to be the other one's.
    step(service);
    assert.equal(holder('Service/shop/a-b-c'), 'Gateway/shop/a-b');
    assert.equal(holder('EndpointSlice/shop/a-b-c-ipv4'), 'Gateway/shop/a-b');
  }
});
