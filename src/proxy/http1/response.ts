// Responses from upstream (RFC 9112 sections 4 to 6). What is ambiguous is refused: whoever reads it next could read it
// otherwise.

import { bytesOf, viewOf } from '../../base/bytes.ts';
import { FAULTS } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { BODY, bitsOf, type Head, NAME } from '../head.ts';
import {
  CODING_CHUNKED,
  CONNECTION_CLOSE,
  CONNECTION_KEEP_ALIVE,
  CONNECTION_UPGRADE,
  connectionOptions,
  parseContentLength,
  parseFields,
  parseTransferEncoding,
  refuse,
} from './fields.ts';
import { BAD, CLASS, CR, DIGIT, DONE, LF, MORE, SP, VALUE, wordOf } from './scan.ts';

type Parsed = typeof DONE | typeof MORE | typeof BAD;

const HTTP = wordOf('HTTP');
const SLASH_1_DOT = wordOf('/1.\0');

/**
 * Parses the response head at [start, end); `toHead` tells that it answers a HEAD request. DONE also for interim (1xx)
 * responses: status below 200, no body, and another head follows at head.end (after 101 another protocol does).
 * MORE as in parseRequest. BAD: head.fault is upstreamMalformed or upstreamHead.
 */
export function parseResponse(mem: Uint8Array, start: number, end: number, head: Head, toHead: boolean): Parsed {
  head.raw = true;
  head.fault = null;
  head.limit = null;
  head.count = 0;
  head.start = start;
  const line = parseStatusLine(mem, start, end, head);
  if (line <= 0) return line === 0 ? incomplete(start, end, head) : BAD;
  const fields = parseFields(mem, line, end, head, true, FAULTS.upstreamMalformed, FAULTS.upstreamHead);
  if (fields <= 0) return fields === 0 ? incomplete(start, end, head) : BAD;
  if (fields - start > LIMITS.HEAD_BYTES) return tooLarge(head);
  head.fieldsStart = line;
  head.end = fields;
  return interpretFields(mem, head, toHead) ? DONE : BAD;
}

function incomplete(start: number, end: number, head: Head): typeof MORE | typeof BAD {
  return end - start >= LIMITS.HEAD_BYTES ? tooLarge(head) : MORE;
}

function tooLarge(head: Head): typeof BAD {
  head.limit = 'HEAD_BYTES';
  return refuse(head, FAULTS.upstreamHead);
}

/**
 * HTTP-version SP status-code SP [ reason-phrase ] CRLF (RFC 9112 section 4). Returns the offset behind it, 0 or -1.
 */
function parseStatusLine(mem: Uint8Array, start: number, end: number, head: Head): number {
  if (end - start < 14) return beginsWell(mem, start, end) ? 0 : refuse(head, FAULTS.upstreamMalformed);
  const words = viewOf(mem);
  if (
    words.getInt32(start, true) !== HTTP ||
    (words.getInt32(start + 4, true) & 0xffffff) !== SLASH_1_DOT ||
    !isDigit(mem[start + 7] as number) ||
    mem[start + 8] !== SP ||
    !isDigit(mem[start + 9] as number) ||
    !isDigit(mem[start + 10] as number) ||
    !isDigit(mem[start + 11] as number)
  ) {
    return refuse(head, FAULTS.upstreamMalformed);
  }
  head.version = mem[start + 7] === 0x30 ? 10 : 11;
  head.status =
    (mem[start + 9] as number) * 100 + (mem[start + 10] as number) * 10 + (mem[start + 11] as number) - 0x30 * 111;
  if (head.status < 100) return refuse(head, FAULTS.upstreamMalformed);
  let i = start + 12;
  // Some servers leave out the space before an empty reason; nothing can be misread in that.
  if (mem[i] === SP) i++;
  else if (mem[i] !== CR) return refuse(head, FAULTS.upstreamMalformed);
  head.reasonStart = i;
  while (i < end && ((CLASS[mem[i] as number] as number) & VALUE) !== 0) i++;
  head.reasonEnd = i;
  if (i === end) return 0;
  if (mem[i] !== CR) return refuse(head, FAULTS.upstreamMalformed);
  if (i + 1 === end) return 0;
  return mem[i + 1] === LF ? i + 2 : refuse(head, FAULTS.upstreamMalformed);
}

