import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backend } from '../api/backend.ts';
import type { Gateway, HTTPRoute } from '../api/generated/index.ts';
import { keyOf } from '../api/object.ts';
import { ExitError } from '../base/errors.ts';
import { EnvironmentSource, environmentObjects } from './environment.ts';
import { MemorySink } from './file/testing.ts';

const options = (bind: string, ...backends: string[]): Parameters<typeof environmentObjects>[0] => ({
  bind,
  backends,
  tls: false,
  gatewayClass: 'rauta',
  controllerName: 'rauta.io/gateway-controller',
});

test('stands for the objects of a whole configuration', async () => {
  const sink = new MemorySink();
  const source = new EnvironmentSource(
    options('0.0.0.0:8080', '127.0.0.1:9001', '[::1]:9002', 'App.internal:80', 'unix:/run/a.sock'),
    null,
  );
  source.start(sink);
  assert.equal(sink.isSynced, true);
  assert.deepEqual(sink.keys(), [
    'Backend/default/environment',
    'Gateway/default/environment',
    'GatewayClass//rauta',
    'HTTPRoute/default/environment',
  ]);
  const gateway = sink.objects.get('Gateway/default/environment') as Gateway;
  assert.deepEqual(gateway.spec.addresses, [{ type: 'IPAddress', value: '0.0.0.0' }]);
  assert.equal(gateway.spec.listeners[0]?.port, 8080);
  const backend = sink.objects.get('Backend/default/environment') as Backend;
  assert.deepEqual(backend.spec.endpoints, [
    { address: '127.0.0.1', port: 9001, weight: 1 },
    { address: '::1', port: 9002, weight: 1 },
    { hostname: 'app.internal', port: 80, weight: 1 },
    { unix: '/run/a.sock', weight: 1 },
  ]);
  const route = sink.objects.get('HTTPRoute/default/environment') as HTTPRoute;
  assert.deepEqual(route.spec.rules[0]?.matches, [{ path: { type: 'PathPrefix', value: '/' } }]);
  assert.deepEqual(route.spec.rules[0]?.backendRefs, [
    { group: 'rauta.io', kind: 'Backend', name: 'environment', weight: 1 },
  ]);
  await source.stop();
});

test('backends of https are one Backend that says so', () => {
  const backendOf = (...texts: string[]): Backend['spec'] =>
    (environmentObjects(options(':80', ...texts)).find(({ kind }) => kind === 'Backend') as Backend).spec;
  assert.deepEqual(backendOf('https://App.example:443/'), {
    endpoints: [{ hostname: 'app.example', port: 443, weight: 1 }],
    appProtocol: 'https',
  });
  assert.equal(backendOf('h2c://a:1').appProtocol, 'kubernetes.io/h2c');
  assert.equal(backendOf('http://a:1', 'b:2').appProtocol, 'http');
});

test('a bind address without a host listens where the other options say', () => {
  const gateway = environmentObjects(options(':80', 'a:1')).find((o) => keyOf(o).startsWith('Gateway/')) as Gateway;
  assert.equal(gateway.spec.addresses, undefined);
});

test('wrong values name the variable and exit with 2', () => {
  for (const [bind, backend, words] of [
    ['8080', 'a:1', /^RAUTA_BIND_ADDR: '8080': it must be HOST:PORT/],
    [':80', 'ftp://a:1', /^RAUTA_BACKEND_ADDR: .*a scheme is one of http, h2c, https/],
    ['a.example:80', 'a:1', /^RAUTA_BIND_ADDR: .*must be an IP address/],
    ['0.0.0.0:0', 'a:1', /^RAUTA_BIND_ADDR: .*from 1 to 65535/],
    ['[1.2.3.4]:80', 'a:1', /^RAUTA_BIND_ADDR: .*in brackets/],
    [':80', '::1:80', /^RAUTA_BACKEND_ADDR: '::1:80': it must be/],
    [':80', ':80', /^RAUTA_BACKEND_ADDR: ':80': it needs a host/],
    [':80', 'unix:a', /^RAUTA_BACKEND_ADDR: .*absolute/],
    [':80', 'under_score:80', /^the environment makes no working configuration: spec.endpoints\[0\].hostname/],
  ] as const) {
    assert.throws(
      () => environmentObjects(options(bind, backend)),
      (error) => error instanceof ExitError && error.code === 2 && words.test(error.message),
      `${bind} ${backend}`,
    );
  }
  assert.throws(() => environmentObjects(options(':80')), /needs RAUTA_BACKEND_ADDR/);
});

test('with a certificate it is a Secret and an HTTPS listener, whole once there is a pair, another whenever that is', () => {
  let changed = (): void => {};
  const pair = {
    current: null as { crt: string; key: string } | null,
    follow: (call: () => void): void => {
      changed = call;
    },
  };
  const sink = new MemorySink();
  new EnvironmentSource({ ...options(':8443', '127.0.0.1:1'), tls: true }, pair).start(sink);
  assert.equal(sink.isSynced, false, 'what is served until then goes on');
  const gateway = sink.objects.get('Gateway/default/environment') as Gateway;
  assert.equal(gateway.spec.listeners[0]?.protocol, 'HTTPS');
  for (const crt of ['one', 'two']) {
    pair.current = { crt, key: 'key' };
    changed();
    assert.equal(sink.isSynced, true);
    const data = sink.objects.get('Secret/default/environment')?.['data'] as Record<string, string>;
    assert.equal(Buffer.from(data['tls.crt'] ?? '', 'base64').toString(), crt);
  }
});
