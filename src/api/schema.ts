// Checks an object the way kubectl and an API server do: fields that are not known are errors (or pruned, where that is
// asked for), defaults are filled in, and what is wrong is named by its field path.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/

import { RE2JS } from 're2js';
import { plainBase64 } from '../base/base64.ts';
import { type Fields, isFields } from '../base/fields.ts';
import { likely, nearest } from '../base/nearest.ts';
import type { Cel } from './cel.ts';
import { exampleOf, formOf, numberForm, templateForm, typeForm } from './forms.ts';
import { groupOf, isOwnGroup, kindInfo, kindsOf, shapeOf } from './kinds.ts';
import { checkMetadata, DATE_TIME_FORM, isDateTime, isDnsSubdomain } from './metadata.ts';
import { type KubeObject, type ObjectKey, objectKey } from './object.ts';
import { type Problem, Problems } from './problem.ts';
import { checkRules } from './rules.ts';
import type { KindInfo, Shape } from './shape.ts';
import { meantBy } from './unknown.ts';
import { at, setField, typeOf } from './value.ts';

export interface CheckResult {
  /** Null when there is an error, or when the kind is not one that is read. */
  readonly object: KubeObject | null;
  /** Which object it claims to be, even when it is wrong; null when that cannot be said. */
  readonly key: ObjectKey | null;
  readonly problems: readonly Problem[];
  /** `Deployment of apps/v1`: it is no business of ours; null otherwise. */
  readonly foreign: string | null;
}

export interface CheckOptions {
  /** For namespaced objects that name none; `default` unless said. */
  readonly defaultNamespace?: string;
  /**
   * Fields and kinds that are not known are warnings and pruned, as an API server does; otherwise errors, as kubectl
   * has it.
   */
  readonly lenient?: boolean;
  /** An API server took it, by its own definition. */
  readonly accepted?: boolean;
  /** Who is told of each object as soon as it is read and good; whether it will count is not known then. */
  readonly found?: (object: KubeObject) => void;
  /** What evaluates the rules of definitions; absent: whoever the object is from has done so. */
  readonly cel?: Cel;
}

/** Checks one object as parsed from YAML or JSON. */
export function checkObject(value: unknown, options: CheckOptions = {}): CheckResult {
  const secret = isFields(value) && typeof value['kind'] === 'string' && isSecret(value['kind']);
  const problems = new Problems(null, { secret, lenient: options.lenient ?? false });
  const nothing = (foreign: string | null): CheckResult => ({
    object: null,
    key: null,
    problems: problems.found,
    foreign,
  });
  if (!isFields(value)) {
    problems.error('', notAnObject(value));
    return nothing(null);
  }
  const found = findKind(value, problems);
  if (found === null || typeof found === 'string') return nothing(found);
  const { info, shape } = found;
  const metadata = checkMetadata(value['metadata'], info, options.defaultNamespace ?? 'default', problems);
  const body = walkObject(value, shape, '', problems, TOP_FIELDS);
  const key =
    metadata === null || metadata.name === '' ? null : objectKey(info.kind, metadata.namespace, metadata.name);
  if (info.kind === 'Secret') foldStringData(body);
  if (info.kind === 'Service') defaultTargetPorts(body);
  if (problems.errors === 0) {
    checkRules(info.kind, body, problems);
    options.cel?.check(value['apiVersion'] as string, info.kind, shape, body, problems);
  }
  const said = key === null ? problems.found : problems.found.map((p) => withObject(p, key));
  const status = isFields(value['status']) ? { status: value['status'] } : {};
  if (problems.errors > 0 && metadata !== null && options.accepted === true && JUDGED.has(info.kind)) {
    const object = { apiVersion: info.apiVersion, kind: info.kind, metadata, spec: value['spec'], ...status };
    return { object, key, problems: [], foreign: null };
  }
  if (problems.errors > 0 || metadata === null) return { object: null, key, problems: said, foreign: null };
  const object = { apiVersion: info.apiVersion, kind: info.kind, metadata, ...body, ...status };
  return { object, key, problems: said, foreign: null };
}

