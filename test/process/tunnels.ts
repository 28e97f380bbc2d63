// What tests open a tunnel with: a backend that switches to an echo, and clients over both protocols.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';

interface Backend {
  readonly port: number;
  /** Answers the requests that wait. */
  release(): void;
}

/** Every Upgrade is switched and echoed; /slow is answered on demand, all else at once. */
export async function backend(t: TestContext): Promise<Backend> {
  const waiting: (() => void)[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((incoming, response) => {
    if (incoming.url === '/slow') waiting.push(() => void response.end('done'));
    else response.end('fast');
  });
  server.on('connection', (socket) => sockets.add(socket));
  server.on('upgrade', (_incoming, socket: Socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    release: () => {
      for (const answer of waiting.splice(0)) answer();
    },
  };
}

/** A tunnel as its client sees it, whatever carries it. */
class Tunnel {
  readonly #stream: Socket | ClientHttp2Stream;
  /** How it ended: the code of its error. */
  readonly over: Promise<string>;
  #heard = '';

  constructor(stream: Socket | ClientHttp2Stream) {
    this.#stream = stream;
    stream.setEncoding('utf8').on('data', (text: string) => {
      this.#heard += text;
    });
    this.over = new Promise((resolve) => {
      stream.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      stream.once('close', () => resolve('rstCode' in stream ? `code ${stream.rstCode}` : 'closed'));
    });
  }

  async says(text: string): Promise<void> {
    const end = this.#heard.length + text.length;
    this.#stream.write(text);
    while (this.#heard.length < end) await once(this.#stream, 'data');
    assert.ok(this.#heard.endsWith(text));
  }

  end(): void {
    this.#stream.end();
  }
}

export async function overHttp1(port: number, path = '/'): Promise<Tunnel> {
  const asked = request({ port, host: '127.0.0.1', path, headers: { connection: 'upgrade', upgrade: 'echo' } });
  asked.end();
  const [, socket] = (await once(asked, 'upgrade')) as [IncomingMessage, Socket];
  return new Tunnel(socket);
}

export async function overHttp2(t: TestContext, port: number): Promise<Tunnel> {
  const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  t.after(() => session.destroy());
  await once(session, 'remoteSettings');
  const stream = session.request(
    { ':method': 'CONNECT', ':protocol': 'echo', ':scheme': 'http', ':authority': 'a.example', ':path': '/' },
    { endStream: false },
  );
  const [head] = await once(stream, 'response');
  assert.equal(head[':status'], 200);
  return new Tunnel(stream);
}
