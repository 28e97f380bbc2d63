// What a request says about where it came from (X-Forwarded-*, Forwarded, X-Request-ID): believed only from a trusted
// proxy, else discarded and set afresh (docs/reference/forwarded.md).

import { isIP } from 'node:net';
import { bytesOf, put, textOf, viewOf } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';
import { Fragment } from '../../telemetry/fragment.ts';
import type { Clients } from '../client-source.ts';
import type { FieldName } from '../field-name.ts';
import type { FieldEdits } from '../filter/field-edits.ts';
import { bitsOf, type Head, NAME, SCHEME } from '../head.ts';
import { isLookalike } from '../lookalike.ts';
import { REQUEST_ID_BYTES } from '../request-id.ts';
import type { TrustedProxies } from '../trusted.ts';

/** Longest request id taken over from a trusted proxy. */
const REQUEST_ID_MOST = 128;

const FOR = new Fragment('X-Forwarded-For: ');
const PROTO_HTTP = new Fragment('X-Forwarded-Proto: http\r\n');
const PROTO_HTTPS = new Fragment('X-Forwarded-Proto: https\r\n');
const HOST = new Fragment('X-Forwarded-Host: ');
const ID = new Fragment('X-Request-ID: ');
/** From the value of one to the value of the next. */
const FOR_PROTO_HOST = new Fragment('\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ');
const HOST_ID = new Fragment('\r\nX-Request-ID: ');
const CRLF = bytesOf('\r\n');
const LIST = bytesOf(', ');

/** Indexes of fields that `markForwarded` met, -1 for none. Reused. */
export interface Marked {
  userAgent: number;
  /** A believed X-Request-ID. */
  requestId: number;
}
const marked: Marked = { userAgent: -1, requestId: -1 };

/** Names that tell of the client, and those that are none of NAME. */
const TELLING = bitsOf(
  NAME.X_FORWARDED_FOR,
  NAME.X_FORWARDED_PROTO,
  NAME.X_FORWARDED_HOST,
  NAME.X_FORWARDED_PORT,
  NAME.FORWARDED,
  NAME.X_REAL_IP,
  NAME.X_REQUEST_ID,
);
const OTHERS = bitsOf(NAME.OTHER);

/**
 * Marks what is not forwarded. X-Forwarded-For always: it is written anew, with what a trusted proxy said in front.
 * `clients`: of the request's Gateway, null where it has none of its own.
 */
export function markForwarded(mem: Uint8Array, head: Head, trusted: boolean, clients: Clients | null): Marked {
  if (clients !== null && !trusted) clients.discard(mem, head);
  marked.userAgent = head.find(NAME.USER_AGENT);
  marked.requestId = -1;
  if ((head.seen & (TELLING | OTHERS)) === 0) return marked;
  for (let i = 0; i < head.count; i++) {
    const id = head.name(i);
    if (id === NAME.OTHER) {
      // X-Forwarded-Ssl, -Server, -Prefix, -Client-Cert ..., and what a backend may take for one of them.
      if (isLookalike(mem, head.nameStart(i), head.nameEnd(i), trusted)) head.drop(i);
    } else if (((1 << id) & TELLING) !== 0) {
      if (!trusted || id === NAME.X_FORWARDED_FOR) head.drop(i);
      else if (id === NAME.X_REQUEST_ID) {
        const length = head.valueEnd(i) - head.valueStart(i);
        if (marked.requestId >= 0 || length === 0 || length > REQUEST_ID_MOST) head.drop(i);
        else marked.requestId = i;
      }
    }
  }
  return marked;
}

/** Most bytes that `putForwarded` writes, besides the client's address (twice) and what the head holds. */
export const FORWARDED_BYTES = FOR.length + PROTO_HTTPS.length + HOST.length + ID.length + REQUEST_ID_BYTES + 64;

/**
 * Writes the fields for the backend, each unless a filter `touches` it or a trusted proxy's is kept. `uuidAt`: the
 * request's UUID.
 */
