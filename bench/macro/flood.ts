// Floods beside a victim: RAUTA with one worker on one core; victim, attacker and backend on the other, the attacker at
// a lower priority (nice 5), or it is the core that they share that the victim waits for. The victim asks at a fixed
// rate over kept connections, in the clear; p99 with the flood aimed at RAUTA is to be at most 5 ms above p99 with the
// same attacker aimed at a closed port. Where RAUTA waits for its core that only makes the answers later: what is met
// so is met, what is missed is not judged; --first gives RAUTA, victim and backend their cores before everybody else
// (nice
// -19, as root). Floods of handshakes at an HTTPS port, and of sessions at one of TCP that are reset as soon as they
// are established.
// `bin/node bench/macro/flood.ts [--floods tls,tcp] [--seconds 20] [--attackers 16] [--first] [--out flood]` (of
// datagrams: udp.ts --flood)

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuNs, family, waitedNs } from './measure.ts';
import { type Peer, startPeer } from './peers.ts';
import { circumstances, writeResult } from './result.ts';
import { quantile, victim } from './victim.ts';

const BACKEND_PORT = 19_300;
const PORT = 19_301;
const PER_SECOND = 200;
const VICTIMS = 20;
const BAR_MS = 5;
/** RAUTA may wait for its core for so much of the time, its threads together. */
const WAITED_PERCENT = 5;
/** Where nobody listens. */
const CLOSED_PORT = 19_399;

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    attackers: { type: 'string', default: '16' },
    floods: { type: 'string', default: 'tls,tcp' },
    first: { type: 'boolean', default: false },
    out: { type: 'string', default: 'flood' },
    /** The attacker itself, of one flood: the port it is aimed at. */
    attack: { type: 'string', default: '' },
  },
});

const FLOODS: Readonly<Record<string, (port: number) => Promise<void>>> = {
  tls: (port) =>
    new Promise((resolve) => {
      const socket = connectTls({ host: '127.0.0.1', port, servername: 'app.example.com', rejectUnauthorized: false });
      socket.once('secureConnect', () => socket.destroy());
      socket.once('error', () => {});
      socket.once('close', () => resolve());
    }),
  tcp: (port) =>
    new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.once('connect', () => socket.resetAndDestroy());
      socket.once('error', () => {});
      socket.once('close', () => resolve());
    }),
};

/** One after another, as fast as they go. */
async function attack(flood: string, port: number): Promise<never> {
  const one = FLOODS[flood];
  if (one === undefined) throw new Error(`there is no flood ${flood}; there are ${Object.keys(FLOODS).join(', ')}`);
  let done = 0;
  setInterval(() => process.stdout.write(`${done}\n`), 500);
  const loop = async (): Promise<never> => {
    for (;;) {
      await one(port);
      done++;
    }
  };
  return (await Promise.all(Array.from({ length: Number(args.attackers) }, loop)))[0] as never;
}

/** What the victim's requests took, in order. */
async function asked(port: number, seconds: number): Promise<readonly number[]> {
  const { times, failed } = await victim(port, seconds, PER_SECOND, VICTIMS);
  if (failed > 0) throw new Error(`${failed} of the victim's requests got no 200`);
  return times;
}

function attacker(flood: string, port: number): { child: ChildProcess; done: () => number } {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(
    'taskset',
    ['-c', '1', process.execPath, '--disable-warning=ExperimentalWarning', self].concat(
      ...['--floods', flood, '--attack', String(port), '--attackers', args.attackers],
    ),
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  setPriority(child.pid as number, 5);
  let said = '0';
  child.stdout?.on('data', (part) => {
    said = String(part).trim().split('\n').at(-1) as string;
  });
  return { child, done: () => Number(said) };
}

interface Row {
  readonly flood: string;
  /** Whether it was aimed at RAUTA; else at a closed port. */
  readonly aimed: boolean;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the time: RAUTA on its core, and able to run without one. */
  readonly busyPercent: number;
  readonly waitedPercent: number;
}

async function row(flood: string, port: number | null, { port: plainPort, pid }: Peer): Promise<Row> {
  const seconds = Number(args.seconds);
  const { child, done } = attacker(flood, port ?? CLOSED_PORT);
  // Compilers of the attacker, and of what is attacked, first.
  await asked(plainPort, 2);
  const before = done();
  const pids = family(pid);
  const [ran, waited] = [cpuNs(pids), waitedNs(pids)];
  const times = await asked(plainPort, seconds);
  const percent = (ns: number): number => Math.round(ns / seconds / 1e6) / 10;
  const found = {
    ...{ flood, aimed: port !== null, perSecond: (done() - before) / seconds },
    ...{ p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) },
    ...{ busyPercent: percent(cpuNs(pids) - ran), waitedPercent: percent(waitedNs(pids) - waited) },
  };
  child.kill();
  process.stdout.write(`${JSON.stringify(found)}\n`);
  return found;
}

async function main(): Promise<void> {
  execFileSync('taskset', ['-p', '-c', '1', String(process.pid)], { stdio: 'ignore' });
  const run = mkdtempSync(join(tmpdir(), 'rauta-flood-'));
  execFileSync('cc', ['-O2', '-o', join(run, 'backend'), fileURLToPath(new URL('backend.c', import.meta.url))]);
  const backend = spawn('taskset', ['-c', '1', join(run, 'backend'), String(BACKEND_PORT)], { stdio: 'inherit' });
  const rauta = await startPeer('rauta', run, PORT, BACKEND_PORT, 0);
  if (rauta === null) throw new Error('RAUTA does not start');
  try {
    await asked(rauta.port, 2);
    const first = args.first ? [...family(rauta.pid), backend.pid as number, process.pid] : [];
    for (const pid of first) setPriority(pid, -19);
    const rows: Row[] = [];
    let good = true;
    for (const flood of args.floods.split(',')) {
      const closed = await row(flood, null, rauta);
      const flooded = await row(flood, flood === 'tls' ? rauta.tlsPort : rauta.tcpPort, rauta);
      rows.push(closed, flooded);
      good &&= flooded.p99Ms - closed.p99Ms <= BAR_MS;
    }
    const command = `bin/node bench/macro/flood.ts --floods ${args.floods} --seconds ${args.seconds} --attackers ${args.attackers}${args.first ? ' --first' : ''}`;
    const what = `p99 of ${PER_SECOND} requests a second, open loop, beside floods; bar: ${BAR_MS} ms more`;
    writeResult(args.out, { ...circumstances(), command, what, good, rows });
    const loaded = rows.some(({ waitedPercent }) => waitedPercent > WAITED_PERCENT);
    process.stdout.write(`${good ? 'good' : loaded ? 'not judged: RAUTA waited for its core' : 'BAD'}\n`);
    process.exitCode = good ? 0 : 1;
  } finally {
    await rauta.stop();
    backend.kill('SIGKILL');
    rmSync(run, { recursive: true, force: true });
  }
}

if (args.attack !== '') await attack(args.floods, Number(args.attack));
else await main();
