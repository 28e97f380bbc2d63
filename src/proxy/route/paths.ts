// The paths of one hostname: a radix tree whose edges are path elements (the unit in which the Gateway API matches prefixes),
// children found by hash. A lookup reads the path once, as deep as the tree goes, whatever the number of routes.

import type { Head } from '../head.ts';
import { ByteTable } from './byte-table.ts';
import type { Candidate } from './candidate.ts';

const SLASH = 0x2f;
const FNV_PRIME = 0x01000193;
const FNV_OFFSET = 0x811c9dc5 | 0;

class PathNode<T> {
  readonly parent: PathNode<T> | null;
  readonly label: Uint8Array;
  readonly hash: number;
  children: ByteTable<PathNode<T>> | null = null;
  /** Candidates of this very path and of this path as a prefix, in the order of precedence; null when there are none. */
  exact: Candidate<T>[] | null = null;
  prefix: Candidate<T>[] | null = null;

  constructor(parent: PathNode<T> | null, label: Uint8Array, hash: number) {
    this.parent = parent;
    this.label = label;
    this.hash = hash;
  }
}

export class PathTree<T> {
  /** Number of candidates. */
  size = 0;
  readonly #root = new PathNode<T>(null, new Uint8Array(0), 0);
  #regexes: Candidate<T>[] | null = null;

  /**
   * The candidate that takes the request: an exact path, then regular expressions, then prefixes from the longest to the
   * shortest (Gateway API v1.6.1, HTTPRouteRule.matches; the place of regular expressions is the implementation's to choose:
   * it is Envoy Gateway's).
   */
  find(mem: Uint8Array, head: Head): Candidate<T> | null {
    const end = head.pathEnd;
    let at = head.pathStart;
    let node = this.#root;
    // Only a path that begins with '/' has elements; '*' and the empty path of CONNECT are under the prefix '/' alone.
    if (at < end && mem[at] === SLASH) {
      while (at < end && node.children !== null) {
        let hash = FNV_OFFSET;
        let stop = at + 1;
        for (; stop < end; stop++) {
          const c = mem[stop] as number;
          if (c === SLASH) break;
          hash = Math.imul(hash ^ c, FNV_PRIME);
        }
        const child = node.children.find(hash, mem, at + 1, stop);
        if (child === null) break;
        node = child;
        at = stop;
      }
    }
    if (at === end && node.exact !== null) {
      const found = firstHolding(node.exact, mem, head);
      if (found !== null) return found;
    }
    if (this.#regexes !== null) {
      const found = firstMatching(this.#regexes, mem, head);
      if (found !== null) return found;
    }
    for (let n: PathNode<T> | null = node; n !== null; n = n.parent) {
      if (n.prefix === null) continue;
      const found = firstHolding(n.prefix, mem, head);
      if (found !== null) return found;
    }
    return null;
  }

  add(candidate: Candidate<T>): void {
    this.size++;
    if (candidate.regex !== null) {
      this.#regexes = inserted(this.#regexes, candidate);
      return;
    }
    const path = candidate.path;
    let node = this.#root;
    for (let at = 0; at < path.length; ) {
      const stop = elementEnd(path, at);
      const hash = hashOf(path, at + 1, stop);
      let child = node.children?.find(hash, path, at + 1, stop) ?? null;
      if (child === null) {
        child = new PathNode<T>(node, path.slice(at + 1, stop), hash);
        node.children ??= new ByteTable<PathNode<T>>();
        node.children.add(hash, child.label, child);
      }
      node = child;
      at = stop;
    }
    if (candidate.match.path.type === 'Exact') node.exact = inserted(node.exact, candidate);
    else node.prefix = inserted(node.prefix, candidate);
  }

  remove(candidate: Candidate<T>): void {
    this.size--;
    if (candidate.regex !== null) {
      this.#regexes = without(this.#regexes, candidate);
      return;
    }
    const path = candidate.path;
    let node = this.#root;
    for (let at = 0; at < path.length; ) {
      const stop = elementEnd(path, at);
      node = node.children?.find(hashOf(path, at + 1, stop), path, at + 1, stop) as PathNode<T>;
      at = stop;
    }
    if (candidate.match.path.type === 'Exact') node.exact = without(node.exact, candidate);
    else node.prefix = without(node.prefix, candidate);
    while (node.parent !== null && node.exact === null && node.prefix === null && node.children === null) {
      const parent: PathNode<T> = node.parent;
      const children = parent.children as ByteTable<PathNode<T>>;
      children.remove(node.hash, node.label);
      if (children.size === 0) parent.children = null;
      node = parent;
    }
  }
}

function elementEnd(path: Uint8Array, slash: number): number {
  let stop = slash + 1;
  while (stop < path.length && path[stop] !== SLASH) stop++;
  return stop;
}

function hashOf(path: Uint8Array, start: number, end: number): number {
  let hash = FNV_OFFSET;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (path[i] as number), FNV_PRIME);
  return hash;
}

function firstHolding<T>(candidates: Candidate<T>[], mem: Uint8Array, head: Head): Candidate<T> | null {
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i] as Candidate<T>;
    if (candidate.holds(mem, head)) return candidate;
  }
  return null;
}

/** The same for regular expressions, which are run only when everything else holds. */
function firstMatching<T>(candidates: Candidate<T>[], mem: Uint8Array, head: Head): Candidate<T> | null {
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i] as Candidate<T>;
    if (candidate.holds(mem, head) && candidate.regex?.matches(mem, head.pathStart, head.pathEnd)) return candidate;
  }
  return null;
}

function inserted<T>(list: Candidate<T>[] | null, candidate: Candidate<T>): Candidate<T>[] {
  if (list === null) return [candidate];
  list.splice(positionOf(list, candidate), 0, candidate);
  return list;
}

function without<T>(list: Candidate<T>[] | null, candidate: Candidate<T>): Candidate<T>[] | null {
  if (list === null || list.length <= 1) return null;
  list.splice(positionOf(list, candidate), 1);
  return list;
}

/** Where the candidate is, or would be, in the order. */
function positionOf<T>(list: Candidate<T>[], candidate: Candidate<T>): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as Candidate<T>).before(candidate) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
