// Certificates of clients: whose are good on which port of a Gateway (apis/v1 GatewayTLSConfig.frontend, GEP-91).

import { type KubeObject, objectKey } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { type Fields, fields, isFields } from '../base/fields.ts';
import type { ClientValidation, TrustEntry } from '../ir/ir.ts';
import { trustKey } from '../ir/keys.ts';
import { type Authorities, authoritiesIn, tooMuch } from './authorities.ts';
import type { Fault } from './conditions.ts';
import { GATEWAY_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { anyText, list, port, shown, text } from './read.ts';
import { permitted } from './reference-grant.ts';

export interface Clients {
  readonly validation: ClientValidation;
  readonly trust: TrustEntry;
}

export interface FrontendTls {
  /** Null: clients are not asked for a certificate. */
  readonly clients: Clients | null;
  /** No reference is good: whoever must show a certificate cannot be served. */
  readonly fault: Fault | null;
  /** The first reference that is not. */
  readonly refs: Fault | null;
}

export const UNASKED: FrontendTls = { clients: null, fault: null, refs: null };

/**
 * What holds on `number`, a port as listeners write it; each setting is looked at once, however many listeners it is
 * for.
 */
export function frontendOf(reader: Reader, gateway: KubeObject, problems: Problems): (number: number) => FrontendTls {
  const frontend = fields(fields(fields(gateway.spec)['tls'])['frontend']);
  const known = new Map<string, FrontendTls>();
  const once = (name: string, config: unknown, field: string): FrontendTls => {
    let found = known.get(name);
    if (found === undefined) {
      found = validationOf(reader, gateway, name, fields(config)['validation'], `${field}.validation`, problems);
      known.set(name, found);
    }
    return found;
  };
  const ports = list(frontend['perPort']).map(fields);
  unheard(fields(gateway.spec), ports, problems);
  return (number) => {
    const at = ports.findIndex((item) => port(item['port']) === number);
    if (at >= 0) return once(String(number), ports[at]?.['tls'], `spec.tls.frontend.perPort[${at}].tls`);
    return once('default', frontend['default'], 'spec.tls.frontend.default');
  };
}

/** A port that no listener of HTTPS has asks nobody for a certificate. */
function unheard(spec: Fields, ports: readonly Fields[], problems: Problems): void {
  // Others may bring one.
  if (isFields(spec['allowedListeners'])) return;
  const secured = list(spec['listeners'])
    .map(fields)
    .filter(({ protocol }) => protocol === 'HTTPS')
    .map((listener) => port(listener['port']));
  for (const [i, item] of ports.entries()) {
    const number = port(item['port']);
    if (number === undefined || secured.includes(number)) continue;
    const message = `No HTTPS listener has port ${number}: it has no effect. They have ${[...new Set(secured)].join(', ') || 'none'}.`;
    problems.warning(`spec.tls.frontend.perPort[${i}].port`, message);
  }
}

function validationOf(
  reader: Reader,
  gateway: KubeObject,
  name: string,
  value: unknown,
  field: string,
  problems: Problems,
): FrontendTls {
  if (!isFields(value)) return UNASKED;
  const namespace = gateway.metadata.namespace ?? '';
  const authorities: string[] = [];
  const revoked: string[] = [];
  let refs: Fault | null = null;
  for (const [index, item] of list(value['caCertificateRefs']).entries()) {
    const found = authoritiesOf(reader, namespace, fields(item));
    if ('name' in found) {
      problems.error(`${field}.caCertificateRefs[${index}]`, found.message, found.absent);
      refs ??= found;
    } else {
      authorities.push(...found.authorities);
      revoked.push(...found.revoked);
    }
  }
  if (authorities.length === 0) {
    const message = refs?.message ?? 'No authority is named whose certificates clients may show.';
    return {
      clients: null,
      fault: { name: 'listenerNoAuthority', message },
      refs: refs ?? { name: 'listenerAuthority', message },
    };
  }
  const much = tooMuch({ authorities, revoked });
  if (much !== null) {
    problems.error(`${field}.caCertificateRefs`, much);
    const fault = { name: 'listenerAuthority', message: much } as const;
    return { clients: null, fault: { ...fault, name: 'listenerNoAuthority' }, refs: fault };
  }
  const mode = value['mode'] === 'AllowInsecureFallback' ? 'AllowInsecureFallback' : 'AllowValidOnly';
  const key = trustKey(namespace, `${gateway.metadata.name}:${name}`);
  const trust: TrustEntry = {
    kind: 'trust',
    key,
    authorities: [...new Set(authorities)],
    revoked: [...new Set(revoked)],
  };
  return { clients: { validation: { trust: key, mode, forward: [] }, trust }, fault: null, refs };
}

/** The certificates of one ConfigMap, or why there are none. */
function authoritiesOf(reader: Reader, gatewayNamespace: string, ref: Fields): Authorities | Fault {
  const group = anyText(ref['group']) ?? '';
  const kind = text(ref['kind']) ?? '';
  const name = text(ref['name']) ?? '';
  const namespace = text(ref['namespace']) ?? gatewayNamespace;
  if (group !== '' || kind !== 'ConfigMap') {
    const message = `Authorities of kind ${shown(kind)} in group ${shown(group)} are not supported; ConfigMaps are.`;
    return { name: 'listenerAuthorityKind', message };
  }
  const reference = {
    fromGroup: GATEWAY_GROUP,
    fromKind: 'Gateway',
    fromNamespace: gatewayNamespace,
    toGroup: '',
    toKind: 'ConfigMap',
    toNamespace: namespace,
    toName: name,
  };
  if (!permitted(reader, reference)) {
    const message = `No ReferenceGrant in namespace ${namespace} lets Gateways of ${gatewayNamespace} refer to ConfigMap ${name}.`;
    return { name: 'listenerNotPermitted', message, absent: objectKey('ReferenceGrant', namespace, '') };
  }
  const object = reader.get('ConfigMap', namespace, name);
  const invalid = (what: string): Fault => ({
    name: 'listenerAuthority',
    message: `ConfigMap ${namespace}/${name} ${what}`,
  });
  if (object === undefined) return { ...invalid('does not exist.'), absent: objectKey('ConfigMap', namespace, name) };
  const found = authoritiesIn(object);
  return typeof found === 'string' ? invalid(found) : found;
}
