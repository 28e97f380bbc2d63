// `Io` over the simulated network: one seed decides every delay, cut, order and failure, so that a run can be repeated
// exactly. Time stands still unless `advance` or a delay on the wire moves it.

import { addressText } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import { ERRNO, HANDLE_FD_BITS, type Handle, type Io, type ReadySink, type SocketAddress } from '../io/io.ts';
import { TimerWheel } from '../io/wheel.ts';
import { SimArena } from './arena.ts';
import { type DatagramSystem, SimDatagramSocket, SimDatagrams } from './datagrams.ts';
import { type NetworkOptions, SimListener, SimNetwork } from './network.ts';
import type { Random } from './random.ts';
import { SimSocket } from './socket.ts';
import { SimPipe } from './splice.ts';

export interface SimOptions extends NetworkOptions {
  readonly arenaBytes?: number;
  /** Descriptors the program may have open; -EMFILE beyond. */
  readonly maxHandles?: number;
  /** Told of each call and event, for comparing or reading a run. */
  readonly trace?: (line: string) => void;
}

const FD_SPACE = 2 ** HANDLE_FD_BITS;
const GENERATIONS = 2 ** (31 - HANDLE_FD_BITS);
/** Like a process's first free descriptor. */
const FIRST_FD = 3;
const WALL_START_MS = 1_767_225_600_000; // 2026-01-01T00:00:00Z

type AnySocket = SimSocket | SimListener | SimPipe | SimDatagramSocket;

class Slot {
  socket: AnySocket | null = null;
  generation = 0;
  sink: ReadySink | null = null;
  /** In the ready list. */
  queued = false;
  /** Its events come before others of the same turn. */
  first = false;
  handle: Handle = -1;
}

export class SimIo implements Io, DatagramSystem {
  readonly kind = 'sim';
  readonly mem: Uint8Array;
  readonly network: SimNetwork;
  readonly arena: SimArena;
  readonly timers: TimerWheel;
  readonly datagrams = new SimDatagrams(this);
  nowMs = 0;
  nowUs = 0;
  wallMs = 0;

  readonly #random: Random;
  readonly #faultRandom: Random;
  #failing = { times: 0, errno: 0 };
  readonly #trace: ((line: string) => void) | null;
  readonly #maxHandles: number;
  readonly #slots: Slot[] = [];
  #open = 0;
  #ready: Slot[] = [];
  /** Sockets for datagrams that their sinks left as they were. */
  readonly #unread: Slot[] = [];
  /** The last step found nothing to do. */
  #idle = false;
  #again: { sink: ReadySink; events: number }[] = [];
  readonly #onTurn: (() => void)[] = [];
  #turns = 0;

  constructor(options: SimOptions) {
    this.network = new SimNetwork(options);
    this.#random = this.network.random.fork();
    this.#faultRandom = this.network.random.fork();
    this.arena = new SimArena(options.arenaBytes ?? 32 * 1024 * 1024);
    this.mem = this.arena.mem;
    this.#maxHandles = options.maxHandles ?? FD_SPACE;
    this.#trace = options.trace ?? null;
    this.#readClock();
    this.timers = new TimerWheel(this.nowMs);
  }

  /** The next `times` connects fail at once with `errno`, as without a local port (EADDRNOTAVAIL). */
  failConnects(times: number, errno: number): void {
    this.#failing = { times, errno };
  }

  // ---- running

