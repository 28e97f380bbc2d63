// A certificate with its key as a Secret holds them (core/v1, type kubernetes.io/tls), checked as far as a worker
// relies on it: what is wrong here is a condition of the listener that refers to it, never a refused revision.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import { readPem } from '../base/pem.ts';

export interface ServerCertificate {
  /** The certificate and those that lead to its root, DER. */
  readonly chain: readonly Uint8Array[];
  /** PKCS#8, DER. */
  readonly key: Uint8Array;
  /** DNS names and addresses of its subjectAltName, lower case. */
  readonly names: readonly string[];
  /** Unix milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** `RSA 2048`, `ECDSA prime256v1`, `Ed25519`. */
  readonly keyKind: string;
  /** SHA-256 of the certificate in hexadecimal digits. */
  readonly fingerprint: string;
  /** What leads from the certificate to its root, it first. */
  readonly certificates: readonly X509Certificate[];
  /** What is odd about it and does not keep it from being served. */
  readonly warnings: readonly string[];
}

/** Curves and kinds that clients have (RFC 8446 section 4.2.3). */
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];
/** OpenSSL's security level 2. */
const RSA_BITS = 2048;
const WEAK_DIGESTS = /md[245]|sha1(?!\d)/i;

/** Reads `tls.crt` and `tls.key`; a text that says what is wrong, without a byte of the key. */
export function readCertificate(crt: string, keyPem: string): ServerCertificate | string {
  const certificates = certificatesOf(crt);
  if (typeof certificates === 'string') return certificates;
  const key = keyOf(keyPem);
  if (typeof key === 'string') return key;
  const own = certificates[0] as X509Certificate;
  const kind = kindFault(own.publicKey);
  if (kind !== null) return `tls.crt: ${kind}`;
  const weak = weakness(certificates);
  if (weak !== null) return `tls.crt: ${weak}`;
  if (!own.checkPrivateKey(key)) return 'tls.key does not belong to the certificate in tls.crt.';
  return {
    chain: certificates.map((certificate) => certificate.raw),
    certificates,
    key: key.export({ type: 'pkcs8', format: 'der' }),
    names: namesOf(own),
    notBefore: own.validFromDate.getTime(),
    notAfter: own.validToDate.getTime(),
    keyKind: keyText(own.publicKey),
    fingerprint: own.fingerprint256.replaceAll(':', '').toLowerCase(),
    warnings: warningsOf(certificates),
  };
}

/** At least one; a text that says why there is none. */
function certificatesOf(crt: string): X509Certificate[] | string {
  const blocks = readPem(crt);
  if (typeof blocks === 'string') return `tls.crt: ${blocks}.`;
  const found: X509Certificate[] = [];
  for (const { label, der } of blocks) {
    if (label === 'PRIVATE KEY' || label.endsWith(' PRIVATE KEY')) {
      return 'tls.crt holds a private key, which belongs into tls.key alone.';
    }
    if (label !== 'CERTIFICATE') continue;
    try {
      found.push(found.length === 0 ? new X509Certificate(der) : issuerOf(der));
    } catch {
      return `tls.crt: certificate ${found.length + 1} cannot be read.`;
    }
  }
  return found.length > 0 ? found : 'tls.crt holds no certificate ("-----BEGIN CERTIFICATE-----").';
}

/** Those that issue, by their bytes: thousands of certificates have one issuer, and to read it costs as much. */
const ISSUERS = new Map<string, X509Certificate>();

/** Throws for bytes that are none. */
function issuerOf(der: Uint8Array): X509Certificate {
  const text = Buffer.from(der).toString('latin1');
  let issuer = ISSUERS.get(text);
  if (issuer === undefined) {
    issuer = new X509Certificate(der);
    if (ISSUERS.size >= LIMITS.ISSUERS_KEPT) ISSUERS.clear();
    ISSUERS.set(text, issuer);
  }
  return issuer;
}

