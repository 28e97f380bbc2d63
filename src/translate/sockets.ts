// Puts the listeners of all Gateways on sockets. Gateways share a socket when they share an address and a port, and
// merge by hostname; for an equal hostname the older Gateway wins and the younger's listener is Conflicted, so that
// nobody can take away what already serves.

import type { ObjectKey } from '../api/object.ts';
import type { Key, ListenerEntry, ListenerHost } from '../ir/ir.ts';
import type { Addresses } from './addresses.ts';
import { assignAddresses } from './addresses.ts';
import type { TranslatorOptions } from './context.ts';
import { olderFirst } from './context.ts';
import { compare } from './dependencies.ts';
import type { GatewayDraft, GatewayPlan, Placement } from './gateway.ts';
import { isPlaceable } from './gateway.ts';
import type { Conflict, ListenerDraft } from './listener.ts';

export interface Plan {
  readonly gateways: ReadonlyMap<ObjectKey, GatewayPlan>;
  readonly entries: ReadonlyMap<Key, ListenerEntry>;
}

interface Socket {
  readonly address: string;
  readonly port: number;
  readonly hosts: Map<string, ListenerHost>;
}

const NO_ADDRESSES: Addresses = { bound: [], status: [], fault: null };
const NOWHERE: Placement = { sockets: [], conflict: null };

export function listenerKey(address: string, port: number): Key {
  return `listener/${address}:${port}`;
}

export function planSockets(drafts: Iterable<GatewayDraft>, options: TranslatorOptions): Plan {
  const sorted = [...drafts].sort(olderFirst);
  const assigned = assignAddresses(
    sorted.filter((draft) => draft.refused === null),
    options,
  );
  const sockets = new Map<Key, Socket>();
  const gateways = new Map<ObjectKey, GatewayPlan>();
  for (const draft of sorted) {
    const addresses = assigned.get(draft.name) ?? NO_ADDRESSES;
    const placements = draft.listeners.map((listener, index) =>
      isPlaceable(draft, index) ? place(sockets, draft, addresses, listener) : NOWHERE,
    );
    gateways.set(draft.key, { addresses, placements });
  }
  const entries = new Map<Key, ListenerEntry>();
  for (const [key, { address, port, hosts }] of sockets) {
    const sorted = [...hosts.values()].sort((a, b) => compare(a.hostname, b.hostname));
    entries.set(key, { kind: 'listener', key, address, port, protocol: 'HTTP', hosts: sorted });
  }
  return { gateways, entries };
}

/** On every address of the Gateway or on none: a listener is available on all assigned addresses. */
function place(
  sockets: Map<Key, Socket>,
  draft: GatewayDraft,
  addresses: Addresses,
  listener: ListenerDraft,
): Placement {
  const wanted = addresses.bound.map((address) => ({ address, key: listenerKey(address, listener.boundPort) }));
  for (const { key } of wanted) {
    const holder = sockets.get(key)?.hosts.get(listener.hostname);
    if (holder !== undefined) return { sockets: [], conflict: conflictWith(holder, listener) };
  }
  for (const { address, key } of wanted) {
    let socket = sockets.get(key);
    if (socket === undefined) {
      socket = { address, port: listener.boundPort, hosts: new Map() };
      sockets.set(key, socket);
    }
    socket.hosts.set(listener.hostname, { hostname: listener.hostname, gateway: draft.name, listener: listener.name });
  }
  return { sockets: wanted.map(({ key }) => key), conflict: null };
}

function conflictWith(holder: ListenerHost, listener: ListenerDraft): Conflict {
  const host = listener.hostname === '*' ? 'every hostname' : `hostname ${listener.hostname}`;
  const message = `Gateway ${holder.gateway}, which comes first, has ${host} on port ${listener.boundPort} (listener ${holder.listener}).`;
  return { type: 'hostname', message };
}
