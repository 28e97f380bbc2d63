// What is wrong with a text that is no YAML, in words and at its cause: the parser stumbles somewhere behind it, and
// more than once. Nothing of the text gets into the words but signs and names of fields, for it may be a Secret.

export interface Stumble {
  /** The parser's code and words (https://eemeli.org/yaml/#errors). */
  readonly code: string;
  readonly message: string;
  /** Where it stumbled. */
  readonly offset: number;
}

export interface Cause {
  readonly message: string;
  readonly offset: number;
}

export const TOO_DEEP = 'nested too deeply';

/** The cause of the first stumble over a text. */
export function causeOf({ code, message, offset }: Stumble, text: string): Cause {
  if (message.startsWith('Maximum call stack')) return { message: TOO_DEEP, offset };
  const at = Math.min(offset, text.length);
  return (
    templateIn(text, at) ??
    tabIn(text, at) ??
    byCode(code, message, at, text) ??
    quoteIn(text, message) ??
    openIn(text) ??
    commaIn(text, at, code, message) ??
    colonIn(text, at) ??
    indentationIn(text, at) ?? {
      message: 'this is no YAML: look at the indentation, the colons and the quotes of this line and the one above it',
      offset: at,
    }
  );
}

const HELM = 'this looks like a Helm template ({{): render it first (helm template)';

/** `{{ .Values.name }}` is a mapping in a mapping, which YAML itself allows. */
export function helmAt(text: string, offset: number): boolean {
  return text.startsWith('{{', offset) || (offset > 0 && text.startsWith('{{', offset - 1));
}

function templateIn(text: string, offset: number): Cause | null {
  const found = text.indexOf('{{');
  return found >= 0 && found <= endOfLine(text, offset) ? { message: HELM, offset: found } : null;
}

export function helmCause(offset: number): Cause {
  return { message: HELM, offset };
}

/** A tab that indents at or above the place. */
function tabIn(text: string, offset: number): Cause | null {
  const found = /^[ ]*\t\s*\S/m.exec(text);
  if (found === null || found.index > endOfLine(text, offset)) return null;
  const tab = text.indexOf('\t', found.index);
  return { message: 'indented with a tab: YAML is indented with spaces only', offset: tab };
}

