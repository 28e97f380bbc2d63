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
  /** Whether it reads the exchange that begins. */
  wants(): boolean;
  open(tap: Tap): TapReader;
}

export class Tap {
  readonly #reader: TapReader;
  /** Bytes that may still be handed over before the reader says that it is done with some. */
  #credit: number = LIMITS.TAP_BYTES;
  #open = true;
  /** Another one of the same exchange. */
  readonly #next: Tap | null;

  constructor(source: TapSource, next: Tap | null) {
    this.#next = next;
    this.#reader = source.open(this);
  }

  /** The reader is done with `bytes` of what it got. */
  took(bytes: number): void {
    this.#credit += bytes;
  }

  request(request: PreparedRequest): void {
    if (this.#takes(request.trailersEnd - request.start)) this.#reader.request(request);
    this.#next?.request(request);
  }
  requestBody(start: number, end: number): void {
    if (this.#takes(end - start)) this.#reader.requestBody(start, end);
    this.#next?.requestBody(start, end);
  }
  requestEnded(): void {
    if (this.#open) this.#reader.requestEnded();
    this.#next?.requestEnded();
  }
  responseBody(start: number, end: number): void {
    if (this.#takes(end - start)) this.#reader.responseBody(start, end);
    this.#next?.responseBody(start, end);
  }
  /** The exchange is over. */
  close(whole: boolean): void {
    this.#leave(whole);
    this.#next?.close(whole);
  }

  #leave(whole: boolean): void {
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
    this.#leave(false);
    return false;
  }
}
