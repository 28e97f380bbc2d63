// HPACK for tests: blocks from and to lists of [name, value].

import { textOf } from '../../src/base/bytes.ts';
import { Head } from '../../src/proxy/head.ts';
import { HpackDecoder } from '../../src/proxy/http2/hpack/decoder.ts';
import { BEGIN_BYTES, FIELD_BYTES, HpackEncoder } from '../../src/proxy/http2/hpack/encoder.ts';
import { FieldSection, sectionBytes } from '../../src/proxy/http2/hpack/section.ts';
import { PSEUDO } from '../../src/proxy/http2/hpack/static-table.ts';
import { SimArena } from '../../src/sim/arena.ts';

export const arena = new SimArena(64 * 1024 * 1024);
export const { mem } = arena;
export const BLOCK_BYTES = 256 * 1024;
const block = arena.alloc(BLOCK_BYTES);
const lines = arena.alloc(BLOCK_BYTES);
const decoded = arena.alloc(sectionBytes(BLOCK_BYTES));
const NAMES: readonly (readonly [string, number])[] = Object.entries(PSEUDO)
  .filter(([, pseudo]) => pseudo !== PSEUDO.NONE)
  .map(([name, pseudo]) => [`:${name.toLowerCase()}`, pseudo]);

export type Field = readonly [name: string, value: string];

export interface Decoded {
  readonly result: number;
  /** Pseudo-fields (by their number) in front. */
  readonly fields: readonly Field[];
  /** Lower-case names of those that must not be indexed. */
  readonly never: readonly string[];
  readonly section: FieldSection;
  readonly head: Head;
}

export class Decoder {
  readonly hpack = new HpackDecoder(arena);
  readonly head = new Head();
  readonly section = new FieldSection(this.head);

  decode(bytes: Uint8Array, isResponse = false): Decoded {
    mem.set(bytes, block);
    const { head, section } = this;
    section.open(head, decoded, isResponse);
    const result = this.hpack.decode(mem, block, block + bytes.length, section);
    const fields: Field[] = [];
    const never: string[] = [];
    for (const [name, pseudo] of NAMES) {
      if ((section.pseudo & (1 << pseudo)) !== 0) {
        fields.push([name, textOf(mem, section.starts[pseudo], section.ends[pseudo])]);
      }
    }
    for (let k = 0; k < head.count; k++) {
      const name = textOf(mem, head.nameStart(k), head.nameEnd(k));
      fields.push([name, textOf(mem, head.valueStart(k), head.valueEnd(k))]);
      if (head.valueStart(k) - head.nameEnd(k) > 2) never.push(name);
    }
    return { result, fields, never, section, head };
  }

  /** The same from hexadecimal text. */
  hex(text: string, isResponse = false): Decoded {
    return this.decode(Buffer.from(text.replaceAll(' ', ''), 'hex'), isResponse);
  }
}

export class Encoder {
  readonly hpack = new HpackEncoder(arena);

  /** `never`: names whose fields must never be indexed. */
  encode(fields: readonly Field[], never: readonly string[] = []): Uint8Array {
    let room = BEGIN_BYTES;
    let at = this.hpack.begin(mem, block);
    for (const [name, value] of fields) {
      const gap = never.includes(name) ? ':  ' : ': ';
      const line = Buffer.from(`${name}${gap}${value}\r\n`, 'latin1');
      mem.set(line, lines);
      const start = lines + name.length + gap.length;
      const pseudo = NAMES.find(([known]) => known === name)?.[1] ?? PSEUDO.NONE;
      room += FIELD_BYTES + name.length + value.length;
      at =
        pseudo === PSEUDO.STATUS
          ? this.hpack.status(mem, at, Number(value))
          : pseudo !== PSEUDO.NONE
            ? this.hpack.pseudo(mem, at, pseudo, start, start + value.length)
            : this.hpack.field(mem, at, lines, lines + name.length, start, start + value.length);
      if (at - block > room) throw new Error(`${name} took more room than it may`);
    }
    return mem.slice(block, at);
  }
}
