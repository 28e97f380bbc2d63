import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusReport } from '../admin/status.ts';
import { LIMITS } from '../base/limits.ts';
import { readAll } from '../source/file/read-all.ts';
import { startSummary } from './start-summary.ts';
import { translated } from './translated.ts';

const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec: { gatewayClassName: rauta, listeners: [{ name: http, port: 80, protocol: HTTP }] }
---
`;

function route(name: string, hostnames: string, matches: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec: { parentRefs: [{ name: web }], hostnames: [${hostnames}], rules: [{ matches: [${matches}] }] }
---
`;
}

const REPORT: StatusReport = {
  version: '1.2.3',
  healthy: false,
  ready: true,
  reason: '',
  revision: { published: 1, served: 1, held: null },
  workers: { wanted: 2, serving: 2, dying: false },
  sockets: [
    { address: '::', port: 80, transport: 'tcp', listeners: ['HTTP default/web/http'], problem: null },
    { address: '0.0.0.0', port: 80, transport: 'tcp', listeners: ['HTTP default/web/http'], problem: 'EACCES: why' },
  ],
  objects: [],
  problems: [{ severity: 'warning', message: 'look at this', place: { file: 'a.yaml', line: 3, column: 1 } }],
};

function summed(yaml: string, requests: boolean): string[] {
  const { objects } = readAll([], {}, new Map([['a.yaml', Buffer.from(yaml)]]));
  return startSummary(REPORT, translated(objects).ir.values(), { admin: '127.0.0.1:9090', requests });
}

test('a start tells what listens, which routes there are, what is wrong and how to look further', () => {
  const app = route(
    'app',
    '"a.example", "*.b.example"',
    '{ path: { type: PathPrefix, value: /x }, method: GET }, { path: { type: Exact, value: /y } }',
  );
  assert.deepEqual(summed(GATEWAY + app + route('all', '', '{}'), false), [
    '',
    '  listening   [::]:80 (tcp): HTTP default/web/http',
    '  not open    0.0.0.0:80 (tcp): EACCES: why: HTTP default/web/http',
    '  routes      HTTPRoute default/all: /',
    '              HTTPRoute default/app: GET *.b.example/x, *.b.example/y exactly, GET a.example/x, a.example/y exactly',
    '  wrong       a.yaml:3:1: warning: look at this',
    '  further     http://127.0.0.1:9090/   state, problems and pages',
    '              rauta status --admin 127.0.0.1:9090',
    "              curl -sN 'http://127.0.0.1:9090/requests?follow'   requests as they end",
    '              --access-log -   shows requests here, a line each',
    '              Ctrl-C ends in order',
    '',
  ]);
});

test('however many routes there are, a start stays short', () => {
  const many = Array.from({ length: 40 }, (_, i) => route(`r${i}`, '', '{}')).join('');
  const lines = summed(GATEWAY + many, true);
  assert.equal(lines.filter((line) => line.includes('HTTPRoute')).length, LIMITS.SUMMARY_LINES);
  assert.ok(lines.includes(`              and ${40 - LIMITS.SUMMARY_LINES} more`));
});
