// What a command of RAUTA takes: one table each, from which it is read, helped and completed.

export interface Flag {
  readonly name: string;
  readonly value: string;
  readonly default: string;
  /** With --kubernetes in a pod, where probes come from outside and endpoints are taken away with a delay. */
  readonly podDefault?: string;
  /** On a terminal, where somebody reads along. */
  readonly terminalDefault?: string;
  readonly help: string;
  /** A value that works, where one that does not was given. */
  readonly example?: string;
  /** An empty value says something, too. */
  readonly mayBeEmpty?: boolean;
  /** `H`: also given as -H. */
  readonly short?: string;
  /** May be given several times. */
  readonly many?: boolean;
  /** Takes no value. */
  readonly bare?: boolean;
}

export interface Command {
  readonly name: string;
  /** One line in `rauta help`. */
  readonly summary: string;
  /** How it is called, `rauta` left out; the first is the usual way. */
  readonly usage: readonly string[];
  readonly flags: readonly Flag[];
  /** What stands behind the flags: names of files, one of these words, or what nobody can guess. */
  readonly operands: 'none' | 'files' | 'free' | readonly string[];
  /** The end of its help: exit codes, where to read on. */
  readonly notes: readonly string[];
}

/** A command's flags with their one value, as help, completion and errors write it. */
export function spelled({ name, value }: Flag): string {
  return value === '' ? `--${name}` : `--${name} ${value}`;
}

/** Words that a flag's value may be, and whether it may be the name of a file: `-|off|PATH`. */
export function choices({ value, bare }: Flag): { readonly words: readonly string[]; readonly files: boolean } {
  if (bare === true) return { words: [], files: false };
  const parts = value.split('|');
  return { words: parts.filter((part) => !PLACEHOLDER.test(part)), files: parts.some((part) => FILE.test(part)) };
}

/** `N`, `HOST:PORT`, `NS/NAME`, `A[,B]`: something that the user fills in. */
const PLACEHOLDER = /^[A-Z]+($|[^a-z])/;
const FILE = /^(PATH|FILE)$/;
