// A certificate's entry as it travels: JSON has no short form of bytes but Base64.

import type { CertificateEntry } from './ir.ts';

export function packCertificate(entry: CertificateEntry): CertificateEntry {
  return { ...entry, chain: entry.chain.map(base64Of), privateKey: base64Of(entry.privateKey) };
}

export function unpackCertificate(entry: CertificateEntry): CertificateEntry {
  return { ...entry, chain: entry.chain.map(latin1Of), privateKey: latin1Of(entry.privateKey) };
}

function base64Of(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('base64');
}

function latin1Of(base64: string): string {
  return Buffer.from(base64, 'base64').toString('latin1');
}
