// What both planes hold with routes from an API server: the program whole, the server and the backend in this process
// (test/kubernetes/fake-api.ts; objects carry the managed fields of a real one). Counted is memory of its own, as
// quality.md has it: Pss_Anon + Pss_Shmem.
// `sh bin/node bench/memory/controller.ts [--routes 5000] [--from created|list] [--probed 0] [--wait 60] [--churn 60]
// [--program DIR] [--out memory-cluster]`

import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { defineKinds, FakeApi } from '../../test/kubernetes/fake-api.ts';
import { heldPort } from '../../test/support/port.ts';
import { cpuNs, family, ownBytes } from '../macro/measure.ts';
import { circumstances, writeResult } from '../macro/result.ts';
import {
  endpoints,
  gateway,
  type Made,
  namespace,
  route,
  rules,
  service,
  slice,
  stored,
} from '../propagation/objects.ts';
import { Load, Probe, summary, tenth, wait } from '../propagation/traffic.ts';

const { values: args } = parseArgs({
  options: {
    routes: { type: 'string', default: '5000' },
    /** `created` while the program runs, or there before it starts. */
    from: { type: 'string', default: 'created' },
    /** Routes that were made before those, one after another. */
    probed: { type: 'string', default: '0' },
    wait: { type: 'string', default: '60' },
    churn: { type: 'string', default: '60' },
    program: { type: 'string', default: fileURLToPath(new URL('../..', import.meta.url)) },
    out: { type: 'string', default: 'memory-cluster' },
    /** For Node, of all processes: `--heapsnapshot-signal=SIGUSR2`. */
    node: { type: 'string', multiple: true, default: [] },
    /** Waits at the end until it is interrupted: for a look from outside. */
    stay: { type: 'boolean', default: false },
  },
});
const NAMESPACES = 50;
/** Objects made at once, and how often: about what 16 writers get out of an API server on a shared machine. */
const BATCH = 16;
const BATCH_MS = 20;
const spread = (i: number): string => `scale-${i % NAMESPACES}`;
const seconds = (text: string): number => Number(text) * 1000;

const backend = createServer((_request, response) => response.end('hello'));
backend.keepAliveTimeout = 70_000;
await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
const backendPort = (backend.address() as AddressInfo).port;
const folder = mkdtempSync(join(tmpdir(), 'rauta-memory-'));
chmodSync(folder, 0o755);
const api = new FakeApi();
defineKinds(api);
const [port, admin] = [heldPort(), heldPort()];
const put = (object: Made): void => void api.put(object.kind, stored(object));

function fixed(): void {
  put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'rauta-system' } });
  const spec = { controllerName: 'rauta.io/gateway-controller' };
  put({ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'GatewayClass', metadata: { name: 'rauta' }, spec });
  put(namespace('bench'));
  put(gateway('scale', port));
  for (let i = 0; i < NAMESPACES; i++) put(namespace(`scale-${i}`));
}
function unit(i: number): Made[] {
  const name = `scale-${i}`;
  return [
    service(spread(i), name, backendPort),
    slice(spread(i), name, backendPort, ['127.0.0.1']),
    route(spread(i), name, 'scale', { rules: rules(name) }),
  ];
}

/** Routes with a status, of all. */
const settled = (): boolean => api.all('HTTPRoute').every((object) => object['status'] !== undefined);
async function until(is: () => boolean): Promise<void> {
  while (!is()) await wait(50);
}

interface Planes {
  readonly controller: number;
  readonly worker: number;
  readonly keeper: number;
}
function planesOf(child: ChildProcess): Planes {
  const keeper = child.pid as number;
  const found = { keeper, controller: 0, worker: 0 };
  for (const pid of family(keeper)) {
    const plane = /__child\0(controller|worker)/.exec(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))?.[1];
    // The spare that waits for the worker's death came after it.
    if (plane !== undefined && found[plane as 'worker'] === 0) found[plane as 'worker'] = pid;
  }
  return found;
}
const memory = (planes: Planes): Record<string, number> =>
  Object.fromEntries(Object.entries(planes).map(([plane, pid]) => [plane, tenth(ownBytes([pid]) / 1e6)]));

async function probed(count: number): Promise<Record<string, number>> {
  if (count === 0) return {};
  put(namespace('probe'));
  put(service('probe', 'app', backendPort));
  put(slice('probe', 'app', backendPort, ['127.0.0.1']));
  const asker = new Probe(port);
  const took: number[] = [];
  const header = (name: string) => ({
    type: 'RequestHeaderModifier',
    requestHeaderModifier: { set: [{ name, value: 'x' }] },
  });
  for (let i = 0; i < count; i++) {
    const all = [...rules('app', '/', [header('a')]), ...rules('none', '/none', [header('b')])];
    put(route('probe', `probe-${i}`, 'scale', { rules: all }));
    const made = performance.now();
    const at = await asker.until(`probe-${i}.example`);
    if (at === null) throw new Error(`route ${i} never came`);
    took.push(at - made);
  }
  asker.close();
  return summary(took);
}

