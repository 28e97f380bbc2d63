// What backends are told of a client's certificate: the field X-Forwarded-Client-Cert, as Envoy writes it
// (config.core, HTTP connection manager: forward_client_cert_details).

import { X509Certificate } from 'node:crypto';
import { bytesOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import type { CertificatePart } from '../../ir/ir.ts';

/** The field line of a certificate (DER) that was checked; null when it cannot be read. */
export function forwardedCertificate(der: Uint8Array, parts: readonly CertificatePart[]): Uint8Array | null {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(der);
  } catch {
    return null;
  }
  const members = parts.flatMap((part) => membersOf(certificate, part)).join(';');
  const line = bytesOf(`X-Forwarded-Client-Cert: ${members}\r\n`);
  return line.length > LIMITS.CLIENT_CERTIFICATE_BYTES ? null : line;
}

function membersOf(certificate: X509Certificate, part: CertificatePart): string[] {
  switch (part) {
    case 'Hash':
      return [`Hash=${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`];
    case 'Subject':
      return [`Subject="${escaped(subjectOf(certificate))}"`];
    case 'URI':
    case 'DNS':
      return namesOf(certificate, part).map((name) => `${part}=${quoted(name)}`);
    case 'Cert':
      return [`Cert="${encodeURIComponent(certificate.toString())}"`];
  }
}

/** RFC 4514: the most specific part comes first. */
function subjectOf({ subject }: X509Certificate): string {
  return (subject ?? '').split('\n').reverse().join(',');
}

/** Those of subjectAltName; what Node puts into quotation marks holds characters that no such name has. */
function namesOf({ subjectAltName }: X509Certificate, kind: string): string[] {
  const names: string[] = [];
  for (const [, type, name] of (subjectAltName ?? '').matchAll(/([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)) {
    if (type === kind && name !== undefined && !name.startsWith('"')) names.push(name);
  }
  return names;
}

/** What separates members stands within quotation marks only. */
function quoted(value: string): string {
  return /[,;="\\]/.test(value) ? `"${escaped(value)}"` : escaped(value);
}

/** Within quotation marks: no character that ends them, or the line. */
function escaped(value: string): string {
  return value.replaceAll(/["\\]/g, '\\$&').replaceAll(/[^\x20-\x7e]/gu, (c) => encodeURIComponent(c));
}
