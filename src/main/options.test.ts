import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExitError } from '../base/errors.ts';
import { FLAGS, variableOf } from './flags.ts';
import { type Options, parseOptions } from './options.ts';

const NO_TERMINAL = { stdout: false, stderr: false };
const TERMINAL = { stdout: true, stderr: true };
const CONFIG = ['--config', 'x'];

function fails(argv: string[], env: Record<string, string>, code: number, pattern: RegExp): void {
  assert.throws(
    () => parseOptions(argv, env, NO_TERMINAL),
    (error: unknown) => error instanceof ExitError && error.code === code && pattern.test(error.message),
  );
}

test('defaults are the documented ones', () => {
  const { options } = parseOptions(CONFIG, {}, NO_TERMINAL);
  assert.deepEqual(options.admin, { host: '127.0.0.1', port: 9090 });
  assert.deepEqual(options.listen, ['0.0.0.0', '::']);
  assert.deepEqual([options.drainTimeoutMs, options.tunnelDrainTimeoutMs], [30_000, 30_000]);
  assert.equal(options.clientIdleMs, 180_000);
  assert.equal(options.halfClose, false);
  assert.equal(options.logFormat, 'json');
  assert.equal(parseOptions(CONFIG, {}, TERMINAL).options.logFormat, 'text');
  assert.ok(options.workers >= 1);
});

test('on a terminal the log is text, and requests are shown when asked for, a short line each', () => {
  const of = (argv: string[], stdout: boolean, stderr: boolean): unknown => {
    const { logFormat, accessLog, accessLogFormat, terminal } = parseOptions(argv, {}, { stdout, stderr }).options;
    return [logFormat, accessLog, accessLogFormat, terminal];
  };
  assert.deepEqual(of(CONFIG, false, false), ['json', '-', 'json', false]);
  assert.deepEqual(of(CONFIG, true, true), ['text', 'off', 'text', true]);
  assert.deepEqual(of(CONFIG, false, true), ['text', '-', 'json', true], 'standard output is a file or a pipe');
  assert.deepEqual(of(CONFIG, true, false), ['json', '-', 'json', false], 'the log goes elsewhere');
  assert.deepEqual(of([...CONFIG, '--access-log', '-'], true, true), ['text', '-', 'text', true]);
  assert.deepEqual(of([...CONFIG, '--access-log', '/dev/stdout'], false, false), ['json', '-', 'json', false]);
  assert.deepEqual(of([...CONFIG, '--access-log-format', 'json', '--log-format', 'json'], true, true), [
    'json',
    'off',
    'json',
    true,
  ]);
});

test('a flag beats its variable, and the last of a flag counts', () => {
  assert.equal(parseOptions([...CONFIG, '--workers', '3'], { RAUTA_WORKERS: '2' }, NO_TERMINAL).options.workers, 3);
  assert.equal(parseOptions(CONFIG, { RAUTA_WORKERS: '2' }, NO_TERMINAL).options.workers, 2);
  assert.equal(parseOptions([...CONFIG, '--workers=3', '--workers=4'], {}, NO_TERMINAL).options.workers, 4);
  assert.deepEqual(parseOptions(['--config', 'a', '--config=b'], { RAUTA_CONFIG: 'c' }, NO_TERMINAL).options.config, [
    'a',
    'b',
  ]);
});

test('every flag has its variable', () => {
  const samples: Record<string, string> = {
    config: 'd',
    admin: 'off',
    workers: '1',
    'log-level': 'debug',
    listen: '127.0.0.1',
    'port-map': '80=8080',
    'drain-delay': '1s',
    'tunnel-drain-timeout': '1h',
    'trusted-proxies': '10.0.0.0/8',
    'access-log-query': 'true',
    'client-idle-timeout': '10m30s',
    'half-close': 'on',
  };
  const env: Record<string, string> = {};
  for (const flag of FLAGS)
    if (samples[flag.name] !== undefined) env[variableOf(flag.name)] = samples[flag.name] as string;
  const { options, warnings } = parseOptions([], env, NO_TERMINAL);
  assert.deepEqual(warnings, []);
  assert.equal(options.admin, null);
  assert.equal(options.logLevel, 'debug');
  assert.deepEqual(options.portMap, { '80': 8080 });
  assert.equal(options.drainDelayMs, 1000);
  assert.deepEqual([options.drainTimeoutMs, options.tunnelDrainTimeoutMs], [30_000, 3_600_000]);
  assert.equal(options.accessLogQuery, true);
  assert.equal(options.clientIdleMs, 630_000);
  assert.equal(options.halfClose, true);
});

