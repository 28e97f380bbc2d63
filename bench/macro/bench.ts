// `make bench`: the proxies side by side on one core, client and backend on the other, in paired interleaved rounds
// until the 95 % interval of every ratio to nginx is within 5 % (--precision) or 30 rounds are done. Every three rounds
// all proxies are started anew: where a process happens to lie in memory, and what its compilers made of it, is part of
// what is averaged. `bin/node bench/macro/bench.ts [--works get,64k] [--peers rauta,nginx] [--base nginx] [--seconds 3]
// [--rounds 30] [--precision 0.05] [--out NAME]`; RAUTA_BENCH_BEFORE=CHECKOUT makes a peer `before` of another
// checkout.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure, WORKS, type Work } from './measure.ts';
import { GRPC_BACKEND, PEERS, type Peer, startPeer } from './peers.ts';
import { circumstances, writeResult } from './result.ts';
import type { Sample } from './sample.ts';
import { median, type Ratio, ratio } from './stats.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const PROXY_CORE = 0;
const CLIENT_CORE = 1;
const BACKEND_PORT = 19_000;
const FIRST_PORT = 19_001;
const ROUNDS_PER_START = 3;
const MIN_STARTS = 4;
/**
 * Short runs of each proxy that are not counted: compilers and allocators settle only after connections came and went a
 * few times.
 */
const WARM_UPS = 8;
/** Of another work by a proxy that is warm. */
const MORE_WARM_UPS = 3;
const WARM_UP_SECONDS = 1;
const MAX_STEAL = 6;
const TRIES = 3;

const { values: args } = parseArgs({
  options: {
    works: { type: 'string', default: WORKS.map((w) => w.name).join() },
    peers: { type: 'string', default: PEERS.join() },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '30' },
    precision: { type: 'string', default: '0.05' },
    base: { type: 'string', default: 'nginx' },
    out: { type: 'string', default: 'macro' },
  },
});

interface Row {
  readonly work: string;
  readonly peer: string;
  readonly cpuUs: number;
  readonly p99Us: number;
  readonly requestsPerSecond: number;
  readonly errors: number;
  /** CPU of the base over CPU of this peer: how many times cheaper it is. */
  readonly cheaper: Ratio | null;
}

/** Of one work, by the proxy's name, a sample a round. */
type Samples = ReadonlyMap<string, Sample[]>;

function column(samples: Samples, name: string, f: (s: Sample) => number): number[] {
  return (samples.get(name) as Sample[]).map(f);
}

function cheaper(samples: Samples, name: string): Ratio {
  const cpu = (s: Sample): number => s.cpuUs;
  return ratio(column(samples, args.base, cpu), column(samples, name, cpu));
}

/** Whether the interval of each ratio is narrow enough. */
function resolved(samples: Samples): boolean {
  return [...samples.keys()].every(
    (name) =>
      name === args.base ||
      column(samples, name, (s) => s.cpuUs).length === 0 ||
      cheaper(samples, name).half <= Number(args.precision),
  );
}

function portOf(peer: Peer, work: Work): number {
  if (work.h2 !== undefined) return work.h2.messages > 0 ? peer.h2cPort : peer.tlsPort;
  return work.tcp === true ? peer.tcpPort : work.tls === undefined ? peer.port : peer.tlsPort;
}

/** Three rounds of one work after some that are not counted. */
async function rounds(work: Work, peers: readonly Peer[], samples: Samples, warmUps: number): Promise<void> {
  const run = (peer: Peer, seconds: number): Promise<Sample> =>
    measure(peer.pid, portOf(peer, work), work, seconds, CLIENT_CORE, join(here, 'post.lua'), folder);
  for (let i = 0; i < warmUps; i++) for (const peer of peers) await run(peer, WARM_UP_SECONDS);
  for (let round = 0; round < ROUNDS_PER_START; round++) {
    for (let i = 0; i < peers.length; i++) {
      const peer = peers[(i + round) % peers.length] as Peer;
      // Memory that a virtual machine uses for the first time is faulted in by its host, two nanoseconds a byte, at the
      // expense of whoever writes the log. The warm-up has paid that for everybody.
      peer.emptyLog();
      let sample = await run(peer, Number(args.seconds));
      for (let t = 1; t < TRIES && sample.steal > MAX_STEAL; t++) sample = await run(peer, Number(args.seconds));
      (samples.get(peer.name) as Sample[]).push(sample);
    }
    const last = peers.map(
      (p) =>
        `${p.name} ${column(samples, p.name, (s) => s.cpuUs)
          .at(-1)
          ?.toFixed(1)}`,
    );
    process.stdout.write(`  ${work.name}: ${last.join('  ')} us\n`);
  }
}

