import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { complaintFile, complaintNames, complaintsOf, mendedText, readComplaint } from '../../tools/complaints.ts';

/** Words of parsers, of generated checks and of programmers, and pieces of regular expressions. */
const JARGON: readonly RegExp[] = [
  /\(\?[:!=]|\[a-z|\[A-Z|\[0-9\]\{|\)\*\$|\]\*\)?\$|\^\[|\^\(/,
  /must match|regexp|\bscalar\b|flow (map|sequence|collection)|block (map|sequence|collection|scalar)|implicit key/i,
  /compact mapping|\btoken\b|\bnil\b|\bnull\b|undefined|\bNaN\b(?! \()|\[object|CEL\b|httpRouteFilter|\bprune/,
  /one of \[|\['|must be specified|RFC-?1123|Error:|at Object|\bPerl\b/,
];

const WHERE = /^(.+?):(\d+):(\d+): (error|warning): /;

for (const name of complaintNames()) {
  test(`${name}: one complaint, at its place, of its cause, in plain words, with a form that works`, async () => {
    const complaint = readComplaint(name);
    const lines = await complaintsOf(complaint.text);
    assert.equal(`${lines.join('\n')}\n`, readFileSync(complaintFile(name), 'utf8'), 'as in its golden file');
    const said = lines.slice(0, -1);
    assert.equal(said.length, 1, `one cause, one complaint: ${said.join('\n')}`);
    const [line = ''] = said;
    assert.match(line, WHERE, 'file, line and column');
    const words = line.replace(WHERE, '');
    // What stands there, and patterns that are offered as such, may be patterns.
    const own = words.replaceAll(/"(?:[^"\\]|\\.)*"|RegularExpression, value \S+|write \/\S+/g, '');
    for (const pattern of JARGON) assert.doesNotMatch(own, pattern);
    if (complaint.field !== null) assert.ok(words.includes(complaint.field), `names ${complaint.field}: ${line}`);
    if (complaint.found !== null) assert.ok(words.includes(complaint.found), `names ${complaint.found}: ${line}`);
    assert.ok(words.includes(complaint.right), `offers ${complaint.right}: ${line}`);
    const after = await complaintsOf(mendedText(complaint));
    if (complaint.unmended === null) assert.deepEqual(after.slice(0, -1), [], 'with that nothing is wrong any more');
  });
}

test('there are 150 broken inputs at the least', () => {
  assert.ok(complaintNames().length >= 150);
});
