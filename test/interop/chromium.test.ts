// A browser in front of RAUTA: headless Chromium loads a page with 200 resources by HTTP/2, over TLS. Skipped where it
// is not installed (on Debian: apt-get install chromium-headless-shell).

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { backendYaml, gateway, Rauta, routeYaml } from '../process/support.ts';
import { heldPort } from '../support/port.ts';
import { installed, run } from './tools.ts';

const RESOURCES = 200;
const HOST = '127.0.0.1';

/** Scripts that each say that they came, images, and a script behind all of them that writes down what it found. */
function page(): string {
  const scripts = Array.from({ length: RESOURCES / 2 }, (_, n) => `<script src="/r/${n}.js"></script>`);
  const images = Array.from({ length: RESOURCES / 2 }, (_, n) => `<img src="/r/${n}.svg">`);
  return `<!doctype html><body><script>let came = 0;</script>${scripts.join('')}${images.join('')}<script>
onload = () => {
  const entries = performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'));
  const drawn = [...document.images].filter(({ naturalWidth }) => naturalWidth === 7).length;
  const spoke = [...new Set(entries.map(({ nextHopProtocol }) => nextHopProtocol))];
  document.body.innerHTML = JSON.stringify({ came, drawn, entries: entries.length, spoke });
};
</script>`;
}

test('Chromium loads a page with 200 resources by HTTP/2', { timeout: 180_000 }, async (t) => {
  const chromium = installed(t, 'chromium-headless-shell', 'chromium', 'google-chrome');
  if (chromium === null) return;
  const folder = mkdtempSync(join(tmpdir(), 'rauta-chromium-'));
  const pad = ' '.repeat(20_000);
  const server = createServer(({ url }, response) => {
    const script = url?.endsWith('.js') === true;
    const type = script ? 'text/javascript' : url?.endsWith('.svg') === true ? 'image/svg+xml' : 'text/html';
    response.setHeader('content-type', type);
    if (script) response.end(`came++;${pad}`);
    else if (type === 'text/html') response.end(page());
    else response.end(`<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7">${pad}</svg>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = heldPort();
  const { der, keyDer } = leaf(authority('Browser'), ['site.example']);
  const [crt, key] = [pem('CERTIFICATE', der), pem('PRIVATE KEY', keyDer)].map((s) =>
    Buffer.from(s).toString('base64'),
  );
  const site = [
    gateway(port).replace('protocol: HTTP }', 'protocol: HTTPS, tls: { certificateRefs: [{ name: site }] } }'),
    routeYaml('app', '/', 'app'),
    backendYaml('app', (server.address() as AddressInfo).port),
    `apiVersion: v1
kind: Secret
metadata: { name: site }
data: { tls.crt: ${crt}, tls.key: ${key} }
`,
  ].join('');
  const rauta = await Rauta.start({ 'site.yaml': site });
  t.after(async () => {
    await rauta.stop();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  // It asks nobody but this address, and keeps nothing.
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--ignore-certificate-errors', '--no-first-run'];
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];
  const names = [`--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE ${HOST}`, `--user-data-dir=${folder}`];
  const url = `https://${HOST}:${port}/`;
  const { stdout } = await run(chromium, [...flags, ...quiet, ...names, '--dump-dom', url], { timeout: 120_000 });
  const said = /\{.*\}/.exec(stdout.replaceAll('&quot;', '"'))?.[0];
  assert.ok(said !== undefined, stdout.slice(0, 2000));
  const all = RESOURCES / 2;
  assert.deepEqual(JSON.parse(said), { came: all, drawn: all, entries: RESOURCES + 1, spoke: ['h2'] });
});
