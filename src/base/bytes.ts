// Small helpers over bytes. No domain words here.

const encoder = new TextEncoder();

/** V8 keeps so short an array in its own heap, and to call the encoder costs ten times as much as to fill it. */
const SHORT = 64;

/** ASCII or UTF-8 text as bytes. */
export function bytesOf(text: string): Uint8Array {
  const { length } = text;
  if (length > SHORT) return encoder.encode(text);
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i);
    if (c > 0x7f) return encoder.encode(text);
    bytes[i] = c;
  }
  return bytes;
}

/** The bytes as text, one character per byte (latin1): lossless for any input. */
export function textOf(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

/** Whether mem[start..start+expected.length) equals `expected`. */
export function equalAt(mem: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (mem[start + i] !== expected[i]) return false;
  return true;
}

/** The same, ASCII letters of `mem` folded to lower case; `lower` must be lower case. */
export function equalLowerAt(mem: Uint8Array, start: number, lower: Uint8Array): boolean {
  for (let i = 0; i < lower.length; i++) {
    let c = mem[start + i] as number;
    if (c >= 0x41 && c <= 0x5a) c |= 0x20;
    if (c !== lower[i]) return false;
  }
  return true;
}

/** Writes `value` (a non-negative integer) in decimal at `at`; returns the offset behind it. */
export function putDecimal(mem: Uint8Array, at: number, value: number): number {
  if (value < 1_000_000_000) return putSmall(mem, at, value | 0);
  let digits = 1;
  for (let v = value; v >= 10; v = Math.floor(v / 10)) digits++;
  let v = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const q = Math.floor(v / 10);
    mem[i] = 0x30 + (v - q * 10);
    v = q;
  }
  return at + digits;
}

/** The same for what fits a small integer, without floating point. */
function putSmall(mem: Uint8Array, at: number, value: number): number {
  if (value < 10) {
    mem[at] = 0x30 + value;
    return at + 1;
  }
  let end = at + 2;
  for (let bound = 100; value >= bound; bound *= 10) end++;
  let v = value;
  for (let i = end - 1; i >= at; i--) {
    const q = (v / 10) | 0;
    mem[i] = 0x30 + (v - q * 10);
    v = q;
  }
  return end;
}

/** Copies `source` to mem[at..]; returns the offset behind it. */
export function put(mem: Uint8Array, at: number, source: Uint8Array): number {
  const n = source.length;
  if (n < 16) for (let i = 0; i < n; i++) mem[at + i] = source[i] as number;
  else mem.set(source, at);
  return at + n;
}

let viewed: Uint8Array = new Uint8Array(0);
let view = new DataView(viewed.buffer);

/** A view of the arena for reading words of four bytes at any offset; a process has one arena, so it is made once. */
export function viewOf(mem: Uint8Array): DataView {
  if (mem !== viewed) {
    viewed = mem;
    view = new DataView(mem.buffer, mem.byteOffset, mem.length);
  }
  return view;
}

/** Whether mem[at..] is what mem[start..end) is: by words, the last of which may begin within the one before. */
export function sameBytes(mem: Uint8Array, at: number, start: number, end: number): boolean {
  const n = end - start;
  if (n < 4) {
    for (let i = 0; i < n; i++) if (mem[at + i] !== mem[start + i]) return false;
    return true;
  }
  const view = viewOf(mem);
  for (let i = 0; i < n - 4; i += 4) if (view.getInt32(at + i) !== view.getInt32(start + i)) return false;
  return view.getInt32(at + n - 4) === view.getInt32(end - 4);
}
