import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusLines } from '../admin/status.ts';
import { NO_RESTARTS } from '../stream/messages.ts';
import type { ControllerState } from './state.ts';
import { type StatusParts, statusReport } from './status-report.ts';

const STATE: ControllerState = {
  acked: 3,
  held: null,
  draining: false,
  succession: false,
  storm: false,
  workers: [{ slot: 0, pid: 1, state: 'serving', revision: 3, restarts: 0 }],
  failedSockets: [],
  restarts: { worker: NO_RESTARTS, controller: NO_RESTARTS },
};

const socket = (address: string): StatusParts['entries'] extends Iterable<infer E> ? E : never => ({
  kind: 'socket',
  key: `socket/tcp/${address}/80`,
  address,
  port: 80,
  transport: 'tcp',
  hosts: [
    { hostname: 'a.example', gateway: 'gateway/default/web', listener: 'http', port: 80, protocol: 'HTTP', tls: null },
    { hostname: '*', gateway: 'gateway/default/web', listener: 'http', port: 80, protocol: 'HTTP', tls: null },
  ],
  fallback: null,
  proxyProtocol: null,
});

const PARTS: StatusParts = {
  version: '1.2.3',
  state: STATE,
  readiness: { ready: true, reason: '' },
  revision: 3,
  entries: [socket('0.0.0.0'), socket('::')],
  objects: [],
  problems: [],
};

const condition = (type: string, status: 'True' | 'False', reason = 'Why'): never =>
  ({ type, status, reason, message: 'Because.', observedGeneration: 1 }) as never;

test('well is: ready, the newest revision served, every socket open, nothing that says otherwise', () => {
  const report = statusReport(PARTS);
  assert.equal(report.healthy, true);
  assert.deepEqual(statusLines(report, false), [
    'rauta 1.2.3: ready, revision 3 served by 1 of 1 workers',
    'listens on 0.0.0.0:80 (tcp): HTTP default/web/http',
    'listens on [::]:80 (tcp): HTTP default/web/http',
  ]);
  assert.deepEqual(statusLines(report, true), []);
});

test('each thing that is not as it should be makes it unwell, and is a line', () => {
  const fault = (code: string): ControllerState['failedSockets'] => [
    { key: 'socket/tcp/::/80', code, reason: `${code}: for people` },
  ];
  const object = (status: unknown): StatusParts['objects'] => [
    { key: 'HTTPRoute/default/a', kept: false, status: status as never },
  ];
  const parentRef = { group: 'g', kind: 'Gateway', namespace: 'default', name: 'web', sectionName: 'http' };
  const cases: readonly (readonly [Partial<StatusParts>, string])[] = [
    [
      { readiness: { ready: false, reason: 'draining' } },
      'rauta 1.2.3: not ready (draining), revision 3 served by 1 of 1 workers',
    ],
    [{ state: { ...STATE, storm: true } }, 'rauta 1.2.3: ready, revision 3 served by 1 of 1 workers, which keep dying'],
    [
      { state: { ...STATE, held: { revision: 4, cause: 'deaths', reason: 'worker 0 died' } } },
      'rauta 1.2.3: ready, revision 3 served by 1 of 1 workers, revision 4 is held back: worker 0 died',
    ],
    [
      { state: { ...STATE, failedSockets: fault('EACCES') } },
      'does not listen on [::]:80 (tcp): EACCES: for people: HTTP default/web/http',
    ],
    [
      { objects: [{ key: 'Backend/default/app', kept: true, status: undefined }] },
      'Backend default/app: goes on as before, its file has errors',
    ],
    [
      {
        objects: object({
          parents: [{ parentRef, controllerName: 'c', conditions: [condition('Accepted', 'False')] }],
        }),
      },
      'HTTPRoute default/a: parent Gateway default/web, section http: Accepted False Why: Because.',
    ],
    [
      {
        objects: object({
          conditions: [],
          listeners: [{ name: 'http', conditions: [condition('Conflicted', 'True')] }],
        }),
      },
      'HTTPRoute default/a: listener http: Conflicted True Why: Because.',
    ],
    [
      { problems: [{ severity: 'error', message: 'm', place: { file: 'a.yaml', line: 1, column: 2 } }] },
      'a.yaml:1:2: error: m',
    ],
  ];
  for (const [more, line] of cases) {
    const report = statusReport({ ...PARTS, ...more });
    assert.equal(report.healthy, false, line);
    assert.deepEqual(statusLines(report, true), [line]);
  }
});

test('warnings, conditions that are as they should be, and a machine without IPv6 are no fault', () => {
  const impossible = { ...STATE, failedSockets: [{ key: 'socket/tcp/::/80', code: 'EAFNOSUPPORT', reason: 'none' }] };
  const fine = {
    conditions: [
      condition('Accepted', 'True'),
      condition('Conflicted', 'False'),
      condition('OverlappingTLSConfig', 'True'),
    ],
  };
  const report = statusReport({
    ...PARTS,
    state: impossible,
    objects: [
      { key: 'Gateway/default/web', kept: false, status: fine as never },
      { key: 'Service/default/svc', kept: false, status: undefined },
    ],
    problems: [{ severity: 'warning', message: 'm', place: {} }],
  });
  assert.equal(report.healthy, true);
  assert.deepEqual(statusLines(report, false).slice(1), [
    'listens on 0.0.0.0:80 (tcp): HTTP default/web/http',
    'Gateway default/web: ok',
    'warning: m',
  ]);
});
