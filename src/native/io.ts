// The proxy's system, done by libc: sockets as handles, one edge-triggered epoll set, the arena, clock and timers.
// Hot calls reach C with integers only and allocate nothing (`direct` of ffi.ts; `| 0` tells V8 what it is given).

import { randomFillSync } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import {
  ERRNO,
  HANDLE_FD_BITS,
  type Handle,
  type Io,
  NO_HANDLE,
  type ReadySink,
  type SocketAddress,
} from '../io/io.ts';
import { TimerWheel } from '../io/wheel.ts';
import { ADDRESS_BYTES, decodeAddress, encodeAddress } from './address.ts';
import { Arena } from './arena.ts';
import { NativeDatagrams } from './datagrams.ts';
import { NativeError } from './errors.ts';
import * as c from './ffi.ts';
import { AF, EPOLL, F, IPV6_V6ONLY, LAYOUT, MSG, SHUT_WR, SO, SOCK, SOL, SPLICE } from './layout.ts';
import { Tuning } from './tuning.ts';

const FD_LIMIT = 1 << HANDLE_FD_BITS;
const FD_MASK = FD_LIMIT - 1;
/** Generations fit what is left of a positive small integer. */
const GENERATIONS = 1 << (31 - HANDLE_FD_BITS);
const EVENTS = LIMITS.EVENTS_PER_TURN;
const MOST_EVENTS = BigInt(EVENTS);
const EVENT_WORDS = LAYOUT.epollEvent.size >> 2;
const DATA_WORD = LAYOUT.epollEvent.data >> 2;
const STREAM = SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC;
const ACCEPTED = BigInt(SOCK.NONBLOCK | SOCK.CLOEXEC);
const NO_SIGNAL = BigInt(MSG.NOSIGNAL);
const SOCKET_LEVEL = BigInt(SOL.SOCKET);
const LINGER = BigInt(SO.LINGER);
const LINGER_BYTES = BigInt(LAYOUT.linger.size);
const MOVED = BigInt(SPLICE.MOVE | SPLICE.NONBLOCK);
const ALL_EVENTS = EPOLL.IN | EPOLL.PRI | EPOLL.OUT | EPOLL.RDHUP | EPOLL.ET;
const RANDOM_WORDS = 1024;
const SCRATCH_BYTES = 4096;
/** Where in it socket addresses stand. */
const NAME_AT = 64;
/** The peer of the connection that was accepted last: the length of its name, and the name. */
const PEER_LENGTH_AT = 2048;
const PEER_AT = PEER_LENGTH_AT + 8;
/** `epoll_data` of libuv's descriptor in our set; no handle is negative. */
const UV = -1;

/** The count of turns stays a small integer. */
const TURNS_MASK = 2 ** 30 - 1;

/** Flags of a descriptor. */
const WATCHED = 1;
/** Its open file may live on in another process, so closing ours does not end its place in the epoll set. */
const SHARED = 2;
/** Its events come before others of the same turn. */
const FIRST = 4;
/** The reading end of a pipe. */
const PIPE = 8;
/** One move of splice(2) is no longer. */
const MOST_SPLICED = 2 ** 30;

export class NativeIo implements Io {
  readonly kind = 'native';
  readonly mem: Uint8Array;
  readonly timers: TimerWheel;
  readonly arena: Arena;
  readonly datagrams: NativeDatagrams;

  #nowMs = 0;
  #nowUs = 0.5;
  #wallMs = 0.5;
  /** Between turns, when Node runs what is its own, nobody advances the clock: whoever asks for it reads it. */
  #outside = false;
  /** libuv's descriptor reported an event in the last turn. */
  #uvReady = false;

  readonly #base: bigint;
  readonly #bytes: number;
  /** By descriptor: the handle that is open on it, or the negated last one. Untouched pages of these cost nothing. */
  readonly #handles = new Int32Array(FD_LIMIT);
  readonly #flags = new Uint8Array(FD_LIMIT);
  readonly #sinks: ReadySink[] = [];
  /** By the descriptor of a pipe's reading end: its writing end. */
  readonly #writingEnds = new Map<number, Handle>();

