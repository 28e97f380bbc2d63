// One network for all socket tests of the proxy, in two makings: the real one (loopback, the native room) and the
// simulated one. A test is written once and runs on both.

import { test } from 'node:test';
import type { Handle, Io, IpAddress, SocketAddress, UnixAddress } from '../../src/io/io.ts';
import { type Faults, GENTLE, NO_FAULTS } from '../../src/sim/faults.ts';
import type { SimIo, SimOptions } from '../../src/sim/io.ts';
import { Random } from '../../src/sim/random.ts';
import type { Peer } from './peer.ts';
import { SimNet } from './sim-net.ts';

export type { Message, MessageHead } from './http.ts';
export type { Peer } from './peer.ts';

export interface ListenOptions {
  readonly family?: 'ipv4' | 'ipv6';
  readonly backlog?: number;
}
export interface ServeOptions {
  /** Where nobody answered a SYN before (simulation only). */
  readonly at?: IpAddress;
  readonly family?: 'ipv4' | 'ipv6';
}
export type OnPeer = (peer: Peer) => Promise<void> | void;

/** The address of a listening backend. */
export type Backend<A extends SocketAddress = IpAddress> = A & {
  /** Stops listening; connections live on. */
  close(): void;
};

export interface TestNet {
  readonly kind: 'native' | 'sim';
  /** Clients of the proxy speak TLS. */
  readonly tls: boolean;
  /** What the proxy under test runs on; its reactor is running. */
  readonly io: Io;
  /** The simulation itself, for what only it can do; null on native. */
  readonly sim: SimIo | null;
  /** A listening socket for the proxy. */
  listen(options?: ListenOptions): { handle: Handle; address: IpAddress };
  /**
   * A backend: `onPeer` runs for each connection. What it throws `close` throws, unless the peer was just gone or had
   * ended between two messages.
   */
  serve(onPeer: OnPeer, options?: ServeOptions): Backend;
  serveUnix(onPeer: OnPeer): Backend<UnixAddress>;
  /** An address where connects are refused. */
  refuse(): IpAddress;
  /** An address that never answers a SYN (simulation only). */
  silent(): IpAddress;
  /**
   * A client; `from` is its own address (e.g. '127.0.0.7'), `alpn` what it offers where it speaks TLS (the simulation).
   */
  connect(to: IpAddress, from?: string, alpn?: readonly string[]): Promise<Peer>;
  /** Time passes. Simulation: the virtual clock, timer by timer. Native: really waits, so keep it to milliseconds. */
  advance(ms: number): Promise<void>;
  /** Simulation: until nothing more can happen without time passing. Native: some rounds of the event loop. */
  settle(): Promise<void>;
  /** What the proxy under test still holds (blocks, handles, timers), without the listening sockets of `listen`. */
  leaks(): string[];
  /** Ends everything that is left; throws what a backend's script or the program under test threw. */
  close(): Promise<void>;
}

export interface RunOptions {
  /** Runs on the simulation with faults, each with a seed of its own, beside the one without (3). */
  readonly seeds?: number;
  /** The faults of those runs (GENTLE: cut and delayed segments, short writes, other orders). */
  readonly faults?: Faults;
  readonly sim?: Omit<SimOptions, 'seed' | 'faults'>;
  /** Why the test is not run over TLS too. */
  readonly plain?: string;
  /** It is run over TLS only. */
  readonly secured?: true;
}

type Body = (net: TestNet) => Promise<void>;

/** Registers `body` on the real network and on the simulation. */
export function onBoth(name: string, body: Body, options: RunOptions = {}): void {
  nativeOnly(name, body);
  simOnly(name, body, options);
}

export function nativeOnly(name: string, body: Body): void {
  test(`${name} [native]`, async () => {
    const { NativeNet } = await import('./native-net.ts');
    await run(new NativeNet(), body);
  });
}

/**
 * Registers `body` on the simulation, in the clear and over TLS, once without faults and `seeds` times with. SEED=n
 * runs only that seed, SEEDS=n runs n of them, TRACE=1 prints each call and event of the program to stderr.
 */
export function simOnly(name: string, body: (net: SimNet) => Promise<void>, options: RunOptions = {}): void {
  const faults = options.faults ?? GENTLE;
  for (const tls of options.secured ? [true] : options.plain === undefined ? [false, true] : [false]) {
    const over = tls ? ', tls' : '';
    if (process.env.SEED === undefined)
      test(`${name} [sim${over}]`, () => run(new SimNet({ ...options.sim, seed: 1, faults: NO_FAULTS }, tls), body));
    for (const seed of seedsOf(options.seeds ?? 3)) {
      test(`${name} [sim${over}, seed ${seed}]`, () => runSeed(seed, body, faults, options.sim, tls));
    }
  }
}

/** The same two for tests of a file that are not run over TLS too; `why` is for whoever reads. */
export function plainly(why: string): { readonly onBoth: typeof onBoth; readonly simOnly: typeof simOnly } {
  return {
    onBoth: (name, body, options) => onBoth(name, body, { ...options, plain: why }),
    simOnly: (name, body, options) => simOnly(name, body, { ...options, plain: why }),
  };
}

/** The seeds of this run: 1..count, or what SEED and SEEDS say. */
export function seedsOf(count: number): number[] {
  const { SEED, SEEDS } = process.env;
  if (SEED !== undefined) return SEED.split(',').map(Number);
  const n = SEEDS === undefined ? count : Number(SEEDS);
  return Array.from({ length: n }, (_, i) => i + 1);
}

/** One run with faults; the buffers of the kernels are drawn from the seed too, unless given. */
export async function runSeed(
  seed: number,
  body: (net: SimNet) => Promise<void>,
  faults: Faults,
  options?: RunOptions['sim'],
  tls = false,
): Promise<void> {
  const random = new Random(seed ^ 0x5eed);
  const net = new SimNet(
    {
      sendBufferBytes: random.pick([4, 16, 64]) * 1024,
      receiveBufferBytes: random.pick([4, 16, 64]) * 1024,
      ...(process.env.TRACE === undefined ? {} : { trace: (line: string) => process.stderr.write(`${line}\n`) }),
      ...options,
      seed,
      faults,
    },
    tls,
  );
  try {
    await run(net, body);
  } catch (error) {
    throw new Error(`failed with seed ${seed} (run again by SEED=${seed}): ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Runs the test; the first thing that went wrong, in the test or behind it, is what is reported. */
async function run<N extends TestNet>(net: N, body: (net: N) => Promise<void>): Promise<void> {
  let failure: { error: unknown } | null = null;
  try {
    await body(net);
  } catch (error) {
    failure = { error };
  }
  try {
    await net.close();
  } catch (error) {
    failure ??= { error };
  }
  if (failure !== null) throw failure.error;
}
