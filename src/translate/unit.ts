// What units have in common that stand for an object.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { World } from '../store/world.ts';

export function objectOf(world: World, key: ObjectKey): KubeObject | undefined {
  const [kind, namespace, ...name] = key.split('/');
  return world.get(kind as string, namespace, name.join('/'));
}
