// The golden pairs of translation: testdata/translate/NAME.in.yaml holds objects, NAME.out.yaml what they become.
// `bin/node tools/golden.ts` rewrites the outputs that differ (review them: they are the specification of what we do);
// src/translate/golden.test.ts compares.

import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Document, isCollection, parseAllDocuments, visit } from 'yaml';
import type { KubeObject } from '../src/api/object.ts';
import type { Problem } from '../src/api/problem.ts';
import { checkObject } from '../src/api/schema.ts';
import type { Entry } from '../src/ir/ir.ts';
import { base64Of } from '../src/ir/shown.ts';
import { Store } from '../src/store/store.ts';
import { AddressPool } from '../src/translate/addresses.ts';
import type { Condition } from '../src/translate/conditions.ts';
import type { ServiceType, TranslatorOptions } from '../src/translate/context.ts';
import type { SocketFaults } from '../src/translate/gateway-status.ts';
import { Translator } from '../src/translate/translator.ts';

export const GOLDEN_FOLDER = fileURLToPath(new URL('../testdata/translate', import.meta.url));

/** Of the first document, when it has `golden`: options of the translator that differ from the usual ones. */
interface GoldenOptions {
  /** Takes the objects as they are: for what validation refuses, yet an older API server may hold. */
  readonly unchecked?: boolean;
  readonly cluster?: boolean;
  readonly defaultAddresses?: readonly string[];
  readonly statusAddresses?: readonly string[];
  readonly portMap?: Readonly<Record<string, number>>;
  readonly addressPool?: readonly string[];
  /** Type of the Service that is kept for each Gateway; `none` keeps none. */
  readonly gatewayService?: 'none' | ServiceType;
  readonly publishService?: string;
  readonly zone?: string;
  readonly node?: string;
  /** The authorities that the system knows: Base64 of DER. */
  readonly systemTrust?: readonly string[];
  /** Addresses that nothing may lead to. */
  readonly forbidden?: readonly string[];
  readonly withoutBackends?: boolean;
  readonly clusterDomain?: string;
  readonly trustsProxies?: boolean;
  /** Keys of sockets that could not be opened, and why: `address in use` and the like. */
  readonly unopened?: Readonly<Record<string, { readonly code: string; readonly reason: string }>>;
}

export interface Golden {
  readonly objects: readonly KubeObject[];
  readonly options: TranslatorOptions;
  /** What is told when all is translated. */
  readonly unopened: SocketFaults;
}

export function goldenNames(): string[] {
  return globSync('*.in.yaml', { cwd: GOLDEN_FOLDER })
    .map((path) => basename(path, '.in.yaml'))
    .sort();
}

