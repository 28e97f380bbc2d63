// What of the Gateway API is served, feature by feature, and what is served beside it: the tables of
// docs/reference/gateway-api.md. Names, channels and tests are those of the API's own list (pkg/features of v1.6.1, and
// the `Features` of each test of its conformance suite); test/features.test.ts holds them against what is published in
// GatewayClass.status.supportedFeatures, and against the files.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Feature {
  readonly name: string;
  /** Core: every implementation of its kind has it. */
  readonly level: 'core' | 'extended';
  readonly channel: 'standard' | 'experimental';
  /** In a few words. */
  readonly what: string;
  readonly where: readonly string[];
  /** Tests of the official suite, by name. */
  readonly official: readonly string[];
  /** Tests of ours besides their counterparts. */
  readonly own: readonly string[];
  /** Folders of examples; where there is none, `instead` says why. */
  readonly examples: readonly string[];
  readonly instead?: string;
}

/** What is no feature of the official list. */
export type Extra = Omit<Feature, 'level' | 'channel' | 'official' | 'instead'>;

type Row = readonly [what: string, where: string, official: string, own: string, examples: string];

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

function row(name: string, [what, where, official, own, examples]: Row, level: Feature['level'] = 'extended'): Feature {
  const channel = EXPERIMENTAL.has(name) ? 'experimental' : 'standard';
  const lists = { where: words(where).map((path) => `src/${path}`), official: words(official) };
  return { name, level, channel, what, ...lists, own: words(own).map(test), examples: words(examples) };
}

/** `proxy/cors` is of test/, `src/x` beside its source. */
const test = (path: string): string => (path.startsWith('src/') ? `${path}.test.ts` : `test/${path}.test.ts`);

const EXPERIMENTAL: ReadonlySet<string> = new Set([
  'HTTPRouteDestinationPortMatching',
  'HTTPRouteRetry',
  'HTTPRouteRetryBackendTimeout',
  'HTTPRouteRetryConnectionError',
  'TLSRouteModeMixed',
]);

