// Taps: second readers of what passes (a mirror, a plugin). A tap has a bounded credit of its own and never slows the
// exchange: one that does not keep up is left behind.

import { LIMITS } from '../../base/limits.ts';
import type { PreparedRequest } from './sides.ts';

/** Ranges of the arena are valid during the call only. */
export interface TapReader {
  /** The request as it goes upstream, with what is here of its content. */
  request(request: PreparedRequest): void;
  requestBody(start: number, end: number): void;
  requestEnded(): void;
  responseBody(start: number, end: number): void;
  /** Nothing more comes. `whole`: everything did. */
  over(whole: boolean): void;
}

/** Opens a reader for one exchange; a step of a rule's chain. */
export interface TapSource {
  open(tap: Tap): TapReader;
}

export class Tap {
  readonly #reader: TapReader;
  /** Bytes that may still be handed over before the reader says that it is done with some. */
  #credit: number = LIMITS.TAP_BYTES;
  #open = true;

  constructor(source: TapSource) {
    this.#reader = source.open(this);
  }

  /** The reader is done with `bytes` of what it got. */
  took(bytes: number): void {
    this.#credit += bytes;
  }

  request(request: PreparedRequest): void {
    if (this.#takes(request.trailersEnd - request.start)) this.#reader.request(request);
  }
  requestBody(start: number, end: number): void {
    if (this.#takes(end - start)) this.#reader.requestBody(start, end);
  }
  requestEnded(): void {
    if (this.#open) this.#reader.requestEnded();
  }
  responseBody(start: number, end: number): void {
    if (this.#takes(end - start)) this.#reader.responseBody(start, end);
  }
  /** The exchange is over. */
  close(whole: boolean): void {
    if (!this.#open) return;
    this.#open = false;
    this.#reader.over(whole);
  }

  #takes(bytes: number): boolean {
    if (!this.#open) return false;
    if (bytes <= this.#credit) {
      this.#credit -= bytes;
      return true;
    }
    this.close(false);
    return false;
  }
}
