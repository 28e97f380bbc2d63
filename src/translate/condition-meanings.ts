// What each condition means to whoever reads it: when it is written, and what to do. For docs/reference/conditions.md;
// the compiler demands a row for each condition there is.

import type { ConditionName } from './conditions.ts';

export interface Meaning {
  readonly when: string;
  /** Empty where nothing has to be done. */
  readonly todo: string;
}

const FINE = '';
const GRANT =
  'Write a ReferenceGrant in the namespace that is referred to, for this kind and namespace; the message names both.';

export const MEANINGS: Readonly<Record<ConditionName, Meaning>> = {
  // GatewayClass
  classAccepted: { when: 'The class names this controller (`--controller-name`).', todo: FINE },
  classParameters: {
    when: '`spec.parametersRef` names what does not exist, is of another kind, or is wrong itself.',
    todo: 'Make it the name of a GatewayClassParameters that `rauta check` has nothing against, or leave it out.',
  },
  versionSupported: { when: 'The definitions of the cluster are of v1.6.', todo: FINE },
  versionUnsupported: {
    when: 'The definitions of the cluster are of another version; what they have in common is served.',
    todo: 'Install the definitions of v1.6, or expect that newer fields have no effect.',
  },
  // Gateway
  gatewayAccepted: { when: 'Every listener is good.', todo: FINE },
  gatewaySomeListeners: {
    when: 'Some listeners are not valid; the others are served.',
    todo: 'Look at the conditions of the listeners that the message names.',
  },
  gatewayNoListeners: {
    when: 'No listener is valid, or there is none: nothing of the Gateway is served.',
    todo: 'Look at the conditions of its listeners; each has its own.',
  },
  gatewayInvalid: {
    when: 'Its class is not accepted.',
    todo: 'Mend the GatewayClass that the message names: its own condition says what is wrong.',
  },
  gatewayParameters: {
    when: '`spec.infrastructure.parametersRef` names what does not exist, is of another kind, or is wrong itself.',
    todo: 'Make it the name of a GatewayParameters in the same namespace, or leave it out.',
  },
  gatewayAddressType: {
    when: 'An address of `spec.addresses` is of a type that is not served here.',
    todo: 'Write type IPAddress (or Hostname where the message says so), or leave the addresses out.',
  },
  gatewayProgrammed: { when: 'Every live worker serves it, and its sockets are open.', todo: FINE },
  gatewayNotAccepted: { when: 'Accepted is False.', todo: 'Mend what Accepted says; this one follows from it.' },
  gatewayUnprogrammed: {
    when: 'No listener can be served, though some are valid.',
    todo: 'Look at Programmed of its listeners: a certificate or a free port is missing.',
  },
  gatewayAddress: {
    when: 'An address is none of this machine, or none of those it may use.',
    todo: 'Write an address that the machine has (`ip address`), or leave it out for those of `--listen`.',
  },
  gatewayResolved: { when: 'Everything that its listeners refer to is there.', todo: FINE },
  gatewayUnresolved: {
    when: 'A listener refers to what is missing or not permitted.',
    todo: 'Look at ResolvedRefs of the listeners that the message names.',
  },
  gatewayClientCertificate: {
    when: 'The certificate that is shown to backends (`spec.tls.backend.clientCertificateRef`) cannot be used.',
    todo: 'Make it the name of a Secret of type kubernetes.io/tls whose key fits its certificate.',
  },
  gatewayNotPermitted: {
    when: 'That certificate is in another namespace, and nothing permits the reference.',
    todo: GRANT,
  },
  gatewayInsecureClients: {
    when: 'A listener lets clients in whose certificate is not good (`mode: AllowInsecureFallback`).',
    todo: 'Make sure that the backends decide by themselves, or write `mode: AllowValidOnly`.',
  },
  gatewayUnassigned: {
    when: 'It has no address yet: its Service has none, or the range of `--address-pool` is used up.',
    todo: 'See who gives load balancers addresses in this cluster, or widen `--address-pool`.',
  },
  programmedPending: {
    when: 'Not every worker serves this revision yet; a moment is ordinary.',
    todo: 'If it stays: `rauta status`, the log, and `rauta_config_revision_acked` beside `rauta_config_revision`.',
  },
  programmedRefused: {
    when: 'A worker refused the revision: the one before it is served. That is a fault of RAUTA.',
    todo: 'Take the last change back, and report it with what the message says.',
  },
  programmedQuarantined: {
    when: 'Two workers died of the revision: the one before it is served. That is a fault of RAUTA.',
    todo: 'Take the last change back, and report it with the log.',
  },
  // ListenerSet
  setAccepted: { when: 'Every listener of the set is good.', todo: FINE },
  setSomeListeners: {
    when: 'Some of its listeners are not valid; the others are served.',
    todo: 'Look at the conditions of the listeners that the message names.',
  },
  setNoListeners: { when: 'None of its listeners is valid.', todo: 'Look at the conditions of its listeners.' },
  setNotAllowed: {
    when: 'The Gateway lets no ListenerSets of this namespace attach.',
    todo: 'Write `spec.allowedListeners.namespaces.from: Same` (or All, Selector) in the Gateway.',
  },
  setParent: { when: 'Its Gateway is not accepted.', todo: 'Mend the Gateway: its Accepted says what is wrong.' },
  setProgrammed: { when: 'Every live worker serves it.', todo: FINE },
  setUnprogrammed: {
    when: 'None of its listeners can be served.',
    todo: 'Look at Programmed of its listeners.',
  },
  setNotAllowedUnprogrammed: { when: 'Accepted is False.', todo: 'Mend what Accepted says.' },
  setParentUnprogrammed: { when: 'Its Gateway is not served.', todo: 'Mend the Gateway.' },
  // Listener
  listenerAccepted: { when: 'Nothing is wrong with what it says.', todo: FINE },
  listenerProtocol: {
    when: 'The protocol is not known.',
    todo: 'Write HTTP, HTTPS, TLS, TCP or UDP, in capitals.',
  },
  listenerValue: {
    when: 'A hostname, a mode or an option of TLS is not one that a listener can have.',
    todo: 'Write what the message says; the field stands in front of it in `rauta check` and the log.',
  },
  listenerPort: {
    when: 'The port is no port, or its socket could not be opened: something else listens there.',
    todo: 'See who has it (`ss -ltnp`), take another one, or map it: `--port-map 80=8080`.',
  },
  listenerHostnameTaken: {
    when: 'A listener that comes first has the same port and hostname.',
    todo: 'Give one of the two another hostname or port.',
  },
  listenerProtocolTaken: {
    when: 'A listener that comes first has the same port with a protocol that cannot share it.',
    todo: 'Give one of the two another port.',
  },
  listenerProgrammed: { when: 'Every live worker serves it, and its socket is open.', todo: FINE },
  listenerInvalid: {
    when: 'It cannot be served: it or its Gateway is not accepted, no kind of route can attach, or no certificate can be shown.',
    todo: 'Mend what Accepted and ResolvedRefs say; the message repeats it.',
  },
  listenerHostnameUnprogrammed: {
    when: 'Conflicted is True.',
    todo: 'Give one of the two another hostname or port.',
  },
  listenerProtocolUnprogrammed: { when: 'Conflicted is True.', todo: 'Give one of the two another port.' },
  listenerPortUnprogrammed: {
    when: 'Its socket could not be opened; it is tried again every 2 s.',
    todo: 'Free the port, or give the right to open it (`CAP_NET_BIND_SERVICE`, `--port-map`).',
  },
  listenerAddress: {
    when: 'Its socket could not be opened, for the address is none of this machine.',
    todo: 'Write an address that the machine has, or leave it out.',
  },
  listenerResolved: { when: 'Everything that it refers to is there.', todo: FINE },
  listenerRouteKinds: {
    when: '`allowedRoutes.kinds` names kinds that cannot attach to this protocol.',
    todo: 'Leave them out; the message lists those that can.',
  },
  listenerCertificate: {
    when: 'A Secret of `tls.certificateRefs` is missing or holds no certificate with its key.',
    todo: 'Make it a Secret of type kubernetes.io/tls (`kubectl create secret tls`); see tls.md.',
  },
  listenerNotPermitted: { when: 'It refers to another namespace, and nothing permits that.', todo: GRANT },
  listenerNoAuthority: {
    when: 'Clients have to show certificates, and no authority is there to check them by: nobody is let in.',
    todo: 'Mend `spec.tls.frontend...caCertificateRefs` of the Gateway; ResolvedRefs says what is wrong with them.',
  },
  listenerAuthority: {
    when: 'A ConfigMap with authorities is missing or holds no certificate.',
    todo: 'Make it a ConfigMap whose `ca.crt` has them, PEM.',
  },
  listenerAuthorityKind: { when: 'Authorities are named that are no ConfigMap.', todo: 'Write `kind: ConfigMap`.' },
  listenerDistinct: { when: 'No other listener takes its traffic.', todo: FINE },
  listenerHostnameConflict: {
    when: 'A listener that comes first has the same port and hostname: this one is not served.',
    todo: 'Give one of the two another hostname or port; the message names the other.',
  },
  listenerProtocolConflict: {
    when: 'A listener that comes first has the same port with a protocol that cannot share it.',
    todo: 'Give one of the two another port; the message names the other.',
  },
  // Routes
  routeAccepted: { when: 'It is attached to this parent.', todo: FINE },
  routeNotAllowed: {
    when: 'No listener lets this kind of route, or routes of this namespace, attach.',
    todo: 'Write `allowedRoutes` at the listener (`namespaces.from: All`, or a selector and a label at the namespace).',
  },
  routeNoHostname: {
    when: 'No hostname of the route is one of a listener.',
    todo: 'Write a hostname that a listener takes (the message lists them), or leave the hostnames out.',
  },
  routeHostnameTaken: {
    when: 'An HTTPRoute and a GRPCRoute have a hostname in common at one listener; the older one has it.',
    todo: 'Give one of the two other hostnames, or a listener of its own.',
  },
  routeNoParent: {
    when: 'The parent has no listener of that `sectionName` or `port`, or is not accepted.',
    todo: 'Write one that it has (the message lists them), or leave `sectionName` and `port` out.',
  },
  routeValue: {
    when: 'No rule can be served as it is written.',
    todo: 'Mend what the message says of each rule; `rauta check` says where it stands.',
  },
  routeFilters: {
    when: 'The filters of every rule contradict each other.',
    todo: 'Leave one of those out that the message names; a redirect goes with no rewrite and no backend.',
  },
  routePartial: {
    when: 'Some rules cannot be served and are dropped: what they match answers 500 (or nothing is known of it, where the match is wrong, or a rule is too large to be handed to workers). The others are served.',
    todo: 'Mend the rules that the message names.',
  },
  routeResolved: { when: 'Every backend, filter and Secret that it refers to is there.', todo: FINE },
  routeNotPermitted: {
    when: 'It refers to another namespace, and nothing permits that: that share answers 500.',
    todo: GRANT,
  },
  routeKind: {
    when: 'A backend is of a kind that is not served (Backends and XBackends of a cluster are with `--backends` alone), or an ExternalName Service.',
    todo: 'Write a Service, or a Backend: `group: rauta.io, kind: Backend`, or an XBackend.',
  },
  routeBackend: {
    when: 'A backend does not exist, or its Service has no such port: that share answers 500.',
    todo: 'Write the name and the port of one that is there; `rauta check` names the nearest.',
  },
  routeProtocol: {
    when: 'A backend speaks another protocol (`appProtocol`, a UDP port, `protocol` of an XBackend) than the route needs.',
    todo: 'Refer to another port, or mend `appProtocol` of the Service or `protocol` of the XBackend.',
  },
  // What works otherwise than written
  warnings: {
    when: 'Something in it works otherwise than written, or does nothing; the message lists what. All else is served.',
    todo: 'Write what the message says, or leave it if it is meant so.',
  },
  // XBackend
  externalAccepted: { when: 'It is asked as it says.', todo: FINE },
  externalProtocol: {
    when: 'It names a protocol that is not spoken, or H2C together with TLS.',
    todo: 'Write what the message says; requests for it answer 500 until then.',
  },
  externalForbidden: {
    when: 'Its name leads to this machine or its link alone, which `--backends on` does not allow.',
    todo: 'Give it the name of a host outside, or start the program with `--backends local` if all who may write one may reach those.',
  },
  externalCertificate: {
    when: 'The certificate that is shown to it (`spec.tls.clientCertificateRef`) cannot be used: requests answer 500.',
    todo: 'Make it the name of a Secret of type kubernetes.io/tls whose key fits its certificate.',
  },
  externalNotPermitted: {
    when: 'That certificate is in another namespace, and no ReferenceGrant there permits it.',
    todo: 'Write one there: from XBackend of this namespace (group gateway.networking.x-k8s.io), to Secret.',
  },
  // Policies
  policyAccepted: { when: 'It is applied (BackendTLSPolicy).', todo: FINE },
  trafficAccepted: { when: 'It is applied (XBackendTrafficPolicy).', todo: FINE },
  policyConflicted: {
    when: 'An older policy is for the same target and is applied.',
    todo: 'Delete one of the two, or give this one another target or `sectionName`.',
  },
  policyTarget: {
    when: 'The target does not exist, has no such port, or is nothing that the policy is for.',
    todo: 'Write the name of a Service or Backend of its namespace; `sectionName` is the name of a port.',
  },
  policyInvalid: {
    when: 'What it asks for cannot be done.',
    todo: 'Write what the message says. Until then a BackendTLSPolicy has requests to its target refused, an XBackend those for it, an XBackendTrafficPolicy no effect.',
  },
  policyNoAuthority: {
    when: 'None of the authorities that it names can be used: requests to its target are refused.',
    todo: 'Mend `caCertificateRefs`, or write `wellKnownCACertificates: System`; ResolvedRefs says what is wrong.',
  },
  policyResolved: { when: 'Every authority that it names is there.', todo: FINE },
  policyAuthority: {
    when: 'A ConfigMap or Secret with authorities is missing or holds no certificate.',
    todo: 'Make one whose `ca.crt` has them, PEM, in the namespace of the policy.',
  },
  policyAuthorityKind: {
    when: 'Authorities are named that are neither a ConfigMap nor a Secret.',
    todo: 'Write `kind: ConfigMap` or `kind: Secret`.',
  },
};
