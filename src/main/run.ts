// From the command line to what it asks for. Everything a user can do wrong ends here, with a word and an exit code.

import { randomUUID } from 'node:crypto';
import { isatty } from 'node:tty';
import { EXIT, ExitError } from '../base/errors.ts';
import { visible } from '../base/steering.ts';
import { type Given, isSet, readArguments, usageError } from '../cli/arguments.ts';
import { completion, SHELLS } from '../cli/completion.ts';
import { helpOf, overview } from '../cli/help.ts';
import { unreadable } from '../source/file/disk.ts';
import { COMMANDS, commandOf } from './commands.ts';
import { type Parsed, parseOptions, suggestion } from './options.ts';
import { complain, print } from './printing.ts';
import { STOPS, type Start } from './signals.ts';
import { versionInfo } from './version.ts';

const STDOUT = 1;
const STDERR = 2;

export async function run(argv: readonly string[], start: Start): Promise<void> {
  try {
    process.exitCode = await dispatch(argv, start);
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    complain(`rauta: ${visible(error.message)}\n`);
    process.exit(error.code);
  }
}

/** Throws ExitError with what is wrong. */
export async function dispatch(argv: readonly string[], start: Start): Promise<number> {
  const [word = 'help', ...rest] = argv;
  const name = ALIASES[word] ?? word;
  const command = commandOf(name);
  if (command === undefined) throw usageError(`unknown command '${name}'${near(name)}; rauta help lists them`);
  if (rest.includes('--help') || rest.includes('-h')) return printed(helpOf(command));
  if (name === 'serve') return serve(rest, start);
  try {
    const given = readArguments(rest, command.flags, name);
    for (const odd of given.repeated) complain(`rauta: ${name}: ${visible(odd)}\n`);
    return await RUNS[name as keyof typeof RUNS](given);
  } catch (error) {
    // Whoever asked in a pipe is told by whom.
    if (error instanceof ExitError) throw new ExitError(error.code, `${name}: ${error.message}`);
    throw error;
  }
}

const ALIASES: Readonly<Record<string, string>> = { '--help': 'help', '-h': 'help', '--version': 'version' };

const RUNS = {
  check: async (given: Given) => (await import('./check.ts')).runCheck(given),
  explain: async (given: Given) => (await import('./explain.ts')).runExplain(given),
  status: async (given: Given) => (await import('./status.ts')).runStatus(given),
  completion: async ({ operands }: Given) => {
    const shell = SHELLS.find((one) => one === operands[0]);
    if (shell === undefined || operands.length > 1)
      throw usageError(`for which shell? One of ${SHELLS.join(', ')}; write rauta completion bash`);
    return printed(completion(shell, COMMANDS));
  },
  version: async ({ flags, operands }: Given) => {
    none(operands);
    const info = versionInfo();
    return printed(isSet(flags, 'json') ? `${JSON.stringify(info)}\n` : `rauta ${info.version}\n`);
  },
  help: async ({ operands: [name, ...more] }: Given) => {
    none(more);
    if (name === undefined) return printed(overview(COMMANDS));
    const command = commandOf(name);
    if (command === undefined) throw usageError(`unknown command '${name}'${near(name)}`);
    return printed(helpOf(command));
  },
} as const;

function none([first]: readonly string[]): void {
  if (first !== undefined) throw usageError(`unexpected argument '${first}'; leave out ${first}`);
}

function near(name: string): string {
  return suggestion(
    name,
    COMMANDS.map((command) => command.name),
  );
}

async function serve(argv: readonly string[], { notCached, early }: Start): Promise<number> {
  const { options, warnings }: Parsed = parseOptions(argv, process.env, {
    stdout: isatty(STDOUT),
    stderr: isatty(STDERR),
  });
  const { stderrLogger } = await import('./logger.ts');
  const log = stderrLogger(options.logLevel, options.logFormat === 'json');
  for (const warning of warnings) log.warn(warning);
  const stop = STOPS.find((signal) => early.came.has(signal));
  if (stop !== undefined) {
    log.info('told to stop before the start', { signal: stop });
    process.exit(options.detach ? EXIT.cannotRun : EXIT.ok);
  }
  if (options.detach) process.exit(await (await import('./detach.ts')).startDetached(argv, early));
  for (const path of options.config) {
    const why = unreadable(path);
    if (why !== null) throw new ExitError(EXIT.configuration, `--config ${path}: ${why}`);
  }
  const { isRoot, lookUpUser } = await import('./privileges.ts');
  if (isRoot()) lookUpUser(options.user);
  if (notCached !== null) log.warn(notCached);
  const { kubernetes } = options;
  // Whoever leads is known by it, also after its controller was replaced.
  const own = kubernetes === null ? null : { ...kubernetes, instance: randomUUID() };
  process.exit(await (await import('./keeper.ts')).runKeeper({ ...options, kubernetes: own }, log, early));
}

function printed(text: string): number {
  print(text);
  return EXIT.ok;
}
