// Examples of other pages, pasted as they stand: what is missing for files is said in at most five lines, each with
// what to do; with our class what is left is; and with that all is served without a word.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { elsewhereNames, outputFile, outputOf, stagesOf } from '../../tools/elsewhere.ts';

const LINES = 5;

for (const name of elsewhereNames()) {
  test(`${name}: what is missing for files, in a few lines`, async () => {
    const stages = await stagesOf(name);
    assert.equal(outputOf(stages), readFileSync(outputFile(name), 'utf8'), 'as in its golden file');
    const { asItStands, withClass, whole } = stages;
    for (const said of [asItStands, withClass]) assert.ok(said.length > 0 && said.length <= LINES, said.join('\n'));
    const all = asItStands.join('\n');
    if (name !== 'site-traffic-splitting')
      assert.match(all, /Write that, or name class rauta|"rauta" needs no GatewayClass: write that/, 'the class');
    const services = /kind: Service\n/.test(readFileSync(outputFile(name).replace('.out.txt', '.in.yaml'), 'utf8'));
    if (services) assert.match(all, /No EndpointSlice .* from files nobody makes one: write it, or refer to a Backend/);
    const left = whole.filter((line) => !/not read here, ignored: .*(Deployment|ServiceAccount)/.test(line));
    assert.deepEqual(left, [], 'with what is missing nothing is left to say');
  });
}

test('there are the quickstart, the cafe and eight of the site', () => {
  assert.ok(elsewhereNames().length >= 10);
});
