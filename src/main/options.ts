// Flags of `rauta serve`: each has a variable RAUTA_<FLAG>, a flag beats its variable, anything unknown is an error
// that names the nearest thing there is.

import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { durationMs } from '../api/duration.ts';
import { splitHostPort } from '../base/ip.ts';
import { LEVELS, type Level } from '../base/log.ts';
import { nearest } from '../base/nearest.ts';
import { readArguments, truth, usageError as usage } from '../cli/arguments.ts';
import type { Flag } from '../cli/command.ts';
import type { KeysFileSettings } from '../keeper/keys-file.ts';
import type { StateFileSettings } from '../keeper/state-file.ts';
import { ACCESS_LOG_FORMATS, type AccessLogFormat } from '../telemetry/recent.ts';
import type { ServiceType } from '../translate/context.ts';
import { FLAGS } from './flags.ts';
import { keptBy } from './kept-by.ts';

export interface Options {
  readonly config: readonly string[];
  readonly admin: { readonly host: string; readonly port: number } | null;
  readonly requests: { readonly host: string; readonly port: number } | null;
  readonly adminTokenFile: string | null;
  readonly adminAllowedHosts: readonly string[];
  readonly workers: number;
  readonly listen: readonly string[];
  readonly addressPool: readonly string[];
  /** Null: that of its node, where it is known. */
  readonly zone: string | null;
  readonly portMap: Readonly<Record<string, number>>;
  readonly accessLog: string;
  readonly accessLogFormat: AccessLogFormat;
  readonly accessLogQuery: boolean;
  readonly gatewayClass: string;
  readonly controllerName: string;
  readonly logLevel: Level;
  readonly logFormat: 'json' | 'text';
  /** Somebody reads standard error as it is written: a start sums up what is served. */
  readonly terminal: boolean;
  readonly drainDelayMs: number;
  readonly drainTimeoutMs: number;
  /** How long a client's connection may stay between two requests. */
  readonly clientIdleMs: number;
  readonly streamIdleMs: number;
  readonly bodyIdleMs: number;
  readonly halfClose: boolean;
  readonly user: string;
  readonly trustedProxies: readonly string[];
  readonly proxyProtocol: readonly string[];
  readonly metricsMaxRoutes: number;
  readonly metricsMaxBackends: number;
  /** Environment mode: RAUTA_BIND_ADDR and RAUTA_BACKEND_ADDR. */
  readonly bindAddress: string | null;
  readonly backendAddresses: readonly string[];
  /** Paths of the certificate and the key of bindAddress; null: HTTP in the clear. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** `NAMESPACE/NAME` of a Secret. */
  readonly defaultCertificate: string | null;
  readonly takeover: string | null;
  /** The command ends when the program serves, which goes on in the background. */
  readonly detach: boolean;
  readonly stateFile: StateFileSettings | null;
  readonly keysFile: KeysFileSettings | null;
  /** A program that handed over ends, or waits to be told so. */
  readonly afterTakeover: 'exit' | 'wait';
  /** Fields and kinds that are not known are warnings, not errors. */
  readonly lenient: boolean;
  /** Resources come from an API server; null: from files or the environment. */
  readonly kubernetes: KubernetesFlags | null;
}

