// Answers of the proxy itself (exchange/answer.ts) as HTTP/1.1 messages.

import { bytesOf, put, putDecimal } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';
import type { Answer } from '../exchange/answer.ts';
import { CRLF } from '../lines.ts';
import { PHRASES } from '../phrases.ts';
import { DATE_BYTES, putDate } from './write.ts';

const statusLines: (Uint8Array | undefined)[] = [];
const DATE = bytesOf('Date: ');

/** Status line and the name of the Date field. */
function lineOf(status: number): Uint8Array {
  let line = statusLines[status];
  if (line === undefined) {
    line = bytesOf(`HTTP/1.1 ${status} ${PHRASES[status] ?? ''}\r\nDate: `);
    statusLines[status] = line;
  }
  return line;
}

const CONTENT_LENGTH = bytesOf('Content-Length: ');
const CONNECTION_CLOSE = bytesOf('Connection: close\r\n');
const LONGEST_REASON = 40;
const FRAME_BYTES =
  'HTTP/1.1 599 \r\nDate: '.length +
  LONGEST_REASON +
  DATE_BYTES +
  CONTENT_LENGTH.length +
  String(Number.MAX_SAFE_INTEGER).length +
  CONNECTION_CLOSE.length +
  3 * CRLF.length;

/** What putAnswer writes at the most, besides `more`. */
export function answerBound(answer: Answer): number {
  return FRAME_BYTES + answer.body.length + (answer.fields === null ? 0 : answer.fields.http1.size);
}

/**
 * The whole answer: Date (unless it has one), its fields, the further field lines mem[start..end), a length where the
 * status may have one (RFC 9110 section 8.6), Connection: close if `close`, no body if `toHead` (the fields stay as
 * they would be for GET, section 9.3.2). `uuidAt`: the request's UUID. Bytes: answerBound + (end - start).
 */
export function putAnswer(
  mem: Uint8Array,
  at: number,
  answer: Answer,
  start: number,
  end: number,
  uuidAt: number,
  wallMs: number,
  close: boolean,
  toHead: boolean,
): number {
  const { status, fields, body } = answer;
  const line = lineOf(status);
  let out = put(mem, at, line);
  out = fields?.dated === true ? out - DATE.length : put(mem, putDate(mem, out, wallMs), CRLF);
  if (fields !== null) out = fields.http1.put(mem, out, uuidAt);
  if (start < end) out = move(mem, out, start, end);
  if (status >= 200 && status !== 204 && status !== 304) {
    out = put(mem, putDecimal(mem, put(mem, out, CONTENT_LENGTH), body.length), CRLF);
  }
  if (close) out = put(mem, out, CONNECTION_CLOSE);
  out = put(mem, out, CRLF);
  return toHead ? out : put(mem, out, body);
}
