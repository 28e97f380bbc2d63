// From the command line to a role. Everything a user can do wrong ends here, with a word and an exit code.

import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { EXIT, ExitError } from '../base/errors.ts';
import { environmentObjects } from '../source/environment.ts';
import { unreadable } from '../source/file/disk.ts';
import { FLAGS } from './flags.ts';
import { type Parsed, parseOptions, suggestion, variableOf } from './options.ts';
import { CHANNEL_FD, CHILD_COMMAND } from './process.ts';
import { environmentOf } from './sources.ts';
import { versionInfo } from './version.ts';

const STDOUT = 1;
const STDERR = 2;

const COMMANDS: Readonly<Record<string, string>> = {
  serve: 'serve resources from files or a Kubernetes API server (or one backend from the environment)',
  check: 'check files or folders: exit 0 good, 1 problems, 2 usage, 3 could not run',
  explain: 'what becomes of a request: METHOD URL, --config PATH or --admin HOST:PORT',
  version: 'print the version (--json for more)',
  help: 'print this',
};

/** `notCached`: why compiled code could not be kept, or null. */
export async function run(argv: readonly string[], notCached: string | null): Promise<void> {
  try {
    process.exitCode = await dispatch(argv, notCached);
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    say(STDERR, `rauta: ${error.message}\n`);
    process.exit(error.code);
  }
}

async function dispatch(argv: readonly string[], notCached: string | null): Promise<number> {
  const [command = 'help', ...rest] = argv;
  switch (command) {
    case CHILD_COMMAND:
      if (rest[0] === 'compile') await (await import('./compile-cache.ts')).compileAll(rest[1]);
      else {
        const { startBare, workerOpenings } = await import('./privileges.ts');
        const isWorker = rest[0] === 'worker';
        startBare(CHANNEL_FD, isWorker ? workerOpenings() : null);
        if (isWorker) (await import('./worker.ts')).runWorker();
        else (await import('./controller.ts')).runController();
      }
      return EXIT.ok;
    case 'serve':
      if (rest.includes('--help')) return print(serveHelp());
      return serve(rest, notCached);
    case 'check':
      return (await import('./check.ts')).runCheck(rest);
    case 'explain': {
      const { EXPLAIN_HELP, runExplain } = await import('./explain.ts');
      return rest.includes('--help') ? print(EXPLAIN_HELP) : runExplain(rest);
    }
    case 'version':
      return print(rest.includes('--json') ? `${JSON.stringify(versionInfo())}\n` : `rauta ${versionInfo().version}\n`);
    case 'help':
    case '--help':
    case '-h':
      return print(help());
    case '--version':
      return print(`rauta ${versionInfo().version}\n`);
    default:
      throw new ExitError(
        EXIT.usage,
        `unknown command '${command}'${suggestion(command, Object.keys(COMMANDS))}; rauta help lists them`,
      );
  }
}

async function serve(argv: readonly string[], notCached: string | null): Promise<number> {
  const { options, warnings }: Parsed = parseOptions(argv, process.env, isatty(STDERR));
  const { stderrLogger } = await import('./logger.ts');
  const log = stderrLogger(options.logLevel, options.logFormat === 'json');
  for (const warning of warnings) log.warn(warning);
  for (const path of options.config) {
    const why = unreadable(path);
    if (why !== null) throw new ExitError(EXIT.configuration, `--config ${path}: ${why}`);
  }
  if (options.backendAddresses.length > 0) environmentObjects(environmentOf(options));
  const { isRoot, lookUpUser } = await import('./privileges.ts');
  if (isRoot()) lookUpUser(options.user);
  if (notCached !== null) log.warn(notCached);
  const { kubernetes } = options;
  // Whoever leads is known by it, also after its controller was replaced.
  const own = kubernetes === null ? null : { ...kubernetes, instance: randomUUID() };
  process.exit(await (await import('./keeper.ts')).runKeeper({ ...options, kubernetes: own }, log));
}

function print(text: string): number {
  say(STDOUT, text);
  return EXIT.ok;
}

/** Whoever reads this may be gone already, which is no reason for another exit code. */
function say(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    // Nobody is left to be told.
  }
}

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((c) => c.length)) + 2;
  const lines = Object.entries(COMMANDS).map(([name, what]) => `  ${name.padEnd(width)}${what}`);
  return `rauta: Gateway API and Ingress controller with a proxy of its own\n\n${lines.join('\n')}\n\nrauta serve --help lists its flags.\n`;
}

function serveHelp(): string {
  const rows = FLAGS.map((f) => [`--${f.name}${f.value === '' ? '' : ` ${f.value}`}`, f] as const);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  const lines = rows.map(([left, f]) => `  ${left.padEnd(width)}${f.help}${f.default === '' ? '' : ` (${f.default})`}`);
  return `rauta serve: serve resources\n\n${lines.join('\n')}\n\nEach flag has a variable, e.g. ${variableOf('log-level')}; a flag beats its variable.\n`;
}
