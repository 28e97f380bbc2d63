import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientTls } from './ir.ts';
import {
  certificateKey,
  clusterCellsKey,
  clusterKey,
  endpointsKey,
  gatewayKey,
  parseKey,
  relayKey,
  routeCellsKey,
  ruleKey,
  SYSTEM_TRUST,
  settingsDigest,
  socketKey,
  trustKey,
} from './keys.ts';

test('what was put into a key is read out of it', () => {
  const service = { objectKind: 'Service', namespace: 'ns', name: 'app' };
  const digest = settingsDigest({ protocol: 'http1', tls: null, proxyProtocol: null });
  const cluster = clusterKey('Service', 'ns', 'app', 80, digest);
  const cases: [string, unknown][] = [
    [socketKey('::', 443, 'tcp'), { kind: 'socket', address: '::', port: 443, transport: 'tcp' }],
    [gatewayKey('ns', 'edge'), { kind: 'gateway', namespace: 'ns', name: 'edge' }],
    [
      ruleKey('HTTPRoute', 'ns', 'app', 3),
      { kind: 'rule', objectKind: 'HTTPRoute', namespace: 'ns', name: 'app', index: 3 },
    ],
    [cluster, { kind: 'cluster', ...service, port: 80, digest }],
    [endpointsKey('Service', 'ns', 'app', 80), { kind: 'endpoints', ...service, port: 80, transport: 'tcp' }],
    [endpointsKey('Service', 'ns', 'app', 80, 'udp'), { kind: 'endpoints', ...service, port: 80, transport: 'udp' }],
    [
      relayKey('TCPRoute', 'ns', 'db', 0),
      { kind: 'relay', objectKind: 'TCPRoute', namespace: 'ns', name: 'db', index: 0 },
    ],
    [socketKey('::', 443, 'udp'), { kind: 'socket', address: '::', port: 443, transport: 'udp' }],
    [
      routeCellsKey('GRPCRoute', 'ns/app'),
      { kind: 'routeCells', objectKind: 'GRPCRoute', namespace: 'ns', name: 'app' },
    ],
    [certificateKey('ns', 'cert'), { kind: 'certificate', namespace: 'ns', name: 'cert' }],
    [trustKey('ns', 'ca'), { kind: 'trust', namespace: 'ns', name: 'ca' }],
    [SYSTEM_TRUST, { kind: 'trust', namespace: '', name: 'system' }],
    [clusterCellsKey(cluster), { kind: 'clusterCells', cluster }],
  ];
  for (const [key, parsed] of cases) assert.deepEqual(parseKey(key), parsed, key);
  assert.equal(new Set(cases.map(([key]) => key)).size, cases.length);
});

test('anything else is unknown, never half read', () => {
  for (const key of [
    '',
    'rule',
    'rule/a/b/c',
    'cluster/Service/ns/app/80',
    'cells/a/b/c/d',
    'gateway/a/b/c',
    'x/y/z',
  ]) {
    assert.deepEqual(parseKey(key), { kind: 'unknown' }, key);
  }
});

test('a digest differs with what it is made of', () => {
  const tls: ClientTls = {
    trust: 'trust/ns/ca',
    hostname: 'a.example',
    subjectAltNames: [],
    certificate: null,
    alpn: ['http/1.1'],
    minVersion: 'TLSv1.2',
  };
  const changes: Partial<ClientTls>[] = [
    {},
    { trust: SYSTEM_TRUST },
    { hostname: 'b.example' },
    { subjectAltNames: [{ type: 'Hostname', value: 'b.example' }] },
    { subjectAltNames: [{ type: 'URI', value: 'b.example' }] },
    { certificate: 'certificate/ns/us' },
    { alpn: [] },
    { minVersion: 'TLSv1.3' },
  ];
  const protocol = 'http1';
  const digests = [null, ...changes.map((change) => ({ ...tls, ...change }))].map((one) =>
    settingsDigest({ protocol, tls: one, proxyProtocol: null }),
  );
  assert.equal(new Set(digests).size, changes.length + 1);
  for (const digest of digests) assert.match(digest, /^[0-9a-f]{12}$/);
});
