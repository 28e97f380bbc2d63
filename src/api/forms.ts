// What is right, in words: a form that works in place of a value that does not. Patterns are for programs; who reads a
// complaint wants to know what to write.

import { domainToASCII } from 'node:url';
import { isFields } from '../base/fields.ts';
import type { Shape } from './shape.ts';

/** What a value must be, and what may be written instead of the one that is there; empty where nobody can say. */
export interface Form {
  readonly must: string;
  readonly write: string;
}

const DURATION = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';
const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';

/** By pattern, for all that generated and own shapes have. */
const FORMS: ReadonlyMap<string, (value: string) => Form> = new Map([
  [DURATION, durationForm],
  [`^(\\*\\.)?${LABEL}(\\.${LABEL})*$`, (value: string) => hostForm(value, true)],
  [`^${LABEL}(\\.${LABEL})*$`, (value: string) => preciseForm(value)],
  [`^$|^${LABEL}(\\.${LABEL})*$`, () => say('the name of an API group like apps or rauta.io, or empty')],
  [`^${LABEL}$`, (value: string) => nameForm(value, false)],
  [`^$|^${LABEL}$`, (value: string) => nameForm(value, false)],
  ['^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$', () => say('the name of a kind like Service or HTTPRoute')],
  ["^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$", fieldNameForm],
  ["^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", fieldNameForm],
  ['^[!-~]+([\\t ]?[!-~]+)*$', () => say('one line of printable ASCII without spaces at its ends')],
  ['^/', (value: string) => absoluteForm(value)],
  [
    '^Hostname|IPAddress|NamedAddress|',
    () => say('IPAddress or Hostname, or a domain-prefixed name like example.com/pool'),
  ],
  ['(^\\*$)|(^(http(s)?):\\/\\/', originForm],
  ["^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$", (value: string) => pathForm(value)],
  [`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`, labelValueForm],
  ['^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?', () => say('a label key like app or example.com/tier')],
  [`^(System|`, () => say('System, or a domain-prefixed name like example.com/authorities')],
  ['^[0-9A-Za-z-]+$', () => say("letters, digits and '-' only")],
  ['^https?://[!#-;=?-Z_a-z~]+$', () => say('a whole URL like https://www.example.com/help')],
  ['^(([^:/?#]+):)(//([^/?#]*))', () => say('an absolute URI like spiffe://example.com/app')],
  [`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|`, () => say('HTTP, HTTPS, TLS, TCP or UDP')],
  [`^${LABEL}(\\.${LABEL})*\\/`, () => say('a domain-prefixed name like rauta.io/gateway-controller')],
]);

function say(must: string, write = ''): Form {
  return { must: `must be ${must}`, write };
}

/** Of a text that its pattern refuses; `fits`: whether another one passes it, for nothing else is offered. */
export function formOf(pattern: string, value: string, fits: (text: string) => boolean): Form {
  const form = templateForm(value) ?? formBy(pattern)?.(value) ?? say('text of another form');
  return form.write === '' || fits(form.write) ? form : { ...form, write: '' };
}

function formBy(pattern: string): ((value: string) => Form) | undefined {
  const exact = FORMS.get(pattern);
  if (exact !== undefined) return exact;
  for (const [prefix, form] of FORMS) if (prefix.length >= LEAST && pattern.startsWith(prefix)) return form;
  return undefined;
}

/** Shorter keys of FORMS are whole patterns. */
const LEAST = '^(System|'.length;

