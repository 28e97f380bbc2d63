// Header edits of a rule, compiled: which fields of a head are not forwarded, and the prepared bytes that follow the
// rest.

import { equalLowerAt } from '../../base/bytes.ts';
import type { HeaderEdits } from '../../ir/ir.ts';
import { FieldName } from '../field-name.ts';
import { type Head, NAME } from '../head.ts';
import { isAlike } from '../lookalike.ts';
import { FieldLines } from './field-lines.ts';

/** A filter that cannot be compiled; the message says which and why. */
export class FilterError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FilterError';
  }
}

/** tchar of RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What may be written in other ways that mean the same to some servers; who writes `_` means just that. */
const HYPHENATED = /^(?=.*-)[a-z0-9-]+$/;
/** field-vchar, SP and HTAB (RFC 9110 section 5.5); anything above ASCII goes out as UTF-8. */
const VALUE = /^[\t\x20-\x7e\u0080-\u{10ffff}]*$/u;

/**
 * Framing and hop-by-hop fields belong to the connections on either side (RFC 9110 section 7.6.1, RFC 9112 section 6).
 */
const FRAMING = [
  'connection',
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'http2-settings',
];
/** Host decides routing; it is changed by URLRewrite's hostname. Expect is answered by the proxy. */
const REQUEST_ONLY = ['host', 'expect'];

export type Side = 'request' | 'response';

/** Whether a filter may edit the field (any case) on this side. */
export function isEditable(side: Side, name: string): boolean {
  const lower = name.toLowerCase();
  return !FRAMING.includes(lower) && !(side === 'request' && REQUEST_ONLY.includes(lower));
}

export function isToken(name: string): boolean {
  return TOKEN.test(name);
}

export function isFieldValue(value: string): boolean {
  return VALUE.test(value);
}

interface Edit {
  readonly name: string;
  /** Fields of this name that came with the head are not forwarded. */
  drop: boolean;
  values: string[];
}

export class FieldEdits {
  /** What is set and added, in the order of first mention; null when the edits only remove. */
  readonly added: FieldLines | null;
  readonly #dropIds = new Uint8Array(256);
  readonly #dropped: readonly FieldName[];
  readonly #dropOthers: readonly FieldName[];
  /** Of requests, names that a backend may take for one of those (lookalike.ts). */
  readonly #dropAlike: readonly Uint8Array[];
  readonly #drops: boolean;
  readonly #touched: ReadonlySet<number>;

  /** Edits in the order of the filters; each applies set, add, remove. Throws FilterError. */
  constructor(side: Side, filters: readonly HeaderEdits[]) {
    const edits = composed(side, filters);
    const names = [...edits.keys()].map((lower) => new FieldName(lower));
    const dropped = names.filter((name) => edits.get(name.lower)?.drop);
    this.#dropped = dropped;
    for (const name of dropped) if (name.id !== NAME.OTHER) this.#dropIds[name.id] = 1;
    this.#dropOthers = dropped.filter((name) => name.id === NAME.OTHER);
    const alike = side === 'request' ? dropped.filter(({ lower }) => HYPHENATED.test(lower)) : [];
    this.#dropAlike = alike.map(({ bytes }) => bytes);
    this.#drops = dropped.length > 0;
    this.#touched = new Set(names.map((name) => name.id).filter((id) => id !== NAME.OTHER));
    const lines = [...edits.values()].flatMap(({ name, values }) => values.map((value) => ({ name, value })));
    this.added = lines.length === 0 ? null : new FieldLines(lines);
  }

  /**
   * Whether the edits set, add to or remove the well-known field `id` (NAME, not OTHER): then the proxy writes none of
   * its own (X-Forwarded-*, X-Request-ID).
   */
  touches(id: number): boolean {
    return this.#touched.has(id);
  }

  /** Marks the fields of the head that are replaced or removed. */
  apply(mem: Uint8Array, head: Head): void {
    if (!this.#drops) return;
    const others = this.#dropOthers;
    for (let i = 0; i < head.count; i++) {
      const id = head.name(i);
      if (id !== NAME.OTHER) {
        if (this.#dropIds[id] === 1) head.drop(i);
        continue;
      }
      for (let k = 0; k < others.length; k++) if ((others[k] as FieldName).is(mem, head, i)) head.drop(i);
      if (this.#dropAlike.length > 0 && this.#isAlike(mem, head, i)) head.drop(i);
    }
  }

  #isAlike(mem: Uint8Array, head: Head, i: number): boolean {
    const alike = this.#dropAlike;
    const start = head.nameStart(i);
    const end = head.nameEnd(i);
    for (let k = 0; k < alike.length; k++) if (isAlike(mem, start, end, alike[k] as Uint8Array)) return true;
    return false;
  }

  /** Whether fields of the name mem[start..end) are replaced or removed, as `apply` does it; not of the hot path. */
  drops(mem: Uint8Array, start: number, end: number): boolean {
    return (
      this.#dropped.some(({ bytes }) => bytes.length === end - start && equalLowerAt(mem, start, bytes)) ||
      this.#dropAlike.some((name) => isAlike(mem, start, end, name))
    );
  }
}

/** What the filters do to each name, by its lower-case form, in the order of first mention. */
function composed(side: Side, filters: readonly HeaderEdits[]): ReadonlyMap<string, Edit> {
  const edits = new Map<string, Edit>();
  const edit = (action: string, name: string): Edit => {
    const where = `${side} header ${action} ${JSON.stringify(name)}`;
    if (!TOKEN.test(name)) throw new FilterError(`${where}: not a field name`);
    if (!isEditable(side, name)) throw new FilterError(`${where}: ${refusal(name)}`);
    const known = edits.get(name.toLowerCase());
    if (known !== undefined) return known;
    const fresh = { name, drop: false, values: [] };
    edits.set(name.toLowerCase(), fresh);
    return fresh;
  };
  for (const filter of filters) {
    for (const { name, value } of firstOfEach(filter.set)) {
      const target = edit('set', name);
      target.drop = true;
      target.values = [checked(side, 'set', name, value)];
    }
    for (const { name, value } of firstOfEach(filter.add)) {
      edit('add', name).values.push(checked(side, 'add', name, value));
    }
    for (const name of filter.remove) {
      const target = edit('remove', name);
      target.drop = true;
      target.values = [];
    }
  }
  return edits;
}

function refusal(name: string): string {
  return name.toLowerCase() === 'host'
    ? 'Host cannot be edited here, use urlRewrite.hostname'
    : 'framing and connection fields cannot be edited';
}

function checked(side: Side, action: string, name: string, value: string): string {
  if (VALUE.test(value)) return value.trim();
  throw new FilterError(`${side} header ${action} ${JSON.stringify(name)}: the value holds control characters`);
}

/** Of several entries of one name only the first counts (Gateway API v1.6.1, HTTPHeader.name). */
function firstOfEach<H extends { readonly name: string }>(headers: readonly H[]): H[] {
  return headers.filter((h, i) => headers.findIndex((o) => o.name.toLowerCase() === h.name.toLowerCase()) === i);
}
