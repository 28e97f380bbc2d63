// ListenerSets from files, through the whole program and real sockets: the situations of the official conformance
// tests, each named after its test. What the suite sees in a cluster is seen there (test/conformance).

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { backend, backendYaml, freePort, get, Rauta, until } from '../process/support.ts';

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
}

interface Shown {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly attachedListenerSets?: number;
    readonly listeners?: readonly {
      readonly name: string;
      readonly attachedRoutes: number;
      readonly conditions: readonly Condition[];
    }[];
    readonly parents?: readonly { readonly parentRef: object; readonly conditions: readonly Condition[] }[];
  };
}

const API = 'gateway.networking.k8s.io/v1';

interface Listener {
  readonly name: string;
  readonly hostname?: string;
  readonly protocol?: string;
  readonly from?: string;
  readonly kinds?: readonly string[];
}

let port = 0;
let program: Rauta;
let objects: readonly Shown[] = [];
const documents: object[] = [];

function listeners(list: readonly Listener[]): object[] {
  return list.map(({ name, hostname, protocol = 'HTTP', from = 'Same', kinds = ['HTTPRoute'] }) => ({
    name,
    port,
    protocol,
    ...(hostname === undefined ? {} : { hostname }),
    allowedRoutes: { namespaces: { from }, ...(protocol === 'HTTP' ? { kinds: kinds.map((kind) => ({ kind })) } : {}) },
  }));
}

function gateway(name: string, allowed: object | null, ...list: readonly Listener[]): void {
  documents.push({
    apiVersion: API,
    kind: 'Gateway',
    metadata: { name, namespace: 'infra' },
    spec: {
      gatewayClassName: 'rauta',
      ...(allowed === null ? {} : { allowedListeners: { namespaces: allowed } }),
      listeners: listeners(list),
    },
  });
}

function set(namespace: string, name: string, parent: string, ...list: readonly Listener[]): void {
  documents.push({
    apiVersion: API,
    kind: 'ListenerSet',
    metadata: { name, namespace },
    spec: { parentRef: { name: parent, namespace: 'infra' }, listeners: listeners(list) },
  });
}

function route(namespace: string, name: string, path: string, ...parentRefs: readonly object[]): void {
  documents.push({
    apiVersion: API,
    kind: 'HTTPRoute',
    metadata: { name, namespace },
    spec: {
      parentRefs,
      rules: [
        {
          matches: [{ path: { type: 'PathPrefix', value: path } }],
          backendRefs: [{ group: 'rauta.io', kind: 'Backend', name: 'app' }],
        },
      ],
    },
  });
}

const toSet = (name: string, sectionName?: string): object => ({
  kind: 'ListenerSet',
  name,
  ...(sectionName === undefined ? {} : { sectionName }),
});

function statusOf(kind: string, namespace: string, name: string): NonNullable<Shown['status']> {
  const found = objects.find((o) => o.kind === kind && o.metadata.namespace === namespace && o.metadata.name === name);
  return found?.status ?? {};
}

function said(conditions: readonly Condition[] | undefined, ...types: readonly string[]): string {
  return types
    .map((type) => conditions?.find((c) => c.type === type))
    .map((c) => (c === undefined ? 'nothing' : `${c.status} ${c.reason}`))
    .join(', ');
}

/** Accepted and Programmed of a set. */
function setSays(namespace: string, name: string): string {
  return said(statusOf('ListenerSet', namespace, name).conditions, 'Accepted', 'Programmed');
}

function listenerOf(namespace: string, name: string, listener: string) {
  return statusOf('ListenerSet', namespace, name).listeners?.find((l) => l.name === listener);
}

function routeSays(namespace: string, name: string): string[] {
  return (statusOf('HTTPRoute', namespace, name).parents ?? []).map(({ conditions }) => said(conditions, 'Accepted'));
}

async function answer(host: string, path: string): Promise<number> {
  return (await get(port, path, { host })).status;
}

const GOOD = 'True Accepted, True Programmed';
const NOT_ALLOWED = 'False NotAllowed, False NotAllowed';
const NONE_VALID = 'False ListenersNotValid, False ListenersNotValid';

