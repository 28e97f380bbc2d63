import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import type { Level } from '../base/log.ts';
import type { Words } from '../explain/question.ts';
import { RingReader, RingWriter, ringBytes } from '../telemetry/log-ring.ts';
import { Following, type RequestFilter } from '../telemetry/recent.ts';
import { Renderings } from './renderings.ts';
import { type AdminOptions, AdminServer } from './server.ts';
import type { StatusReport } from './status.ts';
import type { View } from './view.ts';

class Fake implements View {
  isReady = true;
  reason = 'draining';
  objects: unknown = [];
  configs = 0;
  level: Level = 'info';
  filter: RequestFilter | null = null;
  ready(): { ready: boolean; reason: string } {
    return { ready: this.isReady, reason: this.reason };
  }
  status(): StatusReport {
    return {
      version: '1.2.3',
      healthy: false,
      ready: true,
      reason: 'ok',
      revision: { published: 4, served: 4, held: null },
      workers: { wanted: 2, serving: 1, dying: false },
      sockets: [],
      objects: [{ object: 'HTTPRoute/default/<b>', kept: true, faults: [] }],
      problems: [],
    };
  }
  metrics(): string {
    return 'rauta_connections 1\n';
  }
  requests(filter: RequestFilter): Record<string, string | number>[] {
    this.filter = filter;
    return [{ method: 'GET', path: '/\u001b[1m', status: 200, duration_ms: 12, flags: '', endpoint: '10.0.1.42:8080' }];
  }
  readonly memory = new ArrayBuffer(ringBytes(1 << 20));
  readonly ring = new RingWriter(this.memory);
  follow(filter: RequestFilter): Following {
    this.filter = filter;
    return new Following([new RingReader(this.memory)], filter);
  }
  config(): unknown {
    this.configs++;
    return { objects: this.objects };
  }
  problems(): [] {
    return [];
  }
  ir(): unknown {
    return [];
  }
  workers(): unknown {
    return [];
  }
  clusters(): unknown {
    return [];
  }
  certificates(): unknown {
    return [];
  }
  kubernetes(): unknown {
    return null;
  }
  explain(words: Words): { lines: readonly string[]; told: unknown } | string {
    if (words.url === 'bad') return `URL '${words.url}': no`;
    return { lines: [`${words.method} ${words.url}`, ...words.headers], told: words };
  }
  version(): unknown {
    return { version: '0' };
  }
  setLogLevel(level: Level): void {
    this.level = level;
  }
}

const open: AdminServer[] = [];
after(() => {
  for (const s of open) s.close();
});

async function start(
  options: Partial<AdminOptions> = {},
  renderings = new Renderings(),
): Promise<{ view: Fake; port: number }> {
  const view = new Fake();
  const settings = { host: '127.0.0.1', allowedHosts: [], token: () => null, readOnly: false, ...options };
  const server = new AdminServer(view, settings, renderings);
  open.push(server);
  return { view, port: await server.listen({ host: settings.host, port: 0 }) };
}

function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const r = request(
      { host: '127.0.0.1', port, path, method: options.method ?? 'GET', headers: options.headers ?? {} },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (part) => {
          body += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    r.on('error', reject);
    r.end(options.body);
  });
}

test('probes, metrics and pages', async () => {
  const { view, port } = await start();
  assert.deepEqual(await ask(port, '/livez'), { status: 200, body: 'ok\n' });
  view.reason = '';
  assert.deepEqual(await ask(port, '/readyz'), { status: 200, body: 'ok\n' });
  view.reason = 'nothing to serve';
  assert.deepEqual(await ask(port, '/readyz'), { status: 200, body: 'nothing to serve\n' });
  view.reason = 'draining';
  view.isReady = false;
  assert.deepEqual(await ask(port, '/readyz'), { status: 503, body: 'draining\n' });
  assert.match((await ask(port, '/metrics')).body, /rauta_connections 1/);
  assert.deepEqual(JSON.parse((await ask(port, '/config')).body), { objects: [] });
  assert.equal((await ask(port, '/nothing')).status, 404);
  assert.equal((await ask(port, '/config', { method: 'POST' })).status, 405);
});

