import assert from 'node:assert/strict';
import { test } from 'node:test';
import { feed, feedBodyOf, fieldsOf, mem } from '../../../test/support/http1.ts';
import { bytesOf, put, textOf } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { ANSWER_BYTES, Answer, NO_BODY, TEXT_ANSWERS } from '../exchange/answer.ts';
import { FieldLines } from '../filter/field-lines.ts';
import { answerBound, putAnswer } from './answer.ts';
import { DONE } from './scan.ts';

const OUT = 1 << 18;
const MORE = 1 << 17;
const NOW = Date.UTC(2026, 10, 21, 12, 0, 0);
const UUID = '01890a5d-ac96-774b-bcce-b302099a8057';

function written(answer: Answer, more = '', close = false, toHead = false, wallMs = NOW): string {
  const end = put(mem, MORE, bytesOf(more));
  put(mem, MORE + 65_536, bytesOf(UUID));
  const out = putAnswer(mem, OUT, answer, MORE, end, MORE + 65_536, wallMs, close, toHead);
  assert.ok(out - OUT <= answerBound(answer) + more.length);
  return textOf(mem, OUT, out);
}

test('every fault with a status has a whole answer that our own parser reads back', () => {
  const faults: readonly Fault[] = Object.values(FAULTS);
  for (const fault of faults.filter((f) => f.status !== 0)) {
    const answer = TEXT_ANSWERS.of(fault);
    assert.ok(answer !== null);
    assert.equal(answer.closes, fault.source === 'downstream');
    for (const close of [true, false]) {
      const bytes = bytesOf(written(answer, '', close));
      const { result, head } = feed('response', bytes);
      assert.equal(result, DONE);
      assert.equal(head.status, fault.status);
      assert.notEqual(head.reasonEnd, head.reasonStart, `${fault.status} has a reason`);
      assert.equal(head.keepAlive, !close);
      const names = ['Date', 'Content-Type', 'Content-Length'];
      assert.deepEqual(
        fieldsOf(head).map(([name]) => name),
        close ? [...names, 'Connection'] : names,
      );
      assert.equal(fieldsOf(head)[0]?.[1], 'Sat, 21 Nov 2026 12:00:00 GMT');
      const length = head.end - 64;
      assert.equal(feedBodyOf(head, bytes.subarray(length)).content, `${fault.text}\n`);
      // RFC 9110 section 9.3.2: the same fields for HEAD, no content.
      assert.deepEqual(bytesOf(written(answer, '', close, true)), bytes.subarray(0, length));
    }
  }
});

test('nobody is told of a fault without a status', () => {
  assert.equal(TEXT_ANSWERS.of(FAULTS.clientGone), null);
});

test('the date of an answer follows the clock', () => {
  const answer = TEXT_ANSWERS.of(FAULTS.noRoute) as Answer;
  const date = (ms: number): string => /Date: (.*)\r\n/.exec(written(answer, '', false, false, ms))?.[1] as string;
  assert.equal(date(NOW), 'Sat, 21 Nov 2026 12:00:00 GMT');
  assert.equal(date(NOW + 1000), 'Sat, 21 Nov 2026 12:00:01 GMT');
  assert.equal(date(NOW + 1999), 'Sat, 21 Nov 2026 12:00:01 GMT');
});

test('whatever is answered is status, prepared fields, further lines and content', () => {
  const date = 'Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n';
  const redirect = new Answer(301, new FieldLines([{ name: 'X-A', value: '1' }]), NO_BODY, false);
  assert.equal(
    written(redirect, 'Location: http://a/\r\n', true),
    `HTTP/1.1 301 Moved Permanently\r\n${date}X-A: 1\r\nLocation: http://a/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
  );
  // CORS preflight: no content, and so no length (RFC 9110 section 8.6).
  const preflight = new FieldLines([
    { name: 'Access-Control-Allow-Origin', value: 'https://a.example' },
    { name: 'Access-Control-Max-Age', value: '600' },
  ]);
  assert.equal(
    written(new Answer(204, preflight, NO_BODY, false)),
    `HTTP/1.1 204 No Content\r\n${date}Access-Control-Allow-Origin: https://a.example\r\nAccess-Control-Max-Age: 600\r\n\r\n`,
  );
  // Problem details (RFC 9457) with the request's UUID.
  const problem = new FieldLines([
    { name: 'Content-Type', value: 'application/problem+json' },
    { name: 'X-Id', value: '{{uuid}}' },
  ]);
  assert.equal(
    written(new Answer(599, problem, bytesOf('{"status":599}'), false)),
    `HTTP/1.1 599 \r\n${date}Content-Type: application/problem+json\r\nX-Id: ${UUID}\r\nContent-Length: 14\r\n\r\n{"status":599}`,
  );
  // gRPC's trailers-only form.
  const grpc = new FieldLines([
    { name: 'Content-Type', value: 'application/grpc' },
    { name: 'Grpc-Status', value: '14' },
  ]);
  assert.match(written(new Answer(200, grpc, NO_BODY, false)), /^HTTP\/1\.1 200 OK\r\n.*\r\nGrpc-Status: 14\r\n/s);
});

test('an answer that is not written in one piece is refused when it is prepared', () => {
  assert.throws(() => new Answer(200, null, new Uint8Array(ANSWER_BYTES + 1), false), /131073 bytes/);
});
