// The whole program from files to bytes: as a user starts it, asks it, changes it, breaks it, stops it.

import assert from 'node:assert/strict';
import { renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { backend, backendYaml, freePort, gateway, get, Load, Rauta, routeYaml, until } from './support.ts';

test('serves what the files say, and says so', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
  });
  const answer = await get(port, '/hello?x=1', {
    host: 'any.example',
    'x-forwarded-for': '6.6.6.6',
    'x-request-id': 'mine',
  });
  assert.equal(answer.status, 200);
  const seen = JSON.parse(answer.body);
  assert.equal(seen.path, '/hello?x=1');
  assert.equal(seen.headers.host, 'any.example');
  assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1');
  assert.match(seen.headers['x-request-id'], /^[0-9a-f]{8}-[0-9a-f]{4}-7/);

  assert.equal((await rauta.ask('/readyz')).status, 200);
  await until(
    async () => (await rauta.ask('/metrics')) as never,
    (a) => /rauta_requests_total\{route="default\/app",kind="HTTPRoute",method="GET",code="200"\} 1\n/.test(a.body),
  );
  await until(
    () => rauta.ask('/requests') as never,
    (a) => a.body.includes('GET /hello 200'),
  );
  const [line] = JSON.parse((await rauta.ask('/requests', { accept: 'application/json' })).body);
  assert.equal(line.route, 'default/app');
  assert.equal(line.gateway, 'default/web');
  assert.equal(line.endpoint, `127.0.0.1:${app.port}`);
  const config = JSON.parse((await rauta.ask('/config')).body);
  const route = config.objects.find((o: { kind: string }) => o.kind === 'HTTPRoute');
  assert.equal(route.status.parents[0].conditions.find((c: { type: string }) => c.type === 'Accepted').status, 'True');
  const web = config.objects.find((o: { kind: string }) => o.kind === 'Gateway');
  assert.equal(web.status.conditions.find((c: { type: string }) => c.type === 'Programmed').status, 'True');
  assert.equal(JSON.parse((await rauta.ask('/clusters')).body)[0].endpoints[0].requests, 1);
  assert.equal(await rauta.stop(), 0);
  assert.equal(JSON.parse(rauta.access.split('\n')[0] as string).path, '/hello');
});

test('redirects speak of the port as the Gateway writes it, whatever it is mapped to', async () => {
  const port = await freePort();
  const redirect = (name: string, filter: string): string => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ name: web }]
  rules:
    - matches: [{ path: { value: /${name} } }]
      filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 301, ${filter} } }]
---
`;
  const gateways = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  listeners:
    - { name: plain, port: 80, protocol: HTTP, hostname: plain.example }
    - { name: other, port: 8080, protocol: HTTP, hostname: other.example }
---
`;
  const routes =
    redirect('host', 'hostname: new.example') +
    redirect('scheme', 'scheme: https') +
    redirect('port', 'port: 8443') +
    redirect('both', 'scheme: https, port: 8443');
  const rauta = await Rauta.start({ 'a.yaml': gateways + routes }, ['--port-map', `80=${port},8080=${port}`]);
  const expected = {
    'plain.example/host': 'http://new.example/host',
    'plain.example/scheme': 'https://plain.example/scheme',
    'plain.example/port': 'http://plain.example:8443/port',
    'plain.example/both': 'https://plain.example:8443/both',
    'other.example/host': 'http://new.example:8080/host',
    'other.example/scheme': 'https://other.example/scheme',
    'other.example/port': 'http://other.example:8443/port',
    'other.example/both': 'https://other.example:8443/both',
  };
  for (const [from, to] of Object.entries(expected)) {
    const [host = '', path] = from.split('/');
    const answer = await get(port, `/${path}`, { host });
    assert.deepEqual([answer.status, answer.headers['location']], [301, to], from);
  }
  assert.equal(await rauta.stop(), 0);
});

test('an edited route changes traffic under load without one failed request', async () => {
  const port = await freePort();
  const [one, two] = [await backend('one'), await backend('two')];
  const backends = backendYaml('one', one.port) + backendYaml('two', two.port);
  const rauta = await Rauta.start({
    'base.yaml': gateway(port) + backends,
    'route.yaml': routeYaml('app', '/', 'one'),
  });
  const load = new Load(port, '/x', 16);
  for (let i = 0; i < 10; i++) {
    const to = i % 2 === 0 ? 'two' : 'one';
    // As editors do: a new file over the old one.
    writeFileSync(join(rauta.folder, '.route.tmp'), routeYaml('app', '/', to));
    renameSync(join(rauta.folder, '.route.tmp'), join(rauta.folder, 'route.yaml'));
    await until(
      () => get(port, '/x'),
      (a) => a.headers['x-backend'] === to,
    );
  }
  const counts = await load.stop();
  assert.deepEqual(Object.keys(counts), ['200'], JSON.stringify(counts));
  assert.equal(await rauta.stop(), 0);
});

