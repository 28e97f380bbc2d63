// /metrics put together: the cells of all worker slots, and what the controller knows besides. Under 1,000 series by
// default: past the ceilings the rest of the routes and backends is summed as `other`.

import { addBlock, type BlockKind } from './blocks.ts';
import { METRICS } from './catalogue.ts';
import type { Cells } from './cells.ts';
import {
  addBackendErrors,
  addEndpoint,
  addFixed,
  addMethods,
  addRoute,
  Exposition,
  type RouteLabels,
} from './exposition.ts';
import { GrpcMethods } from './grpc-methods.ts';
import { CELL, ENDPOINT, NO_ROUTE_BLOCK } from './layout.ts';
import { PROPAGATION_BOUNDS, PROPAGATION_STAGES, type Propagation } from './propagation.ts';

/**
 * The `route` of requests that no route took, and of those whose route has no label of its own. No route is called so.
 */
const NO_ROUTE = 'none';
const OTHER = 'other';

export interface EndpointNumbers {
  readonly pod: string;
  readonly zone: string;
  readonly counts: Float64Array;
}

/** Distinct by pod and zone. */
export interface BackendNumbers {
  readonly backend: string;
  readonly endpoints: readonly EndpointNumbers[];
}

/** Tables of numbers by owner, as telemetry/layout.ts ROUTE and ENDPOINT have them. */
export interface Owners {
  /** Those with labels of their own. */
  readonly routes: Iterable<RouteLabels & { readonly counts: Float64Array }>;
  readonly backends: Iterable<BackendNumbers>;
  /** Everybody else. */
  readonly otherRoutes: Float64Array;
  readonly otherEndpoints: Float64Array;
}

/** Of the API server. */
export interface ClusterNumbers {
  /** `code`: HTTP status, 0 without an answer. */
  readonly requests: Iterable<{
    readonly verb: string;
    readonly kind: string;
    readonly code: string;
    readonly count: number;
  }>;
  readonly kinds: readonly {
    readonly kind: string;
    readonly synced: boolean;
    readonly relists: ReadonlyMap<string, number>;
  }[];
  readonly leads: boolean;
  readonly statusWrites: Iterable<{ readonly kind: string; readonly result: string; readonly count: number }>;
  readonly generatedWrites: Iterable<{ readonly kind: string; readonly result: string; readonly count: number }>;
  readonly eventsDropped: number;
}

/** Of all certificates that are shown. */
export interface CertificateNumbers {
  /** How many are in each state, and how many have an OCSP response in each. */
  readonly states: Readonly<Record<string, number>>;
  readonly staples: Readonly<Record<string, number>>;
  /** Those that end first, in order: `NAMESPACE/NAME` and Unix milliseconds. */
  readonly soonest: readonly { readonly certificate: string; readonly notAfter: number }[];
}

/** What the controller knows besides the cells. */
export interface ControllerNumbers {
  readonly revision: number;
  readonly acked: number;
  readonly quarantined: boolean;
  readonly problems: { readonly error: number; readonly warning: number };
  readonly objects: ReadonlyMap<string, number>;
  readonly certificates: CertificateNumbers;
  readonly propagation: Propagation['histograms'];
  /** Null without --kubernetes. */
  readonly cluster: ClusterNumbers | null;
  readonly workers: readonly { readonly state: string }[];
  /** How often since the program started, by cause. */
  readonly restarts: Readonly<Record<'worker' | 'controller', Readonly<Record<string, number>>>>;
  readonly storm: boolean;
  /** Lines of the access log that left the rings and went nowhere. */
  readonly logDropped: number;
  /** Lines of the controller's own log. */
  readonly ownLogDropped: number;
  readonly startSeconds: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

export class Numbers {
  /** Of each worker slot. */
  readonly slots: Cells[] = [];
  /** What the rows of calls are called. */
  methods = GrpcMethods.local();

  readonly sum = (cell: number): number => {
    let n = 0;
    for (const cells of this.slots) n += cells.get(cell);
    return n;
  };

  /** Adds what all slots counted in the block at `base` to `out`, COUNTS[kind] long. */
  readonly read = (kind: BlockKind, base: number, out: Float64Array): void => {
    for (const cells of this.slots) addBlock(cells, kind, base, out);
  };

  exposition(owners: Owners, controller: ControllerNumbers): string {
    const out = new Exposition();
    for (const { route, kind, counts } of owners.routes) addRoute(out, { route, kind }, counts);
    addRoute(out, { route: OTHER, kind: '' }, owners.otherRoutes);
    const noRoute = owners.otherRoutes.slice().fill(0);
    this.read('route', NO_ROUTE_BLOCK, noRoute);
    addRoute(out, { route: NO_ROUTE, kind: '' }, noRoute);
    addMethods(out, this.methods, this.slots);
    addBackends(out, owners);
    addFixed(out, this.sum);
    out.add(METRICS.logDropped, {}, this.sum(CELL.LOG_DROPPED_TOTAL) + controller.logDropped);
    out.add(METRICS.ownLogDropped, {}, controller.ownLogDropped);
    this.#addWorkers(out, controller);
    addCertificates(out, controller);
    addController(out, controller);
    return out.text();
  }

