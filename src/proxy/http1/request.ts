// Requests (RFC 9112 sections 2 to 7): one pass over the bytes, everything the exchange needs into Head, and a refusal
// of all that two parsers could read in two ways.

import { bytesOf, equalLowerAt, viewOf } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import { METHODS } from '../../telemetry/layout.ts';
import { BODY, bitsOf, type Head, METHOD, NAME, SCHEME } from '../head.ts';
import { authorityHostEnd } from './authority.ts';
import {
  CODING_CHUNKED,
  CODING_UNKNOWN,
  CONNECTION_CLOSE,
  CONNECTION_KEEP_ALIVE,
  CONNECTION_UPGRADE,
  connectionOptions,
  listHas,
  parseContentLength,
  parseFields,
  parseTransferEncoding,
  refuse,
} from './fields.ts';
import { BAD, CLASS, CR, DIGIT, DONE, LF, MORE, SP, wordOf } from './scan.ts';
import { SPAN, span } from './scanner.ts';

type Parsed = typeof DONE | typeof MORE | typeof BAD;

/**
 * Parses the request head at [start, end). DONE: head is filled, head.end is where the body begins. MORE: the head is
 * not whole yet (see scan.ts for how to read on at a linear cost). BAD: head.fault says the answer, after which the
 * connection is closed, since nothing behind a malformed head can be trusted.
 */
export function parseRequest(mem: Uint8Array, start: number, end: number, head: Head): Parsed {
  head.raw = true;
  head.fault = null;
  head.limit = null;
  head.count = 0;
  // RFC 9112 section 2.2: at least one empty line before the request line is ignored.
  let at = start;
  for (let lines = 0; at < end && mem[at] === CR; lines++) {
    if (at + 1 === end) return MORE;
    if (mem[at + 1] !== LF || lines === LIMITS.LEADING_EMPTY_LINES) return refuse(head, FAULTS.badRequest);
    at += 2;
  }
  head.start = at;
  const line = parseRequestLine(mem, at, end, head);
  if (line <= 0) return line === 0 ? incomplete(start, end, head) : BAD;
  const fields = parseFields(mem, line, end, head, false, FAULTS.badRequest, FAULTS.headTooLarge);
  if (fields <= 0) return fields === 0 ? incomplete(start, end, head) : BAD;
  if (fields - start > LIMITS.HEAD_BYTES) return overLimit(head, FAULTS.headTooLarge, 'HEAD_BYTES');
  head.fieldsStart = line;
  head.end = fields;
  if (!interpretFields(mem, head) || !interpretTarget(mem, head)) return BAD;
  return DONE;
}

function incomplete(start: number, end: number, head: Head): typeof MORE | typeof BAD {
  return end - start >= LIMITS.HEAD_BYTES ? overLimit(head, FAULTS.headTooLarge, 'HEAD_BYTES') : MORE;
}

function overLimit(head: Head, fault: Fault, limit: LimitName): typeof BAD {
  head.limit = limit;
  return refuse(head, fault);
}

const GET_SP = wordOf('GET ');
const PUT_SP = wordOf('PUT ');
const POST = wordOf('POST');
const HEAD = wordOf('HEAD');
const HTTP = wordOf('HTTP');
const SLASH_1_1 = wordOf('/1.1');

/**
 * method SP request-target SP HTTP-version CRLF (RFC 9112 section 3). Returns the offset behind it, 0 for MORE, -1 for
 * BAD.
 */
