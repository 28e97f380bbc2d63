// Whether backends get paths with runs of slashes merged (annotation rauta.io/merge-slashes, of an HTTPRoute or an
// Ingress). They do unless somebody says no: some have whole URLs or empty segments in their paths.

import { flagOf } from '../base/flag-text.ts';
import type { Filter } from '../ir/ir.ts';

/** After nginx's merge_slashes, which is about matching alone there: what is forwarded keeps them. */
export const SLASHES_ANNOTATION = 'rauta.io/merge-slashes';

/** `off`, as nginx writes it, or what flagOf takes; null: it is none of these. */
export function mergesSlashes(value: unknown): boolean | null {
  if (value === 'off' || value === 'on') return value === 'on';
  return flagOf(value);
}

export const KEEP_SLASHES: Filter = { type: 'keepSlashes' };
