// A request's head of HTTP/2 (RFC 9113 section 8.3.1): from a decoded field section to what the exchange reads of any
// request. What the section itself refuses (section 8.2) is known by then; what could be read in two ways behind the
// proxy is refused here, so that nothing of it reaches HTTP/1.

import { bytesOf, equalLowerAt } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import type { Io } from '../../io/io.ts';
import { FIELD } from '../field-table.ts';
import { BODY, bitsOf, type Head, METHOD, NAME, SCHEME } from '../head.ts';
import { authorityHostEnd } from '../http1/authority.ts';
import { parseContentLength } from '../http1/fields.ts';
import { methodOf } from '../http1/request.ts';
import { SPAN, span } from '../http1/scanner.ts';
import { askForProtocol } from './extended-connect.ts';
import { type FieldSection, OF_CONNECTION } from './hpack/section.ts';
import { PSEUDO } from './hpack/static-table.ts';

const LENGTH = bitsOf(NAME.CONTENT_LENGTH);
const HOST = bitsOf(NAME.HOST);
const TE = bitsOf(NAME.TE);
const EXPECT = bitsOf(NAME.EXPECT);
const COOKIE = bitsOf(NAME.COOKIE);
/**
 * Not forwarded; Proxy-Authorization is for a proxy that asked for it (RFC 9110 section 11.7.2), which none did here.
 */
const DROPPED = bitsOf(NAME.TE, NAME.PROXY_AUTHORIZATION, NAME.HTTP2_SETTINGS);

const TRAILERS = bytesOf('trailers');
const CONTINUE = bytesOf('100-continue');
const HTTP = bytesOf('http');
const HTTPS = bytesOf('https');
const SLASH = 0x2f;
const ASTERISK = 0x2a;
const QUESTION = 0x3f;
const COOKIE_NAME = bytesOf('cookie: ');

const NEEDED = (1 << PSEUDO.METHOD) | (1 << PSEUDO.SCHEME) | (1 << PSEUDO.PATH);
const AUTHORITY = 1 << PSEUDO.AUTHORITY;
const PROTOCOL = 1 << PSEUDO.PROTOCOL;
const STATUS = 1 << PSEUDO.STATUS;

/**
 * Fills `head`, whose fields `section` decoded. `ended`: no content follows. Null, or why it is refused: badRequest for
 * what is malformed as section 8.1.1 says it. With `:protocol` it asks for another protocol (RFC 8441), and `head` is
 * then the request that asks for it in HTTP/1.1.
 */
export function interpretRequest(io: Io, section: FieldSection, head: Head, ended: boolean): Fault | null {
  const { mem } = io;
  head.version = 20;
  head.method = METHOD.OTHER;
  head.limit = section.limit;
  if (section.limit !== null) return FAULTS.headTooLarge;
  if (section.malformed || (section.pseudo & STATUS) !== 0) return FAULTS.badRequest;
  return (
    interpretMethod(mem, section, head) ??
    interpretFields(mem, head, ended) ??
    interpretAuthority(mem, section, head) ??
    ((section.pseudo & PROTOCOL) !== 0
      ? interpretExtended(io, section, head, ended)
      : head.method === METHOD.CONNECT
        ? interpretConnect(section, head)
        : interpretTarget(mem, section, head))
  );
}

/** RFC 8441 section 4: a CONNECT with the target of any other request, and no content. */
function interpretExtended(io: Io, section: FieldSection, head: Head, ended: boolean): Fault | null {
  const { mem } = io;
  const start = section.starts[PSEUDO.PROTOCOL] as number;
  const end = section.ends[PSEUDO.PROTOCOL] as number;
  if (head.method !== METHOD.CONNECT || ended || (head.seen & LENGTH) !== 0) return FAULTS.badRequest;
  if (start === end || span(mem, start, end, SPAN.TOKEN) !== end) return FAULTS.badRequest;
  const fault = interpretTarget(mem, section, head);
  if (fault !== null) return fault;
  head.body = BODY.NONE;
  head.expectContinue = false;
  askForProtocol(io, head, start, end);
  return null;
}

function overLimit(head: Head, fault: Fault, limit: LimitName): Fault {
  head.limit = limit;
  return fault;
}

