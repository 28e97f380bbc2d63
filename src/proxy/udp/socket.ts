// A listener's socket for datagrams, shared with nobody: the kernel gives each worker the same clients always, for each
// has a socket of its own, which the keeper keeps. It stays open until the last of its flows is over, since answers
// leave by it.

import type { Handle, ReadySink } from '../../io/io.ts';
import type { Listener } from '../listener.ts';

/** Who reads what clients send. */
export interface RequestReader {
  requests(socket: UdpSocket): void;
}

export class UdpSocket implements ReadySink {
  readonly #reader: RequestReader;
  readonly listener: Listener;
  /** Part of the keys of its flows. */
  readonly number: number;
  readonly family: 4 | 6;
  handle: Handle;
  flows = 0;
  /** Reads in a row that found as much as they had room for. */
  full = 0;
  /** Nothing is read from it any more. */
  leaving = false;

  constructor(reader: RequestReader, listener: Listener, number: number, family: 4 | 6, handle: Handle) {
    this.#reader = reader;
    this.listener = listener;
    this.number = number;
    this.family = family;
    this.handle = handle;
  }

  onReady(): void {
    this.#reader.requests(this);
  }
}
