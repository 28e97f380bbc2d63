// The test network over the simulation.
//
// How promises and simulation interleave: one loop drives the simulation, one step at a time, each step in a
// setImmediate callback of its own. Node runs such a callback only when the microtask queue is empty, so every script
// that a step woke has run as far as it can before the next step. The scripts wait for nothing but the simulation;
// hence the order of everything depends on the seed alone. A script must not wait for real time or real input.

import { ERRNO, type Handle, type IpAddress, type SocketAddress, type UnixAddress } from '../../src/io/io.ts';
import { SimIo, type SimOptions, socketText } from '../../src/sim/io.ts';
import type { SimListener } from '../../src/sim/network.ts';
import { SimSocket } from '../../src/sim/socket.ts';
import type { Backend, ListenOptions, OnPeer, ServeOptions, TestNet } from './net.ts';
import { BasePeer, bytesOf, isEndOfScript, type Peer, SocketError } from './peer.ts';
import { ToyTlsPeer } from './toy-tls.ts';

/** What backends that speak the simulation's TLS show. */
export const TOY_CHAIN = Buffer.from('toy');

/** Real time after which a simulation in which nothing can happen any more, but somebody waits, is called stuck. */
const STUCK_MS = 500;

const NAMES = new Map(Object.entries(ERRNO).map(([name, value]) => [value as number, name]));

function failed(result: number, what: string): SocketError {
  return new SocketError(NAMES.get(-result) ?? `errno ${-result}`, what);
}

export class SimNet implements TestNet {
  readonly kind = 'sim';
  readonly io: SimIo;
  readonly sim: SimIo;
  /** Clients and backends speak TLS, and the proxy has to with both. */
  readonly tls: boolean;
  /** When nothing else can happen and a script waits, the clock goes on to the next timer (instead of "stuck"). */
  patient = false;
  readonly #peers = new Set<SimPeer>();
  readonly #servers: SimListener[] = [];
  readonly #listening = new Set<Handle>();
  readonly #scripts = new Set<Promise<void>>();
  readonly #scriptErrors: unknown[] = [];
  /** Operations of scripts that wait, with what they wait for. */
  readonly #waiting = new Map<(error: Error) => void, string>();
  #settled: (() => void)[] = [];
  #targetUs = 0;
  #running = false;
  #closed = false;
  #failure: Error | null = null;
  #stuck: NodeJS.Timeout | null = null;
  #unixPaths = 0;

  constructor(options: SimOptions, tls = false) {
    this.tls = tls;
    this.sim = new SimIo(options);
    this.io = this.sim;
    this.#targetUs = this.sim.network.nowUs;
  }

  listen(options: ListenOptions = {}): { handle: Handle; address: IpAddress } {
    const address = loopback(options.family ?? 'ipv4');
    const handle = this.sim.listen(address, options.backlog);
    this.#listening.add(handle);
    return { handle, address: this.sim.localAddress(handle) as IpAddress };
  }

  serve(onPeer: OnPeer, options: ServeOptions = {}): Backend {
    return this.#serve(options.at ?? loopback(options.family ?? 'ipv4'), this.#securely(onPeer));
  }

  /** A backend of bytes as they are, whatever the others speak. */
  servePlain(onPeer: OnPeer): Backend {
    return this.#serve(loopback('ipv4'), onPeer);
  }

  serveUnix(onPeer: OnPeer): Backend<UnixAddress> {
    return this.#serve({ family: 'unix', path: `/sim/${++this.#unixPaths}.sock` }, this.#securely(onPeer));
  }

