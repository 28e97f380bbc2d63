// The flows of a worker by who they are between: a client's address and port, and the address and the listener that it
// asked. Nothing here knows of sockets. Each is in a row by its last use, of those of its client and of all; where one
// must go for another, those go first whose client was not heard of since it got an answer: it may not be who asked.

import { LIMITS } from '../../base/limits.ts';
import { PATH } from '../../io/datagrams.ts';
import { KeyTable } from './key-table.ts';

const NONE = -1;
/** A path, and the number of its listener. */
export const KEY_WORDS = PATH.WORDS + 1;
const ADDRESS_WORDS = 4;

/** Rows of numbers, linked both ways, the one used last first. */
class Rows {
  readonly #heads: Int32Array;
  readonly #tails: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;

  constructor(rows: number, capacity: number) {
    this.#heads = new Int32Array(rows).fill(NONE);
    this.#tails = new Int32Array(rows).fill(NONE);
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
  }

  last(row: number): number {
    return this.#tails[row] as number;
  }
  isFirst(row: number, number: number): boolean {
    return this.#heads[row] === number;
  }

  add(row: number, number: number): void {
    const head = this.#heads[row] as number;
    this.#previous[number] = NONE;
    this.#next[number] = head;
    if (head === NONE) this.#tails[row] = number;
    else this.#previous[head] = number;
    this.#heads[row] = number;
  }

  remove(row: number, number: number): void {
    const previous = this.#previous[number] as number;
    const next = this.#next[number] as number;
    if (previous === NONE) this.#heads[row] = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#tails[row] = previous;
    else this.#previous[next] = previous;
  }
}

/** Rows of all flows: those of clients that may not be there, and of those that are. */
const DOUBTED = 0;
const PROVEN = 1;

export class Flows {
  readonly capacity: number;
  readonly #perClient: number;
  readonly #table: KeyTable;
  readonly #clients: KeyTable;
  readonly #byUse: Rows;
  readonly #byClient: Rows;
  readonly #clientOf: Int32Array;
  readonly #countOf: Int32Array;
  readonly #row: Uint8Array;

  /** `random32`: seeds that no client knows. */
  constructor(
    random32: () => number,
    capacity: number = LIMITS.UDP_FLOWS,
    perClient: number = LIMITS.UDP_FLOWS_PER_CLIENT,
  ) {
    this.capacity = capacity;
    this.#perClient = perClient;
    this.#table = new KeyTable(KEY_WORDS, capacity, random32());
    this.#clients = new KeyTable(ADDRESS_WORDS, capacity, random32());
    this.#byUse = new Rows(2, capacity);
    this.#byClient = new Rows(capacity, capacity);
    this.#clientOf = new Int32Array(capacity);
    this.#countOf = new Int32Array(capacity);
    this.#row = new Uint8Array(capacity);
  }

  get count(): number {
    return this.#table.count;
  }

  /** The flow of key[at..], or -1. */
  find(key: Int32Array, at: number): number {
    return this.#table.find(key, at);
  }

  /** Its client, or its backend, was heard of. */
  touch(flow: number): void {
    const row = this.#row[flow] as number;
    if (!this.#byUse.isFirst(row, flow)) {
      this.#byUse.remove(row, flow);
      this.#byUse.add(row, flow);
    }
    const client = this.#clientOf[flow] as number;
    if (this.#byClient.isFirst(client, flow)) return;
    this.#byClient.remove(client, flow);
    this.#byClient.add(client, flow);
  }

  isProven(flow: number): boolean {
    return this.#row[flow] === PROVEN;
  }

  /** Its client went on after an answer: it is there. */
  prove(flow: number): void {
    if (this.#row[flow] === PROVEN) return;
    this.#byUse.remove(DOUBTED, flow);
    this.#row[flow] = PROVEN;
    this.#byUse.add(PROVEN, flow);
  }

  /** The flow that must go before key[at..] can have one; -1: none has to. */
  victim(key: Int32Array, at: number): number {
    const client = this.#clients.find(key, at);
    if (client >= 0 && (this.#countOf[client] as number) >= this.#perClient) return this.#byClient.last(client);
    if (this.#table.count < this.capacity) return NONE;
    const doubted = this.#byUse.last(DOUBTED);
    return doubted === NONE ? this.#byUse.last(PROVEN) : doubted;
  }

  /** Whether it is its own client's limit that `victim` speaks of. */
  isCrowded(key: Int32Array, at: number): boolean {
    const client = this.#clients.find(key, at);
    return client >= 0 && (this.#countOf[client] as number) >= this.#perClient;
  }

  /** A flow for key[at..]; there is room. */
  add(key: Int32Array, at: number): number {
    const flow = this.#table.insert(key, at);
    let client = this.#clients.find(key, at);
    if (client < 0) {
      client = this.#clients.insert(key, at);
      this.#countOf[client] = 0;
    }
    this.#countOf[client]! += 1;
    this.#clientOf[flow] = client;
    this.#row[flow] = DOUBTED;
    this.#byUse.add(DOUBTED, flow);
    this.#byClient.add(client, flow);
    return flow;
  }

  remove(flow: number): void {
    const client = this.#clientOf[flow] as number;
    this.#byUse.remove(this.#row[flow] as number, flow);
    this.#byClient.remove(client, flow);
    this.#countOf[client]! -= 1;
    if (this.#countOf[client] === 0) this.#clients.remove(client);
    this.#table.remove(flow);
  }

  /** Copies its path to target[at..]. */
  path(flow: number, target: Int32Array, at: number): void {
    this.#table.copy(flow, target, at, PATH.WORDS);
  }
}
