import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decoder, type Field } from '../../../../test/support/hpack.ts';
import { LIMITS } from '../../../base/limits.ts';
import { NAME } from '../../head.ts';
import { HPACK } from './decoder.ts';

interface Example {
  readonly hex: string;
  readonly fields: readonly Field[];
}

const DATE_1 = 'Mon, 21 Oct 2013 20:13:21 GMT';
const DATE_2 = 'Mon, 21 Oct 2013 20:13:22 GMT';
const COOKIE = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const request = (scheme: string, path: string, ...more: Field[]): Field[] => [
  [':authority', 'www.example.com'],
  [':method', 'GET'],
  [':path', path],
  [':scheme', scheme],
  ...more,
];
const REQUESTS = [
  request('http', '/'),
  request('http', '/', ['cache-control', 'no-cache']),
  request('https', '/index.html', ['custom-key', 'custom-value']),
];
const response = (status: string, date: string, ...more: Field[]): Field[] => [
  [':status', status],
  ['cache-control', 'private'],
  ['date', date],
  ['location', 'https://www.example.com'],
  ...more,
];
const RESPONSES = [
  response('302', DATE_1),
  response('307', DATE_1),
  response('200', DATE_2, ['content-encoding', 'gzip'], ['set-cookie', COOKIE]),
];

/** RFC 7541 appendix C.3 to C.6: each is one connection. For C.5 and C.6 the table is made smaller first. */
const EXAMPLES: Readonly<Record<string, { readonly isResponse: boolean; readonly blocks: readonly Example[] }>> = {
  'C.3': {
    isResponse: false,
    blocks: [
      { hex: '828684410f7777772e6578616d706c652e636f6d', fields: REQUESTS[0] as Field[] },
      { hex: '828684be58086e6f2d6361636865', fields: REQUESTS[1] as Field[] },
      { hex: '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565', fields: REQUESTS[2] as Field[] },
    ],
  },
  'C.4': {
    isResponse: false,
    blocks: [
      { hex: '828684418cf1e3c2e5f23a6ba0ab90f4ff', fields: REQUESTS[0] as Field[] },
      { hex: '828684be5886a8eb10649cbf', fields: REQUESTS[1] as Field[] },
      { hex: '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf', fields: REQUESTS[2] as Field[] },
    ],
  },
  'C.5': {
    isResponse: true,
    blocks: [
      {
        hex: `3fe101 4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17
          68747470733a2f2f7777772e6578616d706c652e636f6d`,
        fields: RESPONSES[0] as Field[],
      },
      { hex: '4803333037c1c0bf', fields: RESPONSES[1] as Field[] },
      {
        hex: `88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b
          48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31`,
        fields: RESPONSES[2] as Field[],
      },
    ],
  },
  'C.6': {
    isResponse: true,
    blocks: [
      {
        hex: `3fe101 488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8
          e9ae82ae43d3`,
        fields: RESPONSES[0] as Field[],
      },
      { hex: '4883640effc1c0bf', fields: RESPONSES[1] as Field[] },
      {
        hex: `88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5
          af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007`,
        fields: RESPONSES[2] as Field[],
      },
    ],
  },
};

const hex = (text: string): string => text.replaceAll(/\s/g, '');

test('RFC 7541 appendix C.2: each form of a field', () => {
  const decoder = new Decoder();
  const custom = [['custom-key', 'custom-header']];
  assert.deepEqual(decoder.hex('400a637573746f6d2d6b65790d637573746f6d2d686561646572').fields, custom);
  // It is in the table now.
  assert.deepEqual(decoder.hex('be').fields, custom);
  assert.deepEqual(decoder.hex('040c2f73616d706c652f70617468').fields, [[':path', '/sample/path']]);
  const never = decoder.hex('100870617373776f726406736563726574');
  assert.deepEqual([never.fields, never.never], [[['password', 'secret']], ['password']]);
  assert.deepEqual(decoder.hex('82').fields, [[':method', 'GET']]);
  assert.equal(decoder.hex('bf').result, HPACK.MALFORMED, 'nothing else was put there');
});

for (const [name, { isResponse, blocks }] of Object.entries(EXAMPLES)) {
  test(`RFC 7541 appendix ${name}`, () => {
    const decoder = new Decoder();
    for (const block of blocks) {
      const { result, fields, section } = decoder.hex(hex(block.hex), isResponse);
      assert.equal(result, HPACK.DECODED);
      assert.equal(section.malformed, false);
      assert.deepEqual(fields, block.fields);
    }
  });
}

test('a head is filled as from HTTP/1: ids, what was seen, lines in one run with an empty one behind', () => {
  const decoder = new Decoder();
  const { head, section } = decoder.hex(
    '82 84 87 5f 0a 746578742f68746d6c3b 0f 0d 01 35 0f 0d 01 36'.replaceAll(' ', ''),
  );
  assert.equal(section.malformed, false);
  assert.deepEqual([head.raw, head.count], [false, 3]);
  assert.deepEqual([head.name(0), head.name(1)], [NAME.CONTENT_TYPE, NAME.CONTENT_LENGTH]);
  assert.equal(head.twice, 1 << NAME.CONTENT_LENGTH);
  assert.equal(head.seen, (1 << NAME.CONTENT_LENGTH) | (1 << NAME.CONTENT_TYPE));
  assert.equal(head.lineEnd(0), head.nameStart(1));
  assert.equal(head.fieldsStart, head.nameStart(0));
  assert.equal(head.end, head.lineEnd(2) + 2);
});

