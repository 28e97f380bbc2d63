// What the Gateway API says of routes of layer 4, as plainly as it can be written: who is attached where, what is said
// of that, and who gets a session. It computes everything anew and knows nothing of how the translator does it.

import {
  byName,
  type World,
  type WorldBackend,
  type WorldGateway,
  type WorldListener,
  type WorldRoute,
} from './layer4-world.ts';

export type Answer =
  | null
  | 'nobody'
  | 'http'
  | { readonly route: string; readonly backends: readonly { readonly weight: number; readonly at: string[] | null }[] };

const KINDS: Readonly<Record<WorldListener['protocol'], readonly string[]>> = {
  TCP: ['TCPRoute'],
  UDP: ['UDPRoute'],
  TLS: ['TLSRoute'],
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
};
const transportOf = ({ protocol }: WorldListener): 'tcp' | 'udp' => (protocol === 'UDP' ? 'udp' : 'tcp');
const isNamed = ({ protocol }: WorldListener): boolean => protocol !== 'TCP' && protocol !== 'UDP';
const familyOf = ({ protocol }: WorldListener): string => (protocol === 'HTTPS' ? 'TLS' : protocol);
const hostnameOf = (listener: WorldListener): string => (isNamed(listener) ? listener.hostname : '*');

function sharesPort(a: WorldListener, b: WorldListener): boolean {
  return a.port === b.port && transportOf(a) === transportOf(b);
}

/** Why two listeners cannot both be on a port; null: they can. */
function quarrel(a: WorldListener, b: WorldListener): 'ProtocolConflict' | 'HostnameConflict' | null {
  if (!sharesPort(a, b)) return null;
  if (familyOf(a) !== familyOf(b) || !isNamed(a)) return 'ProtocolConflict';
  return hostnameOf(a) === hostnameOf(b) ? 'HostnameConflict' : null;
}

const NO_KIND = 'no kind';
const BARE = 'nothing to show';

/** By listener, what is wrong with it; absent: it is served. */
function faults(world: World): Map<WorldListener, string> {
  const found = new Map<WorldListener, string>();
  const placed: WorldListener[] = [];
  for (const gateway of inOrder(world.gateways)) {
    for (const listener of gateway.listeners) {
      const others = gateway.listeners.filter((other) => other !== listener).map((other) => quarrel(listener, other));
      if (others.includes('ProtocolConflict')) found.set(listener, 'ProtocolConflict');
      else if (others.includes('HostnameConflict')) found.set(listener, 'HostnameConflict');
      else if (kindsOf(listener).length === 0) found.set(listener, NO_KIND);
      else if (listener.bare) found.set(listener, BARE);
    }
    const left = gateway.listeners.filter((listener) => !found.has(listener));
    for (const listener of left) {
      const before = placed.map((other) => quarrel(listener, other));
      const lost = before.includes('ProtocolConflict') ? 'ProtocolConflict' : before.find((one) => one !== null);
      if (lost != null) found.set(listener, lost);
    }
    placed.push(...left.filter((listener) => !found.has(listener)));
  }
  return found;
}

/** Those that are asked for and can be. */
function kindsOf({ protocol, kinds }: WorldListener): readonly string[] {
  const can = KINDS[protocol];
  return kinds.length === 0 ? can : [...new Set(kinds.filter((kind) => can.includes(kind)))];
}

function inOrder<T extends { readonly created: number; readonly namespace: string; readonly name: string }>(
  all: readonly T[],
): T[] {
  return [...all].sort((a, b) => a.created - b.created || byName(a, b));
}

function allows(world: World, gateway: WorldGateway, listener: WorldListener, route: WorldRoute): boolean {
  if (!kindsOf(listener).includes(route.kind)) return false;
  if (listener.from === 'All') return true;
  if (listener.from === 'Same') return route.namespace === gateway.namespace;
  return listener.from === 'Selector' && world.labelled.includes(route.namespace);
}

/** What both hold, by the meaning of a wildcard: one label or more in front. */
function both(a: string, b: string): string | null {
  if (a === '*') return b;
  if (b === '*' || a === b) return a;
  if (a.startsWith('*.') && b.endsWith(a.slice(1))) return b;
  return b.startsWith('*.') && a.endsWith(b.slice(1)) ? a : null;
}

function hostnamesAt(listener: WorldListener, route: WorldRoute): string[] {
  if (route.kind !== 'TLSRoute') return ['*'];
  return [...new Set(route.hostnames.flatMap((one) => both(hostnameOf(listener), one) ?? []))];
}

interface Attached {
  readonly gateway: WorldGateway;
  readonly listeners: readonly WorldListener[];
  readonly refused: string;
}

/** Of each of its parents, in their order; of those that are not there nothing. */
function attachments(world: World, route: WorldRoute): Attached[] {
  const seen = new Set<string>();
  return route.parents.flatMap((parent) => {
    const identity = JSON.stringify(parent);
    if (seen.has(identity)) return [];
    seen.add(identity);
    const gateway = world.gateways.find((g) => g.name === parent.name && g.namespace === parent.namespace);
    if (gateway === undefined) return [];
    const chosen = gateway.listeners.filter(
      (one) =>
        (parent.section === null || one.name === parent.section) && (parent.port === null || one.port === parent.port),
    );
    const allowing = chosen.filter((listener) => allows(world, gateway, listener, route));
    const listeners = allowing.filter((listener) => hostnamesAt(listener, route).length > 0);
    const refused =
      chosen.length === 0
        ? 'NoMatchingParent'
        : allowing.length === 0
          ? 'NotAllowedByListeners'
          : listeners.length === 0
            ? 'NoMatchingListenerHostname'
            : '';
    return [{ gateway, listeners, refused }];
  });
}

