// The tests of the official conformance suite (v1.6.1) that are of Gateways, by name: each has one of ours here. What
// each of them checks is said by `../conformance`, which runs the suite itself.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const SUITE = `
  BackendTLSPolicyConflictResolution BackendTLSPolicyInvalidCACertificateRef BackendTLSPolicyInvalidKind
  BackendTLSPolicyObservedGenerationBump BackendTLSPolicySANValidation BackendTLSPolicy
  GatewayHTTPListenerIsolation GatewayInfrastructure GatewayFrontendInvalidDefaultClientCertificateValidation
  GatewayListenerUnsupportedProtocol GatewayInvalidParametersRef GatewayInvalidRouteKind
  GatewayInvalidTLSBackendConfiguration GatewayInvalidTLSConfiguration GatewayModifyListeners
  GatewayObservedGenerationBump GatewayOptionalAddressValue GatewaySecretInvalidReferenceGrant
  GatewaySecretMissingReferenceGrant GatewaySecretReferenceGrantAllInNamespace GatewaySecretReferenceGrantSpecific
  GatewayStaticAddresses GatewayTLSBackendClientCertificate GatewayWithAttachedRoutes
  GatewayWithAttachedRoutesWithPort8080 GatewayFrontendClientCertificateValidationInsecureFallback
  GatewayFrontendClientCertificateValidation GatewayInvalidFrontendClientCertificateValidation
  GatewayClassObservedGenerationBump
  GRPCExactMethodMatching GRPCRouteHeaderMatching GRPCRouteListenerHostnameMatching GRPCRouteNamedRule
  GRPCRouteWeight
  HTTPRoute303Redirect HTTPRoute307Redirect HTTPRoute308Redirect HTTPRouteBackendProtocolH2C
  HTTPRouteBackendProtocolWebSocket HTTPRouteCORS HTTPRouteCrossNamespace HTTPRouteDisallowedKind
  HTTPRouteExactPathMatching HTTPRouteHeaderMatching HTTPRouteHostnameIntersection
  HTTPRouteHTTPSListenerDetectMisdirectedRequests HTTPRouteHTTPSListener HTTPRouteInvalidBackendRefUnknownKind
  HTTPRouteInvalidCrossNamespaceBackendRef HTTPRouteInvalidCrossNamespaceParentRef
  HTTPRouteInvalidNonExistentBackendRef HTTPRouteInvalidParentRefNotMatchingListenerPort
  HTTPRouteInvalidParentRefNotMatchingSectionName HTTPRouteInvalidParentRefSectionNameNotMatchingPort
  HTTPRouteInvalidReferenceGrant HTTPRouteListenerHostnameMatching HTTPRouteListenerPortMatching
  HTTPRouteMatchingAcrossRoutes HTTPRouteMatching HTTPRouteMethodMatching HTTPRouteMultipleGateways
  HTTPRouteNamedRule HTTPRouteObservedGenerationBump HTTPRouteNoBackendRefs
  HTTPRoutePartiallyInvalidViaInvalidReferenceGrant HTTPRoutePathMatchOrder HTTPRouteQueryParamMatching
  HTTPRouteRedirectHostAndStatus HTTPRouteRedirectPath HTTPRouteRedirectPortAndScheme HTTPRouteRedirectPort
  HTTPRouteRedirectScheme HTTPRouteReferenceGrant HTTPRouteRequestHeaderModifierBackendWeights
  HTTPRouteBackendRequestHeaderModifier HTTPRouteRequestHeaderModifier HTTPRouteRequestMirror
  HTTPRouteRequestMultipleMirrors HTTPRouteRequestPercentageMirror HTTPRouteResponseHeaderModifier HTTPRouteRetry
  HTTPRouteRewriteHost HTTPRouteRewritePath HTTPRouteServiceTypes HTTPRouteSimpleSameNamespace
  HTTPRouteTimeoutBackendRequest HTTPRouteTimeoutRequest HTTPRouteWeight
  ListenerSetAllowedNamespaceNone ListenerSetAllowedNamespaceSame ListenerSetAllowedNamespaceSelector
  ListenerSetAllowedRoutesNamespaces ListenerSetAllowedRoutesSupportedKinds ListenerSetDefaultNotAllowed
  ListenerSetDualParentRefIndependence ListenerSetGatewayParentSectionNameNotFound ListenerSetHostnameConflict
  ListenerSetHTTPRouting ListenerSetProtocolConflict ListenerSetReferenceGrant
  ListenerSetRouteStatusScopedToParentRef
  TCPRouteInvalidBackendRefNonexistent TCPRouteInvalidCrossNamespaceBackendRef TCPRouteInvalidNonTCPListener
  TCPRouteMultipleRoutesAttachment TCPRouteParentRefAttachAll TCPRouteParentRefPortAndSectionName
  TCPRouteReferenceGrant TCPRouteWeightedRouting
  TLSRouteHostnameIntersection TLSRouteInvalidBackendRefNonexistent TLSRouteInvalidBackendRefUnknownKind
  TLSRouteInvalidNoMatchingListenerHostname TLSRouteInvalidNoMatchingListener TLSRouteInvalidReferenceGrant
  TLSRouteListenerMixedTerminationNotSupported TLSRouteListenerPassthroughSupportedKinds
  TLSRouteListenerTerminateNotSupported TLSRouteListenerTerminateSupportedKinds
  TLSRouteMixedTerminationSameNamespace TLSRouteSimpleSameNamespace TLSRouteTerminateSimpleSameNamespace
  UDPRouteInvalidBackendRefNonexistent UDPRouteInvalidCrossNamespaceBackendRef UDPRouteMultipleRoutesAttachment
  UDPRouteNotAllowedByListeners UDPRouteParentRefAttachAllListeners UDPRouteParentRefPortAndSectionName
  UDPRouteReferenceGrant UDPRoute UDPRouteWeightedRouting
`;

test('every test of the conformance suite that is of Gateways has its counterpart', () => {
  const own = import.meta.filename;
  const files = readdirSync(import.meta.dirname).map((name) => `${import.meta.dirname}/${name}`);
  const texts = files
    .filter((file) => file.endsWith('.test.ts') && file !== own)
    .map((file) => readFileSync(file, 'utf8'));
  const named = new Set(
    texts.flatMap((text) => [...text.matchAll(/'[^'\n]+'/g)].flatMap(([title]) => title.match(/\w+/g))),
  );
  const names = SUITE.trim().split(/\s+/);
  assert.equal(names.length, 131);
  assert.deepEqual(
    names.filter((name) => !named.has(name)),
    [],
  );
});
