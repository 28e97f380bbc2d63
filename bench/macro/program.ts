// A program under measurement: started, asked, and what each of its processes holds and has used. Counted is memory
// that is its own: anonymous pages and shared memory, each page divided by the processes that hold it (Pss_Anon and
// Pss_Shmem of smaps_rollup); pages of files, which the system takes back when it wants, stand apart.

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { join } from 'node:path';
import { cpuNs } from './measure.ts';

const POLL_MS = 20;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** MB of one process. */
export interface Memory {
  readonly anon: number;
  readonly shmem: number;
  readonly file: number;
  readonly rss: number;
}
export const ROLES = ['keeper', 'controller', 'worker', 'spare'] as const;
export type Role = (typeof ROLES)[number];
export type ByRole<T> = Readonly<Record<Role, T>>;

function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]) / 1024;
  return { anon: mb('Pss_Anon'), shmem: mb('Pss_Shmem'), file: mb('Pss_File'), rss: mb('Rss') };
}

/** What counts: memory nobody else has and nobody can take back. */
export const own = (memory: Memory): number => memory.anon + memory.shmem;
export const together = (program: ByRole<Memory>): number => ROLES.reduce((sum, role) => sum + own(program[role]), 0);

interface Process {
  readonly pid: number;
  readonly command: string;
}

function childrenOf(pid: number): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1]);
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return parent === pid ? [{ pid: Number(name), command }] : [];
      } catch {
        return [];
      }
    });
}

export async function freePort(): Promise<number> {
  const server = createTcp();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

export interface StartOptions {
  /** Of the sources: another one is measured by the same bench. */
  readonly program: string;
  readonly config: string;
  /** For the access log and compiled code. */
  readonly folder: string;
  readonly workers: number;
  readonly log?: string;
}

export interface WorkerView {
  readonly pid: number;
  readonly state: string;
  readonly revision: number;
}

/** The program while it runs, by role. */
export class Running {
  readonly #child: ChildProcess;
  readonly #workers: number;
  readonly admin: number;
  readonly startedMs = performance.now();

  constructor(child: ChildProcess, workers: number, admin: number) {
    this.#child = child;
    this.#workers = workers;
    this.admin = admin;
  }

  static async start({ program, config, folder, workers, log = 'warn' }: StartOptions): Promise<Running> {
    const admin = await freePort();
    const child = spawn(
      join(program, 'bin/rauta'),
      ['serve', '--config', config, '--workers', String(workers), '--listen', '127.0.0.1']
        .concat('--admin', `127.0.0.1:${admin}`, '--access-log', join(folder, 'access.log'))
        .concat('--log-level', log),
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { PATH: process.env['PATH'] ?? '', RAUTA_COMPILE_CACHE: join(folder, 'compiled') },
      },
    );
    return new Running(child, workers, admin);
  }

  async ask(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.admin}${path}`);
  }

  /** Resolves with the milliseconds since the start when it says that it serves. */
  async ready(): Promise<number> {
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error(`it ended with ${this.#child.exitCode}`);
      const ready = await this.ask('/readyz').then(
        (response) => response.ok,
        () => false,
      );
      if (ready) return performance.now() - this.startedMs;
      await sleep(POLL_MS);
    }
  }

  /** Until there are the controller, the workers and the spare. */
  async complete(): Promise<void> {
    while (childrenOf(this.#child.pid as number).length !== this.#workers + 2) await sleep(POLL_MS);
  }

  async workers(): Promise<WorkerView[]> {
    return (await (await this.ask('/workers')).json()) as WorkerView[];
  }

  /** Process ids; 0 where there is none. Of several workers one. */
  async pids(): Promise<ByRole<number>> {
    const serving = new Set((await this.workers()).map(({ pid }) => pid));
    const children = childrenOf(this.#child.pid as number);
    const of = (good: (child: Process) => boolean): number => children.find(good)?.pid ?? 0;
    return {
      keeper: this.#child.pid as number,
      controller: of((c) => c.command.includes(' controller')),
      worker: of((c) => serving.has(c.pid)),
      spare: of((c) => c.command.includes(' worker') && !serving.has(c.pid)),
    };
  }

  async memory(): Promise<ByRole<Memory>> {
    return byRole(await this.pids(), memoryOf);
  }

  /** Milliseconds of CPU so far. */
  async cpuMs(): Promise<ByRole<number>> {
    return byRole(await this.pids(), (pid) => (pid === 0 ? 0 : cpuNs([pid]) / 1e6));
  }

  async scrape(): Promise<number> {
    const start = performance.now();
    await (await this.ask('/metrics')).text();
    return performance.now() - start;
  }

  async stop(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    await ended;
  }
}

function byRole<T>(pids: ByRole<number>, of: (pid: number) => T): ByRole<T> {
  const { keeper, controller, worker, spare } = pids;
  return { keeper: of(keeper), controller: of(controller), worker: of(worker), spare: of(spare) };
}
