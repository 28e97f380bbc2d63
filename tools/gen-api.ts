// Writes src/api/generated/: types and compact shapes of the Gateway API's kinds, from the CRDs of the pinned Go
// module. Run `bin/node tools/gen-api.ts` after changing MODULE; it needs Go. What it writes carries no prose of the
// CRDs, but what an API server says where a rule in CEL does not hold.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { pathName, typeName } from './gen-api-names.ts';

export const MODULE = 'sigs.k8s.io/gateway-api';
export const VERSION = 'v1.6.1';
const KINDS = [
  'GatewayClass',
  'Gateway',
  'HTTPRoute',
  'ReferenceGrant',
  'GRPCRoute',
  'TLSRoute',
  'TCPRoute',
  'UDPRoute',
  'BackendTLSPolicy',
  'ListenerSet',
  'XBackendTrafficPolicy',
  'XBackend',
];
/** A shape whose text is at least this long and stands twice gets a name. */
const HOIST_CHARS = 70;

interface CrdSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, CrdSchema>>;
  readonly additionalProperties?: CrdSchema;
  readonly items?: CrdSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly (string | number)[];
  readonly default?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly nullable?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly [other: string]: unknown;
}

/** A rule of CEL (apiextensions.k8s.io/v1, ValidationRule); what else one may have nobody uses here. */
interface Validation {
  readonly rule: string;
  readonly message: string;
}

interface Crd {
  readonly kind: string;
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly schema: { readonly openAPIV3Schema: CrdSchema };
    }[];
  };
}

