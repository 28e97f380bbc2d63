// Plain data that will be kept for long, in as little memory as it takes: one string for all that are equal, one empty
// list for all. A configuration of ten thousand routes says the same few hostnames, keys and types ten thousand times.

import { LIMITS } from './limits.ts';

const NONE: readonly never[] = Object.freeze([]);
/**
 * Two places for all texts that look alike: the second is the newest one's, the first that of one which came again. So
 * the few that are said again and again stay, however many come once; a Map of them, emptied when it is full, takes ten
 * times as long to fill.
 */
const known: string[] = new Array(LIMITS.SHARED_TEXTS).fill('');

/**
 * The same text, and the same string for equal ones of late. Longer ones, mostly unlike each other, stay as they are.
 */
export function shared(text: string): string {
  const { length } = text;
  if (length === 0 || length > LIMITS.SHARED_TEXT_CHARS) return text;
  const first = 2 * (looks(text, length) % (LIMITS.SHARED_TEXTS / 2));
  const old = known[first] as string;
  if (old === text) return old;
  const last = known[first + 1] as string;
  if (last === text) {
    known[first] = last;
    known[first + 1] = old;
    return last;
  }
  known[first + 1] = text;
  return text;
}

/** Of some of its characters, the last ones among them: names that are counted differ there. */
function looks(text: string, length: number): number {
  let sum = length;
  for (let i = 0; i < 5 && i < length; i++) sum = (sum * 31 + text.charCodeAt(length - 1 - i)) & 0xff_ffff;
  return (sum * 31 + text.charCodeAt(length >> 1) * 7 + text.charCodeAt(0)) & 0xff_ffff;
}

const values = new Map<string, unknown>();

/**
 * The same plain data, and the same object for what was equal of late, which nobody may change any more. What is long
 * is unlike all others, and stays as it is.
 */
export function one<T>(value: T): T {
  const text = JSON.stringify(value);
  if (text.length > LIMITS.SHARED_VALUE_CHARS) return value;
  const same = values.get(text);
  if (same !== undefined) return same as T;
  if (values.size >= LIMITS.SHARED_VALUES) values.clear();
  values.set(text, value);
  return value;
}

/**
 * What to keep of `value`: plain data that nobody else holds (strings, numbers, lists, mappings), changed in place.
 * Lists have no room to grow, empty ones are one and frozen.
 */
export function tight<T>(value: T): T {
  if (typeof value === 'string') return shared(value) as T & string;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return tightList(value) as T;
  const record = value as Record<string, unknown>;
  for (const name in record) {
    const inner = record[name];
    const kept = tight(inner);
    if (typeof inner === 'string' || kept !== inner) record[name] = kept;
  }
  return value;
}

function tightList(list: readonly unknown[]): readonly unknown[] {
  if (list.length === 0) return NONE;
  // A copy is as long as it needs to be; what grew by `push` has room for half as much again and sixteen more.
  const exact = list.slice();
  for (let i = 0; i < exact.length; i++) exact[i] = tight(exact[i]);
  return exact;
}
