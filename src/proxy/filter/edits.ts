// The edits of one way through a rule: its own filters, then those of the backend, compiled to prepared bytes.

import { bytesOf, put } from '../../base/bytes.ts';
import type { Filter } from '../../ir/ir.ts';
import { bitsOf, type Head, NAME } from '../head.ts';
import { FieldEdits, FilterError } from './field-edits.ts';
import { PathEdit } from './path-edit.ts';

/** PreciseHostname of the Gateway API: a DNS name, lower case, without wildcard. */
const HOSTNAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

const HOST = bitsOf(NAME.HOST);

export class Edits {
  readonly request: FieldEdits | null;
  readonly response: FieldEdits | null;
  /** What Host (`:authority`) becomes; null: it is kept. */
  readonly hostname: Uint8Array | null;
  /** What the path becomes; null: it is kept. For `putTarget`. */
  readonly path: PathEdit | null;
  /** Most bytes that `putRequestFields` and `putResponseFields` write. */
  readonly requestSize: number;
  readonly responseSize: number;
  /** Some field needs the request's UUID. */
  readonly usesUuid: boolean;
  readonly #hostLine: Uint8Array;

  /** `filters` in their order: those of the rule, then those of the backend. Throws FilterError. */
  constructor(filters: readonly Filter[]) {
    const request = filters.flatMap((f) => (f.type === 'requestHeaders' ? [f.edits] : []));
    const response = filters.flatMap((f) => (f.type === 'responseHeaders' ? [f.edits] : []));
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
    this.requestSize = this.#hostLine.length + (this.request?.size ?? 0);
    this.responseSize = this.response?.size ?? 0;
    this.usesUuid = (this.request?.usesUuid ?? false) || (this.response?.usesUuid ?? false);
  }

  /** Marks the fields of the request that are not forwarded. */
  applyRequest(mem: Uint8Array, head: Head): void {
    if (this.hostname !== null) head.dropAll(HOST);
    if (this.request !== null) this.request.apply(mem, head);
  }

  /** Writes Host if it is rewritten, then the fields set and added. `uuidAt`: 36 bytes of UUID text, if `usesUuid`. */
  putRequestFields(mem: Uint8Array, at: number, uuidAt: number): number {
    const to = put(mem, at, this.#hostLine);
    return this.request === null ? to : this.request.put(mem, to, uuidAt);
  }

  /** The same for the response. */
  applyResponse(mem: Uint8Array, head: Head): void {
    if (this.response !== null) this.response.apply(mem, head);
  }
  putResponseFields(mem: Uint8Array, at: number, uuidAt: number): number {
    return this.response === null ? at : this.response.put(mem, at, uuidAt);
  }
}

/** The edits of a rule's filters followed by a backend's; null when there are none, the plain path. Throws FilterError. */
export function compileEdits(rule: readonly Filter[], backend: readonly Filter[]): Edits | null {
  return rule.length + backend.length === 0 ? null : new Edits([...rule, ...backend]);
}

export function checkedHostname(hostname: string): string {
  if (hostname.length <= 253 && HOSTNAME.test(hostname)) return hostname;
  throw new FilterError(`hostname ${JSON.stringify(hostname)}: not a host name`);
}
