import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { arena, Decoder, Encoder, type Field, mem } from '../../../../test/support/hpack.ts';
import { LIMITS } from '../../../base/limits.ts';
import { HPACK } from './decoder.ts';
import { CODE_BITS, CODES, decodeHuffman, encodeHuffman, huffmanBytes } from './huffman.ts';

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('what the static table has is one byte', () => {
  const encoder = new Encoder();
  const fields: Field[] = [
    [':method', 'GET'],
    [':path', '/'],
    [':scheme', 'https'],
    ['Accept-Encoding', 'gzip, deflate'],
  ];
  assert.equal(hexOf(encoder.encode(fields)), '82848790');
  assert.equal(hexOf(encoder.encode([[':status', '304']])), '8b');
  assert.equal(hexOf(encoder.encode([[':status', '418']])), '0803343138');
});

test('a field goes to the table when it comes a second time, and is an index from then on', () => {
  const encoder = new Encoder();
  const decoder = new Decoder();
  const fields: Field[] = [
    [':authority', 'shop.example'],
    ['X-Tenant', 'blue'],
  ];
  const blocks = [1, 2, 3].map(() => encoder.encode(fields));
  assert.deepEqual(
    blocks.map((block) => (block[0] as number) >> 6),
    [0, 1, 2],
    'a literal, one for the table, an index',
  );
  assert.equal(blocks[2]?.length, 2);
  for (const block of blocks) {
    assert.deepEqual(decoder.decode(block).fields, [
      [':authority', 'shop.example'],
      ['x-tenant', 'blue'],
    ]);
  }
});

test('values that are never the same stay out of the table; a name that is there is an index', () => {
  const encoder = new Encoder();
  const decoder = new Decoder();
  const kept: Field = ['x-tenant', 'blue'];
  for (let i = 0; i < 3; i++) decoder.decode(encoder.encode([kept]));
  for (let i = 0; i < 1000; i++) decoder.decode(encoder.encode([['x-request-id', `id-${i}`]]));
  assert.equal(encoder.encode([kept]).length, 1);
  const other = encoder.encode([['x-tenant', 'green']]);
  assert.ok(other.length < 8, `${other.length} bytes`);
  assert.deepEqual(decoder.decode(other).fields, [['x-tenant', 'green']]);
});

test('Authorization, short cookies, and what came as never to be indexed are never indexed', () => {
  const encoder = new Encoder();
  const decoder = new Decoder();
  const fields: Field[] = [
    ['authorization', 'Bearer x'],
    ['proxy-authorization', 'Basic x'],
    ['cookie', 'a=b'],
    ['cookie', 'session=0123456789abcdef'],
    ['x-key', 'k'],
  ];
  for (let i = 0; i < 3; i++) {
    const { fields: got, never } = decoder.decode(encoder.encode(fields, ['x-key']));
    assert.deepEqual(got, fields);
    assert.deepEqual(never, ['authorization', 'proxy-authorization', 'cookie', 'x-key']);
  }
});

test('a field that is not quite the one that was in its place before is another', () => {
  const value = 'a value of some length';
  const entry: Field = ['x-^tag', value];
  const known: Field = ['content-type', value];
  const others: readonly Field[] = [
    ...Array.from(value, (_, i): Field => ['x-^tag', `${value.slice(0, i)}~${value.slice(i + 1)}`]),
    ['x-~tag', value],
    ['x-^tab', value],
    ['x-^tag', value.slice(2)],
    ['x-^tag', `${value}s`],
    ['x-^tag', ''],
    ['content-tyqe', value],
    ['content-length', '1'],
  ];
  for (const first of [entry, known]) {
    for (const other of others) {
      const encoder = new Encoder();
      const decoder = new Decoder();
      const code = (field: Field): Uint8Array => {
        const block = encoder.encode([[':status', '200'], field]);
        assert.deepEqual(decoder.decode(block, true).fields[1], field);
        return block;
      };
      for (let i = 0; i < 2; i++) code(first);
      assert.equal(code(first).length, 2);
      assert.equal(
        encoder.encode([
          [':status', '200'],
          [first[0].toUpperCase(), value],
        ]).length,
        2,
        'in any case',
      );
      for (const one of [other, other, other, first, other, first]) code(one);
      encoder.hpack.dispose();
    }
  }
});

test('a field that must not be indexed is not, where one that may be was in its place before', () => {
  const encoder = new Encoder();
  const decoder = new Decoder();
  const field: Field = ['x-key', 'key'];
  for (let i = 0; i < 3; i++) decoder.decode(encoder.encode([field]));
  assert.equal(encoder.encode([field]).length, 1);
  assert.deepEqual(decoder.decode(encoder.encode([field], ['x-key'])).never, ['x-key']);
  assert.equal(encoder.encode([field]).length, 1);
});

