// The first thing a TLS client says (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2), read before OpenSSL sees it:
// which listener and certificate it is for has to be known first. What is wrong with it beyond that, OpenSSL says.

import { LIMITS } from '../../base/limits.ts';
import { TICKET_NAME_BYTES } from '../../io/tls.ts';

/** What `readClientHello` gives beside the number of bytes. */
export const HELLO_MORE = 0;
export const HELLO_BAD = -1;

const RECORD_HEAD = 5;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const MESSAGE_HEAD = 4;
/** Largest fragment of a record (RFC 8446 section 5.1). */
const FRAGMENT_BYTES = 16_384;

/** Extensions by number (IANA, TLS ExtensionType Values). */
const EXTENSION = {
  SERVER_NAME: 0,
  STATUS_REQUEST: 5,
  SIGNATURE_ALGORITHMS: 13,
  SESSION_TICKET: 35,
  PRE_SHARED_KEY: 41,
  SUPPORTED_VERSIONS: 43,
} as const;
const HOST_NAME = 0;
const OCSP = 1;

export class ClientHello {
  /** Lower case, without a dot at the end; '' when the client named nobody, or nobody that a host may be called. */
  serverName = '';
  /** It speaks TLS 1.3. */
  tls13 = false;
  /** It verifies signatures of keys on P-256, of RSA keys, as TLS 1.3 has them (RFC 8446 section 4.2.3). */
  p256 = false;
  rsa = false;
  /** It asks for an OCSP response (RFC 6066 section 8). */
  wantsStaple = false;
  /** It offers a ticket whose key has the name in `ticketName`. */
  hasTicket = false;
  readonly ticketName = new Uint8Array(TICKET_NAME_BYTES);

  reset(): void {
    this.serverName = '';
    this.tls13 = false;
    this.p256 = false;
    this.rsa = false;
    this.wantsStaple = false;
    this.hasTicket = false;
  }
}

/** Gathers a message that comes in several records; only one is read at a time. */
const gathered = new Uint8Array(LIMITS.TLS_HELLO_BYTES);
/** A bit for each type of extension; all are 0 between two messages. */
const seen = new Int32Array(2 ** 16 / 32);
/** The name that was read last, its text and the host it means: many clients after one another mean the same. */
const lastName = new Uint8Array(255);
let lastText = '';
let lastHost = '';
const IPV4 = /^\d+\.\d+\.\d+\.\d+$/;

/**
 * Reads the ClientHello at mem[start..end) into `hello`. Returns the bytes of the records it came in, HELLO_MORE when
 * it is not whole, HELLO_BAD when it is none or longer than LIMITS.TLS_HELLO_BYTES.
 */
export function readClientHello(mem: Uint8Array, start: number, end: number, hello: ClientHello): number {
  hello.reset();
  const only = onlyRecord(mem, start, end);
  if (only > 0) return readMessage(mem, start + RECORD_HEAD + MESSAGE_HEAD, only, hello) ? only - start : HELLO_BAD;
  let at = start;
  let size = 0;
  let wanted = MESSAGE_HEAD;
  while (size < wanted) {
    if (end - at < RECORD_HEAD) return startsRight(mem, at, end) ? HELLO_MORE : HELLO_BAD;
    if (!startsRight(mem, at, end)) return HELLO_BAD;
    const length = uint16(mem, at + 3);
    // An empty fragment of a handshake is forbidden (RFC 8446 section 5.1).
    if (length === 0 || length > FRAGMENT_BYTES || size + length > gathered.length) return HELLO_BAD;
    const available = Math.min(length, end - at - RECORD_HEAD);
    if (size === 0 && available > 0 && mem[at + RECORD_HEAD] !== CLIENT_HELLO) return HELLO_BAD;
    if (available < length) return HELLO_MORE;
    gathered.set(mem.subarray(at + RECORD_HEAD, at + RECORD_HEAD + length), size);
    size += length;
    at += RECORD_HEAD + length;
    if (size < MESSAGE_HEAD) continue;
    wanted = MESSAGE_HEAD + uint24(gathered, 1);
    if (wanted > gathered.length) return HELLO_BAD;
  }
  return readMessage(gathered, MESSAGE_HEAD, wanted, hello) ? at - start : HELLO_BAD;
}

/** Where the one record ends that the whole message is, as most are; 0 when it is not that simple. */
function onlyRecord(mem: Uint8Array, start: number, end: number): number {
  const body = start + RECORD_HEAD;
  if (end - body < MESSAGE_HEAD || mem[start] !== HANDSHAKE || mem[start + 1] !== 3) return 0;
  const length = uint16(mem, start + 3);
  if (length > FRAGMENT_BYTES || body + length > end || mem[body] !== CLIENT_HELLO) return 0;
  return uint24(mem, body + 1) === length - MESSAGE_HEAD ? body + length : 0;
}

/** Whether what is here of a record may be a handshake's, of any version that writes 3 in front. */
function startsRight(mem: Uint8Array, at: number, end: number): boolean {
  return (at >= end || mem[at] === HANDSHAKE) && (at + 1 >= end || mem[at + 1] === 3);
}

function uint16(mem: Uint8Array, at: number): number {
  return ((mem[at] as number) << 8) | (mem[at + 1] as number);
}
function uint24(mem: Uint8Array, at: number): number {
  return ((mem[at] as number) << 16) | uint16(mem, at + 1);
}

