// A certificate with its key as a Secret holds them (core/v1, type kubernetes.io/tls), checked as far as a worker
// relies on it: what is wrong here is a condition of the listener that refers to it, never a refused revision.

import {
  type AsymmetricKeyDetails,
  createECDH,
  createPrivateKey,
  hash,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import type { Pem } from '../api/tls-secret.ts';
import { LIMITS } from '../base/limits.ts';
import type { PemBlock } from '../base/pem.ts';
import { elementAt, within } from './der.ts';
import { plainEcKey } from './plain-ec.ts';
import { isTornRsa, plainRsaKey } from './plain-rsa.ts';
import { type PlainCertificate, type PlainPublicKey, readPlainCertificate, SERVER_AUTH } from './x509.ts';

export interface ServerCertificate {
  /** The certificate and those that lead to its root, DER, one character a byte. */
  readonly chain: readonly string[];
  /** PKCS#8, DER, one character a byte. */
  readonly key: string;
  /** DNS names and addresses of its subjectAltName, lower case. */
  readonly names: readonly string[];
  /** Unix milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** `RSA 2048`, `ECDSA prime256v1`, `Ed25519`. */
  readonly keyKind: string;
  /** SHA-256 of the certificate in hexadecimal digits. */
  readonly fingerprint: string;
  /** What is odd about it and does not keep it from being served. */
  readonly warnings: readonly string[];
  /** The chain as the library has it, which is seldom asked for and dear. */
  certificates(): readonly X509Certificate[];
}

/** Curves and kinds that clients have (RFC 8446 section 4.2.3). */
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];
/** OpenSSL's security level 2. */
const RSA_BITS = 2048;
/** Hashes of TLS for RSA-PSS, and their lengths. */
const PSS_HASHES: Readonly<Record<string, number>> = { sha256: 32, sha384: 48, sha512: 64 };
const WEAK_DIGESTS = /md[245]|sha1(?!\d)/i;
/** id-kp-serverAuth (RFC 5280 section 4.2.1.12). */
const FOR_SERVERS = '1.3.6.1.5.5.7.3.1';

/** Reads `tls.crt` and `tls.key`; a text that says what is wrong, without a byte of the key. */
export function readCertificate(crt: Pem, keyPem: Pem): ServerCertificate | string {
  const certificates = certificatesIn(crt);
  if (typeof certificates === 'string') return certificates;
  return readPlain(certificates, keyPem) ?? readByLibrary(certificates, keyPem);
}

/**
 * What most are: a certificate and a key of plain forms, by issuers that have been seen before. Nothing is wrong with
 * what is read here; null: the library has to say what it is.
 */
export function readPlain(blocks: readonly PemBlock[], keyPem: Pem): ServerCertificate | null {
  const [own, ...above] = blocks;
  // Whether one alone signed itself is for the library to say.
  const plain = own === undefined || above.length === 0 ? null : readPlainCertificate(own.der);
  const block = plain === null ? null : keyIn(keyPem);
  if (own === undefined || plain === null || block === null || typeof block === 'string') return null;
  const key = plainKey(block, plain.publicKey);
  const known = key === null ? [] : above.map(knownIssuer).filter((one) => one !== null);
  const issuers = known.map(({ certificate }) => certificate);
  if (key === null || issuers.length < above.length || weakness(issuers, 2) !== null) return null;
  const certificates = (): X509Certificate[] => [new X509Certificate(own.der), ...issuers];
  return {
    // Without room to grow.
    chain: blocks.map(({ text }, i) => known[i - 1]?.text ?? text),
    // The text that there is already where the key stands as it is wanted.
    key: key === block.der ? block.text : latin1(key),
    names: plain.names,
    notBefore: plain.notBefore,
    notAfter: plain.notAfter,
    keyKind: kindText(plain.publicKey),
    fingerprint: hash('sha256', own.der),
    warnings: warningsOf({
      unissued: firstUnissued(plain, certificates, issuers),
      alone: false,
      forServers: plain.purposes === null || plain.purposes.includes(SERVER_AUTH),
      named: plain.names.length > 0,
      pssOnly: false,
    }),
    certificates,
  };
}

/** PKCS#8 of the key that is the certificate's, if it is of a plain form. */
function plainKey({ label, der }: PemBlock, its: PlainPublicKey): Uint8Array | null {
  return its.curve === null ? plainRsaKey(label, der, its.n, its.e) : plainEcKey(its.curve, label, der, its.point);
}

