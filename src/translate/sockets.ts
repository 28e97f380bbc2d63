// Puts the listeners of all Gateways on sockets. Gateways share a socket when they share an address and a port, and
// merge by hostname; what a younger Gateway's listener wants and an older one has makes the younger's Conflicted, so
// that nobody can take away what already serves (docs/reference/gateway-api.md says how that stands to the API's text).
// ListenerSets come after their Gateway and older sets of it, and among Gateways with their own age.

import type { ObjectKey } from '../api/object.ts';
import { equal } from '../base/equal.ts';
import type { GatewayEntry, Key, ServerTls, SocketEntry, SocketHost, TrustEntry } from '../ir/ir.ts';
import { socketKey } from '../ir/keys.ts';
import type { Addresses } from './addresses.ts';
import { assignAddresses } from './addresses.ts';
import type { Claimant, TranslatorOptions } from './context.ts';
import { olderFirst } from './context.ts';
import { compare } from './dependencies.ts';
import type { GatewayDraft, GatewayPlan, ListenerOwner, Placement } from './gateway.ts';
import { isPlaceable } from './gateway.ts';
import type { Conflict, ListenerDraft } from './listener.ts';
import { conflictsWithin } from './listener.ts';
import type { ListenerSetDraft } from './listener-set.ts';
import { protocolOf, servedProtocol } from './protocols.ts';

export interface Plan {
  /** By key of the Gateway or ListenerSet. */
  readonly gateways: ReadonlyMap<ObjectKey, GatewayPlan>;
  /** Of sockets, and of the Gateways that are on one and what clients' certificates are checked against there. */
  readonly entries: ReadonlyMap<Key, PlanEntry>;
  /** Of the certificates that are shown there. */
  readonly certificates: ReadonlySet<Key>;
}

export type PlanEntry = SocketEntry | GatewayEntry | TrustEntry;

/** A port of an address, and who has it. */
interface Socket {
  readonly address: string;
  readonly port: number;
  readonly family: string;
  /** Of whoever came first: what stands in front of every host cannot differ by host. */
  readonly proxyProtocol: SocketEntry['proxyProtocol'];
  /** By hostname; of protocols without, there is one. */
  readonly hosts: Map<string, Held>;
}

interface Held {
  readonly gateway: GatewayDraft;
  /** The Gateway itself, or a set of it. */
  readonly owner: ListenerOwner;
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
  claimant({ gateway: draft, sets }: Family): Claimant {
    const { name, addresses: claim } = draft;
    const has = this.#addresses.get(draft.entry.key);
    // One that has nothing to serve any more has nothing to keep.
    const serves = [draft, ...sets].some((owner) =>
      placeable(owner).some(({ protocol }) => servedProtocol(protocol) !== null),
    );
    return { name, addresses: has === undefined || !serves ? claim : { ...claim, held: [...claim.held, ...has] } };
  }
}

/**
 * `before`: sockets as they are served now. `shared`: what takes what is left, and shares a hostname of which somebody
 * else is the holder. `sets`: by key of their Gateway.
 */
export function planSockets(
  drafts: Iterable<GatewayDraft>,
  options: TranslatorOptions,
  before: Iterable<SocketEntry>,
  shared: GatewayDraft | null = null,
  sets: ReadonlyMap<ObjectKey, readonly ListenerSetDraft[]> = new Map(),
): Plan {
  const sorted = [...drafts].sort(olderFirst).map((gateway): Family => {
    return { gateway, sets: [...(sets.get(gateway.key) ?? [])].sort(olderFirst) };
  });
  const others: readonly Family[] = shared === null ? [] : [{ gateway: shared, sets: [] }];
  const incumbents = new Incumbents(before);
  const claiming = [...sorted.filter(({ gateway }) => gateway.refused === null), ...others];
  const assigned = assignAddresses(
    claiming.map((family) => incumbents.claimant(family)),
    options,
  );
  const placements = placeAll(sorted, assigned, incumbents);
  if (shared !== null) placeShared(placements, shared, assigned);
  const gateways = new Map<ObjectKey, GatewayPlan>();
  for (const { gateway, sets } of [...sorted, ...others]) {
    for (const owner of [gateway, ...sets]) {
      gateways.set(owner.key, {
        addresses: assigned.get(gateway.name) ?? NO_ADDRESSES,
        placements: owner.listeners.map((listener) => placements.placed.get(listener) ?? NOWHERE),
      });
    }
  }
  const entries = entriesOf(placements.sockets.values());
  return { gateways, entries, certificates: certificatesOf(entries.values()) };
}

/** A Gateway and its ListenerSets, those that come first first. */
interface Family {
  readonly gateway: GatewayDraft;
  readonly sets: readonly ListenerSetDraft[];
}

function placeable(owner: ListenerOwner): ListenerDraft[] {
  return owner.listeners.filter((_, index) => isPlaceable(owner, index));
}

