// One measurement: CPU time of all of a proxy's processes over a run of the load generator, divided by its requests.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type Http2Work, http2Requests, MESSAGE_BYTES } from './h2load.ts';
import type { Counts, Sample } from './sample.ts';

/** What a browser sends. */
const FIELDS = [
  'Host: app.example.com',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) bench/1.0',
  'Accept: text/html,application/json;q=0.9,*/*;q=0.8',
  'Accept-Encoding: gzip, deflate, br',
  'Accept-Language: en-US,en;q=0.5',
  'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark',
];

export interface Work {
  readonly name: string;
  readonly what: string;
  readonly connections: number;
  readonly path: string;
  /** Bytes of a POST body; 0 for GET. */
  readonly post: number;
  /** A new connection for each request. */
  readonly close: boolean;
  /** Over TLS; `full` and `resumed` are handshakes alone, by openssl s_time. */
  readonly tls?: 'requests' | 'full' | 'resumed';
  /** Through a port of TCP: the bytes are HTTP's, and nobody looks at them. */
  readonly tcp?: true;
  /** HTTP/2: a GET over TLS, or calls of gRPC in the clear to a backend of HTTP/2. */
  readonly h2?: Http2Work;
}

/** Clients of a work of handshakes: enough that a proxy takes several in a turn. */
const HANDSHAKE_CLIENTS = 4;

export const WORKS: readonly Work[] = [
  {
    name: 'get',
    what: 'small GET, 64 connections',
    connections: 64,
    path: '/api/v1/items/42?x=1',
    post: 0,
    close: false,
  },
  {
    name: 'get256',
    what: 'small GET, 256 connections',
    connections: 256,
    path: '/api/v1/items/42?x=1',
    post: 0,
    close: false,
  },
  { name: '64k', what: '64 KB response, 64 connections', connections: 64, path: '/static/64k', post: 0, close: false },
  { name: '1m', what: '1 MB response, 16 connections', connections: 16, path: '/static/1m', post: 0, close: false },
  {
    name: 'post1k',
    what: 'POST 1 KB, 64 connections',
    connections: 64,
    path: '/api/v1/items',
    post: 1024,
    close: false,
  },
  {
    name: 'post64k',
    what: 'POST 64 KB, 64 connections',
    connections: 64,
    path: '/api/v1/items',
    post: 65_536,
    close: false,
  },
  {
    name: 'connect',
    what: 'new connection per request',
    connections: 64,
    path: '/api/v1/items/42?x=1',
    post: 0,
    close: true,
  },
  {
    name: 'tls-get',
    what: 'TLS: small GET, 64 connections',
    connections: 64,
    path: '/api/v1/items/42?x=1',
    post: 0,
    close: false,
    tls: 'requests',
  },
  {
    name: 'tls-64k',
    what: 'TLS: 64 KB response, 64 connections',
    connections: 64,
    path: '/static/64k',
    post: 0,
    close: false,
    tls: 'requests',
  },
  {
    name: 'tls-1m',
    what: 'TLS: 1 MB response, 16 connections',
    connections: 16,
    path: '/static/1m',
    post: 0,
    close: false,
    tls: 'requests',
  },
  { name: 'tls-full', what: 'TLS 1.3: full handshake', connections: 4, path: '', post: 0, close: true, tls: 'full' },
  {
    name: 'tls-resumed',
    what: 'TLS 1.2: resumed handshake',
    connections: 4,
    path: '',
    post: 0,
    close: true,
    tls: 'resumed',
  },
  {
    name: 'tcp-get',
    what: 'TCP: kept exchange, 64 connections',
    connections: 64,
    path: '/api/v1/items/42?x=1',
    post: 0,
    close: false,
    tcp: true,
  },
  {
    name: 'tcp-1m',
    what: 'TCP: 1 MB, 16 connections',
    connections: 16,
    path: '/static/1m',
    post: 0,
    close: false,
    tcp: true,
  },
  {
    name: 'tcp-connect',
    what: 'TCP: connection for each exchange',
    connections: 64,
    path: '/last',
    post: 0,
    close: true,
    tcp: true,
  },
  ...http2Works(),
];

/** Few connections with many streams each, as browsers and clients of gRPC have them. */
function http2Works(): Work[] {
  const of = (name: string, what: string, path: string, h2: Http2Work): Work => {
    const { connections } = h2;
    return { name, what, connections, path, post: 0, close: false, h2 };
  };
  const many = { connections: 8, streams: 32 };
  const few = { connections: 4, streams: 4 };
  const calls = (messages: number): Http2Work => ({ ...many, messages, answer: messages * MESSAGE_BYTES });
  return [
    of('h2-get', 'TLS HTTP/2: small GET, 8 x 32', '/api/v1/items/42?x=1', { ...many, messages: 0, answer: 152 }),
    of('h2-64k', 'TLS HTTP/2: 64 KB response, 8 x 8', '/static/64k', {
      ...{ connections: 8, streams: 8, messages: 0, answer: 65_536 },
    }),
    of('h2-1m', 'TLS HTTP/2: 1 MB response, 4 x 4', '/static/1m', { ...few, messages: 0, answer: 2 ** 20 }),
    of('h2c-grpc-unary', 'gRPC h2c to h2c: unary, 8 x 32', '', calls(1)),
    of('h2c-grpc-stream', 'gRPC h2c to h2c: 100 messages each way, 8 x 32', '', calls(100)),
  ];
}

