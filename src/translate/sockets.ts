// Puts the listeners of all Gateways on sockets. Gateways share a socket when they share an address and a port, and
// merge by hostname; what a younger Gateway's listener wants and an older one has makes the younger's Conflicted, so
// that nobody can take away what already serves (docs/reference/gateway-api.md says how that stands to the API's text).

import type { ObjectKey } from '../api/object.ts';
import type { CertificateEntry, GatewayEntry, Key, ServerTls, SocketEntry, SocketHost, TrustEntry } from '../ir/ir.ts';
import { socketKey } from '../ir/keys.ts';
import type { Addresses } from './addresses.ts';
import { assignAddresses } from './addresses.ts';
import type { Claimant, TranslatorOptions } from './context.ts';
import { olderFirst } from './context.ts';
import { compare } from './dependencies.ts';
import type { GatewayDraft, GatewayPlan, Placement } from './gateway.ts';
import { isPlaceable } from './gateway.ts';
import type { Conflict, ListenerDraft } from './listener.ts';
import { protocolOf, servedProtocol } from './protocols.ts';

export interface Plan {
  readonly gateways: ReadonlyMap<ObjectKey, GatewayPlan>;
  /** Of sockets, and of the Gateways that are on one and the certificates that are shown there or checked. */
  readonly entries: ReadonlyMap<Key, PlanEntry>;
}

export type PlanEntry = SocketEntry | GatewayEntry | CertificateEntry | TrustEntry;

/** A port of an address, and who has it. */
interface Socket {
  readonly address: string;
  readonly port: number;
  readonly family: string;
  /** By hostname; of protocols without, there is one. */
  readonly hosts: Map<string, Held>;
}

interface Held {
  readonly gateway: GatewayDraft;
  readonly listener: ListenerDraft;
  /** What it is in the entries; null for a protocol that is not served. */
  readonly host: SocketHost | null;
}

const NO_ADDRESSES: Addresses = { bound: [], status: [], open: false, fault: null };
const NOWHERE: Placement = { sockets: [], host: null, conflict: null };

/** Who has what already: of Gateways of one age it keeps it, so that a new one takes nothing away by its name. */
class Incumbents {
  readonly #hosts = new Map<string, Key>();
  readonly #addresses = new Map<Key, Set<string>>();

  constructor(sockets: Iterable<SocketEntry>) {
    for (const { key, address, hosts } of sockets) {
      for (const { hostname, gateway } of hosts) {
        this.#hosts.set(`${key} ${hostname}`, gateway);
        const addresses = this.#addresses.get(gateway);
        if (addresses === undefined) this.#addresses.set(gateway, new Set([address]));
        else addresses.add(address);
      }
    }
  }

  has({ gateway, listener }: Held, addresses: readonly string[]): boolean {
    const served = servedProtocol(listener.protocol);
    if (served === null) return false;
    return addresses.some((address) => {
      const key = socketKey(address, listener.boundPort, served.transport);
      return this.#hosts.get(`${key} ${listener.hostname}`) === gateway.entry.key;
    });
  }

  /** What a Gateway claims, with the addresses it has among those that it prefers. */
  claimant(draft: GatewayDraft): Claimant {
    const { name, addresses: claim } = draft;
    const has = this.#addresses.get(draft.entry.key);
    // One that has nothing to serve any more has nothing to keep.
    const serves = draft.listeners.some(
      (listener, i) => isPlaceable(draft, i) && servedProtocol(listener.protocol) !== null,
    );
    return { name, addresses: has === undefined || !serves ? claim : { ...claim, held: [...claim.held, ...has] } };
  }
}

/**
 * `before`: sockets as they are served now. `shared`: what takes what is left, and shares a hostname of which somebody
 * else is the holder.
 */
export function planSockets(
  drafts: Iterable<GatewayDraft>,
  options: TranslatorOptions,
  before: Iterable<SocketEntry>,
  shared: GatewayDraft | null = null,
): Plan {
  const sorted = [...drafts].sort(olderFirst);
  const incumbents = new Incumbents(before);
  const claimants = sorted.filter((draft) => draft.refused === null).map((draft) => incumbents.claimant(draft));
  if (shared !== null) claimants.push(incumbents.claimant(shared));
  const assigned = assignAddresses(claimants, options);
  const placements = placeAll(sorted, assigned, incumbents);
  if (shared !== null) placeShared(placements, shared, assigned);
  const gateways = new Map<ObjectKey, GatewayPlan>();
  for (const draft of shared === null ? sorted : [...sorted, shared]) {
    gateways.set(draft.key, {
      addresses: assigned.get(draft.name) ?? NO_ADDRESSES,
      placements: draft.listeners.map((listener) => placements.placed.get(listener) ?? NOWHERE),
    });
  }
  return { gateways, entries: entriesOf(placements.sockets.values()) };
}

interface Placements {
  readonly placed: Map<ListenerDraft, Placement>;
  /** By transport, address and port. */
  readonly sockets: Map<string, Socket>;
}

/** Older Gateways first, of one age those that serve, then by name. */
function placeAll(
  drafts: readonly GatewayDraft[],
  assigned: ReadonlyMap<string, Addresses>,
  incumbents: Incumbents,
): Placements {
  const wishes = drafts.flatMap((draft) => {
    const { bound } = assigned.get(draft.name) ?? NO_ADDRESSES;
    return draft.listeners
      .filter((_, index) => isPlaceable(draft, index))
      .map((listener) => {
        const wish = held(draft, listener);
        return { wish, addresses: bound, rank: incumbents.has(wish, bound) ? 0 : 1 };
      });
  });
  wishes.sort(
    (a, b) =>
      a.wish.gateway.created - b.wish.gateway.created || a.rank - b.rank || olderFirst(a.wish.gateway, b.wish.gateway),
  );
  const sockets = new Map<string, Socket>();
  const placed = new Map<ListenerDraft, Placement>();
  for (const { wish, addresses } of wishes) placed.set(wish.listener, place(sockets, wish, addresses, false));
  return { placed, sockets };
}

