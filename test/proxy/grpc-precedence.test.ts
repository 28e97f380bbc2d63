// Precedence of a GRPCRoute's matches (apis/v1 GRPCRouteRule.matches): characters of a service, of a method, headers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalizeTarget } from '../../src/proxy/route/normalize.ts';
import { Router } from '../../src/proxy/route/router.ts';
import { grpcMatchesOf } from '../../src/translate/grpc-match.ts';
import { LISTENER, listenerHost, request, rule } from '../support/routing.ts';

/** Which of the matches, each a rule of one route, has a call. */
function routerOf(specs: readonly object[]): (target: string, lines?: readonly string[]) => string | null {
  const router = new Router<string>(LISTENER);
  router.setHosts([listenerHost('*')]);
  for (const [index, spec] of specs.entries()) {
    const matches = grpcMatchesOf([spec], 'matches', (at, message) => assert.fail(`${at}: ${message}`));
    router.set(rule({ index, matches }), String(index));
  }
  return (target, lines = []) => {
    const { mem, head } = request('grpc.example', target, [...lines], 'POST');
    assert.ok(normalizeTarget(mem, head));
    return router.find(mem, head);
  };
}

test('a service goes before a method, both before either, a method before headers', () => {
  const find = routerOf([
    {
      headers: [
        { name: 'a', value: '1' },
        { name: 'b', value: '1' },
      ],
    },
    { method: { method: 'Get' } },
    { method: { service: 'pkg.Echo' } },
    { method: { service: 'pkg.Echo', method: 'Get' } },
    { method: { method: 'Get' }, headers: [{ name: 'a', value: '1' }] },
    {},
  ]);
  const both = ['a: 1', 'b: 1'];
  assert.equal(find('/pkg.Echo/Get'), '3');
  assert.equal(find('/pkg.Echo/Put'), '2');
  assert.equal(find('/pkg.Echo/Put', both), '2');
  assert.equal(find('/other.Echo/Get'), '1');
  assert.equal(find('/other.Echo/Get', both), '4');
  assert.equal(find('/other.Echo/Put', both), '0');
  assert.equal(find('/other.Echo/Put'), '5');
  // A method is of a service: neither a path of one element nor one of three is a call.
  assert.equal(find('/Get'), '5');
  assert.equal(find('/a/b/Get'), '5');
});

test('of expressions the longer service goes first, then the longer method', () => {
  const type = 'RegularExpression';
  const find = routerOf([
    { method: { type, service: 'pkg[.].*', method: 'Get.*|Put.*|List.*' } },
    { method: { type, service: 'pkg[.](Echo|Other)' } },
    { method: { type, service: 'pkg[.](Echo|Other)', method: 'G.*' } },
    { method: { type, method: '.*' } },
  ]);
  assert.equal(find('/pkg.Echo/Get'), '2');
  assert.equal(find('/pkg.Echo/List'), '1');
  assert.equal(find('/pkg.Third/List'), '0');
  assert.equal(find('/pkg.Third/Watch'), '3');
});
