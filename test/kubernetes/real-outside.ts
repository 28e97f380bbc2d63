// In a real cluster (real-cluster.sh), as a person with kubectl: XBackends of the experimental channel (what the API
// server takes of them, traffic, statuses, what describe says of wrong ones), and Ingresses that ask who may come in.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { apply, described, KUBECTL, kubectl, named, Program, until } from './person.ts';

const GROUP = 'gateway.networking.x-k8s.io';
const PORT = 8180;
const certificates = authority('Outside');
const server = leaf(certificates, ['outside.example']);
const client = leaf(certificates, [], { client: true, commonName: 'gateway' });
const folder = mkdtempSync(join(tmpdir(), 'rauta-outside-'));

/** Documents as kubectl reads them: JSON is YAML. */
const yaml = (...objects: readonly object[]): string => objects.map((one) => `---\n${JSON.stringify(one)}\n`).join('');
const meta = (namespace: string, name: string, more: object = {}): object => ({ namespace, name, ...more });
const external = (name: string, hostname: string, port: number, more: object = {}): object => ({
  apiVersion: `${GROUP}/v1alpha1`,
  kind: 'XBackend',
  metadata: meta('edge', name),
  spec: { type: 'ExternalHostname', externalHostname: { hostname }, port: { port }, tls: { mode: 'None' }, ...more },
});
const secret = (namespace: string, name: string, { der, keyDer }: Leaf): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kubernetes.io/tls',
  metadata: meta(namespace, name),
  stringData: { 'tls.crt': pem('CERTIFICATE', der), 'tls.key': pem('PRIVATE KEY', keyDer) },
});
const grant = (namespace: string, from: object, to: object): object => ({
  apiVersion: 'gateway.networking.k8s.io/v1beta1',
  kind: 'ReferenceGrant',
  metadata: meta(namespace, 'edge'),
  spec: { from: [{ namespace: 'edge', ...from }], to: [to] },
});

/** A Deployment of one pod (site-pod.ts) and its Service. */
function site(namespace: string, name: string, ports: readonly object[]): object[] {
  const env = {
    CERT: pem('CERTIFICATE', server.der),
    KEY: pem('PRIVATE KEY', server.keyDer),
    CA: pem('CERTIFICATE', certificates.der),
  };
  const container = {
    name: 'site',
    image: 'test/site:1',
    env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
    readinessProbe: { tcpSocket: { port: 4180 }, periodSeconds: 1 },
  };
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: meta(namespace, name),
      spec: { selector: { matchLabels: labels }, template },
    },
    { apiVersion: 'v1', kind: 'Service', metadata: meta(namespace, name), spec: { selector: labels, ports } },
  ];
}

/** Each path of the Gateway goes to the XBackend of its name. */
const route = (...names: readonly string[]): object => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: meta('edge', 'outside'),
  spec: {
    parentRefs: [{ name: 'gw' }],
    rules: names.map((name) => ({
      matches: [{ path: { value: `/${name}` } }],
      backendRefs: [{ group: GROUP, kind: 'XBackend', name }],
    })),
  },
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}
function ask(port: number, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, headers, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
      answer.on('error', reject);
    });
    asked.on('error', reject).end();
  });
}
/** Until it is answered with that status. */
async function answered(status: number, ...asked: Parameters<typeof ask>): Promise<Answer> {
  let answer: Answer | undefined;
  await until(`${asked[1]} answered ${status}`, async () => {
    answer = await ask(...asked);
    return answer.status === status ? null : `${answer.status} ${answer.text}`;
  });
  return answer as Answer;
}
const told = ({ text }: Answer): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

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

