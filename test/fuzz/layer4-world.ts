// Worlds of layer 4 by chance, and one change more of them: so small that everything is in everybody's way.

import type { KubeObject } from '../../src/api/object.ts';
import { readGolden } from '../../tools/golden.ts';
import type { Chance } from './http1-mutate.ts';

export const PORTS = [1, 2] as const;
/** Names that clients say in the handshake. */
export const NAMES = ['', 'x', 'a.x', 'b.x', 'a.y.x', 'a.b.y.x', 'a.z'] as const;
const HOSTNAMES = ['*.x', 'a.x', '*.y.x', 'a.y.x', 'a.z', '*.z'] as const;
const NAMESPACES = ['m', 'n'] as const;
const SERVICES = ['s', 't'] as const;

export interface WorldListener {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'TLS' | 'HTTP' | 'HTTPS';
  /** Of TLS: it ends here. */
  readonly ends: boolean;
  /** Where TLS ends, and there is nothing to show. */
  readonly bare: boolean;
  /** '*': none. */
  readonly hostname: string;
  readonly from: 'Same' | 'All' | 'Selector' | 'None';
  /** Empty: not said. */
  readonly kinds: readonly string[];
}
export interface WorldGateway {
  readonly namespace: string;
  readonly name: string;
  readonly created: number;
  readonly listeners: readonly WorldListener[];
}
export interface WorldParent {
  readonly namespace: string;
  readonly name: string;
  readonly section: string | null;
  readonly port: number | null;
}
export interface WorldBackend {
  readonly kind: 'Service' | 'Deployment';
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly weight: number;
}
export interface WorldRoute {
  readonly kind: 'TCPRoute' | 'TLSRoute' | 'UDPRoute';
  readonly namespace: string;
  readonly name: string;
  readonly created: number;
  readonly parents: readonly WorldParent[];
  readonly hostnames: readonly string[];
  readonly backends: readonly WorldBackend[];
}
interface WorldPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
}
export interface WorldService {
  readonly namespace: string;
  readonly name: string;
  readonly external: boolean;
  readonly ports: readonly WorldPort[];
  readonly slices: readonly { readonly ports: readonly WorldPort[]; readonly addresses: readonly string[] }[];
}
export interface World {
  readonly gateways: readonly WorldGateway[];
  readonly routes: readonly WorldRoute[];
  readonly services: readonly WorldService[];
  readonly grants: readonly { readonly namespace: string; readonly from: string; readonly kind: string }[];
  /** Namespaces that selectors mean. */
  readonly labelled: readonly string[];
}

/** As the API compares names: `namespace/name`, by code units. */
export function byName(
  a: { readonly namespace: string; readonly name: string },
  b: { readonly namespace: string; readonly name: string },
): number {
  const [one, other] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return one < other ? -1 : one > other ? 1 : 0;
}

function some<T>(chance: Chance, most: number, make: (i: number) => T, least = 0): T[] {
  return Array.from({ length: least + chance.next(most - least + 1) }, (_, i) => make(i));
}

function someListener(chance: Chance, i: number): WorldListener {
  const protocol = chance.pick(['TCP', 'TCP', 'UDP', 'TLS', 'TLS', 'TLS', 'TLS', 'HTTP', 'HTTPS'] as const);
  const named = protocol !== 'TCP' && protocol !== 'UDP';
  const ends = protocol === 'HTTPS' || (protocol === 'TLS' && chance.next(3) === 0);
  const kinds = ['TCPRoute', 'UDPRoute', 'TLSRoute', 'HTTPRoute'];
  return {
    name: `l${i}`,
    port: chance.pick(PORTS),
    protocol,
    ends,
    bare: ends && chance.next(6) === 0,
    hostname: named && chance.next(3) > 0 ? chance.pick(HOSTNAMES) : '*',
    from: chance.pick(['Same', 'All', 'All', 'All', 'Selector', 'None'] as const),
    kinds: chance.next(5) > 0 ? [] : some(chance, 2, () => chance.pick(kinds), 1),
  };
}

function someGateway(chance: Chance, i: number): WorldGateway {
  return {
    namespace: chance.pick(NAMESPACES),
    name: `g${i}`,
    created: chance.next(3),
    listeners: some(chance, 3, (k) => someListener(chance, k), 1),
  };
}

