import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, leaf, ocspResponse, pem, revocations } from '../../tools/certificates.ts';
import type { KubeObject } from '../api/object.ts';
import { LIMITS } from '../base/limits.ts';
import type { CertificateEntry, ServerTls, SocketEntry } from '../ir/ir.ts';
import { Store } from '../store/store.ts';
import type { GatewayStatus } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { Translator } from './translator.ts';

const root = authority('Root');
const middle = authority('Middle', root);

function secret(name: string, namespace = 'default', names: readonly string[] = ['a.example']): KubeObject {
  const own = leaf(middle, names);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'kubernetes.io/tls',
    data: {
      'tls.crt': Buffer.from(pem('CERTIFICATE', own.der) + pem('CERTIFICATE', middle.der)).toString('base64'),
      'tls.key': Buffer.from(pem('PRIVATE KEY', own.keyDer)).toString('base64'),
    },
  };
}

function gateway(listeners: readonly Record<string, unknown>[], name = 'edge'): KubeObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'default' },
    spec: { gatewayClassName: 'rauta', listeners },
  };
}

function https(
  name: string,
  hostname: string,
  secrets: readonly string[],
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  const tls = { certificateRefs: secrets.map((one) => ({ name: one })), ...more };
  return { name, hostname, port: 443, protocol: 'HTTPS', tls };
}

test('a certificate that is good is handed on as soon as its Gateway is read, and a bad one is a condition as ever', () => {
  const store = new Store();
  const translator = new Translator({
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: 'rauta',
    defaultAddresses: ['0.0.0.0'],
    portMap: new Map(),
  });
  const bad = {
    ...secret('bad'),
    data: {
      ...(secret('bad')['data'] as object),
      'tls.key': (secret('x')['data'] as Record<string, string>)['tls.key'],
    },
  };
  const listeners = [
    https('a', 'a.example', ['good']),
    https('b', 'b.example', ['bad']),
    https('c', 'c.example', ['none']),
  ];
  const keys = store.apply([gateway(listeners), secret('good'), bad as KubeObject], []);
  const heard: string[] = [];
  translator.update(
    store,
    { keys },
    {
      certificate: ({ key }) => heard.push(`${key} of ${translator.ir.size}`),
      entries: () => heard.push(`all ${translator.ir.size}, ${translator.statuses.size} told`),
      between: () => heard.push(`${translator.statuses.size} told`),
    },
  );
  assert.deepEqual(heard, ['certificate/default/good of 0', 'all 3, 0 told', '1 told']);
  const status = translator.statuses.get('Gateway/default/edge') as GatewayStatus;
  const reasons = status.listeners.map(
    ({ conditions }) => conditions.find(({ type }) => type === 'ResolvedRefs')?.reason,
  );
  assert.deepEqual(reasons, ['ResolvedRefs', 'InvalidCertificateRef', 'InvalidCertificateRef']);
  heard.length = 0;
  translator.update(store, { keys });
  assert.deepEqual(heard, [], 'and nobody hears of the next update');
});

class World {
  readonly store = new Store();
  readonly translator: Translator;

  constructor(defaultCertificate: TranslatorOptions['defaultCertificate'] = null) {
    this.translator = new Translator({
      controllerName: 'rauta.io/gateway-controller',
      implicitClass: 'rauta',
      defaultAddresses: ['0.0.0.0'],
      portMap: new Map(),
      defaultCertificate,
    });
  }

  apply(...objects: readonly KubeObject[]): ReturnType<Translator['update']> {
    return this.translator.update(this.store, { keys: this.store.apply(objects, []) });
  }

  get socket(): SocketEntry | undefined {
    return [...this.translator.ir.values()].find((entry) => entry.kind === 'socket');
  }
  get certificates(): readonly CertificateEntry[] {
    return [...this.translator.ir.values()].filter((entry) => entry.kind === 'certificate');
  }
  /** Conditions of a listener, as `Type=Status Reason`. */
  conditions(listener: number): string[] {
    const status = this.translator.statuses.get('Gateway/default/edge') as {
      listeners: readonly { conditions: readonly { type: string; status: string; reason: string }[] }[];
    };
    return (status.listeners[listener]?.conditions ?? []).map((c) => `${c.type}=${c.status} ${c.reason}`);
  }
  problems(): string[] {
    return [...this.translator.diagnostics.values()].flat().map((p) => `${p.severity} ${p.place.field}: ${p.message}`);
  }
}

