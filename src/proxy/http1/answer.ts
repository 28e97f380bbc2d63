// Answers of the proxy itself: one prepared per fault, and the head of others (redirects, a rule that responds).

import { bytesOf, put, putDecimal } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { CRLF, DATE_BYTES, putDate } from './write.ts';

/** Reason phrases of RFC 9110 section 15 and RFC 6585; any other status has an empty one. */
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  204: 'No Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

const statusLines: (Uint8Array | undefined)[] = [];

/** Status line and the name of the Date field. */
function lineOf(status: number): Uint8Array {
  let line = statusLines[status];
  if (line === undefined) {
    line = bytesOf(`HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\nDate: `);
    statusLines[status] = line;
  }
  return line;
}

const CONTENT_LENGTH = bytesOf('\r\nContent-Length: ');
const CONNECTION_CLOSE = bytesOf('Connection: close\r\n');

/** What putAnswerHead writes at the most. */
export const ANSWER_HEAD_BYTES = 160;

/**
 * Status line, Date, Content-Length and, if `close`, Connection: close. The caller adds fields of its own, then CRLF, then the
 * body unless the request was HEAD. `contentLength` -1 writes no such field (1xx and 204 have none, RFC 9110 section 8.6).
 * Bytes: ANSWER_HEAD_BYTES.
 */
export function putAnswerHead(
  mem: Uint8Array,
  at: number,
  status: number,
  wallMs: number,
  contentLength: number,
  close: boolean,
): number {
  let out = putDate(mem, put(mem, at, lineOf(status)), wallMs);
  if (contentLength >= 0) out = putDecimal(mem, put(mem, out, CONTENT_LENGTH), contentLength);
  out = put(mem, out, CRLF);
  return close ? put(mem, out, CONNECTION_CLOSE) : out;
}

interface Prepared {
  readonly line: Uint8Array;
  /** From behind the date to the end of the head, without and with Connection: close. */
  readonly rest: Uint8Array;
  readonly restClose: Uint8Array;
  readonly body: Uint8Array;
}

const prepared = new Map<Fault, Prepared>();
let longest = 0;
for (const fault of Object.values(FAULTS)) {
  if (fault.status === 0) continue;
  const body = bytesOf(`${fault.text}\n`);
  const fields = `\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n`;
  const answer: Prepared = {
    line: lineOf(fault.status),
    rest: bytesOf(`${fields}\r\n`),
    restClose: bytesOf(`${fields}Connection: close\r\n\r\n`),
    body,
  };
  prepared.set(fault, answer);
  longest = Math.max(longest, answer.line.length + DATE_BYTES + answer.restClose.length + body.length);
}

/** What putAnswer writes at the most. */
export const ANSWER_BYTES: number = longest;

/**
 * The whole answer for a fault: short text/plain, Connection: close if `close`, no body if `toHead` (the fields stay as they would
 * be for GET, RFC 9110 section 9.3.2). Writes nothing for a fault that nobody is left to be told of (status 0).
 * Bytes: ANSWER_BYTES.
 */
export function putAnswer(
  mem: Uint8Array,
  at: number,
  fault: Fault,
  wallMs: number,
  close: boolean,
  toHead: boolean,
): number {
  const answer = prepared.get(fault);
  if (answer === undefined) return at;
  const out = putDate(mem, put(mem, at, answer.line), wallMs);
  const head = put(mem, out, close ? answer.restClose : answer.rest);
  return toHead ? head : put(mem, head, answer.body);
}