/** A process and everything below it. */
export function family(pid: number): number[] {
  const all = [pid];
  for (const task of list(`/proc/${pid}/task`)) {
    const children = read(`/proc/${pid}/task/${task}/children`).trim();
    for (const child of children === '' ? [] : children.split(' ')) all.push(...family(Number(child)));
  }
  return all;
}

/** On-CPU nanoseconds of all threads (schedstat counts what the scheduler saw, not ticks). */
export function cpuNs(pids: readonly number[]): number {
  return scheduled(pids, 0);
}

/** Nanoseconds for which threads could have run, and had no core: what others took. */
export function waitedNs(pids: readonly number[]): number {
  return scheduled(pids, 1);
}

function scheduled(pids: readonly number[], field: number): number {
  let sum = 0;
  for (const pid of pids)
    for (const task of list(`/proc/${pid}/task`))
      sum += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[field] || 0);
  return sum;
}

/** Anonymous and shared memory of `pids`, each page divided by those who hold it. */
export function ownBytes(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    for (const m of read(`/proc/${pid}/smaps_rollup`).matchAll(/^Pss_(?:Anon|Shmem):\s+(\d+)/gm)) sum += Number(m[1]);
  }
  return sum * 1024;
}

function stolen(): { steal: number; total: number } {
  const fields = (read('/proc/stat').split('\n')[0] as string).trim().split(/\s+/).slice(1).map(Number);
  return { steal: fields[7] ?? 0, total: fields.slice(0, 8).reduce((a, b) => a + b, 0) };
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** A load generator pinned to `core`; resolves with what it says on its standard output. */
function load(argv: readonly string[], core: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = '';
    const child = spawn('taskset', ['-c', String(core), ...argv], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.on('data', (part) => {
      out += part;
    });
    child.on('error', reject);
    child.on('close', () => resolve(out));
  });
}

async function requests(port: number, work: Work, seconds: number, core: number, script: string): Promise<Counts> {
  const fields = work.close ? [...FIELDS, 'Connection: close'] : FIELDS;
  const argv = ['wrk', '-t1', `-c${work.connections}`, `-d${seconds}s`, '--timeout', '10s', '--latency'];
  for (const field of fields) argv.push('-H', field);
  if (work.post > 0) argv.push('-s', script);
  argv.push(`${work.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}${work.path}`);
  if (work.post > 0) argv.push('--', String(work.post));
  const text = await load(argv, core);
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const bad = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
  return {
    requests: Number(/(\d+) requests in/.exec(text)?.[1] ?? 0),
    errors: bad + (socket === null ? 0 : [1, 2, 3, 4].reduce((n, i) => n + Number(socket[i]), 0)),
    p99Us: duration(/99%\s+([\d.]+)(us|ms|s)/.exec(text)),
  };
}

/** Handshakes one after the other by several clients; one that was to be resumed and was not is an error. */
async function handshakes(port: number, work: Work, seconds: number, core: number): Promise<Counts> {
  const how = work.tls === 'resumed' ? ['-reuse', '-tls1_2'] : ['-new', '-tls1_3'];
  const argv = ['openssl', 's_time', '-connect', `127.0.0.1:${port}`, ...how, '-time', String(seconds)];
  const texts = await Promise.all(Array.from({ length: HANDSHAKE_CLIENTS }, () => load(argv, core)));
  let done = 0;
  let errors = 0;
  for (const text of texts) {
    const found = /(\d+) connections in \d+ real seconds/.exec(text);
    if (found === null) errors++;
    done += Number(found?.[1] ?? 0);
    // It writes `r` for a session that was taken up and `*` for one that was not.
    const others = (/[r*t]{2,}/.exec(text)?.[0] ?? '').replaceAll(work.tls === 'resumed' ? 'r' : '*', '').length;
    if (others > 1) errors += others;
  }
  return { requests: done, errors, p99Us: Number.NaN };
}

/**
 * Runs `work` for `seconds` against the proxy `pid` on `port`, the client pinned to `core`; `folder`: for its files.
 */
export async function measure(
  pid: number,
  port: number,
  work: Work,
  seconds: number,
  core: number,
  script: string,
  folder: string,
): Promise<Sample> {
  const pids = family(pid);
  const before = cpuNs(pids);
  const stealBefore = stolen();
  const alone = work.tls === 'full' || work.tls === 'resumed';
  const counts = await (work.h2 !== undefined
    ? http2Requests(port, work.h2, work.path, seconds, FIELDS.slice(1), folder, (argv) => load(argv, core))
    : alone
      ? handshakes(port, work, seconds, core)
      : requests(port, work, seconds, core, script));
  const cpu = cpuNs(pids) - before;
  const stealAfter = stolen();
  return {
    ...counts,
    cpuUs: cpu / 1000 / counts.requests,
    steal: ((stealAfter.steal - stealBefore.steal) / Math.max(1, stealAfter.total - stealBefore.total)) * 100,
  };
}

function duration(m: RegExpExecArray | null): number {
  if (m === null) return Number.NaN;
  return Number(m[1]) * (m[2] === 's' ? 1e6 : m[2] === 'ms' ? 1e3 : 1);
}
