// What a socket is called, what it tells, and where it leads.

/**
 * A socket: its descriptor in the low HANDLE_FD_BITS bits and a generation above, so that a handle kept after close is
 * refused (-EBADF) instead of reaching the descriptor's next owner. Never negative: negative results are -errno.
 */
export type Handle = number;
export const HANDLE_FD_BITS = 20;
export const NO_HANDLE = -1;

/** Bits of `ReadySink.onReady`. */
export const READABLE = 1;
export const WRITABLE = 2;
/** The peer shut down its sending side; what it sent before is still readable. */
export const PEER_CLOSED = 4;
/** Error or full hang-up: the next recv or send tells which errno. */
export const BROKEN = 8;
/** Urgent data (RFC 9293 section 3.8.5) is among what can be read; beside READABLE. 16 is the transport's own. */
export const URGENT = 32;

/**
 * Who is told that a socket became ready. Edge-triggered: read or write until -EAGAIN, or ask for `again`. A read or
 * write of fewer bytes than asked for also means that there are no more for now (epoll(7), questions and answers, 9),
 * which saves a call, unless PEER_CLOSED or BROKEN was among the events: then read on to the end or the error; or
 * URGENT: in front of urgent data a read ends early, and a move of splice(2) tells of -EAGAIN there, or of the end.
 */
export interface ReadySink {
  onReady(events: number): void;
}

export interface IpAddress {
  readonly family: 'ipv4' | 'ipv6';
  /** Canonical text, RFC 5952 for IPv6 (IPv4-mapped peers are shown as IPv4). */
  readonly address: string;
  readonly port: number;
}
export interface UnixAddress {
  readonly family: 'unix';
  readonly path: string;
}
export type SocketAddress = IpAddress | UnixAddress;
