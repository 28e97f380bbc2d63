// What the attacks share: the whole program behind a few routes, raw TCP clients, and a raw backend that keeps every
// byte it was sent and answers whatever it is told, byte by byte.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after } from 'node:test';
import { backendYaml, freePort, gateway, Rauta, routeYaml } from '../process/support.ts';
import { type ByteSource, Malformed, type Message, readMessage } from '../support/http.ts';
import { BasePeer, bytesOf, EndedEarly, isGone, SocketError } from '../support/peer.ts';

/** A longer wait than anything here should take on a busy machine; past it something hangs. */
export const PATIENCE_MS = 60_000;

/** Fails when `promise` takes longer than `ms`: nothing hangs for ever. */
export async function within<T>(promise: Promise<T>, what: string, ms = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks until `so`, for as long as anything may take here. */
export async function until(so: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const late = performance.now() + PATIENCE_MS; !(await so()); await pause(10))
    assert.ok(performance.now() < late, `${what}: not in ${PATIENCE_MS} ms`);
}

/** What a test that failed left open would keep its file from ending. */
const open = new Set<Socket>();
after(() => {
  for (const socket of open) socket.destroy();
});

/** One end of a real TCP connection. What it received stays in `received`. */
export class Wire extends BasePeer {
  readonly socket: Socket;
  readonly remote: string;
  #received: Buffer[] = [];
  /** Read by the script: all chunks before #next, and #taken bytes of that one. */
  #next = 0;
  #taken = 0;
  #fin = false;
  #error: SocketError | null = null;
  #waiters: (() => void)[] = [];

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    this.remote = `${socket.remoteAddress}:${socket.remotePort}`;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#wake();
    });
    socket.on('end', () => {
      this.#fin = true;
      this.ended('fin');
      this.#wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error ??= new SocketError(error.code ?? 'ECONNRESET', 'connection');
    });
    socket.on('close', () => {
      if (!this.#fin) {
        this.#error ??= new SocketError('ECONNRESET', 'connection');
        this.ended('reset');
      }
      this.#wake();
    });
  }

  static connect(port: number, options: { highWaterMark?: number } = {}): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, ...options });
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.removeListener('error', reject);
        resolve(new Wire(socket));
      });
    });
  }

  /** Everything that ever came, as text of one character a byte. */
  get received(): string {
    return Buffer.concat(this.#received).toString('latin1');
  }

  async send(data: string | Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.write(bytesOf(data), (error) => (error == null ? resolve() : reject(error)));
    });
  }

  trySend(data: string | Uint8Array): number {
    const bytes = bytesOf(data);
    this.socket.write(bytes, () => {});
    return bytes.length;
  }

  /** Each byte in a segment of its own. */
  async trickle(data: string, everyMs = 0): Promise<void> {
    for (const c of data) {
      await this.send(c);
      await pause(everyMs);
    }
  }

  protected override async pull(max: number): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#received[this.#next];
      if (chunk !== undefined) {
        const some = chunk.subarray(this.#taken, this.#taken + max);
        this.#taken += some.length;
        if (this.#taken === chunk.length) {
          this.#taken = 0;
          this.#next++;
        }
        return some;
      }
      if (this.#fin) return null;
      if (this.#error !== null) throw this.#error;
      const more = new Promise<void>((resolve) => this.#waiters.push(resolve));
      await within(more, `waiting for bytes behind ${JSON.stringify(this.received.slice(-80))}`);
    }
  }

  /** How the other end finished, and all it sent. */
  async over(ms = PATIENCE_MS): Promise<{ how: 'fin' | 'reset'; text: string }> {
    const how = await within(this.closed, `the end of the connection behind ${this.received.slice(-200)}`, ms);
    return { how, text: this.received };
  }

  end(): void {
    this.socket.end();
  }
  reset(): void {
    this.socket.resetAndDestroy();
  }
  close(): void {
    this.socket.destroy();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

/** What a process has in memory. */
export function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kb = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
  return (kb('RssAnon') + kb('RssShmem')) / 1024;
}

export function pause(ms: number): Promise<void> {
  return ms === 0 ? new Promise((resolve) => setImmediate(resolve)) : new Promise((resolve) => setTimeout(resolve, ms));
}

/** `METHOD target`, and the body if there is one: how tests name the requests that a backend saw. */
export function label(request: Message): string {
  const body = Buffer.from(request.body).toString('latin1');
  return `${request.method} ${request.target}${body === '' ? '' : ` ${body}`}`;
}

export type Script = (wire: Wire, backend: RawBackend) => Promise<void> | void;

/** A backend on loopback. By default it answers each request 200 with `label` and keeps the connection. */
export class RawBackend {
  readonly port: number;
  readonly server: Server;
  /** Requests as a strict reader found them, in order of their ends. */
  readonly requests: Message[] = [];
  readonly wires: Wire[] = [];
  /** What a strict reader refused: RAUTA must never send that. */
  readonly violations: string[] = [];
  script: Script;

  private constructor(server: Server, script: Script) {
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
    this.script = script;
    server.on('connection', (socket: Socket) => {
      const wire = new Wire(socket);
      this.wires.push(wire);
      Promise.resolve(this.script(wire, this)).catch((error: unknown) => {
        if (error instanceof Malformed) this.violations.push(error.message);
        else if (!(error instanceof EndedEarly) && !isGone(error)) this.violations.push(String(error));
        wire.close();
      });
    });
  }

  static async start(script: Script = answering()): Promise<RawBackend> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve));
    return new RawBackend(server, script);
  }

  /** The next request of `wire`, read strictly and noted. */
  async request(wire: Wire): Promise<Message> {
    const request = await wire.readMessage();
    this.requests.push(request);
    return request;
  }

  labels(): string[] {
    return this.requests.map(label);
  }

  /** Begins anew: another script, nothing seen. */
  reset(script: Script): void {
    this.script = script;
    this.requests.length = 0;
    this.violations.length = 0;
    // A connection that RAUTA keeps runs the script it began with.
    for (const wire of this.wires.splice(0)) wire.close();
  }

  close(): void {
    this.server.close();
    for (const wire of this.wires) wire.close();
  }
}

