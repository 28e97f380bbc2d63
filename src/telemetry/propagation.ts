// How long changes take from the first event of theirs that this program sees until every worker serves them, by stage.
// Times are the caller's, monotonic milliseconds.

import { LIMITS } from '../base/limits.ts';

/** Upper bounds in seconds. */
export const PROPAGATION_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;

/**
 * gathered: until the revision closes. translated: until it is sent to the keeper. acked: until every worker that lives
 * has acked it. total: all three.
 */
export const PROPAGATION_STAGES = ['gathered', 'translated', 'acked', 'total'] as const;
export type PropagationStage = (typeof PROPAGATION_STAGES)[number];

export interface Histogram {
  /** Of each bound, and one more above the last; not cumulated. */
  readonly counts: number[];
  /** Seconds. */
  sum: number;
}

interface Sent {
  readonly revision: number;
  readonly firstMs: number;
  readonly sentMs: number;
}

export class Propagation {
  readonly histograms: Readonly<Record<PropagationStage, Histogram>> = {
    gathered: empty(),
    translated: empty(),
    acked: empty(),
    total: empty(),
  };
  #firstMs: number | null = null;
  #closedMs = 0;
  /** Not acked yet, in their order. */
  #sent: Sent[] = [];

  /** Something changed. */
  event(nowMs: number): void {
    this.#firstMs ??= nowMs;
  }

  /** What has changed so far is one revision from now on. */
  closed(nowMs: number): void {
    this.#closedMs = nowMs;
  }

  /** It was sent as `revision`; null: nothing that is served is another thing by it. */
  sent(revision: number | null, nowMs: number): void {
    const firstMs = this.#firstMs;
    this.#firstMs = null;
    if (firstMs === null || revision === null) return;
    this.#add('gathered', this.#closedMs - firstMs);
    this.#add('translated', nowMs - this.#closedMs);
    this.#sent.push({ revision, firstMs, sentMs: nowMs });
    if (this.#sent.length > LIMITS.PROPAGATION_REVISIONS) this.#sent.shift();
  }

  /** Every worker serves `revision`, and with it those before. */
  acked(revision: number, nowMs: number): void {
    const served = this.#sent.findIndex((one) => one.revision > revision);
    for (const { firstMs, sentMs } of this.#sent.splice(0, served === -1 ? this.#sent.length : served)) {
      this.#add('acked', nowMs - sentMs);
      this.#add('total', nowMs - firstMs);
    }
  }

  /** What was sent is held back: how long that takes says nothing of this. */
  held(): void {
    this.#sent = [];
  }

  #add(stage: PropagationStage, ms: number): void {
    const histogram = this.histograms[stage];
    const at = PROPAGATION_BOUNDS.findIndex((bound) => ms / 1000 <= bound);
    const index = at === -1 ? PROPAGATION_BOUNDS.length : at;
    histogram.counts[index] = (histogram.counts[index] as number) + 1;
    histogram.sum += ms / 1000;
  }
}

function empty(): Histogram {
  return { counts: new Array<number>(PROPAGATION_BOUNDS.length + 1).fill(0), sum: 0 };
}
