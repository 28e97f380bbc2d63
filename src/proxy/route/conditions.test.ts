import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LISTENER, listenerHost, type MatchOptions, match, request, rule } from '../../../test/support/routing.ts';
import { Router } from './router.ts';

/** Whether a rule with these conditions takes the request. */
function takes(options: MatchOptions, target: string, lines: readonly string[] = [], method = 'GET'): boolean {
  const router = new Router<true>(LISTENER);
  router.setHosts([listenerHost('*')]);
  router.set(rule({ matches: [match('PathPrefix', '/', options)] }), true);
  const { mem, head } = request('h', target, lines, method);
  return router.find(mem, head) === true;
}

test('methods, also those without a number of their own', () => {
  assert.equal(takes({ method: 'POST' }, '/', ['Content-Length: 0'], 'POST'), true);
  assert.equal(takes({ method: 'POST' }, '/'), false);
  assert.equal(takes({ method: 'PURGE' }, '/', [], 'PURGE'), true);
  assert.equal(takes({ method: 'PURGE' }, '/', [], 'PROPS'), false);
  assert.equal(takes({ method: 'PURGE' }, '/', [], 'PURGES'), false);
  assert.equal(takes({ method: 'OTHER' }, '/', [], 'PURGE'), false);
  assert.equal(takes({ method: 'get' }, '/'), false, 'methods are case-sensitive (RFC 9110 section 9.1)');
});

test('header names are case-insensitive, values are not (RFC 9110 section 5.1)', () => {
  assert.equal(takes({ headers: ['X-Version=v1'] }, '/', ['x-VERSION: v1']), true);
  assert.equal(takes({ headers: ['x-version=v1'] }, '/', ['x-version: V1']), false);
  assert.equal(takes({ headers: ['x-version=v1'] }, '/', ['x-version:  v1 ']), true);
  assert.equal(takes({ headers: ['x-version=v1'] }, '/', ['x-version-2: v1']), false);
  assert.equal(takes({ headers: ['x-version=v1'] }, '/', []), false);
});

test('well-known names are found by their number', () => {
  assert.equal(takes({ headers: ['user-agent=curl'] }, '/', ['User-Agent: curl']), true);
  assert.equal(takes({ headers: ['user-agent=curl'] }, '/', ['Accept: curl']), false);
  assert.equal(takes({ headers: ['Host=h'] }, '/'), true);
  assert.equal(takes({ headers: ['other=1'] }, '/', ['other: 1']), true);
  assert.equal(takes({ headers: ['x_real_ip=1'] }, '/', ['x-real-ip: 1']), false);
});

test('several lines of a name are one value joined by commas, cookies by "; " (RFC 9110 5.3, RFC 9113 8.2.3)', () => {
  const two = ['x-a: 1', 'other: 0', 'X-A: 2'];
  assert.equal(takes({ headers: ['x-a=1,2'] }, '/', two), true);
  assert.equal(takes({ headers: ['x-a=1'] }, '/', two), false, 'a second line cannot slip past');
  assert.equal(takes({ headers: ['x-a=2'] }, '/', two), false);
  assert.equal(takes({ headers: ['x-a=1;2'] }, '/', two), false);
  assert.equal(takes({ headers: ['x-a~1,\\d'] }, '/', two), true);
  assert.equal(takes({ headers: ['x-a~1'] }, '/', two), false);
  const cookies = ['cookie: a=1', 'cookie: b=2'];
  assert.equal(takes({ headers: ['cookie=a=1; b=2'] }, '/', cookies), true);
  assert.equal(takes({ headers: ['cookie~.*(^|; )b=2(;.*|$)'] }, '/', cookies), true);
});

test('discarded fields are not seen, those for the proxy itself are', () => {
  assert.equal(takes({ headers: ['x-a=1'] }, '/', ['Connection: x-a', 'x-a: 1']), false);
  assert.equal(takes({ headers: ['upgrade=websocket'] }, '/', ['Connection: upgrade', 'Upgrade: websocket']), true);
  const router = new Router<true>(LISTENER);
  router.setHosts([listenerHost('*')]);
  router.set(rule({ matches: [match('PathPrefix', '/', { headers: ['x-forwarded-proto=https'] })] }), true);
  const { mem, head } = request('h', '/', ['X-Forwarded-Proto: https']);
  assert.equal(router.find(mem, head), true);
  head.drop(1);
  assert.equal(router.find(mem, head), null);
});

test('a regular expression is for the whole header value', () => {
  assert.equal(takes({ headers: ['user-agent~.*(iPhone|Android).*'] }, '/', ['User-Agent: X (iPhone; Y)']), true);
  assert.equal(takes({ headers: ['x-a~[0-9]+'] }, '/', ['x-a: 12x']), false);
  assert.equal(takes({ headers: ['x-a~.*'] }, '/', []), false, 'a missing field matches nothing');
});

test('of several conditions on one name the first counts (HTTPHeaderMatch.name)', () => {
  assert.equal(takes({ headers: ['X-A=1', 'x-a=2'] }, '/', ['x-a: 1']), true);
  assert.equal(takes({ headers: ['X-A=1', 'x-a=2'] }, '/', ['x-a: 2']), false);
  assert.equal(takes({ query: ['a=1', 'a=2'] }, '/?a=1'), true);
  assert.equal(takes({ query: ['a=1', 'A=2'] }, '/?a=1'), false, 'names of parameters are case-sensitive');
});

test('of several parameters of a name the first counts (HTTPQueryParamMatch.name)', () => {
  assert.equal(takes({ query: ['a=1'] }, '/?a=1&a=2'), true);
  assert.equal(takes({ query: ['a=2'] }, '/?a=1&a=2'), false);
});

test('names and values of parameters are read as a form reads them', () => {
  assert.equal(takes({ query: ['a=x y'] }, '/?a=x%20y'), true);
  assert.equal(takes({ query: ['a=x y'] }, '/?a=x+y'), true);
  assert.equal(takes({ query: ['a b=é&='] }, '/?z&a%20b=%c3%A9%26%3d'), true);
  assert.equal(takes({ query: ['a=1=2'] }, '/?a=1=2'), true);
  assert.equal(takes({ query: ['a=%2'] }, '/?a=%2'), true, 'a broken escape stands for itself');
  assert.equal(takes({ query: ['a=%zz'] }, '/?a=%zz'), true);
  assert.equal(takes({ query: ['a='] }, '/?a'), true);
  assert.equal(takes({ query: ['a='] }, '/?a='), true);
  assert.equal(takes({ query: ['a='] }, '/?'), false);
  assert.equal(takes({ query: ['a='] }, '/?&&a&'), true);
  assert.equal(takes({ query: ['a=1'] }, '/?aa=1'), false);
  assert.equal(takes({ query: ['a=1'] }, '/?a=12'), false);
});

test('a regular expression is for the whole parameter, decoded', () => {
  assert.equal(takes({ query: ['a~[0-9 ]+'] }, '/?a=1%202'), true);
  assert.equal(takes({ query: ['a~[0-9]+'] }, '/?a=1x'), false);
  assert.equal(takes({ query: ['a~.*'] }, '/?b=1'), false);
});
