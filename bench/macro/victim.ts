// Somebody who asks at a fixed rate over kept connections, in the clear, while others attack.

import { Client } from './client.ts';

export interface Asked {
  /** Milliseconds from when each request was due (open loop), in order. */
  readonly times: readonly number[];
  /** Without a 200. */
  readonly failed: number;
}

/** `perSecond` requests for `seconds`, over `connections` at the most. */
export async function victim(port: number, seconds: number, perSecond: number, connections: number): Promise<Asked> {
  const clients = Array.from({ length: connections }, () => new Client(port));
  const times: number[] = [];
  const free = [...clients];
  const queue: number[] = [];
  const waiting: Promise<void>[] = [];
  let failed = 0;
  const serve = async (client: Client): Promise<void> => {
    for (let due = queue.shift(); due !== undefined; due = queue.shift()) {
      if ((await client.ask('app.example.com', '/api/v1/items/1')) !== 200) failed++;
      times.push(performance.now() - due);
    }
    free.push(client);
  };
  const start = performance.now();
  for (let i = 0; i < seconds * perSecond; i++) {
    const due = start + (i * 1000) / perSecond;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    // Timers of Node may fire a part of a millisecond early: what was asked before it was due is timed from then.
    queue.push(Math.min(due, performance.now()));
    const client = free.pop();
    if (client !== undefined) waiting.push(serve(client));
  }
  await Promise.all(waiting);
  for (const client of clients) client.close();
  return { times: times.sort((a, b) => a - b), failed };
}

export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.floor(sorted.length * q)] as number;
}
