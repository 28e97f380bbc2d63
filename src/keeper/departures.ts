// Letting go of listening sockets so that nobody is reset (ADR 6): no handshake begins there any more, those under way
// end, the workers take what waits, and only then a socket is closed.

import { LIMITS } from '../base/limits.ts';
import type { OpenSocket } from './sockets.ts';
import type { System } from './system.ts';

/** Who may have something of a socket left to take. */
export interface Holder {
  /** Asks it to let go of the socket; `letGo` is called when it did. */
  letGo(key: string): void;
}

interface Departure<H> {
  readonly socket: OpenSocket;
  /** Who has yet to let go; null until they are asked. */
  waiting: Set<H> | null;
}

export interface DepartureSockets {
  hold(socket: OpenSocket): void;
  close(socket: OpenSocket): void;
}

export class Departures<H extends Holder> {
  readonly #system: Pick<System, 'after'>;
  readonly #sockets: DepartureSockets;
  readonly #holders: () => Iterable<H>;
  readonly #leaving = new Map<string, Departure<H>>();

  /** `holders`: all there are at the moment. */
  constructor(system: Pick<System, 'after'>, sockets: DepartureSockets, holders: () => Iterable<H>) {
    this.#system = system;
    this.#sockets = sockets;
    this.#holders = holders;
  }

  /**
   * Starts the departure of `sockets`; `then` is called when the holders have been asked. With `shared` the sockets are
   * a successor's too: no door is closed, they simply become its own.
   */
  start(sockets: readonly OpenSocket[], shared: boolean, then: () => void = () => {}): void {
    const departures = sockets.map((socket): Departure<H> => ({ socket, waiting: null }));
    for (const departure of departures) this.#leaving.set(departure.socket.wish.key, departure);
    const ask = (): void => {
      for (const departure of departures) this.#ask(departure);
      then();
    };
    if (shared || sockets.length === 0) {
      ask();
      return;
    }
    for (const socket of sockets) this.#sockets.hold(socket);
    this.#system.after(LIMITS.SOCKET_SETTLE_MS, ask);
  }

  /** One that is wished again before it closed, or null. It is still held. */
  takeBack(key: string): OpenSocket | null {
    const departure = this.#leaving.get(key);
    this.#leaving.delete(key);
    return departure?.socket ?? null;
  }

  /** `holder` took what waited in it, and has it no more. */
  letGo(holder: H, key: string): void {
    const departure = this.#leaving.get(key);
    if (departure === undefined) return;
    departure.waiting?.delete(holder);
    this.#closeIfFree(departure);
  }

  /** `holder` is no more. */
  gone(holder: H): void {
    for (const key of [...this.#leaving.keys()]) this.letGo(holder, key);
  }

  #ask(departure: Departure<H>): void {
    const { key } = departure.socket.wish;
    // Wished again meanwhile, and perhaps on its way out once more.
    if (this.#leaving.get(key) !== departure) return;
    departure.waiting = new Set(this.#holders());
    for (const holder of departure.waiting) holder.letGo(key);
    this.#closeIfFree(departure);
  }

  #closeIfFree(departure: Departure<H>): void {
    if (departure.waiting?.size !== 0) return;
    this.#leaving.delete(departure.socket.wish.key);
    this.#sockets.close(departure.socket);
  }
}