function byCode(code: string, message: string, offset: number, text: string): Cause | null {
  const sign = text[offset] ?? '';
  switch (code) {
    case 'BAD_DQ_ESCAPE':
      return { message: 'a backslash in double quotes begins an escape: write \\\\, or use single quotes', offset };
    case 'TAG_RESOLVE_FAILED':
      return message.startsWith('infinite')
        ? { message: 'infinite numbers and NaN (.inf, .nan) are not allowed: write a whole number', offset }
        : {
            message: 'a value that begins with "!" names a type that is not known: quote it, or leave "!..." out',
            offset,
          };
    case 'BAD_DIRECTIVE':
      return { message: 'a line that begins with "%" is a directive: quote it if it is a value', offset };
    case 'BAD_ALIAS':
      return {
        message: sign === '*' ? STAR : 'a value that begins with "&" names an anchor: quote it ("&...")',
        offset,
      };
    case 'BAD_SCALAR_START':
      return {
        message: `a value must not begin with ${sign === '`' ? 'a backtick (`)' : `"${sign}"`}: quote it`,
        offset,
      };
    case 'UNEXPECTED_TOKEN':
      return message.startsWith('Block scalar header')
        ? { message: 'a value that begins with "|" or ">" goes on in the next lines: quote it if it does not', offset }
        : null;
    default:
      return null;
  }
}

/** A star in front, as wildcards have it. */
export const STAR = 'a value that begins with "*" refers to an anchor, of which there is none: quote it ("*...")';

/** The quote that is not closed before the text ends. */
function quoteIn(text: string, message: string): Cause | null {
  const sign = /^Missing closing (["'])/.exec(message)?.[1];
  if (sign === undefined) return null;
  let open = -1;
  for (let i = 0; i < text.length; i++) {
    if (open < 0 && text[i] === '#' && /\s/.test(text[i - 1] ?? '\n')) i = endOfLine(text, i);
    else if (open >= 0 && sign === '"' && text[i] === '\\') i++;
    else if (text[i] === sign && open >= 0) open = -1;
    else if (text[i] === sign && /[\s[{,:]/.test(text[i - 1] ?? '\n')) open = i;
  }
  const name = sign === '"' ? 'a double quote' : 'a single quote';
  return { message: `${name} is opened here and never ends: close it on this line`, offset: Math.max(open, 0) };
}

const CLOSING: Readonly<Record<string, string>> = { '{': '}', '[': ']' };

/** A bracket or brace without its counterpart. */
function openIn(text: string): Cause | null {
  const open: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '#' && /\s/.test(text[i - 1] ?? '\n')) i = endOfLine(text, i);
    else if ((c === '"' || c === "'") && /[\s[{,:]/.test(text[i - 1] ?? '\n')) i = quoteEnd(text, i);
    else if ((c === '{' || c === '[') && (open.length > 0 || /[\s:-]/.test(text[i - 1] ?? '\n'))) open.push(i);
    else if ((c === '}' || c === ']') && open.length > 0) {
      const last = open.at(-1) as number;
      if (CLOSING[text[last] as string] !== c) return unclosed(text, last);
      open.pop();
    }
  }
  const first = open.at(-1);
  return first === undefined ? null : unclosed(text, first);
}

function unclosed(text: string, offset: number): Cause {
  const sign = text[offset] as string;
  return { message: `"${sign}" is opened here and not closed: write "${CLOSING[sign]}" behind its last entry`, offset };
}

/** Of the quote that ends what is quoted at `i`; `i` where none does. */
function quoteEnd(text: string, i: number): number {
  for (let j = i + 1; j < text.length; j++) {
    if (text[i] === '"' && text[j] === '\\') j++;
    else if (text[j] === text[i]) return j;
  }
  return i;
}

/** Entries between braces or brackets that nothing parts. */
function commaIn(text: string, offset: number, code: string, message: string): Cause | null {
  const flow = code === 'BLOCK_IN_FLOW' || /^Missing , or|flow collection|^Unexpected .*(scalar|token)/.test(message);
  if (!flow || depthAt(text, offset) === 0) return null;
  return {
    message: 'a comma is missing here or before: entries between braces or brackets are parted by ", "',
    offset,
  };
}

function depthAt(text: string, offset: number): number {
  let depth = 0;
  for (let i = 0; i < offset; i++) {
    if (text[i] === '"' || text[i] === "'") i = quoteEnd(text, i);
    else if (text[i] === '{' || text[i] === '[') depth++;
    else if (text[i] === '}' || text[i] === ']') depth--;
  }
  return depth;
}

/** A line without colon, or with more than one. */
function colonIn(text: string, offset: number): Cause | null {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const line = text.slice(start, endOfLine(text, offset));
  const ink = start + line.length - line.trimStart().length;
  const item = line.trimStart().replace(/^(- )+/, '');
  if (/^[\w./-]+:[^\s/]/.test(item) || /^[\w./-]+$/.test(item) || /^[\w.-]+ [^:]*$/.test(item)) {
    return {
      message: 'a colon with a space behind it is missing: a line is NAME: VALUE, or "- " and an entry',
      offset: ink,
    };
  }
  if (!/^[\w./-]+: +[^"'{[|>].*: /.test(item)) return null;
  const value = start + line.indexOf(': ') + 2;
  return { message: 'a value that holds ": " must be quoted: write NAME: "VALUE"', offset: value };
}

/** A line that begins in a column of its own. */
function indentationIn(text: string, offset: number): Cause | null {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const lines = [...text.matchAll(/^([ ]*(?:- +)*)[^\s#].*$/gm)];
  const here = lines.findIndex((line) => line.index >= start);
  const line = lines[here];
  if (line === undefined) return null;
  // A line that takes the one below it for its value stumbles itself.
  const above = lines[here - 1];
  const next = lines[here + 1];
  const fits = above === undefined || indent(line) >= indent(above);
  const deeper = fits && next !== undefined && indent(next) > indent(line) && /: +\S/.test(line[0]);
  const [wrong, other] = deeper ? [next, line] : [line, above];
  if (other === undefined) return null;
  const column = indent(wrong) + 1;
  const name = /^[\w.-]{1,40}(?=:)/.exec(wrong[0].slice(column - 1))?.[0] ?? 'it';
  const message = `the indentation does not fit: ${name} begins in column ${column}, the line above in column ${indent(other) + 1}`;
  return { message, offset: wrong.index + column - 1 };
}

function indent(line: RegExpExecArray | RegExpMatchArray): number {
  return (line[1] as string).length;
}

function endOfLine(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  return end < 0 ? text.length : end;
}
