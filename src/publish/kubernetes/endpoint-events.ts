// What no condition says, as Events, where kubectl describe looks. A Service without endpoints is no fault of any (its
// reference resolves), and all that its clients see is 503: it is told of at the Service and at the routes and
// Ingresses that refer to it. So is a Backend or XBackend whose host's name nobody can resolve. An Ingress has no
// conditions at all: what is wrong with it is told of at the Ingress. Not at once: of a Service that has just been made
// the slices come a moment later, and its pods some seconds.

import { type KubeObject, type ObjectKey, objectKey } from '../../api/object.ts';
import type { Problem } from '../../api/problem.ts';
import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import { RAUTA_GROUP, X_GROUP } from '../../translate/context.ts';
import { authService } from '../../translate/ingress-auth.ts';
import { speaksOf } from './merge.ts';

export interface EndpointEventTools {
  readonly controllerName: string;
  readonly timers: Timers;
  readonly leads: () => boolean;
  readonly find: (key: ObjectKey) => KubeObject | undefined;
  /** Everything there is. */
  readonly all: () => Iterable<KubeObject>;
  readonly warn: (object: KubeObject, reason: string, note: string) => void;
}

const REASON = 'NoEndpoints';
/** By kind, of others than Services. */
const REASONS: Readonly<Record<string, string>> = {
  Ingress: 'NotAsWritten',
  Backend: 'NotResolved',
  XBackend: 'NotResolved',
};

export class EndpointEvents {
  readonly #tools: EndpointEventTools;
  /** By Service, Ingress, Backend or XBackend. */
  readonly #problems = new Map<ObjectKey, readonly Problem[]>();
  /** Hosts that cannot be resolved, by the name's origin. */
  readonly #hosts = new Map<string, readonly Problem[]>();
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
      if (key.startsWith('Service/') || key.startsWith('Ingress/')) this.#take(key, problems);
    }
    this.#look();
  }

  /** Of one host's name: the Backends and XBackends that have it, while it cannot be resolved. */
  unresolved(origin: string, problems: readonly Problem[]): void {
    const before = this.#hosts.get(origin) ?? [];
    if (problems.length === 0) this.#hosts.delete(origin);
    else this.#hosts.set(origin, problems);
    const keys = new Set([...before, ...problems].flatMap(({ place: { object } }) => object ?? []));
    const all = [...this.#hosts.values()].flat();
    for (const key of keys)
      this.#take(
        key,
        all.filter(({ place }) => place.object === key),
      );
    this.#look();
  }

  /** Its status was written: an XBackend is ours to tell of from then on. */
  written({ kind, metadata }: KubeObject): void {
    const key = objectKey(kind, metadata.namespace, metadata.name);
    if (kind !== 'XBackend' || !this.#problems.has(key) || this.#old.has(key)) return;
    this.#young.add(key);
    this.#look();
  }

  #take(key: ObjectKey, problems: readonly Problem[]): void {
    this.#old.delete(key);
    this.#young.delete(key);
    if (problems.length === 0) this.#problems.delete(key);
    else {
      this.#problems.set(key, problems);
      this.#young.add(key);
    }
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
    const told = new Map<ObjectKey, { readonly reason: string; readonly note: string }>();
    // Whatever more there is would not be told anyhow.
    for (const key of keys.slice(0, LIMITS.EVENTS)) {
      const object = this.#tools.find(key);
      if (object === undefined || !this.#isOurs(object)) continue;
      const said = { reason: REASONS[object.kind] ?? REASON, note: this.#note(key) };
      this.#tools.warn(object, said.reason, said.note);
      if (object.kind !== 'Ingress') told.set(key, said);
    }
    if (told.size === 0) return;
    for (const object of this.#tools.all()) {
      if (!object.kind.endsWith('Route') && object.kind !== 'Ingress') continue;
      for (const key of object.kind === 'Ingress' ? backendsOfIngress(object) : backendsOfRoute(object)) {
        const said = told.get(key);
        if (said !== undefined) this.#tools.warn(object, said.reason, `${key.replace('/', ' ')}: ${said.note}`);
      }
    }
  }

  /** An XBackend that no route of ours sends to is somebody else's: of ours the status speaks. */
  #isOurs({ kind, status }: KubeObject): boolean {
    return kind !== 'XBackend' || speaksOf(status, this.#tools.controllerName);
  }

  #note(key: ObjectKey): string {
    const problems = this.#problems.get(key) ?? [];
    const placed = key.startsWith('Ingress/');
    return problems
      .map(({ message, place: { field } }) => (placed && field !== undefined ? `${field}: ${message}` : message))
      .join(' ');
  }
}

/** The kinds that may be named as backends, and of which group. */
const GROUPS: Readonly<Record<string, string>> = { Service: '', Backend: RAUTA_GROUP, XBackend: X_GROUP };

function keyOfRef(group: unknown, kind: unknown, namespace: unknown, name: unknown): ObjectKey[] {
  return typeof name === 'string' && GROUPS[String(kind)] === group ? [`${kind}/${namespace}/${name}`] : [];
}

/** Keys of what a route's rules name: where they send to, mirror to, and ask for decisions. */
function backendsOfRoute({ metadata, spec }: KubeObject): Set<ObjectKey> {
  const rules = items(fields(spec)['rules']);
  const refs = rules.flatMap((rule) => items(fields(rule)['backendRefs']));
  const filters = [...rules, ...refs].flatMap((holder) => items(fields(holder)['filters']));
  const asked = filters.flatMap((filter) => {
    const { requestMirror, externalAuth } = fields(filter);
    return [fields(requestMirror)['backendRef'], fields(externalAuth)['backendRef']];
  });
  const keys = [...refs, ...asked].flatMap((ref) => {
    const { group = '', kind = 'Service', namespace = metadata.namespace ?? '', name } = fields(ref);
    return keyOfRef(group, kind, namespace, name);
  });
  return new Set(keys);
}

/** Keys of what an Ingress sends to, and of the Service that it asks who may come in. */
function backendsOfIngress(ingress: KubeObject): Set<ObjectKey> {
  const { metadata, spec } = ingress;
  const paths = items(fields(spec)['rules']).flatMap((rule) => items(fields(fields(rule)['http'])['paths']));
  const backends = [fields(spec)['defaultBackend'], ...paths.map((path) => fields(path)['backend'])];
  const keys = backends.flatMap((backend) => {
    const { service, resource } = fields(backend);
    const { apiGroup = '', kind, name } = fields(resource);
    const namespace = metadata.namespace ?? '';
    return [
      ...keyOfRef('', 'Service', namespace, fields(service)['name']),
      ...keyOfRef(apiGroup, kind, namespace, name),
    ];
  });
  const asked = authService(ingress);
  return new Set(asked === null ? keys : [...keys, objectKey('Service', asked.namespace, asked.name)]);
}

function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
