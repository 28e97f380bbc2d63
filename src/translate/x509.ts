// Reads the certificates that authorities make by the thousand without the library, which takes ten times as long and
// holds memory outside the heap: X.509 version 3 with a key on P-256, on P-384 or of RSA, names of hosts and addresses,
// the usual extensions, strict DER (RFC 5280, X.690). What is not wholly understood is null and for the library to
// judge; what is accepted here it would accept too, and say the same of it (x509.test.ts).

import type { CurveName } from './plain-ec.ts';
import { RSA_ENCRYPTION } from './plain-rsa.ts';
import { isOid, Strange, StrictDer } from './strict-der.ts';

/**
 * Of a certificate: a point, uncompressed (SEC 1 section 2.3.3), not looked at, so that it may lie off the curve; or
 * modulus and exponent, each without a zero in front.
 */
export type PlainPublicKey =
  | { readonly curve: CurveName; readonly point: Uint8Array }
  | { readonly curve: null; readonly n: Uint8Array; readonly e: Uint8Array; readonly bits: number };

export interface PlainCertificate {
  /** DNS names and addresses of its subjectAltName in their order, lower case, addresses as OpenSSL writes them. */
  readonly names: readonly string[];
  /** Unix milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Purposes that extendedKeyUsage names, each an OID as it stands in DER; null: it is for any. */
  readonly purposes: readonly string[] | null;
  readonly publicKey: PlainPublicKey;
  /** All that decides whether another certificate issued it: name and key that it gives, and how it is signed. */
  readonly issuedAs: string;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const [BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID] = [1, 2, 3, 4, 6];
const [UTC_TIME, GENERALIZED_TIME] = [23, 24];
/** UTF8String, PrintableString, IA5String. */
const TEXTS: readonly number[] = [12, 19, 22];
/** GeneralName (RFC 5280 section 4.2.1.6): dNSName, uniformResourceIdentifier, iPAddress. */
const [DNS_NAME, URI, ADDRESS] = [0x82, 0x86, 0x87];

const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const VERSION_3 = bytesOf('a003020102');
/** AlgorithmIdentifiers: ECDSA and RSA with SHA-256, -384, -512 (RFC 5758 section 3.2, RFC 4055 section 5), Ed25519. */
const SIGNATURES = [
  '300a06082a8648ce3d040302',
  '300a06082a8648ce3d040303',
  '300a06082a8648ce3d040304',
  '300d06092a864886f70d01010b0500',
  '300d06092a864886f70d01010c0500',
  '300d06092a864886f70d01010d0500',
  '300506032b6570',
].map(bytesOf);
/** SubjectPublicKeyInfo of a point, up to its coordinates (RFC 5480 section 2), and their bytes. */
const ON_CURVES = [
  bytesOf('3059301306072a8648ce3d020106082a8648ce3d03010703420004'),
  bytesOf('3076301006072a8648ce3d020106052b8104002203620004'),
];
const CURVES: readonly { readonly name: CurveName; readonly coordinates: number }[] = [
  { name: 'prime256v1', coordinates: 64 },
  { name: 'secp384r1', coordinates: 96 },
];
const NO_UNUSED_BITS = bytesOf('00');
/** 65,537, as everybody has it. */
const EXPONENT = bytesOf('010001');
/** Weaker ones, and larger ones than anybody has, are for the library to judge. */
const [LEAST_BITS, MOST_BITS] = [2048, 8192];
/** status_request: the certificate wants an OCSP response with it (RFC 7633). */
const MUST_STAPLE = bytesOf('3003020105');
const TRUE = bytesOf('0101ff');
/** A text that the library would take for a certificate of its own, wherever it stands. */
const PEM = '-----BEGIN';

/** What extensions say. */
interface Said {
  names: readonly string[];
  purposes: readonly string[] | null;
  authority: string;
}

/** By object identifier, as it stands in DER. */
const EXTENSIONS: ReadonlyMap<string, (der: StrictDer, said: Said) => void> = new Map(
  Object.entries({
    '551d0e': keyId,
    '551d0f': keyUsage,
    '551d11': alternativeNames,
    '551d13': constraints,
    '551d1f': revocationPoints,
    '551d20': policies,
    '551d23': authorityKeyId,
    '551d25': purposes,
    '2b06010505070101': accessInfo,
    '2b06010505070118': (der) => der.expect(MUST_STAPLE),
    '2b06010401d679020402': timestamps,
  } satisfies Record<string, (der: StrictDer, said: Said) => void>).map(([oid, read]) => [latin1(bytesOf(oid)), read]),
);

/** serverAuth (RFC 5280 section 4.2.1.12), as `purposes` has it. */
export const SERVER_AUTH = latin1(bytesOf('2b06010505070301'));

/** `der`: one certificate and nothing behind it. */
export function readPlainCertificate(der: Uint8Array): PlainCertificate | null {
  const bytes = Buffer.from(der.buffer, der.byteOffset, der.length);
  if (bytes.includes(PEM)) return null;
  try {
    return read(new StrictDer(bytes));
  } catch (error) {
    if (error instanceof Strange) return null;
    throw error;
  }
}

function read(der: StrictDer): PlainCertificate {
  const end = der.open(SEQUENCE);
  const bodyEnd = der.open(SEQUENCE);
  der.expect(VERSION_3);
  serial(der);
  const algorithm = der.oneOf(SIGNATURES);
  const issuer = name(der);
  const validityEnd = der.open(SEQUENCE);
  const notBefore = time(der);
  const notAfter = time(der);
  der.close(validityEnd);
  name(der);
  const publicKey = subjectKey(der);
  const said = extensions(der);
  der.close(bodyEnd);
  if (der.oneOf(SIGNATURES) !== algorithm) throw new Strange();
  bitString(der);
  der.close(end);
  der.close(der.bytes.length);
  const issuedAs = `${algorithm} ${said.authority.length} ${said.authority}${issuer}`;
  return { names: said.names, notBefore, notAfter, purposes: said.purposes, publicKey, issuedAs };
}

/** SubjectPublicKeyInfo (RFC 5480 section 2, RFC 3279 section 2.3.1). */
function subjectKey(der: StrictDer): PlainPublicKey {
  const curve = CURVES[der.find(ON_CURVES)];
  if (curve !== undefined) {
    const { name, coordinates } = curve;
    der.at += coordinates;
    return { curve: name, point: der.bytes.subarray(der.at - coordinates - 1, der.at) };
  }
  const end = der.open(SEQUENCE);
  der.expect(RSA_ENCRYPTION);
  const bitsEnd = der.open(BIT_STRING);
  der.expect(NO_UNUSED_BITS);
  const numbersEnd = der.open(SEQUENCE);
  const [n, e] = [der.positive(), der.positive()];
  der.close(numbersEnd);
  der.close(bitsEnd);
  der.close(end);
  const bits = n.length * 8 - Math.clz32(n[0] as number) + 24;
  const odd = (n.at(-1) as number) % 2 === 1;
  if (!odd || bits < LEAST_BITS || bits > MOST_BITS || Buffer.compare(e, EXPONENT) !== 0) throw new Strange();
  return { curve: null, n, e, bits };
}

/** Positive, and no longer than authorities may make it (RFC 5280 section 4.1.2.2). */
function serial(der: StrictDer): void {
  const end = der.open(INTEGER);
  const [first = 128, second = 0] = der.bytes.subarray(der.at, end);
  const length = end - der.at;
  if (first >= 128 || length > 20 || (length > 1 && first === 0 && second < 128)) throw new Strange();
  der.at = end;
}

/** Name (RFC 5280 section 4.1.2.4) in texts of ASCII; its bytes as text. */
function name(der: StrictDer): string {
  const from = der.at;
  const end = der.open(SEQUENCE);
  while (der.at < end) {
    const partEnd = der.open(SET);
    do {
      const pairEnd = der.open(SEQUENCE);
      oid(der);
      text(der, TEXTS);
      der.close(pairEnd);
    } while (der.at < partEnd);
    der.close(partEnd);
  }
  der.close(end);
  return der.text(from, end);
}

/** An object identifier; its bytes without tag and length. */
function oid(der: StrictDer): string {
  const end = der.open(OID);
  const from = der.at;
  if (!isOid(der.bytes, from, end)) throw new Strange();
  der.at = end;
  return der.text(from, end);
}

/** Visible ASCII and spaces, at least one. */
function text(der: StrictDer, tags: readonly number[]): string {
  const tag = der.bytes[der.at] as number;
  if (!tags.includes(tag)) throw new Strange();
  const end = der.open(tag);
  const from = der.at;
  for (; der.at < end; der.at++) {
    const byte = der.bytes[der.at] as number;
    if (byte < 0x20 || byte > 0x7e) throw new Strange();
  }
  if (from === end) throw new Strange();
  return der.text(from, end);
}

/** As certificates write times (RFC 5280 section 4.1.2.5): Unix milliseconds. */
function time(der: StrictDer): number {
  const short = der.bytes[der.at] === UTC_TIME;
  const end = der.open(short ? UTC_TIME : GENERALIZED_TIME);
  if (end - der.at !== (short ? 13 : 15) || der.bytes[end - 1] !== 0x5a) throw new Strange();
  const first = twoDigits(der);
  // Two digits of a year from 50 on are of the last century (RFC 5280 section 4.1.2.5.1).
  const year = short ? first + (first < 50 ? 2000 : 1900) : first * 100 + twoDigits(der);
  const [month, day] = [twoDigits(der), twoDigits(der)];
  const [hour, minute, second] = [twoDigits(der), twoDigits(der), twoDigits(der)];
  der.at = end;
  // Of the years that the library's dates can be of, too.
  if (year < 1970 || year > 9999 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) {
    throw new Strange();
  }
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  // The 31st of a shorter month would be a day of the next one.
  if (new Date(ms).getUTCDate() !== day) throw new Strange();
  return ms;
}

function twoDigits(der: StrictDer): number {
  const [tens, ones] = [(der.bytes[der.at] as number) - 0x30, (der.bytes[der.at + 1] as number) - 0x30];
  if (tens < 0 || tens > 9 || ones < 0 || ones > 9) throw new Strange();
  der.at += 2;
  return tens * 10 + ones;
}

function extensions(der: StrictDer): Said {
  const said: Said = { names: [], purposes: null, authority: '' };
  const outerEnd = der.open(0xa3);
  const end = der.open(SEQUENCE);
  const seen = new Set<string>();
  do {
    const oneEnd = der.open(SEQUENCE);
    const id = oid(der);
    const known = EXTENSIONS.get(id);
    if (known === undefined || seen.has(id)) throw new Strange();
    seen.add(id);
    if (der.bytes[der.at] === BOOLEAN) der.expect(TRUE);
    const valueEnd = der.open(OCTET_STRING);
    known(der, said);
    der.close(valueEnd);
    der.close(oneEnd);
  } while (der.at < end);
  der.close(end);
  der.close(outerEnd);
  return said;
}

function bitString(der: StrictDer): void {
  const end = der.open(BIT_STRING);
  if (end - der.at < 2 || der.bytes[der.at] !== 0) throw new Strange();
  der.at = end;
}

function octets(der: StrictDer, tag: number): string {
  const end = der.open(tag);
  const from = der.at;
  if (from === end) throw new Strange();
  der.at = end;
  return der.text(from, end);
}

function keyId(der: StrictDer): void {
  octets(der, OCTET_STRING);
}

function timestamps(der: StrictDer): void {
  octets(der, OCTET_STRING);
}

/** Named bits (X.690 section 11.2.2): the last one that is there is set. */
function keyUsage(der: StrictDer): void {
  const end = der.open(BIT_STRING);
  const [unused = 8, bits = 0] = der.bytes.subarray(der.at, end);
  if (end - der.at !== 2 || unused > 7 || (bits & ((2 << unused) - 1)) !== 1 << unused) throw new Strange();
  der.at = end;
}

function constraints(der: StrictDer): void {
  const end = der.open(SEQUENCE);
  if (der.at < end) {
    der.expect(TRUE);
    if (der.at < end) {
      const depthEnd = der.open(INTEGER);
      if (depthEnd - der.at !== 1 || (der.bytes[der.at] as number) >= 128) throw new Strange();
      der.at = depthEnd;
    }
  }
  der.close(end);
}

function authorityKeyId(der: StrictDer, said: Said): void {
  const end = der.open(SEQUENCE);
  said.authority = octets(der, 0x80);
  der.close(end);
}

function purposes(der: StrictDer, said: Said): void {
  const found: string[] = [];
  const end = der.open(SEQUENCE);
  do found.push(oid(der));
  while (der.at < end);
  der.close(end);
  said.purposes = found;
}

function alternativeNames(der: StrictDer, said: Said): void {
  const found: string[] = [];
  const end = der.open(SEQUENCE);
  do {
    if (der.bytes[der.at] === ADDRESS) found.push(address(der));
    else {
      const host = text(der, [DNS_NAME]);
      // Others are written with escapes.
      if (!/^[\w*.-]+$/.test(host)) throw new Strange();
      found.push(host.toLowerCase());
    }
  } while (der.at < end);
  der.close(end);
  // Without room to grow: they are kept as long as the certificate.
  said.names = found.slice();
}

/** Of four bytes or sixteen; all eight groups of the latter are written, without leading zeros. */
function address(der: StrictDer): string {
  const end = der.open(ADDRESS);
  const bytes = der.bytes.subarray(der.at, end);
  der.at = end;
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new Strange();
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':');
}

