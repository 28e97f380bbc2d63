// Many certificates from as many Secrets: when all are served, what they cost, how long a first handshake with one
// takes, whether any fails while they are replaced, and how soon a new worker serves while everything changes.
// `bin/node bench/macro/certificates.ts [--certificates 10000] [--routes 0] [--seconds 10] [--out certificates]`

import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { cpuNs, family, ownBytes } from './measure.ts';
import { circumstances, writeResult } from './result.ts';

const PORT = 19_500;
const ADMIN = 19_501;
/** Gateway API: listeners of a Gateway. */
const LISTENERS = 64;
const PER_FILE = 100;
const COLD = 500;
const REPLACED = 100;
const REPLACE_MS = 10;
const ROUTES_AT_ONCE = 100;
const CHANGE_MS = 100;

const { values: args } = parseArgs({
  options: {
    certificates: { type: 'string', default: '10000' },
    routes: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '10' },
    out: { type: 'string', default: 'certificates' },
  },
});
const count = Number(args.certificates);
const routes = Number(args.routes);
const seconds = Number(args.seconds);

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const nameOf = (i: number): string => `s${i}.example`;
const root = authority('Root');
const middle = authority('Middle', root);

function secretYaml(i: number): string {
  const { der, keyDer } = leaf(middle, [nameOf(i)]);
  const chain = pem('CERTIFICATE', der) + pem('CERTIFICATE', middle.der);
  const [crt, key] = [chain, pem('PRIVATE KEY', keyDer)].map((text) => Buffer.from(text).toString('base64'));
  return `apiVersion: v1
kind: Secret
metadata: { name: s${i} }
data: { tls.crt: ${crt}, tls.key: ${key} }
---
`;
}

function gatewayYaml(first: number, end: number): string {
  let text = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: g${first} }
spec:
  gatewayClassName: rauta
  listeners:
`;
  for (let i = first; i < end; i++) {
    const tls = `{ certificateRefs: [{ name: s${i} }] }`;
    text += `    - { name: l${i}, port: ${PORT}, protocol: HTTPS, hostname: ${nameOf(i)}, tls: ${tls} }\n`;
  }
  return `${text}---\n`;
}

function routesYaml(first: number, generation: number): string {
  let text = '';
  for (let i = first; i < Math.min(routes, first + ROUTES_AT_ONCE); i++) {
    text += `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r${i} }
spec:
  parentRefs: [{ name: g0 }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /r${i}/${generation} } }]
      filters: [{ type: RequestRedirect, requestRedirect: { hostname: other.example } }]
---
`;
  }
  return text;
}

/** Those that are replaced have a file each; the others share one. */
function write(folder: string): void {
  for (let i = 0; i < REPLACED; i++) writeFileSync(join(folder, `one-${i}.yaml`), secretYaml(i));
  for (let first = REPLACED; first < count; first += PER_FILE) {
    let text = '';
    for (let i = first; i < Math.min(count, first + PER_FILE); i++) text += secretYaml(i);
    writeFileSync(join(folder, `many-${first}.yaml`), text);
  }
  let gateways = '';
  for (let i = 0; i < count; i += LISTENERS) gateways += gatewayYaml(i, Math.min(count, i + LISTENERS));
  writeFileSync(join(folder, 'gateways.yaml'), gateways);
  for (let i = 0; i < routes; i += ROUTES_AT_ONCE) writeFileSync(join(folder, `routes-${i}.yaml`), routesYaml(i, 0));
}

/** Milliseconds of one handshake for `name`; NaN when it failed. */
function handshake(name: string): Promise<number> {
  return new Promise((resolve) => {
    const start = performance.now();
    const ca = pem('CERTIFICATE', root.der);
    const socket = connect({ host: '127.0.0.1', port: PORT, servername: name, ca });
    socket.once('secureConnect', () => {
      resolve(performance.now() - start);
      socket.destroy();
    });
    socket.once('error', () => resolve(Number.NaN));
  });
}

interface WorkerView {
  readonly pid: number;
  readonly state: string;
}
const workers = async (): Promise<WorkerView[]> =>
  (await (await fetch(`http://127.0.0.1:${ADMIN}/workers`)).json()) as WorkerView[];

