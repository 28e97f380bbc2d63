// A revision is made in pieces, each so much work, between which requests have their turn.

import { LIMITS } from '../../base/limits.ts';
import type { RuleEntry } from '../../ir/ir.ts';

/** What makes a revision, a piece with each `next()`; at its end it is made. */
export type Steps<Made = void> = Generator<void, Made, void>;

/** A key that is read. */
export const KEY_WORK = 0.25;
/** What TLS makes of one certificate or list of authorities. */
export const TLS_WORK = 8;

/** Tells where a piece ends. A unit of work is some ten microseconds: a match of a rule, an endpoint. */
export class Pieces {
  #left: number = LIMITS.REVISION_WORK_PER_TURN;

  /** `work` more was done. True: others have their turn now. */
  full(work: number): boolean {
    this.#left -= work;
    if (this.#left > 0) return false;
    this.#left = LIMITS.REVISION_WORK_PER_TURN;
    return true;
  }
}

/** To compile the rule. */
export function workOf({ matches }: RuleEntry): number {
  return Math.max(1, matches.length);
}

/** To put it where it belongs, or to take it away from there. */
export function placesOf({ matches, attachments }: RuleEntry): number {
  return matches.length * attachments.reduce((sum, { hostnames }) => sum + hostnames.length, 0);
}
