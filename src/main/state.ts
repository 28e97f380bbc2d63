// What the keeper tells the controller while it runs.

import type { Held, Restarts, WorkerState } from '../stream/messages.ts';

export interface ControllerState {
  acked: number;
  /** The newest revision is not what is served. */
  held: Held | null;
  draining: boolean;
  storm: boolean;
  workers: readonly WorkerState[];
  failedSockets: readonly { readonly key: string; readonly reason: string }[];
  restarts: { readonly worker: Restarts; readonly controller: Restarts };
}