async function start(folder: string): Promise<{ child: ChildProcess; readyMs: number }> {
  const began = performance.now();
  const flags = ['--workers', '1', '--listen', '127.0.0.1', '--admin', `127.0.0.1:${ADMIN}`, '--log-level', 'warn'];
  const bin = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
  const child = spawn(bin, ['serve', '--config', folder, '--access-log', 'off', ...flags], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${ADMIN}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return { child, readyMs: performance.now() - began };
    await sleep(10);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

/** MB of all processes once they are at rest. */
async function restingMb(child: ChildProcess): Promise<number> {
  await sleep(15_000);
  return ownBytes(family(child.pid as number)) / 1e6;
}

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] as number;
}

async function cold(): Promise<{ p50Ms: number; p99Ms: number; workerCpuMs: number }> {
  const pid = (await workers())[0]?.pid as number;
  await handshake(nameOf(0));
  const before = cpuNs([pid]);
  const times: number[] = [];
  for (let i = 0; i < COLD; i++) times.push(await handshake(nameOf(1 + Math.floor((i * (count - 1)) / COLD))));
  const workerCpuMs = (cpuNs([pid]) - before) / 1e6 / COLD;
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), workerCpuMs };
}

/** Replaces certificates while clients come for them. */
async function replacing(folder: string): Promise<{ replaced: number; handshakes: number; failed: number }> {
  const until = performance.now() + seconds * 1000;
  const fresh = Array.from({ length: 2 * REPLACED }, (_, i) => secretYaml(i % REPLACED));
  const found = { replaced: 0, handshakes: 0, failed: 0 };
  const replace = async (): Promise<void> => {
    while (performance.now() < until) {
      const n = found.replaced++;
      writeFileSync(join(folder, `one-${n % REPLACED}.yaml`), fresh[n % fresh.length] as string);
      await sleep(REPLACE_MS);
    }
  };
  const come = async (): Promise<void> => {
    while (performance.now() < until) {
      const took = await handshake(nameOf(found.handshakes++ % REPLACED));
      if (Number.isNaN(took)) found.failed++;
    }
  };
  await Promise.all([replace(), come(), come(), come(), come()]);
  return found;
}

/** The worker and its spare are killed while routes change: seconds until another one serves. */
async function newWorker(folder: string, child: ChildProcess): Promise<number> {
  let going = true;
  const change = async (): Promise<void> => {
    for (let n = 1; going; n++) {
      const first = (n * ROUTES_AT_ONCE) % Math.max(ROUTES_AT_ONCE, routes);
      writeFileSync(join(folder, `routes-${first}.yaml`), routesYaml(first, n));
      await sleep(CHANGE_MS);
    }
  };
  const changing = change();
  await sleep(2000);
  const known = new Set((await workers()).map(({ pid }) => pid));
  const all = family(child.pid as number);
  const controller = all[1];
  const began = performance.now();
  for (const pid of all.slice(1)) if (pid !== controller) process.kill(pid, 'SIGKILL');
  for (;;) {
    const there = (await workers()).some(({ pid, state }) => state === 'serving' && !known.has(pid));
    if (there && !Number.isNaN(await handshake(nameOf(count - 1)))) break;
    await sleep(10);
  }
  const took = (performance.now() - began) / 1000;
  going = false;
  await changing;
  return took;
}

const folder = mkdtempSync(join(tmpdir(), 'rauta-certificates-'));
chmodSync(folder, 0o755);
try {
  writeFileSync(join(folder, 'gateways.yaml'), gatewayYaml(0, 1));
  writeFileSync(join(folder, 'one-0.yaml'), secretYaml(0));
  const few = await start(folder);
  const fewMb = await restingMb(few.child);
  await stop(few.child);
  write(folder);
  const { child, readyMs } = await start(folder);
  try {
    const addedMb = (await restingMb(child)) - fewMb;
    const result = {
      ...{ certificates: count, routes, readyMs, fewReadyMs: few.readyMs, addedMb },
      cold: await cold(),
      replacing: await replacing(folder),
      newWorkerSeconds: routes === 0 ? null : await newWorker(folder, child),
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    const command = `bin/node bench/macro/certificates.ts --certificates ${count} --routes ${routes} --seconds ${seconds}`;
    writeResult(args.out, { ...circumstances(), command, ...result });
  } finally {
    await stop(child);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
