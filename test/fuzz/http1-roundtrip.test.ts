// Property: a valid message, written on by the codec and parsed again, is the same message, however it came in pieces.
// FUZZ_SECONDS runs for that long; the seed is printed with a failure.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesOf, put, textOf } from '../../src/base/bytes.ts';
import { move } from '../../src/base/memory.ts';
import { putRequestLine } from '../../src/proxy/filter/path-edit.ts';
import { BODY, type Head, METHOD } from '../../src/proxy/head.ts';
import { BODY_STATE, BodyReader } from '../../src/proxy/http1/body.ts';
import { DONE } from '../../src/proxy/http1/scan.ts';
import { copyTrailers } from '../../src/proxy/http1/trailers.ts';
import {
  CHUNK_END,
  CHUNK_HEAD_BYTES,
  LAST_CHUNK_SIZE,
  putChunkHead,
  putChunkHeadBefore,
  putDate,
  putStatusLine,
  stripResponseInPlace,
} from '../../src/proxy/http1/write.ts';
import { CRLF, copyFields, putHost } from '../../src/proxy/lines.ts';
import { feed, feedBodyOf, fieldsOf, latin1, mem } from '../support/http1.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);
const parameters: fc.Parameters<unknown> =
  SECONDS > 0
    ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false }
    : { numRuns: 500, seed: 9112 };

const OUT = 1 << 18;

function chars(set: string, constraints: fc.StringConstraints = {}): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...set), ...constraints });
}
const ALPHANUMERIC = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const TCHAR = `${ALPHANUMERIC}!#$%&'*+-.^_\`|~`;
const VISIBLE = Array.from({ length: 94 }, (_, k) => String.fromCharCode(0x21 + k)).join('');
const token = chars(TCHAR, { minLength: 1, maxLength: 20 });
const inner = chars(`${VISIBLE} \t\x80\xe4\xff`, { maxLength: 40 }).map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ''));
const ows = chars(' \t', { maxLength: 3 });

/** Names that change what the message is; they are added on purpose. */
const SPECIAL =
  /^(host|connection|content-length|transfer-encoding|te|upgrade|keep-alive|proxy-connection|http2-settings|expect)$/i;
const plainName = fc
  .oneof(token, fc.constantFrom('Accept', 'Cookie', 'X-Forwarded-For', 'User-Agent', 'Set-Cookie', 'Date'))
  .filter((name) => !SPECIAL.test(name));
interface Field {
  readonly name: string;
  readonly value: string;
  readonly before: string;
  readonly after: string;
}
const field: fc.Arbitrary<Field> = fc.record({ name: plainName, value: inner, before: ows, after: ows });
const fields = fc.array(field, { maxLength: 12 });
const line = (f: Field): string => `${f.name}:${f.before}${f.value}${f.after}\r\n`;

const hop = fc.constantFrom(
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Keep-Alive: timeout=5\r\n',
  'TE: trailers\r\n',
  'Proxy-Connection: close\r\n',
  '',
);

const extension = fc.constantFrom('', '', ';a', ';a=b', ';a="x;\\"y"', ' ; a = b');
const content = chars(`${VISIBLE}\r\n \0\xff`, { maxLength: 80 });
type Body =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly data: string }
  | { readonly kind: 'chunked'; readonly chunks: [string, string][]; readonly trailers: Field[] };
const body: fc.Arbitrary<Body> = fc.oneof(
  fc.constant({ kind: 'none' } as const),
  fc.record({ kind: fc.constant('length' as const), data: content }),
  fc.record({
    kind: fc.constant('chunked' as const),
    chunks: fc.array(
      fc.tuple(
        content.filter((text) => text !== ''),
        extension,
      ),
      { maxLength: 6 },
    ),
    trailers: fc.array(field, { maxLength: 3 }),
  }),
);