/**
 * Of kinds of which an API server may have a newer definition of the same version: what ours does not know is taken as
 * it is, and whoever translates it, reading each field as if nobody had looked, says so where its author looks: in its
 * status.
 */
const JUDGED: ReadonlySet<string> = new Set(['XBackend']);

const TOP_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata', 'status']);

function isSecret(kind: string): boolean {
  // A mistyped Secret is one too.
  return kindInfo(kind)?.secret === true || /secret/i.test(kind);
}

function withObject(problem: Problem, object: ObjectKey): Problem {
  return { ...problem, place: { ...problem.place, object } };
}

/**
 * How an object of this kind is read; null when it is not, which is a problem or, of somebody else's kind, its name.
 */
function findKind(value: Fields, problems: Problems): { info: KindInfo; shape: Shape } | string | null {
  const { apiVersion, kind } = value;
  if (!isGiven(apiVersion) && !isGiven(kind)) {
    const names = Object.keys(value).filter((name) => /^[\w.-]{1,40}$/.test(name));
    const found = names.length === 0 ? '' : `, not with ${words(names.slice(0, 3))}`;
    problems.error('', `must be a Kubernetes resource, which begins with apiVersion and kind (${RESOURCE})${found}`);
    return null;
  }
  if (typeof kind !== 'string' || kind === '') {
    wrongKind(kind, typeof apiVersion === 'string' ? groupOf(apiVersion) : '', problems);
    return null;
  }
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    const right = `apiVersion: ${kindInfo(kind)?.apiVersion ?? 'GROUP/VERSION'}`;
    if (isGiven(apiVersion)) problems.wrong('apiVersion', { must: 'must be text', write: right }, apiVersion);
    else problems.missing('apiVersion', right);
    return null;
  }
  const info = kindInfo(kind);
  const shape = shapeOf(apiVersion, kind);
  if (info !== undefined && shape !== undefined) return { info, shape };
  const group = groupOf(apiVersion);
  if (info !== undefined) {
    const meant = group === groupOf(info.apiVersion) || isOwnGroup(group) || isKubernetes(group);
    if (!meant && nearest(apiVersion, Object.keys(info.versions)) === undefined)
      return `${short(kind)} of ${short(apiVersion)}`;
    problems.unknown('apiVersion', `${short(apiVersion)} knows no kind ${kind}: write apiVersion: ${info.apiVersion}`);
    return null;
  }
  const known = kindsOf(group);
  const single = kind.replace(/s$/, '');
  const near = isOwnGroup(group) ? likely(single, known) : nearest(single, known);
  if (near === undefined && !isOwnGroup(group)) return `${short(kind)} of ${short(apiVersion)}`;
  const hint = near === undefined ? `known of this group: ${words(known)}` : `write kind: ${near}`;
  problems.unknown('kind', `${short(kind)} is not known in ${short(apiVersion)}: ${hint}`);
  return null;
}

const RESOURCE = 'apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute';

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

/** Groups of Kubernetes itself, where a kind that is served elsewhere is nobody else's. */
function isKubernetes(group: string): boolean {
  return !group.includes('.') || group.endsWith('.k8s.io');
}

function notAnObject(value: unknown): string {
  const resource = `must be a Kubernetes resource, which begins with apiVersion and kind (${RESOURCE})`;
  if (!Array.isArray(value)) return `${resource}, not ${typeOf(value)}`;
  return `${resource}, not a list: write each without "- ", with a line --- between them`;
}

