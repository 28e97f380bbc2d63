// Requests to RAUTA: a probe that asks until something is so, and a steady load of which nothing may fail.

import { Client } from '../macro/client.ts';

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asked again this much later. */
const POLL_MS = 1;
const PATIENCE_MS = 60_000;

export class Probe {
  readonly #client: Client;
  /** Answers that were neither 404 nor what was waited for. */
  wrong = 0;
  /** Requests so far. */
  sent = 0;
  constructor(port: number) {
    this.#client = new Client(port);
  }
  /** Until 200 and, when given, until `x-backend` is `backend`; the time of that, or null when it never came. */
  async until(host: string, backend: string | null = null): Promise<number | null> {
    const started = performance.now();
    for (;;) {
      this.sent++;
      const status = await this.#client.ask(host, '/');
      const at = performance.now();
      if (status === 200 && (backend === null || this.#client.head.includes(`x-backend: ${backend}`))) return at;
      if (status !== 404 && status !== 200) this.wrong++;
      if (at - started > PATIENCE_MS) return null;
      await wait(POLL_MS);
    }
  }
  close(): void {
    this.#client.close();
  }
}

/** `rate` requests a second over four connections, for hosts that `host` names. */
export class Load {
  readonly counts = new Map<number, number>();
  #going = true;
  readonly #loops: Promise<void>[];

  constructor(port: number, rate: number, host: () => string | null) {
    const connections = 4;
    this.#loops = Array.from({ length: connections }, async (_, i) => {
      const client = new Client(port);
      const every = (1000 * connections) / rate;
      let next = performance.now() + (every * i) / connections;
      while (this.#going) {
        await wait(Math.max(0, next - performance.now()));
        next = Math.max(next + every, performance.now());
        const name = host();
        if (name === null) continue;
        const status = await client.ask(name, '/');
        this.counts.set(status, (this.counts.get(status) ?? 0) + 1);
      }
      client.close();
    });
  }
  async stop(): Promise<{ readonly requests: number; readonly errors: number }> {
    this.#going = false;
    await Promise.all(this.#loops);
    const requests = [...this.counts.values()].reduce((a, b) => a + b, 0);
    return { requests, errors: requests - (this.counts.get(200) ?? 0) };
  }
}

/** Of times in ms, rounded to 0.1. */
export function summary(values: readonly number[]): Record<string, number> {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number): number => tenth(sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? 0);
  const mean = sorted.reduce((a, b) => a + b, 0) / Math.max(1, sorted.length);
  return { count: sorted.length, mean: tenth(mean), p50: at(0.5), p99: at(0.99), max: at(1) };
}
export const tenth = (value: number): number => Math.round(value * 10) / 10;
