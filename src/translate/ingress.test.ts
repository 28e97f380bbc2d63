import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import type { KubeObject } from '../api/object.ts';
import type { RuleEntry, SocketEntry } from '../ir/ir.ts';
import { Store } from '../store/store.ts';
import type { TranslatorOptions } from './context.ts';
import { Translator } from './translator.ts';

const middle = authority('Middle', authority('Root'));

function secret(name: string, ...names: readonly string[]): KubeObject {
  const own = leaf(middle, names);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'default' },
    type: 'kubernetes.io/tls',
    data: {
      'tls.crt': Buffer.from(pem('CERTIFICATE', own.der) + pem('CERTIFICATE', middle.der)).toString('base64'),
      'tls.key': Buffer.from(pem('PRIVATE KEY', own.keyDer)).toString('base64'),
    },
  };
}

const SERVICE: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'app', namespace: 'default' },
  spec: { ports: [{ name: 'web', port: 80 }] },
};

interface Item {
  readonly tls?: readonly { readonly hosts?: readonly string[]; readonly secretName?: string }[];
  readonly hosts?: readonly string[];
  readonly created?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function ingress(name: string, { tls = [], hosts = [], created, annotations = {} }: Item): KubeObject {
  const backend = { service: { name: 'app', port: { name: 'web' } } };
  const paths = [{ path: '/', pathType: 'Prefix', backend }];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      name,
      namespace: 'default',
      annotations,
      ...(created === undefined ? {} : { creationTimestamp: created }),
    },
    spec: {
      tls,
      ...(hosts.length === 0
        ? { defaultBackend: backend }
        : { rules: hosts.map((host) => ({ host, http: { paths } })) }),
    },
  };
}

class World {
  readonly store = new Store();
  readonly translator: Translator;

  constructor(options: Partial<TranslatorOptions> = {}) {
    this.translator = new Translator({
      controllerName: 'rauta.io/gateway-controller',
      implicitClass: 'rauta',
      defaultAddresses: ['0.0.0.0'],
      portMap: new Map(),
      ...options,
    });
    this.apply(SERVICE);
  }

  apply(...objects: readonly KubeObject[]): void {
    this.translator.update(this.store, { keys: this.store.apply(objects, []) });
  }
  remove(key: string): void {
    this.translator.update(this.store, { keys: this.store.apply([], [key]) });
  }

  #socket(port: number): SocketEntry | undefined {
    return [...this.translator.ir.values()].find((entry) => entry.kind === 'socket' && entry.port === port) as
      | SocketEntry
      | undefined;
  }
  hosts(port: number): string[] {
    return (this.#socket(port)?.hosts ?? []).map(
      ({ hostname, gateway, tls }) => `${hostname} of ${gateway}${tls === null ? '' : `: ${tls.certificates}`}`,
    );
  }
  /** `index action at port host hostname`, of all rules of an Ingress. */
  rules(name: string): string[] {
    const rules = [...this.translator.ir.values()].filter(
      (entry): entry is RuleEntry => entry.kind === 'rule' && entry.route === `default/${name}`,
    );
    return rules.map(({ index, action, attachments }) => {
      const at = attachments.map(({ socket, host, hostnames }) => `${socket.split('/')[2]} ${host} ${hostnames}`);
      const sorted = at.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
      return `${index} ${action.type} at ${sorted.join(', ')}`;
    });
  }
  problems(): string[] {
    const all = [...this.translator.diagnostics].filter(([key]) => !key.startsWith('Service/'));
    return all.flatMap(([key, found]) => found.map((p) => `${key} ${p.severity} ${p.place.field}: ${p.message}`));
  }
}

test('a host of spec.tls is served on 443 with its certificate, and sent there from 80', () => {
  const world = new World();
  world.apply(
    secret('shop', 'a.example'),
    ingress('shop', { tls: [{ hosts: ['a.example'], secretName: 'shop' }], hosts: ['a.example', 'b.example'] }),
  );
  assert.deepEqual(world.hosts(80), ['* of gateway//ingress']);
  assert.deepEqual(world.hosts(443), ['a.example of gateway//ingress: certificate/default/shop']);
  assert.deepEqual(world.rules('shop'), [
    '0 forward at 443 a.example a.example',
    '1 forward at 80 * b.example',
    '2 redirect at 80 * a.example',
  ]);
  assert.deepEqual(world.problems(), []);
});

test('both names of the annotation keep cleartext requests where they are', () => {
  for (const name of ['nginx.ingress.kubernetes.io/ssl-redirect', 'rauta.io/ssl-redirect']) {
    const world = new World();
    const tls = [{ hosts: ['a.example'], secretName: 'shop' }];
    world.apply(
      secret('shop', 'a.example'),
      ingress('shop', { tls, hosts: ['a.example'], annotations: { [name]: 'false' } }),
    );
    assert.deepEqual(world.rules('shop'), ['0 forward at 80 * a.example, 443 a.example a.example'], name);
  }
});

