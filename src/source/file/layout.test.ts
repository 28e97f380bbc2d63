import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { authority, leaf, pem } from '../../../tools/certificates.ts';
import { EMPTY, type Layout, layingOut } from './layout.ts';
import { atOnce } from './yaml.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
setFlagsFromString('--no-expose-gc');

function cut(text: string, before: Layout = EMPTY): Layout {
  const layout = atOnce(layingOut(text, before, 1_000));
  assert.ok(layout !== null);
  return layout;
}
const seen = ({ chunks, starts }: Layout): unknown[] =>
  chunks.map((c, i) => [starts[i], c.text, c.objects, c.problems]);

test('after any change the layout is the one a first reading gives', () => {
  const part = fc.constantFrom(
    'a: 1\n',
    'b: 2\n',
    '---\n',
    '--- # x\n',
    '...\n',
    '# c\n',
    '\n',
    '{"a": 1}',
    '{"b": "}"}\n',
    '  ',
    'x\n',
    '%YAML 1.1\n',
  );
  const text = fc.array(part, { maxLength: 14 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, text, text, text, (head, tail, before, after) => {
      const old = cut(head + before + tail);
      assert.deepEqual(seen(cut(head + after + tail, old)), seen(cut(head + after + tail)));
    }),
    { seed: 20261121, numRuns: 400 },
  );
});

test('chunks that did not change are the same ones, moved or not', () => {
  const documents = Array.from({ length: 50 }, (_, i) => `name: ${i}\n`);
  const before = cut(documents.join('---\n'));
  const [first, ...rest] = documents as [string, ...string[]];
  const moved = cut([...rest, 'name: new\n', first].join('---\n'), before);
  const known = new Set(before.chunks);
  // The first document had no marker before it, the second one loses its own.
  assert.equal(moved.chunks.filter((c) => !known.has(c)).length, 3);
  assert.equal(moved.chunks.map((c) => c.text).join(''), moved.text);
});

const middle = authority('Middle');
function secretText(i: number): string {
  const { der, keyDer } = leaf(middle, [`s${i}.example`]);
  const chain = pem('CERTIFICATE', der) + pem('CERTIFICATE', middle.der);
  const [crt, key] = [chain, pem('PRIVATE KEY', keyDer)].map((text) => Buffer.from(text).toString('base64'));
  return `apiVersion: v1\nkind: Secret\nmetadata: { name: s${i} }\ndata: { tls.crt: ${crt}, tls.key: ${key} }\n---\n`;
}
const MAP = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: m }\ndata: { a: "Käse 🧀" }\n---\n';

test('a Secret among others is read again when it has changed, and only then, though its text is not kept', () => {
  const parts = [MAP, ...Array.from({ length: 5 }, (_, i) => secretText(i))];
  const before = cut(parts.join(''));
  assert.equal(before.text, null);
  assert.deepEqual(
    before.chunks.slice(0, 3).map(({ text }) => text),
    [MAP.slice(0, -4), '', ''],
  );
  const other = secretText(2);
  const after = cut([MAP, parts[2], parts[1], other, parts[4], parts[5]].join(''), before);
  const known = new Set(before.chunks);
  assert.deepEqual(
    after.chunks.map((chunk) => known.has(chunk)),
    [true, true, true, false, true, true, true],
  );
  const fresh = cut([MAP, parts[2], parts[1], other, parts[4], parts[5]].join(''));
  assert.deepEqual(seen(after), seen(fresh));
  // Without a Secret the text is kept again.
  const none = cut(MAP, after);
  assert.equal(none.text, MAP);
});

test('what is held of Secrets is what their certificates and keys say, not their files', () => {
  const files = Array.from({ length: 10 }, (_, file) =>
    Buffer.from(Array.from({ length: 100 }, (_, i) => secretText(file * 100 + i)).join('')),
  );
  const bytes = files.reduce((sum, { length }) => sum + length, 0);
  const held = (): number => {
    gc();
    return process.memoryUsage().heapUsed;
  };
  const none = held();
  const layouts = files.map((file) => cut(file.toString()));
  const share = (held() - none) / bytes;
  assert.equal(layouts.length, 10);
  assert.ok(share < 0.8, `${share} times the text`);
});

test('too many documents are refused', () => {
  assert.equal(atOnce(layingOut('a: 1\n---\nb: 2\n---\nc: 3\n', EMPTY, 2)), null);
});

test('what is held of files is their text once, however much of it their objects hold', () => {
  const document = (i: number): string => {
    const crt = Buffer.from(`${i} `.repeat(300)).toString('base64');
    return `apiVersion: v1\nkind: Secret\nmetadata: { name: s${i} }\ndata: { tls.crt: ${crt} }\n---\n`;
  };
  // As files are read: the text alone, and nothing that made it. So many that V8 has optimized what reads them.
  const files = Array.from({ length: 60 }, (_, file) =>
    Buffer.from(Array.from({ length: 100 }, (_, i) => document(file * 100 + i)).join('')),
  );
  const bytes = files.reduce((sum, { length }) => sum + length, 0);
  const held = (): number => {
    gc();
    return process.memoryUsage().heapUsed;
  };
  const none = held();
  const first = files.map((file) => cut(file.toString()));
  const once = (held() - none) / bytes;
  const changed = files.map((file, i) => cut(file.toString().replace('name: s', 'name: t'), first[i]));
  const twice = (held() - none) / bytes;
  assert.equal(changed.length, first.length);
  assert.ok(once < 1.6 && twice < 2 * 1.6, `${once} and ${twice} times the text`);
});
