// A field name as configuration gives it, made ready to be found among the fields of a head.

import { bytesOf, equalLowerAt } from '../base/bytes.ts';
import { type Head, NAME } from './head.ts';

/** NAME id of a lower-case field name, NAME.OTHER for names without one. The keys of NAME spell the names. */
export function nameId(lower: string): number {
  const ids: Readonly<Record<string, number>> = NAME;
  const key = lower.toUpperCase().replaceAll('-', '_');
  return lower.includes('_') || key === 'OTHER' ? NAME.OTHER : (ids[key] ?? NAME.OTHER);
}

export class FieldName {
  readonly lower: string;
  /** NAME id. */
  readonly id: number;
  readonly bytes: Uint8Array;

  constructor(name: string) {
    this.lower = name.toLowerCase();
    this.id = nameId(this.lower);
    this.bytes = bytesOf(this.lower);
  }

  /** Whether field `i` of the head has this name (names are case-insensitive, RFC 9110 section 5.1). */
  is(mem: Uint8Array, head: Head, i: number): boolean {
    if (head.name(i) !== this.id) return false;
    if (this.id !== NAME.OTHER) return true;
    const start = head.nameStart(i);
    return head.nameEnd(i) - start === this.bytes.length && equalLowerAt(mem, start, this.bytes);
  }
}
