// Field sections as they go out: lines of the arena, in whatever protocol they came (docs/adr/0009-the-middle.md),
// encoded by the connection that they go to.

import { bytesOf, putDecimal } from '../../base/bytes.ts';
import type { FieldLines } from '../filter/field-lines.ts';
import { type Head, NAME } from '../head.ts';
import { copyTrailers } from '../http1/trailers.ts';
import { DATE_BYTES, putDate } from '../http1/write.ts';
import { BEGIN_BYTES, FIELD_BYTES, type HpackEncoder } from './hpack/encoder.ts';

const CR = 0x0d;
const COLON = 0x3a;
const SP = 0x20;
const DATE = bytesOf('date');
const CONTENT_LENGTH = bytesOf('content-length');
/** Room at the end of a bound, for the text of one field. */
export const SCRATCH_BYTES = 64;
/** `:status`, Date and Content-Length. */
const OWN_BYTES = BEGIN_BYTES + 3 * (FIELD_BYTES + 48) + SCRATCH_BYTES;
/** The shortest line is `a: ` CRLF. */
const SHORTEST = 5;

/** Most bytes that the lines mem[start..end) take encoded. */
export function linesBound(bytes: number): number {
  return bytes + Math.ceil(bytes / SHORTEST) * FIELD_BYTES;
}

/** Most bytes that a response's head takes, with `lines` bytes of further lines. */
export function responseBound(head: Head | null, lines: number): number {
  const own = head === null ? 0 : head.end - head.fieldsStart + head.count * FIELD_BYTES;
  return own + linesBound(lines) + OWN_BYTES;
}

/** Lines that were prepared, encoded; they are written at `scratch` first, where they have room. */
export function putAdded(
  encoder: HpackEncoder,
  mem: Uint8Array,
  at: number,
  added: FieldLines,
  uuidAt: number,
  scratch: number,
): number {
  return putLines(encoder, mem, at, scratch, added.http1.put(mem, scratch, uuidAt));
}

/** The lines mem[start..end), `name: value` CRLF each, encoded; of a line without a value nothing is lost either. */
export function putLines(encoder: HpackEncoder, mem: Uint8Array, at: number, start: number, end: number): number {
  let out = at;
  let line = start;
  while (line < end) {
    let colon = line;
    while (mem[colon] !== COLON) colon++;
    let value = colon + 1;
    while (mem[value] === SP) value++;
    let stop = value;
    while (mem[stop] !== CR) stop++;
    out = encoder.field(mem, out, line, colon, value, stop);
    line = stop + 2;
  }
  return out;
}

/** Most bytes that `putTrailerLines` takes: those that may go on are copied behind the section first. */
export function trailersBound(bytes: number): number {
  return BEGIN_BYTES + linesBound(bytes) + bytes;
}

/** The trailer lines mem[start..end) that may go on, encoded as a section at `at`; -1 when none may. */
export function putTrailerLines(
  encoder: HpackEncoder,
  mem: Uint8Array,
  at: number,
  start: number,
  end: number,
): number {
  const scratch = at + BEGIN_BYTES + linesBound(end - start);
  const behind = copyTrailers(mem, scratch, start, end);
  return behind === scratch ? -1 : putLines(encoder, mem, encoder.begin(mem, at), scratch, behind);
}

/** The fields of `head` that go on. Transfer-Encoding is a connection's (RFC 9113 section 8.2.2). */
export function putFields(encoder: HpackEncoder, mem: Uint8Array, at: number, head: Head): number {
  let out = at;
  const { count } = head;
  for (let k = 0; k < count; k++) {
    if (head.dropped(k) || head.name(k) === NAME.TRANSFER_ENCODING) continue;
    out = encoder.field(mem, out, head.nameStart(k), head.nameEnd(k), head.valueStart(k), head.valueEnd(k));
  }
  return out;
}

/** Date (RFC 9110 section 6.6.1: a recipient with a clock adds the one that is missing). */
export function putDateField(
  encoder: HpackEncoder,
  mem: Uint8Array,
  at: number,
  wallMs: number,
  scratch: number,
): number {
  const value = scratch + DATE.length;
  mem.set(DATE, scratch);
  putDate(mem, value, wallMs);
  return encoder.field(mem, at, scratch, value, value, value + DATE_BYTES);
}

export function putLengthField(
  encoder: HpackEncoder,
  mem: Uint8Array,
  at: number,
  length: number,
  scratch: number,
): number {
  const value = scratch + CONTENT_LENGTH.length;
  mem.set(CONTENT_LENGTH, scratch);
  return encoder.field(mem, at, scratch, value, value, putDecimal(mem, value, length));
}
