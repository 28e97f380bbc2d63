// A private key is looked for wherever it could have leaked to, in each of its forms; and those who serve have no way
// to its file.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { backend, backendYaml, childrenOf, freePort, Rauta, routeYaml } from './support.ts';

const BIN = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
const root = authority('Root');
const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ');
const LINE = 40;

/** Pieces of a key in the forms that it may have: bytes, hexadecimal and Base64 at each alignment, PEM; its scalar. */
function formsOf(own: Leaf): readonly Buffer[] {
  const scalar = Buffer.from(own.key.export({ format: 'jwk' }).d as string, 'base64url');
  const at = own.keyDer.indexOf(scalar);
  assert.ok(at > 0);
  const text = [
    scalar.toString('hex'),
    scalar.toString('hex').toUpperCase(),
    scalar.toString('base64url').slice(0, LINE),
  ];
  for (const skip of [0, 1, 2]) {
    // Three bytes are four letters: from each of three places, what lies wholly within the scalar.
    text.push(
      scalar
        .subarray(skip, skip + 30)
        .toString('base64')
        .slice(0, LINE),
    );
  }
  const lines = pem('X', own.keyDer).split('\n').slice(1, 3);
  return [scalar, Buffer.from(scalar.toReversed()), ...[...text, ...lines].map((one) => Buffer.from(one))];
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function tryRead(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Of each process of the program, what others may see of it. */
function seenOf(pid: number): Map<string, Buffer> {
  const seen = new Map<string, Buffer>();
  for (const name of ['cmdline', 'environ', 'comm', 'status', 'maps'])
    seen.set(`${pid} ${name}`, tryRead(`/proc/${pid}/${name}`));
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const path = `/proc/${pid}/fd/${fd}`;
    const link = readlinkSync(path);
    if (link.startsWith('/memfd:') || link.includes('(deleted)')) seen.set(`${pid} ${link}`, tryRead(path));
  }
  return seen;
}

async function get(port: number): Promise<void> {
  const client = connect({ host: '127.0.0.1', port, servername: 'a.example', rejectUnauthorized: false });
  await once(client, 'secureConnect');
  client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
  client.resume();
  await once(client, 'close');
}

function secretYaml(name: string, own: Leaf): string {
  return `apiVersion: v1
kind: Secret
metadata: { name: ${name} }
stringData:
  tls.crt: |
${indented(pem('CERTIFICATE', own.der))}
  tls.key: |
${indented(pem('PRIVATE KEY', own.keyDer))}
---
`;
}

const isRoot = process.getuid?.() === 0;

test('a private key is nowhere to be found', { skip: isRoot ? false : 'only root sees all of a process' }, async () => {
  const port = await freePort();
  const app = await backend('app');
  const own = leaf(root, ['a.example']);
  const temporary = mkdtempSync(join(tmpdir(), 'rauta-canary-'));
  chmodSync(temporary, 0o777);
  mkdirSync(join(temporary, 'home'), { mode: 0o777 });
  const files = {
    'app.yaml': `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  listeners:
    - { name: l, port: ${port}, protocol: HTTPS, tls: { certificateRefs: [{ name: a }] } }
---
${routeYaml('app', '/', 'app')}${backendYaml('app', app.port)}`,
    'a.yaml': secretYaml('a', own),
  };
  const env = { TMPDIR: temporary, HOME: join(temporary, 'home'), XDG_CACHE_HOME: join(temporary, 'home') };
  const flags = ['--log-level', 'debug', '--workers', '2', '--takeover', join(temporary, 'takeover')];
  const rauta = await Rauta.start(files, flags, env);
  await get(port);
  // A file that is cut off within the key, one whose key is no key, a key where none belongs, a pair that does not fit.
  const key = secretYaml('b', own);
  writeFileSync(join(rauta.folder, 'b.yaml'), key.slice(0, -120));
  writeFileSync(join(rauta.folder, 'c.yaml'), secretYaml('c', own).replace('BEGIN PRIVATE', 'BEGIN FOREIGN'));
  writeFileSync(
    join(rauta.folder, 'd.yaml'),
    secretYaml('d', own).replace('tls.crt', 'tls.key2').replace('tls.key:', 'tls.crt:'),
  );
  writeFileSync(
    join(rauta.folder, 'e.yaml'),
    `${secretYaml('e', own)}spec: { ${pem('X', own.keyDer).split('\n')[1]} }\n`,
  );
  await rauta.said(({ file }) => String(file).endsWith('e.yaml'));

  const seen = new Map<string, Buffer>();
  const lines = (await rauta.ask('/')).body.trim().split('\n');
  const pages = lines.map((line) => line.split(' ')[0] as string);
  assert.ok(pages.includes('/certificates') && pages.includes('/config/ir'));
  for (const page of ['/', ...pages]) seen.set(page, Buffer.from((await rauta.ask(page)).body));
  seen.set('/ as HTML', Buffer.from((await rauta.ask('/', { accept: 'text/html' })).body));
  assert.match(String(seen.get('/config/ir')), /"kind":\s*"certificate"/);
  const children = childrenOf(rauta.process.pid as number);
  assert.ok(children.length >= 3, 'controller, workers');
  let memfds = 0;
  for (const pid of [rauta.process.pid as number, ...children.map((child) => child.pid)]) {
    for (const [what, bytes] of seenOf(pid)) {
      seen.set(what, bytes);
      if (what.includes('memfd')) memfds++;
    }
    // What has the key in its memory must not leave that on a disk.
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /Max core file size +0 +0/, `core of ${pid}`);
  }
  assert.ok(memfds > 0);
  const checked = spawnSync(BIN, ['check', rauta.folder], { encoding: 'utf8' });
  assert.equal(checked.status, 1);
  seen.set('check', Buffer.from(checked.stdout + checked.stderr));
  for (const path of filesBelow(temporary)) seen.set(path, readFileSync(path));
  assert.equal(await rauta.stop(), 0);
  for (const path of filesBelow(temporary)) seen.set(`${path} at the end`, readFileSync(path));
  seen.set('log', Buffer.from(rauta.text()));
  seen.set('access log', Buffer.from(rauta.access));
  rmSync(temporary, { recursive: true, force: true });

  const forms = formsOf(own);
  const whole = Buffer.from(files['a.yaml']);
  assert.ok(
    forms.some((form) => whole.includes(form)),
    'it would be found',
  );
  for (const [what, bytes] of seen) {
    for (const [i, form] of forms.entries()) assert.ok(!bytes.includes(form), `form ${i} of the key in ${what}`);
  }
});

