// HTTPS as a user has it: a Secret and a listener in files, replaced while it serves, wrong beside right, and its key
// nowhere.

import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { backend, backendYaml, childrenOf, freePort, type LogLine, Rauta, READY_MS, routeYaml } from './support.ts';

const root = authority('Root');
const CA = pem('CERTIFICATE', root.der);

const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ');

function secretYaml(name: string, own: Leaf, key = own): string {
  return `apiVersion: v1
kind: Secret
metadata: { name: ${name} }
type: kubernetes.io/tls
stringData:
  tls.crt: |
${indented(pem('CERTIFICATE', own.der) + CA)}
  tls.key: |
${indented(pem('PRIVATE KEY', key.keyDer))}
---
`;
}

function gatewayYaml(port: number, hosts: Readonly<Record<string, string>>): string {
  const listeners = Object.entries(hosts).map(
    ([hostname, secret], i) =>
      `    - { name: l${i}, port: ${port}, protocol: HTTPS, hostname: ${hostname}, tls: { certificateRefs: [{ name: ${secret} }] } }\n`,
  );
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  listeners:
${listeners.join('')}---
`;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly fingerprint: string;
}

async function getTls(port: number, servername: string, path = '/'): Promise<Answer> {
  const client = connect({ host: '127.0.0.1', port, servername, ca: CA });
  await once(client, 'secureConnect');
  const { fingerprint256 } = client.getPeerCertificate();
  client.write(`GET ${path} HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
  let text = '';
  for await (const chunk of client) text += chunk;
  return {
    status: Number(text.slice(9, 12)),
    body: text.slice(text.indexOf('\r\n\r\n') + 4),
    fingerprint: fingerprint256,
  };
}

const fingerprintOf = (own: Leaf): string => new X509Certificate(own.der).fingerprint256;

/** Asks until `so`; `otherwise`: what is wrong when it never is. */
async function becomes(so: () => Promise<boolean>, otherwise: string): Promise<void> {
  for (const late = performance.now() + READY_MS; !(await so()); ) assert.ok(performance.now() < late, otherwise);
}

test('HTTPS from files: served, replaced under way, a bad Secret harms nobody else', async () => {
  const port = await freePort();
  const app = await backend('app');
  const first = leaf(root, ['a.example']);
  const other = leaf(root, ['b.example']);
  const rauta = await Rauta.start({
    'app.yaml':
      gatewayYaml(port, { 'a.example': 'a', 'b.example': 'b' }) +
      routeYaml('app', '/', 'app') +
      backendYaml('app', app.port),
    'a.yaml': secretYaml('a', first),
    'b.yaml': secretYaml('b', other),
  });
  const answer = await getTls(port, 'a.example', '/hello');
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.body).headers['x-forwarded-proto'], 'https');
  assert.equal(answer.fingerprint, fingerprintOf(first));

  const second = leaf(root, ['a.example']);
  writeFileSync(join(rauta.folder, 'a.yaml'), secretYaml('a', second));
  const shown = async (): Promise<string> => (await getTls(port, 'a.example')).fingerprint;
  await becomes(async () => (await shown()) === fingerprintOf(second), 'the new one is never shown');

  writeFileSync(join(rauta.folder, 'b.yaml'), secretYaml('b', other, first));
  await rauta.said('Secret default/b: tls.key does not belong to the certificate in tls.crt.');
  const refused = (): Promise<string> =>
    getTls(port, 'b.example').then(
      () => 'served',
      (error) => String(error),
    );
  await becomes(async () => /unrecognized name/.test(await refused()), 'still served');
  assert.equal((await getTls(port, 'a.example')).status, 200);
  assert.equal(await rauta.stop(), 0);
  const line = JSON.parse(rauta.access.split('\n')[0] as string);
  assert.equal(line.tls, 'TLSv1.3');
  assert.equal(line.sni, 'a.example');
});

test('a certificate that ends soon is shown, warned of, counted and listed, without its key', async () => {
  const port = await freePort();
  const own = leaf(root, ['a.example'], { notAfter: Date.now() + 5.5 * 86_400_000 });
  const rauta = await Rauta.start({
    'app.yaml': gatewayYaml(port, { 'a.example': 'a' }),
    'a.yaml': secretYaml('a', own),
  });
  const { message, file } = await rauta.said(({ message }) =>
    String(message).startsWith('The certificate expires in 5 days'),
  );
  assert.match(String(file), /a\.yaml$/);
  assert.ok((await rauta.ask('/config/problems')).body.includes(String(message)));
  const page = await rauta.ask('/certificates');
  const [first] = JSON.parse(page.body);
  assert.equal(first.certificate, 'default/a');
  assert.equal(first.state, 'expiring');
  assert.deepEqual(first.listeners, ['default/web l0']);
  assert.equal(first.sha256, fingerprintOf(own).replaceAll(':', '').toLowerCase());
  assert.ok(!page.body.includes(own.keyDer.toString('base64').slice(0, 32)));
  const metrics = (await rauta.ask('/metrics')).body;
  assert.match(metrics, /rauta_tls_certificates\{state="expiring"\} 1\n/);
  assert.match(metrics, /rauta_tls_certificate_not_after_seconds\{certificate="default\/a"\} \d+\n/);
  assert.equal(await rauta.stop(), 0);
});

