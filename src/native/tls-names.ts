// Names of certificates: of a backend's those that OpenSSL does not look for by itself (URIs, and several of different
// kinds), of our own those of hosts.

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

/** Names of hosts that a certificate, DER, is for, lower case; none for one that cannot be read. */
export function hostsOf(der: Uint8Array): string[] {
  try {
    const text = new X509Certificate(der).subjectAltName ?? '';
    // What Node puts into quotation marks is called by no client.
    const hosts = namesIn(text, 'DNS').filter((name) => !name.startsWith('"'));
    return hosts.map((name) => name.toLowerCase());
  } catch {
    return [];
  }
}

/** One that holds what could be taken for another name's beginning is written as a JSON string. */
function urisOf(text: string): string[] {
  return namesIn(text, 'URI').map((name) => (name.startsWith('"') ? (JSON.parse(name) as string) : name));
}

/** Names of a kind in a subjectAltName as Node writes it: `DNS:a.example, URI:spiffe://a/b`. */
function namesIn(text: string, kind: string): string[] {
  const found: string[] = [];
  for (const [, type, name] of text.matchAll(/([^:, ][^:,]*):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)) {
    if (type === kind && name !== undefined) found.push(name);
  }
  return found;
}
