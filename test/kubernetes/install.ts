// RAUTA in a cluster as users install it (install.sh starts the cluster and this inside): `kubectl apply`, real pods of
// the image, traffic, statuses, rollovers under load, and what is left when a Gateway goes.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { get as getSecurely } from 'node:https';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { landlockVersion } from '../../src/native/index.ts';
import { authority, leaf, pem } from '../../tools/certificates.ts';

/** Of each kind there are so many rollovers, and more until so many requests were answered. */
const ROLLOVERS = Number(process.env['ROLLOVERS'] ?? 2);
const REQUESTS = Number(process.env['REQUESTS'] ?? 0);
const WAIT_MS = 90_000;
/** How much later than the cluster the load knows which pods are ready: as a load balancer or kube-proxy does. */
const LATE_MS = 1_000;
const PAUSE_MS = 4;
const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = process.env['RAUTA_CLUSTER_BIN'] as string;
const run = promisify(execFile);
const kubectl = async (...args: string[]): Promise<string> =>
  (await run(join(dirname(bin), 'kubectl'), args, { cwd: root, maxBuffer: 1 << 26 })).stdout;

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}
interface Status {
  readonly conditions?: readonly Condition[];
  readonly addresses?: readonly { readonly value: string }[];
  readonly listeners?: readonly { readonly attachedRoutes: number; readonly conditions: readonly Condition[] }[];
  readonly parents?: readonly { readonly conditions: readonly Condition[] }[];
}
const statusOf = async (...what: string[]): Promise<Status> =>
  (JSON.parse(await kubectl('get', '-o', 'json', ...what)) as { status?: Status }).status ?? {};
const isTrue = (conditions: readonly Condition[] | undefined, type: string): boolean =>
  conditions?.some((c) => c.type === type && c.status === 'True') === true;

/** Asks again until `is` says nothing is missing; what it said last is in the failure. */
async function until(what: string, is: () => Promise<string | null>): Promise<void> {
  const started = performance.now();
  for (;;) {
    const missing = await is().catch((error: unknown) => String(error));
    if (missing === null) return;
    if (performance.now() - started > WAIT_MS) {
      const pods = await kubectl('describe', '-n', 'rauta-system', 'pods').catch(String);
      const logs = await kubectl('logs', '-n', 'rauta-system', '-l', 'app.kubernetes.io/name=rauta').catch(String);
      assert.fail(`not in ${WAIT_MS} ms: ${what}: ${missing}\n${pods.slice(-6_000)}\n${logs.slice(-4_000)}`);
    }
    await pause(200);
  }
}

/** The status of one answer; 0 and why when there was none. */
function ask(host: string, agent: Agent | false = false): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const request = get({ host, port: 80, path: PATH, agent, headers: { host: HOST } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on('error', (error) => resolve({ status: 0, text: String(error) }));
    });
    request.on('error', (error) => resolve({ status: 0, text: String(error) }));
  });
}

/** Clients that keep connections and clients that do not, each at the hosts that `hosts` says at that moment. */
class Load {
  readonly answers = new Map<string, number>();
  readonly #agent = new Agent({ keepAlive: true });
  readonly #hosts: () => readonly string[];
  readonly #clients: Promise<void>[];
  #stopped = false;

  constructor(hosts: () => readonly string[]) {
    this.#hosts = hosts;
    this.#clients = Array.from({ length: 6 }, (_, i) => this.#client(i, i < 4 ? this.#agent : false));
  }

  async #client(number: number, agent: Agent | false): Promise<void> {
    for (let i = number; !this.#stopped; i++) {
      const hosts = this.#hosts();
      const { status, text } = await ask(hosts[i % hosts.length] as string, agent);
      const key = status === 200 ? '200' : `${status} ${text}`;
      this.answers.set(key, (this.answers.get(key) ?? 0) + 1);
      await pause(PAUSE_MS);
    }
  }

  get count(): number {
    return [...this.answers.values()].reduce((a, b) => a + b, 0);
  }

  async stop(): Promise<Record<string, number>> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
    return Object.fromEntries(this.answers);
  }
}

