// Prometheus text format 0.0.4: what each number is called when it is printed.

import { METRICS, type Metric } from './catalogue.ts';
import type { Cells } from './cells.ts';
import { type GrpcMethods, OTHER_METHODS } from './grpc-methods.ts';
import {
  AUTH_VERDICTS,
  authCell,
  BACKEND_ERROR,
  BACKEND_ERROR_LABELS,
  BACKEND_TLS,
  backendTlsCell,
  CALLS,
  CELL,
  CODES,
  callsCell,
  DATAGRAM_DIRECTIONS,
  DATAGRAM_RESULTS,
  DURATION_BUCKETS,
  datagramsCell,
  ENDPOINT,
  FAULT_CELLS,
  GRPC_CODES,
  grpcOffset,
  HTTP2_CODES,
  handshakeCell,
  http2Cell,
  LIMIT_CELLS,
  METHODS,
  ROUTE,
  requestsOffset,
  SESSION_ENDS,
  SESSION_PROTOCOLS,
  sessionsCell,
  sessionsOffset,
  TLS_REFUSALS,
  TLS_SIDES,
  TUNNEL_KINDS,
  tlsRefusalCell,
  tunnelCell,
} from './layout.ts';

export type Labels = Readonly<Record<string, string>>;
/** Reads one cell, summed over every worker slot. */
export type Sum = (cell: number) => number;

/** Collects samples and prints each metric once, in the order of first use. */
export class Exposition {
  readonly #parts = new Map<Metric, string[]>();

  /** One sample; `suffix` for the parts of a histogram. */
  add(metric: Metric, labels: Labels, value: number, suffix = ''): void {
    let lines = this.#parts.get(metric);
    if (lines === undefined) {
      lines = [];
      this.#parts.set(metric, lines);
    }
    lines.push(`${metric.name}${suffix}${labelText(labels)} ${numberText(value)}\n`);
  }

  text(): string {
    let out = '';
    for (const [metric, lines] of this.#parts) {
      out += `# HELP ${metric.name} ${metric.help}\n# TYPE ${metric.name} ${metric.type}\n${lines.join('')}`;
    }
    return out;
  }
}

