// Against a real API server with its controllers and a kubelet (test/kubernetes/real-services.sh starts them and this
// inside): the Service that is kept for a Gateway, from its making to its end, and rollouts of a backend under load.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, get as httpGet } from 'node:http';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fields } from '../../src/base/fields.ts';
import { Client, type Question } from '../../src/source/kubernetes/client.ts';
import { Credentials } from '../../src/source/kubernetes/credentials.ts';
import { readKubeconfig } from '../../src/source/kubernetes/kubeconfig.ts';
import { Transport } from '../../src/source/kubernetes/transport.ts';
import { SYSTEM_TIMERS } from '../../src/source/timers.ts';

const WAIT_MS = 60_000;
const SYSTEM = 'rauta-system';
const root = fileURLToPath(new URL('../..', import.meta.url));

const read = (path: string): string => readFileSync(path, 'utf8');
const now = (): number => performance.now();
const access = readKubeconfig([process.env['RAUTA_CLUSTER_DIRECT_KUBECONFIG'] as string], null, read);
const credentials = new Credentials(access, { read, run: () => Promise.reject(new Error('none')), now, wall: now });
const options = { userAgent: 'test', qps: 1_000, burst: 1_000, now, timers: SYSTEM_TIMERS };
const client = new Client(new Transport(access), credentials, options);

interface Thing {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

const GATEWAY_API = '/apis/gateway.networking.k8s.io/v1';
const PATHS: Readonly<Record<string, string>> = {
  Gateway: `${GATEWAY_API}/namespaces/default/gateways`,
  HTTPRoute: `${GATEWAY_API}/namespaces/default/httproutes`,
  Service: '/api/v1/namespaces/default/services',
  EndpointSlice: '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
  Deployment: '/apis/apps/v1/namespaces/default/deployments',
  Pod: `/api/v1/namespaces/${SYSTEM}/pods`,
  Event: '/apis/events.k8s.io/v1/namespaces/default/events',
};

async function ask(question: Question): Promise<unknown> {
  const reply = await client.ask(question);
  if (!reply.ok) assert.fail(`${question.verb} ${question.path}: ${reply.failure.reason}: ${reply.failure.message}`);
  return reply.body;
}
const create = (kind: string, apiVersion: string, name: string, body: object): Promise<unknown> =>
  ask({ verb: 'create', kind, path: PATHS[kind] as string, body: { apiVersion, kind, metadata: { name }, ...body } });
const patch = (kind: string, name: string, body: object, sub = ''): Promise<unknown> =>
  ask({
    verb: 'patch',
    kind,
    path: `${PATHS[kind]}/${name}${sub}`,
    contentType: 'application/merge-patch+json',
    body,
  });
async function find(kind: string, name: string): Promise<Thing | null> {
  const reply = await client.ask({ verb: 'get', kind, path: `${PATHS[kind]}/${name}` });
  if (reply.ok) return reply.body as Thing;
  assert.equal(reply.failure.code, 404, reply.failure.message);
  return null;
}
const remove = (kind: string, name: string): Promise<unknown> =>
  ask({ verb: 'delete', kind, path: `${PATHS[kind]}/${name}` });

/** Looks again and again, without haste, until it is so. */
async function until<T>(what: string, look: () => Promise<T | null | false>): Promise<T> {
  const started = now();
  for (;;) {
    const found = await look();
    if (found !== null && found !== false) return found;
    assert.ok(now() - started < WAIT_MS, `not in ${WAIT_MS} ms: ${what}`);
    await new Promise<void>((resolve) => void SYSTEM_TIMERS.after(50, resolve));
  }
}

/** `status reason` of a Gateway's condition. */
async function said(name: string, type: string): Promise<string> {
  const { status } = (await find('Gateway', name)) as Thing;
  const conditions = fields(status)['conditions'] as readonly Record<string, string>[] | undefined;
  const found = conditions?.find((c) => c['type'] === type);
  return `${found?.['status']} ${found?.['reason']}`;
}
async function addresses(name: string): Promise<readonly string[]> {
  const { status } = (await find('Gateway', name)) as Thing;
  return ((fields(status)['addresses'] ?? []) as { value: string }[]).map(({ value }) => value);
}
async function endpoints(slice: string): Promise<readonly string[]> {
  const found = await find('EndpointSlice', slice);
  const list = (found?.['endpoints'] ?? []) as { addresses: string[]; conditions: { ready: boolean } }[];
  return list.filter((e) => e.conditions.ready).map((e) => e.addresses[0] as string);
}
const ports = (service: Thing): readonly number[] =>
  (fields(service['spec'])['ports'] as { port: number }[]).map(({ port }) => port);

const IMAGE = 'test/pod:1';
const container = { name: 'pod', image: IMAGE };
const gateway = (infrastructure: object, port = 80): object => ({
  spec: { gatewayClassName: 'rauta', infrastructure, listeners: [{ name: 'http', port, protocol: 'HTTP' }] },
});

// Stand-ins for pods of RAUTA: it runs outside of them here, and is told that it is one of them.
for (const name of ['rauta-0', 'rauta-1'])
  await ask({
    verb: 'create',
    kind: 'Pod',
    path: PATHS['Pod'] as string,
    body: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: { app: 'rauta' } },
      spec: { containers: [container], terminationGracePeriodSeconds: 1 },
    },
  });
