// Prometheus text format 0.0.4 from the cells of all workers, under 1,000 series by default: past the ceilings the rest
// of the routes and backends is summed as `other`.

import { FAULTS } from '../base/errors.ts';
import { METRICS, type Metric } from './catalogue.ts';
import { BACKEND_ERRORS, CELL, CODES, DURATION_BUCKETS, ENDPOINT, LIMITED, METHODS, ROUTE } from './layout.ts';

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

/** Reads what one label counted at an offset of its block (telemetry/layout.ts ROUTE or ENDPOINT). */
export type Value = (offset: number) => number;

export function addRoute(out: Exposition, route: string, value: Value): void {
  let any = 0;
  for (let m = 0; m < METHODS.length; m++)
    for (let c = 0; c < CODES.length; c++) {
      const n = value(ROUTE.REQUESTS + m * CODES.length + c);
      if (n === 0) continue;
      any += n;
      out.add(METRICS.requests, { route, method: METHODS[m] as string, code: codeLabel(CODES[c] as number) }, n);
    }
  if (any === 0) return;
  let cumulative = 0;
  for (let i = 0; i <= DURATION_BUCKETS.length; i++) {
    cumulative += value(ROUTE.DURATION + i);
    const le = i < DURATION_BUCKETS.length ? String(DURATION_BUCKETS[i]) : '+Inf';
    out.add(METRICS.duration, { route, le }, cumulative, '_bucket');
  }
  out.add(METRICS.duration, { route }, value(ROUTE.DURATION_SUM), '_sum');
  out.add(METRICS.duration, { route }, cumulative, '_count');
  out.add(METRICS.requestBytes, { route }, value(ROUTE.REQUEST_BYTES));
  out.add(METRICS.responseBytes, { route }, value(ROUTE.RESPONSE_BYTES));
}

function codeLabel(code: number): string {
  return code === 0 ? 'other' : String(code);
}

export function addEndpoint(
  out: Exposition,
  labels: { backend: string; pod: string; zone: string },
  value: Value,
): void {
  const requests = value(ENDPOINT.REQUESTS);
  if (requests > 0) out.add(METRICS.backendRequests, labels, requests);
}

/** Errors of one backend over all its endpoints. */
export function addBackendErrors(out: Exposition, backend: string, value: Value): void {
  BACKEND_ERRORS.forEach((kind, i) => {
    const n = value(ENDPOINT.ERRORS + i);
    if (n > 0) out.add(METRICS.backendErrors, { backend, kind }, n);
  });
}

/** The cells every worker has. */
export function addFixed(out: Exposition, sum: Sum): void {
  out.add(METRICS.connections, {}, sum(CELL.CONNECTIONS));
  out.add(METRICS.connectionsTotal, {}, sum(CELL.CONNECTIONS_TOTAL));
  out.add(METRICS.requestsActive, {}, sum(CELL.REQUESTS_ACTIVE));
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
  out.add(METRICS.logLines, {}, sum(CELL.LOG_LINES_TOTAL));
  out.add(METRICS.logDropped, {}, sum(CELL.LOG_DROPPED_TOTAL));
  out.add(METRICS.configRefused, {}, sum(CELL.REVISIONS_REFUSED_TOTAL));
  LIMITED.forEach((limit, i) => {
    const n = sum(CELL.LIMIT_REACHED + i);
    if (n > 0) out.add(METRICS.limits, { limit }, n);
  });
  Object.values(FAULTS).forEach((fault, i) => {
    const n = sum(CELL.FAULT + i);
    if (n > 0) out.add(METRICS.faults, { kind: fault.kind, source: fault.source, flag: fault.flag }, n);
  });
}
