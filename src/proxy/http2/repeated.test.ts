import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arena, Encoder, type Field, mem } from '../../../test/support/hpack.ts';
import { textOf } from '../../base/bytes.ts';
import { FAULTS } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Io } from '../../io/io.ts';
import { FIELD } from '../field-table.ts';
import { Head } from '../head.ts';
import type { Shared } from '../transport/shared.ts';
import { HPACK } from './hpack/decoder.ts';
import { FieldSection, sectionBytes } from './hpack/section.ts';
import { RepeatedHead } from './repeated.ts';
import { RequestReader } from './request-reader.ts';

const BLOCK_BYTES = 64 * 1024;
const block = arena.alloc(BLOCK_BYTES);
const decoded = arena.alloc(sectionBytes(BLOCK_BYTES) + LIMITS.HEAD_BYTES + 64);
const io = {
  ...{ mem, random32: () => 7 },
  alloc: (n: number) => arena.alloc(n),
  free: (at: number) => arena.free(at),
} as unknown as Io;
/** Keeps nothing: there is no memory for it. */
const nothing = new RepeatedHead({ mem, alloc: () => -1, free: () => {} });

/** A connection's reading of requests, heads that come again in `repeated`. */
class Connection {
  readonly reader: RequestReader;
  readonly request = new Head();
  readonly shared = { work: 0 };
  readonly repeated: RepeatedHead;
  hits = 0;

  constructor(repeated: RepeatedHead) {
    this.repeated = repeated;
    const trailers = new Head();
    const { request, shared } = this;
    this.reader = new RequestReader(
      { io, mem, request, shared: shared as Shared },
      {
        ...{ section: new FieldSection(trailers), sectionAt: decoded, trailers },
        repeated: () => repeated,
      },
    );
    const { restore } = repeated;
    repeated.restore = (head) => {
      if (head === request) this.hits++;
      restore.call(repeated, head);
    };
  }

  /** All that is known of the request in `bytes`; its connection's fault as a number. */
  read(bytes: Uint8Array, ended = true): unknown {
    mem.set(bytes, block);
    // What others decoded meanwhile.
    mem.fill(0xaa, decoded, decoded + 2048);
    const { reader, request, shared } = this;
    shared.work = 0;
    // As another protocol's request left them.
    request.fault = FAULTS.badRequest;
    request.limit = 'FIELDS';
    const result = reader.decode(block, block + bytes.length, false, ended);
    if (result !== HPACK.DECODED) return result;
    const fault = reader.request(ended);
    const seen = [shared.work, fault ?? told(request)];
    // Whoever has it next marks fields and writes into it.
    for (let k = 0; k < request.count; k++) request.drop(k);
    if (fault === null) mem.fill(0x21, request.start, request.end);
    return seen;
  }
}

function told(head: Head): unknown {
  const { fields, table, ...rest } = head;
  const rows = Array.from({ length: head.count }, (_, k) =>
    Array.from(fields.subarray(k * FIELD.WORDS, k * FIELD.WORDS + FIELD.DROP + 1)),
  );
  assert.equal(table.words, fields);
  return { ...rest, rows, text: textOf(mem, head.start, head.end), status: 0, reasonStart: 0, reasonEnd: 0 };
}

let seed = 11;
const next = (n: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((seed / 2 ** 32) * n);
};
const pick = <T>(list: readonly T[]): T => list[next(list.length)] as T;

const HEAD: readonly Field[] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'a.example'],
];

function request(): Field[] {
  const fields: Field[] = [...HEAD, [':path', pick(['/', '/a', '/a?b', '/a?c', `/${next(4)}`])]];
  for (let n = next(5); n > 0; n--) {
    fields.push(
      pick<Field>([
        ['accept', '*/*'],
        ['x-a', pick(['1', '2', 'three'])],
        ['cookie', pick(['a=b', 'session=0123456789abcdef', 'c=d'])],
        ['authorization', 'Basic x'],
        ['te', 'trailers'],
        ['content-length', next(9) === 0 ? '1' : '0'],
        ...(next(9) === 0 ? [['connection', 'close'] as const] : []),
        ['x-long', 'l'.repeat(next(3) * 900)],
      ]),
    );
  }
  return fields;
}

/** What comes besides whole requests: entries that push others out, sizes of the table, any indexes. */
function odd(): number[] {
  switch (next(5)) {
    case 0:
      return [0x40, 1, 0x78, 1, 0x30 + next(10), 0x82, 0x87, 0x84, 0xbf];
    case 1:
      return [0x20 | pick([0, 30]), 0x82, 0x87, 0x84, 0xbe];
    case 2:
      return [0x3f, 0xe1, 0x1f, 0x82, 0x87, 0x84, 0x41, 1, 0x61];
    case 3:
      return [0x10, 1, 0x78, 1, 0x30, 0x82];
    default:
      return [0x82, 0x87, 0x84, 0x80 | (62 + next(6)), 0x80 | (62 + next(3))];
  }
}

