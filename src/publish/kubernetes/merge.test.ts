import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition, GatewayStatus, IngressStatus, PolicyStatus, RouteStatus } from '../../translate/conditions.ts';
import { mergeStatus } from './merge.ts';

const OPTIONS = { controllerName: 'us', types: new Set(['Accepted', 'ResolvedRefs', 'Programmed']), time: 'now' };
const condition = (type: string, status: Condition['status'] = 'True', generation = 1): Condition => ({
  type,
  status,
  reason: `${type}${status}`,
  message: '',
  observedGeneration: generation,
});
const ref = (name: string) => ({ group: 'gateway.networking.k8s.io', kind: 'Gateway', name });
const route = (...names: string[]): RouteStatus => ({
  parents: names.map((name) => ({ parentRef: ref(name), controllerName: 'us', conditions: [condition('Accepted')] })),
});
const written = (name: string, controllerName: string, since = 'now') => ({
  parentRef: ref(name),
  controllerName,
  conditions: [{ ...condition('Accepted'), lastTransitionTime: since }],
});

test('entries of other controllers stay as they are and where they are; ours that are no longer said go', () => {
  const current = { parents: [written('a', 'them', 'old'), written('a', 'us', 'old'), written('b', 'us'), { odd: 1 }] };
  assert.deepEqual(mergeStatus(current, route('c', 'a'), OPTIONS), {
    parents: [written('a', 'them', 'old'), written('a', 'us', 'old'), { odd: 1 }, written('c', 'us')],
  });
  assert.deepEqual(mergeStatus(current, null, OPTIONS), { parents: [written('a', 'them', 'old'), { odd: 1 }] });
});

test('ancestors of a policy: others stay, ours are replaced, and no more are written than the API takes', () => {
  const ancestor = (name: string, controllerName: string) => ({
    ancestorRef: ref(name),
    controllerName,
    conditions: [{ ...condition('Accepted'), lastTransitionTime: 'now' }],
  });
  const policy = (...names: string[]): PolicyStatus => ({
    ancestors: names.map((name) => ({
      ancestorRef: ref(name),
      controllerName: 'us',
      conditions: [condition('Accepted')],
    })),
  });
  const current = { ancestors: [ancestor('a', 'them'), ancestor('b', 'us'), ancestor('a', 'us')] };
  assert.deepEqual(mergeStatus(current, policy('a', 'c'), OPTIONS), {
    ancestors: [ancestor('a', 'them'), ancestor('a', 'us'), ancestor('c', 'us')],
  });
  assert.equal(mergeStatus(current, policy('a', 'b'), OPTIONS), null);
  assert.deepEqual(mergeStatus(current, null, OPTIONS), { ancestors: [ancestor('a', 'them')] });
  const full = { ancestors: Array.from({ length: 15 }, (_, i) => ancestor(`g${i}`, 'them')) };
  const next = mergeStatus(full, policy('a', 'b', 'c'), OPTIONS) as { ancestors: unknown[] };
  assert.deepEqual(next.ancestors, [...full.ancestors, ancestor('a', 'us')]);
});

test('what stands there already is not written, whatever the server filled in and in whatever order', () => {
  const after = mergeStatus(undefined, route('a', 'b'), OPTIONS);
  assert.deepEqual(after, { parents: [written('a', 'us'), written('b', 'us')] });
  assert.equal(mergeStatus(after, route('b', 'a'), { ...OPTIONS, time: 'later' }), null);
  const short: RouteStatus = { parents: route('a').parents.map((p) => ({ ...p, parentRef: { name: 'a' } as never })) };
  assert.equal(mergeStatus({ parents: [written('a', 'us')] }, short, OPTIONS), null);
});

test('features that the definition of a GatewayClass does not know any more are taken back', () => {
  const conditions = [condition('Accepted')];
  const first = mergeStatus({ ofOthers: 1 }, { conditions, supportedFeatures: [{ name: 'Gateway' }] }, OPTIONS);
  assert.deepEqual(first?.['supportedFeatures'], [{ name: 'Gateway' }]);
  const { supportedFeatures: _, ...second } = first ?? {};
  assert.deepEqual(mergeStatus(first, { conditions }, OPTIONS), second);
  assert.equal(mergeStatus(second, { conditions }, OPTIONS), null);
});

