// When nothing is served: why, as far as the objects say.

import type { KubeObject } from '../api/object.ts';

export function whyIdle(objects: Iterable<KubeObject>): string {
  for (const { kind } of objects) if (kind === 'Gateway') return 'no listener of a Gateway is ours and valid';
  return 'there is no Gateway';
}
