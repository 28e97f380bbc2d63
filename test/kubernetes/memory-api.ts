// The fake API server without sockets and without time: questions and answers are passed in memory, each piece after a
// while that chance decides, by a clock that runs when nothing else is left to do. The same seed is the same run.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Timers } from '../../src/base/timers.ts';
import { type Incoming, NotSent, type Outgoing, type Transport } from '../../src/source/kubernetes/transport.ts';
import type { FakeApi } from './fake-api.ts';

interface Due {
  readonly at: number;
  readonly order: number;
  fire: (() => void) | null;
}

/** A clock that `pass` turns. */
export class VirtualTime implements Timers {
  ms = 0;
  #order = 0;
  /** A binary heap, what is due first in front. */
  readonly #heap: Due[] = [];

  readonly now = (): number => this.ms;

  after(ms: number, fire: () => void): () => void {
    const due: Due = { at: this.ms + Math.max(0, ms), order: this.#order++, fire };
    this.#push(due);
    return () => {
      due.fire = null;
    };
  }

  /** Waits that nobody has called off. */
  get waiting(): number {
    return this.#heap.filter(({ fire }) => fire !== null).length;
  }

  /** Time passes; what falls due happens in order, with all that follows from it. */
  async pass(ms: number): Promise<void> {
    const end = this.ms + ms;
    await settled();
    for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
      this.#pop();
      if (next.fire === null) continue;
      this.ms = Math.max(this.ms, next.at);
      next.fire();
      await settled();
    }
    this.ms = end;
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(due);
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(due, heap[up] as Due)) break;
      heap[i] = heap[up] as Due;
      i = up;
    }
    heap[i] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Due;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && before(heap[down + 1] as Due, heap[down] as Due)) down++;
      if (!before(heap[down] as Due, last)) break;
      heap[i] = heap[down] as Due;
      i = down;
    }
    heap[i] = last;
  }
}

function before(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** All promises that can go on have gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

export interface Wire {
  readonly time: VirtualTime;
  readonly random: () => number;
  /** Milliseconds that the next piece takes. */
  readonly latency: () => number;
  /** Nobody listens. */
  readonly down: () => boolean;
}

/** What a client takes for the way to its API server. */
export function memoryTransport(api: FakeApi, wire: Wire): Transport {
  let stopped = false;
  const send = async (request: Outgoing): Promise<Incoming> => {
    await passage(wire, request.signal);
    if (request.mayStart !== undefined && !request.mayStart()) throw new NotSent('it is no longer to be sent');
    await passage(wire, request.signal);
    if (stopped || wire.down()) throw Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED' });
    const url = request.path;
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    const body = request.body === null ? [] : [Buffer.from(request.body)];
    const question = { url, method: request.method, headers, [Symbol.iterator]: () => body[Symbol.iterator]() };
    const answer = new Answer(wire, request.signal);
    await api.answer(question as unknown as IncomingMessage, answer as unknown as ServerResponse);
    return await answer.incoming;
  };
  const stop = async (): Promise<void> => {
    stopped = true;
  };
  return { send, stop } as unknown as Transport;
}

function passage({ time, latency }: Wire, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (): void => reject(new Error('aborted'));
    if (signal.aborted) return refuse();
    signal.addEventListener('abort', refuse, { once: true });
    time.after(latency(), resolve);
  });
}

/** As much of a ServerResponse as the fake server needs; what it writes arrives in order, cut anywhere. */
class Answer {
  readonly incoming: Promise<Incoming>;
  readonly #wire: Wire;
  readonly #closing: (() => void)[] = [];
  readonly #arrived: (Uint8Array | Error | null)[] = [];
  #wake: () => void = () => {};
  #answered!: (incoming: Incoming) => void;
  #failed!: (error: Error) => void;
  #status = 0;
  #retryAfter: string | null = null;
  #closed = false;
  /** When what was written last arrives. */
  #atMs = 0;
  readonly socket = { destroy: () => this.#break(), resetAndDestroy: () => this.#break() };

  constructor(wire: Wire, signal: AbortSignal) {
    this.#wire = wire;
    this.incoming = new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
    // Who gave up does not look any more.
    this.incoming.catch(() => {});
    const abort = (): void => this.#close(new Error('aborted'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  }

  setHeader(name: string, value: string): void {
    if (name === 'retry-after') this.#retryAfter = value;
  }
  writeHead(status: number): this {
    this.#status = status;
    return this;
  }
  flushHeaders(): void {
    const { status, retryAfter } = { status: this.#status, retryAfter: this.#retryAfter };
    if (status === 0) return;
    this.#status = 0;
    this.#later(() => this.#answered({ status, retryAfter, body: this.#body() }));
  }
  write(text: string, done?: () => void): boolean {
    this.flushHeaders();
    const bytes = Buffer.from(text);
    const { random } = this.#wire;
    const cut = random() < 0.2 ? Math.floor(random() * bytes.length) : 0;
    for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)])
      if (piece.length > 0) this.#later(() => this.#arrive(piece));
    if (done !== undefined) this.#later(done);
    return true;
  }
  end(text = ''): this {
    if (text !== '') this.write(text);
    this.flushHeaders();
    this.#later(() => this.#arrive(null));
    return this;
  }
  on(_event: 'close', then: () => void): this {
    if (this.#closed) then();
    else this.#closing.push(then);
    return this;
  }

  #later(then: () => void): void {
    const { time, latency } = this.#wire;
    this.#atMs = Math.max(this.#atMs, time.ms + latency());
    time.after(this.#atMs - time.ms, () => {
      if (!this.#closed) then();
    });
  }
  #arrive(item: Uint8Array | Error | null): void {
    this.#arrived.push(item);
    this.#wake();
  }
  #break(): void {
    this.#later(() => this.#close(Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' })));
  }
  #close(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failed(error);
    this.#arrive(error);
    for (const then of this.#closing) then();
  }
  async *#body(): AsyncGenerator<Uint8Array> {
    for (;;) {
      for (let item = this.#arrived.shift(); item !== undefined; item = this.#arrived.shift()) {
        if (item === null) return;
        if (item instanceof Error) throw item;
        yield item;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
