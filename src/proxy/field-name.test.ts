import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request } from '../../test/support/routing.ts';
import { textOf } from '../base/bytes.ts';
import { FieldName, nameId } from './field-name.ts';
import { NAME } from './head.ts';
import { NAME_BYTES } from './http1/names.ts';

test('every well-known name has the id that the codec gives it', () => {
  NAME_BYTES.forEach((bytes, id) => {
    if (id !== NAME.OTHER) assert.equal(nameId(textOf(bytes)), id);
  });
  for (const name of ['other', 'x_request_id', 'x-unknown', '', 'tostring', 'constructor', '__proto__']) {
    assert.equal(nameId(name), NAME.OTHER, name);
  }
});

test('a name is found in any case, and only it', () => {
  const { mem, head } = request('h', '/', ['X-Custom: 1', 'USER-AGENT: 2', 'x-custom2: 3']);
  const found = (name: string): number[] =>
    [...Array(head.count).keys()].filter((i) => new FieldName(name).is(mem, head, i));
  assert.deepEqual(found('x-CUSTOM'), [1]);
  assert.deepEqual(found('User-Agent'), [2]);
  assert.deepEqual(found('x-custo'), []);
  assert.deepEqual(found('accept'), []);
});
