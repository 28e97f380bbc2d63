// Recent requests: the last lines of the workers' log rings, looked at only when somebody asks.

import { LIMITS } from '../base/limits.ts';
import { visibleJson } from '../base/steering.ts';
import { SESSION_PROTOCOLS } from './layout.ts';
import type { RingReader } from './log-ring.ts';

/** How the access log is written: as workers do, as NCSA httpd does, or as `describe` does for people. */
export const ACCESS_LOG_FORMATS = ['json', 'combined', 'text'] as const;
export type AccessLogFormat = (typeof ACCESS_LOG_FORMATS)[number];

/** A parsed access log line; docs/reference/access-log.md names the fields. */
export type RequestLine = Readonly<Record<string, string | number>>;

export interface RequestFilter {
  readonly route?: string;
  /** A status, or a class like `5xx`. */
  readonly status?: string;
  readonly limit: number;
}

/** Of all workers, newest first. Nothing is kept for this: the lines still stand in the workers' rings. */
export function recent(rings: readonly RingReader[], filter: RequestFilter): RequestLine[] {
  const sources = rings.map((ring) => {
    const lines = ring.newest(LIMITS.RECENT_BYTES).toString('utf8').split('\n');
    lines.pop();
    return lines;
  });
  const out: RequestLine[] = [];
  while (out.length < filter.limit) {
    let newest: string[] | null = null;
    for (const lines of sources)
      if (lines.length > 0 && (newest === null || timeOf(lines) > timeOf(newest))) newest = lines;
    if (newest === null) break;
    const line = parseLine(newest.pop() as string);
    if (line !== null && passes(line, filter)) out.push(line);
  }
  return out;
}

/** Requests as they end, of all workers; one reader's place among them. */
export class Following {
  readonly #rings: readonly RingReader[];
  readonly #filter: RequestFilter;
  readonly #at: number[];
  /** More ended than the last `next` told of. */
  more = false;

  constructor(rings: readonly RingReader[], filter: RequestFilter) {
    this.#rings = rings;
    this.#filter = filter;
    this.#at = rings.map((ring) => ring.end);
  }

  /** What ended since the last time, oldest first, the newest of it. */
  next(): RequestLine[] {
    const out: RequestLine[] = [];
    const most = LIMITS.ADMIN_FOLLOW_BYTES;
    this.more = false;
    this.#rings.forEach((ring, i) => {
      const end = ring.end;
      const bytes = ring.between(this.#at[i] as number, end, most);
      if (bytes === null) this.more = true;
      for (const text of (bytes ?? ring.newest(most)).toString('utf8').split('\n')) {
        const line = text === '' ? null : parseLine(text);
        if (line !== null && passes(line, this.#filter)) out.push(line);
      }
      this.#at[i] = end;
    });
    out.sort((a, b) => (String(a['time']) < String(b['time']) ? -1 : 1));
    const kept = out.slice(Math.max(0, out.length - this.#filter.limit));
    this.more ||= kept.length < out.length;
    return kept;
  }
}

function passes(line: RequestLine, { route, status }: RequestFilter): boolean {
  if (route !== undefined && line['route'] !== route) return false;
  return status === undefined || statusMatches(status, Number(line['status']));
}

/** null: no line of the access log. What a worker left in its ring is not believed to be one. */
export function parseLine(text: string): RequestLine | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const line = value as Record<string, unknown>;
  if (typeof line['time'] !== 'string' || !TIME.test(line['time'])) return null;
  return Object.values(line).every((v) => typeof v === 'string' || typeof v === 'number')
    ? (line as RequestLine)
    : null;
}

const TIME = /^\d{4}-(0[1-9]|1[0-2])-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** `{"time":"2026-01-02T03:04:05.678Z` of the last line: equal lengths, so text order is time order. */
function timeOf(lines: readonly string[]): string {
  return (lines.at(-1) as string).slice(0, 34);
}

function statusMatches(wanted: string, status: number): boolean {
  return /^[1-5]xx$/i.test(wanted) ? Math.floor(status / 100) === Number(wanted[0]) : String(status) === wanted;
}

/** `GET /api/users 200 12ms → 10.0.1.42:8080 [2026-01-02T03:04:05.678Z app.example default/api]` */
export function describe(line: RequestLine): string {
  if (isSession(line)) return describeSession(line);
  const known = [line['time'], line['host'], line['route']].filter((part) => part !== undefined && part !== '');
  const of = known.length === 0 ? '' : ` [${known.join(' ')}]`;
  const to = line['endpoint'] === undefined ? '' : ` → ${line['endpoint']}`;
  const flags = line['flags'] === '' ? '' : ` ${line['flags']}`;
  return `${line['method']} ${line['path']} ${line['status']} ${Math.round(Number(line['duration_ms']))}ms${to}${flags}${of}`;
}

function isSession({ protocol }: RequestLine): boolean {
  return (SESSION_PROTOCOLS as readonly unknown[]).includes(protocol);
}

/** `TCP 1234/5678 bytes 60012ms → 10.0.1.42:5432 idle [2026-01-02T03:04:05.678Z 192.0.2.7 default/db]` */
function describeSession(line: RequestLine): string {
  const of = [line['time'], line['client'], line['sni'], line['route']].filter((part) => part !== undefined);
  const to = line['endpoint'] === undefined ? '' : ` → ${line['endpoint']}`;
  const flags = line['flags'] === '' ? '' : ` ${line['flags']}`;
  const bytes = `${line['request_bytes']}/${line['response_bytes']} bytes`;
  return `${line['protocol']} ${bytes} ${Math.round(Number(line['duration_ms']))}ms${to} ${line['end']}${flags} [${of.join(' ')}]`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The line in the combined format of NCSA httpd, UTC. Quotes and control bytes stay escaped as in JSON. */
export function combined(line: RequestLine): string {
  const time = String(line['time']);
  const stamp = `${time.slice(8, 10)}/${MONTHS[Number(time.slice(5, 7)) - 1]}/${time.slice(0, 4)}:${time.slice(11, 19)} +0000`;
  // Of a session of layer 4 the format has a place for its protocol alone.
  const session = isSession(line);
  const request = session
    ? `- - ${text(line['protocol'])}`
    : `${text(line['method'])} ${text(line['path'])} ${text(line['protocol'])}`;
  const sizes = `${session ? '-' : Number(line['status'])} ${Number(line['response_bytes'])}`;
  return `${text(line['client'])} - - [${stamp}] "${request}" ${sizes} "${text(line['referer'] ?? '-')}" "${text(line['user_agent'] ?? '-')}"\n`;
}

function text(value: string | number | undefined): string {
  return visibleJson(JSON.stringify(String(value ?? '')).slice(1, -1));
}
