// Rules across fields in CEL: those of the Gateway API's definitions and of RAUTA's own (x-kubernetes-validations), as
// an API server evaluates them. Only `rauta check` does: `loadCel` brings the evaluator in, which is some 30 MB that no
// process that stays has a use for (ADR 31).
//
// Each rule has a check of ours beside it (rules.ts), with better words and the very field, and a test holds that the
// two refuse the same; a rule says something only where nothing has been said of its value.

import { type Fields, isFields } from '../base/fields.ts';
import { isPlainIp, isPlainRange } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import { CEL_RULES, GATEWAY_API_CEL } from './generated/cel.ts';
import { OWN_CEL } from './own-cel.ts';
import type { Problems } from './problem.ts';
import type { Shape } from './shape.ts';
import { at } from './value.ts';

/** What CEL sees of a value: integers are of 64 bits, and names that are words of the language are escaped. */
type Seen = null | boolean | number | bigint | string | readonly Seen[] | ReadonlyMap<string, Seen>;

/** Whether it is true of a value; what cannot be evaluated is not. */
type Holds = (self: Seen) => boolean;

interface Rule {
  readonly text: string;
  readonly message: string;
}

/** The rules at one place of a kind, and below it. */
class Place {
  readonly rules: Rule[] = [];
  readonly fields = new Map<string, Place>();
  items: Place | null = null;
  values: Place | null = null;
  readonly #good = new Set<string>();
  #all = '';
  #reads: readonly string[] | null | undefined;

