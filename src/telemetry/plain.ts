// Copies text and sees on the way whether it can stand in JSON as it is, in WebAssembly (docs/adr/0007-scanner.md).

import { memoryOf } from '../base/memory.ts';
import {
  assemble,
  block,
  branch,
  branchIf,
  type Code,
  i32,
  Local,
  load128,
  loop,
  store128,
  v128,
  when,
} from '../base/wasm.ts';

/** How far a copy may reach behind its end: what is written next covers it. */
export const PLAIN_SLACK = 16;

const to = new Local(0);
const from = new Local(1);
const length = new Local(2);
const i = new Local(3);
const careful = new Local(4);
const v = new Local(5);

const MESSAGES = 0;
const of = i32.of;

/**
 * Bits of the bytes that need care inside a JSON string: controls, '"', '\\', DEL, and every byte of a multi-byte
 * sequence.
 */
const needCare: Code = v128.bits(
  v128.or(
    v128.or(v128.lt(v.get, v128.all(0x20)), v128.gt(v.get, v128.all(0x7e))),
    v128.or(v128.eq(v.get, v128.all(0x22)), v128.eq(v.get, v128.all(0x5c))),
  ),
);

/** Sixteen bytes from i on; leaves which of them need care. */
const sixteen: Code = [
  ...store128(MESSAGES, i32.add(to.get, i.get), v.tee(load128(MESSAGES, i32.add(from.get, i.get)))),
  ...needCare,
];

const copy: Code = [
  ...block(
    loop(
      branchIf(1, i32.lt(length.get, i32.add(i.get, of(16)))),
      careful.set(i32.or(careful.get, sixteen)),
      i.set(i32.add(i.get, of(16))),
      branch(0),
    ),
  ),
  // Of the last ones those behind the end do not count.
  ...when(
    i32.lt(i.get, length.get),
    careful.set(i32.or(careful.get, i32.and(sixteen, i32.sub(i32.shl(of(1), i32.sub(length.get, i.get)), of(1))))),
  ),
  ...i32.eqz(careful.get),
];

const module = assemble(1, [{ name: 'copy', params: 3, integers: 2, vectors: 1, body: copy }]);

let boundMem: Uint8Array | null = null;
let run: (to: number, from: number, length: number) => number = () => 0;

/**
 * Copies mem[start..end) to mem[at..] (the ranges do not overlap; up to PLAIN_SLACK bytes behind are overwritten too).
 * True when nothing in it needs care inside a JSON string. `mem` is made by newMemory.
 */
export function copyPlain(mem: Uint8Array, at: number, start: number, end: number): boolean {
  if (mem !== boundMem) {
    const memory = { [MESSAGES]: memoryOf(mem) };
    run = new WebAssembly.Instance(module, { memory }).exports['copy'] as typeof run;
    boundMem = mem;
  }
  return run(at, start, end - start) !== 0;
}
