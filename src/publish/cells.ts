// Which cells count what. The controller assigns blocks of cells to routes and endpoints and tells the workers in the
// IR; workers only ever add. So that no counter goes backwards, a block is used again only after every worker acked a
// revision without its old owner, and what it had counted until then moves to `other` (as a baseline kept on this
// side).

import { type BlockKind, COUNTS } from '../telemetry/blocks.ts';
import {
  BLOCK_CELLS,
  ENDPOINT,
  FIRST_FREE_CELL,
  OTHER_ENDPOINT_BLOCK,
  OTHER_ROUTE_BLOCK,
  ROUTE,
} from '../telemetry/layout.ts';

const OTHER: Readonly<Record<BlockKind, number>> = { route: OTHER_ROUTE_BLOCK, endpoint: OTHER_ENDPOINT_BLOCK };

/** Adds what all worker slots counted in the block at `base` to `out`. */
export type Read = (kind: BlockKind, base: number, out: Float64Array) => void;

interface Block {
  readonly base: number;
  /** What it had counted for earlier owners, without the zeros at its end. */
  readonly baseline: Float64Array;
}

interface Owned extends Block {
  readonly owner: string;
  /** Has a label of its own in the metrics. */
  readonly exposed: boolean;
}

interface Freed extends Block {
  /** Usable again once this revision is acked by all. */
  readonly revision: number;
}

/** One small record of what outlives the controller; the keeper holds it as an opaque entry under its key. */
type SavedBlock = readonly [base: number, exposed: boolean, baseline: readonly number[]];

const NOTHING = new Float64Array(0);

class Book {
  readonly kind: BlockKind;
  readonly owned = new Map<string, Owned>();
  freed: Freed[] = [];
  /** Sums of earlier owners of blocks that were given to new ones. */
  folded: Float64Array;
  exposedCount = 0;

  constructor(kind: BlockKind) {
    this.kind = kind;
    this.folded = new Float64Array(COUNTS[kind]);
  }
}

export class CellBook {
  readonly #books: Readonly<Record<BlockKind, Book>> = { route: new Book('route'), endpoint: new Book('endpoint') };
  readonly #read: Read;
  readonly #maxExposed: Readonly<Record<BlockKind, number>>;
  readonly #dirty = new Set<string>();
  /** Cells nobody had yet: routes take from the front, endpoints from the back. */
  readonly #free = { route: FIRST_FREE_CELL, endpoint: BLOCK_CELLS };
  #acked = 0;

  constructor(read: Read, maxExposed: Readonly<Record<BlockKind, number>>) {
    this.#read = read;
    this.#maxExposed = maxExposed;
  }

  /**
   * Every worker serves `revision`: less than before when one is held back, whose released blocks are then written
   * again.
   */
  acked(revision: number): void {
    this.#acked = revision;
  }

  /** The first cell of `owner`'s block, assigned at first call; the shared block when all cells are taken. */
  assign(kind: BlockKind, owner: string): number {
    const book = this.#books[kind];
    const known = book.owned.get(owner);
    if (known !== undefined) return known.base;
    const block = this.#take(book);
    if (block === null) return OTHER[kind];
    const exposed = book.exposedCount < this.#maxExposed[kind];
    if (exposed) book.exposedCount++;
    book.owned.set(owner, { ...block, owner, exposed });
    this.#dirty.add(`owned/${kind}/${owner}`);
    return block.base;
  }

  /** `owner` is gone with `revision`. */
  release(kind: BlockKind, owner: string, revision: number): void {
    const book = this.#books[kind];
    const block = book.owned.get(owner);
    if (block === undefined) return;
    book.owned.delete(owner);
    if (block.exposed) book.exposedCount--;
    book.freed.push({ base: block.base, baseline: block.baseline, revision });
    this.#dirty.add(`owned/${kind}/${owner}`);
    this.#dirty.add(`freed/${kind}/${block.base}`);
  }

  owners(kind: BlockKind): Iterable<{ owner: string; exposed: boolean }> {
    return this.#books[kind].owned.values();
  }