const CORE: Readonly<Record<string, Row>> = {
  Gateway: [
    'listeners of every protocol, their statuses, classes, attached routes',
    'translate/gateway.ts translate/gateway-class.ts translate/listener.ts translate/gateway-status.ts',
    `GatewayClassObservedGenerationBump GatewayInvalidParametersRef GatewayInvalidRouteKind
     GatewayInvalidTLSConfiguration GatewayListenerUnsupportedProtocol GatewayModifyListeners
     GatewayObservedGenerationBump GatewayWithAttachedRoutes`,
    'process/config src/translate/gateway-status',
    'quickstart hosts https allowed-routes',
  ],
  ReferenceGrant: [
    'references to another namespace, as its owner permits them',
    'translate/reference-grant.ts translate/grant-warnings.ts',
    `GatewaySecretInvalidReferenceGrant GatewaySecretMissingReferenceGrant GatewaySecretReferenceGrantAllInNamespace
     GatewaySecretReferenceGrantSpecific HTTPRouteCrossNamespace HTTPRouteInvalidCrossNamespaceBackendRef
     HTTPRouteInvalidCrossNamespaceParentRef HTTPRouteInvalidReferenceGrant
     HTTPRoutePartiallyInvalidViaInvalidReferenceGrant HTTPRouteReferenceGrant
     TCPRouteInvalidCrossNamespaceBackendRef TCPRouteReferenceGrant TLSRouteInvalidReferenceGrant
     UDPRouteInvalidCrossNamespaceBackendRef UDPRouteReferenceGrant`,
    '',
    'grants',
  ],
  HTTPRoute: [
    'hosts, paths, headers, weights, header edits, redirects, what is answered 404 and 500',
    'translate/http-route.ts translate/http-rule.ts translate/http-match.ts proxy/route/router.ts',
    `HTTPRouteDisallowedKind HTTPRouteExactPathMatching HTTPRouteHTTPSListener HTTPRouteHeaderMatching
     HTTPRouteHostnameIntersection HTTPRouteInvalidBackendRefUnknownKind HTTPRouteInvalidNonExistentBackendRef
     HTTPRouteInvalidParentRefNotMatchingSectionName HTTPRouteListenerHostnameMatching HTTPRouteMatching
     HTTPRouteMatchingAcrossRoutes HTTPRouteMultipleGateways HTTPRouteNoBackendRefs HTTPRouteObservedGenerationBump
     HTTPRoutePathMatchOrder HTTPRouteRedirectHostAndStatus HTTPRouteRequestHeaderModifier HTTPRouteServiceTypes
     HTTPRouteSimpleSameNamespace HTTPRouteWeight`,
    'proxy/forward src/proxy/route/router src/proxy/route/router.oracle',
    'matches canary headers hosts',
  ],
  GRPCRoute: [
    'calls by service, method and header, to backends of HTTP/2',
    'translate/grpc-match.ts proxy/exchange/grpc.ts',
    'GRPCExactMethodMatching GRPCRouteHeaderMatching GRPCRouteListenerHostnameMatching GRPCRouteWeight',
    'proxy/http2-grpc proxy/grpc-precedence interop/grpc interop/grpc-js',
    'grpc',
  ],
  TLSRoute: [
    'TLS that passes through, by the name in the handshake',
    'translate/relay-route.ts proxy/tls/opening.ts proxy/relay/session.ts',
    `TLSRouteHostnameIntersection TLSRouteInvalidBackendRefNonexistent TLSRouteInvalidBackendRefUnknownKind
     TLSRouteInvalidNoMatchingListener TLSRouteInvalidNoMatchingListenerHostname
     TLSRouteListenerPassthroughSupportedKinds TLSRouteListenerTerminateNotSupported TLSRouteSimpleSameNamespace`,
    'proxy/tls-route process/layer4',
    'tls-passthrough',
  ],
  TCPRoute: [
    'connections as bytes, by port and weight',
    'translate/relay-route.ts proxy/relay/relay.ts proxy/relay/session.ts',
    `TCPRouteInvalidBackendRefNonexistent TCPRouteInvalidNonTCPListener TCPRouteMultipleRoutesAttachment
     TCPRouteParentRefAttachAll TCPRouteParentRefPortAndSectionName TCPRouteWeightedRouting`,
    'proxy/relay proxy/relay-session process/layer4',
    'tcp',
  ],
  UDPRoute: [
    'datagrams as flows, by port and weight',
    'translate/relay-route.ts proxy/udp/plane.ts proxy/udp/flows.ts',
    `UDPRoute UDPRouteInvalidBackendRefNonexistent UDPRouteMultipleRoutesAttachment UDPRouteNotAllowedByListeners
     UDPRouteParentRefAttachAllListeners UDPRouteParentRefPortAndSectionName UDPRouteWeightedRouting`,
    'proxy/udp process/udp process/udp-churn',
    'udp',
  ],
};

