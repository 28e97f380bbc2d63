// What the program holds with no routes and with 10,000, each of them used once. Counted is memory that is its own:
// anonymous pages and shared memory, each page divided by the processes that hold it (Pss_Anon and Pss_Shmem of
// smaps_rollup), a minute after the last request and a scrape; pages of files, which the system takes back when it
// wants, stand apart. `bin/node bench/macro/memory.ts [--routes 10000] [--wait 60] [--program DIR] [--out memory]`

import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client } from './client.ts';
import { type ByRole, freePort, type Memory, own, ROLES, type Role, Running, sleep, together } from './program.ts';
import { circumstances, writeResult } from './result.ts';
import { median } from './stats.ts';

const HOSTS = 100;
const CONNECTIONS = 16;
const SCRAPES = 20;
/** All routes at once, so many times, and how long each is watched. */
const CHANGES = 5;
const CHANGE_MS = 12_000;
const PEAK_EVERY_MS = 20;

const { values: args } = parseArgs({
  options: {
    routes: { type: 'string', default: '10000' },
    wait: { type: 'string', default: '60' },
    program: { type: 'string', default: fileURLToPath(new URL('../..', import.meta.url)) },
    out: { type: 'string', default: 'memory' },
    /** Only the run with all routes: for a quick look. */
    quick: { type: 'boolean', default: false },
  },
});

function hostOf(route: number): string {
  return `host-${route % HOSTS}.example.com`;
}

/** Files of all routes; with another version each of them has another path. */
function writeConfig(folder: string, port: number, backendPort: number, routes: number, version = ''): void {
  mkdirSync(folder, { mode: 0o755, recursive: true });
  writeFileSync(
    join(folder, 'base.yaml'),
    `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  listeners: [{ name: http, port: ${port}, protocol: HTTP }]
---
apiVersion: rauta.io/v1alpha1
kind: Backend
metadata: { name: app }
spec:
  endpoints: [{ address: 127.0.0.1, port: ${backendPort} }]
`,
  );
  for (let host = 0; host < Math.min(HOSTS, routes); host++) {
    let text = '';
    for (let i = host; i < routes; i += HOSTS)
      text += `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: route-${i} }
spec:
  parentRefs: [{ name: web }]
  hostnames: [${hostOf(i)}]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /route-${i}${version} } }]
      backendRefs: [{ group: rauta.io, kind: Backend, name: app }]
---
`;
    // At once: a file that is emptied first is left alone for some time (docs/reference/files.md).
    writeFileSync(join(folder, '.next'), text);
    renameSync(join(folder, '.next'), join(folder, `host-${host}.yaml`));
  }
}

interface Run {
  readonly routes: number;
  readonly workers: number;
  /** Nothing of the program had been compiled before. */
  readonly firstStart: boolean;
  /** Requests went on all the time, so that the worker could never stop to collect garbage. */
  readonly busy: boolean;
  readonly requests: number;
  /** As soon as the last route serves. */
  readonly loaded: ByRole<Memory>;
  /** `wait` seconds after every route was used and a scrape. */
  readonly used: ByRole<Memory>;
  readonly scrapeMs: { readonly first: number; readonly median: number; readonly max: number };
  /** The most that was seen of each, and of all together, while every route changed at once, CHANGES times. */
  readonly changing: Peak | null;
}

type Peak = Readonly<Record<Role | 'together', number>>;

/** The most of each role, and of all together, in MB, looked at again and again for so long. */
async function peak(program: Running, ms: number, before: Peak | null): Promise<Peak> {
  const most: Record<Role | 'together', number> = {
    keeper: 0,
    controller: 0,
    worker: 0,
    spare: 0,
    together: 0,
    ...before,
  };
  for (const end = performance.now() + ms; performance.now() < end; await sleep(PEAK_EVERY_MS)) {
    const memory = await program.memory();
    for (const role of ROLES) most[role] = Math.max(most[role], own(memory[role]));
    most.together = Math.max(most.together, together(memory));
  }
  return most;
}

async function useAll(port: number, routes: number, requests: number): Promise<void> {
  const expected = routes === 0 ? 404 : 200;
  let next = 0;
  const loop = async (): Promise<void> => {
    const client = new Client(port, 'User-Agent: memory\r\n');
    while (next < requests) {
      const route = next++;
      const status = await client.ask(hostOf(route), `/route-${route}/x`);
      if (status !== expected) throw new Error(`route ${route}: ${status}`);
    }
    client.close();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, loop));
}

async function measure(
  backend: Server,
  folder: string,
  run: { routes: number; workers: number; firstStart: boolean; busy: boolean; waitMs: number },
): Promise<Run> {
  const { routes, workers } = run;
  const requests = Number(args.routes);
  const port = await freePort();
  const config = join(folder, `config-${port}`);
  const backendPort = (backend.address() as AddressInfo).port;
  writeConfig(config, port, backendPort, routes);
  const program = await Running.start({ program: args.program, config, folder, workers });
  try {
    await program.ready();
    await program.complete();
    const loaded = await program.memory();
    await useAll(port, routes, requests);
    const scrapes = [await program.scrape()];
    const first = scrapes[0] as number;
    const end = performance.now() + run.waitMs;
    while (run.busy && performance.now() < end) await useAll(port, routes, requests);
    await sleep(Math.max(0, end - performance.now()));
    const used = await program.memory();
    while (scrapes.length < SCRAPES) scrapes.push(await program.scrape());
    let changing: Peak | null = null;
    for (let change = 1; change <= CHANGES && routes > 0 && workers === 1 && !run.busy; change++) {
      writeConfig(config, port, backendPort, routes, `-${change}`);
      changing = await peak(program, CHANGE_MS, changing);
    }
    const result = {
      ...{ routes, workers, firstStart: run.firstStart, busy: run.busy, requests, loaded, used, changing },
      scrapeMs: { first, median: median(scrapes), max: Math.max(...scrapes) },
    };
    process.stdout.write(`${line(result)}\n`);
    return result;
  } finally {
    await program.stop();
  }
}