/** Where somebody reads along. */
export interface Terminal {
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export interface KubernetesFlags {
  readonly kubeconfig: string | null;
  readonly context: string | null;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  /** The only class that is served, when one was named; null: every class of our controller name. */
  readonly gatewayClass: string | null;
  readonly backends: 'off' | 'on' | 'local';
  readonly qps: number;
  readonly burst: number;
  readonly leaderElection: boolean;
  /** `NAMESPACE/NAME`; null: `rauta` where this program is at home. */
  readonly lease: string | null;
  /** `NAMESPACE/NAME` of the Secret whose keys the leader keeps; null: none. */
  readonly keysSecret: string | null;
  /** Type of the Service kept for each Gateway; null: none. */
  readonly gatewayService: ServiceType | null;
  /** `NAMESPACE/NAME` of the Service whose addresses Gateways have; null: none was named. */
  readonly publishService: string | null;
  /** This program's pod and node, as the downward API tells them (POD_NAMESPACE, POD_NAME, NODE_NAME). */
  readonly pod: { readonly namespace: string; readonly name: string } | null;
  readonly node: string | null;
  /** Of this program and no other; kept when its controller is replaced. */
  readonly instance: string;
}

const K8S_MODE = 'RAUTA_K8S_MODE';

/** Variables that are no flag. */
const VARIABLES = [
  'RAUTA_BIND_ADDR',
  'RAUTA_BACKEND_ADDR',
  K8S_MODE,
  'RAUTA_ENABLE_OBSERVABILITY',
  'RAUTA_COMPILE_CACHE',
];

/** Without --kubernetes these say nothing, and whoever gives one thinks otherwise. */
const KUBERNETES_FLAGS = [
  ...['kubeconfig', 'context', 'watch-namespaces', 'backends'],
  ...['api-qps', 'api-burst', 'leader-election', 'lease', 'keys-secret', 'gateway-service', 'publish-service'],
  'state-file',
];

export function variableOf(flag: string): string {
  return `RAUTA_${flag.toUpperCase().replaceAll('-', '_')}`;
}

export interface Parsed {
  readonly options: Options;
  readonly warnings: readonly string[];
}

/**
 * Throws ExitError with exit code 2 (or 1 where the configuration cannot be served) and a message that names the flag.
 */
export function parseOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  terminal: Terminal,
): Parsed {
  const given: GivenFlags = new Map();
  const warnings = readEnvironment(env, given);
  const { flags, operands } = readArguments(argv, FLAGS);
  if (operands[0] !== undefined) throw usage(`unexpected argument '${operands[0]}'`);
  for (const [name, values] of flags) given.set(name, { values, from: `--${name}` });

  const values = valuesOf(given, env['KUBERNETES_SERVICE_HOST'] !== undefined, terminal);
  const { text, from, list, oneOf, count } = values;

  const backendAddresses = splitList(env['RAUTA_BACKEND_ADDR'] ?? '');
  const bindAddress = env['RAUTA_BIND_ADDR'] ?? (backendAddresses.length > 0 ? '0.0.0.0:8080' : null);
  const config = given.get('config')?.values ?? [];
  const kubernetes = truth(from('kubernetes'), text('kubernetes'));
  checkSources(given, values, kubernetes, { config, backendAddresses, bindAddress });
  for (const address of list('listen'))
    if (isIP(address) === 0) throw usage(`${from('listen')}: '${address}' is not an IP address`);

  return {
    warnings,
    options: {
      config,
      admin: text('admin') === 'off' ? null : bindOf(from('admin'), text('admin')),
      requests: text('requests') === '' ? null : bindOf(from('requests'), text('requests')),
      adminTokenFile: text('admin-token-file') || null,
      adminAllowedHosts: list('admin-allowed-hosts'),
      workers: text('workers') === 'auto' ? availableParallelism() : count('workers', 1, 256),
      listen: list('listen'),
      addressPool: list('address-pool').map((c) => cidr(from('address-pool'), c)),
      zone: text('zone') || null,
      portMap: portMap(from('port-map'), list('port-map')),
      accessLog: text('access-log'),
      accessLogFormat: oneOf('access-log-format', ACCESS_LOG_FORMATS),
      accessLogQuery: truth(from('access-log-query'), text('access-log-query')),
      gatewayClass: text('gateway-class'),
      controllerName: text('controller-name'),
      logLevel: oneOf('log-level', LEVELS),
      logFormat: oneOf('log-format', ['json', 'text']),
      terminal: terminal.stderr,
      drainDelayMs: duration(from('drain-delay'), text('drain-delay')),
      drainTimeoutMs: duration(from('drain-timeout'), text('drain-timeout')),
      defaultCertificate: optionalName(values, 'default-certificate'),
      takeover: text('takeover') || null,
      detach: truth(from('detach'), text('detach')),
      stateFile: text('state-file') === '' ? null : { path: text('state-file'), ...keptBy(text) },
      keysFile: text('keys-file') === '' ? null : { path: text('keys-file'), mayComeLater: kubernetes },
      afterTakeover: oneOf('after-takeover', ['exit', 'wait']),
      clientIdleMs: positive(from('client-idle-timeout'), text('client-idle-timeout')),
      streamIdleMs: positive(from('stream-idle-timeout'), text('stream-idle-timeout')),
      bodyIdleMs: positive(from('body-idle-timeout'), text('body-idle-timeout')),
      halfClose: oneOf('half-close', ['on', 'off']) === 'on',
      lenient: truth(from('lenient'), text('lenient')),
      user: text('user'),
      trustedProxies: list('trusted-proxies').map((c) => cidr(from('trusted-proxies'), c)),
      proxyProtocol: list('proxy-protocol').map((c) => cidr(from('proxy-protocol'), c)),
      metricsMaxRoutes: count('metrics-max-routes', 0, 100_000),
      metricsMaxBackends: count('metrics-max-backends', 0, 100_000),
      bindAddress,
      backendAddresses,
      tls: tlsFiles(values, backendAddresses.length > 0),
      kubernetes: kubernetes ? kubernetesOptions(values, given.has('gateway-class'), env) : null,
    },
  };
}

