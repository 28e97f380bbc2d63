// Ports to send from. One that was let go of is not used again for a time, by no worker of this program nor of the one
// that takes over from it: an answer that comes late finds nobody, and not whoever has its port now. Which is the next
// nobody can guess (RFC 5452 section 9.2: what resolvers send is guarded by that).

import { readFileSync } from 'node:fs';
import { LIMITS } from '../base/limits.ts';

/** What Linux has by default. */
const FIRST = 32_768;
const LAST = 60_999;
const PORTS = 65_536;
/** Bytes of the memory that is shared: a word for each port. */
export const PORT_TABLE_BYTES = PORTS * 4;
/** Ports that are looked at for one that may be used. */
const LOOKS = 64;

/** The first and the last of the ports that the system gives to whoever asks for any. */
export function localPortRange(): readonly [number, number] {
  try {
    const [first = 0, last = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
      .split(/\s+/)
      .map(Number);
    return first > 0 && last >= first && last < PORTS ? [first, last] : [FIRST, LAST];
  } catch {
    return [FIRST, LAST];
  }
}

export interface PortTools {
  readonly random32: () => number;
  /** Seconds that all processes of the machine count alike, and that never go back. */
  readonly seconds: () => number;
}

export class LocalPorts {
  readonly #first: number;
  readonly #count: number;
  readonly #tools: PortTools;
  /** By port. 0: not used yet; above: let go of in that second; below: somebody has it, and this is who. */
  readonly #words: Int32Array;
  readonly #self: number;

  /** `words` may be shared with others; whoever shares it takes `seconds` of the same clock. */
  constructor([first, last]: readonly [number, number], tools: PortTools, words: Int32Array) {
    this.#first = first;
    this.#count = last - first + 1;
    this.#tools = tools;
    this.#words = words;
    this.#self = -1 - (tools.random32() >>> 1);
  }

  /**
   * Any that rests long enough. Where none is found, one that somebody else has, who may be gone without a word:
   * whether it is free shows when it is bound. `free`: rather the one that rests for longest.
   */
  next(free: boolean): number {
    const words = this.#words;
    const rested = this.#tools.seconds() - LIMITS.UDP_PORT_REST_S;
    let oldest = this.#any();
    let since = Number.POSITIVE_INFINITY;
    let others = -1;
    for (let i = 0; i < LOOKS; i++) {
      const port = this.#any();
      const word = words[port] as number;
      if (word >= 0 && word < rested) return port;
      if (word < 0 && word !== this.#self) others = port;
      else if (word > 0 && word < since) {
        oldest = port;
        since = word;
      }
    }
    return free || others < 0 ? oldest : others;
  }

  #any(): number {
    return this.#first + (this.#tools.random32() % this.#count);
  }

  /** It was bound. False: whoever had it died with it, nobody knows when; it is to rest from now on. */
  take(port: number): boolean {
    const known = (this.#words[port] as number) >= 0;
    if (known) this.#words[port] = this.#self;
    else this.letGo(port);
    return known;
  }

  /** It is about to be closed. */
  letGo(port: number): void {
    this.#words[port] = this.#tools.seconds();
  }
}
