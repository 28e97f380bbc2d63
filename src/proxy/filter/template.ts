// Templates in header values (docs/reference/templates.md). Everything that is not a template stands for itself.

import { bytesOf } from '../../base/bytes.ts';

/** A UUID as text, RFC 9562 section 4. */
export const UUID_BYTES = 36;

export class Template {
  /** The value, with filler where a UUID goes. */
  readonly bytes: Uint8Array;
  /** Offsets of the UUIDs. */
  readonly holes: readonly number[];

  constructor(value: string) {
    const literals = value.split('{{uuid}}').map(bytesOf);
    const holes: number[] = [];
    let at = 0;
    for (const literal of literals.slice(0, -1)) {
      holes.push(at + literal.length);
      at += literal.length + UUID_BYTES;
    }
    this.bytes = new Uint8Array(at + (literals.at(-1)?.length ?? 0));
    this.holes = holes;
    at = 0;
    for (const literal of literals) {
      this.bytes.set(literal, at);
      at += literal.length + UUID_BYTES;
    }
  }
}
