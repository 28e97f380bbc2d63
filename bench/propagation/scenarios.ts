// What is measured, after the public gateway-api-bench; each gives the figures of one table.

import { readFileSync } from 'node:fs';
import { fields } from '../../src/base/fields.ts';
import { cpuNs, ownBytes } from '../macro/measure.ts';
import { median } from '../macro/stats.ts';
import * as api from './api.ts';
import { Load, Probe, summary, tenth, wait } from './traffic.ts';

export interface Sizes {
  readonly attached: number;
  readonly probed: number;
  readonly scale: number;
  readonly sets: number;
  readonly churnSeconds: number;
  /** How often the churn is measured; more than once: the median of each figure counts. */
  readonly churns: number;
}
export interface Place {
  readonly port: number;
  readonly backendPort: number;
  /** Two addresses of the backend. */
  readonly addresses: readonly [string, string];
  readonly metric: (name: string) => Promise<number>;
  /** Process numbers of RAUTA's planes. */
  readonly planes: () => { readonly controller: number; readonly worker: number };
}
export type Figures = Record<string, number>;

const now = (): number => performance.now();
const seconds = (from: number): number => Math.round((now() - from) / 10) / 100;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

async function until(is: () => Promise<boolean>, everyMs: number): Promise<void> {
  while (!(await is())) await wait(everyMs);
}
async function attachedTo(name: string): Promise<number> {
  const { listeners } = fields(fields(await api.get('Gateway', 'bench', name))['status']);
  return Number(fields((listeners as unknown[] | undefined)?.[0])['attachedRoutes'] ?? 0);
}
function isAccepted(route: unknown): boolean {
  const { metadata, status } = fields(route);
  const parent = fields((fields(status)['parents'] as unknown[] | undefined)?.[0]);
  return ((parent['conditions'] ?? []) as unknown[]).some((item) => {
    const { type, status: state, observedGeneration } = fields(item);
    return type === 'Accepted' && state === 'True' && observedGeneration === fields(metadata)['generation'];
  });
}
const allAccepted = async (place: string): Promise<boolean> => (await api.list('HTTPRoute', place)).every(isAccepted);
const written = (before: Map<string, number>, resource: string): number =>
  (api.writes().get(`${resource}/status`) ?? 0) - (before.get(`${resource}/status`) ?? 0);

/** Routes on one Gateway by 16 writers: what the statuses need, and how many writes they are. */
export async function attached({ attached: count }: Sizes, place: Place): Promise<Figures> {
  await api.create(api.namespace('attached'));
  await api.create(api.service('attached', 'app', place.backendPort));
  await api.create(api.slice('attached', 'app', place.backendPort, [place.addresses[0]]));
  const names = numbers(count).map((i) => `attached-${i}`);
  const before = api.writes();
  const started = now();
  await api.many(names, (name) => api.create(api.route('attached', name, 'attached', { rules: api.rules('app') })));
  const created = seconds(started);
  const last = now();
  await until(async () => (await attachedTo('attached')) === count, 20);
  const right = seconds(last);
  await until(() => allAccepted('attached'), 100);
  const accepted = seconds(last);
  const figures = {
    'created in, s': created,
    'attachedRoutes right, s after the last create': right,
    'all Accepted, s after the last create': accepted,
    'Gateway writes while creating': written(before, 'gateways'),
    'route writes while creating': written(before, 'httproutes'),
  };
  const full = api.writes();
  await api.many(names, (name) => api.remove('HTTPRoute', 'attached', name));
  const deleted = now();
  await until(async () => (await attachedTo('attached')) === 0, 20);
  return {
    ...figures,
    'attachedRoutes 0, s after the last delete': seconds(deleted),
    'Gateway writes while deleting': written(full, 'gateways'),
    'route writes while deleting': written(full, 'httproutes'),
  };
}

const prefixed = (name: string, values: Record<string, number>): Figures =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [`${name}, ${key}`, value]));