function parseRequestLine(mem: Uint8Array, start: number, end: number, head: Head): number {
  // ---- method
  let i = start;
  let method: number = METHOD.OTHER;
  const words = viewOf(mem);
  if (start + 5 <= end) {
    const first = words.getInt32(start, true);
    if (first === GET_SP) {
      method = METHOD.GET;
      i += 3;
    } else if (first === POST && mem[start + 4] === SP) {
      method = METHOD.POST;
      i += 4;
    } else if (first === HEAD && mem[start + 4] === SP) {
      method = METHOD.HEAD;
      i += 4;
    } else if (first === PUT_SP) {
      method = METHOD.PUT;
      i += 3;
    }
  }
  if (method === METHOD.OTHER) {
    i = span(mem, i, end, SPAN.TOKEN);
    // RFC 9112 section 3: a method longer than any known one is answered 501.
    if (i - start > LIMITS.METHOD_BYTES) return overLimit(head, FAULTS.methodTooLong, 'METHOD_BYTES');
    if (i === end) return 0;
    if (mem[i] !== SP || i === start) return refuse(head, FAULTS.badRequest);
    method = methodOf(mem, start, i);
  }
  head.method = method;
  head.methodStart = start;
  head.methodEnd = i;

  // ---- request-target: visible ASCII; no fragment, no bytes that a URI cannot have (section 3.2)
  i++;
  const target = i;
  i = span(mem, i, end, SPAN.TARGET);
  head.targetStart = target;
  head.pathStart = target;
  head.pathEnd = i;
  head.queryStart = i;
  head.hasQuery = false;
  if (i < end && mem[i] === 0x3f) {
    head.hasQuery = true;
    head.queryStart = ++i;
    i = span(mem, i, end, SPAN.QUERY);
  }
  head.queryEnd = i;
  head.targetEnd = i;
  if (i - target > LIMITS.URI_BYTES) return overLimit(head, FAULTS.uriTooLong, 'URI_BYTES');
  if (i === end) return 0;
  // Also HTTP/0.9's simple request, which has no version, ends here.
  if (mem[i] !== SP || i === target) return refuse(head, FAULTS.badRequest);

  // ---- HTTP-version
  i++;
  if (
    i + 10 <= end &&
    words.getInt32(i, true) === HTTP &&
    words.getInt32(i + 4, true) === SLASH_1_1 &&
    mem[i + 8] === CR &&
    mem[i + 9] === LF
  ) {
    head.version = 11;
    return i + 10;
  }
  return parseVersion(mem, i, end, head);
}

const HTTP_SLASH = bytesOf('HTTP/');

/** HTTP-version CRLF, case-sensitive (RFC 9112 section 2.3). Returns the offset behind it, 0 or -1. */
function parseVersion(mem: Uint8Array, start: number, end: number, head: Head): number {
  for (let k = 0; k < 10; k++) {
    if (start + k === end) return 0;
    const c = mem[start + k] as number;
    const digit = ((CLASS[c] as number) & DIGIT) !== 0;
    const good =
      k < 5 ? c === HTTP_SLASH[k] : k === 5 || k === 7 ? digit : k === 6 ? c === 0x2e : k === 8 ? c === CR : c === LF;
    if (!good) return refuse(head, FAULTS.badRequest);
  }
  // Another major version: 505 (RFC 9110 section 15.6.6), also for HTTP/2's preface on a connection that speaks HTTP/1.
  if (mem[start + 5] !== 0x31) return refuse(head, FAULTS.version);
  // A higher minor version is processed as 1.1 (RFC 9110 section 2.5).
  head.version = mem[start + 7] === 0x30 ? 10 : 11;
  return start + 10;
}

const METHOD_BYTES = METHODS.map((name) => bytesOf(name));

/** Methods are case-sensitive (RFC 9110 section 9.1). */
export function methodOf(mem: Uint8Array, start: number, end: number): number {
  for (let id = 0; id < METHOD.OTHER; id++) {
    const bytes = METHOD_BYTES[id] as Uint8Array;
    if (bytes.length !== end - start) continue;
    let k = 0;
    while (k < bytes.length && mem[start + k] === bytes[k]) k++;
    if (k === bytes.length) return id;
  }
  return METHOD.OTHER;
}

const TRAILERS = bytesOf('trailers');
const CONTINUE = bytesOf('100-continue');

const LENGTH = bitsOf(NAME.CONTENT_LENGTH);
const CODING = bitsOf(NAME.TRANSFER_ENCODING);
const CONNECTION = bitsOf(NAME.CONNECTION);
const UPGRADE = bitsOf(NAME.UPGRADE);
const TE = bitsOf(NAME.TE);
const EXPECT = bitsOf(NAME.EXPECT);
/** Names of which more than one is refused. */
const ONCE = bitsOf(NAME.HOST) | LENGTH | CODING;
/**
 * Not forwarded; Proxy-Authorization is for a proxy that asked for it (RFC 9110 section 11.7.2), which none did here.
 */
