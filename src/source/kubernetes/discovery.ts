// Which kinds the server has, at which version and under which name. What is not there is known to be absent only by an
// answer that lists what there is: a 404 alone may come from anybody in between.

import type { KindInfo } from '../../api/shape.ts';
import { fields } from '../../base/fields.ts';
import type { Verb } from './client.ts';
import { type Failure, failure, type Reply } from './failure.ts';

/** Where a kind is found. */
export interface Served {
  readonly apiVersion: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

type Ask = (question: { verb: Verb; kind: string; path: string }) => Promise<Reply>;

/** Kinds that are served, by kind; those that are not stand not in it. */
export async function discover(ask: Ask, kinds: readonly KindInfo[]): Promise<ReadonlyMap<string, Served> | Failure> {
  const groups = await ask({ verb: 'get', kind: 'discovery', path: '/apis' });
  if (!groups.ok) return groups.failure;
  const versions = versionsOf(groups.body);
  if (versions === null) return failure('Broken', 'the answer to /apis is no list of groups');
  const asked = new Set(kinds.flatMap((info) => Object.keys(info.versions)));
  const resources = new Map<string, ReadonlyMap<string, Served>>();
  for (const apiVersion of asked) {
    if (apiVersion.includes('/') && !versions.has(apiVersion)) continue;
    const reply = await ask({ verb: 'get', kind: 'discovery', path: rootOf(apiVersion) });
    if (!reply.ok) return reply.failure;
    const found = resourcesOf(apiVersion, reply.body);
    if (found === null) return failure('Broken', `the answer to ${rootOf(apiVersion)} is no list of resources`);
    resources.set(apiVersion, found);
  }
  const served = new Map<string, Served>();
  for (const info of kinds) {
    // The version that everything is read as comes first: nothing has to be understood twice.
    for (const apiVersion of [info.apiVersion, ...Object.keys(info.versions)]) {
      const found = resources.get(apiVersion)?.get(info.kind);
      if (found === undefined || served.has(info.kind)) continue;
      served.set(info.kind, found);
    }
  }
  return served;
}

/** Path under which an apiVersion is served. */
function rootOf(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

/** Path of a collection; namespace null: of all. */
export function collectionPath(served: Served, namespace: string | null): string {
  const root = rootOf(served.apiVersion);
  return namespace === null ? `${root}/${served.plural}` : `${root}/namespaces/${namespace}/${served.plural}`;
}

/** `group/version` of an APIGroupList. */
function versionsOf(body: unknown): ReadonlySet<string> | null {
  const { groups } = fields(body);
  if (!Array.isArray(groups)) return null;
  const versions = new Set<string>();
  for (const group of groups) {
    const listed = fields(group)['versions'];
    for (const version of Array.isArray(listed) ? listed : []) {
      const { groupVersion } = fields(version);
      if (typeof groupVersion === 'string') versions.add(groupVersion);
    }
  }
  return versions;
}

/** Of an APIResourceList, by kind, without subresources. */
function resourcesOf(apiVersion: string, body: unknown): ReadonlyMap<string, Served> | null {
  const { resources } = fields(body);
  if (!Array.isArray(resources)) return null;
  const found = new Map<string, Served>();
  for (const resource of resources) {
    const { name, kind, namespaced } = fields(resource);
    if (typeof name !== 'string' || typeof kind !== 'string' || name.includes('/')) continue;
    found.set(kind, { apiVersion, plural: name, namespaced: namespaced === true });
  }
  return found;
}