function describeAllowed(): void {
  documents.push({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team', labels: { tenant: 'yes' } } });
  const policies: readonly (readonly [string, object | null])[] = [
    ['silent', null],
    ['none', { from: 'None' }],
    ['same', { from: 'Same' }],
    ['selector', { from: 'Selector', selector: { matchLabels: { tenant: 'yes' } } }],
    ['all', { from: 'All' }],
  ];
  for (const [name, policy] of policies) {
    gateway(name, policy, { name: 'own', hostname: `${name}.test` });
    for (const namespace of ['infra', 'team', 'other']) {
      set(namespace, name, name, { name: 'web', hostname: `${namespace}.${name}.test` });
      route(namespace, name, '/', toSet(name));
    }
  }
}

function describeRouting(): void {
  gateway('routing', { from: 'All' }, { name: 'own', hostname: 'own.test', from: 'All' });
  set(
    'team',
    'routing',
    'routing',
    { name: 'first', hostname: 'first.test' },
    { name: 'second', hostname: 'second.test', from: 'All' },
  );
  set('team', 'kinds', 'routing', { name: 'grpc', hostname: 'kinds.test', kinds: ['TCPRoute'] });
  const parent = { name: 'routing', namespace: 'infra' };
  route('team', 'everywhere', '/everywhere', parent, toSet('routing'));
  route('team', 'own', '/own', parent);
  route('team', 'set', '/set', toSet('routing'));
  route('team', 'section', '/section', toSet('routing', 'second'));
  route('team', 'wrong-section', '/wrong', { ...parent, sectionName: 'first' }, toSet('routing', 'first'));
  route('other', 'elsewhere', '/elsewhere', { ...toSet('routing'), namespace: 'team' });
}

function describeConflicts(): void {
  gateway('conflicts', { from: 'Same' }, { name: 'own', hostname: 'conflict.test' });
  // Of one age: the first by name comes first.
  set(
    'infra',
    'conflict-1',
    'conflicts',
    { name: 'lost', hostname: 'conflict.test' },
    { name: 'shared', hostname: 'shared.test' },
  );
  set('infra', 'conflict-2', 'conflicts', { name: 'shared', hostname: 'shared.test' });
  // What loses to the Gateway is no conflict for its neighbours.
  set('infra', 'conflict-3', 'conflicts', { name: 'tcp', protocol: 'TCP' }, { name: 'fine', hostname: 'fine.test' });
  route('infra', 'conflict-1', '/', toSet('conflict-1'));
  route('infra', 'conflict-2', '/', toSet('conflict-2'));
}

describe('ListenerSets', () => {
  before(async () => {
    port = await freePort();
    const app = await backend('app');
    describeAllowed();
    describeRouting();
    describeConflicts();
    const backends = ['infra', 'team', 'other'].map((namespace) =>
      backendYaml('app', app.port).replace('name: app', `name: app, namespace: ${namespace}`),
    );
    program = await Rauta.start({
      'a.yaml': backends.join('') + documents.map((document) => JSON.stringify(document)).join('\n---\n'),
    });
    await until(
      () => get(port, '/', { host: 'infra.same.test' }),
      ({ status }) => status === 200,
    );
    objects = (JSON.parse((await program.ask('/config')).body) as { objects: readonly Shown[] }).objects;
  });
  after(() => program.stop());

  const allowed = async (name: string, ...namespaces: readonly string[]): Promise<void> => {
    for (const namespace of ['infra', 'team', 'other']) {
      const lets = namespaces.includes(namespace);
      assert.equal(setSays(namespace, name), lets ? GOOD : NOT_ALLOWED, `${namespace}/${name}`);
      assert.equal(await answer(`${namespace}.${name}.test`, '/'), lets ? 200 : 404, `${namespace}.${name}.test`);
      assert.deepEqual(routeSays(namespace, name), [lets ? 'True Accepted' : 'False NoMatchingParent']);
    }
    const attached = statusOf('Gateway', 'infra', name).attachedListenerSets;
    assert.equal(attached ?? 0, namespaces.length, name);
  };
  test('ListenerSetDefaultNotAllowed', () => allowed('silent'));
  test('ListenerSetAllowedNamespaceNone', () => allowed('none'));
  test('ListenerSetAllowedNamespaceSame', () => allowed('same', 'infra'));
  test('ListenerSetAllowedNamespaceSelector', () => allowed('selector', 'team'));
  test('ListenerSetAllowedNamespaceAll', () => allowed('all', 'infra', 'team', 'other'));

  test('ListenerSetHTTPRouting', async () => {
    for (const [path, own, first, second] of [
      ['/everywhere', 200, 200, 200],
      ['/own', 200, 404, 404],
      ['/set', 404, 200, 200],
      ['/section', 404, 404, 200],
    ] as const) {
      assert.deepEqual(
        [await answer('own.test', path), await answer('first.test', path), await answer('second.test', path)],
        [own, first, second],
        path,
      );
    }
    const lines = program.access.trim().split('\n');
    assert.ok(lines.length > 0);
  });

  test('ListenerSetAllowedRoutesNamespaces', async () => {
    assert.deepEqual(routeSays('other', 'elsewhere'), ['True Accepted']);
    assert.equal(await answer('first.test', '/elsewhere'), 404);
    // The listener lets it in, but its backend is of its own namespace.
    assert.equal(await answer('second.test', '/elsewhere'), 200);
    assert.equal(listenerOf('team', 'routing', 'first')?.attachedRoutes, 3);
    assert.equal(listenerOf('team', 'routing', 'second')?.attachedRoutes, 4);
  });

  test('ListenerSetAllowedRoutesSupportedKinds', () => {
    assert.equal(said(listenerOf('team', 'kinds', 'grpc')?.conditions, 'ResolvedRefs'), 'False InvalidRouteKinds');
    assert.equal(setSays('team', 'kinds'), NONE_VALID);
  });

  test('ListenerSetDualParentRefIndependence, ListenerSetGatewayParentSectionNameNotFound', async () => {
    assert.deepEqual(routeSays('team', 'wrong-section'), ['False NoMatchingParent', 'True Accepted']);
    assert.equal(await answer('own.test', '/wrong'), 404);
    assert.equal(await answer('first.test', '/wrong'), 200);
  });

  test('ListenerSetRouteStatusScopedToParentRef', () => {
    const refs = (name: string): unknown[] =>
      (statusOf('HTTPRoute', 'team', name).parents ?? []).map(({ parentRef }) => parentRef);
    const group = 'gateway.networking.k8s.io';
    assert.deepEqual(refs('own'), [{ group, kind: 'Gateway', namespace: 'infra', name: 'routing' }]);
    assert.deepEqual(refs('set'), [{ group, kind: 'ListenerSet', name: 'routing' }]);
  });

  test('ListenerSetHostnameConflict', async () => {
    assert.equal(setSays('infra', 'conflict-1'), 'True ListenersNotValid, True Programmed');
    assert.equal(setSays('infra', 'conflict-2'), NONE_VALID);
    const lost = 'False HostnameConflict, False HostnameConflict, True HostnameConflict';
    for (const [name, listener] of [
      ['conflict-1', 'lost'],
      ['conflict-2', 'shared'],
    ] as const) {
      const { conditions } = listenerOf('infra', name, listener) ?? {};
      assert.equal(said(conditions, 'Accepted', 'Programmed', 'Conflicted'), lost, name);
    }
    assert.equal(statusOf('Gateway', 'infra', 'conflicts').attachedListenerSets, 2);
    assert.equal(await answer('conflict.test', '/'), 404, "the Gateway's, to which no route is attached");
    assert.equal(await answer('shared.test', '/'), 200);
  });

  test('ListenerSetProtocolConflict', () => {
    assert.equal(setSays('infra', 'conflict-3'), 'True ListenersNotValid, True Programmed');
    const { conditions } = listenerOf('infra', 'conflict-3', 'tcp') ?? {};
    const lost = 'False ProtocolConflict, False ProtocolConflict, True ProtocolConflict';
    assert.equal(said(conditions, 'Accepted', 'Programmed', 'Conflicted'), lost);
  });
});
