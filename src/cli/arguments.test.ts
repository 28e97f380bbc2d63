import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSet, readArguments } from './arguments.ts';
import type { Flag } from './command.ts';

function flag(name: string, more: Partial<Flag> = {}): Flag {
  return { name, value: 'VALUE', default: '', help: `what ${name} does`, ...more };
}
const TABLE: readonly Flag[] = [
  flag('admin'),
  flag('header', { short: 'H', many: true }),
  flag('json', { value: '', bare: true }),
];

test('flags with their values in every spelling, and the rest in order', () => {
  const { flags, operands } = readArguments(
    ['GET', '--admin', 'a', '-H', 'x: 1', '--admin=b=c', '-Hy: 2', '--header=z:', '--json', '-', '--', '--admin', '-H'],
    TABLE,
    'do',
  );
  assert.deepEqual(
    [...flags],
    [
      ['admin', ['b=c']],
      ['header', ['x: 1', 'y: 2', 'z:']],
      ['json', ['true']],
    ],
  );
  assert.deepEqual(operands, ['GET', '-', '--admin', '-H']);
});

test('a flag without a value is set, or not', () => {
  const said = (...argv: string[]): boolean => isSet(readArguments(argv, TABLE, 'do').flags, 'json');
  assert.deepEqual(
    [said(), said('--json'), said('--json=false'), said('--json', '--json=no')],
    [false, true, false, false],
  );
  assert.throws(() => said('--json=maybe'), /--json: 'maybe' is neither true nor false/);
});

test('what is not known is an error that names the nearest, or all there is', () => {
  const error = (...argv: string[]): unknown => {
    try {
      return readArguments(argv, TABLE, 'do');
    } catch (thrown) {
      return (thrown as Error).message;
    }
  };
  assert.equal(error('--jsom'), 'unknown flag --jsom (did you mean --json?)');
  assert.equal(error('--port=1'), 'unknown flag --port; it takes --admin VALUE, --header VALUE, --json');
  assert.equal(error('-x'), 'unknown flag -x; it takes --admin VALUE, --header VALUE, --json');
  assert.equal(error('--admin'), '--admin needs a value (VALUE)');
});
