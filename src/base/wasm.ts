// An assembler for the few functions that are written in WebAssembly because JavaScript has no vector instructions.
// Code is a list of bytes; expressions nest as they do in the language itself, so that a function reads from top to
// bottom. It knows what those functions use and no more (WebAssembly Core Specification 2.0, chapter 5, with several
// memories as in 3.0).

import { bytesOf } from './bytes.ts';

/** Instructions, encoded; an expression leaves its value behind. */
export type Code = readonly number[];

const I32 = 0x7f;
const V128 = 0x7b;

function unsigned(n: number): Code {
  const out: number[] = [];
  let rest = n >>> 0;
  for (; rest >= 0x80; rest >>>= 7) out.push((rest & 0x7f) | 0x80);
  return [...out, rest];
}

function signed(n: number): Code {
  const out: number[] = [];
  let rest = n | 0;
  for (; rest < -0x40 || rest >= 0x40; rest >>= 7) out.push((rest & 0x7f) | 0x80);
  return [...out, rest & 0x7f];
}

const binary =
  (...op: number[]) =>
  (a: Code, b: Code): Code => [...a, ...b, ...op];
const unary =
  (...op: number[]) =>
  (a: Code): Code => [...a, ...op];

// ---- integers of 32 bits

export const i32 = {
  of: (n: number): Code => [0x41, ...signed(n)],
  eqz: unary(0x45),
  eq: binary(0x46),
  ne: binary(0x47),
  /** Signed: offsets and lengths are below 2^31. */
  lt: binary(0x48),
  ge: binary(0x4e),
  ctz: unary(0x68),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shrU: binary(0x76),
} as const;

// ---- vectors of 16 bytes

const SIMD = 0xfd;

export const v128 = {
  of: (bytes: readonly number[]): Code => [SIMD, 0x0c, ...bytes],
  /** The same byte sixteen times. */
  all: (byte: number): Code => v128.of(new Array<number>(16).fill(byte)),
  /** Byte by byte the one of `a` at the index in `b`, 0 for an index above 15. */
  swizzle: binary(SIMD, 0x0e),
  /** Byte by byte 0xff where it holds, else 0. Unsigned. */
  eq: binary(SIMD, 0x23),
  lt: binary(SIMD, 0x26),
  gt: binary(SIMD, 0x28),
  and: binary(SIMD, 0x4e),
  andNot: binary(SIMD, 0x4f),
  or: binary(SIMD, 0x50),
  /** The top bits of the bytes, the first byte's lowest. */
  bits: unary(SIMD, 0x64),
  /** Every byte shifted right by a number of bits. */
  shrU: binary(SIMD, 0x6d),
} as const;

// ---- memories, by their index

function argument(memory: number, offset: number): Code {
  return memory === 0 ? [0, ...unsigned(offset)] : [0x40, ...unsigned(memory), ...unsigned(offset)];
}

const load =
  (...op: number[]) =>
  (memory: number, at: Code, offset = 0): Code => [...at, ...op, ...argument(memory, offset)];

export const load8 = load(0x2d);
export const load32 = load(0x28);
export const load128 = load(SIMD, 0x00);

const store =
  (...op: number[]) =>
  (memory: number, at: Code, value: Code, offset = 0): Code => [...at, ...value, ...op, ...argument(memory, offset)];

/** Copies `length` bytes of a memory, also where they overlap. */
export const moveBytes = (memory: number, at: Code, from: Code, length: Code): Code => [
  ...at,
  ...from,
  ...length,
  ...[0xfc, 0x0a, memory, memory],
];

export const store32 = store(0x36);
export const store128 = store(SIMD, 0x0b);

// ---- control: a branch leaves that many blocks, or goes back to the start of a loop

const EMPTY = 0x40;
const END = 0x0b;

export const block = (...body: Code[]): Code => [0x02, EMPTY, ...body.flat(), END];
export const loop = (...body: Code[]): Code => [0x03, EMPTY, ...body.flat(), END];
export const when = (condition: Code, ...then: Code[]): Code => [...condition, 0x04, EMPTY, ...then.flat(), END];
export const branch = (depth: number): Code => [0x0c, ...unsigned(depth)];
export const branchIf = (depth: number, condition: Code): Code => [...condition, 0x0d, ...unsigned(depth)];
export const give = (value: Code): Code => [...value, 0x0f];
export const unreachable: Code = [0x00];

/** A parameter or a local of a function. */
export class Local {
  readonly #index: Code;
  readonly get: Code;

  constructor(index: number) {
    this.#index = unsigned(index);
    this.get = [0x20, ...this.#index];
  }

  set(value: Code): Code {
    return [...value, 0x21, ...this.#index];
  }

  /** Sets it and leaves the value. */
  tee(value: Code): Code {
    return [...value, 0x22, ...this.#index];
  }
}

export interface Function {
  readonly name: string;
  /** Parameters, 32-bit integers; the result is one too. */
  readonly params: number;
  /** Locals of either type, which follow the parameters in this order. */
  readonly integers: number;
  readonly vectors: number;
  readonly body: Code;
}

function list(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()];
}

function name(text: string): Code {
  return list([...bytesOf(text)].map((byte) => [byte]));
}

function section(id: number, items: readonly Code[]): Code {
  const body = list(items);
  return [id, ...unsigned(body.length), ...body];
}

/** A module that exports the functions by their names and imports `memories` memories as `memory` `0`, `1` ... */
export function assemble(memories: number, functions: readonly Function[]): WebAssembly.Module {
  const types = functions.map((f) => [0x60, ...list(new Array<Code>(f.params).fill([I32])), ...list([[I32]])]);
  const imports = Array.from({ length: memories }, (_, i) => [...name('memory'), ...name(String(i)), 2, 0, 1]);
  const bodies = functions.map((f) => {
    const locals = list([
      [...unsigned(f.integers), I32],
      [...unsigned(f.vectors), V128],
    ]);
    const code = [...locals, ...f.body, END];
    return [...unsigned(code.length), ...code];
  });
  return new WebAssembly.Module(
    Uint8Array.from([
      ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      ...section(1, types),
      ...section(2, imports),
      ...section(
        3,
        functions.map((_, i) => unsigned(i)),
      ),
      ...section(
        7,
        functions.map((f, i) => [...name(f.name), 0, ...unsigned(i)]),
      ),
      ...section(10, bodies),
    ]),
  );
}
