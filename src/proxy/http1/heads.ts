// Heads of responses as they go to a client: what came from the backend, with what the connection needs besides.

import { bytesOf, put } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';
import type { FieldLines } from '../filter/field-lines.ts';
import { type Head, NAME } from '../head.ts';
import { CRLF, copyFields } from '../lines.ts';
import { DATE_BYTES, putDate, putStatusLine } from './write.ts';

const CONNECTION_UPGRADE = bytesOf('Connection: upgrade\r\nUpgrade: ');
const CONNECTION_CLOSE = bytesOf('Connection: close\r\n');
const CONNECTION_KEEP_ALIVE = bytesOf('Connection: keep-alive\r\n');
const TRANSFER_ENCODING = bytesOf('Transfer-Encoding: chunked\r\n');
const DATE = bytesOf('Date: ');
/** The status line may grow by so much. */
const LINE_BYTES = 32;
const ADDED =
  CONNECTION_KEEP_ALIVE.length +
  CONNECTION_UPGRADE.length +
  TRANSFER_ENCODING.length +
  DATE.length +
  DATE_BYTES +
  2 * CRLF.length +
  LINE_BYTES;

/** Most bytes that the functions below write. */
export function headBytes(head: Head, added: FieldLines | null): number {
  return head.end - head.start + ADDED + (added === null ? 0 : added.http1.size);
}

/** An interim response (1xx). */
export function putInterim(mem: Uint8Array, at: number, head: Head): number {
  return put(mem, copyFields(mem, putStatusLine(mem, at, head), head), CRLF);
}

/** 101: with the fields of one hop that say what to (RFC 9110 section 7.8). */
export function putSwitched(mem: Uint8Array, at: number, head: Head, added: FieldLines | null, uuidAt: number): number {
  const field = head.find(NAME.UPGRADE);
  let out = copyFields(mem, putStatusLine(mem, at, head), head);
  if (added !== null) out = added.http1.put(mem, out, uuidAt);
  out = put(mem, out, CONNECTION_UPGRADE);
  out = move(mem, out, head.valueStart(field), head.valueEnd(field));
  return put(mem, put(mem, out, CRLF), CRLF);
}

/** What Connection says of what follows. */
export const CONNECTION = { NOTHING: 0, CLOSE: 1, KEEP_ALIVE: 2 } as const;

/** A final head, written anew. `wallMs`: for a Date, -1 where there is one. `uuidAt`: for `added`. */
export function putFinal(
  mem: Uint8Array,
  at: number,
  head: Head,
  added: FieldLines | null,
  uuidAt: number,
  chunked: boolean,
  wallMs: number,
  connection: number,
): number {
  let out = copyFields(mem, putStatusLine(mem, at, head), head);
  if (added !== null) out = added.http1.put(mem, out, uuidAt);
  if (chunked) out = put(mem, out, TRANSFER_ENCODING);
  // RFC 9110 section 6.6.1: a recipient with a clock adds the Date that is missing.
  if (wallMs >= 0) out = put(mem, putDate(mem, put(mem, out, DATE), wallMs), CRLF);
  if (connection === CONNECTION.CLOSE) out = put(mem, out, CONNECTION_CLOSE);
  else if (connection === CONNECTION.KEEP_ALIVE) out = put(mem, out, CONNECTION_KEEP_ALIVE);
  return put(mem, out, CRLF);
}
