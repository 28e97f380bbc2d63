// Heads between an exchange and a backend that speaks HTTP/2: a prepared request's lines become a field section, and
// what its response says is checked and told as any other's (RFC 9113 sections 8.2 and 8.3).

import { bytesOf, equalAt, equalLowerAt, put } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import type { PreparedRequest } from '../exchange/sides.ts';
import { FIELD, type FieldTable, SCANNED } from '../field-table.ts';
import { BODY, bitsOf, type Head, NAME } from '../head.ts';
import { parseContentLength } from '../http1/fields.ts';
import { scanFields } from '../http1/scanner.ts';
import { isKey, type Protocol } from './extended-connect.ts';
import { linesBound } from './fields-out.ts';
import { BEGIN_BYTES, FIELD_BYTES, type HpackEncoder } from './hpack/encoder.ts';
import { type FieldSection, OF_CONNECTION } from './hpack/section.ts';
import { PSEUDO } from './hpack/static-table.ts';

const CONNECT = bytesOf('CONNECT');
const TRAILERS = bytesOf('trailers');
/** `:scheme`, from the static table (RFC 7541 appendix A). */
const SCHEME_HTTP = 0x86;
const SCHEME_HTTPS = 0x87;
/** From the target to the fields: ` HTTP/1.1` CRLF. */
const VERSION_BYTES = 11;

/** What of a request of HTTP/1 is its connection's. */
const NOT_ASKED = OF_CONNECTION | bitsOf(NAME.HTTP2_SETTINGS);
const LENGTH = bitsOf(NAME.CONTENT_LENGTH);
/** TE is a request's only; Proxy-Authenticate is for the next hop (RFC 9110 section 11.7.1). */
const DROPPED = bitsOf(NAME.TE, NAME.PROXY_AUTHENTICATE);

/** Most bytes that `putRequest` writes. */
export function requestBound(request: PreparedRequest, protocol: Protocol | null): number {
  return fieldsBound(request) + (protocol === null ? 0 : CONNECT.length + protocol.name.length);
}

/** Most bytes of the section; the text of what extended CONNECT has besides is written behind that. */
function fieldsBound(request: PreparedRequest): number {
  return BEGIN_BYTES + linesBound(request.bodyStart - request.start) + 5 * (FIELD_BYTES + 16);
}

/** Fills `table` with the fields of `request`; false when its lines are no fields (an edit made them so). */
export function scanRequest(mem: Uint8Array, request: PreparedRequest, table: FieldTable): boolean {
  return scanFields(mem, request.fieldsStart, request.bodyStart, table) === request.bodyStart;
}

/** `:method` and `:protocol` of extended CONNECT; their text is written at `scratch`. */
function putConnect(encoder: HpackEncoder, mem: Uint8Array, at: number, scratch: number, name: Uint8Array): number {
  const end = put(mem, scratch, CONNECT);
  const out = encoder.pseudo(mem, at, PSEUDO.METHOD, scratch, end);
  return encoder.pseudo(mem, out, PSEUDO.PROTOCOL, end, put(mem, end, name));
}

/**
 * Writes the field section of `request`, whose fields `table` has, at `at`, without what belongs to HTTP/1 alone;
 * returns the offset behind it. `protocol`: it asks for that by extended CONNECT (RFC 8441).
 */
