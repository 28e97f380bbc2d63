// The commands of RAUTA: one table, of which each is read, helped and completed.

import type { Command, Flag } from '../cli/command.ts';
import { SHELLS } from '../cli/completion.ts';
import { FLAGS, variableOf } from './flags.ts';

const JSON_FLAG: Flag = { name: 'json', value: '', default: '', help: 'all of it as JSON', bare: true };
const LENIENT = FLAGS.filter(({ name }) => name === 'lenient');

/** How a running program is asked; the variables of `serve` count here too. */
const ADMIN: readonly Flag[] = [
  {
    name: 'admin',
    value: 'HOST:PORT',
    default: '127.0.0.1:9090',
    example: '127.0.0.1:9090',
    help: 'admin server of the running program',
  },
  {
    name: 'admin-token-file',
    value: 'FILE',
    default: '',
    example: '/etc/rauta/token',
    help: 'its token, where it wants one',
  },
];

const SERVE: Command = {
  name: 'serve',
  summary: 'serve resources from files or a Kubernetes API server (or one backend from the environment)',
  usage: ['serve --config PATH [FLAG]...', 'serve --kubernetes [FLAG]...'],
  flags: FLAGS,
  operands: 'none',
  notes: [
    `Each flag has a variable, ${variableOf('log-level')} for --log-level; a flag beats its variable.`,
    'RAUTA_BIND_ADDR and RAUTA_BACKEND_ADDR alone make a working proxy.',
    '',
    'SIGTERM, SIGINT and SIGQUIT drain (a second one stops at once), SIGHUP reads files again and opens logs anew, SIGUSR1 opens logs anew.',
    '',
    'exit 0 stopped as asked, 1 configuration, 2 usage, 3 cannot run, 70 a bug',
  ],
};

const CHECK: Command = {
  name: 'check',
  summary: 'what is wrong with files or folders, without serving them',
  usage: ['check [FLAG]... PATH...', 'check [FLAG]... -'],
  flags: [...LENIENT, JSON_FLAG],
  operands: 'files',
  notes: [
    'PATH is a file or a folder; - is standard input.',
    '',
    'exit 0 good (warnings do not count), 1 problems, 2 usage, 3 could not run',
  ],
};

const EXPLAIN: Command = {
  name: 'explain',
  summary: 'what becomes of a request, without sending it',
  usage: [
    "explain [METHOD] URL [-H 'Name: value']... --config PATH...",
    "explain [METHOD] URL [-H 'Name: value']... [--admin HOST:PORT]",
  ],
  flags: [
    {
      name: 'config',
      value: 'PATH',
      default: '',
      example: 'examples/quickstart',
      help: 'files or folders it would be served from; - is standard input',
      many: true,
    },
    ...ADMIN,
    {
      name: 'header',
      short: 'H',
      value: 'LINE',
      default: '',
      example: "'Accept: text/html'",
      help: 'a field of the request',
      many: true,
    },
    {
      name: 'sni',
      value: 'NAME',
      default: '',
      example: 'app.example.com',
      mayBeEmpty: true,
      help: "name in the TLS handshake ('': none); by default the host of the URL",
    },
    {
      name: 'client',
      value: 'ADDRESS[:PORT]',
      default: '127.0.0.1',
      example: '192.0.2.1',
      help: 'address of the client; with its port a flow of datagrams',
    },
    {
      name: 'listener',
      value: 'NS/GATEWAY/NAME',
      default: '',
      example: 'default/web/http',
      help: "listener that is asked; by default whoever has the URL's port",
    },
    {
      name: 'trusted-proxies',
      value: 'CIDR',
      default: '',
      example: '10.0.0.0/8',
      help: 'clients that are believed, with --config',
      many: true,
    },
    JSON_FLAG,
  ],
  operands: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
  notes: ['exit 0 a rule takes it, 1 none does, 2 usage, 3 could not run'],
};

const STATUS: Command = {
  name: 'status',
  summary: 'what a running program listens on and serves, and what is wrong with it',
  usage: ['status [FLAG]...'],
  flags: [
    ...ADMIN,
    { name: 'quiet', short: 'q', value: '', default: '', help: 'only what is wrong', bare: true },
    JSON_FLAG,
  ],
  operands: 'none',
  notes: [
    'Of each object a line: ok, or each condition that is not as it should be with its reason.',
    '',
    'exit 0 all is well (warnings do not count), 1 something is wrong, 2 usage, 3 it does not answer',
  ],
};

const COMPLETION: Command = {
  name: 'completion',
  summary: 'a script that completes commands and flags, for a shell',
  usage: [`completion ${SHELLS.join('|')}`],
  flags: [],
  operands: SHELLS,
  notes: [
    'bash: . <(rauta completion bash)',
    'zsh:  rauta completion zsh >FOLDER/_rauta, of a FOLDER in $fpath',
    'fish: rauta completion fish >~/.config/fish/completions/rauta.fish',
  ],
};

const VERSION: Command = {
  name: 'version',
  summary: 'print the version',
  usage: ['version [--json]'],
  flags: [{ ...JSON_FLAG, help: 'with those of Node and the Gateway API, as JSON' }],
  operands: 'none',
  notes: [],
};

const TOLD = [SERVE, CHECK, STATUS, EXPLAIN, COMPLETION, VERSION] as const;

const HELP: Command = {
  name: 'help',
  summary: 'print this, or what a command takes',
  usage: ['help [COMMAND]'],
  flags: [],
  operands: TOLD.map(({ name }) => name),
  notes: [],
};

export const COMMANDS = [...TOLD, HELP] as const;

/** Of its name; undefined when there is none. */
export function commandOf(name: string): Command | undefined {
  return COMMANDS.find((command) => command.name === name);
}
