import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request, written } from '../../../test/support/routing.ts';
import type { Redirect } from '../../ir/ir.ts';
import { CompiledRedirect } from './redirect.ts';

interface From {
  readonly host?: string;
  readonly target?: string;
  readonly matched?: number;
  readonly secure?: boolean;
  readonly port?: number;
}

function location(redirect: Partial<Redirect>, from: From = {}): string {
  const message = request(from.host ?? 'h.example', from.target ?? '/p');
  const compiled = new CompiledRedirect({
    scheme: null,
    hostname: null,
    port: null,
    path: null,
    status: 302,
    ...redirect,
  });
  const { matched = 0, secure = false, port = 80 } = from;
  const { mem, head } = message;
  const text = written(message, (at) => compiled.putLocation(mem, at, head, matched, secure, port));
  assert.ok(text.length <= compiled.locationBound(head));
  return text;
}

// Conformance HTTPRouteRedirectPortAndScheme: listener, what the filter says, where to.
const hostname = 'example.org';
const table: readonly (readonly [listener: From, redirect: Partial<Redirect>, expected: string])[] = [
  [{ port: 80 }, { hostname }, 'http://example.org/p'],
  [{ port: 80 }, { hostname, port: 80 }, 'http://example.org/p'],
  [{ port: 80 }, { hostname, port: 8080 }, 'http://example.org:8080/p'],
  [{ port: 80 }, { hostname, scheme: 'https' }, 'https://example.org/p'],
  [{ port: 80 }, { hostname, scheme: 'https', port: 443 }, 'https://example.org/p'],
  [{ port: 80 }, { hostname, scheme: 'https', port: 8443 }, 'https://example.org:8443/p'],
  [{ port: 8080 }, { hostname }, 'http://example.org:8080/p'],
  [{ port: 8080 }, { hostname, port: 80 }, 'http://example.org/p'],
  [{ port: 8080 }, { hostname, scheme: 'https' }, 'https://example.org/p'],
  [{ port: 443, secure: true }, { hostname }, 'https://example.org/p'],
  [{ port: 443, secure: true }, { hostname, port: 443 }, 'https://example.org/p'],
  [{ port: 443, secure: true }, { hostname, port: 8443 }, 'https://example.org:8443/p'],
  [{ port: 443, secure: true }, { hostname, scheme: 'http' }, 'http://example.org/p'],
  [{ port: 443, secure: true }, { hostname, scheme: 'http', port: 80 }, 'http://example.org/p'],
  [{ port: 443, secure: true }, { hostname, scheme: 'http', port: 8080 }, 'http://example.org:8080/p'],
  // http on 443 and https on 80 are not well known
  [{ port: 80 }, { hostname, port: 443 }, 'http://example.org:443/p'],
  [{ port: 80 }, { hostname, scheme: 'https', port: 80 }, 'https://example.org:80/p'],
];
for (const [from, redirect, expected] of table) {
  const { port, secure } = from;
  test(`${secure ? 'https' : 'http'} listener on ${port}, ${JSON.stringify(redirect)}`, () => {
    assert.equal(location(redirect, from), expected);
  });
}

test('without a hostname that of the request is kept, without its port (HTTPRequestRedirectFilter.port)', () => {
  assert.equal(location({ scheme: 'https' }, { host: 'A.example:8080', port: 8080 }), 'https://A.example/p');
  assert.equal(location({ port: 8083 }, { host: 'a.example' }), 'http://a.example:8083/p');
  assert.equal(location({}, { host: 'a.example:1234', port: 8080 }), 'http://a.example:8080/p');
  assert.equal(location({ scheme: 'https' }, { host: '[::1]:80' }), 'https://[::1]/p');
  assert.equal(location({}, { host: 'b.example', target: 'http://a.example/x' }), 'http://a.example/x');
});

test('path and query (conformance HTTPRouteRedirectPath)', () => {
  const replaced = { type: 'ReplacePrefixMatch', value: '/replacement-prefix' } as const;
  const whole = { type: 'ReplaceFullPath', value: '/full-path-replacement' } as const;
  const at = 'http://h.example';
  assert.equal(location({}, { target: '/a/b?c=d' }), `${at}/a/b?c=d`);
  assert.equal(
    location({ path: replaced }, { target: '/original-prefix/lemon?x', matched: 16 }),
    `${at}/replacement-prefix/lemon?x`,
  );
  assert.equal(location({ path: replaced }, { target: '/path-and-host', matched: 14 }), `${at}/replacement-prefix`);
  assert.equal(location({ path: whole }, { target: '/full/path/original', matched: 5 }), `${at}/full-path-replacement`);
});

test('a request without a host gets a relative reference (RFC 9110 section 10.2.2)', () => {
  assert.equal(location({ scheme: 'https' }, { host: '', target: '/a?b' }), '/a?b');
  assert.equal(location({ hostname }, { host: '', target: '/a?b' }), 'http://example.org/a?b');
});

test('status and bad hostnames', () => {
  const base = { scheme: null, hostname: null, port: null, path: null } as const;
  for (const status of [301, 302, 303, 307, 308] as const) {
    assert.equal(new CompiledRedirect({ ...base, status }).status, status);
  }
  assert.throws(() => new CompiledRedirect({ ...base, hostname: 'a b', status: 302 }), /"a b": not a host name/);
});