/**
 * What listeners of sets lose to the Gateway or to sets before them: none of these can be talked out of it. Of those
 * that are left in a set, as in a Gateway, none wins over another.
 */
function outdoneWithin({ gateway, sets }: Family): Map<ListenerDraft, Placement> {
  const outdone = new Map<ListenerDraft, Placement>();
  if (sets.length === 0) return outdone;
  const sockets = new Map<string, Socket>();
  const theirs = ['theirs'];
  for (const listener of placeable(gateway)) place(sockets, held(gateway, gateway, listener), theirs, false);
  for (const set of sets) {
    const wishes = new Map(placeable(set).map((listener) => [listener, held(gateway, set, listener)]));
    for (const [listener, wish] of wishes) {
      const conflict = conflictAt(sockets, wish, theirs, false);
      if (conflict !== null) outdone.set(listener, { ...NOWHERE, conflict });
    }
    const left = set.listeners.filter((listener) => !outdone.has(listener));
    for (const [i, conflict] of conflictsWithin(left).entries()) {
      if (conflict !== null) outdone.set(left[i] as ListenerDraft, { ...NOWHERE, conflict });
    }
    for (const [listener, wish] of wishes) if (!outdone.has(listener)) place(sockets, wish, theirs, false);
  }
  return outdone;
}

interface Placements {
  readonly placed: Map<ListenerDraft, Placement>;
  /** By transport, address and port. */
  readonly sockets: Map<string, Socket>;
}

/** Older Gateways first, of one age those that serve, then by name. */
function placeAll(
  families: readonly Family[],
  assigned: ReadonlyMap<string, Addresses>,
  incumbents: Incumbents,
): Placements {
  const placed = new Map<ListenerDraft, Placement>();
  const wishes = families.flatMap((family) => {
    const { gateway, sets } = family;
    const { bound } = assigned.get(gateway.name) ?? NO_ADDRESSES;
    const outdone = outdoneWithin(family);
    for (const [listener, placement] of outdone) placed.set(listener, placement);
    return [gateway, ...sets].flatMap((owner) => {
      // What a set adds to an old Gateway takes nothing from a Gateway that was there before the set.
      const age = Math.max(gateway.created, owner.created);
      const left = placeable(owner).filter((listener) => !outdone.has(listener));
      return left.map((listener) => {
        const wish = held(gateway, owner, listener);
        return { wish, addresses: bound, age, rank: incumbents.has(wish, bound) ? 0 : 1 };
      });
    });
  });
  const first = placeInOrder(placed, wishes);
  // Of one age those that serve now were not all first a moment ago: who comes first must not tell of what was before.
  const isLost = ({ wish }: Wish): boolean => placed.get(wish.listener)?.conflict != null;
  if (!wishes.some(isLost)) return first;
  return placeInOrder(
    placed,
    wishes.map((wish) => ({ ...wish, rank: isLost(wish) ? 1 : 0 })),
  );
}

/** What one listener wants. `rank`: those of one age are placed by it, then by name. */
interface Wish {
  readonly wish: Held;
  readonly addresses: readonly string[];
  readonly age: number;
  readonly rank: number;
}

function placeInOrder(placed: Map<ListenerDraft, Placement>, wishes: readonly Wish[]): Placements {
  const sorted = wishes.toSorted(
    (a, b) => a.age - b.age || a.rank - b.rank || olderFirst(a.wish.gateway, b.wish.gateway),
  );
  const sockets = new Map<string, Socket>();
  for (const { wish, addresses } of sorted) placed.set(wish.listener, place(sockets, wish, addresses, false));
  return { placed, sockets };
}

/** After all others. */
function placeShared(
  { placed, sockets }: Placements,
  draft: GatewayDraft,
  assigned: ReadonlyMap<string, Addresses>,
): void {
  const { bound } = assigned.get(draft.name) ?? NO_ADDRESSES;
  for (const listener of draft.listeners)
    placed.set(listener, place(sockets, held(draft, draft, listener), bound, true));
}

function held(gateway: GatewayDraft, owner: ListenerOwner, listener: ListenerDraft): Held {
  const served = servedProtocol(listener.protocol);
  if (served === null) return { gateway, owner, listener, host: null };
  const { hostname, port } = listener;
  const name = owner === gateway ? listener.name : `${owner.name}/${listener.name}`;
  const tls = listener.tls === null ? null : listener.tls.settings;
  const host = { hostname, gateway: gateway.entry.key, listener: name, port, protocol: served.protocol, tls };
  return { gateway, owner, listener, host };
}

/** What keeps a listener off those sockets; `shares`: not who has its hostname. */
function conflictAt(
  sockets: ReadonlyMap<string, Socket>,
  { listener }: Held,
  addresses: readonly string[],
  shares: boolean,
): Conflict | null {
  const protocol = protocolOf(listener.protocol);
  if (protocol === undefined) return null;
  const host = protocol.byHostname ? listener.hostname : '*';
  for (const address of addresses) {
    const socket = sockets.get(`${protocol.transport} ${address} ${listener.boundPort}`);
    const conflict = socket === undefined ? null : conflictOn(socket, protocol.family, host, listener, shares);
    if (conflict !== null && !(shares && conflict.type === 'hostname')) return conflict;
  }
  return null;
}