/** Milliseconds until a route served. */
interface Times {
  readonly fromCreate: number[];
  readonly fromEvent: number[];
}

/** Between two routes of which nobody else makes or changes any. */
const QUIET_MS = 100;

/**
 * Routes one after another, each asked for from its creation on, those before asked again at random; then some more
 * with a rest in front of each.
 */
export async function probe({ probed }: Sizes, place: Place): Promise<Figures> {
  await api.create(api.namespace('probe'));
  await api.create(api.service('probe', 'app', place.backendPort));
  await api.create(api.slice('probe', 'app', place.backendPort, [place.addresses[0]]));
  const watcher = api.watchFirst('HTTPRoute', 'probe');
  const good: string[] = [];
  const load = new Load(place.port, 200, () => good[Math.floor(Math.random() * good.length)] ?? null);
  const asker = new Probe(place.port);
  const started = now();
  const header = (name: string) => ({
    type: 'RequestHeaderModifier',
    requestHeaderModifier: { set: [{ name, value: 'x' }] },
  });
  const make = async (name: string, times: Times): Promise<void> => {
    const rules = [...api.rules('app', '/', [header('a')]), ...api.rules('none', '/none', [header('b')])];
    await api.create(api.route('probe', name, 'probe', { rules }));
    const created = now();
    const at = await asker.until(`${name}.example`);
    if (at === null) return;
    times.fromCreate.push(Math.max(0, at - created));
    const seen = watcher.seen.get(name);
    if (seen !== undefined) times.fromEvent.push(Math.max(0, at - seen));
    good.push(`${name}.example`);
  };
  const rushed: Times = { fromCreate: [], fromEvent: [] };
  for (const i of numbers(probed)) await make(`probe-${i}`, rushed);
  const took = seconds(started);
  // Each as soon as the last one is served, the API server's core is busy with statuses of those before; now it rests.
  const quiet: Times = { fromCreate: [], fromEvent: [] };
  for (const i of numbers(Math.ceil(probed / 3))) {
    await wait(QUIET_MS);
    await make(`quiet-${i}`, quiet);
  }
  watcher.stop();
  asker.close();
  const { requests, errors } = await load.stop();
  return {
    'routes made': rushed.fromCreate.length,
    'took, s': took,
    ...prefixed('create to 200, ms', summary(rushed.fromCreate)),
    ...prefixed('event seen elsewhere to 200, ms', summary(rushed.fromEvent)),
    ...prefixed(`behind ${QUIET_MS} ms of quiet, create to 200, ms`, summary(quiet.fromCreate)),
    ...prefixed(`behind ${QUIET_MS} ms of quiet, event seen elsewhere to 200, ms`, summary(quiet.fromEvent)),
    'answers neither 404 nor 200 before the first 200': asker.wrong,
    'requests to routes made before': requests,
    'errors after the first 200': errors,
  };
}

/** ListenerSets one after another, each with a hostname of its own and one route. */
export async function sets({ sets: count }: Sizes, place: Place): Promise<Figures> {
  await api.create(api.namespace('sets'));
  await api.create(api.service('sets', 'app', place.backendPort));
  await api.create(api.slice('sets', 'app', place.backendPort, [place.addresses[0]]));
  const before = api.writes();
  const asker = new Probe(place.port);
  const fromCreate: number[] = [];
  for (const i of numbers(count)) {
    const name = `set-${i}`;
    await api.create(api.listenerSet('sets', name, 'sets', place.port));
    const parentRefs = [{ kind: 'ListenerSet', group: 'gateway.networking.k8s.io', name }];
    await api.create(api.route('sets', name, '', { parentRefs, rules: api.rules('app') }));
    const created = now();
    const at = await asker.until(`${name}.example`);
    if (at !== null) fromCreate.push(Math.max(0, at - created));
  }
  asker.close();
  return {
    'ListenerSets made': fromCreate.length,
    ...prefixed('create of its route to 200, ms', summary(fromCreate)),
    'answers neither 404 nor 200 before the first 200': asker.wrong,
    'Gateway writes': written(before, 'gateways'),
    'ListenerSet writes': written(before, 'listenersets'),
  };
}

