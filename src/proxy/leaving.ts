// A worker that leaves: requests and tunnels that are under way each have a time of their own, after which they end.

import type { Io } from '../io/io.ts';
import { Timer, type TimerSink } from '../io/wheel.ts';

/** How long what is under way may go on, in ms from when the drain began. */
export interface LeaveTimes {
  readonly requestsMs: number;
  /** Of switched protocols (Upgrade, extended CONNECT) and of sessions of layer 4. */
  readonly tunnelsMs: number;
  /** `ended` of them had to be ended. */
  readonly onOver: (tunnels: boolean, ended: number) => void;
}

const REQUESTS = 0;
const TUNNELS = 1;

export class Leaving implements TimerSink {
  readonly #io: Io;
  readonly #times: LeaveTimes;
  readonly #end: (tunnels: boolean) => number;
  readonly #requests = new Timer(this, REQUESTS);
  readonly #tunnels = new Timer(this, TUNNELS);

  /** `end` ends those that are left, and says how many there were. */
  constructor(io: Io, times: LeaveTimes, end: (tunnels: boolean) => number) {
    this.#io = io;
    this.#times = times;
    this.#end = end;
    io.timers.arm(this.#requests, io.nowMs, times.requestsMs);
    io.timers.arm(this.#tunnels, io.nowMs, times.tunnelsMs);
  }

  onTimer({ id }: Timer): void {
    const tunnels = id === TUNNELS;
    const ended = this.#end(tunnels);
    if (ended > 0) this.#times.onOver(tunnels, ended);
  }

  cancel(): void {
    this.#io.timers.cancel(this.#requests);
    this.#io.timers.cancel(this.#tunnels);
  }
}
