// /metrics, /workers and /clusters: who owns which cells is the book's and the publisher's to know, what they mean is
// telemetry's; here the two meet.

import type { ClusterEntry } from '../ir/ir.ts';
import type { CellBook } from '../publish/cells.ts';
import { type Backend, endpointOwner, routeOfOwner } from '../publish/publisher.ts';
import type { WorkerState } from '../stream/messages.ts';
import { backendErrors } from '../telemetry/exposition.ts';
import { BACKEND_TLS, CELL, ENDPOINT } from '../telemetry/layout.ts';
import type { BackendNumbers, EndpointNumbers, Numbers, Owners } from '../telemetry/numbers.ts';

/** Who has labels of his own in /metrics, with his numbers, and the numbers of all others. */
export function ownersOf(book: CellBook, backends: Iterable<Backend>): Owners {
  const routes = [...book.owners('route')].filter((o) => o.exposed).map((o) => o.owner);
  return {
    routes: routes.sort().map((owner) => ({ ...routeOfOwner(owner), counts: book.counts('route', owner) })),
    backends: backendsOf(book, backends),
    otherRoutes: book.other('route'),
    otherEndpoints: book.other('endpoint'),
  };
}

/** A pod that several clusters lead to (two ports of a Service) is one line: labels are told apart by nothing else. */
function backendsOf(book: CellBook, backends: Iterable<Backend>): Iterable<BackendNumbers> {
  const exposed = new Set([...book.owners('endpoint')].filter((o) => o.exposed).map((o) => o.owner));
  const byBackend = new Map<string, Map<string, EndpointNumbers>>();
  for (const { cluster, endpoints } of backends) {
    for (const { id: pod, zone } of endpoints) {
      const owner = endpointOwner(cluster, pod);
      if (!exposed.has(owner)) continue;
      const counts = book.counts('endpoint', owner);
      const byPod = byBackend.get(cluster.backend) ?? new Map<string, EndpointNumbers>();
      byBackend.set(cluster.backend, byPod);
      const known = byPod.get(`${pod} ${zone}`);
      if (known === undefined) byPod.set(`${pod} ${zone}`, { pod, zone, counts: Float64Array.from(counts) });
      else for (let i = 0; i < counts.length; i++) known.counts[i]! += counts[i] as number;
    }
  }
  return [...byBackend].map(([backend, byPod]) => ({ backend, endpoints: [...byPod.values()] }));
}

/** One object per backend with its endpoints: requests so far, in flight, errors by kind. */
export function clustersPage(book: CellBook, backends: Iterable<Backend>): unknown {
  return [...backends].map(({ cluster, endpoints }) => ({
    key: cluster.key,
    backend: cluster.backend,
    protocol: cluster.protocol,
    tls: cluster.tls,
    balancer: cluster.balancer,
    endpoints: endpoints.map((endpoint) => {
      const counts = book.counts('endpoint', endpointOwner(cluster, endpoint.id));
      return {
        ...endpoint,
        requests: counts[ENDPOINT.REQUESTS],
        active: counts[ENDPOINT.ACTIVE],
        connections: counts[ENDPOINT.CONNECTIONS],
        errors: Object.fromEntries(backendErrors(counts)),
        ...(cluster.tls === null ? {} : { tls_error: tlsErrorText(counts) }),
      };
    }),
  }));
}

/** `12 requests, 1 active`: what an explanation says of an endpoint. */
export function endpointLoad(book: CellBook, cluster: ClusterEntry, id: string): string {
  const counts = book.counts('endpoint', endpointOwner(cluster, id));
  const tls = cluster.tls === null ? null : tlsErrorText(counts);
  const errors = [...backendErrors(counts)].filter(([, n]) => n > 0).map(([kind, n]) => `${n} ${kind}`);
  return [
    `${counts[ENDPOINT.REQUESTS]} requests`,
    `${counts[ENDPOINT.ACTIVE]} active`,
    ...errors,
    ...(tls === null ? [] : [tls]),
  ].join(', ');
}

/** What the last connection to an endpoint failed for within TLS, null when it stands; of several workers, of any. */
function tlsErrorText(counts: Float64Array): string | null {
  return BACKEND_TLS[(counts[ENDPOINT.TLS_ERROR] as number) - 1] ?? null;
}

export function workersPage(numbers: Numbers, states: readonly WorkerState[]): unknown {
  return states.map((state) => {
    const cells = numbers.slots[state.slot];
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
