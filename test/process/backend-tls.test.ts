// TLS to backends, the whole program: from an API server, with policies that change under load, and with files and a
// client's key that is nowhere to be found. And the default certificate in a cluster.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect, createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { type Authority, authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { defineKinds, FakeApi } from '../kubernetes/fake-api.ts';
import { kubeconfig, site, when } from '../kubernetes/site.ts';
import { freePort, get, Load, Rauta, until } from './support.ts';

const GATEWAY_API = 'gateway.networking.k8s.io/v1';

/** A backend that answers each request with the name in its client's certificate. */
async function tlsBackend(t: TestContext, own: Leaf, options: TlsOptions = {}): Promise<number> {
  const key = pem('PRIVATE KEY', own.keyDer);
  const server = createServer({ cert: pem('CERTIFICATE', own.der), key, ...options }, (socket: TLSSocket) => {
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
      while (text.includes('\r\n\r\n')) {
        text = text.slice(text.indexOf('\r\n\r\n') + 4);
        const body = socket.getPeerCertificate().subject?.CN ?? '-';
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      }
    });
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function fakeApi(t: TestContext): Promise<{ api: FakeApi; url: string }> {
  const api = new FakeApi();
  defineKinds(api);
  const url = await api.listen();
  t.after(() => api.close());
  return { api, url };
}

function put(api: FakeApi, name: string, authorities: readonly Authority[]): void {
  const data = { 'ca.crt': authorities.map(({ der }) => pem('CERTIFICATE', der)).join('') };
  api.put('ConfigMap', { metadata: { name, namespace: 'web' }, data });
}

test('a policy in a cluster: its status, authorities replaced under load, and what it refuses', async (t) => {
  const [ca, next] = [authority('One'), authority('Two')];
  const backendPort = await tlsBackend(t, leaf(ca, ['app.internal']));
  const port = await freePort();
  const { api, url } = await fakeApi(t);
  site(api, port, backendPort);
  put(api, 'ca', [ca]);
  api.put('ConfigMap', { metadata: { name: 'nobodys', namespace: 'web' }, data: {} });
  const policy = {
    metadata: { name: 'app', namespace: 'web' },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: 'app' }],
      validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }], hostname: 'app.internal' },
    },
  };
  api.put('BackendTLSPolicy', policy);
  const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', kubeconfig(t, url)]);
  t.after(() => rauta.stop());
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 200,
  );
  const said = (): string => {
    const status = api.get('BackendTLSPolicy', 'web', 'app')?.['status'] as {
      ancestors?: { ancestorRef: { name: string }; conditions: { type: string; status: string; reason: string }[] }[];
    };
    return (status?.ancestors ?? [])
      .map(({ ancestorRef, conditions }) =>
        [ancestorRef.name, ...conditions.map((c) => `${c.type}=${c.status} ${c.reason}`)].join(', '),
      )
      .join('; ');
  };
  await when(api, () => said() === 'gw, Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');
  const load = new Load(port, '/one', 4);
  for (let i = 0; i < 6; i++) {
    const before = await revision(rauta);
    put(api, 'ca', i % 2 === 0 ? [ca, next] : [ca]);
    while ((await revision(rauta)) === before);
  }
  const counts = await load.stop();
  assert.deepEqual(Object.keys(counts), ['200'], JSON.stringify(counts));
  put(api, 'ca', [next]);
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 503,
  );
  const clusters = JSON.parse((await rauta.ask('/clusters')).body) as { endpoints: { tls_error: string }[] }[];
  assert.equal(clusters[0]?.endpoints[0]?.tls_error, 'TLS_UNKNOWN_CA');
  assert.match(
    (await rauta.ask('/metrics')).body,
    /rauta_tls_handshakes_total\{side="upstream",[^}]*"unknown_ca"\} \d/,
  );
  api.put('ConfigMap', { metadata: { name: 'ca', namespace: 'web' }, data: {} });
  await when(
    api,
    () => said() === 'gw, Accepted=False NoValidCACertificate, ResolvedRefs=False InvalidCACertificateRef',
  );
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 500,
  );
  const asked = api.requests.filter((r) => r.path.includes('/configmaps')).map((r) => r.query.get('fieldSelector'));
  assert.deepEqual([...new Set(asked)], ['metadata.name=ca'], 'nobody else is read');
});

async function revision(rauta: Rauta): Promise<string> {
  return /^rauta_config_revision_acked (\d+)$/m.exec((await rauta.ask('/metrics')).body)?.[1] ?? '';
}

test('the default certificate in a cluster: read by its name, shown to who names no host, renewed', async (t) => {
  const ca = authority('Default');
  const { api, url } = await fakeApi(t);
  const port = await freePort();
  site(api, port, await freePort());
  const secret = (namespace: string, name: string): string => {
    const own = leaf(ca, [`${name}.example`]);
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const data = { 'tls.crt': base64(pem('CERTIFICATE', own.der)), 'tls.key': base64(pem('PRIVATE KEY', own.keyDer)) };
    api.put('Secret', { metadata: { name, namespace }, type: 'kubernetes.io/tls', data });
    return own.der.toString('hex');
  };
  const named = secret('web', 'cert');
  const tls = { certificateRefs: [{ name: 'cert' }] };
  api.put('Gateway', {
    metadata: { name: 'gw', namespace: 'web' },
    spec: {
      gatewayClassName: 'rauta',
      listeners: [{ name: 'https', port, protocol: 'HTTPS', hostname: 'cert.example', tls }],
    },
  });
  const flags = ['--kubernetes', '--kubeconfig', kubeconfig(t, url), '--default-certificate', 'other/default'];
  const rauta = await Rauta.start({}, flags);
  t.after(() => rauta.stop());
  const shown = (servername: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()?.raw.toString('hex') ?? '');
        socket.destroy();
      });
      socket.on('error', () => resolve('refused'));
    });
  while ((await shown('cert.example')) !== named);
  assert.equal(await shown(''), 'refused', 'the Secret is not there yet');
  assert.match((await rauta.ask('/config/problems')).body, /Secret other\/default does not exist/);
  for (let i = 0; i < 2; i++) {
    const whole = secret('other', 'default');
    while ((await shown('')) !== whole);
    assert.equal(await shown('nobody.example'), whole);
    assert.equal(await shown('cert.example'), named);
  }
  const asked = api.requests
    .filter((r) => r.path.includes('/secrets'))
    .map((r) => `${r.path} ${r.query.get('fieldSelector')}`);
  assert.deepEqual([...new Set(asked)].sort(), [
    '/api/v1/namespaces/other/secrets metadata.name=default',
    '/api/v1/namespaces/web/secrets metadata.name=cert',
  ]);
});

