// Gateway: a draft of each by itself, then, when every draft has been placed on sockets, its view for routes and its status.

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import { type Problem, Problems } from '../api/problem.ts';
import { type Fields, fields, isFields } from '../base/fields.ts';
import type { Key } from '../ir/ir.ts';
import type { AddressClaim, Addresses } from './addresses.ts';
import { claimAddresses } from './addresses.ts';
import type { Condition, ConditionName, GatewayStatus, ListenerStatus } from './conditions.ts';
import { condition } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { createdOf, generationOf } from './context.ts';
import type { Reader } from './dependencies.ts';
import { claimOf, parametersFault } from './gateway-class.ts';
import type { Conflict, Fault, ListenerDraft, NamespacePolicy } from './listener.ts';
import { conflictsWithin, draftListener } from './listener.ts';
import { anyText, list, shown } from './read.ts';

export interface GatewayDraft {
  readonly key: ObjectKey;
  /** `namespace/name`. */
  readonly name: string;
  readonly namespace: string;
  readonly created: number;
  readonly generation: number;
  /** Why nothing of the Gateway can be served. */
  readonly refused: Fault | null;
  readonly addresses: AddressClaim;
  readonly listeners: readonly ListenerDraft[];
  /** Conflicts within the Gateway, by listener. */
  readonly conflicts: readonly (Conflict | null)[];
}

/** Where a Gateway ended up among all others. */
export interface GatewayPlan {
  readonly addresses: Addresses;
  /** By listener. */
  readonly placements: readonly Placement[];
}

/** Where one listener ended up: its sockets, or the conflict with another Gateway that keeps it off them. */
export interface Placement {
  readonly sockets: readonly Key[];
  readonly conflict: Conflict | null;
}

/** A Gateway as routes see it. */
export interface GatewayView {
  readonly key: ObjectKey;
  readonly name: string;
  readonly namespace: string;
  readonly listeners: readonly ListenerView[];
}

export interface ListenerView {
  readonly name: string;
  readonly port: number;
  readonly hostname: string;
  readonly kinds: readonly string[];
  readonly namespaces: NamespacePolicy;
  /** Keys of sockets; empty when the listener is not served. */
  readonly sockets: readonly Key[];
}

export interface GatewayResult {
  /** Null when the Gateway is not ours. */
  readonly draft: GatewayDraft | null;
  readonly problems: Problems;
}

export function draftGateway(reader: Reader, object: KubeObject, options: TranslatorOptions): GatewayResult {
  const problems = new Problems(keyOf(object));
  const spec = fields(object.spec);
  const className = anyText(spec['gatewayClassName']) ?? '';
  const claim = claimOf(reader, className, options);
  if (!claim.ours) {
    if (claim.missing && options.implicitClass !== null) {
      const known = `"${options.implicitClass}" needs no GatewayClass`;
      problems.warning('spec.gatewayClassName', `GatewayClass ${shown(className)} does not exist; ${known}.`);
    }
    return { draft: null, problems };
  }

  const namespace = object.metadata.namespace ?? '';
  const listeners: ListenerDraft[] = [];
  for (const [index, value] of list(spec['listeners']).entries()) {
    const draft = draftListener(reader, namespace, index, value, options, problems);
    if (listeners.some((other) => other.name === draft.name)) {
      problems.error(`${draft.field}.name`, `Another listener is named ${shown(draft.name)}; this one is ignored.`);
    } else listeners.push(draft);
  }
  const conflicts = conflictsWithin(listeners);
  for (const [i, conflict] of conflicts.entries()) {
    if (conflict !== null) problems.error((listeners[i] as ListenerDraft).field, conflict.message);
  }

  const addresses = claimAddresses(object, options, problems);
  unsupportedFields(spec, problems);
  const draft: GatewayDraft = {
    key: keyOf(object),
    name: `${namespace}/${object.metadata.name}`,
    namespace,
    created: createdOf(object),
    generation: generationOf(object),
    refused: refusal(claim.refused, className, spec, addresses.unsupported, problems),
    addresses,
    listeners,
    conflicts,
  };
  return { draft, problems };
}

function refusal(
  classRefused: string | null,
  className: string,
  spec: Fields,
  unsupportedAddress: string | null,
  problems: Problems,
): Fault | null {
  if (classRefused !== null) {
    const message = `GatewayClass ${className} is not accepted: ${classRefused}`;
    problems.error('spec.gatewayClassName', message);
    return { name: 'gatewayInvalid', message };
  }
  const parameters = parametersFault(fields(spec['infrastructure'])['parametersRef']);
  if (parameters !== null) {
    problems.error('spec.infrastructure.parametersRef', parameters);
    return { name: 'gatewayParameters', message: parameters };
  }
  return unsupportedAddress === null ? null : { name: 'gatewayAddressType', message: unsupportedAddress };
}

function unsupportedFields(spec: Fields, problems: Problems): void {
  if (isFields(spec['tls']))
    problems.warning('spec.tls', 'Gateway-wide TLS settings are not supported and have no effect.');
  const from = fields(fields(spec['allowedListeners'])['namespaces'])['from'] ?? 'None';
  if (from !== 'None') problems.warning('spec.allowedListeners', 'ListenerSets are not supported and none attaches.');
}

/** What is wrong with a Gateway for what other Gateways are. */
export function planProblems(draft: GatewayDraft, plan: GatewayPlan): readonly Problem[] {
  const problems = new Problems(draft.key);
  const { fault } = plan.addresses;
  // An address that cannot be had was named with the draft.
  if (fault !== null && draft.addresses.unusable === null) problems.error('spec.addresses', fault.message);
  for (const [i, { conflict }] of plan.placements.entries()) {
    if (conflict !== null) problems.error((draft.listeners[i] as ListenerDraft).field, conflict.message);
  }
  return problems.found;
}