const EXTENDED: Readonly<Record<string, Row>> = {
  BackendTLSPolicy: [
    'TLS to backends, whose authority and name the policy says',
    'translate/backend-tls.ts translate/backend-tls-status.ts proxy/tls/dialer.ts',
    `BackendTLSPolicy BackendTLSPolicyConflictResolution BackendTLSPolicyInvalidCACertificateRef
     BackendTLSPolicyInvalidKind BackendTLSPolicyObservedGenerationBump`,
    'proxy/tls-backend process/backend-tls',
    'backend-tls',
  ],
  BackendTLSPolicySANValidation: [
    'identities of a backend (host names, URIs) beside its hostname',
    'translate/backend-tls.ts native/tls-names.ts',
    'BackendTLSPolicySANValidation',
    'proxy/tls-backend src/native/tls-names',
    'backend-identities',
  ],
  GRPCRouteNamedRouteRule: [
    'names of rules, in the log and in `explain`',
    'translate/route.ts',
    'GRPCRouteNamedRule',
    '',
    'grpc',
  ],
  GatewayAddressEmpty: [
    'an address without a value: one that there is',
    'translate/addresses.ts',
    'GatewayOptionalAddressValue',
    'src/main/addresses',
    'addresses',
  ],
  GatewayBackendClientCertificate: [
    'who the Gateway is to backends of TLS',
    'translate/client-certificate.ts proxy/tls/dialer.ts',
    'GatewayInvalidTLSBackendConfiguration GatewayTLSBackendClientCertificate',
    'proxy/tls-backend process/backend-tls',
    'backend-identities',
  ],
  GatewayFrontendClientCertificateValidation: [
    'certificates of clients, for all HTTPS ports or one',
    'translate/frontend-tls.ts native/tls-context.ts',
    `GatewayFrontendClientCertificateValidation GatewayFrontendInvalidDefaultClientCertificateValidation
     GatewayInvalidFrontendClientCertificateValidation`,
    'proxy/tls-client-certificates process/tls-clients',
    'client-certificates',
  ],
  GatewayFrontendClientCertificateValidationInsecureFallback: [
    'clients without a good certificate are let in and told apart',
    'translate/frontend-tls.ts proxy/tls/forwarded-certificate.ts',
    'GatewayFrontendClientCertificateValidationInsecureFallback',
    'proxy/tls-client-certificates',
    'client-certificates',
  ],
  GatewayHTTPListenerIsolation: [
    'a request is of the most specific listener alone',
    'proxy/route/hosts.ts translate/sockets.ts',
    'GatewayHTTPListenerIsolation',
    'src/proxy/route/router',
    'hosts',
  ],
  GatewayHTTPSListenerDetectMisdirectedRequests: [
    '421 for hosts of another listener than that of the connection',
    'proxy/exchange/route.ts proxy/tls/names.ts',
    'HTTPRouteHTTPSListenerDetectMisdirectedRequests',
    'proxy/tls',
    'tls-hosts',
  ],
  GatewayInfrastructurePropagation: [
    'labels and annotations for the Service that is kept for a Gateway',
    'translate/exposure.ts publish/kubernetes/object-writer.ts',
    'GatewayInfrastructure',
    'src/translate/exposure kubernetes/generated',
    '',
  ],
  GatewayPort8080: [
    'listeners of port 8080, as of any',
    'translate/listener.ts',
    'GatewayWithAttachedRoutesWithPort8080 HTTPRouteRedirectPortAndScheme',
    '',
    'quickstart',
  ],
  GatewayStaticAddresses: [
    'addresses that a Gateway names, and what becomes of those that cannot be had',
    'translate/addresses.ts main/addresses.ts keeper/sockets.ts',
    'GatewayStaticAddresses',
    'src/main/addresses',
    'addresses',
  ],
  HTTPRoute303RedirectStatusCode: redirect('303', 'HTTPRoute303Redirect'),
  HTTPRoute307RedirectStatusCode: redirect('307', 'HTTPRoute307Redirect'),
  HTTPRoute308RedirectStatusCode: redirect('308', 'HTTPRoute308Redirect'),
  HTTPRouteBackendProtocolH2C: [
    'HTTP/2 in the clear to backends, by appProtocol',
    'translate/protocols.ts proxy/http2/client.ts',
    'HTTPRouteBackendProtocolH2C',
    'proxy/http2-upstream proxy/http2-shares',
    'app-protocols',
  ],
  HTTPRouteBackendProtocolWebSocket: [
    'WebSockets, by HTTP/1.1 and HTTP/2 on either side',
    'translate/protocols.ts proxy/http2/extended-connect.ts',
    'HTTPRouteBackendProtocolWebSocket',
    'proxy/tunnel proxy/http2-tunnel proxy/http2-tunnel-upstream interop/websocket',
    'app-protocols',
  ],
  HTTPRouteBackendRequestHeaderModification: [
    'header edits for what goes to one backend',
    'translate/http-filter.ts proxy/filter/field-edits.ts',
    'HTTPRouteBackendRequestHeaderModifier HTTPRouteRequestHeaderModifierBackendWeights',
    'proxy/headers',
    'headers',
  ],
  HTTPRouteBackendTimeout: [
    'how long one try of a backend may take',
    'translate/http-timing.ts proxy/exchange/deadlines.ts',
    'HTTPRouteTimeoutBackendRequest',
    'proxy/limits',
    'timeouts',
  ],
  HTTPRouteCORS: [
    'origins, methods, headers, credentials; preflights are answered here',
    'translate/http-filter.ts proxy/filter/cors.ts',
    'HTTPRouteCORS',
    'proxy/cors',
    'cors',
  ],
  HTTPRouteDestinationPortMatching: [
    'a parentRef whose port no listener has is no parent',
    'translate/attachment.ts',
    'HTTPRouteInvalidParentRefNotMatchingListenerPort',
    '',
    'parents',
  ],
  HTTPRouteHostRewrite: [
    'another host for the backend',
    'translate/http-filter.ts proxy/filter/edits.ts',
    'HTTPRouteRewriteHost',
    'src/proxy/filter/edits',
    'rewrites',
  ],
  HTTPRouteMethodMatching: [
    'rules by method',
    'translate/http-match.ts proxy/route/conditions.ts',
    'HTTPRouteMethodMatching',
    'src/proxy/route/conditions',
    'matches',
  ],
  HTTPRouteNamedRouteRule: [
    'names of rules, in the log and in `explain`',
    'translate/route.ts',
    'HTTPRouteNamedRule',
    '',
    'matches',
  ],
  HTTPRouteParentRefPort: [
    'routes that are for the listeners of a port',
    'translate/attachment.ts',
    'HTTPRouteInvalidParentRefSectionNameNotMatchingPort HTTPRouteListenerPortMatching',
    '',
    'parents',
  ],
  HTTPRoutePathRedirect: [
    'redirects to another path, or another beginning of it',
    'translate/http-filter.ts proxy/filter/redirect.ts proxy/filter/path-edit.ts',
    'HTTPRouteRedirectPath',
    'src/proxy/filter/redirect src/proxy/filter/path-edit',
    'redirects',
  ],
  HTTPRoutePathRewrite: [
    'another path for the backend, or another beginning of it',
    'translate/http-filter.ts proxy/filter/path-edit.ts',
    'HTTPRouteRewritePath',
    'src/proxy/filter/path-edit',
    'rewrites',
  ],
  HTTPRoutePortRedirect: [
    'redirects to another port, and which one Location says',
    'translate/http-filter.ts proxy/filter/redirect.ts',
    'HTTPRouteRedirectPort HTTPRouteRedirectPortAndScheme',
    'src/proxy/filter/redirect',
    'redirects',
  ],
  HTTPRouteQueryParamMatching: [
    'rules by query parameters',
    'translate/http-match.ts proxy/route/conditions.ts',
    'HTTPRouteQueryParamMatching',
    'src/proxy/route/conditions',
    'matches',
  ],
  HTTPRouteRequestMirror: mirrored('copies of requests for another backend', 'HTTPRouteRequestMirror'),
  HTTPRouteRequestMultipleMirrors: mirrored('for several', 'HTTPRouteRequestMultipleMirrors'),
  HTTPRouteRequestPercentageMirror: mirrored('of a share of them', 'HTTPRouteRequestPercentageMirror'),
  HTTPRouteRequestTimeout: [
    'how long a request may take in all',
    'translate/http-timing.ts proxy/exchange/deadlines.ts',
    'HTTPRouteTimeoutRequest',
    'proxy/limits',
    'timeouts',
  ],
  HTTPRouteResponseHeaderModification: [
    'header edits for what goes to clients',
    'translate/http-filter.ts proxy/filter/field-edits.ts',
    'HTTPRouteResponseHeaderModifier',
    'proxy/headers',
    'headers',
  ],
  HTTPRouteRetry: retried('what is asked for again: statuses, how often, how long after', 'HTTPRouteRetry'),
  HTTPRouteRetryBackendTimeout: retried('after a try that took too long', ''),
  HTTPRouteRetryConnectionError: retried('after a connection that ended without an answer', ''),
  HTTPRouteSchemeRedirect: [
    'redirects to https or http',
    'translate/http-filter.ts proxy/filter/redirect.ts',
    'HTTPRouteRedirectScheme',
    'src/proxy/filter/redirect',
    'redirects https',
  ],
  ListenerSet: [
    'listeners that others bring to a Gateway',
    'translate/listener-set.ts translate/listener-set-status.ts',
    `ListenerSetAllowedNamespaceNone ListenerSetAllowedNamespaceSame ListenerSetAllowedNamespaceSelector
     ListenerSetAllowedRoutesNamespaces ListenerSetAllowedRoutesSupportedKinds ListenerSetDefaultNotAllowed
     ListenerSetDualParentRefIndependence ListenerSetGatewayParentSectionNameNotFound ListenerSetHTTPRouting
     ListenerSetHostnameConflict ListenerSetProtocolConflict ListenerSetReferenceGrant
     ListenerSetRouteStatusScopedToParentRef`,
    '',
    'listener-set',
  ],
  TLSRouteModeMixed: [
    'TLS that passes through and TLS that ends here on one port',
    'translate/sockets.ts proxy/tls/opening.ts',
    'TLSRouteMixedTerminationSameNamespace',
    'proxy/tls-route',
    'tls-passthrough',
  ],
  TLSRouteModeTerminate: [
    'TLS that ends here, and bytes behind it',
    'translate/relay-route.ts proxy/relay/relay.ts',
    `TLSRouteListenerMixedTerminationNotSupported TLSRouteListenerTerminateSupportedKinds
     TLSRouteTerminateSimpleSameNamespace`,
    'proxy/tls-route',
    'tls-passthrough',
  ],
};

