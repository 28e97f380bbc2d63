// Which cells count what. The controller assigns blocks of cells to routes and endpoints and tells the workers in the IR;
// workers only ever add. So that no counter goes backwards, a block is used again only after every worker acked a revision
// without its old owner, and what it had counted until then moves to `other` (as a baseline kept on this side).

import { LIMITS } from '../base/limits.ts';
import { ENDPOINT, FIRST_FREE_CELL, OTHER_ENDPOINT_BLOCK, OTHER_ROUTE_BLOCK, ROUTE } from '../telemetry/layout.ts';

export type BlockKind = 'route' | 'endpoint';
const SIZE: Readonly<Record<BlockKind, number>> = { route: ROUTE.SIZE, endpoint: ENDPOINT.SIZE };
const OTHER: Readonly<Record<BlockKind, number>> = { route: OTHER_ROUTE_BLOCK, endpoint: OTHER_ENDPOINT_BLOCK };
const CEILING = LIMITS.CELLS_PER_SEGMENT * LIMITS.SEGMENTS;

/** Reads one cell, summed over every worker slot. */
export type Sum = (cell: number) => number;

interface Block {
  readonly base: number;
  /** What it had counted for earlier owners; null for none. */
  baseline: Float64Array | null;
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
type SavedBlock = readonly [base: number, exposed: boolean, baseline: readonly number[] | null];

class Book {
  readonly kind: BlockKind;
  readonly owned = new Map<string, Owned>();
  freed: Freed[] = [];
  /** Sums of earlier owners of blocks that were given to new ones. */
  folded: Float64Array;
  exposedCount = 0;

  constructor(kind: BlockKind) {
    this.kind = kind;
    this.folded = new Float64Array(SIZE[kind]);
  }
}

export class CellBook {
  readonly #books: Readonly<Record<BlockKind, Book>> = { route: new Book('route'), endpoint: new Book('endpoint') };
  readonly #sum: Sum;
  readonly #maxExposed: Readonly<Record<BlockKind, number>>;
  readonly #dirty = new Set<string>();
  #end = FIRST_FREE_CELL;
  #acked = 0;

  constructor(sum: Sum, maxExposed: Readonly<Record<BlockKind, number>>) {
    this.#sum = sum;
    this.#maxExposed = maxExposed;
  }

  acked(revision: number): void {
    this.#acked = Math.max(this.#acked, revision);
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

  /** What `owner` counted at `offset` of its block. */
  value(kind: BlockKind, owner: string, offset: number): number {
    const block = this.#books[kind].owned.get(owner);
    return block === undefined ? 0 : this.#counted(block, offset);
  }

  /** What everything without a label of its own counted at `offset`. */
  other(kind: BlockKind, offset: number): number {
    const book = this.#books[kind];
    let n = this.#sum(OTHER[kind] + offset) + (book.folded[offset] as number);
    for (const block of book.owned.values()) if (!block.exposed) n += this.#counted(block, offset);
    for (const block of book.freed) n += this.#counted(block, offset);
    return n;
  }

  /** What changed since the last call, by key: to be kept for `restore`; null to forget. */
  changes(): Map<string, string | null> {
    const out = new Map<string, string | null>();
    for (const key of this.#dirty) out.set(key, this.#saved(key));
    this.#dirty.clear();
    return out;
  }

  /** Takes over what `changes` once gave. */
  restore(saved: Iterable<readonly [key: string, value: string]>): void {
    for (const [key, value] of saved) {
      const [what, kind, name] = splitKey(key);
      if (what === 'end') {
        this.#end = JSON.parse(value);
        continue;
      }
      const book = this.#books[kind];
      if (what === 'folded') book.folded = Float64Array.from(JSON.parse(value) as number[]);
      else {
        const [base, exposed, numbers] = JSON.parse(value) as SavedBlock;
        const baseline = numbers === null ? null : Float64Array.from(numbers);
        if (what === 'freed') book.freed.push({ base, baseline, revision: 0 });
        else {
          book.owned.set(name, { owner: name, base, exposed, baseline });
          if (exposed) book.exposedCount++;
        }
      }
    }
  }

  #saved(key: string): string | null {
    const [what, kind, name] = splitKey(key);
    if (what === 'end') return JSON.stringify(this.#end);
    const book = this.#books[kind];
    if (what === 'folded') return JSON.stringify([...book.folded]);
    const block = what === 'freed' ? book.freed.find((b) => b.base === Number(name)) : book.owned.get(name);
    if (block === undefined) return null;
    const saved: SavedBlock = [
      block.base,
      'exposed' in block && (block as Owned).exposed,
      block.baseline === null ? null : [...block.baseline],
    ];
    return JSON.stringify(saved);
  }

  #counted(block: Block, offset: number): number {
    const n = this.#sum(block.base + offset);
    return block.baseline === null ? n : n - (block.baseline[offset] as number);
  }

  #take(book: Book): Block | null {
    const index = book.freed.findIndex((b) => b.revision <= this.#acked);
    if (index !== -1) {
      const [block] = book.freed.splice(index, 1) as [Freed];
      const size = SIZE[book.kind];
      const baseline = new Float64Array(size);
      for (let i = 0; i < size; i++) {
        baseline[i] = this.#sum(block.base + i);
        book.folded[i]! += (baseline[i] as number) - (block.baseline?.[i] ?? 0);
      }
      this.#dirty.add(`freed/${book.kind}/${block.base}`);
      this.#dirty.add(`folded/${book.kind}/`);
      return { base: block.base, baseline };
    }
    const base = this.#end;
    if (base + SIZE[book.kind] > CEILING) return null;
    this.#end += SIZE[book.kind];
    this.#dirty.add('end/route/');
    return { base, baseline: null };
  }
}

function splitKey(key: string): [what: string, kind: BlockKind, name: string] {
  const [what = '', kind = '', ...name] = key.split('/');
  return [what, kind as BlockKind, name.join('/')];
}