/** legacy_version, random, legacy_session_id, cipher_suites, legacy_compression_methods, extensions. */
function readMessage(m: Uint8Array, start: number, end: number, hello: ClientHello): boolean {
  let at = start + 2 + 32;
  if (at >= end) return false;
  at += 1 + (m[at] as number);
  if (at + 2 > end) return false;
  at += 2 + uint16(m, at);
  if (at >= end) return false;
  at += 1 + (m[at] as number);
  // TLS 1.2 allows a ClientHello without extensions.
  if (at === end) return true;
  if (at + 2 > end || at + 2 + uint16(m, at) !== end) return false;
  return readExtensions(m, at + 2, end, hello);
}

function readExtensions(m: Uint8Array, start: number, end: number, hello: ClientHello): boolean {
  let at = start;
  let good = true;
  while (good && at < end) {
    const from = at + 4;
    const to = from > end ? end + 1 : from + uint16(m, at + 2);
    const type = to > end ? 0 : uint16(m, at);
    // There must not be more than one of a type (RFC 8446 section 4.2).
    if (to > end || !isFirst(type)) break;
    good = readExtension(type, m, from, to, hello);
    at = to;
  }
  const whole = good && at === end;
  // What was marked is whatever stands in front of where it stopped.
  for (let i = start; i < at; i += 4 + uint16(m, i + 2)) seen[uint16(m, i) >> 5] = 0;
  return whole;
}

/** Marks `type` as seen: false when it was. */
function isFirst(type: number): boolean {
  const word = type >> 5;
  const bit = 1 << (type & 31);
  const before = seen[word] as number;
  seen[word] = before | bit;
  return (before & bit) === 0;
}

function readExtension(type: number, m: Uint8Array, from: number, to: number, hello: ClientHello): boolean {
  switch (type) {
    case EXTENSION.SERVER_NAME:
      return readServerName(m, from, to, hello);
    case EXTENSION.STATUS_REQUEST:
      hello.wantsStaple = to > from && m[from] === OCSP;
      return true;
    case EXTENSION.SIGNATURE_ALGORITHMS:
      return readSignatureAlgorithms(m, from, to, hello);
    case EXTENSION.SESSION_TICKET:
      if (!hello.hasTicket) takeTicketName(m, from, to - from, hello);
      return true;
    case EXTENSION.PRE_SHARED_KEY: {
      // The first identity: its length, then the ticket (RFC 8446 section 4.2.11).
      if (to - from < 4) return false;
      const length = uint16(m, from + 2);
      if (from + 4 + length > to) return false;
      takeTicketName(m, from + 4, length, hello);
      return true;
    }
    case EXTENSION.SUPPORTED_VERSIONS:
      for (let i = from + 1; i + 1 < to; i += 2) if (uint16(m, i) === 0x0304) hello.tls13 = true;
      return true;
    default:
      return true;
  }
}

/**
 * RFC 6066 section 3: one name of type host_name, ASCII. What no host can be called (an address, a wildcard, a port
 * behind a name) names nobody, as with nginx: it must match no wildcard, and clients in the field send such things.
 */
function readServerName(m: Uint8Array, from: number, to: number, hello: ClientHello): boolean {
  if (to - from < 5 || from + 2 + uint16(m, from) !== to || m[from + 2] !== HOST_NAME) return false;
  const length = uint16(m, from + 3);
  const start = from + 5;
  if (length === 0 || length > 255 || start + length !== to) return false;
  let known = length === lastText.length;
  for (let i = 0; i < length; i++) {
    let c = m[start + i] as number;
    const letter = (c | 32) >= 0x61 && (c | 32) <= 0x7a;
    // Letters, digits, hyphen, dot; underscore, which occurs in the field.
    if (!(letter || (c >= 0x2d && c <= 0x39 && c !== 0x2f) || c === 0x5f)) {
      // What was written over is nobody's name.
      lastText = '';
      return !m.subarray(start, to).includes(0);
    }
    if (letter) c |= 32;
    known &&= lastName[i] === c;
    lastName[i] = c;
  }
  if (!known) {
    lastText = String.fromCharCode(...lastName.subarray(0, length));
    const host = lastText.endsWith('.') ? lastText.slice(0, -1) : lastText;
    lastHost = IPV4.test(host) ? '' : host;
  }
  hello.serverName = lastHost;
  return true;
}

/** ecdsa_secp256r1_sha256; rsa_pss_rsae_* (RFC 8446 section 4.2.3). */
function readSignatureAlgorithms(m: Uint8Array, from: number, to: number, hello: ClientHello): boolean {
  if (to - from < 2 || from + 2 + uint16(m, from) !== to) return false;
  for (let i = from + 2; i + 1 < to; i += 2) {
    const scheme = uint16(m, i);
    if (scheme === 0x0403) hello.p256 = true;
    else if (scheme >= 0x0804 && scheme <= 0x0806) hello.rsa = true;
  }
  return true;
}

/** The first TICKET_NAME_BYTES of a ticket name its key (RFC 5077 section 4). */
function takeTicketName(m: Uint8Array, at: number, length: number, hello: ClientHello): void {
  hello.hasTicket = length >= TICKET_NAME_BYTES;
  if (!hello.hasTicket) return;
  for (let i = 0; i < TICKET_NAME_BYTES; i++) hello.ticketName[i] = m[at + i] as number;
}
