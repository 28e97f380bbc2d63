// Forwarding of trailer fields (RFC 9110 section 6.5).

import { bytesOf, put } from '../../base/bytes.ts';
import { FAULTS } from '../../base/errors.ts';
import { move } from '../../base/memory.ts';
import { Head } from '../head.ts';
import { CRLF } from '../lines.ts';
import { equalLoosely, isLookalike } from '../lookalike.ts';
import { parseFields } from './fields.ts';
import { LAST_CHUNK_SIZE } from './write.ts';

/**
 * Names that never go on as trailers (RFC 9110 section 6.5.1): framing, routing, connection handling, request
 * modifiers, authentication, response control data and content format; and those by which proxies tell each other who
 * asked.
 */
const FORBIDDEN: readonly Uint8Array[] = [
  'age',
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'expires',
  'forwarded',
  'host',
  'http2-settings',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'location',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'retry-after',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'vary',
  'via',
  'warning',
  'www-authenticate',
  'x-real-ip',
  'x-request-id',
].map((name) => bytesOf(name));

/** Scratch table: nothing of it outlives a call. */
const scratch = new Head();

/**
 * Copies the fields that may go on of the trailer section [start, end) (as BodyReader gave it) to mem[at..], without
 * the empty line that ends a section. Writes at most end - start - 2 bytes; returns the offset behind them.
 */
export function copyTrailers(mem: Uint8Array, at: number, start: number, end: number): number {
  if (parseFields(mem, start, end, scratch, false, FAULTS.badRequest, FAULTS.headTooLarge) <= 0) return at;
  let out = at;
  for (let k = 0; k < scratch.count; k++) {
    const from = scratch.nameStart(k);
    if (!isForbidden(mem, from, scratch.nameEnd(k) - from)) {
      out = move(mem, out, from, scratch.lineEnd(k));
    }
  }
  return out;
}

/**
 * The last chunk and the trailer section, without the fields that must not go on. Bytes: LAST_CHUNK + (end - start).
 */
export function putTrailers(mem: Uint8Array, at: number, start: number, end: number): number {
  return put(mem, copyTrailers(mem, put(mem, at, LAST_CHUNK_SIZE), start, end), CRLF);
}

function isForbidden(mem: Uint8Array, start: number, length: number): boolean {
  if (isLookalike(mem, start, start + length, false)) return true;
  for (let k = 0; k < FORBIDDEN.length; k++) {
    const name = FORBIDDEN[k] as Uint8Array;
    if (name.length === length && equalLoosely(mem, start, name)) return true;
  }
  return false;
}
