// What the simulated system does to the program. Every probability is drawn from the run's seed.

export interface Faults {
  /** An arriving segment is cut to a few bytes; the rest comes later, as on a slow or lossy network. */
  readonly shortReads: number;
  /** A send takes only a part of what fits; the edge for the rest comes later. */
  readonly shortWrites: number;
  /** Probability for each byte carried that the connection is reset right behind it, seen by both ends. */
  readonly resetPerByte: number;
  /** A connect of the program is refused, unreachable, or times out. */
  readonly connectFail: number;
  /** Range of the network's delay of one segment, handshake, FIN or RST, in milliseconds. */
  readonly delayMs: readonly [low: number, high: number];
  /** A turn sees the ready sockets in another order, or only some; the network moves between two calls of a turn. */
  readonly reorder: number;
  /** A datagram, or the word that nobody took it, gets lost on its way. */
  readonly datagramLoss: number;
  /** The arena refuses a block. */
  readonly allocFail: number;
}

export const NO_FAULTS: Faults = {
  shortReads: 0,
  shortWrites: 0,
  resetPerByte: 0,
  connectFail: 0,
  delayMs: [0, 0],
  reorder: 0,
  datagramLoss: 0,
  allocFail: 0,
};

/** Everything that a correct program survives without any visible difference. */
export const GENTLE: Faults = {
  ...NO_FAULTS,
  shortReads: 0.3,
  shortWrites: 0.3,
  delayMs: [0, 3],
  reorder: 0.3,
};

/** Everything that can happen. */
export const HARSH: Faults = {
  shortReads: 0.2,
  shortWrites: 0.2,
  resetPerByte: 2e-6,
  connectFail: 0.05,
  delayMs: [0, 20],
  reorder: 0.3,
  datagramLoss: 0.1,
  allocFail: 0.01,
};

/** Half of all one- to 64-byte pieces, the other half up to a segment: where a cut segment ends. */
export const CUT_SMALL_BYTES = 64;
