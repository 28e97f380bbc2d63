// Small backends for the examples, each on a port of 127.0.0.1 or a unix socket: `bin/node tools/demo-backends.ts 9001
// 9002 /tmp/app.sock`. Each says who it is and what reached it. `/slow` never answers, `/flaky` fails every other time,
// `/last` tells what was asked last, once something was, and who asks for a WebSocket is greeted.

import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

const places = process.argv.slice(2);
let listening = 0;

interface Asked {
  readonly backend: string;
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body?: string;
}

class Demo {
  readonly #name: string;
  #flaky = 0;
  #last: Asked | null = null;
  #curious: ((last: Asked) => void)[] = [];

  constructor(place: string) {
    this.#name = `demo-${place.slice(place.lastIndexOf('/') + 1)}`;
    const server = createServer((request, response) => this.#take(request, response));
    server.keepAliveTimeout = 60_000;
    server.on('upgrade', (request, socket) => this.#greet(request, socket));
    server.on('error', (error) => {
      process.stderr.write(`demo backend on ${place}: ${error.message}\n`);
      process.exit(3);
    });
    const ready = (): void => {
      if (++listening === places.length) process.stdout.write(`demo backends listen: ${places.join(' ')}\n`);
    };
    if (place.includes('/')) {
      rmSync(place, { force: true });
      // Whoever serves has left root.
      server.listen({ path: place, readableAll: true, writableAll: true }, ready);
    } else server.listen(Number(place), '127.0.0.1', ready);
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      const { method, url: path, headers } = request;
      if (path === '/last') return this.#tellLast(response);
      const asked: Asked = { backend: this.#name, method, path, headers, ...(body === '' ? {} : { body }) };
      this.#last = asked;
      for (const tell of this.#curious.splice(0)) tell(asked);
      if (path === '/slow') return;
      this.#answer(response, path === '/flaky' && this.#flaky++ % 2 === 0 ? 503 : 200, asked, method === 'HEAD');
    });
  }

  #tellLast(response: ServerResponse): void {
    if (this.#last === null) this.#curious.push((asked) => this.#answer(response, 200, asked, false));
    else this.#answer(response, 200, this.#last, false);
  }

  #answer(response: ServerResponse, status: number, asked: Asked, headOnly: boolean): void {
    const text = `${JSON.stringify(asked, null, 2)}\n`;
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'x-backend': this.#name,
    });
    response.end(headOnly ? undefined : text);
  }

  /** A frame of text and the one that ends (RFC 6455 sections 5.5.1, 5.6); nobody here reads what the client says. */
  #greet({ headers }: IncomingMessage, socket: Duplex): void {
    socket.on('error', () => {});
    const text = Buffer.from(`hello from ${this.#name}\n`);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${headers.upgrade}\r\n\r\n`);
    socket.end(Buffer.concat([Uint8Array.of(0x81, text.length), text, Uint8Array.of(0x88, 0)]));
  }
}

for (const place of places) new Demo(place);
