// Clients and backends of others in cleartext HTTP/2: curl, nghttp, h2load, Python's httpx, Go's net/http; Python's
// hypercorn, nginx, Go's net/http. What is not installed, or cannot be had, is skipped.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Rauta } from '../process/support.ts';
import { heldPort } from '../support/port.ts';
import { gateway, route, service, start } from './site.ts';
import { goNetHttp, installed, python, run, TEST_MS } from './tools.ts';

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

test('a backend of hypercorn, in Python', { timeout: TEST_MS }, async (t) => {
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

test('a backend of nginx, which leaves each connection after 100 requests', { timeout: 120_000 }, async (t) => {
  const nginx = installed(t, 'nginx', '/usr/sbin/nginx');
  if (nginx === null) return;
  const folder = mkdtempSync(join(tmpdir(), 'rauta-nginx-'));
  // Its workers are another user's when root starts it.
  chmodSync(folder, 0o755);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'big'), Buffer.alloc(1_000_000, 'n'));
  const backend = heldPort();
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/t;`);
  const conf = `daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr notice;
events { worker_connections 256; }
http {
  access_log off; ${places.join(' ')}
  server {
    listen 127.0.0.1:${backend} http2; keepalive_requests 100; root ${folder};
    add_header x-version $server_protocol;
    location /small { return 200 "ok"; }
  }
}
`;
  writeFileSync(join(folder, 'nginx.conf'), conf);
  const master = await start(nginx, ['-p', folder, '-c', join(folder, 'nginx.conf')], /start worker process /);
  // It ends its worker, which would go on without it.
  t.after(async () => {
    master.kill('SIGTERM');
    if (master.exitCode === null && master.signalCode === null) await once(master, 'exit');
  });
  const { rauta, url } = await site(backend);
  await t.test('200 requests at once and a large file, over HTTP/1.1', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => fetch(`${url}small`)));
    const said = await Promise.all(answers.map((answer) => answer.text()));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.deepEqual([...new Set(answers.map(({ headers }) => headers.get('x-version')))], ['HTTP/2.0']);
    assert.deepEqual([...new Set(said)], ['ok']);
    const big = await (await fetch(`${url}big`)).arrayBuffer();
    assert.equal(Buffer.from(big).toString(), 'n'.repeat(1_000_000));
  });
  await t.test('h2load, four connections of 32 streams', async (t) => {
    const h2load = installed(t, 'h2load');
    if (h2load === null) return;
    const { stdout } = await run(h2load, ['-n', '2000', '-c', '4', '-m', '32', `${url}small`], { timeout: 60_000 });
    assert.match(stdout, /2000 succeeded, 0 failed, 0 errored/);
  });
  await rauta.stop();
});

test("Go's net/http on both ends", { timeout: TEST_MS }, async (t) => {
  const program = await goNetHttp(t);
  if (program === null) return;
  const backend = heldPort();
  await start(program, ['serve', `127.0.0.1:${backend}`], /^serves /);
  const { rauta, url } = await site(backend);
  assert.equal((await run(program, ['call', url], { timeout: 60_000 })).stdout, 'good\n');
  assert.equal((await fetch(`${url}small`)).headers.get('x-version'), 'HTTP/2.0');
  await rauta.stop();
});

const HTTPX = `import asyncio, httpx, sys
url = sys.argv[1]
async def main():
    async with httpx.AsyncClient(http1=False, http2=True, timeout=60) as client:
        answers = await asyncio.gather(*(client.get(url + "small") for _ in range(100)))
        assert {a.status_code for a in answers} == {200} and {a.text for a in answers} == {"ok"}
        assert {a.http_version for a in answers} == {"HTTP/2"}
        echo = await client.post(url + "echo", content=b"p" * 300000)
        assert echo.content == b"p" * 300000, len(echo.content)
        async with client.stream("GET", url + "large") as response:
            total = sum([len(part) async for part in response.aiter_bytes()])
        assert total == 70000, total
    print("good")
asyncio.run(main())
`;

test('httpx, in Python, as a client', { timeout: TEST_MS }, async (t) => {
  const program = await python(t, ['httpx[http2]==0.28.1']);
  if (program === null) return;
  const backend = heldPort();
  const server = createServer((request, response) => {
    if (request.url === '/echo') request.pipe(response);
    else response.end(request.url === '/small' ? 'ok' : 'x'.repeat(70_000));
  });
  await new Promise<void>((resolve) => server.listen(backend, '127.0.0.1', resolve));
  const { rauta, url } = await site(backend);
  assert.equal((await run(program, ['-c', HTTPX, url], { timeout: 120_000 })).stdout, 'good\n');
  await rauta.stop();
  server.close();
});
