// Flags of `rauta serve`: each has a variable RAUTA_<FLAG>, a flag beats its variable, anything unknown is an error
// that names the nearest thing there is.

import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import type { ExitError } from '../base/errors.ts';
import { LEVELS, type Level } from '../base/log.ts';
import { nearest } from '../base/nearest.ts';
import { readArguments, truth, usageError as usage } from '../cli/arguments.ts';
import type { KeysFileSettings } from '../keeper/keys-file.ts';
import type { StateFileSettings } from '../keeper/state-file.ts';
import type { EnvironmentOptions } from '../source/environment.ts';
import { ACCESS_LOG_FORMATS, type AccessLogFormat } from '../telemetry/recent.ts';
import type { ServiceType } from '../translate/context.ts';
import { checkTogether } from './flag-conflicts.ts';
import { type GivenFlags, spelt, splitList, Values } from './flag-values.ts';
import { FLAGS, VARIABLES, variableOf } from './flags.ts';
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
  readonly tunnelDrainTimeoutMs: number;
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
const OBSERVABILITY = 'RAUTA_ENABLE_OBSERVABILITY';

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
  const { warnings, empty } = readEnvironment(env, given);
  const { flags, operands, repeated } = readArguments(argv, FLAGS, 'serve');
  if (operands[0] !== undefined) throw stray(operands[0], argv);
  for (const [name, values] of flags) given.set(name, { values, from: `--${name}` });

  const values = valuesOf(given, env['KUBERNETES_SERVICE_HOST'] !== undefined, terminal);
  const backendAddresses = splitList(env['RAUTA_BACKEND_ADDR'] ?? '');
  const bindAddress = env['RAUTA_BIND_ADDR'] || (backendAddresses.length > 0 ? '0.0.0.0:8080' : null);
  const config = given.get('config')?.values ?? [];
  const options: Options = {
    ...settings(values),
    config,
    terminal: terminal.stderr,
    bindAddress,
    backendAddresses,
    tls: values.has('tls-cert') ? { cert: values.text('tls-cert'), key: values.text('tls-key') } : null,
    kubernetes: values.truth('kubernetes') ? kubernetesOptions(values, env) : null,
  };
  const odd = checkTogether(values, options, terminal, empty);
  if (backendAddresses.length > 0) checkEnvironment(environmentOf(options));
  return { options, warnings: [...warnings, ...repeated, ...odd] };
}

/** Who has no such variables need not load every schema there is for them. */
function checkEnvironment(options: EnvironmentOptions): void {
  const require = createRequire(import.meta.url);
  (require('../source/environment.ts') as typeof import('../source/environment.ts')).environmentObjects(options);
}

type FromFlags = Omit<Options, 'config' | 'terminal' | 'bindAddress' | 'backendAddresses' | 'tls' | 'kubernetes'>;

/** The variables that make a proxy without files, as the environment source takes them. */
export function environmentOf(options: Options): EnvironmentOptions {
  return {
    bind: options.bindAddress as string,
    backends: options.backendAddresses,
    tls: options.tls !== null,
    gatewayClass: options.gatewayClass,
    controllerName: options.controllerName,
  };
}

/** What each flag says by itself. */
function settings(values: Values): FromFlags {
  const kubernetes = values.truth('kubernetes');
  const stateFile = values.optional('state-file');
  const keysFile = values.optional('keys-file');
  return {
    admin: values.text('admin') === 'off' ? null : values.bind('admin'),
    requests: values.text('requests') === '' ? null : values.bind('requests'),
    adminTokenFile: values.optional('admin-token-file'),
    adminAllowedHosts: values.hosts('admin-allowed-hosts'),
    workers: values.text('workers') === 'auto' ? availableParallelism() : values.count('workers', 1, 256),
    listen: values.addresses('listen'),
    addressPool: values.ranges('address-pool'),
    zone: values.optional('zone'),
    portMap: values.portMap('port-map'),
    // As a path it is another user's pipe at times, or a socket, which nobody can open: it is open already.
    accessLog: values.text('access-log') === '/dev/stdout' ? '-' : values.text('access-log'),
    accessLogFormat: values.oneOf('access-log-format', ACCESS_LOG_FORMATS),
    accessLogQuery: values.truth('access-log-query'),
    gatewayClass: values.named('gateway-class'),
    controllerName: values.controller('controller-name'),
    logLevel: values.oneOf('log-level', LEVELS),
    logFormat: values.oneOf('log-format', ['json', 'text']),
    drainDelayMs: values.duration('drain-delay'),
    drainTimeoutMs: values.duration('drain-timeout'),
    tunnelDrainTimeoutMs: values.duration(
      values.has('tunnel-drain-timeout') ? 'tunnel-drain-timeout' : 'drain-timeout',
    ),
    defaultCertificate: values.object('default-certificate'),
    takeover: values.optional('takeover'),
    detach: values.truth('detach'),
    stateFile: stateFile === null ? null : { path: stateFile, ...keptBy((name) => values.text(name)) },
    keysFile: keysFile === null ? null : { path: keysFile, mayComeLater: kubernetes },
    afterTakeover: values.oneOf('after-takeover', ['exit', 'wait']),
    clientIdleMs: values.positive('client-idle-timeout'),
    streamIdleMs: values.positive('stream-idle-timeout'),
    bodyIdleMs: values.positive('body-idle-timeout'),
    halfClose: values.oneOf('half-close', ['on', 'off']) === 'on',
    lenient: values.truth('lenient'),
    user: values.text('user'),
    trustedProxies: values.ranges('trusted-proxies'),
    proxyProtocol: values.ranges('proxy-protocol'),
    metricsMaxRoutes: values.count('metrics-max-routes', 0, 100_000),
    metricsMaxBackends: values.count('metrics-max-backends', 0, 100_000),
  };
}

