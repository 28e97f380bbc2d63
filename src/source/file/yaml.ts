// YAML and JSON as kubectl reads them: YAML 1.1 scalars as go-yaml v2 resolves them (yes/no/on/off are booleans, 010 is
// eight, dates stay text), many documents a stream, JSON objects one after another. Nothing a document holds gets into
// a message, for it may be a Secret.

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  parseAllDocuments,
  type ScalarTag,
  Schema,
  visit,
  type YAMLError,
} from 'yaml';
import { LIMITS } from '../../base/limits.ts';

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

/** go-yaml v2 resolve.go: what a plain scalar that starts with a digit, a sign or a dot is. */
export function plainNumber(text: string): number | string {
  if (text.startsWith('.')) return /^\.[0-9]+([eE][-+]?[0-9]+)?$/.test(text) ? Number(text) : text;
  const plain = text.replaceAll('_', '');
  const whole = /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))$/.exec(plain);
  if (whole !== null) {
    const [, sign, hex, binary, octal, decimal] = whole;
    const size =
      hex !== undefined
        ? Number.parseInt(hex, 16)
        : binary !== undefined
          ? Number.parseInt(binary, 2)
          : octal !== undefined
            ? Number.parseInt(octal, 8)
            : Number(decimal);
    return sign === '-' && size !== 0 ? -size : size;
  }
  return /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/.test(plain) ? Number(plain) : text;
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

/** Errors told of one document. */
const ERRORS = 3;

const OPTIONS = { version: '1.1', schema: SCHEMA, prettyErrors: false, logLevel: 'silent', strict: true } as const;

/** Parses one chunk. Never throws. */
export function parseChunk(text: string): Parsed {
  const values: unknown[] = [];
  const sources: Document.Parsed[] = [];
  const problems: SyntaxProblem[] = [];
  try {
    const documents = parseAllDocuments(text, OPTIONS);
    for (const document of Array.isArray(documents) ? documents : []) {
      // One mistake makes the parser stumble many times; the first words are the useful ones.
      for (const error of document.errors.slice(0, ERRORS)) problems.push(syntaxProblem(error, 'error', text));
      for (const warning of document.warnings.slice(0, ERRORS)) problems.push(syntaxProblem(warning, 'warning', text));
      if (document.errors.length > 0 || document.contents === null) continue;
      const offset = document.contents.range?.[0] ?? 0;
      try {
        const value: unknown = document.toJS({ maxAliasCount: LIMITS.YAML_ALIAS_EXPANSIONS });
        if (value === null || value === undefined) continue;
        if (text.includes('&') && isCyclic(value, new Set())) {
          problems.push({ severity: 'error', message: 'an anchor must not contain itself', offset });
          continue;
        }
        values.push(value);
        sources.push(document);
      } catch (error) {
        problems.push({ severity: 'error', message: unreadable(error), offset: unknownAlias(document) ?? offset });
      }
    }
  } catch (error) {
    problems.push({ severity: 'error', message: unreadable(error), offset: 0 });
  }
  return {
    values,
    problems,
    locate: (index, field) => {
      const document = sources[index];
      return document === undefined ? 0 : locate(document, field);
    },
  };
}

function unreadable(error: unknown): string {
  if (error instanceof RangeError) return 'nested too deeply';
  if (!(error instanceof ReferenceError)) return 'a merge (<<) must name a mapping or a list of mappings';
  if (error.message.startsWith('Unresolved')) return 'alias without an anchor before it';
  return `more than ${LIMITS.YAML_ALIAS_EXPANSIONS} alias expansions`;
}

function unknownAlias(document: Document.Parsed): number | undefined {
  let offset: number | undefined;
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return undefined;
      offset = alias.range?.[0];
      return visit.BREAK;
    },
  });
  return offset;
}

/** Whether a value contains itself; `above` holds the collections it stands in. */
function isCyclic(value: unknown, above: Set<object>): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (above.has(value)) return true;
  above.add(value);
  const found = Object.values(value).some((child) => isCyclic(child, above));
  above.delete(value);
  return found;
}

function syntaxProblem(error: YAMLError, severity: 'error' | 'warning', text: string): SyntaxProblem {
  const offset = Math.min(error.pos[0], text.length);
  return { severity, message: safeMessage(error, text, offset), offset };
}

/** The parser's words without what it quotes of the document. */
function safeMessage(error: YAMLError, text: string, offset: number): string {
  switch (error.code) {
    case 'DUPLICATE_KEY': {
      const key = /^["']?([\w./-]{1,80})/.exec(text.slice(offset, offset + 82))?.[1];
      return key === undefined ? 'duplicate key' : `duplicate key ${key}`;
    }
    case 'BAD_DQ_ESCAPE':
      return 'invalid escape sequence in a double-quoted string';
    case 'TAG_RESOLVE_FAILED':
      return error.message.startsWith('infinite') ? error.message : 'unknown tag';
    case 'BAD_DIRECTIVE':
      return 'unknown or wrong directive';
    case 'BAD_ALIAS':
      return 'alias without an anchor before it';
    case 'TAB_AS_INDENT':
      return 'tabs are not allowed as indentation';
    default: {
      if (error.message.startsWith('Maximum call stack')) return 'nested too deeply';
      const words = error.message.split(': ')[0] as string;
      return `${words[0]?.toLowerCase() ?? ''}${words.slice(1)}`;
    }
  }
}

function locate(document: Document.Parsed, field: string): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [, name, bracket] of field.matchAll(/([^.[\]]+)|\[([^\]]*)\]/g)) {
    const step = (name ?? bracket) as string;
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isSeq(node)) {
      const item: unknown = node.items[Number(step)];
      node = isNode(item) ? item : null;
      if (node === null) break;
      offset = node.range?.[0] ?? offset;
    } else if (isMap(node)) {
      const found = entry(document, node, step, 0);
      if (found === null) break;
      offset = found.key.range?.[0] ?? offset;
      node = found.value;
    } else break;
  }
  return offset;
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value);
}

/** The pair of a mapping with this key, looking into merged mappings as well. */
function entry(
  document: Document.Parsed,
  map: Node,
  name: string,
  depth: number,
): { key: Node; value: Node | null } | null {
  if (!isMap(map) || depth > 8) return null;
  for (const { key, value } of map.items) {
    if (isScalar(key) && String(key.value) === name) return { key, value: isNode(value) ? value : null };
  }
  for (const { key, value } of map.items) {
    if (!isScalar(key) || key.source !== '<<' || !isNode(value)) continue;
    for (const source of isSeq(value) ? value.items : [value]) {
      const target = isAlias(source) ? source.resolve(document) : source;
      const found = isNode(target) ? entry(document, target, name, depth + 1) : null;
      if (found !== null) return found;
    }
  }
  return null;
}