function someRoute(chance: Chance, i: number, gateways: readonly WorldGateway[]): WorldRoute {
  const namespace = chance.pick(NAMESPACES);
  const parents = some(
    chance,
    2,
    (): WorldParent => {
      const gateway = chance.next(8) === 0 || gateways.length === 0 ? null : chance.pick(gateways);
      return {
        namespace: gateway?.namespace ?? namespace,
        name: gateway?.name ?? 'nobody',
        section: chance.next(3) === 0 ? `l${chance.next(4)}` : null,
        port: chance.next(4) === 0 ? chance.pick(PORTS) : null,
      };
    },
    1,
  );
  return {
    kind: chance.pick(['TCPRoute', 'TLSRoute', 'TLSRoute', 'UDPRoute'] as const),
    namespace,
    name: `r${i}`,
    created: chance.next(3),
    parents,
    hostnames: [...new Set(some(chance, 2, () => chance.pick(HOSTNAMES), 1))],
    backends: some(
      chance,
      3,
      () => ({
        kind: chance.next(12) === 0 ? ('Deployment' as const) : ('Service' as const),
        namespace: chance.next(3) === 0 ? chance.pick(NAMESPACES) : namespace,
        name: chance.next(8) === 0 ? 'missing' : chance.pick(SERVICES),
        port: chance.pick([53, 53, 80]),
        weight: chance.pick([0, 1, 1, 2, 7]),
      }),
      1,
    ),
  };
}

const somePort = (chance: Chance, i: number): WorldPort => ({
  name: `p${i}`,
  port: chance.pick([53, 53, 80]),
  protocol: chance.pick(['TCP', 'UDP'] as const),
});

function someService(chance: Chance, namespace: string, name: string): WorldService {
  const ports = some(chance, 3, (i) => somePort(chance, i), 1);
  // A number stands once for each protocol.
  const once = ports.filter((p, i) => ports.findIndex((q) => q.port === p.port && q.protocol === p.protocol) === i);
  const base = 1 + NAMESPACES.indexOf(namespace as 'm') * 100 + SERVICES.indexOf(name as 's') * 50;
  return {
    namespace,
    name,
    external: chance.next(12) === 0,
    ports: once,
    slices: some(chance, 2, (i) => ({
      ports: once
        .filter(() => chance.next(6) > 0)
        .map((p, k) => ({
          ...p,
          port: 8000 + i * 10 + k,
          protocol: chance.next(10) === 0 ? ('TCP' as const) : p.protocol,
        })),
      addresses: some(chance, 3, (k) => `10.0.${i}.${base + k}`),
    })),
  };
}

export function someWorld(chance: Chance): World {
  const gateways = some(chance, 3, (i) => someGateway(chance, i), 1);
  return {
    gateways,
    routes: some(chance, 5, (i) => someRoute(chance, i, gateways), 1),
    services: NAMESPACES.flatMap((namespace) =>
      SERVICES.filter(() => chance.next(6) > 0).map((name) => someService(chance, namespace, name)),
    ),
    grants: some(chance, 3, () => ({
      namespace: chance.pick(NAMESPACES),
      from: chance.pick(NAMESPACES),
      kind: chance.pick(['TCPRoute', 'TLSRoute', 'UDPRoute', 'HTTPRoute']),
    })),
    labelled: NAMESPACES.filter(() => chance.next(2) === 0),
  };
}

/** One thing of it is another, or gone. */
export function change(chance: Chance, world: World): World {
  const other = someWorld(chance);
  const replaced = <T>(list: readonly T[], make: (i: number) => T): T[] => {
    const at = chance.next(list.length + 1);
    if (at === list.length) return list.length === 0 ? [] : list.slice(0, -1);
    return list.map((one, i) => (i === at ? make(i) : one));
  };
  switch (chance.next(6)) {
    case 0:
      return {
        ...world,
        gateways: replaced(world.gateways, (i) => ({
          ...someGateway(chance, i),
          namespace: world.gateways[i]?.namespace ?? 'm',
        })),
      };
    case 1:
    case 2:
      return { ...world, routes: replaced(world.routes, (i) => someRoute(chance, i, world.gateways)) };
    case 3:
      return { ...world, services: other.services };
    case 4:
      return { ...world, grants: other.grants };
    default:
      return { ...world, labelled: other.labelled };
  }
}

