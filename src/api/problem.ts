// What is wrong with a configuration, and where: one shape for sources, schemas and translation.

import { LIMITS } from '../base/limits.ts';
import type { ObjectKey } from './object.ts';

/** Where a complaint points: a file with line and column (1-based), or a field path within an object. */
export interface Place {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly object?: ObjectKey;
  /** `spec.rules[0].matches[1].path.value` */
  readonly field?: string;
}

export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly place: Place;
  /** What it means for the object that is configured now. */
  readonly effect?: 'goes on as before' | 'is not served';
  /**
   * The object that it finds missing (without a name: any of that kind and namespace): where something is wrong with
   * that one itself, this is no complaint of its own.
   */
  readonly absent?: ObjectKey;
  /** It finds nobody who refers to its object: no complaint where something is left out, which may. */
  readonly idle?: boolean;
  /** Objects that are not there because of it, as far as that can be guessed. */
  readonly hides?: readonly Suspect[];
}

/** What a text that cannot be read may define; null: any. */
export interface Suspect {
  readonly kind: string | null;
  readonly name: string | null;
}

/** `file:line:column: error: HTTPRoute default/app: spec.rules: message`, as far as its place is known. */
export function problemText({ severity, message, place }: Problem): string {
  const where = [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
  const what = [place.object === undefined ? '' : objectText(place.object), place.field ?? ''];
  return [where, severity, ...what, message].filter((part) => part !== '').join(': ');
}

/** `HTTPRoute/default/app` -> `HTTPRoute default/app`. */
export function objectText(key: ObjectKey): string {
  const [kind, namespace, name] = key.split('/');
  return namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

export interface ProblemOptions {
  /** Values of the object never get into a message. */
  readonly secret?: boolean;
  /** What is not known is a warning, not an error. */
  readonly lenient?: boolean;
}

/** A value on one line; of mappings and of long lists what they are. */
function shortJson(value: unknown): string {
  if (typeof value === 'object' && value !== null) {
    const json = JSON.stringify(value);
    if (!Array.isArray(value)) return 'a mapping';
    return json.length > 40 || json.includes('{') ? 'a list' : json;
  }
  const json = JSON.stringify(value) ?? 'nothing';
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}

/** Collects what is wrong with one object, up to a limit. Values of secret kinds never get into a message. */
export class Problems {
  errors = 0;
  readonly #found: Problem[] = [];
  #more = 0;
  readonly #object: { readonly object?: ObjectKey };
  /** Values of the object must not be told. */
  readonly secret: boolean;
  /** What is not known is passed over with a warning. */
  readonly lenient: boolean;

  /** `object`: null while it is not known which object it is. */
  constructor(object: ObjectKey | null, options: ProblemOptions = {}) {
    this.#object = object === null ? {} : { object };
    this.secret = options.secret ?? false;
    this.lenient = options.lenient ?? false;
  }

  get found(): readonly Problem[] {
    if (this.#more === 0) return this.#found;
    const severity = this.errors > 0 ? 'error' : 'warning';
    return [...this.#found, { severity, message: `and ${this.#more} problems more`, place: { ...this.#object } }];
  }

  /** Something does not work as written. */
  error(field: string, message: string, absent?: ObjectKey): void {
    this.errors++;
    this.#add('error', field, message, absent);
  }

  /** Whether something is wrong with that field, or within it. */
  hasErrorAt(field: string): boolean {
    if (this.errors === 0) return false;
    return this.#found.some(({ severity, place: { field: at = '' } }) => {
      if (severity !== 'error' || !at.startsWith(field)) return false;
      const next = at[field.length];
      return next === undefined || next === '.' || next === '[';
    });
  }

  /** Something works, but not as its author may think. */
  warning(field: string, message: string, absent?: ObjectKey): void {
    this.#add('warning', field, message, absent);
  }

  /** Nobody refers to it. */
  idle(field: string, message: string): void {
    if (this.#found.length >= LIMITS.OBJECT_PROBLEMS) this.#more++;
    else this.#found.push({ severity: 'warning', message, place: { ...this.#object, field }, idle: true });
  }

  /** Something that is written is not known, so it means nothing: an error, for its author meant something by it. */
  unknown(field: string, message: string): void {
    if (this.lenient) this.warning(field, `${message} (ignored)`);
    else this.error(field, message);
  }

  #add(severity: 'error' | 'warning', field: string, message: string, absent?: ObjectKey): void {
    if (this.#found.length >= LIMITS.OBJECT_PROBLEMS) this.#more++;
    else {
      const place = { ...this.#object, field };
      this.#found.push({ severity, message, place, ...(absent === undefined ? {} : { absent }) });
    }
  }

  /** `, not "x"`: the offending value, short and escaped; nothing for secret kinds. */
  not(value: unknown): string {
    return this.secret ? '' : `, not ${shortJson(value)}`;
  }

  /** What must be, what is there, and what to write instead, which follows from it: not for secret kinds. */
  wrong(field: string, { must, write }: { readonly must: string; readonly write: string }, value: unknown): void {
    const form = write === '' || this.secret ? '' : `: write ${write}`;
    this.error(field, `${must}${this.not(value)}${form}`);
  }

  /** Something is not there: a form of it that works. */
  missing(field: string, example: string, why = ''): void {
    this.error(field, `is missing${why}: write ${example}`);
  }
}