test('recent requests as text and JSON, with filters checked', async () => {
  const { view, port } = await start();
  assert.equal(
    (await ask(port, '/requests?route=default/a&status=5xx&limit=3')).body,
    'GET /\\x1b[1m 200 12ms → 10.0.1.42:8080\n',
  );
  assert.deepEqual(view.filter, { limit: 3, route: 'default/a', status: '5xx' });
  assert.equal(
    JSON.parse((await ask(port, '/requests', { headers: { accept: 'application/json' } })).body)[0].status,
    200,
  );
  assert.equal((await ask(port, '/requests?limit=x')).status, 400);
  assert.equal((await ask(port, '/requests?status=abc')).status, 400);
});

test('a Host field that a rebinding page could send is refused', async () => {
  const { port } = await start({ allowedHosts: ['rauta.example'] });
  assert.equal((await ask(port, '/config', { headers: { host: 'evil.example' } })).status, 403);
  assert.equal((await ask(port, '/config', { headers: { host: 'rauta.example:9090' } })).status, 200);
  assert.equal((await ask(port, '/config', { headers: { host: '[::1]:9090' } })).status, 200);
  assert.equal((await ask(port, '/config', { headers: { host: 'localhost:9090' } })).status, 200);
});

test('a bind that is not loopback shows only metrics and probes without the token', async () => {
  const { view, port } = await start({ host: '0.0.0.0', token: () => 'sesame' });
  assert.equal((await ask(port, '/metrics')).status, 200);
  assert.equal((await ask(port, '/readyz')).status, 200);
  assert.equal((await ask(port, '/config')).status, 403);
  assert.equal((await ask(port, '/config', { headers: { authorization: 'Bearer wrong' } })).status, 403);
  assert.equal((await ask(port, '/config', { headers: { authorization: 'Bearer sesame' } })).status, 200);
  assert.equal((await ask(port, '/log-level', { method: 'PUT', body: 'debug' })).status, 403);
  assert.equal(view.level, 'info');
});

test('the log level changes at run time, and only to a level', async () => {
  const { view, port } = await start();
  assert.equal((await ask(port, '/log-level', { method: 'PUT', body: 'debug\n' })).status, 200);
  assert.equal(view.level, 'debug');
  assert.equal((await ask(port, '/log-level', { method: 'PUT', body: 'loud' })).status, 400);
  assert.equal((await ask(port, '/log-level')).status, 405);
  assert.equal((await ask(port, '/log-level', { method: 'PUT', body: ' '.repeat(65) })).status, 413);
  assert.equal((await ask(port, '/log-level', { method: 'PUT', body: 'x'.repeat(60_000) })).status, 413);
  assert.equal((await ask(port, '/log-level', { method: 'PUT', body: `info${' '.repeat(60)}` })).status, 200);
  const second = await start({ readOnly: true });
  assert.equal((await ask(second.port, '/log-level', { method: 'PUT', body: 'debug' })).status, 405);
});

test('a token is compared only with one that was given, and an empty one opens nothing', async () => {
  for (const token of ['', null, 'sesame']) {
    const { view, port } = await start({ host: '0.0.0.0', token: () => token });
    for (const authorization of [undefined, '', 'Bearer ', 'Bearer', 'Basic sesame', 'sesame', 'Bearer sesame x']) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      assert.equal((await ask(port, '/config', { headers })).status, 403, `${token} ${authorization}`);
      assert.equal((await ask(port, '/log-level', { method: 'PUT', body: 'debug', headers })).status, 403);
    }
    assert.equal(view.level, 'info');
    const right = await ask(port, '/config', { headers: { authorization: 'bearer sesame' } });
    assert.equal(right.status, token === 'sesame' ? 200 : 403);
  }
});

test('parameters that a page does not take are refused by name', async () => {
  const { port } = await start();
  const cases = [
    ['/requests?rout=a', /unknown parameter 'rout': this page takes follow, limit, route, status/],
    ['/requests?status=200&status=500', /'status' is there more than once/],
    ['/config?limit=1', /unknown parameter 'limit': this page takes no parameters/],
    ['/readyz?verbose', /unknown parameter 'verbose'/],
    ['/metrics?%1b[1m=1', /unknown parameter '\\x1b\[1m'/],
  ] as const;
  for (const [path, message] of cases) {
    const { status, body } = await ask(port, path);
    assert.equal(status, 400, path);
    assert.match(body, message);
  }
});

