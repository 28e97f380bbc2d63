import assert from 'node:assert/strict';
import { test } from 'node:test';
import { feed, feedBodyOf, fieldsOf, mem } from '../../../test/support/http1.ts';
import { bytesOf, put, textOf } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { ANSWER_BYTES, ANSWER_HEAD_BYTES, putAnswer, putAnswerHead } from './answer.ts';
import { DONE } from './scan.ts';
import { CRLF, putField } from './write.ts';

const OUT = 1 << 18;
const NOW = Date.UTC(2026, 10, 21, 12, 0, 0);

test('every fault with a status has a whole answer that our own parser reads back', () => {
  const faults: readonly Fault[] = Object.values(FAULTS);
  for (const fault of faults.filter((f) => f.status !== 0)) {
    for (const close of [true, false]) {
      const end = putAnswer(mem, OUT, fault, NOW, close, false);
      assert.ok(end - OUT <= ANSWER_BYTES);
      const bytes = mem.slice(OUT, end);
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
      const toHead = putAnswer(mem, OUT, fault, NOW, close, true);
      assert.deepEqual(mem.slice(OUT, toHead), bytes.subarray(0, length));
    }
  }
});

test('nobody is told of a fault without a status', () => {
  assert.equal(putAnswer(mem, OUT, FAULTS.clientGone, NOW, true, false), OUT);
});

test('the date of an answer follows the clock', () => {
  const date = (ms: number): string => {
    const text = textOf(mem, OUT, putAnswer(mem, OUT, FAULTS.noRoute, ms, false, false));
    return /Date: (.*)\r\n/.exec(text)?.[1] as string;
  };
  assert.equal(date(NOW), 'Sat, 21 Nov 2026 12:00:00 GMT');
  assert.equal(date(NOW + 1000), 'Sat, 21 Nov 2026 12:00:01 GMT');
  assert.equal(date(NOW + 1999), 'Sat, 21 Nov 2026 12:00:01 GMT');
});

test('heads of other answers: redirects, statuses without a length or a known reason', () => {
  let end = putAnswerHead(mem, OUT, 301, NOW, 0, true);
  assert.ok(end - OUT <= ANSWER_HEAD_BYTES);
  end = put(mem, putField(mem, end, bytesOf('Location'), bytesOf('http://a/')), CRLF);
  assert.equal(
    textOf(mem, OUT, end),
    'HTTP/1.1 301 Moved Permanently\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Length: 0\r\nConnection: close\r\nLocation: http://a/\r\n\r\n',
  );
  end = putAnswerHead(mem, OUT, 204, NOW, -1, false);
  assert.equal(textOf(mem, OUT, end), 'HTTP/1.1 204 No Content\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n');
  end = putAnswerHead(mem, OUT, 599, NOW, 12, false);
  assert.match(textOf(mem, OUT, end), /^HTTP\/1\.1 599 \r\nDate: .*\r\nContent-Length: 12\r\n$/);
  end = putAnswerHead(mem, OUT, 431, NOW, Number.MAX_SAFE_INTEGER, true);
  assert.ok(end - OUT <= ANSWER_HEAD_BYTES);
});
