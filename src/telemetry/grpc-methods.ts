// Calls of gRPC counted by method (docs/adr/0041-grpc-methods.md). Names come from clients, so a method has one only
// once a backend knew it, and there is room for LIMITS.GRPC_METHODS; whatever else is called is counted together. The
// names lie in memory that all workers share, so that a row means the same to each of them, whoever gave it; the calls
// in each worker's own cells, by row.

import { hash32 } from '../base/hash.ts';
import { LIMITS } from '../base/limits.ts';
import type { Cells } from './cells.ts';
import { CALLS, callsCell } from './layout.ts';

/** A row: its state and the length of its name, words of 32 bits, then the name. */
const HEAD_BYTES = 8;
const ROW_BYTES = HEAD_BYTES + LIMITS.GRPC_METHOD_BYTES;
const PAGE_BYTES = 4096;
/** Bytes of the memory that is shared: whole pages. */
export const METHOD_TABLE_BYTES = Math.ceil((LIMITS.GRPC_METHODS * ROW_BYTES) / PAGE_BYTES) * PAGE_BYTES;

/** States of a row, in this order: somebody writes its name; it has one, for good. */
const STATE = { FREE: 0, TAKEN: 1, NAMED: 2 } as const;

/** What is looked for first: twice as many places as rows at least, a power of two. */
const PLACES = 128;

const SLASH = 0x2f;
/** The bytes of a name: letters, digits and `_.-`. */
const IN_NAME = new Uint8Array(256);
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-') IN_NAME[c.charCodeAt(0)] = 1;

/**
 * Codes that say nothing of the method's being there: 7 (PERMISSION_DENIED), 8 (RESOURCE_EXHAUSTED), 12
 * (UNIMPLEMENTED), 14 (UNAVAILABLE), 16 (UNAUTHENTICATED). Who stands in front of the server says them, too, and before
 * anybody has looked what is called.
 */
const SAYS_NOTHING = (1 << 7) | (1 << 8) | (1 << 12) | (1 << 14) | (1 << 16);

/** What is known of a call that has ended (AccessRecord). */
export interface Call {
  /** Its path is bytes[pathStart..pathEnd). */
  readonly bytes: Uint8Array;
  readonly pathStart: number;
  readonly pathEnd: number;
  /** 0 to 16. */
  readonly grpcStatus: number;
  /** '' when nobody but the backend ended it. */
  readonly flags: string;
  /** Below 0: no backend answered. */
  readonly upstreamUs: number;
}

export interface NamedMethod {
  readonly row: number;
  /** `pkg.Service` and `Method`: ASCII, neither empty, and no bytes that need care in a label. */
  readonly service: string;
  readonly method: string;
}

/** What is called otherwise. No method that is named is called so. */
export const OTHER_METHODS: NamedMethod = { row: -1, service: 'other', method: 'other' };

export class GrpcMethods {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** By the hash of a name or behind it: one more than the row; 0: no more to look at. */
  readonly #places = new Uint8Array(PLACES);
  /** Rows that this process knows the names of. */
  readonly #known = new Uint8Array(LIMITS.GRPC_METHODS);
  /** No row is free any more, which is for good. */
  #full = false;

  /** METHOD_TABLE_BYTES, zeroed before the first process had it. */
  constructor(memory: ArrayBuffer) {
    this.#bytes = new Uint8Array(memory);
    this.#words = new Int32Array(memory);
  }

  /** In plain memory, for tests and for a process without siblings. */
  static local(): GrpcMethods {
    return new GrpcMethods(new ArrayBuffer(METHOD_TABLE_BYTES));
  }