/** What was given, by the name of its flag, and the word by which it was given. */
type GivenFlags = Map<string, { values: readonly string[]; from: string }>;

/** Values of flags as they are asked for: what is wrong with one is said with the name under which it was given. */
interface Values {
  readonly text: (name: string) => string;
  readonly from: (name: string) => string;
  readonly list: (name: string) => string[];
  readonly oneOf: <T extends string>(name: string, allowed: readonly T[]) => T;
  readonly count: (name: string, low: number, high: number) => number;
}

function valuesOf(given: GivenFlags, inPod: boolean, terminal: Terminal): Values {
  const plain = (name: string): string | undefined => given.get(name)?.values.at(-1);
  const cluster = truth(given.get('kubernetes')?.from ?? '', plain('kubernetes') ?? '');
  const pod = inPod && cluster && plain('kubeconfig') === undefined;
  const text = (name: string): string => {
    const flag = FLAGS.find((f) => f.name === name) as Flag;
    const read = name.startsWith('access-log') ? terminal.stdout && terminal.stderr : terminal.stderr;
    return (
      plain(name) ?? (pod ? flag.podDefault : undefined) ?? (read ? flag.terminalDefault : undefined) ?? flag.default
    );
  };
  const from = (name: string): string => given.get(name)?.from ?? `--${name}`;
  return {
    text,
    from,
    list: (name) => splitList(text(name)),
    oneOf: <T extends string>(name: string, allowed: readonly T[]): T => {
      const value = text(name);
      if (!(allowed as readonly string[]).includes(value))
        throw usage(`${from(name)}: '${value}' is not one of ${allowed.join(', ')}${suggestion(value, allowed)}`);
      return value as T;
    },
    count: (name, low, high) => {
      const value = text(name);
      const n = Number(value);
      if (!/^\d+$/.test(value) || n < low || n > high)
        throw usage(`${from(name)}: '${value}' is not a whole number from ${low} to ${high}`);
      return n;
    },
  };
}

/** Resources come from one place, and there is one. */
function checkSources(
  given: GivenFlags,
  { from }: Values,
  kubernetes: boolean,
  other: { config: readonly string[]; backendAddresses: readonly string[]; bindAddress: string | null },
): void {
  const { config, backendAddresses, bindAddress } = other;
  if (kubernetes && (config.length > 0 || backendAddresses.length > 0))
    throw usage(`${from('kubernetes')}: resources come from one place; leave out --config and RAUTA_BACKEND_ADDR`);
  for (const name of KUBERNETES_FLAGS)
    if (!kubernetes && given.has(name)) throw usage(`${from(name)} is for --kubernetes`);
  if (!kubernetes && config.length === 0 && backendAddresses.length === 0)
    throw usage(
      bindAddress === null
        ? 'nothing to serve: give --config PATH, --kubernetes, or RAUTA_BACKEND_ADDR (and RAUTA_BIND_ADDR)'
        : 'RAUTA_BIND_ADDR needs RAUTA_BACKEND_ADDR',
    );
}

/** Both or none; of what is served besides, Secrets are the certificates. */
function tlsFiles({ text, from }: Values, environment: boolean): Options['tls'] {
  const [cert, key] = [text('tls-cert'), text('tls-key')];
  if (cert === '' && key === '') return null;
  if (key === '') throw usage(`${from('tls-cert')} needs --tls-key (RAUTA_TLS_KEY)`);
  if (cert === '') throw usage(`${from('tls-key')} needs --tls-cert (RAUTA_TLS_CERT)`);
  if (!environment) throw usage(`${from('tls-cert')} is for RAUTA_BIND_ADDR, which needs RAUTA_BACKEND_ADDR`);
  return { cert, key };
}

function kubernetesOptions(
  values: Values,
  classGiven: boolean,
  env: Readonly<Record<string, string | undefined>>,
): NonNullable<Options['kubernetes']> {
  const { text, from, list, oneOf, count } = values;
  const service = oneOf('gateway-service', ['none', 'ClusterIP', 'NodePort', 'LoadBalancer']);
  if (text('publish-service') !== '' && text('address-pool') !== '')
    throw usage(`${from('publish-service')}: with --address-pool each Gateway has an address of its own`);
  const { POD_NAMESPACE: namespace, POD_NAME: name, NODE_NAME: node } = env;
  return {
    gatewayService: service === 'none' ? null : service,
    publishService: optionalName(values, 'publish-service'),
    pod: namespace && name ? { namespace, name } : null,
    node: node || null,
    kubeconfig: text('kubeconfig') || null,
    context: text('context') || null,
    namespaces: list('watch-namespaces'),
    gatewayClass: classGiven ? text('gateway-class') : null,
    backends: oneOf('backends', ['off', 'on', 'local']),
    qps: count('api-qps', 1, 10_000),
    burst: count('api-burst', 1, 100_000),
    leaderElection: oneOf('leader-election', ['on', 'off']) === 'on',
    lease: optionalName(values, 'lease'),
    keysSecret: optionalName(values, 'keys-secret'),
    instance: '',
  };
}

