// When nothing is served: why, as far as the objects say.

import { type KubeObject, keyOf } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';

export function whyIdle(objects: Iterable<KubeObject>): string {
  for (const { kind } of objects) if (kind === 'Gateway') return 'no listener of a Gateway is ours and valid';
  return 'there is no Gateway';
}

/** Classes that are left to others: where nothing is served that may be a mistake. */
export function classesOfOthers(objects: Iterable<KubeObject>, controllerName: string): Problem[] {
  const found: Problem[] = [];
  for (const object of objects) {
    const name = fields(object.spec)['controllerName'];
    if (object.kind !== 'GatewayClass' || name === controllerName || found.length >= LIMITS.NAMES_LISTED) continue;
    found.push({
      severity: 'warning',
      message: `controllerName ${JSON.stringify(name)} is not ours ("${controllerName}"): nothing of this class is served here`,
      place: { object: keyOf(object), field: 'spec.controllerName' },
    });
  }
  return found;
}