/** As `keyText` has it. */
function kindText(key: PlainPublicKey): string {
  return key.curve === null ? `RSA ${key.bits}` : `ECDSA ${key.curve}`;
}

/** The same for whatever there is. */
export function readByLibrary(blocks: readonly PemBlock[], keyPem: Pem): ServerCertificate | string {
  const certificates: X509Certificate[] = [];
  for (const read of blocks) {
    const one = certificates.length === 0 ? certificateOf(read.der) : knownIssuer(read)?.certificate;
    if (one == null) return `tls.crt: certificate ${certificates.length + 1} cannot be read.`;
    certificates.push(one);
  }
  const block = keyIn(keyPem);
  const key = typeof block === 'string' ? block : keyOf(block);
  if (typeof key === 'string') return key;
  const own = certificates[0] as X509Certificate;
  const publicKey = publicKeyOf(own);
  if (publicKey === null) return 'tls.crt: the public key of the certificate cannot be read.';
  const fault = kindFault(publicKey) ?? weakness(certificates, 1);
  if (fault !== null) return `tls.crt: ${fault}`;
  if (!own.checkPrivateKey(key)) return 'tls.key does not belong to the certificate in tls.crt.';
  if (isTorn(key)) return 'tls.key: its public part is not that of its private part.';
  const names = namesOf(own);
  const usage = own.keyUsage ?? [];
  return {
    chain: certificates.map(({ raw }) => latin1(raw)),
    key: latin1(key.export({ type: 'pkcs8', format: 'der' })),
    names,
    notBefore: own.validFromDate.getTime(),
    notAfter: own.validToDate.getTime(),
    keyKind: keyText(publicKey),
    fingerprint: hash('sha256', own.raw),
    warnings: warningsOf({
      unissued: certificates.findIndex((upper, i) => i > 0 && certificates[i - 1]?.checkIssued(upper) === false),
      alone: certificates.length === 1 && !own.checkIssued(own),
      forServers: usage.length === 0 || usage.includes(FOR_SERVERS),
      named: names.length > 0,
      pssOnly: publicKey.asymmetricKeyType === 'rsa-pss',
    }),
    certificates: () => certificates,
  };
}

/** The certificates, at least one; a text that says why there is none. */
function certificatesIn(blocks: Pem): readonly PemBlock[] | string {
  if (typeof blocks === 'string') return `tls.crt: ${blocks}.`;
  if (blocks.some(({ label }) => label.endsWith('PRIVATE KEY'))) {
    return 'tls.crt holds a private key, which belongs into tls.key alone.';
  }
  const found = blocks.filter(({ label }) => label === 'CERTIFICATE');
  const bytes = found.reduce((sum, { der }) => sum + der.length, 0);
  if (bytes > LIMITS.TLS_CHAIN_BYTES) {
    return `tls.crt holds ${bytes} bytes of certificates, more than clients take (${LIMITS.TLS_CHAIN_BYTES}).`;
  }
  return found.length > 0 ? found : 'tls.crt holds no certificate ("-----BEGIN CERTIFICATE-----").';
}

/** Null for bytes that are none. */
function certificateOf(der: Uint8Array): X509Certificate | null {
  try {
    return new X509Certificate(der);
  } catch {
    return null;
  }
}

/** A certificate of which many others are issued, and what was found of it. */
interface Issuer {
  readonly certificate: X509Certificate;
  /** Its DER, one character a byte. */
  readonly text: string;
}

/** By their DER: thousands of certificates have one issuer, and to read it costs as much as to read one of them. */
const ISSUERS = new Map<string, Issuer>();

/** Null for bytes that are none. */
function knownIssuer({ der, text }: PemBlock): Issuer | null {
  const known = ISSUERS.get(text);
  if (known !== undefined) return known;
  const certificate = certificateOf(der);
  if (certificate === null) return null;
  const issuer = { certificate, text: latin1(certificate.raw) };
  if (ISSUERS.size >= LIMITS.ISSUERS_KEPT) ISSUERS.clear();
  ISSUERS.set(text, issuer);
  return issuer;
}