const podIp = async (name: string): Promise<string> =>
  until(`address of ${name}`, async () => {
    const pod = (await find('Pod', name)) as Thing;
    const ip = fields(pod['status'])['podIP'];
    return typeof ip === 'string' && ip;
  });
const ips = [await podIp('rauta-0'), await podIp('rauta-1')];

const rauta = spawn(
  'sh',
  [
    'bin/node',
    'test/conformance/serve.ts',
    '--gateway-service',
    'LoadBalancer',
    '--access-log',
    process.env['RAUTA_ACCESS_LOG'] ?? 'off',
  ],
  {
    cwd: root,
    stdio: ['ignore', 'inherit', process.env['RAUTA_LOG'] === undefined ? 'ignore' : 'inherit'],
    env: { ...process.env, POD_NAMESPACE: SYSTEM, POD_NAME: 'rauta-0', NODE_NAME: 'node-a' },
  },
);
after(async () => {
  rauta.kill('SIGTERM');
  await client.stop();
});

test('a Service for a Gateway: made, followed, kept from strangers, and gone with it', async () => {
  const size = { 'example.com/size': 'small' };
  await create('Gateway', 'gateway.networking.k8s.io/v1', 'web', gateway({ labels: { team: 'x' }, annotations: size }));
  const service = await until('the Service', () => find('Service', 'web-rauta'));
  assert.equal(fields(service['spec'])['type'], 'LoadBalancer');
  assert.equal(service.metadata.labels?.['gateway.networking.k8s.io/gateway-name'], 'web');
  assert.equal(service.metadata.labels?.['team'], 'x');
  await until('both pods', async () => (await endpoints('web-rauta-ipv4')).length === 2);
  assert.deepEqual([...(await endpoints('web-rauta-ipv4'))].sort(), [...ips].sort());
  await until('said to wait', async () => (await said('web', 'Programmed')) === 'False AddressNotAssigned');
  assert.deepEqual(await addresses('web'), []);

  // What the cluster's load balancers would do, and somebody's note on it.
  await patch('Service', 'web-rauta', { status: { loadBalancer: { ingress: [{ ip: '203.0.113.5' }] } } }, '/status');
  await patch('Service', 'web-rauta', { metadata: { annotations: { note: 'theirs' } } });
  await until('programmed', async () => (await said('web', 'Programmed')) === 'True Programmed');
  assert.deepEqual(await addresses('web'), ['203.0.113.5']);

  // Labels and ports that are no longer said go; what others wrote stays.
  await patch('Gateway', 'web', {
    spec: {
      infrastructure: { labels: { team: null, unit: 'y' }, annotations: null },
      listeners: [
        { name: 'other', port: 8080, protocol: 'HTTP' },
        { name: 'more', port: 90, protocol: 'HTTP' },
      ],
    },
  });
  const next = await until('other ports', async () => {
    const found = (await find('Service', 'web-rauta')) as Thing;
    return ports(found).includes(8080) && found;
  });
  assert.deepEqual([...ports(next)].sort(), [8080, 90]);
  assert.deepEqual(
    [next.metadata.labels?.['team'], next.metadata.labels?.['unit'], next.metadata.annotations?.['example.com/size']],
    [undefined, 'y', undefined],
  );
  assert.equal(next.metadata.annotations?.['note'], 'theirs');
  assert.equal(next.metadata.uid, service.metadata.uid);
  assert.deepEqual(await addresses('web'), ['203.0.113.5'], 'the load balancer is the same');

  await remove('Pod', 'rauta-1');
  await until('one pod', async () => (await endpoints('web-rauta-ipv4')).length === 1);
  assert.deepEqual(await endpoints('web-rauta-ipv4'), [ips[0]]);

  // A stranger's.
  await create('Service', 'v1', 'mine-rauta', { spec: { ports: [{ port: 7 }] } });
  const before = (await find('Service', 'mine-rauta')) as Thing;
  await create('Gateway', 'gateway.networking.k8s.io/v1', 'mine', gateway({}, 9000));
  await until("said to be another's", async () => (await said('mine', 'Programmed')) === 'False AddressNotAssigned');
  await until('an Event', async () => {
    const { items } = (await ask({ verb: 'list', kind: 'Event', path: PATHS['Event'] as string })) as {
      items: { regarding: { name: string }; note: string }[];
    };
    return items.some(({ regarding, note }) => regarding.name === 'mine' && note.includes('was not made for this'));
  });
  assert.equal((await find('Service', 'mine-rauta'))?.metadata.resourceVersion, before.metadata.resourceVersion);
  // Given up, it is made.
  await remove('Service', 'mine-rauta');
  await until('made after all', async () => (await find('Service', 'mine-rauta'))?.metadata.annotations ?? null);

  const quiet = (await find('Service', 'web-rauta'))?.metadata.resourceVersion;
  for (const name of ['web', 'mine']) await remove('Gateway', name);
  assert.equal(quiet, next.metadata.resourceVersion, 'nothing was written without need');
  for (const kind of ['Service', 'EndpointSlice'])
    for (const name of ['web-rauta', 'mine-rauta'])
      await until(`${kind} ${name} gone`, async () => {
        return (await find(kind, kind === 'Service' ? name : `${name}-ipv4`)) === null;
      });
});