test('of certificates that change in a row what is wrong with the last is said, too', async () => {
  const port = await freePort();
  const inDays = (days: number): Leaf =>
    leaf(root, ['a.example'], { notAfter: Date.now() + (days + 0.5) * 86_400_000 });
  const rauta = await Rauta.start({
    'app.yaml': gatewayYaml(port, { 'a.example': 'a' }),
    'a.yaml': secretYaml('a', inDays(80)),
  });
  for (const days of [9, 8, 7]) {
    const own = inDays(days);
    writeFileSync(join(rauta.folder, 'a.yaml'), secretYaml('a', own));
    const shown = async (): Promise<string> => (await getTls(port, 'a.example')).fingerprint;
    await becomes(async () => (await shown()) === fingerprintOf(own), 'the new one is never shown');
  }
  const { message } = await rauta.said((line) => String(line.message).startsWith('The certificate expires in 7 days'));
  assert.ok((await rauta.ask('/config/problems')).body.includes(String(message)));
  assert.equal(await rauta.stop(), 0);
});

test('--default-certificate: who names no host is served, with the certificate of a Secret that no listener refers to', async () => {
  const port = await freePort();
  const app = await backend('app');
  const other = leaf(root, ['other.example']);
  const rauta = await Rauta.start(
    {
      'app.yaml': gatewayYaml(port, { 'a.example': 'a' }) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
      'a.yaml': secretYaml('a', leaf(root, ['a.example'])) + secretYaml('other', other),
    },
    ['--default-certificate', 'default/other'],
  );
  const client = connect({ host: '127.0.0.1', port, ca: CA, checkServerIdentity: () => undefined });
  await once(client, 'secureConnect');
  assert.equal(client.getPeerCertificate().fingerprint256, fingerprintOf(other));
  client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
  let text = '';
  for await (const chunk of client) text += chunk;
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.equal(await rauta.stop(), 0);
});

/** Files of a pair; the key's is for its owner alone. */
function writePair(folder: string, own: Leaf, key = own): void {
  for (const [name, text, mode] of [
    ['own.crt', pem('CERTIFICATE', own.der) + CA, 0o644],
    ['own.key', pem('PRIVATE KEY', key.keyDer), 0o600],
  ] as const) {
    writeFileSync(join(folder, `${name}.new`), text, { mode });
    renameSync(join(folder, `${name}.new`), join(folder, name));
  }
}

/** Environment mode with the files of `own`; what is in `folder` besides is no configuration. */
function environment(folder: string, port: number, to: number): Readonly<Record<string, string>> {
  return {
    RAUTA_BIND_ADDR: `127.0.0.1:${port}`,
    RAUTA_BACKEND_ADDR: `127.0.0.1:${to}`,
    RAUTA_TLS_CERT: join(folder, 'own.crt'),
    RAUTA_TLS_KEY: join(folder, 'own.key'),
  };
}

test('RAUTA_TLS_CERT and RAUTA_TLS_KEY: served, replaced under way, a bad pair keeps the one before and says so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-pair-'));
  const port = await freePort();
  const app = await backend('app');
  const first = leaf(root, ['a.example']);
  writePair(folder, first);
  const rauta = await Rauta.start({}, [], environment(folder, port, app.port));
  const answer = await getTls(port, 'a.example', '/hello');
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.body).headers['x-forwarded-proto'], 'https');
  assert.equal(answer.fingerprint, fingerprintOf(first));

  const second = leaf(root, ['a.example']);
  writePair(folder, second);
  await rauta.said('certificate read again');
  const shown = async (): Promise<string> => (await getTls(port, 'a.example')).fingerprint;
  await becomes(async () => (await shown()) === fingerprintOf(second), 'the new one is never shown');

  writePair(folder, leaf(root, ['a.example']), first);
  const text = `${join(folder, 'own.key')} does not belong to the certificate in ${join(folder, 'own.crt')}.`;
  await rauta.said(({ message }) => String(message).endsWith(text));
  assert.equal(await shown(), fingerprintOf(second));
  assert.ok((await rauta.ask('/config/problems')).body.includes(text));

  // A controller that starts again finds the bad pair, and what is served goes on all the same.
  const controller = childrenOf(rauta.process.pid as number).find(({ command }) => command.includes('controller'));
  process.kill((controller as { pid: number }).pid, 'SIGKILL');
  const died = await rauta.said('controller died, traffic goes on');
  assert.equal(await shown(), fingerprintOf(second));
  // One that found the good pair as it starts would not say that it has read one again.
  const behind = (line: LogLine): boolean => rauta.log.indexOf(line) > rauta.log.indexOf(died);
  await rauta.said((line) => line.message.endsWith(text) && behind(line));

  writePair(folder, first);
  const sha256 = fingerprintOf(first).replaceAll(':', '').toLowerCase();
  await rauta.said((line) => line['sha256'] === sha256);
  await becomes(async () => (await shown()) === fingerprintOf(first), 'the good one is never shown');
  assert.equal(await rauta.stop(), 0);
  rmSync(folder, { recursive: true });
});