export function readGolden(name: string): Golden {
  const path = join(GOLDEN_FOLDER, `${name}.in.yaml`);
  const values: unknown[] = [];
  for (const document of parseAllDocuments(readFileSync(path, 'utf8'))) {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors[0]?.message}`);
    const value: unknown = document.toJS();
    if (value !== null) values.push(value);
  }
  const head = values[0] as { readonly golden?: GoldenOptions };
  const given = head.golden ?? {};
  if (head.golden !== undefined) values.shift();
  const unopened = new Map(Object.entries(given.unopened ?? {}));
  return { objects: values.map((value) => objectOf(value, given, path)), options: optionsOf(given), unopened };
}

/** No file can hold one. */
const MADE: ReadonlySet<string> = new Set(['ResolvedHost', 'CustomResourceDefinition', 'Pod', 'Node']);

function objectOf(value: unknown, given: GoldenOptions, path: string): KubeObject {
  const made = value as KubeObject;
  // The controller makes these itself.
  if (given.unchecked === true || MADE.has(made.kind)) return made;
  const { object, problems } = checkObject(value);
  if (object !== null && problems.every((problem) => problem.severity === 'warning')) return object;
  const why = problems.map((problem) => `${problem.place.field}: ${problem.message}`).join('; ');
  throw new Error(`${path}: ${made.kind} ${made.metadata.name}: ${why}`);
}

function optionsOf(given: GoldenOptions): TranslatorOptions {
  const { forbidden } = given;
  return {
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: given.cluster === true ? null : 'rauta',
    fromFiles: given.cluster !== true,
    defaultAddresses: given.defaultAddresses ?? ['0.0.0.0'],
    ...(given.statusAddresses === undefined ? {} : { statusAddresses: given.statusAddresses }),
    ...(given.cluster === true ? { exposure: exposureOf(given) } : {}),
    ...(given.withoutBackends === true ? { withoutBackends: true } : {}),
    ...(given.trustsProxies === true ? { trustsProxies: true } : {}),
    ...(given.clusterDomain === undefined ? {} : { clusterDomain: given.clusterDomain }),
    ...(forbidden === undefined ? {} : { forbidden: (address) => forbidden.includes(address) }),
    ...(given.zone === undefined ? {} : { zone: given.zone }),
    ...(given.node === undefined ? {} : { node: given.node }),
    ...(given.addressPool === undefined ? {} : { addressPool: new AddressPool(given.addressPool) }),
    portMap: new Map(Object.entries(given.portMap ?? {}).map(([from, to]) => [Number(from), to])),
    systemTrust: () => given.systemTrust ?? [],
  };
}

function exposureOf({
  gatewayService = 'none',
  publishService,
}: GoldenOptions): NonNullable<TranslatorOptions['exposure']> {
  const [namespace = '', name = ''] = publishService?.split('/') ?? [];
  return {
    serviceType: gatewayService === 'none' ? null : gatewayService,
    published: publishService === undefined ? null : { namespace, name },
  };
}

/** What the objects become, as text. */
export function renderGolden({ objects, options, unopened }: Golden): string {
  const store = new Store();
  const keys = store.apply(objects, []);
  const translator = new Translator(options);
  translator.update(store, { keys });
  if (unopened.size > 0) translator.sockets(store, unopened);
  return render(translator);
}

export function render(translator: Translator): string {
  const document = new Document(
    {
      ir: sorted(translator.ir, shown),
      statuses: sorted(translator.statuses, compactConditions),
      diagnostics: sorted(translator.diagnostics, (problems) => problems.map(line)),
      ...(translator.generated.size === 0
        ? {}
        : { generated: sorted(translator.generated, ({ object, refused }) => object ?? refused ?? 'removed') }),
    },
    { aliasDuplicateObjects: false },
  );
  visit(document, {
    Collection(_, node) {
      if (isCollection(node) && String(JSON.stringify(node)).length <= 120) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** Without what its key says already; DER as Base64. */
function shown(entry: Entry): unknown {
  const { key: _, kind: __, ...rest } = entry;
  if (entry.kind !== 'certificate') return rest;
  return { ...rest, chain: entry.chain.map(base64Of), privateKey: base64Of(entry.privateKey) };
}

function sorted<V>(map: ReadonlyMap<string, V>, show: (value: V) => unknown): Record<string, unknown> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, show(value)]));
}

/** A condition on one line: `Accepted=True Accepted (generation 1): message`. */
function compactConditions(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(compactConditions);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      name === 'conditions' ? (field as Condition[]).map(conditionLine) : compactConditions(field),
    ]),
  );
}

function conditionLine(c: Condition): string {
  const pends = c.pendsOn !== undefined ? ', once acked' : '';
  return `${c.type}=${c.status} ${c.reason} (generation ${c.observedGeneration}${pends}): ${c.message}`;
}

function line({ severity, place, message }: Problem): string {
  return `${severity} ${place.field ?? ''}: ${message}`;
}

export function outputPath(name: string): string {
  return join(GOLDEN_FOLDER, `${name}.out.yaml`);
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

if (import.meta.main) {
  let rewritten = 0;
  const names = goldenNames();
  for (const name of names) {
    const text = renderGolden(readGolden(name));
    if (readOr(outputPath(name), '') === text) continue;
    writeFileSync(outputPath(name), text);
    process.stdout.write(`rewrote ${name}.out.yaml\n`);
    rewritten++;
  }
  process.stdout.write(`${names.length} pairs, ${rewritten} rewritten\n`);
}