  readonly #epoll: number;
  readonly #events: Int32Array;
  readonly #eventsAddress: bigint;
  /** For small arguments and results of calls, valid within one call. */
  readonly scratch: Uint8Array;
  readonly scratchAddress: number;
  /** The same, for direct calls. */
  readonly scratchAt: bigint;
  readonly words: Int32Array;
  readonly #peerLength: Int32Array;
  /** Whose peer stands there; no handle is negative. */
  #accepted: Handle = NO_HANDLE;
  readonly tuning: Tuning;

  /** Where the events that are not FIRST stand. */
  readonly #others = new Int32Array(EVENTS);

  /** Turns that began and ended, so that it is odd while one is under way. */
  turns = 0;

  #againSinks: ReadySink[] = [];
  #againEvents: number[] = [];
  #spareSinks: ReadySink[] = [];
  #spareEvents: number[] = [];
  readonly #hooks: (() => void)[] = [];

  readonly #random = new Uint32Array(RANDOM_WORDS);
  #randomAt = RANDOM_WORDS;

  constructor(arenaBytes: number) {
    const arena = new Arena(arenaBytes);
    this.arena = arena;
    this.mem = arena.mem;
    this.#base = BigInt(arena.base);
    this.#bytes = arena.bytes;
    this.scratch = arena.control.subarray(0, SCRATCH_BYTES);
    this.scratchAddress = arena.controlBase;
    this.scratchAt = BigInt(arena.controlBase);
    this.words = new Int32Array(arena.control.buffer, arena.control.byteOffset, 4);
    this.#peerLength = new Int32Array(arena.control.buffer, arena.control.byteOffset + PEER_LENGTH_AT, 1);
    this.#events = new Int32Array(arena.control.buffer, arena.control.byteOffset + SCRATCH_BYTES, EVENTS * EVENT_WORDS);
    this.#eventsAddress = BigInt(arena.controlBase + SCRATCH_BYTES);
    this.#epoll = c.epollCreate(EPOLL.CLOEXEC);
    if (this.#epoll < 0) throw new NativeError('epoll_create1', c.errno(), '');
    this.#readClock();
    this.timers = new TimerWheel(this.#nowMs);
    this.tuning = new Tuning(this, FD_LIMIT);
    this.datagrams = new NativeDatagrams(this, FD_LIMIT);
  }

  // ---- memory

  alloc(bytes: number): number {
    return this.arena.alloc(bytes);
  }
  free(offset: number): void {
    this.arena.free(offset);
  }
  sizeOf(offset: number): number {
    return this.arena.sizeOf(offset);
  }

  // ---- clock

  get nowMs(): number {
    if (this.#outside) this.#readClock();
    return this.#nowMs;
  }
  get nowUs(): number {
    if (this.#outside) this.#readClock();
    return this.#nowUs;
  }
  get wallMs(): number {
    if (this.#outside) this.#readClock();
    return this.#wallMs;
  }

  #readClock(): void {
    const us = performance.now() * 1000;
    this.#nowUs = us;
    this.#nowMs = Math.floor(us / 1000);
    this.#wallMs = Date.now();
  }

  // ---- random

  random32(): number {
    if (this.#randomAt === RANDOM_WORDS) {
      randomFillSync(this.#random);
      this.#randomAt = 0;
    }
    return this.#random[this.#randomAt++] as number;
  }

  // ---- handles

  /** The handle of a descriptor just opened nonblocking, or -EMFILE (closing it) when its number does not fit. */
  opened(fd: number): Handle {
    if (fd >= FD_LIMIT) {
      c.closeFd(fd);
      return -ERRNO.EMFILE;
    }
    let generation = (Math.abs(this.#handles[fd] as number) >> HANDLE_FD_BITS) + 1;
    if (generation === GENERATIONS) generation = 1;
    const handle = (generation << HANDLE_FD_BITS) | fd;
    this.#handles[fd] = handle;
    this.#flags[fd] = 0;
    return handle;
  }

  /** The descriptor of an open handle, or -EBADF. */
  fdOf(handle: Handle): number {
    if (handle < FD_LIMIT || this.#handles[handle & FD_MASK] !== handle) return -ERRNO.EBADF;
    return handle & FD_MASK;
  }

  /** Takes over an open descriptor of this process: nonblocking and closed on exec from now on. */
  adopt(fd: number): Handle {
    if (!(fd >= 0 && fd < FD_LIMIT) || (this.#handles[fd] as number) > 0) return -ERRNO.EBADF;
    const flags = c.fcntl(fd, F.GETFL, 0);
    if (flags < 0 || c.fcntl(fd, F.SETFL, flags | SOCK.NONBLOCK) < 0 || c.fcntl(fd, F.SETFD, F.CLOEXEC) < 0) {
      return -c.errno();
    }
    const handle = this.opened(fd);
    this.#flags[fd] = SHARED;
    return handle;
  }

  /** Another process has, or will have, the same open file. */
  markSharedFd(fd: number): void {
    if (fd >= 0 && fd < FD_LIMIT) this.#flags[fd] = (this.#flags[fd] as number) | SHARED;
  }

  // ---- sockets

  accept(listener: Handle): Handle {
    const fd = this.fdOf(listener);
    if (fd < 0) return fd;
    this.#accepted = NO_HANDLE;
    this.#peerLength[0] = ADDRESS_BYTES;
    const name = this.scratchAt + BigInt(PEER_AT);
    const length = this.scratchAt + BigInt(PEER_LENGTH_AT);
    for (;;) {
      // TCP_NODELAY and keepalive are inherited from the listening socket.
      const accepted = c.each.accept4(BigInt(fd | 0), name, length, ACCEPTED);
      if (accepted >= 0) {
        this.#accepted = this.opened(accepted);
        return this.#accepted;
      }
      const error = c.errno();
      // A connection that ended while it waited is not the listener's failure: accept(2), "Error handling".
      if (error !== ERRNO.EINTR && error !== ERRNO.ECONNABORTED) return -error;
    }
  }

  connect(address: SocketAddress): Handle {
    const length = encodeAddress(this.scratch, NAME_AT, address);
    if (length === 0) return -ERRNO.EINVAL;
    const fd = c.each.socket(BigInt(familyOf(address) | 0), BigInt(STREAM), 0n);
    if (fd < 0) return -c.errno();
    const handle = this.opened(fd);
    if (handle < 0) return handle;
    this.tuning.inline(fd);
    if (address.family !== 'unix') this.tuning.connecting(fd);
    if (c.each.connect(BigInt(fd | 0), this.scratchAt + BigInt(NAME_AT), BigInt(length | 0)) < 0) {
      const error = c.errno();
      // Interrupted, it goes on by itself (connect(2)).
      if (error !== ERRNO.EINPROGRESS && error !== ERRNO.EINTR) {
        this.close(handle);
        return -error;
      }
    }
    return handle;
  }

  connectError(handle: Handle): number {
    const fd = this.fdOf(handle);
    if (fd < 0) return ERRNO.EBADF;
    const result = this.tuning.getOption(fd, SOL.SOCKET, SO.ERROR);
    return result < 0 ? -result : result;
  }

  recv(handle: Handle, offset: number, length: number): number {
    const fd = handle & FD_MASK;
    if (handle < FD_LIMIT || this.#handles[fd] !== handle) return -ERRNO.EBADF;
    // Written so that NaN fails it too.
    if (!(offset >= 0 && length >= 0 && offset + length <= this.#bytes)) throw outOfRange(offset, length);
    const n = c.recv(BigInt(fd), this.#base + BigInt(offset | 0), BigInt(length | 0), 0n);
    if (n >= 0) return n;
    const error = c.errno();
    return error === ERRNO.EINTR ? this.recv(handle, offset, length) : -error;
  }

  send(handle: Handle, offset: number, length: number): number {
    const fd = handle & FD_MASK;
    if (handle < FD_LIMIT || this.#handles[fd] !== handle) return -ERRNO.EBADF;
    if (!(offset >= 0 && length >= 0 && offset + length <= this.#bytes)) throw outOfRange(offset, length);
    const n = c.send(BigInt(fd), this.#base + BigInt(offset | 0), BigInt(length | 0), NO_SIGNAL);
    if (n >= 0) return n;
    const error = c.errno();
    return error === ERRNO.EINTR ? this.send(handle, offset, length) : -error;
  }

  shutdown(handle: Handle): number {
    const fd = this.fdOf(handle);
    if (fd < 0) return fd;
    return c.each.shutdown(BigInt(fd | 0), BigInt(SHUT_WR)) < 0 ? -c.errno() : 0;
  }

  close(handle: Handle): void {
    const fd = this.fdOf(handle);
    if (fd < 0) return;
    const flags = this.#flags[fd] as number;
    if ((flags & (WATCHED | SHARED)) === (WATCHED | SHARED)) this.#control(EPOLL.CTL_DEL, fd, 0, 0);
    if ((flags & WATCHED) !== 0) this.#sinks[fd] = NO_SINK;
    if ((flags & PIPE) !== 0) {
      this.close(this.#writingEnds.get(fd) as Handle);
      this.#writingEnds.delete(fd);
    }
    this.datagrams.closing(fd);
    this.tuning.closing(fd);
    this.#handles[fd] = -handle;
    this.#flags[fd] = 0;
    // Never repeated: Linux has released the descriptor even when close(2) reports EINTR.
    c.each.close(BigInt(fd | 0), 0n);
  }

  reset(handle: Handle): void {
    const fd = this.fdOf(handle);
    if (fd < 0) return;
    // SO_LINGER with a time of zero: close(2) discards what is queued and sends RST.
    this.resetOnExit(handle, true);
    this.close(handle);
  }

  resetOnExit(handle: Handle, on: boolean): void {
    const fd = this.fdOf(handle);
    if (fd < 0) return;
    this.words[0] = on ? 1 : 0;
    this.words[1] = 0;
    c.each.setsockopt(BigInt(fd | 0), SOCKET_LEVEL, LINGER, this.scratchAt, LINGER_BYTES);
  }

  unsent(handle: Handle): number {
    const fd = this.fdOf(handle);
    return fd < 0 ? 0 : this.tuning.unsent(fd);
  }

  peer(handle: Handle): SocketAddress {
    if (handle === this.#accepted && this.fdOf(handle) >= 0) {
      return decodeAddress(this.scratch, PEER_AT, this.#peerLength[0] as number);
    }
    return this.#nameOf(handle, 'getpeername', c.getpeername);
  }
  localAddress(handle: Handle): SocketAddress {
    return this.#nameOf(handle, 'getsockname', c.getsockname);
  }

  #nameOf(handle: Handle, syscall: string, get: typeof c.getpeername): SocketAddress {
    const fd = this.fdOf(handle);
    if (fd < 0) throw new NativeError(syscall, ERRNO.EBADF, `handle ${handle}`);
    this.words[0] = ADDRESS_BYTES;
    if (get(fd, this.scratchAddress + NAME_AT, this.scratchAddress) < 0) {
      throw new NativeError(syscall, c.errno(), `handle ${handle}`);
    }
    return decodeAddress(this.scratch, NAME_AT, this.words[0] as number);
  }

  /**
   * A listening socket (IPv6 takes IPv6 only, but `dual`; an existing unix path is EADDRINUSE), or -errno. `reusePort`
   * lets others of the same user share the port; `first`: but is EADDRINUSE when anybody listens there already, who
   * would share or not.
   */
  listen(
    address: SocketAddress,
    options: { reusePort: boolean; first?: boolean; dual?: boolean; backlog: number },
  ): Handle {
    const length = encodeAddress(this.scratch, NAME_AT, address);
    if (length === 0) return -ERRNO.EINVAL;
    const fd = c.socket(familyOf(address), STREAM, 0);
    if (fd < 0) return -c.errno();
    const handle = this.opened(fd);
    if (handle < 0) return handle;
    if (address.family !== 'unix') {
      this.tuning.setOption(fd, SOL.SOCKET, SO.REUSEADDR, 1);
      if (options.reusePort && options.first !== true) this.tuning.setOption(fd, SOL.SOCKET, SO.REUSEPORT, 1);
      if (address.family === 'ipv6') this.tuning.setOption(fd, SOL.IPV6, IPV6_V6ONLY, options.dual === true ? 0 : 1);
      this.tuning.listening(fd);
    }
    const bound = c.bind(fd, this.scratchAddress + NAME_AT, length) >= 0;
    // Bound alone, open to sharing from here on: the kernel looks at both sockets when the next one binds (socket(7)).
    if (bound && options.reusePort && options.first === true) this.tuning.setOption(fd, SOL.SOCKET, SO.REUSEPORT, 1);
    if (!bound || c.listen(fd, options.backlog) < 0) {
      const error = c.errno();
      this.close(handle);
      return -error;
    }
    return handle;
  }

  // ---- pipes

  openPipe(): Handle {
    if (c.pipe2(this.scratchAddress, SOCK.NONBLOCK | SOCK.CLOEXEC) < 0) return -c.errno();
    const [readFd, writeFd] = [this.words[0] as number, this.words[1] as number];
    // A user who has many pipes is given small ones (pipe(7), pipe-user-pages-soft): of no use.
    const capacity = c.fcntl(writeFd, F.SETPIPE_SZ, LIMITS.PIPE_BYTES);
    const read = this.opened(readFd);
    const write = this.opened(writeFd);
    if (capacity < LIMITS.PIPE_BYTES || read < 0 || write < 0) {
      this.close(read);
      this.close(write);
      return -ERRNO.ENFILE;
    }
    this.#flags[readFd] = PIPE;
    this.#writingEnds.set(readFd, write);
    return read;
  }

  spliceIn(socket: Handle, pipe: Handle, length: number): number {
    const read = this.fdOf(pipe);
    if (read < 0 || ((this.#flags[read] as number) & PIPE) === 0) return -ERRNO.EBADF;
    return this.#splice(this.fdOf(socket), this.fdOf(this.#writingEnds.get(read) as Handle), length);
  }

  spliceOut(pipe: Handle, socket: Handle, length: number): number {
    const read = this.fdOf(pipe);
    if (read < 0 || ((this.#flags[read] as number) & PIPE) === 0) return -ERRNO.EBADF;
    return this.#splice(read, this.fdOf(socket), length);
  }

  #splice(from: number, to: number, length: number): number {
    if (from < 0 || to < 0) return -ERRNO.EBADF;
    if (!(length > 0)) return -ERRNO.EINVAL;
    for (;;) {
      const most = BigInt(Math.min(length, MOST_SPLICED) | 0);
      const n = c.splice(BigInt(from | 0), 0n, BigInt(to | 0), 0n, most, MOVED);
      if (n >= 0) return n;
      const error = c.errno();
      if (error !== ERRNO.EINTR) return -error;
    }
  }

  // ---- readiness

  watch(handle: Handle, sink: ReadySink, first = false, events: number = ALL_EVENTS): number {
    const fd = this.fdOf(handle);
    if (fd < 0) return fd;
    if (this.#control(EPOLL.CTL_ADD, fd, events, handle) < 0) return -c.errno();
    // Filled without holes, so that the array stays packed.
    while (this.#sinks.length <= fd) this.#sinks.push(NO_SINK);
    this.#sinks[fd] = sink;
    this.#flags[fd] = (this.#flags[fd] as number) | WATCHED | (first ? FIRST : 0);
    return 0;
  }

  /** Tells nobody of `handle` any more. */
  unwatch(handle: Handle): void {
    const fd = this.fdOf(handle);
    if (fd < 0 || ((this.#flags[fd] as number) & WATCHED) === 0) return;
    this.#control(EPOLL.CTL_DEL, fd, 0, 0);
    this.#sinks[fd] = NO_SINK;
    this.#flags[fd] = (this.#flags[fd] as number) & ~(WATCHED | FIRST);
  }

  again(sink: ReadySink, events: number): void {
    this.#againSinks.push(sink);
    this.#againEvents.push(events);
  }

  onTurn(callback: () => void): void {
    this.#hooks.push(callback);
  }

  #control(operation: number, fd: number, events: number, data: number): number {
    this.words[0] = events;
    this.words[DATA_WORD] = data;
    return c.each.epollCtl(BigInt(this.#epoll | 0), BigInt(operation | 0), BigInt(fd | 0), this.scratchAt);
  }

  /**
   * One turn: waits up to `waitMs` for events (0 when somebody asked for `again`), then handles at most
   * LIMITS.EVENTS_PER_TURN of them, the timers, and who asked before. Returns how many things were handled.
   */
  turn(waitMs: number): number {
    // Odd again behind one that threw, too.
    this.turns = (this.turns + 1 + (this.turns & 1)) & TURNS_MASK;
    if (this.#outside) {
      this.#outside = false;
      this.#readClock();
    }
    const wait = this.#againSinks.length > 0 ? 0 : this.timers.untilNext(this.#nowMs, waitMs);
    const n = c.epollWait(BigInt(this.#epoll | 0), this.#eventsAddress, MOST_EVENTS, BigInt(wait | 0));
    this.#readClock();
    let handled = n > 0 ? this.#dispatch(n) : this.#noEvents(n);
    handled += this.timers.advance(this.#nowMs);
    if (this.#againSinks.length > 0) handled += this.#runAgain();
    if (handled > 0) for (let i = 0; i < this.#hooks.length; i++) (this.#hooks[i] as () => void)();
    this.turns++;
    return handled;
  }

  #dispatch(n: number): number {
    const events = this.#events;
    const flags = this.#flags;
    const others = this.#others;
    let waiting = 0;
    let handled = 0;
    for (let i = 0, at = 0; i < n; i++, at += EVENT_WORDS) {
      const handle = events[at + DATA_WORD] as number;
      if (handle === UV) this.#uvReady = true;
      else if (((flags[handle & FD_MASK] as number) & FIRST) !== 0) handled += this.#tell(handle, events[at] as number);
      else others[waiting++] = at;
    }
    for (let i = 0; i < waiting; i++) {
      const at = others[i] as number;
      handled += this.#tell(events[at + DATA_WORD] as number, events[at] as number);
    }
    return handled;
  }

  /**
   * Tells the sink of `handle`: 1, or 0 when it was closed, perhaps reopened, by what an earlier event of this turn
   * did.
   */
  #tell(handle: number, bits: number): number {
    const fd = handle & FD_MASK;
    if (this.#handles[fd] !== handle) return 0;
    // EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR or EPOLLHUP, and EPOLLPRI as READABLE 1, WRITABLE 2, PEER_CLOSED 4,
    // BROKEN 8 and URGENT 32.
    const ready =
      (bits & EPOLL.IN) |
      ((bits & EPOLL.PRI) << 4) |
      ((bits & EPOLL.OUT) >> 1) |
      ((bits & EPOLL.RDHUP) >> 11) |
      (bits & EPOLL.ERR) |
      ((bits & EPOLL.HUP) >> 1);
    (this.#sinks[fd] as ReadySink).onReady(ready);
    return 1;
  }

  #noEvents(n: number): number {
    if (n < 0) {
      const error = c.errno();
      if (error !== ERRNO.EINTR) throw new NativeError('epoll_wait', error, 'reactor');
    }
    return 0;
  }

  #runAgain(): number {
    const sinks = this.#againSinks;
    const events = this.#againEvents;
    // What is asked for meanwhile belongs to the next turn.
    this.#againSinks = this.#spareSinks;
    this.#againEvents = this.#spareEvents;
    this.#spareSinks = sinks;
    this.#spareEvents = events;
    const n = sinks.length;
    try {
      for (let i = 0; i < n; i++) (sinks[i] as ReadySink).onReady(events[i] as number);
    } finally {
      sinks.length = 0;
      events.length = 0;
    }
    return n;
  }

  // ---- for the loop (loop.ts)

  /** The epoll set's own descriptor. */
  get epollFd(): number {
    return this.#epoll;
  }

  /** From now on what libuv waits for ends the wait of a turn, too; `on`: no longer when false. */
  watchUv(on: boolean): void {
    const operation = on ? EPOLL.CTL_ADD : EPOLL.CTL_DEL;
    if (this.#control(operation, c.uvBackendFd(), EPOLL.IN, UV) < 0)
      throw new NativeError('epoll_ctl', c.errno(), 'event loop');
  }

  /** Whether libuv had something to do in the last turns; asking clears it. */
  takeUvReady(): boolean {
    const ready = this.#uvReady;
    this.#uvReady = false;
    return ready;
  }

  /** Node runs what is its own until the next turn. */
  leave(): void {
    this.#outside = true;
  }

  /** Gives the epoll set and the arena back; for what lives shorter than its process (tests). */
  dispose(): void {
    c.closeFd(this.#epoll);
    this.arena.release();
  }
}

const NO_SINK: ReadySink = { onReady() {} };

function familyOf(address: SocketAddress): number {
  return address.family === 'ipv4' ? AF.INET : address.family === 'ipv6' ? AF.INET6 : AF.UNIX;
}

function outOfRange(offset: number, length: number): RangeError {
  return new RangeError(`mem[${offset}..+${length}) is outside the arena`);
}
