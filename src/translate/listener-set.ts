// ListenerSet: more listeners for a Gateway, by whoever the Gateway's owner lets (apis/v1 ListenerSet, GEP-1713). They
// are the Gateway's in everything but whose namespace they are of: routes and Secrets are those of the set's.

import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { allowsNamespace } from './attachment.ts';
import type { Fault } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { createdOf, GATEWAY_GROUP, generationOf } from './context.ts';
import type { Reader } from './dependencies.ts';
import { frontendOf } from './frontend-tls.ts';
import type { GatewayDraft, GatewayPlan, GatewayView, ListenerOwner } from './gateway.ts';
import { draftListeners, listenerViews } from './gateway.ts';
import { claimOf } from './gateway-class.ts';
import { namespacePolicy } from './listener.ts';
import { proxiedOf } from './proxy-protocol.ts';
import { anyText, shown, text } from './read.ts';

export interface ListenerSetDraft extends ListenerOwner {
  /** Key of the Gateway that it is for. */
  readonly gateway: ObjectKey;
}

export interface ListenerSetResult {
  /** Null when its Gateway is not ours. */
  readonly draft: ListenerSetDraft | null;
  readonly problems: Problems;
}

export function draftListenerSet(reader: Reader, object: KubeObject, options: TranslatorOptions): ListenerSetResult {
  const problems = new Problems(keyOf(object));
  const spec = fields(object.spec);
  const ref = fields(spec['parentRef']);
  const field = 'spec.parentRef';
  const kind = text(ref['kind']) ?? 'Gateway';
  if ((anyText(ref['group']) ?? GATEWAY_GROUP) !== GATEWAY_GROUP || kind !== 'Gateway') {
    problems.warning(field, `ListenerSets attach to Gateways only, not to ${shown(kind)}.`);
    return { draft: null, problems };
  }
  const namespace = object.metadata.namespace ?? '';
  const gatewayNamespace = text(ref['namespace']) ?? namespace;
  const gatewayName = text(ref['name']) ?? '';
  const gateway = reader.get('Gateway', gatewayNamespace, gatewayName);
  if (gateway === undefined) {
    const missing = objectKey('Gateway', gatewayNamespace, gatewayName);
    problems.warning(field, `Gateway ${gatewayNamespace}/${gatewayName} does not exist.`, missing);
    return { draft: null, problems };
  }
  const parent = fields(gateway.spec);
  if (!claimOf(reader, anyText(parent['gatewayClassName']) ?? '', options).ours) return { draft: null, problems };

  // What is wrong with the Gateway is told of the Gateway.
  const theirs = new Problems(null);
  const { namespaces } = fields(parent['allowedListeners']);
  const policy = namespacePolicy(namespaces, 'None', '', theirs) ?? { from: 'None' };
  const allowed = allowsNamespace(reader, policy, gatewayNamespace, namespace);
  let refused: Fault | null = null;
  if (!allowed) {
    const which = policy.from === 'None' ? 'ListenerSets' : `ListenerSets of namespace ${namespace}`;
    const message = `Gateway ${gatewayNamespace}/${gatewayName} lets no ${which} attach (its spec.allowedListeners).`;
    refused = { name: 'setNotAllowed', message };
    problems.error(field, message);
  }
  const wide = {
    frontend: frontendOf(reader, gateway, theirs),
    proxied: proxiedOf(gateway, options.proxyProtocol ?? [], theirs),
  };
  const listeners = allowed
    ? draftListeners(reader, { kind: 'ListenerSet', namespace }, spec, options, wide, problems)
    : [];
  const draft: ListenerSetDraft = {
    key: keyOf(object),
    name: `${namespace}/${object.metadata.name}`,
    namespace,
    created: createdOf(object),
    generation: generationOf(object),
    gateway: objectKey('Gateway', gatewayNamespace, gatewayName),
    refused,
    listeners,
    conflicts: listeners.map(() => null),
  };
  return { draft, problems };
}

/** Why nothing of a set can be served, its Gateway (null: there is none any more) taken into account. */
export function refusalOf(draft: ListenerSetDraft, gateway: GatewayDraft | null): Fault | null {
  if (draft.refused !== null || gateway?.refused === null) return draft.refused;
  const why = gateway === null ? '' : `: ${gateway.refused?.message ?? ''}`;
  const message = `Gateway ${draft.gateway.slice('Gateway/'.length)} is not accepted${why}`;
  return { name: 'setParent', message };
}

/** The set as routes see it. */
export function viewOfSet(draft: ListenerSetDraft, plan: GatewayPlan, gateway: GatewayDraft): GatewayView {
  return {
    kind: 'ListenerSet',
    key: draft.key,
    gateway: draft.gateway,
    refused: draft.refused === null ? null : draft.refused.message,
    name: draft.name,
    namespace: draft.namespace,
    clientCertificate: gateway.clientCertificate,
    listeners: listenerViews(draft, plan),
  };
}
