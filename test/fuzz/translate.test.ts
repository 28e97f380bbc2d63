// Fuzzing of translation: objects of the golden pairs (every kind and feature has some), changed by chance so that they
// are still valid by their schemas, or not (an API server of an older definition may hold such; a file's are refused
// before); objects of other pairs beside them, every annotation with values that others have, bytes of certificates
// changed, objects that go. Whatever they are: nothing throws, the last line that catches faults of ours stays unused,
// what was translated step by step is what a fresh translator makes of it, and a worker takes all of it. FUZZ_SECONDS
// and FUZZ_SEED as in http1.test.ts.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { type KubeObject, keyOf } from '../../src/api/object.ts';
import { checkObject } from '../../src/api/schema.ts';
import { fields } from '../../src/base/fields.ts';
import type { Entry } from '../../src/ir/ir.ts';
import { Store } from '../../src/store/store.ts';
import type { TranslatorOptions } from '../../src/translate/context.ts';
import { NGINX, nginxAnnotations } from '../../src/translate/ingress-nginx.ts';
import { Translator } from '../../src/translate/translator.ts';
import { goldenNames, readGolden } from '../../tools/golden.ts';
import { Worker } from '../support/worker-config.ts';
import { Chance } from './http1-mutate.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);
/** Worlds of a run without: as many on every machine. */
const WORLDS = 2_000;
/** What the corpus has to hold, or it has lost it. */
const KINDS = [
  ...['GatewayClass', 'Gateway', 'ListenerSet', 'HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute'],
  ...['ReferenceGrant', 'BackendTLSPolicy', 'XBackendTrafficPolicy', 'XBackend', 'Ingress', 'IngressClass', 'Service'],
  ...['EndpointSlice', 'Secret', 'ConfigMap', 'Namespace', 'Backend', 'GatewayClassParameters', 'GatewayParameters'],
  ...['StaticResponseFilter', 'AccessControlFilter'],
];

const FEATURES = [
  'ExternalAuth',
  'ExtensionRef',
  'CORS',
  'RequestMirror',
  'sessionPersistence',
  'retry',
  'allowedListeners',
];

const corpus = goldenNames().map(readGolden);

/** Every value that stands under a name of a field anywhere in the corpus, by that name. */
const values = new Map<string, unknown[]>();
const collect = (value: unknown): void => {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) {
      const known = values.get(name) ?? [];
      if (known.length < 200) known.push(inner);
      values.set(name, known);
    }
    collect(inner);
  }
};
for (const { objects } of corpus) collect(objects);
const names = [...values.keys()];

const ODD: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 80, 443, 65_535, 65_536, 2 ** 31, 1e300, 0.5, '', ' ', '*', '/', '//', '/a?b#c'],
  ...['a', 'A', 'a/b', '../..', '*.example.com', '?.a', '.', '-', 'ä', '\u0000', '\ud800', '{{uuid}}', '$x', '%zz'],
  ...['10.0.0.1', '::', '::ffff:1.2.3.4', 'fe80::1%eth0', '10.0.0.0/8', '1s', '0s', '-1s', '99999999h', '(', '(?=a)'],
  ...['__proto__', 'constructor', 'x'.repeat(5000), [], {}, [[]], [null], [{}], { a: 1 }, ['a', 'a'], [[], {}, 1]],
];

type Holder = Record<string, unknown> | unknown[];

const everything = corpus.flatMap(({ objects }) => objects);
/** Values of annotations, whatever their names; and what is near to them. */
const SAID: readonly string[] = [
  ...new Set(
    everything.flatMap(({ metadata }) =>
      Object.values(fields(metadata.annotations)).filter((v) => typeof v === 'string'),
    ),
  ),
  ...[
    'true',
    'false',
    '0',
    '1',
    'GET',
    '443',
    'HTTPS',
    'http://login.web.svc:80/a?b=c',
    'https://$host/x?rd=$request_uri',
  ],
  ...['X-A, X-B', '10.0.0.0/8', 'a$b', '/$1', 'http://[::1]/', 'http://a.b.svc.cluster.local:0/', 'open', `\${host}`],
];
/** Names of annotations that mean something to some kind. */
const NAMED: readonly string[] = [
  ...nginxAnnotations().map(([name]) => `${NGINX}${name}`),
  ...new Set(everything.flatMap(({ metadata }) => Object.keys(fields(metadata.annotations)))),
];

