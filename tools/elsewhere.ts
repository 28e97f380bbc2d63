// Examples as other pages show them, in testdata/elsewhere: NAME.in.yaml has the shape of a public example, in words of
// our own, and NAME.out.txt what `rauta check` says of it as it stands, with our class, and with what is missing
// besides. `bin/node tools/elsewhere.ts` rewrites the outputs; src/main/elsewhere.test.ts compares.

import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { secretYaml } from './certificates.ts';
import { complaintsOf } from './complaints.ts';

const FOLDER = fileURLToPath(new URL('../testdata/elsewhere', import.meta.url));

export function elsewhereNames(): string[] {
  return globSync('*.in.yaml', { cwd: FOLDER })
    .map((path) => basename(path, '.in.yaml'))
    .sort();
}

export interface Stages {
  readonly asItStands: readonly string[];
  readonly withClass: readonly string[];
  readonly whole: readonly string[];
}

/** What is said, the sum left out. */
export async function stagesOf(name: string): Promise<Stages> {
  const text = readFileSync(join(FOLDER, `${name}.in.yaml`), 'utf8');
  const ours = text.replaceAll(/gatewayClassName: \S+/g, 'gatewayClassName: rauta').replace(CLASS, '');
  const said = async (what: string): Promise<string[]> => (await complaintsOf(what)).slice(0, -1);
  return { asItStands: await said(text), withClass: await said(ours), whole: await said(ours + missingFrom(ours)) };
}

/** A class of somebody else's, which has to go when nobody is of it. */
const CLASS = /^apiVersion: \S+\nkind: GatewayClass\n[\s\S]*?^---\n/m;

interface Loose {
  readonly kind?: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly spec?: Fields;
}
type Fields = Readonly<Record<string, unknown>>;

/** What a cluster has and a page does not show: Services with their EndpointSlices, certificates, a Gateway. */
function missingFrom(text: string): string {
  const objects = parseAllDocuments(text).map((document) => document.toJS() as Loose);
  const has = (kind: string, name: string): boolean =>
    objects.some((o) => o.kind === kind && o.metadata?.name === name);
  const added = new Map<string, string>();
  const add = (kind: string, namespace: string, name: string, rest: string): void => {
    const version = { Service: 'v1', EndpointSlice: 'discovery.k8s.io/v1' }[kind] ?? 'gateway.networking.k8s.io/v1';
    added.set(`${kind}/${namespace}/${name}`, `apiVersion: ${version}\nkind: ${kind}\n${rest}`);
  };
  for (const { kind = '', metadata = {}, spec = {} } of objects) {
    const namespace = metadata.namespace ?? 'default';
    for (const { name, port } of found(spec, 'backendRefs')) {
      const service = String(name);
      const named = `namespace: ${namespace}, name: ${service}`;
      if (!has('Service', service))
        add('Service', namespace, service, `metadata: { ${named} }\nspec: { ports: [{ port: ${port} }] }\n`);
      const label = `labels: { kubernetes.io/service-name: ${service} }`;
      const own = has('Service', service) ? 'name: http, port: 3000' : 'port: 3000';
      const ready = `addressType: IPv4\nports: [{ ${own} }]\nendpoints: [{ addresses: [127.0.0.1] }]\n`;
      add('EndpointSlice', namespace, service, `metadata: { ${named}, ${label} }\n${ready}`);
    }
    for (const { name } of found(spec, 'parentRefs'))
      if (kind.endsWith('Route') && !objects.some((o) => o.kind === 'Gateway'))
        add(
          'Gateway',
          namespace,
          String(name),
          `metadata: { name: ${name} }\nspec: { gatewayClassName: rauta, listeners: [{ name: http, port: 80, protocol: HTTP }] }\n`,
        );
    for (const listener of found(spec, 'listeners'))
      for (const { name } of found(listener, 'certificateRefs'))
        added.set(`Secret/${name}`, secretYaml(String(name), [String(listener['hostname'])], { namespace }));
  }
  return [...added.values()].map((one) => `---\n${one}`).join('');
}

/** What lists of that name hold, however deep. */
function found(value: unknown, name: string): Fields[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) =>
    key === name && Array.isArray(item) ? (item as Fields[]) : found(item, name),
  );
}

export function outputOf({ asItStands, withClass }: Stages): string {
  return ['as it stands:', ...asItStands, '', 'with class rauta:', ...withClass, ''].join('\n');
}

export function outputFile(name: string): string {
  return join(FOLDER, `${name}.out.txt`);
}

if (import.meta.main)
  for (const name of elsewhereNames()) writeFileSync(outputFile(name), outputOf(await stagesOf(name)));
