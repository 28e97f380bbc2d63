// What the kernel does for connections of ours by options of their sockets: small writes are not held back, a byte that
// was sent as urgent stays where it stands (RFC 6093 section 6), and a peer that is gone without a word is found out.
// Accepted ones have all of it from their listening socket, which costs nothing.
// To tell it to each connection to a backend costs four calls, more than a short connection's bytes: those get their
// probes once they have lived a while.

import { LIMITS } from '../base/limits.ts';
import { Timer, type TimerSink, type TimerWheel } from '../io/wheel.ts';
import * as c from './ffi.ts';
import { SO, SOL, TCP, TIOCOUTQ } from './layout.ts';

/** What is needed of NativeIo. */
export interface TunedIo {
  readonly nowMs: number;
  readonly timers: TimerWheel;
  readonly scratchAddress: number;
  /** The same, for direct calls. */
  readonly scratchAt: bigint;
  /** The first words of the scratch memory. */
  readonly words: Int32Array;
}

export class Tuning implements TimerSink {
  readonly #io: TunedIo;
  /** By descriptor: what is open there has no probes yet. */
  readonly #young: Uint8Array;
  /** By descriptor: it is in the list. */
  readonly #listed: Uint8Array;
  /** Descriptors of connections since the last look, each once: never more than were open at a time. */
  #list: number[] = [];
  /** Connections without probes. */
  #left = 0;
  readonly #timer = new Timer(this, 0);

  /** `descriptors`: their numbers are below. */
  constructor(io: TunedIo, descriptors: number) {
    this.#io = io;
    this.#young = new Uint8Array(descriptors);
    this.#listed = new Uint8Array(descriptors);
  }

  /** A listening socket, whoever made it: those that it accepts have it all. */
  listening(fd: number): void {
    this.#undelayed(fd);
    this.#probed(fd);
    this.inline(fd);
  }

  /** What is urgent is read where it stands; else it would be missing. */
  inline(fd: number): void {
    this.setOption(fd, SOL.SOCKET, SO.OOBINLINE, 1);
  }

  /** A new connection of ours. */
  connecting(fd: number): void {
    this.#undelayed(fd);
    this.#young[fd] = 1;
    this.#left++;
    const { timers, nowMs } = this.#io;
    if (this.#timer.due === -1) timers.arm(this.#timer, nowMs, LIMITS.TCP_KEEPALIVE_FROM_MS);
    if (this.#listed[fd] === 1) return;
    this.#listed[fd] = 1;
    this.#list.push(fd);
  }

  /** The descriptor is about to be another's. */
  closing(fd: number): void {
    if (this.#young[fd] === 1) this.#grown(fd);
  }

  #grown(fd: number): void {
    this.#young[fd] = 0;
    this.#left--;
    if (this.#left === 0) this.#io.timers.cancel(this.#timer);
  }

  /** Those that are still open get their probes, some at a time. */
  onTimer(): void {
    const list = this.#list;
    for (let n = 0; n < LIMITS.TCP_KEEPALIVE_AT_ONCE && list.length > 0; n++) {
      const fd = list.pop() as number;
      this.#listed[fd] = 0;
      if (this.#young[fd] === 0) continue;
      this.#grown(fd);
      this.#probed(fd);
    }
    const { timers, nowMs } = this.#io;
    if (this.#left > 0) timers.arm(this.#timer, nowMs, 1);
  }

  #undelayed(fd: number): void {
    this.setOption(fd, SOL.TCP, TCP.NODELAY, 1);
  }

  #probed(fd: number): void {
    this.setOption(fd, SOL.SOCKET, SO.KEEPALIVE, 1);
    this.setOption(fd, SOL.TCP, TCP.KEEPIDLE, LIMITS.TCP_KEEPALIVE_IDLE_S);
    this.setOption(fd, SOL.TCP, TCP.KEEPINTVL, LIMITS.TCP_KEEPALIVE_INTERVAL_S);
    this.setOption(fd, SOL.TCP, TCP.KEEPCNT, LIMITS.TCP_KEEPALIVE_PROBES);
  }

  setOption(fd: number, level: number, option: number, value: number): number {
    this.#io.words[0] = value;
    const { scratchAt } = this.#io;
    return c.each.setsockopt(BigInt(fd | 0), BigInt(level | 0), BigInt(option | 0), scratchAt, 4n);
  }

  /** Bytes in the socket's queue that the peer has not acknowledged. */
  unsent(fd: number): number {
    const { words, scratchAddress } = this.#io;
    words[0] = 0;
    return c.ioctl(fd, TIOCOUTQ, scratchAddress) < 0 ? 0 : (words[0] as number);
  }

  /** An integer option, or -errno. */
  getOption(fd: number, level: number, option: number): number {
    const { words, scratchAddress } = this.#io;
    words[0] = 0;
    words[1] = 4;
    const failed = c.getsockopt(fd, level, option, scratchAddress, scratchAddress + 4) < 0;
    return failed ? -c.errno() : (words[0] as number);
  }
}
