// An entry as bytes: canonical JSON (fields in ascending order, no spaces), so that equal entries are equal bytes and a
// table of bytes can be hashed and compared. Decoding checks the shape down to what the data plane relies on: the bytes
// come from our own controller, but from another process, and a worker must refuse what it cannot use as a whole.

import { type Fields, isFields } from '../base/fields.ts';
import type { Entry } from './ir.ts';

export class CodecError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CodecError';
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export function encodeEntry(entry: Entry): Uint8Array {
  return encoder.encode(JSON.stringify(canonical(entry)));
}

/** Throws CodecError for anything that is not an entry. */
export function decodeEntry(bytes: Uint8Array): Entry {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw new CodecError(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const kind = isFields(value) ? value['kind'] : undefined;
  const shape = typeof kind === 'string' && Object.hasOwn(ENTRIES, kind) ? ENTRIES[kind] : undefined;
  if (shape === undefined) throw new CodecError('not an entry of a known kind');
  const wrong = shape(value);
  if (wrong !== null) throw new CodecError(`entry${wrong}`);
  return value as Entry;
}

/** The same value with every mapping's fields in ascending order. */
function canonical(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(canonical);
  const record = value as Fields;
  const ordered: Record<string, unknown> = {};
  for (const name of Object.keys(record).sort()) ordered[name] = canonical(record[name]);
  return ordered;
}

// ---- shapes

/** Null when the value fits; else where within it and what was expected, as `.field[0]: expected ...`. */
type Check = (value: unknown) => string | null;

const string: Check = (value) => (typeof value === 'string' ? null : ': expected a text');

const integer =
  (min: number, max: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? null
      : `: expected an integer from ${min} to ${max}`;
const count = integer(0, Number.MAX_SAFE_INTEGER);
const portNumber = integer(0, 65_535);

const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value) ? null : `: expected one of ${values.join(', ')}`;

const orNull =
  (check: Check): Check =>
  (value) =>
    value === null ? null : check(value);

const listOf =
  (check: Check, atLeast = 0): Check =>
  (value) => {
    if (!Array.isArray(value) || value.length < atLeast) return `: expected a list of at least ${atLeast}`;
    for (let i = 0; i < value.length; i++) {
      const wrong = check(value[i]);
      if (wrong !== null) return `[${i}]${wrong}`;
    }
    return null;
  };

const record = (shape: Readonly<Record<string, Check>>): Check => {
  const checks = Object.entries(shape);
  return (value) => {
    if (!isFields(value)) return ': expected a mapping';
    for (const [name, check] of checks) {
      const wrong = check(value[name]);
      if (wrong !== null) return `.${name}${wrong}`;
    }
    return null;
  };
};

const mapOf =
  (check: Check): Check =>
  (value) => {
    if (!isFields(value)) return ': expected a mapping';
    for (const name of Object.keys(value)) {
      const wrong = check(value[name]);
      if (wrong !== null) return `.${name}${wrong}`;
    }
    return null;
  };

const union =
  (tag: string, shapes: Readonly<Record<string, Check>>): Check =>
  (value) => {
    const name = isFields(value) ? value[tag] : undefined;
    const shape = typeof name === 'string' && Object.hasOwn(shapes, name) ? shapes[name] : undefined;
    return shape === undefined ? `.${tag}: expected one of ${Object.keys(shapes).join(', ')}` : shape(value);
  };

const header = record({ name: string, value: string });
const edits = record({ set: listOf(header), add: listOf(header), remove: listOf(string) });
const pathModifier = record({ type: oneOf('ReplaceFullPath', 'ReplacePrefixMatch'), value: string });
const filter = union('type', {
  requestHeaders: record({ edits }),
  responseHeaders: record({ edits }),
  rewrite: record({ hostname: orNull(string), path: orNull(pathModifier) }),
});
const redirect = record({
  scheme: oneOf(null, 'http', 'https'),
  hostname: orNull(string),
  port: orNull(portNumber),
  path: orNull(pathModifier),
  status: oneOf(301, 302, 303, 307, 308),
});
const weighted = record({ cluster: orNull(string), backend: string, weight: count, filters: listOf(filter) });
const action = union('type', {
  forward: record({ backends: listOf(weighted, 1) }),
  redirect: record({ redirect }),
  respond: record({ status: integer(100, 599) }),
});
const valueMatch = record({ name: string, type: oneOf('Exact', 'RegularExpression'), value: string });
const match = record({
  path: record({ type: oneOf('Exact', 'PathPrefix', 'RegularExpression'), value: string }),
  method: string,
  headers: listOf(valueMatch),
  query: listOf(valueMatch),
});

const ENTRIES: Readonly<Record<string, Check>> = {
  listener: record({
    key: string,
    address: string,
    port: portNumber,
    protocol: oneOf('HTTP'),
    hosts: listOf(record({ hostname: string, gateway: string, listener: string })),
  }),
  rule: record({
    key: string,
    routeKind: oneOf('HTTPRoute'),
    route: string,
    index: count,
    name: string,
    created: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    attachments: listOf(record({ listener: string, host: string, hostnames: listOf(string, 1) })),
    matches: listOf(match, 1),
    filters: listOf(filter),
    action,
    requestTimeoutMs: count,
    backendTimeoutMs: count,
  }),
  cluster: record({
    key: string,
    backend: string,
    protocol: oneOf('http1'),
    balancer: union('type', {
      roundRobin: record({}),
      leastRequest: record({}),
      maglev: record({ key: oneOf('clientAddress', 'header', 'cookie', 'path'), name: string }),
    }),
    endpoints: listOf(
      record({
        id: string,
        address: string,
        port: portNumber,
        zone: string,
        weight: count,
        state: oneOf('ready', 'draining'),
      }),
    ),
  }),
  cells: record({ key: string, blocks: mapOf(count) }),
};
