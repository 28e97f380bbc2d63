// Gateway: a draft of each by itself, then, when every draft has been placed on sockets, its view for routes.

import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { type Fields, fields } from '../base/fields.ts';
import type { GatewayEntry, Key, SocketHost } from '../ir/ir.ts';
import { gatewayKey } from '../ir/keys.ts';
import type { Addresses } from './addresses.ts';
import { claimAddresses } from './addresses.ts';
import { type ClientCertificate, clientCertificateOf } from './client-certificate.ts';
import type { Fault } from './conditions.ts';
import type { AddressClaim, ServiceType, TranslatorOptions } from './context.ts';
import { createdOf, generationOf } from './context.ts';
import type { Reader } from './dependencies.ts';
import { frontendOf } from './frontend-tls.ts';
import { claimOf } from './gateway-class.ts';
import type { Conflict, GatewayWide, ListenerDraft, NamespacePolicy } from './listener.ts';
import { conflictsWithin, draftListener, lacksCertificate, namespacePolicy } from './listener.ts';
import type { Referrer } from './listener-tls.ts';
import { type Effective, effective, type Found, parametersOf } from './parameters.ts';
import { proxiedOf } from './proxy-protocol.ts';
import { anyText, list, shown } from './read.ts';

/** What has listeners: a Gateway, or a ListenerSet that is attached to one. */
export interface ListenerOwner {
  readonly key: ObjectKey;
  /** `namespace/name`. */
  readonly name: string;
  readonly namespace: string;
  readonly created: number;
  readonly generation: number;
  /** Why nothing of it can be served. */
  readonly refused: Fault | null;
  readonly listeners: readonly ListenerDraft[];
  /** Conflicts among a Gateway's own listeners, by listener; those of sets are found with all others. */
  readonly conflicts: readonly (Conflict | null)[];
}

export interface GatewayDraft extends ListenerOwner {
  readonly className: string;
  /** Empty where the object came from a file. */
  readonly uid: string;
  /** What it wants to stand on what is made for it (spec.infrastructure). */
  readonly infrastructure: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  /** The type of Service that its parameters ask for; null: they ask for none. */
  readonly service: ServiceType | null;
  /** Its entry, when a listener of it is served. */
  readonly entry: GatewayEntry;
  readonly addresses: AddressClaim;
  readonly clientCertificate: ClientCertificate;
  /** Namespaces whose ListenerSets may attach. */
  readonly sets: NamespacePolicy;
}

/** Where a Gateway, or a ListenerSet of it, ended up among all others. */
export interface GatewayPlan {
  readonly addresses: Addresses;
  /** By listener. */
  readonly placements: readonly Placement[];
}

/** Where one listener ended up: its sockets, or the conflict with what comes first that keeps it off them. */
export interface Placement {
  readonly sockets: readonly Key[];
  /** What it is there; null when it is on none. */
  readonly host: SocketHost | null;
  readonly conflict: Conflict | null;
}

/** A Gateway or ListenerSet as routes see it. */
export interface GatewayView {
  readonly kind: 'Gateway' | 'ListenerSet';
  readonly key: ObjectKey;
  /** Key of the Gateway: its own, or the one that the set is attached to. */
  readonly gateway: ObjectKey;
  /** Why no route can attach: of a set that its Gateway does not have. */
  readonly refused: string | null;
  readonly name: string;
  readonly namespace: string;
  readonly listeners: readonly ListenerView[];
  /** What its requests show to backends that ask for one. */
  readonly clientCertificate: ClientCertificate;
}

export interface ListenerView {
  readonly name: string;
  readonly port: number;
  readonly hostname: string;
  readonly protocol: string;
  /** Of TLS: it does not end here. */
  readonly passthrough: boolean;
  readonly kinds: readonly string[];
  readonly namespaces: NamespacePolicy;
  /** Something is wrong with it, of which its Gateway tells. */
  readonly faulty: boolean;
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
      const known = `it is not served. "${options.implicitClass}" needs no GatewayClass: write that, or make one`;
      const message = `GatewayClass ${shown(className)} does not exist: ${known}.`;
      problems.warning('spec.gatewayClassName', message, objectKey('GatewayClass', '', className));
    }
    return { draft: null, problems };
  }

  const namespace = object.metadata.namespace ?? '';
  const wide = {
    frontend: frontendOf(reader, object, problems),
    proxied: proxiedOf(object, options.proxyProtocol ?? [], problems),
  };
  const listeners = draftListeners(reader, { kind: 'Gateway', namespace }, spec, options, wide, problems);
  const conflicts = conflictsWithin(listeners);
  for (const [i, conflict] of conflicts.entries()) {
    // Told once, at the later one.
    const earlier = listeners
      .slice(0, i)
      .some((other, j) => conflicts[j] !== null && inOneAnothersWay(other, listeners[i]));
    if (conflict === null || !earlier) continue;
    const way = conflict.type === 'hostname' ? 'another port or hostname' : 'another port';
    problems.error((listeners[i] as ListenerDraft).field, `${conflict.message} Neither is served: give one ${way}.`);
  }
  const addresses = claimAddresses(object, options, problems);
  const { namespaces } = fields(spec['allowedListeners']);
  const sets = namespacePolicy(namespaces, 'None', 'spec.allowedListeners.namespaces', problems);
  const name = `${namespace}/${object.metadata.name}`;
  const parameters = gatewayParameters(reader, claim.parameters, namespace, spec);
  if (parameters.service !== null && (options.exposure?.serviceType ?? null) === null) {
    const message = `service.type ${parameters.service} has no effect: no Service is kept for Gateways here.`;
    problems.warning('spec.infrastructure.parametersRef', message);
  }
  const draft: GatewayDraft = {
    key: keyOf(object),
    name,
    namespace,
    created: createdOf(object),
    generation: generationOf(object),
    className,
    uid: object.metadata.uid ?? '',
    infrastructure: infrastructureOf(spec),
    service: parameters.service,
    entry: { kind: 'gateway', key: gatewayKey(namespace, object.metadata.name), name, ...parameters.entry },
    refused: refusal(claim.parameters, className, parameters, addresses.unsupported, problems),
    addresses,
    clientCertificate: clientCertificateOf(reader, object, problems),
    sets: sets ?? { from: 'None' },
    listeners,
    conflicts,
  };
  return { draft, problems };
}