function wrongKind(kind: unknown, group: string, problems: Problems): void {
  const known = kindsOf(group);
  const [only] = Array.isArray(kind) ? kind : [];
  const right = `kind: ${known.find((name) => name === only) ?? known.find((name) => name === 'HTTPRoute' || name === 'Service') ?? known[0] ?? 'HTTPRoute'}`;
  const all = known.length > 1 ? ` (of this group: ${words(known)})` : '';
  if (!isGiven(kind)) problems.missing('kind', `${right}${all}`, kind === undefined ? '' : ', nothing stands there');
  else problems.wrong('kind', { must: 'must be text', write: right }, kind);
}

function words(list: readonly string[]): string {
  return list.join(', ');
}

function short(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** stringData is written over data, as the API server does on create and update. */
function foldStringData(body: Record<string, unknown>): void {
  const texts = body['stringData'];
  if (!isFields(texts)) return;
  const data: Record<string, unknown> = { ...(isFields(body['data']) ? body['data'] : {}) };
  for (const [name, text] of Object.entries(texts)) setField(data, name, Buffer.from(String(text)).toString('base64'));
  delete body['stringData'];
  body['data'] = data;
}

/** A port without targetPort goes to the same number (the API server's default for Services that have endpoints). */
function defaultTargetPorts(body: Record<string, unknown>): void {
  const spec = body['spec'];
  const ports = isFields(spec) && Array.isArray(spec['ports']) ? spec['ports'] : [];
  for (const port of ports) if (isFields(port)) (port as Record<string, unknown>)['targetPort'] ??= port['port'];
}

/** One value by its shape; undefined when it is wrong. */
function walk(value: unknown, shape: Shape, path: string, problems: Problems): unknown {
  switch (shape.type) {
    case 'free':
      return value;
    case 'object':
      return isFields(value) ? walkObject(value, shape, path, problems, null) : wrongType(value, shape, path, problems);
    case 'map':
      return isFields(value) ? walkMap(value, shape, path, problems) : wrongType(value, shape, path, problems);
    case 'array':
      return Array.isArray(value) ? walkArray(value, shape, path, problems) : wrongType(value, shape, path, problems);
    case 'string':
      return typeof value === 'string'
        ? walkText(value, shape, path, problems)
        : wrongType(value, shape, path, problems);
    case 'boolean':
      return typeof value === 'boolean' ? value : wrongType(value, shape, path, problems);
    case 'integer':
    case 'number':
      return walkNumber(value, shape, path, problems);
    case 'intOrString':
      if (typeof value === 'string') return walkText(value, shape, path, problems);
      return walkNumber(value, { ...shape, type: 'integer' }, path, problems);
  }
}

function wrongType(value: unknown, shape: Shape, path: string, problems: Problems): undefined {
  if (shape.enum !== undefined) return notInEnum(value, shape, path, problems);
  problems.wrong(path, typeForm(value, shape), value);
  return undefined;
}

const NO_FIELDS: NonNullable<Shape['fields']> = {};
const NOTHING_MEANT: ReadonlySet<string> = new Set();

/** Of the fields of a shape: those that have a default. */
const DEFAULTS = new WeakMap<NonNullable<Shape['fields']>, readonly (readonly [name: string, field: Shape])[]>();

function defaultsOf(fields: NonNullable<Shape['fields']>): readonly (readonly [name: string, field: Shape])[] {
  let found = DEFAULTS.get(fields);
  if (found === undefined) {
    found = Object.entries(fields).filter(([, field]) => field.default !== undefined);
    DEFAULTS.set(fields, found);
  }
  return found;
}

function walkObject(
  value: Fields,
  shape: Shape,
  path: string,
  problems: Problems,
  skip: ReadonlySet<string> | null,
): Record<string, unknown> {
  const { fields = NO_FIELDS } = shape;
  const out: Record<string, unknown> = {};
  // What a field that is not known was to be is not missing besides; it is, where that is passed over.
  let meant = NOTHING_MEANT;
  for (const name of Object.keys(value)) {
    if (skip?.has(name)) continue;
    const child = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (child === undefined) {
      const { words: said, instead } = meantBy(name, shape, problems.secret ? undefined : value[name]);
      const again = instead.some((field) => meant.has(field));
      if (!problems.lenient) meant = new Set([...meant, ...instead]);
      if (!again) problems.unknown(at(path, name), `unknown field; ${said}`);
      continue;
    }
    const given = value[name];
    // null means absent where null is no value of the field; a default then takes its place.
    if (given === undefined || (given === null && !child.nullable && child.type !== 'free')) continue;
    out[name] = given === null ? null : walk(given, child, at(path, name), problems);
  }
  for (const [name, child] of defaultsOf(fields)) {
    if (!Object.hasOwn(out, name)) out[name] = walk(child.default, child, at(path, name), problems);
  }
  for (const name of shape.required ?? []) {
    if (Object.hasOwn(out, name) || meant.has(name)) continue;
    if (path === '' && !problems.lenient && isInMetadata(value, name)) continue;
    problems.missing(at(path, name), exampleOf(path, name, fields[name]));
  }
  return out;
}

/** Of an object: what was indented too far is told of there. */
function isInMetadata({ metadata }: Fields, name: string): boolean {
  return isFields(metadata) && Object.hasOwn(metadata, name);
}

function walkMap(value: Fields, shape: Shape, path: string, problems: Problems): Record<string, unknown> {
  const names = Object.keys(value);
  count(names.length, shape, 'entries', path, problems);
  const out: Record<string, unknown> = {};
  for (const name of names) setField(out, name, walk(value[name], shape.values as Shape, at(path, name), problems));
  return out;
}

function walkArray(value: readonly unknown[], shape: Shape, path: string, problems: Problems): unknown[] {
  count(value.length, shape, 'items', path, problems);
  const out: unknown[] = [];
  const seen = new Map<string, number>();
  for (let i = 0; i < value.length; i++) {
    const item = walk(value[i], shape.items as Shape, `${path}[${i}]`, problems);
    out.push(item);
    if (shape.keys === undefined && shape.set === undefined) continue;
    const key = JSON.stringify(
      shape.keys === undefined ? item : shape.keys.map((k) => (isFields(item) ? item[k] : null)),
    );
    const first = seen.get(key);
    if (first === undefined) seen.set(key, i);
    else problems.error(`${path}[${i}]`, twice(item, first, shape, problems));
  }
  return out;
}

/** `stands there twice: [0] has the same name "X-Env"`. */
function twice(item: unknown, first: number, { keys }: Shape, problems: Problems): string {
  const own = keys === undefined || problems.secret ? [] : keys.map((k) => `${k} ${JSON.stringify(fieldOf(item, k))}`);
  const same = own.length === 0 ? 'is the same' : `has the same ${own.join(', ')}`;
  return `stands there more than once: [${first}] ${same}; each may stand there once`;
}

function fieldOf(item: unknown, name: string): unknown {
  return isFields(item) ? item[name] : null;
}

function count(n: number, shape: Shape, what: string, path: string, problems: Problems): void {
  if (shape.min !== undefined && n < shape.min) {
    const example = shape.items === undefined ? '' : `: write ${exampleOf('', lastName(path), shape)}`;
    problems.error(path, `must have at least ${shape.min} ${what}, not ${n === 0 ? 'none' : n}${example}`);
  }
  if (shape.max !== undefined && n > shape.max)
    problems.error(path, `must have at most ${shape.max} ${what}, not ${n}`);
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}

function walkText(value: string, shape: Shape, path: string, problems: Problems): string | undefined {
  if (shape.enum !== undefined && !shape.enum.includes(value)) return notInEnum(value, shape, path, problems);
  // Lengths are counted in characters, not in UTF-16 units.
  const length = shape.max !== undefined || shape.min !== undefined ? characters(value) : 0;
  if (shape.min !== undefined && length < shape.min && !(length === 0 && shape.pattern !== undefined)) {
    const example = exampleOf(path.slice(0, path.lastIndexOf('.')), lastName(path).replace(/s?\[\d+\]$/, ''), shape);
    const least = shape.min === 1 ? 'must not be empty' : `must have at least ${shape.min} characters`;
    problems.error(path, `${least}${problems.not(value)}: write ${example}`);
  } else if (shape.max !== undefined && length > shape.max) {
    problems.error(path, `must have at most ${shape.max} characters, not ${length}`);
  } else if (shape.pattern !== undefined && ((shape.min ?? 0) > length || !matches(shape.pattern, value))) {
    problems.wrong(
      path,
      formOf(shape.pattern, value, (text) => matches(shape.pattern as string, text)),
      value,
    );
  } else if (shape.format === 'date-time' && !isDateTime(value)) {
    problems.wrong(path, DATE_TIME_FORM, value);
  } else if (shape.format === 'byte') return walkBase64(value, path, problems);
  return value;
}

function characters(text: string): number {
  let n = text.length;
  for (let i = 0; i < text.length; i++) if ((text.codePointAt(i) as number) > 0xffff) n--;
  return n;
}

/** Standard base64 with padding; line breaks are allowed and dropped (as Go's decoder does). */
function walkBase64(value: string, path: string, problems: Problems): string | undefined {
  if (!value.includes('\n') && plainBase64(value) !== null) return value;
  const text = value.replace(/[\r\n]/g, '');
  if (/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0) return text;
  problems.error(path, 'must be base64: write plain text under stringData instead');
  return undefined;
}

function walkNumber(value: unknown, shape: Shape, path: string, problems: Problems): number | undefined {
  const whole = shape.type === 'integer';
  if (shape.enum !== undefined && !shape.enum.includes(value as number)) return notInEnum(value, shape, path, problems);
  const limit = shape.format === 'int32' ? 2 ** 31 : Number.MAX_SAFE_INTEGER;
  const min = shape.min ?? (whole ? -limit : Number.NEGATIVE_INFINITY);
  const max = shape.max ?? (whole ? limit - 1 : Number.POSITIVE_INFINITY);
  const isNumber = typeof value === 'number' && Number.isFinite(value) && (!whole || Number.isInteger(value));
  if (isNumber && value >= min && value <= max) return value;
  problems.wrong(path, numberForm(value, shape, { min, max }), value);
  return undefined;
}

function notInEnum(value: unknown, shape: Shape, path: string, problems: Problems): undefined {
  const names = shape.enum ?? [];
  const text = String(value);
  const template = templateForm(text);
  const near = likely(text, names.map(String));
  const all = /^(any|all|\*)$/i.test(text) && near === undefined ? '; for any leave it out' : '';
  problems.wrong(
    path,
    template ?? { must: `must be one of ${words(names.map(String))}${all}`, write: near ?? '' },
    value,
  );
  return undefined;
}

const NAME = '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*';
/** Every DNS name is of these, and nearly every value is one: then the engine, which takes its time, is not asked. */
const OF_NAMES: ReadonlySet<string> = new Set([`^${NAME}$`, `^$|^${NAME}$`, `^(\\*\\.)?${NAME}$`]);

interface Pattern {
  readonly compiled: RE2JS;
  readonly ofNames: boolean;
  /** What was last looked at, and how: of ten thousand objects most say the same. */
  value: string;
  fits: boolean;
}

const patterns = new Map<string, Pattern>();

/** RE2 semantics: linear time whatever the value. The patterns are the shapes' own, so their number is bounded. */
function matches(pattern: string, value: string): boolean {
  let known = patterns.get(pattern);
  if (known === undefined) {
    const compiled = RE2JS.compile(pattern);
    known = { compiled, ofNames: OF_NAMES.has(pattern), value: '', fits: compiled.test('') };
    patterns.set(pattern, known);
  }
  if (known.value !== value) {
    known.fits = (known.ofNames && isDnsSubdomain(value)) || known.compiled.test(value);
    known.value = value;
  }
  return known.fits;
}
