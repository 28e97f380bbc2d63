// The whole program with exactly the rights of deploy/base/rbac.yaml: it works, and it needs every one of them.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { FakeApi, Seen } from '../kubernetes/fake-api.ts';
import { rolesOf } from '../kubernetes/rules.ts';
import { kubeconfig, when } from '../kubernetes/site.ts';
import { clusterSite } from './cluster-site.ts';
import { freePort, get, Rauta, until } from './support.ts';

/** One right each: `verb group/resource NAME` and where it holds (the Role's namespace, or everywhere). */
interface Right {
  readonly text: string;
  readonly namespace: string | null;
  used: boolean;
}

function rights(): Right[] {
  const out: Right[] = [];
  for (const { kind, namespace, rules } of rolesOf())
    for (const rule of rules)
      for (const group of rule.apiGroups)
        for (const resource of rule.resources)
          for (const verb of rule.verbs)
            for (const name of rule.resourceNames ?? ['*'])
              out.push({
                text: `${verb} ${group}/${resource} ${name}`,
                namespace: kind === 'Role' ? namespace : null,
                used: false,
              });
  return out;
}

const VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** As the API server's authorizer takes a request apart; null: discovery, which everybody may. */
function asked({
  method,
  path,
  query,
  watch,
}: Seen): { verb: string; resource: string; name: string; namespace: string | null } | null {
  const found =
    /^\/(?:api\/v1|apis\/([^/]+)\/[^/]+)\/(?:namespaces\/([^/]+)\/)?([^/]+)(?:\/([^/]+))?(?:\/(status))?$/.exec(path);
  if (found === null) return null;
  const [, group = '', namespace, resource, name, sub] = found;
  const selected = /^metadata\.name=(.+)$/.exec(query.get('fieldSelector') ?? '')?.[1];
  const verb = method !== 'GET' ? (VERBS[method] ?? method) : watch ? 'watch' : name === undefined ? 'list' : 'get';
  return {
    verb,
    resource: `${group}/${resource}${sub === undefined ? '' : `/${sub}`}`,
    name: name ?? selected ?? '',
    namespace: namespace ?? null,
  };
}

function madeFor(uid: string): Record<string, string> {
  return {
    'rauta.io/controller-name': 'rauta.io/gateway-controller',
    'rauta.io/gateway': 'gw',
    'rauta.io/gateway-uid': uid,
  };
}

interface World {
  readonly api: FakeApi;
  readonly port: number;
  /** The program, with everything that needs a right turned on. */
  readonly start: () => Rauta;
  /** What needs the rights that the site alone does not. */
  readonly more: () => Promise<void>;
}

/** A server that does not stream, so that lists are needed. */
async function world(t: TestContext): Promise<World> {
  const { api, url, port } = await clusterSite(t);
  api.put('Secret', { metadata: { name: 'cert', namespace: 'web' }, type: 'kubernetes.io/tls', data: {} });
  api.put('Secret', { metadata: { name: 'rauta-keys', namespace: 'rauta-system' } });
  api.put('Pod', {
    metadata: { name: 'rauta-1', namespace: 'rauta-system', labels: { app: 'rauta' } },
    spec: { nodeName: 'node-a' },
    status: { podIPs: [{ ip: 'fd00::1' }], conditions: [{ type: 'Ready', status: 'True' }] },
  });
  api.put('Node', { metadata: { name: 'node-a', labels: { 'topology.kubernetes.io/zone': 'a' } } });
  // Made when it also listened on IPv4, and when there was another port: they go.
  for (const [kind, name] of [
    ['EndpointSlice', 'gw-rauta-ipv4'],
    ['Service', 'gw-other'],
  ] as const)
    api.put(kind, {
      metadata: { name, namespace: 'web', annotations: madeFor(api.get('Gateway', 'web', 'gw')?.metadata.uid ?? '') },
      ...(kind === 'Service' ? { spec: { ports: [{ port: 80 }] } } : { addressType: 'IPv4', endpoints: [] }),
    });
  api.streams = false;
  const args = ['--kubernetes', '--kubeconfig', kubeconfig(t, url), '--lease', 'rauta-system/rauta'];
  args.push('--keys-secret', 'rauta-system/rauta-keys');
  const env = { POD_NAMESPACE: 'rauta-system', POD_NAME: 'rauta-1', NODE_NAME: 'node-a' };
  const start = (): Rauta => {
    const rauta = Rauta.spawn({}, [...args, '--gateway-service', 'ClusterIP', '--listen', '127.0.0.1,::'], env);
    t.after(() => rauta.stop());
    return rauta;
  };
  const more = async (): Promise<void> => addMore(api, await freePort());
  return { api, port, start, more };
}

