// Against a real API server (test/kubernetes/real-cluster.sh starts it and this inside): 1,000 routes on one Gateway,
// then churn while watches are cut and answers fail; in the end RAUTA holds what the server holds, and every status is
// right.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../../src/base/limits.ts';
import { Client } from '../../src/source/kubernetes/client.ts';
import { Credentials } from '../../src/source/kubernetes/credentials.ts';
import { readKubeconfig } from '../../src/source/kubernetes/kubeconfig.ts';
import { Transport } from '../../src/source/kubernetes/transport.ts';
import { SYSTEM_TIMERS } from '../../src/source/timers.ts';
import { mulberry32 } from '../support/mulberry32.ts';

const ROUTES = 1_000;
const EDITS = 3_000;
const WRITERS = 16;
/** Of HTTPRoutes, each by its fifth event at the latest. */
const CUTS = 100;
/** Twenty times what it takes on an idle machine. */
const WAIT_MS = 600_000;
const ADMIN = 'http://127.0.0.1:9090';
const API = '/apis/gateway.networking.k8s.io/v1/namespaces/default';
const root = fileURLToPath(new URL('../..', import.meta.url));
const environment = (name: string): string => process.env[name] as string;

const read = (path: string): string => readFileSync(path, 'utf8');
const now = (): number => performance.now();
const access = readKubeconfig([environment('RAUTA_CLUSTER_DIRECT_KUBECONFIG')], null, read);
const credentials = new Credentials(access, { read, run: () => Promise.reject(new Error('none')), now, wall: now });
const options = { userAgent: 'churn', qps: 10_000, burst: 10_000, now, timers: SYSTEM_TIMERS };
const client = new Client(new Transport(access), credentials, options);

const rauta = spawn(
  'sh',
  ['bin/node', 'test/conformance/serve.ts', '--address-pool', '10.250.0.0/17', '--access-log', 'off'],
  { cwd: root, stdio: ['ignore', 'inherit', 'ignore'] },
);
after(async () => {
  rauta.kill('SIGTERM');
  await client.stop();
});

interface Route {
  readonly metadata: { readonly name: string; readonly resourceVersion: string; readonly generation: number };
  readonly status?: {
    readonly parents?: readonly {
      readonly conditions: readonly {
        readonly type: string;
        readonly status: string;
        readonly observedGeneration: number;
      }[];
    }[];
  };
}

async function ask(question: Parameters<Client['ask']>[0]): Promise<unknown> {
  const reply = await client.ask(question);
  if (!reply.ok) assert.fail(`${question.verb} ${question.path}: ${reply.failure.reason}: ${reply.failure.message}`);
  return reply.body;
}
const routes = async (): Promise<readonly Route[]> =>
  ((await ask({ verb: 'list', kind: 'HTTPRoute', path: `${API}/httproutes` })) as { items: Route[] }).items;
const create = (name: string): Promise<unknown> =>
  ask({
    verb: 'create',
    kind: 'HTTPRoute',
    path: `${API}/httproutes`,
    body: {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name },
      spec: { parentRefs: [{ name: 'gw' }], hostnames: [`${name}.example`] },
    },
  });
const change = (name: string, note: number): Promise<unknown> =>
  ask({
    verb: 'patch',
    kind: 'HTTPRoute',
    path: `${API}/httproutes/${name}`,
    contentType: 'application/merge-patch+json',
    body: { spec: { hostnames: [`${name}-${note}.example`] } },
  });
const accepted = ({ metadata, status }: Route): boolean =>
  status?.parents?.[0]?.conditions.some(
    (c) => c.type === 'Accepted' && c.status === 'True' && c.observedGeneration === metadata.generation,
  ) === true;

