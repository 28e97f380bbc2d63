// Bytes of one transport that go to another as they are.

import type { Transport } from './transport.ts';

export class Relay {
  readonly to: Transport;
  /** Bytes that are still to go. */
  left: number;

  constructor(to: Transport, limit: number) {
    this.to = to;
    this.left = limit;
  }

  /** Passes on what it may of mem[start..end); returns how far that is. */
  pass(start: number, end: number): number {
    const at = start + Math.min(end - start, this.left);
    this.left -= at - start;
    this.to.write(start, at, 0);
    this.to.uncork();
    return at;
  }
}
