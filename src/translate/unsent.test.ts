import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject, ObjectKey } from '../api/object.ts';
import { LIMITS } from '../base/limits.ts';
import { ruleKey, socketKey } from '../ir/keys.ts';
import { Store } from '../store/store.ts';
import type { GatewayStatus, RouteStatus } from './conditions.ts';
import type { Update } from './output.ts';
import { Translator } from './translator.ts';
import type { Unsent } from './unsent.ts';

const BYTES = LIMITS.FRAME_BYTES + 1;
const [APP, GATEWAY] = ['HTTPRoute/default/app', 'Gateway/default/web'];
const SOCKET = socketKey('0.0.0.0', 80, 'tcp');

function object(kind: string, name: string, spec: unknown, more: Record<string, unknown> = {}): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'default' }, spec, ...more };
}
const rule = (value: string): unknown => ({
  matches: [{ path: { type: 'PathPrefix', value } }],
  backendRefs: [{ name: 'app', port: 80 }],
});
const route = (rules: readonly unknown[]): KubeObject =>
  object('HTTPRoute', 'app', { parentRefs: [{ name: 'web' }], rules });
const OBJECTS = [
  object('Gateway', 'web', { gatewayClassName: 'rauta', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] }),
  object('Service', 'app', { ports: [{ name: 'http', port: 80 }] }),
  object('EndpointSlice', 'app-1', undefined, {
    metadata: { name: 'app-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'app' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [{ addresses: ['10.0.0.1'] }],
  }),
];

class World {
  readonly #store = new Store();
  readonly translator = new Translator({
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: 'rauta',
    defaultAddresses: ['0.0.0.0'],
    portMap: new Map(),
  });

  constructor(own: KubeObject) {
    this.apply(own, ...OBJECTS);
  }
  apply(...objects: readonly KubeObject[]): Update {
    return this.translator.update(this.#store, { keys: this.#store.apply(objects, []) });
  }
  unsent(unsent: Unsent): Update {
    return this.translator.unsent(this.#store, unsent);
  }
  /** `TYPE=STATUS REASON: MESSAGE`. */
  conditions(): string[] {
    const status = this.translator.statuses.get(APP) as RouteStatus;
    return (status.parents[0]?.conditions ?? []).map((c) => `${c.type}=${c.status} ${c.reason}: ${c.message}`);
  }
  problems(key: ObjectKey): string[] {
    return (this.translator.diagnostics.get(key) ?? []).map(({ severity, message }) => `${severity} ${message}`);
  }
}
const rules = (...indexes: readonly number[]): Unsent =>
  new Map(indexes.map((index) => [ruleKey('HTTPRoute', 'default', 'app', index), BYTES]));

test('a rule that is too large to be handed on is a condition of its route, until it is not', () => {
  const world = new World(route([rule('/a'), rule('/b')]));
  const before = world.conditions();
  assert.ok(before.some((text) => text.startsWith('Accepted=True')));
  const { delta } = world.unsent(rules(1));
  assert.deepEqual(delta, { upserts: [], removals: [] }, 'what is sent is the same');
  const said = `spec.rules[1] takes ${BYTES} bytes, more than can be handed on (${LIMITS.FRAME_BYTES})`;
  assert.deepEqual(world.conditions(), [
    ...before,
    `PartiallyInvalid=True UnsupportedValue: Dropped Rule(s): ${said}: it is not served. Split it.`,
  ]);
  assert.deepEqual(world.problems(APP), [`error ${said}: it is not served. Split it.`]);
  // It stays so while something else of the route changes, and for a neighbour's sake nothing is said of it.
  world.apply(route([rule('/c'), rule('/b')]));
  assert.equal(world.problems(APP).length, 1);
  world.unsent(new Map());
  assert.deepEqual([world.conditions(), world.problems(APP)], [before, []]);
});

test('a route none of whose rules can be handed on is not accepted', () => {
  const world = new World(route([rule('/a'), rule('/b')]));
  world.unsent(rules(0, 1));
  assert.match(world.conditions()[0] ?? '', /^Accepted=False UnsupportedValue: spec\.rules\[0\] takes \d+ bytes/);
  assert.equal(world.problems(APP).length, 2);
});

test('a socket of so many listeners that it cannot be handed on is said by each of them', () => {
  const world = new World(route([rule('/a')]));
  const programmed = (): string => {
    const { listeners } = world.translator.statuses.get(GATEWAY) as GatewayStatus;
    const found = listeners[0]?.conditions.find(({ type }) => type === 'Programmed');
    return `${found?.status} ${found?.message}`;
  };
  assert.match(programmed(), /^True/);
  world.unsent(new Map([[SOCKET, BYTES]]));
  assert.match(programmed(), /^False Cannot listen on 0\.0\.0\.0:80: all listeners there take \d+ bytes together/);
  world.unsent(new Map());
  assert.match(programmed(), /^True/);
});

test('a rule of an Ingress that is too large to be handed on is named as logs name it', () => {
  const paths = [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'app', port: { number: 80 } } } }];
  const world = new World(object('Ingress', 'shop', { rules: [{ http: { paths } }] }));
  world.unsent(new Map([[ruleKey('Ingress', 'default', 'shop', 0), BYTES]]));
  assert.match(world.problems('Ingress/default/shop').join(), /^error Rule 0 takes \d+ bytes, more than can be handed/);
});

test('endpoints that cannot be handed on are told of their Service', () => {
  const world = new World(route([rule('/a')]));
  const [endpoints = ''] = [...world.translator.ir.keys()].filter((key) => key.startsWith('endpoints/'));
  world.unsent(new Map([[endpoints, BYTES]]));
  assert.match(world.problems('Service/default/app').join(), /^error Its endpoints take \d+ bytes, more than can be/);
  world.unsent(new Map());
  assert.deepEqual(world.problems('Service/default/app'), []);
});
