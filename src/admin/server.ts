// The admin server. It never meets the traffic that RAUTA proxies: Node's own HTTP server is good enough here, with
// bounds on what it keeps for those who ask and do not read.

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import {
  type AddressInfo,
  createServer as createNetServer,
  isIP,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import { LIMITS } from '../base/limits.ts';
import { LEVELS, type Level } from '../base/log.ts';
import { visible } from '../base/steering.ts';
import { follow } from './follow.ts';
import { Health } from './health.ts';
import { type Answer, type Form, filterOf, HTML, PAGES, type Page, queryFault, text } from './pages.ts';
import type { Renderings } from './renderings.ts';
import type { View } from './view.ts';

export interface AdminOptions {
  /** What it is bound to: whether that is loopback decides who may see what. */
  readonly host: string;
  /** Names besides localhost and IP addresses that the Host field may carry (against DNS rebinding). */
  readonly allowedHosts: readonly string[];
  /** What opens everything on a bind that is not loopback; null: only metrics and probes there. Never ''. */
  readonly token: () => string | null;
  /** The second bind of the read-only pages: nothing that changes something. */
  readonly readOnly: boolean;
  /** How long a request may take to come; ADMIN_REQUEST_MS if not given. */
  readonly requestMs?: number;
}

/** `PRI * HTTP/2.0` (RFC 9113 section 3.4): no method of HTTP/1 that is answered here begins with it. */
const PREFACE = 0x50;
const PREFACE_NEXT = 0x52;

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const BUSY = 'other readers have not taken their answers yet; try again later\n';

/** Requests of one connection: one is answered at a time, the others wait, in order. */
interface Turns {
  readonly waiting: (readonly [IncomingMessage, ServerResponse])[];
}

export class AdminServer {
  readonly #view: View;
  readonly #options: AdminOptions;
  readonly #renderings: Renderings;
  /** Takes connections, and gives each to the protocol that it begins with. */
  readonly #door: NetServer;
  readonly #server: Server;
  readonly #health: Health;
  readonly #loopback: boolean;
  readonly #requestMs: number;
  /** Connections, the one that asked last at the end. */
  readonly #sockets = new Set<Socket>();
  /** Of connections with a request that is being answered. */
  readonly #turns = new Map<Socket, Turns>();
  #followers = 0;

  /** `renderings` may be shared by several servers. */
  constructor(view: View, options: AdminOptions, renderings: Renderings) {
    this.#view = view;
    this.#options = options;
    this.#renderings = renderings;
    this.#loopback = isLoopback(options.host);
    const requestMs = options.requestMs ?? LIMITS.ADMIN_REQUEST_MS;
    this.#requestMs = requestMs;
    const settings = { maxHeaderSize: 16_384, connectionsCheckingInterval: requestMs / 5 };
    // By an import statement it would bring a client for the web with it (proxy/phrases.ts).
    const { createServer } = process.getBuiltinModule('node:http');
    this.#server = createServer(settings, (request, response) => this.#take(request, response));
    this.#server.headersTimeout = requestMs;
    this.#server.requestTimeout = requestMs;
    // It never listens itself, and looks after the time of requests only once it believes that it does.
    this.#server.emit('listening');
    this.#health = new Health(() => view.ready().ready);
    this.#door = createNetServer({ noDelay: true }, (socket) => this.#connected(socket));
  }

  /** Past the limit the one that has been quiet the longest goes: idle connections must not keep a probe out. */
  #connected(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#open(socket);
    if (this.#sockets.size <= LIMITS.ADMIN_CONNECTIONS) return;
    for (const quietest of this.#sockets) {
      quietest.destroy();
      this.#sockets.delete(quietest);
      break;
    }
  }

  /** A connection that begins with HTTP/2's preface asks for its health; all others are of HTTP/1. */
  #open(socket: Socket): void {
    const slow = setTimeout(() => socket.destroy(), this.#requestMs);
    socket.once('close', () => clearTimeout(slow));
    // Who resets it has said all that there is to say; its protocol has a listener of its own.
    socket.on('error', () => {});
    socket.once('readable', () => {
      clearTimeout(slow);
      const first = socket.read() as Buffer | null;
      if (first === null) {
        socket.destroy();
        return;
      }
      socket.unshift(first);
      if (first[0] === PREFACE && first[1] === PREFACE_NEXT) this.#health.take(socket);
      else this.#server.emit('connection', socket);
    });
  }

  /** `fd`: a socket that listens already. Resolves with the port; rejects with the system's error. */
  listen(where: { readonly fd: number } | { readonly host: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#door.once('error', reject);
      this.#door.listen(where, () => resolve((this.#door.address() as AddressInfo).port));
    });
  }

  close(): void {
    this.#door.close();
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** An answer is made when those before it on the same connection have been taken. */
  #take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    if (socket.destroyed) return;
    if (this.#sockets.delete(socket)) this.#sockets.add(socket);
    const turns = this.#turns.get(socket);
    if (turns !== undefined) {
      if (turns.waiting.length < LIMITS.ADMIN_PIPELINED) turns.waiting.push([request, response]);
      else socket.destroy();
      return;
    }
    this.#turns.set(socket, { waiting: [] });
    this.#serve(request, response);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const slow = setTimeout(() => socket.destroy(), LIMITS.ADMIN_RESPONSE_MS);
    response.once('close', () => {
      clearTimeout(slow);
      const next = socket.destroyed ? undefined : this.#turns.get(socket)?.waiting.shift();
      if (next === undefined) this.#turns.delete(socket);
      else this.#serve(...next);
    });
    try {
      // One that follows is not answered in the end.
      if (this.#route(request, response)) clearTimeout(slow);
    } catch (error) {
      respond(response, text(`${error instanceof Error ? error.message : String(error)}\n`, 500));
    }
  }

  /** Whether the answer goes on for as long as its reader stays. */
  #route(request: IncomingMessage, response: ServerResponse): boolean {
    if (!this.#hostAllowed(request.headers.host)) {
      respond(response, text(refusedHost(request.headers.host ?? ''), 403));
      return false;
    }
    const url = URL.parse(request.url ?? '/', 'http://admin');
    if (url === null) {
      respond(response, text('malformed target\n', 400));
      return false;
    }
    const page = PAGES.get(url.pathname);
    const isLevel = url.pathname === '/log-level';
    if (page === undefined && !isLevel) respond(response, text('not found\n', 404));
    else if (page?.open !== true && !this.#mayAsk(request)) {
      const why = this.#loopback ? 'other machines' : 'a bind that is not loopback';
      const rest = 'the rest needs the token of --admin-token-file (Authorization: Bearer TOKEN)';
      respond(response, text(`for ${why} only metrics and probes are open; ${rest}\n`, 403));
    } else if (isLevel) this.#logLevel(request, response);
    else if (request.method !== 'GET' && request.method !== 'HEAD') {
      respond(response, text('GET or HEAD only\n', 405), { allow: 'GET, HEAD' });
    } else return this.#show(page as Page, url, request, response);
    return false;
  }

  #show(page: Page, url: URL, request: IncomingMessage, response: ServerResponse): boolean {
    const query = url.searchParams;
    const form = formOf(request.headers.accept ?? '');
    const fault = queryFault(page, query);
    if (fault !== null) respond(response, text(fault, 400));
    else if ((query.get('follow') ?? 'false') !== 'false')
      return this.#follow(query, form === 'json', request, response);
    else this.#render(page, url, form, request, response);
    return false;
  }

  #follow(query: URLSearchParams, json: boolean, request: IncomingMessage, response: ServerResponse): boolean {
    const filter = filterOf(query);
    if (typeof filter === 'string') respond(response, text(filter, 400));
    else if (this.#followers >= LIMITS.ADMIN_FOLLOWERS) respond(response, text(BUSY, 503), { 'retry-after': '1' });
    else if (request.method === 'HEAD') response.end();
    else {
      this.#followers++;
      response.once('close', () => this.#followers--);
      follow(this.#view.follow(filter), response, json);
      return true;
    }
    return false;
  }

  #render(page: Page, url: URL, form: Form, request: IncomingMessage, response: ServerResponse): void {
    const query = url.searchParams;
    const key = `${form} ${url.pathname}?${query}`;
    const rendering = this.#renderings.take(key, performance.now(), () => page.answer(this.#view, query, form));
    if (rendering === null) {
      respond(response, text(BUSY, 503), { 'retry-after': '1' });
      return;
    }
    response.once('close', () => this.#renderings.release(key, rendering));
    response.writeHead(rendering.status, fields(rendering.type, rendering.bytes.length));
    response.end(request.method === 'HEAD' ? undefined : rendering.bytes);
  }

  #logLevel(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'PUT' || this.#options.readOnly) {
      respond(response, text('PUT only, on the admin bind\n', 405), { allow: 'PUT' });
      return;
    }
    let body = '';
    let bytes = 0;
    const large = (): void =>
      respond(response, text(`a level has at most ${LIMITS.ADMIN_BODY_BYTES} bytes\n`, 413), { connection: 'close' });
    request.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= LIMITS.ADMIN_BODY_BYTES) body += part.toString('latin1');
      // So much is read to its end first: closing on bytes that are under way could cost the client its answer.
      else if (bytes > LIMITS.ADMIN_DISCARDED_BYTES && !response.headersSent) large();
    });
    request.on('end', () => {
      if (response.headersSent) return;
      if (bytes > LIMITS.ADMIN_BODY_BYTES) {
        large();
        return;
      }
      const level = body.trim() as Level;
      const known = LEVELS.includes(level);
      if (known) this.#view.setLogLevel(level);
      respond(response, known ? text(`${level}\n`) : text(`the body must be one of ${LEVELS.join(', ')}\n`, 400));
    });
  }

  #mayAsk(request: IncomingMessage): boolean {
    if (this.#loopback && isLoopback(request.socket.remoteAddress ?? '')) return true;
    const token = this.#options.token();
    const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === null || token === '' || given === undefined) return false;
    // Digests have one length, so that the time tells nothing, not even how long the token is.
    const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
    return timingSafeEqual(digest(given), digest(token));
  }

  /**
   * Against DNS rebinding: a page in a browser can only make it send a name of its own. Without the field (HTTP/1.0, as
   * simple probes speak it) it is no browser.
   */
  #hostAllowed(field: string | undefined): boolean {
    if (field === undefined) return true;
    const host = field.replace(/:\d+$/, '').toLowerCase();
    if (isIP(host.replace(/^\[|\]$/g, '')) !== 0 || host === 'localhost') return true;
    return this.#options.allowedHosts.some((name) => name.toLowerCase() === host);
  }
}

function refusedHost(field: string): string {
  const host = visible(field.replace(/:\d+$/, ''));
  const guard = 'so that no page in a browser can ask here under a name of its own';
  return `Host '${host}' is not an IP address, localhost or a name of --admin-allowed-hosts (${guard})\n`;
}

/** A browser names HTML; what names neither is given text. */
function formOf(accept: string): Form {
  return accept.includes('application/json') ? 'json' : accept.includes('text/html') ? 'html' : 'text';
}

function fields(type: string, length: number): Record<string, string | number> {
  return {
    'content-type': type,
    'content-length': length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // Nothing is loaded, run or sent anywhere, and no page of others frames it.
    ...(type === HTML ? { 'content-security-policy': POLICY, 'referrer-policy': 'no-referrer' } : {}),
  };
}

/** A short answer of our own. */
function respond(response: ServerResponse, answer: Answer, more: Readonly<Record<string, string>> = {}): void {
  const { status, type, body } = answer;
  response.writeHead(status, { ...fields(type, Buffer.byteLength(body)), ...more });
  response.end(body);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(::ffff:)?127\./.test(host);
}