const leads = async (): Promise<boolean> =>
  /^rauta_leader 1$/m.test(await (await fetch('http://127.0.0.1:9090/metrics')).text());

test('who has lost the lease makes nothing; who has it again makes what is missing', async (t) => {
  await create('Gateway', 'gateway.networking.k8s.io/v1', 'led', gateway({}, 9001));
  await until('the Service', () => find('Service', 'led-rauta'));
  const kind = 'Lease';
  const { items } = (await ask({ verb: 'list', kind, path: '/apis/coordination.k8s.io/v1/leases' })) as {
    readonly items: readonly { readonly metadata: { readonly name: string; readonly namespace: string } }[];
  };
  const { namespace = '' } = items.find(({ metadata }) => metadata.name === 'rauta')?.metadata ?? {};
  // Somebody has it, and never renews it.
  await ask({
    verb: 'patch',
    kind,
    path: `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/rauta`,
    contentType: 'application/merge-patch+json',
    body: { spec: { holderIdentity: 'somebody', renewTime: new Date().toISOString().replace('Z', '000Z') } },
  });
  await until('led by somebody', async () => !(await leads()));
  await remove('Service', 'led-rauta');
  await create('Gateway', 'gateway.networking.k8s.io/v1', 'unled', gateway({}, 9002));
  let looks = 0;
  await until('led by us again', async () => {
    const [led, unled] = [await find('Service', 'led-rauta'), await find('Service', 'unled-rauta')];
    if (await leads()) return true;
    looks++;
    assert.deepEqual([led, unled], [null, null], 'made by who does not lead');
    return false;
  });
  t.diagnostic(`${looks} looks while somebody had the lease`);
  assert.ok(looks > 10);
  for (const name of ['led-rauta', 'unled-rauta']) await until(name, () => find('Service', name));
  for (const name of ['led', 'unled']) await remove('Gateway', name);
});

interface Endpoint {
  readonly conditions: { readonly ready: boolean };
  readonly targetRef: { readonly name: string };
}

/** GETs over kept connections until it is stopped; what came back, by status or error. */
function load(port: number, connections: number): () => Promise<Readonly<Record<string, number>>> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const counts: Record<string, number> = {};
  let stopped = false;
  const one = (): Promise<string> =>
    new Promise((resolve) => {
      const request = httpGet({ host: '127.0.0.1', port, path: '/', agent }, (response) => {
        response.resume().on('end', () => resolve(String(response.statusCode)));
        response.on('error', (error) => resolve(error.message));
      });
      request.on('error', (error) => resolve(error.message));
    });
  const loop = async (): Promise<void> => {
    while (!stopped) {
      const key = await one();
      counts[key] = (counts[key] ?? 0) + 1;
    }
  };
  const loops = Array.from({ length: connections }, loop);
  return async () => {
    stopped = true;
    await Promise.all(loops);
    agent.destroy();
    return counts;
  };
}

