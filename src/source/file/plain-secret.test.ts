// What the reader of plain Secrets accepts is what the readers of YAML and of the schema make of it: as people and
// programs write Secrets, and thousands that are nearly one. Those are the judges.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { authority, leaf, pem } from '../../../tools/certificates.ts';
import { digestOf, type ReadChunk, readingByRule, readingChunk } from './document.ts';
import { readPlainSecret } from './plain-secret.ts';
import { atOnce } from './yaml.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 3_000);
const middle = authority('Middle', authority('Root'));
const own = leaf(middle, ['a.example']);
const chain = pem('CERTIFICATE', own.der) + pem('CERTIFICATE', middle.der);
const key = pem('PRIVATE KEY', own.keyDer);
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const CRT = `  tls.crt: ${base64(chain)}\n`;
const KEY = `  tls.key: ${base64(key)}\n`;
const HEAD = 'apiVersion: v1\nkind: Secret\n';
const TYPE = 'type: kubernetes.io/tls\n';
const FORMS: readonly string[] = [
  `${HEAD}metadata: { name: s1 }\n${TYPE}data:\n${CRT}${KEY}`,
  `---\n${HEAD}metadata: {name: a-long-name.of.some-certificate, namespace: other}\n${TYPE}data:\n${KEY}${CRT}\n\n`,
  `${HEAD}metadata:\n  name: s1\n  namespace: other-1\n${TYPE}data:\n${CRT}${KEY}`,
  `apiVersion: v1\ndata:\n${CRT}${KEY}kind: Secret\nmetadata:\n  creationTimestamp: null\n  name: s1\n${TYPE}`,
  `---\n${TYPE}\ndata:\n${CRT}${KEY}\nmetadata:\n  namespace: b\n  name: s1\n${HEAD}`,
];

/** Whether it is plain, and then what the others say it is. */
function agree(text: string, defaultNamespace = 'default'): boolean {
  const plain = readPlainSecret(text, defaultNamespace);
  const read = (by: typeof readingChunk): ReadChunk => atOnce(by(text, { defaultNamespace }));
  const [chunk, judged] = [read(readingChunk), read(readingByRule)];
  assert.deepEqual(chunk, judged, JSON.stringify(text));
  assert.equal(JSON.stringify(chunk), JSON.stringify(judged), `the order of ${JSON.stringify(text)}`);
  if (plain === null) return false;
  assert.deepEqual(judged.problems, []);
  assert.equal(judged.digest, digestOf(text));
  assert.deepEqual(
    judged.objects.map(({ object }) => object),
    [plain.object],
  );
  return true;
}

test('Secrets as people and kubectl write them are plain, and are read as all others are', () => {
  for (const text of FORMS) assert.ok(agree(text, 'standard'), text);
  const alone = FORMS[0]?.replace(base64(chain), base64(pem('CERTIFICATE', own.der))) as string;
  assert.ok(agree(alone));
  assert.equal(agree(alone.replace(base64(key), base64(`of nobody\n${key}`))), false, 'it begins with other text');
});

test('each mistake, and each form that is another, is for the others', () => {
  const good = FORMS[2] as string;
  const swaps: readonly (readonly [string, string])[] = [
    ['name: s1', 'name: yes'],
    ['name: s1', 'name: S1'],
    ['name: s1', 'name: a..b'],
    ['name: s1', `name: ${'a'.repeat(254)}`],
    ['name: s1', 'name: 1e3'],
    ['name: s1', 'name: s1\n  name: s2'],
    ['name: s1\n', ''],
    ['namespace: other-1', 'namespace: no'],
    ['namespace: other-1', 'namespace: a.b'],
    ['namespace: other-1', 'labels: { a: b }'],
    ['kind: Secret\n', ''],
    ['kind: Secret\n', 'kind: Secret\nkind: Secret\n'],
    ['kind: Secret', 'kind: ConfigMap'],
    ['apiVersion: v1', 'apiVersion: v2'],
    [TYPE, ''],
    [TYPE, 'type: Opaque\n'],
    [TYPE, `${TYPE}immutable: true\n`],
    [TYPE, `${TYPE}immutable: maybe\n`],
    [CRT, ''],
    [KEY, ''],
    [KEY, KEY + KEY],
    [KEY, `${KEY}  ca.crt: YQ==\n`],
    [KEY, KEY.trimEnd()],
    [KEY, `  tls.key: "${base64(key)}"\n`],
    [KEY, `  tls.key: ${base64(key)} # mine\n`],
    [KEY, `  tls.key: ${base64(key).replace(/.{5}$/, '')}\n`],
    [KEY, `  tls.key: ${base64(key).replace(/(?<=^.{40}).{4}/, '-___')}\n`],
    [KEY, `  tls.key: ${base64(key.replace('-----END', '----END'))}\n`],
    [KEY, `  tls.key: ${base64(key.replace(/\n/g, '\r\n'))}\n`],
    [KEY, `  tls.key: ${base64(key.replace(/\n(?=.)/, '\n!'))}\n`],
    [KEY, `   tls.key: ${base64(key)}\n`],
    [CRT, `  tls.crt: ${base64(key)}\n`],
    [CRT, `  tls.crt: |\n    ${base64(chain)}\n`],
  ];
  const plain = swaps.filter(([from, to]) => {
    assert.ok(good.includes(from), from);
    return agree(good.replace(from, () => to));
  });
  // What a value holds is judged where it is used.
  assert.deepEqual(
    plain.map(([, to]) => to.slice(0, 30)),
    [`  tls.key: ${base64(key.replace(/\n/g, '\r\n'))}`.slice(0, 30), `  tls.crt: ${base64(key)}`.slice(0, 30)],
  );
});

test('whatever is changed by hand: what is read as plain is what the others make of it', () => {
  const odd = fc.constantFrom(
    '',
    ' ',
    '\n',
    '\t',
    '\r',
    ':',
    '#',
    '-',
    '---\n',
    '{',
    '}',
    ',',
    '"',
    '=',
    'é',
    'A',
    '1',
    '\0',
  );
  let plain = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...FORMS),
      fc.array(fc.tuple(fc.nat(), odd), { minLength: 1, maxLength: 2 }),
      (form, changes) => {
        let text = form;
        for (const [at, one] of changes) {
          // Mostly where words stand, for the long values are most of it.
          const words = at % 3 === 0 ? text.length : text.indexOf('  tls.');
          const i = at % (words + 1);
          text = text.slice(0, i) + one + text.slice(i + (at % 2 === 0 ? one.length : 0));
        }
        if (agree(text)) plain++;
      },
    ),
    { numRuns: RUNS },
  );
  assert.ok(plain > RUNS / 100, `${plain} of ${RUNS} are plain`);
});
