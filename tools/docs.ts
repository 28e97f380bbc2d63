// Writes the reference pages that follow from the code: `bin/node tools/docs.ts`. A test holds them against it.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FAULTS } from '../src/base/errors.ts';
import { LIMITS } from '../src/base/limits.ts';
import { helpOf } from '../src/cli/help.ts';
import { COMMANDS } from '../src/main/commands.ts';
import { FLAGS, variableOf } from '../src/main/flags.ts';
import { grpcCodeOf } from '../src/proxy/exchange/grpc.ts';
import { METRICS } from '../src/telemetry/catalogue.ts';
import { LIMITED } from '../src/telemetry/layout.ts';
import { MEANINGS } from '../src/translate/condition-meanings.ts';
import { conditionTable } from '../src/translate/conditions.ts';
import { type Fate, NGINX, nginxAnnotations } from '../src/translate/ingress-nginx.ts';
import { crds } from './crds.ts';
import { examplesIndex, gatewayApi } from './feature-pages.ts';
import { oneFile } from './manifests.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** At most 120 columns a line. */
function wrapped(text: string): string {
  return text.replaceAll(/(?=.{121})(.{1,120}) /g, '$1\n');
}

function page(title: string, intro: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`;
  return `# ${title}\n\n${wrapped(intro)}\n\n${line(head)}\n|${head.map(() => '---|').join('')}\n${rows.map(line).join('\n')}\n`;
}

function flags(): string {
  return page(
    'Flags of rauta serve',
    'Each flag has a variable; a flag beats its variable. An unknown flag or a bad value, an empty one too, ends with exit code 2, its name and a form that works; a variable that is empty counts as not given, of a flag given twice the last counts, and both are warned of, as are flags without effect. The variables `RAUTA_BIND_ADDR` (0.0.0.0:8080) and `RAUTA_BACKEND_ADDR` (several by commas) alone make a working proxy.',
    ['flag', 'variable', 'default', 'what it does'],
    FLAGS.map((f) => [
      `\`--${f.name}${f.value === '' ? '' : ` ${f.value}`}\``,
      `\`${variableOf(f.name)}\``,
      (f.default === '' ? '' : `\`${f.default}\``) +
        (f.podDefault === undefined ? '' : `, in a pod \`${f.podDefault}\``) +
        (f.terminalDefault === undefined ? '' : `, on a terminal \`${f.terminalDefault}\``),
      f.many === true ? `${f.help} (repeatable)` : f.help,
    ]),
  );
}

function commands(): string {
  const others = COMMANDS.filter(({ name }) => name !== 'serve');
  const told = others.map((command) => `## rauta ${command.name}\n\n\`\`\`text\n${helpOf(command)}\`\`\`\n`);
  const intro =
    'What `rauta help COMMAND` says of each; an unknown flag or a bad value ends with exit code 2, its name and a form that works. `--admin` and `--admin-token-file` follow `RAUTA_ADMIN` and `RAUTA_ADMIN_TOKEN_FILE`, too. The flags of `rauta serve` with their variables: [flags](flags.md).';
  return `# Commands\n\n${wrapped(intro)}\n\n${told.join('\n')}`;
}

function metrics(): string {
  return page(
    'Metrics',
    'Prometheus text format at `/metrics`. Counters never go backwards, not over restarts of workers or of the controller. Past `--metrics-max-routes` and `--metrics-max-backends` the rest is summed as `other`; what appeared first keeps its label. `route="none"` are requests that no route took; it and `other` have no `kind`. Methods of gRPC have a name once a backend knew them, `GRPC_METHODS` at the most ([HTTP/2](http2.md#grpc)).',
    ['name', 'type', 'labels', 'meaning'],
    Object.values(METRICS).map((m) => [`\`${m.name}\``, m.type, m.labels.map((l) => `\`${l}\``).join(' '), m.help]),
  );
}

/** The comment that stands above each limit in the source. */
function comments(): Map<string, string> {
  const files = ['src/base/limits.ts', 'src/base/http2-limits.ts', 'src/base/cluster-limits.ts'];
  const source = files.map((file) => readFileSync(join(root, file), 'utf8')).join('');
  const found = source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*readonly ([A-Z][A-Z0-9_]+) =/g);
  return new Map(
    [...found].map(([, comment, name]) => [
      name as string,
      (comment as string).replaceAll(/\s*\n\s*\*?\s*/g, ' ').trim(),
    ]),
  );
}

function limits(): string {
  const said = comments();
  return page(
    'Limits',
    'Every queue, buffer, table and wait has a limit with its unit in its name (`src/base/limits.ts`). Those marked counted raise `rauta_limit_reached_total{limit}` when traffic reaches them. The value is the default of what is named under "set by": a flag (or its variable), an annotation, a field, a setting of the system; (less) can only lower it. Without a name there a limit is fixed.',
    ['limit', 'value', 'counted', 'set by', 'meaning'],
    Object.entries(LIMITS).map(([name, value]) => [
      `\`${name}\``,
      String(value),
      (LIMITED as readonly string[]).includes(name) ? 'yes' : '',
      SET_BY[name as keyof typeof LIMITS] ?? '',
      said.get(name) ?? '',
    ]),
  );
}

