import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AccessError, findAccess, inCluster, type ReadText, readKubeconfig } from './kubeconfig.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64');

function files(content: Readonly<Record<string, string>>): ReadText {
  return (path) => {
    const text = content[path];
    if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return text;
  };
}

const ONE = `
current-context: dev
clusters:
  - name: dev
    cluster:
      server: https://api.example:6443/
      certificate-authority-data: ${b64('CA')}
      tls-server-name: kubernetes
      proxy-url: http://through.example:3128
  - { name: plain, cluster: { server: 'http://127.0.0.1:8001/k8s', insecure-skip-tls-verify: true } }
users:
  - name: cert
    user: { client-certificate-data: '${b64('CERT')}', client-key: keys/me.key }
  - { name: token, user: { token: t0ken } }
  - { name: both, user: { token: old, tokenFile: token.txt } }
  - { name: basic, user: { username: me, password: pw } }
  - name: exec
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: ./plugin
        args: [a, 1]
        env: [{ name: X, value: y }]
        interactiveMode: IfAvailable
        provideClusterInfo: true
        installHint: get it
  - { name: old, user: { auth-provider: { name: gcp } } }
  - { name: half, user: { client-certificate: c.pem } }
  - { name: terminal, user: { exec: { apiVersion: client.authentication.k8s.io/v1, command: p, interactiveMode: Always } } }
  - { name: alpha, user: { exec: { apiVersion: client.authentication.k8s.io/v1alpha1, command: p } } }
contexts:
  - { name: dev, context: { cluster: dev, user: cert, namespace: here } }
  - { name: nobody, context: { cluster: plain } }
  - { name: lost, context: { cluster: gone, user: cert } }
  - { name: stranger, context: { cluster: dev, user: gone } }
${['token', 'both', 'basic', 'exec', 'old', 'half', 'terminal', 'alpha'].map((u) => `  - { name: ${u}, context: { cluster: dev, user: ${u} } }`).join('\n')}
`;
const read = files({ '/home/me/config': ONE });
const of = (context: string | null) => readKubeconfig(['/home/me/config'], context, read);

test('the current context, with data before files and files from where the kubeconfig lies', () => {
  assert.deepEqual(of(null), {
    server: 'https://api.example:6443',
    ca: { text: 'CA' },
    insecure: false,
    serverName: 'kubernetes',
    proxyUrl: 'http://through.example:3128',
    certificate: { cert: { text: 'CERT' }, key: { file: '/home/me/keys/me.key' } },
    auth: { kind: 'none' },
    namespace: 'here',
  });
});

test('every way to say who one is', () => {
  assert.deepEqual(of('token').auth, { kind: 'token', token: 't0ken' });
  assert.deepEqual(of('both').auth, { kind: 'tokenFile', file: '/home/me/token.txt' });
  assert.deepEqual(of('basic').auth, { kind: 'basic', username: 'me', password: 'pw' });
  assert.deepEqual(of('exec').auth, {
    kind: 'exec',
    plugin: {
      command: '/home/me/plugin',
      args: ['a', '1'],
      env: { X: 'y' },
      apiVersion: 'client.authentication.k8s.io/v1',
      provideClusterInfo: true,
      installHint: 'get it',
    },
  });
  const nobody = of('nobody');
  assert.deepEqual(nobody.auth, { kind: 'none' });
  assert.equal(nobody.server, 'http://127.0.0.1:8001/k8s');
  assert.equal(nobody.insecure, true);
});

test('what cannot be used is said with the file and the entry', () => {
  const says = (context: string | null, pattern: RegExp): void =>
    assert.throws(
      () => of(context),
      (e: unknown) => e instanceof AccessError && pattern.test(e.message),
    );
  says('none', /\/home\/me\/config: there is no context 'none' \(there are: dev, nobody/);
  says('lost', /context 'lost' names cluster 'gone', which is not there/);
  says('stranger', /names user 'gone', which is not there/);
  says('old', /user 'old': auth-provider is gone since Kubernetes 1\.26/);
  says('half', /user 'half' has a client certificate without a key/);
  says('terminal', /user 'terminal': exec plugin p wants a terminal/);
  says('alpha', /exec\.apiVersion 'client\.authentication\.k8s\.io\/v1alpha1' is not one of/);
  const bad = (text: string, pattern: RegExp): void =>
    assert.throws(() => readKubeconfig(['/c'], null, files({ '/c': text })), pattern);
  bad('clusters: []', /\/c: no current-context/);
  bad('- a', /\/c: is no kubeconfig/);
  bad('users: [{ name: a, user: { token: hush }', /^AccessError: \/c: (?!.*hush)/);
  bad(
    "current-context: a\ncontexts: [{ name: a, context: { cluster: a } }]\nclusters: [{ name: a, cluster: { server: 'ssh://x' } }]",
    /ssh:\/\/ is neither https nor http/,
  );
});

test('of several files the first that says a thing is believed, and one that is missing is passed over', () => {
  const two = files({
    '/a/c': "current-context: x\nclusters: [{ name: k, cluster: { server: 'https://first' } }]",
    '/b/c':
      "current-context: y\nclusters: [{ name: k, cluster: { server: 'https://second' } }]\ncontexts: [{ name: x, context: { cluster: k } }]",
  });
  assert.equal(readKubeconfig(['/none', '/a/c', '/b/c'], null, two).server, 'https://first');
  assert.throws(() => readKubeconfig(['/none'], null, two), /\/none: ENOENT/);
  assert.throws(() => readKubeconfig(['/none', '/neither'], null, two), /none of \/none, \/neither exists/);
});

test('where it is looked for: the flag, KUBECONFIG, the pod, the home folder', () => {
  const config = (server: string): string =>
    `current-context: x\ncontexts: [{ name: x, context: { cluster: k } }]\nclusters: [{ name: k, cluster: { server: '${server}' } }]`;
  const all = files({
    '/flag': config('https://flag'),
    '/env': config('https://env'),
    '/h/.kube/config': config('https://home'),
  });
  const pod = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
  const none = { kubeconfig: null, context: null };
  assert.equal(
    findAccess({ ...none, kubeconfig: '/flag' }, { KUBECONFIG: '/env', ...pod }, all).server,
    'https://flag',
  );
  assert.equal(findAccess(none, { KUBECONFIG: '/env', ...pod }, all).server, 'https://env');
  assert.equal(findAccess(none, { HOME: '/h', ...pod }, all).server, 'https://[fd00::1]:443');
  assert.equal(findAccess(none, { HOME: '/h' }, all).server, 'https://home');
  assert.throws(() => findAccess(none, {}, all), /no --kubeconfig, no KUBECONFIG, not in a pod/);
});

test('a pod: token and CA are files, for they are written anew', () => {
  const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };
  const access = inCluster(env, files({ '/sa/namespace': 'prod\n' }), '/sa');
  assert.deepEqual(access?.auth, { kind: 'tokenFile', file: '/sa/token' });
  assert.deepEqual(access?.ca, { file: '/sa/ca.crt' });
  assert.equal(access?.namespace, 'prod');
  assert.equal(inCluster(env, files({}), '/sa')?.namespace, null);
  assert.equal(inCluster({}, files({}), '/sa'), null);
});
