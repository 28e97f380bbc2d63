// --state-file: the whole program is started again while the API server is away, and serves what it served. Private
// keys are not written down: HTTPS waits for them, and says so. A file that is not ours, or not whole, is said and
// ignored.

import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { defineKinds, FakeApi } from '../kubernetes/fake-api.ts';
import { kubeconfig, route, site } from '../kubernetes/site.ts';
import { type Answer, backend, childrenOf, freePort, get, Rauta, until } from './support.ts';

const CA = authority('root');

interface Scene {
  readonly api: FakeApi;
  readonly port: number;
  readonly secure: number;
  readonly file: string;
  /** Of the private key, as PEM has it. */
  readonly key: string;
  start(args?: readonly string[]): Promise<Rauta>;
  /** Once what `rauta` serves is in the file. */
  written(): Promise<void>;
}

/** A program that has served one host in the clear and one by TLS, both written down. */
async function scene(t: TestContext): Promise<Scene> {
  const app = await backend('app');
  const [port, secure] = [await freePort(), await freePort()];
  const api = new FakeApi();
  defineKinds(api);
  const url = await api.listen();
  t.after(() => api.close());
  site(api, port, app.port);
  const { der, keyDer } = leaf(CA, ['secure.example.com']);
  const [crt, tlsKey] = [pem('CERTIFICATE', der), pem('PRIVATE KEY', keyDer)];
  const data = { 'tls.crt': Buffer.from(crt).toString('base64'), 'tls.key': Buffer.from(tlsKey).toString('base64') };
  api.put('Secret', { metadata: { name: 'tls', namespace: 'web' }, type: 'kubernetes.io/tls', data });
  const tls = { certificateRefs: [{ name: 'tls' }] };
  const listeners = [
    { name: 'http', port, protocol: 'HTTP' },
    { name: 'https', port: secure, protocol: 'HTTPS', hostname: 'secure.example.com', tls },
  ];
  api.put('Gateway', { metadata: { name: 'gw', namespace: 'web' }, spec: { gatewayClassName: 'rauta', listeners } });
  const folder = mkdtempSync(join(tmpdir(), 'rauta-state-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'state');
  const config = kubeconfig(t, url);
  const start = async (args: readonly string[] = []): Promise<Rauta> => {
    const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', config, '--state-file', file, ...args]);
    t.after(() => rauta.stop());
    return rauta;
  };
  const written = (): Promise<void> =>
    new Promise((resolve) => {
      const watcher = watch(folder, look);
      function look(): void {
        if (!existsSync(file)) return;
        watcher.close();
        resolve();
      }
      look();
    });
  return { api, port, secure, file, key: tlsKey, start, written };
}

/** What comes of a handshake as an answer: 200 and the protocol, or 0 and the error's name. */
function handshake(port: number): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'secure.example.com', rejectUnauthorized: false });
    socket.on('secureConnect', () => {
      resolve({ status: 200, body: socket.getProtocol() ?? '', headers: {} });
      socket.destroy();
    });
    socket.on('error', (error) =>
      resolve({ status: 0, body: (error as NodeJS.ErrnoException).code ?? error.message, headers: {} }),
    );
  });
}

const ready = (rauta: Rauta): Promise<Answer> =>
  (rauta.ask('/readyz') as Promise<Answer>).catch(() => ({ status: 0, body: '', headers: {} }));
test('a whole restart serves before the API server is back; HTTPS waits for its keys, and says so', async (t) => {
  const it = await scene(t);
  const first = await it.start();
  await until(
    () => get(it.port, '/one'),
    (answer) => answer.status === 200,
  );
  assert.match((await handshake(it.secure)).body, /^TLSv1\.[23]$/);
  await it.written();
  assert.equal(statSync(it.file).mode & 0o777, 0o600);
  const text = readFileSync(it.file, 'latin1');
  assert.match(text, /rule\/HTTPRoute\/web\/r/);
  const key = it.key.split('\n').slice(1, -2).join('');
  for (let at = 0; at + 32 < key.length; at += 16)
    assert.ok(!text.includes(key.slice(at, at + 32)), 'a part of the private key is in the file');
  await it.api.close();
  await first.stop();

  const second = await it.start();
  const said = await second.said('serving what an earlier program served, until there is something newer');
  assert.equal(said['refused'], 'TLS handshakes of 1 hosts, until their keys are read');
  assert.equal((await get(it.port, '/one')).headers['x-backend'], 'app');
  assert.equal((await handshake(it.secure)).body, 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR');
  const waits =
    /serving the state file of 2\S+Z, without the keys of 1 TLS hosts, whose handshakes are refused: waiting/;
  assert.match((await ready(second)).body, waits);
  assert.match((await second.ask('/metrics')).body, /rauta_tls_handshakes_total\{.*result="certificate"\} 1\n/);

  // What its controller knew of it outlives that one.
  const controller = childrenOf(second.process.pid as number).find((c) => c.command.includes('controller'));
  process.kill(controller?.pid as number, 'SIGKILL');
  await second.said((line) => line.message === 'controller died, traffic goes on');
  await until(
    () => ready(second),
    ({ body }) => waits.test(body),
  );
  assert.equal((await get(it.port, '/one')).status, 200);

  // The server is back, and what changed meanwhile counts.
  const before = readFileSync(it.file);
  route(it.api, '/two');
  await it.api.listen();
  await until(
    () => get(it.port, '/two'),
    (answer) => answer.status === 200,
  );
  assert.equal((await get(it.port, '/one')).status, 404);
  await until(
    () => handshake(it.secure),
    ({ status }) => status === 200,
  );
  await until(
    () => ready(second),
    ({ status, body }) => status === 200 && body.trim() === 'ok',
  );
  // At its end at the latest it is written down.
  await second.stop();
  assert.notDeepEqual(readFileSync(it.file), before);
});

test('a file that is cut off, of other flags, or open to others is said and ignored', async (t) => {
  const it = await scene(t);
  const first = await it.start();
  await it.written();
  await first.stop();
  await it.api.close();
  const whole = readFileSync(it.file);
  const ignored = async (why: RegExp, args: readonly string[] = []): Promise<void> => {
    const rauta = Rauta.spawn({}, [
      ...['--kubernetes', '--kubeconfig', kubeconfig(t, 'http://127.0.0.1:1'), '--state-file', it.file],
      ...args,
    ]);
    t.after(() => rauta.stop());
    const line = await rauta.said(({ message }) => message.startsWith('--state-file'));
    assert.match(line.message, why);
    assert.equal(line.level, 'warn');
    rauta.admin = (await rauta.said('admin server'))['port'] as number;
    const { status, body } = await ready(rauta);
    assert.deepEqual([status, body.slice(0, 11)], [503, 'waiting for']);
    await rauta.stop();
  };
  // Another kubeconfig is another cluster.
  await ignored(/was written by a program with other flags, so for another configuration, ignored$/);
  truncateSync(it.file, whole.length - 1);
  await ignored(/is cut off or damaged, ignored$/);
  writeFileSync(it.file, '{"kind":"Config"}\n');
  await ignored(/is not a state file of this version, ignored$/);
  writeFileSync(it.file, whole);
  chmodSync(it.file, 0o622);
  await ignored(/can be written by others than its owner, ignored$/);
});