  /** Counts a call that took `us` microseconds, a whole number. */
  count(cells: Cells, call: Call, us: number): void {
    const first = callsCell(this.#rowOf(call));
    cells.add(first + CALLS.BY_CODE + call.grpcStatus, 1);
    cells.add(first + CALLS.SUM_US, us);
  }

  /** Every name there is so far, in the order of their rows. Whoever else writes here is not believed. */
  named(): NamedMethod[] {
    const out: NamedMethod[] = [];
    for (let row = 0; row < LIMITS.GRPC_METHODS; row++) {
      if (this.#state(row) !== STATE.NAMED) continue;
      const start = nameAt(row);
      const end = start + this.#length(row);
      const slash = slashOf(this.#bytes, start, end);
      if (slash < 0) continue;
      const text = Buffer.from(this.#bytes.subarray(start, end)).toString('latin1');
      out.push({ row, service: text.slice(1, slash - start), method: text.slice(slash - start + 1) });
    }
    return out;
  }

  /** -1: it has none. */
  #rowOf(call: Call): number {
    const { bytes, pathStart: start, pathEnd: end } = call;
    const hash = hash32(bytes, start, end);
    let row = this.#find(hash, bytes, start, end);
    if (row < 0 && this.#learn()) row = this.#find(hash, bytes, start, end);
    return row < 0 && isKnownThere(call) ? this.#name(bytes, start, end) : row;
  }

  #find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    for (let place = hash & (PLACES - 1); ; place = (place + 1) & (PLACES - 1)) {
      const row = (this.#places[place] as number) - 1;
      if (row < 0 || (this.#length(row) === end - start && this.#equals(row, bytes, start))) return row;
    }
  }

  #equals(row: number, bytes: Uint8Array, start: number): boolean {
    const own = this.#bytes;
    const at = nameAt(row);
    const length = this.#length(row);
    for (let i = 0; i < length; i++) if (own[at + i] !== bytes[start + i]) return false;
    return true;
  }

  /** Takes up what others named since. True if there was any. */
  #learn(): boolean {
    let any = false;
    for (let row = 0; row < LIMITS.GRPC_METHODS; row++) {
      if (this.#known[row] !== 0 || this.#state(row) !== STATE.NAMED) continue;
      this.#know(row);
      any = true;
    }
    return any;
  }

  #know(row: number): void {
    const at = nameAt(row);
    let place = hash32(this.#bytes, at, at + this.#length(row)) & (PLACES - 1);
    while (this.#places[place] !== 0) place = (place + 1) & (PLACES - 1);
    this.#places[place] = row + 1;
    this.#known[row] = 1;
  }

  /**
   * A row for the name, if it may have one and there is one. Nobody waits for anybody: of a worker that dies between
   * the two states the row is lost, and of two that name the same at once each has a row of it.
   */
  #name(bytes: Uint8Array, start: number, end: number): number {
    if (this.#full || slashOf(bytes, start, end) < 0) return -1;
    for (let row = 0; row < LIMITS.GRPC_METHODS; row++) {
      const word = (row * ROW_BYTES) >> 2;
      if (Atomics.compareExchange(this.#words, word, STATE.FREE, STATE.TAKEN) !== STATE.FREE) continue;
      const at = nameAt(row);
      for (let i = start; i < end; i++) this.#bytes[at + i - start] = bytes[i] as number;
      this.#words[word + 1] = end - start;
      Atomics.store(this.#words, word, STATE.NAMED);
      this.#know(row);
      return row;
    }
    this.#full = true;
    return -1;
  }

  #state(row: number): number {
    return Atomics.load(this.#words, (row * ROW_BYTES) >> 2);
  }

  /** Never more than a row holds. */
  #length(row: number): number {
    const length = this.#words[((row * ROW_BYTES) >> 2) + 1] as number;
    return Math.min(Math.max(length, 0), LIMITS.GRPC_METHOD_BYTES);
  }
}

function nameAt(row: number): number {
  return row * ROW_BYTES + HEAD_BYTES;
}

/** A backend answered as only who has the method does. */
function isKnownThere({ flags, upstreamUs, grpcStatus }: Call): boolean {
  return upstreamUs >= 0 && flags === '' && ((1 << grpcStatus) & SAYS_NOTHING) === 0;
}

const OTHER = Buffer.from(`/${OTHER_METHODS.service}/${OTHER_METHODS.method}`);

/**
 * The slash between the two parts of `/pkg.Service/Method`; -1 for what is none, or is to have no name: it is too long,
 * has other bytes, or is called as the sum of what has no name is.
 */
function slashOf(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > LIMITS.GRPC_METHOD_BYTES || bytes[start] !== SLASH) return -1;
  let slash = -1;
  for (let i = start + 1; i < end; i++) {
    const c = bytes[i] as number;
    if (c === SLASH && slash < 0) slash = i;
    else if (IN_NAME[c] === 0) return -1;
  }
  if (slash < start + 2 || slash === end - 1) return -1;
  return OTHER.equals(bytes.subarray(start, end)) ? -1 : slash;
}
