// How the scripts of the workload send and read: in pieces, with pauses, and up to where they leave.

import type { ByteSource } from '../support/http.ts';
import { EndedEarly, type Peer } from '../support/peer.ts';
import type { SimNet } from '../support/sim-net.ts';
import { chunked, type Plan } from './plan.ts';

/** Sends piece by piece, with pauses, and leaves after `leaveAt` bytes. */
export class Sender {
  readonly #net: SimNet;
  readonly #peer: Peer;
  readonly #plan: Plan;
  #left: number;
  #pauses = 5;
  readonly #leave: (peer: Peer) => void;

  constructor(net: SimNet, peer: Peer, plan: Plan, leaveAt: number, leave: (peer: Peer) => void) {
    this.#net = net;
    this.#peer = peer;
    this.#plan = plan;
    this.#left = leaveAt;
    this.#leave = leave;
  }

  async body(body: Uint8Array, inChunks: boolean): Promise<void> {
    for (const piece of inChunks ? chunked(body, this.#plan) : [body]) await this.send(piece);
  }

  async send(bytes: Uint8Array): Promise<void> {
    const { pauseMs } = this.#plan;
    // Tiny pieces only where that is not a hundred thousand of them.
    const pieceBytes = Math.max(this.#plan.pieceBytes, Math.ceil(bytes.length / 40));
    for (let at = 0; at < bytes.length; ) {
      const n = Math.min(pieceBytes, bytes.length - at, this.#left);
      if (n > 0) await this.#peer.send(bytes.subarray(at, at + n));
      at += n;
      this.#left -= n;
      if (this.#left <= 0) {
        this.#leave(this.#peer);
        throw new EndedEarly('the end of the message (by plan)', new Uint8Array(0));
      }
      if (pauseMs > 0 && this.#pauses > 0) {
        this.#pauses--;
        await this.#net.sleep(pauseMs);
      }
    }
  }
}

/** The same peer, read in pieces with some pauses. */
export function slowReader(peer: Peer, net: SimNet, plan: Plan): ByteSource {
  let pauses = 5;
  const pause = async (): Promise<void> => {
    if (pauses-- > 0) await net.sleep(plan.pauseMs);
  };
  return {
    readUntil: (text) => peer.readUntil(text),
    async readExactly(n) {
      const parts: Uint8Array[] = [];
      for (let left = n; left > 0; ) {
        await pause();
        const part = await peer.readExactly(Math.min(left, Math.max(plan.pieceBytes, 1000)));
        parts.push(part);
        left -= part.length;
      }
      return Buffer.concat(parts);
    },
    async readAll() {
      await pause();
      return peer.readAll();
    },
  };
}