const HOP_BY_HOP =
  CONNECTION |
  UPGRADE |
  TE |
  bitsOf(NAME.KEEP_ALIVE, NAME.PROXY_CONNECTION, NAME.PROXY_AUTHORIZATION, NAME.HTTP2_SETTINGS);

/** Everything that fields decide; false with head.fault when they are refused. */
function interpretFields(mem: Uint8Array, head: Head): boolean {
  head.expectContinue = false;
  head.teTrailers = false;
  head.body = BODY.NONE;
  head.contentLength = 0;
  // RFC 9112 section 9.3
  head.keepAlive = head.version === 11;
  head.upgrade = false;
  // More than one Host: RFC 9112 section 3.2. A repeated length is refused even when equal, as RFC 9110 section 8.6
  // allows: RFC 9112 section 6.3 item 5. Several Transfer-Encoding lines are one list that no single known coding
  // explains.
  if ((head.twice & ONCE) !== 0) return bad(head);
  if (!interpretHost(mem, head)) return false;
  if ((head.seen & (LENGTH | CODING)) !== 0 && !interpretFraming(mem, head)) return false;
  if ((head.seen & EXPECT) !== 0 && !interpretExpect(mem, head)) return false;
  return (head.seen & HOP_BY_HOP) === 0 || interpretConnection(mem, head);
}

/** RFC 9112 section 3.2: HTTP/1.1 needs a Host, and a valid one. */
function interpretHost(mem: Uint8Array, head: Head): boolean {
  const host = head.find(NAME.HOST);
  head.hostField = host;
  if (host < 0) {
    head.authorityStart = head.authorityEnd = head.hostStart = head.hostEnd = 0;
    return head.version !== 11 || bad(head);
  }
  const start = head.valueStart(host);
  const end = head.valueEnd(host);
  const hostEnd = authorityHostEnd(mem, start, end, false);
  if (hostEnd < 0) return bad(head);
  head.authorityStart = start;
  head.authorityEnd = end;
  head.hostStart = start;
  head.hostEnd = hostEnd;
  return true;
}

/** RFC 9112 section 6.3. */
function interpretFraming(mem: Uint8Array, head: Head): boolean {
  const { seen, version } = head;
  if ((seen & CODING) !== 0) {
    const k = head.find(NAME.TRANSFER_ENCODING);
    const coding = parseTransferEncoding(mem, head.valueStart(k), head.valueEnd(k));
    if (coding !== CODING_CHUNKED) {
      // RFC 9112 section 6.1: 501 for a coding not understood; section 6.3 item 4: 400 when chunked is not the last.
      refuse(head, coding === CODING_UNKNOWN && version === 11 ? FAULTS.transferCoding : FAULTS.badRequest);
      return false;
    }
    // Both framings (item 3), or a coding in HTTP/1.0 (section 6.1): refused.
    if ((seen & LENGTH) !== 0 || version === 10) return bad(head);
    // The connection to the backend has a framing of its own.
    head.drop(k);
    head.body = BODY.CHUNKED;
    return true;
  }
  const k = head.find(NAME.CONTENT_LENGTH);
  const length = parseContentLength(mem, head.valueStart(k), head.valueEnd(k));
  if (length < 0) return bad(head);
  head.body = length > 0 ? BODY.LENGTH : BODY.NONE;
  head.contentLength = length;
  return true;
}

/** RFC 9110 section 10.1.1: ignored in HTTP/1.0; any other expectation than 100-continue is answered 417. */
function interpretExpect(mem: Uint8Array, head: Head): boolean {
  if (head.version === 10) {
    head.dropAll(EXPECT);
    return true;
  }
  for (let k = 0; k < head.count; k++) {
    if (head.name(k) !== NAME.EXPECT) continue;
    const start = head.valueStart(k);
    if (head.valueEnd(k) - start !== CONTINUE.length || !equalLowerAt(mem, start, CONTINUE)) {
      refuse(head, FAULTS.expectation);
      return false;
    }
  }
  head.expectContinue = true;
  return true;
}

