// What one worker is sent of the configuration, and what it has made of it: changes as they come, or, when it did not
// read for long or refused something, everything afresh once it reads again. A slow one holds nobody back and makes
// nobody's memory grow. What a worker answers is held against what it was sent, so none can claim to serve what it
// never got.

import { LIMITS } from '../base/limits.ts';
import type { Link } from './channel.ts';
import type { Begin } from './frames.ts';
import { ProtocolError } from './protocol-error.ts';

export class Outbox {
  readonly #link: Pick<Link<never>, 'queued'>;
  /** Sent and not answered. Whoever has another revision than the base of a change skips it without an answer. */
  #inFlight: Begin[] = [];
  #acked = 0;
  #has = 0;
  #refused = 0;

  constructor(link: Pick<Link<never>, 'queued'>) {
    this.#link = link;
  }

  /** The revision it serves. */
  get acked(): number {
    return this.#acked;
  }
  /** What it may die of: the revision it serves, and the one it is to make of it next. */
  get atHand(): readonly number[] {
    const [next] = this.#inFlight;
    return next === undefined ? [this.#acked] : [this.#acked, next.revision];
  }
  /** The revision it will have when it has read everything. */
  get has(): number {
    return this.#has;
  }

  /** Whether a change of `base` may go to it. If not, it is behind, and gets it with everything else. */
  takes(base: number): boolean {
    return this.#has === base && this.#link.queued <= LIMITS.STREAM_QUEUE_BYTES;
  }

  /** Whether it lacks `revision`, has read all that it was sent before, and did not refuse it. */
  wants(revision: number): boolean {
    return this.#has !== revision && this.#link.queued === 0 && this.#refused !== revision;
  }

  sent(begin: Begin): void {
    this.#inFlight.push(begin);
    this.#has = begin.revision;
  }

  /** It took the next revision in flight, or refused it. Throws ProtocolError when it was not asked. */
  answered(revision: number, accepted: boolean): void {
    if (this.#inFlight[0]?.revision !== revision)
      throw new ProtocolError(`an answer to revision ${revision}, which it was not sent`);
    this.#inFlight.shift();
    if (accepted) {
      this.#acked = revision;
      return;
    }
    this.#refused = revision;
    // What it makes of the rest without this one.
    let has = this.#acked;
    this.#inFlight = this.#inFlight.filter(({ revision: next, base }) => {
      if (base !== null && base !== has) return false;
      has = next;
      return true;
    });
    this.#has = has;
  }
}
