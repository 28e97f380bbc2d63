// The whole program with resources from an API server: traffic flows, changes arrive, an absent server is waited for,
// one that goes away takes nothing with it.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { defineKinds, FakeApi, GATEWAY_API } from '../kubernetes/fake-api.ts';
import { kubeconfig, route, site, when } from '../kubernetes/site.ts';
import { assertUntold, formsOfSecrets, seenOf } from './leaks.ts';
import { backend, childrenOf, freePort, get, Load, Rauta, until } from './support.ts';

async function fakeApi(): Promise<{ api: FakeApi; url: string }> {
  const api = new FakeApi();
  defineKinds(api);
  return { api, url: await api.listen() };
}

test('serves what the API server holds, follows it, and goes on without it', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const { api, url } = await fakeApi();
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
  // From the event to the ack of all workers, by stage.
  const { body: metrics } = (
    await until(
      () => rauta.ask('/metrics') as ReturnType<typeof get>,
      ({ body }) => /rauta_propagation_seconds_count\{stage="total"\} 1\n/.test(body),
    )
  ).answer;
  for (const stage of ['gathered', 'translated', 'acked'])
    assert.match(metrics, new RegExp(`rauta_propagation_seconds_bucket\\{stage="${stage}",le="\\+Inf"\\} 1\n`));
  assert.match(metrics, /rauta_kubernetes_requests_total\{verb="watch",kind="HTTPRoute",code="200"\} [1-9]/);
  assert.match(metrics, /rauta_kubernetes_synced\{kind="Gateway"\} 1\n/);
  assert.equal(api.requests[0]?.headers.authorization, 'Bearer secret-token');

  await api.close();
  for (let i = 0; i < 20; i++) assert.equal((await get(port, '/two')).status, 200);
  assert.equal((await rauta.ask('/readyz')).status, 200);
  route(api, '/one');
  await api.listen();
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 200,
  );
  assert.equal((await get(port, '/two')).status, 404);
});

test('the leader fills the Secret of --keys-secret, its volume is read when it follows, and no key is said', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const { api, url } = await fakeApi();
  t.after(() => api.close());
  site(api, port, app.port);
  api.put('Secret', { metadata: { name: 'rauta-keys', namespace: 'web' } });
  const volume = mkdtempSync(join(tmpdir(), 'rauta-volume-'));
  t.after(() => rmSync(volume, { recursive: true }));
  const file = join(volume, 'keys');
  const state = join(volume, 'state');
  const rauta = await Rauta.start({}, [
    ...['--kubernetes', '--kubeconfig', kubeconfig(t, url), '--lease', 'web/rauta'],
    ...['--keys-file', file, '--keys-secret', 'web/rauta-keys', '--state-file', state],
  ]);
  t.after(() => rauta.stop());
  await rauta.said('Secret web/rauta-keys: keys are kept in it from now on');
  const data = api.get('Secret', 'web', 'rauta-keys')?.['data'] as { keys: string };
  // As the kubelet does it.
  writeFileSync(`${file}.new`, Buffer.from(data.keys, 'base64'));
  renameSync(`${file}.new`, file);
  await rauta.said('keys read after all');
  const lines = Buffer.from(data.keys, 'base64').toString().trim().split('\n');
  assert.equal(lines.length, 2);
  const shown = JSON.stringify(rauta.log);
  for (const line of lines) assert.ok(!shown.includes(line) && !shown.includes(data.keys));
  const seen = await seenOf(rauta);
  seen.set('log', Buffer.from(rauta.text()));
  seen.set('state', readFileSync(state));
  const text = Buffer.from(data.keys, 'base64').toString();
  assertUntold(seen, 'the keys', text, formsOfSecrets(text));
});

const parents = (api: FakeApi): { conditions: Record<string, unknown>[] }[] =>
  ((api.get('HTTPRoute', 'web', 'r')?.['status'] as { parents?: never } | undefined)?.parents ?? []) as never;
const conditions = (list: unknown): Record<string, string> =>
  Object.fromEntries(
    ((list ?? []) as Record<string, string>[]).map((c) => [c['type'] as string, `${c['status']} ${c['reason']}`]),
  );
interface Left {
  readonly status: { readonly parents: unknown[] };
}
const holder = (api: FakeApi): string =>
  String(
    (api.get('Lease', 'team', 'gateway')?.['spec'] as Record<string, unknown> | undefined)?.['holderIdentity'] ?? '',
  );

