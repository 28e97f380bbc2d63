// A connection on its way: from an address to a transport that stands, with TLS or without, or to a fault. For whoever
// needs one (requests, relays, mirrors, probes, questions to others): its time is bounded and its failures are counted
// here, and nowhere else.

import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { ERRNO, type SocketAddress } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { CELL, limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR } from '../counts.ts';
import type { TlsDialer } from '../tls/dialer.ts';
import { Tcp } from '../transport/tcp.ts';
import type { Transport, TransportUser } from '../transport/transport.ts';
import { PlainWire } from '../transport/wire.ts';

const CONNECT_LIMIT = limitCell('UPSTREAM_CONNECT_MS');
const EXHAUSTED: readonly number[] = [ERRNO.EMFILE, ERRNO.ENFILE, ERRNO.ENOMEM, ERRNO.ENOBUFS];

export interface DialOwner {
  /**
   * The connection stands, and is the owner's: it sets the transport's user in this call. `alpn`: the protocol that was
   * agreed on by TLS, '' for none.
   */
  onDialed(dial: Dial, transport: Transport, alpn: string): void;
  /** There is none. `fault.retryable`: another endpoint may fare better. `error`: which of BACKEND_ERROR. */
  onDialFailed(dial: Dial, fault: Fault, error: number): void;
}

export class Dial implements TransportUser, TimerSink {
  readonly #core: Core;
  readonly #owner: DialOwner;
  readonly #barred: boolean;
  readonly #timer = new Timer(this, 0);
  #transport: Transport | null = null;
  /** null: in the clear. */
  #tls: TlsDialer | null = null;
  /** What is said before everything else, TLS too; null once it is. */
  #preface: Uint8Array | null = null;
  // ---- the owner's list
  next: Dial | null = null;
  previous: Dial | null = null;

  /** `barred`: it may not go there, and fails like one that is refused. */
  constructor(core: Core, owner: DialOwner, barred = false) {
    this.#core = core;
    this.#owner = owner;
    this.#barred = barred;
  }

  /** Begins; onDialFailed may come before it returns, onDialed does not. `preface`: what is said before all else. */
  start(address: SocketAddress, tls: TlsDialer | null, preface: Uint8Array | null = null): void {
    const { io, cells, shared } = this.#core;
    cells.add(CELL.UPSTREAM_CONNECTS_TOTAL, 1);
    const barred = this.#barred || this.#core.refuses(address);
    const handle = barred ? -ERRNO.ECONNREFUSED : io.connect(address);
    if (handle < 0) {
      this.#failed(-handle);
      return;
    }
    this.#tls = tls;
    this.#preface = preface;
    const wire = tls === null || preface !== null ? new PlainWire(io, handle) : tls.wire(handle);
    if (typeof wire === 'number') {
      io.close(handle);
      this.#failed(-wire);
      return;
    }
    const transport = new Tcp(shared, wire, false, true);
    transport.user = this;
    // Responses before requests: what is under way ends, and its connection is free, before more begins; and each
    // side's work in a row is cheaper than both in turn (docs/adr/0001-event-loop.md).
    if (io.watch(handle, transport, true) < 0) {
      transport.abort();
      this.#failed(ERRNO.ENOMEM);
      return;
    }
    this.#transport = transport;
    io.timers.arm(this.#timer, io.nowMs, LIMITS.UPSTREAM_CONNECT_MS);
  }

  /** Nobody wants it any more; the owner hears nothing. */
  cancel(): void {
    this.#core.io.timers.cancel(this.#timer);
    this.#transport?.abort();
    this.#transport = null;
  }

  onTimer(): void {
    this.#core.cells.add(CONNECT_LIMIT, 1);
    if (this.#transport !== null) this.#tls?.timedOut(this.#transport.wire);
    this.cancel();
    this.#failed(ERRNO.ETIMEDOUT);
  }

  onConnected(): void {
    const transport = this.#transport;
    if (transport === null) return;
    if (this.#preface !== null && !this.#say(transport, this.#preface)) return;
    this.#core.io.timers.cancel(this.#timer);
    this.#transport = null;
    this.#owner.onDialed(this, transport, this.#tls === null ? '' : this.#tls.alpn);
  }

  /** Says the preface; true when nothing stands between it and what the owner says. */
  #say(transport: Transport, preface: Uint8Array): boolean {
    this.#preface = null;
    const at = transport.reserve(preface.length);
    this.#core.mem.set(preface, at);
    transport.commit(at + preface.length);
    transport.uncork();
    if (this.#tls === null) return true;
    // A socket that is new takes a few bytes.
    const wire = transport.congested ? -ERRNO.ENOBUFS : this.#tls.wire(transport.wire.plain, false);
    if (typeof wire === 'number') {
      this.cancel();
      this.#failed(-wire);
    } else {
      transport.layer(wire, true);
    }
    return false;
  }

  onLost(errno: number): void {
    this.#core.io.timers.cancel(this.#timer);
    this.#transport = null;
    this.#failed(errno);
  }

  onBytes(_start: number, end: number): number {
    return end;
  }
  onEnd(): void {}
  onHangup(): void {}
  onPeerClosed(): void {}
  onDrained(): void {}
  onRelayed(): void {}

  #failed(errno: number): void {
    this.#core.cells.add(CELL.UPSTREAM_CONNECT_FAILURES_TOTAL, 1);
    if (this.#tls !== null && this.#tls.errorNow !== null) {
      this.#owner.onDialFailed(this, FAULTS.tlsFailed, BACKEND_ERROR.tls);
      return;
    }
    const timedOut = errno === ERRNO.ETIMEDOUT;
    // Without descriptors or memory another endpoint would fare no better.
    const fault = EXHAUSTED.includes(errno) ? FAULTS.overload : timedOut ? FAULTS.connectTimeout : FAULTS.connectFailed;
    this.#owner.onDialFailed(this, fault, timedOut ? BACKEND_ERROR.connectTimeout : BACKEND_ERROR.connect);
  }
}
