// Field lines that were prepared when the configuration was compiled: what filters set and add, what an answer of our
// own says. Kept by name and value, and as one string of bytes for each wire, so that writing them is one copy.

import { bytesOf, put } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';
import { Template, UUID_BYTES } from './template.ts';

export interface FieldLine {
  readonly name: string;
  /** May hold templates (docs/reference/templates.md). */
  readonly value: string;
  /** It holds none, whatever it looks like: somebody else's words, one byte a sign. */
  readonly literal?: boolean;
}

/**
 * The bytes of one wire, always as many; a UUID has the same length whenever it is written, so its places are known.
 */
class PreparedLines {
  readonly #bytes: Uint8Array;
  /** Where in them UUIDs stand. */
  readonly #holes: Int32Array;
  readonly size: number;

  constructor(bytes: Uint8Array, holes: readonly number[]) {
    this.#bytes = bytes;
    this.#holes = Int32Array.from(holes);
    this.size = bytes.length;
  }

  /**
   * Writes `size` bytes; `uuidAt` is where 36 bytes of UUID text are (read only if the lines use it). Returns the
   * offset behind them.
   */
  put(mem: Uint8Array, at: number, uuidAt: number): number {
    const end = put(mem, at, this.#bytes);
    const holes = this.#holes;
    for (let i = 0; i < holes.length; i++) move(mem, at + (holes[i] as number), uuidAt, uuidAt + UUID_BYTES);
    return end;
  }
}

export class FieldLines {
  readonly lines: readonly FieldLine[];
  /** `name: value` CRLF of each (RFC 9112 section 5). */
  readonly http1: PreparedLines;
  /** Some value needs the request's UUID. */
  readonly usesUuid: boolean;
  /** There is a Date among them. */
  readonly dated: boolean;

  /** Names and values are checked by the caller: tokens, and no control characters. */
  constructor(lines: readonly FieldLine[]) {
    this.lines = lines;
    const parts: Uint8Array[] = [];
    const holes: number[] = [];
    let at = 0;
    const append = (bytes: Uint8Array): void => {
      parts.push(bytes);
      at += bytes.length;
    };
    for (const { name, value, literal } of lines) {
      append(bytesOf(`${name}: `));
      if (literal === true) {
        append(Buffer.from(value, 'latin1'));
      } else {
        const template = new Template(value);
        for (const hole of template.holes) holes.push(at + hole);
        append(template.bytes);
      }
      append(bytesOf('\r\n'));
    }
    this.http1 = new PreparedLines(new Uint8Array(Buffer.concat(parts)), holes);
    this.usesUuid = holes.length > 0;
    this.dated = lines.some(({ name }) => name.length === 4 && name.toLowerCase() === 'date');
  }

  /** Those without the ones of these names (lower case); these where there are none such. */
  without(names: ReadonlySet<string>): FieldLines {
    const rest = this.lines.filter(({ name }) => !names.has(name.toLowerCase()));
    return rest.length === this.lines.length ? this : new FieldLines(rest);
  }
}
