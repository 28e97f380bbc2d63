// The wire format of Protocol Buffers (protobuf.dev, Encoding), as far as a few known messages need it: fields of
// varints and of bytes are written; of what is read every field is seen, and those that nobody asks for are skipped.

import { bytesOf } from '../../base/bytes.ts';

/** How a field's value stands on the wire. */
export const WIRE = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

const MORE = 0x80;
const LOW = 0x7f;
/** A varint of 64 bits at its longest. */
const VARINT_BYTES = 10;

/** One message, field by field; what is 0 or empty is its default and is left away. */
export class MessageWriter {
  #bytes = new Uint8Array(256);
  #used = 0;

  /** What was written so far. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#used);
  }

  /** An integer from -(2 ** 53) to 2 ** 53; a negative one as two's complement of 64 bits. */
  integer(field: number, value: number): this {
    if (value === 0) return this;
    this.#key(field, WIRE.VARINT);
    this.#varint(BigInt.asUintN(64, BigInt(value)));
    return this;
  }

  text(field: number, value: string): this {
    return value === '' ? this : this.bytesField(field, bytesOf(value));
  }

  /** A message, or bytes, also empty ones. */
  bytesField(field: number, value: Uint8Array): this {
    this.#key(field, WIRE.BYTES);
    this.#varint(BigInt(value.length));
    this.#room(value.length);
    this.#bytes.set(value, this.#used);
    this.#used += value.length;
    return this;
  }

  message(field: number, value: MessageWriter): this {
    return this.bytesField(field, value.bytes);
  }

  #key(field: number, wire: number): void {
    this.#varint(BigInt(field * 8 + wire));
  }

  #varint(value: bigint): void {
    this.#room(VARINT_BYTES);
    let left = value;
    while (left > 0x7fn) {
      this.#bytes[this.#used++] = Number(left & 0x7fn) | MORE;
      left >>= 7n;
    }
    this.#bytes[this.#used++] = Number(left);
  }

  #room(bytes: number): void {
    if (this.#used + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#used + bytes));
    larger.set(this.bytes);
    this.#bytes = larger;
  }
}

/** What came is no message. */
export class MessageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MessageError';
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Reads a message field by field: `while (reader.next())`. Throws MessageError. */
export class MessageReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  /** Of the field that was read. */
  field = 0;
  /** WIRE. */
  wire = 0;
  #integer = 0n;
  #value: Uint8Array = new Uint8Array(0);

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Reads the next field; false when there is none. */
  next(): boolean {
    if (this.#at === this.#bytes.length) return false;
    const key = this.#varint();
    this.field = Number(key >> 3n);
    this.wire = Number(key & 7n);
    if (this.field === 0 || this.field > 0x1fff_ffff) throw new MessageError('a field without a number');
    switch (this.wire) {
      case WIRE.VARINT:
        this.#integer = this.#varint();
        return true;
      case WIRE.FIXED64:
        this.#take(8);
        return true;
      case WIRE.FIXED32:
        this.#take(4);
        return true;
      case WIRE.BYTES:
        this.#value = this.#take(Number(this.#varint()));
        return true;
      default:
        throw new MessageError(`wire type ${this.wire}`);
    }
  }

  /** The field's value as a signed integer of 32 bits, as enums and int32 are. */
  get int32(): number {
    this.#expect(WIRE.VARINT);
    return Number(BigInt.asIntN(32, this.#integer));
  }

  get bool(): boolean {
    this.#expect(WIRE.VARINT);
    return this.#integer !== 0n;
  }

  /** The field's bytes: of a message, too. */
  get bytes(): Uint8Array {
    this.#expect(WIRE.BYTES);
    return this.#value;
  }

  get text(): string {
    try {
      return decoder.decode(this.bytes);
    } catch {
      throw new MessageError('text that is not UTF-8');
    }
  }

  #expect(wire: number): void {
    if (this.wire !== wire) throw new MessageError(`field ${this.field} has wire type ${this.wire}, not ${wire}`);
  }

  #varint(): bigint {
    let value = 0n;
    for (let i = 0; i < VARINT_BYTES; i++) {
      if (this.#at === this.#bytes.length) throw new MessageError('an integer that breaks off');
      const byte = this.#bytes[this.#at++] as number;
      value |= BigInt(byte & LOW) << BigInt(7 * i);
      if ((byte & MORE) === 0) return BigInt.asUintN(64, value);
    }
    throw new MessageError('an integer of more than ten bytes');
  }

  #take(bytes: number): Uint8Array {
    const end = this.#at + bytes;
    if (end > this.#bytes.length) throw new MessageError('a value that breaks off');
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return value;
  }
}
