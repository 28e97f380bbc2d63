// How long `rauta check` takes for a folder of 5,000 routes, with a Service and an EndpointSlice each: 100 files of
// plain YAML. `bin/node bench/micro/check.ts [runs]`; the bar is 3 s. CPU time stands beside, for machines that are
// busy.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { report } from './paired.ts';

const ROUTES = 5_000;
const FILES = 100;
const NAMESPACES = 50;
const runs = Number(process.argv[2] ?? 5);
const RAUTA = fileURLToPath(new URL('../../bin/rauta', import.meta.url));

function objects(i: number): object[] {
  const name = `app-${i}`;
  const namespace = `team-${i % NAMESPACES}`;
  const backendRefs = [{ name, port: 80 }];
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec: { ports: [{ name: 'http', port: 80 }] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-x`, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080 }],
      endpoints: [1, 2, 3].map((n) => ({ addresses: [`10.${i >> 8}.${i & 255}.${n}`], conditions: { ready: true } })),
    },
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name, namespace },
      spec: {
        parentRefs: [{ name: 'edge', namespace: 'infra' }],
        hostnames: [`${name}.example.com`],
        rules: [
          { matches: [{ path: { type: 'PathPrefix', value: '/api' } }], backendRefs },
          { matches: [{ path: { type: 'PathPrefix', value: '/' } }], backendRefs, timeouts: { request: '10s' } },
        ],
      },
    },
  ];
}

const text = (list: readonly object[]): string =>
  list.map((one) => stringify(one, { aliasDuplicateObjects: false })).join('---\n');
const folder = mkdtempSync(join(tmpdir(), 'rauta-check-'));
const gateway = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: { name: 'edge', namespace: 'infra' },
  spec: {
    gatewayClassName: 'rauta',
    listeners: [{ name: 'http', port: 80, protocol: 'HTTP', allowedRoutes: { namespaces: { from: 'All' } } }],
  },
};
writeFileSync(join(folder, 'gateway.yaml'), text([gateway]));
for (let file = 0; file < FILES; file++) {
  const own = Array.from({ length: ROUTES / FILES }, (_, i) => objects(file * (ROUTES / FILES) + i));
  writeFileSync(join(folder, `team-${file}.yaml`), text(own.flat()));
}

/** CPU seconds of children that have ended (proc_pid_stat(5): cutime, cstime), in hundredths. */
function childrenCpu(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
}
let said = '';
async function check(): Promise<Run> {
  const [began, before] = [performance.now(), childrenCpu()];
  const child = spawn(RAUTA, ['check', folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  said = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    said += part;
  });
  await new Promise((resolve) => child.on('close', resolve));
  return { seconds: (performance.now() - began) / 1000, cpuSeconds: childrenCpu() - before };
}

await check(); // the first fills caches
const results: Run[] = [];
for (let i = 0; i < runs; i++) results.push(await check());
rmSync(folder, { recursive: true });

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round((sorted[sorted.length >> 1] as number) * 100) / 100;
}
const seconds = median(results.map((run) => run.seconds));
const most = 3;
report('check', `bin/node bench/micro/check.ts ${runs}`, {
  routes: ROUTES,
  objects: said.trim(),
  bars: [{ what: 'rauta check, median s', measured: seconds, most, met: seconds < most }],
  cpuSeconds: median(results.map((run) => run.cpuSeconds)),
  runs: results.map((run) => Math.round(run.seconds * 100) / 100),
});
