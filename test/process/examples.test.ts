// Every example is served by the whole program and does what its README shows; only the ports are free ones.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { ensureExampleCertificate } from '../../tools/certificates.ts';
import { type Answer, backend, freePort, get, Rauta } from './support.ts';

const root = fileURLToPath(new URL('../../examples/', import.meta.url));

type Ask = (path: string, headers?: Record<string, string>, method?: string) => Promise<Answer>;
/** The port of TLS, and the certificate of the authority. */
interface Tls {
  readonly port: number;
  readonly ca: string;
}
const seen = (answer: Answer): { backend: string; path: string; headers: Record<string, string> } =>
  JSON.parse(answer.body);

const EXAMPLES: Readonly<Record<string, (ask: Ask, tls: Tls) => Promise<void>>> = {
  quickstart: async (ask) => {
    const backends = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const answer = await ask('/hello');
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['x-served-by'], 'rauta');
      assert.equal(seen(answer).headers['x-quickstart'], 'yes');
      backends.add(seen(answer).backend);
    }
    assert.equal(backends.size, 2);
    const moved = await ask('/old/page');
    assert.equal(moved.status, 301);
    assert.match(String(moved.headers.location), /\/new\/page$/);
  },
  canary: async (ask) => {
    const counts = { first: 0, second: 0 };
    for (let i = 0; i < 50; i++) counts[seen(await ask('/')).backend as 'first' | 'second']++;
    assert.deepEqual(counts, { first: 45, second: 5 });
    for (let i = 0; i < 5; i++) assert.equal(seen(await ask('/', { 'x-canary': 'always' })).backend, 'second');
  },
  hosts: async (ask) => {
    assert.equal(seen(await ask('/', { host: 'www.example.com' })).backend, 'first');
    assert.equal(seen(await ask('/v2/users/7', { host: 'api.example.com' })).backend, 'second');
    assert.equal((await ask('/v2/users/x', { host: 'api.example.com' })).status, 404);
    assert.equal(seen(await ask('/public/a', { host: 'api.example.com' })).path, '/a');
    const moved = await ask('/page', { host: 'old.example.com' });
    assert.equal(moved.status, 302);
    assert.match(String(moved.headers.location), /^http:\/\/www\.example\.com(:\d+)?\/page$/);
  },
  'own-filters': async (ask) => {
    const page = await ask('/shop');
    assert.deepEqual([page.status, page.headers['retry-after']], [503, '600']);
    assert.match(page.body, /being mended/);
    assert.equal(seen(await ask('/admin')).backend, 'first');
    assert.equal((await ask('/admin', {}, 'DELETE')).status, 403);
    assert.equal((await ask('/', {}, 'DELETE')).status, 200);
  },
  'gateway-parameters': async (ask, { port: api }) => {
    const page = await ask('/none');
    assert.deepEqual([page.status, page.headers['content-type']?.toString().split(';')[0]], [404, 'text/html']);
    const problem = await get(api, '/none');
    assert.deepEqual([problem.status, problem.headers['content-type']], [404, 'application/problem+json']);
    assert.match(JSON.parse(problem.body).type, /^https:\/\/errors\.example\.com\//);
    const said = { 'X-Forwarded-For': '203.0.113.9' };
    assert.equal(seen(await ask('/app', said)).headers['x-forwarded-for'], '127.0.0.1');
    assert.equal(seen(await get(api, '/app', said)).headers['x-forwarded-for'], '203.0.113.9, 127.0.0.1');
  },
  'external-auth': async (ask) => {
    const good = { authorization: 'Bearer letmein', 'x-user': 'mallory' };
    for (const path of ['/', '/grpc']) {
      const refused = await ask(path, { 'x-user': 'mallory' });
      assert.deepEqual([refused.status, refused.body], [401, 'who are you?\n']);
      assert.equal(seen(await ask(path, good)).headers['x-user'], 'alice');
    }
    assert.equal(seen(await ask('/', good)).headers.authorization, 'Bearer letmein');
    assert.equal(seen(await ask('/grpc', good)).headers.authorization, undefined);
    assert.equal((await ask('/public')).status, 200);
  },
  'listener-set': async (ask) => {
    const of = async (host: string, path: string): Promise<string> => seen(await ask(path, { host })).backend;
    assert.equal(await of('www.example.com', '/'), 'first');
    assert.equal(await of('blue.example.com', '/'), 'second');
    assert.equal(await of('blue.example.com', '/shared'), 'second');
    assert.equal(await of('www.example.com', '/shared'), 'second');
  },
  retries: async (ask) => {
    for (let i = 0; i < 4; i++) assert.equal((await ask('/')).status, 200);
  },
  ingress: async (ask) => {
    assert.equal(seen(await ask('/', { host: 'shop.example.com' })).backend, 'first');
    assert.equal(seen(await ask('/api/users', { host: 'shop.example.com' })).backend, 'second');
    assert.equal(seen(await ask('/', { host: 'any.example.org' })).backend, 'first');
    assert.equal(seen(await ask('/', { host: 'two.labels.example.org' })).backend, 'second');
    const moved = await ask('/page', { host: 'old.example.com' });
    assert.equal(moved.status, 308);
    assert.equal(moved.headers.location, 'http://shop.example.com/');
    assert.equal(seen(await ask('/')).backend, 'second');
  },
  https: async (ask, tls) => {
    const moved = await ask('/page', { host: 'shop.example' });
    assert.equal(moved.status, 301);
    assert.equal(moved.headers.location, `https://shop.example:${tls.port}/page`);
    assert.match((await askTls(tls, 'shop.example', '/')).backend, /first|second/);
  },
  tcp: async (ask) => {
    const counts = { first: 0, second: 0 };
    for (let i = 0; i < 8; i++) counts[seen(await ask('/')).backend as 'first' | 'second']++;
    assert.deepEqual(counts, { first: 6, second: 2 });
  },
  'tls-passthrough': async (_ask, tls) => {
    for (const name of ['shop.example', 'raw.example'])
      assert.match((await askTls(tls, name, '/')).backend, /first|second/, name);
    await assert.rejects(askTls(tls, 'other.example', '/'), { code: 'ECONNRESET' });
  },
  'backend-tls': async (ask) => {
    const answer = await ask('/page');
    assert.match(seen(answer).backend, /first|second/);
    assert.equal(seen(answer).headers['x-forwarded-proto'], 'https', 'as the backend of TLS saw it');
  },
  udp: async (_ask, { port }) => {
    // A resolver takes a new port for each question: the server follows from it.
    const resolver = new Resolver({ timeout: 1_000, tries: 20 });
    resolver.setServers([`127.0.0.1:${port}`]);
    const answers = new Set<string>();
    for (let i = 0; i < 40 && answers.size < 2; i++) answers.add(String(await resolver.resolveTxt('where.example')));
    assert.equal(answers.size, 2);
    assert.match(await askDnsByTcp(port), /^\d+$/);
  },
};

