// Features "Default backend" and "Load Balancing" of the Ingress conformance suite: one scenario each, the first one
// with six examples.

import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ask, backend, becomes, heldPort, type Made, type Seen, Site, service } from '../gateway-api/site.ts';
import { byDefault, ingress, prefix } from './site.ts';

const port = heldPort();
/** `Server` is what ingress-nginx adds; RAUTA adds none, and passes a backend's on. */
function server(backend: string, incoming: IncomingMessage, response: ServerResponse): void {
  const { method = '', url: path = '', headers } = incoming;
  const body = JSON.stringify({ backend, method, path, headers, body: '' } satisfies Seen);
  const fields = { 'content-type': 'application/json', 'content-length': body.length, server: 'echo' };
  response.writeHead(200, { ...fields, 'x-backend': backend }).end(body);
  incoming.resume();
}

/** One pod for each who says who they are. */
const KEPT = 'nginx.ingress.kubernetes.io/upstream-hash-by';
let slices: readonly Made[] = [];
const site = new Site(async () => {
  const first = await backend('echo-service', server);
  const [own, ...slice] = service('echo-service', first);
  slices = slice;
  return [
    own as Made,
    ...slice,
    ingress('default-backend', {}, { spec: byDefault('echo-service') }),
    ingress('kept', { kept: [prefix('/', 'echo-service')] }, { annotations: { [KEPT]: '$http_x_user' } }),
  ];
}, ['--port-map', `80=${port}`]);

const EXAMPLES = [
  ['GET', 'my-host', ''],
  ['GET', 'my-host', 'sub-path'],
  ['POST', 'some-host', ''],
  // Without a host the suite asks for the address.
  ['PUT', '', 'resource'],
  ['DELETE', 'some-host', 'resource'],
  ['PATCH', 'my-host', 'resource'],
] as const;

for (const [method, host, path] of EXAMPLES) {
  test(`Default backend: no rules send all requests to it (${method} http://${host}/${path})`, async () => {
    const what = `${method} ${host === '' ? `127.0.0.1:${port}` : host}/${path}`;
    const { status, headers, seen } = await ask(port, what, { headers: { 'user-agent': 'Go-http-client/1.1' } });
    assert.equal(status, 200);
    assert.equal(seen?.backend, 'echo-service');
    assert.deepEqual([seen?.method, seen?.path], [method, `/${path}`]);
    assert.equal(seen?.headers['user-agent'], 'Go-http-client/1.1');
    for (const name of ['content-length', 'content-type', 'date', 'server'])
      assert.ok(headers[name] !== undefined, name);
  });
}

test('Load balancing: 100 requests reach all of 10 pods', async () => {
  const [slice] = slices as readonly [Made];
  const pods = await Promise.all(Array.from({ length: 10 }, (_, i) => backend(`pod-${i}`)));
  site.put(
    ...pods.map((target, i): Made => {
      const name = `echo-service-pod-${i}`;
      return { ...slice, metadata: { ...slice.metadata, name }, ports: [{ name: 'main', port: target }] };
    }),
  );
  site.remove(slice);
  await becomes(
    async () => (await ask(port, 'load-balancing')).seen?.backend.startsWith('pod-') ?? false,
    true,
    'scaled',
  );
  const seen = new Set<string>();
  for (let i = 0; i < 100; i++) {
    const { status, seen: by } = await ask(port, 'load-balancing');
    assert.equal(status, 200);
    seen.add(by?.backend ?? '');
  }
  assert.equal(seen.size, 10);
});

test('Beyond the suite: upstream-hash-by keeps who has a field in common at one pod, and all pods busy', async () => {
  const by = new Map<string, Set<string>>();
  for (let i = 0; i < 120; i++) {
    const user = `u${i % 40}`;
    const { status, seen } = await ask(port, 'kept', { headers: { 'x-user': user } });
    assert.equal(status, 200);
    by.set(user, (by.get(user) ?? new Set()).add(seen?.backend ?? ''));
  }
  for (const [user, pods] of by) assert.equal(pods.size, 1, user);
  assert.ok(new Set([...by.values()].flatMap((pods) => [...pods])).size >= 6);
});
