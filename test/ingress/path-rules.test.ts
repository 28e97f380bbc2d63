// Feature "Path rules" of the Ingress conformance suite: 16 scenarios.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, backend, heldPort, Site, service } from '../gateway-api/site.ts';
import { exact, ingress, prefix } from './site.ts';

const port = heldPort();
const SERVICES = [
  ...['foo-exact', 'foo-prefix', 'aaa-slash-bbb-prefix', 'aaa-prefix'],
  ...['aaa-slash-bbb-slash-prefix', 'foo-slash-exact'],
];

new Site(async () => {
  const services = await Promise.all(SERVICES.map(async (name) => service(name, await backend(name))));
  const rules = ingress('path-rules', {
    'exact-path-rules': [exact('/foo', 'foo-exact')],
    'prefix-path-rules': [
      prefix('/foo', 'foo-prefix'),
      prefix('/aaa/bbb', 'aaa-slash-bbb-prefix'),
      prefix('/aaa', 'aaa-prefix'),
    ],
    'mixed-path-rules': [prefix('/foo', 'foo-prefix'), exact('/foo', 'foo-exact')],
    'trailing-slash-path-rules': [prefix('/aaa/bbb/', 'aaa-slash-bbb-slash-prefix'), exact('/foo/', 'foo-slash-exact')],
  });
  return [...services.flat(), rules];
}, ['--port-map', `80=${port}`]);

/** The suite asks the sixth one twice: it is the twelfth, too. */
const SCENARIOS: readonly (readonly [says: string, asked: string, service: string | null])[] = [
  ['exact /foo matches request /foo', 'exact-path-rules/foo', 'foo-exact'],
  ['exact /foo does not match request /foo/', 'exact-path-rules/foo/', null],
  ['exact /foo does not match request /FOO', 'exact-path-rules/FOO', null],
  ['exact /foo does not match request /bar', 'exact-path-rules/bar', null],
  ['prefix /foo matches request /foo', 'prefix-path-rules/foo', 'foo-prefix'],
  ['prefix /foo matches request /foo/', 'prefix-path-rules/foo/', 'foo-prefix'],
  ['prefix /foo does not match request /FOO', 'prefix-path-rules/FOO', null],
  ['prefix /aaa/bbb matches request /aaa/bbb', 'prefix-path-rules/aaa/bbb', 'aaa-slash-bbb-prefix'],
  ['prefix /aaa/bbb matches request /aaa/bbb/ccc', 'prefix-path-rules/aaa/bbb/ccc', 'aaa-slash-bbb-prefix'],
  ['prefix /aaa matches request /aaa/ccc', 'prefix-path-rules/aaa/ccc', 'aaa-prefix'],
  ['prefix /aaa does not match request /aaaccc', 'prefix-path-rules/aaaccc', null],
  ['prefix /foo matches request /foo/ (again)', 'prefix-path-rules/foo/', 'foo-prefix'],
  ['exact /foo matches request /foo, beside prefix /foo', 'mixed-path-rules/foo', 'foo-exact'],
  ['prefix /aaa/bbb/ matches request /aaa/bbb', 'trailing-slash-path-rules/aaa/bbb', 'aaa-slash-bbb-slash-prefix'],
  ['prefix /aaa/bbb/ matches request /aaa/bbb/', 'trailing-slash-path-rules/aaa/bbb/', 'aaa-slash-bbb-slash-prefix'],
  ['exact /foo/ does not match request /foo', 'trailing-slash-path-rules/foo', null],
];

for (const [says, asked, name] of SCENARIOS) {
  test(`Path rules: ${says}`, async () => {
    const { status, seen } = await ask(port, asked);
    assert.equal(status, name === null ? 404 : 200);
    assert.equal(seen?.backend ?? null, name);
    if (name !== null) assert.equal(seen?.path, asked.slice(asked.indexOf('/')), 'the path as it was asked for');
  });
}

test('a query is no part of the path, and prefix /foo takes /foo/bar where exact /foo stands beside it', async () => {
  assert.equal((await ask(port, 'exact-path-rules/foo?query=/bar')).seen?.backend, 'foo-exact');
  assert.equal((await ask(port, 'mixed-path-rules/foo/bar')).seen?.backend, 'foo-prefix');
  assert.equal((await ask(port, 'trailing-slash-path-rules/foo/')).seen?.backend, 'foo-slash-exact');
  assert.equal((await ask(port, 'trailing-slash-path-rules/aaa/bbbxyz')).status, 404);
});
