// What units have in common that stand for an object.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import type { World } from '../store/world.ts';

/** Kinds whose status is for people and other programs: no unit reads it, whoever wrote it. */
const STATUS_UNREAD = /Route$|Policy$|^ListenerSet$|^GatewayClass$/;

/**
 * What units read of an object's status: another one of the rest changes nothing. Of a Gateway only the addresses,
 * which it keeps; its listeners' counts are written with each route that comes.
 */
export function readOfStatus({ kind, status }: KubeObject): unknown {
  if (STATUS_UNREAD.test(kind)) return undefined;
  return kind === 'Gateway' ? fields(status)['addresses'] : status;
}

export function objectOf(world: World, key: ObjectKey): KubeObject | undefined {
  const [kind, namespace, ...name] = key.split('/');
  return world.get(kind as string, namespace, name.join('/'));
}
