// Requests as HTTP/1.1 wants them upstream: the head's ranges copied, with what is dropped left out and what is added behind.

import { bytesOf, put } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';
import { FORWARDED_BYTES, putForwarded } from '../exchange/forwarded.ts';
import type { Downstream, RequestEncoder } from '../exchange/sides.ts';
import type { Edits } from '../filter/edits.ts';
import { putTarget, targetBound } from '../filter/path-edit.ts';
import type { Head } from '../head.ts';
import { copyTrailers } from './trailers.ts';
import {
  CHUNK_HEAD_BYTES,
  CRLF,
  copyFields,
  copyLineAndFields,
  keepsRequestLine,
  LAST_CHUNK,
  LAST_CHUNK_SIZE,
  putChunkHead,
  putHost,
  putRequestLine,
  REQUEST_LINE_EXTRA,
} from './write.ts';

const VERSION_CRLF = bytesOf(' HTTP/1.1\r\n');
/** RFC 9110 section 10.1.4: TE is named in Connection. */
const TE_TRAILERS = bytesOf('TE: trailers\r\nConnection: TE\r\n');

function bound(head: Head, edits: Edits | null, client: number): number {
  const authority = head.authorityEnd - head.authorityStart;
  const edited = edits === null ? 0 : edits.requestSize + targetBound(head, edits.path);
  // Fields that X-Forwarded-For is made of are not copied besides, so the head's own size covers them, and a ', ' for each.
  return (
    head.end -
    head.start +
    REQUEST_LINE_EXTRA +
    2 * (authority + 8) +
    FORWARDED_BYTES +
    client +
    2 * head.count +
    edited +
    TE_TRAILERS.length +
    CRLF.length
  );
}

function putHead(
  mem: Uint8Array,
  at: number,
  head: Head,
  edits: Edits | null,
  prefixLength: number,
  down: Downstream,
  uuidAt: number,
): number {
  const path = edits === null ? null : edits.path;
  let out = at;
  if (path === null && keepsRequestLine(mem, head)) {
    out = copyLineAndFields(mem, out, head);
  } else {
    if (path === null) {
      out = putRequestLine(mem, out, head, null);
    } else {
      out = move(mem, out, head.methodStart, head.methodEnd);
      mem[out++] = 0x20;
      out = put(mem, putTarget(mem, out, head, prefixLength, path), VERSION_CRLF);
    }
    if (edits === null || edits.hostname === null) out = putHost(mem, out, head);
    out = copyFields(mem, out, head);
  }
  out = putForwarded(
    mem,
    out,
    head,
    down.client,
    down.trusted,
    down.secure,
    uuidAt,
    edits === null ? null : edits.request,
  );
  if (edits !== null) out = edits.putRequestLines(mem, out, uuidAt);
  if (head.teTrailers) out = put(mem, out, TE_TRAILERS);
  return put(mem, out, CRLF);
}

function putBody(mem: Uint8Array, at: number, limit: number, start: number, end: number, chunked: boolean): number {
  const n = end - start;
  if (at + n + (chunked ? CHUNK_HEAD_BYTES + CRLF.length : 0) > limit) return -1;
  if (!chunked) {
    return move(mem, at, start, end);
  }
  const data = putChunkHead(mem, at, n);
  return put(mem, move(mem, data, start, end), CRLF);
}

function putEnd(mem: Uint8Array, at: number, limit: number, start: number, end: number, chunked: boolean): number {
  if (!chunked) return at;
  if (at + LAST_CHUNK.length + end - start > limit) return -1;
  return start < end ? putTrailers(mem, at, start, end) : put(mem, at, LAST_CHUNK);
}

/** The last chunk and the trailer section, without the fields that must not go on. Bytes: LAST_CHUNK + (end - start). */
export function putTrailers(mem: Uint8Array, at: number, start: number, end: number): number {
  return put(mem, copyTrailers(mem, put(mem, at, LAST_CHUNK_SIZE), start, end), CRLF);
}

export const HTTP1_REQUESTS: RequestEncoder = { bound, head: putHead, body: putBody, end: putEnd };
