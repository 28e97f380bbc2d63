// Names of a server's certificate that OpenSSL does not look for by itself: URIs, and several of different kinds.

import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { PeerName } from '../io/tls.ts';

/** Whether a name is an address, which stands in another place of a certificate than a host. */
export function isAddress(name: string): boolean {
  return isIP(name) !== 0;
}

/** Whether OpenSSL looks for one of them: it knows hosts, any of several, or one address. */
export function isOpenSslsWork(names: readonly PeerName[]): boolean {
  if (names.some(({ type }) => type === 'URI')) return false;
  return names.length < 2 || !names.some(({ value }) => isAddress(value));
}

/** Whether the certificate, DER, has one of `names` among its subjectAltNames; its subject says nothing (RFC 9525). */
export function isCertificateFor(der: Uint8Array, names: readonly PeerName[]): boolean {
  const certificate = new X509Certificate(der);
  const uris = urisOf(certificate.subjectAltName ?? '');
  return names.some(({ type, value }) => {
    if (type === 'URI') return uris.includes(value);
    if (isAddress(value)) return certificate.checkIP(value) !== undefined;
    return certificate.checkHost(value, { subject: 'never', partialWildcards: false }) !== undefined;
  });
}

/**
 * URIs of a subjectAltName as Node writes it: `DNS:a.example, URI:spiffe://a/b`. One that holds what could be taken for
 * another name's beginning is written as a JSON string.
 */
function urisOf(text: string): string[] {
  const found: string[] = [];
  for (const [, type, value] of text.matchAll(/([^:, ][^:,]*):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)) {
    if (type !== 'URI' || value === undefined) continue;
    found.push(value.startsWith('"') ? (JSON.parse(value) as string) : value);
  }
  return found;
}
