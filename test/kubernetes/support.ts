// A client and reflectors against the fake server, with a clock that runs so much faster that back-offs cost nothing.

import type { Timers } from '../../src/base/timers.ts';
import { Client } from '../../src/source/kubernetes/client.ts';
import { Credentials } from '../../src/source/kubernetes/credentials.ts';
import type { Access } from '../../src/source/kubernetes/kubeconfig.ts';
import type { OwnPlace } from '../../src/source/kubernetes/own.ts';
import type { ReflectorTools } from '../../src/source/kubernetes/reflector.ts';
import { Transport } from '../../src/source/kubernetes/transport.ts';
import { mulberry32 } from '../support/mulberry32.ts';

export const PLAIN: Omit<Access, 'server'> = {
  ca: null,
  insecure: false,
  serverName: null,
  proxyUrl: null,
  certificate: null,
  auth: { kind: 'none' },
  namespace: null,
};

/** Not in a pod. */
export const NOWHERE: OwnPlace = { pod: null, node: null };

/** Time runs `speed` times faster than the machine's. */
export function fastTime(speed: number): { timers: Timers; now: () => number } {
  const start = performance.now();
  return {
    now: () => (performance.now() - start) * speed,
    timers: {
      after: (ms, fire) => {
        const timer = setTimeout(fire, ms / speed);
        return () => clearTimeout(timer);
      },
    },
  };
}

/** Time passes when the test says so: `fire` ends every wait that is under way. */
export class HandTimers implements Timers {
  readonly #armed = new Set<() => void>();
  after(_ms: number, fire: () => void): () => void {
    this.#armed.add(fire);
    return () => this.#armed.delete(fire);
  }
  fire(): void {
    const due = [...this.#armed];
    this.#armed.clear();
    for (const fire of due) fire();
  }
}

export interface Rig {
  readonly client: Client;
  readonly tools: ReflectorTools;
}

/** `after` of the test stops it. */
export function rig(
  t: { after(done: () => Promise<void>): void },
  server: string,
  speed = 1,
  qps = 10_000,
  hand?: Timers,
): Rig {
  const { timers: fast, now } = fastTime(speed);
  const timers = hand ?? fast;
  const access: Access = { ...PLAIN, server };
  const credentials = new Credentials(access, {
    read: () => '',
    run: () => Promise.reject(new Error('no plugin')),
    now,
    wall: now,
  });
  const client = new Client(new Transport(access), credentials, {
    userAgent: 'rauta-test',
    qps,
    burst: qps,
    now,
    timers,
  });
  t.after(() => client.stop());
  return { client, tools: { client, timers, now, random: mulberry32(1), server: { streams: true } } };
}
