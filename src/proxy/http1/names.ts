// Field names to small integers: a perfect hash of the length, the first and the last four bytes says which known name
// it can be, and the scanner compares it with that one.

import { bytesOf } from '../../base/bytes.ts';
import { NAME } from '../head.ts';

/** Lower-case bytes of the name with each id; empty for OTHER. */
export const NAME_BYTES: readonly Uint8Array[] = Object.keys(NAME).map((key) =>
  bytesOf(key === 'OTHER' ? '' : key.toLowerCase().replaceAll('_', '-')),
);

/** A known name takes 1 << KNOWN_SHIFT bytes: itself (24 at the most), then the words below. */
export const KNOWN_SHIFT = 5;
/** A bit for each of its bytes. */
export const KNOWN_MASK = 24;
export const KNOWN_LENGTH = 28;
const LONGEST = 24;
/** Where the 256 slots of the hash stand, behind the names. */
export const SLOTS_AT = NAME_BYTES.length << KNOWN_SHIFT;
export const NAMES_BYTES = SLOTS_AT + 256;

/** Sets bit 5 of each byte: folds letters, and is exact for token bytes against names of letters, digits and '-'. */
export const FOLD = 0x20;
export const FOLD_WORD = 0x20202020;
export const MIX = 0x2545f491;

/** The four bytes from `at` on, folded; of a shorter name what it has. */
function word(name: Uint8Array, at: number): number {
  let w = 0;
  for (let i = 0; i < 4 && at + i < name.length; i++) w |= ((name[at + i] as number) | FOLD) << (8 * i);
  return w;
}

function slot(name: Uint8Array, multiplier: number): number {
  const last = word(name, Math.max(0, name.length - 4));
  return Math.imul(word(name, 0) ^ Math.imul(last, MIX) ^ name.length, multiplier) >>> 24;
}

/** Slots by name; null when two names share one. */
function slots(multiplier: number): Uint8Array | null {
  const out = new Uint8Array(256);
  for (let id = 1; id < NAME_BYTES.length; id++) {
    const at = slot(NAME_BYTES[id] as Uint8Array, multiplier);
    if (out[at] !== 0) return null;
    out[at] = id;
  }
  return out;
}

function perfect(): { readonly multiplier: number; readonly slots: Uint8Array } {
  for (let multiplier = 0x9e3779b1; ; multiplier += 2) {
    const found = slots(multiplier);
    if (found !== null) return { multiplier: multiplier | 0, slots: found };
  }
}

const { multiplier, slots: SLOTS } = perfect();
export const MULTIPLIER: number = multiplier;

/** Writes the names and the slots to memory[0..NAMES_BYTES). */
export function writeNames(memory: Uint8Array): void {
  const words = new DataView(memory.buffer);
  NAME_BYTES.forEach((name, id) => {
    if (name.length > LONGEST) throw new RangeError(`${Buffer.from(name)} is longer than ${LONGEST} bytes`);
    const at = id << KNOWN_SHIFT;
    memory.set(name, at);
    words.setInt32(at + KNOWN_MASK, 2 ** name.length - 1, true);
    words.setInt32(at + KNOWN_LENGTH, name.length, true);
  });
  memory.set(SLOTS, SLOTS_AT);
}
