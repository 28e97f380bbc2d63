// Extended CONNECT (RFC 8441): what asks for another protocol on a stream becomes the request that asks for it in
// HTTP/1.1, a GET with Upgrade, so that rules, filters and backends see one kind of tunnel.

import { bytesOf, equalLowerAt, put } from '../../base/bytes.ts';
import type { Io } from '../../io/io.ts';
import { FIELD } from '../field-table.ts';
import { type Head, METHOD, NAME } from '../head.ts';

const GET = bytesOf('GET');
const WEBSOCKET = bytesOf('websocket');
const KEY = bytesOf('sec-websocket-key');
const ACCEPT = bytesOf('sec-websocket-accept');
const KEY_LINE = bytesOf('sec-websocket-key: ');
const LINE_ENDS = bytesOf('\r\n\r\n');
/** Sixteen bytes in Base64. */
const KEY_BYTES = 24;
const BASE64 = bytesOf('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');

/** `head` asks for the protocol in mem[start..end), a token; a line more is written behind its others. */
export function askForProtocol(io: Io, head: Head, start: number, end: number): void {
  const { mem } = io;
  head.method = METHOD.GET;
  // Where CONNECT stands.
  head.methodEnd = put(mem, head.methodStart, GET);
  head.upgrade = true;
  addField(head, NAME.UPGRADE, start, end, start, end, end);
  // It does not go on as it is: it belongs to one connection.
  head.drop(head.count - 1);
  if (end - start === WEBSOCKET.length && equalLowerAt(mem, start, WEBSOCKET)) addKey(io, head);
}

/** A WebSocket's key shows that who answers speaks HTTP/1.1's form of it: it is this hop's (RFC 8441 section 5). */
function addKey(io: Io, head: Head): void {
  const { mem } = io;
  dropNamed(mem, head, KEY);
  const line = head.end - 2;
  const value = put(mem, line, KEY_LINE);
  // 128 bits; the last of 22 digits has only two of them.
  for (let i = 0; i < 22; i++) mem[value + i] = BASE64[io.random32() & (i === 21 ? 0x30 : 0x3f)] as number;
  mem[value + 22] = mem[value + 23] = 0x3d;
  const end = value + KEY_BYTES;
  head.end = put(mem, end, LINE_ENDS);
  addField(head, NAME.OTHER, line, line + KEY.length, value, end, end + 2);
}

/** What answers the key is no business of the client's. */
export function dropAccept(mem: Uint8Array, head: Head): void {
  dropNamed(mem, head, ACCEPT);
}

function dropNamed(mem: Uint8Array, head: Head, lower: Uint8Array): void {
  for (let k = 0; k < head.count; k++) {
    const start = head.nameStart(k);
    if (head.nameEnd(k) - start === lower.length && equalLowerAt(mem, start, lower)) head.drop(k);
  }
}

/** There is room in the table: it holds more than a request may have. */
function addField(
  head: Head,
  id: number,
  nameStart: number,
  nameEnd: number,
  valueStart: number,
  valueEnd: number,
  lineEnd: number,
): void {
  const at = head.count++ * FIELD.WORDS;
  const words = head.fields;
  words[at + FIELD.NAME_START] = nameStart;
  words[at + FIELD.NAME_END] = nameEnd;
  words[at + FIELD.VALUE_START] = valueStart;
  words[at + FIELD.VALUE_END] = valueEnd;
  words[at + FIELD.LINE_END] = lineEnd;
  words[at + FIELD.NAME] = id;
  words[at + FIELD.DROP] = 0;
  head.seen |= 1 << id;
}
