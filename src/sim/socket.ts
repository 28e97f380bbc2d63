// One end of a simulated connection, with the semantics of a Linux TCP (or unix stream) socket as tcp_poll,
// tcp_recvmsg, tcp_sendmsg, tcp_reset and tcp_close have them. test/sim/differential.test.ts holds it to the real
// kernel.

import { BROKEN, ERRNO, PEER_CLOSED, READABLE, type SocketAddress, WRITABLE } from '../io/io.ts';
import { Pipe } from './pipe.ts';

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;

/** The wire that a socket hangs on. */
export interface SocketWire {
  /** The kernel's send and receive buffer of each socket, in bytes. */
  readonly sendBufferBytes: number;
  readonly receiveBufferBytes: number;
  /** `sender` has something new to carry. */
  wrote(sender: SimSocket): void;
  /** `receiver` has read: there is room again. */
  opened(receiver: SimSocket): void;
  sendReset(to: SimSocket): void;
  /** It is over. */
  forget(socket: SimSocket): void;
}

export class SimSocket {
  readonly network: SocketWire;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** For messages and traces. */
  readonly id: number;
  readonly unix: boolean;
  /** Wakes the owner: the kernel's wait queue. Null while nobody watches. */
  onEdge: (() => void) | null = null;

  other: SimSocket | null = null;
  /** From `other` to this. */
  rx: Pipe;
  /** From this to `other`. */
  tx: Pipe;

  #state = CONNECTING;
  /** The pending error (sk_err); the next call that reports it clears it. */
  #error = 0;
  #receiveShut = false;
  #sendShut = false;
  /** A sender was told "full" and waits for the edge (SOCK_NOSPACE). */
  #noSpace = false;
  /** The owner closed it; the kernel finishes what was sent. */
  #orphan = false;

  constructor(network: SocketWire, id: number, local: SocketAddress, remote: SocketAddress) {
    this.network = network;
    this.id = id;
    this.local = local;
    this.remote = remote;
    this.unix = remote.family === 'unix';
    this.rx = new Pipe(network.sendBufferBytes, network.receiveBufferBytes, this.unix);
    // Replaced by the other end's `rx` once connected.
    this.tx = this.rx;
  }

  get open(): boolean {
    return this.#state === OPEN;
  }
  get connecting(): boolean {
    return this.#state === CONNECTING;
  }
  get orphan(): boolean {
    return this.#orphan;
  }
  /** Nothing more will come of it. */
  get dead(): boolean {
    return this.#state === CLOSED;
  }
  get sendShut(): boolean {
    return this.#sendShut;
  }
  get receiveShut(): boolean {
    return this.#receiveShut;
  }

  /** Both ends are connected: `this` connected, `accepted` waits in the listener's queue. */
  establish(accepted: SimSocket): void {
    this.other = accepted;
    accepted.other = this;
    accepted.tx = this.rx;
    this.tx = accepted.rx;
    this.#state = OPEN;
    accepted.#state = OPEN;
    this.edge();
  }

