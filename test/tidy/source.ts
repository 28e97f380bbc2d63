// The source as the house rules look at it: files, what they import and export, where their functions begin and end.
// Read as text: the formatter has already brought it into one form, so that a line says what it is.

import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface File {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
}

export function read(pattern: string): File[] {
  return globSync(pattern, { cwd: root })
    .filter((path) => !path.includes('node_modules'))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, lines: text.split('\n').length - 1 };
    });
}

/** Files of src, without what is generated. */
export const all: readonly File[] = read('src/**/*.ts').filter((f) => !f.path.includes('/generated/'));
export const product: readonly File[] = all.filter((f) => !f.path.endsWith('.test.ts'));

export interface Import {
  /** As it is written. */
  readonly from: string;
  /** From the root of the repository; null for a package. */
  readonly path: string | null;
  /** Names taken, as they are called there; ['*'] for all of them. */
  readonly names: readonly string[];
  /** They are not used here, but passed on under the same names. */
  readonly passedOn: boolean;
}

const IMPORT =
  /^\s*(?:import|export)\s+(?:type\s+)?(?:(\*)(?:\s+as\s+\w+)?|\{([^}]*)\}|(\w+)(?:\s*,\s*\{([^}]*)\})?)\s+from\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\('([^']+)'\)/gm;

/** What a file imports or passes on, of values and of types alike. */
export function imports(file: File): Import[] {
  return [...file.text.matchAll(IMPORT)].map((m) => {
    const from = (m[5] ?? m[6] ?? m[7]) as string;
    const path = from.startsWith('.') ? relative(root, normalize(join(root, dirname(file.path), from))) : null;
    const whole = m[1] !== undefined || m[6] !== undefined || m[7] !== undefined;
    const passedOn = m[0].trimStart().startsWith('export');
    return { from, path, names: whole ? ['*'] : namesOf(m[2] ?? m[4] ?? ''), passedOn };
  });
}

/** `type A, B as C` -> A, B. */
function namesOf(list: string): string[] {
  return list
    .split(',')
    .map((part) => part.trim().replace(/^type\s+/, ''))
    .filter((part) => part !== '')
    .map((part) => (part.split(/\s+as\s+/)[0] as string).trim());
}

/** Names that a file makes and exports; what it passes on of others is not among them. */
export function exports(file: File): string[] {
  const made = file.text.matchAll(
    /^export\s+(?:declare\s+)?(?:async\s+)?(?:abstract\s+)?(?:function\*?|class|const|let|interface|type|enum)\s+(\w+)/gm,
  );
  return [...made].map((m) => m[1] as string);
}

export function room(path: string): string {
  return path.split('/')[1] as string;
}

/** Groups of files that import each other in a circle, by types or by values. */
export function circles(files: readonly File[]): string[][] {
  const known = new Set(files.map((f) => f.path));
  const edges = new Map(
    files.map((f) => [
      f.path,
      imports(f)
        .map((i) => i.path)
        .filter((path): path is string => path !== null && known.has(path)),
    ]),
  );
  return components(edges).filter((group) => group.length > 1);
}

/** Strongly connected components (Tarjan 1972). */
function components(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const on = new Set<string>();
  const found: string[][] = [];
  const visit = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node) as number);
    stack.push(node);
    on.add(node);
    for (const next of edges.get(node) ?? []) {
      if (!index.has(next)) visit(next);
      if (on.has(next)) low.set(node, Math.min(low.get(node) as number, low.get(next) as number));
    }
    if (low.get(node) !== index.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    for (const member of group) on.delete(member);
    found.push(group.sort());
  };
  for (const node of edges.keys()) if (!index.has(node)) visit(node);
  return found;
}

export interface Fn {
  readonly name: string;
  /** Of its first line, counted from 1. */
  readonly line: number;
  readonly lines: number;
}

const HEAD =
  /^( *)(?:export )?(?:async )?(?:function\*? (\w+)|(?:private |static |readonly |get |set |async |\*)*(#?\w+)\(|(?:const|let) (\w+) = (?:async )?\(|.*=> \{$)/;
const NOT = /^ *(?:\} )?(?:if|else|for|while|do|switch|catch|try|finally|return|class|interface|enum|case|default)\b/;

/** Functions of a file and how long they are, from the line that names them to the one that closes them. */
export function functions(file: File): Fn[] {
  const lines = file.text.split('\n');
  const found: Fn[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string;
    if (/^ *(?:\/\/|\*|\/\*)/.test(line)) continue;
    const head = HEAD.exec(line);
    if (head === null || (NOT.test(line) && !line.endsWith('=> {'))) continue;
    const indent = /^ */.exec(line)?.[0].length as number;
    const open = openingLine(lines, i, indent);
    if (open < 0) continue;
    let end = open + 1;
    while (end < lines.length && !isAt(lines[end] as string, indent)) end++;
    found.push({ name: head[2] ?? head[3] ?? head[4] ?? '(anonymous)', line: i + 1, lines: end - i + 1 });
  }
  return found;
}

/** The line that opens the body: this one, or where a long list of parameters ends; -1 when there is no body. */
function openingLine(lines: readonly string[], start: number, indent: number): number {
  if ((lines[start] as string).endsWith('{')) return start;
  if (!(lines[start] as string).endsWith('(')) return -1;
  for (let i = start + 1; i < lines.length; i++) {
    const line = lines[i] as string;
    if (isAt(line, indent)) return line.endsWith('{') ? i : -1;
  }
  return -1;
}

function isAt(line: string, indent: number): boolean {
  return line.length > indent && /^ *$/.test(line.slice(0, indent)) && line[indent] !== ' ';
}
