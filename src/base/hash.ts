// Hashes over bytes, 32 bits. None is meant to withstand an adversary who knows the seed.

/**
 * The finaliser of MurmurHash3 (32 bits): every input bit changes every output bit with a chance near one half. Signed.
 */
export function mix32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** MurmurHash3_x86_32 of bytes[start..end): evenly spread, for balancing and sampling. Unsigned 32 bits. */
export function hash32(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  let h = seed | 0;
  const whole = start + ((end - start) & ~3);
  for (let i = start; i < whole; i += 4) {
    const word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    h ^= scramble(word);
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let i = end - 1; i >= whole; i--) tail = (tail << 8) | (bytes[i] as number);
  return mix32(h ^ scramble(tail) ^ (end - start)) >>> 0;
}

function scramble(word: number): number {
  const k = Math.imul(word, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}