function framing(b: Body): string {
  if (b.kind === 'none') return '';
  return b.kind === 'length' ? `Content-Length: ${b.data.length}\r\n` : 'Transfer-Encoding: chunked\r\n';
}
function bytesOfBody(b: Body): string {
  if (b.kind === 'none') return '';
  if (b.kind === 'length') return b.data;
  const chunks = b.chunks.map(([data, ext]) => `${data.length.toString(16)}${ext}\r\n${data}\r\n`);
  return `${chunks.join('')}0\r\n${b.trailers.map(line).join('')}\r\n`;
}
function contentOf(b: Body): string {
  return b.kind === 'none' ? '' : b.kind === 'length' ? b.data : b.chunks.map(([data]) => data).join('');
}

/** Writes a body on: content as one chunk each range, trailers as they may go; returns the offset behind it. */
function forwardBody(head: Head, from: number, end: number, at: number): number {
  const reader = new BodyReader();
  reader.reset(head.body, head.contentLength);
  let next = from;
  let out = at;
  let trailers = -1;
  for (;;) {
    const state = reader.read(mem, next, end);
    next = reader.next;
    if (state === BODY_STATE.DATA) {
      const n = reader.dataEnd - reader.dataStart;
      if (head.body !== BODY.CHUNKED) {
        out = move(mem, out, reader.dataStart, reader.dataEnd);
      } else if (n % 2 === 0) {
        out = move(mem, putChunkHead(mem, out, n), reader.dataStart, reader.dataEnd);
        out = put(mem, out, CHUNK_END);
      } else {
        // The other way: data first, its chunk head put before it, all moved to its place.
        const data = out + CHUNK_HEAD_BYTES;
        const dataEnd = move(mem, data, reader.dataStart, reader.dataEnd);
        out = put(mem, move(mem, out, putChunkHeadBefore(mem, data, n), dataEnd), CHUNK_END);
      }
    } else if (state === BODY_STATE.TRAILERS) {
      out = put(mem, out, LAST_CHUNK_SIZE);
      trailers = out;
      out = copyTrailers(mem, out, reader.trailersStart, reader.trailersEnd);
    } else {
      assert.equal(state, BODY_STATE.END);
      break;
    }
  }
  if (head.body !== BODY.CHUNKED) return out;
  if (trailers < 0) out = put(mem, out, LAST_CHUNK_SIZE);
  return put(mem, out, CRLF);
}

function everyCut(cuts: readonly number[], length: number): number[] {
  return cuts.map((cut) => cut % (length + 1)).sort((a, b) => a - b);
}

