// TLS between a transport and its socket. What the transport writes is encrypted, what it reads was decrypted; record
// by record, so that a short read says nothing.

import { ERRNO, type Handle, type Io, NO_HANDLE } from '../../io/io.ts';
import { TLS_FAILED, type Tls, type TlsIo } from '../../io/tls.ts';
import type { Wire } from '../transport/wire.ts';

/**
 * Until this much went out since the last pause, records fit one segment: the first bytes are read as soon as they
 * come.
 */
const SMALL_RECORDS_BYTES = 16 * 1024;
/** A segment of 1,460 bytes less TCP's options and TLS's frame. */
const SMALL_RECORD = 1369;
/** A pause after which the peer's window is small again. */
const PAUSE_MS = 1000;

/** Told once, when the connection stands or never will. */
export interface TlsWireOwner {
  /** Whether the handshake with a server, which has been greeted, may go on in this turn. */
  mayGoOn(): boolean;
  established(wire: TlsWire): void;
  /** `TlsIo.failure` says why, unless `errno` does. */
  failed(wire: TlsWire, errno: number): void;
  /** The connection is given up in the middle of its handshake. */
  left(wire: TlsWire): void;
  /** Of a connection to a server, once: the first bytes came. */
  heard(wire: TlsWire): void;
  /** A connection that stood broke; `TlsIo.failure` says why. */
  broke(wire: TlsWire): void;
}

export class TlsWire implements Wire {
  readonly layered = true;
  shortReadEmpties = false;
  readonly plain: Handle = NO_HANDLE;
  readonly tls: Tls;
  readonly #io: Io;
  readonly #tlsIo: TlsIo;
  readonly #socket: Handle;
  readonly #owner: TlsWireOwner;
  /** The socket itself does not stand yet. */
  #connecting: boolean;
  /** Nothing came from the server yet. */
  #unheard: boolean;
  /** The ClientHello is made: what is left of the handshake is the work. */
  #greeted = false;
  #said = -ERRNO.EAGAIN;
  /** The handshake failed: what still comes is no TLS that anybody wants to read. */
  #failed = false;
  #established = false;
  /** TLS failed while it stood: it says nothing any more. */
  #broken = false;
  /** close_notify is on its way. */
  #concluded = false;
  #smallLeft = SMALL_RECORDS_BYTES;
  #lastSendMs = 0;
  /** A record of at most so many bytes waits within TLS: the next call must offer as many again. */
  #offered = 0;

  /** `toServer`: its first bytes are told of; `connecting`: the socket does not stand yet. */
  constructor(
    io: Io,
    tlsIo: TlsIo,
    tls: Tls,
    socket: Handle,
    owner: TlsWireOwner,
    toServer: boolean,
    connecting = toServer,
  ) {
    this.#io = io;
    this.#tlsIo = tlsIo;
    this.tls = tls;
    this.#socket = socket;
    this.#owner = owner;
    this.#connecting = connecting;
    this.#unheard = toServer;
  }

  /** The socket stands, and the handshake is under way or over. */
  get connected(): boolean {
    return !this.#connecting;
  }

  /** What the first call of the handshake gave, which was made before the wire was below anything. */
  began(said: number): void {
    this.#said = said;
  }

  establish(): number {
    if (this.#connecting) {
      const errno = this.#io.connectError(this.#socket);
      if (errno !== 0) {
        this.#owner.failed(this, errno);
        return -errno;
      }
      this.#connecting = false;
    }
    if (this.#greeted && this.#unheard && !this.#owner.mayGoOn()) return -ERRNO.EINPROGRESS;
    this.#greeted = true;
    // A first call that failed is not made again: its reason would be another one.
    const first = this.#said;
    this.#said = -ERRNO.EAGAIN;
    const said = first === -ERRNO.EAGAIN ? this.#tlsIo.handshake(this.tls) : first;
    if (said === 1) {
      this.#established = true;
      this.shortReadEmpties = this.#tlsIo.emptied(this.tls);
      this.#owner.established(this);
      return 0;
    }
    if (said === -ERRNO.EAGAIN || said === -ERRNO.EINPROGRESS) return said;
    this.#failed = true;
    // The end of the socket within a handshake is no answer of the peer's.
    const errno = said === 0 ? ERRNO.ECONNRESET : said === TLS_FAILED ? 0 : -said;
    this.#owner.failed(this, errno);
    return errno === 0 ? -ERRNO.EPROTO : -errno;
  }

  recv(at: number, length: number): number {
    if (this.#failed) return this.#io.recv(this.#socket, at, length);
    const n = this.#tlsIo.recv(this.tls, at, length);
    if (n > 0) {
      this.shortReadEmpties = n < length && this.#tlsIo.emptied(this.tls);
      if (this.#unheard) this.#hear();
      return n;
    }
    return n === TLS_FAILED ? this.#break() : n;
  }

  send(at: number, length: number): number {
    const { nowMs } = this.#io;
    if (nowMs - this.#lastSendMs > PAUSE_MS) this.#smallLeft = SMALL_RECORDS_BYTES;
    this.#lastSendMs = nowMs;
    const record = this.#smallLeft > 0 ? Math.max(SMALL_RECORD, this.#offered) : length;
    const offer = Math.min(length, record);
    const n = this.#tlsIo.send(this.tls, at, offer);
    this.#offered = n > 0 ? 0 : offer;
    if (n > 0) this.#smallLeft -= n;
    return n === TLS_FAILED ? this.#break() : n;
  }

  #hear(): void {
    this.#unheard = false;
    this.#owner.heard(this);
  }

  #break(): number {
    this.#broken = true;
    this.#owner.broke(this);
    return -ERRNO.EPROTO;
  }

  /** close_notify: our direction ends, the other one goes on (RFC 8446 section 6.1). */
  conclude(): boolean {
    // Of a connection that does not stand, or that TLS has given up, there is nothing to be said.
    if (this.#concluded || !this.#established || this.#broken) return true;
    if (this.#tlsIo.shutdown(this.tls) === -ERRNO.EAGAIN) return false;
    this.#concluded = true;
    return true;
  }

  unsent(): number {
    return this.#io.unsent(this.#socket);
  }

  shutdown(): number {
    return this.#io.shutdown(this.#socket);
  }

  close(): void {
    this.#end();
    this.#io.close(this.#socket);
  }

  reset(): void {
    this.#end();
    this.#io.reset(this.#socket);
  }

  #end(): void {
    if (!this.#established && !this.#failed) this.#owner.left(this);
    this.#tlsIo.close(this.tls);
  }

  resetOnExit(on: boolean): void {
    this.#io.resetOnExit(this.#socket, on);
  }
}
