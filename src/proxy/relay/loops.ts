// Whether bytes or datagrams would come back to the listener at which they came in, by way of an endpoint that is a
// listener of this program: each round would make another session, or flow, until nothing is left for anybody, and one
// datagram circles for good. Told by the configuration in use, before anything is sent; a row of listeners that leads
// to a backend in the end is let be. What goes round by way of another program, or of HTTP, is not seen.

import type { SocketAddress } from '../../io/io.ts';
import type { Key, SocketEntry } from '../../ir/ir.ts';

/** Where sessions go on to; `name`: what their clients say in the handshake there, null where that is not known. */
export interface Way {
  readonly address: SocketAddress;
  readonly name: string | null;
}

/** A listener, as far as ways out of it are looked at. */
export interface Waypoint {
  readonly key: Key;
  readonly entry: SocketEntry | null;
  /** Where sessions that come here by `name` may go on to; null: by any. */
  onward(name: string | null): Iterable<Way>;
}

/** Whether who connects to `address` reaches a socket that is bound to `bound`, the ports being the same. */
export type LeadsTo = (bound: string, address: string) => boolean;

const NOBODY: ReadonlySet<Waypoint> = new Set();

export class Loops {
  readonly #leadsTo: LeadsTo;
  /** By port and transport. */
  readonly #listeners = new Map<number, Set<Waypoint>>();

  constructor(leadsTo: LeadsTo) {
    this.#leadsTo = leadsTo;
  }

  /** `listener` has an entry now, in place of `before`. */
  moved(listener: Waypoint, before: SocketEntry | null): void {
    if (before !== null) this.#forget(listener, placeOf(before.transport, before.port));
    const { entry } = listener;
    if (entry === null) return;
    const place = placeOf(entry.transport, entry.port);
    const there = this.#listeners.get(place);
    if (there === undefined) this.#listeners.set(place, new Set([listener]));
    else there.add(listener);
  }

  #forget(listener: Waypoint, place: number): void {
    const there = this.#listeners.get(place);
    if (there?.delete(listener) === true && there.size === 0) this.#listeners.delete(place);
  }

  /** Whether a listener has this address: nothing of ours sends from there but answers. */
  isOurs(transport: SocketEntry['transport'], address: string, port: number): boolean {
    for (const { entry } of this.#listeners.get(placeOf(transport, port)) ?? NOBODY)
      if (entry !== null && this.#leadsTo(entry.address, address)) return true;
    return false;
  }

  /** Whether a listener has the port, on some address. */
  hasPort(transport: SocketEntry['transport'], port: number): boolean {
    return this.#listeners.has(placeOf(transport, port));
  }

  /** Whether what came in at `from` by `name` (null: by none) comes there again when it goes on to `address`. */
  comesBack(address: SocketAddress, from: Waypoint, name: string | null): boolean {
    const transport = from.entry?.transport ?? 'tcp';
    // Asked for each session, and nearly always answered by the port.
    if (address.family === 'unix' || !this.#listeners.has(placeOf(transport, address.port))) return false;
    const seen = new Set<string>();
    const ways: Way[] = [{ address, name }];
    for (const way of ways) {
      for (const listener of this.#at(transport, way.address)) {
        if (listener === from && (name === null || way.name === name)) return true;
        const visit = `${listener.key} ${way.name}`;
        if (seen.has(visit)) continue;
        seen.add(visit);
        for (const onward of listener.onward(way.name)) if (this.#isHere(transport, onward)) ways.push(onward);
      }
    }
    return false;
  }

  #isHere(transport: SocketEntry['transport'], { address }: Way): boolean {
    return address.family !== 'unix' && this.#listeners.has(placeOf(transport, address.port));
  }

  *#at(transport: SocketEntry['transport'], address: SocketAddress): Iterable<Waypoint> {
    if (address.family === 'unix') return;
    for (const listener of this.#listeners.get(placeOf(transport, address.port)) ?? NOBODY)
      if (listener.entry !== null && this.#leadsTo(listener.entry.address, address.address)) yield listener;
  }
}

function placeOf(transport: SocketEntry['transport'], port: number): number {
  return port * 2 + (transport === 'udp' ? 1 : 0);
}