function interpretMethod(mem: Uint8Array, section: FieldSection, head: Head): Fault | null {
  if ((section.pseudo & (1 << PSEUDO.METHOD)) === 0) return FAULTS.badRequest;
  const start = section.starts[PSEUDO.METHOD] as number;
  const end = section.ends[PSEUDO.METHOD] as number;
  if (start === end || span(mem, start, end, SPAN.TOKEN) !== end) return FAULTS.badRequest;
  if (end - start > LIMITS.METHOD_BYTES) return overLimit(head, FAULTS.methodTooLong, 'METHOD_BYTES');
  head.methodStart = start;
  head.methodEnd = end;
  head.method = methodOf(mem, start, end);
  return null;
}

/** Everything that fields decide. */
function interpretFields(mem: Uint8Array, head: Head, ended: boolean): Fault | null {
  const { seen, twice } = head;
  head.keepAlive = true;
  head.upgrade = false;
  head.expectContinue = false;
  head.teTrailers = false;
  head.contentLength = 0;
  head.body = ended ? BODY.NONE : BODY.UNTIL_CLOSE;
  if ((seen & OF_CONNECTION) !== 0 || (twice & (LENGTH | HOST)) !== 0) return FAULTS.badRequest;
  if ((seen & LENGTH) !== 0) {
    const k = head.find(NAME.CONTENT_LENGTH);
    const length = parseContentLength(mem, head.valueStart(k), head.valueEnd(k));
    // Section 8.1.1: it has to be the length of the content.
    if (length < 0 || (ended && length > 0)) return FAULTS.badRequest;
    head.contentLength = length;
    if (!ended) head.body = length > 0 ? BODY.LENGTH : BODY.NONE;
  }
  if ((seen & TE) !== 0 && !interpretTe(mem, head)) return FAULTS.badRequest;
  if ((seen & EXPECT) !== 0 && !expectsContinue(mem, head)) return FAULTS.expectation;
  head.dropAll(DROPPED);
  if ((twice & COOKIE) !== 0) joinCookies(mem, head);
  return null;
}

/** TE says `trailers` and nothing else (section 8.2.2). */
function interpretTe(mem: Uint8Array, head: Head): boolean {
  for (let k = 0; k < head.count; k++) {
    if (head.name(k) !== NAME.TE) continue;
    const start = head.valueStart(k);
    if (head.valueEnd(k) - start !== TRAILERS.length || !equalLowerAt(mem, start, TRAILERS)) return false;
  }
  head.teTrailers = true;
  return true;
}

/** RFC 9110 section 10.1.1: any other expectation than 100-continue is answered 417. */
function expectsContinue(mem: Uint8Array, head: Head): boolean {
  for (let k = 0; k < head.count; k++) {
    if (head.name(k) !== NAME.EXPECT) continue;
    const start = head.valueStart(k);
    if (head.valueEnd(k) - start !== CONTINUE.length || !equalLowerAt(mem, start, CONTINUE)) return false;
  }
  head.expectContinue = true;
  return true;
}

/**
 * Cookies may come in pieces, so that they compress better; for everybody else they are one field (section 8.2.3). The
 * joined one is written behind all others, where Turns has room for as much as they take.
 */
function joinCookies(mem: Uint8Array, head: Head): void {
  let cookies = 0;
  let never = false;
  for (let k = 0; k < head.count; k++) {
    if (head.name(k) !== NAME.COOKIE) continue;
    cookies++;
    never ||= head.valueStart(k) - head.nameEnd(k) > 2;
  }
  // The bit may be another name's: it is that of NAME.SET_COOKIE too.
  if (cookies < 2) return;
  // Over the empty line.
  const start = head.end - 2;
  mem.set(COOKIE_NAME, start);
  // Where a piece must never be indexed (HpackDecoder.decode), neither must the whole.
  const value = start + COOKIE_NAME.length + (never ? 1 : 0);
  mem[value - 1] = 0x20;
  let out = value;
  for (let k = 0; k < head.count; k++) {
    if (head.name(k) !== NAME.COOKIE) continue;
    out = move(mem, out, head.valueStart(k), head.valueEnd(k));
    mem[out++] = 0x3b;
    mem[out++] = 0x20;
    head.drop(k);
  }
  const end = out - 2;
  mem[end] = mem[end + 2] = 0x0d;
  mem[end + 1] = mem[end + 3] = 0x0a;
  head.end = end + 4;
  // There is room: two were dropped, and the table holds more than a request may have.
  const at = head.count++ * FIELD.WORDS;
  head.fields[at + FIELD.NAME_START] = start;
  head.fields[at + FIELD.NAME_END] = start + COOKIE_NAME.length - 2;
  head.fields[at + FIELD.VALUE_START] = value;
  head.fields[at + FIELD.VALUE_END] = end;
  head.fields[at + FIELD.LINE_END] = end + 2;
  head.fields[at + FIELD.NAME] = NAME.COOKIE;
  head.fields[at + FIELD.DROP] = 0;
}