test('another certificate in the same Secret is one entry and nothing else', () => {
  const world = new World();
  world.apply(gateway([https('a', 'a.example', ['one']), https('b', 'b.example', ['one'])]), secret('one'));
  const { delta, statuses, diagnostics } = world.apply(secret('one'));
  assert.deepEqual(
    delta.upserts.map(({ key }) => key),
    ['certificate/default/one'],
  );
  assert.deepEqual([delta.removals, statuses.size, diagnostics.size], [[], 0, 0]);
});

test('an HTTPS listener is a host with its certificates, and modern ciphers', () => {
  const world = new World();
  world.apply(secret('cert'), gateway([https('https', 'a.example', ['cert'])]));
  const [host] = world.socket?.hosts ?? [];
  assert.equal(host?.protocol, 'HTTPS');
  assert.deepEqual(host?.tls?.certificates, ['certificate/default/cert']);
  assert.equal(host?.tls?.minVersion, 'TLSv1.2');
  assert.ok(host?.tls?.ciphers.every((name) => /^ECDHE-.*(GCM|CHACHA20)/.test(name)));
  assert.equal(world.certificates[0]?.chain.length, 2);
  assert.match(world.certificates[0]?.fingerprint ?? '', /^[0-9a-f]{64}$/);
  assert.deepEqual(world.problems(), []);
  assert.ok(world.conditions(0).includes('ResolvedRefs=True ResolvedRefs'));
});

test('a new certificate in the Secret is one entry, nothing else', () => {
  const world = new World();
  world.apply(
    secret('cert'),
    secret('other'),
    gateway([https('a', 'a.example', ['cert']), https('b', 'b.example', ['other'])]),
  );
  const before = world.certificates.map(({ fingerprint }) => fingerprint);
  const { delta, statuses } = world.apply(secret('cert'));
  assert.deepEqual(
    delta.upserts.map(({ key }) => key),
    ['certificate/default/cert'],
  );
  assert.deepEqual(delta.removals, []);
  assert.equal(statuses.size, 0);
  assert.notDeepEqual(
    world.certificates.map(({ fingerprint }) => fingerprint),
    before,
  );
});

test('a bad Secret costs its own listener, and its neighbours serve', () => {
  const world = new World();
  const bad = {
    ...secret('bad'),
    data: {
      ...(secret('bad')['data'] as object),
      'tls.key': (secret('x')['data'] as Record<string, string>)['tls.key'],
    },
  };
  world.apply(
    secret('good'),
    bad,
    gateway([
      https('good', 'a.example', ['good']),
      https('bad', 'b.example', ['bad']),
      https('gone', 'c.example', ['gone']),
    ]),
  );
  assert.deepEqual(
    world.socket?.hosts.map(({ listener }) => listener),
    ['good'],
  );
  assert.deepEqual(
    world.certificates.map(({ key }) => key),
    ['certificate/default/good'],
  );
  assert.ok(world.conditions(0).includes('Programmed=True Programmed'));
  for (const listener of [1, 2]) {
    assert.ok(world.conditions(listener).includes('ResolvedRefs=False InvalidCertificateRef'));
    assert.ok(world.conditions(listener).includes('Programmed=False Invalid'));
  }
  assert.match(
    world.problems().join('\n'),
    /listeners\[1\]\.tls\.certificateRefs\[0\]: Secret default\/bad: tls\.key does not belong/,
  );
  const { delta } = world.apply(secret('bad'));
  assert.deepEqual(delta.upserts.map(({ kind }) => kind).sort(), ['certificate', 'socket'], 'mended, it serves');
});

test('of several certificates the good ones are shown', () => {
  const world = new World();
  world.apply(secret('good'), gateway([https('https', 'a.example', ['gone', 'good', 'good'])]));
  assert.deepEqual(world.socket?.hosts[0]?.tls?.certificates, ['certificate/default/good']);
  assert.ok(world.conditions(0).includes('ResolvedRefs=False InvalidCertificateRef'));
  assert.ok(world.conditions(0).includes('Programmed=True Programmed'));
});

