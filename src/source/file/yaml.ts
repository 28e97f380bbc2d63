// YAML and JSON as kubectl reads them: YAML 1.1 scalars as go-yaml v2 resolves them (yes/no/on/off are booleans, 010 is
// eight, dates stay text), many documents a stream, JSON objects one after another. Nothing a document holds gets into
// a message, for it may be a Secret.

import { Composer, type Document, Lexer, Parser, type ScalarTag, Schema, type YAMLError } from 'yaml';
import { LIMITS } from '../../base/limits.ts';
import { type PlainDocument, readPlainYaml } from './plain-yaml.ts';
import { plainNumber } from './scalars.ts';
import { DocumentValue, DUPLICATE, type ValueProblem } from './value.ts';
import { causeOf, helmAt, helmCause, TOO_DEEP } from './yaml-words.ts';

/** A part of a stream that is read by itself: one document, at an offset of the whole text. */
export interface Chunk {
  readonly start: number;
  readonly text: string;
}

export interface SyntaxProblem {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** Within the chunk. */
  readonly offset: number;
}

export interface Parsed {
  /** Values of the documents that are not empty. */
  readonly values: readonly unknown[];
  readonly problems: readonly SyntaxProblem[];
  /** Offset of a field path (`spec.rules[0]`) of value `index`, or of the nearest thing above it that is written. */
  locate(index: number, field: string): number;
}

/** Cuts a stream at its document markers (YAML 1.2 section 9.2) and between JSON objects that follow each other. */
export function split(text: string): Chunk[] {
  const chunks: Chunk[] = [];
  let start = 0;
  const cut = (end: number): void => {
    if (end > start) {
      if (text.charCodeAt(nextInk(text, start, end)) !== 0x7b) chunks.push({ start, text: text.slice(start, end) });
      else for (const chunk of splitJson(text, start, end)) chunks.push(chunk);
    }
    start = end;
  };
  for (let i = markerFrom(text, 0); i >= 0; i = markerFrom(text, i + 3)) {
    if (text.charCodeAt(i) === 0x2e) {
      const newline = text.indexOf('\n', i);
      cut(newline < 0 ? text.length : newline + 1);
    } else if (!onlyPrelude(text, start, i)) cut(i);
  }
  cut(text.length);
  return chunks;
}

/** The next `---` or `...` at the start of a line with white space or the end behind it; -1 if none. */
function markerFrom(text: string, from: number): number {
  let i = from;
  if (i > 0) {
    const newline = text.indexOf('\n', i);
    if (newline < 0) return -1;
    i = newline + 1;
  }
  for (;;) {
    const c = text.charCodeAt(i);
    if ((c === 0x2d || c === 0x2e) && text.charCodeAt(i + 1) === c && text.charCodeAt(i + 2) === c) {
      const after = text.charCodeAt(i + 3);
      if (Number.isNaN(after) || after === 0x20 || after === 0x09 || after === 0x0a || after === 0x0d) return i;
    }
    const newline = text.indexOf('\n', i);
    if (newline < 0) return -1;
    i = newline + 1;
  }
}