/** On every address of the Gateway or on none: a listener is available on all assigned addresses. */
function place(sockets: Map<string, Socket>, wish: Held, addresses: readonly string[], shares: boolean): Placement {
  const { boundPort: port, protocol: name, hostname } = wish.listener;
  const protocol = protocolOf(name);
  if (protocol === undefined) return NOWHERE;
  const conflict = conflictAt(sockets, wish, addresses, shares);
  if (conflict !== null) return { ...NOWHERE, conflict };
  const host = protocol.byHostname ? hostname : '*';
  const nameOf = (address: string): string => `${protocol.transport} ${address} ${port}`;
  for (const address of addresses) {
    let socket = sockets.get(nameOf(address));
    if (socket === undefined) {
      const { proxyProtocol } = wish.listener;
      socket = { address, port, family: protocol.family, proxyProtocol, hosts: new Map() };
      sockets.set(nameOf(address), socket);
    }
    if (!socket.hosts.has(host)) socket.hosts.set(host, wish);
  }
  const served = servedProtocol(name);
  if (served === null) return NOWHERE;
  const keys = addresses.map((address) => socketKey(address, port, served.transport));
  return { sockets: keys, host: wish.host, conflict: null };
}

/** `shares`: it takes what is left as it is, PROXY headers too. */
function conflictOn(
  socket: Socket,
  family: string,
  host: string,
  listener: ListenerDraft,
  shares: boolean,
): Conflict | null {
  const before = ({ gateway, owner, listener: first }: Held, what: string): string => {
    const where = `on port ${listener.boundPort} (listener ${first.name})`;
    const kind = owner === gateway ? 'Gateway' : 'ListenerSet';
    return `${kind} ${owner.name}, which comes first, has ${what} ${where}.`;
  };
  if (socket.family !== family) {
    const holder = socket.hosts.values().next().value as Held;
    return { type: 'protocol', message: `${before(holder, `protocol ${holder.listener.protocol}`)} ${OTHER_PORT}` };
  }
  if (!shares && !equal(socket.proxyProtocol, listener.proxyProtocol)) {
    const holder = socket.hosts.values().next().value as Held;
    const from = socket.proxyProtocol === null ? 'no PROXY headers' : 'PROXY headers of others';
    return { type: 'protocol', message: `${before(holder, from)} ${OTHER_PORT}` };
  }
  const holder = socket.hosts.get(host);
  if (holder === undefined) return null;
  if (protocolOf(listener.protocol)?.byHostname !== true) {
    return { type: 'protocol', message: `${before(holder, `protocol ${holder.listener.protocol}`)} ${OTHER_PORT}` };
  }
  const has = before(holder, host === '*' ? 'every hostname' : `hostname ${host}`);
  return { type: 'hostname', message: `${has} This one needs another hostname, or another port.` };
}

const OTHER_PORT = 'This one needs another port.';

function entriesOf(sockets: Iterable<Socket>): Map<Key, PlanEntry> {
  const entries = new Map<Key, PlanEntry>();
  for (const { address, port, proxyProtocol, hosts: held } of sockets) {
    const hosts: SocketHost[] = [];
    let other: Key | null = null;
    let transport: SocketEntry['transport'] | null = null;
    for (const { gateway, listener, host } of held.values()) {
      if (host === null) continue;
      hosts.push(host);
      entries.set(gateway.entry.key, gateway.entry);
      const trust = listener.tls?.trust ?? null;
      if (trust !== null) entries.set(trust.key, trust);
      other ??= listener.tls?.fallback ?? null;
      transport = servedProtocol(listener.protocol)?.transport ?? null;
    }
    if (transport === null) continue;
    hosts.sort((a, b) => compare(a.hostname, b.hostname));
    const key = socketKey(address, port, transport);
    const fallback = other === null ? null : fallbackOf(other, hosts);
    entries.set(key, { kind: 'socket', key, address, port, transport, hosts, fallback, proxyProtocol });
  }
  return entries;
}

/** Keys of those that sockets show, of --default-certificate too where it is one's. */
function certificatesOf(entries: Iterable<PlanEntry>): Set<Key> {
  const keys = new Set<Key>();
  for (const entry of entries) {
    if (entry.kind !== 'socket') continue;
    for (const { tls } of [...entry.hosts, { tls: entry.fallback }])
      for (const key of tls?.certificates ?? []) keys.add(key);
  }
  return keys;
}

/** What no listener of the socket would refuse: whose host a request names is known only after the handshake. */
function fallbackOf(key: Key, hosts: readonly SocketHost[]): ServerTls | null {
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
