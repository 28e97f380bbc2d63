// The table of features is that of what is published, and names nothing that is not there.

import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { keyOf } from '../src/api/object.ts';
import { Store } from '../src/store/store.ts';
import type { GatewayClassStatus } from '../src/translate/conditions.ts';
import { Translator } from '../src/translate/translator.ts';
import { counterparts, EXTRAS, type Extra, FEATURES } from '../tools/features.ts';
import { SUITE_TESTS } from './gateway-api/suite.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ALL: readonly Extra[] = [...FEATURES, ...EXTRAS];

/** In a cluster with Services for Gateways: whatever can be published is. */
function published(): string[] {
  const object = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name: 'rauta' },
    spec: { controllerName: 'rauta.io/gateway-controller' },
  };
  const store = new Store();
  const keys = store.apply([object], []);
  const translator = new Translator({
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: null,
    defaultAddresses: ['127.0.0.1'],
    portMap: new Map(),
    exposure: { serviceType: 'LoadBalancer', published: null },
  });
  translator.update(store, { keys });
  const status = translator.statuses.get(keyOf(object)) as GatewayClassStatus;
  return (status.supportedFeatures ?? []).map(({ name }) => name);
}

test('every feature that is published has a row, and no other', () => {
  assert.deepEqual(
    FEATURES.map(({ name }) => name),
    published(),
  );
});

test('files, tests and examples of a feature are there', () => {
  const gone = ALL.flatMap(({ name, where, own, examples }) =>
    [...where, ...own, ...examples.map((folder) => `examples/${folder}/README.md`)].flatMap((path) =>
      existsSync(join(ROOT, path)) ? [] : [`${name}: ${path}`],
    ),
  );
  assert.deepEqual(gone, []);
});

test('every feature has where it is done, a test and an example, or says why not', () => {
  for (const { name, where, official, own, examples, instead } of FEATURES) {
    assert.ok(where.length > 0 && official.length + own.length > 0, name);
    assert.ok(examples.length > 0 || instead !== undefined, `${name} has no example`);
  }
  for (const { name, where, own, examples } of EXTRAS)
    assert.ok(where.length > 0 && own.length > 0 && examples.length > 0, name);
});

test('every test of the official suite is of a feature, and has its counterpart', () => {
  const files = counterparts();
  const named = FEATURES.flatMap(({ official }) => official);
  assert.deepEqual(
    named.filter((name) => !files.has(name)),
    [],
  );
  assert.deepEqual([...new Set(named)].sort(), [...SUITE_TESTS].sort());
});

test('every example is of a feature', () => {
  const folders = readdirSync(join(ROOT, 'examples'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const shown = new Set(ALL.flatMap(({ examples }) => examples));
  assert.deepEqual(
    folders.map(({ name }) => name).filter((name) => !shown.has(name)),
    [],
  );
});