/** Why a reference does not resolve; '': it does. */
function unresolved(world: World, route: WorldRoute, ref: WorldBackend): string {
  if (ref.kind !== 'Service') return 'InvalidKind';
  const granted = world.grants.some(
    (grant) => grant.namespace === ref.namespace && grant.from === route.namespace && grant.kind === route.kind,
  );
  if (ref.namespace !== route.namespace && !granted) return 'RefNotPermitted';
  const service = world.services.find((s) => s.namespace === ref.namespace && s.name === ref.name);
  if (service === undefined) return 'BackendNotFound';
  if (service.external) return 'InvalidKind';
  const ports = service.ports.filter(({ port }) => port === ref.port);
  if (ports.length === 0) return 'BackendNotFound';
  const wanted = route.kind === 'UDPRoute' ? 'UDP' : 'TCP';
  return ports.some(({ protocol }) => protocol === wanted) ? '' : 'UnsupportedProtocol';
}

export function routeConditions(world: World, route: WorldRoute): string[] {
  const wrong = route.backends.map((ref) => unresolved(world, route, ref)).find((why) => why !== '');
  const refs = `ResolvedRefs=${wrong === undefined ? 'True ResolvedRefs' : `False ${wrong}`}`;
  return attachments(world, route).map(
    ({ refused }) => `Accepted=${refused === '' ? 'True Accepted' : `False ${refused}`}, ${refs}`,
  );
}

export function gatewayConditions(world: World, gateway: WorldGateway): Record<string, string> {
  const found = faults(world);
  return Object.fromEntries(
    gateway.listeners.map((listener) => {
      const attached = world.routes.filter((route) =>
        attachments(world, route).some((at) => at.gateway === gateway && at.listeners.includes(listener)),
      ).length;
      const fault = found.get(listener) ?? '';
      const conflict = fault.endsWith('Conflict') ? fault : '';
      const accepted = conflict === '' ? 'True Accepted' : `False ${conflict}`;
      const conflicted = conflict === '' ? 'False NoConflicts' : `True ${conflict}`;
      const kinds = [...kindsOf(listener)].sort();
      return [listener.name, `${attached} [${kinds}] Accepted=${accepted}, Conflicted=${conflicted}`];
    }),
  );
}

/** How well a hostname fits a name: the exact one best, then the longest wildcard; -1 not at all. */
function fits(hostname: string, name: string): number {
  if (hostname === '*') return 0;
  if (hostname === name) return 1000;
  return hostname.startsWith('*.') && name.endsWith(hostname.slice(1)) && name.length >= hostname.length
    ? hostname.length
    : -1;
}

export function reached(world: World, transport: 'tcp' | 'udp', port: number, name: string): Answer {
  const found = faults(world);
  const here = world.gateways.flatMap((gateway) =>
    gateway.listeners
      .filter((one) => one.port === port && transportOf(one) === transport && !found.has(one))
      .map((listener) => ({ gateway, listener })),
  );
  const [first] = here;
  if (first === undefined) return null;
  if (first.listener.protocol === 'HTTP') return 'http';
  const best = here
    .map((one) => ({ ...one, fit: fits(hostnameOf(one.listener), name) }))
    .filter(({ fit }) => fit >= 0)
    .sort((a, b) => b.fit - a.fit)[0];
  if (best === undefined) return here.some(({ listener }) => listener.protocol === 'TLS') ? 'nobody' : 'http';
  if (best.listener.protocol === 'HTTPS') return 'http';
  const routes = inOrder(world.routes).flatMap((route) => {
    const attached = attachments(world, route).some(
      (at) => at.gateway === best.gateway && at.listeners.includes(best.listener),
    );
    const fit = Math.max(-1, ...hostnamesAt(best.listener, route).map((hostname) => fits(hostname, name)));
    return attached && fit >= 0 ? [{ route, fit }] : [];
  });
  // Sorting keeps the order of what is equal: the oldest, then the first by name.
  const [winner] = routes.sort((a, b) => b.fit - a.fit);
  if (winner === undefined) return 'nobody';
  const { route } = winner;
  const backends = route.backends.map((ref) => ({
    weight: ref.weight,
    at: unresolved(world, route, ref) === '' ? endpointsOf(world, route, ref) : null,
  }));
  return { route: `${route.kind} ${route.namespace}/${route.name}`, backends };
}

function endpointsOf(world: World, route: WorldRoute, ref: WorldBackend): string[] {
  const service = world.services.find((s) => s.namespace === ref.namespace && s.name === ref.name);
  const wanted = route.kind === 'UDPRoute' ? 'UDP' : 'TCP';
  const port = service?.ports.find((p) => p.port === ref.port && p.protocol === wanted);
  if (service === undefined || port === undefined) return [];
  return service.slices
    .flatMap(({ ports, addresses }) =>
      ports
        .filter((one) => one.name === port.name && one.protocol === wanted)
        .flatMap((one) => addresses.map((address) => `${address} ${one.port}`)),
    )
    .sort();
}