test('stringData as files have it, and an OCSP response', () => {
  const world = new World();
  const own = leaf(middle, ['a.example']);
  world.apply(
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cert', namespace: 'default' },
      data: { 'tls.crt': 'AAAA', 'tls.ocsp-staple': 'MAMKAQE=' },
      stringData: { 'tls.crt': pem('CERTIFICATE', own.der), 'tls.key': pem('PRIVATE KEY', own.keyDer) },
    },
    gateway([https('https', 'a.example', ['cert'])]),
  );
  assert.equal(world.certificates[0]?.staple, '');
  assert.match(world.problems().join(), /warning .*tls\.ocsp-staple is an answer of failure \(1\).*it is not shown/);
  assert.match(world.problems().join(), /warning .*alone, without the one that issued it/);
});

test('a certificate that wants an OCSP response and has none, and one that is longer than clients take', () => {
  const wants = ['1.3.6.1.5.5.7.1.24', false, Uint8Array.of(0x30, 3, 2, 1, 5)] as const;
  const own = leaf(middle, ['a.example'], { extensions: [wants] });
  const crt = pem('CERTIFICATE', own.der) + pem('CERTIFICATE', middle.der);
  const problems = (staple: Uint8Array | null): string => {
    const world = new World();
    world.apply(
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'cert', namespace: 'default' },
        data: staple === null ? {} : { 'tls.ocsp-staple': Buffer.from(staple).toString('base64') },
        stringData: { 'tls.crt': crt, 'tls.key': pem('PRIVATE KEY', own.keyDer) },
      },
      gateway([https('https', 'a.example', ['cert'])]),
    );
    return world.problems().join('\n');
  };
  assert.match(problems(null), /warning .*wants an OCSP response beside it \(Must-Staple\)/);
  assert.doesNotMatch(problems(ocspResponse(middle, own)), /OCSP|ocsp/);
  const more = Array.from({ length: 200 }, () => Date.now() + 86_400_000);
  assert.match(problems(ocspResponse(middle, own, { more })), /tls\.ocsp-staple is of \d+ bytes, clients take 16000/);
});

test('options: versions and ciphers by name, anything else is an error of the listener', () => {
  const settings = (
    options: Record<string, string>,
  ): [tls: SocketEntry['hosts'][number]['tls'] | undefined, said: string] => {
    const world = new World();
    world.apply(secret('cert'), gateway([https('https', 'a.example', ['cert'], { options })]));
    return [world.socket?.hosts[0]?.tls, world.problems().join('\n')];
  };
  assert.equal(settings({ 'rauta.io/tls-min-version': '1.3' })[0]?.minVersion, 'TLSv1.3');
  const [chosen] = settings({ 'rauta.io/tls-ciphers': 'TLS_AES_256_GCM_SHA384, ECDHE-RSA-AES128-GCM-SHA256' });
  assert.deepEqual(chosen?.suites, ['TLS_AES_256_GCM_SHA384']);
  assert.deepEqual(chosen?.ciphers, ['ECDHE-RSA-AES128-GCM-SHA256']);
  for (const [options, message] of [
    [{ 'rauta.io/tls-min-version': '1.1' }, /TLS version "1\.1" is not one of 1\.2, 1\.3/],
    [{ 'rauta.io/tls-ciphers': 'RC4-SHA' }, /Cipher "RC4-SHA" is not one of/],
    [{ 'rauta.io/tls-ciphers': '' }, /No cipher is named/],
    [{ 'rauta.io/forward-client-certificate': 'Hash, By' }, /"By" is not one of Hash, Subject, URI, DNS, Cert/],
    [{ 'example.com/x': 'y' }, /Option "example\.com\/x" is not known/],
  ] as const) {
    const [tls, said] = settings(options);
    assert.equal(tls, undefined);
    assert.match(said, message);
  }
  const world = new World();
  world.apply(secret('cert'), gateway([https('https', 'a.example', ['cert'], { mode: 'Passthrough' })]));
  assert.ok(world.conditions(0).includes('Accepted=False UnsupportedValue'));
});