test('statuses and Events are written by one of two, and by the other when the first has ended', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const { api, url } = await fakeApi();
  t.after(() => api.close());
  site(api, port, app.port);
  // An earlier program spoke of it; it was given to another Gateway when nobody was there.
  const entry = (name: string): object => ({ parentRef: { name: 'gw' }, controllerName: name, conditions: [] });
  api.put('HTTPRoute', {
    metadata: { name: 'left', namespace: 'web' },
    spec: { parentRefs: [{ name: 'theirs' }], rules: [{}] },
    status: { parents: [entry('rauta.io/gateway-controller'), entry('example.com/other')] },
  });
  const args = ['--kubernetes', '--kubeconfig', kubeconfig(t, url), '--lease', 'team/gateway'];
  const first = await Rauta.start({}, args);
  t.after(() => first.stop());
  await when(api, () => parents(api).length === 1);
  const left = (): unknown[] => (api.get('HTTPRoute', 'web', 'left') as unknown as Left).status.parents;
  await when(api, () => left().length === 1);
  assert.deepEqual(left(), [entry('example.com/other')]);
  const gateway = (): Record<string, unknown> => (api.get('Gateway', 'web', 'gw')?.['status'] ?? {}) as never;
  await when(api, () => conditions(gateway()['conditions'])['Programmed'] === 'True Programmed');
  assert.deepEqual(gateway()['addresses'], [{ type: 'IPAddress', value: '127.0.0.1' }]);
  assert.deepEqual(conditions(parents(api)[0]?.conditions), {
    Accepted: 'True Accepted',
    ResolvedRefs: 'True ResolvedRefs',
  });
  const classStatus = api.get('GatewayClass', '', 'rauta')?.['status'] as Record<string, unknown>;
  assert.equal(conditions(classStatus['conditions'])['Accepted'], 'True Accepted');

  const second = await Rauta.start({}, [...args, '--listen', '127.0.0.2']);
  t.after(() => second.stop());
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 200,
  );
  const led = holder(api);
  const page = async (rauta: Rauta): Promise<{ leads: boolean }> =>
    JSON.parse((await rauta.ask('/kubernetes')).body).leader;
  assert.deepEqual([(await page(first)).leads, (await page(second)).leads], [true, false]);
  assert.equal(await first.metric('rauta_leader'), 1);

  api.delete('Service', 'web', 'app');
  await when(api, () => conditions(parents(api)[0]?.conditions)['ResolvedRefs'] === 'False BackendNotFound');
  await when(api, () => api.all('Event').some((e) => e['reason'] === 'BackendNotFound'));
  assert.deepEqual(
    api
      .all('Event')
      .filter((e) => e['type'] === 'Warning')
      .map((e) => (e['regarding'] as { name: string }).name),
    ['r'],
  );

  await first.stop();
  await when(api, () => holder(api) !== '' && holder(api) !== led);
  api.put('Service', { metadata: { name: 'app', namespace: 'web' }, spec: { ports: [{ name: 'http', port: 80 }] } });
  await when(api, () => conditions(parents(api)[0]?.conditions)['ResolvedRefs'] === 'True ResolvedRefs');
});

test('a controller that dies while the API server is away takes nothing with it, and its program still leads', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const { api, url } = await fakeApi();
  t.after(() => api.close());
  site(api, port, app.port);
  const config = kubeconfig(t, url);
  const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', config, '--lease', 'team/gateway']);
  t.after(() => rauta.stop());
  await until(
    () => get(port, '/one'),
    (answer) => answer.status === 200,
  );
  await when(api, () => parents(api).length === 1);
  const led = holder(api);
  await api.close();
  const load = new Load(port, '/one', 2);
  const child = childrenOf(rauta.process.pid as number).find((c) => c.command.includes('controller'));
  // Its successor finds no kubeconfig either: it says so, and waits for one.
  renameSync(config, `${config}.away`);
  process.kill(child?.pid as number, 'SIGKILL');
  await rauta.said((line) => /^--kubernetes: .*ENOENT/.test(line.message));
  renameSync(`${config}.away`, config);
  await until(
    () => rauta.ask('/kubernetes').catch(() => ({ status: 0, body: '' })) as ReturnType<typeof get>,
    (answer) => /"waiting": ?"GatewayClass: Unreachable/.test(answer.body),
  );
  assert.equal((await rauta.ask('/readyz')).status, 200, 'workers serve');
  route(api, '/two');
  await api.listen();
  await until(
    () => get(port, '/two'),
    (answer) => answer.status === 200,
  );
  const { 200: good, 404: gone, ...lost } = await load.stop();
  assert.ok((good ?? 0) > 0);
  assert.deepEqual(lost, {}, `besides ${good} good ones and ${gone} after the route had changed`);
  await when(api, () => parents(api).length === 1 && api.requests.some((r) => r.method === 'PATCH'));
  assert.equal(holder(api), led);
});