function addMore(api: FakeApi, port: number): void {
  api.put('IngressClass', { metadata: { name: 'rauta' }, spec: { controller: 'rauta.io/ingress-controller' } });
  api.put('Ingress', {
    metadata: { name: 'i', namespace: 'web' },
    spec: { ingressClassName: 'rauta', defaultBackend: { service: { name: 'app', port: { number: 80 } } } },
  });
  // Its Gateway lets none attach: that is said, too.
  api.put('ListenerSet', {
    metadata: { name: 'more', namespace: 'web' },
    spec: { parentRef: { name: 'gw' }, listeners: [{ name: 'web', port, protocol: 'HTTP' }] },
  });
  api.put('GRPCRoute', {
    metadata: { name: 'calls', namespace: 'web' },
    spec: { parentRefs: [{ name: 'gw' }], rules: [{ backendRefs: [{ name: 'app', port: 80 }] }] },
  });
  // No listener is theirs: they are told so.
  for (const kind of ['TCPRoute', 'TLSRoute', 'UDPRoute']) {
    api.put(kind, {
      metadata: { name: 'bytes', namespace: 'web' },
      spec: {
        parentRefs: [{ name: 'gw' }],
        ...(kind === 'TLSRoute' ? { hostnames: ['a.example'] } : {}),
        rules: [{ backendRefs: [{ name: 'app', port: 80 }] }],
      },
    });
  }
  api.put('ConfigMap', { metadata: { name: 'ca', namespace: 'web' }, data: {} });
  api.put('XBackendTrafficPolicy', {
    metadata: { name: 'app', namespace: 'web' },
    spec: { targetRefs: [{ group: '', kind: 'Service', name: 'app' }], retryConstraint: {} },
  });
  api.put('BackendTLSPolicy', {
    metadata: { name: 'app', namespace: 'web' },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: 'app' }],
      validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }], hostname: 'app.example' },
    },
  });
  api.put('Gateway', {
    metadata: { name: 'secure', namespace: 'web' },
    spec: {
      gatewayClassName: 'rauta',
      listeners: [{ name: 'https', port, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'cert' }] } }],
    },
  });
}

// What no object asks for would be waited for.
test('the rights of deploy/base/rbac.yaml are enough, and none is idle', { timeout: 240_000 }, async (t) => {
  const { api, port, start, more } = await world(t);
  const all = rights();
  const refused: string[] = [];
  const conflicts = new Set<string>();
  api.fault = (seen) => {
    const wanted = asked(seen);
    if (wanted === null) return null;
    // To apply what is not there is to create it, too.
    const kind = { '/services': 'Service', 'discovery.k8s.io/endpointslices': 'EndpointSlice' }[wanted.resource];
    const applies = seen.headers['content-type'] === 'application/apply-patch+yaml' && kind !== undefined;
    const creates = applies && api.get(kind, wanted.namespace ?? '', wanted.name) === undefined;
    for (const needed of creates ? ['patch', 'create'] : [wanted.verb]) {
      const granted = all.filter(({ text, namespace }) => {
        const [verb, resource, name] = text.split(' ');
        if (verb !== needed || resource !== wanted.resource) return false;
        return (name === '*' || name === wanted.name) && (namespace === null || namespace === wanted.namespace);
      });
      for (const right of granted) right.used = true;
      if (granted.length > 0) continue;
      refused.push(`${needed} ${wanted.resource} ${wanted.namespace} ${wanted.name}`);
      return { status: 403, reason: 'Forbidden' };
    }
    // Of each kind one write meets another's.
    if (wanted.verb !== 'patch' || conflicts.has(wanted.resource)) return null;
    conflicts.add(wanted.resource);
    return { status: 409, reason: 'Conflict' };
  };
  await start().said('serving');
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 200,
  );
  const idle = (): string[] => all.filter((right) => !right.used).map((right) => right.text);
  const route = api.get('HTTPRoute', 'web', 'r');
  assert.ok(route);
  await more();
  await when(api, () => idle().every((text) => !text.includes('status') && !text.startsWith('get ')));
  await when(api, () => idle().length === 0);
  assert.deepEqual(refused, []);
});

const KINDS: Readonly<Record<string, string>> = {
  gatewayclasses: 'GatewayClass',
  gateways: 'Gateway',
  listenersets: 'ListenerSet',
  httproutes: 'HTTPRoute',
  grpcroutes: 'GRPCRoute',
  tcproutes: 'TCPRoute',
  tlsroutes: 'TLSRoute',
  udproutes: 'UDPRoute',
  referencegrants: 'ReferenceGrant',
  backendtlspolicies: 'BackendTLSPolicy',
  xbackendtrafficpolicies: 'XBackendTrafficPolicy',
  accesscontrolfilters: 'AccessControlFilter',
  staticresponsefilters: 'StaticResponseFilter',
  gatewayclassparameters: 'GatewayClassParameters',
  gatewayparameters: 'GatewayParameters',
  ingresses: 'Ingress',
  ingressclasses: 'IngressClass',
  namespaces: 'Namespace',
  services: 'Service',
  endpointslices: 'EndpointSlice',
  secrets: 'Secret',
  configmaps: 'ConfigMap',
  pods: 'Pod',
};
/** Asked for on the way, and done without: counted with everything else that is refused. */
const COUNTED = ['nodes', 'events', 'customresourcedefinitions'];
/** Rights that are taken away together: each is missed for itself. */
const TAKEN = [
  /^list (?!.*(secrets|configmaps|pods))/,
  /^watch (?!.*(secrets|configmaps|pods))/,
  /^list .*(secrets|configmaps|pods)/,
  /^watch .*(secrets|configmaps|pods)/,
  /^get .*leases/,
  /^create .*leases/,
  /^update .*leases/,
  /^patch /,
  /^get (?!.*leases)/,
  /^(create (?!.*leases)|delete )/,
];

