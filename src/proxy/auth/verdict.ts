// What an authorization server's answer comes to: the request goes on, with which changes, or is answered instead.

import { LIMITS } from '../../base/limits.ts';
import { type Amendments, CHANGE, type FieldChange } from '../exchange/amend.ts';
import { ANSWER_BYTES, Answer, NO_BODY } from '../exchange/answer.ts';
import { FieldName } from '../field-name.ts';
import { isEditable, isFieldValue, isToken, type Side } from '../filter/field-edits.ts';
import { type FieldLine, FieldLines } from '../filter/field-lines.ts';
import { isTelling } from '../lookalike.ts';
import type { CheckResponse, HeaderOption } from './ext-authz.ts';

export type Verdict =
  | { readonly type: 'allowed'; readonly amendments: Amendments }
  | { readonly type: 'denied'; readonly answer: Answer; readonly cut: boolean }
  /** The server failed, or says what is not understood. */
  | { readonly type: 'failed' };

export const FAILED: Verdict = { type: 'failed' };

/** A field of the server's answer, one byte a sign. */
export interface Field {
  /** As it came. */
  readonly name: string;
  readonly value: string;
}

const OK = 200;
const FORBIDDEN = 403;
const NO_CHANGES: readonly FieldChange[] = [];
const NO_QUERY: Amendments['query'] = [];

/**
 * Of an answer over HTTP they speak of itself, not of the request: they are copied only where they are asked for by
 * name.
 */
const OF_THE_ANSWER = /^(content-.*|date|server|set-cookie)$/;

/**
 * Over HTTP (HTTPAuthConfig): 200 lets the request go on, a failure of the server's own is one, and anything else
 * denies.
 *
 * @param copied names in lower case that go from the answer to the request, whoever said them before; empty: all
 * @param body as much of it as is kept; `whole`: all of it
 */
export function verdictOfHttp(
  status: number,
  fields: readonly Field[],
  copied: readonly string[],
  body: Uint8Array,
  whole: boolean,
): Verdict {
  if (status === OK)
    return {
      type: 'allowed',
      amendments: { request: copiedOf(fields, copied), query: NO_QUERY, response: NO_CHANGES },
    };
  if (status >= 500) return FAILED;
  // Another 2xx denies as well, and must not look as if it did not.
  return deniedOf(status < 300 ? FORBIDDEN : status, fields, body, whole);
}

/** What an answer comes to whose rest never comes: who has said no has said it. */
export function brokenOff(verdict: Verdict): Verdict {
  return verdict.type === 'denied' ? verdict : FAILED;
}

/** The server's answer is the client's, as far as it may be. */
export function deniedOf(status: number, fields: readonly Field[], body: Uint8Array, whole: boolean): Verdict {
  const lines = fields.filter(({ name }) => isAnswerField(name)).map(lineOf);
  return denied(status, lines, whole ? body : NO_BODY, !whole);
}

/** Fields of one name stay several. */
export function copiedOf(fields: readonly Field[], copied: readonly string[]): FieldChange[] {
  const names = new Map(copied.map((name) => [name, new FieldName(name)]));
  const changes = [...names.values()].map((name): FieldChange => ({ how: CHANGE.REMOVE, name, value: '' }));
  const seen = new Set<string>();
  for (const { name, value } of fields) {
    const lower = name.toLowerCase();
    if (copied.length > 0 ? !names.has(lower) : OF_THE_ANSWER.test(lower)) continue;
    if (!mayBeGiven(lower)) continue;
    const known = names.get(lower) ?? new FieldName(lower);
    changes.push({ how: seen.has(lower) ? CHANGE.APPEND : CHANGE.SET, name: known, value });
    seen.add(lower);
  }
  return changes;
}

/**
 * Whether a field of a request may come from an authorization server: not what frames it, nor what RAUTA itself says.
 */
function mayBeGiven(lower: string): boolean {
  return isEditable('request', lower) && !isTelling(lower);
}

/** Fields of an answer that its codec does not write by itself. */
function isAnswerField(name: string): boolean {
  const lower = name.toLowerCase();
  return isEditable('response', lower) && lower !== 'date' && lower !== 'host';
}

function lineOf({ name, value }: Field): FieldLine {
  return { name, value, literal: true };
}

function denied(status: number, lines: readonly FieldLine[], body: Uint8Array, cut: boolean): Verdict {
  const fields = new FieldLines(lines);
  if (fields.http1.size + body.length > ANSWER_BYTES) {
    return { type: 'denied', answer: new Answer(status, null, NO_BODY, false), cut: true };
  }
  const bodiless = cut ? lines.filter(({ name }) => !name.toLowerCase().startsWith('content-')) : lines;
  return { type: 'denied', answer: new Answer(status, new FieldLines(bodiless), body, false), cut };
}

/** Over gRPC. */
export function verdictOfCheck(response: CheckResponse): Verdict {
  if (response.type === 'error') return FAILED;
  if (response.type === 'denied') {
    // There is nothing yet that they could replace: of one name there may be several. What cannot be is left away.
    const changes = response.headers.flatMap((option) => changeOf('response', option) ?? []);
    const lines = changes.map(({ name, value }): FieldLine => ({ name: name.lower, value, literal: true }));
    const status = response.status >= 200 && response.status <= 599 ? response.status : FORBIDDEN;
    const cut = response.body.length > LIMITS.EXTERNAL_AUTH_ANSWER_BYTES;
    return denied(status, lines, cut ? NO_BODY : response.body, cut);
  }
  const request = changesOf('request', response.headers);
  const told = changesOf('response', response.responseHeaders);
  // What is asked for and not done here is not let go on as if it were.
  if (request === null || told === null) return FAILED;
  const removed = response.remove
    .map((name) => name.toLowerCase())
    .filter((name) => isToken(name) && mayBeGiven(name))
    .map((name): FieldChange => ({ how: CHANGE.REMOVE, name: new FieldName(name), value: '' }));
  // Removed first: what the server sets besides stays.
  return { type: 'allowed', amendments: { request: [...removed, ...request], query: response.query, response: told } };
}

/** Null when one of them cannot be. */
function changesOf(side: Side, options: readonly HeaderOption[]): FieldChange[] | null {
  const changes: FieldChange[] = [];
  for (const option of options) {
    const change = changeOf(side, option);
    if (change === null) return null;
    changes.push(change);
  }
  return changes;
}

/** Null when it cannot be: a pseudo-field, framing, a value that is none. */
function changeOf(side: Side, { name, value, append, action }: HeaderOption): FieldChange | null {
  const lower = name.toLowerCase();
  if (!isToken(lower) || !isFieldValue(value)) return null;
  if (side === 'request' ? !mayBeGiven(lower) : !isAnswerField(lower)) return null;
  // Without `append` the message overwrites (OkHttpResponse.headers), so the first of the actions says nothing.
  const how = append ? CHANGE.APPEND : (HOW[action] ?? -1);
  return how < 0 ? null : { how, name: new FieldName(lower), value: trimmed(value) };
}

/** White space of HTTP alone (RFC 9110 section 5.6.3): others are bytes of a sign. */
function trimmed(value: string): string {
  return value.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** By HeaderAppendAction: APPEND_IF_EXISTS_OR_ADD, ADD_IF_ABSENT, OVERWRITE_IF_EXISTS_OR_ADD, OVERWRITE_IF_EXISTS. */
const HOW: readonly number[] = [CHANGE.SET, CHANGE.ADD_IF_ABSENT, CHANGE.SET, CHANGE.SET_IF_PRESENT];
