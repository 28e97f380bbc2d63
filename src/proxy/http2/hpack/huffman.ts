// The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B). It is canonical: shorter codes come first, and those
// of one length are in the order of their bytes, so that the lengths say all of it.

/** Bits of the code of each byte, 'a' for five. */
const LENGTHS = [
  'isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhf',
  'ibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckgjix',
  'prpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrs',
  'vvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwv',
].join('');
const SHORTEST = 5;
const LONGEST = 30;
/** Symbols of codes up to so many bits are found by one look. */
const LOOK_BITS = 10;
const LOOK_MASK = (1 << LOOK_BITS) - 1;

/** Code and its length by byte. */
export const CODES = new Int32Array(256);
export const CODE_BITS: Uint8Array = Uint8Array.from(LENGTHS, (c) => c.charCodeAt(0) - 0x61 + SHORTEST);
/** The same for names, which have no capital letters. */
export const NAME_CODES = new Int32Array(256);
export const NAME_CODE_BITS = new Uint8Array(256);

/** By the next LOOK_BITS bits: symbol << 4 | bits of its code, 0 when that is longer. */
const LOOK = new Uint16Array(1 << LOOK_BITS);
/** Of the longer ones: their symbols in order, where each length begins among them, and its first code. */
const SYMBOLS: number[] = [];
const BEGINS = new Int32Array(LONGEST + 2);
const FIRSTS = new Int32Array(LONGEST + 2);
/** The code behind the last one of each length, as the highest of 32 bits. */
const BEHIND = new Float64Array(LONGEST + 1);

function assign(): void {
  let code = 0;
  for (let bits = SHORTEST; bits <= LONGEST; bits++) {
    code *= 2;
    BEGINS[bits] = SYMBOLS.length;
    FIRSTS[bits] = code;
    for (let symbol = 0; symbol < 256; symbol++) {
      if (CODE_BITS[symbol] !== bits) continue;
      CODES[symbol] = code;
      if (bits <= LOOK_BITS) {
        const spare = LOOK_BITS - bits;
        for (let i = 0; i < 1 << spare; i++) LOOK[(code << spare) | i] = (symbol << 4) | bits;
      } else {
        SYMBOLS.push(symbol);
      }
      code++;
    }
    BEHIND[bits] = bits <= LOOK_BITS ? 0 : code * 2 ** (32 - bits);
  }
  for (let c = 0; c < 256; c++) {
    const lower = c >= 0x41 && c <= 0x5a ? c | 0x20 : c;
    NAME_CODES[c] = CODES[lower] as number;
    NAME_CODE_BITS[c] = CODE_BITS[lower] as number;
  }
}
assign();

/**
 * Decodes mem[start, end) to mem[out..]; returns the offset behind what it wrote (at most 8/5 of what it read), -1 when
 * it is no string: a code that is not whole, the end of the string within it, padding of eight bits or with zeros.
 */
export function decodeHuffman(mem: Uint8Array, start: number, end: number, out: number): number {
  let at = start;
  let to = out;
  /** The last `bits` bits of it are not yet used; what is above them is of no meaning. */
  let window = 0;
  let bits = 0;
  for (;;) {
    while (bits <= 16 && at < end) {
      window = (window << 8) | (mem[at++] as number);
      bits += 8;
    }
    const spare = bits - LOOK_BITS;
    const look = spare >= 0 ? window >> spare : (window << -spare) | ((1 << -spare) - 1);
    const found = LOOK[look & LOOK_MASK] as number;
    const length = found & 15;
    if (length !== 0 && length <= bits) {
      mem[to++] = found >> 4;
      bits -= length;
      continue;
    }
    if (at === end && bits < 8) {
      const rest = (1 << bits) - 1;
      return (window & rest) === rest ? to : -1;
    }
    if (length !== 0) return -1;
    const symbol = longSymbol(mem, at, end, bits);
    if (symbol < 0) return -1;
    mem[to++] = symbol;
    // On behind it, from the byte in which it ends.
    const position = at * 8 - bits + (CODE_BITS[symbol] as number);
    at = (position + 7) >>> 3;
    bits = at * 8 - position;
    window = mem[at - 1] as number;
  }
}

/** The symbol of a long code that begins `bits` bits in front of `at`, -1 when there is none. */
function longSymbol(mem: Uint8Array, at: number, end: number, bits: number): number {
  const position = at * 8 - bits;
  const first = Math.floor(position / 8);
  let next = 0;
  for (let i = 0; i < 5; i++) next = next * 256 + (first + i < end ? (mem[first + i] as number) : 0xff);
  // 32 of the 40 bits, from the position on
  const skipped = position - first * 8;
  const wide = Math.floor(next / 2 ** (8 - skipped)) % 2 ** 32;
  const left = end * 8 - position;
  for (let length = LOOK_BITS + 1; length <= LONGEST; length++) {
    if (wide >= (BEHIND[length] as number)) continue;
    if (length > left) return -1;
    const code = Math.floor(wide / 2 ** (32 - length));
    return SYMBOLS[(BEGINS[length] as number) + code - (FIRSTS[length] as number)] as number;
  }
  return -1;
}

/** Bytes of mem[start, end) in the code whose lengths are `lengths`. */
export function huffmanBytes(mem: Uint8Array, start: number, end: number, lengths: Uint8Array): number {
  let bits = 0;
  for (let i = start; i < end; i++) bits += lengths[mem[i] as number] as number;
  return (bits + 7) >>> 3;
}

/** Writes mem[start, end) in this code to mem[out..], padded with ones; returns the offset behind it. */
export function encodeHuffman(
  mem: Uint8Array,
  start: number,
  end: number,
  out: number,
  codes: Int32Array,
  lengths: Uint8Array,
): number {
  let to = out;
  let window = 0;
  let bits = 0;
  for (let i = start; i < end; i++) {
    const c = mem[i] as number;
    const code = codes[c] as number;
    let length = lengths[c] as number;
    if (length > 24) {
      // With what waits that is more than 32 bits: in two parts.
      length -= 16;
      window = (window << length) | (code >>> 16);
      bits += length;
      while (bits >= 8) {
        bits -= 8;
        mem[to++] = window >> bits;
      }
      window = (window << 16) | (code & 0xffff);
      bits += 16;
    } else {
      window = (window << length) | code;
      bits += length;
    }
    while (bits >= 8) {
      bits -= 8;
      mem[to++] = window >> bits;
    }
  }
  if (bits > 0) mem[to++] = (window << (8 - bits)) | ((1 << (8 - bits)) - 1);
  return to;
}