test('a leader that stood still writes nothing when it goes on', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const { api, url } = await fakeApi();
  t.after(() => api.close());
  site(api, port, app.port);
  const start = async (token: string, listen: string): Promise<Rauta> => {
    const config = kubeconfig(t, url, token);
    const args = ['--kubernetes', '--kubeconfig', config, '--lease', 'team/gateway', '--listen', listen];
    const rauta = await Rauta.start({}, args);
    t.after(() => rauta.stop());
    return rauta;
  };
  const writesOf = (token: string): number =>
    api.requests.filter(
      (r) => r.headers.authorization === `Bearer ${token}` && (r.method === 'PATCH' || /events$/.test(r.path)),
    ).length;
  const resolved = (): string => conditions(parents(api)[0]?.conditions)['ResolvedRefs'] ?? '';
  const first = await start('first', '127.0.0.1');
  await when(api, () => resolved() === 'True ResolvedRefs');
  const led = holder(api);
  await start('second', '127.0.0.2');
  const controller = childrenOf(first.process.pid as number).find((c) => c.command.includes('controller'))
    ?.pid as number;
  process.kill(controller, 'SIGSTOP');
  api.delete('Service', 'web', 'app');
  // Nobody may write before the lease has run out; then the other one does.
  await when(api, () => resolved() === 'False BackendNotFound');
  assert.notEqual(holder(api), led);
  const [before, others] = [writesOf('first'), writesOf('second')];
  assert.ok(others > 0);
  process.kill(controller, 'SIGCONT');
  await first.said('does not lead any more');
  api.put('Service', { metadata: { name: 'app', namespace: 'web' }, spec: { ports: [{ name: 'http', port: 80 }] } });
  await when(api, () => resolved() === 'True ResolvedRefs');
  assert.equal(writesOf('first'), before);
  assert.ok(writesOf('second') > others);
});

test('HTTPS with a certificate from a Secret: there from the first revision, and renewed', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const ca = authority('test');
  const { api, url } = await fakeApi();
  t.after(() => api.close());
  site(api, port, app.port);
  const put = (): string => {
    const { der, keyDer } = leaf(ca, ['a.example']);
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const data = { 'tls.crt': base64(pem('CERTIFICATE', der)), 'tls.key': base64(pem('PRIVATE KEY', keyDer)) };
    api.put('Secret', { metadata: { name: 'cert', namespace: 'web' }, type: 'kubernetes.io/tls', data });
    return new X509Certificate(der).serialNumber;
  };
  const first = put();
  api.put('Secret', { metadata: { name: 'other', namespace: 'web' }, type: 'Opaque', data: {} });
  api.put('Gateway', {
    metadata: { name: 'gw', namespace: 'web' },
    spec: {
      gatewayClassName: 'rauta',
      listeners: [
        { name: 'https', port, protocol: 'HTTPS', hostname: 'a.example', tls: { certificateRefs: [{ name: 'cert' }] } },
      ],
    },
  });
  const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', kubeconfig(t, url)]);
  t.after(() => rauta.stop());
  await until(
    () => rauta.ask('/readyz') as ReturnType<typeof get>,
    (answer) => answer.status === 200,
  );
  const serial = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(
        { port, host: '127.0.0.1', servername: 'a.example', ca: pem('CERTIFICATE', ca.der) },
        () => {
          resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
          socket.destroy();
        },
      );
      socket.on('error', reject);
    });
  assert.equal(await serial(), first);
  const second = put();
  while ((await serial()) !== second);
  const asked = api.requests
    .filter((r) => r.path.includes('/secrets'))
    .map((r) => `${r.path} ${r.query.get('fieldSelector')}`);
  assert.deepEqual([...new Set(asked)], ['/api/v1/namespaces/web/secrets metadata.name=cert']);
});

test('without an API server it starts, says what it waits for, and serves when there is one', async (t) => {
  const app = await backend('app');
  const port = await freePort();
  const { api, url } = await fakeApi();
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
  await api.listen();
  await until(
    () => rauta.ask('/readyz') as ReturnType<typeof get>,
    (answer) => answer.status === 200,
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
