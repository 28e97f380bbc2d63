// An OCSP response that is to be shown with a certificate (RFC 6960): whether it is one, for this certificate, said by
// whoever may say it, and from when until when it holds. Clients end the handshake over one that is not.

import { createHash, createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto';
import { publicKeyOf } from './certificate.ts';
import { context, type Element, elementAt, oidOf, TAG, tbsFieldsOf, timeOf, within } from './der.ts';

export interface Staple {
  /** thisUpdate and nextUpdate, Unix milliseconds. */
  readonly from: number;
  readonly until: number;
  /** What is odd about it; '' for nothing. */
  readonly warning: string;
}

const BASIC = '1.3.6.1.5.5.7.48.1.1';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const HASHES: Readonly<Record<string, string>> = { '1.3.14.3.2.26': 'sha1', '2.16.840.1.101.3.4.2.1': 'sha256' };
/** Digests of the signature algorithms that authorities use (RFC 8017, RFC 5758, RFC 8410); null: the key's own. */
const SIGNATURES: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
};
/** CertStatus: [0] good, [1] revoked, [2] unknown; the first and the last hold nothing. */
const STATUS = { GOOD: 0x80, REVOKED: 0xa1, UNKNOWN: 0x82 } as const;

/**
 * Reads `response`, DER, for the first of `chain`. A text that says why it is not shown. Who issued the certificate has
 * to be in the chain, or the signature cannot be checked.
 */
export function readStaple(response: Uint8Array, chain: readonly X509Certificate[]): Staple | string {
  const [own, issuer] = chain;
  const basic = basicOf(response);
  if (typeof basic === 'string') return basic;
  const [data, algorithm, signature, certificates] = basic;
  const said = within(data)?.find(({ tag }) => tag === TAG.SEQUENCE);
  if (own === undefined || data === undefined || said === undefined) return 'is no OCSP response';
  if (issuer === undefined) return 'cannot be checked: tls.crt lacks the certificate that issued the first one';
  const singles = (within(said) ?? []).map((one) => within(one) ?? []);
  const ours = singles.filter(([id]) => isFor(id, own, issuer));
  if (ours.length === 0) return 'is for another certificate';
  const signed = (key: KeyObject | null): boolean => key !== null && isSigned(data, algorithm, signature, key);
  const byIssuer = signed(publicKeyOf(issuer));
  const delegate = byIssuer ? undefined : delegates(certificates, issuer).find((one) => signed(publicKeyOf(one)));
  if (!byIssuer && delegate === undefined) return 'is not signed by whoever issued the certificate';
  // Nobody is believed for longer than he is let, nor sooner.
  const from = Math.max(...ours.map(beginOf), delegate?.validFromDate.getTime() ?? 0);
  const until = Math.min(...ours.map(endOf), delegate?.validToDate.getTime() ?? Number.POSITIVE_INFINITY);
  if (Number.isNaN(until)) return 'does not say until when it holds (nextUpdate)';
  if (Number.isNaN(from)) return 'is no OCSP response';
  const statuses = ours.map(([, status]) => status?.tag);
  if (statuses.includes(STATUS.UNKNOWN)) return 'says that its authority does not know the certificate';
  const revoked = statuses.includes(STATUS.REVOKED);
  if (statuses.some((tag) => tag !== STATUS.GOOD && tag !== STATUS.REVOKED)) return 'is no OCSP response';
  return { from, until, warning: revoked ? 'says that the certificate is revoked: clients refuse it' : '' };
}

/** thisUpdate of a SingleResponse, Unix milliseconds; NaN: it is none. */
function beginOf([, , since]: readonly Element[]): number {
  return timeOf(since);
}

/** nextUpdate, likewise; NaN: it does not say. */
function endOf([, , , ...more]: readonly Element[]): number {
  const next = more.find(({ tag }) => tag === context(0));
  return timeOf(within(next, context(0))?.[0]);
}

/** tbsResponseData, signatureAlgorithm, signature, [0] certs (RFC 6960 section 4.2.1). */
function basicOf(response: Uint8Array): readonly Element[] | string {
  const outer = elementAt(response, 0);
  const [status, bytes] = within(outer) ?? [];
  if (outer?.whole.length !== response.length || status?.tag !== TAG.ENUMERATED) return 'is no OCSP response';
  if (status.body[0] !== 0) return `is an answer of failure (${status.body[0]}), not of a certificate's status`;
  const [type, content] = within(within(bytes, context(0))?.[0]) ?? [];
  if (oidOf(type) !== BASIC || content?.tag !== TAG.OCTET_STRING) return 'is no OCSP response';
  return within(elementAt(content.body, 0)) ?? 'is no OCSP response';
}

/** CertID: hashes of the issuer's name and key, and the serial number. */
function isFor(id: Element | undefined, own: X509Certificate, issuer: X509Certificate): boolean {
  const [algorithm, name, key, serial] = within(id) ?? [];
  const hash = HASHES[oidOf(within(algorithm)?.[0])];
  if (hash === undefined || name === undefined || key === undefined || serial === undefined) return false;
  const [ownSerial, , issuerName] = tbsFieldsOf(own.raw);
  const spki = publicKeyOf(issuer)?.export({ type: 'spki', format: 'der' });
  const bits = spki === undefined ? undefined : within(elementAt(spki, 0))?.[1]?.body.subarray(1);
  if (ownSerial === undefined || issuerName === undefined || bits === undefined) return false;
  const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
  return (
    same(serial.body, ownSerial.body) &&
    same(name.body, createHash(hash).update(issuerName.whole).digest()) &&
    same(key.body, createHash(hash).update(bits).digest())
  );
}

/** Certificates in the response by which the issuer lets somebody else say it (RFC 6960 section 4.2.2.2). */
function delegates(certificates: Element | undefined, issuer: X509Certificate): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (const { whole } of within(within(certificates, context(0))?.[0]) ?? []) {
    try {
      const one = new X509Certificate(whole);
      const may = (one.keyUsage ?? []).includes(OCSP_SIGNING);
      if (may && one.checkIssued(issuer) && one.verify(issuer.publicKey)) found.push(one);
    } catch {
      // What cannot be read signs nothing.
    }
  }
  return found;
}

function isSigned(
  data: Element,
  algorithm: Element | undefined,
  signature: Element | undefined,
  key: KeyObject,
): boolean {
  const digest = SIGNATURES[oidOf(within(algorithm)?.[0])];
  if (digest === undefined || signature?.tag !== TAG.BIT_STRING) return false;
  try {
    return verify(
      digest,
      data.whole,
      createPublicKey(key.export({ type: 'spki', format: 'pem' })),
      signature.body.subarray(1),
    );
  } catch {
    // A key of another kind than the algorithm.
    return false;
  }
}
