// How long until a new route serves: 5,000 routes are loaded, then routes are added one by one as files; from the
// rename that puts a file in its place until the first answer other than 404. Meanwhile traffic flows, and any failed
// request is counted. `bin/node bench/macro/propagation.ts [--routes 5000] [--changes 100] [--out propagation]`

import { spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client } from './client.ts';
import { circumstances, writeResult } from './result.ts';
import { median } from './stats.ts';

const PORT = 19_080;
const ADMIN_PORT = 19_090;
const ROUTES_PER_FILE = 100;
const HOSTS = 50;
const POLL_MS = 1;

const { values: args } = parseArgs({
  options: {
    routes: { type: 'string', default: '5000' },
    changes: { type: 'string', default: '100' },
    out: { type: 'string', default: 'propagation' },
  },
});
const routes = Number(args.routes);
const changes = Number(args.changes);

function routeYaml(name: string, host: string, path: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ name: web }]
  hostnames: [${host}]
  rules:
    - matches: [{ path: { type: PathPrefix, value: ${path} } }]
      backendRefs: [{ group: rauta.io, kind: Backend, name: app }]
---
`;
}

const backend = createServer((_request, response) => response.end('ok'));
backend.keepAliveTimeout = 70_000;
await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));

const folder = mkdtempSync(join(tmpdir(), 'rauta-propagation-'));
writeFileSync(
  join(folder, 'base.yaml'),
  `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  listeners: [{ name: http, port: ${PORT}, protocol: HTTP }]
---
apiVersion: rauta.io/v1alpha1
kind: Backend
metadata: { name: app }
spec:
  endpoints: [{ address: 127.0.0.1, port: ${(backend.address() as AddressInfo).port} }]
`,
);
for (let file = 0; file * ROUTES_PER_FILE < routes; file++) {
  let text = '';
  for (let i = file * ROUTES_PER_FILE; i < Math.min(routes, (file + 1) * ROUTES_PER_FILE); i++)
    text += routeYaml(`route-${i}`, `host-${i % HOSTS}.example.com`, `/route-${i}`);
  writeFileSync(join(folder, `routes-${file}.yaml`), text);
}
const started = performance.now();
const rauta = spawn(
  fileURLToPath(new URL('../../bin/rauta', import.meta.url)),
  [
    'serve',
    '--config',
    folder,
    '--workers',
    '1',
    '--listen',
    '127.0.0.1',
    '--admin',
    `127.0.0.1:${ADMIN_PORT}`,
    '--access-log',
    'off',
    '--log-level',
    'warn',
  ],
  { stdio: 'inherit' },
);
try {
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${ADMIN_PORT}/readyz`).then(
      (r) => r.ok,
      () => false,
    );
    if (ready) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const startMs = performance.now() - started;
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${ADMIN_PORT}/metrics`)).text();
    return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (.*)$`, 'm').exec(text)?.[1] ?? 0);
  };
  const cpu = async (): Promise<number> =>
    (await metric('process_cpu_seconds_total')) + (await metric('rauta_worker_cpu_seconds_total'));

  // Steady traffic on routes that exist: none of it may fail.
  let load = { ok: 0, failed: 0 };
  let loading = true;
  const loader = (async () => {
    const client = new Client(PORT);
    for (let i = 0; loading; i = (i + 7) % routes) {
      const status = await client.ask(`host-${i % HOSTS}.example.com`, `/route-${i}`);
      if (status === 200) load.ok++;
      else load.failed++;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    client.close();
  })();

  const probe = new Client(PORT);
  const samples: number[] = [];
  let wrong = 0;
  const cpuBefore = await cpu();
  for (let n = 0; n < changes; n++) {
    const temporary = join(folder, `.new-${n}`);
    writeFileSync(temporary, routeYaml(`new-${n}`, `host-${n % HOSTS}.example.com`, `/new-${n}`));
    const at = performance.now();
    renameSync(temporary, join(folder, `new-${n}.yaml`));
    for (;;) {
      const status = await probe.ask(`host-${n % HOSTS}.example.com`, `/new-${n}`);
      if (status === 200) break;
      if (status !== 404) wrong++;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    samples.push(performance.now() - at);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  const cpuPerChange = ((await cpu()) - cpuBefore) / changes;
  loading = false;
  await loader;
  probe.close();
  samples.sort((a, b) => a - b);
  const quantile = (q: number): number =>
    samples[Math.min(samples.length - 1, Math.ceil(q * samples.length) - 1)] as number;
  const result = {
    ...circumstances(),
    command: `bin/node bench/macro/propagation.ts --routes ${routes} --changes ${changes}`,
    what: 'ms from the rename of a new route file until its first 200, polled every ms over one connection, traffic on other routes meanwhile',
    routes,
    changes,
    startMs: Math.round(startMs),
    ms: { median: median(samples), p90: quantile(0.9), p99: quantile(0.99), max: samples.at(-1) },
    answersNeither404Nor200: wrong,
    otherTraffic: load,
    cpuMsPerChangeTrafficIncluded: cpuPerChange * 1000,
    rssMb: {
      controller: (await metric('process_resident_memory_bytes')) / 1e6,
      worker: (await metric('rauta_worker_resident_memory_bytes')) / 1e6,
    },
    series: (await (await fetch(`http://127.0.0.1:${ADMIN_PORT}/metrics`)).text())
      .split('\n')
      .filter((l) => l !== '' && !l.startsWith('#')).length,
  };
  load = { ok: 0, failed: 0 };
  writeResult(args.out, result);
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
  rauta.kill('SIGTERM');
  backend.close();
  backend.closeAllConnections();
  await new Promise((resolve) => rauta.on('exit', resolve));
  rmSync(folder, { recursive: true, force: true });
}
