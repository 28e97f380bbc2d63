import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { readAnnotations } from './ingress-annotations.ts';
import { NGINX, nginxAnnotation, nginxAnnotations } from './ingress-nginx.ts';

/** What is said of an Ingress with these, and whether it is refused for them. */
function read(annotations: Readonly<Record<string, string>>): { said: string[]; refused: boolean } {
  const problems = new Problems(null);
  const metadata = { name: 'a', namespace: 'default', annotations };
  const ingress = { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata } as unknown as KubeObject;
  const { refused } = readAnnotations(ingress, problems);
  return {
    said: problems.found.map(({ severity, place, message }) => `${severity} ${place.field}: ${message}`),
    refused: refused !== null,
  };
}

const named = (fate: string): string[] =>
  nginxAnnotations()
    .filter(([, annotation]) => annotation.fate === fate)
    .map(([name]) => name);

/** Those that ingress-nginx documents (user guide, annotations and their risk), and two younger ones. */
const DOCUMENTED = `
  server-alias allowlist-source-range backend-protocol auth-realm auth-secret auth-secret-type auth-type canary
  canary-by-cookie canary-by-header canary-by-header-pattern canary-by-header-value canary-weight canary-weight-total
  auth-tls-error-page auth-tls-match-cn auth-tls-pass-certificate-to-upstream auth-tls-secret auth-tls-verify-client
  auth-tls-verify-depth client-body-buffer-size configuration-snippet connection-proxy-header cors-allow-credentials
  cors-allow-headers cors-allow-methods cors-allow-origin cors-expose-headers cors-max-age enable-cors
  custom-http-errors custom-headers default-backend denylist-source-range disable-proxy-intercept-errors
  enable-global-auth auth-always-set-cookie auth-cache-duration auth-cache-key auth-keepalive auth-keepalive-requests
  auth-keepalive-share-vars auth-keepalive-timeout auth-method auth-proxy-set-headers auth-request-redirect
  auth-response-headers auth-signin auth-signin-redirect-param auth-snippet auth-url fastcgi-index
  fastcgi-params-configmap http2-push-preload load-balance enable-access-log enable-rewrite-log mirror-host
  mirror-request-body mirror-target enable-modsecurity enable-owasp-core-rules modsecurity-snippet
  modsecurity-transaction-id enable-opentelemetry opentelemetry-operation-name opentelemetry-trust-incoming-span
  proxy-body-size proxy-buffer-size proxy-buffering proxy-buffers-number proxy-connect-timeout proxy-cookie-domain
  proxy-cookie-path proxy-http-version proxy-max-temp-file-size proxy-next-upstream proxy-next-upstream-timeout
  proxy-next-upstream-tries proxy-read-timeout proxy-redirect-from proxy-redirect-to proxy-request-buffering
  proxy-send-timeout proxy-ssl-ciphers proxy-ssl-name proxy-ssl-protocols proxy-ssl-secret proxy-ssl-server-name
  proxy-ssl-verify proxy-ssl-verify-depth limit-allowlist limit-burst-multiplier limit-connections limit-rate
  limit-rate-after limit-rpm limit-rps from-to-www-redirect permanent-redirect permanent-redirect-code
  temporal-redirect temporal-redirect-code app-root force-ssl-redirect preserve-trailing-slash rewrite-target
  ssl-redirect use-regex ssl-ciphers ssl-prefer-server-ciphers ssl-passthrough satisfy server-snippet service-upstream
  affinity affinity-canary-behavior affinity-mode session-cookie-change-on-failure
  session-cookie-conditional-samesite-none session-cookie-domain session-cookie-expires session-cookie-max-age
  session-cookie-name session-cookie-partitioned session-cookie-path session-cookie-samesite session-cookie-secure
  stream-snippet upstream-hash-by upstream-hash-by-subset upstream-hash-by-subset-size upstream-vhost
  use-port-in-redirects x-forwarded-prefix proxy-busy-buffers-size relative-redirects
`;

test('every documented annotation of ingress-nginx has its fate and a sentence', () => {
  const names = DOCUMENTED.trim().split(/\s+/);
  assert.ok(names.length > 119);
  for (const name of names) {
    const { fate, says } = nginxAnnotation(name);
    assert.notEqual(fate, 'unknown', name);
    assert.match(says, /[.?]$/, name);
  }
});