test('what is wrong is named, with the nearest right thing', () => {
  fails(['--confg', 'x'], {}, 2, /unknown flag --confg \(did you mean --config\?\)/);
  fails([...CONFIG, '--log-level', 'infoo'], {}, 2, /--log-level: 'infoo' is not one of .*; write --log-level info$/);
  fails(CONFIG, { RAUTA_LOG_LEVEL: 'loud' }, 2, /RAUTA_LOG_LEVEL: 'loud'/);
  fails([...CONFIG, '--workers', '0'], {}, 2, /--workers: '0' is not a whole number from 1 to 256/);
  fails([...CONFIG, '--workers'], {}, 2, /--workers needs a value/);
  fails([...CONFIG, '--admin', 'x'], {}, 2, /--admin: 'x' is not HOST:PORT/);
  fails(
    [...CONFIG, '--admin', 'a.example:90'],
    {},
    2,
    /--admin: 'a\.example:90' names the host a\.example, which is neither/,
  );
  fails([...CONFIG, '--trusted-proxies', '10.0.0.0/33'], {}, 2, /10\.0\.0\.0\/33/);
  fails([...CONFIG, '--listen', 'example.com'], {}, 2, /not an IP address/);
  fails([...CONFIG, '--listen', '[::1]'], {}, 2, /not an IP address; write --listen ::1$/);
  fails([...CONFIG, '--listen', '::ffff:127.0.0.1'], {}, 2, /nothing to listen on: .*; write --listen 127\.0\.0\.1$/);
  fails([...CONFIG, '--listen', 'fe80::1%eth0'], {}, 2, /'fe80::1%eth0' is nothing to listen on: no zone/);
  fails([...CONFIG, '--admin', '[::ffff:127.0.0.1]:90'], {}, 2, /is nothing to listen on: .*; write --admin 127/);
  fails([...CONFIG, '--client-idle-timeout', '0s'], {}, 2, /--client-idle-timeout: '0s' is no time at all/);
  fails([...CONFIG, '--half-close', 'yes'], {}, 2, /--half-close: 'yes' is not one of on, off/);
  fails([...CONFIG, 'stray'], {}, 2, /unexpected argument 'stray'/);
  fails([], {}, 2, /nothing to serve/);
  fails(
    [],
    { RAUTA_BIND_ADDR: '0.0.0.0:80' },
    2,
    /^RAUTA_BIND_ADDR: '0\.0\.0\.0:80' has no backend; write RAUTA_BACKEND_ADDR=/,
  );
  fails(
    CONFIG,
    { RAUTA_TLS_CERT: 'a.pem' },
    2,
    /^RAUTA_TLS_CERT: 'a\.pem' needs its key; write RAUTA_TLS_KEY=\S+ besides$/,
  );
  fails(
    [...CONFIG, '--tls-key', 'a.pem'],
    {},
    2,
    /^--tls-key: 'a\.pem' needs its certificate; write --tls-cert \S+ besides$/,
  );
  fails([...CONFIG, '--tls-key', 'a', '--tls-cert', 'b'], {}, 2, /^--tls-cert: 'b' is for RAUTA_BIND_ADDR/);
  fails(
    CONFIG,
    { RAUTA_K8S_MODE: 'true' },
    2,
    /^RAUTA_K8S_MODE: resources come from one place, not from --config as well; leave out/,
  );
  fails(['--kubernetes'], { RAUTA_BACKEND_ADDR: '127.0.0.1:1' }, 2, /--kubernetes: resources come from one place/);
  fails([...CONFIG, '--default-certificate', 'x'], {}, 2, /--default-certificate: 'x' is not NAMESPACE\/NAME/);
  fails([...CONFIG, '--context', 'x'], {}, 2, /--context: 'x' is for --kubernetes/);
  fails(['--kubernetes', '--lease', 'x'], {}, 2, /--lease: 'x' is not NAMESPACE\/NAME/);
  fails(['--kubernetes', '--backends', 'all'], {}, 2, /--backends: 'all' is not one of off, on, local/);
  assert.match(
    parseOptions(CONFIG, { RAUTA_WORKRS: '2' }, NO_TERMINAL).warnings[0] ?? '',
    /RAUTA_WORKRS.*did you mean RAUTA_WORKERS/,
  );
});

