// What the admin server has pages for: who may see each, which parameters it takes, and what it answers.

import { visible, visibleJson } from '../base/steering.ts';
import { describe, type RequestFilter } from '../telemetry/recent.ts';
import { statusLines } from './status.ts';
import type { View } from './view.ts';

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface Page {
  /** Answered on every bind, to everybody; others on loopback, or with the token. */
  readonly open: boolean;
  /** Query parameters it takes; any other is refused. */
  readonly parameters: readonly string[];
  /** That of them which may be there more than once. */
  readonly many?: string;
  /** `json`: the client asked for application/json. */
  answer(view: View, query: URLSearchParams, json: boolean): Answer;
}

const TEXT = 'text/plain; charset=utf-8';

export function text(body: string, status = 200): Answer {
  return { status, type: TEXT, body };
}

function json(value: unknown): Answer {
  return { status: 200, type: 'application/json', body: `${visibleJson(JSON.stringify(value, null, 2))}\n` };
}

function openPage(answer: Page['answer']): Page {
  return { open: true, parameters: [], answer };
}

function guarded(what: (view: View) => unknown): Page {
  return { open: false, parameters: [], answer: (view) => json(what(view)) };
}

export const PAGES: ReadonlyMap<string, Page> = new Map([
  ['/livez', openPage(() => text('ok\n'))],
  ['/healthz', openPage(() => text('ok\n'))],
  ['/readyz', openPage(readiness)],
  [
    '/metrics',
    openPage((view) => ({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: view.metrics() })),
  ],
  ['/', { open: false, parameters: [], answer: index }],
  ['/requests', { open: false, parameters: ['follow', 'limit', 'route', 'status'], answer: requests }],
  [
    '/explain',
    {
      open: false,
      parameters: ['method', 'url', 'header', 'sni', 'client', 'listener'],
      many: 'header',
      answer: explanation,
    },
  ],
  ['/status', { open: false, parameters: [], answer: status }],
  ['/config', guarded((view) => view.config())],
  ['/config/problems', guarded((view) => view.problems())],
  ['/config/ir', guarded((view) => view.ir())],
  ['/workers', guarded((view) => view.workers())],
  ['/clusters', guarded((view) => view.clusters())],
  ['/certificates', guarded((view) => view.certificates())],
  ['/kubernetes', guarded((view) => view.kubernetes())],
  ['/version', guarded((view) => view.version())],
]);

/** What is wrong with a query for `page`, null when nothing is: a misspelt filter must not answer for all. */
export function queryFault(page: Page, query: URLSearchParams): string | null {
  const takes =
    page.parameters.length === 0 ? 'this page takes no parameters' : `this page takes ${page.parameters.join(', ')}`;
  for (const name of query.keys()) {
    if (!page.parameters.includes(name)) return `unknown parameter '${visible(name)}': ${takes}\n`;
    if (name !== page.many && query.getAll(name).length > 1) return `parameter '${name}' is there more than once\n`;
  }
  return null;
}

function index(): Answer {
  const paths = [...PAGES.keys()].filter((path) => path !== '/');
  return text(`${paths.join('\n')}\n`);
}

/** `ok`, or why not; an installation with nothing to serve is ready and says so. */
function readiness(view: View): Answer {
  const { ready, reason } = view.ready();
  return text(`${visible(reason === '' ? 'ok' : reason)}\n`, ready ? 200 : 503);
}

function status(view: View, _query: URLSearchParams, asJson: boolean): Answer {
  const report = view.status();
  return asJson
    ? json(report)
    : text(
        statusLines(report, false)
          .map((line) => `${line}\n`)
          .join(''),
      );
}

function requests(view: View, query: URLSearchParams, asJson: boolean): Answer {
  const filter = filterOf(query);
  if (typeof filter === 'string') return text(filter, 400);
  const lines = view.requests(filter);
  if (asJson) return json(lines);
  return text(lines.map((line) => `${visible(describe(line))}\n`).join(''));
}

/** What becomes of a request that nobody sends. */
function explanation(view: View, query: URLSearchParams, asJson: boolean): Answer {
  const url = query.get('url');
  if (url === null)
    return text('url: which one? (/explain?method=GET&url=http://HOST/PATH&header=Name:%20value)\n', 400);
  const told = view.explain({
    method: query.get('method') ?? 'GET',
    url,
    headers: query.getAll('header'),
    sni: query.get('sni'),
    client: query.get('client'),
    listener: query.get('listener'),
  });
  if (typeof told === 'string') return text(`${visible(told)}\n`, 400);
  return asJson ? json(told.told) : text(told.lines.map((line) => `${visible(line)}\n`).join(''));
}

/** Which requests are asked for, or what is wrong with the question. */
export function filterOf(query: URLSearchParams): RequestFilter | string {
  const limit = query.get('limit') ?? '100';
  if (!/^\d{1,5}$/.test(limit)) return `limit: '${visible(limit)}' is not a number up to 99999\n`;
  const route = query.get('route');
  const status = query.get('status');
  if (status !== null && !/^([1-5]xx|\d{3})$/i.test(status))
    return `status: '${visible(status)}' is neither a status nor a class like 5xx\n`;
  const follow = query.get('follow') ?? '';
  if (!['', 'true', 'false'].includes(follow)) return `follow: '${visible(follow)}' is neither true nor false\n`;
  return {
    limit: Number(limit),
    ...(route === null ? {} : { route }),
    ...(status === null ? {} : { status }),
  };
}
