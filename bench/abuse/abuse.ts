// What abuse of HTTP/2 costs: each attack of attacks.ts for some seconds against RAUTA with one worker on one core, the
// attacker, a victim and the backend on the other (the attacker yields to them). The victim asks at a fixed rate over
// kept connections, and so does another one, of the backend itself, so that what the backend makes everybody wait for
// is told from what RAUTA does; the first row has no attacker. `bin/node bench/abuse/abuse.ts [--seconds 5]
// [--connections 16] [--only NAME] [--out abuse]` writes bench/results/abuse.json and abuse.md.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { circumstances, writeResult } from '../macro/result.ts';
import { quantile, victim } from '../macro/victim.ts';
import type { Spent } from './attacker.ts';
import { ATTACKS } from './attacks.ts';

const BACKEND_PORT = 19_600;
const PORT = 19_601;
const ADMIN_PORT = 19_602;
const PER_SECOND = 100;
const VICTIMS = 10;
/** The other victim asks for less, since it is work for the backend. */
const DIRECT_PER_SECOND = 50;
/** Of /proc/PID/stat. */
const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 50;
/** The attacker yields to the victim, which has the same core. */
const NICE = '5';
/** It attacks so long before anything is measured. */
const BEFORE_MS = 500;
const ATTACKER = fileURLToPath(new URL('attacker.ts', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '16' },
    only: { type: 'string', default: '' },
    out: { type: 'string', default: 'abuse' },
  },
});

interface Row {
  readonly attack: string;
  readonly what: string;
  /** Of the attacker, a second. */
  readonly connections: number;
  readonly frames: number;
  readonly bytes: number;
  /** Cores. */
  readonly attackerCores: number;
  readonly workerCores: number;
  readonly peakMb: number;
  /** Connections by how they ended. */
  readonly ends: Readonly<Record<string, number>>;
  readonly victim: { readonly p50Ms: number; readonly p99Ms: number; readonly failed: number };
  /** Of who asks the backend itself. */
  readonly directP99Ms: number;
}

const SITE = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec: { gatewayClassName: rauta, listeners: [{ name: http, port: ${PORT}, protocol: HTTP }] }
---
apiVersion: rauta.io/v1alpha1
kind: Backend
metadata: { name: app }
spec: { endpoints: [{ address: 127.0.0.1, port: ${BACKEND_PORT} }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: app }
spec:
  parentRefs: [{ name: web }]
  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: app }] }]
`;

/** Seconds of CPU and bytes of memory of process `pid`. */
function usage(pid: number): { cpu: number; mb: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const rss = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { cpu: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND, mb: Number(rss) / 1024 };
}

interface Report extends Spent {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Begins to attack; what it returns ends it. */
async function attack(name: string): Promise<() => Promise<Report>> {
  const argv = ['-n', NICE, 'taskset', '-c', '1', process.execPath, ATTACKER, String(PORT), name, args.connections];
  const child = spawn('nice', argv, { stdio: ['pipe', 'pipe', 'ignore'] });
  let said = '';
  child.stdout.on('data', (part) => {
    said += String(part);
  });
  while (!said.includes('\n')) await once(child.stdout, 'data');
  await new Promise((resolve) => setTimeout(resolve, BEFORE_MS));
  return async () => {
    child.stdin.end();
    await once(child, 'close');
    return JSON.parse(said.slice(said.indexOf('\n')));
  };
}

const QUIET: Report = { connections: 0, frames: 0, bytes: 0, ends: {}, seconds: 1, cpuSeconds: 0 };

async function row(name: string, what: string, worker: number): Promise<Row> {
  const seconds = Number(args.seconds);
  const end = name === 'none' ? (): Promise<Report> => Promise.resolve(QUIET) : await attack(name);
  const before = usage(worker);
  let peakMb = before.mb;
  const sampling = setInterval(() => {
    peakMb = Math.max(peakMb, usage(worker).mb);
  }, SAMPLE_MS);
  const start = performance.now();
  const [{ times, failed }, direct] = await Promise.all([
    victim(PORT, seconds, PER_SECOND, VICTIMS),
    victim(BACKEND_PORT, seconds, DIRECT_PER_SECOND, VICTIMS),
  ]);
  const took = (performance.now() - start) / 1000;
  const { cpu } = usage(worker);
  clearInterval(sampling);
  const { connections, frames, bytes, ends, seconds: whole, cpuSeconds } = await end();
  const found: Row = {
    ...{ attack: name, what, connections: connections / whole, frames: frames / whole, bytes: bytes / whole },
    ...{ attackerCores: cpuSeconds / whole, workerCores: (cpu - before.cpu) / took, peakMb, ends },
    victim: { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), failed },
    directP99Ms: quantile(direct.times, 0.99),
  };
  process.stdout.write(`${JSON.stringify(found)}\n`);
  return found;
}

const round = (n: number): string =>
  n >= 100 ? Math.round(n).toLocaleString('en-US') : String(Number(n.toPrecision(2)));

function markdown(rows: readonly Row[], command: string): string {
  const { date, commit, machine, node } = circumstances();
  const lines = rows.map((r) => {
    const ends = Object.entries(r.ends).map(([end, n]) => `${end} ${n}`);
    const cost = [round(r.connections), round(r.frames), round(r.bytes / 1024), r.attackerCores.toFixed(2)];
    const ours = [r.workerCores.toFixed(2), round(r.peakMb), ends.join(', ') || '-'];
    const { p50Ms, p99Ms, failed } = r.victim;
    const victims = [p50Ms.toFixed(2), p99Ms.toFixed(2), failed, r.directP99Ms.toFixed(2)];
    return `| ${[r.attack, ...cost, ...ours, ...victims].join(' | ')} |`;
  });
  return `# What abuse of HTTP/2 costs

    ${command}