interface Said {
  readonly kinds: readonly { readonly kind: string; readonly reason: string | null }[];
  readonly leader: { readonly reason: string | null };
  /** Labels of what was refused. */
  readonly counted: readonly string[];
  readonly log: Rauta['log'];
}

async function saidBy(rauta: Rauta): Promise<Said> {
  const page = JSON.parse((await rauta.ask('/kubernetes')).body) as Pick<Said, 'kinds' | 'leader'>;
  const lines = /^rauta_kubernetes_requests_total\{(.*code="403".*)\} \d+$/gm;
  const counted = [...(await rauta.ask('/metrics')).body.matchAll(lines)].map(([, text]) => text as string);
  return { ...page, counted, log: rauta.log };
}

/** Whether it is said that the program may not do this. */
function isSaid(right: string, { kinds, leader, counted, log }: Said): boolean {
  const [verb, resource] = right.split(' ') as [string, string];
  const [name, sub] = resource.split('/').slice(1) as [string, string | undefined];
  const kind = KINDS[name];
  if (name === 'leases')
    return (
      leader.reason?.startsWith('Forbidden') === true &&
      log.some(({ message }) => message.startsWith('the lease cannot be had: Forbidden: '))
    );
  if (COUNTED.includes(name) || (verb === 'get' && !['services', 'endpointslices', 'pods'].includes(name)))
    return counted.some(
      (text) => text.includes(`verb="${verb}"`) && (kind === undefined || text.includes(`"${kind}"`)),
    );
  if (verb === 'list' || verb === 'watch' || name === 'pods')
    return (
      kinds.some((k) => k.kind === kind && k.reason?.startsWith('Forbidden')) &&
      log.some(({ message }) => kind !== undefined && message.includes(kind) && message.includes(': Forbidden: '))
    );
  return log.some(({ message, object }) => {
    if (!message.includes('cannot be written: Forbidden')) return false;
    return sub === 'status' ? String(object).startsWith(`${kind}/`) : message.startsWith(`${kind} `);
  });
}

test('of each right that is taken away the program says so, and goes on with what it may', async (t) => {
  const unsaid = new Set(rights().map(({ text }) => text.slice(0, text.lastIndexOf(' '))));
  for (const taken of TAKEN) {
    const { api, port, start, more } = await world(t);
    const refused = new Set<string>();
    const conflicts = new Set<string>();
    api.fault = (seen) => {
      const wanted = asked(seen);
      if (wanted === null) return null;
      const kind = KINDS[wanted.resource.split('/')[1] as string] ?? '';
      const applies = seen.headers['content-type'] === 'application/apply-patch+yaml';
      const creates = applies && api.get(kind, wanted.namespace ?? '', wanted.name) === undefined;
      for (const verb of creates ? ['patch', 'create'] : [wanted.verb]) {
        const right = `${verb} ${wanted.resource}`;
        if (!taken.test(right)) continue;
        refused.add(right);
        return { status: 403, reason: 'Forbidden' };
      }
      if (wanted.verb !== 'patch' || conflicts.has(wanted.resource)) return null;
      conflicts.add(wanted.resource);
      return { status: 409, reason: 'Conflict' };
    };
    const rauta = start();
    rauta.admin = (await rauta.said('admin server'))['port'] as number;
    await more();
    const wanted = [...unsaid].filter((right) => taken.test(right));
    await until(
      async () => {
        const said = await saidBy(rauta);
        for (const right of wanted) if (refused.has(right) && isSaid(right, said)) unsaid.delete(right);
        const left = wanted
          .filter((right) => unsaid.has(right))
          .map((r) => `${r}${refused.has(r) ? '' : ' (not asked)'}`);
        return { status: left.length, body: left.join(), headers: {} };
      },
      ({ status }) => status === 0,
    );
    // What is not read at all leaves nothing to serve; nothing else stops traffic.
    if (taken.test('list /services')) {
      assert.match((await rauta.ask('/readyz')).body, /^waiting for GatewayClass: Forbidden/);
    } else {
      const none = { status: 0, body: '', headers: {} };
      await until(
        () => get(port, '/one').catch(() => none),
        ({ status }) => status === 200 || status === 500,
      );
    }
    await rauta.stop();
  }
  assert.deepEqual([...unsaid], []);
});