test('a head that comes again is read as it would be anew, whatever happened to the table in between', () => {
  let hits = 0;
  for (let round = 0; round < 200; round++) {
    const repeated = new RepeatedHead(io);
    // Two connections have the same place to keep one in.
    const connections = [0, 1].map(() => ({
      plain: new Connection(nothing),
      kept: new Connection(repeated),
      encoder: new Encoder(),
      last: new Uint8Array([0x82, 0x87, 0x84]) as Uint8Array,
    }));
    for (let i = 0; i < 60; i++) {
      const one = connections[next(8) === 0 ? 1 : 0] as (typeof connections)[number];
      const way = next(10);
      if (way < 1) one.last = one.encoder.encode(request());
      else if (way === 1 && next(3) === 0) one.last = Uint8Array.from(odd());
      const ended = next(6) > 0;
      const expected = one.plain.read(one.last, ended);
      assert.deepEqual(one.kept.read(one.last, ended), expected, `round ${round}, block ${i}`);
      if (typeof expected === 'number') break;
    }
    for (const { plain, kept, encoder } of connections) {
      hits += kept.hits;
      for (const codec of [plain.reader, kept.reader, encoder.hpack]) codec.dispose();
    }
    repeated.dispose();
  }
  assert.ok(hits > 400, `${hits} were known`);
});

const AGAIN = Uint8Array.from([0x82, 0x87, 0x84, 0x01, 1, 0x61, 0xbe]);
const again = (connection: Connection): string => JSON.stringify(connection.read(AGAIN));
const add = (connection: Connection, c: string): unknown =>
  connection.read(Uint8Array.from([0x40, 1, 0x78, 1, c.charCodeAt(0), 0x82, 0x87, 0x84, 0x01, 1, 0x61]));

test('the same bytes stand for another field once the table has another', () => {
  const connection = new Connection(new RepeatedHead(io));
  add(connection, '1');
  for (let i = 0; i < 4; i++) assert.match(again(connection), /x: 1/);
  assert.equal(connection.hits, 2);
  add(connection, '2');
  for (let i = 0; i < 4; i++) assert.match(again(connection), /x: 2/);
  assert.equal(connection.hits, 4);
  // The table is emptied: the index is of nothing.
  connection.read(Uint8Array.from([0x20, 0x82, 0x87, 0x84, 0x01, 1, 0x61]));
  assert.equal(connection.read(AGAIN), HPACK.MALFORMED);
});

test('the same bytes stand for another field on another connection', () => {
  const repeated = new RepeatedHead(io);
  const [one, other] = [new Connection(repeated), new Connection(repeated)];
  add(one, '1');
  add(other, '2');
  for (let i = 0; i < 4; i++) assert.match(again(one), /x: 1/);
  assert.equal(one.hits, 2);
  for (let i = 0; i < 4; i++) assert.match(again(other), /x: 2/);
  for (let i = 0; i < 4; i++) assert.match(again(one), /x: 1/);
});

test('a request with content is another one than the same without', () => {
  const connection = new Connection(new RepeatedHead(io));
  const plain = new Connection(nothing);
  add(connection, '1');
  add(plain, '1');
  for (const ended of [false, false, false, true, true, true, false, true]) {
    assert.deepEqual(connection.read(AGAIN, ended), plain.read(AGAIN, ended));
  }
  assert.equal(connection.hits, 2);
});

test('what is too long, adds to the table or has a fault is not kept', () => {
  const blocks: readonly (readonly [Uint8Array, boolean])[] = [
    [
      Uint8Array.from([0x82, 0x87, 0x84, 0x01, 1, 0x61, 0x00, 1, 0x78, 0x7f, 0xa1, 0x1f, ...Buffer.alloc(4128, 'y')]),
      true,
    ],
    [Uint8Array.from([0x82, 0x87, 0x84, 0x01, 1, 0x61, 0x40, 1, 0x78, 1, 0x79]), true],
    // A tunnel of another protocol.
    [
      Uint8Array.from([
        0x02,
        7,
        ...Buffer.from('CONNECT'),
        0x87,
        0x84,
        0x01,
        1,
        0x61,
        0x00,
        9,
        ...Buffer.from(':protocol'),
        9,
        ...Buffer.from('websocket'),
      ]),
      false,
    ],
    [Uint8Array.from([0x82, 0x87, 0x84]), true],
  ];
  for (const [bytes, ended] of blocks) {
    const connection = new Connection(new RepeatedHead(io));
    const first = connection.read(bytes, ended);
    for (let i = 0; i < 4; i++) assert.deepEqual(connection.read(bytes, ended), first);
    assert.equal(connection.hits, 0);
  }
});

test('without memory to keep one in, heads are decoded as ever', () => {
  const connection = new Connection(new RepeatedHead({ mem, alloc: () => -1, free: () => {} }));
  const first = connection.read(AGAIN.subarray(0, 6));
  for (let i = 0; i < 4; i++) assert.deepEqual(connection.read(AGAIN.subarray(0, 6)), first);
  assert.equal(connection.hits, 0);
});