test('the key of a client certificate is shown to nobody, and the certificate to the backend', async (t) => {
  const [ca, clients] = [authority('Servers'), authority('Clients')];
  const us = leaf(clients, [], { client: true, commonName: 'edge' });
  const options = { requestCert: true, ca: [pem('CERTIFICATE', clients.der)] };
  const backendPort = await tlsBackend(t, leaf(ca, ['app.internal']), options);
  const port = await freePort();
  const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ');
  const rauta = await Rauta.start(
    {
      'app.yaml': `apiVersion: ${GATEWAY_API}
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: rauta
  listeners: [{ name: http, port: ${port}, protocol: HTTP }]
  tls: { backend: { clientCertificateRef: { name: us } } }
---
apiVersion: ${GATEWAY_API}
kind: HTTPRoute
metadata: { name: app }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: app }] }]
---
apiVersion: rauta.io/v1alpha1
kind: Backend
metadata: { name: app }
spec: { appProtocol: https, endpoints: [{ address: 127.0.0.1, port: ${backendPort} }] }
---
apiVersion: ${GATEWAY_API}
kind: BackendTLSPolicy
metadata: { name: app }
spec:
  targetRefs: [{ group: rauta.io, kind: Backend, name: app }]
  validation:
    caCertificateRefs: [{ group: "", kind: ConfigMap, name: ca }]
    hostname: app.internal
---
apiVersion: v1
kind: ConfigMap
metadata: { name: ca }
data:
  ca.crt: |
${indented(pem('CERTIFICATE', ca.der))}
`,
      'us.yaml': `apiVersion: v1
kind: Secret
metadata: { name: us }
stringData:
  tls.crt: |
${indented(pem('CERTIFICATE', us.der))}
  tls.key: |
${indented(pem('PRIVATE KEY', us.keyDer))}
`,
    },
    ['--log-level', 'debug'],
  );
  t.after(() => rauta.stop());
  assert.deepEqual(await get(port, '/').then(({ status, body }) => [status, body]), [200, 'edge']);
  const pages = ['/config', '/config/ir', '/config/problems', '/metrics', '/requests', '/workers', '/clusters'];
  pages.push('/certificates');
  const texts = await Promise.all(pages.map(async (page) => (await rauta.ask(page)).body));
  assert.match(texts[1] as string, /certificate\/default\/us:client/);
  assert.match(texts.at(-1) as string, /"certificate":\s*"default\/us"[^}]*to backend default\/app/s);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (!isOf(pid, rauta.process.pid)) continue;
    texts.push(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), readFileSync(`/proc/${pid}/environ`, 'latin1'));
  }
  assert.equal(await rauta.stop(), 0);
  texts.push(JSON.stringify(rauta.log), rauta.access);
  const scalar = Buffer.from(us.key.export({ format: 'jwk' }).d as string, 'base64url');
  const body = us.keyDer.toString('base64');
  const secrets = [scalar.toString('hex'), scalar.toString('base64').slice(0, 40), body.slice(60, 90)];
  secrets.push(us.keyDer.toString('hex').slice(60, 120), us.keyDer.toString('latin1').slice(36, 60));
  for (const [i, text] of texts.entries())
    for (const piece of secrets) assert.ok(!text.includes(piece), `a piece of the key in ${pages[i] ?? `text ${i}`}`);
});

test('authorities that the system knows: of the environment mode, and none of an authority that it does not', async (t) => {
  const [known, unknown] = [authority('Known'), authority('Unknown')];
  const folder = mkdtempSync(join(tmpdir(), 'rauta-system-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  // The controller, which is not root, has to read it.
  chmodSync(folder, 0o755);
  const file = join(folder, 'ca.pem');
  writeFileSync(file, pem('CERTIFICATE', known.der));
  for (const [ca, status] of [
    [known, 200],
    [unknown, 503],
  ] as const) {
    const backendPort = await tlsBackend(t, leaf(ca, ['127.0.0.1']));
    const port = await freePort();
    const rauta = Rauta.spawn({}, [], {
      RAUTA_BIND_ADDR: `127.0.0.1:${port}`,
      RAUTA_BACKEND_ADDR: `https://127.0.0.1:${backendPort}`,
      SSL_CERT_FILE: file,
      SSL_CERT_DIR: folder,
    });
    await rauta.said('serving');
    assert.equal((await get(port, '/')).status, status);
    assert.equal(await rauta.stop(), 0);
    if (status !== 200) assert.match(rauta.access, /"upstream_tls":"TLS_UNKNOWN_CA"/);
  }
});

/** The program's process, or a child of it. */
function isOf(pid: string, of: number | undefined): boolean {
  if (pid === String(of)) return true;
  try {
    const parent = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/\(.*\)/, 'name')
      .split(' ')[3];
    return parent === String(of);
  } catch {
    return false;
  }
}
