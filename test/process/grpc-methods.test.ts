// Calls of gRPC by method in /metrics: from a GRPCRoute and an HTTPRoute of a file, of two workers, over the death of
// one and of the controller, and over a reload.

import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { childrenOf, freePort, get, Rauta, until } from './support.ts';

/** `/shop.Cart/Add` ends with 0, `/shop.Cart/Pay` with 9; nothing else is there. */
async function shop(t: TestContext): Promise<number> {
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream, fields) => {
    const code = { '/shop.Cart/Add': '0', '/shop.Cart/Pay': '9' }[String(fields[':path'])];
    stream.on('error', () => {});
    stream.resume();
    stream.on('end', () => {
      const type = { 'content-type': 'application/grpc' };
      if (code === undefined) {
        stream.respond({ ...type, 'grpc-status': '12' }, { endStream: true });
        return;
      }
      stream.respond(type, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': code }));
      stream.end(Buffer.alloc(5));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function siteYaml(ports: readonly [number, number], app: number): string {
  const route = (kind: string, section: string): string => `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: by-${section} }
spec:
  parentRefs: [{ name: web, sectionName: ${section} }]
  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: app }] }]
---
`;
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  listeners:
    - { name: http, port: ${ports[0]}, protocol: HTTP }
    - { name: grpc, port: ${ports[1]}, protocol: HTTP }
---
apiVersion: rauta.io/v1alpha1
kind: Backend
metadata: { name: app }
spec: { appProtocol: kubernetes.io/h2c, endpoints: [{ address: 127.0.0.1, port: ${app} }] }
---
${route('HTTPRoute', 'http')}${route('GRPCRoute', 'grpc')}`;
}

/** One call on a connection of its own, so that each worker has some; the code that it ended with. */
async function call(port: number, path: string): Promise<string> {
  const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
  return new Promise((resolve, reject) => {
    let code = '';
    session.on('error', reject);
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' });
    const note = (fields: Record<string, unknown>): void => {
      if (typeof fields['grpc-status'] === 'string') code = fields['grpc-status'];
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('error', reject);
    stream.on('close', () => {
      session.close();
      resolve(code);
    });
    stream.resume();
    stream.end(Buffer.alloc(5));
  });
}

function countsIn(metrics: string): Record<string, number> {
  const found = metrics.matchAll(
    /^rauta_grpc_method_requests_total\{service="(.*)",method="(.*)",grpc_status="(\d+)"\} (\d+)$/gm,
  );
  return Object.fromEntries([...found].map(([, service, method, code, n]) => [`${service}/${method} ${code}`, +n!]));
}

/** Until this is what is counted: a client may have its answer a moment before the worker counts it. */
async function counted(rauta: Rauta, expected: Record<string, number>): Promise<void> {
  let metrics = '';
  await until(
    async () => {
      metrics = (await rauta.ask('/metrics').catch(() => ({ body: '' }))).body;
      return { status: Object.values(countsIn(metrics)).reduce((a, b) => a + b, 0), body: '', headers: {} };
    },
    ({ status }) => status === Object.values(expected).reduce((a, b) => a + b, 0),
  );
  assert.deepEqual(countsIn(metrics), expected);
}

test('calls by method outlive a worker, the controller and a reload, and are the same for both kinds of routes', async (t) => {
  const ports = [await freePort(), await freePort()] as const;
  const app = await shop(t);
  const rauta = await Rauta.start({ 'a.yaml': siteYaml(ports, app) }, ['--workers', '2']);
  for (let i = 0; i < 6; i++) {
    for (const port of ports) {
      assert.equal(await call(port, '/shop.Cart/Add'), '0');
      assert.equal(await call(port, '/shop.Cart/Pay'), '9');
      assert.equal(await call(port, `/made.Up${i}/M`), '12');
    }
  }
  await counted(rauta, { 'shop.Cart/Add 0': 12, 'shop.Cart/Pay 9': 12, 'other/other 12': 12 });
  const metrics = (await rauta.ask('/metrics')).body;
  assert.match(metrics, /^rauta_grpc_method_seconds_total\{service="shop\.Cart",method="Add"\} [\d.e-]+$/m);
  assert.match(metrics, /^rauta_grpc_requests_total\{route="default\/by-grpc",kind="GRPCRoute",grpc_status="0"\} 6$/m);

  const [worker] = await rauta.workers();
  process.kill((worker as { pid: number }).pid, 'SIGKILL');
  await rauta.said('worker died');
  const controller = childrenOf(rauta.process.pid as number).find(({ command }) => command.includes('controller'));
  process.kill((controller as { pid: number }).pid, 'SIGKILL');
  await rauta.said('controller died, traffic goes on');
  await until(
    () => get(rauta.admin, '/readyz').catch(() => ({ status: 0, body: '', headers: {} })),
    ({ status }) => status === 200,
  );
  assert.equal(await call(ports[1], '/shop.Cart/Add'), '0');
  await counted(rauta, { 'shop.Cart/Add 0': 13, 'shop.Cart/Pay 9': 12, 'other/other 12': 12 });

  // The route goes, and comes back by another name: what a method is called is not the route's.
  rauta.write('a.yaml', siteYaml(ports, app).replaceAll('by-grpc', 'anew'));
  await until(
    () => get(rauta.admin, '/config'),
    ({ body }) => body.includes('anew'),
  );
  assert.equal(await call(ports[1], '/shop.Cart/Add'), '0');
  await counted(rauta, { 'shop.Cart/Add 0': 14, 'shop.Cart/Pay 9': 12, 'other/other 12': 12 });
  assert.equal(await rauta.stop(), 0);
});
