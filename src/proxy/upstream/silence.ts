// What becomes of an endpoint that is silent: no connection to it stood within UPSTREAM_CONNECT_MS. Whoever comes to it
// waits that long, and a machine that is gone is listed for most of a minute still. So it is passed over, and asked by
// connections that no request waits for until one of them stands. (Who refuses costs nobody any time, and is not.)

import { LIMITS } from '../../base/limits.ts';
import type { SocketAddress } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import type { Core } from '../core.ts';
import type { TlsDialer } from '../tls/dialer.ts';
import type { Transport } from '../transport/transport.ts';
import { Dial, type DialOwner } from './dial.ts';

export class Silence implements DialOwner, TimerSink {
  readonly #core: Core;
  readonly #address: SocketAddress;
  readonly #tls: TlsDialer | null;
  readonly #preface: () => Uint8Array | null;
  readonly #onOver: () => void;
  readonly #timer = new Timer(this, 0);
  #dial: Dial | null = null;

  /** `preface`: what a connection of nobody's says first, if anything; `onOver`: one stands, called once. */
  constructor(
    core: Core,
    address: SocketAddress,
    tls: TlsDialer | null,
    preface: () => Uint8Array | null,
    onOver: () => void,
  ) {
    this.#core = core;
    this.#address = address;
    this.#tls = tls;
    this.#preface = preface;
    this.#onOver = onOver;
    this.#rest();
  }

  #rest(): void {
    const { io } = this.#core;
    io.timers.arm(this.#timer, io.nowMs, LIMITS.UPSTREAM_SILENT_MS);
  }

  onTimer(): void {
    this.#dial = new Dial(this.#core, this);
    this.#dial.start(this.#address, this.#tls, this.#preface());
  }

  onDialed(_dial: Dial, transport: Transport): void {
    this.#dial = null;
    transport.finish(false);
    this.#onOver();
  }

  /** Whatever it failed for: it is not there yet. */
  onDialFailed(): void {
    this.#dial = null;
    this.#rest();
  }

  /** Nobody wants to know any more. */
  stop(): void {
    this.#core.io.timers.cancel(this.#timer);
    this.#dial?.cancel();
    this.#dial = null;
  }
}
