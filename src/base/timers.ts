/** Injected where the control plane waits, so that tests turn the clock. */
export interface Timers {
  /** Calls `fire` once after `ms` milliseconds, unless the returned function is called before. */
  after(ms: number, fire: () => void): () => void;
}