function redirect(code: string, official: string): Row {
  return [`redirects with ${code}`, 'proxy/filter/redirect.ts', official, 'src/proxy/filter/redirect', 'redirects'];
}

function mirrored(what: string, official: string): Row {
  const where = 'translate/http-filter.ts proxy/exchange/mirror.ts proxy/exchange/tap.ts';
  return [what, where, official, 'proxy/mirror', 'mirror'];
}

function retried(what: string, official: string): Row {
  const where = 'translate/http-timing.ts proxy/exchange/attempts.ts';
  return [what, where, official, 'proxy/retry proxy/retry-codes', 'retries'];
}

const INSTEAD: Readonly<Record<string, { readonly instead: string }>> = {
  GatewayInfrastructurePropagation: { instead: 'none: in a cluster only' },
};

/** In the order in which they are published. */
export const FEATURES: readonly Feature[] = [
  ...Object.entries(CORE).map(([name, rest]) => row(name, rest, 'core')),
  ...Object.entries(EXTENDED).map(([name, rest]) => row(name, rest)),
]
  .map((feature) => ({ ...feature, ...INSTEAD[feature.name] }))
  .sort((a, b) => (a.name < b.name ? -1 : 1));

type ExtraRow = readonly [what: string, where: string, own: string, examples: string];