export function putRequest(
  encoder: HpackEncoder,
  mem: Uint8Array,
  at: number,
  request: PreparedRequest,
  secure: boolean,
  table: FieldTable,
  protocol: Protocol | null,
): number {
  const { start, methodEnd, fieldsStart } = request;
  const words = table.words;
  const count = words[SCANNED.COUNT] as number;
  let host = 0;
  while (host < count && words[host * FIELD.WORDS + FIELD.NAME] !== NAME.HOST) host++;
  const targetEnd = fieldsStart - VERSION_BYTES;
  let out = encoder.begin(mem, at);
  if (protocol === null) out = encoder.pseudo(mem, out, PSEUDO.METHOD, start, methodEnd);
  else out = putConnect(encoder, mem, out, at + fieldsBound(request), protocol.name);
  // A tunnel is to an authority, and names nothing else (section 8.5).
  if (methodEnd - start === CONNECT.length && equalAt(mem, start, CONNECT)) {
    out = encoder.pseudo(mem, out, PSEUDO.AUTHORITY, methodEnd + 1, targetEnd);
  } else {
    mem[out++] = secure ? SCHEME_HTTPS : SCHEME_HTTP;
    out = encoder.pseudo(mem, out, PSEUDO.PATH, methodEnd + 1, targetEnd);
    if (host < count) out = putAuthority(encoder, mem, out, words, host * FIELD.WORDS);
  }
  for (let k = 0; k < count; k++) {
    const field = k * FIELD.WORDS;
    const id = words[field + FIELD.NAME] as number;
    const nameStart = words[field + FIELD.NAME_START] as number;
    const nameEnd = words[field + FIELD.NAME_END] as number;
    const value = words[field + FIELD.VALUE_START] as number;
    const valueEnd = words[field + FIELD.VALUE_END] as number;
    if (protocol?.accept && isKey(mem, nameStart, nameEnd)) continue;
    if (id === NAME.HOST || (id < 32 && (NOT_ASKED & (1 << id)) !== 0)) continue;
    if (id === NAME.TE && !isTrailers(mem, value, valueEnd)) continue;
    // That there is no content is said by the stream's end.
    if (id === NAME.CONTENT_LENGTH && nameStart >= request.linesEnd) continue;
    out = encoder.field(mem, out, nameStart, nameEnd, value, valueEnd);
  }
  return out;
}

/** `:authority` instead of Host (section 8.3.1); nothing for a request of HTTP/1.0 that named no host. */
function putAuthority(encoder: HpackEncoder, mem: Uint8Array, at: number, words: Int32Array, field: number): number {
  const start = words[field + FIELD.VALUE_START] as number;
  const end = words[field + FIELD.VALUE_END] as number;
  return start === end ? at : encoder.pseudo(mem, at, PSEUDO.AUTHORITY, start, end);
}

function isTrailers(mem: Uint8Array, start: number, end: number): boolean {
  return end - start === TRAILERS.length && equalLowerAt(mem, start, TRAILERS);
}

/**
 * Fills `head`, whose fields `section` decoded, as of a response; `toHead`: it answers HEAD, `ended`: no content
 * follows. Null, or why it is refused, with the limit in head.limit.
 */
export function interpretResponse(
  mem: Uint8Array,
  section: FieldSection,
  head: Head,
  toHead: boolean,
  ended: boolean,
): Fault | null {
  head.version = 20;
  head.limit = section.limit;
  if (section.limit !== null) return FAULTS.upstreamHead;
  if (section.malformed || section.pseudo !== 1 << PSEUDO.STATUS) return FAULTS.upstreamMalformed;
  const status = statusOf(mem, section.starts[PSEUDO.STATUS] as number, section.ends[PSEUDO.STATUS] as number);
  // 101 is of HTTP/1.1 (section 8.6); an interim response is followed by another.
  if (status < 100 || status === 101 || (status < 200 && ended)) return FAULTS.upstreamMalformed;
  if ((head.seen & OF_CONNECTION) !== 0 || (head.twice & LENGTH) !== 0) return FAULTS.upstreamMalformed;
  head.status = status;
  head.reasonStart = head.reasonEnd = head.fieldsStart;
  head.keepAlive = true;
  head.upgrade = false;
  head.contentLength = 0;
  let length = -1;
  if ((head.seen & LENGTH) !== 0) {
    const k = head.find(NAME.CONTENT_LENGTH);
    length = parseContentLength(mem, head.valueStart(k), head.valueEnd(k));
    if (length < 0) return FAULTS.upstreamMalformed;
  }
  // RFC 9110 section 8.6: it does not belong in 1xx and 204, so it does not go on.
  const framed = status >= 200 && status !== 204;
  head.dropAll(framed ? DROPPED : DROPPED | LENGTH);
  if (toHead || !framed || status === 304) {
    head.body = BODY.NONE;
  } else if (length < 0) {
    // Also when it has ended: whoever frames it in HTTP/1 has to say that there is none.
    head.body = BODY.UNTIL_CLOSE;
  } else {
    // Section 8.1.1: it has to be the length of the content.
    if (ended && length > 0) return FAULTS.upstreamMalformed;
    head.body = length > 0 ? BODY.LENGTH : BODY.NONE;
    head.contentLength = length;
  }
  return null;
}

/** Three digits; 0 for anything else. */
function statusOf(mem: Uint8Array, start: number, end: number): number {
  if (end - start !== 3) return 0;
  let status = 0;
  for (let i = start; i < end; i++) {
    const digit = (mem[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return 0;
    status = status * 10 + digit;
  }
  return status;
}
