// What the keeper tells the controller while it runs.

import type { WorkerState } from '../stream/messages.ts';

export interface ControllerState {
  acked: number;
  quarantined: number;
  draining: boolean;
  storm: boolean;
  workers: readonly WorkerState[];
  failedSockets: readonly { readonly key: string; readonly reason: string }[];
  readonly restarts: Map<string, number>;
}
