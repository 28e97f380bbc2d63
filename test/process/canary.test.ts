// Private keys, and the secrets of the keys file with what is derived of them, are looked for wherever they could have
// leaked to, in each of their forms; and those who serve have no way to a key's file.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
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
import { textOfSecrets } from '../../src/base/key-lines.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { assertUntold, filesBelow, formsOfKey, formsOfSecrets, LINE, SECRET_BYTES, seenOf } from './leaks.ts';
import { backend, backendYaml, childrenOf, freePort, Rauta, routeYaml } from './support.ts';

const BIN = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
const root = authority('Root');
const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ');
const base64 = (text: string): string => Buffer.from(text).toString('base64');

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

test('neither a private key nor a secret of the keys file is to be found anywhere', {
  skip: isRoot ? false : 'only root sees all of a process',
}, async () => {
  const port = await freePort();
  const app = await backend('app');
  const own = leaf(root, ['a.example']);
  const [inFile, inSecret, inWrong] = [2, 1, 1].map((n) =>
    textOfSecrets(Array.from({ length: n }, () => randomBytes(SECRET_BYTES))),
  ) as [string, string, string];
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
    // As `--keys-secret` has it, among what is read.
    'keys.yaml': `apiVersion: v1\nkind: Secret\nmetadata: { name: rauta-keys }\ndata: { keys: ${base64(inSecret)} }\n`,
  };
  const keys = mkdtempSync(join(tmpdir(), 'rauta-keys-'));
  const keysFile = join(keys, 'keys');
  writeFileSync(keysFile, inFile, { mode: 0o600 });
  const env = { TMPDIR: temporary, HOME: join(temporary, 'home'), XDG_CACHE_HOME: join(temporary, 'home') };
  const flags = ['--log-level', 'debug', '--workers', '2', '--takeover', join(temporary, 'takeover')];
  flags.push('--keys-file', keysFile);
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
  // A keys file whose second line is cut off, and whose first one has a word in front.
  for (const [line, wrong] of [
    [3, `${inFile}${inWrong.slice(0, LINE)}\n`],
    [1, `key: ${inWrong}`],
  ] as const) {
    const told = rauta.said((said) => JSON.stringify(said).includes(`line ${line} is not the base64`));
    writeFileSync(keysFile, wrong);
    rauta.process.kill('SIGHUP');
    await told;
  }

  const seen = await seenOf(rauta);
  assert.ok(seen.has('/certificates'));
  assert.match(String(seen.get('/config/ir')), /"kind":\s*"certificate"/);
  assert.ok([...seen.keys()].some((what) => what.includes('memfd')));
  const checked = spawnSync(BIN, ['check', rauta.folder], { encoding: 'utf8' });
  assert.equal(checked.status, 1);
  seen.set('check', Buffer.from(checked.stdout + checked.stderr));
  for (const path of filesBelow(temporary)) seen.set(path, readFileSync(path));
  assert.equal(await rauta.stop(), 0);
  for (const path of filesBelow(temporary)) seen.set(`${path} at the end`, readFileSync(path));
  seen.set('log', Buffer.from(rauta.text()));
  seen.set('access log', Buffer.from(rauta.access));
  for (const folder of [temporary, keys]) rmSync(folder, { recursive: true, force: true });

  const secrets: readonly (readonly [string, string, readonly Buffer[]])[] = [
    ['the private key', files['a.yaml'], formsOfKey(own)],
    ['the keys file', inFile, formsOfSecrets(inFile)],
    ['the Secret of keys', inSecret, formsOfSecrets(inSecret)],
    ['the wrong keys file', inWrong, formsOfSecrets(inWrong)],
  ];
  for (const secret of secrets) assertUntold(seen, ...secret);
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