let load: Load | null = null;
after(async () => void (await load?.stop()));

/** Nothing but 200, and enough of it. */
async function allAnswered(): Promise<number> {
  const { 200: good = 0, ...bad } = (await load?.stop()) ?? {};
  load = null;
  assert.deepEqual(bad, {});
  assert.ok(good > Math.max(100 * ROLLOVERS, REQUESTS - 1), `${good} requests`);
  return good;
}

const HOST = 'api.example.com';
const PATH = '/api/v1/users';
const issuer = authority('install');
const certificate = leaf(issuer, [HOST]);
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const backend = (name: string): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      containers:
        - name: echo
          image: registry.test/gateway-api/echo-basic:v1
          env: [{ name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }]
          readinessProbe: { httpGet: { path: /health, port: 3000 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ port: 8080, targetPort: 3000 }] }
---`;
const BACKENDS = `${backend('api-service')}${backend('api-canary')}
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: { name: my-cert }
data:
  tls.crt: ${base64(pem('CERTIFICATE', certificate.der))}
  tls.key: ${base64(pem('PRIVATE KEY', certificate.keyDer))}
`;

/** As a first user writes it. */
const SITE = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: rauta
spec:
  controllerName: rauta.io/gateway-controller
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: my-gateway
spec:
  gatewayClassName: rauta
  listeners:
  - name: http
    port: 80
    protocol: HTTP
  - name: https
    port: 443
    protocol: HTTPS
    tls:
      mode: Terminate
      certificateRefs:
      - name: my-cert
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: api-route
spec:
  parentRefs:
  - name: my-gateway
  hostnames:
  - "api.example.com"
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /api/v1
      method: GET
    - headers:
      - name: X-API-Version
        value: "2"
    backendRefs:
    - name: api-service
      port: 8080
      weight: 90
    - name: api-canary
      port: 8080
      weight: 10
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        add:
        - name: X-Request-ID
          value: "{{uuid}}"
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        add:
        - name: X-Served-By
          value: "rauta"
`;

/** By TLS, the certificate checked. */
function askSecurely(host: string): Promise<{ status: number; servedBy: string | undefined }> {
  return new Promise((resolve, reject) => {
    const options = { host, port: 443, path: PATH, servername: HOST, headers: { host: HOST }, agent: false };
    getSecurely({ ...options, ca: pem('CERTIFICATE', issuer.der) }, (answer) => {
      const servedBy = answer.headers['x-served-by'];
      answer.resume().on('end', () => resolve({ status: answer.statusCode ?? 0, servedBy: String(servedBy) }));
    }).on('error', reject);
  });
}

async function apply(text: string): Promise<void> {
  const child = execFile(join(dirname(bin), 'kubectl'), ['apply', '--server-side', '-f', '-'], { cwd: root });
  child.stdin?.end(text);
  const code = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(code, 0);
}

