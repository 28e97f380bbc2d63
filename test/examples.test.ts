// Every folder of examples/ passes `rauta check`, and means what its README says: each route is accepted and resolved.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { KubeObject } from '../src/api/object.ts';
import type { Problem } from '../src/api/problem.ts';
import { check } from '../src/cli/check.ts';
import { readAll } from '../src/source/file/read-all.ts';
import { Store } from '../src/store/store.ts';
import { Translator } from '../src/translate/translator.ts';

import { ensureExampleCertificate } from '../tools/certificates.ts';

const root = fileURLToPath(new URL('../examples/', import.meta.url));
const folders = readdirSync(root, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? [e.name] : []));

function translate(objects: readonly KubeObject[]): { translator: Translator; problems: Problem[] } {
  const store = new Store();
  const keys = store.apply(objects, []);
  const translator = new Translator({
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: 'rauta',
    defaultAddresses: ['127.0.0.1'],
    portMap: new Map(),
  });
  translator.update(store, { keys });
  return { translator, problems: [...translator.diagnostics.values()].flat() };
}

test('there are at least three examples', () => {
  assert.ok(folders.length >= 3, folders.join(', '));
});

for (const name of folders) ensureExampleCertificate(join(root, name));

for (const name of folders) {
  test(`examples/${name} passes the check without a warning`, async () => {
    const { exitCode, lines } = await check([join(root, name)], {
      translate: (objects) => translate(objects).problems,
    });
    assert.equal(exitCode, 0, lines.join('\n'));
    assert.match(lines.join('\n'), /^\d+ files, \d+ objects: 0 errors, 0 warnings$/);
  });

  test(`examples/${name}: every listener serves and every route has what it names`, () => {
    const { objects } = readAll([join(root, name)]);
    const { translator } = translate(objects);
    const statuses = JSON.stringify([...translator.statuses.values()]);
    const gateways = objects.some((o) => o.kind === 'Gateway');
    assert.ok(!gateways || (statuses.includes('"ResolvedRefs"') && statuses.includes('"Accepted"')));
    assert.ok(!/"type":"(?:Accepted|ResolvedRefs)","status":"False"/.test(statuses), statuses);
    const routes = objects.filter((o) =>
      ['HTTPRoute', 'GRPCRoute', 'Ingress', 'TCPRoute', 'TLSRoute', 'UDPRoute'].includes(o.kind),
    );
    const kinds = [...translator.ir.values()].map((entry) => entry.kind);
    assert.ok(routes.length > 0 && kinds.includes('socket'), kinds.join(' '));
    assert.ok(kinds.includes('cluster') || !JSON.stringify(routes).includes('backendRefs'), kinds.join(' '));
  });
}
