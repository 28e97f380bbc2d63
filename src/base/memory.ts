// Memory that typed arrays and WebAssembly code reach at the same offsets.

const PAGE = 65_536;
/** How far behind the end of such memory code may read: vectors are loaded whole. */
export const MEMORY_SLACK = 64;

const MEMORIES = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/**
 * `bytes` of zeros that never move or grow; untouched pages cost nothing. Behind them is MEMORY_SLACK that no offset reaches. Throws
 * RangeError when the address space is not to be had.
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