/** Whether a listener is to be placed on sockets. */
export function isPlaceable(draft: GatewayDraft, index: number): boolean {
  const listener = draft.listeners[index] as ListenerDraft;
  return (
    draft.refused === null && listener.fault === null && listener.kinds.length > 0 && draft.conflicts[index] === null
  );
}

export function viewOf(draft: GatewayDraft, plan: GatewayPlan): GatewayView {
  return {
    key: draft.key,
    name: draft.name,
    namespace: draft.namespace,
    listeners: draft.listeners.map((listener, i) => ({
      name: listener.name,
      port: listener.port,
      hostname: listener.hostname,
      kinds: listener.kinds.map((kind) => kind.kind),
      namespaces: listener.namespaces,
      sockets: (plan.placements[i] as Placement).sockets,
    })),
  };
}

/** `attached`: accepted routes by listener name. */
export function gatewayStatus(
  draft: GatewayDraft,
  plan: GatewayPlan,
  attached: ReadonlyMap<string, number>,
): GatewayStatus {
  const listeners = draft.listeners.map((listener, i) => {
    const conflict = draft.conflicts[i] ?? (plan.placements[i] as Placement).conflict;
    return listenerStatus(draft, plan, listener, conflict, attached.get(listener.name) ?? 0);
  });
  return {
    addresses: plan.addresses.status.map((value) => ({ type: 'IPAddress', value })),
    conditions: gatewayConditions(draft, plan, listeners),
    listeners,
  };
}

function isTrue(status: ListenerStatus, type: string): boolean {
  return status.conditions.some((c) => c.type === type && c.status === 'True');
}

function gatewayConditions(draft: GatewayDraft, plan: GatewayPlan, listeners: readonly ListenerStatus[]): Condition[] {
  const { fault } = plan.addresses;
  const { generation } = draft;
  const valid = listeners.filter((listener) => isTrue(listener, 'Accepted'));
  const message = `Not valid: ${naming(listeners, (l) => !isTrue(l, 'Accepted'))}. Valid: ${naming(listeners, (l) => isTrue(l, 'Accepted'))}.`;
  let accepted: Condition;
  if (draft.refused !== null) accepted = condition(draft.refused.name, generation, draft.refused.message);
  else if (listeners.length > 0 && valid.length === listeners.length)
    accepted = condition('gatewayAccepted', generation);
  else accepted = condition(valid.length > 0 ? 'gatewaySomeListeners' : 'gatewayNoListeners', generation, message);

  let programmed: Condition;
  if (accepted.status !== 'True') programmed = condition('gatewayNotAccepted', generation);
  else if (fault !== null) programmed = condition(fault.name, generation, fault.message);
  else if (!listeners.some((listener) => isTrue(listener, 'Programmed'))) {
    programmed = condition('gatewayUnprogrammed', generation);
  } else programmed = condition('gatewayProgrammed', generation);

  const unresolved = naming(listeners, (listener) => !isTrue(listener, 'ResolvedRefs'));
  const resolved =
    unresolved === 'none'
      ? condition('gatewayResolved', generation)
      : condition('gatewayUnresolved', generation, `Listeners with references that do not resolve: ${unresolved}.`);
  return [accepted, programmed, resolved];
}

function naming(listeners: readonly ListenerStatus[], which: (listener: ListenerStatus) => boolean): string {
  const names = listeners.filter(which).map((listener) => listener.name);
  return names.length === 0 ? 'none' : names.join(', ');
}

const CONFLICT_CONDITIONS: Readonly<Record<Conflict['type'], readonly ConditionName[]>> = {
  hostname: ['listenerHostnameTaken', 'listenerHostnameUnprogrammed', 'listenerHostnameConflict'],
  protocol: ['listenerProtocolTaken', 'listenerProtocolUnprogrammed', 'listenerProtocolConflict'],
};

function listenerStatus(
  draft: GatewayDraft,
  plan: GatewayPlan,
  listener: ListenerDraft,
  conflict: Conflict | null,
  attachedRoutes: number,
): ListenerStatus {
  const { generation } = draft;
  let accepted: Condition;
  let programmed: Condition;
  let conflicted = condition('listenerDistinct', generation);
  if (conflict !== null) {
    const [taken, unprogrammed, name] = CONFLICT_CONDITIONS[conflict.type] as [
      ConditionName,
      ConditionName,
      ConditionName,
    ];
    accepted = condition(taken, generation, conflict.message);
    programmed = condition(unprogrammed, generation, conflict.message);
    conflicted = condition(name, generation, conflict.message);
  } else {
    accepted = condition('listenerAccepted', generation);
    programmed = listenerProgrammed(draft, plan, listener);
  }
  // What a listener is matters more than with whom it collides.
  if (listener.fault !== null) {
    accepted = condition(listener.fault.name, generation, listener.fault.message);
    programmed = condition('listenerInvalid', generation, listener.fault.message);
  }
  const resolved =
    listener.refs === null
      ? condition('listenerResolved', generation)
      : condition(listener.refs.name, generation, listener.refs.message);
  return {
    name: listener.name,
    supportedKinds: listener.kinds,
    attachedRoutes,
    conditions: [accepted, programmed, resolved, conflicted],
  };
}

function listenerProgrammed(draft: GatewayDraft, plan: GatewayPlan, listener: ListenerDraft): Condition {
  const { generation } = draft;
  if (draft.refused !== null) return condition('listenerInvalid', generation, 'The Gateway is not accepted.');
  if (listener.kinds.length === 0) return condition('listenerInvalid', generation, 'No kind of route can attach.');
  if (plan.addresses.bound.length === 0) return condition('listenerInvalid', generation, 'No usable address.');
  return condition('listenerProgrammed', generation);
}