function keyOf(text: string): KeyObject | string {
  const blocks = readPem(text);
  // Nothing of the text goes into a message: it may be the key itself.
  if (typeof blocks === 'string') return 'tls.key is no PEM of an unencrypted private key.';
  const block = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'));
  if (block === undefined) return 'tls.key holds no private key ("-----BEGIN PRIVATE KEY-----").';
  if (block.label === 'ENCRYPTED PRIVATE KEY') return 'tls.key is encrypted; a server needs it in the clear.';
  const type = block.label === 'RSA PRIVATE KEY' ? 'pkcs1' : block.label === 'EC PRIVATE KEY' ? 'sec1' : 'pkcs8';
  try {
    return createPrivateKey({ key: Buffer.from(block.der), format: 'der', type });
  } catch {
    return `tls.key: the ${block.label} cannot be read.`;
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
    case 'ed25519':
      return null;
    default:
      return `a key of type ${type ?? 'unknown'} is not supported; ECDSA, RSA and Ed25519 are.`;
  }
}

/** Those in which nothing is weak: issuers are looked at once. */
const SOUND = new WeakSet<X509Certificate>();

/** What makes TLS refuse to show a chain (OpenSSL's security level 2), or null. */
function weakness(certificates: readonly X509Certificate[]): string | null {
  for (const [i, certificate] of certificates.entries()) {
    if (SOUND.has(certificate)) continue;
    const bits = certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? RSA_BITS;
    if (bits < RSA_BITS) return `certificate ${i + 1} has an RSA key of ${bits} bits, at least ${RSA_BITS} are needed.`;
    const signed = certificate.signatureAlgorithm ?? '';
    // A root's signature of itself is believed by nobody, so it may be what it likes.
    if (WEAK_DIGESTS.test(signed) && !certificate.checkIssued(certificate)) {
      return `certificate ${i + 1} is signed by ${signed}, which clients do not believe any more.`;
    }
    SOUND.add(certificate);
  }
  return null;
}

/** Whether a client that asks for `host` takes a certificate for `names` (RFC 9525 section 6.3); of a wildcard, one. */
export function covers(names: readonly string[], host: string): boolean {
  return names.some((name) => {
    if (name === host) return true;
    if (host.startsWith('*.')) return name.endsWith(host.slice(1));
    return name.startsWith('*.') && name.slice(1) === host.slice(host.indexOf('.'));
  });
}

/** `RSA 2048`, `ECDSA prime256v1`, `Ed25519`: of a key that a certificate may have here. */
export function keyText({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string {
  if (type === 'rsa') return `RSA ${details?.modulusLength}`;
  return type === 'ec' ? `ECDSA ${details?.namedCurve}` : 'Ed25519';
}

/** subjectAltName as Node writes it: `DNS:a.example, IP Address:127.0.0.1`. */
export function namesOf(certificate: X509Certificate): string[] {
  const text = certificate.subjectAltName ?? '';
  return [...text.matchAll(/(?:DNS|IP Address):("[^"]*"|[^,]*)/g)].map((m) =>
    (m[1] as string).replaceAll('"', '').toLowerCase(),
  );
}

function warningsOf(certificates: readonly X509Certificate[]): string[] {
  const warnings: string[] = [];
  for (let i = 0; i + 1 < certificates.length; i++) {
    const [lower, upper] = [certificates[i] as X509Certificate, certificates[i + 1] as X509Certificate];
    if (!lower.checkIssued(upper)) {
      warnings.push(
        `Certificate ${i + 2} in tls.crt did not issue certificate ${i + 1}: clients may not find the way.`,
      );
      break;
    }
  }
  const own = certificates[0] as X509Certificate;
  if (certificates.length === 1 && !own.checkIssued(own)) {
    warnings.push('tls.crt holds the certificate alone, without the one that issued it: many clients will refuse it.');
  }
  const usage = own.keyUsage;
  if (usage !== undefined && usage.length > 0 && !usage.includes('1.3.6.1.5.5.7.3.1')) {
    warnings.push('The certificate is not for servers (extendedKeyUsage without serverAuth): clients will refuse it.');
  }
  if (namesOf(own).length === 0)
    warnings.push('The certificate names no host (subjectAltName): clients will refuse it.');
  return warnings;
}
