// Fuzzing of HPACK: blocks of chance and mutated ones never reach outside of what is theirs and say the same twice; and
// node's own HTTP/2 reads what we write, and writes what we read. FUZZ_SECONDS and FUZZ_SEED as in http1.test.ts.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { HPACK } from '../../src/proxy/http2/hpack/decoder.ts';
import { Decoder, Encoder, type Field } from '../support/hpack.ts';
import { Chance } from './http1-mutate.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);

async function fuzz(t: TestContext, steps: number, step: (chance: Chance) => void | Promise<void>): Promise<void> {
  const seed = Number(process.env['FUZZ_SEED'] ?? (SECONDS > 0 ? randomInt(2 ** 31) : 1));
  const chance = new Chance(seed);
  const end = performance.now() + SECONDS * 1000;
  let done = 0;
  while (SECONDS > 0 ? performance.now() < end : done < steps) {
    await step(chance);
    done++;
  }
  t.diagnostic(`seed ${seed}, ${done} steps`);
}

const WORDS = ['a', 'accept', 'cookie', 'content-type', 'x-request-id', 'te', 'text/html; charset=utf-8', '0', ''];

function text(chance: Chance, characters: string, most: number): string {
  let out = '';
  for (let n = chance.next(most + 1); n > 0; n--) out += characters[chance.next(characters.length)];
  return out;
}

function fieldsOf(chance: Chance): Field[] {
  return Array.from({ length: chance.next(10) }, (): Field => {
    const name =
      chance.next(2) === 0 ? `x-${text(chance, 'abc-09_', 10)}` : chance.pick(['accept', 'te', 'vary', 'via']);
    const value = chance.next(2) === 0 ? chance.pick(WORDS) : text(chance, 'abcABC 019;=,\xe4\xff~^', 40).trim();
    return [name, name === 'te' ? 'trailers' : value];
  });
}

/** A block that may be one: forms of fields with indexes and strings of chance, then some bytes changed. */
function blockOf(chance: Chance, encoder: Encoder): Uint8Array {
  const bytes = chance.next(3) === 0 ? [] : [...encoder.encode(fieldsOf(chance))];
  for (let n = chance.next(20); n > 0; n--) {
    const form = chance.pick([0x80, 0xbe, 0xc0, 0x40, 0x50, 0x00, 0x10, 0x20, 0x3f, 0xff, 0x7f]);
    bytes.push(form | chance.next(16));
    if (form < 0x80) {
      const length = chance.next(12);
      bytes.push(length | (chance.next(2) << 7), ...Array.from({ length }, () => chance.next(256)));
    }
  }
  for (let n = chance.next(4); n > 0 && bytes.length > 0; n--) bytes[chance.next(bytes.length)] = chance.next(256);
  return Uint8Array.from(bytes);
}

test('two decoders agree on any blocks, all that is given out is well-formed, and what it stands for is bounded', (t) =>
  fuzz(t, 3000, (chance) => {
    const encoder = new Encoder();
    const one = new Decoder();
    const other = new Decoder();
    for (let n = 1 + chance.next(5); n > 0; n--) {
      const block = blockOf(chance, encoder);
      const { result, fields, section, head } = one.decode(block);
      const again = other.decode(block);
      assert.deepEqual([again.result, again.fields], [result, fields]);
      if (result !== HPACK.DECODED) break;
      assert.ok(section.size <= 4 * LIMITS.HEAD_BYTES);
      if (section.malformed || section.limit !== null) continue;
      let at = head.fieldsStart;
      for (let k = 0; k < head.count; k++) {
        assert.equal(head.nameStart(k), at);
        at = head.lineEnd(k);
      }
      for (const [name, value] of fields) {
        assert.match(name, /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/);
        assert.ok([...value].every((c) => c === '\t' || (c >= ' ' && c !== '\x7f')));
        assert.equal(value, value.replaceAll(/^[ \t]+|[ \t]+$/g, ''));
      }
      if (fields.some(([name, value]) => name === ':status' && !/^\d{3}$/.test(value))) continue;
      const round = new Encoder();
      const back = new Decoder();
      assert.deepEqual(back.decode(round.encode(fields)).fields, fields);
      round.hpack.dispose();
      back.hpack.dispose();
    }
    encoder.hpack.dispose();
    one.hpack.dispose();
    other.hpack.dispose();
  }));

// ---- against node's own

const frame = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
const HEADERS = 1;
const SETTINGS = 4;
const END = 5; // END_STREAM, END_HEADERS

/** A connection to a server of node's: sends blocks of requests and gets blocks of responses. */
class RawClient {
  readonly #socket: net.Socket;
  #left = Buffer.alloc(0);
  #next = 1;
  readonly #waiting = new Map<number, (block: Buffer) => void>();

  constructor(port: number) {
    this.#socket = net.connect(port, '127.0.0.1');
    this.#socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    this.#socket.write(frame(SETTINGS, 0, 0, new Uint8Array(0)));
    this.#socket.on('data', (data: Buffer) => this.#read(data));
  }

  request(block: Uint8Array): Promise<Buffer> {
    const stream = this.#next;
    this.#next += 2;
    return new Promise((resolve) => {
      this.#waiting.set(stream, resolve);
      this.#socket.write(frame(HEADERS, END, stream, block));
    });
  }

  #read(data: Buffer): void {
    this.#left = Buffer.concat([this.#left, data]);
    while (this.#left.length >= 9) {
      const length = this.#left.readUIntBE(0, 3);
      if (this.#left.length < 9 + length) return;
      const payload = this.#left.subarray(9, 9 + length);
      const stream = this.#left.readUInt32BE(5);
      if (this.#left[3] === HEADERS) this.#waiting.get(stream)?.(Buffer.from(payload));
      if (this.#left[3] === SETTINGS && this.#left[4] === 0)
        this.#socket.write(frame(SETTINGS, 1, 0, new Uint8Array(0)));
      this.#left = this.#left.subarray(9 + length);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

test("node's HTTP/2 reads the fields that we encode, and we read those that it encodes", async (t) => {
  const seen: string[][] = [];
  let answer: Field[] = [];
  const server = http2.createServer();
  server.on('stream', (stream: http2.ServerHttp2Stream, _headers, _flags, rawHeaders: string[]) => {
    seen.push(rawHeaders);
    const values = [...Map.groupBy(answer, ([name]) => name)].map(([name, fields]) => [name, fields.map(([, v]) => v)]);
    stream.respond(Object.fromEntries(values));
    stream.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new RawClient((server.address() as net.AddressInfo).port);
  const encoder = new Encoder();
  const decoder = new Decoder();
  const pseudo: Field[] = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':authority', 'localhost'],
    [':path', '/'],
  ];
  try {
    await fuzz(t, 300, async (chance) => {
      const fields = fieldsOf(chance);
      answer = fieldsOf(chance).filter(([name]) => name !== 'te');
      const path: Field = [':path', chance.pick(['/', '/index.html', `/${text(chance, 'abc/09', 20)}`])];
      const request: Field[] = [...pseudo.slice(0, 3), path, ...fields];
      const block = await client.request(encoder.encode(request));
      assert.deepEqual(seen.pop(), request.flat());
      const { result, fields: got, section } = decoder.decode(block, true);
      assert.deepEqual([result, section.malformed], [HPACK.DECODED, false]);
      const expected = Map.groupBy(answer, ([name]) => name);
      for (const [name, values] of expected) {
        assert.deepEqual(
          got.filter(([other]) => other === name),
          values,
        );
      }
    });
  } finally {
    client.close();
    server.close();
  }
});
