// Envoy's protocol of external authorization: the messages of envoy.service.auth.v3.Authorization/Check
// (external_auth.proto, attribute_context.proto), as far as a proxy of HTTP has something to say in them.

import { textOf } from '../../base/bytes.ts';
import type { QueryChange } from '../exchange/amend-query.ts';
import { MessageError, MessageReader, MessageWriter } from './protobuf.ts';

/** What is asked: attributes.source, and attributes.request. */
export interface CheckedRequest {
  /** Address of the client. */
  readonly client: string;
  /** When its first byte came, Unix milliseconds. */
  readonly timeMs: number;
  readonly id: string;
  readonly method: string;
  /** Names in lower case; values of one name joined. */
  readonly headers: ReadonlyMap<string, string>;
  /** With the query. */
  readonly path: string;
  readonly host: string;
  readonly scheme: 'http' | 'https';
  /** Of the content, -1 when it is not known. */
  readonly size: number;
  readonly protocol: string;
  readonly body: Uint8Array;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** A CheckRequest. */
export function encodeCheckRequest(request: CheckedRequest): Uint8Array {
  const address = new MessageWriter().message(1, new MessageWriter().text(2, request.client));
  const source = new MessageWriter().message(1, address);
  const seconds = Math.floor(request.timeMs / 1000);
  const nanos = Math.floor((request.timeMs - seconds * 1000) * 1e6);
  const time = new MessageWriter().integer(1, seconds).integer(2, nanos);
  const http = new MessageWriter().text(1, request.id).text(2, request.method);
  for (const [name, value] of request.headers) http.message(3, new MessageWriter().text(1, name).text(2, value));
  http.text(4, request.path).text(5, request.host).text(6, request.scheme).integer(9, request.size);
  http.text(10, request.protocol);
  // A text has to be UTF-8.
  if (request.body.length > 0) http.bytesField(isText(request.body) ? 11 : 12, request.body);
  const asked = new MessageWriter().message(1, time).message(2, http);
  return new MessageWriter().message(1, new MessageWriter().message(1, source).message(4, asked)).bytes;
}

function isText(bytes: Uint8Array): boolean {
  try {
    decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/**
 * A HeaderValueOption; `append` and `action` (HeaderAppendAction) as they came. Name and value are one byte a sign, ''
 * where it has none.
 */
export interface HeaderOption {
  readonly name: string;
  readonly value: string;
  readonly append: boolean;
  readonly action: number;
}

export type CheckResponse =
  | {
      readonly type: 'ok';
      readonly headers: readonly HeaderOption[];
      readonly remove: readonly string[];
      readonly responseHeaders: readonly HeaderOption[];
      /** What is set, then what is removed. */
      readonly query: readonly QueryChange[];
    }
  | {
      readonly type: 'denied';
      /** 0: it does not say. */
      readonly status: number;
      readonly headers: readonly HeaderOption[];
      readonly body: Uint8Array;
    }
  /** The server says that it failed. */
  | { readonly type: 'error' };

/** Of CheckResponse: the members of its `http_response`. */
const DENIED = 2;
const OK = 3;
const ERROR = 5;

/**
 * Reads a CheckResponse. Whoever denies is believed, whatever the status besides it says. Throws MessageError.
 */
export function decodeCheckResponse(bytes: Uint8Array): CheckResponse {
  const reader = new MessageReader(bytes);
  let code = 0;
  let of = 0;
  let answer: Uint8Array = new Uint8Array(0);
  while (reader.next()) {
    if (reader.field === 1) code = codeOf(reader.bytes);
    else if (reader.field === DENIED || reader.field === OK || reader.field === ERROR) {
      of = reader.field;
      answer = reader.bytes;
    }
  }
  if (of === ERROR) return { type: 'error' };
  if (of === DENIED) return deniedOf(answer);
  if (code !== 0) return DENIAL;
  return okOf(answer);
}

/** One that says no more than that. */
const DENIAL: CheckResponse = { type: 'denied', status: 0, headers: [], body: new Uint8Array(0) };

/** Of a google.rpc.Status, and of a HttpStatus. */
function codeOf(bytes: Uint8Array): number {
  const reader = new MessageReader(bytes);
  let code = 0;
  while (reader.next()) if (reader.field === 1) code = reader.int32;
  return code;
}

/** What of a denial cannot be read is left away: it is one all the same. */
function deniedOf(bytes: Uint8Array): CheckResponse {
  const reader = new MessageReader(bytes);
  const headers: HeaderOption[] = [];
  let status = 0;
  let body: Uint8Array = new Uint8Array(0);
  try {
    while (reader.next()) {
      if (reader.field === 1) status = codeOf(reader.bytes);
      else if (reader.field === 2) headers.push(...readable(reader.bytes));
      else if (reader.field === 3) body = reader.bytes;
    }
  } catch (error) {
    if (error instanceof MessageError) return DENIAL;
    throw error;
  }
  return { type: 'denied', status, headers, body };
}

/** None, where it is no message. */
function readable(bytes: Uint8Array): HeaderOption[] {
  try {
    return [optionOf(bytes)];
  } catch (error) {
    if (error instanceof MessageError) return [];
    throw error;
  }
}

function okOf(bytes: Uint8Array): CheckResponse {
  const reader = new MessageReader(bytes);
  const headers: HeaderOption[] = [];
  const remove: string[] = [];
  const responseHeaders: HeaderOption[] = [];
  const set: QueryChange[] = [];
  const removed: QueryChange[] = [];
  while (reader.next()) {
    if (reader.field === 2) headers.push(optionOf(reader.bytes));
    else if (reader.field === 5) remove.push(reader.text);
    else if (reader.field === 6) responseHeaders.push(optionOf(reader.bytes));
    else if (reader.field === 7) {
      set.push(parameterOf(reader.bytes));
    } else if (reader.field === 8) removed.push({ name: reader.text, value: null });
  }
  return { type: 'ok', headers, remove, responseHeaders, query: [...set, ...removed] };
}

function optionOf(bytes: Uint8Array): HeaderOption {
  const reader = new MessageReader(bytes);
  let name = '';
  let value = '';
  let append = false;
  let action = 0;
  while (reader.next()) {
    if (reader.field === 1) [name, value] = headerOf(reader.bytes);
    else if (reader.field === 2) append = boolOf(reader.bytes);
    else if (reader.field === 3) action = reader.int32;
  }
  return { name, value, append, action };
}

/** A HeaderValue; one with `raw_value` has it there. */
function headerOf(bytes: Uint8Array): [string, string] {
  const reader = new MessageReader(bytes);
  let name = '';
  let value = '';
  while (reader.next()) {
    if (reader.field === 1) name = textOf(reader.bytes);
    else if ((reader.field === 2 || reader.field === 3) && reader.bytes.length > 0) value = textOf(reader.bytes);
  }
  return [name, value];
}

/** A QueryParameter. */
function parameterOf(bytes: Uint8Array): QueryChange {
  const reader = new MessageReader(bytes);
  let name = '';
  let value = '';
  while (reader.next()) {
    if (reader.field === 1) name = reader.text;
    else if (reader.field === 2) value = reader.text;
  }
  return { name, value };
}

/** A BoolValue. */
function boolOf(bytes: Uint8Array): boolean {
  const reader = new MessageReader(bytes);
  let value = false;
  while (reader.next()) if (reader.field === 1) value = reader.bool;
  return value;
}