function labelText(labels: Labels): string {
  const names = Object.keys(labels);
  if (names.length === 0) return '';
  return `{${names.map((n) => `${n}="${escapeLabel(labels[n] as string)}"`).join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
}

function numberText(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(12)));
}

/** What a route is called, and its kind (HTTPRoute; '' where there is no single one). */
export type RouteLabels = { readonly route: string; readonly kind: string };

/** `counts`: the table of ROUTE (telemetry/layout.ts). A route without requests has no series. */
export function addRoute(out: Exposition, labels: RouteLabels, counts: Float64Array): void {
  const at = (offset: number): number => counts[offset] as number;
  let any = 0;
  METHODS.forEach((method, m) => {
    for (const code of CODES) {
      const n = at(requestsOffset(m, code));
      if (n === 0) continue;
      any += n;
      out.add(METRICS.requests, { ...labels, method, code: code === 0 ? 'other' : String(code) }, n);
    }
  });
  for (const [i, protocol] of SESSION_PROTOCOLS.entries()) {
    for (const end of SESSION_ENDS) {
      const n = at(sessionsOffset(i, end));
      if (n > 0) out.add(METRICS.sessionsTotal, { route: labels.route, protocol, end }, n);
    }
  }
  for (let code = 0; code < GRPC_CODES; code++) {
    const n = at(grpcOffset(code));
    if (n > 0) out.add(METRICS.grpc, { ...labels, grpc_status: String(code) }, n);
  }
  if (any === 0) return;
  let cumulative = 0;
  for (let i = 0; i <= DURATION_BUCKETS.length; i++) {
    cumulative += at(ROUTE.DURATION + i);
    const le = i < DURATION_BUCKETS.length ? String(DURATION_BUCKETS[i]) : '+Inf';
    out.add(METRICS.duration, { ...labels, le }, cumulative, '_bucket');
  }
  out.add(METRICS.duration, labels, at(ROUTE.DURATION_SUM_US) / 1e6, '_sum');
  out.add(METRICS.duration, labels, cumulative, '_count');
  out.add(METRICS.requestBytes, labels, at(ROUTE.REQUEST_BYTES));
  out.add(METRICS.responseBytes, labels, at(ROUTE.RESPONSE_BYTES));
}

/** `counts`: the table of ENDPOINT (telemetry/layout.ts). */
export function addEndpoint(
  out: Exposition,
  labels: { backend: string; pod: string; zone: string },
  counts: Float64Array,
): void {
  const requests = counts[ENDPOINT.REQUESTS] as number;
  if (requests > 0) out.add(METRICS.backendRequests, labels, requests);
}

/** Errors of one backend by kind: `counts` of all its endpoints together. */
export function addBackendErrors(out: Exposition, backend: string, counts: Float64Array): void {
  for (const [kind, n] of backendErrors(counts)) if (n > 0) out.add(METRICS.backendErrors, { backend, kind }, n);
}

/** The errors in the table of ENDPOINT, by label. */
export function backendErrors(counts: Float64Array): [kind: string, count: number][] {
  return (Object.keys(BACKEND_ERROR) as (keyof typeof BACKEND_ERROR)[]).map((name) => [
    BACKEND_ERROR_LABELS[name],
    counts[ENDPOINT.ERRORS + BACKEND_ERROR[name]] as number,
  ]);
}

/** Calls of gRPC by the names of their methods. Two workers may have given one name to two rows at once. */
export function addMethods(out: Exposition, methods: GrpcMethods, slots: readonly Cells[]): void {
  const byPath = new Map<string, { labels: Labels; calls: Float64Array }>();
  for (const { row, service, method } of [...methods.named(), OTHER_METHODS]) {
    const path = `${service}/${method}`;
    const one = byPath.get(path) ?? { labels: { service, method }, calls: new Float64Array(CALLS.SIZE) };
    byPath.set(path, one);
    for (const cells of slots) cells.addTo(callsCell(row), CALLS.SIZE, one.calls, 0);
  }
  for (const { labels, calls } of byPath.values()) addMethod(out, labels, calls);
}

function addMethod(out: Exposition, labels: Labels, calls: Float64Array): void {
  let any = 0;
  for (let code = 0; code < GRPC_CODES; code++) {
    const n = calls[CALLS.BY_CODE + code] as number;
    any += n;
    if (n > 0) out.add(METRICS.grpcMethods, { ...labels, grpc_status: String(code) }, n);
  }
  if (any > 0) out.add(METRICS.grpcMethodSeconds, labels, (calls[CALLS.SUM_US] as number) / 1e6);
}

/** The cells every worker has. */
export function addFixed(out: Exposition, sum: Sum): void {
  out.add(METRICS.connections, {}, sum(CELL.CONNECTIONS));
  out.add(METRICS.connectionsTotal, {}, sum(CELL.CONNECTIONS_TOTAL));
  out.add(METRICS.requestsActive, {}, sum(CELL.REQUESTS_ACTIVE));
  for (const kind of TUNNEL_KINDS) out.add(METRICS.tunnels, { kind }, sum(tunnelCell(kind)));
  for (const [i, protocol] of SESSION_PROTOCOLS.entries())
    out.add(METRICS.sessions, { protocol }, sum(sessionsCell(i)));
  for (const direction of DATAGRAM_DIRECTIONS) {
    for (const result of DATAGRAM_RESULTS)
      out.add(METRICS.datagrams, { direction, result }, sum(datagramsCell(direction, result)));
  }
  out.add(METRICS.bytes, { direction: 'downstream_read' }, sum(CELL.BYTES_DOWNSTREAM_READ));
  out.add(METRICS.bytes, { direction: 'downstream_written' }, sum(CELL.BYTES_DOWNSTREAM_WRITTEN));
  out.add(METRICS.bytes, { direction: 'upstream_read' }, sum(CELL.BYTES_UPSTREAM_READ));
  out.add(METRICS.bytes, { direction: 'upstream_written' }, sum(CELL.BYTES_UPSTREAM_WRITTEN));
  const idle = sum(CELL.UPSTREAM_IDLE);
  out.add(METRICS.upstreamConnections, { state: 'idle' }, idle);
  out.add(METRICS.upstreamConnections, { state: 'busy' }, sum(CELL.UPSTREAM_CONNECTIONS) - idle);
  out.add(METRICS.upstreamConnects, {}, sum(CELL.UPSTREAM_CONNECTS_TOTAL));
  out.add(METRICS.upstreamConnectFailures, {}, sum(CELL.UPSTREAM_CONNECT_FAILURES_TOTAL));
  out.add(METRICS.upstreamReused, {}, sum(CELL.UPSTREAM_REUSED_TOTAL));
  out.add(METRICS.upstreamRetries, {}, sum(CELL.UPSTREAM_RETRIES_TOTAL));
  out.add(METRICS.mirrors, { result: 'sent' }, sum(CELL.MIRRORS_TOTAL));
  out.add(METRICS.mirrors, { result: 'dropped' }, sum(CELL.MIRRORS_DROPPED_TOTAL));
  out.add(METRICS.mirrors, { result: 'failed' }, sum(CELL.MIRRORS_FAILED_TOTAL));
  for (const verdict of AUTH_VERDICTS) out.add(METRICS.externalAuth, { verdict }, sum(authCell(verdict)));
  addHandshakes(out, sum);
  addHttp2(out, sum);
  out.add(METRICS.logLines, {}, sum(CELL.LOG_LINES_TOTAL));
  out.add(METRICS.configRefused, {}, sum(CELL.REVISIONS_REFUSED_TOTAL));
  for (const [limit, cell] of LIMIT_CELLS) {
    const n = sum(cell);
    if (n > 0) out.add(METRICS.limits, { limit }, n);
  }
  for (const [{ kind, source, flag }, cell] of FAULT_CELLS) {
    const n = sum(cell);
    if (n > 0) out.add(METRICS.faults, { kind, source, flag }, n);
  }
}

function addHttp2(out: Exposition, sum: Sum): void {
  for (const [i, side] of TLS_SIDES.entries()) {
    out.add(METRICS.http2Streams, { side }, sum(CELL.HTTP2_STREAMS + i));
    for (const [number, code] of HTTP2_CODES.entries()) {
      const resets = sum(http2Cell('resets', side, number));
      if (resets > 0) out.add(METRICS.http2Resets, { side, code }, resets);
      const goaways = sum(http2Cell('goaways', side, number));
      if (goaways > 0) out.add(METRICS.http2Goaways, { side, code }, goaways);
    }
  }
}

function addHandshakes(out: Exposition, sum: Sum): void {
  for (const side of TLS_SIDES) {
    for (const tls13 of [false, true]) {
      for (const resumed of [false, true]) {
        const n = sum(handshakeCell(side, tls13, resumed));
        const version = tls13 ? 'TLSv1.3' : 'TLSv1.2';
        if (n > 0) out.add(METRICS.tlsHandshakes, { side, version, resumed: String(resumed), result: 'ok' }, n);
      }
    }
  }
  for (const result of TLS_REFUSALS) {
    const n = sum(tlsRefusalCell(result));
    if (n > 0) out.add(METRICS.tlsHandshakes, { side: 'downstream', version: '', resumed: '', result }, n);
  }
  for (const error of BACKEND_TLS) {
    const n = sum(backendTlsCell(error));
    const result = error.slice('TLS_'.length).toLowerCase();
    if (n > 0) out.add(METRICS.tlsHandshakes, { side: 'upstream', version: '', resumed: '', result }, n);
  }
}