before(async () => {
  apply(['edge', 'keys', 'sso'].map((name) => named('Namespace', name)).join('') + documentedRules());
  apply(
    yaml(
      ...site('edge', 'site', [{ name: 'http', port: 80, targetPort: 8080 }]),
      ...site('sso', 'oauth2-proxy', [{ port: 4180 }]),
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
    ),
  );
  for (const [namespace, name] of [['edge', 'site'] as const, ['sso', 'oauth2-proxy'] as const])
    kubectl(['rollout', 'status', '-n', namespace, `deployment/${name}`, '--timeout=60s']);
  const ip = kubectl(['get', 'pods', '-n', 'edge', '-o', 'jsonpath={.items[0].status.podIP}']);
  // The host outside; nobody else has names here.
  const hosts = join(folder, 'hosts');
  writeFileSync(hosts, `127.0.0.1 localhost\n${ip} outside.example\n127.0.0.1 sly.example\n`);
  execFileSync('mount', ['--bind', hosts, '/etc/hosts']);
  main = new Program('rauta', 9095, ['--listen', '127.0.0.1', '--backends', 'on']);
  await main.ready();
});
let main: Program;
after(() => rmSync(folder, { recursive: true, force: true }));

test('requests go to a host outside: in the clear, by HTTP/2 over TLS, and to one that wants to know who asks', async () => {
  const security = { mode: 'ServerOnly', validation };
  const mutual = { mode: 'ClientAndServer', validation, clientCertificateRef: { name: 'client', namespace: 'keys' } };
  apply(
    yaml(
      external('clear', 'outside.example', 8080),
      external('secured', 'outside.example', 8443, { protocol: 'HTTP2', tls: security }),
      external('mutual', 'outside.example', 8443, { tls: mutual }),
      route('clear', 'secured', 'mutual'),
    ),
  );
  const { httpVersion, url, client: nobody } = told(await answered(200, PORT, '/clear?a=1'));
  assert.deepEqual([httpVersion, url, nobody], ['1.1', '/clear?a=1', null]);
  const secured = told(await answered(200, PORT, '/secured'));
  assert.deepEqual([secured['httpVersion'], secured['servername'], secured['client']], ['2.0', 'outside.example', '']);
  for (const name of ['clear', 'secured'])
    await isSaid('xbackend', name, 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');
  await isSaid('httproute', 'outside', 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');

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

test('a wrong XBackend: describe says what is wrong; its neighbours are served', async () => {
  const lost = { mode: 'ServerOnly', validation: { ...validation, caCertificateRefs: [authorities('lost')] } };
  const wrong: Readonly<Record<string, readonly [object, number, ...RegExp[]]>> = {
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
      external('lost', 'outside.example', 8443, { tls: lost }),
      500,
      /Reason:\s+NoValidCACertificate/,
      /ConfigMap edge\/lost does not exist/,
    ],
    other: [
      external('other', 'outside.example', 8443, {
        tls: { mode: 'ServerOnly', validation: { ...validation, hostname: 'other.example' } },
      }),
      502,
      /Reason:\s+Accepted/,
    ],
    unknown: [
      external('unknown', 'unknown.example', 80),
      503,
      /Warning\s+NotResolved.*unknown\.example cannot be resolved/,
    ],
  };
  apply(yaml(...Object.values(wrong).map(([object]) => object), route('clear', ...Object.keys(wrong))));
  for (const [name, [, status]] of Object.entries(wrong)) await answered(status, PORT, `/${name}`);
  assert.equal((await ask(PORT, '/clear')).status, 200);
  for (const [name, [, , ...patterns]] of Object.entries(wrong))
    await described(['xbackend', '-n', 'edge', name], ...patterns);
  await described(
    ['httproute', '-n', 'edge', 'outside'],
    /Reason:\s+UnsupportedProtocol/,
    /XBackend edge\/address is not accepted: 10\.244\.0\.1 is an address/,
    /Warning\s+NotResolved.*XBackend edge\/unknown: unknown\.example cannot be resolved/,
  );
  // The API server itself says the rest.
  const { stderr } = spawnSync(KUBECTL, ['apply', '-f', '-'], {
    input: yaml(external('inside', 'site.edge.svc.cluster.local', 80)),
  });
  assert.match(stderr.toString(), /must not be an IP address or end with \.cluster\.local/);
});

test('an XBackend that goes takes its traffic along, and one that no route sends to has nothing said of it', async () => {
  apply(yaml(external('going', 'outside.example', 8080), route('clear', 'going')));
  await answered(200, PORT, '/going');
  // Those of the route before are nobody's now.
  for (const name of ['sly', 'secured']) await isSaid('xbackend', name, '');
  kubectl(['delete', 'xbackend', '-n', 'edge', 'going']);
  await answered(500, PORT, '/going');
  await isSaid('httproute', 'outside', 'Accepted=True Accepted, ResolvedRefs=False BackendNotFound');
  await described(['httproute', '-n', 'edge', 'outside'], /XBackend edge\/going does not exist/);
  assert.equal((await ask(PORT, '/clear')).status, 200);
  await isSaid('xbackend', 'clear', 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');
});

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
const come = (
  status: number,
  name: string,
  headers: Readonly<Record<string, string>> = {},
  path = '/',
): Promise<Answer> => answered(status, 80, path, { host: `${name}.example`, ...headers });

test('auth-url asks a Service: who it knows comes in, others get its answer or are sent to sign in', async () => {
  apply(
    yaml(
      ingress('open', {}),
      ingress('asks', ASKS),
      ingress('signs-in', {
        ...ASKS,
        [`${AUTH}signin`]: 'https://sso.example/oauth2/start?rd=$scheme://$host$request_uri',
      }),
    ),
  );
  await come(200, 'open');
  // The Service is of another namespace, which has to grant it.
  await come(500, 'asks', { cookie: 'session=alice' });
  await described(
    ['ingress', '-n', 'edge', 'asks'],
    /Warning\s+NotAsWritten.*auth-url.*No ReferenceGrant in namespace sso lets Ingresses of edge refer to Service oauth2-proxy/,
  );
  const from = { group: 'networking.k8s.io', kind: 'Ingress' };
  apply(yaml(grant('sso', from, { group: '', kind: 'Service', name: 'oauth2-proxy' })));

  const mine = { cookie: 'session=alice', 'x-auth-request-user': 'mallory' };
  const alice = await come(200, 'asks', mine, '/a?b=1');
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
  assert.equal(told(await come(200, 'signs-in', mine))['url'], '/');
});

test('auth-url of a host outside, or one that is no URL: nobody comes in, and describe says what to write', async () => {
  const wrong: Readonly<Record<string, string>> = {
    outside: 'https://auth.example.com/verify',
    variable: 'https://$host/oauth2/auth',
    address: 'http://10.244.0.1:4180/auth',
    words: 'oauth2-proxy.sso:4180',
  };
  apply(yaml(...Object.entries(wrong).map(([name, url]) => ingress(name, { ...ASKS, [`${AUTH}url`]: url }))));
  for (const name of Object.keys(wrong)) await come(500, name, { cookie: 'session=alice' });
  for (const name of Object.keys(wrong))
    await described(
      ['ingress', '-n', 'edge', name],
      /Warning\s+NotAsWritten.*auth-url.*like http:\/\/oauth2-proxy\.NAMESPACE\.svc\.cluster\.local:4180\/oauth2\/auth.*The Ingress answers 500 while it is there/,
    );
  await come(200, 'asks', { cookie: 'session=alice' });
});

test('the server of logins gone: nobody comes in, and describe of the Ingress says of whom nothing is left', async () => {
  kubectl(['scale', '-n', 'sso', 'deployment/oauth2-proxy', '--replicas=0']);
  const { text } = await come(403, 'asks', { cookie: 'session=alice' });
  assert.equal(text, 'authorization failed\n');
  await come(200, 'open');
  await described(
    ['ingress', '-n', 'edge', 'asks'],
    /Warning\s+NoEndpoints.*Service sso\/oauth2-proxy: Port 4180 has no endpoint/,
  );
  kubectl(['delete', 'service', '-n', 'sso', 'oauth2-proxy']);
  await come(500, 'asks', { cookie: 'session=alice' });
  await described(
    ['ingress', '-n', 'edge', 'asks'],
    /Warning\s+NotAsWritten.*auth-url.*Service sso\/oauth2-proxy does not exist/,
  );
  apply(yaml(...site('sso', 'oauth2-proxy', [{ port: 4180 }]).slice(1)));
  kubectl(['scale', '-n', 'sso', 'deployment/oauth2-proxy', '--replicas=1']);
  await come(200, 'asks', { cookie: 'session=alice' });
});
