// Field names to small integers, without allocation: a perfect hash of the length, the first and the last four bytes,
// then words of four bytes compared, letters folded to lower case.

import { bytesOf } from '../../base/bytes.ts';
import { NAME } from '../head.ts';
import { COLON } from './scan.ts';

/** Lower-case bytes of the name with each id; empty for OTHER. */
export const NAME_BYTES: readonly Uint8Array[] = Object.keys(NAME).map((key) =>
  bytesOf(key === 'OTHER' ? '' : key.toLowerCase().replaceAll('_', '-')),
);

/** Sets bit 5 of each byte: folds letters, and is exact for token bytes against names of letters, digits and '-'. */
const FOLD = 0x20202020;
/** Words per name in WORDS: the longest name has under 4 * 8 bytes. */
const STRIDE = 8;

// Not smaller: a small array lives on V8's heap, where its address is not a constant of the code.
const LENGTH = new Uint8Array(256);
const FIRST = new Int32Array(NAME_BYTES.length);
const LAST = new Int32Array(NAME_BYTES.length);
const WORDS = new Int32Array(NAME_BYTES.length * STRIDE);
const SLOTS = new Uint8Array(256);

function slot(first: number, last: number, length: number, multiplier: number): number {
  return Math.imul(first ^ Math.imul(last, 0x2545f491) ^ length, multiplier) >>> 24;
}

/** Fills SLOTS so that no two names share one; returns the multiplier for which that holds. */
function perfect(): number {
  for (let multiplier = 0x9e3779b1; ; multiplier += 2) {
    SLOTS.fill(0);
    let id = 1;
    for (; id < NAME_BYTES.length; id++) {
      if ((LENGTH[id] as number) < 4) continue;
      const at = slot(FIRST[id] as number, LAST[id] as number, LENGTH[id] as number, multiplier);
      if (SLOTS[at] !== 0) break;
      SLOTS[at] = id;
    }
    if (id === NAME_BYTES.length) return multiplier | 0;
  }
}

NAME_BYTES.forEach((bytes, id) => {
  LENGTH[id] = bytes.length;
  if (bytes.length < 4) return;
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  FIRST[id] = words.getInt32(0, true);
  LAST[id] = words.getInt32(bytes.length - 4, true);
  for (let k = 0; k < bytes.length - 4; k += 4) WORDS[id * STRIDE + (k >> 2)] = words.getInt32(k, true);
});
const MULTIPLIER = perfect();

/** NAME id of the field name [start, end), which must be a token (or at least hold no byte below 0x21). */
export function nameId(words: DataView, start: number, end: number): number {
  const length = end - start;
  if (length < 4) return shortName(words, start, length);
  const first = words.getInt32(start, true) | FOLD;
  const last = words.getInt32(end - 4, true) | FOLD;
  const id = SLOTS[slot(first, last, length, MULTIPLIER)] as number;
  if (LENGTH[id] !== length || FIRST[id] !== first || LAST[id] !== last) return NAME.OTHER;
  for (let k = 4; k < length - 4; k += 4) {
    if ((words.getInt32(start + k, true) | FOLD) !== WORDS[id * STRIDE + (k >> 2)]) return NAME.OTHER;
  }
  return id;
}

/**
 * Length of the name with this id when it stands at `at` with a colon behind it, else 0. Never for names below four bytes. Reads no
 * byte at or behind `end`.
 */
export function standsAt(words: DataView, at: number, end: number, id: number): number {
  const length = LENGTH[id] as number;
  if (length < 4 || at + length >= end || words.getUint8(at + length) !== COLON) return 0;
  // A control byte may fold to '-' or a digit: there must be none.
  let control = 0;
  for (let k = 0; k < length - 4; k += 4) {
    const word = words.getInt32(at + k, true);
    if ((word | FOLD) !== WORDS[id * STRIDE + (k >> 2)]) return 0;
    control |= word - 0x21212121;
  }
  const word = words.getInt32(at + length - 4, true);
  if ((word | FOLD) !== LAST[id]) return 0;
  return ((control | (word - 0x21212121)) & 0x80808080) === 0 ? length : 0;
}

function shortName(words: DataView, start: number, length: number): number {
  if (length < 2) return NAME.OTHER;
  const a = words.getUint8(start) | 0x20;
  const b = words.getUint8(start + 1) | 0x20;
  if (length === 2 && a === 0x74 && b === 0x65) return NAME.TE;
  if (length === 3 && a === 0x76 && b === 0x69 && (words.getUint8(start + 2) | 0x20) === 0x61) return NAME.VIA;
  return NAME.OTHER;
}
