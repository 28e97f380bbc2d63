// A victim beside revisions: one worker on one core, without a program around it; this process, in its keeper's place,
// sends it revisions of thousands of routes, each of which changes every rule, one when the one before is acked and
// some time went by. The victim, a process of its own with the backend on the other core, asks at a fixed rate over
// kept connections (open loop). `bin/node bench/macro/revisions.ts [--routes 10000] [--seconds 20] [--program DIR]...
// [--out revisions]`; of several programs each in turn, twice.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, loadavg, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { encodeEntry } from '../../src/ir/codec.ts';
import type { Entry } from '../../src/ir/ir.ts';
import { openNative, Reactor } from '../../src/native/index.ts';
import { LoneKeeper, putsOf } from '../../test/support/lone-worker.ts';
import { prefixRule } from '../micro/entries.ts';
import { circumstances, writeResult } from './result.ts';
import { quantile, victim } from './victim.ts';

const BACKEND_PORT = 19_310;
const PORT = 19_311;
const PER_SECOND = 500;
const VICTIMS = 10;
const HOSTS = 1_000;
/** From one revision's ack to the next. */
const PAUSE_MS = 500;
const SOCKET = 'socket/0.0.0.0/80/tcp';
const CLUSTER = 'cluster/Backend/default/app/0/000000000000';
const ENDPOINTS = 'endpoints/Backend/default/app/0';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const { values: args } = parseArgs({
  options: {
    routes: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '20' },
    program: { type: 'string', multiple: true, default: [ROOT] },
    out: { type: 'string', default: 'revisions' },
    /** The victim itself. */
    victim: { type: 'boolean', default: false },
  },
});
const routes = Number(args.routes);
const seconds = Number(args.seconds);

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const to = [{ cluster: CLUSTER, backend: 'default/app:80', weight: 1, filters: [] }];

const FIXED: readonly Entry[] = [
  { kind: 'gateway', key: 'gateway/default/web', name: 'default/web' },
  {
    ...{ kind: 'socket', key: SOCKET, address: '0.0.0.0', port: 80, transport: 'tcp' },
    hosts: [{ hostname: '*', gateway: 'gateway/default/web', listener: 'http', port: 80, protocol: 'HTTP', tls: null }],
    ...{ fallback: null, proxyProtocol: null },
  },
  {
    ...{ kind: 'cluster', key: CLUSTER, backend: 'default/app', endpoints: ENDPOINTS, protocol: 'http1' },
    ...{ proxyProtocol: null, tls: null, balancer: { type: 'roundRobin' } },
  },
  {
    ...{ kind: 'endpoints', key: ENDPOINTS },
    endpoints: [{ id: 'pod', address: '127.0.0.1', port: BACKEND_PORT, zone: '', weight: 1, state: 'ready' }],
  },
  prefixRule(routes, 'app.example.com', '/api', to),
];

function rulesOf(version: number): Entry[] {
  return Array.from({ length: routes }, (_, i) =>
    prefixRule(i, `host-${i % HOSTS}.example.com`, `/v${version}/service-${i}`, to),
  );
}

const encoded = (entries: readonly Entry[]): Record<string, Uint8Array> =>
  Object.fromEntries(entries.map((entry) => [entry.key, encodeEntry(entry)]));

interface Asked {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly mostMs: number;
  readonly failed: number;
}

