// Small writes to one connection are gathered here and sent together. One block for all connections of a worker: it is
// used and left within one call from the reactor, so an idle connection owns no buffer, and it is one connection's at a
// time.

import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import type { Io } from '../../io/io.ts';

/** Whose output is gathered. */
export interface CorkOwner {
  /** Sends mem[start..end) now. */
  sendNow(start: number, end: number): void;
}

/** Up to here copying bytes is cheaper than moving what waits in front of them. */
const COPY_BYTES = 1024;

export class Cork {
  readonly #mem: Uint8Array;
  readonly #at: number;
  readonly #end: number;
  #owner: CorkOwner | null = null;
  /** What waits begins here when it stands outside the block and is only held; -1 when it is in the block. */
  #heldAt = -1;
  /** What waits ends here. */
  #used: number;

  /** Throws when the arena has no room for the block. */
  constructor(io: Io) {
    this.#mem = io.mem;
    this.#at = io.alloc(LIMITS.CORK_BYTES);
    if (this.#at < 0) throw new Error('no memory for the block in which writes are gathered');
    this.#end = this.#at + LIMITS.CORK_BYTES;
    this.#used = this.#at;
  }

  dispose(io: Io): void {
    io.free(this.#at);
  }

  /** Adds mem[start..end) to what waits for `owner`, or sends it. `free` bytes in front of start may be overwritten. */
  write(owner: CorkOwner, start: number, end: number, free: number): void {
    if (this.#owner === owner) {
      if (this.#heldAt >= 0) {
        if (start === this.#used) {
          this.#used = end;
          return;
        }
        this.#gather(owner);
        if (this.#owner !== owner) {
          owner.sendNow(start, end);
          return;
        }
      }
      const waiting = this.#used - this.#at;
      const n = end - start;
      if (waiting <= free && n > COPY_BYTES) {
        // In front of the new bytes there is room for the ones that wait: one send, and the large part is not copied.
        this.#owner = null;
        move(this.#mem, start - waiting, this.#at, this.#used);
        owner.sendNow(start - waiting, end);
        return;
      }
      if (n <= this.#end - this.#used) {
        this.#used = move(this.#mem, this.#used, start, end);
        return;
      }
      this.flush(owner);
    }
    owner.sendNow(start, end);
  }

  /** Offset of room for `n` <= LIMITS.CORK_BYTES bytes, which `commit(end)` adds to what waits. */
  reserve(owner: CorkOwner, n: number): number {
    if (this.#heldAt >= 0 && this.#owner === owner) this.#gather(owner);
    if (this.#owner !== owner || this.#end - this.#used < n) {
      if (this.#owner !== null) this.flush(this.#owner);
      this.#owner = owner;
      this.#used = this.#at;
    }
    return this.#used;
  }

  commit(end: number): void {
    this.#used = end;
  }

  /** mem[start..end) waits where it stands; what is written next and begins at `end` goes with it, uncopied. */
  hold(owner: CorkOwner, start: number, end: number): void {
    if (this.#owner !== null) this.flush(this.#owner);
    this.#owner = owner;
    this.#heldAt = start;
    this.#used = end;
  }

  /** What is held moves into the block: something follows that does not stand behind it. */
  #gather(owner: CorkOwner): void {
    const start = this.#heldAt;
    const end = this.#used;
    if (end - start > this.#end - this.#at) {
      this.flush(owner);
      return;
    }
    this.#heldAt = -1;
    this.#used = move(this.#mem, this.#at, start, end);
  }

  /** Sends what waits for `owner`. */
  flush(owner: CorkOwner): void {
    if (this.#owner !== owner) return;
    this.#owner = null;
    const start = this.#heldAt >= 0 ? this.#heldAt : this.#at;
    this.#heldAt = -1;
    if (this.#used > start) owner.sendNow(start, this.#used);
  }

  /** Whatever is held outside the block is sent: its place is about to be used again. */
  release(): void {
    if (this.#heldAt >= 0 && this.#owner !== null) this.flush(this.#owner);
  }

  /** Forgets what waits for `owner`; returns how many bytes that were. */
  drop(owner: CorkOwner): number {
    if (this.#owner !== owner) return 0;
    const dropped = this.#used - (this.#heldAt >= 0 ? this.#heldAt : this.#at);
    this.#owner = null;
    this.#heldAt = -1;
    return dropped;
  }
}
