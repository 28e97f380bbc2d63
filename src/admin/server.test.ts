import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, test } from 'node:test';
import type { Level } from '../base/log.ts';
import type { RequestFilter } from '../telemetry/recent.ts';
import { type AdminOptions, AdminServer } from './server.ts';
import type { View } from './view.ts';

class Fake implements View {
  isReady = true;
  level: Level = 'info';
  filter: RequestFilter | null = null;
  ready(): { ready: boolean; reason: string } {
    return { ready: this.isReady, reason: 'draining' };
  }
  metrics(): string {
    return 'rauta_connections 1\n';
  }
  requests(filter: RequestFilter): Record<string, string | number>[] {
    this.filter = filter;
    return [{ method: 'GET', path: '/\u001b[1m', status: 200, duration_ms: 12, flags: '', endpoint: '10.0.1.42:8080' }];
  }
  config(): unknown {
    return { objects: [] };
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

async function start(options: Partial<AdminOptions> = {}): Promise<{ view: Fake; port: number }> {
  const view = new Fake();
  const server = new AdminServer(view, {
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    token: null,
    readOnly: false,
    ...options,
  });
  open.push(server);
  return { view, port: await server.listen() };
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
  assert.deepEqual(await ask(port, '/readyz'), { status: 200, body: 'ok\n' });
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
  const { view, port } = await start({ host: '0.0.0.0', token: 'sesame' });
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
  const second = await start({ readOnly: true });
  assert.equal((await ask(second.port, '/log-level', { method: 'PUT', body: 'debug' })).status, 405);
});
