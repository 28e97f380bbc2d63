// Which trailer fields of a request go on. Servers that put trailers among the head's fields (RFC 9110 section 6.5.1
// lets them, and httpd did: CVE-2013-5704) would take one for what a filter, or who decided, replaced or removed there.

import { move } from '../../base/memory.ts';
import type { Clients } from '../client-source.ts';
import type { FieldEdits } from '../filter/field-edits.ts';
import { type FieldChange, isReplaced } from './amend.ts';

const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;

/**
 * Takes out of the trailer section mem[start..end), in place, what the head may not say any more: what `edits` and
 * `changes` replace or remove, and by `clients` who the client is. Returns its new end; `start` when nothing is left.
 */
export function keptTrailers(
  mem: Uint8Array,
  start: number,
  end: number,
  edits: FieldEdits | null,
  changes: readonly FieldChange[],
  clients: Clients | null,
): number {
  if (start === end || (edits === null && changes.length === 0 && clients === null)) return end;
  let out = start;
  // Behind the last line stands the empty one.
  for (let line = start; line < end - 2; ) {
    let colon = line;
    while (mem[colon] !== COLON) colon++;
    let behind = colon;
    while (mem[behind++] !== LF);
    const goes =
      edits?.drops(mem, line, colon) === true ||
      isReplaced(mem, line, colon, changes) ||
      clients?.isNamed(mem, line, colon) === true;
    if (!goes) out = move(mem, out, line, behind);
    line = behind;
  }
  if (out === start) return start;
  mem[out] = CR;
  mem[out + 1] = LF;
  return out + 2;
}
