// What becomes here of each annotation of ingress-nginx (controller v1.15.1, the last one, and names that releases
// before it had): one table, by which Ingresses are read and docs/reference/ingress-nginx.md is written.

import { LIMITS as BOUNDS } from '../base/limits.ts';
import { nearest } from '../base/nearest.ts';

export const NGINX = 'nginx.ingress.kubernetes.io/';

/**
 * `served`: as it was meant, within what the page says. `granted`: it is so without being asked for, or asks for
 * nothing that shows. `restricts`: it is not served, and lets in only some or only so many: its Ingress answers 500
 * while it is there. `idle`: it is not served and has no effect. `unknown`: ingress-nginx has no such annotation.
 */
export type Fate = 'served' | 'granted' | 'restricts' | 'idle' | 'unknown';

export interface Annotation {
  readonly fate: Fate;
  /** What it does here, or what to do instead: whole sentences. */
  readonly says: string;
}

const NOTHING = 'There is nothing for it yet';
const AFFINITY =
  'No cookie is set. Write upstream-hash-by with one that the application sets, like $cookie_JSESSIONID, or $remote_addr.';
const LOGIN = 'No server is asked about all Ingresses: write auth-url at each, and remove it.';
const ASKING = 'Nothing reads nginx.conf. Remove it, or write an HTTPRoute with a filter of type ExternalAuth.';
const BASIC = 'Write auth-url instead, the URL of a Service that asks for passwords: its 401 reaches clients as it is.';
const CLIENTS =
  'Write a Gateway with spec.tls.frontend (certificates of clients), and an HTTPRoute or this Ingress for its hostname.';
const LIMITS = `${NOTHING}. To serve it without a limit remove it.`;
const FIREWALL = `${NOTHING}: let a backend look at requests, or a server of ExternalAuth. To serve it without remove it.`;
const TUNING = 'RAUTA streams content, within limits of its own, and keeps nothing on a disk.';
const TRACES = `${NOTHING}: X-Request-ID is passed on and logged. Remove it.`;
const SNIPPET =
  'Write an HTTPRoute with filters (RequestHeaderModifier, ResponseHeaderModifier ...). Nothing reads nginx.conf; ' +
  'with a directive that refuses somebody (deny, return 403, auth_basic ...) the Ingress answers 500.';
const BACKEND_TLS = 'Write a BackendTLSPolicy for the Service';
const TLS_OPTIONS = 'Write a Gateway whose HTTPS listener has tls.options (docs/reference/tls.md).';
const LOCATION = 'Location of a backend passes as it is: let the backend write it for the host that it is asked for.';

