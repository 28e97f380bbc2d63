// Layer 4 by the whole program: sessions that outlive changes, a controller, and the program itself; the PROXY protocol
// with other programs that speak it.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { backend, backendYaml, childrenOf, freePort, gateway, get, Rauta, routeYaml, until } from './support.ts';

/** Of a route, under load. */
const CHANGES = 20;

function tcpGateway(port: number, annotations = ''): string {
  return gateway(port)
    .replace('protocol: HTTP', 'protocol: TCP')
    .replace('name: web }', `name: web${annotations === '' ? '' : `, annotations: { ${annotations} }`} }`);
}

function tcpRoute(backendName: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: { name: bytes }
spec:
  parentRefs: [{ name: web }]
  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: ${backendName} }] }]
---
`;
}

/** Says its name, then returns what it hears. */
async function echo(name: string): Promise<{ port: number; server: Server }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.write(`${name}\n`);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return { port: (server.address() as AddressInfo).port, server };
}

class Session {
  readonly socket: Socket;
  #held = '';

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).setEncoding('utf8');
  }

  async line(): Promise<string> {
    while (!this.#held.includes('\n')) {
      const [chunk] = (await once(this.socket, 'data')) as [string];
      this.#held += chunk;
    }
    const at = this.#held.indexOf('\n');
    const line = this.#held.slice(0, at);
    this.#held = this.#held.slice(at + 1);
    return line;
  }

  async says(text: string): Promise<void> {
    this.socket.write(`${text}\n`);
    assert.equal(await this.line(), text);
  }

  async end(): Promise<void> {
    this.socket.end();
    if (!this.socket.readableEnded) {
      this.socket.resume();
      await once(this.socket, 'end');
    }
  }
}

test('a session outlives a changed route, a gone backend, and a controller that dies', async () => {
  const port = await freePort();
  const [one, two] = [await echo('one'), await echo('two')];
  const files = (name: string, to: number): string => tcpGateway(port) + tcpRoute(name) + backendYaml(name, to);
  const rauta = await Rauta.start({ 'a.yaml': files('one', one.port) }, ['--workers', '2']);
  const session = new Session(port);
  assert.equal(await session.line(), 'one');
  rauta.write('a.yaml', files('two', two.port));
  const news = async (): Promise<string> => {
    const other = new Session(port);
    const name = await other.line();
    await other.end();
    return name;
  };
  await until(
    async () => ({ status: (await news()) === 'two' ? 200 : 0, body: '', headers: {} }),
    (a) => a.status === 200,
  );
  await session.says('after the change');
  const controller = childrenOf(rauta.process.pid as number).find(({ command }) => command.includes('controller'));
  assert.ok(controller, JSON.stringify(childrenOf(rauta.process.pid as number)));
  process.kill(controller.pid, 'SIGKILL');
  await rauta.said('controller died, traffic goes on');
  await session.says('after the controller');
  assert.equal(await news(), 'two');
  await session.end();
  await until(
    () => rauta.ask('/requests') as never,
    (a) => a.body.includes('default/bytes'),
  );
  const lines = (await rauta.ask('/requests')).body.trim().split('\n');
  assert.match(
    lines[0] as string,
    /^TCP \d+\/\d+ bytes \d+ms → 127\.0\.0\.1:\d+ client \[.* 127\.0\.0\.1 default\/bytes\]$/,
  );
  const metrics = (await rauta.ask('/metrics')).body;
  assert.match(metrics, /^rauta_l4_sessions\{protocol="TCP"\} 0$/m);
  assert.match(metrics, /^rauta_l4_sessions_total\{route="default\/bytes",protocol="TCP",end="client"\} \d+$/m);
  assert.equal(await rauta.stop(), 0);
  const logged = rauta.access
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const said = 'after the change\nafter the controller\n'.length;
  assert.equal(logged.filter((line) => line['request_bytes'] === said).length, 1, 'one line a session');
});

test('sessions that take all descriptors there are: more are reset, a request is told, nobody hangs', {
  timeout: 240_000,
}, async () => {
  const [port, http] = [await freePort(), await freePort()];
  const [one, app] = [await echo('one'), await backend('app')];
  const both = tcpGateway(port).replace('---', `    - { name: pages, port: ${http}, protocol: HTTP }\n---`);
  const route = routeYaml('pages', '/', 'app').replace('{ name: web }', '{ name: web, sectionName: pages }');
  const yaml = both + tcpRoute('one') + backendYaml('one', one.port) + route + backendYaml('app', app.port);
  const rauta = await Rauta.start({ 'a.yaml': yaml }, [], {}, 400);
  assert.equal((await get(http, '/')).status, 200);
  const open: Socket[] = [];
  for (let told = true; told; ) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    told = await new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true)).once('close', () => resolve(false));
    });
    if (told) open.push(socket);
  }
  assert.ok(open.length > 100, `${open.length} sessions`);
  assert.equal((await get(http, '/')).status, 503);
  assert.match((await rauta.ask('/metrics')).body, /limit_reached_total\{limit="DOWNSTREAM_CONNECTIONS"\} [1-9]/);
  for (const socket of open) socket.destroy();
  await until(
    () => get(http, '/'),
    ({ status }) => status === 200,
  );
  await rauta.stop();
});

test('sessions that begin while their route changes, again and again, all come to one of its backends', async () => {
  const port = await freePort();
  const [one, two] = [await echo('one'), await echo('two')];
  const files = (name: string, to: number): string => tcpGateway(port) + tcpRoute(name) + backendYaml(name, to);
  const rauta = await Rauta.start({ 'a.yaml': files('one', one.port) }, ['--workers', '2']);
  let changing = true;
  let sessions = 0;
  const client = async (): Promise<void> => {
    while (changing) {
      const session = new Session(port);
      assert.match(await session.line(), /^(one|two)$/);
      await session.end();
      sessions++;
    }
  };
  const changes = async (): Promise<void> => {
    for (let i = 0; i < CHANGES; i++) {
      const acked = await rauta.metric('rauta_config_revision_acked');
      rauta.write('a.yaml', i % 2 === 0 ? files('two', two.port) : files('one', one.port));
      await until(
        async () => ({ status: await rauta.metric('rauta_config_revision_acked'), body: '', headers: {} }),
        (a) => a.status > acked,
      );
    }
    changing = false;
  };
  await Promise.all([changes(), ...Array.from({ length: 4 }, client)]);
  assert.ok(sessions > CHANGES, `${sessions} sessions`);
  const metrics = (await rauta.ask('/metrics')).body;
  assert.doesNotMatch(metrics, /^rauta_l4_sessions_total\{.*end="refused"\}/m);
  assert.equal(await rauta.stop(), 0);
});

test('a successor takes new sessions over; those that are open end as they like, within the drain', async (t) => {
  const port = await freePort();
  const app = await echo('app');
  const folder = mkdtempSync(join(tmpdir(), 'rauta-layer4-'));
  const path = join(folder, 'socket');
  const files = { 'a.yaml': tcpGateway(port) + tcpRoute('app') + backendYaml('app', app.port) };
  const before = await Rauta.start(files, ['--takeover', path]);
  const [ends, stays] = [new Session(port), new Session(port)];
  for (const session of [ends, stays]) assert.equal(await session.line(), 'app');
  const flags = ['--takeover', path, '--drain-timeout', '1s'];
  const after = Rauta.spawn(files, flags);
  t.after(() => after.stop());
  await after.said('serving');
  await before.said('handed over, draining');
  await ends.says('still here');
  await stays.says('here too');
  const fresh = new Session(port);
  assert.equal(await fresh.line(), 'app');
  for (const session of [ends, stays, fresh]) await session.end();
  assert.equal(await before.exited, 0, before.text());
  await before.stop();
  const [dies, waits] = [new Session(port), new Session(port)];
  assert.equal(await dies.line(), 'app');
  assert.equal(await waits.line(), 'app');
  const errors = [dies, waits].map(({ socket }) => once(socket, 'error'));
  assert.equal(await after.stop(), 0, 'those that do not end are ended');
  for (const error of errors) assert.equal(((await error)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
  rmSync(folder, { recursive: true, force: true });
});

function isHere(program: string): string | false {
  return spawnSync(program, ['-v']).error === undefined ? false : `${program} is not on this machine`;
}

/** Another program in the foreground, with its configuration; ended with the test. */
async function peer(
  t: TestContext,
  argv: (conf: string) => readonly string[],
  conf: string,
  port: number,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-peer-'));
  writeFileSync(join(folder, 'conf'), conf.replaceAll('@RUN@', folder));
  const [program = '', ...rest] = argv(join(folder, 'conf'));
  const child: ChildProcess = spawn(program, rest, { stdio: 'ignore' });
  t.after(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  await until(
    () =>
      new Promise((resolve) => {
        const probe = connect(port, '127.0.0.1');
        probe.on('connect', () => resolve({ status: 200, body: '', headers: {} }));
        probe.on('error', () => resolve({ status: 0, body: '', headers: {} }));
        probe.on('close', () => {});
        probe.on('connect', () => probe.destroy());
      }),
    (a) => a.status === 200,
  );
}

const DEFAULTS = 'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n';

/** nginx passes bytes on by a module of its own (Debian: libnginx-mod-stream). */
const NGINX_STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';
const haproxyFront = (word: string) => ({
  skip: isHere('haproxy'),
  argv: (conf: string) => ['haproxy', '-db', '-f', conf],
  conf: (front: number, port: number) =>
    `${DEFAULTS}listen f\n  bind 127.0.0.1:${front}\n  source 127.0.0.1\n  server s 127.0.0.1:${port} ${word}\n`,
});
/** Programs in front that say whose a connection is. */
const FRONTS = {
  'HAProxy, v1': haproxyFront('send-proxy'),
  'HAProxy, v2': haproxyFront('send-proxy-v2 proxy-v2-options unique-id,crc32c'),
  'nginx, v1': {
    skip: isHere('nginx') || (existsSync(NGINX_STREAM) ? false : 'nginx has no stream module on this machine'),
    argv: (conf: string) => ['nginx', '-p', tmpdir(), '-c', conf],
    conf: (front: number, port: number) =>
      `load_module ${NGINX_STREAM}; daemon off; pid @RUN@/pid; error_log @RUN@/err; events {} stream { server {
        listen 127.0.0.1:${front}; proxy_bind 127.0.0.1; proxy_pass 127.0.0.1:${port}; proxy_protocol on; } }`,
  },
};

for (const [name, { skip, argv, conf }] of Object.entries(FRONTS)) {
  test(`${name} in front: clients are who it says`, { skip }, async (t) => {
    const [port, front] = [await freePort(), await freePort()];
    const app = await backend('app');
    const files = {
      'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
    };
    const rauta = await Rauta.start(files, ['--proxy-protocol', '127.0.0.1']);
    await peer(t, argv, conf(front, port), front);
    const client = connect({ port: front, host: '127.0.0.1', localAddress: '127.0.0.77' });
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of client) text += chunk;
    assert.match(text, /^HTTP\/1\.1 200/);
    const { headers } = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as { headers: Record<string, string> };
    assert.equal(headers['x-forwarded-for'], '127.0.0.77');
    await assert.rejects(get(port, '/'), { code: 'ECONNRESET' });
    assert.equal(await rauta.stop(), 0);
    const lines = rauta.access.trim().split('\n');
    const served = lines.map((line) => JSON.parse(line)).find((line) => line.status === 200);
    assert.deepEqual([served.client, served.peer], ['127.0.0.77', '127.0.0.1']);
  });
}

for (const version of ['v1', 'v2'] as const) {
  test(`HAProxy and nginx as backends understand ${version}`, {
    skip: isHere('haproxy') || isHere('nginx'),
  }, async (t) => {
    const [port, other, haproxy, nginx] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const answer = 'http-request return status 200 content-type text/plain lf-string "%[src]"';
    const frontend = `frontend f\n  mode http\n  bind 127.0.0.1:${haproxy} accept-proxy\n  ${answer}\n`;
    await peer(t, (conf) => ['haproxy', '-db', '-f', conf], `${DEFAULTS}${frontend}`, haproxy);
    const http = `access_log off; client_body_temp_path @RUN@/1; proxy_temp_path @RUN@/2; fastcgi_temp_path @RUN@/3;
      uwsgi_temp_path @RUN@/4; scgi_temp_path @RUN@/5; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
      server { listen 127.0.0.1:${nginx} proxy_protocol; location / { return 200 $remote_addr; } }`;
    const conf = `daemon off; pid @RUN@/pid; error_log @RUN@/err; events {} http { ${http} }`;
    await peer(t, (file) => ['nginx', '-p', tmpdir(), '-c', file], conf, nginx);
    const second = `    - { name: other, port: ${other}, protocol: TCP }\n---\n`;
    const told = `metadata: { name: $1, annotations: { rauta.io/proxy-protocol: ${version} } }`;
    const routes = tcpRoute('a').replace('name: web }', 'name: web, sectionName: http }');
    const more = tcpRoute('b')
      .replace('name: bytes', 'name: more')
      .replace('name: web }', 'name: web, sectionName: other }');
    const backends = (backendYaml('a', haproxy) + backendYaml('b', nginx)).replace(/metadata: \{ name: (\w) \}/g, told);
    const rauta = await Rauta.start({
      'a.yaml': tcpGateway(port).replace('---\n', second) + routes + more + backends,
    });
    for (const at of [port, other]) {
      const client = connect({ port: at, host: '127.0.0.1', localAddress: '127.0.0.66' });
      client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
      let text = '';
      for await (const chunk of client) text += chunk;
      assert.match(text, /127\.0\.0\.66/, at === port ? 'haproxy' : 'nginx');
    }
    assert.equal(await rauta.stop(), 0);
  });
}