test('what was in the place of a field before may be gone from the table, or stand elsewhere in it', () => {
  const encoder = new Encoder();
  const decoder = new Decoder();
  const field: Field = ['x-tenant', 'blue'];
  const code = (fields: readonly Field[]): Uint8Array => {
    const block = encoder.encode(fields);
    const { result, fields: got } = decoder.decode(block);
    assert.deepEqual([result, got], [HPACK.DECODED, fields]);
    return block;
  };
  for (let i = 0; i < 3; i++) code([field]);
  for (let i = 0; i < 200; i++) {
    code([field]);
    // Twice is into the table, behind what is there.
    for (let k = 0; k < 2; k++) code([['x-other', `${'o'.repeat(i)}${i}`]]);
    if (i % 50 === 49) encoder.hpack.resize(i % 100 === 49 ? 0 : 3000);
  }
});

test('the peer decides how large the table is: smaller sizes are told before anything else', () => {
  const encoder = new Encoder();
  const field: Field[] = [['x-tenant', 'blue']];
  encoder.encode(field);
  encoder.encode(field);
  encoder.hpack.resize(0);
  encoder.hpack.resize(100);
  assert.equal(hexOf(encoder.encode([[':method', 'GET']])), '203f4582');
  assert.equal(hexOf(encoder.encode([[':method', 'GET']])), '82', 'told once');
  assert.ok(encoder.encode(field).length > 1, 'it was thrown away');
  encoder.hpack.resize(1_000_000);
  const size = LIMITS.HTTP2_HEADER_TABLE_BYTES - 31;
  const update = Buffer.from([0x3f, (size & 0x7f) | 0x80, size >> 7, 0x82]);
  assert.equal(hexOf(encoder.encode([[':method', 'GET']])), hexOf(update), 'never larger than ours');
});

test('without memory nothing is indexed, and the peer is told to forget', () => {
  const encoder = new Encoder();
  const decoder = new Decoder();
  const alloc = arena.alloc;
  arena.alloc = () => -1;
  let blocks: readonly Uint8Array[];
  try {
    blocks = [1, 2, 3, 4].map(() => encoder.encode([['a', 'b']]));
  } finally {
    arena.alloc = alloc;
  }
  for (const block of blocks) assert.deepEqual(decoder.decode(block).fields, [['a', 'b']]);
  assert.equal(blocks[2]?.[0], 0x20);
});

const token = fc.string({ unit: fc.constantFrom(...'abcxyz019-_.!#~^`|'), minLength: 1, maxLength: 20 });
const byte = fc.integer({ min: 0x20, max: 0xff }).filter((c) => c !== 0x7f);
const value = fc.array(byte, { maxLength: 60 }).map((bytes) =>
  Buffer.from(bytes)
    .toString('latin1')
    .replaceAll(/^ +| +$/g, ''),
);
const small = fc.constantFrom('', '1', 'gzip', 'text/html', 'a'.repeat(300), 'b'.repeat(1500));
const known = fc.constantFrom('accept', 'cookie', 'content-type', 'set-cookie', 'x-forwarded-for', 'traceparent', 'te');
const field = fc.tuple(fc.oneof(known, token), fc.oneof(small, value));
const pseudo = fc.constantFrom<Field>([':path', '/'], [':path', '/a/b?c'], [':path', '/index.html'], [':path', '']);

test('what is encoded is what is decoded, whatever came before, with tables of changing sizes', () => {
  const step = fc.record({
    fields: fc.array(field, { maxLength: 12 }),
    pseudo,
    resize: fc.option(fc.integer({ min: 0, max: 5000 }), { freq: 8 }),
    twice: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
      const encoder = new Encoder();
      const decoder = new Decoder();
      for (const { fields, pseudo, resize, twice } of steps) {
        if (resize !== null) encoder.hpack.resize(resize);
        const list: Field[] = [pseudo, ...fields];
        for (let i = 0; i < (twice ? 3 : 1); i++) {
          const { result, fields: got, section } = decoder.decode(encoder.encode(list));
          assert.equal(result, HPACK.DECODED);
          assert.equal(section.malformed, false);
          assert.deepEqual(got, list);
        }
      }
      encoder.hpack.dispose();
      decoder.hpack.dispose();
    }),
    { numRuns: 200 },
  );
});

test('names from HTTP/1 go out in lower case', () => {
  const decoder = new Decoder();
  const upper = fc.string({ unit: fc.constantFrom(...'ABCabc-_.~'), minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(upper, (name) => {
      const { fields } = decoder.decode(new Encoder().encode([[name, 'x']]));
      assert.deepEqual(fields, [[name.toLowerCase(), 'x']]);
    }),
  );
});

test('the code: every string comes back, and as long as was said', () => {
  const block = arena.alloc(4096);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      mem.set(bytes, block);
      const size = huffmanBytes(mem, block, block + bytes.length, CODE_BITS);
      const end = encodeHuffman(mem, block, block + bytes.length, block + 400, CODES, CODE_BITS);
      assert.equal(end - block - 400, size);
      const behind = decodeHuffman(mem, block + 400, end, block + 2000);
      assert.deepEqual(mem.slice(block + 2000, behind), bytes);
    }),
    { numRuns: 500 },
  );
  arena.free(block);
});
