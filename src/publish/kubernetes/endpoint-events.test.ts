import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HandTimers } from '../../../test/kubernetes/support.ts';
import type { KubeObject } from '../../api/object.ts';
import { EndpointEvents } from './endpoint-events.ts';

const object = (kind: string, namespace: string, name: string, spec: unknown = {}): KubeObject =>
  ({ apiVersion: 'v1', kind, metadata: { namespace, name }, spec }) as KubeObject;
const route = (namespace: string, name: string, ...backendRefs: unknown[]): KubeObject =>
  object('HTTPRoute', namespace, name, { rules: [{ backendRefs }, {}] });

test('a Service without endpoints is told of at the Service and at its routes, by who leads', () => {
  const service = object('Service', 'a', 'app');
  const all = [
    service,
    route('a', 'near', { name: 'app', port: 80 }),
    route('b', 'far', { name: 'app', namespace: 'a', port: 80 }),
    route('b', 'own', { name: 'app', port: 80 }, { name: 'app', kind: 'Backend', group: 'rauta.io', namespace: 'a' }),
  ];
  const said: string[] = [];
  let leads = false;
  const timers = new HandTimers();
  const events = new EndpointEvents({
    controllerName: 'rauta.io/gateway-controller',
    timers,
    leads: () => leads,
    find: (key) => (key === 'Service/a/app' ? service : undefined),
    all: () => all,
    warn: ({ kind, metadata }, reason, note) => said.push(`${kind} ${metadata.name}: ${reason}: ${note}`),
  });
  const place = { object: 'Service/a/app' };
  events.diagnosed(new Map([['Service/a/app', [{ severity: 'warning', message: 'none.', place }]]]));
  timers.fire();
  timers.fire();
  assert.deepEqual(said, [], 'it does not lead');
  leads = true;
  events.lead();
  timers.fire();
  assert.deepEqual(said, [], 'it may have some in a moment');
  timers.fire();
  assert.deepEqual(said.splice(0), [
    'Service app: NoEndpoints: none.',
    'HTTPRoute near: NoEndpoints: Service a/app: none.',
    'HTTPRoute far: NoEndpoints: Service a/app: none.',
  ]);
  events.diagnosed(new Map([['Service/a/app', []]]));
  events.diagnosed(new Map([['HTTPRoute/a/near', [{ severity: 'error', message: 'else', place: {} }]]]));
  events.lead();
  timers.fire();
  timers.fire();
  assert.deepEqual(said, []);
});

test('a Service whose slices and pods come in a moment is no news', () => {
  const said: string[] = [];
  const timers = new HandTimers();
  const events = new EndpointEvents({
    controllerName: 'rauta.io/gateway-controller',
    timers,
    leads: () => true,
    find: () => object('Service', 'a', 'app'),
    all: () => [],
    warn: (_, reason) => said.push(reason),
  });
  const none = new Map([['Service/a/app', [{ severity: 'warning' as const, message: 'none.', place: {} }]]]);
  for (let i = 0; i < 3; i++) {
    events.diagnosed(none);
    timers.fire();
    events.diagnosed(new Map([['Service/a/app', []]]));
    timers.fire();
  }
  assert.deepEqual(said, []);
  events.diagnosed(none);
  timers.fire();
  timers.fire();
  timers.fire();
  assert.deepEqual(said, ['NoEndpoints']);
});

test('what is wrong with an Ingress is told of at the Ingress; so is a Service of its that has no endpoints', () => {
  const backend = (name: string): object => ({ service: { name, port: { number: 80 } } });
  const ingress = object('Ingress', 'a', 'shop', {
    defaultBackend: backend('app'),
    rules: [{ http: { paths: [{ path: '/', pathType: 'Prefix', backend: backend('other') }] } }, {}],
  });
  const services = ['app', 'other'].map((name) => object('Service', 'a', name));
  const said: string[] = [];
  const timers = new HandTimers();
  const events = new EndpointEvents({
    controllerName: 'rauta.io/gateway-controller',
    timers,
    leads: () => true,
    find: (key) => [ingress, ...services].find(({ kind, metadata }) => key === `${kind}/a/${metadata.name}`),
    all: () => [ingress, ...services],
    warn: ({ kind, metadata }, reason, note) => said.push(`${kind} ${metadata.name}: ${reason}: ${note}`),
  });
  const field = 'metadata.annotations[nginx.ingress.kubernetes.io/auth-url]';
  events.diagnosed(
    new Map([
      ['Ingress/a/shop', [{ severity: 'error', message: 'It is not served.', place: { field } }]],
      ['Service/a/other', [{ severity: 'warning', message: 'none.', place: {} }]],
    ]),
  );
  timers.fire();
  timers.fire();
  assert.deepEqual(said, [
    `Ingress shop: NotAsWritten: ${field}: It is not served.`,
    'Service other: NoEndpoints: none.',
    'Ingress shop: NoEndpoints: Service a/other: none.',
  ]);
});