test('how Gateways are reached: types by name, one source of addresses, who this pod is', () => {
  const env = { POD_NAMESPACE: 'sys', POD_NAME: 'rauta-1', NODE_NAME: 'n1' };
  const given = (args: readonly string[]): Options['kubernetes'] =>
    parseOptions(['--kubernetes', ...args], env, NO_TERMINAL).options.kubernetes;
  const load = given(['--gateway-service', 'LoadBalancer']);
  assert.deepEqual(
    [load?.gatewayService, load?.publishService, load?.pod, load?.node],
    ['LoadBalancer', null, { namespace: 'sys', name: 'rauta-1' }, 'n1'],
  );
  assert.equal(given(['--publish-service', 'a/b'])?.publishService, 'a/b');
  assert.throws(() => given(['--publish-service', 'b']), /'b' is not NAMESPACE\/NAME/);
  assert.throws(() => given(['--gateway-service', 'loadbalancer']), /; write --gateway-service LoadBalancer$/);
  assert.throws(
    () => given(['--publish-service', 'a/b', '--address-pool', '10.0.0.0/24']),
    /--publish-service: 'a\/b' cannot be, for with --address-pool each Gateway has an address of its own/,
  );
  assert.throws(() => parseOptions([...CONFIG, '--publish-service', 'a/b'], {}, NO_TERMINAL), /is for --kubernetes/);
});

test('RAUTA_K8S_MODE alone is --kubernetes, and a named class is then the only one', () => {
  const mode = parseOptions([], { RAUTA_K8S_MODE: 'true' }, NO_TERMINAL).options.kubernetes;
  assert.deepEqual(mode, parseOptions(['--kubernetes'], {}, NO_TERMINAL).options.kubernetes);
  assert.deepEqual(mode, {
    kubeconfig: null,
    context: null,
    namespaces: [],
    gatewayClass: null,
    backends: 'off',
    qps: 200,
    burst: 400,
    leaderElection: true,
    lease: null,
    keysSecret: null,
    gatewayService: null,
    publishService: null,
    pod: null,
    node: null,
    instance: '',
  });
  const { options } = parseOptions(
    ['--kubernetes', '--watch-namespaces', 'a, b', '--backends', 'local'],
    { RAUTA_GATEWAY_CLASS: 'mine' },
    NO_TERMINAL,
  );
  assert.deepEqual(options.kubernetes?.namespaces, ['a', 'b']);
  assert.equal(options.kubernetes?.gatewayClass, 'mine');
  assert.equal(options.kubernetes?.backends, 'local');
  assert.equal(parseOptions(CONFIG, { RAUTA_K8S_MODE: 'false' }, NO_TERMINAL).options.kubernetes, null);
});

test('in a pod probes come from outside, and endpoints are taken away with a delay', () => {
  const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1' };
  const of = (argv: string[], more = {}) => {
    const { admin, drainDelayMs } = parseOptions(argv, { ...env, ...more }, NO_TERMINAL).options;
    return [admin?.host, drainDelayMs];
  };
  assert.deepEqual(of(['--kubernetes']), ['::', 5_000]);
  assert.deepEqual(of([], { RAUTA_K8S_MODE: 'true' }), ['::', 5_000]);
  assert.deepEqual(of(['--kubernetes', '--drain-delay', '1s', '--admin', '127.0.0.1:1']), ['127.0.0.1', 1_000]);
  assert.deepEqual(of(['--kubernetes', '--kubeconfig', 'f']), ['127.0.0.1', 0]);
  assert.deepEqual(of(CONFIG), ['127.0.0.1', 0]);
});

test('environment mode needs nothing but a backend', () => {
  const { options } = parseOptions([], { RAUTA_BACKEND_ADDR: '127.0.0.1:9001, 127.0.0.1:9002' }, NO_TERMINAL);
  assert.equal(options.bindAddress, '0.0.0.0:8080');
  assert.deepEqual(options.backendAddresses, ['127.0.0.1:9001', '127.0.0.1:9002']);
});

test('durations', () => {
  const of = (text: string): number =>
    parseOptions([...CONFIG, '--drain-timeout', text], {}, NO_TERMINAL).options.drainTimeoutMs;
  assert.equal(of('500ms'), 500);
  assert.equal(of('1m30s'), 90_000);
  assert.equal(of('7'), 7000);
  assert.throws(() => of('5 parsecs'), /'5 parsecs' is not a duration like 500ms, 30s or 1m30s/);
});
