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

/** Of what the package says, the cause and what may be written instead. */
function inWords(message: string): string {
  const [, what = message, piece = ''] = /^error parsing regexp: ([^:`]*):? ?`?([^`]*)`?/.exec(message) ?? [];
  if (what.startsWith('missing closing ]')) return '"[" is not closed: write "]" behind it, or \\[ for the sign itself';
  if (what.startsWith('missing closing )')) return '"(" is not closed: write ")" behind it, or \\( for the sign itself';
  if (what.startsWith('unexpected )')) return '")" closes nothing: write "(" before it, or \\) for the sign itself';
  if (what.startsWith('missing argument')) return `"${piece}" has nothing to repeat: for anything write .*`;
  if (what.startsWith('invalid nested')) return `"${piece}" repeats what repeats already: write one of them`;
  if (what.startsWith('invalid repeat count')) return `"${piece}" is too often: at most 1000 times`;
  if (what.startsWith('invalid character class range'))
    return `"${piece}" is a range from high to low: write the lower one first`;
  if (/^\(\?<?[=!]/.test(piece))
    return `"${piece}" looks ahead or back, which RE2 syntax has not: give the exception a rule of its own`;
  if (/^\\[1-9]/.test(piece)) return `"${piece}" refers to a group, which RE2 syntax has not: write out what is meant`;
  if (what.startsWith('invalid escape')) return `"${piece}" is no escape: write \\\\ for a backslash`;
  return `"${piece}" is not in RE2 syntax`;
}

/** Where groups of a match are; 0 is all of it. */
export interface Groups {
  start(group: number): number;
  end(group: number): number;
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
      if (error instanceof RE2JSException) throw new RegexError(pattern, inWords(error.message));
      throw error;
    }
    // The time of a match is bounded by program size times input length.
    const size = this.#compiled.programSize();
    if (size > LIMITS.REGEX_INSTRUCTIONS) {
      throw new RegexError(pattern, `too complex (${size} instructions, limit ${LIMITS.REGEX_INSTRUCTIONS})`);
    }
    // The package grants each automaton 8 MB, which clients could make every pattern use up; building and dropping that
    // many states for an exploding pattern also takes ten times as long as with a small budget.
    const { dfa } = this.#compiled.re2();
    dfa.stateBudget = LIMITS.REGEX_CACHE_BYTES;
    dfa.memBudget = LIMITS.REGEX_CACHE_BYTES;
  }

  /** Whether the whole of bytes[start..end), read as UTF-8, matches. */
  matches(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#compiled.testExact(bytes.subarray(start, end));
  }

  /** Its groups, each with [start, end) from `start` on, or -1; null when it does not match the whole. */
  groups(bytes: Uint8Array, start: number, end: number): Groups | null {
    const found = this.#compiled.matcher(bytes.subarray(start, end));
    return found.matches() ? found : null;
  }

  /** The same of its first match from `start` on, wherever that ends. */
  groupsAtStart(bytes: Uint8Array, start: number, end: number): Groups | null {
    const found = this.#compiled.matcher(bytes.subarray(start, end));
    return found.lookingAt() ? found : null;
  }

  /** How many groups it has. */
  get groupCount(): number {
    return this.#compiled.groupCount();
  }

  /** What the states kept for speed take, by the package's own estimate. */
  get cachedBytes(): number {
    return LIMITS.REGEX_CACHE_BYTES - this.#compiled.re2().dfa.memBudget;
  }
}
