// Completion for shells: scripts made of the tables of the commands, so that they know what the program knows. They ask
// nothing of the system but the shell itself.

import { type Command, choices, type Flag } from './command.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const MAKERS: Readonly<Record<Shell, (commands: readonly Command[]) => string>> = { bash, zsh, fish };

export function completion(shell: Shell, commands: readonly Command[]): string {
  return MAKERS[shell](commands);
}

/** Names by which a flag is given. */
function names({ name, short }: Flag): string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}

function operandWords({ operands }: Command): readonly string[] {
  return typeof operands === 'string' ? [] : operands;
}

// ---- bash

/** Of what `bash` splits a command line into: `--flag=value` is three words. */
function bash(commands: readonly Command[]): string {
  return `# bash completion for rauta: source it, or put it into bash-completion's folder
_rauta() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words='' files=''
  if [ "$cur" = '=' ]; then
    cur=''
  elif [ "$prev" = '=' ]; then
    prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='${commands.map(({ name }) => name).join(' ')} --help --version'
  else
    case "\${COMP_WORDS[1]} $prev" in
${commands.flatMap(bashValues).join('\n')}
    *)
      case "\${COMP_WORDS[1]}" in
${commands.map(bashFlags).join('\n')}
      esac ;;
    esac
  fi
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "\${words// /$IFS}" -- "$cur"))
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -f -- "$cur"))
  fi
}
complete -F _rauta rauta
`;
}

/** What may follow each flag that takes a value. */
function bashValues({ name, flags }: Command): string[] {
  return flags
    .filter(({ bare }) => bare !== true)
    .map((flag) => {
      const { words, files } = choices(flag);
      const patterns = names(flag).map((given) => `'${name} ${given}'`);
      const then = [words.length === 0 ? '' : `words='${words.join(' ')}'`, files ? 'files=1' : ''];
      return `    ${patterns.join('|')}) ${then.filter((part) => part !== '').join(' ') || ':'} ;;`;
    });
}

function bashFlags(command: Command): string {
  const words = [...operandWords(command), ...command.flags.flatMap(names), '--help'];
  return `      ${command.name}) words='${words.join(' ')}'${command.operands === 'files' ? ' files=1' : ''} ;;`;
}

// ---- zsh

function zsh(commands: readonly Command[]): string {
  const described = commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`);
  return `#compdef rauta
# zsh completion for rauta: a file _rauta in a folder of fpath
_rauta() {
  local -a commands
  commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map(zshCommand).join('\n')}
  esac
}
if [ "$funcstack[1]" = _rauta ]; then
  _rauta "$@"
else
  compdef _rauta rauta
fi
`;
}

function zshCommand(command: Command): string {
  const specs = command.flags.flatMap((flag) => {
    const { words, files } = choices(flag);
    const what = flag.value.replaceAll(':', '\\:') || flag.name;
    const action = words.length > 0 ? `(${words.join(' ')})` : files ? '_files' : ' ';
    const value = flag.bare === true ? '' : `:${what}:${action}`;
    const help = flag.help.replaceAll('`', '').replaceAll(/[[\]\\:]/g, '\\$&');
    const repeat = flag.many === true ? '*' : '';
    return names(flag).map((given) => `${repeat}${given}${zshJoin(flag, given)}[${help}]${value}`);
  });
  const words = operandWords(command);
  const operands =
    words.length > 0 ? [`1:word:(${words.join(' ')})`] : command.operands === 'files' ? ['*:file:_files'] : [];
  const all = [...specs, '--help[what it takes]', ...operands].map((spec) => `      ${quoted(spec)}`);
  return `    ${command.name}) _arguments \\\n${all.join(' \\\n')} ;;`;
}

/** A long flag takes its value behind `=` or as the next word. */
function zshJoin({ bare }: Flag, given: string): string {
  return bare === true || !given.startsWith('--') ? '' : '=';
}

// ---- fish

function fish(commands: readonly Command[]): string {
  const all = commands.map(({ name }) => name).join(' ');
  return `# fish completion for rauta: a file rauta.fish in ~/.config/fish/completions
complete -c rauta -f
${commands
  .map(
    ({ name, summary }) =>
      `complete -c rauta -n 'not __fish_seen_subcommand_from ${all}' -a ${name} -d ${fishQuoted(summary)}`,
  )
  .join('\n')}
${commands.flatMap(fishCommand).join('\n')}
`;
}

function fishCommand(command: Command): string[] {
  const when = `complete -c rauta -n '__fish_seen_subcommand_from ${command.name}'`;
  const flags = command.flags.map((flag) => {
    const { words, files } = choices(flag);
    const short = flag.short === undefined ? '' : ` -s ${flag.short}`;
    const value = flag.bare === true ? '' : files ? ' -r -F' : ' -x';
    const list = words.length === 0 ? '' : ` -a ${fishQuoted(words.join(' '))}`;
    return `${when}${short} -l ${flag.name}${value}${list} -d ${fishQuoted(flag.help.replaceAll('`', ''))}`;
  });
  const words = operandWords(command);
  const operands = words.length > 0 ? [`${when} -a ${fishQuoted(words.join(' '))}`] : [];
  const files = command.operands === 'files' ? [`${when} -F`] : [];
  return [...flags, `${when} -l help -d 'what it takes'`, ...operands, ...files];
}

/** For POSIX shells: in single quotes nothing but their end means anything. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** For fish, where a backslash means something in single quotes, too. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
}
