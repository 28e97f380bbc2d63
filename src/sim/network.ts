// The simulated network: listeners, connections, and everything between two kernels: delay, cut segments, resets,
// refused connects. One per run; programs and peers hang on it by sockets.

import { ERRNO, type IpAddress, type SocketAddress } from '../io/io.ts';
import { type DatagramWire, SimDatagramNet } from './datagrams.ts';
import { CUT_SMALL_BYTES, type Faults, NO_FAULTS } from './faults.ts';
import { Random } from './random.ts';
import { Schedule } from './schedule.ts';
import { SimSocket, type SocketWire } from './socket.ts';

/** ENOENT: connect to a unix path that is not there. */
const ENOENT = 2;
/** Linux gives up a SYN without answer after tcp_syn_retries: 1+2+4+8+16+32+64 s. */
const SYN_TIMEOUT_MS = 127_000;
const SYN_RETRY_MS = 1_000;
const FIRST_EPHEMERAL_PORT = 32_768;
const LAST_EPHEMERAL_PORT = 60_999;

export interface NetworkOptions {
  readonly seed: number;
  readonly faults?: Faults;
  /** The kernel's send and receive buffer of each socket, in bytes. */
  readonly sendBufferBytes?: number;
  readonly receiveBufferBytes?: number;
}

export class SimListener {
  readonly address: SocketAddress;
  readonly backlog: number;
  /** Woken at each new connection (edge-triggered, like all). */
  onEdge: (() => void) | null = null;
  readonly #network: SimNetwork;
  readonly #queue: SimSocket[] = [];
  #closed = false;

  constructor(network: SimNetwork, address: SocketAddress, backlog: number) {
    this.#network = network;
    this.address = address;
    this.backlog = backlog;
  }

  get waiting(): number {
    return this.#queue.length;
  }
  get full(): boolean {
    return this.#queue.length > this.backlog;
  }

  push(socket: SimSocket): void {
    this.#queue.push(socket);
    this.onEdge?.();
  }

  accept(): SimSocket | null {
    return this.#queue.shift() ?? null;
  }

  /** Connections that wait to be accepted are reset, as the kernel does. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onEdge = null;
    this.#network.unlisten(this);
    for (const socket of this.#queue.splice(0)) socket.abort();
  }
}

export class SimNetwork implements SocketWire, DatagramWire {
  readonly seed: number;
  readonly random: Random;
  /** May be changed while running, e.g. to let a run end in peace. */
  faults: Faults;
  readonly sendBufferBytes: number;
  readonly receiveBufferBytes: number;
  /** Microseconds of the virtual clock. */
  nowUs = 1_000_000_000;
  /** What is on its way. */
  readonly #wire = new Schedule();
  /** The kernel's long timers (SYN retries): nothing waits for them in order to be idle. */
  readonly #timers = new Schedule();
  readonly #listeners = new Map<string, SimListener>();
  /** Addresses that never answer. */
  readonly #silent = new Set<string>();
  readonly #sockets = new Set<SimSocket>();
  readonly datagrams = new SimDatagramNet(this);
  #nextPort = FIRST_EPHEMERAL_PORT;
  #nextId = 1;

  constructor(options: NetworkOptions) {
    this.seed = options.seed;
    this.random = new Random(options.seed);
    this.faults = options.faults ?? NO_FAULTS;
    this.sendBufferBytes = options.sendBufferBytes ?? 64 * 1024;
    this.receiveBufferBytes = options.receiveBufferBytes ?? 64 * 1024;
  }

  // ---- time

  /** When the next thing on the wire happens, Infinity when nothing is on its way. */
  get nextWireUs(): number {
    return this.#wire.nextUs;
  }
  get nextTimerUs(): number {
    return this.#timers.nextUs;
  }

  /** Runs `run` after `ms`; nothing waits for it in order to be idle. */
  after(ms: number, run: () => void): void {
    this.#timers.at(this.nowUs + ms * 1000, run);
  }

