// Every kind that is read, by apiVersion and kind.

import { OWN_KINDS } from './backend.ts';
import { CORE_KINDS } from './core.ts';
import { GATEWAY_API_KINDS } from './generated/index.ts';
import type { KindInfo, Shape } from './shape.ts';

const KINDS: readonly KindInfo[] = [...GATEWAY_API_KINDS, ...CORE_KINDS, ...OWN_KINDS];

const byKind = new Map(KINDS.map((info) => [info.kind, info]));

export function kindInfo(kind: string): KindInfo | undefined {
  return byKind.get(kind);
}

/** The shape by which an object of this apiVersion and kind is read. */
export function shapeOf(apiVersion: string, kind: string): Shape | undefined {
  const info = byKind.get(kind);
  return info !== undefined && Object.hasOwn(info.versions, apiVersion) ? info.versions[apiVersion] : undefined;
}

/** Kinds of which only what something refers to is fetched: RAUTA reads no Secret that is none of its business. */
export const BY_REFERENCE: readonly string[] = ['Secret', 'ConfigMap'];

/** Every kind that is read. */
export function knownKinds(): readonly KindInfo[] {
  return KINDS;
}

/** `gateway.networking.k8s.io` of `gateway.networking.k8s.io/v1`; empty for the core group. */
export function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] as string) : '';
}

/** Groups of Kubernetes itself: of these only some kinds are read, and the others are no mistake. */
const SHARED_GROUPS: ReadonlySet<string> = new Set(CORE_KINDS.map((info) => groupOf(info.apiVersion)));
const GROUPS = Map.groupBy(KINDS, (info) => groupOf(info.apiVersion));

/** Whether a kind of this group that is not read is a mistake, for nothing but RAUTA reads such objects here. */
export function isOwnGroup(group: string): boolean {
  return GROUPS.has(group) && !SHARED_GROUPS.has(group);
}

/** Kinds of a group that are read. */
export function kindsOf(group: string): string[] {
  return (GROUPS.get(group) ?? []).map((info) => info.kind);
}