/** What a victim met in `seconds`. */
async function asked(): Promise<Asked> {
  const self = fileURLToPath(import.meta.url);
  const child: ChildProcess = spawn(
    'taskset',
    ['-c', '1', process.execPath, '--disable-warning=ExperimentalWarning', self, '--victim', '--seconds', args.seconds],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '';
  child.stdout?.on('data', (part) => {
    said += String(part);
  });
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(said) as Asked;
}

interface Row extends Asked {
  readonly program: string;
  readonly revisions: number;
  /** From a revision's first byte to its ack. */
  readonly ackMs: number;
}

async function row(keeper: LoneKeeper, program: string, from: number, revising: boolean): Promise<Row> {
  // Made before: who sends shares a core with the victim.
  const versions = [putsOf(encoded(rulesOf(0))), putsOf(encoded(rulesOf(1)))];
  let over = false;
  const measured = asked().finally(() => {
    over = true;
  });
  const acks: number[] = [];
  // Started, connected and warm first.
  await wait(2_000);
  for (let revision = from + 1; revising && !over; revision++) {
    const sent = performance.now();
    keeper.reviseBy(revision, revision - 1, versions[revision % 2] as Buffer);
    await keeper.hears('ack', (m) => m.revision === revision);
    acks.push(performance.now() - sent);
    await wait(PAUSE_MS);
  }
  const ackMs = acks.reduce((sum, ms) => sum + ms, 0) / Math.max(1, acks.length);
  const found = {
    program: program === ROOT ? 'this' : basename(program),
    revisions: acks.length,
    ackMs,
    ...(await measured),
  };
  process.stdout.write(`${JSON.stringify(found)}\n`);
  return found;
}

async function main(): Promise<void> {
  execFileSync('taskset', ['-a', '-p', '-c', '1', String(process.pid)], { stdio: 'ignore' });
  const run = mkdtempSync(join(tmpdir(), 'rauta-revisions-'));
  execFileSync('cc', ['-O2', '-o', join(run, 'backend'), fileURLToPath(new URL('backend.c', import.meta.url))]);
  const backend = spawn('taskset', ['-c', '1', join(run, 'backend'), String(BACKEND_PORT)], { stdio: 'inherit' });
  const io = openNative();
  const reactor = new Reactor(io);
  reactor.run();
  const rows: Row[] = [];
  try {
    for (const program of [...args.program, ...(args.program.length > 1 ? args.program : [])]) {
      const keeper = new LoneKeeper(io, program, ['taskset', '-c', '0']);
      keeper.assign();
      keeper.revise(1, null, encoded([...FIXED, ...rulesOf(1)]));
      await keeper.hears('ack');
      keeper.socket(SOCKET, { family: 'ipv4', address: '127.0.0.1', port: PORT });
      rows.push(await row(keeper, program, 1, false), await row(keeper, program, 1, true));
      keeper.kill();
      await wait(500);
    }
  } finally {
    reactor.stop();
    backend.kill('SIGKILL');
    rmSync(run, { recursive: true, force: true });
  }
  const programs = args.program.length > 1 ? ' --program BEFORE --program .' : '';
  const command = `bin/node bench/macro/revisions.ts --routes ${routes} --seconds ${seconds}${programs}`;
  const what = `${PER_SECOND} requests a second, open loop, beside revisions that each change ${routes} rules; ms`;
  const [load = 0] = loadavg();
  const path = writeResult(args.out, { ...circumstances(), load, command, what, rows });
  writeFileSync(`${path}.md`, markdown(rows, command, load));
}

function markdown(rows: readonly Row[], command: string, load: number): string {
  const { date, commit, machine, node } = circumstances();
  const ms = (value: number): string => value.toFixed(1);
  const lines = rows.map(
    (r) =>
      `| ${r.program} | ${r.revisions} | ${ms(r.p50Ms)} | ${ms(r.p99Ms)} | ${ms(r.p999Ms)} | ${ms(r.mostMs)} | ${r.failed} | ${ms(r.ackMs)} |`,
  );
  return `# A victim beside revisions

    ${command}

${date.slice(0, 10)}, ${commit}, ${machine},
Node ${node}; load average ${load.toFixed(1)}, priority ${getPriority()} of all that takes part.

One worker on one core; ${PER_SECOND} requests a second (open loop, ${VICTIMS} kept connections) from a process on the
other, with the backend and who sends the revisions. Each revision changes all ${routes} rules; the next one comes
${PAUSE_MS} ms after the ack. Milliseconds; the ack is from the first byte sent.

| program | revisions | p50 | p99 | p99.9 | most | failed | ack |
|---|---|---|---|---|---|---|---|
${lines.join('\n')}
`;
}

if (args.victim) {
  const { times, failed } = await victim(PORT, seconds, PER_SECOND, VICTIMS);
  const [p50Ms, p99Ms, p999Ms, mostMs] = [0.5, 0.99, 0.999].map((q) => quantile(times, q)).concat(times.at(-1) ?? 0);
  process.stdout.write(JSON.stringify({ p50Ms, p99Ms, p999Ms, mostMs, failed }));
} else await main();