/** `:authority`, and Host only where it says the same (section 8.3.1), or stands for it. */
function interpretAuthority(mem: Uint8Array, section: FieldSection, head: Head): Fault | null {
  const host = head.find(NAME.HOST);
  head.hostField = host;
  let start: number;
  let end: number;
  if ((section.pseudo & AUTHORITY) !== 0) {
    start = section.starts[PSEUDO.AUTHORITY] as number;
    end = section.ends[PSEUDO.AUTHORITY] as number;
    if (host >= 0) {
      if (!equalFold(mem, start, end, head.valueStart(host), head.valueEnd(host))) return FAULTS.badRequest;
      head.drop(host);
    }
  } else if (host >= 0) {
    start = head.valueStart(host);
    end = head.valueEnd(host);
  } else {
    return FAULTS.badRequest;
  }
  const needPort = head.method === METHOD.CONNECT && (section.pseudo & PROTOCOL) === 0;
  const hostEnd = authorityHostEnd(mem, start, end, needPort);
  if (hostEnd < 0) return FAULTS.badRequest;
  head.authorityStart = start;
  head.authorityEnd = end;
  head.hostStart = start;
  head.hostEnd = hostEnd;
  return null;
}

function equalFold(mem: Uint8Array, start: number, end: number, from: number, to: number): boolean {
  if (end - start !== to - from) return false;
  for (let i = 0; i < end - start; i++) {
    const a = mem[start + i] as number;
    const b = mem[from + i] as number;
    if (a !== b && ((a | 0x20) !== (b | 0x20) || (a | 0x20) < 0x61 || (a | 0x20) > 0x7a)) return false;
  }
  return true;
}

/** CONNECT names its authority and nothing else (section 8.5). */
function interpretConnect(section: FieldSection, head: Head): Fault | null {
  if (section.pseudo !== ((1 << PSEUDO.METHOD) | AUTHORITY)) return FAULTS.badRequest;
  head.scheme = SCHEME.NONE;
  head.targetStart = head.authorityStart;
  head.targetEnd = head.authorityEnd;
  head.pathStart = head.pathEnd = head.queryStart = head.queryEnd = head.authorityEnd;
  head.hasQuery = false;
  return null;
}

function interpretTarget(mem: Uint8Array, section: FieldSection, head: Head): Fault | null {
  if ((section.pseudo & NEEDED) !== NEEDED) return FAULTS.badRequest;
  const scheme = section.starts[PSEUDO.SCHEME] as number;
  const schemeBytes = (section.ends[PSEUDO.SCHEME] as number) - scheme;
  if (schemeBytes === HTTP.length && equalLowerAt(mem, scheme, HTTP)) head.scheme = SCHEME.HTTP;
  else if (schemeBytes === HTTPS.length && equalLowerAt(mem, scheme, HTTPS)) head.scheme = SCHEME.HTTPS;
  else return FAULTS.badRequest;

  const start = section.starts[PSEUDO.PATH] as number;
  const end = section.ends[PSEUDO.PATH] as number;
  head.targetStart = start;
  head.targetEnd = end;
  head.pathStart = start;
  head.queryEnd = end;
  if (end - start > LIMITS.URI_BYTES) return overLimit(head, FAULTS.uriTooLong, 'URI_BYTES');
  const isAsterisk = head.method === METHOD.OPTIONS && end - start === 1 && mem[start] === ASTERISK;
  if (start === end || (mem[start] !== SLASH && !isAsterisk)) return FAULTS.badRequest;
  const pathEnd = span(mem, start, end, SPAN.TARGET);
  head.pathEnd = pathEnd;
  head.queryStart = pathEnd;
  head.hasQuery = pathEnd < end && mem[pathEnd] === QUESTION;
  if (head.hasQuery) head.queryStart = pathEnd + 1;
  return (head.hasQuery ? span(mem, pathEnd + 1, end, SPAN.QUERY) : pathEnd) === end ? null : FAULTS.badRequest;
}