/** Answers every request by what `answer` makes of it; null says no more on this connection. */
export function answering(answer: (request: Message) => string | Uint8Array | null = (r) => ok(label(r))): Script {
  return async (wire, backend) => {
    for (;;) {
      const request = await backend.request(wire);
      const text = answer(request);
      if (text === null) return;
      await wire.send(text);
    }
  };
}

/** Whatever comes first, `text` is the answer, and the connection ends by `how`. */
export function saying(text: string | Uint8Array, how: 'keep' | 'fin' | 'reset' = 'keep'): Script {
  return async (wire, backend) => {
    await backend.request(wire);
    await wire.send(text);
    if (how === 'fin') wire.end();
    else if (how === 'reset') wire.reset();
  };
}

export function ok(body: string, more = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body, 'latin1')}\r\n${more}\r\n${body}`;
}

export function get(target = '/', more = ''): string {
  return `GET ${target} HTTP/1.1\r\nHost: a.example\r\n${more}\r\n`;
}

export interface TargetOptions {
  /** More YAML. */
  readonly routes?: () => string;
  readonly args?: readonly string[];
  /** Limit of open files. */
  readonly descriptors?: number;
  readonly script?: Script;
  /** More lines of the rule '/'. */
  readonly ruleMore?: string;
}

/** The program with one worker and one backend on '/', and what all attacks check of it in the end. */
export class Target {
  readonly rauta: Rauta;
  readonly backend: RawBackend;
  readonly port: number;
  readonly #workers: string;

  private constructor(rauta: Rauta, backend: RawBackend, port: number, workers: string) {
    this.rauta = rauta;
    this.backend = backend;
    this.port = port;
    this.#workers = workers;
  }

  /** `end` it after the tests of the file. */
  static async start(options: TargetOptions = {}): Promise<Target> {
    const backend = await RawBackend.start(options.script);
    const port = await freePort();
    const rauta = await Rauta.start(
      {
        'a.yaml':
          gateway(port) +
          backendYaml('app', backend.port) +
          routeYaml('app', '/', 'app', options.ruleMore ?? '') +
          (options.routes?.() ?? ''),
      },
      // Most tests end what they send by FIN and read what comes back.
      ['--half-close', 'on', ...(options.args ?? [])],
      {},
      options.descriptors,
    );
    return new Target(rauta, backend, port, await pids(rauta));
  }

  connect(): Promise<Wire> {
    return Wire.connect(this.port);
  }

  /** Sends `text` on a new connection, ends it, and returns all that comes back. */
  async exchange(text: string | Uint8Array): Promise<string> {
    const client = await this.connect();
    client.trySend(text);
    client.end();
    return (await client.over()).text;
  }

  /** One plain request is answered 200: the program lives. */
  async alive(): Promise<void> {
    const client = await this.connect();
    client.trySend(get('/alive'));
    assert.equal((await client.readMessage()).status, 200);
    client.close();
  }

  /** No worker died or was replaced, and nothing was said that should not be. */
  async unharmed(): Promise<void> {
    assert.equal(await pids(this.rauta), this.#workers, `a worker was replaced:\n${this.rauta.text()}`);
    // Complaints about a file have its name.
    const bad = this.rauta.log.filter(
      (l) => (l.level === 'error' && l['file'] === undefined) || /died|stall|uncaught/i.test(l.message),
    );
    assert.deepEqual(bad, []);
  }

  /** The same for one test: it ends with `body`, however that ends. */
  static async with(options: TargetOptions, body: (target: Target) => Promise<void>): Promise<void> {
    const target = await Target.start(options);
    try {
      await body(target);
    } catch (error) {
      target.rauta.process.kill('SIGKILL');
      await target.end();
      throw error;
    }
    await target.end();
  }

  /** Checks that it is unharmed and stops it. */
  async end(): Promise<void> {
    try {
      if (this.rauta.process.exitCode === null && !this.rauta.process.killed) await this.unharmed();
    } finally {
      this.backend.close();
      await this.rauta.stop();
    }
  }
}

async function pids(rauta: Rauta): Promise<string> {
  return (await rauta.workers()).map((w) => w.pid).join();
}

/** Splits a client's received bytes into responses, strictly; `heads`: which of them answer HEAD. */
export async function responsesOf(text: string, heads: readonly boolean[] = []): Promise<Message[]> {
  const source = new Recorded(text);
  const messages: Message[] = [];
  for (let i = 0; !source.done; i++) messages.push(await readMessage(source, heads[i] === true));
  return messages;
}

export function statusesOf(messages: readonly Message[]): number[] {
  return messages.map((m) => m.status);
}

/** A stream that is over. */
class Recorded implements ByteSource {
  readonly #text: string;
  #at = 0;
  constructor(text: string) {
    this.#text = text;
  }
  get done(): boolean {
    return this.#at === this.#text.length;
  }
  async readUntil(text: string): Promise<string> {
    const at = this.#text.indexOf(text, this.#at);
    if (at < 0) throw new EndedEarly(JSON.stringify(text), Buffer.from(this.#text.slice(this.#at), 'latin1'));
    return this.#take(at + text.length);
  }
  async readExactly(n: number): Promise<Uint8Array> {
    if (this.#at + n > this.#text.length) throw new EndedEarly(`${n} bytes`, Buffer.from(this.#take(), 'latin1'));
    return Buffer.from(this.#take(this.#at + n), 'latin1');
  }
  async readAll(): Promise<Uint8Array> {
    return Buffer.from(this.#take(), 'latin1');
  }
  #take(end = this.#text.length): string {
    const taken = this.#text.slice(this.#at, end);
    this.#at = end;
    return taken;
  }
}
