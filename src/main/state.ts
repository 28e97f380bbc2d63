// What the keeper tells the controller while it runs.

import type { FailedSocket, Held, Restarts, WorkerState } from '../stream/messages.ts';

export interface ControllerState {
  acked: number;
  /** The newest revision is not what is served. */
  held: Held | null;
  draining: boolean;
  /** A successor is taking over, and this program stays when it has. */
  succession: boolean;
  storm: boolean;
  workers: readonly WorkerState[];
  failedSockets: readonly FailedSocket[];
  restarts: { readonly worker: Restarts; readonly controller: Restarts };
}

/** What sources and translator say of themselves to `/readyz` (docs/reference/admin.md). */
export interface Readiness {
  /**
   * What the first configuration waits for, `KIND: REASON`; '' for nothing in particular, null when it was read and
   * published.
   */
  readonly waitingFor: string | null;
  /** Why nothing of it is served; null when something is. */
  readonly nothingToServe: string | null;
}
