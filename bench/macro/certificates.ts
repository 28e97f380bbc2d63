// Many certificates from as many Secrets: when all are served and what that takes, what they add to the memory of each
// process, how long a first handshake with one takes, whether any fails while they are replaced; and with `--large`,
// twice as many beside 10,000 routes under 1,000 changes a second, how soon a new worker serves.
// `bin/node bench/macro/certificates.ts [--large] [--certificates 10000] [--wait 60] [--seconds 10] [--program DIR]
// [--out certificates]`

import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createSecureContext } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { Client } from './client.ts';
import { type ByRole, freePort, type Memory, own, ROLES, Running, sleep, together } from './program.ts';
import { circumstances, writeResult } from './result.ts';

/** Gateway API: listeners of a Gateway. */
const LISTENERS = 64;
const PER_FILE = 100;
/** Of those that are replaced each has a file of its own. */
const REPLACED = 100;
const REPLACED_PER_SECOND = 100;
const ROUTES_AT_ONCE = 100;
const CHANGES_PER_SECOND = 1_000;
/** Changes go on so long before a worker is killed. */
const CHANGING_MS = 5_000;
const SETTLE_MS = 30_000;

const { values: args } = parseArgs({
  options: {
    large: { type: 'boolean', default: false },
    certificates: { type: 'string' },
    routes: { type: 'string' },
    wait: { type: 'string', default: '60' },
    seconds: { type: 'string', default: '10' },
    program: { type: 'string', default: fileURLToPath(new URL('../..', import.meta.url)) },
    out: { type: 'string' },
  },
});
const count = Number(args.certificates ?? (args.large ? 20_000 : 10_000));
const routes = Number(args.routes ?? (args.large ? 10_000 : 0));
const [waitMs, seconds] = [Number(args.wait) * 1000, Number(args.seconds)];

const nameOf = (i: number): string => `s${i}.example`;
const root = authority('Root');
const middle = authority('Middle', root);
const trusting = createSecureContext({ ca: pem('CERTIFICATE', root.der) });

interface Made {
  readonly yaml: string;
  readonly der: Buffer;
}

function secret(i: number): Made {
  const { der, keyDer } = leaf(middle, [nameOf(i)]);
  const chain = pem('CERTIFICATE', der) + pem('CERTIFICATE', middle.der);
  const [crt, key] = [chain, pem('PRIVATE KEY', keyDer)].map((text) => Buffer.from(text).toString('base64'));
  const yaml = `apiVersion: v1
kind: Secret
metadata: { name: s${i} }
type: kubernetes.io/tls
data:
  tls.crt: ${crt}
  tls.key: ${key}
---
`;
  return { yaml, der };
}

function gatewayYaml(port: number, first: number, end: number): string {
  let text = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: g${first / LISTENERS} }
spec:
  gatewayClassName: rauta
  listeners:
`;
  for (let i = first; i < end; i++) {
    const tls = `{ certificateRefs: [{ name: s${i} }] }`;
    text += `    - { name: l${i}, port: ${port}, protocol: HTTPS, hostname: ${nameOf(i)}, tls: ${tls} }\n`;
  }
  return `${text}---\n`;
}

/** Each at a listener, and so a certificate, of its own. */
function routesYaml(first: number, generation: number): string {
  let text = '';
  for (let i = first; i < Math.min(routes, first + ROUTES_AT_ONCE); i++) {
    text += `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r${i} }
spec:
  parentRefs: [{ name: g${Math.floor(i / LISTENERS)}, sectionName: l${i} }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /${generation} } }]
      filters: [{ type: RequestRedirect, requestRedirect: { hostname: other.example } }]