/** What is served where it may not be bound. */
const PORT_MAP: Readonly<Record<string, number>> = { ingress: 80 };

async function askTls({ port, ca }: Tls, servername: string, path: string): Promise<{ backend: string }> {
  const client = connect({ host: '127.0.0.1', port, servername, ca });
  await once(client, 'secureConnect');
  client.write(`GET ${path} HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
  let text = '';
  for await (const chunk of client) text += chunk;
  return JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));
}

/** The text of the answer's record. */
async function askDnsByTcp(port: number): Promise<string> {
  const question = Buffer.from('\0\x07\x01\0\0\x01\0\0\0\0\0\0\x05where\x07example\0\0\x10\0\x01', 'latin1');
  const client = connectTcp(port, '127.0.0.1');
  await once(client, 'connect');
  client.write(Buffer.concat([Buffer.from([0, question.length]), question]));
  const [answer] = (await once(client, 'data')) as [Buffer];
  client.destroy();
  return answer.subarray(2 + question.length + 13).toString();
}

/** The servers of the example, by HTTP and by gRPC; ready when it returns. */
async function demoAuth(ports: readonly number[]): Promise<{ kill(): void }> {
  const tool = fileURLToPath(new URL('../../tools/demo-auth.ts', import.meta.url));
  const child = spawn(process.execPath, [tool, ...ports.map(String)], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  return child;
}

/** The servers of the example, each on its port over UDP and TCP. */
function demoDns(ports: readonly number[]): { kill(): void } {
  const tool = fileURLToPath(new URL('../../tools/demo-dns.ts', import.meta.url));
  return spawn(process.execPath, [tool, ...ports.map(String)], { stdio: 'ignore' });
}

test('every example has its test', () => {
  const folders = readdirSync(root, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? [e.name] : []));
  assert.deepEqual(folders.sort(), Object.keys(EXAMPLES).sort());
});

for (const [name, prove] of Object.entries(EXAMPLES)) {
  test(`examples/${name} is served`, async () => {
    ensureExampleCertificate(join(root, name));
    const port = await freePort();
    const tlsPort = await freePort();
    const secondTlsPort = await freePort();
    const [first, second] = [await backend('first'), await backend('second')];
    const resolvers = [await freePort(), await freePort()] as const;
    const dns = name === 'udp' ? demoDns(resolvers) : null;
    const auths = [await freePort(), await freePort()] as const;
    const auth = name === 'external-auth' ? await demoAuth(auths) : null;
    const files: Record<string, string> = {};
    for (const file of readdirSync(join(root, name)).filter((f) => f.endsWith('.yaml')))
      files[file] = readFileSync(join(root, name, file), 'utf8')
        .replaceAll('8080', String(port))
        .replaceAll('8081', String(tlsPort))
        .replaceAll('8443', String(tlsPort))
        .replaceAll('9443', String(secondTlsPort))
        .replaceAll('5353', String(tlsPort))
        .replaceAll('9053', String(resolvers[0]))
        .replaceAll('9054', String(resolvers[1]))
        .replaceAll('9010', String(auths[0]))
        .replaceAll('9011', String(auths[1]))
        .replaceAll('9001', String(first.port))
        .replaceAll('9002', String(second.port));
    const mapped = PORT_MAP[name];
    const rauta = await Rauta.start(files, mapped === undefined ? [] : ['--port-map', `${mapped}=${port}`]);
    const ca = (files['certificate.yaml'] ?? '').match(/^# .*$/gm)?.map((line) => line.slice(2)) ?? [];
    await prove((path, headers = {}, method = 'GET') => get(port, path, headers, { method }), {
      port: tlsPort,
      ca: ca.join('\n'),
    });
    assert.equal(await rauta.stop(), 0);
    dns?.kill();
    auth?.kill();
  });
}
