// The certificate that a Gateway shows to backends that ask for one (apis/v1 GatewayBackendTLS).

import { type KubeObject, type ObjectKey, objectKey } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { type Fields, fields, isFields } from '../base/fields.ts';
import type { CertificateEntry, Key } from '../ir/ir.ts';
import { clientCertificateKey, type secretOfCertificate } from '../ir/keys.ts';
import type { Fault } from './conditions.ts';
import { GATEWAY_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { secretEntry } from './listener-tls.ts';
import { shown, text } from './read.ts';
import { permitted } from './reference-grant.ts';

export interface ClientCertificate {
  /** Key of the CertificateEntry; null when the Gateway names none, or none that is good. */
  readonly key: Key | null;
  /** Why the reference is not good: backends that speak TLS answer 500 then. */
  readonly fault: Fault | null;
}

export const NO_CERTIFICATE: ClientCertificate = { key: null, fault: null };

export function clientCertificateOf(reader: Reader, gateway: KubeObject, problems: Problems): ClientCertificate {
  const value = fields(fields(fields(gateway.spec)['tls'])['backend'])['clientCertificateRef'];
  if (!isFields(value)) return NO_CERTIFICATE;
  const from = { group: GATEWAY_GROUP, kind: 'Gateway', namespace: gateway.metadata.namespace ?? '' };
  const { key, fault } = clientSecret(reader, value, from);
  if (fault === null) return { key, fault };
  problems.error('spec.tls.backend.clientCertificateRef', fault.message, fault.absent);
  const name = fault.why === 'notPermitted' ? 'gatewayNotPermitted' : 'gatewayClientCertificate';
  return { key: null, fault: { name, message: fault.message } };
}

/** Who names a certificate to be shown. */
interface Shower {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
}

interface ClientSecret {
  /** Key of the CertificateEntry; null where there is a fault. */
  readonly key: Key | null;
  readonly fault: {
    readonly why: 'notPermitted' | 'unusable';
    readonly message: string;
    readonly absent?: ObjectKey;
  } | null;
}

/** The Secret that a clientCertificateRef means (apis/v1 SecretObjectReference). */
export function clientSecret(reader: Reader, ref: Fields, from: Shower): ClientSecret {
  const group = ref['group'] ?? '';
  const kind = ref['kind'] ?? 'Secret';
  const name = text(ref['name']) ?? '';
  const namespace = text(ref['namespace']) ?? from.namespace;
  const refuse = (message: string, absent?: ObjectKey): ClientSecret => ({
    key: null,
    fault: { why: 'unusable', message, ...(absent === undefined ? {} : { absent }) },
  });
  if (group !== '' || kind !== 'Secret') {
    return refuse(
      `A client certificate of kind ${shown(kind)} in group ${shown(group)} is not supported; Secrets are.`,
    );
  }
  const reference = { fromGroup: from.group, fromKind: from.kind, fromNamespace: from.namespace };
  if (!permitted(reader, { ...reference, toGroup: '', toKind: 'Secret', toNamespace: namespace, toName: name })) {
    const message = `No ReferenceGrant in namespace ${namespace} lets ${from.kind}s of ${from.namespace} refer to Secret ${name}.`;
    return { key: null, fault: { why: 'notPermitted', message, absent: objectKey('ReferenceGrant', namespace, '') } };
  }
  const secret = reader.get('Secret', namespace, name);
  if (secret === undefined) {
    return refuse(`Secret ${namespace}/${name} does not exist.`, objectKey('Secret', namespace, name));
  }
  const { fault } = secretEntry(secret, namespace, name);
  return fault === ''
    ? { key: clientCertificateKey(namespace, name), fault: null }
    : refuse(`Secret ${namespace}/${name} ${fault}`);
}

/** The certificate of a Secret as listeners or backends are shown it; null when there is none (any more). */
export function certificateEntry(
  reader: Reader,
  namespace: string,
  { secret: name, client }: ReturnType<typeof secretOfCertificate>,
): CertificateEntry | null {
  const secret = reader.get('Secret', namespace, name);
  const entry = secret === undefined ? null : secretEntry(secret, namespace, name).entry;
  return entry === null || !client ? entry : { ...entry, key: clientCertificateKey(namespace, name), staple: '' };
}