export function putForwarded(
  mem: Uint8Array,
  at: number,
  head: Head,
  client: Uint8Array,
  trusted: boolean,
  secure: boolean,
  uuidAt: number,
  edits: FieldEdits | null,
): number {
  const view = viewOf(mem);
  if (edits === null && !trusted && !secure && head.authorityStart < head.authorityEnd) {
    // As nearly always: all of them.
    const host = FOR_PROTO_HOST.put(view, put(mem, FOR.put(view, at), client));
    const id = HOST_ID.put(view, move(mem, host, head.authorityStart, head.authorityEnd));
    return put(mem, move(mem, id, uuidAt, uuidAt + REQUEST_ID_BYTES), CRLF);
  }
  let out = at;
  if (edits === null || !edits.touches(NAME.X_FORWARDED_FOR)) {
    out = FOR.put(view, out);
    if (trusted) out = putChain(mem, out, head);
    out = put(mem, put(mem, out, client), CRLF);
  }
  // Only who is trusted has asked for one of https in the clear.
  const https = secure || head.scheme === SCHEME.HTTPS;
  if (wants(head, NAME.X_FORWARDED_PROTO, trusted, edits)) out = (https ? PROTO_HTTPS : PROTO_HTTP).put(view, out);
  if (head.authorityStart < head.authorityEnd && wants(head, NAME.X_FORWARDED_HOST, trusted, edits)) {
    out = put(mem, move(mem, HOST.put(view, out), head.authorityStart, head.authorityEnd), CRLF);
  }
  if (!wants(head, NAME.X_REQUEST_ID, trusted, edits)) return out;
  return put(mem, move(mem, ID.put(view, out), uuidAt, uuidAt + REQUEST_ID_BYTES), CRLF);
}

/** Whether the proxy writes this field: no filter does, and none of a trusted proxy goes on. */
function wants(head: Head, id: number, trusted: boolean, edits: FieldEdits | null): boolean {
  return (edits === null || !edits.touches(id)) && (!trusted || !goesOn(head, id));
}

/** Whether a field of this NAME goes on. */
export function goesOn(head: Head, id: number): boolean {
  for (let i = 0; i < head.count; i++) if (head.name(i) === id && !head.dropped(i)) return true;
  return false;
}

/** The values of all X-Forwarded-For fields as one list, each followed by ', '. */
function putChain(mem: Uint8Array, at: number, head: Head): number {
  let out = at;
  for (let i = 0; i < head.count; i++) {
    if (head.name(i) !== NAME.X_FORWARDED_FOR || head.valueStart(i) === head.valueEnd(i)) continue;
    out = put(mem, move(mem, out, head.valueStart(i), head.valueEnd(i)), LIST);
  }
  return out;
}

/**
 * The client as the Gateway's field tells it, the last of several, for whoever added that one is the nearest; the peer
 * where it tells none.
 */
function namedClient(header: FieldName, mem: Uint8Array, head: Head, peer: Uint8Array): Uint8Array {
  for (let i = head.count - 1; i >= 0; i--) {
    if (!header.is(mem, head, i)) continue;
    const address = addressIn(textOf(mem, head.valueStart(i), head.valueEnd(i)));
    return address === null ? peer : bytesOf(address);
  }
  return peer;
}

/** The client of a request that came from a trusted proxy. `all`: whom the program trusts, where no Gateway says it. */
export function toldClient(
  all: TrustedProxies,
  clients: Clients | null,
  mem: Uint8Array,
  head: Head,
  peer: Uint8Array,
): Uint8Array {
  if (clients === null) return forwardedClient(all, mem, head, peer);
  const { header, trusted } = clients;
  return header === null ? forwardedClient(trusted, mem, head, peer) : namedClient(header, mem, head, peer);
}

/** The client as trusted proxies tell it: the last address of X-Forwarded-For that is not a trusted proxy's. */
export function forwardedClient(trusted: TrustedProxies, mem: Uint8Array, head: Head, peer: Uint8Array): Uint8Array {
  let client = peer;
  for (let i = head.count - 1; i >= 0; i--) {
    if (head.name(i) !== NAME.X_FORWARDED_FOR) continue;
    const elements = textOf(mem, head.valueStart(i), head.valueEnd(i)).split(',');
    for (let k = elements.length - 1; k >= 0; k--) {
      const address = addressIn((elements[k] as string).trim());
      // Whoever wrote something else there is not to be believed about what stands before it.
      if (address === null) return client;
      client = bytesOf(address);
      if (!trusted.hasText(address)) return client;
    }
  }
  return client;
}

/** `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]`, `[::1]:5`: the address alone; null for anything else. */
function addressIn(text: string): string | null {
  if (isIP(text) !== 0) return text;
  const match = /^\[([^\]]+)\](?::\d+)?$|^([\d.]+):\d+$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? '';
  return isIP(address) !== 0 ? address : null;
}
