// Signals, from the first moment of the program on (main.js). Each is acted on once, by whoever is there by then.

import { LIMITS } from '../base/limits.ts';

/** What main.js found out before anything was loaded. */
export interface Start {
  /** Why compiled code could not be kept, or null. */
  readonly notCached: string | null;
  readonly early: Early;
}

/** Signals that came before anybody acted on them, and who listened meanwhile. */
export interface Early {
  readonly came: Set<NodeJS.Signals>;
  readonly note: (signal: NodeJS.Signals) => void;
}

/** Those that ask a program to stop. nginx calls the last one graceful: containers made for it send it. */
export const STOPS = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;

/** From now on `act` is called for `signals`, at once for those that came. */
export function onSignals<S extends NodeJS.Signals>(
  early: Early,
  signals: readonly S[],
  act: (signal: S) => void,
): void {
  for (const signal of signals) {
    process.on(signal, () => act(signal));
    process.off(signal, early.note);
    if (early.came.delete(signal)) act(signal);
  }
}

/**
 * Calls `act` once for whatever comes within STOP_AGAIN_MS: who signals a program and its group (timeout(1) does) asks
 * once. `nowMs`: a clock that never goes back.
 */
export function apart<T>(nowMs: () => number, act: (value: T) => void): (value: T) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (value) => {
    const now = nowMs();
    if (now - last < LIMITS.STOP_AGAIN_MS) return;
    last = now;
    act(value);
  };
}
