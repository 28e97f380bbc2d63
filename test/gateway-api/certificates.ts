// Secrets and ConfigMaps with certificates, as objects of a site.

import { type Authority, type Leaf, pem } from '../../tools/certificates.ts';
import { type AskOptions, type Made, made } from './site.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
export const certPem = ({ der }: { readonly der: Uint8Array }): string => pem('CERTIFICATE', der);
export const keyPem = ({ keyDer }: Leaf): string => pem('PRIVATE KEY', keyDer);

export function secret(name: string, own: Leaf): Made {
  const data = { 'tls.crt': base64(certPem(own)), 'tls.key': base64(keyPem(own)) };
  return made('Secret', name, { type: 'kubernetes.io/tls', data }, 'v1');
}

export function configMap(name: string, ...authorities: readonly Authority[]): Made {
  return made('ConfigMap', name, { data: { 'ca.crt': authorities.map(certPem).join('') } }, 'v1');
}

/** A client that trusts `authority`, and shows `own` if it has one. */
export function client(
  authority: Authority,
  own: Leaf | null = null,
  servername?: string,
): NonNullable<AskOptions['tls']> {
  return {
    ca: certPem(authority),
    ...(own === null ? {} : { cert: certPem(own), key: keyPem(own) }),
    ...(servername === undefined ? {} : { servername }),
  };
}
