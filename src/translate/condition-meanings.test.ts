import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MEANINGS } from './condition-meanings.ts';
import { conditionTable } from './conditions.ts';

/** True, and still something to look at. */
const TRUE_AND_ODD =
  /^(Conflicted|PartiallyInvalid|InsecureFrontendValidationMode|rauta\.io\/Warnings) |ListenersNotValid$/;

test('of every condition that is not as it should be the table says what to do, of the others nothing', () => {
  for (const { name, type, status, reason } of conditionTable()) {
    const { when, todo } = MEANINGS[name];
    assert.match(when, /^[A-Z`].*\.$/, name);
    const good =
      type === 'Conflicted' ? status === 'False' : status === 'True' && !TRUE_AND_ODD.test(`${type} ${reason}`);
    assert.equal(todo === '', good, `${name}: ${todo}`);
    if (!good) assert.match(todo, /^[A-Z].*[^.]\.$/, name);
  }
});
