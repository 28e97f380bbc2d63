// A worker's side of the config stream: entries are kept as the bytes they came as until their revision is whole. Then
// it is applied whole or refused whole; a change of another revision than the one that is there is passed over (the
// keeper knows: it was told that the one before was refused).

import { type Begin, decodeBegin, decodePut, FRAME, type Frame } from './frames.ts';
import { ProtocolError } from './protocol-error.ts';

/** A revision as it came. */
export interface Received {
  readonly revision: number;
  readonly puts: ReadonlyMap<string, Buffer>;
  readonly removals: ReadonlySet<string>;
  /** Whether it is a change of what is there. */
  readonly applies: boolean;
}

interface Pending extends Begin {
  readonly puts: Map<string, Buffer>;
  readonly removals: Set<string>;
}

export class Inbox {
  /** Of what was applied. */
  #revision = 0;
  readonly #keys = new Set<string>();
  #pending: Pending | null = null;

  get revision(): number {
    return this.#revision;
  }
  /** In the middle of a revision. */
  get receiving(): boolean {
    return this.#pending !== null;
  }

  /** Takes a frame that is no message; the revision that it completes, or null. Throws ProtocolError. */
  take(frame: Frame): Received | null {
    switch (frame.type) {
      case FRAME.BEGIN:
        this.#pending = { ...decodeBegin(frame.body), puts: new Map(), removals: new Set() };
        return null;
      case FRAME.PUT: {
        const { key, value } = decodePut(frame.body);
        const { puts, removals } = this.#inRevision();
        removals.delete(key);
        puts.set(key, value);
        return null;
      }
      case FRAME.DELETE: {
        const key = frame.body.toString();
        const { puts, removals } = this.#inRevision();
        puts.delete(key);
        removals.add(key);
        return null;
      }
      case FRAME.COMMIT:
        return this.#complete(this.#inRevision());
      default:
        throw new ProtocolError(`a frame of type ${frame.type}`);
    }
  }

  /**
   * `received` is what is there from now on. `keys`: those of its puts, as the entries name them, so that there is one
   * copy.
   */
  applied({ revision, puts, removals }: Received, keys: Iterable<string> = puts.keys()): void {
    this.#revision = revision;
    for (const key of removals) this.#keys.delete(key);
    for (const key of keys) this.#keys.add(key);
  }

  #complete({ revision, base, puts, removals }: Pending): Received {
    this.#pending = null;
    // What a whole configuration does not name is gone.
    if (base === null) for (const key of this.#keys) if (!puts.has(key)) removals.add(key);
    return { revision, puts, removals, applies: base === null || base === this.#revision };
  }

  #inRevision(): Pending {
    if (this.#pending === null) throw new ProtocolError('an entry outside a revision');
    return this.#pending;
  }
}