test('requests', () => {
  const target = fc
    .tuple(
      chars(`${VISIBLE.replace(/[?#]/g, '')}`, { maxLength: 30 }),
      fc.option(chars(VISIBLE.replace('#', ''), { maxLength: 20 })),
    )
    .map(([path, query]) => `/${path}${query === null ? '' : `?${query}`}`);
  const property = fc.property(
    fc.oneof(
      fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'DELETE'),
      token.filter((text) => text !== 'CONNECT'),
    ),
    target,
    fc.constantFrom('', 'http://a.example', 'HTTPS://[::1]:8080'),
    fields,
    hop,
    body,
    fc.array(fc.nat(), { maxLength: 4 }),
    (method, path, origin, list, hopLine, b, cuts) => {
      const text = `${method} ${origin}${path} HTTP/1.1\r\n${list.map(line).join('')}Host: h\r\n${hopLine}${framing(b)}\r\n`;
      const whole = latin1(text + bytesOfBody(b));
      const first = feed('request', whole, ...everyCut(cuts, whole.length));
      assert.equal(first.result, DONE, first.head.fault?.text ?? 'more');
      mem.set(whole, 64);
      assert.equal(first.head.end, 64 + text.length);
      const authority = origin === '' ? 'h' : origin.replace(/^.*\/\//, '');
      assert.equal(textOf(mem, first.head.authorityStart, first.head.authorityEnd), authority);
      const read = feedBodyOf(first.head, whole.subarray(text.length), ...everyCut(cuts, whole.length - text.length));
      assert.equal(read.state, BODY_STATE.END);
      assert.equal(read.content, contentOf(b));

      mem.set(whole, 64);
      let at = putRequestLine(mem, OUT, first.head, 0, null);
      at = putHost(mem, at, first.head);
      at = copyFields(mem, at, first.head);
      if (first.head.body === BODY.CHUNKED) at = put(mem, at, bytesOf(framing(b)));
      at = put(mem, at, CRLF);
      const end = forwardBody(first.head, first.head.end, 64 + whole.length, at);
      const written = mem.slice(OUT, end);
      const second = feed('request', written);
      assert.equal(second.result, DONE);
      assert.equal(textOf(mem, second.head.methodStart, second.head.methodEnd), method);
      assert.equal(second.head.method === METHOD.OTHER, first.head.method === METHOD.OTHER);
      assert.equal(textOf(mem, second.head.targetStart, second.head.targetEnd), path);
      const expected: [string, string][] = list.map((f) => [f.name, f.value]);
      if (origin === '') expected.push(['Host', authority]);
      else expected.unshift(['Host', authority]);
      if (b.kind !== 'none') expected.push(framing(b).trimEnd().split(': ') as [string, string]);
      assert.deepEqual(fieldsOf(second.head), expected);
      const again = feedBodyOf(second.head, written.subarray(second.head.end - 64));
      assert.equal(again.state, BODY_STATE.END);
      assert.equal(again.content, contentOf(b));
      assert.equal(again.used, written.length - (second.head.end - 64));
    },
  );
  fc.assert(property, parameters);
});

test('responses, written anew and stripped in place', () => {
  const property = fc.property(
    fc.integer({ min: 200, max: 599 }).filter((status) => status !== 204 && status !== 304),
    inner,
    fc.constantFrom('1.0', '1.1'),
    fields,
    fields,
    hop,
    body,
    fc.array(fc.nat(), { maxLength: 4 }),
    (status, reason, version, before, after, hopLine, b, cuts) => {
      const httpVersion = b.kind === 'chunked' ? '1.1' : version;
      const rest = `${before.map(line).join('')}${hopLine}${after.map(line).join('')}${framing(b)}\r\n`;
      const text = `HTTP/${httpVersion} ${status} ${reason}\r\n${rest}`;
      const whole = latin1(text + bytesOfBody(b));
      const first = feed('response', whole, ...everyCut(cuts, whole.length));
      assert.equal(first.result, DONE);
      mem.set(whole, 64);
      let at = putStatusLine(mem, OUT, first.head);
      at = put(mem, copyFields(mem, at, first.head), CRLF);
      const anew = textOf(mem, OUT, at);
      const start = stripResponseInPlace(mem, first.head);
      assert.equal(textOf(mem, start, first.head.end), anew);
      const second = feed('response', latin1(anew));
      assert.equal(second.result, DONE);
      assert.equal(second.head.status, status);
      assert.equal(textOf(mem, second.head.reasonStart, second.head.reasonEnd), reason);
      const expected: [string, string][] = [...before, ...after].map((f) => [f.name, f.value]);
      if (b.kind !== 'none') expected.push(framing(b).trimEnd().split(': ') as [string, string]);
      assert.deepEqual(fieldsOf(second.head), expected);
      assert.equal(second.head.body, first.head.body);
    },
  );
  fc.assert(property, parameters);
});

test('a date written is the one that Date parses', () => {
  const property = fc.property(
    fc.date({ min: new Date(0), max: new Date('2199-12-31'), noInvalidDate: true }),
    (date) => {
      const text = textOf(mem, OUT, putDate(mem, OUT, date.getTime()));
      assert.equal(Date.parse(text), Math.floor(date.getTime() / 1000) * 1000);
    },
  );
  fc.assert(property, { numRuns: 50, seed: 5 });
});