/** One route changes under load. */
export async function change(_: Sizes, place: Place): Promise<Figures> {
  await api.create(api.namespace('change'));
  for (const [name, address] of [
    ['one', place.addresses[0]],
    ['two', place.addresses[1]],
  ] as const) {
    await api.create(api.service('change', name, place.backendPort));
    await api.create(api.slice('change', name, place.backendPort, [address]));
  }
  await api.create(api.route('change', 'changing', 'probe', { rules: api.rules('one') }));
  const host = 'changing.example';
  const asker = new Probe(place.port);
  await asker.until(host);
  const figures: Figures = {};
  let n = 0;
  for (const everyMs of [500, 50]) {
    const load = new Load(place.port, 500, () => host);
    const visible: number[] = [];
    for (let i = 0; i < 20; i++) {
      const next = ++n % 2 === 0 ? ('one' as const) : ('two' as const);
      const begun = now();
      await api.change('HTTPRoute', 'change', 'changing', { spec: { rules: api.rules(next) } });
      const returned = now();
      const at = await asker.until(host, place.addresses[next === 'one' ? 0 : 1]);
      if (at !== null) visible.push(Math.max(0, at - returned));
      await wait(Math.max(0, begun + everyMs - now()));
    }
    const { requests, errors } = await load.stop();
    figures[`requests, 20 changes ${everyMs} ms apart`] = requests;
    figures[`errors, 20 changes ${everyMs} ms apart`] = errors;
    Object.assign(figures, prefixed(`visible after the update's return, ${everyMs} ms apart, ms`, summary(visible)));
  }
  figures['other answers of the asker'] = asker.wrong;
  asker.close();
  return figures;
}

const NAMESPACES = 50;
const spread = (i: number): string => `scale-${i % NAMESPACES}`;

/** Many routes, Services and EndpointSlices; at rest, then ten slice changes a second while others are timed. */
export async function scale({ scale: count, churnSeconds, churns }: Sizes, place: Place): Promise<Figures> {
  await api.many(numbers(NAMESPACES), (i) => api.create(api.namespace(spread(i))));
  const all = numbers(count);
  const started = now();
  await api.many(all, async (i) => {
    const name = `scale-${i}`;
    await api.create(api.service(spread(i), name, place.backendPort));
    await api.create(api.slice(spread(i), name, place.backendPort, [place.addresses[0]]));
    await api.create(api.route(spread(i), name, 'scale', { rules: api.rules(name) }));
  });
  const created = seconds(started);
  const last = now();
  const asker = new Probe(place.port);
  for (const i of all) await asker.until(`scale-${i}.example`);
  const right = seconds(last);
  const figures = { routes: count, 'objects created in, s': created, 'traffic right, s after the last create': right };
  await until(async () => (await attachedTo('scale')) >= count, 50);
  const attachedRight = seconds(last);
  const rest = await usage(place, () => wait(10_000));
  const runs: Figures[] = [];
  for (let run = 1; run <= churns; run++) runs.push(await churn(count, churnSeconds, place, asker, run));
  const churned = runs.length === 1 ? (runs[0] as Figures) : mediansOf(runs);
  asker.close();
  return {
    ...figures,
    'attachedRoutes right, s after the last create (or the check of traffic)': attachedRight,
    ...prefixed('at rest', rest),
    ...churned,
    series: await place.metric('*'),
  };
}

const residentKb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** What both planes need while `work` goes on; memory by quality.md's measure. */
async function usage({ planes }: Place, work: () => Promise<unknown>): Promise<Figures> {
  const pids = Object.entries(planes());
  const before = pids.map(([, pid]) => cpuNs([pid]));
  const started = now();
  await work();
  const ns = (now() - started) * 1e6;
  return Object.fromEntries(
    pids.flatMap(([plane, pid], i) => [
      [`cores of the ${plane}`, Math.round(((cpuNs([pid]) - (before[i] as number)) / ns) * 1000) / 1000],
      [`RSS of the ${plane}, MB`, tenth((residentKb(pid) * 1024) / 1e6)],
      [`own memory of the ${plane}, MB`, tenth(ownBytes([pid]) / 1e6)],
    ]),
  );
}

