// In a real cluster (real-cluster.sh), as a person with kubectl: XBackends of the experimental channel, and Ingresses
// that ask who may come in; traffic, statuses, and what describe says of wrong ones.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { apply, described, KUBECTL, kubectl, named, Program, until } from './person.ts';
import { type Answer, answered, ask, deployment, meta, secret, service, told, yaml } from './pods.ts';

const GROUP = 'gateway.networking.x-k8s.io';
const PORT = 8180;
const certificates = authority('Outside');
const server = leaf(certificates, ['outside.example']);
const client = leaf(certificates, [], { client: true, commonName: 'gateway' });
const folder = mkdtempSync(join(tmpdir(), 'rauta-outside-'));

const external = (name: string, hostname: string, port: number, more: object = {}): object => ({
  apiVersion: `${GROUP}/v1alpha1`,
  kind: 'XBackend',
  metadata: meta('edge', name),
  spec: { type: 'ExternalHostname', externalHostname: { hostname }, port: { port }, tls: { mode: 'None' }, ...more },
});
const grant = (namespace: string, from: object, to: object): object => ({
  apiVersion: 'gateway.networking.k8s.io/v1beta1',
  kind: 'ReferenceGrant',
  metadata: meta(namespace, 'edge'),
  spec: { from: [{ namespace: 'edge', ...from }], to: [to] },
});

/** A pod and its Service. */
const site = (namespace: string, name: string, ports: readonly object[]): object[] => [
  deployment(
    namespace,
    name,
    { app: name },
    {
      CERT: pem('CERTIFICATE', server.der),
      KEY: pem('PRIVATE KEY', server.keyDer),
      CA: pem('CERTIFICATE', certificates.der),
    },
  ),
  service(namespace, name, { app: name }, ports),
];

/** Each path of the Gateway goes to the XBackend of its name. */
const route = (called: string, ...names: readonly string[]): object => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: meta('edge', called),
  spec: {
    parentRefs: [{ name: 'gw' }],
    rules: names.map((name) => ({
      matches: [{ path: { value: `/${name}` } }],
      backendRefs: [{ group: GROUP, kind: 'XBackend', name }],
    })),
  },
});

/** `TYPE=STATUS REASON` of each condition that is said of it for the Gateway; '' when nothing is. */
function said(kind: string, name: string): string {
  const { status } = JSON.parse(kubectl(['get', kind, '-n', 'edge', name, '-o', 'json'])) as {
    status?: { parents?: { parentRef: { name: string }; conditions: Record<string, string>[] }[] };
  };
  const parents = status?.parents ?? [];
  assert.ok(parents.every(({ parentRef }) => parentRef.name === 'gw'));
  return parents
    .flatMap(({ conditions }) => conditions)
    .filter(({ type }) => !type?.includes('/'))
    .map(({ type, status: state, reason }) => `${type}=${state} ${reason}`)
    .join(', ');
}
const isSaid = (kind: string, name: string, text: string): Promise<void> =>
  until(`status of ${kind} ${name}`, async () => (said(kind, name) === text ? null : said(kind, name)));

/** What the documentation says that `--backends on` wants beside the installed rights. */
function documentedRules(): string {
  const page = readFileSync(fileURLToPath(new URL('../../docs/operations/kubernetes.md', import.meta.url)), 'utf8');
  const [, rules] = /Either of the two wants more rules in the ClusterRole:\n\n```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  assert.ok(rules);
  return `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: backends }