function valuesOf(given: GivenFlags, inPod: boolean, terminal: Terminal): Values {
  const plain = new Values(given, ({ default: otherwise }) => otherwise);
  const pod = inPod && plain.truth('kubernetes') && plain.text('kubeconfig') === '';
  return new Values(given, (flag) => {
    const read = flag.name.startsWith('access-log') ? terminal.stdout && terminal.stderr : terminal.stderr;
    return (pod ? flag.podDefault : undefined) ?? (read ? flag.terminalDefault : undefined) ?? flag.default;
  });
}

/** What stands behind the flags, where nothing may: a value, most likely, or the folder that is to be served. */
function stray(operand: string, argv: readonly string[]): ExitError {
  const before = argv[argv.indexOf(operand) - 1] ?? '';
  const bare = FLAGS.some(({ name, bare: is }) => is === true && before === `--${name}`);
  if (bare && /^(true|false|on|off|yes|no|1|0)$/i.test(operand))
    return usage(`unexpected argument '${operand}'; write ${before}=${operand}`);
  return usage(`unexpected argument '${operand}'; write --config ${operand} to serve a file or folder`);
}

function kubernetesOptions(
  values: Values,
  env: Readonly<Record<string, string | undefined>>,
): NonNullable<Options['kubernetes']> {
  const service = values.oneOf('gateway-service', ['none', 'ClusterIP', 'NodePort', 'LoadBalancer']);
  const { POD_NAMESPACE: namespace, POD_NAME: name, NODE_NAME: node } = env;
  return {
    gatewayService: service === 'none' ? null : service,
    publishService: values.object('publish-service'),
    pod: namespace && name ? { namespace, name } : null,
    node: node || null,
    kubeconfig: values.optional('kubeconfig'),
    context: values.optional('context'),
    namespaces: values.namespaces('watch-namespaces'),
    gatewayClass: values.has('gateway-class') ? values.named('gateway-class') : null,
    backends: values.oneOf('backends', ['off', 'on', 'local']),
    qps: values.count('api-qps', 1, 10_000),
    burst: values.count('api-burst', 1, 100_000),
    leaderElection: values.oneOf('leader-election', ['on', 'off']) === 'on',
    lease: values.object('lease'),
    keysSecret: values.object('keys-secret'),
    instance: '',
  };
}

/** Puts what variables say into `given`; returns what is odd about them, and the names of those that say nothing. */
function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  given: GivenFlags,
): { readonly warnings: string[]; readonly empty: string[] } {
  const warnings: string[] = [];
  const empty: string[] = [];
  const known = new Map(FLAGS.map((flag) => [variableOf(flag.name), flag]));
  const inPod = env['KUBERNETES_SERVICE_HOST'] !== undefined;
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('RAUTA_') || value === undefined) continue;
    const flag = known.get(name);
    if (value.trim() === '' && (flag !== undefined || name in VARIABLES)) {
      const example = flag === undefined ? VARIABLES[name] : flag.example;
      const write = example === undefined ? '' : `write ${spelt(name, example)}, or `;
      warnings.push(`${name} is empty and counts as not given; ${write}leave out ${name}`);
      empty.push(name);
    } else if (flag !== undefined) given.set(flag.name, { values: flag.many ? splitList(value) : [value], from: name });
    else if (!(name in VARIABLES) && !(inPod && SERVICE_LINK.test(name)))
      warnings.push(unknownVariable(name, [...known.keys(), ...Object.keys(VARIABLES)]));
  }
  const [level, mode, observed] = [env['RUST_LOG'] ?? '', env[K8S_MODE] ?? '', env[OBSERVABILITY] ?? ''];
  if (observed.trim() !== '') truth(OBSERVABILITY, observed);
  if (!given.has('log-level') && (LEVELS as readonly string[]).includes(level))
    given.set('log-level', { values: [level], from: 'RUST_LOG' });
  const own = given.get('kubernetes');
  if (mode.trim() !== '' && truth(K8S_MODE, mode)) {
    if (own !== undefined && !truth(own.from, own.values[0] ?? ''))
      throw usage(`${K8S_MODE}: '${mode}' contradicts ${own.from}=${own.values[0]}; leave out ${own.from}`);
    given.set('kubernetes', { values: ['true'], from: K8S_MODE });
  }
  return { warnings, empty };
}

/** What Kubernetes puts into the pods of a namespace for each Service there, one called rauta among them. */
const SERVICE_LINK = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

function unknownVariable(name: string, known: readonly string[]): string {
  const near = suggestion(name, known);
  const help = near === '' ? `: rauta help serve lists the flags that have one; leave out ${name}` : near;
  return `${name} is not a variable of RAUTA${help}`;
}

/** ` (did you mean X?)` when something allowed is near. */
export function suggestion(given: string, allowed: readonly string[]): string {
  const best = nearest(given, allowed);
  return best === undefined ? '' : ` (did you mean ${best}?)`;
}
