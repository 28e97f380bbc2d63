// What no condition says, as Events, where kubectl describe looks. A Service without endpoints is no fault of any (its
// reference resolves), and all that its clients see is 503: it is told of at the Service and at the routes and
// Ingresses that refer to it. An Ingress has no conditions at all: what is wrong with it is told of at the Ingress. Not
// at once: of a Service that has just been made the slices come a moment later, and its pods some seconds.

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
/** Of an Ingress. */
const NOT_AS_WRITTEN = 'NotAsWritten';

export class EndpointEvents {
  readonly #tools: EndpointEventTools;
  /** By Service or Ingress. */
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
      if (!key.startsWith('Service/') && !key.startsWith('Ingress/')) continue;
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
      const object = this.#tools.find(key);
      if (object !== undefined) this.#tools.warn(object, object.kind === 'Ingress' ? NOT_AS_WRITTEN : REASON, note);
    }
    if (![...told.keys()].some((key) => key.startsWith('Service/'))) return;
    for (const object of this.#tools.all()) {
      if (!object.kind.endsWith('Route') && object.kind !== 'Ingress') continue;
      for (const key of object.kind === 'Ingress' ? servicesOfIngress(object) : servicesOf(object)) {
        const note = told.get(key);
        if (note !== undefined) this.#tools.warn(object, REASON, `${key.replace('/', ' ')}: ${note}`);
      }
    }
  }

  #note(key: ObjectKey): string {
    const problems = this.#problems.get(key) ?? [];
    const placed = key.startsWith('Ingress/');
    return problems
      .map(({ message, place: { field } }) => (placed && field !== undefined ? `${field}: ${message}` : message))
      .join(' ');
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

/** Keys of the Services that an Ingress sends to. */
function servicesOfIngress({ metadata, spec }: KubeObject): Set<ObjectKey> {
  const paths = items(fields(spec)['rules']).flatMap((rule) => items(fields(fields(rule)['http'])['paths']));
  const backends = [fields(spec)['defaultBackend'], ...paths.map((path) => fields(path)['backend'])];
  const names = backends.map((backend) => fields(fields(backend)['service'])['name']);
  return new Set(
    names.flatMap((name) => (typeof name === 'string' ? [`Service/${metadata.namespace ?? ''}/${name}`] : [])),
  );
}

function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