/** Where to ask for lists and responses: all by URI. */
function revocationPoints(der: StrictDer): void {
  const end = der.open(SEQUENCE);
  do {
    const pointEnd = der.open(SEQUENCE);
    const nameEnd = der.open(0xa0);
    const fullEnd = der.open(0xa0);
    do text(der, [URI]);
    while (der.at < fullEnd);
    der.close(fullEnd);
    der.close(nameEnd);
    der.close(pointEnd);
  } while (der.at < end);
  der.close(end);
}

function accessInfo(der: StrictDer): void {
  const end = der.open(SEQUENCE);
  do {
    const oneEnd = der.open(SEQUENCE);
    oid(der);
    text(der, [URI]);
    der.close(oneEnd);
  } while (der.at < end);
  der.close(end);
}

/** Each with an address where it can be read, at the most. */
function policies(der: StrictDer): void {
  const end = der.open(SEQUENCE);
  do {
    const oneEnd = der.open(SEQUENCE);
    oid(der);
    if (der.at < oneEnd) {
      const allEnd = der.open(SEQUENCE);
      do {
        const qualifierEnd = der.open(SEQUENCE);
        oid(der);
        text(der, TEXTS);
        der.close(qualifierEnd);
      } while (der.at < allEnd);
      der.close(allEnd);
    }
    der.close(oneEnd);
  } while (der.at < end);
  der.close(end);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