/** Looks again and again, without haste, until `look` has nothing to say of what is not so yet; milliseconds. */
async function until(what: string, look: () => Promise<string | null>): Promise<number> {
  const started = now();
  for (;;) {
    const seen = await look().catch((error: unknown) => String(error));
    if (seen === null) return Math.round(now() - started);
    assert.ok(now() - started < WAIT_MS, `not in ${WAIT_MS} ms: ${what}: ${seen}`);
    await new Promise<void>((resolve) => void SYSTEM_TIMERS.after(100, resolve));
  }
}
/** Which of these are not accepted as they are now: the first, and how many. */
function unaccepted(list: readonly Route[]): string | null {
  const bad = list.filter((route) => !accepted(route));
  return bad.length === 0 ? null : `${bad.length} of ${list.length}, as ${JSON.stringify(bad[0])}`;
}
async function many<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items];
  const one = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: WRITERS }, one));
}
async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${ADMIN}/metrics`)).text();
  const line = text.split('\n').find((l) => l.startsWith(name));
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ') + 1));
}
const faults = (...args: string[]): unknown => execFileSync(environment('RAUTA_CLUSTER_BIN'), ['faults', ...args]);

const GATEWAY = `${API}/gateways/gw`;
interface Gateway {
  readonly status: {
    readonly conditions: readonly { readonly type: string; readonly status: string }[];
    readonly listeners: readonly { readonly attachedRoutes: number }[];
  };
}
const gatewayStatus = async (): Promise<Gateway['status']> =>
  ((await ask({ verb: 'get', kind: 'Gateway', path: GATEWAY })) as Gateway).status;

test(`${ROUTES} routes on one Gateway: few writes of it, one of each route`, async (t) => {
  await until('ready', async () => {
    const { status, body } = await fetch(`${ADMIN}/readyz`).then(async (r) => ({
      status: r.status,
      body: await r.text(),
    }));
    return status === 200 ? null : `${status} ${body}`;
  });
  await ask({
    verb: 'create',
    kind: 'Gateway',
    path: `${API}/gateways`,
    body: {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name: 'gw' },
      spec: { gatewayClassName: 'rauta', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
    },
  });
  // Watches are not ordered among each other: a route that came before its Gateway would be written of twice.
  await until('Programmed', async () => {
    const { conditions } = await gatewayStatus();
    return conditions.some((c) => c.type === 'Programmed' && c.status === 'True') ? null : JSON.stringify(conditions);
  });
  const before = await metric('rauta_status_writes_total{kind="Gateway",result="ok"}');
  const started = now();
  await many(
    Array.from({ length: ROUTES }, (_, i) => `r${i}`),
    create,
  );
  const created = now();
  t.diagnostic(`created in ${Math.round(created - started)} ms`);
  const attached = await until('attachedRoutes', async () => {
    const { listeners } = await gatewayStatus();
    return listeners[0]?.attachedRoutes === ROUTES ? null : JSON.stringify(listeners);
  });
  const took = now() - started;
  const all = await until('all Accepted', async () => unaccepted(await routes()));
  t.diagnostic(`attachedRoutes right ${attached} ms, all Accepted ${attached + all} ms after the last create`);
  const gateways = (await metric('rauta_status_writes_total{kind="Gateway",result="ok"}')) - before;
  const written = await metric('rauta_status_writes_total{kind="HTTPRoute",result="ok"}');
  t.diagnostic(`${gateways} writes of the Gateway, ${written} of routes`);
  // However long it takes to create them: never more than one in STATUS_INTERVAL_MS (49 in 12 s).
  const most = Math.ceil(took / LIMITS.STATUS_INTERVAL_MS) + 1;
  assert.ok(gateways <= most, `${gateways} writes of the Gateway in ${Math.round(took)} ms`);
  assert.equal(written, ROUTES);
});

test('edits while watches are cut and answers fail: in the end everything is as the server has it', async (t) => {
  const ours = { userAgent: 'rauta/' };
  faults(
    'set',
    JSON.stringify({
      rules: [
        { match: { ...ours, verbs: ['watch'] }, share: 0.05, expired: 'event' },
        { match: { ...ours, verbs: ['watch'] }, share: 0.2, cut: { bytes: 3_000 } },
        { match: { ...ours, verbs: ['watch'] }, cut: { events: 5 } },
        { match: { ...ours, verbs: ['list'] }, share: 0.3, cut: { bytes: 1_000 } },
        { match: { ...ours, verbs: ['list', 'patch', 'get'] }, share: 0.2, status: 500 },
        { match: { ...ours, verbs: ['patch'] }, share: 0.2, status: 429, retryAfter: 1 },
      ],
    }),
  );
  // Rules count for questions that begin now: everything is asked anew.
  const watched = 'rauta_kubernetes_requests_total{verb="watch",kind="HTTPRoute",code="200"}';
  const before = await metric(watched);
  rauta.kill('SIGHUP');
  const random = mulberry32(7);
  const there = new Set(Array.from({ length: ROUTES }, (_, i) => `r${i}`));
  let edits = 0;
  let watches = 0;
  const started = now();
  // How many watches are cut in so many edits depends on the machine: it is edited until there have been enough of
  // both.
  while (edits < EDITS || watches < CUTS) {
    const names = new Set(Array.from({ length: WRITERS }, () => `r${Math.floor(random() * ROUTES * 1.1)}`));
    await many([...names], async (name) => {
      edits++;
      if (!there.has(name)) {
        there.add(name);
        await create(name);
      } else if (random() < 0.3) {
        there.delete(name);
        await ask({ verb: 'delete', kind: 'HTTPRoute', path: `${API}/httproutes/${name}` });
      } else await change(name, edits);
    });
    watches = (await metric(watched)) - before;
    assert.ok(now() - started < WAIT_MS, `${watches} watches and ${edits} edits in ${WAIT_MS} ms`);
  }
  t.diagnostic(`${edits} edits in ${Math.round(now() - started)} ms, ${watches} watches of HTTPRoute`);
  faults('clear');
  const took = await until('the same on both sides', async () => {
    const [theirs, config] = await Promise.all([routes(), fetch(`${ADMIN}/config`).then((r) => r.json())]);
    const mine = (config as { objects: (Route & { kind: string })[] }).objects.filter((o) => o.kind === 'HTTPRoute');
    const versions = (list: readonly Route[]): Set<string> =>
      new Set(list.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`));
    const [at, here] = [versions(theirs), versions(mine)];
    const missed = at.difference(here);
    const stale = here.difference(at);
    if (missed.size + stale.size > 0)
      return `the server has ${missed.size} others (${[...missed][0]}), we have ${stale.size} (${[...stale][0]})`;
    return unaccepted(theirs);
  });
  const page = (await (await fetch(`${ADMIN}/kubernetes`)).json()) as { kinds: { kind: string; relists: unknown }[] };
  const relists = page.kinds.find((k) => k.kind === 'HTTPRoute')?.relists;
  t.diagnostic(`the same ${took} ms after the faults ended; relists of HTTPRoute: ${JSON.stringify(relists)}`);
  assert.equal((await routes()).length, there.size);
});
