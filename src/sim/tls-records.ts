// The records of the simulation's TLS: headers as TLS has them (RFC 8446 section 5.1), a toy for a cipher. Each is
// masked and summed under its number, so that bytes that are lost, doubled, reordered or read in the clear are found.

export const RECORD = { ALERT: 21, HANDSHAKE: 22, DATA: 23 } as const;
export const CLOSE_NOTIFY = 0;
export const BAD_RECORD_MAC = 20;
export const NO_APPLICATION_PROTOCOL = 120;
/** Messages of the toy's handshake. */
export const HANDSHAKE = { CLIENT_HELLO: 1, SERVER_HELLO: 2, FINISHED: 20 } as const;

const HEAD_BYTES = 5;
const TAG_BYTES = 4;
/** As much as a record of TLS holds. */
export const RECORD_BYTES = 16_384;

export interface SimRecord {
  readonly type: number;
  readonly body: Uint8Array;
}

function mask(n: number, i: number): number {
  return (n * 31 + i * 7 + 0x5a) & 255;
}

/** FNV-1a over the plain bytes, begun with the record's number. */
function tagOf(n: number, plain: Uint8Array): number {
  let tag = (0x811c9dc5 ^ n) >>> 0;
  for (const byte of plain) tag = Math.imul(tag ^ byte, 0x01000193) >>> 0;
  return tag;
}

function head(type: number, length: number): Uint8Array {
  return Uint8Array.of(type, 3, 3, length >> 8, length & 255);
}

/** A record in the clear: a handshake's, or an alert before there is a cipher. */
export function plainRecord(type: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([head(type, body.length), body]);
}

/** What one side says once it has a cipher. */
export class Sealer {
  #n = 0;

  /** The record of `body`, at most RECORD_BYTES. */
  seal(type: number, body: Uint8Array): Uint8Array {
    const n = this.#n++;
    const out = new Uint8Array(HEAD_BYTES + body.length + TAG_BYTES);
    out.set(head(type, body.length + TAG_BYTES));
    for (let i = 0; i < body.length; i++) out[HEAD_BYTES + i] = (body[i] as number) ^ mask(n, i);
    new DataView(out.buffer).setUint32(HEAD_BYTES + body.length, tagOf(n, body));
    return out;
  }
}

/** What one side hears. */
export class Opener {
  #held: Buffer = Buffer.alloc(0);
  #n = 0;
  /** Records are sealed from now on. */
  sealed = false;

  push(bytes: Uint8Array): void {
    this.#held = this.#held.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#held, bytes]);
  }

  /** Nothing of a record waits. */
  get empty(): boolean {
    return this.#held.length === 0;
  }

  /** The next record; null when it is not whole; 'bad' when it is not what was sealed. */
  next(): SimRecord | 'bad' | null {
    const held = this.#held;
    if (held.length < HEAD_BYTES) return null;
    const end = HEAD_BYTES + held.readUInt16BE(3);
    if (held.length < end) return null;
    const type = held[0] as number;
    const body = held.subarray(HEAD_BYTES, end);
    this.#held = held.subarray(end);
    return this.sealed ? this.#unseal(type, body) : { type, body };
  }

  #unseal(type: number, sealed: Buffer): SimRecord | 'bad' {
    const n = this.#n++;
    if (sealed.length < TAG_BYTES) return 'bad';
    const plain = new Uint8Array(sealed.length - TAG_BYTES);
    for (let i = 0; i < plain.length; i++) plain[i] = (sealed[i] as number) ^ mask(n, i);
    return sealed.readUInt32BE(plain.length) === tagOf(n, plain) ? { type, body: plain } : 'bad';
  }
}

const ALPN = 16;

function uint16(n: number): number[] {
  return [n >> 8, n & 255];
}

/** A ClientHello as RFC 8446 section 4.1.2 has it, in its record. `name`: '' for none. */
export function clientHello(name: string, alpn: readonly string[]): Uint8Array {
  const extensions: number[] = [0, 43, 0, 3, 2, 3, 4, 0, 13, 0, 4, 0, 2, 4, 3];
  if (name !== '') {
    const bytes = Buffer.from(name, 'latin1');
    const { length } = bytes;
    extensions.push(0, 0, ...uint16(length + 5), ...uint16(length + 3), 0, ...uint16(length), ...bytes);
  }
  if (alpn.length > 0) {
    const list = alpn.flatMap((one) => [one.length, ...Buffer.from(one, 'latin1')]);
    extensions.push(0, ALPN, ...uint16(list.length + 2), ...uint16(list.length), ...list);
  }
  const random = new Array<number>(32).fill(7);
  const body = [3, 3, ...random, 0, 0, 2, 0x13, 1, 1, 0, ...uint16(extensions.length), ...extensions];
  const message = Uint8Array.from([HANDSHAKE.CLIENT_HELLO, 0, ...uint16(body.length), ...body]);
  return plainRecord(RECORD.HANDSHAKE, message);
}

/** The protocols that the message of `clientHello` offers. */
export function protocolsOf(hello: Uint8Array): string[] {
  const bytes = Buffer.from(hello);
  // The message's head, version, random, session, one suite, one compression method, length of the extensions.
  let at = 4 + 2 + 32 + 1 + 4 + 2 + 2;
  while (at + 4 <= bytes.length) {
    const end = at + 4 + bytes.readUInt16BE(at + 2);
    if (bytes.readUInt16BE(at) !== ALPN) {
      at = end;
      continue;
    }
    const found: string[] = [];
    for (let i = at + 6; i < end; i += 1 + (bytes[i] as number)) {
      found.push(bytes.toString('latin1', i + 1, i + 1 + (bytes[i] as number)));
    }
    return found;
  }
  return [];
}

/** What a server answers with: the protocol it chose, and its certificates. */
export function serverHello(alpn: string, chain: readonly Uint8Array[]): Uint8Array {
  const text = JSON.stringify({ alpn, chain: chain.map((der) => Buffer.from(der).toString('base64')) });
  return plainRecord(RECORD.HANDSHAKE, Buffer.from([HANDSHAKE.SERVER_HELLO, ...Buffer.from(text)]));
}

export function readServerHello(body: Uint8Array): { readonly alpn: string; readonly chain: readonly string[] } {
  return JSON.parse(Buffer.from(body.subarray(1)).toString());
}
