import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwarded, type Parsed, request, response, written } from '../../../test/support/routing.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Filter, HeaderEdits } from '../../ir/ir.ts';
import { NAME } from '../head.ts';
import { compileEdits, Edits } from './edits.ts';
import { FilterError, isEditable } from './field-edits.ts';

type Pairs = Readonly<Record<string, string>>;
const UUID = '01890a5d-ac96-774b-bcce-b302099a8057';

function edits(set: Pairs, add: Pairs = {}, remove: readonly string[] = []): HeaderEdits {
  const headers = (pairs: Pairs) => Object.entries(pairs).map(([name, value]) => ({ name, value }));
  return { set: headers(set), add: headers(add), remove };
}
const onRequest = (set: Pairs, add: Pairs = {}, remove: readonly string[] = []): Filter => ({
  type: 'requestHeaders',
  edits: edits(set, add, remove),
});
const onResponse = (set: Pairs, add: Pairs = {}, remove: readonly string[] = []): Filter => ({
  type: 'responseHeaders',
  edits: edits(set, add, remove),
});

/** The request's fields as they are forwarded: those kept, then those the edits write. */
function edited(filters: readonly Filter[], lines: readonly string[]): string[] {
  const message = request('h', '/', lines);
  const compiled = new Edits(filters);
  compiled.applyRequest(message.mem, message.head);
  return [...forwarded(message), ...added(message, (at, uuid) => compiled.putRequestLines(message.mem, at, uuid))];
}

function added(message: Parsed, write: (at: number, uuidAt: number) => number): string[] {
  const uuidAt = message.mem.length - UUID.length;
  message.mem.set(Buffer.from(UUID), uuidAt);
  const lines = written(message, (at) => write(at, uuidAt)).split('\r\n');
  assert.equal(lines.pop(), '');
  return lines;
}

test('set, add and remove as the API prints them (HTTPHeaderFilter)', () => {
  assert.deepEqual(edited([onRequest({ 'my-header': 'bar' })], ['my-header: foo']), ['Host: h', 'my-header: bar']);
  assert.deepEqual(edited([onRequest({}, { 'my-header': 'bar,baz' })], ['my-header: foo']), [
    'Host: h',
    'my-header: foo',
    'my-header: bar,baz',
  ]);
  assert.deepEqual(
    edited(
      [onRequest({}, {}, ['my-header1', 'My-Header3'])],
      ['my-header1: foo', 'my-header2: bar', 'MY-HEADER3: baz'],
    ),
    ['Host: h', 'my-header2: bar'],
  );
});

test('well-known names and others, in any case, every line of them', () => {
  const filters = [onRequest({ 'user-AGENT': 'rauta', 'x-custom': '1' }, {}, ['REFERER', 'X-Other'])];
  const lines = [
    'User-Agent: a',
    'X-CUSTOM: 2',
    'referer: b',
    'x-other: 3',
    'user-agent: c',
    'x-custom: 4',
    'x-others: 5',
  ];
  assert.deepEqual(edited(filters, lines), ['Host: h', 'x-others: 5', 'user-AGENT: rauta', 'x-custom: 1']);
});

test('filters apply in their order, those of the rule before those of the backend', () => {
  const lines = ['a: 0', 'b: 0', 'c: 0'];
  assert.deepEqual(edited([onRequest({ a: '1' }), onRequest({}, { a: '2' })], lines), [
    'Host: h',
    'b: 0',
    'c: 0',
    'a: 1',
    'a: 2',
  ]);
  assert.deepEqual(edited([onRequest({}, { a: '1' }), onRequest({}, {}, ['a'])], lines), ['Host: h', 'b: 0', 'c: 0']);
  assert.deepEqual(edited([onRequest({}, {}, ['a']), onRequest({}, { a: '2' })], lines), [
    'Host: h',
    'b: 0',
    'c: 0',
    'a: 2',
  ]);
  const compiled = compileEdits([onRequest({ a: '1' })], [onRequest({ A: '2' })]);
  const message = request('h', '/');
  assert.deepEqual(
    added(message, (at, uuid) => compiled?.putRequestLines(message.mem, at, uuid) ?? at),
    ['a: 2'],
  );
});

test('within a filter: set, then add, then remove; of entries of one name the first counts', () => {
  assert.deepEqual(edited([onRequest({ a: '1', b: '1' }, { a: '2' }, ['b'])], ['a: 0']), ['Host: h', 'a: 1', 'a: 2']);
  assert.deepEqual(edited([onRequest({ a: '1', A: '2' }, { b: '1', B: '2' })], []), ['Host: h', 'a: 1', 'b: 1']);
});

test('without filters there is nothing to do', () => {
  assert.equal(compileEdits([], []), null);
});

test('response fields likewise', () => {
  const message = response(['Server: x', 'Set-Cookie: a=1', 'set-cookie: b=2', 'Content-Length: 0']);
  const compiled = new Edits([onResponse({ server: 'rauta' }, { 'X-Served-By': 'rauta' }, ['Set-Cookie'])]);
  assert.equal(compiled.request, null);
  compiled.applyResponse(message.mem, message.head);
  assert.deepEqual(forwarded(message), ['Content-Length: 0']);
  assert.deepEqual(
    added(message, (at, uuid) => compiled.responseLines?.http1.put(message.mem, at, uuid) ?? at),
    ['server: rauta', 'X-Served-By: rauta'],
  );
});

