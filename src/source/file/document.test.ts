import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../base/limits.ts';
import { type ReadChunk, readingChunk } from './document.ts';
import { Lines } from './lines.ts';

const item = (name: string): string => `- apiVersion: v1
  kind: Service
  metadata:
    name: ${name}
  spec:
    ports:
    - port: 80
`;
const list = (count: number, change: (text: string) => string = (text) => text): string =>
  change(`apiVersion: v1\nkind: List\nitems:\n${Array.from({ length: count }, (_, i) => item(`s${i}`)).join('')}`);

/** Reads it, and says how often others had a turn meanwhile. */
function read(text: string): { readonly chunk: ReadChunk; readonly turns: number } {
  const steps = readingChunk(text, {});
  for (let turns = 0; ; turns++) {
    const step = steps.next();
    if (step.done === true) return { chunk: step.value, turns };
  }
}

test('a List is read with a turn for others at each of its objects', () => {
  const { chunk, turns } = read(list(200));
  assert.equal(chunk.objects.length, 200);
  assert.ok(turns >= 200, `${turns}`);
});

test('what only the library reads is read with turns for others, too', () => {
  const words = list(400, (text) => text.replace('name: s0', 'name: s0 # ö'));
  const { chunk, turns } = read(words);
  assert.equal(chunk.objects.length, 400);
  assert.ok(turns >= 400 + 5, `${turns}`);
});

test('a plain List may have more words than the library is given, and each object its place', () => {
  // Some thirty words and marks each.
  const count = Math.ceil(LIMITS.YAML_TOKENS / 30);
  const text = list(count, (whole) => whole.replace(item('s7'), item('s7').replace('80', 'eighty')));
  const { chunk } = read(text);
  assert.equal(chunk.objects.length, count);
  const lines = new Lines(text);
  const line = (offset: number): number => lines.at(offset).line;
  assert.equal(line(chunk.objects[count - 1]?.offset ?? 0), 4 + 7 * (count - 1));
  assert.deepEqual(
    chunk.problems.map(({ place, offset }) => [place.object, line(offset)]),
    [['Service/default/s7', 4 + 7 * 7 + 6]],
  );
});