  /** Lets what is due happen; with `reorder` sometimes only a part of it, so that turns fall between. */
  run(): boolean {
    let ran = false;
    while (this.#timers.runOne(this.nowUs)) ran = true;
    while (this.#wire.runOne(this.nowUs)) {
      ran = true;
      if (this.random.chance(this.faults.reorder)) break;
    }
    return ran;
  }

  /** Between two system calls of one turn the network may move. */
  interlude(): void {
    if (this.random.chance(this.faults.reorder / 4)) this.#wire.runOne(this.nowUs);
  }

  // ---- addresses

  listen(address: SocketAddress, backlog = 4096): SimListener {
    const bound =
      address.family !== 'unix' && address.port === 0 ? { ...address, port: this.freePort(address) } : address;
    const key = keyOf(bound);
    if (this.#listeners.has(key)) throw new Error(`${key} is taken`);
    const listener = new SimListener(this, bound, backlog);
    this.#listeners.set(key, listener);
    this.#silent.delete(key);
    return listener;
  }

  unlisten(listener: SimListener): void {
    this.#listeners.delete(keyOf(listener.address));
  }

  /** An address at which nobody listens. */
  unusedAddress(family: 'ipv4' | 'ipv6' = 'ipv4'): IpAddress {
    const any: IpAddress = { family, address: family === 'ipv4' ? '127.0.0.1' : '::1', port: 0 };
    return { ...any, port: this.freePort(any) };
  }

  /** An address from which no answer ever comes. */
  silentAddress(): IpAddress {
    const address = this.unusedAddress();
    this.#silent.add(keyOf(address));
    return address;
  }

  // ---- connections

  /** A connecting socket, or -errno (unix only: IP tells later). `from` sets the local address. */
  connect(to: SocketAddress, from?: IpAddress): SimSocket | number {
    if (to.family === 'unix') return this.#connectUnix(to);
    const socket = this.#connecting(to, from);
    if (this.#silent.has(keyOf(to))) this.after(SYN_TIMEOUT_MS, () => socket.refuse(ERRNO.ETIMEDOUT));
    else this.soon(() => this.#onSyn(socket));
    return socket;
  }

  /** The same, but it fails as connects do: at once, soon, or after two minutes. */
  connectInVain(to: SocketAddress): SimSocket | number {
    if (to.family === 'unix') return -this.random.pick([ERRNO.ECONNREFUSED, ERRNO.EAGAIN]);
    const errno = this.random.pick([
      ERRNO.EADDRNOTAVAIL,
      ERRNO.ECONNREFUSED,
      ERRNO.EHOSTUNREACH,
      ERRNO.ENETUNREACH,
      ERRNO.ETIMEDOUT,
    ]);
    if (errno === ERRNO.EADDRNOTAVAIL) return -errno;
    const socket = this.#connecting(to);
    if (errno === ERRNO.ETIMEDOUT) this.after(SYN_TIMEOUT_MS, () => socket.refuse(errno));
    else this.soon(() => socket.refuse(errno));
    return socket;
  }

  #connecting(to: IpAddress, from?: IpAddress): SimSocket {
    const local: IpAddress = from ?? {
      family: to.family,
      address: to.family === 'ipv4' ? '127.0.0.1' : '::1',
      port: 0,
    };
    return this.#socket(local.port === 0 ? { ...local, port: this.freePort(local) } : local, to);
  }

  /** `sender` has something new to carry. */
  wrote(sender: SimSocket): void {
    const receiver = sender.other;
    if (receiver === null) return;
    if (!sender.unix) {
      this.#carry(sender);
      return;
    }
    if (sender.tx.finQueued && !sender.tx.finArrived) receiver.onFin();
    else receiver.edge();
  }

  /** `receiver` has read: its window, and with unix its peer's send buffer, has room. */
  opened(receiver: SimSocket): void {
    const sender = receiver.other;
    if (sender === null) return;
    if (receiver.unix) sender.onSpace();
    else if (receiver.rx.queued > 0 && receiver.rx.windowOpen) this.#carry(sender);
  }

  sendReset(to: SimSocket): void {
    if (to.unix) to.onUnixClosed(ERRNO.ECONNRESET);
    else this.soon(() => to.onReset());
  }

  forget(socket: SimSocket): void {
    this.#sockets.delete(socket);
  }

  /** Connections that still exist, for reports. */
  get sockets(): ReadonlySet<SimSocket> {
    return this.#sockets;
  }

  // ---- inside

  #onSyn(client: SimSocket): void {
    if (!client.connecting) return;
    const listener = this.#listeners.get(keyOf(client.remote));
    if (listener === undefined) {
      client.refuse(ERRNO.ECONNREFUSED);
      return;
    }
    if (listener.full) {
      this.after(SYN_RETRY_MS, () => this.#onSyn(client));
      return;
    }
    this.#join(client, listener);
  }

  #join(client: SimSocket, listener: SimListener): void {
    const accepted = this.#socket(client.remote, client.local);
    client.establish(accepted);
    const p = this.faults.resetPerByte;
    if (!client.unix && p > 0) {
      client.tx.resetAt = this.random.trialsUntil(p);
      client.rx.resetAt = this.random.trialsUntil(p);
    }
    listener.push(accepted);
  }

  #connectUnix(to: SocketAddress & { family: 'unix' }): SimSocket | number {
    const listener = this.#listeners.get(keyOf(to));
    if (listener === undefined) return -ENOENT;
    if (listener.full) return -ERRNO.EAGAIN;
    const client = this.#socket({ family: 'unix', path: '' }, to);
    this.#join(client, listener);
    return client;
  }

  #carry(sender: SimSocket): void {
    if (sender.tx.scheduled) return;
    sender.tx.scheduled = true;
    this.soon(() => this.#deliver(sender));
  }

  #deliver(sender: SimSocket): void {
    const pipe = sender.tx;
    const receiver = sender.other as SimSocket;
    pipe.scheduled = false;
    if (receiver.dead) return;
    let n = Math.min(pipe.queued, pipe.window);
    if (n > 1 && this.random.chance(this.faults.shortReads)) n = this.random.between(1, this.#cut(n));
    const reset = pipe.arrived + n >= pipe.resetAt;
    if (reset) n = pipe.resetAt - pipe.arrived;
    if (n > 0) {
      receiver.onData(n);
      if (receiver.dead) return;
      sender.onSpace();
    }
    if (reset) {
      sender.onReset();
      receiver.onReset();
      return;
    }
    if (pipe.queued > 0) {
      if (pipe.window > 0) this.#carry(sender);
    } else if (pipe.finQueued && !pipe.finArrived) receiver.onFin();
  }

  #cut(most: number): number {
    return this.random.chance(0.5) ? Math.min(most, CUT_SMALL_BYTES) : most;
  }

  /** What is on its way arrives, after a delay of the wire. */
  soon(run: () => void): void {
    const [low, high] = this.faults.delayMs;
    const delayUs = high === 0 ? 0 : this.random.between(low * 1000, high * 1000);
    const tie = this.random.chance(this.faults.reorder) ? this.random.u32() : 0;
    this.#wire.at(this.nowUs + delayUs, run, tie);
  }

  #socket(local: SocketAddress, remote: SocketAddress): SimSocket {
    const socket = new SimSocket(this, this.#nextId++, local, remote);
    this.#sockets.add(socket);
    return socket;
  }

  /** A port of the system's choice. */
  freePort(address: IpAddress): number {
    for (;;) {
      const port = this.#nextPort;
      this.#nextPort = port === LAST_EPHEMERAL_PORT ? FIRST_EPHEMERAL_PORT : port + 1;
      const key = keyOf({ ...address, port });
      if (!this.#listeners.has(key) && !this.#silent.has(key)) return port;
    }
  }
}

function keyOf(address: SocketAddress): string {
  return address.family === 'unix' ? address.path : `${address.address}|${address.port}`;
}
