// Flags and variables that are right each by itself, and wrong together.

import { usageError as usage } from '../cli/arguments.ts';
import { type Bind, spelt, type Values } from './flag-values.ts';

/** What of the options is looked at. */
interface Together {
  readonly config: readonly string[];
  readonly backendAddresses: readonly string[];
  readonly bindAddress: string | null;
  readonly kubernetes: { readonly leaderElection: boolean } | null;
  readonly admin: Bind | null;
  readonly requests: Bind | null;
  readonly accessLog: string;
  readonly takeover: string | null;
}

/** Without --kubernetes these say nothing, and whoever gives one thinks otherwise. */
const KUBERNETES_FLAGS = [
  ...['kubeconfig', 'context', 'watch-namespaces', 'backends'],
  ...['api-qps', 'api-burst', 'leader-election', 'lease', 'keys-secret', 'gateway-service', 'publish-service'],
  'state-file',
];

const BACKEND = 'RAUTA_BACKEND_ADDR';
const BIND = 'RAUTA_BIND_ADDR';
const SOME_BACKEND = spelt(BACKEND, '127.0.0.1:9001');

/** `empty`: variables that say nothing. Throws ExitError (usage) for what cannot be; returns what has no effect. */
export function checkTogether(
  values: Values,
  options: Together,
  terminal: { readonly stdout: boolean },
  empty: readonly string[],
): string[] {
  checkSources(values, options, empty);
  checkTls(values, options.backendAddresses.length > 0);
  if (options.kubernetes !== null && values.has('publish-service') && values.has('address-pool'))
    throw usage(
      `${said(values, 'publish-service')} cannot be, for with ${values.from('address-pool')} each Gateway has an ` +
        `address of its own; leave out ${values.from('publish-service')}, or leave out ${values.from('address-pool')}`,
    );
  const { admin, requests } = options;
  if (admin !== null && admin.port !== 0 && admin.host === requests?.host && admin.port === requests.port)
    throw usage(
      `${said(values, 'requests')} is where ${values.from('admin')} listens; leave out ${values.from('requests')}`,
    );
  return withoutEffect(values, options, terminal);
}

/** Resources come from one place, and there is one. */
function checkSources(
  values: Values,
  { config, backendAddresses, bindAddress, kubernetes }: Together,
  empty: readonly string[],
): void {
  const others = [
    ...(config.length > 0 ? [values.from('config')] : []),
    ...(backendAddresses.length > 0 ? [BACKEND] : []),
  ];
  const own = values.from('kubernetes');
  if (kubernetes !== null && others.length > 0)
    throw usage(
      `${own}: resources come from one place, not from ${others.join(' and ')} as well; ` +
        `leave out ${own}, or leave out ${others.join(' and ')}`,
    );
  if (kubernetes !== null || config.length > 0 || backendAddresses.length > 0) return;
  if (bindAddress !== null) throw usage(`${BIND}: '${bindAddress}' has no backend; write ${SOME_BACKEND} besides`);
  const why = empty.length === 0 ? '' : `, for ${empty.join(' and ')} ${empty.length === 1 ? 'is' : 'are'} empty`;
  throw usage(`nothing to serve${why}; write --config PATH, or write --kubernetes, or write ${SOME_BACKEND}`);
}

/** Both or none; of what is served besides, Secrets are the certificates. */
function checkTls(values: Values, environment: boolean): void {
  for (const [one, other, what] of [
    ['tls-cert', 'tls-key', 'its key'],
    ['tls-key', 'tls-cert', 'its certificate'],
  ] as const)
    if (values.has(one) && !values.has(other))
      throw usage(`${said(values, one)} needs ${what}; write ${values.like(other, one)} besides`);
  const both = `${values.from('tls-cert')} and ${values.from('tls-key')}`;
  if (values.has('tls-cert') && !environment)
    throw usage(
      `${said(values, 'tls-cert')} is for ${BIND}, which needs a backend; write ${SOME_BACKEND} besides, ` +
        `or leave out ${both}`,
    );
}

function withoutEffect(values: Values, options: Together, terminal: { readonly stdout: boolean }): string[] {
  const { kubernetes, admin, requests, accessLog, takeover, bindAddress, backendAddresses } = options;
  const given = (names: readonly string[], why: string): string[] =>
    names
      .filter((name) => values.has(name))
      .map((name) => `${said(values, name)} has no effect ${why}; leave out ${values.from(name)}`);
  if (kubernetes === null)
    for (const name of KUBERNETES_FLAGS)
      if (values.has(name)) throw usage(`${said(values, name)} is for --kubernetes; leave out ${values.from(name)}`);
  const off = values.has('access-log') || !terminal.stdout ? 'off' : 'off, as it is on a terminal';
  return [
    ...(takeover === null ? given(['after-takeover'], 'without --takeover') : []),
    ...(admin === null && requests === null
      ? given(['admin-token-file', 'admin-allowed-hosts'], 'while the admin server is off')
      : []),
    ...(accessLog === 'off' ? given(['access-log-format', 'access-log-query'], `while the access log is ${off}`) : []),
    ...(kubernetes?.leaderElection === false ? given(['lease'], 'while --leader-election is off') : []),
    ...(bindAddress !== null && backendAddresses.length === 0
      ? [`${BIND}: '${bindAddress}' has no effect without ${BACKEND}; leave out ${BIND}`]
      : []),
  ];
}

/** `--lease: 'a/b'` */
function said(values: Values, name: string): string {
  return `${values.from(name)}: '${values.text(name)}'`;
}
