// A worker's side of the config stream: entries are read as they come, so that a large revision is not read all at once
// between two requests, and kept until it is whole. Then it is applied whole or refused whole; a change of another
// revision than the one that is there is passed over (the keeper knows: it was told that the one before was refused).

import { type Begin, decodeBegin, decodePut, FRAME, type Frame } from './frames.ts';
import { ProtocolError } from './protocol-error.ts';

/** A revision as it came. */
export interface Received<Value> {
  readonly revision: number;
  readonly puts: ReadonlyMap<string, Value>;
  readonly removals: ReadonlySet<string>;
  /** Whether it is a change of what is there. */
  readonly applies: boolean;
  /** The first entry that could not be read, and why. */
  readonly unreadable: { readonly key: string; readonly error: unknown } | null;
}

interface Pending<Value> extends Begin {
  readonly puts: Map<string, Value>;
  unreadable: Received<Value>['unreadable'];
  readonly removals: Set<string>;
}

export class Inbox<Value> {
  readonly #read: (value: Buffer) => Value;
  /** Of what was applied. */
  #revision = 0;
  readonly #keys = new Set<string>();
  #pending: Pending<Value> | null = null;

  /** `read`: throws for what is no entry. */
  constructor(read: (value: Buffer) => Value) {
    this.#read = read;
  }

  get revision(): number {
    return this.#revision;
  }
  /** In the middle of a revision. */
  get receiving(): boolean {
    return this.#pending !== null;
  }

  /** Takes a frame that is no message; the revision that it completes, or null. Throws ProtocolError. */
  take(frame: Frame): Received<Value> | null {
    switch (frame.type) {
      case FRAME.BEGIN:
        this.#pending = { ...decodeBegin(frame.body), puts: new Map(), removals: new Set(), unreadable: null };
        return null;
      case FRAME.PUT: {
        const { key, value } = decodePut(frame.body);
        const pending = this.#inRevision();
        pending.removals.delete(key);
        try {
          pending.puts.set(key, this.#read(value));
        } catch (error) {
          pending.unreadable ??= { key, error };
        }
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
  applied({ revision, puts, removals }: Received<Value>, keys: Iterable<string> = puts.keys()): void {
    this.#revision = revision;
    for (const key of removals) this.#keys.delete(key);
    for (const key of keys) this.#keys.add(key);
  }

  #complete({ revision, base, puts, removals, unreadable }: Pending<Value>): Received<Value> {
    this.#pending = null;
    // What a whole configuration does not name is gone.
    if (base === null) for (const key of this.#keys) if (!puts.has(key)) removals.add(key);
    return { revision, puts, removals, unreadable, applies: base === null || base === this.#revision };
  }

  #inRevision(): Pending<Value> {
    if (this.#pending === null) throw new ProtocolError('an entry outside a revision');
    return this.#pending;
  }
}
