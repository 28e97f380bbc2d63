// Reads what stands behind a command: flags by its table, and the rest.

import { EXIT, ExitError } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { type Flag, spelled } from './command.ts';

/** By the names of their flags, in the order in which they were given. */
export interface Given {
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
}

/**
 * `--name value`, `--name=value`, `-n value`, `-nvalue`; behind `--` nothing is a flag, and `-` alone never is. Of one
 * given twice that is not repeatable the last counts. Throws ExitError with exit code 2 and the nearest name.
 */
export function readArguments(argv: readonly string[], table: readonly Flag[]): Given {
  const flags = new Map<string, readonly string[]>();
  const operands: string[] = [];
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
    const { flag, inline } = flagOf(argument, table);
    let value = inline ?? (flag.bare === true ? 'true' : argv[++i]);
    if (value === undefined) throw usageError(`--${flag.name} needs a value (${flag.value})`);
    if (flag.bare === true) value = String(truth(`--${flag.name}`, value));
    flags.set(flag.name, flag.many === true ? [...(flags.get(flag.name) ?? []), value] : [value]);
  }
  return { flags, operands };
}

function flagOf(argument: string, table: readonly Flag[]): { readonly flag: Flag; readonly inline: string | null } {
  const long = /^--([^=]*)(?:=([\s\S]*))?$/.exec(argument);
  const [name, inline] = long === null ? [argument.slice(1, 2), argument.slice(2)] : [long[1] as string, long[2]];
  const flag = table.find((f) => (long === null ? f.short : f.name) === name);
  if (flag !== undefined) return { flag, inline: long === null && inline === '' ? null : (inline ?? null) };
  const near = nearest(
    name,
    table.map((f) => f.name),
  );
  const dashes = long === null ? '-' : '--';
  const taken = near === undefined && table.length < FEW ? listed(table) : '';
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
  if (['false', '0', 'no', 'off', ''].includes(text.toLowerCase())) return false;
  throw usageError(`${from}: '${text}' is neither true nor false`);
}

export function usageError(message: string): ExitError {
  return new ExitError(EXIT.usage, message);
}
