// The peers of a micro-benchmark that speak HTTP/2: a client whose fields are all in the table of compression after its
// first request (RFC 7541), and a backend of gRPC; of what the proxy sends them they see frames and where streams end.

import { FLAG, FRAME_HEAD, FRAME_PAYLOAD, PREFACE, TYPE, word } from '../../src/proxy/http2/frames.ts';

/** Windows as large as can be, so that nothing has to be granted. */
const WINDOW = 0x7fff_ffff;
const FIRST_WINDOW = 65_535;
const INITIAL_WINDOW_SIZE = 4;
const STATIC_LAST = 61;

const FIELDS: readonly (readonly [string, string])[] = [
  [':authority', 'app.example.com'],
  [':path', '/api/v1/items/42?x=1'],
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64) bench/1.0'],
  ['accept', '*/*'],
  ['accept-encoding', 'gzip, deflate, br'],
  ['accept-language', 'en-US,en;q=0.5'],
  ['cookie', 'session=0123456789abcdef0123456789abcdef; theme=dark'],
];
/** `:method: GET` or POST and `:scheme: http` of the static table. */
const FIXED = Buffer.from([0x82, 0x86]);
const CALL_FIXED = Buffer.from([0x83, 0x86]);
const CALL_FIELDS: typeof FIELDS = [
  [':authority', 'app.example.com'],
  [':path', '/bench.Bench/Echo'],
  ['user-agent', 'grpc-bench/1.0'],
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
];
const MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 100]), Buffer.alloc(100, 'x')]);

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUInt32BE((payload.length << 8) | type);
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function string(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
}

/** Header blocks of the first request, and of those behind it. */
function blocks(fixed: Buffer, fields: typeof FIELDS): readonly [Buffer, Buffer] {
  const literals = fields.map(([name, value]) => Buffer.concat([Buffer.from([0x40]), string(name), string(value)]));
  const indices = fields.map((_, i) => 0x80 | (STATIC_LAST + fields.length - i));
  return [Buffer.concat([fixed, ...literals]), Buffer.concat([fixed, Buffer.from(indices)])];
}

const ENDED = FLAG.END_HEADERS | FLAG.END_STREAM;
const GETS = blocks(FIXED, FIELDS).map((block) => [frame(TYPE.HEADERS, ENDED, 1, block)]);
const CALLS = blocks(CALL_FIXED, CALL_FIELDS).map((block) => [
  frame(TYPE.HEADERS, FLAG.END_HEADERS, 1, block),
  frame(TYPE.DATA, FLAG.END_STREAM, 1, MESSAGE),
]);
/** `:status: 200`, `content-type: application/grpc` without indexing; `grpc-status: 0`. */
const ANSWER_HEAD = Buffer.concat([Buffer.from([0x88, 0x0f, 0x10]), string('application/grpc')]);
const ANSWER_END = Buffer.concat([Buffer.from([0]), string('grpc-status'), string('0')]);
const ANSWER: readonly Buffer[] = [
  frame(TYPE.HEADERS, FLAG.END_HEADERS, 1, ANSWER_HEAD),
  frame(TYPE.DATA, 0, 1, MESSAGE),
  frame(TYPE.HEADERS, ENDED, 1, ANSWER_END),
];

function settings(): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(INITIAL_WINDOW_SIZE);
  payload.writeUInt32BE(WINDOW, 2);
  return frame(TYPE.SETTINGS, 0, 0, payload);
}

function widen(): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(WINDOW - FIRST_WINDOW);
  return frame(TYPE.WINDOW_UPDATE, 0, 0, payload);
}

const SETTLED = Buffer.concat([settings(), frame(TYPE.SETTINGS, FLAG.ACK, 0, Buffer.alloc(0)), widen()]);

/** Writes `frames` as those of stream `id` at `at`; returns the offset behind them. */
function putFrames(mem: Uint8Array, at: number, frames: readonly Buffer[], id: number): number {
  let out = at;
  for (const bytes of frames) {
    mem.set(bytes, out);
    mem[out + 5] = id >>> 24;
    mem[out + 6] = id >>> 16;
    mem[out + 7] = id >>> 8;
    mem[out + 8] = id;
    out += bytes.length;
  }
  return out;
}

/** Frames that come: those that end a stream. */
class Ends {
  /** Bytes of the preface, or of a frame, that are still to come. */
  #skip: number;
  readonly ids: number[] = [];

  constructor(skip: number) {
    this.#skip = skip;
  }

  /** mem[start..end) came: returns how many streams ended with it. Throws when one was reset. */
  read(mem: Uint8Array, start: number, end: number): number {
    const before = this.ids.length;
    let at = start + Math.min(this.#skip, end - start);
    this.#skip -= at - start;
    // Senders end a block with a frame: heads are whole.
    while (at < end) {
      const length = ((mem[at] as number) << 16) | ((mem[at + 1] as number) << 8) | (mem[at + 2] as number);
      const type = mem[at + 3] as number;
      if (length > FRAME_PAYLOAD || type === TYPE.RST_STREAM || type === TYPE.GOAWAY) {
        throw new Error(`a frame of type ${type}`);
      }
      if (type <= TYPE.HEADERS && ((mem[at + 4] as number) & FLAG.END_STREAM) !== 0) this.ids.push(word(mem, at + 5));
      at += FRAME_HEAD + length;
    }
    this.#skip = at - end;
    return this.ids.length - before;
  }
}

/** A client's connection. */
export class Http2BenchClient {
  readonly #frames: readonly (readonly Buffer[])[];
  readonly #ends = new Ends(0);
  #next = 1;

  /** `calls`: of gRPC, instead of GETs. */
  constructor(calls: boolean) {
    this.#frames = calls ? CALLS : GETS;
  }

  /** Writes `n` requests at `at` of `mem`; returns how many bytes. */
  put(mem: Uint8Array, at: number, n: number): number {
    let out = at;
    if (this.#next === 1) {
      for (const bytes of [Buffer.from(PREFACE), SETTLED]) {
        mem.set(bytes, out);
        out += bytes.length;
      }
    }
    for (let i = 0; i < n; i++) {
      out = putFrames(mem, out, this.#frames[this.#next === 1 ? 0 : 1] as Buffer[], this.#next);
      this.#next += 2;
    }
    return out - at;
  }

  /** mem[start..end) came: returns how many answers ended with it. */
  read(mem: Uint8Array, start: number, end: number): number {
    this.#ends.ids.length = 0;
    return this.#ends.read(mem, start, end);
  }
}

/** A backend's connection: it answers calls. */
export class Http2BenchBackend {
  readonly #ends = new Ends(PREFACE.length);
  #greeted = false;

  read(mem: Uint8Array, start: number, end: number): void {
    this.#ends.read(mem, start, end);
  }

  /** Writes what it has to say at `at`: at most what `room` bytes hold. Returns how many bytes. */
  put(mem: Uint8Array, at: number, room: number): number {
    let out = at;
    if (!this.#greeted) {
      this.#greeted = true;
      mem.set(SETTLED, out);
      out += SETTLED.length;
    }
    const { ids } = this.#ends;
    let done = 0;
    while (done < ids.length && out + ANSWER_BYTES <= at + room) {
      out = putFrames(mem, out, ANSWER, ids[done++] as number);
    }
    ids.splice(0, done);
    return out - at;
  }

  get waits(): boolean {
    return !this.#greeted || this.#ends.ids.length > 0;
  }
}

const ANSWER_BYTES = ANSWER.reduce((n, bytes) => n + bytes.length, 0);