---
`;
  }
  return text;
}

type Ports = readonly [clear: number, secure: number];
const freePorts = async (): Promise<Ports> => [await freePort(), await freePort()];

/** One listener in the clear and `certificates` with TLS, each of a Secret of its own. */
function write(folder: string, [clear, secure]: Ports, certificates: number): void {
  mkdirSync(folder, { mode: 0o755 });
  const base = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: plain }
spec: { gatewayClassName: rauta, listeners: [{ name: http, port: ${clear}, protocol: HTTP }] }
---
`;
  let gateways = base;
  for (let i = 0; i < certificates; i += LISTENERS) {
    gateways += gatewayYaml(secure, i, Math.min(certificates, i + LISTENERS));
  }
  writeFileSync(join(folder, 'gateways.yaml'), gateways);
  for (let i = 0; i < Math.min(REPLACED, certificates); i++) put(folder, `one-${i}`, secret(i).yaml);
  for (let first = REPLACED; first < certificates; first += PER_FILE) {
    let text = '';
    for (let i = first; i < Math.min(certificates, first + PER_FILE); i++) text += secret(i).yaml;
    put(folder, `many-${first}`, text);
  }
  if (certificates === 0) return;
  for (let i = 0; i < routes; i += ROUTES_AT_ONCE) put(folder, `routes-${i}`, routesYaml(i, 0));
}

/** As careful people do: the new file takes the place of the old one whole. */
function put(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, `.${name}`), text);
  renameSync(join(folder, `.${name}`), join(folder, `${name}.yaml`));
}

interface Shaken {
  /** Milliseconds from connecting on; NaN when it failed. */
  readonly ms: number;
  /** What the server showed. */
  readonly der: Buffer | null;
  /** The first line of the answer, when something was asked for. */
  readonly answer: string;
}

