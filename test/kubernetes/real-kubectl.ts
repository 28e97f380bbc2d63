// In a real cluster (real-cluster.sh), as a person with kubectl: what describe says of five common mistakes; a program
// that may read one namespace alone; a leader that stood still, in the API server's own audit log.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { apply, described, environment, named, Program, until } from './person.ts';
import { narrowRules, type Rule } from './rules.ts';

const route = (namespace: string, name: string, gateway: string, backend: string, more = ''): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  parentRefs: [{ name: ${gateway}, namespace: shop }]
  rules: [{ backendRefs: [{ name: ${backend}, port: 80${more} }] }]
---`;
const gateway = (namespace: string, name: string, port: number, gatewayClass = 'rauta', tls = ''): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  gatewayClassName: ${gatewayClass}
  listeners: [{ name: web, port: ${port}, protocol: ${tls === '' ? 'HTTP' : `HTTPS, ${tls}`} }]
---`;
const service = (namespace: string, name: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { selector: { app: ${name} }, ports: [{ port: 80 }] }
---`;

let main: Program;
before(async () => {
  apply(
    ['shop', 'other', 'team-a', 'team-b'].map((name) => named('Namespace', name)).join('') +
      service('shop', 'app') +
      service('other', 'app') +
      gateway('shop', 'good', 8080),
  );
  main = new Program('rauta', 9091, ['--listen', '127.0.0.1']);
  await main.ready();
});

test('a class that nobody has: describe says that the Gateway waits for a controller, and names the class', async () => {
  apply(gateway('shop', 'typo', 8081, 'ruata'));
  await described(['gateway', '-n', 'shop', 'typo'], /Gateway Class Name:\s+ruata/, /Waiting for controller/);
});

test('a missing grant: describe names the namespace that has to give it', async () => {
  apply(route('shop', 'abroad', 'good', 'app', ', namespace: other'));
  await described(
    ['httproute', '-n', 'shop', 'abroad'],
    /Reason:\s+RefNotPermitted/,
    /No ReferenceGrant in namespace other lets HTTPRoutes of shop refer to Service app/,
    /Warning\s+RefNotPermitted/,
  );
});

test('a Service without endpoints: describe of the route says so', async () => {
  apply(route('shop', 'empty', 'good', 'app'));
  await described(
    ['httproute', '-n', 'shop', 'empty'],
    /Warning\s+NoEndpoints/,
    /Service shop\/app: Port 80 has no endpoint, requests answer 503/,
  );
  await described(['service', '-n', 'shop', 'app'], /Warning\s+NoEndpoints/);
});

test('a route in a namespace that is not allowed: describe says which listener lets whom', async () => {
  apply(route('other', 'stranger', 'good', 'app'));
  await described(
    ['httproute', '-n', 'other', 'stranger'],
    /Reason:\s+NotAllowedByListeners/,
    /Warning\s+NotAllowedByListeners/,
    /namespace/i,
  );
});

test('a certificate whose Secret is missing: describe of the Gateway names it', async () => {
  apply(gateway('shop', 'secure', 8443, 'rauta', 'tls: { certificateRefs: [{ name: absent }] }'));
  await described(
    ['gateway', '-n', 'shop', 'secure'],
    /Reason:\s+InvalidCertificateRef/,
    /Secret shop\/absent/,
    /Warning\s+InvalidCertificateRef/,
  );
});

test('an Ingress: describe says where it is reached, and which annotation is not served', async () => {
  apply(`
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: rauta }
spec: { controller: rauta.io/ingress-controller }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  namespace: shop
  annotations: { nginx.ingress.kubernetes.io/auth-url: 'http://auth.example/' }
spec:
  ingressClassName: rauta
  rules:
    - host: shop.example
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: app, port: { number: 80 } } } }] }
---`);
  await described(
    ['ingress', '-n', 'shop', 'shop'],
    /Address:\s+\d+\.\d+\.\d+\.\d+/,
    /Warning\s+NotAsWritten.*auth-url/,
  );
});

test('with --watch-namespaces, Roles there and no rights elsewhere are enough', async (t) => {
  // It would write there too.
  await main.stop();
  const account = named('ServiceAccount', 'narrow').replace('name: narrow', 'name: narrow, namespace: rauta-system');
  const leases = ({ resourceNames: _, ...rule }: Rule): Rule => rule;
  const rules = (kind: string, place: string, list: readonly Rule[]): string => `
