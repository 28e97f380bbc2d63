// Datagrams, many a call. A batch has places of which each holds one datagram, or a run of them of equal length that
// the kernel put together (UDP GRO) or is to take apart (UDP GSO), and the two addresses between which it goes.

import type { Handle, IpAddress, ReadySink } from './socket.ts';

/** Bytes of one place: any datagram, and any run that the kernel makes. */
export const PLACE_BYTES = 65_536;

/**
 * Between whom a datagram goes: words of a place in `paths`. Addresses are words of memory as the network has them, an
 * IPv4 address the first of four.
 */
export const PATH = {
  /** The other's address. */
  PEER: 0,
  /** Its port. */
  PORT: 4,
  /** Our address: the one that was asked, from which the answer has to come. */
  LOCAL: 5,
  /** Number of the interface, of link-local IPv6 addresses only. */
  SCOPE: 9,
  WORDS: 10,
} as const;

export interface DatagramBatch {
  readonly places: number;
  /** Where in `mem` place 0 is; the next is PLACE_BYTES behind it. */
  readonly at: number;
  /** Bytes in each place. 0 is a datagram too. */
  readonly lengths: Int32Array;
  /** Bytes of each datagram of a run, whose last may be shorter; 0 where there is only one. */
  readonly segments: Int32Array;
  /** PATH.WORDS for each place. */
  readonly paths: Int32Array;
  /** Of all addresses in it. */
  family: 4 | 6;
}

/** Sockets for datagrams; `close` of Io closes them. Results below zero are -errno. */
export interface DatagramIo {
  /** Room for datagrams, or null when there is none. */
  open(): DatagramBatch | null;
  release(batch: DatagramBatch): void;
  /**
   * A nonblocking socket on a port that was not used for long, and that nobody can guess, which hears from, and sends
   * to, `address` alone. That nobody is there (ICMP port unreachable) is -ECONNREFUSED of its next call, whichever that
   * is; a datagram given to it was not sent.
   */
  connect(address: IpAddress): Handle;
  /** Up to `count` datagrams or runs that came to a bound socket, with their paths; into the places from `from` on. */
  receiveFrom(handle: Handle, batch: DatagramBatch, from: number, count: number): number;
  /** The same of a connected socket; paths stay as they are. */
  receive(handle: Handle, batch: DatagramBatch, from: number, count: number): number;
  /**
   * Sends the places [from, from + count) by a bound socket, each on its path; how many went, or -errno of the first. A
   * run that the kernel does not take as one goes one by one.
   */
  sendTo(handle: Handle, batch: DatagramBatch, from: number, count: number): number;
  /** Sends mem[offset..+length) by a connected socket, as a run where `segment` is not 0. 0 or -errno. */
  send(handle: Handle, offset: number, length: number, segment: number): number;
  /** Tells `sink` READABLE as long as there is something to read, and BROKEN while there is an error to hear of. */
  watch(handle: Handle, sink: ReadySink, first?: boolean): number;
  /** Tells nobody any more; it may still be sent by. */
  unwatch(handle: Handle): void;
}
