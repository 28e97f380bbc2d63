// Secrets as listeners refer to them. Their contents are read nowhere yet: a reference is good when it is permitted and
// the Secret exists.

import { fields } from '../base/fields.ts';
import { GATEWAY_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { list, shown, text } from './read.ts';
import { permitted } from './reference-grant.ts';

export interface CertificateFault {
  readonly reason: 'listenerCertificate' | 'listenerNotPermitted';
  readonly message: string;
  /** Index in certificateRefs. */
  readonly index: number;
}

/** The first fault among a listener's certificateRefs, or null. */
export function certificateFault(reader: Reader, gatewayNamespace: string, refs: unknown): CertificateFault | null {
  for (const [index, item] of list(refs).entries()) {
    const ref = fields(item);
    const group = ref['group'] ?? '';
    const kind = ref['kind'] ?? 'Secret';
    const name = text(ref['name']) ?? '';
    const namespace = text(ref['namespace']) ?? gatewayNamespace;
    if (group !== '' || kind !== 'Secret') {
      const message = `certificateRefs[${index}] is of kind ${shown(kind)} in group ${shown(group)}; only Secret is supported.`;
      return { reason: 'listenerCertificate', message, index };
    }
    const reference = {
      fromGroup: GATEWAY_GROUP,
      fromKind: 'Gateway',
      fromNamespace: gatewayNamespace,
      toGroup: '',
      toKind: 'Secret',
      toNamespace: namespace,
      toName: name,
    };
    if (!permitted(reader, reference)) {
      const message = `No ReferenceGrant in namespace ${namespace} lets Gateways of ${gatewayNamespace} refer to Secret ${name}.`;
      return { reason: 'listenerNotPermitted', message, index };
    }
    if (reader.get('Secret', namespace, name) === undefined) {
      return { reason: 'listenerCertificate', message: `Secret ${namespace}/${name} does not exist.`, index };
    }
  }
  return null;
}
