// What an object's status is to become: what it says now with our part of it replaced. Entries of other controllers
// (parents[] and ancestors[] of another controllerName), conditions of types that are not ours and fields that we do
// not write stay as they are. Pure.

import { equal } from '../../base/equal.ts';
import { type Fields, fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Condition, IngressStatus, Status } from '../../translate/conditions.ts';

export interface MergeOptions {
  readonly controllerName: string;
  /** Types of conditions that we write: one of these that we no longer say goes. */
  readonly types: ReadonlySet<string>;
  /** RFC 3339, for conditions whose status changes. */
  readonly time: string;
  /** Of an Ingress that is no longer ours: what we said of it last. */
  readonly withdrawn?: IngressStatus;
}

/** The status to write, or null when nothing is to change. `wanted` null: nothing is said of it any more. */
export function mergeStatus(current: unknown, wanted: Status | null, options: MergeOptions): Fields | null {
  const before = fields(current);
  const next = merged(before, wanted, options);
  return equal(before, next) ? null : next;
}

function merged(before: Fields, wanted: Status | null, options: MergeOptions): Fields {
  if (wanted === null) {
    // Nothing says who wrote the addresses: what is ours no more is what is still as we left it.
    const { withdrawn } = options;
    if (withdrawn !== undefined) return isSaid(before, withdrawn) ? addressed(before, []) : before;
    // A Gateway that is no longer ours is somebody else's to speak of; of a route only our entries are ours.
    for (const [name, ref] of LISTS) {
      if (Array.isArray(before[name])) return { ...before, [name]: entries(before[name], [], ref, options) };
    }
    return before;
  }
  if ('parents' in wanted) {
    const parents = bounded(before['parents'], wanted.parents, 'parentRef', LIMITS.STATUS_PARENTS, options);
    return { ...before, parents };
  }
  if ('ancestors' in wanted) {
    const most = LIMITS.POLICY_ANCESTORS;
    return { ...before, ancestors: bounded(before['ancestors'], wanted.ancestors, 'ancestorRef', most, options) };
  }
  if ('loadBalancer' in wanted) return isSaid(before, wanted) ? before : addressed(before, wanted.loadBalancer.ingress);
  const conditions = mergeConditions(before['conditions'], wanted.conditions, options);
  if (!('listeners' in wanted)) {
    // Definitions of another version took their place.
    const { supportedFeatures: _, ...rest } = before;
    return { ...rest, ...wanted, conditions };
  }
  const old = new Map(list(before['listeners']).map((l) => [fields(l)['name'], fields(l)]));
  const listeners = wanted.listeners.map((listener) => ({
    ...listener,
    conditions: mergeConditions(old.get(listener.name)?.['conditions'], listener.conditions, options),
  }));
  // Of a Gateway that lets no ListenerSets attach any more, the count goes.
  const { attachedListenerSets: _, ...rest } = before;
  return { ...rest, ...wanted, conditions, listeners };
}

/** Whether those addresses stand in it; the server leaves out a list of none. */
function isSaid(status: Fields, { loadBalancer }: IngressStatus): boolean {
  return equal(list(fields(status['loadBalancer'])['ingress']), loadBalancer.ingress);
}

function addressed(status: Fields, ingress: readonly unknown[]): Fields {
  return { ...status, loadBalancer: { ingress } };
}

/** Entries of several controllers, and what each of them refers to. */
const LISTS = [
  ['parents', 'parentRef'],
  ['ancestors', 'ancestorRef'],
] as const;

/** Whether it has an entry of that controller's. */
export function speaksOf(status: unknown, controllerName: string): boolean {
  const { parents, ancestors } = fields(status);
  return [...list(parents), ...list(ancestors)].some((item) => fields(item)['controllerName'] === controllerName);
}

interface Entry {
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

/** The API takes no more than so many: what others wrote stays, and of ours those that have room. */
function bounded(
  current: unknown,
  wanted: readonly Entry[],
  ref: string,
  most: number,
  options: MergeOptions,
): unknown[] {
  const others = list(current).filter((item) => fields(item)['controllerName'] !== options.controllerName).length;
  return entries(current, wanted.slice(0, Math.max(0, most - others)), ref, options);
}

/** Ours are found by what they refer to, in the field `ref`; where they stand among the others does not change. */
function entries(current: unknown, wanted: readonly Entry[], ref: string, options: MergeOptions): unknown[] {
  const left = new Map(wanted.map((entry) => [refKey((entry as unknown as Fields)[ref]), entry]));
  const out: unknown[] = [];
  for (const item of list(current)) {
    const entry = fields(item);
    if (entry['controllerName'] !== options.controllerName) {
      out.push(item);
      continue;
    }
    const key = refKey(entry[ref]);
    const ours = left.get(key);
    if (ours === undefined) continue;
    left.delete(key);
    // The server may have filled in what the reference left out.
    const conditions = mergeConditions(entry['conditions'], ours.conditions, options);
    out.push({ ...entry, ...ours, [ref]: entry[ref], conditions });
  }
  for (const ours of left.values()) out.push({ ...ours, conditions: mergeConditions([], ours.conditions, options) });
  return out;
}

/** A condition keeps its time as long as its status does. */
function mergeConditions(current: unknown, wanted: readonly Condition[], { types, time }: MergeOptions): unknown[] {
  const left = new Map(wanted.map((c) => [c.type, c]));
  const out: unknown[] = [];
  for (const item of list(current)) {
    const before = fields(item);
    const type = String(before['type']);
    const ours = left.get(type);
    if (ours === undefined) {
      if (!types.has(type)) out.push(item);
      continue;
    }
    left.delete(type);
    const since = before['status'] === ours.status ? (before['lastTransitionTime'] ?? time) : time;
    out.push({ ...ours, lastTransitionTime: since });
  }
  for (const ours of left.values()) out.push({ ...ours, lastTransitionTime: time });
  return out;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Defaults of a ParentReference are filled in by the server; ours may have been written without. */
function refKey(value: unknown): string {
  const { group, kind, namespace, name, sectionName, port } = fields(value);
  return JSON.stringify([
    group ?? 'gateway.networking.k8s.io',
    kind ?? 'Gateway',
    namespace ?? null,
    name,
    sectionName ?? null,
    port ?? null,
  ]);
}