const createdAt = (n: number): string => new Date(Date.UTC(2026, 0, 1 + n)).toISOString().replace('.000', '');

const make = (apiVersion: string, kind: string, metadata: object, rest: object): KubeObject =>
  ({ apiVersion, kind, metadata, ...rest }) as unknown as KubeObject;
const GATEWAY_API = 'gateway.networking.k8s.io/v1';

/** With a certificate that is good for any name. */
const SECRET = readGolden('gateway-tls-modes-of-one-hostname').objects.find(
  ({ kind }) => kind === 'Secret',
) as KubeObject;

export function objectsOf(world: World): KubeObject[] {
  return [
    ...NAMESPACES.map((name) =>
      make('v1', 'Namespace', { name, labels: world.labelled.includes(name) ? { in: 'yes' } : {} }, {}),
    ),
    ...NAMESPACES.map((namespace) => ({ ...SECRET, metadata: { namespace, name: 'shown' } })),
    ...world.gateways.map(gatewayObject),
    ...world.routes.map(routeObject),
    ...world.services.flatMap(serviceObjects),
    ...world.grants.map(({ namespace, from, kind }, i) =>
      make(
        GATEWAY_API,
        'ReferenceGrant',
        { name: `x${i}`, namespace },
        {
          spec: {
            from: [{ group: 'gateway.networking.k8s.io', kind, namespace: from }],
            to: [{ group: '', kind: 'Service' }],
          },
        },
      ),
    ),
  ];
}

function gatewayObject({ namespace, name, created, listeners }: WorldGateway): KubeObject {
  return make(
    GATEWAY_API,
    'Gateway',
    { namespace, name, creationTimestamp: createdAt(created) },
    {
      spec: {
        gatewayClassName: 'rauta',
        listeners: listeners.map(({ name: called, port, hostname, protocol, ends, bare, from, kinds }) => ({
          name: called,
          port,
          protocol,
          ...(hostname === '*' ? {} : { hostname }),
          ...(ends
            ? { tls: { mode: 'Terminate', certificateRefs: [{ name: bare ? 'missing' : 'shown' }] } }
            : protocol === 'TLS'
              ? { tls: { mode: 'Passthrough' } }
              : {}),
          allowedRoutes: {
            namespaces: { from, ...(from === 'Selector' ? { selector: { matchLabels: { in: 'yes' } } } : {}) },
            ...(kinds.length === 0 ? {} : { kinds: kinds.map((kind) => ({ kind })) }),
          },
        })),
      },
    },
  );
}

function routeObject({ kind, namespace, name, created, parents, hostnames, backends }: WorldRoute): KubeObject {
  return make(
    GATEWAY_API,
    kind,
    { namespace, name, creationTimestamp: createdAt(created) },
    {
      spec: {
        parentRefs: parents.map((parent) => ({
          namespace: parent.namespace,
          name: parent.name,
          ...(parent.section === null ? {} : { sectionName: parent.section }),
          ...(parent.port === null ? {} : { port: parent.port }),
        })),
        ...(kind === 'TLSRoute' ? { hostnames } : {}),
        rules: [
          {
            backendRefs: backends.map((ref) => ({ ...ref, group: ref.kind === 'Service' ? '' : 'apps' })),
          },
        ],
      },
    },
  );
}

function serviceObjects({ namespace, name, external, ports, slices }: WorldService): KubeObject[] {
  return [
    make(
      'v1',
      'Service',
      { namespace, name },
      {
        spec: { ports, ...(external ? { type: 'ExternalName', externalName: 'a.example' } : {}) },
      },
    ),
    ...slices.map(({ ports: own, addresses }, i) =>
      make(
        'discovery.k8s.io/v1',
        'EndpointSlice',
        {
          namespace,
          name: `${name}-${i}`,
          labels: { 'kubernetes.io/service-name': name },
        },
        { addressType: 'IPv4', ports: own, endpoints: addresses.map((address) => ({ addresses: [address] })) },
      ),
    ),
  ];
}
