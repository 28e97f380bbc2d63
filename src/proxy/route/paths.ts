// The paths of one hostname: a radix tree over bytes whose edges are whole path elements (the unit in which the Gateway
// API matches prefixes). A node with several children finds the next one by the hash of its first element, so that a
// lookup reads the path once, as deep as the tree goes, whatever the number of routes.

import { viewOf } from '../../base/bytes.ts';
import type { Head } from '../head.ts';
import { ByteTable, type Entry, isLabel } from './byte-table.ts';
import type { Candidate } from './candidate.ts';
import { hostHash, hostKey } from './hosts.ts';
import { LABELS } from './labels.ts';

const SLASH = 0x2f;
const FNV_PRIME = 0x01000193;
const FNV_OFFSET = 0x811c9dc5 | 0;

/** A node; the root of a tree stands for its hostname and is found by it. */
export class PathNode<T> implements Entry {
  hash: number;
  /** In LABELS: the elements from the parent to here, each with its slash in front. The key is the first of them. */
  labelStart: number;
  labelLength: number;
  keyLength: number;
  /** The child if there is only one, the children if there are more. */
  only: PathNode<T> | null = null;
  children: ByteTable<PathNode<T>> | null = null;
  /** Candidates of this very path, and of this path as a prefix: the first by precedence ... */
  exact: Candidate<T> | null = null;
  prefix: Candidate<T> | null = null;
  /** ... and the others in their order. */
  exactMore: Candidate<T>[] | null = null;
  prefixMore: Candidate<T>[] | null = null;
  parent: PathNode<T> | null;
  /** Of a root: candidates with a regular expression, in their order. */
  regexes: Candidate<T>[] | null = null;

  constructor(parent: PathNode<T> | null, label: Uint8Array, keyLength: number, hash: number) {
    this.parent = parent;
    this.labelStart = LABELS.add(label);
    this.labelLength = label.length;
    this.keyLength = keyLength;
    this.hash = hash;
  }

  /** Nothing ends here. */
  get isEmpty(): boolean {
    return this.exact === null && this.prefix === null && this.regexes === null;
  }
  /** Nothing ends here or below. */
  get isBare(): boolean {
    return this.isEmpty && this.only === null && this.children === null;
  }
}

export function newRoot<T>(hostname: string): PathNode<T> {
  const key = hostKey(hostname);
  return new PathNode<T>(null, key, key.length, hostHash(hostname));
}

/**
 * The candidate that takes the request: an exact path, then regular expressions, then prefixes from the longest to the
 * shortest (Gateway API v1.6.1, HTTPRouteRule.matches; the place of regular expressions is the implementation's to
 * choose: it is Envoy Gateway's).
 */
export function findCandidate<T>(root: PathNode<T>, mem: Uint8Array, head: Head): Candidate<T> | null {
  const end = head.pathEnd;
  let at = head.pathStart;
  let node = root;
  // Only a path that begins with '/' has elements; '*' and the empty path of CONNECT are under the prefix '/' alone.
  if (at < end && mem[at] === SLASH) {
    const words = viewOf(mem);
    while (at < end) {
      let child = node.only;
      let same = 0;
      if (child === null) {
        if (node.children === null) break;
        let hash = FNV_OFFSET;
        let stop = at + 1;
        for (; stop < end; stop++) {
          const c = mem[stop] as number;
          if (c === SLASH) break;
          hash = Math.imul(hash ^ c, FNV_PRIME);
        }
        child = node.children.find(hash, words, at, stop);
        if (child === null) break;
        same = stop - at;
      }
      const length = child.labelLength;
      const behind = at + length;
      if (behind > end) break;
      if (!isLabel(child.labelStart + same, length - same, words, at + same)) break;
      if (behind < end && mem[behind] !== SLASH) break;
      node = child;
      at = behind;
    }
  }
  if (at === end && node.exact !== null) {
    const found = firstHolding(node.exact, node.exactMore, mem, head);
    if (found !== null) return found;
  }
  if (root.regexes !== null) {
    const found = firstMatching(root.regexes, mem, head);
    if (found !== null) return found;
  }
  for (let n: PathNode<T> | null = node; n !== null; n = n.parent) {
    if (n.prefix === null) continue;
    const found = firstHolding(n.prefix, n.prefixMore, mem, head);
    if (found !== null) return found;
  }
  return null;
}

