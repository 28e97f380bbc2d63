// Rewriting a path by what a regular expression captured of it (rewrite-target of ingress-nginx). Finding groups reads
// every byte for every state of the expression: what follows a last `(.*)` is not read, and else a path has a limit.

import { bytesOf, put, textOf } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import { type Groups, Regex } from '../../base/regex.ts';
import type { PathModifier } from '../../ir/ir.ts';
import { Head } from '../head.ts';

const SLASH = 0x2f;
const REST = '(.*)';
/** Of an expression as translation writes it. */
const WHOLE = /^\(\?i:(.*)\)\.\*$/s;
const UNBOUNDED = /[*+{]/;
const DOT = 0x2e;
/** A segment of two dots, as backends may read one (translate/path.ts). */
const UPWARDS = /(?:^|[/\\]|%2f|%5c)\.\.(?:[/\\;]|%2f|%5c|%3b|$)/i;

/** A text, then a group; 0 for none. */
interface Piece {
  readonly text: Uint8Array;
  readonly group: number;
}

export class PathExpression {
  /** Longest path that is edited. */
  readonly #most: number;
  readonly #regex: Regex;
  /** The last group is whatever follows what `regex` matches at the beginning; 0: `regex` is for the whole path. */
  readonly #rest: number;
  readonly #pieces: readonly Piece[];
  readonly #text: number;
  readonly #references: number;

  /** Throws RegexError. `escaped`: what may not stand in a path is escaped. */
  constructor(
    { pattern, value }: Extract<PathModifier, { readonly type: 'ReplaceExpression' }>,
    escaped: (text: string) => string,
  ) {
    const whole = new Regex(pattern);
    const first = beginning(pattern);
    const splits = first?.groupCount === whole.groupCount - 1;
    this.#regex = splits ? first : whole;
    this.#rest = splits ? whole.groupCount : 0;
    const soon = splits && !UNBOUNDED.test(first.pattern);
    this.#most = soon ? LIMITS.URI_BYTES : LIMITS.REWRITE_EXPRESSION_BYTES;
    // Odd ones are groups; those that the expression has not stand for nothing.
    const parts = value.split(/\$([1-9])/);
    const pieces: Piece[] = [];
    for (let i = 0; i < parts.length; i += 2) {
      const group = Number(parts[i + 1] ?? 0);
      pieces.push({ text: bytesOf(escaped(parts[i] as string)), group: group > whole.groupCount ? 0 : group });
    }
    this.#pieces = pieces;
    this.#text = pieces.reduce((sum, { text }) => sum + text.length, 0);
    this.#references = pieces.filter(({ group }) => group > 0).length;
  }

  /** It would take too long, or what is captured leads out of where it is put (`/app(.*)` asked for `/app../x`). */
  refuses(mem: Uint8Array, head: Head): Fault | null {
    const length = head.pathEnd - head.pathStart;
    if (length > this.#most) return FAULTS.uriTooLong;
    if (!hasTwoDots(mem, head.pathStart, head.pathEnd)) return null;
    // Few have any: these are written once more, to be looked at.
    const written = new Uint8Array(length + this.bound(length));
    written.set(mem.subarray(head.pathStart, head.pathEnd));
    const copy = new Head();
    copy.pathEnd = length;
    return UPWARDS.test(textOf(written.subarray(length, this.put(written, length, copy)))) ? FAULTS.badRequest : null;
  }

  /** Most bytes that `put` writes for a path of `length`. */
  bound(length: number): number {
    return 1 + Math.max(length, this.#text + this.#references * length);
  }

  /** Writes the edited path, which begins with '/' whatever was captured; one that is no match is kept. */
  put(mem: Uint8Array, at: number, head: Head): number {
    const { pathStart, pathEnd } = head;
    const groups =
      this.#rest === 0
        ? this.#regex.groups(mem, pathStart, pathEnd)
        : this.#regex.groupsAtStart(mem, pathStart, pathEnd);
    if (groups === null) return move(mem, at, pathStart, pathEnd);
    // Room for a slash in front, should there be none.
    let to = at + 1;
    for (let i = 0; i < this.#pieces.length; i++) {
      const { text, group } = this.#pieces[i] as Piece;
      to = put(mem, to, text);
      if (group > 0) to = this.#putGroup(mem, to, head, groups, group);
    }
    if (to > at + 1 && mem[at + 1] === SLASH) return move(mem, at, at + 1, to);
    mem[at] = SLASH;
    return to;
  }

  #putGroup(mem: Uint8Array, at: number, { pathStart, pathEnd }: Head, groups: Groups, group: number): number {
    if (group === this.#rest) return move(mem, at, pathStart + groups.end(0), pathEnd);
    const start = groups.start(group);
    return start < 0 ? at : move(mem, at, pathStart + start, pathStart + groups.end(group));
  }
}

function hasTwoDots(mem: Uint8Array, start: number, end: number): boolean {
  for (let i = start + 1; i < end; i++) if (mem[i] === DOT && mem[i - 1] === DOT) return true;
  return false;
}

/** What stands before a last `(.*)` that is no part of an alternative; null when there is none. */
function beginning(pattern: string): Regex | null {
  const inner = WHOLE.exec(pattern)?.[1];
  if (inner?.endsWith(REST) !== true) return null;
  const first = inner.slice(0, -REST.length);
  const bare = first.replace(/\\./gs, '').replace(/\[\^?\]?[^\]]*\]/g, '');
  let depth = 0;
  for (const c of bare) {
    if (c === '(') depth++;
    else if (c === ')') depth--;
    else if (c === '|' && depth === 0) return null;
  }
  try {
    return new Regex(`(?i:${first})`);
  } catch {
    return null;
  }
}
