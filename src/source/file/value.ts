// A parsed YAML document as plain values: aliases and merges resolved, duplicate keys found, in one walk whose cost is
// the size of the document and of what its aliases stand for. (The parser's own ways compare each key with all before
// it and look for each alias among all anchors.)

import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  Scalar,
  type YAMLMap,
} from 'yaml';
import { setField } from '../../api/value.ts';
import { type Fields, isFields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import { STAR } from './yaml-words.ts';

/** Something in a document that makes it unusable. Nothing of its text gets into the message but plain keys. */
export interface ValueProblem {
  readonly message: string;
  readonly offset: number;
}

/** Ends an evaluation. */
class Unusable extends Error {
  readonly offset: number;
  constructor(message: string, node: unknown) {
    super(message);
    this.offset = offsetOf(node);
  }
}

interface Anchor {
  readonly node: Node;
  /** Null while the anchored node itself is being evaluated. */
  done: { readonly value: unknown; readonly nodes: number } | null;
}

export class DocumentValue {
  readonly value: unknown;
  readonly problems: readonly ValueProblem[];
  readonly #root: Node | null;
  readonly #found: ValueProblem[] = [];
  /** The latest anchor of each name, as far as the walk has come. */
  readonly #anchors = new Map<string, Anchor>();
  readonly #targets = new Map<Alias, Node>();
  /** Nodes met, those that aliases stand for included; and how many of them only aliases brought. */
  #nodes = 0;
  #expanded = 0;

  constructor(document: Document.Parsed) {
    this.#root = document.contents;
    this.problems = this.#found;
    try {
      this.value = this.#evaluate(document.contents);
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      this.#found.push({ message: error.message, offset: error.offset });
    }
  }

  #evaluate(node: unknown): unknown {
    this.#nodes++;
    if (isAlias(node)) return this.#alias(node);
    const name = (isScalar(node) || isMap(node) || isSeq(node)) && node.anchor;
    if (!name) return this.#plain(node);
    const before = this.#nodes;
    const anchor: Anchor = { node, done: null };
    this.#anchors.set(name, anchor);
    const value = this.#plain(node);
    anchor.done = { value, nodes: this.#nodes - before };
    return value;
  }

  #plain(node: unknown): unknown {
    if (isScalar(node)) return node.value;
    if (isMap(node)) return this.#mapping(node);
    if (isSeq(node)) return node.items.map((item) => this.#evaluate(isPair(item) ? item.value : item));
    return null;
  }

  #alias(alias: Alias): unknown {
    const anchor = this.#anchors.get(alias.source);
    if (anchor === undefined) throw new Unusable(STAR, alias);
    if (anchor.done === null) throw new Unusable('an anchor must not contain itself', alias);
    this.#targets.set(alias, anchor.node);
    this.#nodes += anchor.done.nodes;
    this.#expanded += anchor.done.nodes + 1;
    if (this.#expanded > LIMITS.YAML_ALIAS_NODES) {
      throw new Unusable(`aliases stand for more than ${LIMITS.YAML_ALIAS_NODES} nodes`, alias);
    }
    return anchor.done.value;
  }

  #mapping(map: YAMLMap): Fields {
    const out: Record<string, unknown> = {};
    const own = new Set<string>();
    for (const { key, value } of map.items) {
      if (isMergeKey(key)) {
        this.#merge(out, this.#evaluate(value), value);
        continue;
      }
      const name = this.#key(key, map);
      if (own.has(name)) this.#found.push({ message: duplicate(name), offset: offsetOf(key) });
      own.add(name);
      setField(out, name, this.#evaluate(value));
    }
    return out;
  }

  /** A key as JSON has it; kubectl refuses keys that are not text, number or boolean. */
  #key(key: unknown, map: Node): string {
    const value = this.#evaluate(key);
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    const what = value === null ? 'nothing' : `a ${Array.isArray(value) ? 'list' : 'mapping'}`;
    throw new Unusable(`${what} stands where a name must: quote it if it is text`, offsetOf(key) < 0 ? map : key);
  }

  /** https://yaml.org/type/merge.html: what stands in the mapping itself, or was merged earlier, counts. */
  #merge(out: Record<string, unknown>, value: unknown, node: unknown): void {
    for (const source of Array.isArray(value) ? value : [value]) {
      if (!isFields(source)) throw new Unusable('a merge (<<) must refer to a mapping, or to a list of them', node);
      for (const name of Object.keys(source)) if (!Object.hasOwn(out, name)) setField(out, name, source[name]);
    }
  }

  /** Offset of a field path (`spec.rules[0]`), or of the nearest thing above it that is written. */
  locate(field: string): number {
    let node: unknown = this.#root;
    let offset = Math.max(offsetOf(node), 0);
    for (const [, name, bracket] of field.matchAll(/([^.[\]]+)|\[([^\]]*)\]/g)) {
      const step = (name ?? bracket) as string;
      node = this.#target(node);
      if (isSeq(node)) {
        const item: unknown = node.items[Number(step)];
        if (offsetOf(item) < 0) break;
        node = item;
        offset = offsetOf(item);
      } else if (isMap(node)) {
        const found = this.#entry(node, step);
        if (found === null) break;
        offset = offsetOf(found.key);
        node = found.value;
      } else break;
    }
    return offset;
  }

  #target(node: unknown): unknown {
    return isAlias(node) ? this.#targets.get(node) : node;
  }

  /** The pair of a mapping with this key, looking into merged mappings as well. */
  #entry(map: YAMLMap, name: string): { readonly key: unknown; readonly value: unknown } | null {
    for (const pair of map.items) {
      const key = this.#target(pair.key);
      if (isScalar(key) && String(key.value) === name && !isMergeKey(pair.key)) return pair;
    }
    for (const pair of map.items) {
      if (!isMergeKey(pair.key)) continue;
      const value = this.#target(pair.value);
      for (const source of isSeq(value) ? value.items : [value]) {
        const target = this.#target(source);
        const found = isMap(target) ? this.#entry(target, name) : null;
        if (found !== null) return found;
      }
    }
    return null;
  }
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.type === Scalar.PLAIN && key.source === '<<';
}

/** -1 when nothing is written there. */
function offsetOf(node: unknown): number {
  if (isScalar(node) || isMap(node) || isSeq(node) || isAlias(node)) return node.range?.[0] ?? -1;
  return isPair(node) ? offsetOf(node.key) : -1;
}

export const DUPLICATE = 'the same field twice:';

function duplicate(name: string): string {
  return `${DUPLICATE} ${/^[\w./-]{1,80}$/.test(name) ? name : 'this one'} may stand here once`;
}