test('HTTP and HTTPS do not share a port, and hosts of one port may differ in their settings', () => {
  const world = new World();
  const http = { name: 'http', port: 443, protocol: 'HTTP' };
  world.apply(secret('cert'), gateway([https('https', 'a.example', ['cert']), http]));
  assert.ok(world.conditions(0).includes('Conflicted=True ProtocolConflict'));
  assert.equal(world.socket, undefined);
});

// ---- certificates of clients (GEP-91); reasons as the official suite demands them

function authorities(name: string, data: Record<string, string>, namespace = 'default'): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data };
}
const ca = { 'ca.crt': pem('CERTIFICATE', root.der) };
const ref = (name: string, more: Record<string, string> = {}): Record<string, string> => ({
  group: '',
  kind: 'ConfigMap',
  name,
  ...more,
});

/** A Gateway whose listeners, one a port, are all of HTTPS with the certificate `cert`. */
function checking(frontend: Record<string, unknown>, ...ports: readonly number[]): KubeObject {
  const listeners = ports.map((port) => ({ ...https(`p${port}`, `h${port}.example`, ['cert']), port }));
  return { ...gateway(listeners), spec: { gatewayClassName: 'rauta', tls: { frontend }, listeners } };
}

test('backends are told of certificates what an option of the listener says; lists of revoked ones come along', () => {
  const world = new World();
  const options = { 'rauta.io/forward-client-certificate': 'URI Hash,URI' };
  const listeners = [443, 8443].map((port) => ({
    ...https(`p${port}`, `h${port}.example`, ['cert'], { options }),
    port,
  }));
  const perPort = [{ port: 8443, tls: {} }];
  const frontend = { default: { validation: { caCertificateRefs: [ref('ca')] } }, perPort };
  const crl = revocations(root, []);
  const asked = { ...gateway(listeners), spec: { gatewayClassName: 'rauta', tls: { frontend }, listeners } };
  world.apply(secret('cert'), authorities('ca', { ...ca, 'ca.crl': pem('X509 CRL', crl) }), asked);
  const hosts = [...world.translator.ir.values()].flatMap((entry) => (entry.kind === 'socket' ? entry.hosts : []));
  assert.deepEqual(hosts.find(({ port }) => port === 443)?.tls?.clients?.forward, ['Hash', 'URI']);
  assert.equal(hosts.find(({ port }) => port === 8443)?.tls?.clients, null);
  assert.match(world.problems().join(), /No certificate is asked for at this port: .* has no effect/);
  const trust = world.translator.ir.get('trust/default/edge:default');
  assert.ok(trust?.kind === 'trust');
  assert.deepEqual(trust.revoked, [crl.toString('base64')]);
});

test('clients are asked for certificates as the Gateway says, by port where it says so', () => {
  const world = new World();
  const perPort = [
    { port: 7443, tls: { validation: { caCertificateRefs: [ref('other')], mode: 'AllowInsecureFallback' } } },
    { port: 8443, tls: {} },
  ];
  const frontend = { default: { validation: { caCertificateRefs: [ref('ca')] } }, perPort };
  world.apply(secret('cert'), authorities('ca', ca), authorities('other', ca), checking(frontend, 443, 7443, 8443));
  const clients = new Map(
    [...world.translator.ir.values()].flatMap((entry) =>
      entry.kind === 'socket' ? entry.hosts.map((host) => [host.port, host.tls?.clients] as const) : [],
    ),
  );
  assert.deepEqual(clients.get(443), { trust: 'trust/default/edge:default', mode: 'AllowValidOnly', forward: [] });
  assert.deepEqual(clients.get(7443), {
    trust: 'trust/default/edge:7443',
    mode: 'AllowInsecureFallback',
    forward: [],
  });
  assert.equal(clients.get(8443), null);
  const trust = world.translator.ir.get('trust/default/edge:default');
  assert.ok(trust?.kind === 'trust');
  assert.deepEqual(trust.authorities, [root.der.toString('base64')]);
  const status = world.translator.statuses.get('Gateway/default/edge') as { conditions: readonly { type: string }[] };
  assert.ok(status.conditions.some(({ type }) => type === 'InsecureFrontendValidationMode'));
  const { delta } = world.apply(authorities('ca', { 'ca.crt': pem('CERTIFICATE', middle.der) }));
  assert.deepEqual(
    delta.upserts.map(({ key }) => key),
    ['trust/default/edge:default'],
  );
});

