// In a real cluster (real-cluster.sh): what users and their other controllers write, as they write it. The printed
// examples of Ingresses (testdata/as-printed), and the objects that cert-manager's HTTP-01 solver, external-dns
// and Argo Rollouts (by its plugin for the Gateway API) write and read, in their order.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { apply, kubectl, named, Program, until } from './person.ts';
import { answered, ask, deployment, meta, secret, service, told, yaml } from './pods.ts';

const printed = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../testdata/as-printed/${name}.yaml`, import.meta.url)), 'utf8');
const issuer = authority('Issuer');
const CA = pem('CERTIFICATE', issuer.der);
const HTTP = 8380;
const HTTPS = 8383;

const gatewayApi = (kind: string, name: string, spec: object, labels: object = {}): object => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind,
  metadata: meta('web', name, { labels }),
  spec,
});
const ingress = (namespace: string, name: string, spec: object, more: object = {}): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  metadata: meta(namespace, name, more),
  spec,
});
const to = (name: string, number: number): object => ({ service: { name, port: { number } } });

interface Status {
  readonly metadata: { readonly generation: number };
  readonly spec: { readonly parentRefs: readonly { readonly name: string }[] };
  readonly status?: {
    readonly addresses?: readonly { readonly value: string }[];
    readonly loadBalancer?: { readonly ingress?: readonly { readonly ip: string }[] };
    readonly parents?: readonly {
      readonly parentRef: { readonly name: string; readonly namespace?: string; readonly kind?: string };
      readonly conditions: readonly { type: string; status: string; observedGeneration: number }[];
    }[];
  };
}
const get = (...what: readonly string[]): Status =>
  JSON.parse(kubectl(['get', '-n', 'web', ...what, '-o', 'json'])) as Status;

before(async () => {
  apply(
    named('Namespace', 'web') +
      yaml(
        deployment('web', 'site', { app: 'site' }),
        deployment('default', 'site', { app: 'site' }),
        service('web', 'app', { app: 'site' }, [{ port: 80, targetPort: 8080 }]),
        ...['my-service', 'user-service'].map((name) =>
          service('default', name, { app: 'site' }, [{ port: 8080, targetPort: 8080 }]),
        ),
        service('default', 'calls', { app: 'site' }, [{ port: 50_051 }]),
        gatewayApi('Gateway', 'gw', {
          gatewayClassName: 'rauta',
          listeners: [
            { name: 'http', port: HTTP, protocol: 'HTTP' },
            {
              name: 'https',
              port: HTTPS,
              protocol: 'HTTPS',
              hostname: 'routed.example',
              tls: { certificateRefs: [{ name: 'routed' }] },
            },
          ],
        }),
      ),
  );
  kubectl(['apply', '--server-side', '--force-conflicts', '-f', 'deploy/base/ingressclass.yaml']);
  for (const namespace of ['web', 'default'])
    kubectl(['rollout', 'status', '-n', namespace, 'deployment/site', '--timeout=60s']);
  await new Program('rauta', 9096, ['--listen', '127.0.0.1']).ready();
});

test('printed Ingresses, which name no class, are served as they stand', async () => {
  apply(printed('ingress-quickstart') + printed('ingress-prefix'));
  const mine = told(await answered(200, 80, '/any/thing', { host: 'myapp.com' }));
  assert.equal(mine['url'], '/any/thing');
  await answered(200, 80, '/users/1', { host: 'api.example.com' });
  assert.equal((await ask(80, '/', { host: 'api.example.com' })).status, 404);
  // Printed elsewhere under the same name.
  apply(printed('ingress-exact'));
  await answered(404, 80, '/users/1', { host: 'api.example.com' });
  assert.equal((await ask(80, '/users', { host: 'api.example.com' })).status, 200);
  // Of the annotation only itself is printed.
  const spec = {
    rules: [
      { host: 'calls.example', http: { paths: [{ path: '/', pathType: 'Prefix', backend: to('calls', 50_051) }] } },
    ],
  };
  apply(yaml(ingress('default', 'calls', spec, { annotations: { 'rauta.io/backend-protocol': 'GRPC' } })));
  assert.equal(told(await answered(200, 80, '/', { host: 'calls.example' }))['httpVersion'], '2.0');
});

const TOKEN = '/.well-known/acme-challenge/jfTh_C4Dr_l-n6UUZUUzYkpU32xSJS-xFpzbWn6oYKw';
const SOLVER = { 'acme.cert-manager.io/http01-solver': 'true' };
/** As its controller makes them for a challenge: a pod, then a Service for it. */
function solverOf(name: string): void {
  const labels = { ...SOLVER, 'acme.cert-manager.io/http-token': name };
  apply(yaml(deployment('web', name, labels)));
  kubectl(
    ['create', '-f', '-'],
    yaml({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...meta('web', name), labels, annotations: { 'auth.istio.io/8089': 'NONE' } },
      spec: {
        type: 'NodePort',
        selector: labels,
        ports: [{ name: 'http', port: 8089, targetPort: 8089, protocol: 'TCP' }],
      },
    }),
  );
}
const unsolve = (name: string, kind: string): void =>
  void kubectl(['delete', '-n', 'web', '--wait=false', `${kind}/${name}`, `service/${name}`, `deployment/${name}`]);

for (const [how, more, own] of [
  ['ingressClassName', {}, { ingressClassName: 'rauta' }],
  ['the annotation of old', { 'kubernetes.io/ingress.class': 'rauta' }, {}],
] as const) {
  test(`cert-manager, HTTP-01 by an Ingress (class by ${how}): challenge, certificate, and gone`, async () => {
    const host = `${how.replace(/ /g, '-').toLowerCase()}.example`;
    const name = `cm-acme-http-solver-${Object.keys(own).length}`;
    const rule = (path: string, pathType: string, backend: object): object => ({
      rules: [{ host, http: { paths: [{ path, pathType, backend }] } }],
    });
    const annotations = { 'cert-manager.io/cluster-issuer': 'letsencrypt', ...more };
    const site = { ...own, ...rule('/', 'Prefix', to('app', 80)), tls: [{ hosts: [host], secretName: name }] };
    apply(yaml(ingress('web', host, site, { annotations })));
    await answered(308, 80, TOKEN, { host });
    solverOf(name);
    const whitelist = { 'nginx.ingress.kubernetes.io/whitelist-source-range': '0.0.0.0/0,::/0' };
    const solver = { ...own, ...rule(TOKEN, 'ImplementationSpecific', to(name, 8089)) };
    kubectl(
      ['create', '-f', '-'],
      yaml(ingress('web', name, solver, { labels: SOLVER, annotations: { ...whitelist, ...more } })),
    );
    // It asks itself first, until the challenge is there: by this machine, without a certificate.
    assert.match(String(told(await answered(200, 80, TOKEN, { host }))['pod']), new RegExp(`^${name}-`));
    assert.equal((await ask(80, '/', { host })).status, 308);
    apply(yaml(secret('web', name, leaf(issuer, [host]))));
    unsolve(name, 'ingress');
    assert.equal(told(await answered(200, HTTPS_OF_INGRESSES, '/', { host }, CA))['url'], '/');
    await answered(308, 80, TOKEN, { host });
  });
}
const HTTPS_OF_INGRESSES = 443;

test('cert-manager, HTTP-01 by an HTTPRoute: challenge, certificate, and gone', async () => {
  const host = { host: 'routed.example' };
  const name = 'cm-acme-http-solver-r';
  const backendRef = { group: '', kind: 'Service', namespace: 'web', weight: 1 };
  const parentRefs = [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: 'web', name: 'gw' }];
  const routed = (path: object, service: string, port: number): object => ({
    parentRefs,
    hostnames: ['routed.example'],
    rules: [{ matches: [{ path }], backendRefs: [{ ...backendRef, name: service, port }] }],
  });
  apply(yaml(gatewayApi('HTTPRoute', 'site', routed({ type: 'PathPrefix', value: '/' }, 'app', 80))));
  await answered(200, HTTP, '/', host);
  solverOf(name);
  kubectl(
    ['create', '-f', '-'],
    yaml(gatewayApi('HTTPRoute', name, routed({ type: 'Exact', value: TOKEN }, name, 8089), SOLVER)),
  );
  await until("the challenge is the solver's", async () => {
    const { pod } = told(await ask(HTTP, TOKEN, host));
    return String(pod).startsWith(`${name}-`) ? null : String(pod);
  });
  apply(yaml(secret('web', 'routed', leaf(issuer, ['routed.example']))));
  unsolve(name, 'httproute');
  await until('by TLS', async () => {
    const { status } = await ask(HTTPS, '/', host, CA);
    return status === 200 ? null : String(status);
  });
  await until("the challenge is the site's", async () => {
    const { pod } = told(await ask(HTTP, TOKEN, host));
    return String(pod).startsWith('site-') ? null : String(pod);
  });
});

/** What external-dns makes of a route: its hostnames, each with the addresses of Gateways that took its generation. */
function recordsOf(route: string): string {
  const { metadata, spec, status } = get('httproute', route);
  const hostnames = (spec as unknown as { hostnames: string[] }).hostnames;
  const parents = (status?.parents ?? []).filter(
    ({ parentRef, conditions }) =>
      (parentRef.kind ?? 'Gateway') === 'Gateway' &&
      spec.parentRefs.some(({ name }) => name === parentRef.name) &&
      conditions.some(
        ({ type, status: state, observedGeneration }) =>
          type === 'Accepted' && state === 'True' && observedGeneration === metadata.generation,
      ),
  );
  const targets = parents.flatMap(({ parentRef }) => get('gateway', parentRef.name).status?.addresses ?? []);
  return hostnames.flatMap((hostname) => targets.map(({ value }) => `${hostname} A ${value}`)).join(', ');
}

test('external-dns finds the addresses of routes and Ingresses, also of a changed one, and none of a refused one', async () => {
  const spec = (...hostnames: readonly string[]): object => ({
    parentRefs: [{ name: 'gw', sectionName: 'http' }],
    hostnames,
    rules: [{ backendRefs: [{ name: 'app', port: 80 }] }],
  });
  const is = (route: string, records: string): Promise<void> =>
    until(`records of ${route}`, async () => (recordsOf(route) === records ? null : recordsOf(route)));
  apply(yaml(gatewayApi('HTTPRoute', 'named', spec('a.example'))));
  await is('named', 'a.example A 127.0.0.1');
  apply(yaml(gatewayApi('HTTPRoute', 'named', spec('a.example', 'b.example'))));
  await is('named', 'a.example A 127.0.0.1, b.example A 127.0.0.1');
  apply(
    yaml(gatewayApi('HTTPRoute', 'named', { ...spec('a.example'), parentRefs: [{ name: 'gw', sectionName: 'none' }] })),
  );
  await is('named', '');
  const { status } = get('ingress', 'ingressclassname.example');
  assert.deepEqual(
    status?.loadBalancer?.ingress?.map(({ ip }) => ip),
    ['127.0.0.1'],
  );
});

test('Argo Rollouts shifts weights, routes by a header, and promotes: no request is lost', async (t) => {
  const HASH = 'rollouts-pod-template-hash';
  const host = { host: 'rollout.example' };
  const pods = (hash: string): object => deployment('web', `rollout-${hash}`, { app: 'rollout', [HASH]: hash });
  const ports = [{ port: 80, targetPort: 8080 }];
  const select = (name: string, hash: string): string =>
    apply(yaml(service('web', name, { app: 'rollout', [HASH]: hash }, ports)));
  const ref = (name: string, weight: number): object => ({ group: '', kind: 'Service', name, port: 80, weight });
  const shift = (weight: number, ...more: readonly object[]): string => {
    const rule = { backendRefs: [ref('stable', 100 - weight), ref('canary', weight)] };
    const spec = { parentRefs: [{ name: 'gw' }], hostnames: ['rollout.example'], rules: [rule, ...more] };
    const labels = weight === 0 ? {} : { 'rollouts.argoproj.io/gatewayapi-canary': 'in-progress' };
    return apply(yaml(gatewayApi('HTTPRoute', 'rollout', spec, labels)));
  };
  apply(yaml(pods('one')));
  for (const name of ['stable', 'canary']) select(name, 'one');
  shift(0);
  kubectl(['rollout', 'status', '-n', 'web', 'deployment/rollout-one', '--timeout=60s']);
  await answered(200, HTTP, '/', host);

  const answers = new Map<string, number>();
  let asking = true;
  const client = async (): Promise<void> => {
    while (asking) {
      const answer = await ask(HTTP, '/', host).catch((error: unknown) => ({ status: String(error), text: '' }));
      const key = answer.status === 200 ? '200' : `${answer.status} ${answer.text}`;
      answers.set(key, (answers.get(key) ?? 0) + 1);
    }
  };
  const clients = [client(), client()];
  /** Of 100 requests, how many new pods answer. */
  const share = async (headers: Readonly<Record<string, string>> = {}): Promise<number> => {
    let count = 0;
    for (let i = 0; i < 100; i++)
      if (String(told(await ask(HTTP, '/', { ...host, ...headers }))['pod']).startsWith('rollout-two-')) count++;
    return count;
  };
  const isShare = (least: number, most: number, headers: Readonly<Record<string, string>> = {}): Promise<void> =>
    until(`between ${least} and ${most} of 100`, async () => {
      const count = await share(headers);
      return count >= least && count <= most ? null : String(count);
    });

  // A new ReplicaSet, which the canary's Service selects once it is there.
  apply(yaml(pods('two')));
  select('canary', 'two');
  kubectl(['rollout', 'status', '-n', 'web', 'deployment/rollout-two', '--timeout=60s']);
  assert.equal(await share(), 0);
  shift(30);
  await isShare(10, 50);
  const headers = [{ name: 'X-Canary', value: 'yes', type: 'Exact' }];
  shift(30, { matches: [{ headers }], backendRefs: [ref('canary', 100)] });
  await isShare(100, 100, { 'x-canary': 'yes' });
  await isShare(10, 50);
  shift(100);
  await isShare(100, 100);
  // Promoted: the stable Service selects the new pods, gets all, and the old ones go.
  select('stable', 'two');
  shift(0);
  await isShare(100, 100);
  kubectl(['delete', '-n', 'web', '--wait=true', 'deployment/rollout-one']);
  await until(
    'the old pods are gone',
    async () => kubectl(['get', 'pods', '-n', 'web', '-l', `${HASH}=one`, '-o', 'name']) || null,
  );
  asking = false;
  await Promise.all(clients);
  const { 200: good = 0, ...bad } = Object.fromEntries(answers) as Record<string, number>;
  t.diagnostic(`${good} requests`);
  assert.deepEqual(bad, {});
  assert.ok(good > 100);
});
