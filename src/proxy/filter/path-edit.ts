// Rewriting and redirecting paths (Gateway API v1.6.1, HTTPPathModifier).

import { bytesOf, put } from '../../base/bytes.ts';
import type { Fault } from '../../base/errors.ts';
import { move } from '../../base/memory.ts';
import type { PathModifier } from '../../ir/ir.ts';
import { type Head, METHOD } from '../head.ts';
import { PathExpression } from './path-expression.ts';

const VERSION_CRLF = bytesOf(' HTTP/1.1\r\n');
const SPACE = 0x20;
const SLASH = 0x2f;
const QUESTION = 0x3f;

/** A part of a path, and whether it may stand there (RFC 3986 section 3.3): pchar, '/', or an escape. */
const PATH_PART = /%[0-9A-Fa-f]{2}|[-A-Za-z0-9/._~!$&'()*+,;=:@]|./gsu;
const ESCAPED = /^%[0-9A-Fa-f]{2}$|^[-A-Za-z0-9/._~!$&'()*+,;=:@]$/;

export class PathEdit {
  /** Longest text that it adds to the request's own path. */
  readonly #size: number;
  readonly #expression: PathExpression | null;
  readonly #prefixOnly: boolean;
  readonly #value: Uint8Array;

  constructor(modifier: PathModifier) {
    this.#prefixOnly = modifier.type === 'ReplacePrefixMatch';
    this.#expression = modifier.type === 'ReplaceExpression' ? new PathExpression(modifier, escaped) : null;
    const path = escapedPath(modifier.value);
    // As with a prefix that is matched, a trailing slash of the replacement is ignored: '/xyz/' + '/bar' is '/xyz/bar'.
    this.#value = bytesOf(this.#prefixOnly ? path.replace(/\/+$/, '') : path === '' ? '/' : path);
    this.#size = this.#value.length + 1;
  }

  /** Most bytes that `put` writes. */
  bound(head: Head): number {
    const length = head.pathEnd - head.pathStart;
    return this.#expression === null ? this.#size + length : this.#expression.bound(length);
  }

  /** Why this path is not edited; null: it is. */
  refuses(mem: Uint8Array, head: Head): Fault | null {
    return this.#expression === null ? null : this.#expression.refuses(mem, head);
  }

  /** Writes the edited path; the first `prefixLength` bytes of the head's path are those that the match covered. */
  put(mem: Uint8Array, at: number, head: Head, prefixLength: number): number {
    if (this.#expression !== null) return this.#expression.put(mem, at, head);
    const end = put(mem, at, this.#value);
    if (!this.#prefixOnly) return end;
    const rest = head.pathStart + prefixLength;
    if (rest < head.pathEnd) return move(mem, end, rest, head.pathEnd);
    if (end > at) return end;
    mem[at] = SLASH;
    return at + 1;
  }
}

/** What may not stand in a path is escaped, so that it can end neither path nor line. */
function escaped(value: string): string {
  let path = '';
  for (const c of value.match(PATH_PART) ?? []) {
    if (ESCAPED.test(c)) path += c;
    else for (const octet of bytesOf(c)) path += `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return path;
}

/** The value as an absolute path, or ''. */
function escapedPath(value: string): string {
  const path = escaped(value);
  return path === '' || path.startsWith('/') ? path : `/${path}`;
}

/** Most bytes that `putTarget` writes. */
export function targetBound(head: Head, edit: PathEdit | null): number {
  const path = edit === null ? head.pathEnd - head.pathStart : edit.bound(head);
  return path + head.queryEnd - head.queryStart + 2;
}

/**
 * Writes the request target in origin form, path edited and query kept. A path that does not begin with '/' ('*') is
 * not edited; one that an absolute target lacks is '/' (RFC 9112 section 3.2.1).
 */
export function putTarget(
  mem: Uint8Array,
  at: number,
  head: Head,
  prefixLength: number,
  edit: PathEdit | null,
): number {
  let to = at;
  if (edit !== null && mem[head.pathStart] === SLASH) to = edit.put(mem, to, head, prefixLength);
  else to = move(mem, to, head.pathStart, head.pathEnd);
  if (!head.hasQuery) return to;
  mem[to++] = QUESTION;
  return move(mem, to, head.queryStart, head.queryEnd);
}

/** Most bytes that `putRequestLine` writes. */
export function requestLineBound(head: Head, edit: PathEdit | null): number {
  const target = Math.max(targetBound(head, edit), head.targetEnd - head.targetStart);
  return head.methodEnd - head.methodStart + 1 + target + VERSION_CRLF.length;
}

/**
 * Writes a request line of HTTP/1.1. The target is CONNECT's as it came, else in origin-form also where it came in
 * absolute-form (RFC 9112 section 3.2.1), or '*' (section 3.2.4).
 */
export function putRequestLine(
  mem: Uint8Array,
  at: number,
  head: Head,
  prefixLength: number,
  edit: PathEdit | null,
): number {
  let to = move(mem, at, head.methodStart, head.methodEnd);
  mem[to++] = SPACE;
  if (head.method === METHOD.CONNECT) to = move(mem, to, head.targetStart, head.targetEnd);
  else to = putTarget(mem, to, head, prefixLength, edit);
  return put(mem, to, VERSION_CRLF);
}
