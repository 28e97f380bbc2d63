// What /metrics is given of backends, from the book of cells and what was published.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterEntry, Endpoint } from '../ir/ir.ts';
import { CellBook } from '../publish/cells.ts';
import { endpointOwner } from '../publish/publisher.ts';
import { ENDPOINT } from '../telemetry/layout.ts';
import { ownersOf } from './metrics.ts';

function cluster(port: number): ClusterEntry {
  return {
    kind: 'cluster',
    key: `cluster/Service/default/app/${port}/000000000000`,
    backend: 'default/app',
    endpoints: `endpoints/Service/default/app/${port}`,
    protocol: 'http1',
    proxyProtocol: null,
    tls: null,
    balancer: { type: 'roundRobin' },
  };
}

function pod(id: string, port: number): Endpoint {
  return { id, address: '10.0.0.1', port, zone: 'a', weight: 1, state: 'ready' };
}

test('a pod that two ports of a Service lead to is one line with the sum of both', () => {
  const book = new CellBook(
    (_kind, _base, out) => {
      out[ENDPOINT.REQUESTS]! += 3;
    },
    { route: 20, endpoint: 50 },
  );
  const backends = [
    { cluster: cluster(80), endpoints: [pod('default/p', 8080), pod('default/q', 8080)] },
    { cluster: cluster(81), endpoints: [pod('default/p', 8081)] },
  ];
  for (const { cluster, endpoints } of backends) {
    for (const { id } of endpoints) book.assign('endpoint', endpointOwner(cluster, id));
  }
  const found = [...ownersOf(book, backends).backends].map(({ backend, endpoints }) => [
    backend,
    endpoints.map(({ pod, zone, counts }) => [pod, zone, counts[ENDPOINT.REQUESTS]]),
  ]);
  assert.deepEqual(found, [
    [
      'default/app',
      [
        ['default/p', 'a', 6],
        ['default/q', 'a', 3],
      ],
    ],
  ]);
});