/** By fate and sentence, the names behind the prefix. */
const GROUPS: readonly (readonly [fate: Fate, says: string, names: string])[] = [
  [
    'served',
    'Requests in the clear for hosts of spec.tls are sent to https by 308; "false" serves them.',
    'ssl-redirect',
  ],
  ['served', 'Requests in the clear for any host are sent to https.', 'force-ssl-redirect'],
  [
    'served',
    'An absolute URL without query, or https://HOST$request_uri; of both the temporal one counts.',
    'permanent-redirect permanent-redirect-code temporal-redirect temporal-redirect-code',
  ],
  ['served', "It takes the place of the request's path; $1 to $9 are what the rule's path captured.", 'rewrite-target'],
  ['served', 'Seconds in which nothing moves either way; the longer of both.', 'proxy-read-timeout proxy-send-timeout'],
  ['served', 'More content is answered 413; 0, and where it is not there, is any length.', 'proxy-body-size'],
  [
    'served',
    'After which failures another endpoint is asked, and how often, of idempotent methods but for non_idempotent.',
    'proxy-next-upstream proxy-next-upstream-tries',
  ],
  ['idle', 'proxy-next-upstream-tries is what ends it. Remove it.', 'proxy-next-upstream-timeout'],
  ['served', 'A path: who asks for / is sent there by 302.', 'app-root'],
  [
    'served',
    'Who asks for the host with (without) www. is sent to the one that has a rule by 308.',
    'from-to-www-redirect',
  ],
  ['served', 'Hosts with commas between them: every rule is for them, too.', 'server-alias'],
  ['served', 'Host of the request to the backend.', 'upstream-vhost'],
  ['served', 'The field X-Forwarded-Prefix.', 'x-forwarded-prefix'],
  [
    'served',
    "As the Gateway API's CORS filter, with ingress-nginx's defaults.",
    'enable-cors cors-allow-origin cors-allow-methods cors-allow-headers cors-allow-credentials cors-expose-headers ' +
      'cors-max-age',
  ],
  [
    'served',
    'One variable: $remote_addr, $request_uri or $uri (both the path alone), $http_NAME, $cookie_NAME; by Maglev.',
    'upstream-hash-by',
  ],
  ['served', '"ewma": of two endpoints the one that answers fewer requests; "round_robin".', 'load-balance'],
  ['served', 'HTTP, HTTPS, GRPC and GRPCS; TLS needs a BackendTLSPolicy.', 'backend-protocol'],
  [
    'served',
    'Paths of type ImplementationSpecific, and what looks so of others, are regular expressions, in this Ingress alone.',
    'use-regex',
  ],
  [
    'served',
    'The URL of a Service (NAME.NAMESPACE.svc, with a ReferenceGrant for another namespace): asked about each request.',
    'auth-url',
  ],
  [
    'served',
    'Ranges of addresses of clients: those alone are let in.',
    'allowlist-source-range whitelist-source-range',
  ],
  ['served', 'Ranges of addresses of clients: those are answered 403.', 'denylist-source-range'],
  ['served', 'GET where it is not there.', 'auth-method'],
  ['served', 'Fields of its answer that the backend is told, and no client.', 'auth-response-headers'],
  [
    'served',
    'Where whoever is answered 401 is sent, with the way back in rd; variables: scheme, host, request_uri, request_method, args.',
    'auth-signin auth-signin-redirect-param',
  ],
  ['served', 'The field X-Auth-Request-Redirect.', 'auth-request-redirect'],
  [
    'served',
    'Its Ingress has a share of one of its namespace with the same host, path and pathType.',
    'canary canary-by-cookie canary-by-header canary-by-header-value canary-by-header-pattern canary-weight ' +
      'canary-weight-total',
  ],

  ['granted', TUNING, 'proxy-buffering proxy-request-buffering proxy-buffers-number proxy-busy-buffers-size'],
  ['granted', TUNING, 'proxy-buffer-size proxy-max-temp-file-size client-body-buffer-size'],
  ['granted', 'HTTP/1.1, or what backend-protocol says.', 'proxy-http-version'],
  ['granted', 'Requests go to endpoints; a changed one costs no request.', 'service-upstream'],
  ['granted', "Redirects go to the scheme's own port.", 'use-port-in-redirects'],
  ['granted', 'There is one access log, for all (--access-log).', 'enable-access-log enable-rewrite-log'],
  ['granted', "Set-Cookie of auth-url's server goes to the client whatever it says.", 'auth-always-set-cookie'],
  ['granted', 'Browsers have given server push up, and nginx has.', 'http2-push-preload'],

  ['restricts', ASKING, 'auth-snippet'],
  ['restricts', LOGIN, 'enable-global-auth'],
  ['restricts', BASIC, 'auth-type auth-secret auth-secret-type auth-realm'],
  ['restricts', CLIENTS, 'auth-tls-secret auth-tls-verify-client auth-tls-verify-depth auth-tls-match-cn'],
  ['restricts', CLIENTS, 'auth-tls-error-page auth-tls-pass-certificate-to-upstream'],
  ['restricts', LIMITS, 'limit-connections limit-rps limit-rpm limit-burst-multiplier limit-allowlist limit-whitelist'],
  [
    'restricts',
    LIMITS,
    'global-rate-limit global-rate-limit-window global-rate-limit-key global-rate-limit-ignored-cidrs',
  ],
  ['restricts', FIREWALL, 'enable-modsecurity enable-owasp-core-rules modsecurity-transaction-id modsecurity-snippet'],

  ['idle', 'Its server is told all fields of a request, and no others. Remove it.', 'auth-proxy-set-headers'],
  ['idle', `${NOTHING}: each request is asked about. Remove it.`, 'auth-cache-key auth-cache-duration'],
  [
    'idle',
    'Connections to servers of ExternalAuth are pooled by themselves. Remove it.',
    'auth-keepalive auth-keepalive-requests auth-keepalive-share-vars auth-keepalive-timeout',
  ],
  ['idle', 'What lets in must all let in here. Remove it, or write an HTTPRoute for those that need less.', 'satisfy'],
  [
    'idle',
    `Connecting has ${BOUNDS.UPSTREAM_CONNECT_MS / 1000} s for all, then another endpoint is tried. Remove it.`,
    'proxy-connect-timeout',
  ],
  ['idle', `${NOTHING}: a response is sent as fast as it is read. Remove it.`, 'limit-rate limit-rate-after'],
  ['idle', SNIPPET, 'configuration-snippet server-snippet'],
  ['idle', 'Write a TCPRoute, TLSRoute or UDPRoute.', 'stream-snippet'],
  ['idle', 'Write an HTTPRoute with a filter of type ResponseHeaderModifier.', 'custom-headers'],
  ['idle', 'Upgrades pass without it. Remove it.', 'connection-proxy-header'],
  ['idle', 'Write an HTTPRoute with a filter of type RequestMirror.', 'mirror-target mirror-host mirror-request-body'],
  [
    'idle',
    'Redirects keep what the rule gives them: write the path with the slash it is to have.',
    'preserve-trailing-slash',
  ],
  ['idle', 'Location is absolute, or what the backend says. Remove it.', 'relative-redirects'],
  ['idle', 'Write a TLSRoute, and a Gateway with a listener of protocol TLS and mode Passthrough.', 'ssl-passthrough'],
  ['idle', TLS_OPTIONS, 'ssl-ciphers ssl-prefer-server-ciphers'],
  [
    'idle',
    `${BACKEND_TLS}: its validation.hostname is asked for (SNI), and what the certificate has to be for.`,
    'proxy-ssl-name proxy-ssl-server-name',
  ],
  ['idle', `Certificates are always checked. ${BACKEND_TLS}, which says whose are good.`, 'proxy-ssl-verify'],
  [
    'idle',
    'Ciphers and depth of TLS to backends are not for anybody to say. Remove it.',
    'proxy-ssl-ciphers proxy-ssl-verify-depth',
  ],
  ['idle', `${BACKEND_TLS}. Its options name the least version.`, 'proxy-ssl-protocols'],
  [
    'idle',
    `${BACKEND_TLS}, with this Secret in caCertificateRefs. Nothing that an Ingress sends shows a certificate of ours: ` +
      'for that write an HTTPRoute, and spec.tls.backend of its Gateway.',
    'proxy-ssl-secret',
  ],
  ['idle', 'Write backend-protocol: HTTPS or GRPCS, and a BackendTLSPolicy.', 'secure-backends grpc-backend'],
  ['idle', `${BACKEND_TLS}, with this Secret in caCertificateRefs.`, 'secure-verify-ca-secret'],
  ['idle', AFFINITY, 'affinity affinity-mode affinity-canary-behavior'],
  [
    'idle',
    AFFINITY,
    'session-cookie-name session-cookie-path session-cookie-domain session-cookie-expires session-cookie-max-age ' +
      'session-cookie-samesite session-cookie-conditional-samesite-none session-cookie-secure session-cookie-hash ' +
      'session-cookie-partitioned session-cookie-change-on-failure',
  ],
  [
    'idle',
    'upstream-hash-by shares among all endpoints. Remove it.',
    'upstream-hash-by-subset upstream-hash-by-subset-size',
  ],
  [
    'idle',
    'What fails before it was sent goes to another endpoint anyway. Remove it.',
    'upstream-max-fails upstream-fail-timeout',
  ],
  ['idle', LOCATION, 'proxy-redirect-from proxy-redirect-to'],
  [
    'idle',
    'Set-Cookie of a backend passes as it is. Let the backend write it.',
    'proxy-cookie-domain proxy-cookie-path',
  ],
  ['idle', 'Write spec.defaultBackend for what no rule takes. Errors are answered by RAUTA.', 'default-backend'],
  ['idle', 'Answers of backends pass as they are. Let the backend write the page.', 'custom-http-errors'],
  ['idle', 'Answers of backends pass as they are. Remove it.', 'disable-proxy-intercept-errors'],
  ['idle', 'FastCGI is not spoken: write a server of HTTP in front of it.', 'fastcgi-index fastcgi-params-configmap'],
  [
    'idle',
    TRACES,
    'enable-opentelemetry opentelemetry-operation-name opentelemetry-trust-incoming-span enable-opentracing ' +
      'opentracing-trust-incoming-span',
  ],
  [
    'idle',
    '/metrics is for Prometheus. Remove it.',
    'enable-influxdb influxdb-measurement influxdb-port influxdb-host influxdb-server-name',
  ],
  [
    'idle',
    'It left ingress-nginx in 0.22: let the backend write its links. Remove it.',
    'add-base-url base-url-scheme',
  ],
];

const BY_NAME: ReadonlyMap<string, Annotation> = new Map(
  GROUPS.flatMap(([fate, says, names]) => names.split(' ').map((name) => [name, { fate, says }] as const)),
);

/** Every name, behind the prefix, in order, and what becomes of it. */
export function nginxAnnotations(): readonly (readonly [name: string, annotation: Annotation])[] {
  return [...BY_NAME].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** `name`: behind the prefix. */
export function nginxAnnotation(name: string): Annotation {
  const known = BY_NAME.get(name);
  if (known !== undefined) return known;
  const near = nearest(name, [...BY_NAME.keys()]);
  const meant = near === undefined ? 'Remove it.' : `Did you mean ${near}?`;
  return { fate: 'unknown', says: meant };
}
