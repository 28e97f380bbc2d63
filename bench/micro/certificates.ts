// What many certificates cost in the controller, in CPU time: each read by the library and by the own reader, by paired
// rounds, and the way of 10,000 Secrets from files to entries, step by step; then one of them changed.
// `bin/node --max-semi-space-size=4 bench/micro/certificates.ts [certificates]`

import type { KubeObject } from '../../src/api/object.ts';
import { readPem } from '../../src/base/pem.ts';
import { encodeEntry } from '../../src/ir/codec.ts';
import { Catalog } from '../../src/source/file/catalog.ts';
import { ConfigFile } from '../../src/source/file/config-file.ts';
import { Store } from '../../src/store/store.ts';
import { readByLibrary, readPlain } from '../../src/translate/certificate.ts';
import { Translator } from '../../src/translate/translator.ts';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { report, runPaired } from './paired.ts';

const count = Number(process.argv[2] ?? 10_000);
const ROUNDS = 15;
const PER_FILE = 100;
/** Gateway API: listeners of a Gateway. */
const LISTENERS = 64;
const CHANGES = 50;

interface Pair {
  readonly crt: string;
  readonly key: string;
}

const middle = authority('Middle', authority('Root'));
function pair(i: number): Pair {
  const { der, keyDer } = leaf(middle, [`s${i}.example`]);
  return { crt: pem('CERTIFICATE', der) + pem('CERTIFICATE', middle.der), key: pem('PRIVATE KEY', keyDer) };
}
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const pairs = Array.from({ length: count }, (_, i) => pair(i));

const SHAPES: Readonly<Record<string, (i: number, own: Pair) => string>> = {
  'YAML, Base64 on one line': (i, { crt, key }) => `apiVersion: v1
kind: Secret
metadata:
  name: s${i}
type: kubernetes.io/tls
data:
  tls.crt: ${base64(crt)}
  tls.key: ${base64(key)}
---
`,
  'YAML, PEM in stringData': (i, { crt, key }) => `apiVersion: v1
kind: Secret
metadata:
  name: s${i}
type: kubernetes.io/tls
stringData:
  tls.crt: |
${crt.replace(/^(?=.)/gm, '    ')}  tls.key: |
${key.replace(/^(?=.)/gm, '    ')}---
`,
  JSON: (i, { crt, key }) => {
    const data = { 'tls.crt': base64(crt), 'tls.key': base64(key) };
    const metadata = { name: `s${i}` };
    return `${JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata, type: 'kubernetes.io/tls', data })}\n---\n`;
  },
};

function gateways(): string {
  let text = '';
  for (let first = 0; first < count; first += LISTENERS) {
    text += `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: g${first} }
spec:
  gatewayClassName: rauta
  listeners:
`;
    for (let i = first; i < Math.min(count, first + LISTENERS); i++) {
      text += `    - { name: l${i}, port: 443, protocol: HTTPS, hostname: s${i}.example,
        tls: { certificateRefs: [{ name: s${i} }] } }\n`;
    }
    text += '---\n';
  }
  return text;
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
};

/** CPU time of all threads in milliseconds, garbage collection included. */
function timed<T>(into: Record<string, number>, name: string, work: () => T): T {
  const began = cpuMs();
  const result = work();
  into[name] = Math.round(cpuMs() - began);
  return result;
}

function whole(shape: (i: number, own: Pair) => string): Record<string, number> {
  const texts = [gateways()];
  for (let first = 0; first < count; first += PER_FILE)
    texts.push(
      pairs
        .slice(first, first + PER_FILE)
        .map((own, i) => shape(first + i, own))
        .join(''),
    );
  const bytes = texts.map((text) => Buffer.from(text));
  const steps: Record<string, number> = {};
  const store = new Store();
  const translator = new Translator({
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: 'rauta',
    fromFiles: true,
    defaultAddresses: ['0.0.0.0'],
    portMap: new Map(),
  });
  const read = timed(steps, 'read, ms', () =>
    bytes.map((own, i): [string, ConfigFile] => [`${i}.yaml`, new ConfigFile(`${i}.yaml`).next(own)]),
  );
  const keys = timed(steps, 'store, ms', () => store.apply(new Catalog().update(new Map(read)).upserts, []));
  const { delta } = timed(steps, 'translate, ms', () => translator.update(store, { keys }));
  if (delta.upserts.filter(({ kind }) => kind === 'certificate').length !== count) throw new Error('not all are there');
  timed(steps, 'encode, ms', () => delta.upserts.map(encodeEntry).length);
  const changed = Array.from({ length: CHANGES }, (_, i): KubeObject => {
    const { crt, key } = pair(i);
    const old = store.get('Secret', 'default', `s${i}`) as KubeObject;
    return { ...old, data: { 'tls.crt': base64(crt), 'tls.key': base64(key) } };
  });
  timed(steps, 'one changed, us', () => {
    for (const own of changed)
      translator.update(store, { keys: store.apply([own], []) }).delta.upserts.map(encodeEntry);
  });
  steps['one changed, us'] = Math.round(((steps['one changed, us'] as number) * 1000) / CHANGES);
  return steps;
}

const pems = pairs.slice(0, 1_000).map(({ crt, key }) => {
  const blocks = readPem(crt);
  if (typeof blocks === 'string') throw new Error(blocks);
  return { blocks, key: readPem(key) };
});
function each(read: typeof readPlain | typeof readByLibrary): (n: number) => number {
  return (n) => {
    let names = 0;
    for (let i = 0; i < n; i++) {
      const own = pems[i % pems.length] as (typeof pems)[number];
      const found = read(own.blocks, own.key);
      if (found === null || typeof found === 'string') throw new Error('not read');
      names += found.names.length;
    }
    return names;
  };
}

const results = runPaired(
  [
    { name: 'by the library', run: each(readByLibrary) },
    { name: 'by the own reader', base: 'by the library', run: each(readPlain) },
  ],
  ROUNDS,
  300,
);
const steps = Object.fromEntries(Object.entries(SHAPES).map(([name, shape]) => [name, whole(shape)]));
report('certificates', `bin/node --max-semi-space-size=4 bench/micro/certificates.ts ${count}`, {
  certificates: count,
  results,
  steps,
});
