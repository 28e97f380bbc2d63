// Extended CONNECT (RFC 8441): what asks for another protocol on a stream becomes the request that asks for it in
// HTTP/1.1, a GET with Upgrade, so that rules, filters and exchanges see one kind of tunnel; and the other way round
// for backends that speak HTTP/2.

import { createHash } from 'node:crypto';
import { bytesOf, equalLowerAt, put } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Io } from '../../io/io.ts';
import type { PreparedRequest } from '../exchange/sides.ts';
import { FIELD, type FieldTable, SCANNED } from '../field-table.ts';
import { BODY, type Head, METHOD, NAME } from '../head.ts';

const GET = bytesOf('GET');
const WEBSOCKET = bytesOf('websocket');
const KEY = bytesOf('sec-websocket-key');
const ACCEPT = bytesOf('sec-websocket-accept');
const KEY_LINE = bytesOf('sec-websocket-key: ');
const ACCEPT_LINE = bytesOf('sec-websocket-accept: ');
const UPGRADE_LINE = bytesOf('upgrade: ');
/** RFC 6455 section 1.3. */
const ACCEPT_OF = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
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
  const key = new Uint8Array(KEY_BYTES);
  // 128 bits; the last of 22 digits has only two of them.
  for (let i = 0; i < 22; i++) key[i] = BASE64[io.random32() & (i === 21 ? 0x30 : 0x3f)] as number;
  key[22] = key[23] = 0x3d;
  addLine(mem, head, NAME.OTHER, KEY_LINE, key);
}

/** The key that `head`, which asks for a protocol, has for its backend; '' for other protocols than WebSocket. */
export function keyIn(mem: Uint8Array, head: Head): string {
  const asked = head.find(NAME.UPGRADE);
  const start = head.valueStart(asked);
  if (head.valueEnd(asked) - start !== WEBSOCKET.length || !equalLowerAt(mem, start, WEBSOCKET)) return '';
  return valuesOf(mem, head, KEY)[0] ?? '';
}

/** Whether `head` (101) answers that key, once. */
export function answersKey(mem: Uint8Array, head: Head, key: string): boolean {
  const answers = valuesOf(mem, head, ACCEPT);
  return answers.length === 1 && answers[0] === acceptOf(key);
}

function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}${ACCEPT_OF}`).digest('base64');
}

function valuesOf(mem: Uint8Array, head: Head, lower: Uint8Array): string[] {
  const values: string[] = [];
  for (let k = 0; k < head.count; k++) {
    if (head.dropped(k) || !isNamed(mem, head.nameStart(k), head.nameEnd(k), lower)) continue;
    values.push(Buffer.from(mem.subarray(head.valueStart(k), head.valueEnd(k))).toString('latin1'));
  }
  return values;
}

/** What answers the key is no business of the client's. */
export function dropAccept(mem: Uint8Array, head: Head): void {
  dropNamed(mem, head, ACCEPT);
}

function dropNamed(mem: Uint8Array, head: Head, lower: Uint8Array): void {
  for (let k = 0; k < head.count; k++) {
    if (isNamed(mem, head.nameStart(k), head.nameEnd(k), lower)) head.drop(k);
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

// ---- to backends

/** What a request asks a backend for, besides what its stream says. */
export interface Protocol {
  /** In lower case, a copy. */
  readonly name: Uint8Array;
  /** What a client of HTTP/1.1 is to be answered with its WebSocket key; null for other protocols. */
  readonly accept: Uint8Array | null;
}

/**
 * The first protocol that `request` asks for; `table` has its fields. Null when that is none that could be asked for on
 * a stream.
 */
export function protocolOf(mem: Uint8Array, request: PreparedRequest, table: FieldTable): Protocol | null {
  const asked = Buffer.from(
    mem.buffer,
    mem.byteOffset + request.upgradeStart,
    request.upgradeEnd - request.upgradeStart,
  );
  // A version behind its name is HTTP/1.1's only (RFC 8441 section 4: the registered name).
  const [name = ''] = asked
    .toString('latin1')
    .toLowerCase()
    .split(/[,/ \t]/, 1);
  if (name === '') return null;
  if (name !== 'websocket') return { name: bytesOf(name), accept: null };
  const key = namedIn(mem, table, KEY);
  return { name: WEBSOCKET, accept: bytesOf(acceptOf(key)) };
}

function namedIn(mem: Uint8Array, table: FieldTable, lower: Uint8Array): string {
  const { words } = table;
  const count = words[SCANNED.COUNT] as number;
  for (let at = 0; at < count * FIELD.WORDS; at += FIELD.WORDS) {
    if (!isNamed(mem, words[at + FIELD.NAME_START] as number, words[at + FIELD.NAME_END] as number, lower)) continue;
    const value = mem.subarray(words[at + FIELD.VALUE_START] as number, words[at + FIELD.VALUE_END] as number);
    return Buffer.from(value).toString('latin1');
  }
  return '';
}

/** Sec-WebSocket-Key is of HTTP/1.1's handshake only (RFC 8441 section 5). */
export function isKey(mem: Uint8Array, nameStart: number, nameEnd: number): boolean {
  return isNamed(mem, nameStart, nameEnd, KEY);
}

function isNamed(mem: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  return end - start === lower.length && equalLowerAt(mem, start, lower);
}

/**
 * `head`, a 2xx that answers extended CONNECT, becomes the 101 that a backend of HTTP/1.1 would have sent; lines are
 * written behind its others. False when its table has no room for them.
 */
export function switchedHead(mem: Uint8Array, head: Head, { name, accept }: Protocol): boolean {
  if (head.count + 2 > LIMITS.RESPONSE_FIELDS) return false;
  head.status = 101;
  head.upgrade = true;
  head.body = BODY.NONE;
  // A tunnel has no length (RFC 9110 section 9.3.6).
  for (let k = 0; k < head.count; k++) if (head.name(k) === NAME.CONTENT_LENGTH) head.drop(k);
  addLine(mem, head, NAME.UPGRADE, UPGRADE_LINE, name);
  // It does not go on as it is: it belongs to one connection.
  head.drop(head.count - 1);
  if (accept !== null) addLine(mem, head, NAME.OTHER, ACCEPT_LINE, accept);
  return true;
}

function addLine(mem: Uint8Array, head: Head, id: number, start: Uint8Array, value: Uint8Array): void {
  // Over the empty line.
  const line = head.end - 2;
  const from = put(mem, line, start);
  const end = put(mem, from, value);
  head.end = put(mem, end, LINE_ENDS);
  addField(head, id, line, from - 2, from, end, end + 2);
}
