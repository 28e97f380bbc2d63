// Gateway: a draft of each by itself, then, when every draft has been placed on sockets, its view for routes and its status.

import type { Key } from '../ir/ir.ts';
import type { Problem } from '../source/source.ts';
import type { KubeObject, ObjectKey } from '../store/world.ts';
import { keyOf } from '../store/world.ts';
import type { Condition, ConditionName, GatewayStatus, ListenerStatus } from './conditions.ts';
import { condition } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { createdOf, generationOf } from './context.ts';
import type { Reader } from './dependencies.ts';
import { claimOf, parametersFault } from './gateway-class.ts';
import type { Conflict, Fault, ListenerDraft, NamespacePolicy } from './listener.ts';
import { conflictsWithin, draftListener } from './listener.ts';
import { Problems } from './problems.ts';
import type { Fields } from './read.ts';
import { anyText, fields, isAddress, isFields, list, shown, text } from './read.ts';

export interface GatewayDraft {
  readonly key: ObjectKey;
  /** `namespace/name`. */
  readonly name: string;
  readonly namespace: string;
  readonly created: number;
  readonly generation: number;
  /** Why nothing of the Gateway can be served. */
  readonly refused: Fault | null;
  /** Where its listeners are bound. */
  readonly addresses: readonly string[];
  readonly statusAddresses: readonly string[];
  /** Which asked-for addresses cannot be had, if any. */
  readonly addressFault: string | null;
  readonly listeners: readonly ListenerDraft[];
  /** Conflicts within the Gateway, by listener. */
  readonly conflicts: readonly (Conflict | null)[];
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
  /** Keys of listener entries; empty when the listener is not served. */
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

  const addresses = addressesOf(spec, options, problems);
  unsupportedFields(spec, problems);
  const draft: GatewayDraft = {
    key: keyOf(object),
    name: `${namespace}/${object.metadata.name}`,
    namespace,
    created: createdOf(object),
    generation: generationOf(object),
    refused: refusal(claim.refused, className, spec, addresses.unsupported, problems),
    addresses: addresses.bound,
    statusAddresses: addresses.status,
    addressFault: addresses.fault,
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

interface Addresses {
  readonly bound: readonly string[];
  readonly status: readonly string[];
  readonly unsupported: string | null;
  readonly fault: string | null;
}

/**
 * Addresses to bind (apis/v1 GatewaySpec.Addresses): IPAddress values are honoured, one without a value means whatever
 * the implementation assigns; a type we do not know refuses the Gateway, a value we cannot have leaves it unprogrammed.
 */
function addressesOf(spec: Fields, options: TranslatorOptions, problems: Problems): Addresses {
  const asked = list(spec['addresses']).map(fields);
  const defaults = { bound: options.defaultAddresses, status: options.statusAddresses ?? options.defaultAddresses };
  if (asked.length === 0) return { ...defaults, unsupported: null, fault: null };
  const bound = new Set<string>();
  const status = new Set<string>();
  let unsupported: string | null = null;
  const unusable: string[] = [];
  for (const [index, address] of asked.entries()) {
    const type = address['type'] ?? 'IPAddress';
    const value = text(address['value']);
    if (type !== 'IPAddress') {
      const message = `Addresses of type ${shown(type)} are not supported, only IPAddress.`;
      unsupported ??= message;
      problems.error(`spec.addresses[${index}].type`, message);
    } else if (value === undefined) {
      for (const one of defaults.bound) bound.add(one);
      for (const one of defaults.status) status.add(one);
    } else if (isAddress(value) && (options.isUsableAddress?.(value) ?? true)) {
      bound.add(value);
      status.add(value);
    } else {
      unusable.push(value);
      problems.error(`spec.addresses[${index}].value`, `Address ${shown(value)} cannot be bound here.`);
    }
  }
  const fault = unusable.length === 0 ? null : `Addresses that cannot be bound here: ${unusable.join(', ')}.`;
  return { bound: [...bound], status: [...status], unsupported, fault };
}

/** What is wrong with a Gateway for what other Gateways are. */
export function placementProblems(draft: GatewayDraft, placements: readonly Placement[]): readonly Problem[] {
  const problems = new Problems(draft.key);
  for (const [i, { conflict }] of placements.entries()) {
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

export function viewOf(draft: GatewayDraft, placements: readonly Placement[]): GatewayView {
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
      sockets: (placements[i] as Placement).sockets,
    })),
  };
}

/** `attached`: accepted routes by listener name. */
export function gatewayStatus(
  draft: GatewayDraft,
  placements: readonly Placement[],
  attached: ReadonlyMap<string, number>,
): GatewayStatus {
  const listeners = draft.listeners.map((listener, i) => {
    const conflict = draft.conflicts[i] ?? (placements[i] as Placement).conflict;
    return listenerStatus(draft, listener, conflict, attached.get(listener.name) ?? 0);
  });
  return {
    addresses: (draft.refused === null ? draft.statusAddresses : []).map((value) => ({ type: 'IPAddress', value })),
    conditions: gatewayConditions(draft, listeners),
    listeners,
  };
}

function isTrue(status: ListenerStatus, type: string): boolean {
  return status.conditions.some((c) => c.type === type && c.status === 'True');
}

function gatewayConditions(draft: GatewayDraft, listeners: readonly ListenerStatus[]): Condition[] {
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
  else if (draft.addressFault !== null) programmed = condition('gatewayAddress', generation, draft.addressFault);
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
    programmed = listenerProgrammed(draft, listener);
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

function listenerProgrammed(draft: GatewayDraft, listener: ListenerDraft): Condition {
  const { generation } = draft;
  if (draft.refused !== null) return condition('listenerInvalid', generation, 'The Gateway is not accepted.');
  if (listener.kinds.length === 0) return condition('listenerInvalid', generation, 'No kind of route can attach.');
  if (draft.addresses.length === 0) return condition('listenerInvalid', generation, 'No usable address.');
  return condition('listenerProgrammed', generation);
}