${date.slice(0, 10)}, ${commit}, ${machine}, Node ${node}.

RAUTA with one worker on one core; attacker, victim (${PER_SECOND} requests a second over ${VICTIMS} kept connections, HTTP/1.1) and backend on the other, the
attacker at a lower priority (nice 5). ${args.connections} connections attack at once, each begun anew when it is
ended; ${args.seconds} s a row. The attacker's cost is a second's; cores are of CPU time; memory is the worker's peak
(RSS); ends are of all connections, \`open\` those that nobody ended. The last column is of somebody who asks the
backend itself meanwhile, ${DIRECT_PER_SECOND} times a second: what the victim has to wait for without RAUTA, too.

| attack | connections/s | frames/s | KB/s | attacker, cores | worker, cores | worker, MB | ends | victim p50, ms | p99, ms | failed | backend p99, ms |
|---|---|---|---|---|---|---|---|---|---|---|---|
${lines.join('\n')}

${rows.map(({ attack, what }) => `- **${attack}**: ${what}.`).join('\n')}
`;
}

async function start(run: string): Promise<{ child: ChildProcess; worker: number }> {
  mkdirSync(join(run, 'conf'));
  writeFileSync(join(run, 'conf', 'site.yaml'), SITE);
  const flags = ['--workers', '1', '--listen', '127.0.0.1', '--admin', `127.0.0.1:${ADMIN_PORT}`, '--user', 'root'];
  const logs = ['--access-log', join(run, 'access.log'), '--log-level', 'error', '--log-format', 'json'];
  const argv = ['-c', '0', join(root, 'bin/rauta'), 'serve', '--config', join(run, 'conf'), ...flags, ...logs];
  const child = spawn('taskset', argv, { stdio: ['ignore', 'ignore', 'inherit'] });
  for (;;) {
    if (child.exitCode !== null) throw new Error('RAUTA does not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
    const ready = await fetch(`http://127.0.0.1:${ADMIN_PORT}/readyz`).catch(() => null);
    if (ready?.status === 200) break;
  }
  const [worker] = (await (await fetch(`http://127.0.0.1:${ADMIN_PORT}/workers`)).json()) as { pid: number }[];
  return { child, worker: worker?.pid as number };
}

async function main(): Promise<void> {
  execFileSync('taskset', ['-p', '-c', '1', String(process.pid)], { stdio: 'ignore' });
  const run = mkdtempSync(join(tmpdir(), 'rauta-abuse-'));
  const source = fileURLToPath(new URL('../macro/backend.c', import.meta.url));
  execFileSync('cc', ['-O2', '-o', join(run, 'backend'), source]);
  const backend = spawn('taskset', ['-c', '1', join(run, 'backend'), String(BACKEND_PORT)], { stdio: 'inherit' });
  const { child, worker } = await start(run);
  try {
    await victim(PORT, 2, PER_SECOND, VICTIMS);
    const rows = [await row('none', 'nobody attacks', worker)];
    for (const { name, what } of ATTACKS)
      if (args.only === '' || args.only === name) rows.push(await row(name, what, worker));
    const command = `bin/node bench/abuse/abuse.ts --seconds ${args.seconds} --connections ${args.connections}`;
    const path = writeResult(args.out, { ...circumstances(), command, rows });
    writeFileSync(`${path}.md`, markdown(rows, command));
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
    backend.kill('SIGKILL');
    rmSync(run, { recursive: true, force: true });
  }
}

await main();
