// A rule of layer 4 as the data plane uses it, and those of one listener: which of them gets a session.

import type { Attachment, Key, RelayEntry, SocketEntry, SocketHost } from '../../ir/ir.ts';
import { Fragment } from '../../telemetry/fragment.ts';
import type { ClusterRef, RouteCells } from '../exchange/rule.ts';
import { ServerNames } from '../tls/names.ts';
import { type Picker, splitPicker } from '../upstream/pick/picker.ts';
import type { Way } from './loops.ts';

export interface CompiledBackend {
  /** `,"backend":"ns/name:80"` */
  readonly json: Fragment;
  /** null: an invalid reference. */
  readonly cluster: ClusterRef | null;
}

export class CompiledRelay {
  readonly entry: RelayEntry;
  readonly cells: RouteCells;
  readonly clusters: readonly ClusterRef[];
  readonly #backends: readonly CompiledBackend[];
  readonly #split: Picker;
  /** Sums of the weights up to each backend. */
  readonly #sums: Float64Array;
  #json: Fragment | null = null;

  constructor(entry: RelayEntry, cells: RouteCells, clusterOf: (key: Key) => ClusterRef) {
    this.entry = entry;
    this.cells = cells;
    this.#backends = entry.backends.map(({ cluster, backend }): CompiledBackend => {
      if (cluster === null) return { cluster, json: Fragment.members({ backend }) };
      const ref = clusterOf(cluster);
      return { cluster: ref, json: ref.jsonOf(backend) };
    });
    this.clusters = this.#backends.flatMap(({ cluster }) => cluster ?? []);
    this.#split = splitPicker(entry.backends.map(({ weight }) => weight));
    let sum = 0;
    this.#sums = Float64Array.from(entry.backends, ({ weight }) => (sum += weight));
  }

  /** `,"kind":"TCPRoute","route":"ns/name","rule":"0"` */
  get json(): Fragment {
    const { routeKind, route, name, index } = this.entry;
    this.#json ??= Fragment.members({ kind: routeKind, route, rule: name === '' ? String(index) : name });
    return this.#json;
  }

  /** The backend of the next session; null when none may get any. */
  pick(): CompiledBackend | null {
    const index = this.#split.pick(0);
    return index < 0 ? null : (this.#backends[index] as CompiledBackend);
  }

  /** Where its sessions go on to, whose clients name `name` in what is passed on; null: that is not known. */
  *onward(name: string | null): Iterable<Way> {
    for (const { current } of this.clusters) {
      const tls = current?.entry.tls ?? null;
      for (const { address } of current?.pools ?? []) yield { address, name: tls === null ? name : tls.hostname };
    }
  }

  /** The same for who has no memory: `hash`, unsigned 32 bits, always leads to the same one, in any process. */
  pickBy(hash: number): CompiledBackend | null {
    const index = this.indexBy(hash);
    return index < 0 ? null : (this.#backends[index] as CompiledBackend);
  }

  /** Its place among the entry's backends; -1 for none. */
  indexBy(hash: number): number {
    const sums = this.#sums;
    const at = (hash / 2 ** 32) * (sums[sums.length - 1] as number);
    for (let i = 0; i < sums.length; i++) if (at < (sums[i] as number)) return i;
    return -1;
  }
}

/** Of several under one name the first is served: the oldest, then by name (conflicts of the Gateway API). */
function inOrder(a: CompiledRelay, b: CompiledRelay): number {
  if (a.entry.created !== b.entry.created) return a.entry.created - b.entry.created;
  if (a.entry.route !== b.entry.route) return a.entry.route < b.entry.route ? -1 : 1;
  return a.entry.index - b.entry.index;
}

/** What is attached to the hosts of one listener. */
export class RelayTable {
  /** By key of the entry. */
  readonly #relays = new Map<Key, CompiledRelay>();
  /** By SocketHost.hostname; made when it is first asked for. */
  readonly #names = new Map<string, ServerNames<CompiledRelay>>();
  readonly #socket: Key;

  constructor(socket: Key) {
    this.#socket = socket;
  }

  get size(): number {
    return this.#relays.size;
  }

  set(relay: CompiledRelay): void {
    this.#relays.set(relay.entry.key, relay);
    this.#names.clear();
  }

  remove(key: Key): void {
    if (this.#relays.delete(key)) this.#names.clear();
  }

  /** Who gets a session with `host`; `name`: what the client named, lower case, '' for nobody. */
  find({ hostname }: SocketHost, name: string): CompiledRelay | null {
    let names = this.#names.get(hostname);
    if (names === undefined) {
      names = this.#namesOf(hostname);
      this.#names.set(hostname, names);
    }
    return names.find(name);
  }

  /** Who may get sessions with `host`; `name` null: any name. */
  takers(host: SocketHost, name: string | null): Iterable<CompiledRelay> {
    const one = name === null ? null : this.find(host, name);
    return name === null ? this.#relays.values() : one === null ? [] : [one];
  }

  #namesOf(hostname: string): ServerNames<CompiledRelay> {
    const names = new ServerNames<CompiledRelay>();
    const isHere = (at: Attachment): boolean => at.socket === this.#socket && at.host === hostname;
    // The first one last: it is who stays.
    for (const relay of [...this.#relays.values()].sort((a, b) => inOrder(b, a))) {
      const at = relay.entry.attachments.find(isHere);
      for (const one of at?.hostnames ?? []) names.add(one, relay);
    }
    return names;
  }
}

/** Whether a handshake of `name` may be for the host: another one may be it by more of the name. */
function holds(hostname: string, name: string): boolean {
  return hostname === '*' || hostname === name || (hostname.startsWith('*.') && name.endsWith(hostname.slice(1)));
}

/** Who may take sessions that come to a socket by `name`, null: by any; and whether TLS ends there first. */
export function takersOf(
  entry: SocketEntry | null,
  relays: RelayTable,
  name: string | null,
): Map<CompiledRelay, boolean> {
  const found = new Map<CompiledRelay, boolean>();
  for (const host of entry?.hosts ?? []) {
    if (host.protocol === 'HTTP' || host.protocol === 'HTTPS') continue;
    const named = host.protocol === 'TLS';
    if (named && name !== null && !holds(host.hostname, name)) continue;
    for (const relay of relays.takers(host, named ? name : '')) found.set(relay, host.tls !== null);
  }
  return found;
}
