// Heads as lines, the form in which every codec's heads are kept and passed on (docs/adr/0009-the-middle.md): a field
// is `name: value` CRLF in the arena, so that what goes on unchanged is copied in runs, whatever the two protocols are.
// Every put and copy function writes at `at` and returns the offset behind what it wrote; the caller has reserved the
// bytes stated at each.

import { bytesOf, put } from '../base/bytes.ts';
import { move } from '../base/memory.ts';
import { type Head, METHOD } from './head.ts';

export const CRLF: Uint8Array = bytesOf('\r\n');
const SP = 0x20;
const HOST_NAME = bytesOf('Host');

/**
 * A Host line from head's authority, when its own Host field does not go on (it is dropped, or there is none as in
 * HTTP/1.0, where Host is then empty: RFC 9112 section 3.2); writes nothing otherwise. Bytes: authority + 8.
 */
export function putHost(mem: Uint8Array, at: number, head: Head): number {
  if (head.hostField >= 0 && !head.dropped(head.hostField)) return at;
  return putFieldRange(mem, at, HOST_NAME, head.authorityStart, head.authorityEnd);
}

/** `name: ` mem[start, end) CRLF. Bytes: name + (end - start) + 4. */
function putFieldRange(mem: Uint8Array, at: number, name: Uint8Array, start: number, end: number): number {
  let out = put(mem, at, name);
  mem[out] = 0x3a;
  mem[out + 1] = SP;
  out = move(mem, out + 2, start, end);
  mem[out] = 0x0d;
  mem[out + 1] = 0x0a;
  return out + 2;
}

/**
 * Copies the lines of all fields from `first` on that are not dropped, in order and as they came, neighbours in one
 * move; without the empty line.
 * May also move them down within the head itself (at <= head.fieldsStart). Bytes: head.end - head.fieldsStart - 2.
 */
export function copyFields(mem: Uint8Array, at: number, head: Head, first = 0): number {
  const { count } = head;
  let out = at;
  for (let k = first; k < count; ) {
    if (head.dropped(k)) {
      k++;
      continue;
    }
    const from = head.nameStart(k);
    while (++k < count && !head.dropped(k));
    out = move(mem, out, from, head.lineEnd(k - 1));
  }
  return out;
}

/**
 * Whether the request line can be sent on as it came: there is one, just HTTP/1.1 (not a higher minor version), in
 * origin-form, its path not moved by normalisation, and the Host field goes on, so that nothing is to be written
 * between the line and the fields.
 */
export function keepsRequestLine(mem: Uint8Array, head: Head): boolean {
  const { hostField } = head;
  return (
    head.raw &&
    head.version === 11 &&
    mem[head.fieldsStart - 3] === 0x31 &&
    head.pathStart === head.methodEnd + 1 &&
    head.method !== METHOD.CONNECT &&
    hostField >= 0 &&
    !head.dropped(hostField)
  );
}

/** The request line as it came and the fields not dropped, as copyFields. Bytes: head.end - head.start - 2. */
export function copyLineAndFields(mem: Uint8Array, at: number, head: Head): number {
  if (!head.drops) return move(mem, at, head.methodStart, head.end - CRLF.length);
  let k = 0;
  while (!head.dropped(k)) k++;
  const out = move(mem, at, head.methodStart, k === 0 ? head.fieldsStart : head.lineEnd(k - 1));
  return copyFields(mem, out, head, k + 1);
}