export function addCandidate<T>(root: PathNode<T>, candidate: Candidate<T>): void {
  if (candidate.regex !== null) {
    root.regexes ??= [];
    root.regexes.splice(positionOf(root.regexes, candidate), 0, candidate);
    return;
  }
  const node = reach(root, candidate.path);
  if (candidate.isExact) [node.exact, node.exactMore] = inserted(node.exact, node.exactMore, candidate);
  else [node.prefix, node.prefixMore] = inserted(node.prefix, node.prefixMore, candidate);
}

/** Takes out a candidate that was added. */
export function removeCandidate<T>(root: PathNode<T>, candidate: Candidate<T>): void {
  if (candidate.regex !== null) {
    const regexes = root.regexes as Candidate<T>[];
    regexes.splice(positionOf(regexes, candidate), 1);
    if (regexes.length === 0) root.regexes = null;
    return;
  }
  const node = reach(root, candidate.path);
  if (candidate.isExact) [node.exact, node.exactMore] = without(node.exact, node.exactMore, candidate);
  else [node.prefix, node.prefixMore] = without(node.prefix, node.prefixMore, candidate);
  tidy(node);
}

/** Frees what a root that is no longer used holds. */
export function dropRoot<T>(root: PathNode<T>): void {
  LABELS.remove(root.labelStart, root.labelLength);
}

/** The same of a root with all that stands below it, a node with each step. */
export function* dropTree<T>(root: PathNode<T>): Generator<void, void, void> {
  const nodes = [root];
  for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
    if (node.only !== null) nodes.push(node.only);
    if (node.children !== null) nodes.push(...node.children.values());
    LABELS.remove(node.labelStart, node.labelLength);
    yield;
  }
}

/** The node of a path, made if there is none. */
function reach<T>(root: PathNode<T>, path: Uint8Array): PathNode<T> {
  let node = root;
  for (let at = 0; at < path.length; ) {
    const child = childAt(node, path, at);
    if (child === null) {
      const leaf = nodeOf(node, path.subarray(at));
      attach(node, leaf);
      return leaf;
    }
    const common = commonElements(child, path, at);
    node = common < child.labelLength ? split(child, common) : child;
    at += common;
  }
  return node;
}

function nodeOf<T>(parent: PathNode<T>, label: Uint8Array): PathNode<T> {
  const keyLength = elementEnd(label, 0);
  return new PathNode<T>(parent, label, keyLength, elementHash(label, keyLength));
}

/** The child whose first element is the one at path[at]. */
function childAt<T>(node: PathNode<T>, path: Uint8Array, at: number): PathNode<T> | null {
  if (node.children !== null) {
    const stop = elementEnd(path, at);
    const words = new DataView(path.buffer, path.byteOffset, path.length);
    return node.children.find(elementHash(path.subarray(at), stop - at), words, at, stop);
  }
  return node.only !== null && commonElements(node.only, path, at) > 0 ? node.only : null;
}

/** Length of the whole elements that a node's label and path[at..) have in common. */
function commonElements<T>(node: PathNode<T>, path: Uint8Array, at: number): number {
  const label = labelOf(node);
  let common = 0;
  for (let i = 0; ; i++) {
    const ended = i === label.length || at + i === path.length;
    const atBoundary = (i === label.length || label[i] === SLASH) && (at + i === path.length || path[at + i] === SLASH);
    if (atBoundary) common = i;
    if (ended || label[i] !== path[at + i]) return common;
  }
}

function labelOf<T>(node: PathNode<T>): Uint8Array {
  return LABELS.bytes.slice(node.labelStart, node.labelStart + node.labelLength);
}