test('what names no secret beside one that does (a solver of challenges) is served in the clear', () => {
  const world = new World();
  world.apply(
    secret('shop', 'a.example'),
    ingress('shop', { tls: [{ hosts: ['a.example'], secretName: 'shop' }], hosts: ['a.example'] }),
    ingress('solver', { hosts: ['a.example'] }),
  );
  assert.deepEqual(world.rules('solver'), ['0 forward at 80 * a.example, 443 a.example a.example']);
});

test('wildcards: one certificate for all names of one label, rules for one label', () => {
  const world = new World();
  world.apply(
    secret('wild', '*.example.com'),
    ingress('wild', {
      tls: [{ hosts: ['*.example.com'], secretName: 'wild' }],
      hosts: ['*.example.com', 'a.example.com', 'example.com'],
    }),
  );
  assert.deepEqual(world.rules('wild'), [
    '0 forward at 443 *.example.com ?.example.com',
    '1 forward at 443 *.example.com a.example.com',
    '2 forward at 80 * example.com',
    '3 redirect at 80 * ?.example.com',
    '4 redirect at 80 * a.example.com',
  ]);
});

test('of one host the older certificate is shown, whoever comes first, and the younger Ingress is told', () => {
  const old = ingress('old', {
    tls: [{ hosts: ['a.example'], secretName: 'one' }],
    hosts: ['a.example'],
    created: '2026-01-01T00:00:00Z',
  });
  const young = ingress('young', {
    tls: [{ hosts: ['a.example'], secretName: 'two' }],
    hosts: ['a.example'],
    created: '2026-02-01T00:00:00Z',
  });
  const said = [
    'Ingress/default/young warning spec.tls[0]: Ingress default/old, which is older, shows its certificate to clients that ask for a.example.',
    'Ingress/default/young warning spec.rules: Ingress default/old matches the same and is older: this match gets no request. Give one of them another path, host or condition.',
  ];
  for (const order of [
    [old, young],
    [young, old],
  ]) {
    const world = new World();
    world.apply(secret('one', 'a.example'), secret('two', 'a.example'));
    for (const object of order) world.apply(object);
    assert.deepEqual(world.hosts(443), ['a.example of gateway//ingress: certificate/default/one']);
    assert.deepEqual(world.problems(), said);
    world.remove('Ingress/default/old');
    assert.deepEqual(world.hosts(443), ['a.example of gateway//ingress: certificate/default/two']);
    assert.deepEqual(world.problems(), []);
  }
});

test('certificates of two kinds of keys for one host stand side by side', () => {
  const world = new World();
  const tls = ['one', 'two'].map((secretName) => ({ hosts: ['a.example'], secretName }));
  world.apply(secret('one', 'a.example'), secret('two', 'a.example'), ingress('shop', { tls, hosts: ['a.example'] }));
  assert.deepEqual(world.hosts(443), [
    'a.example of gateway//ingress: certificate/default/one,certificate/default/two',
  ]);
});

test('a Gateway that has a hostname keeps it: its certificate is shown, the rules stand beside its routes', () => {
  const world = new World();
  const tls = { certificateRefs: [{ name: 'gw' }] };
  world.apply(
    secret('gw', 'a.example'),
    secret('shop', 'a.example'),
    ingress('shop', { tls: [{ hosts: ['a.example'], secretName: 'shop' }], hosts: ['a.example'] }),
  );
  assert.deepEqual(world.hosts(443), ['a.example of gateway//ingress: certificate/default/shop']);
  world.apply({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'default' },
    spec: {
      gatewayClassName: 'rauta',
      listeners: [{ name: 'https', hostname: 'a.example', port: 443, protocol: 'HTTPS', tls }],
    },
  });
  assert.deepEqual(world.hosts(443), ['a.example of gateway/default/edge: certificate/default/gw']);
  assert.deepEqual(world.rules('shop'), ['0 forward at 443 a.example a.example', '1 redirect at 80 * a.example']);
  assert.deepEqual(world.problems(), []);
});

test('where a Gateway speaks TLS on port 80, Ingresses say why nothing of them is served', () => {
  const world = new World();
  const tls = { certificateRefs: [{ name: 'gw' }] };
  world.apply(secret('gw', 'a.example'), ingress('shop', { hosts: ['a.example'] }), {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'default' },
    spec: { gatewayClassName: 'rauta', listeners: [{ name: 'https', port: 80, protocol: 'HTTPS', tls }] },
  });
  assert.deepEqual(world.rules('shop'), []);
  assert.deepEqual(world.problems(), [
    'Ingress/default/shop error spec: Gateway default/edge, which comes first, has protocol HTTPS on port 80 (listener https). This one needs another port.',
  ]);
});

