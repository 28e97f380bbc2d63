// The static table (RFC 7541 appendix A), and the names that HPACK or the proxy knows.

import { bytesOf, equalAt, viewOf } from '../../../base/bytes.ts';
import { Fragment } from '../../../telemetry/fragment.ts';
import { nameId } from '../../field-name.ts';
import { NAME } from '../../head.ts';

/** Small integers of the pseudo-fields (RFC 9113 section 8.3, RFC 8441 section 4); NONE is an ordinary field. */
export const PSEUDO = { NONE: 0, AUTHORITY: 1, METHOD: 2, PATH: 3, SCHEME: 4, STATUS: 5, PROTOCOL: 6 } as const;
const PSEUDO_NAMES = ['', ':authority', ':method', ':path', ':scheme', ':status', ':protocol'];

/** Names and values in order, a value behind an equals sign. */
const ENTRIES = [
  ...[':authority', ':method=GET', ':method=POST', ':path=/', ':path=/index.html', ':scheme=http', ':scheme=https'],
  ...['200', '204', '206', '304', '400', '404', '500'].map((status) => `:status=${status}`),
  ...['accept-charset', 'accept-encoding=gzip, deflate', 'accept-language', 'accept-ranges', 'accept'],
  ...['access-control-allow-origin', 'age', 'allow', 'authorization', 'cache-control', 'content-disposition'],
  ...['content-encoding', 'content-language', 'content-length', 'content-location', 'content-range', 'content-type'],
  ...['cookie', 'date', 'etag', 'expect', 'expires', 'from', 'host', 'if-match', 'if-modified-since'],
  ...['if-none-match', 'if-range', 'if-unmodified-since', 'last-modified', 'link', 'location', 'max-forwards'],
  ...['proxy-authenticate', 'proxy-authorization', 'range', 'referer', 'refresh', 'retry-after', 'server'],
  ...['set-cookie', 'strict-transport-security', 'transfer-encoding', 'user-agent', 'vary', 'via', 'www-authenticate'],
].map((entry) => {
  const [name = '', value = ''] = entry.split('=');
  return { name, value };
});
/** Index of the last static entry; those of the dynamic table follow (section 2.3.3). */
export const STATIC_LAST: number = ENTRIES.length;

// ---- names: a table of all that are in NAME, in the static table, or pseudo-fields

const NAMES: readonly string[] = [
  ...new Set([
    '',
    ...PSEUDO_NAMES.slice(1),
    ...ENTRIES.map(({ name }) => name),
    ...Object.keys(NAME)
      .filter((key) => key !== 'OTHER')
      .map((key) => key.toLowerCase().replaceAll('_', '-')),
  ]),
];
/** Lower-case bytes by the number that `findName` gives. */
export const KNOWN_BYTES: readonly Uint8Array[] = NAMES.map((name) => bytesOf(name));
/** What is known of each: its NAME id, its first index in the static table (0: none), which PSEUDO it is. */
export const KNOWN_ID: Uint8Array = Uint8Array.from(NAMES, (name) => nameId(name));
export const KNOWN_INDEX: Uint8Array = Uint8Array.from(
  NAMES,
  (name) => ENTRIES.findIndex((entry) => entry.name === name) + 1,
);
export const KNOWN_PSEUDO: Uint8Array = Uint8Array.from(NAMES, (name) => Math.max(0, PSEUDO_NAMES.indexOf(name)));

/** What findName gives for a name (lower case). */
export function knownName(name: string): number {
  return Math.max(0, NAMES.indexOf(name));
}

/** What findName gives for the name of each PSEUDO. */
export const KNOWN_OF_PSEUDO: Uint8Array = Uint8Array.from(PSEUDO_NAMES, knownName);

const FOLD = 0x20;
const FOLD_WORD = 0x20202020;
const SLOT_BITS = 10;

/** A hash of the length, the first and the last four bytes, letters folded; of a shorter name the length alone. */
export function hashName(view: DataView, start: number, end: number): number {
  const n = end - start;
  if (n < 4) return Math.imul(n + 1, 0x3c6ef372);
  const first = view.getInt32(start, true) | FOLD_WORD;
  const last = view.getInt32(end - 4, true) | FOLD_WORD;
  const h = Math.imul(first ^ n, 0x2545f491) ^ Math.imul(last, 0x61c88647);
  return Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
}

/** Numbers of names by hash; those with the same slot stand in the next ones. */
const SLOTS: Uint8Array = slots();

function slots(): Uint8Array {
  const out = new Uint8Array(1 << SLOT_BITS);
  KNOWN_BYTES.forEach((bytes, known) => {
    if (known === 0) return;
    let at = hashName(new DataView(bytes.buffer, bytes.byteOffset), 0, bytes.length) >>> (32 - SLOT_BITS);
    while (out[at] !== 0) at = (at + 1) & (out.length - 1);
    out[at] = known;
  });
  return out;
}

/** The number of the name mem[start..end), whatever its case; 0 when it is none of the known ones. */
export function findName(mem: Uint8Array, start: number, end: number): number {
  let at = hashName(viewOf(mem), start, end) >>> (32 - SLOT_BITS);
  for (;;) {
    const known = SLOTS[at] as number;
    if (known === 0) return 0;
    const bytes = KNOWN_BYTES[known] as Uint8Array;
    if (bytes.length === end - start && equalFolded(mem, start, bytes)) return known;
    at = (at + 1) & (SLOTS.length - 1);
  }
}

/** Exact for bytes of names, since the known ones have letters, digits, '-' and ':' only. */
function equalFolded(mem: Uint8Array, start: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) if (((mem[start + i] as number) | FOLD) !== name[i]) return false;
  return true;
}

// ---- entries

/** `name: value` CRLF by index. */
export const STATIC_LINES: readonly Fragment[] = [
  new Fragment(''),
  ...ENTRIES.map(({ name, value }) => new Fragment(`${name}: ${value}\r\n`)),
];
/** `name` by index. */
export const STATIC_NAMES: readonly Fragment[] = [new Fragment(''), ...ENTRIES.map(({ name }) => new Fragment(name))];
/** The name's number by index. */
export const STATIC_KNOWN: Uint8Array = Uint8Array.from([0, ...ENTRIES.map(({ name }) => knownName(name))]);

const STATIC_VALUES = [new Uint8Array(0), ...ENTRIES.map(({ value }) => bytesOf(value))];

/** Index of the static entry with this name and value, 0 when there is none. */
export function findStatic(mem: Uint8Array, known: number, start: number, end: number): number {
  const first = KNOWN_INDEX[known] as number;
  if (first === 0) return 0;
  for (let index = first; STATIC_KNOWN[index] === known; index++) {
    const value = STATIC_VALUES[index] as Uint8Array;
    // The entries without a value stand for their names.
    if (value.length > 0 && value.length === end - start && equalAt(mem, start, value)) return index;
  }
  return 0;
}
