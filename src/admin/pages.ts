// What the admin server has pages for: who may see each, which parameters it takes, and what it answers.

import { LIMITS } from '../base/limits.ts';
import { visible, visibleJson } from '../base/steering.ts';
import { describe, type RequestFilter } from '../telemetry/recent.ts';
import { frontPage } from './front.ts';
import { statusLines } from './status.ts';
import type { View } from './view.ts';

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** What the client asks for by its Accept field: a browser `html`, a program `json`, anything else `text`. */
export type Form = 'json' | 'html' | 'text';

export interface Page {
  /** One line for who looks for it. */
  readonly what: string;
  /** Answered on every bind, to everybody; others on loopback, or with the token. */
  readonly open: boolean;
  /** Query parameters it takes; any other is refused. */
  readonly parameters: readonly string[];
  /** That of them which may be there more than once. */
  readonly many?: string;
  answer(view: View, query: URLSearchParams, form: Form): Answer;
}

const TEXT = 'text/plain; charset=utf-8';
export const HTML = 'text/html; charset=utf-8';
const PATH_WIDTH = 20;

export function text(body: string, status = 200): Answer {
  return { status, type: TEXT, body };
}

function json(value: unknown): Answer {
  return { status: 200, type: 'application/json', body: `${visibleJson(JSON.stringify(value, null, 2))}\n` };
}

function openPage(what: string, answer: Page['answer']): Page {
  return { what, open: true, parameters: [], answer };
}

function guarded(what: string, answer: (view: View) => unknown): Page {
  return { what, open: false, parameters: [], answer: (view) => json(answer(view)) };
}

export const PAGES: ReadonlyMap<string, Page> = new Map([
  ['/', { what: 'this page', open: false, parameters: [], answer: front }],
  [
    '/status',
    { what: 'what listens, what became of each object, what is wrong', open: false, parameters: [], answer: status },
  ],
  [
    '/requests',
    {
      what: 'the newest requests; ?follow, ?status=5xx, ?route=NAMESPACE/NAME, ?limit=N',
      open: false,
      parameters: ['follow', 'limit', 'route', 'status'],
      answer: requests,
    },
  ],
  [
    '/explain',
    {
      what: 'what becomes of a request: ?method=GET&url=http://HOST/PATH',
      open: false,
      parameters: ['method', 'url', 'header', 'sni', 'client', 'listener'],
      many: 'header',
      answer: explanation,
    },
  ],
  ['/config/problems', guarded('what is wrong, with its place', (view) => view.problems())],
  ['/config', guarded('objects with their status', (view) => view.config())],
  ['/config/ir', guarded('what workers are given', (view) => view.ir())],
  ['/clusters', guarded('backends with their endpoints and load', (view) => view.clusters())],
  ['/workers', guarded('processes, revisions, restarts', (view) => view.workers())],
  ['/certificates', guarded('certificates that listeners show, and when they end', (view) => view.certificates())],
  ['/kubernetes', guarded('how the API server is followed', (view) => view.kubernetes())],
  [
    '/metrics',
    openPage('for Prometheus', (view) => ({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: view.metrics(),
    })),
  ],
  ['/readyz', openPage('whether it is ready, and if not why', readiness)],
  ['/livez', openPage('whether the controller lives', () => text('ok\n'))],
  ['/healthz', openPage('the same', () => text('ok\n'))],
  ['/version', guarded('of this program, of Node and of the Gateway API', (view) => view.version())],
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

/** For a browser the state of the program; for anything else the pages there are. */
function front(view: View, _query: URLSearchParams, form: Form): Answer {
  const links = [...PAGES].filter(([path]) => path !== '/').map(([path, { what }]) => ({ path, what }));
  if (form !== 'html') return text(links.map(({ path, what }) => `${path.padEnd(PATH_WIDTH)}${what}\n`).join(''));
  const newest = view.requests({ limit: LIMITS.FRONT_REQUESTS }).map(describe);
  return { status: 200, type: HTML, body: frontPage(view.status(), newest, links) };
}

/** `ok`, or why not; an installation with nothing to serve is ready and says so. */
function readiness(view: View): Answer {
  const { ready, reason } = view.ready();
  return text(`${visible(reason === '' ? 'ok' : reason)}\n`, ready ? 200 : 503);
}

function status(view: View, _query: URLSearchParams, form: Form): Answer {
  const report = view.status();
  return form === 'json'
    ? json(report)
    : text(
        statusLines(report, false)
          .map((line) => `${line}\n`)
          .join(''),
      );
}

function requests(view: View, query: URLSearchParams, form: Form): Answer {
  const filter = filterOf(query);
  if (typeof filter === 'string') return text(filter, 400);
  const lines = view.requests(filter);
  if (form === 'json') return json(lines);
  return text(lines.map((line) => `${visible(describe(line))}\n`).join(''));
}

/** What becomes of a request that nobody sends. */
function explanation(view: View, query: URLSearchParams, form: Form): Answer {
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
  return form === 'json' ? json(told.told) : text(told.lines.map((line) => `${visible(line)}\n`).join(''));
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