test('{{uuid}} is the UUID of the request, wherever it stands (docs/reference/templates.md)', () => {
  const filters = [onRequest({ 'X-Request-ID': '{{uuid}}' }, { 'X-Trace': 'a={{uuid}};b={{uuid}}!' })];
  assert.deepEqual(edited(filters, ['x-request-id: mine']), [
    'Host: h',
    `X-Request-ID: ${UUID}`,
    `X-Trace: a=${UUID};b=${UUID}!`,
  ]);
  assert.equal(new Edits(filters).request?.added?.usesUuid, true);
  assert.equal(new Edits([onResponse({ a: '{{uuid}}' })]).responseLines?.usesUuid, true);
});

test('what is not a template stands for itself', () => {
  const values = ['{{', '}}', '{{UUID}}', '{{ uuid }}', '{uuid}', '{{uuid', '{{other}}', '{{{{', '{{uu{{id}}'];
  for (const value of values) {
    const filter = onRequest({ a: value });
    assert.deepEqual(edited([filter], []), ['Host: h', `a: ${value}`]);
    assert.equal(new Edits([filter]).request?.added?.usesUuid, false);
  }
  assert.deepEqual(edited([onRequest({ a: '{{{uuid}}}' })], []), ['Host: h', `a: {${UUID}}`]);
});

test('the announced sizes are what is written', () => {
  const compiled = new Edits([
    onRequest({ a: 'é{{uuid}}' }, { b: '2' }),
    onResponse({ c: '3' }),
    { type: 'rewrite', hostname: 'x.example', path: null },
  ]);
  const message = request('h', '/');
  assert.equal(written(message, (at) => compiled.putRequestLines(message.mem, at, 0)).length, compiled.requestSize);
  assert.equal(
    written(message, (at) => compiled.responseLines?.http1.put(message.mem, at, 0) ?? at).length,
    compiled.responseLines?.http1.size,
  );
});

test('a value beyond ASCII goes out as UTF-8', () => {
  assert.deepEqual(edited([onRequest({ a: 'é' })], []), ['Host: h', 'a: \u00c3\u00a9']);
});

test('rewriting the hostname replaces Host', () => {
  const rewrite: Filter = { type: 'rewrite', hostname: 'one.example.org', path: null };
  assert.deepEqual(edited([onRequest({ a: '1' }), rewrite], ['b: 2']), ['b: 2', 'Host: one.example.org', 'a: 1']);
  assert.equal(new Edits([rewrite]).hostname?.length, 'one.example.org'.length);
  assert.equal(new Edits([onRequest({ a: '1' })]).hostname, null);
});

test('touches tells which well-known fields the proxy leaves to the filters', () => {
  const { request: fields } = new Edits([onRequest({ 'x-request-id': '1' }, { forwarded: '2' }, ['X-Forwarded-For'])]);
  assert.equal(fields?.touches(NAME.X_REQUEST_ID), true);
  assert.equal(fields?.touches(NAME.FORWARDED), true);
  assert.equal(fields?.touches(NAME.X_FORWARDED_FOR), true);
  assert.equal(fields?.touches(NAME.X_FORWARDED_PROTO), false);
});

test('framing and connection fields cannot be edited, nor Host and Expect in requests', () => {
  const never = ['Content-Length', 'transfer-encoding', 'Connection', 'TE', 'Trailer', 'Upgrade', 'Keep-Alive'];
  for (const name of [...never, 'Proxy-Connection', 'HTTP2-Settings']) {
    for (const filter of [onRequest({ [name]: '1' }), onRequest({}, { [name]: '1' }), onRequest({}, {}, [name])]) {
      assert.throws(() => new Edits([filter]), FilterError, name);
    }
    assert.throws(() => new Edits([onResponse({}, {}, [name])]), FilterError, name);
    assert.equal(isEditable('request', name) || isEditable('response', name), false);
  }
  assert.throws(() => new Edits([onRequest({ host: 'x' })]), {
    message: 'request header set "host": Host cannot be edited here, use urlRewrite.hostname',
  });
  assert.throws(() => new Edits([onRequest({}, {}, ['Expect'])]), {
    message: 'request header remove "Expect": framing and connection fields cannot be edited',
  });
  assert.equal(isEditable('response', 'expect'), true);
});

test('nothing can break out of its line', () => {
  for (const value of ['a\r\nb: c', 'a\nb', 'a\rb', 'a\0b', 'a\u007fb', '\u001b[31m']) {
    assert.throws(() => new Edits([onRequest({ a: value })]), /control characters/);
  }
  for (const name of ['', 'a b', 'a:', ':method', 'é', 'a\r\n']) {
    assert.throws(() => new Edits([onRequest({ [name]: 'x' })]), /not a field name/);
  }
  for (const hostname of ['', 'a b', 'A.example', 'a..b', '*.example', 'a\r\nb', '-a', 'a/b', 'a:80']) {
    assert.throws(() => new Edits([{ type: 'rewrite', hostname, path: null }]), /not a host name/);
  }
});

test('white space around a value is not part of it (RFC 9110 section 5.5)', () => {
  assert.deepEqual(edited([onRequest({ a: ' \tx y ' })], []), ['Host: h', 'a: x y']);
});

test('rules whose filters say the same share what they compile to, however many others there are', () => {
  const compiled = compileEdits([onRequest({ a: 'x' })], [onResponse({ b: 'y' })]);
  assert.equal(compileEdits([onRequest({ a: 'x' }), onResponse({ b: 'y' })], []), compiled);
  assert.notEqual(compileEdits([onRequest({ a: 'x' })], [onResponse({ b: 'z' })]), compiled);
  for (let i = 0; i < 2 * LIMITS.SHARED_VALUES; i++) compileEdits([onRequest({ a: `${i}` })], []);
  // Long ones are unlike each other, and would be held for nothing.
  const long = [onRequest({ a: 'x'.repeat(LIMITS.SHARED_VALUE_CHARS) })];
  assert.notEqual(compileEdits(long, []), compileEdits(long, []));
});
