// Ingresses, served by the whole program: what ingress-nginx does with TLS, and a default backend that comes later. The
// scenarios of the Ingress conformance suite are in ../ingress.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { backend, freePort, get, Rauta, until } from './support.ts';

const root = authority('Root');
const middle = authority('Middle', root);

function secretYaml(name: string, host: string): string {
  const own = leaf(middle, [host]);
  const data = {
    'tls.crt': Buffer.from(pem('CERTIFICATE', own.der) + pem('CERTIFICATE', middle.der)).toString('base64'),
    'tls.key': Buffer.from(pem('PRIVATE KEY', own.keyDer)).toString('base64'),
  };
  return JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'kubernetes.io/tls', data });
}

/** A Service of each name, its endpoints the ports. */
function serviceYaml(name: string, ...ports: readonly number[]): string {
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { ports: [{ name: 'web', port: 80 }] },
  };
  const slices = ports.map((port, i) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-${i}`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: 'web', port }],
    endpoints: [{ addresses: ['127.0.0.1'], targetRef: { kind: 'Pod', name: `${name}-${i}`, namespace: 'default' } }],
  }));
  return [service, ...slices].map((object) => JSON.stringify(object)).join('\n---\n');
}

interface Path {
  readonly path: string;
  readonly type: 'Exact' | 'Prefix';
  readonly service: string;
}

function ingressYaml(
  name: string,
  hosts: Readonly<Record<string, readonly Path[]>>,
  more: { readonly spec?: object; readonly annotations?: object } = {},
): string {
  const backendOf = (service: string): object => ({ service: { name: service, port: { name: 'web' } } });
  const rules = Object.entries(hosts).map(([host, paths]) => ({
    ...(host === '' ? {} : { host }),
    http: { paths: paths.map(({ path, type, service }) => ({ path, pathType: type, backend: backendOf(service) })) },
  }));
  const spec = { ...(rules.length === 0 ? {} : { rules }), ...more.spec };
  const metadata = { name, ...(more.annotations === undefined ? {} : { annotations: more.annotations }) };
  return JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata, spec });
}

const nginx = (annotations: Readonly<Record<string, string>>): object =>
  Object.fromEntries(
    Object.entries(annotations).map(([name, value]) => [`nginx.ingress.kubernetes.io/${name}`, value]),
  );
const RANGES = { 'whitelist-source-range': '10.0.0.0/8, 127.0.0.0/8', 'proxy-read-timeout': '3600' };
const ROOTED = { 'app-root': '/home' };

const exact = (path: string, service: string): Path => ({ path, type: 'Exact', service });
const prefix = (path: string, service: string): Path => ({ path, type: 'Prefix', service });

test('what a proxy that is believed says came over https is served, and no circle', async (t) => {
  const [app, port] = [await backend('app'), await freePort()];
  const forced = nginx({ 'force-ssl-redirect': 'true' });
  const objects = [
    serviceYaml('app', app.port),
    ingressYaml('shop', { 'a.test': [prefix('/', 'app')] }, { annotations: forced }),
  ];
  const files = { 'all.yaml': objects.join('\n---\n') };
  const rauta = await Rauta.start(files, ['--port-map', `80=${port}`, '--trusted-proxies', '127.0.0.1']);
  t.after(() => rauta.stop());
  const status = async (more: Record<string, string>): Promise<number> =>
    (await get(port, '/', { host: 'a.test', ...more })).status;
  assert.equal(await status({ 'x-forwarded-proto': 'https' }), 200);
  assert.equal(await status({ 'x-forwarded-proto': 'http' }), 308);
  assert.equal(await status({}), 308);
});

describe('Ingress', () => {
  let rauta: Rauta;
  let port = 0;
  let tlsPort = 0;

  const files = async (): Promise<Record<string, string>> => {
    const [one, two, three] = [await backend('one'), await backend('two'), await backend('three')];
    return {
      'services.yaml': [
        serviceYaml('one', one.port),
        serviceYaml('two', two.port),
        serviceYaml('three', three.port),
      ].join('\n---\n'),
      'more.yaml': [
        ingressYaml(
          'secure',
          { 'secure.test': [prefix('/', 'one')], 'open.test': [prefix('/', 'two')] },
          { spec: { tls: [{ hosts: ['secure.test'], secretName: 'secure' }] } },
        ),
        ingressYaml('solver', { 'secure.test': [exact('/.well-known/acme-challenge/x', 'two')] }),
        secretYaml('secure', 'secure.test'),
        ingressYaml(
          'strip',
          { 'nginx.test': [prefix('/app(/|$)(.*)', 'one')] },
          { annotations: nginx({ 'rewrite-target': '/$2', 'server-alias': 'other.test' }) },
        ),
        ingressYaml(
          'canary',
          { 'open.test': [prefix('/', 'three')] },
          { annotations: nginx({ canary: 'true', 'canary-by-header': 'X-Canary', 'canary-by-cookie': 'next' }) },
        ),
        ingressYaml('inside', { 'in.test': [prefix('/', 'one')] }, { annotations: nginx({ ...RANGES, ...ROOTED }) }),
        ingressYaml(
          'outside',
          { 'out.test': [prefix('/', 'one')] },
          { annotations: nginx({ 'denylist-source-range': '127.0.0.1', 'from-to-www-redirect': 'true' }) },
        ),
      ].join('\n---\n'),
    };
  };

  before(async () => {
    port = await freePort();
    tlsPort = await freePort();
    rauta = await Rauta.start(await files(), ['--port-map', `80=${port},443=${tlsPort}`]);
  });
  after(async () => {
    assert.equal(await rauta.stop(), 0);
  });

  const servedBy = async (host: string, path: string): Promise<string | number> => {
    const answer = await get(port, path, { host });
    return answer.status === 200 ? JSON.parse(answer.body).backend : answer.status;
  };

  test('a host with a certificate is sent to https, but for an Ingress without one', async () => {
    const moved = await get(port, '/page?x=1', { host: 'secure.test' });
    assert.equal(moved.status, 308);
    assert.equal(moved.headers.location, 'https://secure.test/page?x=1');
    const said = await get(port, '/', { host: 'secure.test', 'x-forwarded-proto': 'https' });
    assert.equal(said.status, 308, 'anybody may say that');
    assert.equal(await servedBy('secure.test', '/.well-known/acme-challenge/x'), 'two');
    assert.equal(await servedBy('open.test', '/'), 'two');
  });

  test('over TLS the certificate of the host is shown, and its rules hold', async () => {
    const ca = pem('CERTIFICATE', root.der);
    const client = connect({ host: '127.0.0.1', port: tlsPort, servername: 'secure.test', ca });
    await once(client, 'secureConnect');
    assert.ok(client.authorized);
    client.write('GET /page HTTP/1.1\r\nHost: secure.test\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of client) text += chunk;
    assert.match(text, /^HTTP\/1\.1 200 /);
    assert.match(text, /"backend":"one"/);
  });

  test('what annotations of ingress-nginx say of paths, hosts and clients is served', async () => {
    const asked = async (host: string, path: string): Promise<string> => {
      const { status, body, headers } = await get(port, path, { host });
      return status === 200 ? JSON.parse(body).path : `${status} ${headers.location ?? ''}`;
    };
    assert.equal(await asked('nginx.test', '/app/a/b?q'), '/a/b?q');
    assert.equal(await asked('other.test', '/APP'), '/');
    assert.equal(await asked('nginx.test', '/apple'), '404 ');
    assert.equal(await asked('in.test', '/a'), '/a');
    assert.equal(await asked('in.test', '/'), '302 http://in.test/home');
    assert.equal(await asked('out.test', '/'), '403 ');
    assert.equal(await asked('www.out.test', '/x?y'), '308 http://out.test/x?y');
  });

  test('a canary has who asks for it, by a field or a cookie, and nobody else', async () => {
    const by = async (headers: Record<string, string>): Promise<string> =>
      JSON.parse((await get(port, '/', { host: 'open.test', ...headers })).body).backend;
    assert.equal(await by({}), 'two');
    assert.equal(await by({ 'x-canary': 'always' }), 'three');
    assert.equal(await by({ 'x-canary': 'perhaps' }), 'two');
    assert.equal(await by({ cookie: 'a=b; next=always; c=d' }), 'three');
    assert.equal(await by({ cookie: 'xnext=always; next=alwaysnot' }), 'two');
    assert.equal(await by({ cookie: 'next=always', 'x-canary': 'never' }), 'two');
  });

  test('a default backend takes what no rule does, as long as it is there', async () => {
    assert.equal(await servedBy('nobody.test', '/any'), 404);
    rauta.write(
      'default.yaml',
      ingressYaml('default', {}, { spec: { defaultBackend: { service: { name: 'three', port: { number: 80 } } } } }),
    );
    await until(
      () => get(port, '/any', { host: 'nobody.test' }),
      ({ status }) => status === 200,
    );
    assert.equal(await servedBy('nobody.test', '/any'), 'three');
    assert.equal(await servedBy('open.test', '/'), 'two');
  });
});
