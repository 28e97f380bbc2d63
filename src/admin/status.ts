// What `rauta status` and the page `/status` say: what listens where, what became of each object, what is wrong.

import { objectText, type Problem, problemText } from '../api/problem.ts';
import { addressText } from '../base/ip.ts';
import { visible } from '../base/steering.ts';

export interface StatusReport {
  readonly version: string;
  /** Ready, the newest revision is served, every socket is open, and no object or problem says otherwise. */
  readonly healthy: boolean;
  /** As `/readyz` has it; the reason is '' where there is nothing to say. */
  readonly ready: boolean;
  readonly reason: string;
  readonly revision: {
    readonly published: number;
    /** By every worker. */
    readonly served: number;
    /** Why the newest one is not served; null when it is, or will be in a moment. */
    readonly held: string | null;
  };
  readonly workers: { readonly wanted: number; readonly serving: number; readonly dying: boolean };
  readonly sockets: readonly SocketReport[];
  readonly objects: readonly ObjectReport[];
  readonly problems: readonly Problem[];
}

export interface SocketReport {
  readonly address: string;
  readonly port: number;
  readonly transport: 'tcp' | 'udp';
  /** `HTTP default/web/http`: protocol, Gateway and listener; each once. */
  readonly listeners: readonly string[];
  /** Why it is not open; null when it is. */
  readonly problem: string | null;
}

export interface ObjectReport {
  /** `HTTPRoute/default/app` */
  readonly object: string;
  /** Its file now says something that cannot be used: it goes on as it was. */
  readonly kept: boolean;
  readonly faults: readonly ConditionReport[];
}

/** A condition that is not as it should be. */
export interface ConditionReport {
  /** `listener http`, `parent Gateway default/web`; '' for the object as a whole. */
  readonly of: string;
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** One line each. `quiet`: without those that are as they should be. */
export function statusLines(report: StatusReport, quiet: boolean): string[] {
  const lines = [
    { fine: isFine(report), text: summary(report) },
    ...report.sockets.map((socket) => ({ fine: socket.problem === null, text: socketLine(socket) })),
    ...report.objects.flatMap(objectLines),
    ...report.problems.map((problem) => ({ fine: false, text: problemText(problem) })),
  ];
  return lines.filter(({ fine }) => !fine || !quiet).map(({ text }) => visible(text));
}

function isFine({ ready, reason, revision, workers }: StatusReport): boolean {
  return ready && reason === '' && revision.held === null && !workers.dying;
}

/** `rauta 0.1.0: ready, revision 3 served by 2 of 2 workers` */
export function summary({ version, ready, reason, revision, workers }: StatusReport): string {
  const state = ready ? 'ready' : 'not ready';
  const dying = workers.dying ? ', which keep dying' : '';
  const said = [
    reason === '' || reason === 'ok' ? state : `${state} (${reason})`,
    `revision ${revision.served} served by ${workers.serving} of ${workers.wanted} workers${dying}`,
    ...(revision.held === null ? [] : [revision.held]),
  ];
  return `rauta ${version}: ${said.join(', ')}`;
}

/** `listens on 0.0.0.0:80 (tcp): HTTP default/web/http` */
function socketLine(socket: SocketReport): string {
  return `${socket.problem === null ? 'listens on' : 'does not listen on'} ${socketText(socket)}`;
}

/** `0.0.0.0:80 (tcp): HTTP default/web/http` */
export function socketText({ address, port, transport, listeners, problem }: SocketReport): string {
  const where = `${addressText(address, port)} (${transport})`;
  return [where, ...(problem === null ? [] : [problem]), listeners.join(', ')].join(': ');
}

export function objectLines({ object, kept, faults }: ObjectReport): { fine: boolean; text: string }[] {
  const name = objectText(object);
  const lines = faults.map(({ of, type, status, reason, message }) => {
    const whose = of === '' ? '' : `${of}: `;
    return { fine: false, text: `${name}: ${whose}${type} ${status} ${reason}: ${message}` };
  });
  if (kept) lines.unshift({ fine: false, text: `${name}: goes on as before, its file has errors` });
  return lines.length > 0 ? lines : [{ fine: true, text: `${name}: ok` }];
}