test('a broken file beside good ones is named with its place and harms nobody', async () => {
  const port = await freePort();
  const app = await backend('app');
  const good = gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port);
  const rauta = await Rauta.start({ 'good.yaml': good, 'bad.yaml': 'kind: HTTPRoute\n  oops: [\n' });
  assert.equal((await get(port, '/')).status, 200);
  const problems = JSON.parse((await rauta.ask('/config/problems')).body);
  const bad = problems.find((p: { place: { file?: string } }) => p.place.file?.endsWith('bad.yaml'));
  assert.ok(bad !== undefined, JSON.stringify(problems));
  assert.equal(bad.severity, 'error');
  assert.equal(typeof bad.place.line, 'number');
  assert.equal(typeof bad.place.column, 'number');
  await rauta.said((line) => String(line['file']).endsWith('bad.yaml') && line.level === 'error');
  assert.ok((await rauta.metric('rauta_config_problems')) >= 1);

  rauta.write('good.yaml', `${good}\n---\n{`);
  await until(
    async () => (await rauta.ask('/config/problems')) as never,
    (a) => a.body.includes('good.yaml'),
  );
  assert.equal((await get(port, '/')).status, 200, 'a file that no longer parses keeps what it last said');
  unlinkSync(join(rauta.folder, 'bad.yaml'));
  rauta.write('good.yaml', good);
  await until(
    async () => (await rauta.ask('/config/problems')) as never,
    (a) => a.body.trim() === '[]',
  );
  assert.equal(await rauta.stop(), 0);
});

test('a port that is taken is a problem of that listener only, and is retried', async () => {
  const [port, taken] = [await freePort(), await freePort()];
  const app = await backend('app');
  const { createServer } = await import('node:net');
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(taken, '127.0.0.1', resolve));
  const both = gateway(port).replace('---\n', `    - { name: other, port: ${taken}, protocol: HTTP }\n---\n`);
  const rauta = await Rauta.start({ 'a.yaml': both + routeYaml('app', '/', 'app') + backendYaml('app', app.port) });
  assert.equal((await get(port, '/')).status, 200);
  const [problem, ...others] = JSON.parse((await rauta.ask('/config/problems')).body);
  assert.deepEqual(others, []);
  assert.match(problem.message, /Gateway default\/web, listener other: .*EADDRINUSE/);
  assert.equal(problem.place.object, 'Gateway/default/web');
  assert.equal(problem.place.field, 'spec.listeners[1].port');
  assert.ok(problem.place.file.endsWith('a.yaml') && problem.place.line === 8, JSON.stringify(problem.place));
  assert.match((await rauta.ask('/readyz')).body, /Gateway default\/web, listener other: /);
  assert.equal((await rauta.ask('/readyz')).status, 200, 'a neighbour serves');
  assert.deepEqual(await programmed(rauta), {
    http: 'True Accepted, True Programmed',
    other: 'False PortUnavailable, False PortUnavailable',
  });
  await new Promise<void>((resolve) => blocker.close(() => resolve()));
  const { answer } = await until(
    () => get(taken, '/').catch(() => ({ status: 0, body: '', headers: {} })),
    (a) => a.status === 200,
  );
  assert.equal(answer.status, 200);
  await until(
    async () => (await rauta.ask('/config/problems')) as never,
    (a) => a.body.trim() === '[]',
  );
  const good = 'True Accepted, True Programmed';
  assert.deepEqual(await programmed(rauta), { http: good, other: good });
  assert.equal((await rauta.ask('/readyz')).body, 'ok\n');
  assert.equal(await rauta.stop(), 0);
});

test('an address that is not of this machine is not usable, and the others serve', async () => {
  const port = await freePort();
  const app = await backend('app');
  const there = gateway(port).replace(
    '  listeners',
    '  addresses: [{ value: 192.0.2.77 }, { value: 127.0.0.1 }]\n  listeners',
  );
  const rauta = await Rauta.start({ 'a.yaml': there + routeYaml('app', '/', 'app') + backendYaml('app', app.port) });
  assert.equal((await get(port, '/')).status, 200);
  assert.deepEqual(await programmed(rauta), { http: 'True Accepted, False AddressNotUsable' });
  assert.match((await rauta.ask('/readyz')).body, /listener http: Cannot listen on 192\.0\.2\.77:\d+: EADDRNOTAVAIL/);
  assert.equal(await rauta.stop(), 0);
});

