// Regular expressions that users write: RE2 syntax, linear time, compiled once, always matched against the whole value.

import { RE2JS, RE2JSException } from 're2js';
import { LIMITS } from './limits.ts';

export class RegexError extends Error {
  readonly pattern: string;
  constructor(pattern: string, reason: string) {
    super(`regular expression ${JSON.stringify(pattern)}: ${reason}`);
    this.name = 'RegexError';
    this.pattern = pattern;
  }
}

export class Regex {
  readonly pattern: string;
  readonly #compiled: RE2JS;

  /** Throws RegexError: bad syntax, or a program of more than LIMITS.REGEX_INSTRUCTIONS. */
  constructor(pattern: string) {
    this.pattern = pattern;
    try {
      this.#compiled = RE2JS.compile(pattern);
    } catch (error) {
      if (error instanceof RE2JSException) throw new RegexError(pattern, error.message);
      throw error;
    }
    // The time of a match is bounded by program size times input length.
    const size = this.#compiled.programSize();
    if (size > LIMITS.REGEX_INSTRUCTIONS) {
      throw new RegexError(pattern, `too complex (${size} instructions, limit ${LIMITS.REGEX_INSTRUCTIONS})`);
    }
  }

  /** Whether the whole of bytes[start..end), read as UTF-8, matches. */
  matches(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#compiled.testExact(bytes.subarray(start, end));
  }
}