/** RFC 9112 section 9.3 and RFC 9110 section 7.6.1. */
function interpretConnection(mem: Uint8Array, head: Head): boolean {
  const { seen, version } = head;
  head.dropAll(HOP_BY_HOP);
  if ((seen & TE) !== 0) {
    for (let k = 0; k < head.count; k++) {
      if (head.name(k) === NAME.TE && listHas(mem, head.valueStart(k), head.valueEnd(k), TRAILERS))
        head.teTrailers = true;
    }
  }
  if ((seen & CONNECTION) === 0) return true;
  const bits = connectionOptions(mem, head);
  if (bits < 0) {
    refuse(head, FAULTS.headTooLarge);
    return false;
  }
  if ((bits & CONNECTION_CLOSE) !== 0) head.keepAlive = false;
  else if ((bits & CONNECTION_KEEP_ALIVE) !== 0) head.keepAlive = true;
  // Upgrade is ignored in HTTP/1.0 (RFC 9110 section 7.8).
  head.upgrade =
    (seen & UPGRADE) !== 0 && (bits & CONNECTION_UPGRADE) !== 0 && version === 11 && isUpgradable(mem, head);
  return true;
}

const H2C = bytesOf('h2c');

/**
 * Whether a request for another protocol is passed on. Content would have to be read before the protocol is switched
 * (RFC 9110 section 7.8), and nobody sends any; h2c is between two hops (RFC 9113 section 3.1 gave it up).
 */
function isUpgradable(mem: Uint8Array, head: Head): boolean {
  if (head.body !== BODY.NONE || (head.twice & UPGRADE) !== 0) return false;
  const field = head.find(NAME.UPGRADE);
  const start = head.valueStart(field);
  const end = head.valueEnd(field);
  return start < end && !listHas(mem, start, end, H2C);
}

function bad(head: Head): false {
  refuse(head, FAULTS.badRequest);
  return false;
}

const ASTERISK = 0x2a;
const HTTP_SCHEME = bytesOf('http://');
const HTTPS_SCHEME = bytesOf('https://');

/** The four forms of request-target (RFC 9112 section 3.2); false with head.fault when it is none of them. */
function interpretTarget(mem: Uint8Array, head: Head): boolean {
  const start = head.targetStart;
  const end = head.targetEnd;
  head.scheme = SCHEME.NONE;
  if (head.method === METHOD.CONNECT) {
    // authority-form, only here and nothing else here (section 3.2.3)
    const hostEnd = authorityHostEnd(mem, start, end, true);
    if (hostEnd < 0) return bad(head);
    head.pathStart = head.pathEnd = head.queryStart = head.queryEnd = end;
    setAuthority(head, start, end, hostEnd);
    return true;
  }
  if (mem[start] === 0x2f) return true;
  if (mem[start] === 0x2a) return (head.method === METHOD.OPTIONS && end - start === 1) || bad(head);
  // absolute-form (section 3.2.2): its authority replaces Host
  let authority = start;
  if (end - start > 7 && equalLowerAt(mem, start, HTTP_SCHEME)) {
    head.scheme = SCHEME.HTTP;
    authority += 7;
  } else if (end - start > 8 && equalLowerAt(mem, start, HTTPS_SCHEME)) {
    head.scheme = SCHEME.HTTPS;
    authority += 8;
  } else {
    return bad(head);
  }
  let i = authority;
  while (i < head.pathEnd && mem[i] !== 0x2f) i++;
  const hostEnd = authorityHostEnd(mem, authority, i, false);
  if (hostEnd < 0) return bad(head);
  setAuthority(head, authority, i, hostEnd);
  if (i < head.pathEnd) {
    head.pathStart = i;
  } else {
    // The path is read from the slashes in front of the authority. OPTIONS of a whole server is '*' behind a proxy
    // (section 3.2.4), and so it is to whoever looks here.
    head.pathStart = authority - 1;
    head.pathEnd = authority;
    if (head.method === METHOD.OPTIONS && !head.hasQuery) mem[head.pathStart] = ASTERISK;
  }
  return true;
}

function setAuthority(head: Head, start: number, end: number, hostEnd: number): void {
  head.authorityStart = start;
  head.authorityEnd = end;
  head.hostStart = start;
  head.hostEnd = hostEnd;
  if (head.hostField >= 0) head.drop(head.hostField);
}