function rowsOf(work: Work, samples: Samples): Row[] {
  return [...samples.keys()]
    .filter((name) => column(samples, name, (s) => s.cpuUs).length > 0)
    .map((name) => ({
      work: work.name,
      peer: name,
      cpuUs: median(column(samples, name, (s) => s.cpuUs)),
      p99Us: median(column(samples, name, (s) => s.p99Us)),
      requestsPerSecond: median(column(samples, name, (s) => s.requests)) / Number(args.seconds),
      errors: column(samples, name, (s) => s.errors).reduce((a, b) => a + b, 0),
      cheaper:
        name === args.base || column(samples, args.base, (s) => s.cpuUs).length === 0 ? null : cheaper(samples, name),
    }));
}

function table(rows: readonly Row[], peers: readonly { readonly name: string; readonly version: string }[]): string {
  const cell = (row: Row | undefined): string => {
    if (row === undefined) return '-';
    const { cheaper } = row;
    const times =
      cheaper === null
        ? ''
        : ` x${cheaper.mean.toFixed(2)} (${cheaper.low.toFixed(2)}-${cheaper.high.toFixed(2)}, ${cheaper.rounds})`;
    return `${row.cpuUs.toFixed(1)}${times}${row.errors > 0 ? ` ${row.errors} errors` : ''}`;
  };
  const lines = [
    `| CPU us/request | ${peers.map((p) => `${p.name} ${p.version}`).join(' | ')} |`,
    `|---|${peers.map(() => '---|').join('')}`,
  ];
  for (const work of WORKS) {
    if (!rows.some((r) => r.work === work.name)) continue;
    lines.push(
      `| ${work.what} | ${peers.map((p) => cell(rows.find((r) => r.work === work.name && r.peer === p.name))).join(' | ')} |`,
    );
  }
  return `${lines.join('\n')}\n`;
}

const folder = mkdtempSync(join(tmpdir(), 'rauta-bench-'));
const works = WORKS.filter((work) => args.works.split(',').includes(work.name));
const all = new Map<Work, Map<string, Sample[]>>(works.map((work) => [work, new Map()]));
const versions = new Map<string, string>();
let peers: Peer[] = [];

async function startPeers(): Promise<void> {
  for (const name of args.peers.split(',')) {
    const peer = await startPeer(name, folder, FIRST_PORT + PEERS.indexOf(name), BACKEND_PORT, PROXY_CORE);
    if (peer === null) {
      if (versions.size === 0) process.stdout.write(`${name} is not on this machine: left out\n`);
      continue;
    }
    peers.push(peer);
    for (const samples of all.values()) if (!samples.has(name)) samples.set(name, []);
  }
  for (const { name, version } of peers) versions.set(name, version);
}

async function stopPeers(): Promise<void> {
  await Promise.all(peers.map((peer) => peer.stop()));
  peers = [];
}

/** A backend of this folder, built and started beside the client. */
function startBackend(name: string, port: number): ChildProcess {
  const program = join(folder, name);
  execFileSync('cc', ['-O2', '-o', program, join(here, `${name}.c`)]);
  return spawn('taskset', ['-c', String(CLIENT_CORE), program, String(port)], { stdio: 'inherit' });
}

const backends = [startBackend('backend', BACKEND_PORT), startBackend('grpc-backend', BACKEND_PORT + GRPC_BACKEND)];
try {
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (let start = 0; start < Math.ceil(Number(args.rounds) / ROUNDS_PER_START); start++) {
    const open = works.filter((work) => start < MIN_STARTS || !resolved(all.get(work) as Samples));
    if (open.length === 0) break;
    process.stdout.write(`start ${start + 1}\n`);
    await startPeers();
    for (const [i, work] of open.entries()) {
      const able = peers.filter((peer) => work.tcp !== true || peer.tcpPort !== 0);
      await rounds(work, able, all.get(work) as Samples, i === 0 ? WARM_UPS : MORE_WARM_UPS);
    }
    await stopPeers();
  }
  const rows = works.flatMap((work) => rowsOf(work, all.get(work) as Samples));
  const result = {
    ...circumstances(),
    method:
      'paired interleaved rounds, three to a start of all proxies, CPU of all processes of the proxy (schedstat), proxy on core 0, client (wrk, h2load for HTTP/2) and backend on core 1, access logs emptied before each sample',
    seconds: Number(args.seconds),
    peers: [...versions].map(([name, version]) => ({ name, version })),
    rows,
  };
  const out = writeResult(args.out, result);
  const text = table(rows, result.peers);
  writeFileSync(
    `${out}.md`,
    `# CPU per request, side by side\n\n${result.date}, commit ${result.commit}, ${result.machine}, Node ${result.node}.\n\`make bench\`\n\nxN: how many times less CPU than ${args.base} (95 % interval, rounds; all proxies started anew every three). Access log,\ntimeouts, limits, X-Forwarded-* and X-Request-ID on everywhere, half-close where bytes are relayed; logs go to files,\nemptied before each sample.\n\n${text}`,
  );
  process.stdout.write(`\n${text}`);
} finally {
  await stopPeers();
  for (const backend of backends) backend.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
