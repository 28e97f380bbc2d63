import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Credentials, type RunPlugin, runPlugin } from './credentials.ts';
import type { Access, ExecPlugin } from './kubeconfig.ts';

const ACCESS: Access = {
  server: 'https://a',
  ca: null,
  insecure: false,
  serverName: null,
  proxyUrl: null,
  certificate: null,
  auth: { kind: 'none' },
  namespace: null,
};
const PLUGIN: ExecPlugin = {
  command: 'plugin',
  args: [],
  env: {},
  apiVersion: 'client.authentication.k8s.io/v1',
  provideClusterInfo: true,
  installHint: null,
};
const printed = (status: unknown): string =>
  JSON.stringify({ apiVersion: PLUGIN.apiVersion, kind: 'ExecCredential', status });

class Tools {
  ms = 0;
  text = 'first\n';
  reads = 0;
  runs: string[] = [];
  answer = printed({ token: 'p1', expirationTimestamp: '1970-01-01T00:10:00Z' });
  readonly read = (): string => {
    this.reads++;
    return this.text;
  };
  readonly run: RunPlugin = async (_, info) => {
    this.runs.push(info);
    return this.answer;
  };
  readonly now = (): number => this.ms;
  readonly wall = (): number => this.ms;
}

test('a rotated token is read again after a minute, or as soon as the old one was refused', async () => {
  const tools = new Tools();
  const c = new Credentials({ ...ACCESS, auth: { kind: 'tokenFile', file: '/t' } }, tools);
  const first = await c.get();
  assert.equal(first.authorization, 'Bearer first');
  tools.text = 'second\n';
  tools.ms = 59_999;
  assert.equal(await c.get(), first);
  assert.equal(tools.reads, 1);
  tools.ms = 60_000;
  assert.equal((await c.get()).authorization, 'Bearer second');
  tools.text = 'third';
  c.refused();
  const third = await c.get();
  assert.equal(third.authorization, 'Bearer third');
  c.refused();
  assert.equal(await c.get(), third, 'the same as long as nothing has changed');
});

test('certificates in files are read with their authority, and again', async () => {
  const tools = new Tools();
  const file = { file: '/x' };
  const c = new Credentials({ ...ACCESS, ca: file, certificate: { cert: { text: 'C' }, key: file } }, tools);
  assert.deepEqual(await c.get(), {
    authorization: null,
    ca: 'first\n',
    certificate: { cert: 'C', key: 'first\n' },
  });
  tools.text = 'renewed';
  tools.ms = 60_000;
  assert.equal((await c.get()).certificate?.key, 'renewed');
});

test('a plugin is asked once for all who wait, and again shortly before what it gave ends', async () => {
  const tools = new Tools();
  const ca = { text: 'CA' };
  const c = new Credentials({ ...ACCESS, ca, auth: { kind: 'exec', plugin: PLUGIN } }, tools);
  const [a, b] = await Promise.all([c.get(), c.get()]);
  assert.equal(a.authorization, 'Bearer p1');
  assert.equal(a, b);
  assert.equal(tools.runs.length, 1);
  assert.deepEqual(JSON.parse(tools.runs[0] as string), {
    apiVersion: PLUGIN.apiVersion,
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      cluster: {
        server: 'https://a',
        'insecure-skip-tls-verify': false,
        'certificate-authority-data': Buffer.from('CA').toString('base64'),
      },
    },
  });
  tools.ms = 589_999;
  await c.get();
  assert.equal(tools.runs.length, 1);
  tools.ms = 590_000;
  tools.answer = printed({ clientCertificateData: 'C', clientKeyData: 'K' });
  const next = await c.get();
  assert.deepEqual(next.certificate, { cert: 'C', key: 'K' });
  assert.equal(next.authorization, null);
  tools.ms = 1e9;
  await c.get();
  assert.equal(tools.runs.length, 2, 'it did not say that this one ends');
  c.refused();
  await c.get();
  assert.equal(tools.runs.length, 3);
});

test('a plugin that says nothing useful is named, and what it printed is not', async () => {
  for (const [answer, pattern] of [
    ['secret', /exec plugin plugin: printed no JSON$/],
    ['{"kind":"secret"}', /printed no ExecCredential of client\.authentication\.k8s\.io\/v1$/],
    [printed({ clientCertificateData: 'secret' }), /gave neither a token nor a certificate with a key$/],
  ] as const) {
    const tools = new Tools();
    tools.answer = answer;
    const c = new Credentials({ ...ACCESS, auth: { kind: 'exec', plugin: PLUGIN } }, tools);
    await assert.rejects(c.get(), (e: Error) => pattern.test(e.message) && !e.message.includes('secret'));
  }
});

test('a plugin that is run: what it prints, what it complains of, and that it is not there', async () => {
  const sh = (script: string): ExecPlugin => ({ ...PLUGIN, command: 'sh', args: ['-c', script], env: { WORD: 'hi' } });
  assert.equal(await runPlugin(sh('printf "$WORD $KUBERNETES_EXEC_INFO"'), 'info'), 'hi info');
  await assert.rejects(runPlugin(sh('echo log in first >&2; exit 3'), ''), /sh ended with status 3: log in first$/);
  const absent = { ...PLUGIN, command: '/no/such/plugin', installHint: 'get it there' };
  await assert.rejects(runPlugin(absent, ''), /cannot be started: .*ENOENT; get it there$/);
});