test('a pair that does not fit ends the start with its reason, a file that is not there with its flag', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-pair-'));
  const env = environment(folder, await freePort(), 1);
  const missing = Rauta.spawn({}, [], env);
  assert.equal(await missing.exited, 3);
  assert.match(missing.text(), /--tls-cert [^ ]*own\.crt: ENOENT/);
  writePair(folder, leaf(root, ['a.example']), leaf(root, ['a.example']));
  const wrong = Rauta.spawn({}, [], env);
  assert.equal(await wrong.exited, 1);
  assert.match(wrong.text(), /own\.key does not belong to the certificate in [^ ]*own\.crt/);
  rmSync(folder, { recursive: true });
});

/** One request over a connection that offers `session`: whether that was taken up, and the session to offer next. */
async function again(
  port: number,
  session: Buffer | undefined,
  host = '127.0.0.1',
): Promise<{ reused: boolean; session: Buffer | undefined }> {
  const client = connect({
    host,
    port,
    servername: 'a.example',
    ca: CA,
    ...(session === undefined ? {} : { session }),
  });
  let next: Buffer | undefined;
  client.on('session', (given) => {
    next = given;
  });
  await once(client, 'secureConnect');
  client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
  const reused = client.isSessionReused();
  for await (const _ of client);
  return { reused, session: next };
}

test('a session is taken up by every worker, by those that replace one, and by a successor', async () => {
  const port = await freePort();
  const app = await backend('app');
  const files = {
    'app.yaml': gatewayYaml(port, { 'a.example': 'a' }) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
    'a.yaml': secretYaml('a', leaf(root, ['a.example'])),
  };
  const folder = mkdtempSync(join(tmpdir(), 'rauta-tls-'));
  const flags = ['--workers', '4', '--takeover', join(folder, 'socket')];
  const rauta = await Rauta.start(files, flags);
  let { reused, session } = await again(port, undefined);
  assert.equal(reused, false);
  for (let i = 0; i < 8; i++) {
    const next = await again(port, session);
    assert.equal(next.reused, true, `connection ${i}`);
    session = next.session ?? session;
  }
  for (const { pid } of await rauta.workers()) process.kill(pid, 'SIGKILL');
  const resumed = async (): Promise<boolean> =>
    again(port, session).then(
      (next) => next.reused,
      () => false,
    );
  await becomes(resumed, 'not taken up by those that came after');
  const successor = Rauta.spawn(files, flags);
  await successor.said('serving');
  assert.equal(await rauta.exited, 0);
  assert.equal(await resumed(), true, 'the successor knows the keys');
  assert.equal(await successor.stop(), 0);
  rmSync(folder, { recursive: true, force: true });
});

test("--keys-file: two replicas take up each other's sessions, and each those of before its restart", async () => {
  const app = await backend('app');
  const folder = mkdtempSync(join(tmpdir(), 'rauta-keys-'));
  const keys = join(folder, 'keys');
  writeFileSync(keys, `${randomBytes(48).toString('base64')}\n`, { mode: 0o600 });
  const port = await freePort();
  const files = {
    'app.yaml': gatewayYaml(port, { 'a.example': 'a' }) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
    'a.yaml': secretYaml('a', leaf(root, ['a.example'])),
  };
  const start = (host: string): Promise<Rauta> =>
    Rauta.start(files, ['--workers', '2', '--listen', host, '--keys-file', keys]);
  const [one, two] = ['127.0.0.1', '127.0.0.2'];
  const first = await start(one);
  const second = await start(two);
  let { reused, session } = await again(port, undefined, one);
  assert.equal(reused, false);
  for (let i = 0; i < 8; i++) {
    const next = await again(port, session, i % 2 === 0 ? two : one);
    assert.equal(next.reused, true, `connection ${i}`);
    session = next.session ?? session;
  }
  assert.equal(await first.stop(), 0);
  const after = await start(one);
  assert.equal((await again(port, session, one)).reused, true, 'after a restart');
  assert.equal(await second.stop(), 0);
  assert.equal(await after.stop(), 0);
  rmSync(folder, { recursive: true });
});