test('what is called served is read: a value that it cannot have is told', () => {
  for (const name of named('served')) {
    const { said } = read({ [`${NGINX}enable-cors`]: 'true', [`${NGINX}${name}`]: '\u00e9 ?' });
    assert.ok(
      said.some((text) => text.includes(`[${NGINX}${name}]`) && !text.includes('is not served')),
      `${name}: ${said}`,
    );
  }
});

test('what needs nothing says nothing; of the others each is told; what restricts refuses', () => {
  for (const name of named('granted'))
    assert.deepEqual(read({ [`${NGINX}${name}`]: 'x' }), { said: [], refused: false });
  for (const name of named('idle')) {
    const { said, refused } = read({ [`${NGINX}${name}`]: 'x' });
    assert.equal(said.length, 1, name);
    assert.match(said[0] ?? '', /^warning .* is not served and has no effect\. ./);
    assert.equal(refused, false, name);
  }
  const all = named('restricts').filter((name) => name !== 'auth-tls-verify-client');
  for (const name of all) {
    // Some say more of another, and nothing alone.
    const others = [
      'auth-type',
      'auth-tls-secret',
      'limit-rps',
      'global-rate-limit',
      'modsecurity-snippet',
      'auth-url',
    ];
    const beside = Object.fromEntries(others.map((other) => [`${NGINX}${other}`, 'x']));
    const { said, refused } = read({ ...beside, [`${NGINX}${name}`]: 'x' });
    assert.ok(
      said.some((text) => text.includes(`[${NGINX}${name}]: ${name} is not served, and it`)),
      name,
    );
    assert.match(said.join(), /^error .* restricts who may ask: the Ingress answers 500 while it is there\. ./);
    assert.equal(refused, true, name);
  }
});

test('what restricts elsewhere is no matter where it is switched off, or says more of what is not there', () => {
  const without = { said: [], refused: false };
  for (const off of ['false', 'False', '0', 'f'])
    for (const name of ['enable-modsecurity', 'enable-owasp-core-rules', 'enable-global-auth'])
      assert.deepEqual(read({ [`${NGINX}${name}`]: off }), without, `${name} ${off}`);
  for (const name of ['limit-rps', 'limit-rpm', 'limit-connections', 'global-rate-limit'])
    assert.deepEqual(read({ [`${NGINX}${name}`]: '0' }), without, name);
  for (const name of ['auth-realm', 'auth-secret', 'auth-tls-verify-depth', 'auth-tls-match-cn', 'limit-allowlist'])
    assert.deepEqual(read({ [`${NGINX}${name}`]: 'x' }), without, name);
  const verify = (value: string): Record<string, string> => ({
    [`${NGINX}auth-tls-secret`]: 'default/ca',
    [`${NGINX}auth-tls-verify-client`]: value,
  });
  assert.deepEqual(read(verify('off')), without);
  assert.equal(read(verify('on')).refused, true);
  assert.equal(read(verify('optional')).refused, true);
  // A switch that nobody can read, a limit whose template gave nothing: better shut.
  for (const [name, value] of Object.entries({ 'enable-modsecurity': 'off', 'limit-rps': '', 'auth-url': '' }))
    assert.equal(read({ [`${NGINX}${name}`]: value }).refused, true, name);
});

test('a name that ingress-nginx does not have is told with the nearest', () => {
  assert.deepEqual(read({ [`${NGINX}proxy-read-timout`]: '60' }).said, [
    `warning metadata.annotations[${NGINX}proxy-read-timout]: proxy-read-timout is not served and has no effect. ` +
      'Did you mean proxy-read-timeout?',
  ]);
});

test('of a canary nothing is told but what is its own: the rest is that of the Ingress that it has a share of', () => {
  const canary = { [`${NGINX}canary`]: 'true', [`${NGINX}auth-url`]: 'http://a' };
  assert.deepEqual(read({ ...canary, [`${NGINX}canary-weight`]: '10' }).said, []);
  const { said } = read(canary);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /It gets no requests: write canary-weight/);
});