function readEnvironment(env: Readonly<Record<string, string | undefined>>, given: GivenFlags): string[] {
  const warnings: string[] = [];
  if (env[K8S_MODE] !== undefined && truth(K8S_MODE, env[K8S_MODE]))
    given.set('kubernetes', { values: ['true'], from: K8S_MODE });
  if (env['RAUTA_ENABLE_OBSERVABILITY'] !== undefined)
    truth('RAUTA_ENABLE_OBSERVABILITY', env['RAUTA_ENABLE_OBSERVABILITY']);
  if (
    env['RAUTA_LOG_LEVEL'] === undefined &&
    env['RUST_LOG'] !== undefined &&
    (LEVELS as readonly string[]).includes(env['RUST_LOG'])
  )
    given.set('log-level', { values: [env['RUST_LOG']], from: 'RUST_LOG' });
  const known = new Map(FLAGS.map((f) => [variableOf(f.name), f]));
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('RAUTA_') || value === undefined) continue;
    const flag = known.get(name);
    if (flag !== undefined) given.set(flag.name, { values: flag.many ? splitList(value) : [value], from: name });
    else if (!VARIABLES.includes(name))
      warnings.push(`${name} is not a variable of RAUTA${suggestion(name, [...known.keys(), ...VARIABLES])}`);
  }
  return warnings;
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** `HOST:PORT`, `[v6]:PORT`. */
function bindOf(from: string, text: string): { host: string; port: number } {
  const parts = splitHostPort(text);
  if (parts === null || parts.port > 65_535 || (parts.bracketed && isIP(parts.host) !== 6))
    throw usage(`${from}: '${text}' is not HOST:PORT`);
  // The keeper binds it, and asks no name server.
  if (parts.host !== '' && parts.host !== 'localhost' && isIP(parts.host) === 0)
    throw usage(`${from}: '${parts.host}' is neither an IP address nor localhost`);
  return { host: parts.host === '' ? '0.0.0.0' : parts.host, port: parts.port };
}

/** Of an object that need not be named. */
function optionalName({ text, from }: Values, flag: string): string | null {
  return text(flag) === '' ? null : objectName(from(flag), text(flag));
}

function objectName(from: string, text: string): string {
  if (!/^[a-z0-9-]{1,63}\/[a-z0-9.-]{1,253}$/.test(text)) throw usage(`${from}: '${text}' is not NAMESPACE/NAME`);
  return text;
}

function portMap(from: string, pairs: readonly string[]): Record<string, number> {
  const map: Record<string, number> = {};
  for (const pair of pairs) {
    const m = /^(\d{1,5})=(\d{1,5})$/.exec(pair);
    const [a, b] = [Number(m?.[1]), Number(m?.[2])];
    if (m === null || a < 1 || b < 1 || a > 65_535 || b > 65_535) throw usage(`${from}: '${pair}' is not PORT=PORT`);
    map[String(a)] = b;
  }
  return map;
}

/** A duration above zero: for what cannot be without one. */
function positive(from: string, text: string): number {
  const ms = duration(from, text);
  if (ms === 0) throw usage(`${from}: '${text}' is no time at all`);
  return ms;
}

/** Milliseconds of a GEP-2257 duration (`1h2m3s4ms`) or of a bare number of seconds. */
export function duration(from: string, text: string): number {
  const ms = /^\d{1,7}$/.test(text) ? Number(text) * 1000 : durationMs(text);
  if (Number.isNaN(ms)) throw usage(`${from}: '${text}' is not a duration like 500ms, 30s or 1m30s`);
  return ms;
}

function cidr(from: string, text: string): string {
  const [address = '', bits] = text.split('/');
  const family = isIP(address);
  const width = family === 4 ? 32 : 128;
  const length = bits === undefined ? width : Number(bits);
  if (family === 0 || !Number.isInteger(length) || length < 0 || length > width || bits === '')
    throw usage(`${from}: '${text}' is not an address or CIDR like 10.0.0.0/8`);
  return `${address}/${length}`;
}

/** ` (did you mean X?)` when something allowed is near. */
export function suggestion(given: string, allowed: readonly string[], prefix = ''): string {
  const best = nearest(given, allowed);
  return best === undefined ? '' : ` (did you mean ${prefix}${best}?)`;
}
