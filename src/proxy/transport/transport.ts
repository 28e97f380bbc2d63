// What a codec sees of the connection below it: ordered bytes both ways, pausing, half-close. `Tcp` is the plain one; a
// TLS transport offers the same. Bytes are ranges of the arena, valid only during the call.

import type { Handle } from '../../io/io.ts';
import type { Wire } from './wire.ts';

/** The codec above a transport. The transport calls it from the reactor only, never from within its own methods. */
export interface TransportUser {
  /**
   * mem[start..end) arrived, including what was left over before; returns the offset up to which it was used. The rest
   * is kept and comes again in front of the next bytes, or at once after `resume`.
   */
  onBytes(start: number, end: number): number;
  /** The peer ended its direction in order (FIN, close_notify) and everything before it was presented. */
  onEnd(): void;
  /** The connection is lost (reset, error); the transport has closed its socket. Bytes not yet presented are lost. */
  onLost(errno: number): void;
  /**
   * The peer is gone for good, seen while reading was paused or had come to its end: nothing that is written will
   * arrive.
   */
  onHangup(): void;
  /**
   * The peer will send no more, seen while reading is paused: what it sent before may still be unread. `onEnd` comes
   * besides, once that is read. Told once.
   */
  onPeerClosed(): void;
  /** All that was waiting to be sent has been sent. */
  onDrained(): void;
  /** An outgoing connection, or a layer that was put under one that stood, stands. */
  onConnected(): void;
  /** As many bytes as `relayTo` was to pass on have gone; those behind them come by `onBytes`. */
  onRelayed(): void;
}

export interface Transport {
  user: TransportUser;
  readonly open: boolean;
  /** Below it. */
  readonly wire: Wire;
  readonly reading: boolean;
  /** Bytes that the peer has taken so far. */
  readonly sentBytes: number;
  /** Bytes written that the peer has not taken: they wait, or the connection ended before. */
  readonly unsentBytes: number;
  /** Bytes that the peer does not take wait: whoever writes pauses its source until `onDrained`. */
  readonly congested: boolean;
  /** Something is known to wait for reading (bytes, or the end). */
  readonly unread: boolean;
  /** Whether nothing at all came: asks the kernel. What it finds may be lost: for who would then close. */
  isQuiet(): boolean;

  pause(): void;
  /** Goes on reading, on the next turn. */
  resume(): void;
  /** From within `onBytes`: enough was done in this turn. The next one goes on with what is left, and reads on then. */
  yield(): void;
  /**
   * What arrives from now on goes to `to` as it is instead of to the user, first what is kept: `limit` bytes of it, or
   * all (Infinity). While `to` is congested reading is paused: whoever hears the `onDrained` of `to` resumes it. The
   * user is told of the end, and of all other events, as ever; a half-close is passed on by calling `to.end()` in
   * `onEnd`.
   */
  relayTo(to: Transport, limit: number): void;

  /**
   * Goes on over `wire`, a layer above the one before, of which everything that arrived was used and everything written
   * is sent. The user is told (`onConnected`) when it stands, and nothing before. `decided`: it need not wait for more
   * from the wire below to say whether it does.
   */
  layer(wire: Wire, decided: boolean): void;

  /** Sends mem[start..end). `free` bytes in front of start may be overwritten. Never calls back. */
  write(start: number, end: number, free: number): void;
  /** Offset of room for `n` <= LIMITS.CORK_BYTES bytes, which `commit(end)` makes part of the output. */
  reserve(n: number): number;
  commit(end: number): void;
  /**
   * Makes mem[start..end) part of the output where it stands, for as long as the current call from the reactor lasts: a
   * `write` that begins at `end` is then sent with it, and nothing is copied.
   */
  hold(start: number, end: number): void;
  /** Sends what `write`, `reserve` and `hold` gathered. */
  uncork(): void;
  /** Forgets what they gathered, and `endsByClosing`. */
  discard(): void;

  /** So many bytes may wait for the peer (LIMITS.FLOW_BYTES): past that the connection is lost. */
  mayQueue(bytes: number): void;

  /**
   * Sends the `n` bytes that wait in `pipe`, one of the worker's, which is the transport's from now on. Only while not
   * congested.
   */
  writePipe(pipe: Handle, n: number): void;

  /** Ends our direction (FIN) once everything is sent; reading goes on. Nothing may be written any more. */
  end(): void;
  /** From now until `finish` nothing but `end` or `finish` ends it in order, not even the death of the process. */
  endsByClosing(): void;
  /**
   * Ends the connection in order once everything is sent; the codec hears nothing any more. `linger`: the peer may
   * still be sending, so say FIN and drain for a while, or its answer would be lost to a RST (RFC 9112 section 9.6).
   */
  finish(linger: boolean): void;
  /** Ends it with RST, as `abort`, but behind what was written: once the peer has that. Nothing is read any more. */
  breakOff(): void;
  /** Ends it at once, with RST, so that the peer cannot take it for an end in order. */
  abort(): void;
}