const VERSION = bytesOf('HTTP/1.');

/**
 * Whether the first bytes can be those of a response: a backend that speaks another protocol may wait for us after a
 * few.
 */
function beginsWell(mem: Uint8Array, start: number, end: number): boolean {
  for (let i = 0; i < VERSION.length && start + i < end; i++) if (mem[start + i] !== VERSION[i]) return false;
  return true;
}

function isDigit(c: number): boolean {
  return ((CLASS[c] as number) & DIGIT) !== 0;
}

const LENGTH = bitsOf(NAME.CONTENT_LENGTH);
const CODING = bitsOf(NAME.TRANSFER_ENCODING);
const CONNECTION = bitsOf(NAME.CONNECTION);
const UPGRADE = bitsOf(NAME.UPGRADE);
/** Names of which more than one is refused: repeated, even if equal, as for requests (RFC 9110 section 8.6). */
const ONCE = LENGTH | CODING;
/** Not forwarded; Proxy-Authenticate is for the next hop only (RFC 9110 section 11.7.1). */
const HOP_BY_HOP =
  CONNECTION | UPGRADE | bitsOf(NAME.TE, NAME.KEEP_ALIVE, NAME.PROXY_CONNECTION, NAME.PROXY_AUTHENTICATE);

function interpretFields(mem: Uint8Array, head: Head, toHead: boolean): boolean {
  const { seen, version, status } = head;
  if ((head.twice & ONCE) !== 0) return bad(head);
  let length = -1;
  if ((seen & LENGTH) !== 0) {
    const k = head.find(NAME.CONTENT_LENGTH);
    length = parseContentLength(mem, head.valueStart(k), head.valueEnd(k));
    if (length < 0) return bad(head);
  }
  const chunked = (seen & CODING) !== 0;
  if (chunked) {
    // RFC 9112 section 6.3 item 3 and section 6.1.
    if (length >= 0 || version === 10) return bad(head);
    // We offer no other coding by TE, so upstream must not use one (RFC 9112 section 7.4).
    const k = head.find(NAME.TRANSFER_ENCODING);
    if (parseTransferEncoding(mem, head.valueStart(k), head.valueEnd(k)) !== CODING_CHUNKED) return bad(head);
  }
  // RFC 9110 section 8.6 and RFC 9112 section 6.1: no framing field belongs in 1xx and 204, so none goes on.
  const framed = status >= 200 && status !== 204;
  head.dropAll(framed ? HOP_BY_HOP : HOP_BY_HOP | LENGTH | CODING);

  head.contentLength = 0;
  if (toHead || !framed || status === 304) {
    head.body = BODY.NONE;
  } else if (chunked) {
    head.body = BODY.CHUNKED;
  } else if (length >= 0) {
    head.body = length > 0 ? BODY.LENGTH : BODY.NONE;
    head.contentLength = length;
  } else {
    head.body = BODY.UNTIL_CLOSE;
  }

  // RFC 9112 section 9.3
  head.keepAlive = version === 11;
  head.upgrade = false;
  if ((seen & CONNECTION) !== 0) {
    const bits = connectionOptions(mem, head);
    if (bits < 0) return bad(head);
    if ((bits & CONNECTION_CLOSE) !== 0) head.keepAlive = false;
    else if ((bits & CONNECTION_KEEP_ALIVE) !== 0) head.keepAlive = true;
    head.upgrade = (seen & UPGRADE) !== 0 && (bits & CONNECTION_UPGRADE) !== 0;
  }
  if (head.body === BODY.UNTIL_CLOSE) head.keepAlive = false;
  return true;
}

function bad(head: Head): false {
  refuse(head, FAULTS.upstreamMalformed);
  return false;
}
