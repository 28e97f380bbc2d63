// Feeds bytes to the HTTP/1 codec the way a connection does: in pieces, each head parsed straight after the first read
// and then only when its end was found.

import { readFileSync } from 'node:fs';
import { textOf } from '../../src/base/bytes.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { newMemory } from '../../src/base/memory.ts';
import { BODY, Head } from '../../src/proxy/head.ts';
import { BODY_STATE, BodyReader } from '../../src/proxy/http1/body.ts';
import { parseRequest } from '../../src/proxy/http1/request.ts';
import { parseResponse } from '../../src/proxy/http1/response.ts';
import { findHeadEnd, MORE } from '../../src/proxy/http1/scan.ts';

export type Role = 'request' | 'response' | 'response to HEAD';

export interface Refused {
  readonly name: string;
  readonly rfc: string;
  readonly status?: number;
  readonly message: string;
}

/** Messages that must be refused, each with the rule it breaks. */
export const refused = JSON.parse(
  readFileSync(new URL('../../testdata/http1/refused.json', import.meta.url), 'utf8'),
) as {
  readonly requests: readonly Refused[];
  readonly responses: readonly Refused[];
  readonly chunked: readonly Refused[];
};

/** A fresh arena each time is not needed; stale bytes behind the message are part of the test. */
export const mem = newMemory(1 << 19);
const AT = 64;

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

function parse(role: Role, start: number, end: number, head: Head): number {
  return role === 'request'
    ? parseRequest(mem, start, end, head)
    : parseResponse(mem, start, end, head, role === 'response to HEAD');
}

export interface Fed {
  /** DONE, MORE or BAD. */
  readonly result: number;
  readonly head: Head;
  /** Parses needed. */
  readonly parses: number;
}

/** Parses `message`, arriving in pieces that end at the given offsets (the last piece is the rest). */
export function feed(role: Role, message: Uint8Array, ...cuts: number[]): Fed {
  const head = new Head();
  let end = AT;
  let scanned = -1;
  let result = MORE as number;
  let parses = 0;
  // Whatever lies behind what arrived must not matter.
  mem.fill(0x0d, AT, AT + message.length + 64);
  for (const cut of [...cuts, message.length]) {
    const from = end - AT;
    mem.set(message.subarray(from, cut), end);
    end = AT + cut;
    const whole = scanned < 0 || end - AT >= LIMITS.HEAD_BYTES || findHeadEnd(mem, Math.max(AT, scanned - 3), end) >= 0;
    if (whole) {
      result = parse(role, AT, end, head);
      parses++;
      if (result !== MORE) break;
    }
    scanned = end;
  }
  return { result, head, parses };
}

/** What matters of a parsed head, as text. */
export function describe(head: Head): unknown {
  const base = head.start;
  const text = (start: number, end: number): string => textOf(mem, start, end);
  return {
    start: base - AT,
    length: head.end - base,
    version: head.version,
    method: text(head.methodStart, head.methodEnd),
    target: text(head.targetStart, head.targetEnd),
    path: text(head.pathStart, head.pathEnd),
    query: head.hasQuery ? text(head.queryStart, head.queryEnd) : null,
    authority: text(head.authorityStart, head.authorityEnd),
    host: text(head.hostStart, head.hostEnd),
    status: head.status,
    reason: text(head.reasonStart, head.reasonEnd),
    fields: fieldsOf(head),
    dropped: Array.from({ length: head.count }, (_, k) => (head.dropped(k) ? 1 : 0)),
    body: head.body,
    contentLength: head.contentLength,
    keepAlive: head.keepAlive,
    flags: [head.expectContinue, head.upgrade, head.teTrailers, head.scheme, head.hostField],
  };
}

export function fieldsOf(head: Head): [string, string][] {
  const fields: [string, string][] = [];
  for (let k = 0; k < head.count; k++) {
    fields.push([textOf(mem, head.nameStart(k), head.nameEnd(k)), textOf(mem, head.valueStart(k), head.valueEnd(k))]);
  }
  return fields;
}

export interface FedBody {
  /** BODY_STATE: END, BAD or MORE. */
  readonly state: number;
  readonly content: string;
  readonly trailers: string;
  /** Bytes consumed. */
  readonly used: number;
  readonly reader: BodyReader;
}

/**
 * Reads `body`, arriving in pieces that end at the given offsets. Unconsumed bytes are moved, as a connection would.
 */
export function feedBody(kind: number, length: number, body: Uint8Array, ...cuts: number[]): FedBody {
  const reader = new BodyReader();
  reader.reset(kind, length);
  let content = '';
  let trailers = '';
  let fed = 0;
  let kept = 0;
  let used = 0;
  for (const cut of [...cuts, body.length]) {
    // The kept bytes move to another place each time: the reader must hold no offsets of its own.
    const at = AT + (cut % 7);
    const keptBytes = mem.slice(reader.next, reader.next + kept);
    mem.set(keptBytes, at);
    mem.set(body.subarray(fed, cut), at + kept);
    const end = at + kept + (cut - fed);
    fed = cut;
    let from = at;
    for (;;) {
      const state = reader.read(mem, from, end);
      if (state === BODY_STATE.BAD) return { state, content, trailers, used, reader };
      used += reader.next - from;
      from = reader.next;
      if (state === BODY_STATE.DATA) content += textOf(mem, reader.dataStart, reader.dataEnd);
      else if (state === BODY_STATE.TRAILERS) trailers += textOf(mem, reader.trailersStart, reader.trailersEnd);
      else if (state === BODY_STATE.END) return { state, content, trailers, used, reader };
      else break;
    }
    kept = end - from;
  }
  return { state: BODY_STATE.MORE, content, trailers, used, reader };
}

/** The content of `body` as framed by `head`. */
export function feedBodyOf(head: Head, body: Uint8Array, ...cuts: number[]): FedBody {
  return feedBody(head.body, head.contentLength, body, ...cuts);
}

/** One chunk of a chunked body. */
export function chunk(data: string, extension = ''): string {
  return `${data.length.toString(16)}${extension}\r\n${data}\r\n`;
}

export { BODY };
