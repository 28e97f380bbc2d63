// Typical mistakes in every example: what is said of them is what testdata/mistakes has, and enough to mend them.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mistakeNames, mistakesFile, readMistakes, toldOf, writtenMistakes } from '../tools/mistakes.ts';

const EXAMPLES = fileURLToPath(new URL('../examples', import.meta.url));

test('every example is changed wrongly in five ways', () => {
  const folders = readdirSync(EXAMPLES, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? [e.name] : []));
  assert.deepEqual(mistakeNames(), folders.sort());
  for (const name of folders) assert.ok(readMistakes(name).length >= 5, name);
});

for (const name of mistakeNames()) {
  test(`examples/${name}: mistakes are told, where they are and how they are mended`, async () => {
    assert.equal(
      await writtenMistakes(name),
      readFileSync(mistakesFile(name), 'utf8'),
      'review it: bin/node tools/mistakes.ts',
    );
    for (const mistake of readMistakes(name)) {
      const { check, status, explain } = await toldOf(name, mistake);
      const what = `${mistake.file}: ${mistake.to}`;
      const complaints = check.slice(0, -1);
      assert.ok(complaints.length > 0, `${what}: rauta check says nothing`);
      assert.ok(
        complaints.every((line) => /^[a-z-]+\.yaml:\d+:\d+: (?:error|warning): /.test(line)),
        complaints.join('\n'),
      );
      const said = [...complaints, ...status, ...explain].join('\n');
      assert.ok(said.includes(mistake.says), `${what}: nobody says ${mistake.says}\n${said}`);
    }
  });
}
