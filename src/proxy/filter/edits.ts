// The edits of one way through a rule: its own filters, then those of the backend, compiled to prepared bytes.

import { bytesOf, put } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Filter, HeaderEdits } from '../../ir/ir.ts';
import { bitsOf, type Head, NAME } from '../head.ts';
import { CORS_FIELDS } from './cors.ts';
import { FieldEdits, FilterError } from './field-edits.ts';
import type { FieldLines } from './field-lines.ts';
import { PathEdit } from './path-edit.ts';

/** PreciseHostname of the Gateway API: a DNS name, lower case, without wildcard. */
const HOSTNAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Filters that the constructor of Edits looks at. */
const EDITING: ReadonlySet<Filter['type']> = new Set(['requestHeaders', 'responseHeaders', 'rewrite', 'cors']);
const HOST = bitsOf(NAME.HOST);
const WITHOUT_CORS: HeaderEdits = { set: [], add: [], remove: CORS_FIELDS };

export class Edits {
  readonly request: FieldEdits | null;
  readonly response: FieldEdits | null;
  /** What Host (`:authority`) becomes; null: it is kept. */
  readonly hostname: Uint8Array | null;
  /** What the path becomes; null: it is kept. For `putTarget`. */
  readonly path: PathEdit | null;
  /** Bytes that `putRequestLines` writes. */
  readonly requestSize: number;
  /** What is added to the response; null for nothing. */
  readonly responseLines: FieldLines | null;
  readonly #requestLines: FieldLines | null;
  readonly #hostLine: Uint8Array;

  /** `filters` in their order: those of the rule, then those of the backend. Throws FilterError. */
  constructor(filters: readonly Filter[]) {
    const request = filters.flatMap((f) => (f.type === 'requestHeaders' ? [f.edits] : []));
    const cors = filters.some((f) => f.type === 'cors') ? [WITHOUT_CORS] : [];
    const response = [...cors, ...filters.flatMap((f) => (f.type === 'responseHeaders' ? [f.edits] : []))];
    this.request = request.length === 0 ? null : new FieldEdits('request', request);
    this.response = response.length === 0 ? null : new FieldEdits('response', response);
    let hostname: string | null = null;
    let path: PathEdit | null = null;
    for (const filter of filters) {
      if (filter.type !== 'rewrite') continue;
      if (filter.hostname !== null) hostname = checkedHostname(filter.hostname);
      if (filter.path !== null) path = new PathEdit(filter.path);
    }
    this.path = path;
    this.hostname = hostname === null ? null : bytesOf(hostname);
    this.#hostLine = bytesOf(hostname === null ? '' : `Host: ${hostname}\r\n`);
    this.#requestLines = this.request?.added ?? null;
    this.requestSize = this.#hostLine.length + (this.#requestLines?.http1.size ?? 0);
    this.responseLines = this.response?.added ?? null;
  }

  /** Marks the fields of the request that are not forwarded. */
  applyRequest(mem: Uint8Array, head: Head): void {
    if (this.hostname !== null) head.dropAll(HOST);
    if (this.request !== null) this.request.apply(mem, head);
  }

  /**
   * Writes Host if it is rewritten, then the fields set and added, as the lines of a prepared request. `uuidAt`: where
   * 36 bytes of UUID text are.
   */
  putRequestLines(mem: Uint8Array, at: number, uuidAt: number): number {
    const to = put(mem, at, this.#hostLine);
    return this.#requestLines === null ? to : this.#requestLines.http1.put(mem, to, uuidAt);
  }

  /** Marks the fields of the response that are not forwarded; `responseLines` are added by the codec of the client. */
  applyResponse(mem: Uint8Array, head: Head): void {
    if (this.response !== null) this.response.apply(mem, head);
  }
}

/** Compiled edits by what they say: thousands of rules say the same, and each takes 2 KB. They never change. */
const known = new Map<string, Edits>();

/**
 * The edits of a rule's filters followed by a backend's; null when there are none, the plain path. Throws FilterError.
 */
export function compileEdits(rule: readonly Filter[], backend: readonly Filter[]): Edits | null {
  if (rule.length + backend.length === 0) return null;
  const filters = [...rule, ...backend].filter(({ type }) => EDITING.has(type));
  const text = JSON.stringify(filters);
  if (text.length > LIMITS.SHARED_VALUE_CHARS) return new Edits(filters);
  let edits = known.get(text);
  if (edits !== undefined) return edits;
  edits = new Edits(filters);
  if (known.size >= LIMITS.SHARED_VALUES) known.clear();
  known.set(text, edits);
  return edits;
}

export function checkedHostname(hostname: string): string {
  if (hostname.length <= 253 && HOSTNAME.test(hostname)) return hostname;
  throw new FilterError(`hostname ${JSON.stringify(hostname)}: not a host name`);
}
