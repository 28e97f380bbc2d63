import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageError, MessageReader, MessageWriter, WIRE } from './protobuf.ts';

const hex = (writer: MessageWriter): string => Buffer.from(writer.bytes).toString('hex');
const of = (text: string): MessageReader => new MessageReader(Buffer.from(text, 'hex'));

test('fields as the documentation of the encoding prints them', () => {
  assert.equal(hex(new MessageWriter().integer(1, 150)), '089601');
  assert.equal(hex(new MessageWriter().text(2, 'testing')), '120774657374696e67');
  assert.equal(hex(new MessageWriter().message(3, new MessageWriter().integer(1, 150))), '1a03089601');
  assert.equal(hex(new MessageWriter().integer(1, -2)), '08feffffffffffffffff01');
  assert.equal(hex(new MessageWriter().integer(1, 0).text(2, '')), '');
  assert.equal(hex(new MessageWriter().bytesField(1, new Uint8Array(0))), '0a00');
});

test('what was written is read, also where it needs more room than there was', () => {
  const long = 'x'.repeat(100_000);
  const writer = new MessageWriter()
    .integer(1, 2 ** 40)
    .text(2, long)
    .integer(3, -1)
    .text(16, 'ü');
  const reader = new MessageReader(writer.bytes);
  assert.ok(reader.next());
  assert.deepEqual([reader.field, reader.wire], [1, WIRE.VARINT]);
  assert.ok(reader.next());
  assert.equal(reader.text, long);
  assert.ok(reader.next());
  assert.deepEqual([reader.int32, reader.bool], [-1, true]);
  assert.ok(reader.next());
  assert.deepEqual([reader.field, reader.text], [16, 'ü']);
  assert.equal(reader.next(), false);
});

test('fields that nobody asks for are skipped, of every wire type', () => {
  const reader = of('0901020304050607080d010203041a0161');
  while (reader.next()) if (reader.field === 3) assert.equal(reader.text, 'a');
  assert.equal(reader.field, 3);
});

test('what is no message is refused', () => {
  for (const text of ['08', '0880', '12', '1205', '120561', '00', '0b', '0c', `08${'ff'.repeat(10)}01`, '09010203']) {
    assert.throws(() => {
      const reader = of(text);
      while (reader.next());
    }, MessageError);
  }
  const reader = of('0801120161');
  reader.next();
  assert.throws(() => reader.bytes, MessageError);
  reader.next();
  assert.throws(() => reader.int32, MessageError);
  const broken = of('1201ff');
  broken.next();
  assert.throws(() => broken.text, MessageError);
});