  /** The connection failed (SYN answered by RST, or by nothing). */
  refuse(errno: number): void {
    if (this.#state !== CONNECTING) return;
    this.#error = errno;
    this.#die();
  }

  edge(): void {
    this.onEdge?.();
  }

  /** What epoll would report now (tcp_poll). Finding no room to write leaves the wish for an edge behind, as there. */
  ready(): number {
    let mask = 0;
    if (this.#state === CLOSED || (this.#receiveShut && this.#sendShut)) mask |= BROKEN;
    if (this.#receiveShut) mask |= READABLE | PEER_CLOSED;
    if (this.#state !== CONNECTING) {
      if (this.rx.readable > 0) mask |= READABLE;
      if (this.#sendShut || this.tx.writable) mask |= WRITABLE;
      else this.#noSpace = true;
    }
    if (this.#error !== 0) mask |= BROKEN;
    return mask;
  }

  /** SO_ERROR: reading it clears it. */
  takeError(): number {
    const error = this.#error;
    this.#error = 0;
    return error;
  }

  recv(to: Uint8Array, offset: number, length: number): number {
    if (length === 0) return 0;
    if (this.rx.readable > 0) {
      const n = this.rx.read(to, offset, length);
      this.network.opened(this);
      return n;
    }
    if (this.rx.finArrived && !this.unix) return 0;
    if (this.#error !== 0) return -this.takeError();
    if (this.#receiveShut) return 0;
    return -ERRNO.EAGAIN;
  }

  send(from: Uint8Array, offset: number, length: number, most: number): number {
    if (this.#state === CONNECTING) return -ERRNO.EAGAIN;
    if (this.#error !== 0) return -this.takeError();
    if (this.#sendShut) return -ERRNO.EPIPE;
    if (length === 0) return 0;
    const n = Math.min(length, most, this.tx.space);
    if (n < length) this.#noSpace = true;
    if (n <= 0) return -ERRNO.EAGAIN;
    this.tx.write(from, offset, n);
    this.network.wrote(this);
    return n;
  }

  shutdown(): number {
    const connected = this.#state === OPEN || this.unix;
    if (connected && !this.#sendShut) {
      this.#sendShut = true;
      this.tx.finQueued = true;
      this.network.wrote(this);
    }
    // inet_shutdown ends with sk_state_change even when it fails: whoever polls looks again.
    this.edge();
    return connected ? 0 : -ERRNO.ENOTCONN;
  }

  close(): void {
    if (this.#orphan) return;
    this.onEdge = null;
    if (this.#state === OPEN && this.rx.readable > 0 && !this.unix) {
      // RFC 2525 section 2.17: data was lost, so the peer learns by RST.
      this.abort();
      return;
    }
    this.#orphan = true;
    if (this.#state !== OPEN) {
      this.#die();
      return;
    }
    this.#receiveShut = true;
    this.#sendShut = true;
    if (this.unix) {
      this.#state = CLOSED;
      this.network.forget(this);
      this.other?.onUnixClosed(this.rx.readable > 0 ? ERRNO.ECONNRESET : 0);
      return;
    }
    this.tx.finQueued = true;
    this.network.wrote(this);
  }

  /** unix_release_sock: the peer is gone, at once and for both directions; what it had sent stays readable. */
  onUnixClosed(errno: number): void {
    if (this.#state === CLOSED) return;
    if (errno !== 0) this.#error = errno;
    this.#die();
  }

  /** Closes with RST: what was not yet carried is lost. A unix socket knows no such thing and just closes. */
  abort(): void {
    if (this.unix) {
      this.close();
      return;
    }
    this.onEdge = null;
    this.#orphan = true;
    const other = this.other;
    const live = this.#state === OPEN;
    this.#die();
    if (live && other !== null) this.network.sendReset(other);
  }

  /** RST arrives (tcp_reset). What came before it stays readable. */
  onReset(): void {
    if (this.#state === CLOSED) return;
    this.#error = this.rx.finArrived && !this.#sendShut ? ERRNO.EPIPE : ERRNO.ECONNRESET;
    this.#die();
  }

  /** `n` bytes from `other` arrived. */
  onData(n: number): void {
    if (this.#orphan) {
      // Nobody will read it: RST, and what was still on its way out is lost with it.
      const other = this.other;
      this.#die();
      if (other !== null) this.network.sendReset(other);
      return;
    }
    this.rx.arrive(n);
    this.edge();
  }

  /** Bytes were taken off the send buffer by the network. */
  onSpace(): void {
    if (this.#noSpace && this.tx.writable) {
      this.#noSpace = false;
      this.edge();
    }
  }

  onFin(): void {
    this.rx.finArrived = true;
    this.#receiveShut = true;
    const sender = this.other as SimSocket;
    this.#settle();
    sender.#settle();
    this.edge();
    // The sender's kernel learns that its FIN arrived: again a state change.
    sender.edge();
  }

  /** Both directions ended in order: the connection is over (a later RST says nothing any more). */
  #settle(): void {
    if (this.rx.finArrived && this.tx.finArrived && this.#state === OPEN) {
      this.#state = CLOSED;
      this.network.forget(this);
    }
  }

  #die(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#receiveShut = true;
    this.#sendShut = true;
    this.tx.purgeQueued();
    this.network.forget(this);
    this.edge();
  }
}