const shown = (mb: number): string => mb.toFixed(1);

function line({ routes, workers, firstStart, busy, loaded, used, scrapeMs }: Run): string {
  const more = [
    workers > 1 ? `, ${workers} workers` : '',
    firstStart ? ', first start' : '',
    busy ? ', never at rest' : '',
  ];
  const name = `${routes} routes${more.join('')}`;
  const cells = ROLES.map((role) => `${shown(own(loaded[role]))} -> ${shown(own(used[role]))}`);
  const all = `${shown(together(loaded))} -> ${shown(together(used))}`;
  const file = shown(ROLES.reduce((sum, role) => sum + used[role].file, 0));
  return `| ${name} | ${cells.join(' | ')} | ${all} | ${file} | ${shown(scrapeMs.first)} / ${shown(scrapeMs.median)} |`;
}

/** The same columns for the most that was seen while all changed. */
function changingLine({ routes, changing }: Run): string[] {
  if (changing === null) return [];
  const cells = [...ROLES, 'together' as const].map((name) => shown(changing[name]));
  return [`| ${routes} routes, the most while all of them change | ${cells.join(' | ')} | | |`];
}

function page(about: ReturnType<typeof circumstances>, runs: readonly Run[]): string {
  const [none, full] = [runs.find((r) => r.routes === 0), runs.find((r) => r.routes > 0 && r.workers === 1 && !r.busy)];
  const bars =
    none === undefined || full === undefined
      ? ''
      : `
| bar | at most | measured |
|---|---|---|
| a worker with all routes | 100 | ${shown(own(full.used.worker))} |
| what they add to a worker | 30 | ${shown(own(full.used.worker) - own(none.used.worker))} |
| the whole program with all routes | 350 | ${shown(together(full.used))} |
| the whole program without | 150 | ${shown(together(none.used))} |
| a scrape, all routes used, two workers, ms | 100 | ${shown(runs.find((r) => r.workers === 2)?.scrapeMs.first ?? Number.NaN)} |
`;
  return `# Memory

${about.date}, commit ${about.commit}, ${about.machine}, Node ${about.node}. \`bin/node bench/macro/memory.ts\`

MB of Pss_Anon + Pss_Shmem (smaps_rollup), once the last route serves -> ${args.wait} s after ${args.routes} requests (every route once; without
routes as many 404s) and one scrape. One worker and its spare where nothing else is said. Files: Pss_File of all processes (program and
libraries, which the system can drop and read again). Scrape: ms, the first and the median of ${SCRAPES}. Never at rest: requests went on
until the end, so that the worker never collected garbage of its own accord. The most while all change: every file is replaced, so that
each route has another path, ${CHANGES} times, and memory looked at every ${PEAK_EVERY_MS} ms; of one process and of all at one moment.

| | keeper | controller | worker | spare | together | files | scrape |
|---|---|---|---|---|---|---|---|
${runs.flatMap((run) => [line(run), ...changingLine(run)]).join('\n')}
${bars}`;
}

const folder = mkdtempSync(join(tmpdir(), 'rauta-memory-'));
// For those who serve, who are nobody when this runs as root.
chmodSync(folder, 0o755);
const backend = createServer((_request, response) => response.end('hello'));
backend.keepAliveTimeout = 70_000;
await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
const waitMs = Number(args.wait) * 1000;
const routes = Number(args.routes);
const runs: Run[] = [];
try {
  const first = await measure(backend, folder, {
    routes: 0,
    workers: 1,
    firstStart: true,
    busy: false,
    waitMs: args.quick ? 0 : waitMs,
  });
  if (!args.quick) {
    runs.push(await measure(backend, folder, { routes: 0, workers: 1, firstStart: false, busy: false, waitMs }), first);
  }
  runs.push(await measure(backend, folder, { routes, workers: 1, firstStart: false, busy: false, waitMs }));
  if (!args.quick) {
    runs.push(await measure(backend, folder, { routes, workers: 1, firstStart: false, busy: true, waitMs }));
    runs.push(await measure(backend, folder, { routes, workers: 2, firstStart: false, busy: false, waitMs }));
  }
} finally {
  backend.closeAllConnections();
  backend.close();
  rmSync(folder, { recursive: true, force: true });
}
const about = circumstances();
const path = writeResult(args.out, {
  ...about,
  command: `bin/node bench/macro/memory.ts --routes ${args.routes} --wait ${args.wait}`,
  what: `MB of each process; waited ${args.wait} s after every route was used once and one scrape`,
  runs,
});
writeFileSync(`${path}.md`, page(about, runs));
