// Reading costs what the size of the text is, whatever it says: forms for which any step that compares everything with
// everything (it would be 100 s and more for each) ends at the limit of CPU time instead.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('support/scale.ts', import.meta.url));
const CPU_SECONDS = 90;

test('every step of reading costs in proportion to what is read', () => {
  const limited = `ulimit -t ${CPU_SECONDS} && exec "$0" --disable-warning=ExperimentalWarning "$1"`;
  const { status, signal, stdout, stderr } = spawnSync('sh', ['-c', limited, process.execPath, SCRIPT], {
    encoding: 'utf8',
  });
  assert.equal(signal, null, `more than ${CPU_SECONDS} s of CPU`);
  assert.equal(status, 0, stderr);
  assert.deepEqual(stdout.trim().split('\n'), [
    'keys of a mapping: 0',
    'keys of a JSON mapping: 0',
    'one key again and again: 3',
    'unknown fields: 101',
    'wrong labels: 101',
    'anchors and aliases: 0',
    'merges of one mapping: 1',
    'lists as keys: 1',
    'endpoints twice: 101',
    'ports twice: 101',
    'items of a list: 1001',
    'documents of one name: 1001',
    'documents of few names: 1001',
    'JSON objects behind each other: 1001',
    'document markers: 0',
    'empty lines and comments: 1',
    'a line without end: 1',
    'more than a document may hold: 1',
    'quotes that do not close: 1',
    'files of one object: 5001 14999 5001',
  ]);
});