const BESIDE: Readonly<Record<string, ExtraRow>> = {
  ExternalAuth: [
    'a server is asked about each request, by HTTP or gRPC (experimental channel)',
    'translate/external-auth.ts proxy/auth/external-auth.ts proxy/exchange/consulting.ts',
    'proxy/external-auth proxy/external-auth-grpc proxy/external-auth-body process/external-auth',
    'external-auth',
  ],
  XBackendTrafficPolicy: [
    'how much of the traffic retries may be (experimental channel)',
    'translate/traffic-policy.ts proxy/upstream/budget.ts',
    'proxy/retry-codes',
    'retries',
  ],
  XBackend: [
    'hosts outside, by their whole names (experimental channel)',
    'translate/x-backend.ts translate/x-backend-units.ts source/dns/stage.ts',
    'process/external-hosts src/source/dns/stage src/source/dns/resolver',
    'external-hosts',
  ],
  StaticResponseFilter: [
    'an answer that stands in the configuration',
    'translate/extension-filter.ts api/own-filters.ts',
    'proxy/own-filters',
    'own-filters',
  ],
  AccessControlFilter: [
    'who may ask: by address, method, path',
    'translate/extension-filter.ts proxy/filter/access.ts',
    'proxy/own-filters',
    'own-filters',
  ],
  GatewayParameters: [
    'what errors look like, whom to believe about clients, which requests are logged',
    'translate/parameters.ts api/parameters.ts proxy/gateway-policy.ts',
    'proxy/gateway-policy',
    'gateway-parameters',
  ],
  Backend: [
    'where traffic goes without Kubernetes: addresses, names, unix sockets',
    'api/backend.ts translate/backend.ts',
    'proxy/forward process/serve',
    'unix-sockets quickstart',
  ],
  'Near endpoints': [
    'hints and trafficDistribution of Services',
    'translate/near.ts',
    'kubernetes/own src/proxy/upstream/pick/picker',
    'zones',
  ],
  'gRPC-Web': ['calls of browsers become calls of gRPC', 'proxy/exchange/grpc-web.ts', 'proxy/grpc-web', 'grpc-web'],
  'PROXY protocol': [
    'whose connection it is: from load balancers, to backends',
    'translate/proxy-protocol.ts proxy/proxy-header.ts proxy/proxy-opening.ts',
    'proxy/proxy-protocol proxy/proxy-tls src/proxy/proxy-header',
    'proxy-protocol',
  ],
  'TLS versions and ciphers': [
    'options of listeners',
    'translate/listener-tls.ts',
    'process/tls process/tls-scan src/translate/listener-tls',
    'tls-hosts',
  ],
  'Templates in header values': [
    'what is known of a request, in a field',
    'proxy/filter/template.ts',
    'proxy/headers',
    'headers',
  ],
  Ingress: [
    'Ingresses and their classes, with annotations of ingress-nginx',
    'translate/ingress.ts translate/ingress-class.ts translate/ingress-annotations.ts translate/ingress-auth.ts',
    'process/ingress src/translate/ingress proxy/external-auth-url',
    'ingress ingress-class ingress-tls ingress-login',
  ],
};

export const EXTRAS: readonly Extra[] = Object.entries(BESIDE).map(([name, [what, where, own, examples]]) => ({
  ...{ name, what, where: words(where).map((path) => `src/${path}`) },
  ...{ own: words(own).map(test), examples: words(examples) },
}));

const COUNTERPARTS = fileURLToPath(new URL('../test/gateway-api/', import.meta.url));

/** Which file of test/gateway-api has the counterpart of each test of the official suite. */
export function counterparts(): Map<string, string> {
  const found = new Map<string, string>();
  const files = readdirSync(COUNTERPARTS).filter(
    (name) => name.endsWith('.test.ts') && name !== 'counterparts.test.ts',
  );
  for (const name of files.sort()) {
    const titles = readFileSync(`${COUNTERPARTS}${name}`, 'utf8').matchAll(/'[^'\n]+'/g);
    for (const word of [...titles].flatMap(([title]) => title.match(/\w+/g) ?? []))
      if (!found.has(word)) found.set(word, `test/gateway-api/${name}`);
  }
  return found;
}