test('a condition keeps its time while its status stays, and types that are not ours stay', () => {
  const foreign = { type: 'example.com/Seen', status: 'True', lastTransitionTime: 'x' };
  const stale = { ...condition('Programmed'), lastTransitionTime: 'x' };
  const current = {
    parents: [
      {
        ...written('a', 'us', 'old'),
        conditions: [{ ...condition('Accepted'), lastTransitionTime: 'old' }, foreign, stale],
      },
    ],
  };
  const say = (c: Condition): RouteStatus => ({
    parents: [{ parentRef: ref('a'), controllerName: 'us', conditions: [c, condition('ResolvedRefs')] }],
  });
  const conditionsOf = (status: unknown): unknown =>
    (status as { parents: { conditions: unknown }[] }).parents[0]?.conditions;
  assert.deepEqual(conditionsOf(mergeStatus(current, say(condition('Accepted', 'True', 2)), OPTIONS)), [
    { ...condition('Accepted', 'True', 2), lastTransitionTime: 'old' },
    foreign,
    { ...condition('ResolvedRefs'), lastTransitionTime: 'now' },
  ]);
  assert.deepEqual((conditionsOf(mergeStatus(current, say(condition('Accepted', 'False')), OPTIONS)) as unknown[])[0], {
    ...condition('Accepted', 'False'),
    lastTransitionTime: 'now',
  });
});

test('a Gateway: listeners are ours as a whole, with the times of those of the same name; other fields stay', () => {
  const gateway = (routes: number, ...names: string[]): GatewayStatus => ({
    addresses: [{ type: 'IPAddress', value: '10.0.0.1' }],
    conditions: [condition('Accepted')],
    listeners: names.map((name) => ({
      name,
      supportedKinds: [],
      attachedRoutes: routes,
      conditions: [condition('Programmed')],
    })),
  });
  const first = mergeStatus({ ofOthers: 2, attachedListenerSets: 2 }, gateway(0, 'a', 'b'), {
    ...OPTIONS,
    time: 'old',
  });
  const second = mergeStatus(first, gateway(1, 'c', 'b'), OPTIONS) as unknown as {
    ofOthers: number;
    attachedListenerSets?: number;
    conditions: { lastTransitionTime: string }[];
    listeners: { name: string; attachedRoutes: number; conditions: { lastTransitionTime: string }[] }[];
  };
  assert.equal(second.ofOthers, 2);
  assert.equal(second.attachedListenerSets, undefined, 'it lets no ListenerSets attach (any more)');
  const counting = mergeStatus(second, { ...gateway(1, 'c', 'b'), attachedListenerSets: 3 }, OPTIONS);
  assert.equal(counting?.['attachedListenerSets'], 3);
  assert.equal(second.conditions[0]?.lastTransitionTime, 'old');
  assert.deepEqual(
    second.listeners.map((l) => [l.name, l.attachedRoutes, l.conditions[0]?.lastTransitionTime]),
    [
      ['c', 1, 'now'],
      ['b', 1, 'old'],
    ],
  );
  assert.equal(mergeStatus(second, gateway(1, 'c', 'b'), { ...OPTIONS, time: 'later' }), null);
  assert.equal(mergeStatus(second, null, OPTIONS), null, 'whose Gateway it is now, speaks of it');
});

test('addresses of an Ingress: a server that leaves out a list of none says the same; who has it now keeps his', () => {
  const said = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } };
  const none: IngressStatus = { loadBalancer: { ingress: [] } };
  assert.equal(mergeStatus({ loadBalancer: {} }, none, OPTIONS), null);
  assert.equal(mergeStatus(undefined, none, OPTIONS), null);
  assert.deepEqual(mergeStatus({ loadBalancer: {} }, said, OPTIONS), said);
  assert.deepEqual(mergeStatus(said, none, OPTIONS), none);
  assert.equal(mergeStatus(said, null, OPTIONS), null, 'who wrote it is not known');
  const withdrawn = { ...OPTIONS, withdrawn: said };
  assert.deepEqual(mergeStatus(said, null, withdrawn), none);
  assert.equal(mergeStatus({ loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } }, null, withdrawn), null);
  assert.equal(mergeStatus({ loadBalancer: {} }, null, withdrawn), null);
});
