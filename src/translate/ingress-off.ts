// Annotations of ingress-nginx that restrict who may ask where they are set so, and as they stand restrict nobody there
// either: switched off, a limit of none, or one that says more of another that is not there. They need nothing here.

import { flagOf } from '../base/flag-text.ts';
import { NGINX } from './ingress-nginx.ts';
import { setsOnly } from './nginx-snippet.ts';

/** The value of an annotation by its name behind the prefix; null: it is not there. */
type Given = (name: string) => string | null;

const SWITCHES: ReadonlySet<string> = new Set([
  'enable-global-auth',
  'enable-modsecurity',
  'enable-owasp-core-rules',
  'auth-tls-pass-certificate-to-upstream',
]);
const LIMITS = ['limit-connections', 'limit-rps', 'limit-rpm'] as const;
const COUNTS: ReadonlySet<string> = new Set([...LIMITS, 'global-rate-limit']);

/** Without all of these it says nothing. */
const OF: ReadonlyMap<string, readonly string[]> = new Map([
  ...group(['auth-type'], 'auth-realm auth-secret auth-secret-type'),
  ...group(['auth-url'], 'auth-snippet'),
  ...group(
    ['auth-tls-secret'],
    'auth-tls-verify-client auth-tls-verify-depth auth-tls-error-page auth-tls-match-cn ' +
      'auth-tls-pass-certificate-to-upstream',
  ),
  ...group(LIMITS, 'limit-burst-multiplier limit-allowlist limit-whitelist'),
  ...group(['global-rate-limit'], 'global-rate-limit-window global-rate-limit-key global-rate-limit-ignored-cidrs'),
  ...group(['enable-modsecurity', 'modsecurity-snippet'], 'modsecurity-transaction-id'),
]);

/** Fields that a server of auth-url is told whatever a snippet says: what one asks for with these is so already. */
const TOLD: ReadonlyMap<string, readonly string[]> = new Map([
  ['x-forwarded-host', ['$host', '$http_host', '$best_http_host']],
  ['x-forwarded-proto', ['$scheme', '$pass_access_scheme']],
  ['x-forwarded-for', ['$remote_addr', '$proxy_add_x_forwarded_for']],
  ['x-real-ip', ['$remote_addr']],
  ['x-original-method', ['$request_method']],
  ['x-original-url', ['$scheme://$http_host$request_uri', '$scheme://$host$request_uri']],
]);

function group(of: readonly string[], names: string): [string, readonly string[]][] {
  return names.split(' ').map((name) => [name, of]);
}

/** `name`: behind the prefix, of one that is there. */
export function restrictsNobody(name: string, given: Given): boolean {
  const value = given(name) ?? '';
  if (SWITCHES.has(name) && flagOf(value) === false) return true;
  if (COUNTS.has(name) && /^0+$/.test(value)) return true;
  if (name === 'auth-snippet' && setsOnly(value, TOLD)) return true;
  // Certificates of clients are not asked for.
  if (name.startsWith('auth-tls-') && given('auth-tls-verify-client') === 'off') return true;
  const others = OF.get(name);
  return others?.every((other) => given(other) === null || restrictsNobody(other, given)) === true;
}

/** Of the annotations that `peek` knows by their whole names. */
export function givenBy(peek: (name: string) => string | null): Given {
  return (name) => peek(`${NGINX}${name}`);
}
