// What the process tests find in an API server, and how they get there.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FakeApi } from './fake-api.ts';

/** A file that names the server, removed when the test ends. */
export function kubeconfig(t: { after(done: () => void): void }, server: string, token = 'secret-token'): string {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-kube-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'config');
  writeFileSync(
    file,
    `apiVersion: v1
kind: Config
current-context: test
clusters: [{ name: fake, cluster: { server: '${server}' } }]
users: [{ name: me, user: { token: ${token} } }]
contexts: [{ name: test, context: { cluster: fake, user: me } }]
`,
  );
  return file;
}

/** A Gateway with one route to one backend: what the process tests serve. */
export function site(api: FakeApi, port: number, backendPort: number): void {
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

export function route(api: FakeApi, path: string): void {
  api.put('HTTPRoute', {
    metadata: { name: 'r', namespace: 'web' },
    spec: {
      parentRefs: [{ name: 'gw' }],
      rules: [{ matches: [{ path: { type: 'PathPrefix', value: path } }], backendRefs: [{ name: 'app', port: 80 }] }],
    },
  });
}

/** Looks whenever the server was asked something. */
export function when(api: FakeApi, is: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (is()) resolve();
    };
    api.onRequest = () => setImmediate(look);
    look();
  });
}