test('endpoints of the own zone get everything, when the Service asks for it', async () => {
  const pods = ['zone-a', 'zone-b', 'zone-c'].map((zone, i) => ({ name: `near-${i}`, zone }));
  for (const { name, zone } of pods)
    await ask({
      verb: 'create',
      kind: 'Pod',
      path: '/api/v1/namespaces/default/pods',
      body: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, labels: { app: 'near' } },
        spec: {
          nodeSelector: { 'topology.kubernetes.io/zone': zone },
          terminationGracePeriodSeconds: 1,
          containers: [{ ...container, readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 } }],
        },
      },
    });
  await create('Service', 'v1', 'near', {
    spec: { selector: { app: 'near' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  });
  await create('Gateway', 'gateway.networking.k8s.io/v1', 'near', gateway({}, 8100));
  await create('HTTPRoute', 'gateway.networking.k8s.io/v1', 'near', {
    spec: { parentRefs: [{ name: 'near' }], rules: [{ backendRefs: [{ name: 'near', port: 80 }] }] },
  });
  /** Who answers thirty requests. */
  const answering = async (): Promise<string> => {
    const names = new Set<string>();
    for (let i = 0; i < 30; i++) {
      const reply = await fetch('http://127.0.0.1:8100/').catch(() => null);
      names.add(reply?.status === 200 ? await reply.text() : 'nobody');
    }
    return [...names].sort().join(' ');
  };
  const answered = (who: string): Promise<boolean> => until(who, async () => (await answering()) === who);
  await answered('near-0 near-1 near-2');
  await patch('Service', 'near', { spec: { trafficDistribution: 'PreferClose' } });
  await answered('near-0');
  // The only one of the zone goes: the others take over, and nobody waits for it.
  await ask({ verb: 'delete', kind: 'Pod', path: '/api/v1/namespaces/default/pods/near-0' });
  await answered('near-1 near-2');
});

test('rollouts of a backend with readiness and preStop under load, and pods taken away: no request fails', async (t) => {
  const template = (version: number): object => ({
    metadata: { labels: { app: 'app', version: String(version) } },
    spec: {
      terminationGracePeriodSeconds: 10,
      containers: [
        {
          ...container,
          ports: [{ name: 'web', containerPort: 8080 }],
          readinessProbe: { httpGet: { path: '/', port: 'web' }, periodSeconds: 1 },
          lifecycle: { preStop: { sleep: { seconds: 2 } } },
        },
      ],
    },
  });
  await create('Deployment', 'apps/v1', 'app', {
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: 'app' } },
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: template(0),
    },
  });
  await create('Service', 'v1', 'app', {
    spec: { selector: { app: 'app' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
  });
  await create('Gateway', 'gateway.networking.k8s.io/v1', 'edge', gateway({}, 8000));
  await create('HTTPRoute', 'gateway.networking.k8s.io/v1', 'app', {
    spec: { parentRefs: [{ name: 'edge' }], rules: [{ backendRefs: [{ name: 'app', port: 80 }] }] },
  });
  const rolled = (): Promise<true> =>
    until('rolled out', async () => {
      const { metadata, status } = (await find('Deployment', 'app')) as Thing & { metadata: { generation: number } };
      const { observedGeneration, updatedReplicas, replicas, availableReplicas } = fields(status);
      return (
        observedGeneration === metadata.generation &&
        [updatedReplicas, replicas, availableReplicas].every((count) => count === 3)
      );
    });
  await rolled();
  await until('served', async () => (await fetch('http://127.0.0.1:8000/').catch(() => null))?.status === 200);
  const stop = load(8000, 16);
  for (let version = 1; version <= 3; version++) {
    await patch('Deployment', 'app', { spec: { template: template(version) } });
    await rolled();
  }
  // One after the other is taken away by hand: as a node that is drained does it.
  const pods = '/api/v1/namespaces/default/pods';
  const { items } = (await ask({ verb: 'list', kind: 'Pod', path: pods })) as { items: Thing[] };
  for (const { metadata } of items.filter((pod) => pod.metadata.labels?.['version'] === '3')) {
    await ask({ verb: 'delete', kind: 'Pod', path: `${pods}/${metadata.name}` });
    await until(`${metadata.name} replaced`, async () => {
      const query = { labelSelector: 'kubernetes.io/service-name=app' };
      const question = { verb: 'list', kind: 'EndpointSlice', path: PATHS['EndpointSlice'] as string, query } as const;
      const { items: found } = (await ask(question)) as { items: { endpoints?: Endpoint[] }[] };
      const ready = found.flatMap(({ endpoints: list }) => list ?? []).filter(({ conditions }) => conditions.ready);
      return ready.length === 3 && ready.every(({ targetRef }) => targetRef.name !== metadata.name);
    });
  }
  const counts = await stop();
  t.diagnostic(JSON.stringify(counts));
  assert.deepEqual(Object.keys(counts), ['200']);
});