rules:
${rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: backends }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: backends }
subjects: [{ kind: ServiceAccount, name: rauta, namespace: rauta-system }]
`;
}

const authorities = (name: string): object => ({ group: '', kind: 'ConfigMap', name });
const validation = { hostname: 'outside.example', caCertificateRefs: [authorities('ca')] };

/** Each with the status that its requests are answered by, and what describe says of it. */
const WRONG: Readonly<Record<string, readonly [object, number, ...RegExp[]]>> = {
  sly: [
    external('sly', 'sly.example', 8080),
    503,
    /Reason:\s+Forbidden/,
    /sly\.example is 127\.0\.0\.1, of this machine or its link: only --backends local allows it/,
    /Warning\s+Forbidden/,
  ],
  address: [external('address', '10.244.0.1', 6443), 500, /10\.244\.0\.1 is an address/, /Warning\s+Invalid/],
  tools: [external('tools', 'outside.example', 8080, { protocol: 'MCP' }), 500, /Reason:\s+UnsupportedProtocol/],
  lost: [
    external('lost', 'outside.example', 8443, {
      tls: { mode: 'ServerOnly', validation: { ...validation, caCertificateRefs: [authorities('lost')] } },
    }),
    500,
    /Reason:\s+NoValidCACertificate/,
    /ConfigMap edge\/lost does not exist/,
  ],
  // Whoever is there is not who it should be: of that only requests and the log tell.
  other: [
    external('other', 'outside.example', 8443, {
      tls: { mode: 'ServerOnly', validation: { ...validation, hostname: 'other.example' } },
    }),
    503,
    /Reason:\s+Accepted/,
  ],
  unknown: [
    external('unknown', 'unknown.example', 80),
    503,
    /Warning\s+NotResolved.*unknown\.example cannot be resolved/,
  ],
};

const AUTH = 'nginx.ingress.kubernetes.io/auth-';
const ASKS = {
  [`${AUTH}url`]: 'http://oauth2-proxy.sso.svc.cluster.local:4180/oauth2/auth',
  [`${AUTH}response-headers`]: 'X-Auth-Request-User, X-Auth-Request-Original',
};
const ingress = (name: string, annotations: Readonly<Record<string, string>>): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  metadata: meta('edge', name, { annotations }),
  spec: {
    ingressClassName: 'rauta',
    rules: [
      {
        host: `${name}.example`,
        http: {
          paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'site', port: { name: 'http' } } } }],
        },
      },
    ],
  },
});
const asking = (name: string, url: string): object => ingress(name, { ...ASKS, [`${AUTH}url`]: url });
const FORM =
  /Warning\s+NotAsWritten.*auth-url.*like http:\/\/oauth2-proxy\.NAMESPACE\.svc\.cluster\.local:4180\/oauth2\/auth.*The Ingress answers 500 while it is there/;
/** Each with its auth-url, the status that its requests are answered by, and what describe says of it. */
const REFUSED: Readonly<Record<string, readonly [string, number, RegExp]>> = {
  outside: ['https://auth.example.com/verify', 500, FORM],
  variable: ['https://$host/oauth2/auth', 500, FORM],
  address: ['http://10.244.0.1:4180/auth', 500, FORM],
  words: ['oauth2-proxy.sso:4180', 500, FORM],
  ungranted: [
    'http://other.sso.svc:4180/auth',
    500,
    /NotAsWritten.*auth-url.*No ReferenceGrant in namespace sso lets Ingresses of edge refer to Service other/,
  ],
  missing: ['http://nobody.edge.svc/auth', 500, /NotAsWritten.*auth-url.*Service edge\/nobody does not exist/],
  empty: ['http://empty.edge.svc/auth', 403, /NoEndpoints.*Service edge\/empty: Port 80 has no endpoint/],
};

before(async () => {
  apply(['edge', 'keys', 'sso'].map((name) => named('Namespace', name)).join('') + documentedRules());
  apply(
    yaml(
      ...site('edge', 'site', [{ name: 'http', port: 80, targetPort: 8080 }]),
      ...site('sso', 'oauth2-proxy', [{ port: 4180 }]),
      service('edge', 'empty', { app: 'none' }, [{ port: 80 }]),
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: meta('edge', 'ca'),
        data: { 'ca.crt': pem('CERTIFICATE', certificates.der) },
      },
      secret('keys', 'client', client),
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: meta('edge', 'gw'),
        spec: { gatewayClassName: 'rauta', listeners: [{ name: 'web', port: PORT, protocol: 'HTTP' }] },
      },
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'IngressClass',
        metadata: { name: 'rauta' },
        spec: { controller: 'rauta.io/ingress-controller' },
      },
      grant(
        'sso',
        { group: 'networking.k8s.io', kind: 'Ingress' },
        { group: '', kind: 'Service', name: 'oauth2-proxy' },
      ),
      ...Object.values(WRONG).map(([object]) => object),
      route('wrong', ...Object.keys(WRONG)),
      ...Object.entries(REFUSED).map(([name, [url]]) => asking(name, url)),
    ),
  );
  for (const [namespace, name] of [['edge', 'site'] as const, ['sso', 'oauth2-proxy'] as const])
    kubectl(['rollout', 'status', '-n', namespace, `deployment/${name}`, '--timeout=60s']);
  const ip = kubectl(['get', 'pods', '-n', 'edge', '-o', 'jsonpath={.items[0].status.podIP}']);
  // The host outside; nobody else has names here.
  const hosts = join(folder, 'hosts');
  writeFileSync(hosts, `127.0.0.1 localhost\n${ip} outside.example\n127.0.0.1 sly.example\n`);
  execFileSync('mount', ['--bind', hosts, '/etc/hosts']);
  await new Program('rauta', 9095, ['--listen', '127.0.0.1', '--backends', 'on']).ready();
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('requests go to a host outside: in the clear, by HTTP/2 over TLS, and to one that wants to know who asks', async () => {
  const security = { mode: 'ServerOnly', validation };
  const mutual = { mode: 'ClientAndServer', validation, clientCertificateRef: { name: 'client', namespace: 'keys' } };
  apply(
    yaml(
      external('clear', 'outside.example', 8080),
      external('secured', 'outside.example', 8443, { protocol: 'HTTP2', tls: security }),
      external('mutual', 'outside.example', 8443, { tls: mutual }),
      route('good', 'clear', 'secured', 'mutual'),
    ),
  );
  const { httpVersion, url, client: nobody } = told(await answered(200, PORT, '/clear?a=1'));
  assert.deepEqual([httpVersion, url, nobody], ['1.1', '/clear?a=1', null]);
  const secured = told(await answered(200, PORT, '/secured'));
  assert.deepEqual([secured['httpVersion'], secured['servername'], secured['client']], ['2.0', 'outside.example', '']);
  for (const name of ['clear', 'secured'])
    await isSaid('xbackend', name, 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');
  await isSaid('httproute', 'good', 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');

  // Its Secret is another namespace's, which has not granted it yet.
  assert.equal((await ask(PORT, '/mutual')).status, 500);
  await isSaid('xbackend', 'mutual', 'Accepted=True Accepted, ResolvedRefs=False RefNotPermitted');
  await described(
    ['xbackend', '-n', 'edge', 'mutual'],
    /Reason:\s+RefNotPermitted/,
    /No ReferenceGrant in namespace keys lets XBackends of edge refer to Secret client/,
    /Warning\s+RefNotPermitted/,
  );
  apply(yaml(grant('keys', { group: GROUP, kind: 'XBackend' }, { group: '', kind: 'Secret', name: 'client' })));
  const known = told(await answered(200, PORT, '/mutual'));
  assert.deepEqual([known['httpVersion'], known['client']], ['1.1', 'gateway']);
  await isSaid('xbackend', 'mutual', 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');
});

test('an XBackend that goes takes its traffic along, and one that no route sends to has nothing said of it', async () => {
  apply(yaml(external('going', 'outside.example', 8080), route('good', 'clear', 'going')));
  await answered(200, PORT, '/going');
  // Those of the route before are nobody's now.
  for (const name of ['mutual', 'secured']) await isSaid('xbackend', name, '');
  kubectl(['delete', 'xbackend', '-n', 'edge', 'going']);
  await answered(500, PORT, '/going');
  await isSaid('httproute', 'good', 'Accepted=True Accepted, ResolvedRefs=False BackendNotFound');
  await described(['httproute', '-n', 'edge', 'good'], /XBackend edge\/going does not exist/);
  assert.equal((await ask(PORT, '/clear')).status, 200);
  await isSaid('xbackend', 'clear', 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');
});

test('of wrong XBackends each gets nothing, and nobody else; some the API server does not take at all', async () => {
  for (const [name, [, status]] of Object.entries(WRONG)) await answered(status, PORT, `/${name}`);
  assert.equal((await ask(PORT, '/clear')).status, 200);
  const { stderr } = spawnSync(KUBECTL, ['apply', '-f', '-'], {
    input: yaml(external('inside', 'site.edge.svc.cluster.local', 80)),
  });
  assert.match(stderr.toString(), /must not be an IP address or end with \.cluster\.local/);
});

type Headers = Readonly<Record<string, string>>;
const come = (status: number, name: string, headers: Headers = {}, path = '/'): Promise<Answer> =>
  answered(status, 80, path, { host: `${name}.example`, ...headers });
const ALICE = { cookie: 'session=alice', 'x-auth-request-user': 'mallory' };

test('auth-url asks a Service: who it knows comes in, others get its answer or are sent to sign in', async () => {
  const signin = 'https://sso.example/oauth2/start?rd=$scheme://$host$request_uri';
  apply(yaml(ingress('open', {}), ingress('asks', ASKS), ingress('signs-in', { ...ASKS, [`${AUTH}signin`]: signin })));
  await come(200, 'open');
  const alice = await come(200, 'asks', ALICE, '/a?b=1');
  const { headers } = told(alice) as { headers: Record<string, string> };
  assert.equal(headers['x-auth-request-user'], 'alice');
  assert.equal(headers['x-auth-request-original'], 'GET GET http://asks.example/a?b=1');
  assert.deepEqual(alice.headers['set-cookie'], ['session=renewed']);
  const unknown = await come(401, 'asks');
  assert.deepEqual([unknown.headers['www-authenticate'], unknown.text], ['Session', 'who are you?\n']);
  const banned = await come(403, 'asks', { cookie: 'session=banned' });
  assert.deepEqual([banned.headers['x-why'], banned.text], ['banned', 'not you\n']);
  const away = await come(302, 'signs-in', {}, '/a?b=1');
  assert.equal(away.headers['location'], 'https://sso.example/oauth2/start?rd=http://signs-in.example/a?b=1');
  assert.equal(told(await come(200, 'signs-in', ALICE))['url'], '/');
});

test('an auth-url that cannot be asked lets nobody in', async () => {
  for (const [name, [, status]] of Object.entries(REFUSED)) await come(status, name, ALICE);
});

test('the server of logins gone: nobody comes in until it is back', async () => {
  kubectl(['scale', '-n', 'sso', 'deployment/oauth2-proxy', '--replicas=0']);
  const { text } = await come(403, 'asks', ALICE);
  assert.equal(text, 'authorization failed\n');
  await come(200, 'open');
  kubectl(['scale', '-n', 'sso', 'deployment/oauth2-proxy', '--replicas=1']);
  await come(200, 'asks', ALICE);
});

// What no condition says is told after ten seconds or more: the last test, so that they are over.
test('describe of each says what is wrong, and what to write', async () => {
  for (const [name, [, , ...patterns]] of Object.entries(WRONG))
    await described(['xbackend', '-n', 'edge', name], ...patterns);
  await described(
    ['httproute', '-n', 'edge', 'wrong'],
    /Reason:\s+UnsupportedProtocol/,
    /XBackend edge\/address is not accepted: 10\.244\.0\.1 is an address/,
    /Warning\s+NotResolved.*XBackend edge\/unknown: unknown\.example cannot be resolved/,
  );
  for (const [name, [, , pattern]] of Object.entries(REFUSED))
    await described(['ingress', '-n', 'edge', name], pattern);
});
