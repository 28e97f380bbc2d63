// The certificate that a Gateway shows to backends that ask for one (apis/v1 GatewayBackendTLS).

import { type KubeObject, type ObjectKey, objectKey } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields, isFields } from '../base/fields.ts';
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
  const own = gateway.metadata.namespace ?? '';
  const group = value['group'] ?? '';
  const kind = value['kind'] ?? 'Secret';
  const name = text(value['name']) ?? '';
  const namespace = text(value['namespace']) ?? own;
  const refuse = (condition: Fault['name'], message: string, absent?: ObjectKey): ClientCertificate => {
    problems.error('spec.tls.backend.clientCertificateRef', message, absent);
    return { key: null, fault: { name: condition, message } };
  };
  if (group !== '' || kind !== 'Secret') {
    const message = `A client certificate of kind ${shown(kind)} in group ${shown(group)} is not supported; Secrets are.`;
    return refuse('gatewayClientCertificate', message);
  }
  const reference = {
    fromGroup: GATEWAY_GROUP,
    fromKind: 'Gateway',
    fromNamespace: own,
    toGroup: '',
    toKind: 'Secret',
    toNamespace: namespace,
    toName: name,
  };
  if (!permitted(reader, reference)) {
    const message = `No ReferenceGrant in namespace ${namespace} lets Gateways of ${own} refer to Secret ${name}.`;
    return refuse('gatewayNotPermitted', message, objectKey('ReferenceGrant', namespace, ''));
  }
  const secret = reader.get('Secret', namespace, name);
  if (secret === undefined) {
    const message = `Secret ${namespace}/${name} does not exist.`;
    return refuse('gatewayClientCertificate', message, objectKey('Secret', namespace, name));
  }
  const { fault } = secretEntry(secret, namespace, name);
  if (fault !== '') return refuse('gatewayClientCertificate', `Secret ${namespace}/${name} ${fault}`);
  return { key: clientCertificateKey(namespace, name), fault: null };
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