/** Accepted and Programmed of each listener of Gateway web. */
async function programmed(rauta: Rauta): Promise<Record<string, string>> {
  type Conditions = { readonly type: string; readonly status: string; readonly reason: string }[];
  const { objects } = JSON.parse((await rauta.ask('/config')).body);
  const { status } = objects.find((o: { kind: string }) => o.kind === 'Gateway');
  const said = (conditions: Conditions): string =>
    ['Accepted', 'Programmed']
      .map((type) => conditions.find((c) => c.type === type))
      .map((c) => `${c?.status} ${c?.reason}`)
      .join(', ');
  return Object.fromEntries(
    status.listeners.map((l: { name: string; conditions: Conditions }) => [l.name, said(l.conditions)]),
  );
}

test('stops with exit code 3 when nothing can be bound, 2 on usage, 1 on configuration', async () => {
  const taken = await freePort();
  const { createServer } = await import('node:net');
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(taken, '127.0.0.1', resolve));
  assert.equal(await Rauta.spawn({ 'a.yaml': gateway(taken) }).exited, 3);
  assert.equal(await Rauta.spawn({ 'a.yaml': gateway(taken) }, ['--admin', `127.0.0.1:${taken}`]).exited, 3);
  await new Promise<void>((resolve) => blocker.close(() => resolve()));
  assert.equal(await Rauta.spawn({}, ['--confg', 'x']).exited, 2);
  assert.equal(await Rauta.spawn({ 'a.yaml': '' }, [], { RAUTA_TLS_CERT: 'x' }).exited, 2);
});

test('drains: readiness fails, keep-alive answers say close, what is in flight ends, exit 0', async () => {
  const port = await freePort();
  let release: () => void = () => {};
  const slow = await backend('slow', (request, response) => {
    if (request.url !== '/slow') response.end('fast');
    else release = (): void => void response.end('done');
  });
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'slow') + backendYaml('slow', slow.port) },
    ['--drain-delay', '500ms'],
  );
  const inFlight = get(port, '/slow');
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  assert.equal((await get(port, '/fast', {}, { agent: kept })).headers.connection, undefined);
  await until(
    async () => ({ status: await rauta.metric('rauta_requests_active'), body: '', headers: {} }),
    (a) => a.status === 1,
  );
  rauta.process.kill('SIGTERM');
  await rauta.said('draining');
  const { answer } = await until(
    async () => (await rauta.ask('/readyz')) as never,
    (a) => a.status === 503,
  );
  assert.match(answer.body, /draining/);
  // Kept connections are moved while the door is open.
  await until(
    () => get(port, '/fast', {}, { agent: kept }),
    (a) => a.headers.connection === 'close',
  );
  assert.equal((await get(port, '/fast')).status, 200, 'new connections are served during the delay');
  await until(
    () =>
      get(port, '/fast').then(
        () => ({ status: 1, body: '', headers: {} }),
        () => ({ status: 0, body: '', headers: {} }),
      ),
    (a) => a.status === 0,
  );
  release();
  assert.deepEqual((await inFlight).body, 'done');
  assert.equal(await rauta.exited, 0);
  await rauta.stop();
});

test('environment mode: a backend address alone makes a proxy', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({}, [], {
    RAUTA_BIND_ADDR: `127.0.0.1:${port}`,
    RAUTA_BACKEND_ADDR: `127.0.0.1:${app.port}`,
  });
  const answer = await get(port, '/any/path', { host: 'x.example' }, { method: 'POST', body: 'hello' });
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.body).method, 'POST');
  assert.equal(await rauta.stop(), 0);
});

test('each Gateway gets an address of its own out of the pool', async () => {
  const port = await freePort();
  const [one, two] = [await backend('one'), await backend('two')];
  const second = (text: string): string => text.replaceAll('name: web', 'name: web2');
  const rauta = await Rauta.start(
    {
      'a.yaml': gateway(port) + routeYaml('one', '/', 'one') + backendYaml('one', one.port),
      'b.yaml': second(gateway(port)) + second(routeYaml('two', '/', 'two')) + backendYaml('two', two.port),
    },
    ['--address-pool', '127.0.8.0/29'],
  );
  const { objects } = JSON.parse((await rauta.ask('/config')).body);
  const addressOf = (name: string): string =>
    objects.find((o: { kind: string; metadata: { name: string } }) => o.kind === 'Gateway' && o.metadata.name === name)
      .status.addresses[0].value;
  assert.notEqual(addressOf('web'), addressOf('web2'));
  for (const [name, expected] of [
    ['web', 'one'],
    ['web2', 'two'],
  ] as const) {
    const response = await fetch(`http://${addressOf(name)}:${port}/x`);
    assert.equal(response.headers.get('x-backend'), expected);
  }
  assert.equal(await rauta.stop(), 0);
});

test('a Backend that names the admin server gets no connection: its pages are not to be had through the proxy', async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const files = { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', admin) };
  const rauta = await Rauta.start(files, ['--admin', `127.0.0.1:${admin}`]);
  const host = { host: 'localhost' };
  assert.equal((await get(admin, '/config', host)).status, 200);
  assert.equal((await get(port, '/config', host)).status, 503);
  await rauta.stop();
});
