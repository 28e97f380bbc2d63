// Reads the YAML and JSON that most people and programs write, without the library, which takes ten times as long:
// mappings and lists by indentation, plain and quoted text on one line, `|`, and flow collections. What is not wholly
// understood, everything that is wrong included, is null and for the library to read; of what is accepted here it would
// say the same (plain-yaml.test.ts).

import { setField } from '../../api/value.ts';
import { LIMITS } from '../../base/limits.ts';
import { plainNumber } from './scalars.ts';

/** Not what this reader knows. One for all: nobody looks at it. */
const STRANGE = new Error('not plain');

/** ASCII that is seen, spaces and line feeds. */
const CHARACTERS = /^[\n -~]*$/;
/** A key without quotes, up to its colon: text whatever the schema. */
const KEY = /[A-Za-z][\w./-]{0,127}(?=:(?:[ \n]|$))/y;
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null)$/i;
/** Text without quotes to the end of a line; within a flow collection up to its next mark. */
const PLAIN = /(?:[\w./+$(\\^]|-(?=[\w./]))[ -~]*/y;
const FLOW_PLAIN = /(?:[\w./+$(\\^]|-(?=[\w./]))[^,[\]{}:#"'\n]*/y;
const QUOTED = /"(?:[^"\\\n]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/y;
const APOSTROPHES = /'[^'\n]*'/y;
/** Values that are not numbers in JSON. */
const NO_NUMBER = /^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/;
const [NEWLINE, SPACE, HASH, DASH] = [0x0a, 0x20, 0x23, 0x2d];

export interface PlainDocument {
  readonly value: unknown;
  /** Where it begins, behind comments and markers. */
  readonly offset: number;
  /** Of the list `items` at the top, which may be of thousands of objects. */
  readonly items: readonly PlainItem[];
}

/** Where an item begins, in which column, and where the next one or what follows the list does. */
export interface PlainItem {
  readonly start: number;
  readonly column: number;
  end: number;
}

/** `text`: one document with what stands in front of it, at the most. */
export function readPlainYaml(text: string): PlainDocument | null {
  if (text.length > LIMITS.YAML_PLAIN_CHARS || !CHARACTERS.test(text)) return null;
  try {
    return new PlainYaml(text).document();
  } catch (error) {
    if (error === STRANGE) return null;
    throw error;
  }
}

class PlainYaml {
  readonly #text: string;
  /** Where the next line with something on it begins, and its indentation; -1 behind the last one. */
  #at = 0;
  #indent = 0;
  #depth = 0;
  /** The key of the outermost mapping that is being read. */
  #top = '';
  readonly #items: PlainItem[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  document(): PlainDocument {
    this.#line(0);
    if (this.#indent === 0 && this.#text.startsWith('---\n', this.#at)) this.#line(this.#at + 4);
    if (this.#indent !== 0) throw STRANGE;
    const offset = this.#at;
    const value =
      this.#text[this.#at] === '{' ? this.#ended(this.#flow(this.#at, NEWLINE)) : this.#mapping(this.#indent);
    if (this.#indent >= 0) throw STRANGE;
    return { value, offset, items: this.#items };
  }

  /** Goes to the first line from `from` on, which begins a line, that is neither empty nor a comment. */
  #line(from: number): void {
    const text = this.#text;
    for (let start = from; ; ) {
      let at = start;
      while (text.charCodeAt(at) === SPACE) at++;
      const first = text.charCodeAt(at);
      if (Number.isNaN(first)) {
        this.#indent = -1;
        return;
      }
      if (first === NEWLINE) start = at + 1;
      else if (first === HASH) start = this.#lineEnd(at) + 1;
      else {
        this.#at = at;
        this.#indent = at - start;
        return;
      }
    }
  }

  /** The line feed behind `at`, or the end. */
  #lineEnd(at: number): number {
    const end = this.#text.indexOf('\n', at);
    return end < 0 ? this.#text.length : end;
  }

  /** Behind a value on its line: nothing, or a comment. The beginning of the next line. */
  #restOfLine(from: number): number {
    const text = this.#text;
    let at = from;
    while (text.charCodeAt(at) === SPACE) at++;
    const end = this.#lineEnd(at);
    if (at < end && (text.charCodeAt(at) !== HASH || at === from)) throw STRANGE;
    return end + 1;
  }

  #match(pattern: RegExp, at: number): string | null {
    pattern.lastIndex = at;
    return pattern.test(this.#text) ? this.#text.slice(at, pattern.lastIndex) : null;
  }

  #enter(): void {
    if (++this.#depth > 32) throw STRANGE;
  }

  /** Of the line that comes next, and all others of its indentation. */
  #block(indent: number): unknown {
    return this.#isItem() ? this.#list(indent) : this.#mapping(indent);
  }

  #isItem(): boolean {
    const after = this.#text.charCodeAt(this.#at + 1);
    return this.#text.charCodeAt(this.#at) === DASH && (after === SPACE || after === NEWLINE);
  }

  #mapping(indent: number): unknown {
    this.#enter();
    const out: Record<string, unknown> = {};
    do {
      const key = this.#match(KEY, this.#at);
      if (key === null || WORDS.test(key) || Object.hasOwn(out, key)) throw STRANGE;
      if (this.#depth === 1) this.#top = key;
      setField(out, key, this.#value(this.#at + key.length + 1, indent));
    } while (this.#indent === indent && !this.#isItem());
    if (this.#indent > indent) throw STRANGE;
    this.#depth--;
    return out;
  }

  /** What stands behind a colon, or below it. */
  #value(colon: number, indent: number): unknown {
    let at = colon;
    while (this.#text.charCodeAt(at) === SPACE) at++;
    const first = this.#text.charCodeAt(at);
    if (at < this.#text.length && first !== NEWLINE && first !== HASH) return this.#inline(at, indent);
    this.#line(this.#lineEnd(at) + 1);
    if (this.#indent > indent) return this.#block(this.#indent);
    return this.#indent === indent && this.#isItem() ? this.#list(indent) : null;
  }

  #list(indent: number): unknown {
    this.#enter();
    const items: unknown[] = [];
    do {
      let at = this.#at + 1;
      while (this.#text.charCodeAt(at) === SPACE) at++;
      const item = this.#item(at, this.#indent + at - this.#at);
      if (this.#match(KEY, at) !== null) {
        this.#indent += at - this.#at;
        this.#at = at;
        items.push(this.#mapping(this.#indent));
      } else items.push(this.#inline(at, indent));
      if (item !== null) item.end = this.#indent < 0 ? this.#text.length : this.#at - this.#indent;
    } while (this.#indent === indent && this.#isItem());
    if (this.#indent > indent) throw STRANGE;
    this.#depth--;
    return items;
  }

  /** An item of a list begins; null where nobody asks for its place. */
  #item(start: number, column: number): PlainItem | null {
    if (this.#depth !== 2 || this.#top !== 'items') return null;
    const item = { start, column, end: start };
    this.#items.push(item);
    return item;
  }

  /** A value that begins on its key's line; `indent`: of the collection that it stands in. */
  #inline(at: number, indent: number): unknown {
    switch (this.#text[at]) {
      case '|':
        return this.#literal(at, indent);
      case '{':
      case '[':
        return this.#ended(this.#flow(at, SPACE));
      case '"':
      case "'":
        return this.#ended(this.#quoted(at));
    }
    const found = this.#match(PLAIN, at);
    if (found === null) throw STRANGE;
    const comment = found.indexOf(' #');
    const value = (comment < 0 ? found : found.slice(0, comment)).trimEnd();
    if (value.includes(': ') || value.endsWith(':')) throw STRANGE;
    this.#line(at + found.length + 1);
    return scalar(value);
  }

  #ended(value: unknown): unknown {
    this.#line(this.#restOfLine(this.#end));
    return value;
  }

  /** `|` and `|-` (YAML 1.2 section 8.1.2): the lines below as they stand. */
  #literal(at: number, indent: number): string {
    const text = this.#text;
    const strip = text.charCodeAt(at + 1) === DASH;
    let start = at + (strip ? 2 : 1);
    if (text.charCodeAt(start++) !== NEWLINE) throw STRANGE;
    let first = start;
    while (text.charCodeAt(first) === SPACE) first++;
    const margin = first - start;
    const lines: string[] = [];
    let last = 0;
    for (;;) {
      const end = this.#lineEnd(start);
      let ink = start;
      while (ink < end && ink - start < margin && text.charCodeAt(ink) === SPACE) ink++;
      if (ink === end && ink > start) throw STRANGE;
      if (ink < end && ink - start < margin) break;
      lines.push(text.slice(ink, end));
      if (ink < end) last = lines.length;
      // A last line that does not end, and lines of nothing but spaces.
      if (end === text.length) {
        if (ink < end) throw STRANGE;
        break;
      }
      start = end + 1;
    }
    if (margin <= indent || last === 0) throw STRANGE;
    this.#line(start);
    return lines.slice(0, last).join('\n') + (strip ? '' : '\n');
  }

  /** Behind what was read last within a line. */
  #end = 0;

  #quoted(at: number): string {
    const double = this.#text[at] === '"';
    const found = this.#match(double ? QUOTED : APOSTROPHES, at);
    if (found === null) throw STRANGE;
    this.#end = at + found.length;
    return double && found.includes('\\') ? (JSON.parse(found) as string) : found.slice(1, -1);
  }

  /** A flow collection or what one holds; `blank`: what may stand between besides spaces. */
  #flow(at: number, blank: number): unknown {
    const { [at]: first } = this.#text;
    if (first === '{') return this.#flowMapping(at, blank);
    if (first === '[') return this.#flowList(at, blank);
    if (first === '"' || first === "'") return this.#quoted(at);
    const found = this.#match(FLOW_PLAIN, at);
    if (found === null) throw STRANGE;
    this.#end = at + found.length;
    return scalar(found.trimEnd());
  }

  #skip(from: number, blank: number): number {
    let at = from;
    for (let c = this.#text.charCodeAt(at); c === SPACE || c === blank; c = this.#text.charCodeAt(at)) at++;
    return at;
  }

  /** Steps over a comma, or behind what closes the collection: -1 then. */
  #more(close: string, blank: number): number {
    const at = this.#skip(this.#end, blank);
    if (this.#text[at] === ',') return this.#skip(at + 1, blank);
    if (this.#text[at] !== close) throw STRANGE;
    this.#end = at + 1;
    return -1;
  }

  #flowMapping(from: number, blank: number): unknown {
    this.#enter();
    const out: Record<string, unknown> = {};
    let at = this.#skip(from + 1, blank);
    this.#end = at;
    if (this.#text[at] === '}') at = this.#more('}', blank);
    while (at >= 0) {
      const quoted = this.#text[at] === '"';
      const key = quoted ? this.#quoted(at) : this.#match(KEY, at);
      if (key === null || key.length > 128 || Object.hasOwn(out, key)) throw STRANGE;
      if (!quoted && WORDS.test(key)) throw STRANGE;
      const colon = quoted ? this.#end : at + key.length;
      if (this.#text[colon] !== ':') throw STRANGE;
      const value = this.#skip(colon + 1, blank);
      if (this.#depth === 1) this.#top = key;
      setField(out, key, this.#flow(value, blank));
      at = this.#more('}', blank);
    }
    this.#depth--;
    return out;
  }

  #flowList(from: number, blank: number): unknown {
    this.#enter();
    const items: unknown[] = [];
    let at = this.#skip(from + 1, blank);
    this.#end = at;
    if (this.#text[at] === ']') at = this.#more(']', blank);
    while (at >= 0) {
      const item = this.#item(at, 0);
      items.push(this.#flow(at, blank));
      if (item !== null) item.end = this.#end;
      at = this.#more(']', blank);
    }
    this.#depth--;
    return items;
  }
}

/** Text without quotes, as the schema has it (YAML 1.1, numbers as kubectl reads them). */
function scalar(text: string): unknown {
  const first = text.charCodeAt(0);
  if (first < 0x3a && /^[-+.0-9]/.test(text)) {
    if (NO_NUMBER.test(text)) throw STRANGE;
    return plainNumber(text);
  }
  if (text.length > 5 || !WORDS.test(text)) return text;
  if (/^(?:null|Null|NULL)$/.test(text)) return null;
  if (/^(?:Y|y|[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON)$/.test(text)) return true;
  return /^(?:N|n|[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/.test(text) ? false : text;
}