/** What may stand in a CRD's schema; anything else means the generator has to learn something first. */
const KNOWN = new Set([
  ...['type', 'properties', 'additionalProperties', 'items', 'required', 'enum', 'default', 'format', 'pattern'],
  ...['nullable', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties'],
  ...['maxProperties', 'description', 'x-kubernetes-int-or-string', 'x-kubernetes-preserve-unknown-fields'],
  // oneOf (Gateway addresses) is written by hand in src/api/rules.ts.
  ...['x-kubernetes-list-type', 'x-kubernetes-list-map-keys', 'x-kubernetes-map-type'],
  ...['x-kubernetes-validations', 'oneOf'],
]);

/** Where the module's files lie: in Go's module cache; fetched when `download`, else null when it is not there. */
export function moduleDir(download: boolean): string | null {
  const work = mkdtempSync(join(tmpdir(), 'rauta-gen-'));
  try {
    const env = download ? process.env : { ...process.env, GOPROXY: 'off', GOFLAGS: '-mod=mod' };
    const text = execFileSync('go', ['mod', 'download', '-json', `${MODULE}@${VERSION}`], {
      cwd: work,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return (JSON.parse(text) as { Dir?: string }).Dir ?? null;
  } catch (error) {
    if (download) throw error;
    return null;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function readCrds(dir: string): Crd[] {
  const folder = join(dir, 'config/crd/experimental');
  const found: Crd[] = [];
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.yaml')) continue;
    for (const doc of parseAllDocuments(readFileSync(join(folder, name), 'utf8'))) {
      const crd = doc.toJS() as Crd | null;
      if (crd?.kind === 'CustomResourceDefinition') found.push(crd);
    }
  }
  return KINDS.map((kind) => {
    const crd = found.find((c) => c.spec.names.kind === kind);
    if (crd === undefined) throw new Error(`no CRD of kind ${kind}`);
    return crd;
  });
}

/** A node of the compact form, with the name of its TypeScript type where it is an object. */
interface Node {
  readonly shape: Record<string, unknown>;
  readonly fields: ReadonlyMap<string, Node>;
  readonly inner: Node | null;
  readonly type: string;
  readonly path: string;
}

/** Interfaces by name, in the order met, with the kinds that use them. */
const interfaces = new Map<string, { body: string; kinds: Set<string> }>();
/** How often a shape's text stands in which kind. */
const uses = new Map<string, { count: number; kinds: Set<string> }>();

function bounds(s: CrdSchema): { min?: number; max?: number } {
  const min = s.minimum ?? s.minLength ?? s.minItems ?? s.minProperties;
  const max = s.maximum ?? s.maxLength ?? s.maxItems ?? s.maxProperties;
  return { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
}

/** Compiles a schema; `types`: declares the interfaces of its objects as well. */
function compile(kind: string, s: CrdSchema, path: string, types: boolean): Node {
  for (const key of Object.keys(s)) if (!KNOWN.has(key)) throw new Error(`${kind} ${path}: ${key} is not known`);
  const shape: Record<string, unknown> = {};
  const fields = new Map<string, Node>();
  let inner: Node | null = null;
  let type: string;
  if (s['x-kubernetes-int-or-string']) {
    shape['type'] = 'intOrString';
    type = 'number | string';
  } else if (s['x-kubernetes-preserve-unknown-fields']) {
    shape['type'] = 'free';
    type = 'unknown';
  } else if (s.type === 'object' && s.properties !== undefined) {
    shape['type'] = 'object';
    for (const [name, child] of Object.entries(s.properties))
      fields.set(name, compile(kind, child, `${path}.${name}`, types));
    if (s.required !== undefined) shape['required'] = [...s.required].sort();
    type = types ? declare(kind, path, fields, s) : typeName(kind, path);
  } else if (s.type === 'object' && s.additionalProperties !== undefined) {
    shape['type'] = 'map';
    inner = compile(kind, s.additionalProperties, `${path}{}`, types);
    type = `Readonly<Record<string, ${inner.type}>>`;
  } else if (s.type === 'array' && s.items !== undefined) {
    shape['type'] = 'array';
    inner = compile(kind, s.items, `${path}[]`, types);
    if (s['x-kubernetes-list-type'] === 'map') shape['keys'] = s['x-kubernetes-list-map-keys'];
    if (s['x-kubernetes-list-type'] === 'set') shape['set'] = true;
    type = `readonly ${/ /.test(inner.type) ? `(${inner.type})` : inner.type}[]`;
  } else if (s.type === 'string' || s.type === 'integer' || s.type === 'number' || s.type === 'boolean') {
    shape['type'] = s.type;
    type = s.type === 'integer' ? 'number' : s.type;
    if (s.enum !== undefined) type = s.enum.map((v) => JSON.stringify(v).replaceAll('"', "'")).join(' | ');
  } else throw new Error(`${kind} ${path}: no shape for ${JSON.stringify(s).slice(0, 200)}`);
  Object.assign(shape, bounds(s));
  for (const key of ['pattern', 'format', 'enum', 'default'] as const) if (s[key] !== undefined) shape[key] = s[key];
  if (s.nullable) shape['nullable'] = true;
  return { shape, fields, inner, type, path: `${kind}${path}` };
}

/** Counts where a shape stands; what stands within one already met is written only once and not counted again. */
function count(kind: string, node: Node): void {
  const text = JSON.stringify(plain(node));
  const known = uses.get(text);
  if (known !== undefined) {
    known.count++;
    known.kinds.add(kind);
    return;
  }
  uses.set(text, { count: 1, kinds: new Set([kind]) });
  if (node.inner !== null) count(kind, node.inner);
  for (const child of node.fields.values()) count(kind, child);
}

/** The shape as plain JSON, for comparing. */
function plain(node: Node): unknown {
  const fields = [...node.fields].map(([name, child]) => [name, plain(child)]);
  return { ...node.shape, fields: Object.fromEntries(fields), inner: node.inner === null ? null : plain(node.inner) };
}

/** Declares the interface of an object; fields with defaults are always there once defaults are filled in. */
function declare(kind: string, path: string, fields: ReadonlyMap<string, Node>, s: CrdSchema): string {
  const lines: string[] = [];
  for (const [name, child] of fields) {
    const there = s.required?.includes(name) || child.shape['default'] !== undefined;
    lines.push(`  readonly ${/^\w+$/.test(name) ? name : `'${name}'`}${there ? '' : '?'}: ${child.type};`);
  }
  const body = lines.join('\n');
  for (const name of [typeName(kind, path), pathName(kind, path)]) {
    const known = interfaces.get(name);
    if (known !== undefined && known.body !== body) continue;
    if (known === undefined) interfaces.set(name, { body, kinds: new Set([kind]) });
    else known.kinds.add(kind);
    return name;
  }
  throw new Error(`${kind} ${path}: two shapes of the type ${pathName(kind, path)}`);
}

/** Writes shapes as TypeScript; those that stand more than once become constants of the file or of shared.ts. */
class Writer {
  readonly constants = new Map<string, { name: string; text: string }>();
  readonly imports = new Set<string>();
  readonly #kind: string | null;
  readonly #shared: Writer | null;

  constructor(kind: string | null, shared: Writer | null) {
    this.#kind = kind;
    this.#shared = shared;
  }

  write(node: Node): string {
    const key = JSON.stringify(plain(node));
    const use = uses.get(key);
    if (use === undefined || use.count < 2 || key.length < HOIST_CHARS) return this.#literal(node);
    if (this.#shared !== null && use.kinds.size > 1) {
      const name = this.#shared.#constant(key, node);
      this.imports.add(name);
      return name;
    }
    return this.#constant(key, node);
  }

  #constant(key: string, node: Node): string {
    const known = this.constants.get(key);
    if (known !== undefined) return known.name;
    const text = this.#literal(node);
    const named = /^[A-Z]\w*$/.test(node.type) ? node.type : (node.path.match(/(\w+)[^\w]*$/)?.[1] ?? 'value');
    const stem = lower(named);
    const taken = new Set([...this.constants.values()].map((c) => c.name));
    let name = `${stem}Shape`;
    for (let n = 2; taken.has(name); n++) name = `${stem}Shape${n}`;
    if (this.#kind !== null && this.#shared !== null) {
      const shared = new Set([...this.#shared.constants.values()].map((c) => c.name));
      if (shared.has(name)) name = lower(this.#kind) + upper(name);
    }
    this.constants.set(key, { name, text });
    return name;
  }

  #literal(node: Node): string {
    const parts: string[] = [];
    for (const [key, value] of Object.entries(node.shape)) parts.push(`${key}: ${literal(value)}`);
    if (node.inner !== null) {
      parts.push(`${node.shape['type'] === 'map' ? 'values' : 'items'}: ${this.write(node.inner)}`);
    }
    if (node.fields.size > 0) {
      const fields = [...node.fields].map(
        ([name, child]) => `${/^\w+$/.test(name) ? name : `'${name}'`}: ${this.write(child)}`,
      );
      parts.push(`fields: {\n${indent(fields.join(',\n'))},\n}`);
    }
    const text = parts.join(', ');
    return `{ ${text} }`;
  }
}

/** `HTTPRoute` -> `httpRoute`, `TLSRoute` -> `tlsRoute`, `GatewayClass` -> `gatewayClass`. */
function lower(name: string): string {
  return name.replace(/^[A-Z]+(?=[A-Z][a-z])|^[A-Z]/, (head) => head.toLowerCase());
}

function upper(name: string): string {
  return `${name[0]?.toUpperCase()}${name.slice(1)}`;
}

function literal(value: unknown): string {
  if (typeof value === 'string') return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{ ${Object.entries(value)
      .map(([k, v]) => `${k}: ${literal(v)}`)
      .join(', ')} }`;
  }
  return JSON.stringify(value);
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}

function header(): string {
  return `// Generated by tools/gen-api.ts from the CRDs (experimental channel) of ${MODULE} ${VERSION}. Do not edit.\n\n`;
}

function interfaceText(name: string, body: string): string {
  return `export interface ${name} {\n${body}\n}\n`;
}

function fileName(kind: string): string {
  return `${kind.toLowerCase()}.ts`;
}

/** Rules of what users write, by path; what compares with the object as it was before says nothing of a file. */
function validations(schema: CrdSchema): Map<string, readonly Validation[]> {
  const found = new Map<string, readonly Validation[]>();
  const walk = (s: CrdSchema, path: string): void => {
    const rules = (s['x-kubernetes-validations'] ?? []) as readonly Validation[];
    for (const rule of rules) {
      const other = Object.keys(rule).filter((key) => !['rule', 'message'].includes(key));
      if (other.length > 0) throw new Error(`${path}: a rule with ${other.join()}`);
    }
    const timeless = rules.filter(({ rule }) => !/\boldSelf\b/.test(rule));
    if (timeless.length > 0) found.set(path, timeless);
    for (const [name, child] of Object.entries(s.properties ?? {}))
      if (path !== '' || name !== 'status') walk(child, path === '' ? name : `${path}.${name}`);
    if (s.items !== undefined) walk(s.items, `${path}[]`);
    if (s.additionalProperties !== undefined) walk(s.additionalProperties, `${path}{}`);
  };
  walk(schema, '');
  return found;
}

/** A file of its own, for it is loaded only where files are checked. */
function celFile(crds: readonly Crd[]): string {
  const numbers = new Map<string, number>();
  const kinds: string[] = [];
  for (const { spec } of crds) {
    const versions = spec.versions.filter((v) => v.served);
    const rows = versions.map(({ name, schema }) => {
      const paths = [...validations(schema.openAPIV3Schema)].map(([path, rules]) => {
        const own = rules.map(({ rule, message }) => {
          const text = `  [${JSON.stringify(rule)},\n    ${JSON.stringify(message)}]`;
          const number = numbers.get(text) ?? numbers.size;
          numbers.set(text, number);
          return number;
        });
        return `      ${literal(path)}: [${own.join(', ')}],\n`;
      });
      return paths.length === 0 ? '' : `    ${literal(`${spec.group}/${name}`)}: {\n${paths.join('')}    },\n`;
    });
    if (rows.join('') !== '') kinds.push(`  ${spec.names.kind}: {\n${rows.join('')}  },\n`);
  }
  const rules = `export const CEL_RULES: readonly (readonly [rule: string, message: string])[] = [\n${[...numbers.keys()].join(',\n')},\n];\n`;
  const type = 'Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>>>';
  return `${header()}/** Rules in CEL and what an API server says where one does not hold; by number below. */\n${rules}\n/** By kind, apiVersion and path. */\nexport const GATEWAY_API_CEL: ${type} = {\n${kinds.join('')}};\n`;
}

/** The generated files by name. */
export function generate(dir: string): Map<string, string> {
  interfaces.clear();
  uses.clear();
  const crds = readCrds(dir);
  const kinds = crds.map((crd) => {
    const { kind } = crd.spec.names;
    const served = crd.spec.versions.filter((v) => v.served);
    const main = served.find((v) => v.name === 'v1') ?? served.find((v) => v.storage);
    if (main === undefined) throw new Error(`${kind} has no version to read it as`);
    const { properties, required } = main.schema.openAPIV3Schema;
    const bodies = new Map<string, Node>();
    for (const [name, child] of Object.entries(properties ?? {})) {
      if (!['apiVersion', 'kind', 'metadata'].includes(name)) bodies.set(name, compile(kind, child, `.${name}`, true));
    }
    const versions = served.map((v) => {
      const specs = Object.entries(v.schema.openAPIV3Schema.properties ?? {}).filter(
        ([name]) => !['apiVersion', 'kind', 'metadata', 'status'].includes(name),
      );
      const nodes = new Map(specs.map(([name, child]) => [name, compile(kind, child, `.${name}`, false)]));
      for (const node of nodes.values()) count(kind, node);
      const need = (v.schema.openAPIV3Schema.required ?? []).filter((name) => nodes.has(name));
      return {
        name: v.name,
        node: { shape: { type: 'object', required: need }, fields: nodes, inner: null, type: kind, path: kind } as Node,
      };
    });
    return { crd, kind, main: main.name, bodies, required: required ?? [], versions };
  });

  const files = new Map<string, string>();
  const shared = new Writer(null, null);
  const index: string[] = [];
  const rows: string[] = [];
  for (const { crd, kind, main, bodies, required, versions } of kinds) {
    const writer = new Writer(kind, shared);
    const group = crd.spec.group;
    const shapes = new Map<string, string>();
    const entries: string[] = [];
    for (const { name, node } of versions.sort((a, b) => Number(b.name === main) - Number(a.name === main))) {
      const text = writer.write(node);
      const constant = shapes.get(text) ?? `${lower(kind)}${name === main ? '' : upper(name)}Root`;
      shapes.set(text, constant);
      entries.push(`    '${group}/${name}': ${constant},`);
    }
    const own = [...interfaces].filter(([, i]) => i.kinds.has(kind) && i.kinds.size === 1);
    const top = [...bodies].map(
      ([name, node]) => `  readonly ${name}${required.includes(name) ? '' : '?'}: ${node.type};`,
    );
    let text = `export interface ${kind} extends KubeObject {\n  readonly kind: '${kind}';\n${top.join('\n')}\n}\n\n`;
    text += own.map(([name, i]) => `${interfaceText(name, i.body)}\n`).join('');
    for (const { name, text: shape } of writer.constants.values()) text += `const ${name}: Shape = ${shape};\n\n`;
    for (const [shape, name] of shapes) text += `const ${name}: Shape = ${shape};\n\n`;
    const info = `${lower(kind)}Kind`;
    text += `export const ${info}: KindInfo = {\n  kind: '${kind}',\n  apiVersion: '${group}/${main}',\n`;
    text += `  namespaced: ${crd.spec.scope === 'Namespaced'},\n  versions: {\n${entries.join('\n')}\n  },\n};\n`;
    const foreign = [...interfaces]
      .filter(([name, i]) => i.kinds.size > 1 && new RegExp(`\\b${name}\\b`).test(text))
      .map(([name]) => name);
    let imports = `import type { KubeObject } from '../object.ts';\nimport type { KindInfo, Shape } from '../shape.ts';\n`;
    if (foreign.length > 0)
      imports += `import type {\n${foreign.map((n) => `  ${n},`).join('\n')}\n} from './shared.ts';\n`;
    if (writer.imports.size > 0)
      imports += `import {\n${[...writer.imports]
        .sort()
        .map((n) => `  ${n},`)
        .join('\n')}\n} from './shared.ts';\n`;
    files.set(fileName(kind), `${header()}${imports}\n${text}`);
    index.push(`export type * from './${fileName(kind)}';`);
    rows.push(info);
  }
  let text = `import type { Shape } from '../shape.ts';\n\n`;
  for (const [name, i] of interfaces) if (i.kinds.size > 1) text += `${interfaceText(name, i.body)}\n`;
  text += [...shared.constants.values()].map((c) => `export const ${c.name}: Shape = ${c.text};\n`).join('\n');
  files.set('shared.ts', `${header()}${text}`);
  let all = rows.map((info, i) => `import { ${info} } from './${fileName(KINDS[i] as string)}';\n`).join('');
  all = `import type { KindInfo } from '../shape.ts';\n${all}\n${index.join('\n')}\nexport type * from './shared.ts';\n\n`;
  all += `export const GATEWAY_API_VERSION = '${VERSION}';\n\nexport const GATEWAY_API_KINDS: readonly KindInfo[] = [\n${rows.map((r) => `  ${r},`).join('\n')}\n];\n`;
  files.set('index.ts', `${header()}${all}`);
  files.set('cel.ts', celFile(crds));
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const out = fileURLToPath(new URL('../src/api/generated/', import.meta.url));
  const dir = moduleDir(true);
  if (dir === null) throw new Error(`${MODULE} ${VERSION} cannot be read`);
  mkdirSync(out, { recursive: true });
  for (const [name, text] of generate(dir)) writeFileSync(join(out, name), text);
}