  /** One turn of the reactor: the network moves, ready sinks are told, due timers fire. False when nothing happened. */
  step(): boolean {
    const moved = this.network.run();
    this.#readClock();
    if (moved || this.#idle || this.#ready.length > 0 || this.#again.length > 0) this.#tellAgain();
    // Who asks for `again` gets it on the next turn, or, as the order is not promised, on this one after the events.
    const early = this.#faultRandom.chance(this.network.faults.reorder / 2);
    let again = early ? [] : this.#takeAgain();
    let handled = this.#dispatch() + this.timers.advance(this.nowMs);
    if (early) again = this.#takeAgain();
    for (const { sink, events } of again) sink.onReady(events);
    handled += again.length;
    const busy = handled > 0;
    if (busy) {
      this.#turns++;
      for (const callback of this.#onTurn) callback();
    }
    this.#idle = !(busy || moved || this.#ready.length > 0 || this.#again.length > 0);
    return !this.#idle;
  }

  /**
   * What was not read though it was told of is told of again: in each turn in which anything happens, for the first.
   */
  #tellAgain(): void {
    for (const slot of this.#unread.splice(0)) if (slot.sink !== null) this.#mark(slot);
  }

  /**
   * Steps until nothing is ready and nothing is on the wire; delays on the wire move the clock, armed timers do not.
   */
  runUntilIdle(): void {
    while (this.step() || this.passToWire()) {}
  }

  /**
   * Moves the clock towards the next arrival on the wire (a timer may come first); false when nothing is on its way.
   */
  passToWire(): boolean {
    return this.network.nextWireUs !== Number.POSITIVE_INFINITY && this.jump(this.nextEventUs());
  }

  /** Lets `ms` pass, stopping at each timer and each arrival on the way. */
  advance(ms: number): void {
    const target = this.network.nowUs + ms * 1000;
    this.runUntilIdle();
    while (this.network.nowUs < target) {
      this.jump(Math.min(target, this.nextEventUs()));
      this.runUntilIdle();
    }
  }

  /** Moves the clock forward to `us`; false when that is no finite later or present time. */
  jump(us: number): boolean {
    if (us === Number.POSITIVE_INFINITY) return false;
    this.network.nowUs = Math.max(this.network.nowUs, us);
    return true;
  }

  /** When something happens next without anybody doing anything: on the wire, in the kernel, or by a timer. */
  nextEventUs(): number {
    const max = 1_000_000;
    const timerMs = this.timers.untilNext(this.nowMs, max);
    const timerUs = timerMs >= max ? Number.POSITIVE_INFINITY : (this.nowMs + Math.max(1, timerMs)) * 1000;
    return Math.min(timerUs, this.network.nextWireUs, this.network.nextTimerUs);
  }

  /** Turns so far in which anything was handled. */
  get turns(): number {
    return this.#turns;
  }

  /** What the program still holds, the handles of `except` aside; empty after a clean end. */
  leaks(except: ReadonlySet<Handle> = new Set()): string[] {
    const leaks: string[] = [];
    if (this.arena.blocks > 0) leaks.push(`${this.arena.blocks} blocks of ${this.arena.bytes} bytes allocated`);
    for (const slot of this.#slots)
      if (slot.socket !== null && !except.has(slot.handle))
        leaks.push(`handle ${slot.handle} open: ${describe(slot.socket)}`);
    if (this.timers.armed > 0) leaks.push(`${this.timers.armed} timers armed`);
    return leaks;
  }

  get openHandles(): number {
    return this.#open;
  }

  // ---- memory

  alloc(bytes: number): number {
    if (this.#faultRandom.chance(this.network.faults.allocFail)) {
      this.#note('alloc', bytes, 0, -1);
      return -1;
    }
    const offset = this.arena.alloc(bytes);
    this.#note('alloc', bytes, 0, offset);
    return offset;
  }

  free(offset: number): void {
    this.arena.free(offset);
  }

  sizeOf(offset: number): number {
    return this.arena.sizeOf(offset);
  }

  // ---- clock and random

  random32(): number {
    return this.#random.u32();
  }

  // ---- sockets

  /** A listening socket of the program. */
  listen(address: SocketAddress, backlog?: number): Handle {
    return this.#handleOf(this.network.listen(address, backlog));
  }

  /** The address a listening handle is bound to. */
  localAddress(handle: Handle): SocketAddress {
    const socket = this.#slot(handle)?.socket;
    if (socket instanceof SimListener) return socket.address;
    if (socket instanceof SimDatagramSocket) return socket.local;
    if (socket instanceof SimSocket) return socket.local;
    throw new Error(`stale handle ${handle}`);
  }

  accept(listener: Handle): Handle {
    this.network.interlude();
    const socket = this.#slot(listener)?.socket;
    let result: number;
    if (socket === undefined || socket === null) result = -ERRNO.EBADF;
    else if (!(socket instanceof SimListener)) result = -ERRNO.EINVAL;
    else if (socket.waiting === 0) result = -ERRNO.EAGAIN;
    else if (this.#open >= this.#maxHandles) result = -ERRNO.EMFILE;
    else result = this.#handleOf(socket.accept() as SimSocket);
    this.#note('accept', listener, 0, result);
    return result;
  }

  connect(address: SocketAddress): Handle {
    let result: number;
    if (this.#open >= this.#maxHandles) result = -ERRNO.EMFILE;
    else if (this.#failing.times > 0) {
      this.#failing.times--;
      result = -this.#failing.errno;
    } else {
      const inVain = this.#faultRandom.chance(this.network.faults.connectFail);
      const socket = inVain ? this.network.connectInVain(address) : this.network.connect(address);
      result = typeof socket === 'number' ? socket : this.#handleOf(socket);
    }
    this.#note('connect', 0, 0, result);
    return result;
  }

  connectError(handle: Handle): number {
    const socket = this.#stream(handle);
    if (socket === null) return ERRNO.EBADF;
    const result = socket.takeError();
    this.#note('connectError', handle, 0, result);
    return result;
  }

  recv(handle: Handle, offset: number, length: number): number {
    this.#assertRange(offset, length);
    return this.recvInto(handle, this.mem, offset, length);
  }

  send(handle: Handle, offset: number, length: number): number {
    this.#assertRange(offset, length);
    return this.sendFrom(handle, this.mem, offset, length);
  }

  /** `recv` into other memory than the arena: for a layer that lives beside the program, as OpenSSL does. */
  recvInto(handle: Handle, bytes: Uint8Array, offset: number, length: number): number {
    this.network.interlude();
    const socket = this.#stream(handle);
    const result = socket === null ? -ERRNO.EBADF : socket.recv(bytes, offset, length);
    this.#note('recv', handle, length, result);
    return result;
  }

  /** `send` from other memory than the arena. */
  sendFrom(handle: Handle, bytes: Uint8Array, offset: number, length: number): number {
    this.network.interlude();
    const socket = this.#stream(handle);
    let most = length;
    if (length > 1 && this.#faultRandom.chance(this.network.faults.shortWrites))
      most = this.#faultRandom.between(1, length);
    const result = socket === null ? -ERRNO.EBADF : socket.send(bytes, offset, length, most);
    this.#note('send', handle, length, result);
    return result;
  }

  shutdown(handle: Handle): number {
    const socket = this.#stream(handle);
    const result = socket === null ? -ERRNO.EBADF : socket.shutdown();
    this.#note('shutdown', handle, 0, result);
    return result;
  }

  close(handle: Handle): void {
    this.#note('close', handle, 0, 0);
    const socket = this.#release(handle);
    if (!(socket instanceof SimPipe)) socket?.close();
  }

  reset(handle: Handle): void {
    this.#note('reset', handle, 0, 0);
    const socket = this.#release(handle);
    if (socket instanceof SimSocket) socket.abort();
    else if (!(socket instanceof SimPipe)) socket?.close();
  }

  /** The simulated process never ends before its sockets do. */
  resetOnExit(handle: Handle, on: boolean): void {
    this.#note('resetOnExit', handle, Number(on), 0);
  }

  unsent(handle: Handle): number {
    return this.#stream(handle)?.tx.queued ?? 0;
  }

  peer(handle: Handle): SocketAddress {
    const socket = this.#stream(handle);
    if (socket === null) throw new Error(`peer of stale handle ${handle}`);
    return socket.remote;
  }

  // ---- pipes

  openPipe(): Handle {
    // Two descriptors in truth; how many there may be is what counts here.
    const full = this.#open + 1 >= this.#maxHandles || this.#faultRandom.chance(this.network.faults.allocFail);
    const result = full ? -ERRNO.EMFILE : this.#handleOf(new SimPipe(LIMITS.PIPE_BYTES));
    this.#note('openPipe', 0, 0, result);
    return result;
  }

  spliceIn(socket: Handle, pipe: Handle, length: number): number {
    this.network.interlude();
    const result = this.#spliced(pipe, socket, length, (p, s, most) => p.fill(s, length, most));
    this.#note('spliceIn', socket, length, result);
    return result;
  }

  spliceOut(pipe: Handle, socket: Handle, length: number): number {
    this.network.interlude();
    const result = this.#spliced(pipe, socket, length, (p, s, most) => p.empty(s, length, most));
    this.#note('spliceOut', socket, length, result);
    return result;
  }

  /** A move takes less than there is, as on a pipe whose places hold small pieces. */
  #spliced(
    pipe: Handle,
    socket: Handle,
    length: number,
    move: (pipe: SimPipe, socket: SimSocket, most: number) => number,
  ): number {
    const from = this.#slot(pipe)?.socket;
    const to = this.#stream(socket);
    if (!(from instanceof SimPipe) || to === null) return -ERRNO.EBADF;
    if (!(length > 0)) return -ERRNO.EINVAL;
    const cut = length > 1 && this.#faultRandom.chance(this.network.faults.shortWrites);
    return move(from, to, cut ? this.#faultRandom.between(1, length) : length);
  }

  // ---- datagrams

  /** The handle of a socket for datagrams, or -EMFILE. */
  adoptDatagrams(socket: SimDatagramSocket): Handle {
    return this.#open >= this.#maxHandles ? -ERRNO.EMFILE : this.#handleOf(socket);
  }

  unwatchDatagrams(handle: Handle): void {
    const slot = this.#slot(handle);
    if (slot !== null) slot.sink = null;
  }

  datagramSocket(handle: Handle): SimDatagramSocket | null {
    const socket = this.#slot(handle)?.socket;
    return socket instanceof SimDatagramSocket ? socket : null;
  }

  // ---- readiness

  watch(handle: Handle, sink: ReadySink, first = false): number {
    const slot = this.#slot(handle);
    if (slot === null || slot.socket instanceof SimPipe) return -ERRNO.EBADF;
    slot.sink = sink;
    slot.first = first;
    const socket = slot.socket as Exclude<AnySocket, SimPipe>;
    socket.onEdge = () => this.#mark(slot);
    // epoll_ctl looks once: what is ready now is an event.
    this.#mark(slot);
    return 0;
  }

  again(sink: ReadySink, events: number): void {
    this.#again.push({ sink, events });
  }

  onTurn(callback: () => void): void {
    this.#onTurn.push(callback);
  }

  // ---- inside

  #readClock(): void {
    this.nowUs = this.network.nowUs;
    this.nowMs = Math.floor(this.nowUs / 1000);
    this.wallMs = WALL_START_MS + this.nowMs;
  }

  #mark(slot: Slot): void {
    if (slot.queued) return;
    slot.queued = true;
    this.#ready.push(slot);
  }

  /** epoll_wait and the calls of the sinks: each ready socket is looked at when it is reported. */
  #dispatch(): number {
    const faults = this.network.faults;
    let batch = this.#ready;
    this.#ready = [];
    if (batch.length > 1 && this.#faultRandom.chance(faults.reorder)) {
      this.#faultRandom.shuffle(batch);
      this.#ready = batch.splice(this.#faultRandom.between(1, batch.length));
    }
    if (batch.length > LIMITS.EVENTS_PER_TURN) {
      this.#ready = batch.splice(LIMITS.EVENTS_PER_TURN).concat(this.#ready);
    }
    // The kernel fills the whole batch first, so a call made for one event does not change the bits of the next.
    const reported: { slot: Slot; handle: Handle; events: number }[] = [];
    for (const slot of batch) {
      slot.queued = false;
      const socket = slot.socket;
      if (socket === null || socket instanceof SimPipe || slot.sink === null) continue;
      const events = socket instanceof SimListener ? (socket.waiting > 0 ? 1 : 0) : socket.ready();
      if (events !== 0) reported.push({ slot, handle: slot.handle, events });
    }
    batch = [];
    const ordered = [...reported.filter((r) => r.slot.first), ...reported.filter((r) => !r.slot.first)];
    for (const { slot, handle, events } of ordered) {
      // Closed, perhaps reused, by a sink called before it.
      if (slot.handle !== handle || slot.sink === null) continue;
      this.#note('event', handle, events, 0);
      const before = slot.socket instanceof SimDatagramSocket ? slot.socket.taken : -1;
      slot.sink.onReady(events);
      if (slot.handle !== handle || !(slot.socket instanceof SimDatagramSocket)) continue;
      if (slot.socket.taken === before) this.#unread.push(slot);
      else this.#mark(slot);
    }
    return reported.length;
  }

  #takeAgain(): { sink: ReadySink; events: number }[] {
    const again = this.#again;
    this.#again = [];
    return again;
  }

  #handleOf(socket: AnySocket): Handle {
    let fd = FIRST_FD;
    while (fd < this.#slots.length && this.#slots[fd]?.socket !== null) fd++;
    while (this.#slots.length <= fd) this.#slots.push(new Slot());
    const slot = this.#slots[fd] as Slot;
    slot.generation = slot.generation + 1 === GENERATIONS ? 1 : slot.generation + 1;
    slot.handle = slot.generation * FD_SPACE + fd;
    slot.socket = socket;
    slot.sink = null;
    this.#open++;
    return slot.handle;
  }

  #slot(handle: Handle): Slot | null {
    const slot = this.#slots[handle % FD_SPACE];
    return slot === undefined || slot.handle !== handle || slot.socket === null ? null : slot;
  }

  #stream(handle: Handle): SimSocket | null {
    const socket = this.#slot(handle)?.socket;
    return socket instanceof SimSocket ? socket : null;
  }

  #release(handle: Handle): AnySocket | null {
    const slot = this.#slot(handle);
    if (slot === null) return null;
    const socket = slot.socket;
    slot.socket = null;
    slot.sink = null;
    slot.handle = -1;
    this.#open--;
    return socket;
  }

  #assertRange(offset: number, length: number): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.mem.length))
      throw new RangeError(`bytes ${offset}..${offset + length} are outside the arena`);
  }

  #note(what: string, a: number, b: number, result: number): void {
    this.#trace?.(`${this.network.nowUs} ${what} ${a} ${b} ${result}`);
  }
}

function describe(socket: AnySocket): string {
  if (socket instanceof SimPipe) return `pipe with ${socket.held} bytes`;
  if (socket instanceof SimDatagramSocket) return `datagrams at ${socketText(socket.local)}`;
  if (socket instanceof SimListener) return `listener at ${socketText(socket.address)}`;
  return `connection ${socket.id} with ${socketText(socket.remote)}`;
}

export function socketText(address: SocketAddress): string {
  return address.family === 'unix' ? address.path : addressText(address.address, address.port);
}
