// The status of the whole program, put together of what the controller knows.

import type { ConditionReport, ObjectReport, SocketReport, StatusReport } from '../admin/status.ts';
import type { ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import type { Entry, SocketEntry } from '../ir/ir.ts';
import type { Condition, ParentReference, Status } from '../translate/conditions.ts';
import type { ControllerState } from './state.ts';

/** Conditions that say something is wrong when they are True. */
const BAD_WHEN_TRUE: ReadonlySet<string> = new Set(['Conflicted', 'PartiallyInvalid']);
/** Those that only warn, whatever they say. */
const WARNS: ReadonlySet<string> = new Set(['InsecureFrontendValidationMode', 'OverlappingTLSConfig']);

export interface StatusParts {
  readonly version: string;
  readonly state: ControllerState;
  readonly readiness: { readonly ready: boolean; readonly reason: string };
  readonly revision: number;
  readonly entries: Iterable<Entry>;
  readonly objects: Iterable<{ readonly key: ObjectKey; readonly kept: boolean; readonly status: Status | undefined }>;
  readonly problems: readonly Problem[];
}

export function statusReport(parts: StatusParts): StatusReport {
  const { state, readiness, problems } = parts;
  const sockets = socketReports(parts.entries, state);
  const objects = objectReports(parts.objects);
  const held = state.held === null ? null : `revision ${state.held.revision} is held back: ${state.held.reason}`;
  return {
    version: parts.version,
    healthy:
      readiness.ready &&
      held === null &&
      !state.storm &&
      sockets.every(({ problem }) => problem === null) &&
      objects.every(({ kept, faults }) => !kept && faults.length === 0) &&
      problems.every(({ severity }) => severity !== 'error'),
    ...readiness,
    revision: { published: parts.revision, served: state.acked, held },
    workers: {
      wanted: state.workers.length,
      serving: state.workers.filter((worker) => worker.state === 'serving').length,
      dying: state.storm,
    },
    sockets,
    objects,
    problems,
  };
}

function socketReports(entries: Iterable<Entry>, { failedSockets }: ControllerState): SocketReport[] {
  const sockets = [...entries].filter((entry): entry is SocketEntry => entry.kind === 'socket');
  const problems = new Map(failedSockets.map(({ key, reason }) => [key, reason]));
  // A machine without IPv6 is no fault; where a Gateway asks for such an address, its condition says so.
  const impossible = new Set(failedSockets.filter(({ code }) => code === 'EAFNOSUPPORT').map(({ key }) => key));
  return sockets
    .filter(({ key }) => !impossible.has(key))
    .sort((a, b) => a.port - b.port || (a.key < b.key ? -1 : 1))
    .map(({ key, address, port, transport, hosts }) => ({
      address,
      port,
      transport,
      listeners: [
        ...new Set(hosts.map((host) => `${host.protocol} ${host.gateway.replace(/^[^/]*\//, '')}/${host.listener}`)),
      ],
      problem: problems.get(key) ?? null,
    }));
}

function objectReports(objects: StatusParts['objects']): ObjectReport[] {
  const reports: ObjectReport[] = [];
  for (const { key, kept, status } of objects) {
    if (status === undefined && !kept) continue;
    reports.push({ object: key, kept, faults: status === undefined ? [] : [...faultsOf(status)] });
  }
  return reports.sort((a, b) => (a.object < b.object ? -1 : 1));
}

function* faultsOf(status: Status): Generator<ConditionReport> {
  for (const [of, conditions] of conditionSets(status))
    for (const { type, status: value, reason, message } of conditions) {
      const bad = BAD_WHEN_TRUE.has(type) ? value === 'True' : value !== 'True';
      if (bad && !WARNS.has(type)) yield { of, type, status: value, reason, message };
    }
}

/** Conditions with whose they are, '' for the object itself. */
function* conditionSets(status: Status): Generator<readonly [string, readonly Condition[]]> {
  if ('conditions' in status) yield ['', status.conditions];
  if ('listeners' in status)
    for (const { name, conditions } of status.listeners) yield [`listener ${name}`, conditions];
  if ('parents' in status)
    for (const { parentRef, conditions } of status.parents) yield [`parent ${nameOf(parentRef)}`, conditions];
  if ('ancestors' in status)
    for (const { ancestorRef, conditions } of status.ancestors) yield [nameOf(ancestorRef), conditions];
}

function nameOf({ kind, namespace, name, sectionName }: ParentReference): string {
  const whole = namespace === undefined ? name : `${namespace}/${name}`;
  return `${kind} ${whole}${sectionName === undefined ? '' : `, section ${sectionName}`}`;
}
