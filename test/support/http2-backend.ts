// A backend's end of HTTP/2 connections, frame by frame (RFC 9113), for scripts. What it sends is written from the RFC
// alone, as the client's in http2.ts.

import { CODE, FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { Decoder, type Field } from './hpack.ts';
import { block, data, type Frame, frame, nameOfCode, PREFACE, settings, windowUpdate, word } from './http2.ts';
import { InTurn } from './in-turn.ts';
import type { Backend, TestNet } from './net.ts';
import type { Peer } from './peer.ts';

/** A request, as it comes. */
export class Asked {
  readonly connection: BackendConnection;
  readonly id: number;
  fields: ReadonlyMap<string, string> = new Map();
  /** All of them, in order, and the names of those that must not be indexed. */
  list: readonly Field[] = [];
  never: readonly string[] = [];
  body: Buffer[] = [];
  trailers: ReadonlyMap<string, string> | null = null;
  /** All of it came. */
  whole = false;
  /** Name of the code that it was reset with. */
  reset: string | null = null;
  /** Its HEADERS ended the stream. */
  endedAtOnce = false;
  /** Bytes of content that it may be sent. */
  window: number;
  #waiting: (() => void)[] = [];

  constructor(connection: BackendConnection, id: number) {
    this.connection = connection;
    this.id = id;
    this.window = connection.initialWindow;
  }

  get path(): string {
    return this.fields.get(':path') ?? '';
  }
  get content(): string {
    return Buffer.concat(this.body).toString('latin1');
  }

  noted(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Until `condition` is true of it. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async end(): Promise<this> {
    await this.until(() => this.whole || this.reset !== null);
    return this;
  }

  // ---- answers

  async head(fields: readonly Field[], ends = false): Promise<void> {
    const flags = FLAG.END_HEADERS | (ends ? FLAG.END_STREAM : 0);
    await this.connection.send(frame(TYPE.HEADERS, flags, this.id, block(fields)));
  }

  async respond(content: string | Uint8Array = '', more: readonly Field[] = []): Promise<void> {
    const head = frame(TYPE.HEADERS, FLAG.END_HEADERS, this.id, block([[':status', '200'], ...more]));
    await this.connection.send(Buffer.concat([head, data(this.id, content, true)]));
  }

  /** Within its windows; without end when it was reset. */
  async data(content: string | Uint8Array, ends = false): Promise<void> {
    const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
    let at = 0;
    do {
      await this.until(() => at === bytes.length || this.#room > 0 || this.reset !== null);
      if (this.reset !== null) return;
      const n = Math.min(bytes.length - at, this.#room, 16_384);
      this.window -= n;
      this.connection.window -= n;
      await this.connection.send(data(this.id, bytes.subarray(at, at + n), ends && at + n === bytes.length));
      at += n;
    } while (at < bytes.length);
  }

  get #room(): number {
    return Math.min(this.window, this.connection.window);
  }

  async refuse(code: number): Promise<void> {
    await this.connection.send(frame(TYPE.RST_STREAM, 0, this.id, word(code)));
  }
}

export interface BackendOptions {
  /** Its SETTINGS; null for none at all. */
  readonly settings?: readonly (readonly [number, number])[] | null;
  /** Content is granted anew as it comes; else never. */
  readonly grants?: boolean;
  /** PINGs are answered. */
  readonly answers?: boolean;
  /** Whoever sends waits until all is taken, and does not read meanwhile. */
  readonly waits?: boolean;
}

export class BackendConnection {
  readonly peer: Peer;
  readonly options: BackendOptions;
  readonly streams = new Map<number, Asked>();
  readonly #decoder = new Decoder();
  readonly #sends = new InTurn();
  /** Frames of the connection itself. */
  readonly control: Frame[] = [];
  goaway: string | null = null;
  pings = 0;
  over = false;
  /** Windows by which it may send content. */
  window = 65_535;
  initialWindow = 65_535;

  constructor(peer: Peer, options: BackendOptions) {
    this.peer = peer;
    this.options = options;
  }

  async send(bytes: Uint8Array): Promise<void> {
    const send = (): Promise<void> => this.peer.send(bytes);
    await (this.options.waits === false ? this.#sends.aside(send) : this.#sends.run(send));
  }

  async goAway(last: number, code: number = CODE.NO_ERROR): Promise<void> {
    await this.send(frame(TYPE.GOAWAY, 0, 0, Buffer.concat([word(last), word(code)])));
  }

  /** Reads until the other end is gone. */
  async serve(onRequest: (asked: Asked) => void): Promise<void> {
    try {
      const preface = Buffer.from(await this.peer.readExactly(PREFACE.length)).toString('latin1');
      if (preface !== PREFACE) throw new Error(`no preface: ${preface}`);
      const { settings: pairs = [] } = this.options;
      if (pairs !== null) await this.send(settings(pairs));
      for (;;) await this.#read(onRequest);
    } finally {
      this.over = true;
      for (const asked of this.streams.values()) {
        asked.reset ??= 'GONE';
        asked.noted();
      }
    }
  }

  async #read(onRequest: (asked: Asked) => void): Promise<void> {
    const start = Buffer.from(await this.peer.readExactly(9));
    const length = start.readUIntBE(0, 3);
    const payload = length === 0 ? Buffer.alloc(0) : Buffer.from(await this.peer.readExactly(length));
    const type = start[3] as number;
    const flags = start[4] as number;
    const stream = start.readUInt32BE(5);
    if (stream === 0) await this.#onControl({ type, flags, stream, payload });
    else await this.#onStream({ type, flags, stream, payload }, onRequest);
  }

  async #onControl(one: Frame): Promise<void> {
    const { type, flags, payload } = one;
    this.control.push(one);
    if (type === TYPE.WINDOW_UPDATE) {
      this.window += payload.readUInt32BE(0);
      for (const asked of this.streams.values()) asked.noted();
    }
    if (type === TYPE.GOAWAY) this.goaway = nameOfCode(payload.readUInt32BE(4));
    if ((flags & FLAG.ACK) !== 0) return;
    if (type === TYPE.SETTINGS) {
      for (let i = 0; i < payload.length; i += 6) {
        if (payload.readUInt16BE(i) === SETTING.INITIAL_WINDOW_SIZE) this.initialWindow = payload.readUInt32BE(i + 2);
      }
      if (this.options.settings !== null) await this.send(frame(TYPE.SETTINGS, FLAG.ACK, 0));
    }
    if (type === TYPE.PING) this.pings++;
    if (type === TYPE.PING && this.options.answers !== false) await this.send(frame(TYPE.PING, FLAG.ACK, 0, payload));
  }

  async #onStream({ type, flags, stream, payload }: Frame, onRequest: (asked: Asked) => void): Promise<void> {
    let asked = this.streams.get(stream);
    const isNew = asked === undefined;
    if (asked === undefined) {
      asked = new Asked(this, stream);
      this.streams.set(stream, asked);
    }
    const ends = (flags & FLAG.END_STREAM) !== 0 && (type === TYPE.HEADERS || type === TYPE.DATA);
    if (type === TYPE.HEADERS) {
      if ((flags & FLAG.END_HEADERS) === 0) throw new Error('a head in several frames');
      const { result, fields, never } = this.#decoder.decode(payload);
      if (result !== 0) throw new Error('a block that cannot be decoded');
      if (isNew) {
        asked.fields = new Map(fields);
        asked.list = fields;
        asked.never = never;
        asked.endedAtOnce = ends;
      } else {
        asked.trailers = new Map(fields);
      }
    } else if (type === TYPE.DATA) {
      asked.body.push(payload);
      if (this.options.grants !== false && payload.length > 0) {
        await this.send(Buffer.concat([windowUpdate(0, payload.length), windowUpdate(stream, payload.length)]));
      }
    } else if (type === TYPE.WINDOW_UPDATE) {
      asked.window += payload.readUInt32BE(0);
    } else if (type === TYPE.RST_STREAM) {
      asked.reset = nameOfCode(payload.readUInt32BE(0));
    }
    if (ends) asked.whole = true;
    asked.noted();
    if (isNew) onRequest(asked);
  }
}

/** A backend that speaks HTTP/2, and its connections. */
export interface Http2Backend {
  readonly address: Backend;
  readonly connections: BackendConnection[];
  readonly requests: Asked[];
}

/** `onRequest` gets each request when its head came; what it throws fails the test. */
export function serveHttp2(
  net: TestNet,
  onRequest: (asked: Asked) => Promise<void> | void,
  options: BackendOptions | ((connection: number) => BackendOptions) = {},
): Http2Backend {
  const connections: BackendConnection[] = [];
  const requests: Asked[] = [];
  const address = net.serve(async (peer) => {
    const own = typeof options === 'function' ? options(connections.length) : options;
    const connection = new BackendConnection(peer, own);
    connections.push(connection);
    const answers: Promise<void>[] = [];
    const failed = Promise.withResolvers<never>();
    const serving = connection.serve((asked) => {
      requests.push(asked);
      answers.push(Promise.resolve(onRequest(asked)).catch((error: unknown) => failed.reject(error)));
    });
    await Promise.race([serving, failed.promise]);
  });
  return { address, connections, requests };
}
