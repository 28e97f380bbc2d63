// Memory that typed arrays and WebAssembly code reach at the same offsets.

import { assemble, type Code, i32, Local, moveBytes } from './wasm.ts';

const PAGE = 65_536;
/** How far behind the end of such memory code may read: vectors are loaded whole. */
const MEMORY_SLACK = 64;

const MEMORIES = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/**
 * `bytes` of zeros that never move or grow; untouched pages cost nothing. Behind them is MEMORY_SLACK that no offset
 * reaches. Throws RangeError when the address space is not to be had.
 */
export function newMemory(bytes: number): Uint8Array<ArrayBuffer> {
  const pages = Math.ceil((bytes + MEMORY_SLACK) / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  MEMORIES.set(memory.buffer, memory);
  return new Uint8Array(memory.buffer, 0, bytes);
}

/** What `mem`, made by newMemory, is to WebAssembly. */
export function memoryOf(mem: Uint8Array): WebAssembly.Memory {
  const memory = MEMORIES.get(mem.buffer);
  if (memory === undefined) throw new TypeError('this memory was not made by newMemory()');
  return memory;
}

const copy: Code = [...moveBytes(0, new Local(0).get, new Local(1).get, new Local(2).get), ...i32.of(0)];
const module = assemble(1, [{ name: 'copy', params: 3, integers: 0, vectors: 0, body: copy }]);

let boundMem: Uint8Array | null = null;
let run: (at: number, start: number, length: number) => number = () => 0;

/**
 * Copies mem[start..end) to mem[at..], also where they overlap; returns the offset behind it. Memory that newMemory
 * made is copied by WebAssembly: for few bytes that is quicker than any loop, and than copyWithin for any number
 * (docs/adr/0007-scanner.md).
 */
export function move(mem: Uint8Array, at: number, start: number, end: number): number {
  const n = end - start;
  if (mem === boundMem || bind(mem)) run(at, start, n);
  else mem.copyWithin(at, start, end);
  return at + n;
}

function bind(mem: Uint8Array): boolean {
  const memory = MEMORIES.get(mem.buffer);
  if (memory === undefined) return false;
  run = new WebAssembly.Instance(module, { memory: { 0: memory } }).exports['copy'] as typeof run;
  boundMem = mem;
  return true;
}
