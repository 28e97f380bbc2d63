// The open streams of a connection by their numbers: a table that is looked at where the number says, since peers count
// up. A Map would allocate for nearly every stream, once for some that came and went.

import type { Stream } from './stream.ts';

/** Slots of a connection that has few streams; a power of two. */
const FEW = 16;

export class Streams {
  /** At least half of them are empty. A stream stands where its number says, or behind others without a gap. */
  slots: (Stream | null)[] = new Array<Stream | null>(FEW).fill(null);
  #mask = FEW - 1;
  size = 0;

  get(id: number): Stream | undefined {
    const { slots } = this;
    const mask = this.#mask;
    for (let at = (id >>> 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at] as Stream | null;
      if (stream === null) return undefined;
      if (stream.id === id) return stream;
    }
  }

  /** `stream` is none of them yet, nor is another one of its number; that stays as it is while it is here. */
  add(stream: Stream): void {
    if (++this.size * 2 > this.slots.length) this.#grow();
    this.#put(stream);
  }

  #put(stream: Stream): void {
    const { slots } = this;
    const mask = this.#mask;
    let at = (stream.id >>> 1) & mask;
    while (slots[at] !== null) at = (at + 1) & mask;
    slots[at] = stream;
  }

  #grow(): void {
    const before = this.slots;
    this.slots = new Array<Stream | null>(before.length * 2).fill(null);
    this.#mask = this.slots.length - 1;
    for (const stream of before) if (stream !== null) this.#put(stream);
  }

  delete(id: number): void {
    const { slots } = this;
    const mask = this.#mask;
    let gap = (id >>> 1) & mask;
    for (; ; gap = (gap + 1) & mask) {
      const stream = slots[gap] as Stream | null;
      if (stream === null) return;
      if (stream.id === id) break;
    }
    this.size--;
    // Who stands behind it and would not be found across the gap moves up.
    for (let at = (gap + 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at] as Stream | null;
      if (stream === null) break;
      const home = (stream.id >>> 1) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      slots[gap] = stream;
      gap = at;
    }
    slots[gap] = null;
  }

  /** A list of all, those of lower numbers first. */
  all(): Stream[] {
    const all: Stream[] = [];
    for (const stream of this.slots) if (stream !== null) all.push(stream);
    return all.sort((a, b) => a.id - b.id);
  }
}