/** After all others. */
function placeShared(
  { placed, sockets }: Placements,
  draft: GatewayDraft,
  assigned: ReadonlyMap<string, Addresses>,
): void {
  const { bound } = assigned.get(draft.name) ?? NO_ADDRESSES;
  for (const listener of draft.listeners) placed.set(listener, place(sockets, held(draft, listener), bound, true));
}

function held(gateway: GatewayDraft, listener: ListenerDraft): Held {
  const served = servedProtocol(listener.protocol);
  if (served === null) return { gateway, listener, host: null };
  const { hostname, name, port } = listener;
  const tls = listener.tls === null ? null : listener.tls.settings;
  const host = { hostname, gateway: gateway.entry.key, listener: name, port, protocol: served.protocol, tls };
  return { gateway, listener, host };
}

/** On every address of the Gateway or on none: a listener is available on all assigned addresses. */
function place(sockets: Map<string, Socket>, wish: Held, addresses: readonly string[], shares: boolean): Placement {
  const { boundPort: port, protocol: name, hostname } = wish.listener;
  const protocol = protocolOf(name);
  if (protocol === undefined) return NOWHERE;
  const host = protocol.byHostname ? hostname : '*';
  const nameOf = (address: string): string => `${protocol.transport} ${address} ${port}`;
  for (const address of addresses) {
    const socket = sockets.get(nameOf(address));
    const conflict = socket === undefined ? null : conflictOn(socket, protocol.family, host, wish.listener);
    if (conflict !== null && !(shares && conflict.type === 'hostname')) return { ...NOWHERE, conflict };
  }
  for (const address of addresses) {
    let socket = sockets.get(nameOf(address));
    if (socket === undefined) {
      socket = { address, port, family: protocol.family, hosts: new Map() };
      sockets.set(nameOf(address), socket);
    }
    if (!socket.hosts.has(host)) socket.hosts.set(host, wish);
  }
  const served = servedProtocol(name);
  if (served === null) return NOWHERE;
  const keys = addresses.map((address) => socketKey(address, port, served.transport));
  return { sockets: keys, host: wish.host, conflict: null };
}

function conflictOn(socket: Socket, family: string, host: string, listener: ListenerDraft): Conflict | null {
  const before = ({ gateway, listener: first }: Held, what: string): string => {
    const where = `on port ${listener.boundPort} (listener ${first.name})`;
    return `Gateway ${gateway.name}, which comes first, has ${what} ${where}.`;
  };
  if (socket.family !== family) {
    const holder = socket.hosts.values().next().value as Held;
    return { type: 'protocol', message: before(holder, `protocol ${holder.listener.protocol}`) };
  }
  const holder = socket.hosts.get(host);
  if (holder === undefined) return null;
  if (protocolOf(listener.protocol)?.byHostname !== true) {
    return { type: 'protocol', message: before(holder, `protocol ${holder.listener.protocol}`) };
  }
  return { type: 'hostname', message: before(holder, host === '*' ? 'every hostname' : `hostname ${host}`) };
}

function entriesOf(sockets: Iterable<Socket>): Map<Key, PlanEntry> {
  const entries = new Map<Key, PlanEntry>();
  for (const { address, port, hosts: held } of sockets) {
    const hosts: SocketHost[] = [];
    let other: CertificateEntry | null = null;
    let transport: SocketEntry['transport'] | null = null;
    for (const { gateway, listener, host } of held.values()) {
      if (host === null) continue;
      hosts.push(host);
      entries.set(gateway.entry.key, gateway.entry);
      for (const certificate of listener.tls?.certificates ?? []) entries.set(certificate.key, certificate);
      const trust = listener.tls?.trust ?? null;
      if (trust !== null) entries.set(trust.key, trust);
      other ??= listener.tls?.fallback ?? null;
      transport = servedProtocol(listener.protocol)?.transport ?? null;
    }
    if (transport === null) continue;
    hosts.sort((a, b) => compare(a.hostname, b.hostname));
    const key = socketKey(address, port, transport);
    const fallback = other === null ? null : fallbackOf(other, hosts);
    if (other !== null && fallback !== null) entries.set(other.key, other);
    entries.set(key, { kind: 'socket', key, address, port, transport, hosts, fallback, proxyProtocol: null });
  }
  return entries;
}

/** What no listener of the socket would refuse: whose host a request names is known only after the handshake. */
function fallbackOf({ key }: CertificateEntry, hosts: readonly SocketHost[]): ServerTls | null {
  // Who names nobody can speak of nobody but in HTTP.
  const all = hosts.flatMap(({ tls, protocol }) => (tls === null || protocol !== 'HTTPS' ? [] : [tls]));
  const [first] = all;
  // Whoever names nobody is this listener's already.
  if (first === undefined || hosts.some(({ hostname }) => hostname === '*')) return null;
  const common = (of: (tls: ServerTls) => readonly string[]): readonly string[] =>
    of(first).filter((name) => all.every((tls) => of(tls).includes(name)));
  const [ciphers, suites] = [common((tls) => tls.ciphers), common((tls) => tls.suites)];
  if (suites.length === 0) return null;
  const strict = ciphers.length === 0 || all.some(({ minVersion }) => minVersion === 'TLSv1.3');
  return {
    certificates: [key],
    minVersion: strict ? 'TLSv1.3' : 'TLSv1.2',
    ciphers: ciphers.length === 0 ? first.ciphers : ciphers,
    suites,
    alpn: first.alpn,
    clients: null,
  };
}
