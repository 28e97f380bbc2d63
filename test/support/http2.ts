// A client's end of an HTTP/2 connection, frame by frame (RFC 9113), for scripts that do what no client should. What it
// sends is written from the RFC alone: fields are literals without indexing and without the Huffman code.

import { CODE, FLAG, FRAME_PAYLOAD, TYPE } from '../../src/proxy/http2/frames.ts';
import { Decoder, type Field } from './hpack.ts';
import { InTurn } from './in-turn.ts';
import type { Peer } from './peer.ts';

const CODES = Object.entries(CODE);
const TYPES = Object.entries(TYPE);
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** What became of a stream. */
export interface Outcome {
  /** Heads in front of the final one. */
  readonly interim: readonly number[];
  /** 0 when no head came. */
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly trailers: ReadonlyMap<string, string> | null;
  /** Name of the code that it was reset with; null when it ended in order. */
  readonly reset: string | null;
}

export function nameOfCode(code: number): string {
  return CODES.find(([, value]) => value === code)?.[0] ?? String(code);
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

export function word(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value >>> 0);
  return out;
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** A block of literals. */
export function block(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), literal(name), literal(value)]));
}

export function settings(pairs: readonly (readonly [number, number])[] = []): Buffer {
  const payload = Buffer.alloc(6 * pairs.length);
  for (const [i, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, 6 * i);
    payload.writeUInt32BE(value, 6 * i + 2);
  }
  return frame(TYPE.SETTINGS, 0, 0, payload);
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  return frame(TYPE.WINDOW_UPDATE, 0, stream, word(bytes));
}

/** Fields of an ordinary request. */
export function ask(path = '/', more: readonly Field[] = [], method = 'GET'): readonly Field[] {
  return [[':method', method], [':scheme', 'http'], [':authority', 'a.example'], [':path', path], ...more];
}

/** HEADERS with all of these fields, and CONTINUATION where they are more than a frame holds. */
export function head(stream: number, fields: readonly Field[], ends = true): Buffer {
  const all = block(fields);
  const flags = ends ? FLAG.END_STREAM : 0;
  const frames: Buffer[] = [];
  for (let at = 0; at === 0 || at < all.length; at += FRAME_PAYLOAD) {
    const last = at + FRAME_PAYLOAD >= all.length ? FLAG.END_HEADERS : 0;
    const payload = all.subarray(at, at + FRAME_PAYLOAD);
    frames.push(
      at === 0 ? frame(TYPE.HEADERS, flags | last, stream, payload) : frame(TYPE.CONTINUATION, last, stream, payload),
    );
  }
  return Buffer.concat(frames);
}

export function data(stream: number, payload: Uint8Array | string, ends = false): Buffer {
  return frame(TYPE.DATA, ends ? FLAG.END_STREAM : 0, stream, payload);
}

/** Fields of a response that there is at most one of. */
const ONCE: ReadonlySet<string> = new Set(['date', 'location', 'content-length', 'access-control-allow-origin']);

interface Building {
  interim: number[];
  status: number;
  fields: Map<string, string>;
  body: Buffer[];
  trailers: Map<string, string> | null;
}

export class Http2Client {
  readonly peer: Peer;
  readonly #decoder = new Decoder();
  readonly #sends = new InTurn();
  /** All frames that came, but those of streams. */
  readonly control: Frame[] = [];
  readonly #building = new Map<number, Building>();
  readonly #over = new Map<number, Outcome>();
  /** Name of the code of the last GOAWAY, and its last stream. */
  goaway: string | null = null;
  lastStream = -1;
  /** The server's settings, and the bytes of content that it may still send are granted anew as they come. */
  readonly settings = new Map<number, number>();
  grants = true;
  acknowledges = true;
  /** Whoever sends waits until all is taken, and does not read meanwhile. */
  waits = true;
  /** What the server granted, and nobody took note of yet. */
  readonly granted: { readonly stream: number; readonly bytes: number }[] = [];

  constructor(peer: Peer) {
    this.peer = peer;
  }

  /** Says hello, and waits for the server's settings. */
  static async open(peer: Peer, pairs: readonly (readonly [number, number])[] = []): Promise<Http2Client> {
    const client = new Http2Client(peer);
    await client.send(Buffer.from(PREFACE), settings(pairs));
    while (client.settings.size === 0) await client.read();
    return client;
  }

