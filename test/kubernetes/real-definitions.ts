// In a real cluster (real-cluster.sh): an API server with the definitions of the experimental channel takes what a file
// may have, and refuses what a file may not.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { loadCel } from '../../src/api/cel.ts';
import { checkObject } from '../../src/api/schema.ts';
import { BREAKING, Mutator, object } from '../support/definitions.ts';
import { KUBECTL, kubectl } from './person.ts';

/** Objects of golden pairs, changed here and there. */
const MUTATED = Number(process.env['MUTATED'] ?? 600);
const cel = await loadCel();

// Beside the Gateway API's our own.
const FOLDER = fileURLToPath(new URL('../../deploy/crds', import.meta.url));
for (const file of readdirSync(FOLDER)) if (file !== 'kustomization.yaml') kubectl(['apply', '-f', join(FOLDER, file)]);
kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);

/**
 * What no definition says of our own kinds: that an address is one, of either family; and what is not known of `spec`
 * an API server keeps, for a status to name it. Whoever finds such a thing has looked no further.
 */
const UNSAID = /^spec(\.\w+|\[[^\]]+\]|\.endpoints\[\d+\]\.address)$/;

/** Whether it is good as a file's; null where that says nothing of a definition. */
function isGood(value: { readonly apiVersion: string }): boolean | null {
  const { object, problems } = checkObject(value, { cel });
  const own = value.apiVersion.startsWith('rauta.io/');
  const unsaid = problems.some(({ place: { field = '' } }) => own && UNSAID.test(field));
  return object !== null ? true : unsaid ? null : false;
}

interface Asked {
  /** What the server and we do not agree on. */
  readonly differing: readonly { readonly value: unknown; readonly good: boolean; readonly theirs: string }[];
  readonly taken: number;
}

/** Strict, as kubectl asks for it: what is not known is refused. It goes on behind what is refused. */
function ask(values: readonly unknown[]): Asked {
  const named = values.map((value, i) => {
    const copy = JSON.parse(JSON.stringify(value)) as { readonly apiVersion: string };
    return { ...copy, metadata: { name: `x${i}x`, namespace: 'default' } };
  });
  const { stdout, stderr } = spawnSync(KUBECTL, ['create', '--dry-run=server', '-o', 'name', '-f', '-'], {
    input: named.map((value) => `---\n${JSON.stringify(value)}\n`).join(''),
    maxBuffer: 1 << 28,
  });
  const taken = new Set([...stdout.toString().matchAll(/\/x(\d+)x\n/g)].map(([, i]) => Number(i)));
  const said = stderr.toString().split(/\n(?=\S)/);
  const differing = named.flatMap((value, i) => {
    const good = isGood(value);
    if (good === null || good === taken.has(i)) return [];
    return [{ value, good, theirs: said.filter((line) => line.includes(`x${i}x`)).join('\n') }];
  });
  return { differing, taken: taken.size };
}

const X_VERSION = 'gateway.networking.x-k8s.io/v1alpha1';
const external = (more: object): unknown => {
  const host = { type: 'ExternalHostname', externalHostname: { hostname: 'api.example.com' }, port: { port: 443 } };
  return object('XBackend', { ...host, ...more }, X_VERSION);
};

test('XBackends: every field, right and wrong', (t) => {
  const validation = { hostname: 'a.example', caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }] };
  const clientCertificateRef = { name: 'client' };
  const checked = (more: object): object => ({ tls: { mode: 'ServerOnly', validation: { ...validation, ...more } } });
  const names = (name: object): object => checked({ subjectAltNames: [name] });
  const values = [
    {},
    { more: true },
    ...['TCP', 'HTTP', 'HTTP2', 'HTTP11', 'H2C', 'GRPC', 'MCP', 'WSS', 'http', ''].map((protocol) => ({ protocol })),
    ...['', 'https', 'a-1', 'Web', 'a.b', '-a', 'a'.repeat(64)].map((name) => ({ port: { port: 443, name } })),
    ...[{}, { port: 0 }, { port: 65_536 }, { port: '443' }, { number: 443 }, null].map((port) => ({ port })),
    ...[
      'api.svc.cluster.local',
      'cluster.local',
      'a_b',
      'A.example',
      '*.example',
      '192.0.2.1',
      '::1',
      'a.example.',
      '',
    ].map((hostname) => ({ externalHostname: { hostname } })),
    { externalHostname: undefined },
    { externalHostname: {} },
    ...['EndpointSelector', '', undefined].map((type) => ({ type })),
    ...['None', 'ServerOnly', 'ClientAndServer', 'Mutual', undefined].flatMap((mode) => [
      { tls: { mode } },
      { tls: { mode, clientCertificateRef } },
      { tls: { mode, clientCertificateRef, validation } },
    ]),
    checked({ caCertificateRefs: [] }),
    checked({ caCertificateRefs: undefined }),
    checked({ hostname: '' }),
    checked({ hostname: undefined }),
    checked({ wellKnownCACertificates: 'System' }),
    checked({ caCertificateRefs: undefined, wellKnownCACertificates: 'System' }),
    checked({ caCertificateRefs: [{ kind: 'ConfigMap', name: 'ca' }] }),
    ...[{ type: 'Hostname', hostname: 'a.example' }, { type: 'URI', uri: 'spiffe://a/b' }, { type: 'Hostname' }].map(
      names,
    ),
    ...[{ type: 'URI' }, { type: 'URI', uri: 'a' }, { type: 'URI', hostname: 'a.example' }, { type: 'DNS' }].map(names),
  ].map(external);
  const { differing, taken } = ask(values);
  assert.deepEqual(differing, []);
  t.diagnostic(`${taken} of ${values.length} taken`);
  assert.ok(taken > 15 && taken < values.length - 15);
});

test('what breaks a rule of a definition', () => {
  const { differing, taken } = ask(BREAKING);
  assert.deepEqual(differing, []);
  assert.equal(taken, 0);
});

test('every object of the examples, but for EndpointSlices, whose loopback addresses are for files alone', (t) => {
  const folder = fileURLToPath(new URL('../../examples', import.meta.url));
  const values = globSync('*/*.yaml', { cwd: folder })
    .flatMap((path) => parseAllDocuments(readFileSync(join(folder, path), 'utf8')))
    .map((document) => document.toJS() as { readonly kind: string } | null)
    .filter((value) => value !== null && value.kind !== 'EndpointSlice');
  const { differing, taken } = ask(values);
  t.diagnostic(`${taken} taken`);
  assert.deepEqual(differing, []);
  assert.ok(taken === values.length && taken > 100, `${taken} of ${values.length}`);
});

test(`${MUTATED} objects of golden pairs, changed at random`, (t) => {
  const mutator = new Mutator(47);
  const values = Array.from({ length: MUTATED }, () => mutator.object());
  const { differing, taken } = ask(values);
  t.diagnostic(`${taken} taken`);
  assert.deepEqual(differing, []);
  assert.ok(taken > MUTATED / 10);
});