const EXTERNAL = { group: 'gateway.networking.x-k8s.io', kind: 'XBackend' };

interface Rig {
  readonly events: EndpointEvents;
  readonly said: string[];
  readonly timers: HandTimers;
}
function rig(objects: readonly KubeObject[]): Rig {
  const said: string[] = [];
  const timers = new HandTimers();
  const events = new EndpointEvents({
    controllerName: 'rauta.io/gateway-controller',
    timers,
    leads: () => true,
    find: (key) => objects.find(({ kind, metadata }) => key === `${kind}/${metadata.namespace}/${metadata.name}`),
    all: () => objects,
    warn: ({ kind, metadata }, reason, note) => said.push(`${kind} ${metadata.name}: ${reason}: ${note}`),
  });
  return { events, said, timers };
}
const unresolved = (...names: string[]) =>
  names.map((object) => ({ severity: 'error' as const, message: 'no.example cannot be resolved.', place: { object } }));

test('a host that nobody can resolve is told of where it is written and at its routes, once it is ours', () => {
  const external = { ...object('XBackend', 'a', 'api') } as { status?: unknown } & KubeObject;
  const { events, said, timers } = rig([
    external,
    object('Backend', 'a', 'own'),
    route('a', 'sends', { ...EXTERNAL, name: 'api' }),
    route('b', 'far', { ...EXTERNAL, name: 'api', namespace: 'a' }),
    route('a', 'other', { group: 'example.com', kind: 'XBackend', name: 'api' }),
  ]);
  events.unresolved('dns no.example.', unresolved('XBackend/a/api'));
  events.unresolved('dns no.example', unresolved('Backend/a/own'));
  timers.fire();
  timers.fire();
  assert.deepEqual(said.splice(0), ['Backend own: NotResolved: no.example cannot be resolved.'], 'nobody sends to it');

  Object.assign(external, { status: { parents: [{ controllerName: 'rauta.io/gateway-controller' }] } });
  events.written(external);
  timers.fire();
  timers.fire();
  assert.deepEqual(said.splice(0), [
    'XBackend api: NotResolved: no.example cannot be resolved.',
    'HTTPRoute sends: NotResolved: XBackend a/api: no.example cannot be resolved.',
    'HTTPRoute far: NotResolved: XBackend a/api: no.example cannot be resolved.',
  ]);
  events.unresolved('dns no.example.', []);
  events.written(external);
  events.lead();
  timers.fire();
  timers.fire();
  assert.deepEqual(said, ['Backend own: NotResolved: no.example cannot be resolved.'], 'what still cannot be');
});

test('a Service that is asked for decisions, mirrored to, or named by auth-url is one that its route refers to', () => {
  const asking = (part: string): object => ({ filters: [{ [part]: { backendRef: { name: 'app' } } }] });
  const ingress = object('Ingress', 'b', 'shop');
  const annotations = { 'nginx.ingress.kubernetes.io/auth-url': 'http://app.a.svc.cluster.local:4180/auth' };
  const { events, said, timers } = rig([
    object('Service', 'a', 'app'),
    object('HTTPRoute', 'a', 'mirrors', { rules: [asking('requestMirror')] }),
    object('HTTPRoute', 'a', 'asks', { rules: [{ backendRefs: [{ name: 'x', ...asking('externalAuth') }] }] }),
    { ...ingress, metadata: { ...ingress.metadata, annotations } },
  ]);
  events.diagnosed(new Map([['Service/a/app', [{ severity: 'warning', message: 'none.', place: {} }]]]));
  timers.fire();
  timers.fire();
  assert.deepEqual(said, [
    'Service app: NoEndpoints: none.',
    'HTTPRoute mirrors: NoEndpoints: Service a/app: none.',
    'HTTPRoute asks: NoEndpoints: Service a/app: none.',
    'Ingress shop: NoEndpoints: Service a/app: none.',
  ]);
});
