// Streams that can go on: the most urgent first (RFC 9218), those of one urgency in turns. Nobody is passed over for
// good: every so often the least urgent has a frame.

import { LIMITS } from '../../base/limits.ts';
import { URGENCIES } from './priority.ts';
import type { Stream } from './stream.ts';

export class Ring {
  readonly #first: (Stream | null)[] = new Array(URGENCIES).fill(null);
  readonly #last: (Stream | null)[] = new Array(URGENCIES).fill(null);
  /** Bit of each urgency that has streams. */
  #bits = 0;
  /** Frames since the least urgent had one. */
  #frames = 0;

  get empty(): boolean {
    return this.#bits === 0;
  }

  /** No stream goes before one of this urgency. */
  isFirst(urgency: number): boolean {
    return (this.#bits & ((2 << urgency) - 1)) === 0;
  }

  /** Whose turn it is; null when there is nobody. */
  next(): Stream | null {
    const bits = this.#bits;
    if (bits === 0) return null;
    const most = 31 - Math.clz32(bits & -bits);
    const least = 31 - Math.clz32(bits);
    if (most === least || ++this.#frames < LIMITS.HTTP2_URGENT_FRAMES) return this.#first[most] as Stream;
    this.#frames = 0;
    return this.#first[least] as Stream;
  }

  /** Behind the others of its urgency; one that is of use only whole in front of those asked for later (section 10). */
  add(stream: Stream): void {
    const at = stream.urgency;
    let before = this.#last[at] as Stream | null;
    if (!stream.incremental) {
      while (before !== null && !before.incremental && before.id > stream.id) before = before.previousReady;
    }
    const behind = before === null ? (this.#first[at] as Stream | null) : before.nextReady;
    stream.ready = true;
    stream.previousReady = before;
    stream.nextReady = behind;
    if (before === null) this.#first[at] = stream;
    else before.nextReady = stream;
    if (behind === null) this.#last[at] = stream;
    else behind.previousReady = stream;
    this.#bits |= 1 << at;
  }

  /** It had a frame and has more: one that is of use piece by piece lets the others have theirs. */
  hadTurn(stream: Stream): void {
    if (!stream.incremental) return;
    this.remove(stream);
    this.add(stream);
  }

  remove(stream: Stream): void {
    const at = stream.urgency;
    const { previousReady, nextReady } = stream;
    if (previousReady === null) this.#first[at] = nextReady;
    else previousReady.nextReady = nextReady;
    if (nextReady === null) this.#last[at] = previousReady;
    else nextReady.previousReady = previousReady;
    if (this.#first[at] === null) this.#bits &= ~(1 << at);
    stream.ready = false;
    stream.nextReady = null;
    stream.previousReady = null;
  }

  clear(): void {
    for (let stream = this.next(); stream !== null; stream = this.next()) this.remove(stream);
  }
}