/** The one private key; a text that says why there is none. */
function keyIn(blocks: Pem): PemBlock | string {
  // Nothing of the text goes into a message: it may be the key itself.
  if (typeof blocks === 'string') return 'tls.key is no PEM of an unencrypted private key.';
  const block = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'));
  if (block === undefined) return 'tls.key holds no private key ("-----BEGIN PRIVATE KEY-----").';
  if (block.label === 'ENCRYPTED PRIVATE KEY') return 'tls.key is encrypted; a server needs it in the clear.';
  const { length } = block.der;
  return length > LIMITS.TLS_KEY_BYTES ? `tls.key is of ${length} bytes, no key is (${LIMITS.TLS_KEY_BYTES}).` : block;
}

function keyOf({ label, der }: PemBlock): KeyObject | string {
  const type = label === 'RSA PRIVATE KEY' ? 'pkcs1' : label === 'EC PRIVATE KEY' ? 'sec1' : 'pkcs8';
  try {
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type });
  } catch {
    return `tls.key: the ${label} cannot be read.`;
  }
}

/** Null for one that the library does not know, or that is none: a point off its curve. */
export function publicKeyOf(certificate: X509Certificate): KeyObject | null {
  try {
    return certificate.publicKey;
  } catch {
    return null;
  }
}

/** Why no client would accept a key of this kind, or null. */
function kindFault(key: KeyObject): string | null {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  switch (type) {
    case 'rsa': {
      const bits = details?.modulusLength ?? 0;
      return bits < RSA_BITS ? `an RSA key of ${bits} bits is too weak, at least ${RSA_BITS} are needed.` : null;
    }
    case 'ec': {
      const curve = details?.namedCurve ?? 'unknown';
      return CURVES.includes(curve) ? null : `a key on curve ${curve} is not supported; P-256, P-384 and P-521 are.`;
    }
    case 'rsa-pss':
      return pssFault(details ?? {});
    case 'ed25519':
      return null;
    default:
      return `a key of type ${type ?? 'unknown'} is not supported; ECDSA, RSA and Ed25519 are.`;
  }
}

/**
 * The same of a key for RSA-PSS alone, which may say what it signs for (RFC 4055 section 3.1): TLS has one hash for the
 * message and for MGF1, and salts as long as that (RFC 8446 section 4.2.3).
 */
function pssFault(details: AsymmetricKeyDetails): string | null {
  const { modulusLength: bits = 0, hashAlgorithm, mgf1HashAlgorithm = hashAlgorithm, saltLength = 0 } = details;
  if (bits < RSA_BITS) return `an RSA-PSS key of ${bits} bits is too weak, at least ${RSA_BITS} are needed.`;
  if (hashAlgorithm === undefined) return null;
  const most = PSS_HASHES[hashAlgorithm];
  if (most !== undefined && mgf1HashAlgorithm === hashAlgorithm && saltLength <= most) return null;
  return (
    `an RSA-PSS key for ${hashAlgorithm} with MGF1 of ${mgf1HashAlgorithm} and salts of ${saltLength} bytes signs ` +
    'nothing in TLS, which has SHA-256, SHA-384 and SHA-512, for both, and salts as long as these.'
  );
}

/**
 * Whether a key says that its public part is another than the one its private part makes: the library believes what
 * stands there, and each handshake would fail.
 */
function isTorn(key: KeyObject): boolean {
  if (key.asymmetricKeyType === 'rsa-pss') {
    // PKCS#8 holds that of PKCS#1 (RFC 5208 section 5).
    const [, , own] = within(elementAt(key.export({ type: 'pkcs8', format: 'der' }), 0)) ?? [];
    return own === undefined || isTornRsa(own.body);
  }
  if (key.asymmetricKeyType === 'rsa') return isTornRsa(key.export({ type: 'pkcs1', format: 'der' }));
  if (key.asymmetricKeyType !== 'ec') return false;
  const { d = '', x = '', y = '' } = key.export({ format: 'jwk' });
  const said = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  const curve = createECDH(key.asymmetricKeyDetails?.namedCurve as string);
  try {
    curve.setPrivateKey(Buffer.from(d, 'base64url'));
  } catch {
    // A number that is no key of the curve.
    return true;
  }
  return !curve.getPublicKey().equals(said);
}

/** Those in which nothing is weak: issuers are looked at once. */
const SOUND = new WeakSet<X509Certificate>();