/** Limits that are defaults, and what says otherwise. */
const SET_BY: Readonly<Partial<Record<keyof typeof LIMITS, string>>> = {
  IDLE_MS: '`--client-idle-timeout`',
  STREAM_IDLE_MS: '`--stream-idle-timeout`, `timeouts` of a rule',
  BODY_PROGRESS_MS: '`--body-idle-timeout`',
  SESSION_IDLE_MS: '`rauta.io/idle-timeout` of a TCPRoute or TLSRoute',
  UDP_IDLE_MS: '`rauta.io/idle-timeout` of a UDPRoute',
  DECISION_BODY_BYTES: '`forwardBody.maxSize` of the filter (less)',
  RETRY_BUDGET_PERCENT: '`retryConstraint.budget` of an XBackendTrafficPolicy',
  RETRY_BUDGET_LEAST: '`retryConstraint.minRetryRate` of an XBackendTrafficPolicy',
  DOWNSTREAM_CONNECTIONS: '`ulimit -n` (less)',
  BACKLOG: '`net.core.somaxconn` (less)',
  UDP_SOCKET_BYTES: '`net.core.rmem_max` (less)',
  PIPES: '`fs.pipe-user-pages-soft` (less)',
  UPSTREAM_IDLE_MS: '`Keep-Alive: timeout=` of the backend (less)',
  UPSTREAM_STREAMS: '`SETTINGS_MAX_CONCURRENT_STREAMS` of the backend (less)',
};

function answers(): string {
  return page(
    'What a client gets',
    "Every answer that RAUTA gives itself, with the response flag of the access log and the labels of `rauta_faults_total`. Status 0: nobody is left to answer. An error after the response head has gone ends the stream in the way the protocol has for it, never with a false end. A call of gRPC gets 200, `grpc-status` and the text as `grpc-message`. The text is the content, unless the Gateway's `errorResponses` say otherwise (parameters.md).",
    ['kind', 'source', 'status', 'grpc-status', 'flag', 'text'],
    Object.values(FAULTS).map((f) => [
      `\`${f.kind}\``,
      f.source,
      String(f.status),
      f.status === 0 ? '' : String(grpcCodeOf(f)),
      `\`${f.flag}\``,
      f.text,
    ]),
  );
}

/** Headings of the page of conditions, each for the rows whose names begin so. */
const SUBJECTS = {
  GatewayClass: /^(class|version)/,
  Gateway: /^(gateway|programmed)/,
  Listeners: /^listener/,
  ListenerSet: /^set/,
  Routes: /^route/,
  'Routes, Gateways and ListenerSets': /^warnings/,
  XBackend: /^external/,
  'BackendTLSPolicy, XBackendTrafficPolicy and the validation of an XBackend': /^(policy|traffic)/,
};

function conditions(): string {
  const intro =
    'What RAUTA writes into `status.conditions`, after the constants of the Gateway API: when, and what to do. The message of a condition says which field, which name. `rauta status` shows those that are not as they should be, `rauta explain` what becomes of a request. `Programmed` becomes True only when every live worker serves the revision. `rauta.io/Warnings` is ours, beside the conditions of the API: it keeps nothing from being served.';
  const sections = Object.entries(SUBJECTS).map(([title, names]) => {
    const rows = conditionTable()
      .filter(({ name }) => names.test(name))
      .map(({ name, type, status, reason }) => {
        const { when, todo } = MEANINGS[name];
        return [`\`${type}\` ${status}`, `\`${reason}\``, when, todo];
      });
    return page(title, '', ['condition', 'reason', 'when', 'what to do'], rows).replace(/^# (.*)\n\n\n/, '## $1\n');
  });
  return `# Conditions\n\n${wrapped(intro)}\n\n${sections.join('\n')}`;
}

const FATES: Readonly<Record<Fate, string>> = {
  served: 'served',
  granted: 'needs nothing',
  restricts: '**500 while it is there**',
  idle: 'no effect, warned of',
  unknown: '',
};

function ingressNginx(): string {
  return page(
    'Annotations of ingress-nginx',
    `Every annotation of ingress-nginx (\`${NGINX}NAME\`, controller v1.15.1 and what releases before it had), and what becomes of it on an Ingress that RAUTA serves. \`rauta check\` and the log say the same of each that is there; a name that is none of these is warned of with the nearest one. What restricts who may ask is never left out silently: its Ingress answers 500. More on those that are served: [ingress](ingress.md#annotations).`,
    ['annotation', 'here', 'what it does, or what to do instead'],
    nginxAnnotations().map(([name, { fate, says }]) => [`\`${name}\``, FATES[fate], says]),
  );
}

export const PAGES: Readonly<Record<string, () => string>> = {
  'docs/reference/commands.md': commands,
  'docs/reference/flags.md': flags,
  'docs/reference/metrics.md': metrics,
  'docs/reference/limits.md': limits,
  'docs/reference/answers.md': answers,
  'docs/reference/conditions.md': conditions,
  'docs/reference/gateway-api.md': gatewayApi,
  'examples/README.md': examplesIndex,
  'docs/reference/ingress-nginx.md': ingressNginx,
  ...Object.fromEntries([...crds()].map(([name, text]) => [`deploy/crds/${name}`, () => text])),
  'deploy/install.yaml': () => oneFile('daemonset'),
  'deploy/install-deployment.yaml': () => oneFile('deployment'),
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, make] of Object.entries(PAGES)) writeFileSync(join(root, path), make());
}