/** Nothing but comments, empty lines and directives, which belong to the document behind them. */
function onlyPrelude(text: string, start: number, end: number): boolean {
  if (text.startsWith('---', start) || end - start > PRELUDE) return false;
  return /^(?:[ \t]*(?:#[^\n]*)?\r?\n|%[^\n]*\n)*$/.test(text.slice(start, end));
}

/** Longer comments before the first document make a document of their own, an empty one. */
const PRELUDE = 65_536;

function* splitJson(text: string, from: number, to: number): Generator<Chunk> {
  let start = from;
  while (start < to) {
    const open = nextInk(text, start, to);
    const end = open < to && text.charCodeAt(open) === 0x7b ? jsonEnd(text, open, to) : -1;
    // Only a second object behind the first makes two; anything else is for the parser to judge.
    if (end < 0 || text.charCodeAt(nextInk(text, end, to)) !== 0x7b || nextInk(text, end, to) >= to) break;
    yield { start, text: text.slice(start, end) };
    start = end;
  }
  yield { start, text: text.slice(start, to) };
}

function nextInk(text: string, from: number, to: number): number {
  let i = from;
  while (i < to && text.charCodeAt(i) <= 0x20) i++;
  return i;
}

/** The offset behind the brace that closes the one at `open`, strings skipped; -1 if there is none. */
function jsonEnd(text: string, open: number, to: number): number {
  let depth = 0;
  let quoted = false;
  for (let i = open; i < to; i++) {
    const c = text.charCodeAt(i);
    if (quoted) {
      if (c === 0x5c) i++;
      else if (c === 0x22) quoted = false;
    } else if (c === 0x22) quoted = true;
    else if (c === 0x7b || c === 0x5b) depth++;
    else if ((c === 0x7d || c === 0x5d) && --depth === 0) return i + 1;
  }
  return -1;
}

function numberTag(tag: string, test: RegExp): ScalarTag {
  return {
    tag: `tag:yaml.org,2002:${tag}`,
    default: true,
    identify: (value) => typeof value === 'number',
    test,
    resolve(text, onError) {
      // JSON has neither, so kubectl refuses them.
      if (/^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$/.test(text)) onError('infinite numbers and NaN are not allowed');
      return plainNumber(text);
    },
  };
}

const SCHEMA = new Schema({
  schema: 'yaml-1.1',
  merge: true,
  resolveKnownTags: false,
  customTags: (tags) => [
    ...tags.filter((t) => typeof t === 'string' || !/:(int|float|timestamp|binary|omap|pairs|set)$/.test(t.tag)),
    numberTag('int', /^[-+.0-9]/),
    numberTag('float', /^[-+.0-9]/),
  ],
});

/** Tokens after which others may have a turn: about a millisecond. */
const STEP = 1_000;

/** Errors told of one document. */
const ERRORS = 3;

/** Duplicate keys are found by DocumentValue. */
const OPTIONS = { version: '1.1', schema: SCHEMA, prettyErrors: false, strict: true, uniqueKeys: false } as const;

/** What stands behind the last marker of a file that ends with one. */
const NOTHING = /^(?:---\n)?\n*$/;

/** Parses one chunk. Never throws. */
export function parseChunk(text: string): Parsed {
  return atOnce(parsing(text));
}

/** The same, where others may have a turn in between: at each step. */
export function* parsing(text: string): Generator<void, Parsed> {
  if (NOTHING.test(text)) return { values: [], problems: [], locate: () => 0 };
  const plain = readPlainYaml(text);
  if (plain === null) return yield* parsingByLibrary(text);
  return { values: [plain.value], problems: [], locate: placesOf(plain, text) };
}

/** Where something stands within it is seldom asked but for the items of a List, each of which is an object. */
function placesOf(plain: PlainDocument, text: string): Parsed['locate'] {
  let known: { readonly index: number; readonly item: Parsed; readonly shift: number } | null = null;
  let whole: Parsed | null = null;
  return (index, field) => {
    if (field === '') return plain.offset;
    const [at = '', number = ''] = /^items\[(\d+)\]\.?/.exec(field) ?? [];
    const item = plain.items[Number(number)];
    if (at === '' || item === undefined) {
      whole ??= parseByLibrary(text);
      return whole.locate(index, field);
    }
    if (at.length === field.length) return item.start;
    const { start, end, column } = item;
    if (known?.index !== Number(number)) {
      const padded = ' '.repeat(column) + text.slice(start, end);
      known = { index: Number(number), item: parseByLibrary(padded), shift: start - column };
    }
    return known.shift + known.item.locate(0, field.slice(at.length));
  };
}

export function atOnce<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The same for whatever there is, without the reader of what is plain. */
export function parseByLibrary(text: string): Parsed {
  return atOnce(parsingByLibrary(text));
}

function* parsingByLibrary(text: string): Generator<void, Parsed> {
  const values: DocumentValue[] = [];
  const problems: SyntaxProblem[] = [];
  try {
    for (const document of documents(text)) {
      yield;
      if (document === null) continue;
      // One mistake makes the parser stumble many times.
      for (const error of document.errors.slice(0, 1)) problems.push(syntaxProblem(error, 'error', text));
      for (const warning of document.warnings.slice(0, ERRORS)) problems.push(syntaxProblem(warning, 'warning', text));
      if (document.errors.length > 0 || document.contents === null) continue;
      const read = new DocumentValue(document);
      for (const problem of told(read.problems, text)) problems.push({ severity: 'error', ...problem });
      if (read.problems.length === 0 && read.value !== null && read.value !== undefined) values.push(read);
    }
  } catch (error) {
    if (error instanceof TooLarge) problems.push({ severity: 'error', message: error.message, offset: error.offset });
    else if (error instanceof RangeError) problems.push({ severity: 'error', message: TOO_DEEP, offset: 0 });
    else throw error;
  }
  return {
    values: values.map((v) => v.value),
    problems,
    locate: (index, field) => values[index]?.locate(field) ?? 0,
  };
}

/** Of what a document says that has no meaning: its causes. */
function told(found: readonly ValueProblem[], text: string): readonly ValueProblem[] {
  const [first] = found;
  if (first !== undefined && helmAt(text, first.offset)) return [helmCause(first.offset)];
  const again = found.find(({ message }) => message.startsWith(`${DUPLICATE} apiVersion`));
  if (again === undefined) return found.slice(0, ERRORS);
  return [{ message: 'a second apiVersion: a line --- is missing before it', offset: again.offset }];
}

class TooLarge extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/**
 * The documents of a text, as long as they stay within bounds: what is larger is refused before it costs memory. null:
 * some way further, there is none yet.
 */
function* documents(text: string): Generator<Document.Parsed | null> {
  const parser = new Parser();
  const composer = new Composer(OPTIONS);
  let tokens = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++tokens > LIMITS.YAML_TOKENS) {
      throw new TooLarge(`more than ${LIMITS.YAML_TOKENS} tokens in one document`, parser.offset);
    }
    if (tokens % STEP === 0) yield null;
    for (const token of parser.next(lexeme)) yield* composer.next(token);
    if (parser.stack.length > LIMITS.YAML_DEPTH) throw new TooLarge(TOO_DEEP, parser.offset);
  }
  for (const token of parser.end()) yield* composer.next(token);
  yield* composer.end();
}

function syntaxProblem(error: YAMLError, severity: 'error' | 'warning', text: string): SyntaxProblem {
  const { code, message, pos } = error;
  return { severity, ...causeOf({ code, message, offset: pos[0] }, text) };
}