/** What makes TLS refuse to show a chain (OpenSSL's security level 2), or null. `first`: the number of the first. */
function weakness(certificates: readonly X509Certificate[], first: number): string | null {
  for (const [i, certificate] of certificates.entries()) {
    if (SOUND.has(certificate)) continue;
    const key = publicKeyOf(certificate);
    if (key === null) return `the public key of certificate ${i + first} cannot be read.`;
    const bits = key.asymmetricKeyDetails?.modulusLength ?? RSA_BITS;
    if (bits < RSA_BITS)
      return `certificate ${i + first} has an RSA key of ${bits} bits, at least ${RSA_BITS} are needed.`;
    const signed = certificate.signatureAlgorithm ?? '';
    // A root's signature of itself is believed by nobody, so it may be what it likes.
    if (WEAK_DIGESTS.test(signed) && !certificate.checkIssued(certificate)) {
      return `certificate ${i + first} is signed by ${signed}, which clients do not believe any more.`;
    }
    SOUND.add(certificate);
  }
  return null;
}

/** Of an issuer: whether it issued what says of its issuer this and that. */
const ISSUED = new WeakMap<X509Certificate, Map<string, boolean>>();

/** `below` says of its issuer what `said` says; it is made only for the first that says so. */
function issued(issuer: X509Certificate, said: string, below: () => X509Certificate): boolean {
  const known = ISSUED.get(issuer) ?? new Map<string, boolean>();
  ISSUED.set(issuer, known);
  let is = known.get(said);
  if (is === undefined) {
    is = below().checkIssued(issuer);
    if (known.size >= LIMITS.ISSUERS_KEPT) known.clear();
    known.set(said, is);
  }
  return is;
}

/** Index in the chain of the first that did not issue the one before it; -1 if there is none. */
function firstUnissued(
  own: PlainCertificate,
  certificates: () => readonly X509Certificate[],
  issuers: readonly X509Certificate[],
): number {
  const at = issuers.findIndex((upper, i) => {
    const lower = issuers[i - 1];
    return lower === undefined
      ? !issued(upper, own.issuedAs, () => certificates()[0] as X509Certificate)
      : !issued(upper, lower.fingerprint256, () => lower);
  });
  return at < 0 ? at : at + 1;
}

/** Whether a client that asks for `host` takes a certificate for `names` (RFC 9525 section 6.3); of a wildcard, one. */
export function covers(names: readonly string[], host: string): boolean {
  return names.some((name) => {
    if (name === host) return true;
    if (host.startsWith('*.')) return name.endsWith(host.slice(1));
    return name.startsWith('*.') && name.slice(1) === host.slice(host.indexOf('.'));
  });
}

/** `RSA 2048`, `RSA-PSS 2048`, `ECDSA prime256v1`, `Ed25519`: of a key that a certificate may have here. */
export function keyText({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string {
  if (type === 'rsa') return `RSA ${details?.modulusLength}`;
  if (type === 'rsa-pss') return `RSA-PSS ${details?.modulusLength}`;
  return type === 'ec' ? `ECDSA ${details?.namedCurve}` : 'Ed25519';
}

/** subjectAltName as Node writes it: `DNS:a.example, IP Address:127.0.0.1`. */
export function namesOf(certificate: X509Certificate): string[] {
  const text = certificate.subjectAltName ?? '';
  return [...text.matchAll(/(?:DNS|IP Address):("[^"]*"|[^,]*)/g)].map((m) =>
    (m[1] as string).replaceAll('"', '').toLowerCase(),
  );
}

interface Oddities {
  /** Index in the chain of the first certificate that did not issue the one before it; -1 if there is none. */
  readonly unissued: number;
  /** There is one only, and somebody else issued it. */
  readonly alone: boolean;
  readonly forServers: boolean;
  readonly named: boolean;
  readonly pssOnly: boolean;
}

function warningsOf({ unissued, alone, forServers, named, pssOnly }: Oddities): string[] {
  const warnings: string[] = [];
  if (unissued > 0)
    warnings.push(
      `Certificate ${unissued + 1} in tls.crt did not issue certificate ${unissued}: clients may not find the way.`,
    );
  if (alone)
    warnings.push('tls.crt holds the certificate alone, without the one that issued it: many clients will refuse it.');
  if (!forServers)
    warnings.push('The certificate is not for servers (extendedKeyUsage without serverAuth): clients will refuse it.');
  if (!named) warnings.push('The certificate names no host (subjectAltName): clients will refuse it.');
  if (pssOnly) warnings.push('The key is for RSA-PSS alone: clients like Chrome and those of Go do not take it.');
  return warnings;
}

function latin1(der: Uint8Array): string {
  return Buffer.from(der.buffer, der.byteOffset, der.length).toString('latin1');
}