  /** All of its rules as one. */
  get all(): string {
    if (this.#all === '') this.#all = this.rules.map(({ text }) => `(${text})`).join(' && ');
    return this.#all;
  }

  /**
   * Whether it is known to hold; else what to call the value once it does, null where that is not worth it. Thousands
   * of objects have the same values at a place, and to evaluate a rule costs more than to find that.
   */
  known(value: unknown): boolean | string | null {
    const reads = this.#fieldsRead();
    const seen = reads === null ? value : reads.map((name) => (value as Fields)[name]);
    const text = JSON.stringify(seen) ?? '';
    if (text.length > LIMITS.CEL_VALUE_CHARS) return null;
    return this.#good.has(text) || text;
  }

  good(text: string): void {
    if (this.#good.size < LIMITS.CEL_VALUES_KNOWN) this.#good.add(text);
  }

  /** Fields of a mapping that its rules read; null where one of them reads the value as a whole. */
  #fieldsRead(): readonly string[] | null {
    if (this.#reads === undefined) {
      const whole = /\bself\b(?!\.\w+\b(?!\())/.test(this.all);
      const names = [...this.all.matchAll(/\bself\.(\w+)/g)].map(([, name]) => name as string);
      this.#reads = whole || names.some((name) => name.startsWith('__')) ? null : [...new Set(names)];
    }
    return this.#reads;
  }

  /** That of `spec.rules[].filters[]`, made where there was none. */
  at(path: string): Place {
    let place: Place = this;
    for (const [, name, sign] of path.matchAll(/([^.[\]{}]+)|(\[\]|\{\})/g)) {
      if (name !== undefined) {
        const field: Place = place.fields.get(name) ?? new Place();
        place.fields.set(name, field);
        place = field;
      } else if (sign === '[]') place = place.items ??= new Place();
      else place = place.values ??= new Place();
    }
    return place;
  }
}

export class Cel {
  readonly #compile: (text: string) => Holds;
  readonly #compiled = new Map<string, Holds>();
  /** By apiVersion and kind; null for kinds without rules. */
  readonly #places = new Map<string, Place | null>();

  constructor(compile: (text: string) => Holds) {
    this.#compile = compile;
  }

  /** `body`: an object's, of that shape, with its defaults. */
  check(apiVersion: string, kind: string, shape: Shape, body: Fields, problems: Problems): void {
    const place = this.#placeOf(apiVersion, kind);
    if (place === null) return;
    for (const [name, field] of place.fields) {
      const value = body[name];
      const inner = shape.fields?.[name];
      if (value !== undefined && value !== null && inner !== undefined)
        this.#walk(field, inner, value, seen(inner, value), name, problems);
    }
  }

  #placeOf(apiVersion: string, kind: string): Place | null {
    const key = `${apiVersion} ${kind}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = placeOf(apiVersion, kind);
      this.#places.set(key, place);
    }
    return place;
  }

  /** The innermost first: whoever says less says it nearer. */
  #walk(place: Place, shape: Shape, value: unknown, self: Seen, path: string, problems: Problems): void {
    if (Array.isArray(value)) {
      const { items } = place;
      if (items !== null && shape.items !== undefined)
        for (let i = 0; i < value.length; i++)
          this.#walk(items, shape.items, value[i], (self as readonly Seen[])[i] as Seen, `${path}[${i}]`, problems);
    } else if (isFields(value)) this.#inside(place, shape, value, self as ReadonlyMap<string, Seen>, path, problems);
    // All at once, for most values are good; which one is broken is asked when one is.
    if (place.rules.length === 0) return;
    const known = place.known(value);
    if (known === true) return;
    if (this.#holds(place.all, self)) {
      if (typeof known === 'string') place.good(known);
      return;
    }
    for (const { text, message } of place.rules) {
      if (problems.hasErrorAt(path)) return;
      if (!this.#holds(text, self)) problems.error(path, message);
    }
  }

  #inside(
    place: Place,
    shape: Shape,
    value: Fields,
    self: ReadonlyMap<string, Seen>,
    path: string,
    problems: Problems,
  ): void {
    for (const [name, field] of place.fields) {
      const inner = shape.fields?.[name];
      const own = self.get(escaped(name));
      if (inner !== undefined && own !== undefined && own !== null)
        this.#walk(field, inner, value[name], own, at(path, name), problems);
    }
    const { values } = place;
    if (values === null || shape.values === undefined) return;
    for (const [name, own] of self) this.#walk(values, shape.values, value[name], own, at(path, name), problems);
  }

  #holds(text: string, self: Seen): boolean {
    let holds = this.#compiled.get(text);
    if (holds === undefined) {
      holds = this.#compile(text);
      this.#compiled.set(text, holds);
    }
    return holds(self);
  }
}

function placeOf(apiVersion: string, kind: string): Place | null {
  const root = new Place();
  for (const [path, numbers] of Object.entries(GATEWAY_API_CEL[kind]?.[apiVersion] ?? {}))
    for (const number of numbers) {
      const [text, message] = CEL_RULES[number] as (typeof CEL_RULES)[number];
      root.at(path).rules.push({ text, message });
    }
  for (const [path, rules] of Object.entries(OWN_CEL[kind] ?? {}))
    for (const { rule, message } of rules) root.at(path).rules.push({ text: rule, message });
  return root.fields.size === 0 ? null : root;
}

/** Words of CEL that a field may be called; how it is written then (apiextensions.k8s.io/v1, ValidationRule.rule). */
const RESERVED: ReadonlySet<string> = new Set([
  ...['true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import'],
  ...['let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while'],
]);

function escaped(name: string): string {
  if (RESERVED.has(name)) return `__${name}__`;
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
}

function seen(shape: Shape, value: unknown): Seen {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.map((item) => (shape.items === undefined ? null : seen(shape.items, item)));
  if (isFields(value)) {
    const map = new Map<string, Seen>();
    for (const [name, inner] of Object.entries(value)) {
      const own = shape.fields?.[name];
      const within = own ?? shape.values;
      if (within !== undefined && inner !== undefined && inner !== null)
        map.set(own === undefined ? name : escaped(name), seen(within, inner));
    }
    return map;
  }
  if (typeof value === 'number') return shape.type === 'number' ? value : BigInt(Math.trunc(value));
  return typeof value === 'string' || typeof value === 'boolean' ? value : null;
}

/**
 * The only use of Kubernetes' library of formats. There `validate` answers an optional, which is never null, whatever
 * it holds: to an API server the comparison is false for every text.
 */
const LABEL_FORMAT = 'format.dns1123Label().validate(self) == null';

/** Brings the evaluator in. */
export async function loadCel(): Promise<Cel> {
  const [{ CelScalar, celEnv, celFunc, parse, plan }, { strings }] = await Promise.all([
    import('@bufbuild/cel'),
    import('@bufbuild/cel/ext'),
  ]);
  const test = (name: string, holds: (text: string) => boolean) =>
    celFunc(name, [CelScalar.STRING], CelScalar.BOOL, holds);
  const env = celEnv({
    variables: { self: CelScalar.DYN },
    funcs: [...strings, test('isIP', isPlainIp), test('isCIDR', isPlainRange)],
  });
  return new Cel((text) => {
    const evaluate = plan(env, parse(text.replaceAll(LABEL_FORMAT, 'false')));
    return (self) => evaluate({ self }) === true;
  });
}