  #securely(onPeer: OnPeer): OnPeer {
    if (!this.tls) return onPeer;
    return async (under) => {
      const peer = await ToyTlsPeer.accept(under, [TOY_CHAIN], ['h2', 'http/1.1']);
      if (peer === null) under.close();
      else await onPeer(peer);
    };
  }

  refuse(): IpAddress {
    return this.sim.network.unusedAddress();
  }

  silent(): IpAddress {
    return this.sim.network.silentAddress();
  }

  async connect(to: IpAddress, from?: string, alpn: readonly string[] = []): Promise<Peer> {
    const peer = await this.connectPlain(to, from);
    return this.tls ? ToyTlsPeer.open(peer, '', alpn) : peer;
  }

  /** A client that speaks no TLS, whatever the others do. */
  async connectPlain(to: IpAddress, from?: string): Promise<Peer> {
    const local: IpAddress | undefined = from === undefined ? undefined : { family: to.family, address: from, port: 0 };
    const socket = this.sim.network.connect(to, local);
    if (!(socket instanceof SimSocket)) throw failed(socket, 'connect');
    const peer = this.#peer(socket);
    await peer.connected();
    return peer;
  }

  async advance(ms: number): Promise<void> {
    // What is happening now first, so that the time passes after it and not meanwhile.
    await this.settle();
    this.#targetUs = Math.max(this.#targetUs, this.sim.network.nowUs) + ms * 1000;
    await this.settle();
  }

  /** A script's pause in virtual time (set `patient`, or let somebody `advance`). */
  sleep(ms: number): Promise<void> {
    return this.wait('a pause to end', (wake) => this.sim.network.after(ms, wake));
  }

  settle(): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#waiting.delete(reject);
        resolve();
      };
      this.#waiting.set(reject, '');
      this.#settled.push(done);
      this.kick();
    });
  }

  leaks(): string[] {
    return this.sim.leaks(this.#listening);
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.close();
    for (const peer of this.#peers) peer.reset();
    if (this.#failure === null) await this.settle();
    // Backends' scripts that still pause or wait are of no interest any more.
    this.#closed = true;
    this.#rejectAll(new SocketError('ECONNRESET', 'the test is over'));
    await Promise.allSettled(this.#scripts);
    if (this.#stuck !== null) clearTimeout(this.#stuck);
    this.#stuck = null;
    if (this.#failure !== null) throw this.#failure;
    if (this.#scriptErrors.length > 0) throw this.#scriptErrors[0];
  }

  // ---- for the peers

  /** Something was done: let the simulation run. */
  kick(): void {
    if (this.#stuck !== null) {
      clearTimeout(this.#stuck);
      this.#stuck = null;
    }
    if (this.#running || this.#failure !== null) {
      if (this.#failure !== null) this.#rejectAll(this.#failure);
      return;
    }
    this.#running = true;
    setImmediate(this.#turn);
  }

  /** Resolves at the next edge that `arm` is told of. */
  wait(what: string, arm: (wake: () => void) => void): Promise<void> {
    if (this.#closed) return Promise.reject(new SocketError('ECONNRESET', 'the test is over'));
    return new Promise((resolve, reject) => {
      this.#waiting.set(reject, what);
      arm(() => {
        this.#waiting.delete(reject);
        resolve();
      });
      this.kick();
    });
  }

  forget(peer: SimPeer): void {
    this.#peers.delete(peer);
  }

  // ---- inside

  readonly #turn = (): void => {
    try {
      if (this.sim.step() || this.sim.passToWire()) {
        setImmediate(this.#turn);
        return;
      }
      const now = this.sim.network.nowUs;
      if (now < this.#targetUs) {
        this.sim.jump(Math.min(this.#targetUs, this.sim.nextEventUs()));
        setImmediate(this.#turn);
        return;
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#running = false;
    const settled = this.#settled;
    this.#settled = [];
    for (const done of settled) done();
    if (settled.length > 0 || this.#waiting.size === 0) return;
    if (this.patient && this.sim.jump(this.sim.nextEventUs())) {
      this.#running = true;
      setImmediate(this.#turn);
    } else {
      const stuck = setTimeout(() => {
        // Where this process stood still as long, what was to come meanwhile comes before.
        setImmediate(() => this.#stuck === stuck && this.#fail(this.#nothingHappens()));
      }, STUCK_MS);
      this.#stuck = stuck;
    }
  };

  #nothingHappens(): Error {
    const what = [...this.#waiting.values()].filter((w) => w !== '').join('; ');
    const held = this.leaks().join('; ');
    return new Error(`nothing can happen any more; waiting: ${what}. The program holds: ${held || 'nothing'}`);
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#running = false;
    this.#settled = [];
    this.#rejectAll(error);
  }

  #rejectAll(error: Error): void {
    for (const reject of [...this.#waiting.keys()]) {
      this.#waiting.delete(reject);
      reject(error);
    }
  }

  #serve<A extends SocketAddress>(wanted: A, onPeer: OnPeer): Backend<A> {
    const listener = this.sim.network.listen(wanted);
    this.#servers.push(listener);
    listener.onEdge = () => {
      for (let socket = listener.accept(); socket !== null; socket = listener.accept()) {
        const peer = this.#peer(socket);
        // As after a step, not within it: the script starts when the network's own work is done.
        queueMicrotask(() => this.#script(onPeer, peer));
      }
    };
    return { ...(listener.address as A), close: () => listener.close() };
  }

  #peer(socket: SimSocket): SimPeer {
    const peer = new SimPeer(this, socket);
    this.#peers.add(peer);
    return peer;
  }

  #script(onPeer: OnPeer, peer: Peer): void {
    const running = (async () => onPeer(peer))()
      .catch((error: unknown) => {
        if (isEndOfScript(error)) return;
        this.#scriptErrors.push(error);
        // Whoever waits for this backend's answer should not wait in vain.
        peer.reset();
      })
      .finally(() => this.#scripts.delete(running));
    this.#scripts.add(running);
  }
}

class SimPeer extends BasePeer {
  readonly remote: string;
  readonly #net: SimNet;
  readonly #socket: SimSocket;
  readonly #scratch = Buffer.alloc(65_536);
  #broke: SocketError | null = null;
  #waiters: (() => void)[] = [];
  #gone = false;

  constructor(net: SimNet, socket: SimSocket) {
    super();
    this.#net = net;
    this.#socket = socket;
    this.remote = socketText(socket.remote);
    socket.onEdge = () => {
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const wake of waiters) wake();
    };
  }

  async connected(): Promise<void> {
    while (this.#socket.connecting) await this.#edge('connect');
    const errno = this.#socket.open ? 0 : this.#socket.takeError();
    if (errno !== 0) throw failed(-errno, `connect to ${this.remote}`);
  }

  async send(data: string | Uint8Array): Promise<void> {
    const bytes = bytesOf(data);
    let sent = 0;
    while (sent < bytes.length) {
      const n = this.trySend(bytes.subarray(sent));
      sent += n;
      if (sent < bytes.length) await this.#edge(`${bytes.length - sent} bytes to be taken`);
    }
  }

  trySend(data: string | Uint8Array): number {
    const bytes = bytesOf(data);
    const n = this.#socket.send(bytes, 0, bytes.length, bytes.length);
    if (n === -ERRNO.EAGAIN) return 0;
    if (n < 0) throw this.#broken(n, 'send');
    this.#net.kick();
    return n;
  }

  protected override async pull(max: number): Promise<Uint8Array | null> {
    for (;;) {
      const n = this.#gone
        ? -ERRNO.ECONNRESET
        : this.#socket.recv(this.#scratch, 0, Math.min(max, this.#scratch.length));
      if (n > 0) {
        this.#net.kick();
        return Buffer.from(this.#scratch.subarray(0, n));
      }
      // The kernel tells of a reset once; when a send was told, the read behind it finds a plain end.
      if (n === 0 && this.#broke !== null) throw this.#broke;
      if (n === 0) {
        this.ended('fin');
        return null;
      }
      if (n !== -ERRNO.EAGAIN) throw this.#broken(n, 'read');
      await this.#edge(`bytes from ${this.remote}`);
    }
  }

  end(): void {
    this.#socket.shutdown();
    this.#net.kick();
  }

  reset(): void {
    this.#leave(() => this.#socket.abort());
  }

  close(): void {
    this.#leave(() => this.#socket.close());
  }

  #leave(how: () => void): void {
    if (this.#gone) return;
    this.#gone = true;
    const wake = this.#socket.onEdge;
    how();
    this.#net.forget(this);
    wake?.();
    this.#net.kick();
  }

  #edge(what: string): Promise<void> {
    return this.#net.wait(what, (wake) => this.#waiters.push(wake));
  }

  #broken(result: number, what: string): SocketError {
    this.ended('reset');
    this.#broke = failed(result, `${what} (connection with ${this.remote})`);
    return this.#broke;
  }
}

function loopback(family: 'ipv4' | 'ipv6'): IpAddress {
  return { family, address: family === 'ipv4' ? '127.0.0.1' : '::1', port: 0 };
}
