// The admin server. It never meets the traffic that RAUTA proxies: Node's own HTTP server is good enough here.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP, type Socket } from 'node:net';
import { LIMITS } from '../base/limits.ts';
import { LEVELS, type Level, visible } from '../base/log.ts';
import { describe } from '../telemetry/recent.ts';
import type { View } from './view.ts';

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  /** Names besides localhost and IP addresses that the Host field may carry (against DNS rebinding). */
  readonly allowedHosts: readonly string[];
  /** Opens everything on a bind that is not loopback; null: only metrics and probes there. */
  readonly token: string | null;
  /** The second bind of the read-only pages: nothing that changes something. */
  readonly readOnly: boolean;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

type Page = (view: View, url: URL, request: IncomingMessage) => Answer;

const TEXT = 'text/plain; charset=utf-8';

function json(value: unknown, status = 200): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}
function text(body: string, status = 200): Answer {
  return { status, type: TEXT, body };
}

/** Answered on every bind, to everybody. */
const OPEN: Readonly<Record<string, Page>> = {
  '/livez': () => text('ok\n'),
  '/healthz': () => text('ok\n'),
  '/readyz': (view) => {
    const { ready, reason } = view.ready();
    return text(`${ready ? 'ok' : reason}\n`, ready ? 200 : 503);
  },
  '/metrics': (view) => ({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: view.metrics() }),
};

/** On loopback, or with the token. */
const GUARDED: Readonly<Record<string, Page>> = {
  '/': () =>
    text(
      `${Object.keys({ ...OPEN, ...GUARDED })
        .filter((p) => p !== '/')
        .join('\n')}\n`,
    ),
  '/requests': requests,
  '/config': (view) => json(view.config()),
  '/config/problems': (view) => json(view.problems()),
  '/config/ir': (view) => json(view.ir()),
  '/workers': (view) => json(view.workers()),
  '/clusters': (view) => json(view.clusters()),
  '/version': (view) => json(view.version()),
};

function requests(view: View, url: URL, request: IncomingMessage): Answer {
  const limit = url.searchParams.get('limit') ?? '100';
  if (!/^\d{1,5}$/.test(limit)) return text(`limit: '${limit}' is not a number\n`, 400);
  const route = url.searchParams.get('route');
  const status = url.searchParams.get('status');
  if (status !== null && !/^([1-5]xx|\d{3})$/i.test(status))
    return text(`status: '${status}' is neither a status nor a class like 5xx\n`, 400);
  const lines = view.requests({
    limit: Number(limit),
    ...(route === null ? {} : { route }),
    ...(status === null ? {} : { status }),
  });
  if ((request.headers.accept ?? '').includes('application/json')) return json(lines);
  return text(lines.map((line) => `${visible(describe(line))}\n`).join(''));
}

export class AdminServer {
  readonly #view: View;
  readonly #options: AdminOptions;
  readonly #server: Server;
  readonly #loopback: boolean;
  /** Connections, the one that asked last at the end. */
  readonly #sockets = new Set<Socket>();

  constructor(view: View, options: AdminOptions) {
    this.#view = view;
    this.#options = options;
    this.#loopback = isLoopback(options.host);
    this.#server = createServer({ maxHeaderSize: 16_384 }, (request, response) => this.#serve(request, response));
    this.#server.headersTimeout = LIMITS.ADMIN_REQUEST_MS;
    this.#server.requestTimeout = LIMITS.ADMIN_REQUEST_MS;
    this.#server.on('connection', (socket: Socket) => this.#connected(socket));
  }

  /** Past the limit the one that has been quiet the longest goes: idle connections must not keep a probe out. */
  #connected(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    if (this.#sockets.size <= LIMITS.ADMIN_CONNECTIONS) return;
    for (const quietest of this.#sockets) {
      quietest.destroy();
      this.#sockets.delete(quietest);
      break;
    }
  }

  /** Resolves with the port it listens on; rejects with the system's error. */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.port, this.#options.host, () =>
        resolve((this.#server.address() as AddressInfo).port),
      );
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    if (this.#sockets.delete(request.socket)) this.#sockets.add(request.socket);
    let answer: Answer;
    try {
      answer = this.#hostAllowed(request.headers.host ?? '')
        ? this.#route(request, response)
        : text('the Host field must be an IP address, localhost or a name of --admin-allowed-hosts\n', 403);
    } catch (error) {
      answer = text(`${error instanceof Error ? error.message : String(error)}\n`, 500);
    }
    if (response.headersSent || answer.status === 0) return;
    response.writeHead(answer.status, {
      'content-type': answer.type,
      'content-length': Buffer.byteLength(answer.body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  #route(request: IncomingMessage, response: ServerResponse): Answer {
    const url = URL.parse(request.url ?? '/', 'http://admin');
    if (url === null) return text('malformed target\n', 400);
    const open = OPEN[url.pathname];
    const page = open ?? GUARDED[url.pathname];
    const isLevel = url.pathname === '/log-level';
    if (page === undefined && !isLevel) return text('not found\n', 404);
    if (open === undefined && !this.#mayAsk(request)) {
      return text('only metrics and probes are open here; the rest needs the token of --admin-token-file\n', 403);
    }
    if (isLevel) return this.#logLevel(request, response);
    if (request.method !== 'GET' && request.method !== 'HEAD') return text('GET or HEAD only\n', 405);
    return (page as Page)(this.#view, url, request);
  }

  #logLevel(request: IncomingMessage, response: ServerResponse): Answer {
    if (request.method !== 'PUT' || this.#options.readOnly) return text('PUT only, on the admin bind\n', 405);
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (part: string) => {
      body += part;
      if (body.length > 64) request.destroy();
    });
    request.on('end', () => {
      const level = body.trim() as Level;
      const known = LEVELS.includes(level);
      if (known) this.#view.setLogLevel(level);
      response.writeHead(known ? 200 : 400, { 'content-type': TEXT });
      response.end(known ? `${level}\n` : `the body must be one of ${LEVELS.join(', ')}\n`);
    });
    return { status: 0, type: TEXT, body: '' };
  }

  #mayAsk(request: IncomingMessage): boolean {
    if (this.#loopback) return true;
    const { token } = this.#options;
    if (token === null) return false;
    const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
    return timingSafeEqual(digest(given), digest(token));
  }

  /** Against DNS rebinding: a page in a browser can only make it send a name of its own. */
  #hostAllowed(field: string): boolean {
    const host = field.replace(/:\d+$/, '').toLowerCase();
    if (isIP(host.replace(/^\[|\]$/g, '')) !== 0 || host === 'localhost') return true;
    return this.#options.allowedHosts.some((name) => name.toLowerCase() === host);
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}