test('a reference to authorities that is not good: its reason, and nothing is served without the check', () => {
  const cases: [Record<string, string>, string][] = [
    [ref('gone'), 'InvalidCACertificateRef'],
    [ref('empty'), 'InvalidCACertificateRef'],
    [ref('broken'), 'InvalidCACertificateRef'],
    [ref('huge'), 'InvalidCACertificateRef'],
    [ref('ca', { kind: 'Service' }), 'InvalidCACertificateKind'],
    [ref('ca', { namespace: 'vault' }), 'RefNotPermitted'],
  ];
  const lists = pem('X509 CRL', Buffer.alloc(LIMITS.TLS_TRUST_BYTES));
  for (const [one, reason] of cases) {
    const world = new World();
    const frontend = { default: { validation: { caCertificateRefs: [one] } } };
    const plain = { name: 'http', port: 80, protocol: 'HTTP' };
    const checked = checking(frontend, 443);
    const spec = checked.spec as { listeners: unknown[] };
    spec.listeners.push(plain);
    const maps = [authorities('empty', {}), authorities('broken', { 'ca.crt': pem('CERTIFICATE', Buffer.from('x')) })];
    const huge = authorities('huge', { ...ca, 'ca.crl': lists });
    world.apply(secret('cert'), authorities('ca', ca, 'vault'), ...maps, huge, checked);
    assert.ok(world.conditions(0).includes(`ResolvedRefs=False ${reason}`), `${reason}: ${world.conditions(0)}`);
    assert.ok(world.conditions(0).includes('Accepted=False NoValidCACertificate'), reason);
    assert.ok(world.conditions(1).includes('Programmed=True Programmed'), 'cleartext is not concerned');
    assert.deepEqual(
      world.socket?.hosts.map(({ listener }) => listener),
      ['http'],
    );
  }
});

test('a default certificate: what all listeners of the socket speak, followed as it changes, and its absence said', () => {
  const world = new World({ namespace: 'system', name: 'other' });
  const fallback = (): ServerTls | null | undefined => world.socket?.fallback;
  const strict = { options: { 'rauta.io/tls-ciphers': 'TLS_AES_256_GCM_SHA384,ECDHE-RSA-AES256-GCM-SHA384' } };
  const listeners = [https('a', 'a.example', ['a']), https('b', 'b.example', ['a'], strict)];
  const said = (): string =>
    [...world.translator.diagnostics.values()]
      .flat()
      .map((p) => p.message)
      .join('\n');
  world.apply(secret('a', 'default', ['a.example', 'b.example']), gateway(listeners));
  assert.equal(fallback(), null);
  assert.match(
    said(),
    /^--default-certificate: Secret system\/other does not exist\. Clients without a name are refused\./,
  );
  world.apply(secret('other', 'system'));
  assert.equal(said(), '');
  const { certificates, minVersion, ciphers, suites, clients } = fallback() ?? assert.fail();
  assert.deepEqual(certificates, ['certificate/system/other']);
  assert.deepEqual([minVersion, clients], ['TLSv1.2', null]);
  assert.deepEqual([ciphers, suites], [['ECDHE-RSA-AES256-GCM-SHA384'], ['TLS_AES_256_GCM_SHA384']]);
  assert.ok(world.translator.ir.has('certificate/system/other'));
  const newer = { options: { 'rauta.io/tls-min-version': '1.3' } };
  world.apply(gateway([listeners[0] ?? {}, https('b', 'b.example', ['a'], newer)]));
  assert.equal(fallback()?.minVersion, 'TLSv1.3');
  world.apply(gateway([listeners[0] ?? {}, https('b', '*.example', ['a'])]));
  assert.notEqual(fallback(), null, 'not every name is taken');
  world.apply(gateway([listeners[0] ?? {}, { ...https('b', '', ['a']), hostname: undefined }]));
  assert.equal(fallback(), null, 'a listener takes whoever names nobody');
});