apiVersion: rbac.authorization.k8s.io/v1
kind: ${kind}
metadata: { name: narrow${place} }
rules:
${list.map((rule) => `  - ${JSON.stringify(rule)}`).join('\n')}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ${kind}Binding
metadata: { name: narrow${place} }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ${kind}, name: narrow }
subjects: [{ kind: ServiceAccount, name: narrow, namespace: rauta-system }]
---`;
  const { everywhere, there } = narrowRules('team-a');
  apply(
    account +
      rules('ClusterRole', '', everywhere) +
      // Its lease is one of another name.
      rules(
        'Role',
        ', namespace: team-a',
        there.map((rule) => (rule.resources.includes('leases') ? leases(rule) : rule)),
      ) +
      ['team-a', 'team-b']
        .map((place) => gateway(place, 'gw', 8090) + route(place, 'r', 'gw', 'app').replace('shop', place))
        .join('') +
      service('team-a', 'app'),
  );
  const narrow = new Program('narrow', 9092, [
    ...['--watch-namespaces', 'team-a', '--lease', 'team-a/narrow', '--listen', '127.0.0.4'],
  ]);
  await narrow.ready();
  await until('written by the narrow one', async () => {
    const log = readFileSync(join(environment('RAUTA_CLUSTER_DIR'), 'audit.log'), 'utf8');
    const writes = writesOf(log, 'narrow');
    const kinds = new Set(writes.filter((w) => w.subresource === 'status').map((w) => w.resource));
    return kinds.has('gateways') && kinds.has('httproutes') ? null : JSON.stringify([...kinds]);
  });
  await described(['gateway', '-n', 'team-a', 'gw'], /Reason:\s+Programmed/);
  await described(['httproute', '-n', 'team-a', 'r'], /Reason:\s+Accepted/, /Reason:\s+ResolvedRefs/);
  const page = (await (await fetch(`${narrow.admin}/kubernetes`)).json()) as {
    kinds: { kind: string; reason: string }[];
  };
  t.diagnostic(JSON.stringify(page.kinds.filter((k) => k.reason !== null)));
  assert.deepEqual(
    page.kinds.filter((k) => /Forbidden/.test(k.reason ?? '')),
    [],
  );
  const log = readFileSync(join(environment('RAUTA_CLUSTER_DIR'), 'audit.log'), 'utf8');
  const elsewhere = writesOf(log, 'narrow').filter((w) => w.namespace !== '' && w.namespace !== 'team-a');
  assert.deepEqual(elsewhere, []);
  await narrow.stop();
});

interface Write {
  readonly atMs: number;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
}
/** What the API server took from a service account, by its audit log. */
function writesOf(log: string, account: string): Write[] {
  const user = `system:serviceaccount:rauta-system:${account}`;
  const out: Write[] = [];
  for (const line of log.split('\n')) {
    if (!line.includes(user)) continue;
    const event = JSON.parse(line) as {
      readonly user: { readonly username: string };
      readonly requestReceivedTimestamp: string;
      readonly objectRef?: { readonly resource: string; readonly subresource?: string; readonly namespace?: string };
    };
    const { resource = '', subresource = '', namespace = '' } = event.objectRef ?? {};
    if (event.user.username !== user) continue;
    out.push({ atMs: Date.parse(event.requestReceivedTimestamp), resource, subresource, namespace });
  }
  return out;
}

/** Seconds for which the leader stands still; it loses its lease after 15. */
const STILL_S = Number(process.env['STILL_SECONDS'] ?? 20);

test(`a leader that stood still for ${STILL_S} s: the audit log shows no write of it afterwards`, async (t) => {
  apply(
    `${named('ServiceAccount', 'second').replace('name: second', 'name: second, namespace: rauta-system')}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: second }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: rauta }
subjects: [{ kind: ServiceAccount, name: second, namespace: rauta-system }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: second, namespace: rauta-system }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: rauta }
subjects: [{ kind: ServiceAccount, name: second, namespace: rauta-system }]
`,
  );
  const first = new Program('rauta', 9093, ['--listen', '127.0.0.2']);
  await first.ready();
  await until('the first leads', async () => ((await first.leads()) ? null : 'it does not'));
  const second = new Program('second', 9094, ['--listen', '127.0.0.3']);
  await second.ready();
  const { controller } = first;
  process.kill(controller, 'SIGSTOP');
  const stoppedMs = Date.now();
  // Work for whoever leads, all the time: a route that comes and goes.
  let n = 0;
  const churn = (): void => void apply(route('shop', 'churn', 'good', n++ % 2 === 0 ? 'app' : 'none'));
  while (Date.now() - stoppedMs < STILL_S * 1000 || !(await second.leads())) churn();
  const log = join(environment('RAUTA_CLUSTER_DIR'), 'audit.log');
  await until('written by the second', async () => {
    churn();
    return writesOf(readFileSync(log, 'utf8'), 'second').some((w) => w.subresource === 'status') ? null : 'nothing';
  });
  process.kill(controller, 'SIGCONT');
  for (let i = 0; i < 20; i++) churn();
  await until('the first knows', async () => ((await first.leads()) ? 'it leads' : null));
  for (let i = 0; i < 20; i++) churn();
  const writes = writesOf(readFileSync(log, 'utf8'), 'rauta').filter((w) => w.atMs > stoppedMs);
  t.diagnostic(`${writesOf(readFileSync(log, 'utf8'), 'second').length} writes of the second`);
  // It may ask for the lease, and is refused by its version; of anything else there is none.
  assert.deepEqual(
    writes.filter((w) => w.resource !== 'leases'),
    [],
  );
});