/** Every worker that runs anywhere in this cluster: its threads' rights. */
function rightsOfWorkers(): string[][] {
  const out: string[][] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (!args.includes('/opt/rauta/src/main/main.js') || !args.includes('worker')) continue;
      // It starts itself again, with less.
      if (args.at(-2) !== 'again' && landlockVersion() > 0) out.push(['not confined']);
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const text = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
        out.push(
          [...text.matchAll(/^(Uid|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs):\s*(\w+)/gm)].map(
            (m) => `${m[1]} ${m[2]}`,
          ),
        );
      }
    } catch {
      // Ended meanwhile.
    }
  }
  return out;
}
const NOTHING = [
  'Uid 65532',
  ...['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => `${name} ${'0'.repeat(16)}`),
  'NoNewPrivs 1',
];

let address = '';

test('kubectl apply of deploy/install.yaml: pods on the host, traffic, statuses, Events', async () => {
  await kubectl('apply', '--server-side', '-f', 'deploy/install.yaml');
  await apply(BACKENDS);
  await apply(SITE);
  await kubectl('rollout', 'status', '-n', 'rauta-system', 'daemonset/rauta', '--timeout=90s');
  for (const name of ['api-service', 'api-canary'])
    await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
  await until('the Gateway is Programmed', async () => {
    const { conditions, addresses } = await statusOf('gateway/my-gateway');
    address = addresses?.[0]?.value ?? '';
    return isTrue(conditions, 'Programmed') && address !== '' ? null : JSON.stringify(conditions);
  });
  const nodes = await kubectl(
    'get',
    'nodes',
    '-o',
    'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}',
  );
  assert.equal(address, nodes);
  await until('200', async () => {
    const { status, text } = await ask(address);
    return status === 200 ? null : `${status} ${text}`;
  });
  const { text } = await ask(address);
  assert.match(text, /"pod": "api-(service|canary)-/);
  assert.match(text, /"X-Request-Id": \[\s*"[0-9a-f-]{36}"/);
  assert.deepEqual(await askSecurely(address), { status: 200, servedBy: 'rauta' });
  const { parents } = await statusOf('httproute/api-route');
  assert.ok(isTrue(parents?.[0]?.conditions, 'Accepted') && isTrue(parents?.[0]?.conditions, 'ResolvedRefs'));
  assert.ok(isTrue((await statusOf('gatewayclass/rauta')).conditions, 'Accepted'));
  const described = await kubectl('describe', 'gateway/my-gateway');
  assert.match(described, /Events:[\s\S]*Programmed/);
});

test('the leader makes the keys that replicas share, and each pod reads them from its volume', async () => {
  const inPods = ['-n', 'rauta-system', '-l', 'app.kubernetes.io/name=rauta', '--tail=-1'];
  await until('keys are read', async () => {
    const log = await kubectl('logs', ...inPods);
    return log.includes('keys read after all') ? null : 'a pod has none';
  });
  const data = await kubectl('get', 'secret', 'rauta-keys', '-n', 'rauta-system', '-o', 'jsonpath={.data.keys}');
  const lines = Buffer.from(data, 'base64').toString().trim().split('\n');
  assert.equal(lines.length, 2);
  const log = await kubectl('logs', ...inPods);
  for (const line of lines) assert.ok(!log.includes(line));
});

test('its workers may nothing, in any thread', async () => {
  await until('no worker is being started', async () => {
    const wrong = rightsOfWorkers().filter((rights) => rights.join() !== NOTHING.join());
    return wrong.length === 0 ? null : JSON.stringify(wrong[0]);
  });
  assert.ok(rightsOfWorkers().length > 2);
});

test(`DaemonSet: ${ROLLOVERS} rollovers or more by takeover, no request failed`, async (t) => {
  load = new Load(() => [address]);
  let rollovers = 0;
  for (; rollovers < ROLLOVERS || load.count < REQUESTS; rollovers++) {
    await kubectl('rollout', 'restart', '-n', 'rauta-system', 'daemonset/rauta');
    await kubectl('rollout', 'status', '-n', 'rauta-system', 'daemonset/rauta', '--timeout=120s');
  }
  await until('one pod is left', async () => {
    const names = (await kubectl('get', 'pods', '-n', 'rauta-system', '-o', 'name')).trim().split('\n');
    return names.length === 1 ? null : names.join(' ');
  });
  t.diagnostic(`${rollovers} rollovers, ${await allAnswered()} requests`);
  const log = await kubectl('logs', '-n', 'rauta-system', '-l', 'app.kubernetes.io/name=rauta', '--tail=-1');
  assert.match(log, /"listening socket taken over"/);
  assert.doesNotMatch(log, /"message":"listening"/);
  // None was started again: whoever handed over waited to be told to end.
  const restarts = await kubectl(
    ...['get', 'pods', '-n', 'rauta-system', '-o', 'jsonpath={.items[*].status.containerStatuses[*].restartCount}'],
  );
  assert.equal(restarts, '0');
});

test('a Gateway that is deleted takes its socket and its entries along', async () => {
  await kubectl('delete', 'gateway/my-gateway');
  await until('nobody listens', async () => {
    const { status, text } = await ask(address);
    return /ECONNREFUSED/.test(text) ? null : `${status} ${text}`;
  });
  await until('the route has no parent', async () => {
    const { parents = [] } = await statusOf('httproute/api-route');
    return parents.length === 0 ? null : JSON.stringify(parents);
  });
});

test('kubectl apply of deploy/install-deployment.yaml in a restricted namespace: traffic by pods that may nothing', async () => {
  await kubectl('delete', '-n', 'rauta-system', 'daemonset/rauta', '--wait=true');
  await until(
    'its pods are gone',
    async () => (await kubectl('get', 'pods', '-n', 'rauta-system', '-o', 'name')) || null,
  );
  const said = await kubectl('apply', '--server-side', '-f', 'deploy/install-deployment.yaml');
  assert.doesNotMatch(said, /would violate/);
  await apply(SITE);
  await kubectl('rollout', 'status', '-n', 'rauta-system', 'deployment/rauta', '--timeout=90s');
  // What a cluster's load balancer would say.
  await kubectl(
    ...['patch', '-n', 'rauta-system', 'service/rauta', '--subresource=status', '--type=merge'],
    ...['-p', '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.10"}]}}}'],
  );
  await until('the Gateway has the address of the Service', async () => {
    const { conditions, addresses } = await statusOf('gateway/my-gateway');
    return isTrue(conditions, 'Programmed') && addresses?.[0]?.value === '192.0.2.10'
      ? null
      : JSON.stringify(conditions);
  });
  await until('no worker is being started', async () => {
    const wrong = rightsOfWorkers().filter((rights) => rights.join() !== NOTHING.join());
    return wrong.length === 0 ? null : JSON.stringify(wrong[0]);
  });
});

/** Pods of the Service that were ready LATE_MS ago. */
async function readyPods(): Promise<string[]> {
  const text = await kubectl(
    ...['get', 'endpointslices', '-n', 'rauta-system', '-l', 'kubernetes.io/service-name=rauta', '-o', 'json'],
  );
  const { items } = JSON.parse(text) as {
    items: { endpoints: { addresses: string[]; conditions: { ready: boolean } }[] }[];
  };
  return items.flatMap(({ endpoints }) => endpoints.filter((e) => e.conditions.ready).flatMap((e) => e.addresses));
}

test(`Deployment: ${ROLLOVERS} rollovers or more, the load a second behind the EndpointSlices, no request failed`, async (t) => {
  let hosts = await readyPods();
  assert.equal(hosts.length, 2);
  let watching = true;
  const follow = async (): Promise<void> => {
    while (watching) {
      const now = await readyPods();
      setTimeout(() => {
        if (now.length > 0) hosts = now;
      }, LATE_MS);
      await pause(250);
    }
  };
  const following = follow();
  load = new Load(() => hosts);
  let rollovers = 0;
  for (; rollovers < ROLLOVERS || load.count < REQUESTS; rollovers++) {
    await kubectl('rollout', 'restart', '-n', 'rauta-system', 'deployment/rauta');
    await kubectl('rollout', 'status', '-n', 'rauta-system', 'deployment/rauta', '--timeout=120s');
  }
  await until('two pods are left', async () => {
    const names = (await kubectl('get', 'pods', '-n', 'rauta-system', '-o', 'name')).trim().split('\n');
    return names.length === 2 ? null : names.join(' ');
  });
  watching = false;
  await following;
  t.diagnostic(`${rollovers} rollovers, ${await allAnswered()} requests`);
});
