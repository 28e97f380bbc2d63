// Runs the whole program as a user would, on loopback, with free ports and a folder of its own.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { OWN_ADDRESS } from '../support/keeper.ts';
import { heldPort } from '../support/port.ts';

const BIN = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
/** Far more than anything takes: two cores may be shared with the rest of the tests, and its first start is slow. */
export const READY_MS = 60_000;

/** This process's until it ends. */
export function freePort(): Promise<number> {
  return Promise.resolve(heldPort());
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A failed test leaves no program behind, and nothing that keeps its process alive. */
const running = new Set<ChildProcess>();
const loads = new Set<{ stop(): Promise<unknown> }>();
function clean(): void {
  for (const child of running) {
    child.kill('SIGKILL');
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
  for (const load of loads) load.stop();
}
after(clean);
process.on('exit', clean);

/** One running program. */
export class Rauta {
  readonly folder: string;
  readonly process: ChildProcess;
  readonly log: LogLine[] = [];
  /** Lines on standard output: the access log. */
  access = '';
  admin = 0;
  readonly exited: Promise<number | null>;
  readonly #waiting: { match: (line: LogLine) => boolean; resolve: (line: LogLine) => void }[] = [];

  private constructor(folder: string, child: ChildProcess) {
    this.folder = folder;
    this.process = child;
    let held = '';
    child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      const lines = (held + part).split('\n');
      held = lines.pop() as string;
      for (const line of lines) if (line !== '') this.#take(line);
    });
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      this.access += part;
    });
    running.add(child);
    this.exited = new Promise((resolve) =>
      child.on('exit', (code) => {
        running.delete(child);
        resolve(code);
      }),
    );
  }

  /**
   * `files` by name; `args` and `env` besides. `passed`: descriptors that it finds from 3 on, as LISTEN_FDS says. Does
   * not wait.
   */
  static spawn(
    files: Readonly<Record<string, string>>,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    descriptors: number | null = null,
    passed: readonly number[] = [],
  ): Rauta {
    const folder = mkdtempSync(join(tmpdir(), 'rauta-test-'));
    // What is to read it has left root.
    chmodSync(folder, 0o755);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const config = Object.keys(files).length > 0 ? ['--config', folder] : [];
    // The limit of open files can only be set by whoever starts it, and only it knows its number.
    const before = [
      ...(descriptors === null ? [] : [`ulimit -n ${descriptors}`]),
      ...(passed.length === 0 ? [] : [`export LISTEN_PID=$$ LISTEN_FDS=${passed.length}`]),
    ];
    const prepared = before.length === 0 ? [] : ['-c', `${before.join(' && ')} && exec "$0" "$@"`, BIN];
    const child = spawn(
      before.length === 0 ? BIN : 'sh',
      [
        ...prepared,
        'serve',
        ...config,
        '--admin',
        '127.0.0.1:0',
        '--workers',
        '1',
        '--listen',
        '127.0.0.1',
        '--log-format',
        'json',
        ...args,
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe', ...passed],
        env: { PATH: process.env['PATH'] ?? '', ...env },
      },
    );
    return new Rauta(folder, child);
  }

  static async start(
    files: Readonly<Record<string, string>>,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    descriptors: number | null = null,
  ): Promise<Rauta> {
    const rauta = Rauta.spawn(files, args, env, descriptors);
    const said = await rauta.said('admin server');
    rauta.admin = said['port'] as number;
    await rauta.said('serving');
    // The keeper says so, and the controller hears of it a moment later. Some have their admin server elsewhere.
    await until(
      () => get(rauta.admin, '/readyz').catch(() => ({ status: 0, body: '', headers: {} })),
      ({ body }) => !body.startsWith('no configuration yet'),
    );
    return rauta;
  }

  /** The first line with this message, past or to come. */
  said(message: string | ((line: LogLine) => boolean)): Promise<LogLine> {
    const match = typeof message === 'string' ? (line: LogLine): boolean => line.message === message : message;
    const past = this.log.find(match);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`never said ${String(message)}; the log:\n${this.text()}`)),
        READY_MS,
      );
      this.#waiting.push({
        match,
        resolve: (line) => {
          clearTimeout(timer);
          resolve(line);
        },
      });
      this.exited.then((code) =>
        reject(new Error(`ended with ${code} before it said ${String(message)}; the log:\n${this.text()}`)),
      );
    });
  }

  text(): string {
    return this.log.map((line) => JSON.stringify(line)).join('\n');
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  async ask(path: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> {
    return get(this.admin, path, headers);
  }

  async metric(name: string): Promise<number> {
    const line = (await this.ask('/metrics')).body
      .split('\n')
      .find((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`));
    return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ') + 1));
  }

  async workers(): Promise<{ pid: number; state: string; revision: number }[]> {
    return JSON.parse((await this.ask('/workers')).body);
  }

  /** Ends it in order and removes its folder. */
  async stop(): Promise<number | null> {
    if (this.process.exitCode === null) this.process.kill('SIGTERM');
    const code = await this.exited;
    rmSync(this.folder, { recursive: true, force: true });
    return code;
  }

  #take(text: string): void {
    let line: LogLine;
    try {
      line = JSON.parse(text);
    } catch {
      line = { level: 'raw', message: text };
    }
    this.log.push(line);
    for (const waiting of this.#waiting.filter((w) => w.match(line))) {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve(line);
    }
  }
}

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command to its end; `input`: what it finds on standard input. */
export function command(argv: readonly string[], input = '', env: NodeJS.ProcessEnv = process.env): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile(BIN, argv, { env }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

export function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  options: { method?: string; agent?: Agent; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const r = request(
      { host: '127.0.0.1', port, path, headers, method: options.method ?? 'GET', agent: options.agent ?? false },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (part) => {
          body += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
        response.on('error', reject);
      },
    );
    r.on('error', reject);
    r.end(options.body);
  });
}

/** Asks until `good`, at most `ms`; returns the good answer and how long it took. */
export async function until(
  ask: () => Promise<Answer>,
  good: (answer: Answer) => boolean,
  ms = READY_MS,
): Promise<{ answer: Answer; ms: number }> {
  const start = performance.now();
  for (;;) {
    const answer = await ask();
    const took = performance.now() - start;
    if (good(answer)) return { answer, ms: took };
    if (took > ms) throw new Error(`still ${answer.status} ${answer.body} after ${ms} ms`);
  }
}

/** A backend that names itself and shows what reached it. */
export async function backend(
  name: string,
  answer?: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ port: number; server: Server }> {
  const server = createServer(
    answer ??
      ((request, response) => {
        const body = JSON.stringify({
          backend: name,
          method: request.method,
          path: request.url,
          headers: request.headers,
        });
        response.writeHead(200, {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'x-backend': name,
        });
        response.end(body);
      }),
  );
  server.keepAliveTimeout = 70_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return { port: (server.address() as AddressInfo).port, server };
}

export function gateway(port: number): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  listeners:
    - { name: http, port: ${port}, protocol: HTTP }
---
`;
}

export function backendYaml(name: string, ...ports: number[]): string {
  return `apiVersion: rauta.io/v1alpha1
kind: Backend
metadata: { name: ${name} }
spec:
  endpoints:
${ports.map((p) => `    - { address: 127.0.0.1, port: ${p} }`).join('\n')}
---
`;
}

/** Files that serve UDP at `port` of OWN_ADDRESS from `ports` of 127.0.0.1. `annotations`: of the route. */
export function udpFiles(port: number, ports: readonly number[], annotations = ''): Record<string, string> {
  const routes = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: rauta
  addresses: [{ value: ${OWN_ADDRESS} }]
  listeners: [{ name: dns, port: ${port}, protocol: UDP }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: { name: dns, annotations: { ${annotations} } }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: app }] }]
`;
  return { 'a.yaml': routes, 'b.yaml': backendYaml('app', ...ports) };
}

export function routeYaml(name: string, path: string, backendName: string, more = ''): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ name: web }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: ${path} } }]
      backendRefs: [{ group: rauta.io, kind: Backend, name: ${backendName} }]
${more}---
`;
}

/** Sends GETs over `connections` kept-alive connections until `stop`; counts what came back. */
export class Load {
  readonly counts = new Map<string, number>();
  #stopped = false;
  readonly #agent: Agent;
  readonly #loops: Promise<void>[];

  constructor(port: number, path: string, connections: number) {
    loads.add(this);
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
    this.#loops = Array.from({ length: connections }, () => this.#loop(port, path));
  }

  async stop(): Promise<Record<string, number>> {
    loads.delete(this);
    this.#stopped = true;
    await Promise.all(this.#loops);
    this.#agent.destroy();
    return Object.fromEntries(this.counts);
  }

  async #loop(port: number, path: string): Promise<void> {
    while (!this.#stopped) {
      let key: string;
      try {
        key = String((await get(port, path, {}, { agent: this.#agent })).status);
      } catch (error) {
        key = (error as NodeJS.ErrnoException).code ?? String(error);
      }
      this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    }
  }
}

/**
 * Asks for `path` on a connection of its own. How that ended: a status, or the error of one that never was established.
 */
export function askOnce(port: number, path: string, onSocket: (socket: Socket) => void = () => {}): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    let established = false;
    let failed = '';
    const socket = connect(port, '127.0.0.1', () => {
      established = true;
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`);
    });
    socket.on('data', (part) => {
      answer += part.toString('latin1');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failed = error.code ?? 'error';
    });
    socket.on('close', () => {
      if (!established) resolve(`never: ${failed}`);
      else if (failed !== '') resolve(`lost: ${failed} after ${answer.length} bytes`);
      else if (!/^HTTP\/1\.1 \d+ [\s\S]*\r\n\r\n/.test(answer)) resolve(`lost: closed after ${answer.length} bytes`);
      else resolve(answer.slice(9, 12));
    });
    onSocket(socket);
  });
}

/** A new connection for every request, `clients` at a time, until `stop`; counts how they ended. */
export class Churn {
  readonly counts = new Map<string, number>();
  total = 0;
  #stopped = false;
  #waiting: { good: () => boolean; resolve: () => void }[] = [];
  readonly #loops: Promise<void>[];

  constructor(port: number, path: string, clients: number) {
    loads.add(this);
    this.#loops = Array.from({ length: clients }, () => this.#loop(port, path));
  }

  /** Resolves as soon as `good`; it is asked after every connection. */
  until(good: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not in ${READY_MS} ms: ${JSON.stringify([...this.counts])}`)),
        READY_MS,
      );
      this.#waiting.push({
        good,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }

  /** How those ended that were established and got no answer. */
  get lost(): string[] {
    return [...this.counts.keys()].filter((end) => end.startsWith('lost'));
  }

  async stop(): Promise<Record<string, number>> {
    loads.delete(this);
    this.#stopped = true;
    await Promise.all(this.#loops);
    return Object.fromEntries(this.counts);
  }

  async #loop(port: number, path: string): Promise<void> {
    while (!this.#stopped) {
      const end = await askOnce(port, path);
      this.counts.set(end, (this.counts.get(end) ?? 0) + 1);
      this.total++;
      const done = this.#waiting.filter((w) => w.good());
      this.#waiting = this.#waiting.filter((w) => !done.includes(w));
      for (const { resolve } of done) resolve();
    }
  }
}

/** Processes whose parent is `pid`, with their command lines. */
export function childrenOf(pid: number): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((d) => /^\d+$/.test(d))
    .flatMap((d) => {
      try {
        const stat = readFileSync(`/proc/${d}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        return parent === pid
          ? [{ pid: Number(d), command: readFileSync(`/proc/${d}/cmdline`, 'utf8').replaceAll('\0', ' ') }]
          : [];
      } catch {
        return [];
      }
    });
}