/** Sends `text` on a connection of its own that does not read. */
function silent(port: number, text: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text, () => resolve(socket)));
    socket.pause();
    socket.on('error', reject);
  });
}

/** All that comes until the end of the stream. */
function rest(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (part) => {
      text += part.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
    socket.resume();
  });
}

/** Tells when so many answers have been asked for. */
class Watched extends Renderings {
  taken = 0;
  most = 0;
  refused = 0;
  #waiting: { n: number; resolve: () => void }[] = [];
  override take(...parts: Parameters<Renderings['take']>): ReturnType<Renderings['take']> {
    const made = super.take(...parts);
    this.taken++;
    if (made === null) this.refused++;
    this.most = Math.max(this.most, this.held);
    for (const { n, resolve } of this.#waiting) if (this.taken >= n) resolve();
    return made;
  }
  until(n: number): Promise<void> {
    return new Promise((resolve) => (this.taken >= n ? resolve() : this.#waiting.push({ n, resolve })));
  }
}

const CONFIG = 'GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n';
const LARGE = Array.from({ length: 10_000 }, (_, i) => ({ name: `route-${i}`, text: 'x'.repeat(480) }));

test('a hundred readers that read nothing of a large page hold it once', async () => {
  const renderings = new Watched();
  const { view, port } = await start({}, renderings);
  view.objects = LARGE;
  const sockets = await Promise.all(Array.from({ length: 100 }, () => silent(port, CONFIG)));
  await renderings.until(100);
  // The clock may have gone on so far that a second was made.
  assert.ok(view.configs < 10, `made ${view.configs} times`);
  assert.ok(renderings.most <= LIMITS.ADMIN_BUFFER_BYTES, `${renderings.most} bytes are held`);
  assert.equal((await ask(port, '/readyz')).status, 200);
  for (const socket of sockets) socket.destroy();
});

test('different large pages towards readers that do not read are bounded, and then refused', async () => {
  const renderings = new Watched();
  const { view, port } = await start({ allowedHosts: [] }, renderings);
  view.reason = '';
  view.requests = () => [{ path: 'x'.repeat(5_000_000) }];
  const path = (i: number): string => `GET /requests?limit=${i} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const sockets = await Promise.all(Array.from({ length: 40 }, (_, i) => silent(port, path(i))));
  await renderings.until(40);
  assert.ok(renderings.most <= LIMITS.ADMIN_BUFFER_BYTES, `${renderings.most} bytes are held`);
  assert.ok(renderings.refused >= 27, `${renderings.refused} refused`);
  assert.equal((await ask(port, '/requests')).status, 503);
  for (const small of ['/readyz', '/metrics', '/config']) assert.equal((await ask(port, small)).status, 200, small);
  for (const socket of sockets) socket.destroy();
});

test('pipelined requests are answered one after the other, and not without end', async () => {
  const renderings = new Watched();
  const { view, port } = await start({}, renderings);
  const some = LIMITS.ADMIN_PIPELINED;
  const socket = await silent(port, CONFIG.repeat(some) + CONFIG.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  assert.equal((await rest(socket)).split('HTTP/1.1 200 OK').length - 1, some + 1);
  view.objects = LARGE;
  view.configs = 0;
  const flood = await silent(port, CONFIG.repeat(150));
  await rest(flood);
  assert.ok(view.configs <= 1, `made ${view.configs} answers for one that does not read`);
  assert.equal(renderings.held, 0);
});

test('a probe without a Host field (HTTP/1.0) is served', async () => {
  const { port } = await start();
  for (const path of ['/livez', '/readyz', '/metrics']) {
    const text = await rest(await silent(port, `GET ${path} HTTP/1.0\r\n\r\n`));
    assert.match(text, /^HTTP\/1\.1 200 OK/, path);
  }
  assert.match(await rest(await silent(port, 'GET /livez HTTP/1.0\r\nHost: evil.example\r\n\r\n')), /^HTTP\/1\.1 403/);
});

/** Puts requests into the ring of the view. */
function end(view: Fake, from: number, count: number, status = 200): void {
  for (let i = from; i < from + count; i++) {
    const line = `{"time":"2026-01-02T03:04:05.678Z","method":"GET","path":"/${i}","status":${status},"duration_ms":1.0,"flags":""}\n`;
    const bytes = Buffer.from(line);
    assert.ok(view.ring.write(bytes, 0, bytes.length));
  }
  view.ring.publish();
}

/** What comes, until `enough`. */
function until(socket: Socket, enough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const take = (part: Buffer): void => {
      text += part.toString('utf8');
      if (!enough(text)) return;
      socket.off('data', take);
      resolve(text);
    };
    socket.on('data', take);
    socket.resume();
  });
}

test('requests are followed as they end, filtered, as text and as JSON lines', async () => {
  const { view, port } = await start();
  end(view, 0, 3);
  const ask = 'GET /requests?follow&status=5xx HTTP/1.1\r\nHost: localhost\r\n';
  const text = await silent(port, `${ask}\r\n`);
  const json = await silent(port, `${ask}Accept: application/json\r\n\r\n`);
  await Promise.all([text, json].map((socket) => until(socket, (t) => t.includes('\r\n\r\n'))));
  end(view, 3, 2);
  end(view, 5, 1, 503);
  end(view, 6, 1, 500);
  const shown = await until(text, (t) => t.includes('/6'));
  assert.deepEqual(shown.match(/GET \/\d+ \d+/g), ['GET /5 503', 'GET /6 500']);
  const objects = (await until(json, (t) => t.includes('/6'))).match(/\{.*\}/g)?.map((l) => JSON.parse(l).path);
  assert.deepEqual(objects, ['/5', '/6']);
  for (const socket of [text, json]) socket.destroy();
});

test('so many may follow, and one more is told to come later', async () => {
  const { port } = await start();
  const one = 'GET /requests?follow HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const sockets: Socket[] = [];
  for (let i = 0; i < LIMITS.ADMIN_FOLLOWERS; i++) {
    const socket = await silent(port, one);
    sockets.push(socket);
    assert.match(await until(socket, (t) => t.includes('\r\n\r\n')), /^HTTP\/1\.1 200/);
  }
  assert.equal((await ask(port, '/requests?follow')).status, 503);
  assert.equal((await ask(port, '/requests?follow=maybe')).status, 400);
  assert.equal((await ask(port, '/requests?follow=false')).status, 200);
  for (const socket of sockets) socket.destroy();
});

test('a browser is shown the state of the program, anything else the pages there are, each with what it says', async () => {
  const { port } = await start();
  const page = await fetch(`http://127.0.0.1:${port}/`, { headers: { accept: 'text/html,*/*;q=0.8' } });
  assert.equal(page.status, 200);
  assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.match(String(page.headers.get('content-security-policy')), /^default-src 'none'; .*frame-ancestors 'none'$/);
  const html = await page.text();
  assert.match(html, /HTTPRoute default\/&lt;b&gt;: goes on as before/);
  assert.match(html, /GET \/\\x1b\[1m 200 12ms/);
  const { body } = await ask(port, '/');
  const lines = body.trim().split('\n');
  assert.ok(lines.length > 10);
  for (const line of lines) {
    const [path = '', ...what] = line.split(/ +/);
    assert.ok(what.length > 0, line);
    assert.ok(html.includes(`<a href="${path}">`), path);
    assert.notEqual((await ask(port, path)).status, 404, path);
  }
});

test('pages for people are guarded as the others are', async () => {
  const { port } = await start({ host: '0.0.0.0' });
  for (const path of ['/', '/status']) {
    assert.equal((await ask(port, path)).status, 403);
    assert.equal((await ask(port, path, { headers: { accept: 'text/html' } })).status, 403);
  }
  assert.equal((await ask(port, '/?x=1', { headers: { host: 'evil.example' } })).status, 403);
});

test('a request that does not come to its end is given up, whatever of it is missing', async () => {
  const { port } = await start({ requestMs: 100 });
  const head = 'PUT /log-level HTTP/1.1\r\nHost: localhost\r\n';
  for (const text of ['', 'GET /rea', `${head}A: `, `${head}Content-Length: 5\r\n\r\nin`]) {
    const socket = connect(port, '127.0.0.1');
    let said = '';
    socket.setEncoding('latin1').on('data', (part) => {
      said += part;
    });
    socket.write(text);
    await new Promise((resolve) => socket.once('close', resolve));
    assert.match(said, text === '' ? /^$/ : /^HTTP\/1\.1 408 /, text);
  }
});
