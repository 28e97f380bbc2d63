// Reads what stands behind a command: flags by its table, and the rest.

import { EXIT, ExitError } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { type Flag, spelled } from './command.ts';

/** By the names of their flags, in the order in which they were given. */
export interface Given {
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
  /** What is odd, and no error: flags given twice. */
  readonly repeated: readonly string[];
}

/**
 * `--name value`, `--name=value`, `-n value`, `-nvalue`; behind `--` nothing is a flag, and `-` alone never is. Of one
 * given twice that is not repeatable the last counts. `command`: whose help lists what there is. Throws ExitError with
 * exit code 2 and the nearest name.
 */
export function readArguments(argv: readonly string[], table: readonly Flag[], command: string): Given {
  const flags = new Map<string, readonly string[]>();
  const operands: string[] = [];
  const repeated: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] as string;
    if (argument === '--') {
      operands.push(...argv.slice(i + 1));
      break;
    }
    if (argument === '-' || !argument.startsWith('-')) {
      operands.push(argument);
      continue;
    }
    const { flag, inline } = flagOf(argument, table, command);
    const behind = inline === null && flag.bare !== true ? argv[++i] : undefined;
    const value = valueFor(flag, inline ?? behind, inline === null && isFlag(behind, table));
    const before = flags.get(flag.name) ?? [];
    if (flag.many !== true && before.length > 0 && before[0] !== value)
      repeated.push(
        `--${flag.name} is given twice, as '${before[0]}' and as '${value}', which counts; ` +
          `leave out --${flag.name}${flag.bare === true ? '=' : ' '}${before[0]}`,
      );
    flags.set(flag.name, flag.many === true ? [...before, value] : [value]);
  }
  return { flags, operands, repeated };
}

/** `isNext`: it is the name of another flag. */
function valueFor(flag: Flag, value: string | undefined, isNext: boolean): string {
  if (flag.bare === true) return String(truth(`--${flag.name}`, value ?? 'true'));
  const like = flag.example === undefined ? '' : `; write --${flag.name} ${flag.example}`;
  if (value === undefined || isNext) {
    const instead = value === undefined ? '' : `, and '${value}' is a flag`;
    throw usageError(`--${flag.name} needs a value (${flag.value})${instead}${like}`);
  }
  if (value.trim() === '' && flag.mayBeEmpty !== true) {
    const out = flag.many === true ? '' : `, or leave out --${flag.name}`;
    throw usageError(`--${flag.name}: '${value}' is empty${like}${out}`);
  }
  return value;
}

function isFlag(argument: string | undefined, table: readonly Flag[]): boolean {
  const [name] = argument?.split('=', 1) ?? [];
  return table.some((flag) => `--${flag.name}` === name);
}

function flagOf(
  argument: string,
  table: readonly Flag[],
  command: string,
): { readonly flag: Flag; readonly inline: string | null } {
  const long = /^--([^=]*)(?:=([\s\S]*))?$/.exec(argument);
  const [name, inline] = long === null ? [argument.slice(1, 2), argument.slice(2)] : [long[1] as string, long[2]];
  const flag = table.find((f) => (long === null ? f.short : f.name) === name);
  if (flag !== undefined) return { flag, inline: long === null && inline === '' ? null : (inline ?? null) };
  const near = nearest(
    name,
    table.map((f) => f.name),
  );
  const dashes = long === null ? '-' : '--';
  const taken = table.length < FEW ? listed(table) : `; rauta help ${command} lists all`;
  throw usageError(`unknown flag ${dashes}${name}${near === undefined ? taken : ` (did you mean --${near}?)`}`);
}

/** So many flags can be listed in an error. */
const FEW = 12;

function listed(table: readonly Flag[]): string {
  return table.length === 0 ? '; it takes none' : `; it takes ${table.map(spelled).join(', ')}`;
}

/** Whether a flag without a value was given, and not as `--flag=false`. */
export function isSet(flags: Given['flags'], name: string): boolean {
  return flags.get(name)?.at(-1) === 'true';
}

/** The value of a flag that is set or not. */
export function truth(from: string, text: string): boolean {
  if (['true', '1', 'yes', 'on'].includes(text.toLowerCase())) return true;
  if (['false', '0', 'no', 'off'].includes(text.toLowerCase())) return false;
  throw usageError(`${from}: '${text}' is neither true nor false; write ${from}=true, or leave out ${from}`);
}

export function usageError(message: string): ExitError {
  return new ExitError(EXIT.usage, message);
}
