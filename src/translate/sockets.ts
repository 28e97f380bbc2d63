// Puts the listeners of all Gateways on sockets. Gateways share a socket when they share an address and a port, and
// merge by hostname; for an equal hostname the older Gateway wins and the younger's listener is Conflicted, so that
// nobody can take away what already serves.

import type { ObjectKey } from '../api/object.ts';
import type { GatewayEntry, Key, SocketEntry, SocketHost } from '../ir/ir.ts';
import { gatewayKey, socketKey } from '../ir/keys.ts';
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
  /** Of sockets, and of the Gateways that are on one. */
  readonly entries: ReadonlyMap<Key, SocketEntry | GatewayEntry>;
}

interface Socket {
  readonly address: string;
  readonly port: number;
  readonly hosts: Map<string, Held>;
}

interface Held {
  readonly gateway: GatewayDraft;
  readonly host: SocketHost;
}

const NO_ADDRESSES: Addresses = { bound: [], status: [], fault: null };
const NOWHERE: Placement = { sockets: [], conflict: null };

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
  return { gateways, entries: entriesOf(sockets) };
}

function entriesOf(sockets: ReadonlyMap<Key, Socket>): Map<Key, SocketEntry | GatewayEntry> {
  const entries = new Map<Key, SocketEntry | GatewayEntry>();
  for (const [key, { address, port, hosts }] of sockets) {
    const held = [...hosts.values()];
    for (const { gateway, host } of held) {
      entries.set(host.gateway, { kind: 'gateway', key: host.gateway, name: gateway.name });
    }
    const sorted = held.map(({ host }) => host).sort((a, b) => compare(a.hostname, b.hostname));
    entries.set(key, { kind: 'socket', key, address, port, transport: 'tcp', hosts: sorted });
  }
  return entries;
}

/** On every address of the Gateway or on none: a listener is available on all assigned addresses. */
function place(
  sockets: Map<Key, Socket>,
  draft: GatewayDraft,
  addresses: Addresses,
  listener: ListenerDraft,
): Placement {
  const wanted = addresses.bound.map((address) => ({ address, key: socketKey(address, listener.boundPort, 'tcp') }));
  for (const { key } of wanted) {
    const holder = sockets.get(key)?.hosts.get(listener.hostname);
    if (holder !== undefined) return { sockets: [], conflict: conflictWith(holder, listener) };
  }
  const host: SocketHost = {
    hostname: listener.hostname,
    gateway: gatewayKey(draft.namespace, draft.key.slice(draft.key.lastIndexOf('/') + 1)),
    listener: listener.name,
    port: listener.port,
    protocol: 'HTTP',
  };
  for (const { address, key } of wanted) {
    let socket = sockets.get(key);
    if (socket === undefined) {
      socket = { address, port: listener.boundPort, hosts: new Map() };
      sockets.set(key, socket);
    }
    socket.hosts.set(listener.hostname, { gateway: draft, host });
  }
  return { sockets: wanted.map(({ key }) => key), conflict: null };
}

function conflictWith(holder: Held, listener: ListenerDraft): Conflict {
  const what = listener.hostname === '*' ? 'every hostname' : `hostname ${listener.hostname}`;
  const who = `Gateway ${holder.gateway.name}, which comes first,`;
  const message = `${who} has ${what} on port ${listener.boundPort} (listener ${holder.host.listener}).`;
  return { type: 'hostname', message };
}