/** Everything in an object that holds something else, but its name, namespace and kind. */
function holders(object: KubeObject): Holder[] {
  const found: Holder[] = [];
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    found.push(value as Holder);
    for (const inner of Object.values(value)) walk(inner);
  };
  walk(object['spec']);
  // It may have lost it.
  const metadata: KubeObject['metadata'] | null | undefined = object.metadata;
  walk(metadata?.annotations);
  walk(metadata?.labels);
  for (const [name, inner] of Object.entries(object)) {
    if (!['apiVersion', 'kind', 'metadata', 'spec'].includes(name)) walk(inner);
  }
  return found.length === 0 ? [object as unknown as Record<string, unknown>] : found;
}

/** An annotation more, or another one. */
function annotate(chance: Chance, object: KubeObject): void {
  const before = fields(object.metadata.annotations);
  const served = chance.next(2) === 0 && object.kind === 'Ingress';
  const name = served ? `${NGINX}${chance.pick(SERVED)}` : chance.pick(NAMED);
  const value = chance.pick(SAID);
  const annotations = { ...before, [name]: chance.next(4) === 0 ? bent(chance, value) : value };
  (object as { metadata: unknown }).metadata = { ...object.metadata, annotations };
}

const SERVED: readonly string[] = nginxAnnotations().flatMap(([name, { fate }]) => (fate === 'served' ? [name] : []));

/** Some bytes of a text are others: of a certificate, a key, a list of revoked ones. */
function spoil(chance: Chance, object: KubeObject): void {
  for (const name of ['data', 'stringData', 'binaryData']) {
    const holder = object[name];
    if (typeof holder !== 'object' || holder === null) continue;
    const keys = Object.keys(holder);
    if (keys.length === 0) continue;
    const key = chance.pick(keys);
    const text = (holder as Record<string, unknown>)[key];
    if (typeof text !== 'string' || text === '') continue;
    const base64 = object.kind === 'Secret' && name === 'data';
    const bytes = Buffer.from(text, base64 ? 'base64' : 'latin1');
    for (let n = 1 + chance.next(3); n > 0 && bytes.length > 0; n--)
      bytes[chance.next(bytes.length)] = chance.pick([0, 10, 45, 61, 65, 66, 77, 255, chance.next(256)]);
    (holder as Record<string, unknown>)[key] = bytes.toString(base64 ? 'base64' : 'latin1');
  }
}

const FIXED: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

/** Changes one thing in it. */
function change(chance: Chance, object: KubeObject): void {
  if (typeof object.metadata === 'object' && object.metadata !== null && chance.next(6) === 0) {
    annotate(chance, object);
    return;
  }
  if ((object.kind === 'Secret' || object.kind === 'ConfigMap') && chance.next(2) === 0) {
    spoil(chance, object);
    return;
  }
  if (chance.next(60) === 0 && 'spec' in object) {
    (object as { spec: unknown }).spec = structuredClone(chance.pick(ODD));
    return;
  }
  const holder = chance.pick(holders(object));
  const fields = Object.keys(holder).filter((name) => !(holder === (object as unknown) && FIXED.has(name)));
  const name = fields.length === 0 ? chance.pick(names) : chance.pick(fields);
  const place = holder as Record<string, unknown>;
  switch (chance.next(7)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(name) || 0, 1);
      else delete place[name];
      break;
    case 1:
      place[name] = structuredClone(chance.pick(ODD));
      break;
    case 2: {
      // A field that it did not have, as another object had it.
      const other = chance.pick(names);
      if (!Array.isArray(holder) && !FIXED.has(other))
        place[other] = structuredClone(chance.pick(values.get(other) ?? ODD));
      break;
    }
    case 3:
      if (Array.isArray(holder) && holder.length < 40) holder.push(structuredClone(chance.pick(holder)));
      else if (!Array.isArray(holder)) place[name] = [place[name], structuredClone(place[name])];
      break;
    case 4:
      if (typeof place[name] === 'string') place[name] = bent(chance, place[name]);
      else if (typeof place[name] === 'number') place[name] = chance.pick([0, -1, 1, 65_535, place[name] + 1]);
      break;
    default:
      // What other objects have there: the likeliest to be valid.
      if (!Array.isArray(holder)) place[name] = structuredClone(chance.pick(values.get(name) ?? ODD));
      else place[name] = structuredClone(chance.pick(holder.length === 0 ? ODD : holder));
  }
}

function bent(chance: Chance, text: string): string {
  const at = chance.next(text.length + 1);
  const piece = chance.pick(['', '/', '.', '*', '%', '?', ' ', 'A', '\n', '(', '{{', ':', ',', '-', '\u00e9', text]);
  return chance.next(2) === 0 ? text.slice(0, at) + piece + text.slice(at) : text.slice(0, at) + piece;
}

