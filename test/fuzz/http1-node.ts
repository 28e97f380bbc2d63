// Node's own HTTP/1 parser (llhttp, strict) as an oracle: node:http over streams in memory.

import { createServer, type IncomingMessage, METHODS, request, type Server } from 'node:http';
import { Duplex } from 'node:stream';

/** What Node read. */
export interface Seen {
  readonly start: string;
  readonly fields: readonly string[];
  readonly content: string;
  readonly trailers: readonly string[];
}

/** The messages that Node saw, whole ones only, and why it stopped, '' if for no fault. */
export interface Verdict {
  readonly seen: readonly Seen[];
  readonly error: string;
}

const PATIENCE_TURNS = 50;
const MAX_HEADER_BYTES = 1 << 20;

class Wire extends Duplex {
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }
}

async function whole(message: IncomingMessage, start: string): Promise<Seen> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  if (!message.complete) throw new Error('incomplete');
  return {
    start,
    fields: message.rawHeaders.map((text, k, all) => (k % 2 === 1 ? asWritten(all[k - 1] as string, text) : text)),
    content: Buffer.concat(parts).toString('latin1'),
    trailers: message.rawTrailers,
  };
}

/** We write the one coding in one way (RFC 9112 section 7), and spaces for the zeros in front of a length. */
function asWritten(name: string, value: string): string {
  if (name.toLowerCase() === 'transfer-encoding') return value.toLowerCase();
  if (name.toLowerCase() === 'content-length') return value.replace(/^0+(?=\d)/, (zeros) => ' '.repeat(zeros.length));
  return value;
}

function reason(error: Error & { code?: string; reason?: string }): string {
  return `${error.code ?? ''} ${error.reason ?? error.message}`.trim();
}

export function knownToNode(method: string): boolean {
  return METHODS.includes(method);
}

interface Reading {
  readonly seen: Seen[];
  error: string;
  readonly expected: number;
  arrived: number;
  finished: number;
  readonly done: () => void;
}

/** A server to which byte strings are given as if each came on a connection of its own. */
export class NodeServer {
  readonly #server: Server;
  #current: Reading | null = null;

  constructor() {
    this.#server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, insecureHTTPParser: false }, (message, response) => {
      const mine = this.#current;
      const place = mine?.arrived ?? 0;
      if (mine !== null) mine.arrived++;
      whole(message, `${message.method} ${message.url} ${message.httpVersion}`).then(
        (seen) => {
          response.end();
          if (mine === null) return;
          mine.seen[place] = seen;
          if (++mine.finished >= mine.expected) mine.done();
        },
        () => response.destroy(),
      );
    });
    this.#server.on('clientError', (error, socket) => {
      socket.destroy();
      if (this.#current !== null) {
        this.#current.error = reason(error);
        this.#current.done();
      }
    });
  }

  /** Gives Node `bytes`; ends when it has seen `expected` requests, found a fault, or has nothing left to read. */
  async read(bytes: Uint8Array, expected: number): Promise<Verdict> {
    const wire = new Wire();
    await new Promise<void>((resolve) => {
      this.#current = { seen: [], error: '', expected, arrived: 0, finished: 0, done: resolve };
      wire.on('close', resolve);
      wire.on('error', resolve);
      this.#server.emit('connection', wire);
      wire.push(bytes);
      // A whole request is answered long before this; what still waits is told that nothing more comes.
      let turns = 0;
      const wait = (): void => {
        if (this.#current?.done !== resolve) return;
        if (++turns === PATIENCE_TURNS) wire.push(null);
        if (turns < 2 * PATIENCE_TURNS) setImmediate(wait);
        else resolve();
      };
      setImmediate(wait);
    });
    const { seen, error } = this.#current as unknown as Verdict;
    this.#current = null;
    wire.destroy();
    return { seen, error };
  }
}

/** What Node's client makes of `bytes` as the response to a request with `method`. */
export async function nodeClient(bytes: Uint8Array, method: string): Promise<Verdict> {
  const wire = new Wire();
  return await new Promise<Verdict>((resolve) => {
    const seen: Seen[] = [];
    const end = (error: string): void => {
      resolve({ seen, error });
      wire.destroy();
    };
    const outgoing = request({
      method,
      host: 'a',
      createConnection: () => wire,
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: false,
    });
    outgoing.on('error', (error) => end(reason(error) || 'error'));
    let responded = false;
    outgoing.on('response', (message) => {
      responded = true;
      whole(message, `${message.statusCode} ${message.statusMessage}`).then(
        (one) => {
          seen.push(one);
          end('');
        },
        (error: Error) => end(reason(error)),
      );
    });
    outgoing.on('close', () => {
      if (!responded) end('');
    });
    outgoing.end();
    wire.push(bytes);
    wire.push(null);
  });
}
