// Events for people who run `kubectl describe`: a condition that has turned bad, and one that has turned good again.
// What was good from the start is told of Gateways and classes only: thousands of routes that work are no news.

import type { KubeObject } from '../../api/object.ts';
import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Api } from './api.ts';

export interface EventTools {
  readonly api: Api;
  readonly now: () => number;
  readonly wall: () => Date;
  /** In [0, 1). */
  readonly random: () => number;
  readonly leads: () => boolean;
  readonly controllerName: string;
  /** Which of several replicas it was. */
  readonly instance: string;
}

type Question = Parameters<Api['ask']>[0];

interface Told {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly note: string;
}

/** Types whose True is bad. */
const BAD_WHEN_TRUE: ReadonlySet<string> = new Set(['Conflicted', 'PartiallyInvalid']);
/** Longest note the API takes, in bytes. */
const NOTE_LENGTH = 1_024;

export class Events {
  readonly #tools: EventTools;
  /** What was told lately, and when; the oldest first. */
  readonly #told = new Map<string, number>();
  dropped = 0;
  /** Waiting to be sent, in order; EVENTS bounds what is told, and so these. */
  readonly #waiting: Question[] = [];
  #sending = 0;

  constructor(tools: EventTools) {
    this.#tools = tools;
  }

  /** Of our part of an object's status: what it said before, and says now. */
  written(object: KubeObject, before: unknown, after: unknown): void {
    for (const told of transitions(object.kind, before, after, this.#tools.controllerName)) this.#tell(object, told);
  }

  /** What a status does not say. */
  warn(object: KubeObject, reason: string, note: string): void {
    this.#tell(object, { type: 'Warning', reason, note });
  }

  #tell(object: KubeObject, { type, reason, note }: Told): void {
    const now = this.#tools.now();
    for (const [key, at] of this.#told) {
      if (now - at < LIMITS.EVENT_REPEAT_MS) break;
      this.#told.delete(key);
    }
    const { uid, name, namespace, resourceVersion } = object.metadata;
    const key = JSON.stringify([uid, type, reason, note]);
    if (this.#told.has(key)) return;
    if (this.#told.size >= LIMITS.EVENTS) {
      this.dropped++;
      return;
    }
    this.#told.set(key, now);
    const time = this.#tools.wall().toISOString().replace('Z', '000Z');
    const place = namespace ?? 'default';
    const unique = Math.floor(this.#tools.random() * 2 ** 48).toString(16);
    this.#waiting.push({
      verb: 'create',
      kind: 'Event',
      path: `/apis/events.k8s.io/v1/namespaces/${place}/events`,
      body: {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: `${name.slice(0, 230)}.${unique}`, namespace: place },
        eventTime: time,
        type,
        reason,
        note: shortened(note),
        action: 'Translate',
        reportingController: this.#tools.controllerName,
        reportingInstance: this.#tools.instance.slice(0, 128),
        regarding: {
          apiVersion: object.apiVersion,
          kind: object.kind,
          name,
          uid,
          resourceVersion,
          ...(namespace === undefined ? {} : { namespace }),
        },
      },
      mayStart: this.#tools.leads,
    });
    this.#pump();
  }

  /** A server that is slow with Events, for whoever has a say in them is, is not to keep statuses waiting. */
  #pump(): void {
    while (this.#sending < LIMITS.EVENTS_AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#sending++;
      void this.#tools.api.ask(next).then(() => {
        this.#sending--;
        this.#pump();
      });
    }
  }
}

function shortened(note: string): string {
  const bytes = Buffer.from(note);
  if (bytes.length <= NOTE_LENGTH) return note;
  // Not in the midst of a character.
  let end = NOTE_LENGTH - 3;
  while (((bytes[end] as number) & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}...`;
}

/** What is worth telling of a change of a status. */
export function transitions(kind: string, before: unknown, after: unknown, controllerName: string): Told[] {
  const old = conditionsOf(before, controllerName);
  const told: Told[] = [];
  for (const [key, { type, status, reason, message }] of conditionsOf(after, controllerName)) {
    // Not served yet is no news: in a moment it is, or there is a reason.
    if (reason === 'Pending') continue;
    const bad = isBad(type, status);
    const last = old.get(key);
    const wasBad = last !== undefined && last.reason !== 'Pending' && isBad(last.type, last.status);
    if (bad === wasBad && (!bad || last?.reason === reason)) {
      const first = last === undefined || last.reason === 'Pending';
      if (bad || !first || kind.endsWith('Route') || BAD_WHEN_TRUE.has(type)) continue;
    }
    const where = key.slice(0, key.lastIndexOf('/'));
    told.push({
      type: bad ? 'Warning' : 'Normal',
      reason: bad ? reason : reason === type ? type : `${type}${reason}`,
      note: `${type} is ${status}${where === '' ? '' : ` (${where})`}: ${message}`,
    });
  }
  return told;
}

function isBad(type: string, status: string): boolean {
  return BAD_WHEN_TRUE.has(type) ? status === 'True' : status === 'False';
}

interface Said {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** By `WHERE/TYPE`: the object itself, its listeners, its parents or ancestors. */
function conditionsOf(status: unknown, controllerName: string): Map<string, Said> {
  const { conditions, listeners, parents, ancestors } = fields(status);
  const out = new Map<string, Said>();
  const add = (where: string, list: unknown): void => {
    for (const item of Array.isArray(list) ? list : []) {
      const { type, status: state, reason, message } = fields(item);
      const said = { type: String(type), status: String(state), reason: String(reason), message: String(message) };
      out.set(`${where}/${said.type}`, said);
    }
  };
  add('', conditions);
  for (const item of Array.isArray(listeners) ? listeners : []) {
    const listener = fields(item);
    add(`listener ${listener['name']}`, listener['conditions']);
  }
  for (const [entries, ref] of [
    [parents, 'parentRef'],
    [ancestors, 'ancestorRef'],
  ] as const) {
    for (const item of Array.isArray(entries) ? entries : []) {
      const entry = fields(item);
      if (entry['controllerName'] !== controllerName) continue;
      const { kind, namespace, name, sectionName, port } = fields(entry[ref]);
      const parts = [namespace, name, sectionName, port].filter((p) => p !== undefined);
      add(`${kind ?? 'Gateway'} ${parts.join(' ')}`, entry['conditions']);
    }
  }
  return out;
}
