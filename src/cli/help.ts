// What `--help` prints: within 80 columns, from the tables of the commands.

import { type Command, type Flag, spelled } from './command.ts';

const COLUMNS = 80;
/** Where the words about a flag begin; a longer flag has a line of its own. */
const INDENT = 28;

/** All commands, a line each. */
export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length)) + 4;
  return [
    ...wrapped('rauta: Gateway API and Ingress controller with a proxy of its own', 0),
    '',
    ...commands.flatMap(({ name, summary }) => beside(`  ${name}`, summary, width)),
    '',
    ...wrapped('rauta help COMMAND says more of one, and so does rauta COMMAND --help.', 0),
    '',
  ].join('\n');
}

/** `variable`: the environment variable of a flag, where it has one. */
export function helpOf(command: Command): string {
  const { name, summary, usage, flags, notes } = command;
  return [
    ...wrapped(`rauta ${name}: ${summary}`, 0),
    '',
    ...usage.flatMap((line) => wrapped(`  rauta ${line}`, 6)),
    ...(flags.length === 0 ? [] : ['', ...flags.flatMap(flagLines)]),
    ...(notes.length === 0 ? [] : ['', ...notes.flatMap((note) => wrapped(note, 0))]),
    '',
  ].join('\n');
}

function flagLines(flag: Flag): string[] {
  const short = flag.short === undefined ? '' : `-${flag.short}, `;
  const value = [
    flag.default === 'false' || flag.default === '' ? '' : flag.default,
    flag.terminalDefault === undefined ? '' : `on a terminal ${flag.terminalDefault}`,
    flag.podDefault === undefined ? '' : `in a pod ${flag.podDefault}`,
  ].filter((part) => part !== '');
  const more = [...(flag.many === true ? ['repeatable'] : []), ...value].join('; ');
  const help = flag.help.replaceAll('`', '');
  return beside(`  ${short}${spelled(flag)}`, more === '' ? help : `${help} (${more})`, INDENT);
}

function beside(left: string, text: string, width: number): string[] {
  const lines = wrapped(`${' '.repeat(width)}${text}`, width);
  if (left.length > width - 2) return [left, ...lines];
  return [`${left.padEnd(width)}${(lines[0] as string).slice(width)}`, ...lines.slice(1)];
}

/** Lines of `text` within the columns, those behind the first after `indent` blanks; a longer word stands alone. */
function wrapped(text: string, indent: number): string[] {
  const lines: string[] = [];
  const [, blanks = '', words = ''] = /^( *)([\s\S]*)$/.exec(text) ?? [];
  let line = blanks;
  let empty = true;
  for (const word of words.split(' ')) {
    if (!empty && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = ' '.repeat(indent);
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line];
}
