// What units have in common that stand for an object.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { World } from '../store/world.ts';

/** Kinds whose status is for people and other programs: no unit reads it, whoever wrote it. */
const STATUS_UNREAD = /Route$|Policy$|^ListenerSet$|^GatewayClass$/;

/** Whether another status alone can change what an object of this kind means. */
export function readsStatus(kind: string): boolean {
  return !STATUS_UNREAD.test(kind);
}

export function objectOf(world: World, key: ObjectKey): KubeObject | undefined {
  const [kind, namespace, ...name] = key.split('/');
  return world.get(kind as string, namespace, name.join('/'));
}
