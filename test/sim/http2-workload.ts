// Random clients of HTTP/2 with many streams at once, and backends of HTTP/2 or HTTP/1.1, around the proxy on the
// simulated network, and what must hold whatever happens:
//
// - a response that ends in order and bears a token is the one that the backend made for the request with that token:
//   status, content and trailers;
// - no false end: what a backend broke off is a reset for its client, or the proxy's own answer;
// - a backend gets no request that no client sent, no content or trailers of another one, and no POST that it worked on
//   twice; what it refused, or left above the last stream of its GOAWAY, it may get again;
// - windows are kept to by both sides, and frames are whole (the helpers of test/support throw otherwise);
// - where nobody breaks anything off, every request is answered by its backend.

import type { IpAddress } from '../../src/io/io.ts';
import { CODE, TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { Random } from '../../src/sim/random.ts';
import type { Field } from '../support/hpack.ts';
import { data, frame, Http2Client, head, windowUpdate, word } from '../support/http2.ts';
import { type Asked, type BackendConnection, serveHttp2 } from '../support/http2-backend.ts';
import type { Backend } from '../support/net.ts';
import { isEndOfScript, type Peer } from '../support/peer.ts';
import type { SimNet } from '../support/sim-net.ts';

export interface Http2Options {
  readonly seed: number;
  readonly clients: number;
  /** Of a client's connection, at the most. */
  readonly streams: number;
  /** 0: nobody sends content. */
  readonly maxUpBytes: number;
  readonly maxDownBytes: number;
  /** `calm`: nobody breaks anything off; `leaving`: backends refuse streams and say GOAWAY; `harsh`: anything. */
  readonly mood: 'calm' | 'leaving' | 'harsh';
}

type Fate = 'complete' | 'refused' | 'goaway' | 'reset' | 'gone';

/** A request, what its backend is to answer, and who breaks off where. */
interface Call {
  readonly token: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly up: Buffer;
  readonly upLength: boolean;
  readonly upTrailers: boolean;
  readonly status: number;
  readonly down: Buffer;
  readonly downLength: boolean;
  readonly downTrailers: boolean;
  /** Answered before its content came. */
  readonly early: boolean;
  readonly fate: Fate;
  /** Bytes of the response that the backend sends, and that the client waits for before it resets the stream. */
  readonly fateAt: number;
  readonly clientAt: number;
}

export interface Http2Tally {
  requests: number;
  complete: number;
  own: number;
  brokenOff: number;
}

const OWN_STATUSES = new Set([502, 503]);
const WINDOWS = [16_384, 65_535, 1_000_000];
/**
 * What a client took is granted anew in parts of so much, as Go's does it: whoever grants each small frame by itself
 * makes small windows, and of those small frames (RFC 9293 section 3.8.6.2.2 has the same of TCP).
 */
const GRANT_BYTES = 4_096;

/** Something that must never be. */
class Violation extends Error {}

export class Http2Workload {
  readonly tally: Http2Tally = { requests: 0, complete: 0, own: 0, brokenOff: 0 };
  readonly #net: SimNet;
  readonly #options: Http2Options;
  readonly #random: Random;
  readonly #calls = new Map<string, Call>();
  /** POSTs that a backend worked on, and requests that one refused. */
  readonly #worked = new Set<string>();
  readonly #refused = new Set<string>();
  /** The last stream of a GOAWAY. */
  readonly #last = new WeakMap<BackendConnection, number>();

  constructor(net: SimNet, options: Http2Options) {
    net.patient = true;
    this.#net = net;
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  /** Of HTTP/2; each allows so many streams on a connection. */
  backend(streams: number): Backend {
    const settings = [[SETTING.MAX_CONCURRENT_STREAMS, streams]] as const;
    return serveHttp2(this.#net, (asked) => this.#answer(asked), { settings, waits: false }).address;
  }

  http1Backend(): Backend {
    return this.#net.serve(async (peer) => {
      for (;;) if (!(await this.#answerHttp1(peer))) return;
    });
  }

  /** Runs all clients to their end; throws the first violation. */
  async run(address: IpAddress): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.clients }, (_, i) => this.#client(i, address)));
  }

  // ---- what is drawn

  #draw(token: string): Call {
    const random = this.#random;
    const { mood, maxUpBytes, maxDownBytes } = this.#options;
    const method = random.pick(
      maxUpBytes === 0 ? (['GET', 'GET', 'HEAD'] as const) : (['GET', 'HEAD', 'POST', 'PUT'] as const),
    );
    const sends = method === 'POST' || method === 'PUT';
    const up = this.#bytes(token, sends ? maxUpBytes : 0);
    const status = random.pick([200, 200, 200, 201, 204, 404, 500]);
    const down = this.#bytes(`${token} answered`, status === 204 ? 0 : maxDownBytes);
    const call: Call = {
      ...{ token, method, up, status, down },
      upLength: random.chance(0.5),
      upTrailers: sends && random.chance(0.3),
      downLength: status !== 204 && random.chance(0.5),
      downTrailers: method !== 'HEAD' && status !== 204 && random.chance(0.3),
      early: sends && random.chance(0.1),
      fate: this.#fate(mood),
      fateAt: random.below(down.length + 1),
      clientAt: mood === 'harsh' && random.chance(0.1) ? random.below(down.length + 1) : Number.POSITIVE_INFINITY,
    };
    this.#calls.set(token, call);
    return call;
  }

  #fate(mood: Http2Options['mood']): Fate {
    const random = this.#random;
    if (mood === 'calm' || random.chance(0.7)) return 'complete';
    return random.pick(mood === 'leaving' ? ['refused', 'goaway'] : ['refused', 'goaway', 'reset', 'reset', 'gone']);
  }

  /** Content that says whose it is, wherever it is looked at. */
  #bytes(token: string, most: number): Buffer {
    const random = this.#random;
    const length = most === 0 || random.chance(0.2) ? 0 : random.below(random.pick([100, most]));
    return Buffer.alloc(length, `${token};`);
  }

  // ---- backends

  #known(token: string, method: string, path: string): Call {
    const call = this.#calls.get(token);
    if (call === undefined || call.method !== method || path !== `/${token}`)
      throw new Violation(`a backend got a request that no client sent: ${method} ${path} ${token}`);
    return call;
  }

  #work({ token, method }: Call): void {
    if (method === 'POST' && this.#worked.has(token)) throw new Violation(`POST ${token} was sent twice`);
    this.#worked.add(token);
  }

  #gotContent({ token, up, upTrailers }: Call, body: Uint8Array, said: string | undefined): void {
    if (!up.equals(body)) throw new Violation(`${token}: a backend got other content, ${body.length} of ${up.length}`);
    // Without memory they are lost, as on any hop that takes none (RFC 9110 section 6.5).
    const lost = said === undefined && this.#options.mood === 'harsh';
    if (!lost && said !== (upTrailers ? token : undefined))
      throw new Violation(`${token}: a backend got trailers ${said}`);
  }

  async #answer(asked: Asked): Promise<void> {
    const { fields, connection } = asked;
    const call = this.#known(fields.get('x-token') ?? '', fields.get(':method') ?? '', asked.path);
    const { token, fate } = call;
    if (asked.id > (this.#last.get(connection) ?? Number.POSITIVE_INFINITY)) return;
    if (fate === 'refused' && !this.#refused.has(token)) {
      this.#refused.add(token);
      await asked.refuse(CODE.REFUSED_STREAM);
      return;
    }
    this.#work(call);
    if (!call.early) {
      await asked.end();
      if (asked.reset !== null) return;
      this.#gotContent(call, Buffer.concat(asked.body), asked.trailers?.get('x-said'));
    }
    await this.#respond(asked, call);
    if (fate === 'reset') await asked.refuse(CODE.INTERNAL_ERROR);
    else if (fate === 'gone') connection.peer.reset();
    else if (fate === 'goaway' && !this.#last.has(connection)) {
      // None of those is worked on that it has not seen.
      const last = Math.max(...connection.streams.keys());
      this.#last.set(connection, last);
      await connection.goAway(last);
    }
  }

  async #respond(asked: Asked, call: Call): Promise<void> {
    const { token, status, down, downTrailers, fate } = call;
    const more: Field[] = call.downLength ? [['content-length', String(down.length)]] : [];
    const breaks = fate === 'reset' || fate === 'gone';
    const bodiless = call.method === 'HEAD' || status === 204;
    const ends = !breaks && (bodiless || (down.length === 0 && !downTrailers));
    await asked.head([[':status', String(status)], ['x-token', token], ...more], ends);
    if (ends || bodiless) return;
    const content = breaks ? down.subarray(0, call.fateAt) : down;
    if (content.length > 0) await asked.data(content, !breaks && !downTrailers);
    if (!breaks && downTrailers && asked.reset === null) await asked.head([['x-told', token]], true);
  }

  /** False when the connection is over. */
  async #answerHttp1(peer: Peer): Promise<boolean> {
    const message = await peer.readMessage();
    const token = message.headers.get('x-token')?.[0] ?? '';
    const call = this.#known(token, message.method, message.target);
    const { status, down, downTrailers, fate } = call;
    this.#work(call);
    // Behind a Content-Length there is no place for trailers (RFC 9112 section 6.3).
    const said = message.trailers.get('x-said')?.[0];
    this.#gotContent(call, message.body, message.headers.has('content-length') && call.upTrailers ? token : said);
    const bodiless = call.method === 'HEAD' || status === 204;
    const chunked = !bodiless && (downTrailers || !call.downLength);
    const framing = chunked ? 'Transfer-Encoding: chunked' : status === 204 ? 'X: y' : `Content-Length: ${down.length}`;
    const lines = `HTTP/1.1 ${status} Any\r\nX-Token: ${token}\r\n${framing}\r\n\r\n`;
    const chunk = down.length > 0 ? [`${down.length.toString(16)}\r\n`, down, '\r\n'] : [];
    const end = `0\r\n${downTrailers ? `X-Told: ${token}\r\n` : ''}\r\n`;
    const content = bodiless ? [] : chunked ? [...chunk, end] : [down];
    const bytes = Buffer.concat([lines, ...content].map((part) => Buffer.from(part as string, 'latin1')));
    const breaks = fate === 'reset' || fate === 'gone';
    await peer.send(breaks ? bytes.subarray(0, Math.min(call.fateAt + lines.length, bytes.length - 1)) : bytes);
    if (breaks) peer.reset();
    return !breaks;
  }

  // ---- clients

  async #client(index: number, address: IpAddress): Promise<void> {
    const random = this.#random;
    await this.#net.sleep(random.below(30));
    const count = random.between(1, this.#options.streams);
    const calls = Array.from({ length: count }, (_, n) => this.#draw(`${this.#options.seed}-${index}-${n}`));
    this.tally.requests += count;
    let peer: Peer | null = null;
    try {
      peer = await this.#net.connect(address, `127.0.0.${index + 2}`, ['h2']);
      const client = await Http2Client.open(peer, [[SETTING.INITIAL_WINDOW_SIZE, random.pick(WINDOWS)]]);
      client.waits = false;
      client.grants = false;
      await new Conversation(client, this.#net, random, calls, (call, id) => this.#judge(client, call, id)).run();
    } catch (error) {
      // The connection broke: so did what was under way.
      if (!isEndOfScript(error) || this.#options.mood !== 'harsh') throw error;
    }
    if (random.chance(0.5)) peer?.close();
    else peer?.reset();
  }

  /** Of a stream that is over. */
  #judge(client: Http2Client, call: Call, id: number): void {
    const { token, fate, down, downTrailers } = call;
    const { mood } = this.#options;
    const outcome = client.past(id);
    if (outcome === null || outcome.reset !== null) {
      const early = call.early && outcome?.reset === 'NO_ERROR';
      if (mood !== 'harsh' && !early) throw new Violation(`${token} was reset: ${outcome?.reset}`);
      this.tally.brokenOff++;
      return;
    }
    const { status, fields, body, trailers } = outcome;
    if (!fields.has('x-token')) {
      if (mood !== 'harsh' || !OWN_STATUSES.has(status)) throw new Violation(`${token}: the proxy answered ${status}`);
      this.tally.own++;
      return;
    }
    if (fields.get('x-token') !== token) throw new Violation(`${token} got the answer to ${fields.get('x-token')}`);
    if (status !== call.status) throw new Violation(`${token}: status ${status} instead of ${call.status}`);
    const bodiless = call.method === 'HEAD' || status === 204;
    if ((fate === 'reset' || fate === 'gone') && !bodiless) throw new Violation(`${token}: a false end`);
    if (!(bodiless ? Buffer.alloc(0) : down).equals(body))
      throw new Violation(`${token}: other content, ${body.length} of ${down.length}`);
    if (trailers?.get('x-told') !== (downTrailers ? token : undefined)) throw new Violation(`${token}: other trailers`);
    this.tally.complete++;
  }
}

/** One connection: all its requests at once, with their content as the windows allow. */
class Conversation {
  readonly #client: Http2Client;
  readonly #net: SimNet;
  readonly #random: Random;
  readonly #calls: readonly Call[];
  readonly #over: (call: Call, id: number) => void;
  /** Content that may go: of all, and by stream. */
  #window = 65_535;
  readonly #windows = new Map<number, number>();
  /** Content that came and was not granted anew, by stream; 0: of all. */
  readonly #taken = new Map<number, number>();
  #waiting: (() => void)[] = [];
  /** The other end is gone. */
  #broken: { readonly error: unknown } | null = null;

  constructor(
    client: Http2Client,
    net: SimNet,
    random: Random,
    calls: readonly Call[],
    over: (call: Call, id: number) => void,
  ) {
    this.#client = client;
    this.#net = net;
    this.#random = random;
    this.#calls = calls;
    this.#over = over;
  }

  async run(): Promise<void> {
    void this.#read();
    // Their numbers go up as they are opened.
    const ask = async (call: Call, n: number): Promise<void> => {
      await this.#ask(call, 2 * n + 1);
    };
    const asked: Promise<void>[] = [];
    for (const [n, call] of this.#calls.entries()) {
      if (this.#random.chance(0.3)) await this.#net.sleep(this.#random.below(10));
      if (this.#broken !== null) break;
      await this.#open(call, 2 * n + 1);
      const one = ask(call, n);
      // Told of below.
      one.catch(() => {});
      asked.push(one);
    }
    const ends = await Promise.allSettled(asked);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (this.#broken !== null) throw this.#broken.error;
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { type, stream: id, payload } = await this.#client.read();
        if (type === TYPE.DATA) await Promise.all([this.#took(0, payload.length), this.#took(id, payload.length)]);
        for (const { stream, bytes } of this.#client.granted.splice(0)) {
          if (stream === 0) this.#window += bytes;
          else this.#windows.set(stream, (this.#windows.get(stream) ?? 0) + bytes);
        }
        this.#wake();
      }
    } catch (error) {
      this.#broken = { error };
      this.#wake();
    }
  }

  async #took(id: number, bytes: number): Promise<void> {
    const taken = (this.#taken.get(id) ?? 0) + bytes;
    const grants = taken >= GRANT_BYTES && (id === 0 || this.#client.past(id) === null);
    this.#taken.set(id, grants ? 0 : taken);
    if (grants) await this.#client.send(windowUpdate(id, taken));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && this.#broken === null) await new Promise<void>((wake) => this.#waiting.push(wake));
  }

  async #open({ token, method, up, upLength, upTrailers }: Call, id: number): Promise<void> {
    this.#windows.set(id, this.#client.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? 65_535);
    const pseudo: Field[] = [
      [':method', method],
      [':scheme', 'http'],
      [':authority', 'sim.example'],
    ];
    const length: Field[] = upLength && up.length > 0 ? [['content-length', String(up.length)]] : [];
    const ends = up.length === 0 && !upTrailers;
    await this.#client.send(head(id, [...pseudo, [':path', `/${token}`], ['x-token', token], ...length], ends));
  }

  async #ask(call: Call, id: number): Promise<void> {
    const client = this.#client;
    const sending = this.#send(call, id);
    sending.catch(() => {});
    await this.#until(() => client.past(id) !== null || client.body(id).length >= call.clientAt);
    if (this.#broken !== null) return;
    if (client.past(id) === null) await client.send(frame(TYPE.RST_STREAM, 0, id, word(CODE.CANCEL)));
    else this.#over(call, id);
  }

  /** Until all is sent, or nobody wants it any more. */
  async #send({ up, upTrailers, token }: Call, id: number): Promise<void> {
    const client = this.#client;
    const over = (): boolean => client.past(id) !== null || this.#broken !== null;
    const room = (): number => Math.min(this.#window, this.#windows.get(id) ?? 0);
    for (let at = 0; at < up.length; ) {
      await this.#until(() => over() || room() > 0);
      if (over()) return;
      const n = Math.min(up.length - at, room(), 1 + this.#random.below(16_384));
      this.#window -= n;
      this.#windows.set(id, (this.#windows.get(id) ?? 0) - n);
      await client.send(data(id, up.subarray(at, at + n), at + n === up.length && !upTrailers));
      at += n;
    }
    if (upTrailers && !over()) await client.send(head(id, [['x-said', token]], true));
  }
}
