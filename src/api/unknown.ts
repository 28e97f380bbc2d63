// What may have been meant by a field that is not known: the name nearest to it, the place it belongs to, or the form
// that other APIs have for the same thing.

import { isIP } from 'node:net';
import { isFields } from '../base/fields.ts';
import { likely } from '../base/nearest.ts';
import type { Shape } from './shape.ts';

export interface Meant {
  readonly words: string;
  /** Fields of the same object that it stands for, which are not missing besides. */
  readonly instead: readonly string[];
}

/** How deep a field is looked for that stands too high. */
const DEPTH = 3;

export function meantBy(name: string, shape: Shape, value: unknown): Meant {
  const fields = shape.fields ?? {};
  const names = Object.keys(fields);
  const foreign = foreignForm(name, fields, value);
  if (foreign !== null) return foreign;
  const near = likely(name, names);
  if (near !== undefined) return { words: `did you mean ${near}?`, instead: [near] };
  const below = placeBelow(name, shape);
  if (below !== null) return { words: `it belongs under ${below}`, instead: [] };
  return { words: names.length === 0 ? 'there are none here' : `known here: ${names.sort().join(', ')}`, instead: [] };
}

/** `matches`, `rules.matches`: the nearest place under which a field of this name is known. */
function placeBelow(name: string, shape: Shape): string | null {
  let level: (readonly [string, Shape])[] = [['', shape]];
  for (let depth = 0; depth < DEPTH; depth++) {
    const next: (readonly [string, Shape])[] = [];
    for (const [path, at] of level) {
      for (const [field, child] of Object.entries(at.fields ?? {})) {
        const inner = child.type === 'array' ? (child.items as Shape) : child;
        const where = path === '' ? field : `${path}.${field}`;
        if (inner.fields !== undefined && Object.hasOwn(inner.fields, name)) return where;
        next.push([where, inner]);
      }
    }
    level = next;
  }
  return null;
}

const PATH_TYPES: Readonly<Record<string, string>> = {
  prefix: 'PathPrefix',
  pathPrefix: 'PathPrefix',
  exact: 'Exact',
  regex: 'RegularExpression',
  regularExpression: 'RegularExpression',
};

/** What Ingress, older versions and other proxies call it. */
function foreignForm(name: string, fields: Readonly<Record<string, Shape>>, value: unknown): Meant | null {
  const has = (field: string): boolean => Object.hasOwn(fields, field);
  const text = typeof value === 'string' ? value : '';
  const type = PATH_TYPES[name];
  if (type !== undefined && has('type') && has('value')) {
    return { words: `write type: ${type}, value: ${text === '' ? '/' : text}`, instead: ['value'] };
  }
  if (has('parentRefs') && /^gateways?(Ref)?$/.test(name)) return write(`parentRefs: [{ name: ${first(value)} }]`);
  if (has('certificateRefs') && /^(secretName|secret|certificate)$/.test(name))
    return write(`certificateRefs: [{ name: ${first(value)} }]`);
  if (has('service') && (name === 'serviceName' || name === 'servicePort')) {
    const service = name === 'serviceName' ? first(value) : 'app';
    return write(`service: { name: ${service}, port: { number: 80 } }`);
  }
  if (!has('address') || !has('unix')) return null;
  if (name === 'url' && URL.canParse(text)) {
    const { hostname, port } = new URL(text);
    const field = isIP(hostname) === 0 ? 'hostname' : 'address';
    return { words: `write ${field}: ${hostname}, port: ${port === '' ? 80 : port}`, instead: ['port'] };
  }
  if (!/^(host|ip|server|target)$/.test(name)) return null;
  const words = isIP(text) === 0 ? 'did you mean hostname?' : 'write address for an IP address, hostname for a name';
  return { words, instead: ['address'] };
}

function write(form: string): Meant {
  return { words: `write ${form}`, instead: [form.split(':')[0] as string] };
}

function first(value: unknown): string {
  const one: unknown = Array.isArray(value) ? value[0] : value;
  if (isFields(one) && typeof one['name'] === 'string') return one['name'];
  return typeof one === 'string' && one !== '' ? one : 'NAME';
}
