// `make bench`: the proxies side by side on one core, client and backend on the other, in paired interleaved rounds until
// the 95 % interval of every ratio to nginx is within 5 % (--precision) or 30 rounds are done.
// `bin/node bench/macro/bench.ts [--works get,64k] [--peers rauta,nginx] [--seconds 3] [--rounds 30] [--precision 0.05] [--out NAME]`

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure, type Sample, WORKS, type Work } from './measure.ts';
import { PEERS, type Peer, startPeer } from './peers.ts';
import { circumstances, writeResult } from './result.ts';
import { median, type Ratio, ratio } from './stats.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const PROXY_CORE = 0;
const CLIENT_CORE = 1;
const BACKEND_PORT = 19_000;
const FIRST_PORT = 19_001;
const BASE = 'nginx';
const MIN_ROUNDS = 8;
/** Short runs of each proxy that are not counted: compilers and allocators settle only after connections came and went a few times. */
const WARM_UPS = 8;
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
  /** CPU of nginx over CPU of this peer: how many times cheaper it is. */
  readonly cheaper: Ratio | null;
}

async function rounds(work: Work, peers: readonly Peer[], seconds: number, most: number): Promise<Row[]> {
  const samples = new Map<string, Sample[]>(peers.map((p) => [p.name, []]));
  const column = (name: string, f: (s: Sample) => number): number[] => (samples.get(name) as Sample[]).map(f);
  const others = peers.filter((p) => p.name !== BASE);
  const run = (peer: Peer, forSeconds: number): Promise<Sample> =>
    measure(peer.pid, peer.port, work, forSeconds, CLIENT_CORE, join(here, 'post.lua'));
  for (let i = 0; i < WARM_UPS; i++) for (const peer of peers) await run(peer, WARM_UP_SECONDS);
  for (let round = 0; round < most; round++) {
    for (let i = 0; i < peers.length; i++) {
      const peer = peers[(i + round) % peers.length] as Peer;
      // Memory that a virtual machine uses for the first time is faulted in by its host, two nanoseconds a byte, at the expense of
      // whoever writes the log. The warm-up has paid that for everybody.
      peer.emptyLog();
      let sample = await run(peer, seconds);
      for (let t = 1; t < TRIES && sample.steal > MAX_STEAL; t++) sample = await run(peer, seconds);
      (samples.get(peer.name) as Sample[]).push(sample);
    }
    const wide = others.filter(
      (p) =>
        ratio(
          column(BASE, (s) => s.cpuUs),
          column(p.name, (s) => s.cpuUs),
        ).half > Number(args.precision),
    );
    process.stdout.write(
      `  ${work.name} round ${round + 1}: ${peers
        .map(
          (p) =>
            `${p.name} ${column(p.name, (s) => s.cpuUs)
              .at(-1)
              ?.toFixed(1)}`,
        )
        .join('  ')} us\n`,
    );
    if (round + 1 >= MIN_ROUNDS && wide.length === 0) break;
  }
  return peers.map((peer) => ({
    work: work.name,
    peer: peer.name,
    cpuUs: median(column(peer.name, (s) => s.cpuUs)),
    p99Us: median(column(peer.name, (s) => s.p99Us)),
    requestsPerSecond: median(column(peer.name, (s) => s.requests)) / seconds,
    errors: column(peer.name, (s) => s.errors).reduce((a, b) => a + b, 0),
    cheaper:
      peer.name === BASE
        ? null
        : ratio(
            column(BASE, (s) => s.cpuUs),
            column(peer.name, (s) => s.cpuUs),
          ),
  }));
}

function table(rows: readonly Row[], peers: readonly Peer[]): string {
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

const run = mkdtempSync(join(tmpdir(), 'rauta-bench-'));
const peers: Peer[] = [];
execFileSync('cc', ['-O2', '-o', join(run, 'backend'), join(here, 'backend.c')]);
const backend = spawn('taskset', ['-c', String(CLIENT_CORE), join(run, 'backend'), String(BACKEND_PORT)], {
  stdio: 'inherit',
});
try {
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (const name of args.peers.split(',')) {
    const peer = await startPeer(name, run, FIRST_PORT + PEERS.indexOf(name), BACKEND_PORT, PROXY_CORE);
    if (peer === null) process.stdout.write(`${name} is not on this machine: left out\n`);
    else peers.push(peer);
  }
  const rows: Row[] = [];
  for (const work of WORKS) {
    if (!args.works.split(',').includes(work.name)) continue;
    process.stdout.write(`${work.what}\n`);
    rows.push(...(await rounds(work, peers, Number(args.seconds), Number(args.rounds))));
  }
  const result = {
    ...circumstances(),
    method:
      'paired interleaved rounds, CPU of all processes of the proxy (schedstat), proxy on core 0, wrk and backend on core 1, access logs emptied before each sample',
    seconds: Number(args.seconds),
    peers: peers.map(({ name, version }) => ({ name, version })),
    rows,
  };
  const out = writeResult(args.out, result);
  const text = table(rows, peers);
  writeFileSync(
    `${out}.md`,
    `# CPU per request, side by side\n\n${result.date}, commit ${result.commit}, ${result.machine}, Node ${result.node}. \`make bench\`\n\nxN: how many times less CPU than nginx (95 % interval, rounds). Access log, timeouts, limits, X-Forwarded-* and X-Request-ID on everywhere; logs go to files, emptied before each sample.\n\n${text}`,
  );
  process.stdout.write(`\n${text}`);
} finally {
  for (const peer of peers) peer.stop();
  backend.kill('SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 500));
  rmSync(run, { recursive: true, force: true });
}