const MALFORMED: Readonly<Record<string, string>> = {
  'index 0': '80',
  'an index behind the table': 'be',
  'a name by an index behind the table': '7e 01 61',
  'an integer that does not end': 'ff 80',
  'an integer larger than any need': 'ff ff ff ff ff 7f',
  'a long form of many zeros': 'ff 80 80 80 80 00',
  'a string longer than the block': '40 05 61 62',
  'a name without a value': '40 01 61',
  'nothing behind the form': '40',
  'a table larger than was allowed': '3f e2 1f',
  'a change of the size behind a field': '82 20',
  'padding of eight bits': '40 82 1f ff 01 61',
  'padding with zeros': '40 81 18 01 61',
  'the end of the string, coded': '40 84 ff ff ff ff 01 61',
};
for (const [name, block] of Object.entries(MALFORMED)) {
  test(`the block is none: ${name}`, () => assert.equal(new Decoder().hex(block).result, HPACK.MALFORMED));
}

const literal = (name: string, value: string): string => {
  const string = (text: string): string => Buffer.from([text.length, ...Buffer.from(text, 'latin1')]).toString('hex');
  return `00${string(name)}${string(value)}`;
};
const BAD_FIELDS: Readonly<Record<string, string>> = {
  'a capital letter in a name': literal('Abc', 'x'),
  'an empty name': literal('', 'x'),
  'a colon within a name': literal('a:b', 'x'),
  'a space in a name': literal('a b', 'x'),
  'a colon alone': literal(':', 'x'),
  'a byte above ASCII in a name': literal('a\xe4', 'x'),
  'an unknown pseudo-field': literal(':other', 'x'),
  'a pseudo-field in capitals': literal(':Path', '/'),
  'CR in a value': literal('a', 'x\ry'),
  'LF in a value': literal('a', 'x\ny'),
  'NUL in a value': literal('a', 'x\0y'),
  'DEL in a value': literal('a', 'x\x7fy'),
  'white space in front of a value': literal('a', ' x'),
  'white space behind a value': literal('a', 'x\t'),
  'a pseudo-field behind an ordinary one': `${literal('a', 'x')}82`,
  'a pseudo-field twice': '8282',
};
for (const [name, block] of Object.entries(BAD_FIELDS)) {
  test(`the section is malformed, and the block good: ${name}`, () => {
    const { result, section } = new Decoder().hex(block);
    assert.deepEqual([result, section.malformed], [HPACK.DECODED, true]);
  });
}

test('what is malformed is so again when it comes from the table, and a name is not blamed for its value', () => {
  const decoder = new Decoder();
  assert.equal(decoder.hex('40016101 0d'.replaceAll(' ', '')).section.malformed, true);
  assert.equal(decoder.hex('be').section.malformed, true);
  const other = decoder.hex('7e0162');
  assert.deepEqual([other.section.malformed, other.fields], [false, [['a', 'b']]]);
});

test('bytes above ASCII and tabs within a value go on as they came', () => {
  assert.deepEqual(new Decoder().hex(literal('a', 'x\t\xe4 y')).fields, [['a', 'x\t\xe4 y']]);
});

test('an entry larger than the table empties it; the field itself is good', () => {
  const decoder = new Decoder();
  decoder.hex('40016101 62'.replaceAll(' ', ''));
  const value = 'v'.repeat(LIMITS.HTTP2_HEADER_TABLE_BYTES);
  const length = Buffer.from([0x7f, ...[((4096 - 127) % 128) | 0x80, (4096 - 127) >> 7]]).toString('hex');
  const { result, fields } = decoder.hex(`400163${length}${Buffer.from(value).toString('hex')}`);
  assert.deepEqual([result, fields], [HPACK.DECODED, [['c', value]]]);
  assert.equal(decoder.hex('be').result, HPACK.MALFORMED);
});

test('more than a head may hold is a limit, and the table is kept all the same', () => {
  const decoder = new Decoder();
  const many = literal('a', 'x').repeat(LIMITS.FIELDS + 1);
  const over = decoder.hex(`40017a0179${many}`);
  assert.deepEqual([over.result, over.section.limit, over.section.malformed], [HPACK.DECODED, 'FIELDS', false]);
  assert.deepEqual(decoder.hex('be').fields, [['z', 'y']]);
  assert.equal(decoder.hex(many, true).section.limit, null, 'a response may have more');
});

test('a small block that stands for much ends at a bound', () => {
  const decoder = new Decoder();
  const value = 'v'.repeat(4000);
  const length = Buffer.from([0x7f, ((4000 - 127) % 128) | 0x80, (4000 - 127) >> 7]).toString('hex');
  assert.equal(decoder.hex(`400161${length}${Buffer.from(value).toString('hex')}`).fields.length, 1);
  const over = decoder.hex('be'.repeat(20));
  assert.deepEqual([over.result, over.section.limit], [HPACK.DECODED, 'HEAD_BYTES']);
  assert.equal(decoder.hex('be'.repeat(100)).result, HPACK.FLOOD);
});
