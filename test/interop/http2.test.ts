// Clients and backends of others in cleartext HTTP/2: curl, nghttp, h2load; Python's hypercorn. What is not installed,
// or cannot be had, is skipped.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Rauta } from '../process/support.ts';
import { heldPort } from '../support/port.ts';
import { gateway, route, service, start } from './site.ts';
import { installed, python, run } from './tools.ts';

async function site(backend: number): Promise<{ readonly rauta: Rauta; readonly url: string }> {
  const port = heldPort();
  const yaml = gateway([port]) + service('app', backend, 'kubernetes.io/h2c') + route('HTTPRoute', 'all', port, 'app');
  return { rauta: await Rauta.start({ 'site.yaml': yaml }), url: `http://127.0.0.1:${port}/` };
}

test('clients in front of a backend of node:http2', { timeout: 120_000 }, async (t) => {
  const backend = heldPort();
  const server = createServer((request, response) =>
    response.end(request.url === '/small' ? 'ok' : 'x'.repeat(70_000)),
  );
  await new Promise<void>((resolve) => server.listen(backend, '127.0.0.1', resolve));
  const { rauta, url } = await site(backend);
  await t.test('curl --http2-prior-knowledge', async (t) => {
    const curl = installed(t, 'curl');
    if (curl === null) return;
    const { stdout } = await run(curl, ['-s', '--http2-prior-knowledge', '-w', '\n%{http_version} %{http_code}', url]);
    assert.deepEqual([stdout.length, stdout.split('\n')[1]], [70_000 + '\n2 200'.length, '2 200']);
  });
  await t.test('nghttp', async (t) => {
    const nghttp = installed(t, 'nghttp');
    if (nghttp === null) return;
    assert.equal((await run(nghttp, [url])).stdout.length, 70_000);
  });
  await t.test('h2load, eight connections of 32 streams', async (t) => {
    const h2load = installed(t, 'h2load');
    if (h2load === null) return;
    const { stdout } = await run(h2load, ['-n', '2000', '-c', '8', '-m', '32', `${url}small`], { timeout: 60_000 });
    assert.match(stdout, /2000 succeeded, 0 failed, 0 errored/);
  });
  await rauta.stop();
  server.close();
});

const APP = `async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(b"x-version", scope["http_version"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"y" * 70000})
`;

test('a backend of hypercorn, in Python', { timeout: 290_000 }, async (t) => {
  const curl = installed(t, 'curl');
  const program = curl === null ? null : await python(t, ['hypercorn==0.18.0']);
  if (curl === null || program === null) return;
  const folder = mkdtempSync(join(tmpdir(), 'rauta-hypercorn-'));
  writeFileSync(join(folder, 'site_app.py'), APP);
  const backend = heldPort();
  const script = `import sys; sys.path.insert(0, ${JSON.stringify(folder)}); from hypercorn.__main__ import main; main()`;
  await start(program, ['-c', script, '-w', '0', '-b', `127.0.0.1:${backend}`, 'site_app:app'], /Running on/);
  const { rauta, url } = await site(backend);
  const { stdout } = await run(curl, ['-s', '--http2-prior-knowledge', '-D', '-', url]);
  assert.match(stdout, /^x-version: 2\r$/m);
  assert.ok(stdout.endsWith('y'.repeat(70_000)));
  await rauta.stop();
  rmSync(folder, { recursive: true });
});