/** Gives a node another label, and with it another key. */
function relabel<T>(node: PathNode<T>, label: Uint8Array): void {
  LABELS.remove(node.labelStart, node.labelLength);
  node.labelStart = LABELS.add(label);
  node.labelLength = label.length;
  node.keyLength = elementEnd(label, 0);
  node.hash = elementHash(label, node.keyLength);
}

/** Cuts a node's label in two; the upper part becomes a node of its own, which is returned. */
function split<T>(node: PathNode<T>, length: number): PathNode<T> {
  const parent = node.parent as PathNode<T>;
  const label = labelOf(node);
  const upper = nodeOf(parent, label.subarray(0, length));
  if (parent.children === null) parent.only = upper;
  else parent.children.replace(node, upper);
  relabel(node, label.subarray(length));
  node.parent = upper;
  upper.only = node;
  return upper;
}

function attach<T>(parent: PathNode<T>, child: PathNode<T>): void {
  if (parent.children !== null) {
    parent.children.add(child);
  } else if (parent.only === null) {
    parent.only = child;
  } else {
    parent.children = new ByteTable<PathNode<T>>();
    parent.children.add(parent.only);
    parent.children.add(child);
    parent.only = null;
  }
}

function detach<T>(parent: PathNode<T>, child: PathNode<T>): void {
  LABELS.remove(child.labelStart, child.labelLength);
  if (parent.children === null) {
    parent.only = null;
    return;
  }
  parent.children.remove(child);
  if (parent.children.size > 1) return;
  parent.only = parent.children.first();
  parent.children = null;
}

/** Removes a node that has become useless, or joins it with its only child; then its parent likewise. */
function tidy<T>(node: PathNode<T>): void {
  const parent = node.parent;
  if (parent === null || !node.isEmpty || node.children !== null) return;
  const child = node.only;
  if (child === null) {
    detach(parent, node);
    tidy(parent);
    return;
  }
  const label = new Uint8Array(node.labelLength + child.labelLength);
  label.set(labelOf(node));
  label.set(labelOf(child), node.labelLength);
  relabel(child, label);
  child.parent = parent;
  if (parent.children === null) parent.only = child;
  else parent.children.replace(node, child);
  LABELS.remove(node.labelStart, node.labelLength);
}

function elementEnd(path: Uint8Array, slash: number): number {
  let stop = slash + 1;
  while (stop < path.length && path[stop] !== SLASH) stop++;
  return stop;
}

/** Hash of the element label[0..length), as findCandidate computes it: without its slash. */
function elementHash(label: Uint8Array, length: number): number {
  let hash = FNV_OFFSET;
  for (let i = 1; i < length; i++) hash = Math.imul(hash ^ (label[i] as number), FNV_PRIME);
  return hash;
}

function firstHolding<T>(
  first: Candidate<T>,
  more: Candidate<T>[] | null,
  mem: Uint8Array,
  head: Head,
): Candidate<T> | null {
  if (first.holds(mem, head)) return first;
  if (more === null) return null;
  for (let i = 0; i < more.length; i++) {
    const candidate = more[i] as Candidate<T>;
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

type Ordered<T> = [first: Candidate<T> | null, more: Candidate<T>[] | null];

function inserted<T>(first: Candidate<T> | null, more: Candidate<T>[] | null, candidate: Candidate<T>): Ordered<T> {
  if (first === null) return [candidate, null];
  if (more === null) return candidate.before(first) < 0 ? [candidate, [first]] : [first, [candidate]];
  if (candidate.before(first) < 0) {
    more.unshift(first);
    return [candidate, more];
  }
  more.splice(positionOf(more, candidate), 0, candidate);
  return [first, more];
}

function without<T>(first: Candidate<T> | null, more: Candidate<T>[] | null, candidate: Candidate<T>): Ordered<T> {
  if (more === null) return [null, null];
  if (candidate !== first) more.splice(positionOf(more, candidate), 1);
  const next = candidate === first ? (more.shift() ?? null) : first;
  return [next, more.length === 0 ? null : more];
}

/** Where the candidate is, or would be, in the order. */
function positionOf<T>(list: readonly Candidate<T>[], candidate: Candidate<T>): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as Candidate<T>).before(candidate) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
