// Objects of RAUTA's own kinds, as their definitions have them. Files are checked and an API server refuses what is not
// so, but one may hold what an older definition let in: what it says wrong must reach no worker.

import { kindInfo } from '../api/kinds.ts';
import type { KubeObject } from '../api/object.ts';
import { checkObject } from '../api/schema.ts';
import { type Fields, fields } from '../base/fields.ts';

/** Its spec, defaults filled in; a text says what is wrong with it: `spec.headers[0].name: must be ...`. */
export function definedSpec(object: KubeObject): Fields | string {
  const known = KNOWN.get(object);
  if (known !== undefined) return known;
  const { kind, spec } = object;
  const value = { apiVersion: kindInfo(kind)?.apiVersion, kind, metadata: { name: 'any' }, spec };
  const { object: good, problems } = checkObject(value, { lenient: true });
  const wrong = problems.find(({ severity }) => severity === 'error');
  const said = good === null ? `${wrong?.place.field ?? 'spec'}: ${wrong?.message ?? 'is not understood'}.` : '';
  const found = good === null ? said : fields(good.spec);
  KNOWN.set(object, found);
  return found;
}

/** Objects are replaced, never changed; thousands of rules may name one. */
const KNOWN = new WeakMap<KubeObject, Fields | string>();
