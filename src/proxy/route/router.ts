// Which rule takes a request on one listening socket (docs/reference/routing.md). Rules come and go one by one, between
// two requests; what `find` returned stays valid for the request that holds it.

import type { Key, Match, RuleEntry, SocketHost } from '../../ir/ir.ts';
import type { Head } from '../head.ts';
import type { Entry } from './byte-table.ts';
import { type Candidate, candidatesOf } from './candidate.ts';
import { HostMap, HostReader, hostHash, hostKey } from './hosts.ts';
import { LABELS } from './labels.ts';
import { addCandidate, dropRoot, dropTree, findCandidate, newRoot, type PathNode, removeCandidate } from './paths.ts';

class ListenerNode<T> implements Entry {
  readonly hostname: string;
  readonly hash: number;
  readonly labelStart: number;
  readonly keyLength: number;
  /** Null while `setHosts` has not listed it. */
  host: SocketHost | null = null;
  readonly hostnames = new HostMap<PathNode<T>>();

  constructor(hostname: string) {
    const key = hostKey(hostname);
    this.hostname = hostname;
    this.hash = hostHash(hostname);
    this.labelStart = LABELS.add(key);
    this.keyLength = key.length;
  }
}

/** A rule, and what its matches were compiled to. */
export interface Placed<T> {
  readonly rule: RuleEntry;
  readonly candidates: readonly Candidate<T>[];
}

export class Router<T> {
  /** Key of the SocketEntry: of a rule's attachments only those to it count. */
  readonly listener: Key;

  // ---- what the last `find` met, for filters and logs
  /** The most specific listener hostname; null when the socket has none for the host. */
  host: SocketHost | null = null;
  match: Match | null = null;
  /**
   * Bytes of the path that the match covers: of a prefix without its trailing slash (0 for '/'), else the whole path.
   */
  prefixLength = 0;

  readonly #listed = new HostMap<ListenerNode<T>>();
  /** By SocketHost.hostname: also those that rules name and `setHosts` has not listed (yet). */
  readonly #nodes = new Map<string, ListenerNode<T>>();
  readonly #installed = new Map<Key, Placed<T>>();
  readonly #reader = new HostReader();

  constructor(listener: Key) {
    this.listener = listener;
  }

  /** Number of rules. */
  get size(): number {
    return this.#installed.size;
  }

  get placed(): IterableIterator<Placed<T>> {
    return this.#installed.values();
  }

  /** Gives back what it holds, a little with each step: another one has its place. */
  *drop(): Generator<void, void, void> {
    for (const node of this.#nodes.values()) {
      for (const root of node.hostnames.values()) yield* dropTree(root);
      LABELS.remove(node.labelStart, node.keyLength);
      yield;
    }
  }

  /** The hosts of the SocketEntry; rules attached to others wait. O(hosts). */
  setHosts(hosts: readonly SocketHost[]): void {
    const hostnames = new Set(hosts.map((host) => host.hostname));
    for (const [hostname, node] of this.#nodes) {
      if (node.host === null || hostnames.has(hostname)) continue;
      node.host = null;
      this.#listed.remove(hostname, node);
      this.#dropIfUnused(node);
    }
    for (const host of hosts) {
      const node = this.#node(host.hostname);
      if (node.host === null) this.#listed.add(host.hostname, node);
      node.host = host;
    }
  }

  /**
   * Adds a rule, or replaces the one of its key. Costs what the rule is large, whatever else is there. Throws
   * RegexError, or Error for an impossible path, and then changes nothing.
   */
  set(rule: RuleEntry, payload: T): void {
    this.put({ rule, candidates: candidatesOf(rule, payload) });
  }

  /** The same with what was compiled before; refuses nothing. */
  put(placed: Placed<T>): void {
    const { rule, candidates } = placed;
    this.remove(rule.key);
    this.#installed.set(rule.key, placed);
    for (const attachment of rule.attachments) {
      if (attachment.socket !== this.listener) continue;
      const { hostnames } = this.#node(attachment.host);
      for (const hostname of new Set(attachment.hostnames)) {
        let root = hostnames.get(hostname);
        if (root === null) {
          root = newRoot<T>(hostname);
          hostnames.add(hostname, root);
        }
        for (const candidate of candidates) addCandidate(root, candidate);
      }
    }
  }

  /** Takes a rule out; false if there is none of the key. */
  remove(key: Key): boolean {
    const installed = this.#installed.get(key);
    if (installed === undefined) return false;
    this.#installed.delete(key);
    for (const attachment of installed.rule.attachments) {
      if (attachment.socket !== this.listener) continue;
      const node = this.#nodes.get(attachment.host) as ListenerNode<T>;
      for (const hostname of new Set(attachment.hostnames)) {
        const root = node.hostnames.get(hostname) as PathNode<T>;
        for (const candidate of installed.candidates) removeCandidate(root, candidate);
        if (!root.isBare) continue;
        node.hostnames.remove(hostname, root);
        dropRoot(root);
      }
      this.#dropIfUnused(node);
    }
    return true;
  }

  /**
   * The payload of the rule that takes the request, null for 404. The path must be normalised (normalizeTarget) before.
   *
   * 1. The most specific listener hostname that covers the host takes the request, and with it only the rules attached
   *    there (Gateway API v1.6.1, Gateway.spec.listeners: listener isolation).
   * 2. Among their hostnames the most specific comes first; when none of its rules matches, the next one is tried: the
   *    API orders rules by hostname ("precedence must be given to rules from the HTTPRoute with the largest number of
   *    characters in a matching hostname", HTTPRoute.spec.hostnames), it does not hide the others. (Envoy's virtual
   *    hosts do hide them.)
   * 3. Within a hostname: path, method, header, query, age, name (findCandidate, Candidate.before).
   */
  find(mem: Uint8Array, head: Head): T | null {
    const reader = this.#reader;
    reader.read(mem, head.hostStart, head.hostEnd);
    this.match = null;
    this.host = null;
    const listener = this.#listed.best(reader);
    if (listener === null) return null;
    this.host = listener.host;
    const hostnames = listener.hostnames;
    let root = hostnames.exact(reader);
    let found = root === null ? null : findCandidate(root, mem, head);
    if (found === null && hostnames.hasWildcards) {
      reader.split();
      root = hostnames.oneLabel(reader);
      if (root !== null) found = findCandidate(root, mem, head);
      for (let i = reader.suffixes - 1; i >= 0 && found === null; i--) {
        root = hostnames.wildcard(reader, i);
        if (root !== null) found = findCandidate(root, mem, head);
      }
    }
    if (found === null && hostnames.any !== null) found = findCandidate(hostnames.any, mem, head);
    if (found === null) return null;
    this.match = found.match;
    this.prefixLength = found.prefixLength >= 0 ? found.prefixLength : head.pathEnd - head.pathStart;
    return found.payload;
  }

  /** The host that `find` would go to: the most specific listener hostname; null for none. */
  hostFor(mem: Uint8Array, head: Head): SocketHost | null {
    this.#reader.read(mem, head.hostStart, head.hostEnd);
    return this.#listed.best(this.#reader)?.host ?? null;
  }

  #node(hostname: string): ListenerNode<T> {
    let node = this.#nodes.get(hostname);
    if (node === undefined) {
      node = new ListenerNode<T>(hostname);
      this.#nodes.set(hostname, node);
    }
    return node;
  }

  #dropIfUnused(node: ListenerNode<T>): void {
    if (node.host !== null || node.hostnames.size > 0) return;
    this.#nodes.delete(node.hostname);
    LABELS.remove(node.labelStart, node.keyLength);
  }
}
