// The admin server's questions, answered from what the controller has at hand.

import type { StatusReport } from '../admin/status.ts';
import type { View } from '../admin/view.ts';
import type { Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import type { Level } from '../base/log.ts';
import { explain } from '../explain/explain.ts';
import type { Explanation } from '../explain/explanation.ts';
import { questionOf, type Words } from '../explain/question.ts';
import { explanationText } from '../explain/text.ts';
import type { ClusterEntry, Endpoint } from '../ir/ir.ts';
import type { TrustedProxies } from '../proxy/trusted.ts';
import type { CellBook } from '../publish/cells.ts';
import type { Publisher } from '../publish/publisher.ts';
import type { RingReader } from '../telemetry/log-ring.ts';
import type { Numbers } from '../telemetry/numbers.ts';
import { Following, type RequestFilter, type RequestLine, recent } from '../telemetry/recent.ts';
import type { KeptFacts } from './kept-state.ts';
import type { Cluster } from './kubernetes.ts';
import { ownLinesDropped } from './logger.ts';
import { clustersPage, endpointLoad, ownersOf, workersPage } from './metrics.ts';
import type { Resources } from './resources.ts';
import type { ControllerState } from './state.ts';
import { statusReport } from './status-report.ts';
import { versionInfo } from './version.ts';

export interface ViewParts {
  readonly state: ControllerState;
  readonly resources: Resources;
  /** With --kubernetes. */
  readonly cluster: Cluster | null;
  readonly publisher: Publisher;
  readonly book: CellBook;
  readonly numbers: Numbers;
  readonly rings: readonly RingReader[];
  /** Whose X-Forwarded-* is believed. */
  readonly trusted: TrustedProxies;
  /** What is served until there is something newer; null when this program began with nothing, or knew more. */
  readonly kept: KeptFacts | null;
  /** What is wrong with what the flags name. */
  readonly ownProblems: () => readonly string[];
  readonly setLogLevel: (level: Level) => void;
}

function problemOf(message: string): Problem {
  return { severity: 'error', message, place: {} };
}

export class ControllerView implements View {
  readonly #parts: ViewParts;
  readonly #startSeconds = Date.now() / 1000 - process.uptime();

  constructor(parts: ViewParts) {
    this.#parts = parts;
  }

  ready(): { ready: boolean; reason: string } {
    const { state, resources, cluster, kept } = this.#parts;
    const { waitingFor, nothingToServe } = resources.readiness;
    // A controller that was started again finds a configuration being served.
    const waits = waitingFor !== null && state.acked === 0;
    const waiting = waits ? (cluster?.source.waiting() ?? waitingFor) : null;
    if (state.draining) return { ready: false, reason: 'draining' };
    // In a pod one port answers for both: the successor is not ready because this one is.
    if (state.succession) return { ready: false, reason: 'a successor takes over' };
    if (waiting) return { ready: false, reason: `waiting for ${waiting}` };
    if (waiting !== null || state.acked === 0) return { ready: false, reason: 'no configuration yet' };
    if (state.storm) return { ready: false, reason: 'workers keep dying' };
    if (waitingFor !== null && kept !== null)
      return keptReadiness(kept, cluster?.source.waiting() ?? waitingFor, process.uptime() * 1000);
    if (nothingToServe !== null) return { ready: true, reason: `nothing to serve: ${nothingToServe}` };
    return resources.listening();
  }

  status(): StatusReport {
    const { state, resources, publisher } = this.#parts;
    return statusReport({
      version: versionInfo().version,
      state,
      readiness: this.ready(),
      revision: publisher.revision,
      entries: resources.scene().entries,
      objects: resources.reports(),
      problems: this.problems(),
    });
  }

  metrics(): string {
    const { state, resources, cluster, publisher, book, numbers, rings } = this.#parts;
    const problems = this.problems();
    const { user, system } = process.cpuUsage();
    return numbers.exposition(ownersOf(book, publisher.backends), {
      revision: publisher.revision,
      acked: state.acked,
      quarantined: state.held?.cause === 'deaths',
      problems: {
        error: problems.filter((p) => p.severity === 'error').length,
        warning: problems.filter((p) => p.severity === 'warning').length,
      },
      objects: resources.counts(),
      propagation: resources.propagation.histograms,
      certificates: resources.certificateNumbers(Date.now()),
      cluster: cluster?.numbers() ?? null,
      workers: state.workers,
      restarts: state.restarts,
      storm: state.storm,
      ownLogDropped: ownLinesDropped(),
      logDropped: rings.reduce((n, ring) => n + ring.dropped, 0),
      startSeconds: this.#startSeconds,
      cpuSeconds: (user + system) / 1e6,
      rssBytes: process.memoryUsage.rss(),
    });
  }

  requests(filter: RequestFilter): RequestLine[] {
    return recent(this.#parts.rings, filter);
  }

  follow(filter: RequestFilter): Following {
    return new Following(this.#parts.rings, filter);
  }

  config(): unknown {
    const { state, publisher, resources } = this.#parts;
    return {
      revision: publisher.revision,
      acked: state.acked,
      quarantined: state.held?.cause === 'deaths' ? state.held.revision : null,
      objects: resources.objects(),
    };
  }

  problems(): readonly Problem[] {
    const { state, resources } = this.#parts;
    return [...resources.allProblems(), ...heldProblems(state), ...this.#parts.ownProblems().map(problemOf)];
  }

  ir(): unknown {
    return this.#parts.resources.ir();
  }

  workers(): unknown {
    return workersPage(this.#parts.numbers, this.#parts.state.workers);
  }

  clusters(): unknown {
    return clustersPage(this.#parts.book, this.#parts.publisher.backends);
  }

  certificates(): unknown {
    return this.#parts.resources.certificates(Date.now()).map(({ notBefore, notAfter, ...rest }) => ({
      ...rest,
      notBefore: new Date(notBefore).toISOString(),
      notAfter: new Date(notAfter).toISOString(),
    }));
  }

  kubernetes(): unknown {
    return this.#parts.cluster?.page() ?? null;
  }

  explain(words: Words): { lines: readonly string[]; told: Explanation } | string {
    const question = questionOf(words);
    if (typeof question === 'string') return question;
    const { resources, book, trusted } = this.#parts;
    const load = (cluster: ClusterEntry, { id }: Endpoint): string => endpointLoad(book, cluster, id);
    const told = explain(question, {
      ...resources.scene(),
      problems: resources.allProblems(),
      trusted,
      load,
      offline: false,
    });
    return { lines: explanationText(told), told };
  }

  version(): unknown {
    return versionInfo();
  }

  setLogLevel(level: Level): void {
    this.#parts.setLogLevel(level);
  }
}

/** Of a program that serves what an earlier one did, after `upMs` milliseconds, because it waits for `waiting`. */
export function keptReadiness(
  { writtenMs, keyless }: KeptFacts,
  waiting: string,
  upMs: number,
): { ready: boolean; reason: string } {
  const missing = keyless === 0 ? '' : `, without the keys of ${keyless} TLS hosts, whose handshakes are refused`;
  const reason = `serving the state file of ${new Date(writtenMs).toISOString()}${missing}: waiting for ${waiting}`;
  return { ready: keyless === 0 || upMs >= LIMITS.STATE_FILE_READY_MS, reason };
}

/** The newest revision is not what is served. */
function heldProblems({ held }: ControllerState): Problem[] {
  if (held === null) return [];
  return [{ severity: 'error', message: `revision ${held.revision} is held back: ${held.reason}`, place: {} }];
}