test('the default certificate is for hosts without one, and for Ingresses without spec.tls too', () => {
  const world = new World({ defaultCertificate: { namespace: 'default', name: 'other' } });
  world.apply(
    secret('other', 'other.example'),
    ingress('shop', { tls: [{ hosts: ['a.example'] }], hosts: ['a.example', 'b.example'] }),
  );
  assert.deepEqual(world.hosts(443), [
    '* of gateway//ingress: certificate/default/other',
    'a.example of gateway//ingress: certificate/default/other',
  ]);
  assert.deepEqual(world.rules('shop'), [
    '0 forward at 443 a.example a.example',
    '1 forward at 80 * b.example, 443 * b.example',
    '2 redirect at 80 * a.example',
  ]);
});

test('a broken Secret is told at the Ingress, and its neighbours serve', () => {
  const world = new World();
  const broken = { ...secret('bad', 'a.example'), data: { 'tls.crt': 'YQ==', 'tls.key': 'YQ==' } };
  world.apply(
    broken,
    secret('good', 'b.example'),
    ingress('bad', { tls: [{ hosts: ['a.example'], secretName: 'bad' }], hosts: ['a.example'] }),
    ingress('good', { tls: [{ hosts: ['b.example'], secretName: 'good' }], hosts: ['b.example'] }),
  );
  assert.deepEqual(world.hosts(443), ['b.example of gateway//ingress: certificate/default/good']);
  assert.match(
    world.problems().join('\n'),
    /^Ingress\/default\/bad error spec\.tls\[0\]\.secretName: Secret default\/bad/,
  );
  world.apply(secret('bad', 'a.example'));
  assert.equal(world.hosts(443).length, 2);
  assert.deepEqual(world.problems(), []);
});

test('a default backend of an Ingress with TLS is reached under its hosts', () => {
  const world = new World();
  world.apply(secret('shop', 'a.example'), ingress('shop', { tls: [{ hosts: ['a.example'], secretName: 'shop' }] }));
  assert.deepEqual(world.rules('shop'), ['0 forward at 80 * *, 443 a.example *']);
});

test('rules of an Ingress have the numbers of its paths, whatever canaries and redirects come and go', () => {
  const world = new World();
  const backend = { service: { name: 'app', port: { number: 80 } } };
  const path = (value: string): object => ({ path: value, pathType: 'Prefix', backend });
  const of = (name: string, annotations: Record<string, string>, ...paths: object[]): KubeObject => {
    const spec = { defaultBackend: backend, rules: [{ host: 'a.example', http: { paths } }] };
    return { ...ingress(name, { annotations }), spec };
  };
  const numbers = (): Record<number, string> =>
    Object.fromEntries(
      [...world.translator.ir.values()]
        .filter((entry): entry is RuleEntry => entry.kind === 'rule' && entry.route === 'default/main')
        .map(({ index, matches }) => [
          index,
          matches.map((m) => [m.path.value, ...m.headers.map((h) => h.value)].join()),
        ])
        .map(([index, all]) => [index, String(all)]),
    );
  world.apply(of('main', {}, path('/a'), path('not a path'), path('/b')));
  const alone = { 0: '/a', 2: '/b', 3: '/' };
  assert.deepEqual(numbers(), alone);
  const canary = { 'nginx.ingress.kubernetes.io/canary': 'True', 'nginx.ingress.kubernetes.io/canary-by-header': 'x' };
  world.apply(of('next', canary, path('/a'), path('/b')));
  assert.deepEqual(numbers(), { ...alone, 4: '/a,always', 5: '/a,never', 6: '/b,always', 7: '/b,never' });
  world.remove('Ingress/default/next');
  assert.deepEqual(numbers(), alone);
  world.apply(of('main', { 'nginx.ingress.kubernetes.io/app-root': '/b' }, path('/a'), path('/x'), path('/b')));
  assert.deepEqual(numbers(), { 0: '/a', 1: '/x', 2: '/b', 3: '/', 4: '/' });
});

test('a host of server-alias, or one that www. is put in front of, is whose rules are for it, as they come and go', () => {
  const world = new World();
  const annotations = {
    'nginx.ingress.kubernetes.io/server-alias': 'alias.example',
    'nginx.ingress.kubernetes.io/from-to-www-redirect': 'true',
  };
  world.apply(ingress('main', { hosts: ['a.example'], created: '2026-01-01T00:00:00Z', annotations }));
  const alone = ['0 forward at 80 * a.example,alias.example', '1 redirect at 80 * www.a.example'];
  assert.deepEqual([world.rules('main'), world.problems()], [alone, []]);
  world.apply(ingress('other', { hosts: ['alias.example', 'www.a.example'], created: '2026-02-01T00:00:00Z' }));
  assert.deepEqual(world.rules('main'), ['0 forward at 80 * a.example']);
  assert.equal(world.problems().length, 2);
  world.remove('Ingress/default/other');
  assert.deepEqual([world.rules('main'), world.problems()], [alone, []]);
});