/** One full handshake for `name`, checked up to the root, and a request for `path`, if there is one. */
function handshake(port: number, name: string, path: string | null = null): Promise<Shaken> {
  return new Promise((resolve) => {
    const start = performance.now();
    const socket = connect({ host: '127.0.0.1', port, servername: name, secureContext: trusting });
    socket.once('secureConnect', () => {
      const done = { ms: performance.now() - start, der: socket.getPeerCertificate(false).raw };
      if (path !== null) {
        socket.write(`GET ${path} HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
        socket.once('data', (data: Buffer) => {
          resolve({ ...done, answer: data.toString('latin1').split('\r\n')[0] as string });
          socket.destroy();
        });
        return;
      }
      resolve({ ...done, answer: '' });
      socket.destroy();
    });
    const failed = (): void => resolve({ ms: Number.NaN, der: null, answer: '' });
    socket.once('error', failed);
    socket.once('close', failed);
  });
}

interface Latencies {
  readonly handshakes: number;
  readonly failed: number;
  /** As the client saw them, one after the other; its own work is in them. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** CPU of the worker for each. */
  readonly workerCpuMs: number;
}

async function latencies(program: Running, port: number, names: readonly string[]): Promise<Latencies> {
  const before = (await program.cpuMs()).worker;
  const times: number[] = [];
  for (const name of names) times.push((await handshake(port, name)).ms);
  const workerCpuMs = ((await program.cpuMs()).worker - before) / names.length;
  const good = times.filter((ms) => !Number.isNaN(ms)).sort((a, b) => a - b);
  const at = (q: number): number => good[Math.min(good.length - 1, Math.floor(good.length * q))] ?? Number.NaN;
  const failed = times.length - good.length;
  return { handshakes: names.length, failed, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), workerCpuMs };
}

interface Start {
  readonly readyMs: number;
  /** Of each process until then. */
  readonly cpuMs: ByRole<number>;
}

interface Run {
  readonly certificates: number;
  readonly start: Start;
  /** `wait` seconds after it was ready. */
  readonly loaded: ByRole<Memory>;
  /** `wait` seconds after each certificate was used once (without, after as many connections) and one scrape. */
  readonly used: ByRole<Memory>;
}

async function started(program: Running): Promise<Start> {
  const readyMs = await program.ready();
  const cpuMs = await program.cpuMs();
  await program.complete();
  return { readyMs, cpuMs };
}

/** The very first start of its sources fills the compile cache (ADR 4), and is no start to compare others with. */
async function fillCache(folder: string): Promise<void> {
  const config = join(folder, 'first');
  write(config, await freePorts(), 0);
  const program = await Running.start({ program: args.program, config, folder, workers: 1 });
  try {
    await program.ready();
  } finally {
    await program.stop();
  }
}

async function withoutCertificates(folder: string): Promise<Run> {
  const [config, ports] = [join(folder, 'none'), await freePorts()];
  write(config, ports, 0);
  const program = await Running.start({ program: args.program, config, folder, workers: 1 });
  try {
    const start = await started(program);
    await sleep(waitMs);
    const loaded = await program.memory();
    for (let i = 0; i < count; i++) {
      const client = new Client(ports[0]);
      if ((await client.ask('a.example', '/')) !== 404) throw new Error('there is a route');
      client.close();
    }
    await program.scrape();
    await sleep(waitMs);
    return { certificates: 0, start, loaded, used: await program.memory() };
  } finally {
    await program.stop();
  }
}

interface Replacing {
  readonly seconds: number;
  readonly replaced: number;
  readonly handshakes: number;
  readonly failed: number;
  /** Names for which the last certificate was not shown in the end. */
  readonly stale: number;
}

/** Replaces certificates while clients come for them. */
async function replacing(config: string, port: number): Promise<Replacing> {
  const fresh = Array.from({ length: 2 * REPLACED }, (_, i) => secret(i % REPLACED));
  const last = new Map<number, Buffer>();
  const start = performance.now();
  const until = start + seconds * 1000;
  const found = { replaced: 0, handshakes: 0, failed: 0 };
  const replace = async (): Promise<void> => {
    while (performance.now() < until) {
      const n = found.replaced++;
      const { yaml, der } = fresh[n % fresh.length] as Made;
      put(config, `one-${n % REPLACED}`, yaml);
      last.set(n % REPLACED, der);
      await sleep(Math.max(0, start + (found.replaced * 1000) / REPLACED_PER_SECOND - performance.now()));
    }
  };
  const come = async (): Promise<void> => {
    while (performance.now() < until) {
      const { ms } = await handshake(port, nameOf(found.handshakes++ % REPLACED));
      if (Number.isNaN(ms)) found.failed++;
    }
  };
  await Promise.all([replace(), come(), come(), come(), come()]);
  const took = (performance.now() - start) / 1000;
  let stale = [...last];
  for (const end = performance.now() + SETTLE_MS; stale.length > 0 && performance.now() < end; await sleep(100)) {
    const left: typeof stale = [];
    for (const [i, der] of stale) {
      if ((await handshake(port, nameOf(i))).der?.equals(der) !== true) left.push([i, der]);
    }
    stale = left;
  }
  return { seconds: took, ...found, stale: stale.length };
}

interface AtRest {
  readonly program: Running;
  readonly config: string;
  readonly port: number;
  readonly start: Start;
  readonly loaded: ByRole<Memory>;
}

/** A program with all certificates, `use`d once it has rested and stopped then. */
async function atRest<T>(folder: string, name: string, use: (it: AtRest) => Promise<T>): Promise<T> {
  const [config, ports] = [join(folder, name), await freePorts()];
  const [, port] = ports;
  write(config, ports, count);
  const program = await Running.start({ program: args.program, config, folder, workers: 1 });
  try {
    const start = await started(program);
    await sleep(waitMs);
    return await use({ program, config, port, start, loaded: await program.memory() });
  } finally {
    await program.stop();
  }
}

async function withCertificates(folder: string): Promise<{
  readonly run: Run;
  readonly cold: Latencies;
  readonly warm: Latencies;
  readonly replacing: Replacing;
}> {
  return atRest(folder, 'many', async ({ program, config, port, start, loaded }) => {
    // What is compiled and made with the very first handshakes is not a certificate's.
    for (let i = 0; i < 10; i++) await handshake(port, nameOf(0));
    const names = Array.from({ length: count - 1 }, (_, i) => nameOf(i + 1));
    const cold = await latencies(program, port, names);
    const warm = await latencies(program, port, names.slice(-500));
    await program.scrape();
    await sleep(waitMs);
    const run = { certificates: count, start, loaded, used: await program.memory() };
    return { run, cold, warm, replacing: await replacing(config, port) };
  });
}

interface Changing {
  /** Changed objects a second, as they were written. */
  readonly changesPerSecond: number;
  /** Of the first worker, which has a spare behind it; and of its successor, killed together with the next spare. */
  readonly withSpare: Successor;
  readonly withoutSpare: Successor;
  /** After the last change, until it is served. */
  readonly behindMs: number;
}

interface Successor {
  /** From the death on. */
  readonly seconds: number;
  /** What it had used of the CPU by then, since its own start. */
  readonly cpuMs: number;
}

/** Routes change all the time; a worker is killed, and another one with the spare that would have taken its place. */
async function newWorkers(program: Running, config: string, port: number): Promise<Changing> {
  let going = true;
  let written = 0;
  const generations = new Map<number, number>();
  const began = performance.now();
  const change = async (): Promise<void> => {
    for (let n = 1; going; n++) {
      const first = (n * ROUTES_AT_ONCE) % routes;
      put(config, `routes-${first}`, routesYaml(first, n));
      generations.set(first, n);
      written += ROUTES_AT_ONCE;
      await sleep(began + (written * 1000) / CHANGES_PER_SECOND - performance.now());
    }
  };
  const changing = change();
  await sleep(CHANGING_MS);
  const withSpare = await replaced(program, port, false);
  await program.complete();
  await sleep(CHANGING_MS);
  const withoutSpare = await replaced(program, port, true);
  going = false;
  await changing;
  const ended = performance.now();
  for (const [first, n] of generations) {
    while (!(await handshake(port, nameOf(first), `/${n}`)).answer.includes(' 302 ')) {
      if (performance.now() - ended > SETTLE_MS) throw new Error(`change ${n} of routes ${first} is never served`);
      await sleep(5);
    }
  }
  const behindMs = performance.now() - ended;
  return { changesPerSecond: (written * 1000) / (ended - began), withSpare, withoutSpare, behindMs };
}

/** From a worker's death until another one shows the last certificate and answers for it. */
async function replaced(program: Running, port: number, spareToo: boolean): Promise<Successor> {
  const { worker, spare } = await program.pids();
  const began = performance.now();
  process.kill(worker, 'SIGKILL');
  if (spareToo) process.kill(spare, 'SIGKILL');
  for (;;) {
    const [view] = await program.workers();
    const there = view?.state === 'serving' && view.pid !== worker && view.pid !== spare * Number(spareToo);
    if (there && (await handshake(port, nameOf(count - 1), '/')).answer.includes(' 404 ')) break;
    await sleep(10);
  }
  return { seconds: (performance.now() - began) / 1000, cpuMs: (await program.cpuMs()).worker };
}

async function large(folder: string): Promise<{
  readonly start: Start;
  readonly loaded: ByRole<Memory>;
  readonly changing: Changing;
}> {
  return atRest(folder, 'large', async ({ program, config, port, start, loaded }) => ({
    start,
    loaded,
    changing: await newWorkers(program, config, port),
  }));
}

const shown = (n: number): string => n.toFixed(1);
const rowOf = (name: string, of: (role: (typeof ROLES)[number]) => number, all: number): string =>
  `| ${name} | ${ROLES.map((role) => shown(of(role))).join(' | ')} | ${shown(all)} |`;
const memoryRow = (name: string, memory: ByRole<Memory>): string =>
  rowOf(name, (role) => own(memory[role]), together(memory));
const addedRow = (name: string, full: ByRole<Memory>, none: ByRole<Memory>): string =>
  rowOf(name, (role) => own(full[role]) - own(none[role]), together(full) - together(none));
const cpuRow = (name: string, { cpuMs }: Start): string =>
  rowOf(
    name,
    (role) => cpuMs[role],
    ROLES.reduce((sum, role) => sum + cpuMs[role], 0),
  );
const latencyRow = (name: string, l: Latencies): string =>
  `| ${name} | ${l.handshakes} | ${l.failed} | ${shown(l.p50Ms)} | ${shown(l.p99Ms)} | ${shown(l.maxMs)} | ${l.workerCpuMs.toFixed(2)} |`;
const HEAD = `| | ${ROLES.join(' | ')} | together |\n|---|---|---|---|---|---|`;

function page(about: string, none: Run, found: Awaited<ReturnType<typeof withCertificates>>): string {
  const { run, cold, warm, replacing: r } = found;
  return `# ${count} certificates

${about}

Each of a Secret and a listener of its own, P-256, with one intermediate for all; one worker and its spare. "Together"
counts all four processes.

## Memory, MB of Pss_Anon + Pss_Shmem

Loaded: ${args.wait} s after it was ready. Used: ${args.wait} s after a full handshake with every certificate (without, as
many connections) and one scrape.

${HEAD}
${memoryRow('none, loaded', none.loaded)}
${memoryRow(`${count}, loaded`, run.loaded)}
${addedRow('**added, loaded**', run.loaded, none.loaded)}
${memoryRow('none, used', none.used)}
${memoryRow(`${count}, used`, run.used)}
${addedRow('**added, used**', run.used, none.used)}

## CPU until ready, ms

${HEAD}
${cpuRow('none', none.start)}
${cpuRow(`${count}`, run.start)}

## Handshakes, one after the other, client and program on one machine

| | handshakes | failed | p50 ms | p99 ms | max ms | CPU of the worker, ms |
|---|---|---|---|---|---|---|
${latencyRow('first of its certificate', cold)}
${latencyRow('one of the last 500 again', warm)}

## Bars

| bar | at most | measured |
|---|---|---|
| added to all processes, loaded, MB | 100 | ${shown(together(run.loaded) - together(none.loaded))} |
| added to all processes, used, MB | 100 | ${shown(together(run.used) - together(none.used))} |
| from start to ready, s | 2 | ${(run.start.readyMs / 1000).toFixed(2)} (with none ${(none.start.readyMs / 1000).toFixed(2)}) |
| a first handshake, p99, ms | 5 | ${shown(cold.p99Ms)} |
| failed of ${r.handshakes} handshakes under ${shown(r.replaced / r.seconds)} replacements a second | 0 | ${r.failed} |
| of those, names whose last certificate was not shown | 0 | ${r.stale} |
`;
}

function largePage(about: string, { start, loaded, changing: c }: Awaited<ReturnType<typeof large>>): string {
  return `# ${count} certificates and ${routes} routes

${about}

Each certificate of a Secret and a listener of its own, each route at another of these listeners; one worker and its
spare. Routes change ${shown(c.changesPerSecond)} times a second all the time.

| | at most | measured |
|---|---|---|
| from start to ready, s | | ${(start.readyMs / 1000).toFixed(2)} |
| all processes, ${args.wait} s later, MB | | ${shown(together(loaded))} |
| from a worker's death to the next one's answer for the last certificate, s | 5 | ${c.withSpare.seconds.toFixed(2)} |
| the same when the spare dies with it, s | 5 | ${c.withoutSpare.seconds.toFixed(2)} |
| CPU of the new worker since its start, ms: with a spare, without | | ${shown(c.withSpare.cpuMs)}, ${shown(c.withoutSpare.cpuMs)} |
| from the last change to all being served, ms | | ${shown(c.behindMs)} |
`;
}

const folder = mkdtempSync(join(tmpdir(), 'rauta-certificates-'));
chmodSync(folder, 0o755);
try {
  const flags = process.argv
    .slice(2)
    .filter((flag, i, all) => ![flag, all[i - 1]].some((one) => /^--(?:out|program)$/.test(one ?? '')));
  const command = ['bin/node bench/macro/certificates.ts', ...flags].join(' ');
  // Whoever else takes the cores is in the times, and not in the memory.
  const busyBefore = (loadavg()[0] as number).toFixed(1);
  const about = { ...circumstances(), command };
  const told = (): typeof about & { readonly load: string } => {
    return { ...about, load: `${busyBefore} before, ${(loadavg()[0] as number).toFixed(1)} after` };
  };
  const textOf = ({ load }: ReturnType<typeof told>): string =>
    `${about.date}, commit ${about.commit}, ${about.machine}, Node ${about.node}.\n\`${command}\`\n\nLoad average: ${load}.`;
  await fillCache(folder);
  if (args.large) {
    const found = await large(folder);
    const now = told();
    const path = writeResult(args.out ?? 'certificates-large', { ...now, certificates: count, routes, ...found });
    writeFileSync(`${path}.md`, largePage(textOf(now), found));
  } else {
    const none = await withoutCertificates(folder);
    const found = await withCertificates(folder);
    const now = told();
    const path = writeResult(args.out ?? 'certificates', { ...now, none, ...found });
    writeFileSync(`${path}.md`, page(textOf(now), none, found));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
