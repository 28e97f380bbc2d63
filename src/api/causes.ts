// Complaints speak of causes, never of what follows from them: who refers to an object that is wrong itself is not
// told that it is not there. And who refers to one that nobody wrote is told which one may have been meant.

import { nearest } from '../base/nearest.ts';
import { type ObjectKey, objectKey } from './object.ts';
import { objectText, type Place, type Problem, type Suspect } from './problem.ts';

/** Without those that find an object missing of which something is said to be wrong. `causes`: where that is said. */
export function causesOnly(problems: readonly Problem[], causes: readonly Problem[] = problems): readonly Problem[] {
  if (!problems.some(({ absent, idle }) => absent !== undefined || idle === true)) return problems;
  let leftOut = false;
  const wrong = new Set<string>();
  const kinds = new Map<string, Problem['severity']>();
  const suspects: Suspect[] = [];
  for (const { severity, place, effect, hides, absent } of causes) {
    suspects.push(...(hides ?? []));
    leftOut ||= hides !== undefined || effect === 'is not served';
    if (place.object === undefined) continue;
    const [kind = '', namespace = ''] = place.object.split('/');
    // Whatever is said of an object of that kind may be why none counts.
    const sort = `${kind}/${namespace}/`;
    if ((absent === undefined || absent.startsWith('Service/')) && kinds.get(sort) !== 'error')
      kinds.set(sort, severity);
    if (severity === 'error' && effect === 'is not served') wrong.add(plain(place.object));
  }
  return problems.filter(({ severity, absent, idle, place }) => {
    if (absent === undefined) return idle !== true || !leftOut;
    if (absent.endsWith('/')) {
      // A warning elsewhere takes no error away: what is not served has to be said.
      const cause = kinds.get(absent);
      const told = cause === 'error' || cause === severity;
      return !(told || suspects.some(({ kind }) => fits(kind, absent.split('/')[0])));
    }
    const [kind, , name] = absent.split('/');
    if (wrong.has(plain(absent)) && place.object !== absent) return false;
    return !suspects.some((suspect) => fits(suspect.kind, kind) && fits(suspect.name, name));
  });
}

function fits(suspect: string | null, wanted = ''): boolean {
  return suspect === null || plain(suspect) === plain(wanted);
}

/** A name that is wrong only by its letters' case and its signs is still the same to who refers to it. */
function plain(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9/]/g, '');
}

/** Names told where nothing is near. */
const NAMES = 3;

/** Keys of the objects that there are, by kind. */
export type KeysOf = (kind: string) => Iterable<ObjectKey>;

/** A complaint with what may have been meant, where an object is missing. */
export function withHint(problem: Problem, keys: KeysOf, placeOf: (key: ObjectKey) => Place | null): Problem {
  if (problem.absent === undefined) return problem;
  return { ...problem, message: `${problem.message}${hintFor(problem.absent, keys, placeOf)}` };
}

/** What may have been meant by a reference to an object that nobody wrote. */
export function hintFor(absent: ObjectKey, keys: KeysOf, placeOf: (key: ObjectKey) => Place | null): string {
  const [kind = '', namespace = '', name = ''] = absent.split('/');
  if (name === '') return '';
  const alike: string[] = [];
  let elsewhere: string | null = null;
  let other: ObjectKey | null = null;
  const beside = `${kind}/${namespace}/`;
  for (const key of keys(kind)) {
    if (key.startsWith(beside)) alike.push(key.slice(beside.length));
    else if (key.endsWith(`/${name}`)) elsewhere = key.slice(kind.length + 1, -name.length - 1);
  }
  const outside = objectKey('XBackend', namespace, name);
  const backends = kind === 'Service' || kind === 'Backend' ? keys('XBackend') : [];
  const external = [...backends].find((key) => key === outside);
  const counterpart = objectKey(kind === 'Service' ? 'Backend' : 'Service', namespace, name);
  for (const key of keys(kind === 'Service' ? 'Backend' : 'Service')) if (key === counterpart) other = key;
  if (other !== null && kind === 'Service') {
    return ` For ${objectText(other)}${at(placeOf(other))} write group: rauta.io, kind: Backend.`;
  }
  if (external !== undefined) {
    return ` For ${objectText(external)}${at(placeOf(external))} write group: gateway.networking.x-k8s.io, kind: XBackend.`;
  }
  const near = nearest(name, alike);
  if (near !== undefined) return ` Did you mean ${near}?`;
  if (other !== null && (kind === 'Backend' || kind === 'XBackend'))
    return ` For ${objectText(other)}${at(placeOf(other))} leave out group and kind.`;
  if (elsewhere !== null) return ` There is one in namespace ${elsewhere}: write namespace: ${elsewhere}.`;
  if (alike.length === 0) return '';
  const more = alike.length > NAMES ? ` and ${alike.length - NAMES} more` : '';
  return ` There ${alike.length === 1 ? 'is' : 'are'} ${alike.slice(0, NAMES).sort().join(', ')}${more}.`;
}

function at(place: Place | null): string {
  return place?.file === undefined ? '' : ` (${place.file}:${place.line ?? 1})`;
}
