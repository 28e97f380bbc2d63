// The one interface by which the proxy reaches the system: sockets, readiness, memory, clock, random, timers.
// `src/native/` implements it by libc, `src/sim/` by a seeded simulation; one process holds exactly one implementation,
// so every call site stays monomorphic. Hot calls take and return integers only.

import type { DatagramIo } from './datagrams.ts';
import type { Handle, ReadySink, SocketAddress } from './socket.ts';
import type { TimerWheel } from './wheel.ts';

export * from './socket.ts';

/** errno values that the proxy tells apart (Linux, equal on x86-64 and arm64). */
export const ERRNO = {
  EINTR: 4,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EPIPE: 32,
  EPROTO: 71,
  EMSGSIZE: 90,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EINPROGRESS: 115,
} as const;

export interface Io {
  readonly kind: 'native' | 'sim';

  // ---- memory: one arena, every offset below is an index into `mem`
  readonly mem: Uint8Array;
  /**
   * Offset of a block of at least `bytes`, or -1 when the arena is exhausted (the caller refuses the work, flag UO).
   */
  alloc(bytes: number): number;
  /** Gives back a block from `alloc`; a double free or a foreign offset throws (a bug, never input). */
  free(offset: number): void;
  /** Usable size of an allocated block (its size class). */
  sizeOf(offset: number): number;

  // ---- clock: read once per turn
  /** Monotonic milliseconds, an integer, of this turn. */
  nowMs: number;
  /** Monotonic microseconds (double) of this turn. */
  nowUs: number;
  /** Unix time in milliseconds of this turn. */
  wallMs: number;
  readonly timers: TimerWheel;

  // ---- random: 32 unsigned bits, unpredictable to clients
  random32(): number;

  // ---- sockets: results below zero are -errno; EINTR is retried inside
  /** Next waiting connection, nonblocking with TCP_NODELAY; -EAGAIN when none. */
  accept(listener: Handle): Handle;
  /**
   * Starts a nonblocking connection (TCP_NODELAY for IP); readiness WRITABLE tells that it ended, `connectError` how.
   */
  connect(address: SocketAddress): Handle;
  /** 0 once connected, a positive errno if it failed (SO_ERROR). */
  connectError(handle: Handle): number;
  /** Bytes read into mem[offset..], 0 at the end of the stream. */
  recv(handle: Handle, offset: number, length: number): number;
  /** Bytes taken from mem[offset..]; never raises SIGPIPE. */
  send(handle: Handle, offset: number, length: number): number;
  /** Sends FIN; reading goes on. */
  shutdown(handle: Handle): number;
  /** Closes in order (unread input makes the kernel send RST: drain first where that matters). */
  close(handle: Handle): void;
  /** Closes with RST. */
  reset(handle: Handle): void;
  /**
   * While `on`, the peer sees RST instead of an end in order should this process end (SO_LINGER): for a stream whose
   * end is told by nothing but its closing.
   */
  resetOnExit(handle: Handle, on: boolean): void;
  /** Bytes that were sent and that the peer's kernel has not taken yet. */
  unsent(handle: Handle): number;
  /** The other side's address, as the kernel knows it. */
  peer(handle: Handle): SocketAddress;
  /** Our own. */
  localAddress(handle: Handle): SocketAddress;

  // ---- pipes: bytes that go from one socket to another without coming into `mem` (splice(2))
  /** An empty pipe of LIMITS.PIPE_BYTES, closed by `close`; or -errno. */
  openPipe(): Handle;
  /**
   * Moves up to `length` > 0 bytes from `socket` into `pipe`: 0 at the end of the stream; -EAGAIN when there is
   * nothing, and also when `pipe` is full, so fill only one that is empty. A short move says nothing of what is left
   * (each of the pipe's places holds one piece of a segment).
   */
  spliceIn(socket: Handle, pipe: Handle, length: number): number;
  /** Moves up to `length` > 0 bytes from `pipe`, which has some, into `socket`. */
  spliceOut(pipe: Handle, socket: Handle, length: number): number;

  // ---- datagrams
  readonly datagrams: DatagramIo;

  // ---- readiness
  /**
   * Registers once for all events (edge-triggered). Close unregisters. Returns 0 or -errno. Of the events of one turn
   * those of sockets watched as `first` are told before the others.
   */
  watch(handle: Handle, sink: ReadySink, first?: boolean): number;
  /**
   * Calls `sink.onReady(events)` on the next turn, after the events of the kernel: how a connection yields its turn.
   * Nobody takes it back when the socket is closed meanwhile: the sink must expect it.
   */
  again(sink: ReadySink, events: number): void;
  /** Called at the end of every turn that handled anything (flush logs, heartbeat). */
  onTurn(callback: () => void): void;
}
