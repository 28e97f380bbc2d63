// Which endpoints of a route of layer 4 lead back to the listener at which its sessions come in, told by what workers
// ask before they go on to one (proxy/relay/loops.ts), over entries.

import { isIPv6 } from 'node:net';
import type { Endpoint, Key, RelayEntry, SocketEntry } from '../ir/ir.ts';
import { ClusterRef, RouteCells } from '../proxy/exchange/rule.ts';
import { Loops, type Way, type Waypoint } from '../proxy/relay/loops.ts';
import { CompiledRelay, RelayTable, takersOf } from '../proxy/relay/relay.ts';
import type { Backends } from './effects.ts';

/** What is served, as far as it is of layer 4. */
export interface Served {
  readonly sockets: readonly SocketEntry[];
  readonly relays: readonly RelayEntry[];
}

/** Who has sessions at a socket. */
export function tableOf({ key }: SocketEntry, relays: readonly RelayEntry[]): RelayTable {
  const table = new RelayTable(key);
  for (const relay of relays)
    if (relay.attachments.some((at) => at.socket === key))
      table.set(new CompiledRelay(relay, new RouteCells(), (cluster) => new ClusterRef(cluster)));
  return table;
}

class Place implements Waypoint {
  readonly key: Key;
  readonly entry: SocketEntry;
  readonly #relays: readonly RelayEntry[];
  readonly #from: Backends;

  constructor(entry: SocketEntry, relays: readonly RelayEntry[], from: Backends) {
    this.key = entry.key;
    this.entry = entry;
    this.#relays = relays;
    this.#from = from;
  }

  *onward(name: string | null): Iterable<Way> {
    for (const [{ entry }, ends] of takersOf(this.entry, tableOf(this.entry, this.#relays), name)) {
      for (const { cluster } of entry.backends) {
        const found = cluster === null ? null : this.#from.cluster(cluster);
        if (found === null) continue;
        for (const endpoint of this.#from.endpoints(found.endpoints))
          yield { address: addressOf(endpoint), name: found.tls?.hostname ?? (ends ? null : name) };
      }
    }
  }
}

function addressOf({ address, port }: Endpoint): Way['address'] {
  return port === 0 ? { family: 'unix', path: address } : { family: isIPv6(address) ? 'ipv6' : 'ipv4', address, port };
}

/** Addresses of other machines are not told from those of this one here: a wildcard is reached by loopback. */
function leadsTo(bound: string, address: string): boolean {
  const wildcard = bound === '0.0.0.0' || bound === '::';
  return bound === address || (wildcard && (address.startsWith('127.') || address === '::1' || address === bound));
}

/** Whether what came in at `socket` by `name`, null: none, comes there again by way of an endpoint. */
export function circling(
  socket: SocketEntry,
  name: string | null,
  { sockets, relays }: Served,
  from: Backends,
): (endpoint: Endpoint) => boolean {
  const loops = new Loops(leadsTo);
  let here: Waypoint | null = null;
  for (const one of sockets) {
    const place = new Place(one, relays, from);
    loops.moved(place, null);
    if (one === socket) here = place;
  }
  return (endpoint) => here !== null && loops.comesBack(addressOf(endpoint), here, name);
}