/** What a program was to fill in before; null where it was not. */
export function templateForm(value: string): Form | null {
  if (value.includes('{{')) return say('a value, but looks like a Helm template: render it first (helm template)');
  if (/\$\{|\$\(/.test(value)) return say('a value, but looks like a placeholder: fill it in first (envsubst)');
  return null;
}

/** What a count of each unit is in whole units; by the first letter of its name. */
const UNITS: Readonly<Record<string, (n: number) => string>> = {
  d: (n) => `${Math.round(n * 24)}h`,
  h: (n) => (Number.isInteger(n) ? `${n}h` : `${Math.round(n * 60)}m`),
  m: (n) => (Number.isInteger(n) ? `${n}m` : `${Math.round(n * 60)}s`),
  s: (n) => (Number.isInteger(n) ? `${n}s` : `${Math.round(n * 1_000)}ms`),
};

/** GEP-2257. */
function durationForm(value: string): Form {
  const [, count = '', word = ''] = /^(\d{1,5}(?:\.\d+)?)\s*([a-z]*)$/i.exec(value) ?? [];
  const unit = word.toLowerCase();
  const known = /^(|d|days?|h|hours?|hrs?|m|mins?|minutes?|s|secs?|seconds?)$/.test(unit);
  const write = count !== '' && known ? (UNITS[unit[0] ?? 's']?.(Number(count)) ?? '') : '';
  const least = /^\d+\s*[uµn]s$/.test(value) ? ' (1ms is the least)' : '';
  const none = /^(forever|never|none|unlimited|infinite|off)$/i.test(value) ? ' (0s: no limit)' : '';
  return say(`a duration like 10s, 1m30s or 500ms${least}${none}`, write);
}

/** RFC 1123, as the API restricts it. */
export function hostForm(value: string, wildcard: boolean): Form {
  const like = 'a host name like app.example.com';
  if (value === '*' || value === '')
    return say(`a host name${wildcard ? ' or *.example.com' : ''}; for every host leave it out`);
  const bare = value
    .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/[/?#].*$/, '')
    .replace(/:\d*$/, '')
    .replace(/\.+$/, '')
    .replace(/\.{2,}/g, '.');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what is not ASCII is meant
  const ascii = /[^\x00-\x7f]/.test(bare) ? domainToASCII(bare) : bare.toLowerCase().replaceAll('_', '-');
  const only = 'a host name only';
  if (value.includes('*') && !/^\*\.[^*]+$/.test(bare)) {
    const rest = bare.slice(bare.lastIndexOf('*')).replace(/^\*[^.]*/, '*');
    return wildcard
      ? say('a host name, in which "*" may only stand alone in front', isHost(rest, true) ? rest : '*.example.com')
      : say('the name of one host, without "*"', 'app.example.com');
  }
  const write = isHost(ascii, wildcard) ? ascii : '';
  if (value.includes('://')) return say(`${only}, without a scheme`, write);
  if (/[/?#]/.test(value)) return say(`${only}, without a path`, write);
  if (/:\d*$/.test(value)) return say(`${only}, without a port`, write);
  if (value.endsWith('.')) return say(`${only}, without a dot at its end`, write);
  if (bare !== value) return say(like, write);
  if (write !== '' && write === bare.toLowerCase()) return say('a host name in lower case', write);
  if (ascii.startsWith('xn--') || ascii.includes('.xn--')) return say('a host name in ASCII (as DNS has it)', write);
  return say(like, write);
}

function isHost(text: string, wildcard: boolean): boolean {
  return (
    /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text) &&
    (wildcard || !text.startsWith('*'))
  );
}

/** Names of listeners and sections have the pattern of hosts, and are none by what stands in them. */
function preciseForm(value: string): Form {
  return /[.:/]/.test(value) || value === '' ? hostForm(value, false) : nameForm(value);
}

/** DNS names of objects and of their parts. */
export function nameForm(value: string, dots = true): Form {
  const write = value
    .toLowerCase()
    .replace(dots ? /[^a-z0-9.-]+/g : /[^a-z0-9-]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '');
  const signs = dots ? "digits, '-' and '.'" : "digits and '-'";
  return say(`a name of lower-case letters, ${signs}, with a letter or digit at both ends`, write);
}

function fieldNameForm(value: string): Form {
  const write = value
    .trim()
    .replace(/:$/, '')
    .replace(/[^A-Za-z0-9!#$%&'*+\-.^_`|~]+/g, '-');
  return say('the name of a header field, without spaces and colon', write);
}

export function labelValueForm(value: string): Form {
  const write = value
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[-._]+|[-._]+$/g, '')
    .slice(0, 63);
  return say("at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends", write);
}

/** RFC 6454 section 6.2. */
function originForm(value: string): Form {
  const url = value.includes('://') ? value : `https://${value}`;
  const [, write = ''] = /^(https?:\/\/[a-zA-Z0-9.*-]+(?::\d{1,5})?)/.exec(url) ?? [];
  return say('an origin, scheme and host (and port) without a path, or "*"', write);
}

function absoluteForm(value: string): Form {
  return say("a path that begins with '/'", pathOf(value));
}

/** The path of what may be a URL, without query and fragment. */
function pathOf(value: string): string {
  const path = value.replace(/^[a-z]+:(\/\/[^/]*)?(?=\/|$)/i, '').replace(/[?#].*$/, '');
  return path.startsWith('/') ? path : `/${path}`;
}

/** RFC 3986 section 3.3, without what proxies and backends may read differently. */
export function pathForm(value: string): Form {
  let path = pathOf(value);
  try {
    path = encodeURI(decodeURI(path));
  } catch {
    // A percent sign that escapes nothing.
    path = path.replace(/%(?![0-9a-fA-F]{2})/g, '%25');
  }
  if (!value.startsWith('/')) return say("a path that begins with '/'", plainPath(path));
  if (value.includes('?')) return say('a path without a query (queryParams match that)', plainPath(path));
  if (value.includes('#')) return say("a path without '#', which clients never send", plainPath(path));
  if (/%2f/i.test(value)) {
    return say("a path without an escaped '/', which only type RegularExpression can match (write /a%2[fF]b)");
  }
  if (/\/\/|\/\.{1,2}(\/|$)/.test(value)) {
    return say("a path without '//', '/./' and '/../', which are resolved before it is compared", plainPath(path));
  }
  return say('a path of characters that URLs have, the others escaped', plainPath(path));
}

/** As requests are compared: segments resolved. */
function plainPath(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

/** Of a value whose type is not that of its field. */
export function typeForm(value: unknown, shape: Shape): Form {
  switch (shape.type) {
    case 'array':
      return listForm(value, shape.items);
    case 'object':
    case 'map':
      return mappingForm(value, shape);
    case 'boolean':
      return say('true or false', value === 'true' || value === 'false' ? value : '');
    default:
      if (shape.pattern === DURATION) return durationForm(String(value));
      if (typeof value === 'number') return say('text', `"${value}"`);
      if (typeof value !== 'boolean') return say('text');
      return say('text', 'it in quotes (YAML reads yes, no, on and off as true and false)');
  }
}

function listForm(value: unknown, items: Shape | undefined): Form {
  if (typeof value === 'string') {
    if (!/^[\w.*:/-]+$/.test(value)) return say('a list, each entry with "- " in front and in one column');
    return say('a list', items?.fields?.['name'] !== undefined ? `[{ name: ${value} }]` : `["${value}"]`);
  }
  if (!isFields(value)) return say('a list', `[${String(value)}]`);
  const glued = Object.keys(value).find((name) => /^-\w/.test(name));
  if (glued !== undefined) return say(`a list, and "${glued}" needs a space`, `- ${glued.slice(1)}`);
  return say('a list', 'each entry with "- " in front');
}

function mappingForm(value: unknown, { fields = {} }: Shape): Form {
  const names = Object.keys(fields);
  const of = names.length === 0 ? '' : ` of ${names.sort().join(', ')}`;
  if (typeof value === 'string') {
    if (fields['type']?.enum?.includes(value)) return say('a mapping (NAME: VALUE)', `type: ${value}`);
    if (fields['name'] !== undefined) return say('a mapping (NAME: VALUE)', `{ name: ${value} }`);
  }
  return say(`a mapping (NAME: VALUE)${of}`);
}

/** Of what is no number, or none within its bounds (infinite: none is set). */
export function numberForm(value: unknown, shape: Shape, { min, max }: { min: number; max: number }): Form {
  const what = shape.type === 'number' ? 'a number' : 'a whole number';
  const bounds =
    shape.min === undefined ? '' : shape.max === undefined ? ` of at least ${min}` : ` from ${min} to ${max}`;
  if (typeof value !== 'string') {
    const [only] = Array.isArray(value) && value.length === 1 ? value : [];
    return say(`${what}${bounds}`, typeof only === 'number' ? String(only) : '');
  }
  const [, digits] = /^\s*(\d+)\s*%?$/.exec(value) ?? [];
  if (digits === undefined) return templateForm(value) ?? say(`${what}${bounds}`);
  return say(`${what}${bounds}, without quotes`, String(Number(digits)));
}

/** What a field looks like where it is written, by its name and that of what it stands in. */
const EXAMPLES: Readonly<Record<string, string>> = {
  'listeners.name': 'http',
  'listeners.port': '8080',
  'rules.matches': '[{ path: { value: /app } }]',
  'ports.name': 'http',
  'ports.port': '80',
  address: '127.0.0.1',
  apiVersion: 'gateway.networking.k8s.io/v1',
  backendRef: '{ name: app, port: 80 }',
  backendRefs: '[{ name: app, port: 80 }]',
  caCertificateRefs: '[{ group: "", kind: ConfigMap, name: ca }]',
  certificateRefs: '[{ name: cert }]',
  controllerName: 'rauta.io/gateway-controller',
  cors: '{ allowOrigins: ["https://www.example.com"] }',
  endpoints: '[{ address: 127.0.0.1, port: 9001 }]',
  extensionRef: '{ group: rauta.io, kind: StaticResponseFilter, name: gone }',
  externalName: 'app.example.com',
  gatewayClassName: 'rauta',
  group: 'rauta.io',
  host: 'app.example.com',
  hostname: 'app.example.com',
  hostnames: '[app.example.com]',
  method: 'GET',
  name: 'app',
  namespace: 'default',
  number: '80',
  parentRefs: '[{ name: web }]',
  path: '{ value: /app }',
  pathType: 'Prefix',
  paths: '[{ path: /, pathType: Prefix, backend: { service: { name: app, port: { number: 80 } } } }]',
  port: '9001',
  protocol: 'HTTP',
  replaceFullPath: '/new',
  replacePrefixMatch: '/',
  request: '10s',
  requestHeaderModifier: '{ set: [{ name: X-Env, value: test }] }',
  requestMirror: '{ backendRef: { name: app, port: 80 } }',
  requestRedirect: '{ scheme: https }',
  responseHeaderModifier: '{ set: [{ name: X-Env, value: test }] }',
  secretName: 'cert',
  set: '[{ name: X-Env, value: test }]',
  unix: '/run/app.sock',
  urlRewrite: '{ hostname: app.example.com }',
  value: 'test',
};

/** `port: 8080`: a field of this name and shape as it may be written. */
export function exampleOf(path: string, name: string, shape: Shape | undefined): string {
  const parent = /([A-Za-z]+)(?:\[\d+\])?$/.exec(path)?.[1] ?? '';
  return `${name}: ${exampleValue(parent, name, shape)}`;
}

function exampleValue(parent: string, name: string, shape: Shape | undefined): string {
  const known = EXAMPLES[`${parent}.${name}`] ?? EXAMPLES[name];
  if (shape?.enum !== undefined && !shape.enum.includes(known ?? '')) return String(shape.enum[0]);
  if (known !== undefined) return known;
  if (shape?.type === 'object') return fieldsOf(name, shape);
  if (shape?.type === 'array') {
    const { items } = shape;
    return `[${items?.type === 'object' ? fieldsOf(name, items) : exampleValue(name, '', items)}]`;
  }
  if (shape?.type === 'integer' || shape?.type === 'number') return String(shape.min ?? 1);
  if (shape?.type === 'boolean') return 'true';
  return shape?.pattern === DURATION ? '10s' : 'TEXT';
}

function fieldsOf(name: string, { required = [], fields = {} }: Shape): string {
  const inner = required.map((field) => `${field}: ${exampleValue(name, field, fields[field])}`);
  return inner.length === 0 ? '{}' : `{ ${inner.join(', ')} }`;
}
