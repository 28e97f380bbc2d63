// What a decision changes of the request that it lets go on, and of the response to it: fields, in the order in which
// they were given.

import { put, textOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import { FieldName } from '../field-name.ts';
import { FIELD } from '../field-table.ts';
import { type FieldLine, FieldLines } from '../filter/field-lines.ts';
import { type Head, NAME } from '../head.ts';
import { isAlike, looseName } from '../lookalike.ts';
import { amendedQuery, type QueryChange } from './amend-query.ts';
import { ANSWER_BYTES } from './answer.ts';
import type { RequestBlock } from './request-block.ts';

/** No field is called so. */
const QUERY = new FieldName(':query');

/** How a field is changed; the middle ones are Envoy's HeaderAppendAction. */
export const CHANGE = {
  /** Whatever is there of that name goes, and this comes instead. */
  SET: 0,
  APPEND: 1,
  ADD_IF_ABSENT: 2,
  SET_IF_PRESENT: 3,
  REMOVE: 4,
} as const;

export interface FieldChange {
  /** One of CHANGE. */
  readonly how: number;
  /** A token (RFC 9110 section 5.6.2). */
  readonly name: FieldName;
  /** One byte a sign, without control characters; '' of what is removed. */
  readonly value: string;
}

export interface Amendments {
  readonly request: readonly FieldChange[];
  readonly query: readonly QueryChange[];
  /** Of the backend's response. */
  readonly response: readonly FieldChange[];
}

/**
 * The fields that come, with those of `head` marked that go. `alike`: so do those that a backend may take for them
 * (lookalike.ts), or a client could say what only who decides may say. `own`: what is there besides.
 */
function addedTo(
  mem: Uint8Array,
  head: Head,
  changes: readonly FieldChange[],
  alike: boolean,
  own: readonly FieldLine[] = [],
): readonly FieldChange[] {
  let added: FieldChange[] = [];
  for (const change of changes) {
    const { how, name } = change;
    const known =
      has(mem, head, name) ||
      added.some((one) => one.name.lower === name.lower) ||
      own.some((one) => one.name.toLowerCase() === name.lower);
    if ((how === CHANGE.ADD_IF_ABSENT && known) || (how === CHANGE.SET_IF_PRESENT && !known)) continue;
    if (how !== CHANGE.APPEND) {
      dropAll(mem, head, name, alike);
      added = added.filter((one) => one.name.lower !== name.lower);
    }
    if (how !== CHANGE.REMOVE) added.push(change);
  }
  return added;
}

function has(mem: Uint8Array, head: Head, name: FieldName): boolean {
  for (let k = 0; k < head.count; k++) if (!head.dropped(k) && name.is(mem, head, k)) return true;
  return false;
}

function dropAll(mem: Uint8Array, head: Head, name: FieldName, alike: boolean): void {
  const loose = alike ? looseName(name.lower) : name.bytes;
  for (let k = 0; k < head.count; k++) {
    if (name.is(mem, head, k)) head.drop(k);
    else if (alike && isAlike(mem, head.nameStart(k), head.nameEnd(k), loose)) head.drop(k);
  }
}

/** Whether what is said under the name mem[start..end), or what a backend may take for it, is replaced or removed. */
export function isReplaced(mem: Uint8Array, start: number, end: number, changes: readonly FieldChange[]): boolean {
  return changes.some(({ how, name }) => how !== CHANGE.APPEND && isAlike(mem, start, end, looseName(name.lower)));
}

/**
 * Changes the head that `block` keeps: from then on it is a head like any other, and a rule's edits do to the new
 * fields what they do to a client's. False when there is no room.
 */
export function amendRequest(
  mem: Uint8Array,
  block: RequestBlock,
  head: Head,
  { request, query }: Amendments,
): boolean {
  const added = [...addedTo(mem, head, request, true)];
  const before = textOf(mem, head.queryStart, head.queryEnd);
  const after = query.length === 0 ? before : amendedQuery(before, query);
  if (after !== before) added.push({ how: CHANGE.SET, name: QUERY, value: after });
  if (added.length === 0) return true;
  if (head.count + added.length > LIMITS.RESPONSE_FIELDS) return false;
  if (head.pathEnd - head.pathStart + after.length > LIMITS.URI_BYTES) return false;
  const lines = added.map(({ name, value }) => Buffer.from(`${name.lower}: ${value}\r\n`, 'latin1'));
  const bytes = lines.reduce((sum, line) => sum + line.length, 0);
  if (head.end - head.start + bytes > LIMITS.HEAD_BYTES || !block.extend(mem, head, bytes)) return false;
  let at = head.end - 2;
  for (const [i, { name }] of added.entries()) {
    const end = put(mem, at, lines[i] as Uint8Array);
    addField(head, at, end, name);
    if (name === QUERY) standQuery(head, at + QUERY.bytes.length + 2, end - 2);
    at = end;
  }
  mem[at] = 0x0d;
  mem[at + 1] = 0x0a;
  head.end = at + 2;
  return true;
}

/** The query is mem[start..end) now, the value of the last field, which does not go on as one. */
function standQuery(head: Head, start: number, end: number): void {
  head.drop(head.count - 1);
  head.queryStart = start;
  head.queryEnd = end;
  head.hasQuery = start < end;
  // What stands in the request line is not what is meant any more.
  head.raw = false;
}

/** mem[start..end) is the line of one field more. */
function addField(head: Head, start: number, end: number, { id, bytes }: FieldName): void {
  const at = head.count++ * FIELD.WORDS;
  const { fields } = head;
  const bit = 1 << id;
  fields[at + FIELD.NAME_START] = start;
  fields[at + FIELD.NAME_END] = start + bytes.length;
  fields[at + FIELD.VALUE_START] = start + bytes.length + 2;
  fields[at + FIELD.VALUE_END] = end - 2;
  fields[at + FIELD.LINE_END] = end;
  fields[at + FIELD.NAME] = id;
  fields[at + FIELD.DROP] = 0;
  if (id === NAME.OTHER) return;
  head.twice |= head.seen & bit;
  head.seen |= bit;
}

/**
 * What is added to a response whose head is `head`: `own`, as the rule adds them, with the changes; fields of the head
 * are marked that do not go on. Nothing is changed where that is more than a head may have.
 */
export function amendResponse(
  mem: Uint8Array,
  head: Head,
  own: FieldLines | null,
  changes: readonly FieldChange[],
): FieldLines | null {
  const lines = own === null ? [] : own.lines;
  const added = addedTo(mem, head, changes, false, lines);
  const gone = new Set(added.filter(({ how }) => how !== CHANGE.APPEND).map(({ name }) => name.lower));
  const kept = lines.filter(({ name }) => !gone.has(name.toLowerCase()));
  const more = added.map(({ name, value }): FieldLine => ({ name: name.lower, value, literal: true }));
  const all = new FieldLines([...kept, ...more]);
  return all.http1.size > ANSWER_BYTES ? own : all;
}

/** Removes them all. */
export function removalsOf(names: readonly string[]): FieldChange[] {
  return names.map((name) => ({ how: CHANGE.REMOVE, name: new FieldName(name), value: '' }));
}
