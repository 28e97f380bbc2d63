// A Service without endpoints is no fault of any condition (its reference resolves), and all that its clients see is
// 503: an Event says it, at the Service and at the routes that refer to it, where kubectl describe looks. Not at once:
// of a Service that has just been made the slices come a moment later, and its pods some seconds.

import type { KubeObject, ObjectKey } from '../../api/object.ts';
import type { Problem } from '../../api/problem.ts';
import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';

export interface EndpointEventTools {
  readonly timers: Timers;
  readonly leads: () => boolean;
  readonly find: (key: ObjectKey) => KubeObject | undefined;
  /** Everything there is. */
  readonly all: () => Iterable<KubeObject>;
  readonly warn: (object: KubeObject, reason: string, note: string) => void;
}

const REASON = 'NoEndpoints';

export class EndpointEvents {
  readonly #tools: EndpointEventTools;
  /** By Service. */
  readonly #problems = new Map<ObjectKey, readonly Problem[]>();
  /** To be told of when they still are as they are: after the next look, and at the next look. */
  #young = new Set<ObjectKey>();
  #old = new Set<ObjectKey>();
  #looking = false;

  constructor(tools: EndpointEventTools) {
    this.#tools = tools;
  }

  /** What is wrong with objects, as far as it changed; an empty list: nothing any more. */
  diagnosed(diagnostics: ReadonlyMap<ObjectKey, readonly Problem[]>): void {
    for (const [key, problems] of diagnostics) {
      if (!key.startsWith('Service/')) continue;
      this.#old.delete(key);
      this.#young.delete(key);
      if (problems.length === 0) this.#problems.delete(key);
      else {
        this.#problems.set(key, problems);
        this.#young.add(key);
      }
    }
    this.#look();
  }

  /** This program leads from now on: what stands is told. */
  lead(): void {
    for (const key of this.#problems.keys()) this.#young.add(key);
    this.#look();
  }

  #look(): void {
    if (this.#looking || this.#young.size + this.#old.size === 0) return;
    this.#looking = true;
    this.#tools.timers.after(LIMITS.ENDPOINTS_MISSING_MS, () => {
      this.#looking = false;
      const due = [...this.#old];
      this.#old = this.#young;
      this.#young = new Set();
      if (due.length > 0 && this.#tools.leads()) this.#tell(due);
      this.#look();
    });
  }

  #tell(keys: readonly ObjectKey[]): void {
    // Whatever more there is would not be told anyhow.
    const told = new Map(keys.slice(0, LIMITS.EVENTS).map((key) => [key, this.#note(key)]));
    for (const [key, note] of told) {
      const service = this.#tools.find(key);
      if (service !== undefined) this.#tools.warn(service, REASON, note);
    }
    if (told.size === 0) return;
    for (const object of this.#tools.all()) {
      if (!object.kind.endsWith('Route')) continue;
      for (const key of servicesOf(object)) {
        const note = told.get(key);
        if (note !== undefined) this.#tools.warn(object, REASON, `${key.replace('/', ' ')}: ${note}`);
      }
    }
  }

  #note(key: ObjectKey): string {
    return (this.#problems.get(key) ?? []).map(({ message }) => message).join(' ');
  }
}

/** Keys of the Services that a route's backendRefs name. */
function servicesOf({ metadata, spec }: KubeObject): Set<ObjectKey> {
  const keys = new Set<ObjectKey>();
  for (const rule of items(fields(spec)['rules'])) {
    for (const ref of items(fields(rule)['backendRefs'])) {
      const { group, kind, namespace, name } = fields(ref);
      if ((kind ?? 'Service') !== 'Service' || (group ?? '') !== '') continue;
      keys.add(`Service/${namespace ?? metadata.namespace ?? ''}/${name}`);
    }
  }
  return keys;
}

function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