function inOneAnothersWay(a: ListenerDraft, b: ListenerDraft | undefined): boolean {
  return a.boundPort === b?.boundPort;
}

/** All of `spec.listeners`, of a Gateway or a ListenerSet. */
export function draftListeners(
  reader: Reader,
  owner: Referrer,
  spec: Fields,
  options: TranslatorOptions,
  wide: GatewayWide,
  problems: Problems,
): ListenerDraft[] {
  const listeners: ListenerDraft[] = [];
  for (const [index, value] of list(spec['listeners']).entries()) {
    const draft = draftListener(reader, owner, index, value, options, wide, problems);
    if (listeners.some((other) => other.name === draft.name)) {
      problems.error(`${draft.field}.name`, `Another listener is named ${shown(draft.name)}; this one is ignored.`);
    } else listeners.push(draft);
  }
  return listeners;
}

function infrastructureOf(spec: Fields): GatewayDraft['infrastructure'] {
  const { labels, annotations } = fields(spec['infrastructure']);
  return { labels: textsOf(labels), annotations: textsOf(annotations) };
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(fields(value)).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
}

/** Of the class and of the Gateway itself; a class whose own are refused refuses the Gateway before they matter. */
function gatewayParameters(reader: Reader, ofClass: Found, namespace: string, spec: Fields): Effective {
  const ref = fields(spec['infrastructure'])['parametersRef'];
  const own = parametersOf(reader, 'GatewayParameters', namespace, ref);
  if (own.spec === null) return { ...effective({}, {}), fault: own.fault, ...absence(own) };
  return effective(ofClass.spec ?? {}, own.spec);
}

function absence({ absent }: { readonly absent?: ObjectKey }): { absent?: ObjectKey } {
  return absent === undefined ? {} : { absent };
}

function refusal(
  ofClass: Found,
  className: string,
  parameters: Effective,
  unsupportedAddress: string | null,
  problems: Problems,
): Fault | null {
  if (ofClass.fault !== null) {
    const message = `GatewayClass ${className} is not accepted: ${ofClass.fault}`;
    problems.error('spec.gatewayClassName', message, ofClass.absent);
    return { name: 'gatewayInvalid', message };
  }
  if (parameters.fault !== null) {
    problems.error('spec.infrastructure.parametersRef', parameters.fault, parameters.absent);
    return { name: 'gatewayParameters', message: parameters.fault };
  }
  return unsupportedAddress === null ? null : { name: 'gatewayAddressType', message: unsupportedAddress };
}

/** Whether a listener is to be placed on sockets. */
export function isPlaceable(draft: ListenerOwner, index: number): boolean {
  const listener = draft.listeners[index] as ListenerDraft;
  return (
    draft.refused === null &&
    listener.fault === null &&
    listener.kinds.length > 0 &&
    draft.conflicts[index] === null &&
    !lacksCertificate(listener)
  );
}

export function viewOf(draft: GatewayDraft, plan: GatewayPlan): GatewayView {
  return {
    kind: 'Gateway',
    key: draft.key,
    gateway: draft.key,
    refused: null,
    name: draft.name,
    namespace: draft.namespace,
    clientCertificate: draft.clientCertificate,
    listeners: listenerViews(draft, plan),
  };
}

export function listenerViews({ listeners }: ListenerOwner, { placements }: GatewayPlan): ListenerView[] {
  return listeners.map((listener, i) => ({
    name: listener.name,
    port: listener.port,
    hostname: listener.hostname,
    protocol: listener.protocol,
    passthrough: listener.passthrough,
    kinds: listener.kinds.map((kind) => kind.kind),
    namespaces: listener.namespaces,
    faulty: listener.fault !== null || listener.refs !== null || listener.closed !== null,
    sockets: placements[i]?.sockets ?? [],
  }));
}
