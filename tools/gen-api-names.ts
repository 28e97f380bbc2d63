// Names of the generated types: those of the Gateway API's Go types where one stands below, else made of the path.

/** The first pattern that fits `Kind.path[].field` names the type; `$1`, `$2` are its groups. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^(\w+)\.(spec|status)$/, '$1$2'],
  [/\.spec\.parentRefs\[\]$/, 'ParentReference'],
  [/\.spec\.targetRefs\[\]$/, 'PolicyTargetReference'],
  [/\.status\.parents\[\]$/, 'RouteParentStatus'],
  [/\.status\.ancestors\[\]$/, 'PolicyAncestorStatus'],
  [/\.parents\[\]\.parentRef$/, 'ParentReference'],
  [/\.ancestors\[\]\.ancestorRef$/, 'ParentReference'],
  [/\.conditions\[\]$/, 'Condition'],
  [/^(HTTPRoute|GRPCRoute|TLSRoute|TCPRoute|UDPRoute)\.spec\.rules\[\]$/, '$1Rule'],
  [/^(HTTPRoute|GRPCRoute)\.spec\.rules\[\]\.matches\[\]$/, '$1Match'],
  [/^HTTPRoute.*\.matches\[\]\.path$/, 'HTTPPathMatch'],
  [/^HTTPRoute.*\.matches\[\]\.headers\[\]$/, 'HTTPHeaderMatch'],
  [/^HTTPRoute.*\.matches\[\]\.queryParams\[\]$/, 'HTTPQueryParamMatch'],
  [/^GRPCRoute.*\.matches\[\]\.method$/, 'GRPCMethodMatch'],
  [/^GRPCRoute.*\.matches\[\]\.headers\[\]$/, 'GRPCHeaderMatch'],
  [/^(HTTP|GRPC)Route.*\.rules\[\]\.backendRefs\[\]$/, '$1BackendRef'],
  [/\.rules\[\]\.backendRefs\[\]$/, 'BackendRef'],
  [/^(HTTPRoute|GRPCRoute).*\.filters\[\]$/, '$1Filter'],
  [/\.(request|response)HeaderModifier$/, 'HTTPHeaderFilter'],
  [/HeaderModifier\.(add|set)\[\]$/, 'HTTPHeader'],
  [/\.requestRedirect$/, 'HTTPRequestRedirectFilter'],
  [/\.urlRewrite$/, 'HTTPURLRewriteFilter'],
  [/\.(requestRedirect|urlRewrite)\.path$/, 'HTTPPathModifier'],
  [/\.requestMirror$/, 'HTTPRequestMirrorFilter'],
  [/\.requestMirror\.fraction$/, 'Fraction'],
  [/\.(requestMirror|externalAuth)\.backendRef$/, 'BackendObjectReference'],
  [/\.cors$/, 'HTTPCORSFilter'],
  [/\.externalAuth$/, 'HTTPExternalAuthFilter'],
  [/\.externalAuth\.grpc$/, 'GRPCAuthConfig'],
  [/\.externalAuth\.http$/, 'HTTPAuthConfig'],
  [/\.externalAuth\.forwardBody$/, 'ForwardBodyConfig'],
  [/\.extensionRef$/, 'LocalObjectReference'],
  [/\.rules\[\]\.timeouts$/, 'HTTPRouteTimeouts'],
  [/\.rules\[\]\.retry$/, 'HTTPRouteRetry'],
  [/\.sessionPersistence$/, 'SessionPersistence'],
  [/\.cookieConfig$/, 'CookieConfig'],
  [/^Gateway\.spec\.listeners\[\]$/, 'Listener'],
  [/^ListenerSet\.spec\.listeners\[\]$/, 'ListenerEntry'],
  [/\.listeners\[\]\.allowedRoutes$/, 'AllowedRoutes'],
  [/\.allowedRoutes\.namespaces$/, 'RouteNamespaces'],
  [/\.allowedRoutes\.kinds\[\]$/, 'RouteGroupKind'],
  [/\.supportedKinds\[\]$/, 'RouteGroupKind'],
  [/\.allowedListeners$/, 'AllowedListeners'],
  [/\.allowedListeners\.namespaces$/, 'ListenerNamespaces'],
  [/\.selector$/, 'LabelSelector'],
  [/\.matchExpressions\[\]$/, 'LabelSelectorRequirement'],
  [/\.listeners\[\]\.tls$/, 'ListenerTLSConfig'],
  [/^BackendTLSPolicy.*\.caCertificateRefs\[\]$/, 'LocalObjectReference'],
  [/\.validation\.caCertificateRefs\[\]$/, 'ObjectReference'],
  [/[cC]ertificateRefs?\[\]$/, 'SecretObjectReference'],
  [/\.clientCertificateRef$/, 'SecretObjectReference'],
  [/\.spec\.addresses\[\]$/, 'GatewaySpecAddress'],
  [/\.status\.addresses\[\]$/, 'GatewayStatusAddress'],
  [/^Gateway\.spec\.tls$/, 'GatewayTLSConfig'],
  [/\.tls\.backend$/, 'GatewayBackendTLS'],
  [/\.tls\.frontend$/, 'FrontendTLSConfig'],
  [/\.frontend\.(default|perPort\[\]\.tls)$/, 'TLSConfig'],
  [/\.perPort\[\]$/, 'TLSPortConfig'],
  [/\.frontend\..*\.validation$/, 'FrontendTLSValidation'],
  [/^Gateway\.spec\.infrastructure$/, 'GatewayInfrastructure'],
  [/\.infrastructure\.parametersRef$/, 'LocalParametersReference'],
  [/^GatewayClass\.spec\.parametersRef$/, 'ParametersReference'],
  [/\.status\.listeners\[\]$/, 'ListenerStatus'],
  [/\.supportedFeatures\[\]$/, 'SupportedFeature'],
  [/^ReferenceGrant\.spec\.(from|to)\[\]$/, 'ReferenceGrant$1'],
  [/^ListenerSet\.spec\.parentRef$/, 'ParentGatewayReference'],
  [/^BackendTLSPolicy\.spec\.validation$/, 'BackendTLSPolicyValidation'],
  [/\.subjectAltNames\[\]$/, 'SubjectAltName'],
];

/** The Go type's name, where the table has one. */
export function typeName(kind: string, path: string): string {
  const full = kind + path;
  for (const [pattern, name] of NAMES) {
    const match = pattern.exec(full);
    if (match === null) continue;
    return name.replace(/\$(\d)/g, (_, n: string) => {
      const group = match[Number(n)] ?? '';
      return `${group[0]?.toUpperCase() ?? ''}${group.slice(1)}`;
    });
  }
  return pathName(kind, path);
}

/** `HTTPRoute.spec.rules[].retry` -> `HTTPRouteSpecRulesRetry`. */
export function pathName(kind: string, path: string): string {
  return kind + path.replace(/[^\w]+(\w)?/g, (_, c: string | undefined) => c?.toUpperCase() ?? '');
}