  #addWorkers(out: Exposition, { workers, restarts, storm }: ControllerNumbers): void {
    for (const state of ['starting', 'serving', 'draining', 'down'])
      out.add(METRICS.workers, { state }, workers.filter((w) => w.state === state).length);
    for (const [cause, n] of Object.entries(restarts.worker)) out.add(METRICS.workerRestarts, { cause }, n);
    for (const [cause, n] of Object.entries(restarts.controller)) out.add(METRICS.controllerRestarts, { cause }, n);
    out.add(METRICS.restartStorm, {}, storm ? 1 : 0);
    this.slots.forEach((cells, index) => {
      const worker = String(index);
      out.add(METRICS.workerCpu, { worker }, cells.get(CELL.CPU_SECONDS));
      out.add(METRICS.workerRss, { worker }, cells.get(CELL.RSS_BYTES));
      out.add(METRICS.workerArena, { worker }, cells.get(CELL.ARENA_BYTES));
      out.add(METRICS.workerTls, { worker, kind: 'connection' }, cells.get(CELL.TLS_CONNECTIONS));
      out.add(METRICS.workerTls, { worker, kind: 'context' }, cells.get(CELL.TLS_CONTEXTS));
      out.add(METRICS.workerTurns, { worker }, cells.get(CELL.TURNS_TOTAL));
    });
  }
}

function addBackends(out: Exposition, { backends, otherEndpoints }: Owners): void {
  for (const { backend, endpoints } of backends) {
    const together = new Float64Array(ENDPOINT.SIZE);
    for (const { pod, zone, counts } of endpoints) {
      addEndpoint(out, { backend, pod, zone }, counts);
      for (let i = 0; i < together.length; i++) together[i]! += counts[i] as number;
    }
    addBackendErrors(out, backend, together);
  }
  addEndpoint(out, { backend: OTHER, pod: OTHER, zone: '' }, otherEndpoints);
  addBackendErrors(out, OTHER, otherEndpoints);
}

function addCertificates(out: Exposition, { certificates }: ControllerNumbers): void {
  for (const [state, n] of Object.entries(certificates.states)) out.add(METRICS.tlsCertificates, { state }, n);
  for (const [state, n] of Object.entries(certificates.staples)) out.add(METRICS.tlsOcsp, { state }, n);
  for (const { certificate, notAfter } of certificates.soonest)
    out.add(METRICS.tlsCertificateEnd, { certificate }, notAfter / 1000);
}

function addCluster(out: Exposition, cluster: ClusterNumbers): void {
  const { requests, kinds, statusWrites, generatedWrites } = cluster;
  for (const { verb, kind, code, count } of requests) out.add(METRICS.kubernetesRequests, { verb, kind, code }, count);
  for (const { kind, synced, relists } of kinds) {
    out.add(METRICS.kubernetesSynced, { kind }, synced ? 1 : 0);
    for (const [cause, n] of relists) out.add(METRICS.kubernetesRelists, { kind, cause }, n);
  }
  out.add(METRICS.leader, {}, cluster.leads ? 1 : 0);
  for (const { kind, result, count } of statusWrites) out.add(METRICS.statusWrites, { kind, result }, count);
  for (const { kind, result, count } of generatedWrites) out.add(METRICS.generatedWrites, { kind, result }, count);
  out.add(METRICS.eventsDropped, {}, cluster.eventsDropped);
}

function addPropagation(out: Exposition, histograms: Propagation['histograms']): void {
  for (const stage of PROPAGATION_STAGES) {
    const { counts, sum } = histograms[stage];
    let below = 0;
    counts.forEach((n, i) => {
      below += n;
      out.add(METRICS.propagation, { stage, le: String(PROPAGATION_BOUNDS[i] ?? '+Inf') }, below, '_bucket');
    });
    out.add(METRICS.propagation, { stage }, sum, '_sum');
    out.add(METRICS.propagation, { stage }, below, '_count');
  }
}

function addController(out: Exposition, c: ControllerNumbers): void {
  addPropagation(out, c.propagation);
  out.add(METRICS.configRevision, {}, c.revision);
  out.add(METRICS.configAcked, {}, c.acked);
  out.add(METRICS.configQuarantined, {}, c.quarantined ? 1 : 0);
  out.add(METRICS.configProblems, { severity: 'error' }, c.problems.error);
  out.add(METRICS.configProblems, { severity: 'warning' }, c.problems.warning);
  for (const [kind, n] of c.objects) out.add(METRICS.configObjects, { kind }, n);
  if (c.cluster !== null) addCluster(out, c.cluster);
  out.add(METRICS.cpu, {}, c.cpuSeconds);
  out.add(METRICS.rss, {}, c.rssBytes);
  out.add(METRICS.start, {}, c.startSeconds);
}
