// Every condition that the translator writes: type, status, reason and message in one table, after the constants of
// Gateway API v1.6.1 (apis/v1). Statuses have the API's shape without lastTransitionTime, which whoever writes them
// adds.

import { hash } from 'node:crypto';
import type { ObjectKey } from '../api/object.ts';
import { LIMITS } from '../base/limits.ts';

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  /**
   * True only once every worker serves the revision, or one before it with the same digest: it tells what has to be
   * served, which may be long. publish/status.ts decides, and takes this field away.
   */
  readonly pendsOn?: string;
}

export interface ParentReference {
  readonly group: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly sectionName?: string;
  readonly port?: number;
}

export interface RouteParentStatus {
  readonly parentRef: ParentReference;
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

export interface RouteStatus {
  readonly parents: readonly RouteParentStatus[];
}

export interface RouteGroupKind {
  readonly group: string;
  readonly kind: string;
}

export interface ListenerStatus {
  readonly name: string;
  readonly supportedKinds: readonly RouteGroupKind[];
  readonly attachedRoutes: number;
  readonly conditions: readonly Condition[];
}

export interface GatewayAddress {
  readonly type: 'IPAddress' | 'Hostname';
  readonly value: string;
}

export interface GatewayStatus {
  readonly addresses: readonly GatewayAddress[];
  readonly conditions: readonly Condition[];
  readonly listeners: readonly ListenerStatus[];
  /** Accepted ListenerSets; where the Gateway lets any attach. */
  readonly attachedListenerSets?: number;
}

export interface ListenerSetStatus {
  readonly conditions: readonly Condition[];
  readonly listeners: readonly ListenerStatus[];
}

export interface GatewayClassStatus {
  readonly conditions: readonly Condition[];
  /** Ascending by name, as the API asks; absent where its definition does not have them so. */
  readonly supportedFeatures?: readonly { readonly name: string }[];
}

/** Where an Ingress is to be reached (networking.k8s.io/v1 IngressStatus). */
export interface IngressStatus {
  readonly loadBalancer: { readonly ingress: readonly ({ readonly ip: string } | { readonly hostname: string })[] };
}

export interface PolicyAncestorStatus {
  readonly ancestorRef: ParentReference;
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

export interface PolicyStatus {
  readonly ancestors: readonly PolicyAncestorStatus[];
}

/** What `status` of an object should say, our part of it only: for a route, the parents that are ours. */
export type Status =
  | RouteStatus
  | GatewayStatus
  | ListenerSetStatus
  | GatewayClassStatus
  | PolicyStatus
  | IngressStatus;

type Row = readonly [type: string, status: Condition['status'], reason: string, message: string];

const TABLE = {
  // GatewayClass
  classAccepted: ['Accepted', 'True', 'Accepted', 'Served by this controller.'],
  classParameters: ['Accepted', 'False', 'InvalidParameters', ''],
  versionSupported: [
    'SupportedVersion',
    'True',
    'SupportedVersion',
    'The installed Gateway API is a supported version.',
  ],
  versionUnsupported: ['SupportedVersion', 'False', 'UnsupportedVersion', ''],
  // Gateway
  gatewayAccepted: ['Accepted', 'True', 'Accepted', 'All listeners are valid.'],
  gatewaySomeListeners: ['Accepted', 'True', 'ListenersNotValid', ''],
  gatewayNoListeners: ['Accepted', 'False', 'ListenersNotValid', ''],
  gatewayInvalid: ['Accepted', 'False', 'Invalid', ''],
  gatewayParameters: ['Accepted', 'False', 'InvalidParameters', ''],
  gatewayAddressType: ['Accepted', 'False', 'UnsupportedAddress', ''],
  gatewayProgrammed: ['Programmed', 'True', 'Programmed', 'Configured in the data plane.'],
  gatewayNotAccepted: ['Programmed', 'False', 'Invalid', 'The Gateway is not accepted.'],
  gatewayUnprogrammed: ['Programmed', 'False', 'Invalid', 'No listener can be programmed.'],
  gatewayAddress: ['Programmed', 'False', 'AddressNotUsable', ''],
  gatewayResolved: ['ResolvedRefs', 'True', 'ResolvedRefs', 'All references are resolved.'],
  gatewayUnresolved: ['ResolvedRefs', 'False', 'ListenersNotResolved', ''],
  gatewayClientCertificate: ['ResolvedRefs', 'False', 'InvalidClientCertificateRef', ''],
  gatewayNotPermitted: ['ResolvedRefs', 'False', 'RefNotPermitted', ''],
  gatewayInsecureClients: ['InsecureFrontendValidationMode', 'True', 'ConfigurationChanged', ''],
  gatewayUnassigned: ['Programmed', 'False', 'AddressNotAssigned', ''],
  programmedPending: ['Programmed', 'False', 'Pending', 'Waiting for the data plane.'],
  programmedRefused: ['Programmed', 'False', 'Refused', ''],
  programmedQuarantined: ['Programmed', 'False', 'Quarantined', ''],
  // ListenerSet
  setAccepted: ['Accepted', 'True', 'Accepted', 'All listeners are valid.'],
  setSomeListeners: ['Accepted', 'True', 'ListenersNotValid', ''],
  setNoListeners: ['Accepted', 'False', 'ListenersNotValid', ''],
  setNotAllowed: ['Accepted', 'False', 'NotAllowed', ''],
  setParent: ['Accepted', 'False', 'ParentNotAccepted', ''],
  setProgrammed: ['Programmed', 'True', 'Programmed', 'Configured in the data plane.'],
  setUnprogrammed: ['Programmed', 'False', 'ListenersNotValid', 'No listener can be programmed.'],
  setNotAllowedUnprogrammed: ['Programmed', 'False', 'NotAllowed', ''],
  setParentUnprogrammed: ['Programmed', 'False', 'ParentNotProgrammed', ''],
  // Listener
  listenerAccepted: ['Accepted', 'True', 'Accepted', 'The listener is valid.'],
  listenerProtocol: ['Accepted', 'False', 'UnsupportedProtocol', ''],
  listenerValue: ['Accepted', 'False', 'UnsupportedValue', ''],
  listenerPort: ['Accepted', 'False', 'PortUnavailable', ''],
  listenerHostnameTaken: ['Accepted', 'False', 'HostnameConflict', ''],
  listenerProtocolTaken: ['Accepted', 'False', 'ProtocolConflict', ''],
  listenerProgrammed: ['Programmed', 'True', 'Programmed', 'Configured in the data plane.'],
  listenerInvalid: ['Programmed', 'False', 'Invalid', ''],
  listenerHostnameUnprogrammed: ['Programmed', 'False', 'HostnameConflict', ''],
  listenerProtocolUnprogrammed: ['Programmed', 'False', 'ProtocolConflict', ''],
  listenerPortUnprogrammed: ['Programmed', 'False', 'PortUnavailable', ''],
  listenerAddress: ['Programmed', 'False', 'AddressNotUsable', ''],
  listenerResolved: ['ResolvedRefs', 'True', 'ResolvedRefs', 'All references are resolved.'],
  listenerRouteKinds: ['ResolvedRefs', 'False', 'InvalidRouteKinds', ''],
  listenerCertificate: ['ResolvedRefs', 'False', 'InvalidCertificateRef', ''],
  listenerNotPermitted: ['ResolvedRefs', 'False', 'RefNotPermitted', ''],
  listenerNoAuthority: ['Accepted', 'False', 'NoValidCACertificate', ''],
  listenerAuthority: ['ResolvedRefs', 'False', 'InvalidCACertificateRef', ''],
  listenerAuthorityKind: ['ResolvedRefs', 'False', 'InvalidCACertificateKind', ''],
  listenerDistinct: ['Conflicted', 'False', 'NoConflicts', 'No other listener takes the same traffic.'],
  listenerHostnameConflict: ['Conflicted', 'True', 'HostnameConflict', ''],
  listenerProtocolConflict: ['Conflicted', 'True', 'ProtocolConflict', ''],
  // Routes
  routeAccepted: ['Accepted', 'True', 'Accepted', 'The route is attached.'],
  routeNotAllowed: ['Accepted', 'False', 'NotAllowedByListeners', ''],
  routeNoHostname: ['Accepted', 'False', 'NoMatchingListenerHostname', ''],
  // (The API has a False for it and no reason.)
  routeHostnameTaken: ['Accepted', 'False', 'HostnameConflict', ''],
  routeNoParent: ['Accepted', 'False', 'NoMatchingParent', ''],
  routeValue: ['Accepted', 'False', 'UnsupportedValue', ''],
  routeFilters: ['Accepted', 'False', 'IncompatibleFilters', ''],
  routePartial: ['PartiallyInvalid', 'True', 'UnsupportedValue', ''],
  routeResolved: ['ResolvedRefs', 'True', 'ResolvedRefs', 'All references are resolved.'],
  routeNotPermitted: ['ResolvedRefs', 'False', 'RefNotPermitted', ''],
  routeKind: ['ResolvedRefs', 'False', 'InvalidKind', ''],
  routeBackend: ['ResolvedRefs', 'False', 'BackendNotFound', ''],
  routeProtocol: ['ResolvedRefs', 'False', 'UnsupportedProtocol', ''],
  // Routes, Gateways, ListenerSets: what works otherwise than written
  warnings: ['rauta.io/Warnings', 'True', 'NotAsWritten', ''],
  // XBackend; what its validation comes to has the words of a BackendTLSPolicy
  externalAccepted: ['Accepted', 'True', 'Accepted', 'Its host is asked as it says.'],
  externalProtocol: ['Accepted', 'False', 'UnsupportedProtocol', ''],
  externalForbidden: ['Accepted', 'False', 'Forbidden', ''],
  externalCertificate: ['ResolvedRefs', 'False', 'InvalidClientCertificateRef', ''],
  externalNotPermitted: ['ResolvedRefs', 'False', 'RefNotPermitted', ''],
  // BackendTLSPolicy, XBackendTrafficPolicy
  policyAccepted: ['Accepted', 'True', 'Accepted', 'TLS is spoken as the policy says.'],
  trafficAccepted: ['Accepted', 'True', 'Accepted', 'Retries are limited as the policy says.'],
  policyConflicted: ['Accepted', 'False', 'Conflicted', ''],
  policyTarget: ['Accepted', 'False', 'TargetNotFound', ''],
  policyInvalid: ['Accepted', 'False', 'Invalid', ''],
  policyNoAuthority: ['Accepted', 'False', 'NoValidCACertificate', ''],
  policyResolved: ['ResolvedRefs', 'True', 'ResolvedRefs', 'All references are resolved.'],
  policyAuthority: ['ResolvedRefs', 'False', 'InvalidCACertificateRef', ''],
  policyAuthorityKind: ['ResolvedRefs', 'False', 'InvalidKind', ''],
} as const satisfies Record<string, Row>;

export type ConditionName = keyof typeof TABLE;

/** A condition that is False (or a conflict that is True), and why. */
export interface Fault {
  readonly name: ConditionName;
  readonly message: string;
  /** It finds this object missing. */
  readonly absent?: ObjectKey;
}

/** Longest message the API takes. */
const MESSAGE_LENGTH = 32_768;

/** Conditions with the table's own words, one for all that are equal: listeners have three of them each. */
const standards = new Map<string, Condition>();

/**
 * The condition of that name for an object of that generation; rows without a message need one. Nobody may change it.
 */
export function condition(name: ConditionName, generation: number, message?: string): Condition {
  if (message !== undefined) return newCondition(name, generation, message);
  const id = `${name} ${generation}`;
  let known = standards.get(id);
  if (known === undefined) {
    known = Object.freeze(newCondition(name, generation));
    if (standards.size >= LIMITS.SHARED_VALUES) standards.clear();
    standards.set(id, known);
  }
  return known;
}

function newCondition(name: ConditionName, generation: number, message?: string): Condition {
  const [type, status, reason, standard]: Row = TABLE[name];
  return {
    type,
    status,
    reason,
    message: (message ?? standard).slice(0, MESSAGE_LENGTH),
    observedGeneration: generation,
  };
}

/** The same, true once what `what` tells is served by every worker. */
export function onceServed(name: ConditionName, generation: number, what: string): Condition {
  return { ...condition(name, generation), pendsOn: hash('sha256', what, 'base64') };
}

/** Every condition there is, for the reference page and its test. */
export function conditionTable(): readonly {
  readonly name: ConditionName;
  readonly type: string;
  readonly status: string;
  readonly reason: string;
}[] {
  return (Object.entries(TABLE) as [ConditionName, Row][]).map(([name, [type, status, reason]]) => ({
    ...{ name, type, status, reason },
  }));
}
