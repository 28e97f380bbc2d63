import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { mulberry32 } from '../../test/support/mulberry32.ts';
import { GOLDEN_FOLDER, goldenNames, outputPath, readGolden, render, renderGolden } from '../../tools/golden.ts';
import { keyOf } from '../api/object.ts';
import { equal } from '../base/equal.ts';
import { fields } from '../base/fields.ts';
import { Store } from '../store/store.ts';
import { Translator } from './translator.ts';
import { readOfStatus } from './unit.ts';

const names = goldenNames();

function shuffled<T>(items: readonly T[], next: () => number): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}

describe('golden pairs', () => {
  for (const name of names) {
    test(name, () => {
      const expected = readFileSync(outputPath(name), 'utf8');
      assert.equal(renderGolden(readGolden(name)), expected, 'if this is meant, run `make golden` and review');
    });
  }

  test('there are enough of them, and no output without an input', () => {
    assert.ok(names.length >= 320);
    const outputs = globSync('*.out.yaml', { cwd: GOLDEN_FOLDER }).map((path) => path.replace('.out.yaml', ''));
    assert.deepEqual(outputs.sort(), names);
  });
});

test('the order of objects carries no meaning', () => {
  const next = mulberry32(1);
  for (const name of names) {
    const { objects, options, unopened } = readGolden(name);
    const expected = readFileSync(outputPath(name), 'utf8');
    for (let round = 0; round < 3; round++) {
      assert.equal(renderGolden({ objects: shuffled(objects, next), options, unopened }), expected, name);
    }
  }
});

test('what is not read of a status changes nothing of what anything means, whatever it is', () => {
  for (const name of names) {
    const { objects, options, unopened } = readGolden(name);
    const said = { parents: [], ancestors: [], conditions: [], addresses: [{ value: '192.0.2.9' }] };
    const restated = objects.map((object) => {
      const { addresses } = fields(object.status);
      const status = object.kind === 'Gateway' ? { ...said, addresses } : said;
      return equal(readOfStatus({ ...object, status }), readOfStatus(object)) ? { ...object, status } : object;
    });
    const output = renderGolden({ objects: restated, options, unopened });
    assert.equal(output, readFileSync(outputPath(name), 'utf8'), name);
  }
});

test('who takes entries early has all of them before anything is only told', () => {
  for (const name of names) {
    const { objects, options } = readGolden(name);
    const store = new Store();
    const translator = new Translator(options);
    let entries: unknown[] | null = null;
    const early = {
      certificate: (): void => assert.equal(entries, null),
      entries: (): void => {
        entries = [...translator.ir];
      },
      between: (): void => assert.notEqual(entries, null),
    };
    translator.update(store, { keys: store.apply(objects, []) }, early);
    assert.deepEqual(entries, [...translator.ir], name);
  }
});

test('objects that come and go one by one leave what a fresh translation says', () => {
  const next = mulberry32(2);
  for (const name of names) {
    const { objects, options, unopened } = readGolden(name);
    const store = new Store();
    const translator = new Translator(options);
    const step = (upserts: typeof objects, removals: string[]): void => {
      translator.update(store, { keys: store.apply(upserts, removals) });
    };
    for (const object of shuffled(objects, next)) step([object], []);
    for (const object of shuffled(objects, next)) {
      step([], [keyOf(object)]);
      step([object], []);
    }
    if (unopened.size > 0) translator.sockets(store, unopened);
    assert.equal(render(translator), readFileSync(outputPath(name), 'utf8'), name);
    for (const object of shuffled(objects, next)) step([], [keyOf(object)]);
    const { ir, statuses, diagnostics, generated } = translator;
    assert.deepEqual([ir.size, statuses.size, diagnostics.size, generated.size], [0, 0, 0, 0], name);
  }
});
