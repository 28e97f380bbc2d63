// Ports to send from. One that was used is not used again before half of all others were: an answer that comes late
// finds nobody, and not whoever has its port now. Which is the next nobody can guess (RFC 5452 section 9.2: what
// resolvers send is guarded by that).

import { readFileSync } from 'node:fs';

/** What Linux has by default. */
const FIRST = 32_768;
const LAST = 60_999;

/** The first and the last of the ports that the system gives to whoever asks for any. */
export function localPortRange(): readonly [number, number] {
  try {
    const [first = 0, last = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
      .split(/\s+/)
      .map(Number);
    return first > 0 && last >= first && last < 65_536 ? [first, last] : [FIRST, LAST];
  } catch {
    return [FIRST, LAST];
  }
}

export class LocalPorts {
  readonly #ports: Uint16Array;
  readonly #random32: () => number;
  #next = 0;

  constructor([first, last]: readonly [number, number], random32: () => number) {
    this.#ports = Uint16Array.from({ length: last - first + 1 }, (_, i) => first + i);
    this.#random32 = random32;
  }

  get count(): number {
    return this.#ports.length;
  }

  /** Any of those in the half that was not used for longest. */
  next(): number {
    const ports = this.#ports;
    const at = this.#next;
    const other = (at + (this.#random32() % Math.ceil(ports.length / 2))) % ports.length;
    const port = ports[other] as number;
    ports[other] = ports[at] as number;
    ports[at] = port;
    this.#next = (at + 1) % ports.length;
    return port;
  }
}
