// What a person reads on the terminal when a program begins to serve: what listens where, which routes there are, and
// how to look further.

import { type StatusReport, socketText, statusLines } from '../admin/status.ts';
import { LIMITS } from '../base/limits.ts';
import type { Entry, RelayEntry, RuleEntry } from '../ir/ir.ts';

export interface Shown {
  /** `HOST:PORT` of the admin server; null where there is none. */
  readonly admin: string | null;
  /** Requests are shown as they end. */
  readonly requests: boolean;
}

export function startSummary(report: StatusReport, entries: Iterable<Entry>, shown: Shown): string[] {
  const wrong = statusLines({ ...report, sockets: [] }, true);
  return [
    '',
    ...section('listening', report.sockets.filter(({ problem }) => problem === null).map(socketText)),
    ...section('not open', report.sockets.filter(({ problem }) => problem !== null).map(socketText)),
    ...section('routes', routeLines(entries)),
    ...section('wrong', wrong),
    ...section('further', furtherLines(shown)),
    '',
  ];
}

const WIDTH = 12;

/** The first lines, the name beside the first one. */
function section(name: string, lines: readonly string[]): string[] {
  const most = LIMITS.SUMMARY_LINES;
  const more = lines.length > most ? [...lines.slice(0, most), `and ${lines.length - most} more`] : lines;
  return more.map((line, i) => `  ${(i === 0 ? name : '').padEnd(WIDTH)}${line}`);
}

/** `HTTPRoute default/app: www.example.com/app, /old`: a route each, in the order of their names. */
function routeLines(entries: Iterable<Entry>): string[] {
  const found = new Map<string, Set<string>>();
  for (const entry of entries) {
    if (entry.kind !== 'rule' && entry.kind !== 'relay') continue;
    const name = `${entry.routeKind} ${entry.route}`;
    const wanted = found.get(name) ?? new Set();
    found.set(name, wanted);
    for (const one of wants(entry)) wanted.add(one);
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, wanted]) => {
      const some = [...wanted].slice(0, LIMITS.NAMES_LISTED);
      const more = wanted.size > some.length ? ` and ${wanted.size - some.length} more` : '';
      return some.length === 0 ? `${name}: attached nowhere` : `${name}: ${some.join(', ')}${more}`;
    });
}

/** Hosts with paths that a rule takes. */
function wants(entry: RuleEntry | RelayEntry): string[] {
  const hosts = new Set(entry.attachments.flatMap(({ hostnames }) => hostnames));
  if (entry.kind === 'relay') return [...hosts].map((host) => (host === '*' ? 'every session' : host));
  return [...hosts].flatMap((host) =>
    entry.matches.map(({ path: { type, value }, method }) => {
      const path = type === 'RegularExpression' ? `~${value}` : type === 'Exact' ? `${value} exactly` : value;
      return `${method === '' ? '' : `${method} `}${host === '*' ? '' : host}${path}`;
    }),
  );
}

function furtherLines({ admin, requests }: Shown): string[] {
  const pages =
    admin === null
      ? []
      : [
          `http://${admin}/   state, problems and pages`,
          `rauta status --admin ${admin}`,
          ...(requests ? [] : [`curl -sN 'http://${admin}/requests?follow'   requests as they end`]),
        ];
  return [...pages, ...(requests ? [] : ['--access-log -   shows requests here, a line each']), 'Ctrl-C ends in order'];
}
