// The whole program with resources from an API server: traffic flows, changes arrive, an absent server is waited for, one
// that goes away takes nothing with it.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { defineKinds, FakeApi, GATEWAY_API } from '../kubernetes/fake-api.ts';
import { backend, freePort, get, Rauta, until } from './support.ts';

function kubeconfig(t: { after(done: () => void): void }, server: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-kube-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'config');
  writeFileSync(
    file,
    `apiVersion: v1
kind: Config
current-context: test
clusters: [{ name: fake, cluster: { server: '${server}' } }]
users: [{ name: me, user: { token: secret-token } }]
contexts: [{ name: test, context: { cluster: fake, user: me } }]
`,
  );
  return file;
}

function site(api: FakeApi, port: number, backendPort: number): void {
  api.put('Namespace', { metadata: { name: 'web' } });
  api.put('GatewayClass', { metadata: { name: 'rauta' }, spec: { controllerName: 'rauta.io/gateway-controller' } });
  api.put('Gateway', {
    metadata: { name: 'gw', namespace: 'web' },
    spec: { gatewayClassName: 'rauta', listeners: [{ name: 'http', port, protocol: 'HTTP' }] },
  });
  api.put('Service', {
    metadata: { name: 'app', namespace: 'web' },
    spec: { ports: [{ name: 'http', port: 80, targetPort: backendPort }] },
  });
  api.put('EndpointSlice', {
    metadata: { name: 'app-1', namespace: 'web', labels: { 'kubernetes.io/service-name': 'app' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: backendPort, protocol: 'TCP' }],
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
  });
  route(api, '/one');
}

function route(api: FakeApi, path: string): void {
  api.put('HTTPRoute', {
    metadata: { name: 'r', namespace: 'web' },
    spec: {
      parentRefs: [{ name: 'gw' }],
      rules: [{ matches: [{ path: { type: 'PathPrefix', value: path } }], backendRefs: [{ name: 'app', port: 80 }] }],
    },
  });
}

/** With its place, where it may stand again after it was gone. */
async function fakeApi(): Promise<{ api: FakeApi; url: string; port: number }> {
  const api = new FakeApi();
  defineKinds(api);
  const url = await api.listen();
  return { api, url, port: Number(new URL(url).port) };
}

test('serves what the API server holds, follows it, and goes on without it', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const { api, url, port: apiPort } = await fakeApi();
  t.after(() => api.close());
  site(api, port, app.port);
  const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', kubeconfig(t, url)]);
  t.after(() => rauta.stop());
  await until(
    () => rauta.ask('/readyz') as ReturnType<typeof get>,
    (answer) => answer.status === 200,
  );
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 200 && answer.headers['x-backend'] === 'app',
  );
  assert.equal((await get(port, '/two')).status, 404);
  route(api, '/two');
  await until(
    () => get(port, '/two'),
    (answer) => answer.status === 200,
  );
  assert.equal((await get(port, '/one')).status, 404);

  const page = JSON.parse((await rauta.ask('/kubernetes')).body);
  assert.equal(page.waiting, null);
  assert.deepEqual(
    page.kinds
      .filter((k: { kind: string }) => k.kind === 'HTTPRoute')
      .map((k: Record<string, unknown>) => [k['apiVersion'], k['synced'], k['objects']]),
    [[GATEWAY_API, true, 1]],
  );
  const metrics = (await rauta.ask('/metrics')).body;
  assert.match(metrics, /rauta_kubernetes_requests_total\{verb="watch",kind="HTTPRoute",code="200"\} 1\n/);
  assert.match(metrics, /rauta_kubernetes_synced\{kind="Gateway"\} 1\n/);
  assert.equal(api.requests[0]?.headers.authorization, 'Bearer secret-token');

  await api.close();
  for (let i = 0; i < 20; i++) assert.equal((await get(port, '/two')).status, 200);
  assert.equal((await rauta.ask('/readyz')).status, 200);
  route(api, '/one');
  await api.listen(apiPort);
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 200,
    60_000,
  );
  assert.equal((await get(port, '/two')).status, 404);
});

test('without an API server it starts, says what it waits for, and serves when there is one', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const { api, url, port: apiPort } = await fakeApi();
  t.after(() => api.close());
  site(api, port, app.port);
  await api.close();
  const rauta = Rauta.spawn({}, ['--kubeconfig', kubeconfig(t, url)], { RAUTA_K8S_MODE: 'true' });
  t.after(() => rauta.stop());
  rauta.admin = (await rauta.said('admin server'))['port'] as number;
  await until(
    () => rauta.ask('/readyz') as ReturnType<typeof get>,
    (answer) => answer.status === 503 && /^waiting for GatewayClass: Unreachable: /.test(answer.body),
  );
  await api.listen(apiPort);
  await until(
    () => rauta.ask('/readyz') as ReturnType<typeof get>,
    (answer) => answer.status === 200,
    60_000,
  );
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 200,
  );
});

test('a kubeconfig that cannot be used ends the start with a sentence', async (t) => {
  const file = kubeconfig(t, 'ftp://nowhere');
  const rauta = Rauta.spawn({}, ['--kubernetes', '--kubeconfig', file]);
  assert.equal(await rauta.exited, 1);
  assert.match(rauta.text(), /cluster 'fake': ftp:\/\/ is neither https nor http/);
});