/** Of each figure the median, of what went wrong the sum; and each run's p99, which are to be within a bar. */
function mediansOf(runs: readonly Figures[]): Figures {
  const figures: Figures = { 'churns measured': runs.length };
  for (const name of Object.keys(runs[0] as Figures)) {
    const values = runs.map((run) => run[name] as number);
    figures[name] = /^(errors|never)/.test(name) ? values.reduce((a, b) => a + b, 0) : median(values);
    if (!name.endsWith(', p99')) continue;
    for (const [i, value] of values.entries()) figures[`${name}, run ${i + 1}`] = value;
  }
  return figures;
}

async function churn(count: number, forSeconds: number, place: Place, asker: Probe, run: number): Promise<Figures> {
  const [one, two] = place.addresses;
  const host = (): string => `scale-${Math.floor(Math.random() * count)}.example`;
  let changes = 0;
  const turn = async (until: number): Promise<void> => {
    for (let next = now(); now() < until; next += 100) {
      await wait(Math.max(0, next - now()));
      const i = 1 + Math.floor(Math.random() * (count - 1));
      const endpoints = api.endpoints(changes++ % 2 === 0 ? [one, two] : [one]);
      await api.change('EndpointSlice', spread(i), `scale-${i}`, { endpoints });
    }
  };
  const alone = await usage(place, () => turn(now() + (forSeconds / 3) * 1000));
  changes = 0;
  // What such requests cost without any change; those of the asker come on top in churn.
  const calm = new Load(place.port, 100, host);
  const served = await usage(place, () => wait((forSeconds / 3) * 1000));
  const before = await calm.stop();
  const load = new Load(place.port, 100, host);
  const asked = asker.sent;
  const endsAt = now() + forSeconds * 1000;
  const turning = turn(endsAt);
  const endpointMs: number[] = [];
  const routeMs: number[] = [];
  const eventMs: number[] = [];
  const watcher = api.watchFirst('HTTPRoute', 'scale-0');
  let lost = 0;
  const timing = async (): Promise<void> => {
    for (let n = 1; now() < endsAt; n++) {
      const to = n % 2 === 0 ? one : two;
      await api.change('EndpointSlice', spread(0), 'scale-0', { endpoints: api.endpoints([to]) });
      const changed = now();
      const at = await asker.until('scale-0.example', to);
      if (at === null) lost++;
      else endpointMs.push(Math.max(0, at - changed));
      await api.create(api.route('scale-0', `new-${run}-${n}`, 'scale', { rules: api.rules('scale-0') }));
      const created = now();
      const served = await asker.until(`new-${run}-${n}.example`);
      if (served === null) lost++;
      else {
        routeMs.push(Math.max(0, served - created));
        const seen = watcher.seen.get(`new-${run}-${n}`);
        if (seen !== undefined) eventMs.push(Math.max(0, served - seen));
      }
      await wait(200);
    }
    await turning;
  };
  const used = await usage(place, timing);
  watcher.stop();
  const polls = asker.sent - asked;
  const { requests, errors } = await load.stop();
  return {
    ...prefixed('in churn without a request', alone),
    ...prefixed('100 requests a second without churn', served),
    ...prefixed('in churn', used),
    'slice changes a second in churn': tenth(changes / forSeconds),
    ...prefixed('endpoint change visible in churn, ms', summary(endpointMs)),
    ...prefixed('new route in churn to 200, ms', summary(routeMs)),
    ...prefixed('new route in churn, event seen elsewhere to 200, ms', summary(eventMs)),
    'never seen in a minute': lost,
    'requests in churn': requests,
    'requests of the asker in churn': polls,
    'errors in churn': errors + before.errors,
  };
}
