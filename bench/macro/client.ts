// A client of the benches that ask one thing at a time.

import { connect, type Socket } from 'node:net';

/** One kept-alive connection that asks one thing after another. */
export class Client {
  readonly #socket: Socket;
  /** Further field lines of each request. */
  readonly #fields: string;
  #held = '';
  /** Of the last answer. */
  head = '';
  #resolve: ((status: number) => void) | null = null;

  constructor(port: number, fields = '') {
    this.#fields = fields;
    this.#socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1');
    this.#socket.on('data', (part: string) => {
      this.#held += part;
      const head = this.#held.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(this.#held.slice(0, head))?.[1] ?? 0);
      if (this.#held.length < head + 4 + length) return;
      const status = Number(this.#held.slice(9, 12));
      this.head = this.#held.slice(0, head);
      this.#held = '';
      this.#resolve?.(status);
    });
    this.#socket.on('error', () => this.#resolve?.(0));
    this.#socket.on('close', () => this.#resolve?.(0));
  }

  ask(host: string, path: string): Promise<number> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${this.#fields}\r\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
