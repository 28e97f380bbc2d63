// External authorization by the whole program, in a cluster: a server that is not there yet, then one by gRPC over TLS
// as its policy says, then one that is gone; what statuses, log, metrics and explain say of it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { MessageWriter } from '../../src/proxy/auth/protobuf.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import type { FakeApi } from '../kubernetes/fake-api.ts';
import { kubeconfig, when } from '../kubernetes/site.ts';
import { clusterSite } from './cluster-site.ts';
import { get, Rauta, until } from './support.ts';

/** Lets in who says that he is good, as alice; sends the others away. */
function check(request: Buffer): Uint8Array {
  if (!request.includes('Bearer good')) return new MessageWriter().message(1, new MessageWriter().integer(1, 7)).bytes;
  const user = new MessageWriter().text(1, 'x-user').text(2, 'alice');
  return new MessageWriter().message(3, new MessageWriter().message(2, new MessageWriter().message(1, user))).bytes;
}

async function grpcServer(t: TestContext, own: Leaf): Promise<{ server: Http2SecureServer; port: number }> {
  const server = createSecureServer({ cert: pem('CERTIFICATE', own.der), key: pem('PRIVATE KEY', own.keyDer) });
  server.on('stream', (stream: ServerHttp2Stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const answer = check(Buffer.concat(chunks));
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(answer.length, 1);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.concat([prefix, answer]));
    });
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
  });
  server.on('close', () => {
    for (const session of sessions) session.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

function route(api: FakeApi, annotations: Record<string, string> = {}): void {
  const externalAuth = { protocol: 'GRPC', backendRef: { name: 'auth', port: 9000 }, grpc: {} };
  api.put('HTTPRoute', {
    metadata: { name: 'r', namespace: 'web', annotations },
    spec: {
      parentRefs: [{ name: 'gw' }],
      rules: [{ filters: [{ type: 'ExternalAuth', externalAuth }], backendRefs: [{ name: 'app', port: 80 }] }],
    },
  });
}

function said(api: FakeApi): string {
  const status = api.get('HTTPRoute', 'web', 'r')?.['status'] as {
    parents?: { conditions: { type: string; status: string; reason: string }[] }[];
  };
  return (status?.parents ?? [])
    .flatMap(({ conditions }) => conditions.map((c) => `${c.type}=${c.status} ${c.reason}`))
    .join(', ');
}

function server(api: FakeApi, port: number, ca: string): void {
  api.put('Service', { metadata: { name: 'auth', namespace: 'web' }, spec: { ports: [{ name: 'grpc', port: 9000 }] } });
  api.put('EndpointSlice', {
    metadata: { name: 'auth-1', namespace: 'web', labels: { 'kubernetes.io/service-name': 'auth' } },
    addressType: 'IPv4',
    ports: [{ name: 'grpc', port, protocol: 'TCP' }],
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
  });
  api.put('ConfigMap', { metadata: { name: 'ca', namespace: 'web' }, data: { 'ca.crt': ca } });
  api.put('BackendTLSPolicy', {
    metadata: { name: 'auth', namespace: 'web' },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: 'auth' }],
      validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }], hostname: 'auth.internal' },
    },
  });
}

test('in a cluster, by gRPC over TLS: not there, there, gone; and what is said of it', async (t) => {
  const ca = authority('Auth');
  const auth = await grpcServer(t, leaf(ca, ['auth.internal']));
  const { api, url, port } = await clusterSite(t);
  route(api);
  const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', kubeconfig(t, url)]);
  t.after(() => rauta.stop());
  const ask = (token: string): ReturnType<typeof get> =>
    get(port, '/', { authorization: `Bearer ${token}`, 'x-user': 'mallory' });
  await when(api, () => said(api) === 'Accepted=True Accepted, ResolvedRefs=False BackendNotFound');
  assert.equal((await ask('good')).status, 500);

  server(api, auth.port, pem('CERTIFICATE', ca.der));
  await when(api, () => said(api) === 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');
  const { answer: served } = await until(
    () => ask('good'),
    ({ status }) => status === 200,
  );
  assert.equal(JSON.parse(served.body).headers['x-user'], 'alice');
  assert.equal((await ask('bad')).status, 403);
  assert.match((await rauta.ask('/metrics')).body, /^rauta_external_auth_total\{verdict="denied"\} 1$/m);
  const explained = (await rauta.ask(`/explain?method=GET&url=${encodeURIComponent(`http://127.0.0.1:${port}/`)}`))
    .body;
  assert.match(
    explained,
    /asks web\/auth:9000 by gRPC \(ext_authz\) whether it may go on; when that fails it is answered 403/,
  );

  auth.server.close();
  const { answer: failed } = await until(
    () => ask('good'),
    ({ status }) => status === 403,
  );
  assert.equal(failed.body, 'authorization failed\n');
  route(api, { 'rauta.io/external-auth-failure': 'open' });
  const { answer: open } = await until(
    () => ask('good'),
    ({ status }) => status === 200,
  );
  assert.equal(JSON.parse(open.body).headers['x-user'], 'mallory', 'a server of gRPC names nothing that is its alone');
  assert.equal(await rauta.stop(), 0);
  for (const line of [/"status":403,"flags":"UAEX".*"auth":"denied"/, /"status":200,.*"auth":"allowed"/])
    assert.match(rauta.access, line);
  assert.match(rauta.access, /"status":403,"flags":"UAEX".*"auth":"failed"/);
});