/** Under the kind and name it had: with others it would be another object beside it. */
function named(copy: KubeObject, before: KubeObject): KubeObject {
  const { apiVersion, kind, metadata } = before;
  // Where nothing else is left to be changed, all of it may be.
  const now: Partial<KubeObject['metadata']> | null = copy.metadata;
  const same = now?.name === metadata.name && now.namespace === metadata.namespace;
  return { ...copy, apiVersion, kind, metadata: same ? copy.metadata : metadata };
}

/** As a file's reader or an API server would hand it out, where it is valid; as it is, where it is not. */
function asRead(object: KubeObject): { readonly object: KubeObject; readonly valid: boolean } {
  const checked = checkObject(structuredClone(object));
  const valid = checked.object !== null && checked.problems.every(({ severity }) => severity === 'warning');
  return valid && checked.object !== null ? { object: checked.object, valid } : { object, valid: false };
}

/** What a translator has handed out; it throws where a fault of ours was caught. */
function stateOf(translator: Translator): readonly unknown[] {
  for (const problem of [...translator.diagnostics.values()].flat())
    assert.doesNotMatch(problem.message, /^Cannot be translated/, JSON.stringify(problem));
  const sorted = (map: ReadonlyMap<string, unknown>): unknown[] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return [sorted(translator.ir), sorted(translator.statuses), sorted(translator.diagnostics)];
}

let [valid, invalid] = [0, 0];

function step(chance: Chance, worker: Worker): void {
  const { objects: own, options } = chance.pick(corpus);
  const given: TranslatorOptions = options;
  const others = chance.next(4) === 0 ? chance.pick(corpus).objects : [];
  // Of one key the first: as in a cluster there is no other.
  const objects = [...new Map([...others, ...own].map((object) => [keyOf(object), object])).values()];
  const store = new Store();
  const translator = new Translator(given);
  translator.update(store, { keys: store.apply(objects, []) });
  const world = new Map(objects.map((object) => [keyOf(object), object]));
  for (let n = 1 + chance.next(3); n > 0; n--) {
    // By kind first: of some there are few.
    const kind = chance.pick([...new Set([...world.values()].map((object) => object.kind))]);
    const key = chance.pick([...world].filter(([, object]) => object.kind === kind).map(([name]) => name));
    const before = world.get(key) as KubeObject;
    if (world.size > 1 && chance.next(12) === 0) {
      world.delete(key);
      translator.update(store, { keys: store.apply([], [key]) });
      continue;
    }
    const copy = structuredClone(before);
    for (let m = 1 + chance.next(3); m > 0; m--) change(chance, copy);
    const read = asRead(named(copy, before));
    if (read.valid) valid++;
    else invalid++;
    world.set(key, read.object);
    translator.update(store, { keys: store.apply([read.object], []) });
  }
  const stepwise = stateOf(translator);
  const whole = new Store();
  const fresh = new Translator(given);
  fresh.update(whole, { keys: whole.apply([...world.values()], []) });
  const state = stateOf(fresh);
  if (!isDeepStrictEqual(stepwise, state)) assert.deepEqual(stepwise, state, 'step by step it is another than at once');
  worker.takes(fresh.ir.values() as Iterable<Entry>);
}

test('the corpus has every kind that is translated, and the features that are filters or policies', () => {
  const kinds = new Set(corpus.flatMap(({ objects }) => objects.map(({ kind }) => kind)));
  assert.deepEqual(
    KINDS.filter((kind) => !kinds.has(kind)),
    [],
  );
  const text = JSON.stringify(corpus.map(({ objects }) => objects));
  assert.deepEqual(
    FEATURES.filter((name) => !text.includes(`"${name}"`)),
    [],
  );
});

test('objects changed by chance are translated, the same way whatever came before, and workers take it', (t) => {
  // A run of `make test` says the same each time; who asks for time goes where nobody has been.
  const first = Number(process.env['FUZZ_SEED'] ?? (SECONDS > 0 ? randomInt(2 ** 31) : 1));
  const end = performance.now() + SECONDS * 1000;
  const worker = new Worker();
  let seed = first;
  for (; SECONDS > 0 ? performance.now() < end : seed < first + WORLDS; seed++) {
    try {
      step(new Chance(seed), worker);
    } catch (error) {
      throw new Error(`failed with seed ${seed} (run again by FUZZ_SEED=${seed}): ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  t.diagnostic(`seed ${first}, ${seed - first} worlds, ${valid} valid objects, ${invalid} that are not`);
  const steps = seed - first;
  assert.ok(steps < 1000 || (valid > steps / 10 && invalid > steps / 10), 'both of them are tried');
});
