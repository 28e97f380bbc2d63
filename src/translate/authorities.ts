// Certificates of authorities as objects hold them: the key `ca.crt`, and beside it lists of revoked ones, `ca.crl`.

import { X509Certificate } from 'node:crypto';
import type { KubeObject } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import { readPem } from '../base/pem.ts';
import { anyText } from './read.ts';

export interface Authorities {
  /** Base64 of DER; at least one. */
  readonly authorities: readonly string[];
  readonly revoked: readonly string[];
}

/** An object is read once as it stands, however many refer to it. */
const READ = new WeakMap<KubeObject, Authorities | string>();

/** Of a ConfigMap or a Secret; a text that says what is wrong, to be written behind the object's name. */
export function authoritiesIn(object: KubeObject): Authorities | string {
  let result = READ.get(object);
  if (result === undefined) {
    result = read(object);
    READ.set(object, result);
  }
  return result;
}

function read(object: KubeObject): Authorities | string {
  const certificates = certificatesOf(dataOf(object, 'ca.crt'));
  if (typeof certificates === 'string') return certificates;
  const lists = readPem(dataOf(object, 'ca.crl') ?? '');
  if (typeof lists === 'string') return `: ca.crl: ${lists}.`;
  const revoked = lists.filter(({ label }) => label === 'X509 CRL').map(({ der }) => base64(der));
  return { authorities: certificates, revoked };
}

/** Why so much cannot be handed on, to be written behind whoever refers to it; null when it can. */
export function tooMuch({ authorities, revoked }: Authorities): string | null {
  let bytes = 0;
  for (const text of [...authorities, ...revoked]) bytes += Math.floor((text.length * 3) / 4);
  const most = LIMITS.TLS_TRUST_BYTES;
  return bytes > most
    ? `Certificates of authorities and lists of revoked ones are of ${bytes} bytes together, at most ${most} can be.`
    : null;
}

/** A ConfigMap holds text; a Secret holds Base64 in `data`, and text in `stringData`, which wins. */
function dataOf(object: KubeObject, name: string): string | undefined {
  const value = anyText(fields(object['data'])[name]);
  if (object.kind !== 'Secret') return value;
  const plain = anyText(fields(object['stringData'])[name]);
  return plain ?? (value === undefined ? undefined : Buffer.from(value, 'base64').toString('latin1'));
}

/** At least one certificate, Base64 of DER; a text that says what is missing. */
function certificatesOf(pem: string | undefined): string[] | string {
  if (pem === undefined) return 'has no key "ca.crt".';
  const blocks = readPem(pem);
  if (typeof blocks === 'string') return `has a key "ca.crt" that is no PEM: ${blocks}.`;
  const found: string[] = [];
  for (const { label, der } of blocks) {
    if (label !== 'CERTIFICATE') continue;
    try {
      found.push(base64(new X509Certificate(der).raw));
    } catch {
      return `has a certificate ${found.length + 1} in "ca.crt" that cannot be read.`;
    }
  }
  return found.length > 0 ? found : 'holds no certificate in "ca.crt" ("-----BEGIN CERTIFICATE-----").';
}

function base64(der: Uint8Array): string {
  return Buffer.from(der).toString('base64');
}
