// grpc.health.v1 by h2c (the health checking protocol of gRPC): whether RAUTA serves, as /readyz says it, for those who
// ask by gRPC. `` and `readiness` are that; `liveness` is always SERVING. Messages are two fields, read by hand.

import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { LIMITS } from '../base/limits.ts';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
const CODE = { OK: 0, NOT_FOUND: 5, RESOURCE_EXHAUSTED: 8, UNIMPLEMENTED: 12, INTERNAL: 13 } as const;

const PREFIX_BYTES = 5;
/** Field 1, a string; field 1, a number. */
const SERVICE = 0x0a;
const STATUS = 0x08;

export class Health {
  readonly #ready: () => boolean;
  /** Made for the first who asks: most never do, and what it is made of is 2 MB. */
  #server: Http2Server | null = null;
  #watches = 0;

  constructor(ready: () => boolean) {
    this.#ready = ready;
  }

  /** A connection that begins as one of HTTP/2 does. */
  take(socket: Socket): void {
    this.#server ??= this.#made();
    this.#server.emit('connection', socket);
  }

  #made(): Http2Server {
    const { createServer } = process.getBuiltinModule('node:http2');
    const server = createServer({ settings: { maxConcurrentStreams: LIMITS.ADMIN_PIPELINED } });
    server.on('stream', (stream, headers) => this.#take(stream as ServerHttp2Stream, headers));
    server.on('sessionError', () => {});
    return server;
  }

  #take(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on('error', () => {});
    const slow = setTimeout(() => stream.close(), LIMITS.ADMIN_REQUEST_MS);
    stream.once('close', () => clearTimeout(slow));
    const parts: Buffer[] = [];
    let bytes = 0;
    stream.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= LIMITS.ADMIN_HEALTH_BYTES) parts.push(part);
    });
    stream.once('end', () => {
      clearTimeout(slow);
      const service = bytes > LIMITS.ADMIN_HEALTH_BYTES ? null : serviceOf(Buffer.concat(parts));
      this.#answer(stream, headers[':path'] as string | undefined, service);
    });
  }

  #answer(stream: ServerHttp2Stream, path: string | undefined, service: string | null): void {
    // Reset, perhaps by a client whose question is whole: there is nobody to answer.
    if (stream.destroyed || stream.closed) return;
    const watches = path === '/grpc.health.v1.Health/Watch';
    if (!watches && path !== '/grpc.health.v1.Health/Check') {
      end(stream, CODE.UNIMPLEMENTED, 'only grpc.health.v1.Health Check and Watch; pages are by HTTP/1.1');
    } else if (service === null) end(stream, CODE.INTERNAL, 'not a HealthCheckRequest');
    else if (watches) this.#watch(stream, service);
    else {
      const status = this.#statusOf(service);
      if (status === SERVICE_UNKNOWN) end(stream, CODE.NOT_FOUND, 'services are readiness (or none) and liveness');
      else {
        begin(stream);
        stream.write(message(status));
        stream.end();
      }
    }
  }

  #statusOf(service: string): number {
    if (service === 'liveness') return SERVING;
    if (service !== '' && service !== 'readiness') return SERVICE_UNKNOWN;
    return this.#ready() ? SERVING : NOT_SERVING;
  }

  /** The status now, and each other one when it comes. */
  #watch(stream: ServerHttp2Stream, service: string): void {
    if (this.#watches >= LIMITS.ADMIN_FOLLOWERS) {
      end(stream, CODE.RESOURCE_EXHAUSTED, 'too many watch already');
      return;
    }
    this.#watches++;
    begin(stream);
    let said = 0;
    const say = (): void => {
      const status = this.#statusOf(service);
      if (status === said || stream.writableNeedDrain) return;
      said = status;
      stream.write(message(status));
    };
    say();
    const timer = setInterval(say, LIMITS.ADMIN_FOLLOW_MS);
    stream.once('close', () => {
      clearInterval(timer);
      this.#watches--;
    });
  }
}

function begin(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(CODE.OK) }));
}

/** Trailers only. */
function end(stream: ServerHttp2Stream, code: number, text: string): void {
  const fields = { 'content-type': 'application/grpc', 'grpc-status': String(code), 'grpc-message': text };
  stream.respond({ ':status': 200, ...fields }, { endStream: true });
}

/** A HealthCheckResponse with its prefix. */
function message(status: number): Buffer {
  return Buffer.from([0, 0, 0, 0, 2, STATUS, status]);
}

/** What a HealthCheckRequest, with its prefix, names; null when it is none. */
function serviceOf(bytes: Buffer): string | null {
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return null;
  const body = bytes.subarray(PREFIX_BYTES);
  if (bytes.readUInt32BE(1) !== body.length) return null;
  if (body.length === 0) return '';
  // Names of ours are short: a length of one byte, and nothing behind it.
  const length = body[1] ?? 0;
  return body[0] === SERVICE && length < 0x80 && body.length === 2 + length ? body.toString('utf8', 2) : null;
}
