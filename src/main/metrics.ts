// /metrics, /workers and /clusters: the workers' cells put together with what the controller knows.

import type { ClusterEntry } from '../ir/ir.ts';
import type { CellBook } from '../publish/cells.ts';
import { endpointOwner } from '../publish/publisher.ts';
import type { WorkerState } from '../stream/messages.ts';
import { METRICS } from '../telemetry/catalogue.ts';
import type { Cells } from '../telemetry/cells.ts';
import { addBackendErrors, addEndpoint, addFixed, addRoute, Exposition } from '../telemetry/exposition.ts';
import { BACKEND_ERRORS, CELL, ENDPOINT } from '../telemetry/layout.ts';

/** What the controller knows besides the cells. */
export interface ControllerNumbers {
  readonly revision: number;
  readonly acked: number;
  readonly quarantined: boolean;
  readonly problems: { readonly error: number; readonly warning: number };
  readonly objects: ReadonlyMap<string, number>;
  readonly workers: readonly WorkerState[];
  readonly restarts: ReadonlyMap<string, number>;
  readonly storm: boolean;
  readonly startSeconds: number;
}

export class Numbers {
  /** Of each worker slot. */
  readonly slots: Cells[] = [];

  sum = (cell: number): number => {
    let n = 0;
    for (const cells of this.slots) n += cells.get(cell);
    return n;
  };

  exposition(book: CellBook, clusters: Iterable<ClusterEntry>, controller: ControllerNumbers): string {
    const out = new Exposition();
    for (const { owner, exposed } of [...book.owners('route')].sort(byOwner))
      if (exposed) addRoute(out, owner, (offset) => book.value('route', owner, offset));
    addRoute(out, 'other', (offset) => book.other('route', offset));
    this.#addBackends(out, book, clusters);
    addFixed(out, this.sum);
    this.#addWorkers(out, controller);
    addController(out, controller);
    return out.text();
  }

  /** One object per backend with its endpoints: requests so far, in flight, errors by kind. */
  clusters(book: CellBook, clusters: Iterable<ClusterEntry>): unknown {
    return [...clusters].map((cluster) => ({
      key: cluster.key,
      backend: cluster.backend,
      protocol: cluster.protocol,
      balancer: cluster.balancer,
      endpoints: cluster.endpoints.map((endpoint) => {
        const value = (offset: number): number => book.value('endpoint', endpointOwner(cluster, endpoint.id), offset);
        return {
          ...endpoint,
          requests: value(ENDPOINT.REQUESTS),
          active: value(ENDPOINT.ACTIVE),
          connections: value(ENDPOINT.CONNECTIONS),
          errors: Object.fromEntries(BACKEND_ERRORS.map((kind, i) => [kind, value(ENDPOINT.ERRORS + i)])),
        };
      }),
    }));
  }

  workers(states: readonly WorkerState[]): unknown {
    return states.map((state) => {
      const cells = this.slots[state.slot];
      const cell = (id: number): number => cells?.get(id) ?? 0;
      return {
        ...state,
        connections: cell(CELL.CONNECTIONS),
        requests_active: cell(CELL.REQUESTS_ACTIVE),
        requests_total: cell(CELL.REQUESTS_TOTAL),
        upstream_connections: cell(CELL.UPSTREAM_CONNECTIONS),
        cpu_seconds: cell(CELL.CPU_SECONDS),
        resident_memory_bytes: cell(CELL.RSS_BYTES),
        arena_bytes: cell(CELL.ARENA_BYTES),
      };
    });
  }

  #addBackends(out: Exposition, book: CellBook, clusters: Iterable<ClusterEntry>): void {
    const exposed = new Set([...book.owners('endpoint')].filter((o) => o.exposed).map((o) => o.owner));
    for (const cluster of clusters) {
      const named = cluster.endpoints.filter((e) => exposed.has(endpointOwner(cluster, e.id)));
      if (named.length === 0) continue;
      const { backend } = cluster;
      for (const { id, zone } of named) {
        const owner = endpointOwner(cluster, id);
        addEndpoint(out, { backend, pod: id, zone }, (offset) => book.value('endpoint', owner, offset));
      }
      addBackendErrors(out, backend, (offset) =>
        named.reduce((n, e) => n + book.value('endpoint', endpointOwner(cluster, e.id), offset), 0),
      );
    }
    addEndpoint(out, { backend: 'other', pod: 'other', zone: '' }, (offset) => book.other('endpoint', offset));
    addBackendErrors(out, 'other', (offset) => book.other('endpoint', offset));
  }

  #addWorkers(out: Exposition, { workers, restarts, storm }: ControllerNumbers): void {
    for (const state of ['starting', 'serving', 'draining', 'down'])
      out.add(METRICS.workers, { state }, workers.filter((w) => w.state === state).length);
    for (const [cause, n] of restarts) out.add(METRICS.workerRestarts, { cause }, n);
    out.add(METRICS.restartStorm, {}, storm ? 1 : 0);
    this.slots.forEach((cells, index) => {
      const worker = String(index);
      out.add(METRICS.workerCpu, { worker }, cells.get(CELL.CPU_SECONDS));
      out.add(METRICS.workerRss, { worker }, cells.get(CELL.RSS_BYTES));
      out.add(METRICS.workerArena, { worker }, cells.get(CELL.ARENA_BYTES));
      out.add(METRICS.workerTurns, { worker }, cells.get(CELL.TURNS_TOTAL));
    });
  }
}

function byOwner(a: { owner: string }, b: { owner: string }): number {
  return a.owner < b.owner ? -1 : 1;
}

function addController(out: Exposition, c: ControllerNumbers): void {
  out.add(METRICS.configRevision, {}, c.revision);
  out.add(METRICS.configAcked, {}, c.acked);
  out.add(METRICS.configQuarantined, {}, c.quarantined ? 1 : 0);
  out.add(METRICS.configProblems, { severity: 'error' }, c.problems.error);
  out.add(METRICS.configProblems, { severity: 'warning' }, c.problems.warning);
  for (const [kind, n] of c.objects) out.add(METRICS.configObjects, { kind }, n);
  const { user, system } = process.cpuUsage();
  out.add(METRICS.cpu, {}, (user + system) / 1e6);
  out.add(METRICS.rss, {}, process.memoryUsage.rss());
  out.add(METRICS.start, {}, c.startSeconds);
}
