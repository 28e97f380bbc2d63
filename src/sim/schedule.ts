// The virtual clock and what is to happen when: a binary heap ordered by time, then by a tie that is the order of
// insertion or, where events may overtake each other, chance.

interface Entry {
  readonly atUs: number;
  readonly tie: number;
  readonly sequence: number;
  readonly run: () => void;
}

function before(a: Entry, b: Entry): boolean {
  if (a.atUs !== b.atUs) return a.atUs < b.atUs;
  if (a.tie !== b.tie) return a.tie < b.tie;
  return a.sequence < b.sequence;
}

export class Schedule {
  readonly #heap: Entry[] = [];
  #sequence = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Time of the earliest event in microseconds, Infinity when there is none. */
  get nextUs(): number {
    return this.#heap[0]?.atUs ?? Number.POSITIVE_INFINITY;
  }

  at(atUs: number, run: () => void, tie = 0): void {
    const heap = this.#heap;
    const entry: Entry = { atUs, tie, sequence: this.#sequence++, run };
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(entry, heap[parent] as Entry)) break;
      heap[i] = heap[parent] as Entry;
      i = parent;
    }
    heap[i] = entry;
  }

  /** Runs the earliest event that is due at `nowUs`; false when none is. */
  runOne(nowUs: number): boolean {
    const first = this.#heap[0];
    if (first === undefined || first.atUs > nowUs) return false;
    this.#removeFirst();
    first.run();
    return true;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    const length = heap.length;
    if (length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= length) break;
      if (child + 1 < length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!before(heap[child] as Entry, last)) break;
      heap[i] = heap[child] as Entry;
      i = child;
    }
    heap[i] = last;
  }
}