async function create(count: number): Promise<void> {
  let batch = 0;
  for (let i = 0; i < count; i++) {
    for (const object of unit(i)) {
      put(object);
      if (++batch % BATCH === 0) await wait(BATCH_MS);
    }
  }
}

async function churn(planes: Planes, count: number, forMs: number): Promise<Record<string, unknown>> {
  const load = new Load(port, 100, () => `scale-${Math.floor(Math.random() * count)}.example`);
  const before = Object.entries(planes).map(([plane, pid]) => [plane, cpuNs([pid])] as const);
  const started = performance.now();
  const changed: number[] = [];
  const asker = new Probe(port);
  for (let n = 0, next = started; performance.now() < started + forMs; next += 100, n++) {
    await wait(Math.max(0, next - performance.now()));
    const i = 1 + Math.floor(Math.random() * (count - 1));
    const old = api.get('EndpointSlice', spread(i), `scale-${i}`) as Made;
    api.put('EndpointSlice', {
      ...old,
      endpoints: endpoints(n % 2 === 0 ? ['127.0.0.1', '127.0.0.2'] : ['127.0.0.1']),
    });
    if (n % 5 !== 0) continue;
    put(route('scale-0', `new-${n}`, 'scale', { rules: rules('scale-0') }));
    const made = performance.now();
    const at = await asker.until(`new-${n}.example`);
    if (at !== null) changed.push(at - made);
  }
  const ns = (performance.now() - started) * 1e6;
  const { requests, errors } = await load.stop();
  asker.close();
  const cores = Object.fromEntries(
    before.map(([plane, had]) => [
      plane,
      Math.round(((cpuNs([planes[plane as keyof Planes]]) - had) / ns) * 1e4) / 1e4,
    ]),
  );
  return { requests, errors, cores, route: summary(changed), memory: memory(planes) };
}

const server = await api.listen();
const kubeconfig = join(folder, 'config');
writeFileSync(
  kubeconfig,
  JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'bench' },
    clusters: [{ name: 'fake', cluster: { server } }],
    users: [{ name: 'me', user: { token: 'token' } }],
    contexts: [{ name: 'bench', context: { cluster: 'fake', user: 'me' } }],
  }),
);
const routes = Number(args.routes);
fixed();
if (args.from === 'list') for (let i = 0; i < routes; i++) unit(i).forEach(put);
const child = spawn(
  join(args.program, 'bin/node'),
  [
    ...['--max-semi-space-size=2', '--disable-warning=ExperimentalWarning', ...args.node],
    ...[join(args.program, 'src/main/main.js'), 'serve', '--kubernetes', '--kubeconfig', kubeconfig],
    ...['--workers', '1', '--listen', '127.0.0.1', '--admin', `127.0.0.1:${admin}`],
    ...['--lease', 'rauta-system/rauta', '--access-log', join(folder, 'access.log'), '--log-level', 'error'],
  ],
  {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: process.env['PATH'] ?? '', RAUTA_COMPILE_CACHE: join(folder, 'compiled') },
    cwd: folder,
  },
);
const scrape = async (): Promise<string> => await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
const results: Record<string, unknown> = {};
function say(name: string, value: unknown): void {
  results[name] = value;
  process.stdout.write(`${name}: ${JSON.stringify(value)}\n`);
}
try {
  const ready = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${admin}/readyz`).then(
      (r) => r.ok,
      () => false,
    );
  while (!(await ready())) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    await wait(50);
  }
  const planes = planesOf(child);
  say('ready', memory(planes));
  const first = await probed(Number(args.probed));
  if (args.probed !== '0') say('probed', { ...first, memory: memory(planes) });
  const started = performance.now();
  if (args.from !== 'list') await create(routes);
  say('created in, s', tenth((performance.now() - started) / 1000));
  await until(settled);
  say('statuses written after, s', tenth((performance.now() - started) / 1000));
  say('loaded', memory(planes));
  const asker = new Probe(port);
  for (let i = 0; i < routes; i++) await asker.until(`scale-${i}.example`);
  asker.close();
  await scrape();
  say('used', memory(planes));
  if (args.churn !== '0') say('churn', await churn(planes, routes, seconds(args.churn)));
  await wait(seconds(args.wait));
  say(`at rest for ${args.wait} s`, memory(planes));
  say('requests to the API server', api.requests.length);
  if (args.stay) {
    process.stdout.write(`${JSON.stringify(planes)} admin ${admin}\n`);
    await new Promise((resolve) => process.once('SIGINT', resolve));
  }
} finally {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  if (child.exitCode === null) {
    child.kill('SIGTERM');
    await ended;
  }
  backend.closeAllConnections();
  backend.close();
  await api.close();
  rmSync(folder, { recursive: true, force: true });
}
if (args.out !== '') {
  const given = `--routes ${args.routes} --from ${args.from} --probed ${args.probed}`;
  const command = `sh bin/node bench/memory/controller.ts ${given}`;
  writeResult(args.out, { ...circumstances(), command, what: 'MB of Pss_Anon + Pss_Shmem', results });
}