test('workers and the controller cannot open the file of a key, nor have it open', {
  skip: isRoot ? false : 'only root leaves root',
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-canary-'));
  chmodSync(folder, 0o755);
  const own = leaf(root, ['a.example']);
  const path = join(folder, 'own.key');
  writeFileSync(path, pem('PRIVATE KEY', own.keyDer), { mode: 0o600 });
  writeFileSync(join(folder, 'own.crt'), pem('CERTIFICATE', own.der));
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({}, [], {
    RAUTA_BIND_ADDR: `127.0.0.1:${port}`,
    RAUTA_BACKEND_ADDR: `127.0.0.1:${app.port}`,
    RAUTA_TLS_CERT: join(folder, 'own.crt'),
    RAUTA_TLS_KEY: path,
  });
  await get(port);
  const children = childrenOf(rauta.process.pid as number);
  assert.ok(children.length >= 2);
  for (const { pid, command } of children) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const uids = /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split('\t') ?? [];
    assert.ok(uids.length === 4 && uids.every((uid) => uid !== '0'), `${command} is of user ${uids}`);
    assert.match(status, /^CapEff:\s+0+$/m, command);
    const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    assert.ok(!command.includes(' worker') || !open.includes(path), `${command} has it open`);
  }
  assert.equal(await rauta.stop(), 0);
  rmSync(folder, { recursive: true, force: true });
});