  /** The numbers of `owner`: the table of ROUTE or ENDPOINT (telemetry/layout.ts). */
  counts(kind: BlockKind, owner: string): Float64Array {
    const out = new Float64Array(COUNTS[kind]);
    const block = this.#books[kind].owned.get(owner);
    if (block !== undefined) this.#addCounted(kind, block, out);
    return out;
  }

  /** The numbers of everything without a label of its own. */
  other(kind: BlockKind): Float64Array {
    const book = this.#books[kind];
    const out = book.folded.slice();
    this.#read(kind, OTHER[kind], out);
    for (const block of book.owned.values()) if (!block.exposed) this.#addCounted(kind, block, out);
    for (const block of book.freed) this.#addCounted(kind, block, out);
    return out;
  }

  /** What changed since the last call, by key: to be kept for `restore`; null to forget. */
  changes(): Map<string, string | null> {
    const out = new Map<string, string | null>();
    for (const key of this.#dirty) out.set(key, this.#saved(key));
    this.#dirty.clear();
    return out;
  }

  /** Takes over what `changes` once gave, up to `revision`: what is released may not be known to every worker yet. */
  restore(saved: Iterable<readonly [key: string, value: string]>, revision: number): void {
    for (const [key, value] of saved) {
      const [what, kind, name] = splitKey(key);
      if (what === 'free') {
        this.#free[kind] = JSON.parse(value);
        continue;
      }
      const book = this.#books[kind];
      if (what === 'folded') book.folded = Float64Array.from(JSON.parse(value) as number[]);
      else {
        const [base, exposed, numbers] = JSON.parse(value) as SavedBlock;
        const baseline = Float64Array.from(numbers);
        if (what === 'freed') book.freed.push({ base, baseline, revision });
        else {
          book.owned.set(name, { owner: name, base, exposed, baseline });
          if (exposed) book.exposedCount++;
        }
      }
    }
  }

  #saved(key: string): string | null {
    const [what, kind, name] = splitKey(key);
    if (what === 'free') return JSON.stringify(this.#free[kind]);
    const book = this.#books[kind];
    if (what === 'folded') return JSON.stringify([...book.folded]);
    const block = what === 'freed' ? book.freed.find((b) => b.base === Number(name)) : book.owned.get(name);
    if (block === undefined) return null;
    const saved: SavedBlock = [block.base, 'exposed' in block && (block as Owned).exposed, [...block.baseline]];
    return JSON.stringify(saved);
  }

  #addCounted(kind: BlockKind, { base, baseline }: Block, out: Float64Array): void {
    this.#read(kind, base, out);
    for (let i = 0; i < baseline.length; i++) out[i]! -= baseline[i] as number;
  }

  #take(book: Book): Block | null {
    const { kind } = book;
    const index = book.freed.findIndex((b) => b.revision <= this.#acked);
    if (index === -1) return this.#takeNew(kind);
    const [{ base, baseline }] = book.freed.splice(index, 1) as [Freed];
    const counted = new Float64Array(COUNTS[kind]);
    this.#read(kind, base, counted);
    // What is in flight is nobody's past.
    if (kind === 'endpoint') counted.fill(0, ENDPOINT.ACTIVE, ENDPOINT.CONNECTIONS + 1);
    counted.forEach((n, i) => {
      book.folded[i]! += n - (baseline[i] ?? 0);
    });
    this.#dirty.add(`freed/${kind}/${base}`);
    this.#dirty.add(`folded/${kind}/`);
    return { base, baseline: counted.slice(0, counted.findLastIndex((n) => n !== 0) + 1) };
  }

  /** Cells that nobody had before, or null when there are none left. */
  #takeNew(kind: BlockKind): Block | null {
    const free = this.#free;
    if (free.endpoint - free.route < (kind === 'route' ? ROUTE.SIZE : ENDPOINT.SIZE)) return null;
    this.#dirty.add(`free/${kind}/`);
    if (kind === 'endpoint') {
      free.endpoint -= ENDPOINT.SIZE;
      return { base: free.endpoint, baseline: NOTHING };
    }
    free.route += ROUTE.SIZE;
    return { base: free.route - ROUTE.SIZE, baseline: NOTHING };
  }
}

function splitKey(key: string): [what: string, kind: BlockKind, name: string] {
  const [what = '', kind = '', ...name] = key.split('/');
  return [what, kind as BlockKind, name.join('/')];
}