  async send(...frames: readonly Uint8Array[]): Promise<void> {
    const send = (): Promise<void> => this.peer.send(Buffer.concat(frames));
    await (this.waits ? this.#sends.run(send) : this.#sends.aside(send));
  }

  /** The next frame, which is also taken note of. */
  async read(): Promise<Frame> {
    const start = Buffer.from(await this.peer.readExactly(9));
    const length = start.readUIntBE(0, 3);
    const payload = length === 0 ? Buffer.alloc(0) : Buffer.from(await this.peer.readExactly(length));
    const one: Frame = {
      type: start[3] as number,
      flags: start[4] as number,
      stream: start.readUInt32BE(5) & 0x7fffffff,
      payload,
    };
    await this.#note(one);
    return one;
  }

  async #note(one: Frame): Promise<void> {
    const { type, flags, stream, payload } = one;
    if (type === TYPE.WINDOW_UPDATE) this.granted.push({ stream, bytes: payload.readUInt32BE(0) });
    if (stream !== 0) {
      await this.#onStream(one);
      return;
    }
    this.control.push(one);
    if (type === TYPE.GOAWAY) {
      this.lastStream = payload.readUInt32BE(0);
      this.goaway = nameOfCode(payload.readUInt32BE(4));
    } else if (type === TYPE.SETTINGS && (flags & FLAG.ACK) === 0) {
      for (let i = 0; i < payload.length; i += 6)
        this.settings.set(payload.readUInt16BE(i), payload.readUInt32BE(i + 2));
      if (this.acknowledges) await this.send(frame(TYPE.SETTINGS, FLAG.ACK, 0));
    } else if (type === TYPE.PING && (flags & FLAG.ACK) === 0 && this.acknowledges) {
      await this.send(frame(TYPE.PING, FLAG.ACK, 0, payload));
    }
  }

  async #onStream({ type, flags, stream, payload }: Frame): Promise<void> {
    let building = this.#building.get(stream);
    if (building === undefined) {
      building = { interim: [], status: 0, fields: new Map(), body: [], trailers: null };
      this.#building.set(stream, building);
    }
    if (type === TYPE.HEADERS) {
      if ((flags & FLAG.END_HEADERS) === 0) throw new Error('a head in several frames');
      this.#onHead(building, payload);
    } else if (type === TYPE.DATA) {
      if (payload.length > 16_384) throw new Error('a frame that is too large');
      building.body.push(payload);
      if (this.grants && payload.length > 0) {
        const ends = (flags & FLAG.END_STREAM) !== 0;
        await this.send(windowUpdate(0, payload.length), ...(ends ? [] : [windowUpdate(stream, payload.length)]));
      }
    }
    const reset = type === TYPE.RST_STREAM ? nameOfCode(payload.readUInt32BE(0)) : null;
    const ends = (type === TYPE.HEADERS || type === TYPE.DATA) && (flags & FLAG.END_STREAM) !== 0;
    if (this.#over.has(stream) || (reset === null && !ends)) return;
    const { interim, status, fields, body, trailers } = building;
    this.#over.set(stream, { interim, status, fields, body: Buffer.concat(body), trailers, reset });
  }

  #onHead(building: Building, payload: Buffer): void {
    const { result, fields } = this.#decoder.decode(payload, true);
    if (result !== 0) throw new Error('a block that cannot be decoded');
    for (const [name] of fields) if (name !== name.toLowerCase()) throw new Error(`a name with capitals: ${name}`);
    const once = fields.map(([name]) => name).filter((name) => ONCE.has(name));
    if (new Set(once).size < once.length) throw new Error(`one of these twice: ${once}`);
    const all = new Map(fields);
    const status = Number(all.get(':status') ?? 0);
    if (building.status !== 0) building.trailers = all;
    else if (status < 200) building.interim.push(status);
    else {
      building.status = status;
      building.fields = all;
    }
  }

  /** Reads until stream `id` is over. */
  async outcome(id: number): Promise<Outcome> {
    for (;;) {
      const over = this.#over.get(id);
      if (over !== undefined) return over;
      await this.read();
    }
  }

  /** What became of stream `id`, without reading; null when it is not over. */
  past(id: number): Outcome | null {
    return this.#over.get(id) ?? null;
  }

  /** Interim responses to stream `id` so far. */
  interim(id: number): readonly number[] {
    return this.#building.get(id)?.interim ?? [];
  }

  /** What came of stream `id` so far. */
  body(id: number): Buffer {
    return Buffer.concat(this.#building.get(id)?.body ?? []);
  }

  /** Reads until a frame of this type comes. */
  async until(type: number): Promise<Frame> {
    for (;;) {
      const one = await this.read();
      if (one.type === type) return one;
    }
  }

  /** Reads until the server ended the connection; the name of its last GOAWAY's code. */
  async ended(): Promise<string | null> {
    try {
      for (;;) await this.read();
    } catch (error) {
      if (error instanceof Error && (error.name === 'EndedEarly' || 'code' in error)) return this.goaway;
      throw error;
    }
  }
}

export function describe(one: Frame): string {
  const type = TYPES.find(([, value]) => value === one.type)?.[0] ?? String(one.type);
  return `${type} ${one.flags} ${one.stream} ${one.payload.length}`;
}
