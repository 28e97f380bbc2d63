// Windows of HTTP/2 as accounts: one client's connection, one to a backend, and streams by chance that end in every way
// there is, in the clear and over TLS. When all are over, both connections' windows are whole to the byte (RFC 9113
// section 6.9): whatever became of its stream, content that came was given back. SEEDS=1000 for a long run.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { CODE, FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { GENTLE, NO_FAULTS } from '../../src/sim/faults.ts';
import { Random } from '../../src/sim/random.ts';
import { CELL } from '../../src/telemetry/layout.ts';
import { cluster, endpoint, Rig, rule } from '../proxy/rig.ts';
import type { Field } from '../support/hpack.ts';
import { ask, data, frame, Http2Client, head, windowUpdate, word } from '../support/http2.ts';
import { type Asked, type BackendConnection, serveHttp2 } from '../support/http2-backend.ts';
import { runSeed, seedsOf } from '../support/net.ts';
import type { SimNet } from '../support/sim-net.ts';

const SEEDS = 12;
const STREAMS = 40;
const WHOLE = LIMITS.HTTP2_CONNECTION_WINDOW_BYTES;
/** So small that none is read in parts. */
const PIECE = Buffer.alloc(900, 'p');
const SIZES = [0, 1, 1000, 40_000, 300_000];
const CODES = [CODE.NO_ERROR, CODE.CANCEL, CODE.REFUSED_STREAM, CODE.INTERNAL_ERROR];

const quiet = (doing: Promise<unknown>): Promise<unknown> => doing.catch(() => null);

class World {
  readonly #net: SimNet;
  readonly #random: Random;
  readonly #rig: Rig;
  readonly #connections: BackendConnection[];
  #client!: Http2Client;
  #probe: Asked | null = null;
  #next = 1;
  /** Bytes that the client may send: of its connection, and by stream. */
  #window = 65_535;
  readonly #windows = new Map<number, number>();
  #waiting: (() => void)[] = [];
  #broken = false;

  constructor(net: SimNet, seed: number) {
    this.#net = net;
    this.#random = new Random(seed);
    const { network } = net.sim;
    network.faults = NO_FAULTS;
    const settings = [
      [SETTING.ENABLE_CONNECT_PROTOCOL, 1],
      [SETTING.MAX_CONCURRENT_STREAMS, 1000],
    ] as const;
    const app = serveHttp2(net, (asked) => this.#answer(asked), { settings, waits: false });
    this.#connections = app.connections;
    const entries = [rule({ to: ['h2'] }), cluster('h2', [endpoint(app.address)], { protocol: 'http2' })];
    this.#rig = new Rig(net, [], entries);
  }

  #chance(p: number): boolean {
    return this.#random.chance(p);
  }

  // ---- the backend

  async #answer(asked: Asked): Promise<void> {
    if (asked.path === '/probe') {
      this.#probe = asked;
      return;
    }
    if (this.#chance(0.3)) await asked.until(() => asked.body.length > 0 || asked.whole || asked.reset !== null);
    if (this.#chance(0.3)) await asked.end();
    if (asked.reset !== null) return;
    const size = this.#random.pick(SIZES);
    const act = this.#random.pick(['right', 'right', 'open', 'more', 'less', 'headless', 'bare', 'reset', 'never']);
    const length: Field[] = act === 'right' || act === 'less' ? [['content-length', String(size)]] : [];
    if (act === 'more') length.push(['content-length', String(size >> 1)]);
    if (act === 'never') return;
    if (act === 'bare') await asked.head([[':status', this.#random.pick(['204', '304', '103'])]], this.#chance(0.5));
    else if (act !== 'headless') await asked.head([[':status', '200'], ...length], act === 'less' && size === 0);
    const ends = act !== 'open' && this.#chance(0.8);
    if (act === 'reset') await asked.refuse(this.#random.pick(CODES));
    else if (act === 'less') await asked.data(Buffer.alloc(size >> 1), ends);
    else if (size > 0 || ends) await asked.data(Buffer.alloc(size), ends);
    if (!ends && this.#chance(0.5)) await asked.head([['grpc-status', '0']], true);
    if (this.#chance(0.3)) await asked.refuse(this.#random.pick(CODES));
  }

  // ---- the client

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { type, stream, payload } = await this.#client.read();
        if (type === TYPE.DATA && payload.length > 0) {
          await this.#client.send(windowUpdate(0, payload.length));
          if (this.#takes.has(stream)) await this.#client.send(windowUpdate(stream, payload.length));
        }
        this.#granted();
      }
    } catch {
      this.#broken = true;
      this.#granted();
    }
  }

  /** Streams whose responses it takes. */
  readonly #takes = new Set<number>();

  #granted(): void {
    for (const { stream, bytes } of this.#client.granted.splice(0)) {
      if (stream === 0) this.#window += bytes;
      else this.#windows.set(stream, (this.#windows.get(stream) ?? 0) + bytes);
    }
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #over(id: number): boolean {
    return this.#broken || this.#client.past(id) !== null;
  }

  /** `size` bytes of content, some in frames with padding, as far as windows go before the stream is over. */
  async #send(id: number, size: number, ends: boolean, pads = 0.2): Promise<void> {
    for (let at = 0; at < size; ) {
      const room = Math.min(this.#window, this.#windows.get(id) ?? 0, 16_000);
      if (this.#over(id)) return;
      const padding = this.#chance(pads) ? Math.min(200, Math.max(0, room - 2)) : 0;
      const n = Math.min(size - at, room - (padding === 0 ? 0 : padding + 1));
      if (n <= 0) {
        await new Promise<void>((wake) => this.#waiting.push(wake));
        continue;
      }
      at += n;
      const last = at === size && ends ? FLAG.END_STREAM : 0;
      const content = Buffer.alloc(n);
      const padded = Buffer.concat([Buffer.of(padding), content, Buffer.alloc(padding)]);
      const one = padding === 0 ? data(id, content, last !== 0) : frame(TYPE.DATA, last | FLAG.PADDED, id, padded);
      this.#window -= one.length - 9;
      this.#windows.set(id, (this.#windows.get(id) ?? 0) - (one.length - 9));
      await this.#client.send(one);
    }
    if (size === 0 && ends && !this.#over(id)) await this.#client.send(data(id, '', true));
  }

  #open(id: number): void {
    this.#windows.set(id, this.#client.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? 65_535);
  }

  async #ask(): Promise<void> {
    const id = this.#next;
    this.#next += 2;
    this.#open(id);
    const size = this.#random.pick(SIZES);
    const lie = this.#chance(0.1) ? size >> 1 : size;
    const fields = this.#random.pick<readonly Field[]>([
      ask('/', [], 'POST'),
      ask('/', [['content-length', String(lie)]], 'PUT'),
      ask('/', [], 'HEAD'),
      [[':protocol', 'websocket'], ...ask('/', [], 'CONNECT')],
    ]);
    if (this.#chance(0.7)) this.#takes.add(id);
    await this.#client.send(head(id, fields, false));
    const sending = this.#send(id, size, this.#chance(0.8));
    if (this.#chance(0.3)) {
      await this.#net.sleep(this.#random.below(30));
      if (!this.#over(id)) await this.#client.send(frame(TYPE.RST_STREAM, 0, id, word(CODE.CANCEL)));
      // For whoever still sends.
      this.#windows.set(id, Number.NEGATIVE_INFINITY);
    } else await sending;
  }

  async run(): Promise<void> {
    const { network } = this.#net.sim;
    this.#net.patient = true;
    this.#client = await Http2Client.open(await this.#rig.connect(undefined, ['h2']));
    this.#client.waits = false;
    this.#client.grants = false;
    this.#granted();
    network.faults = { ...GENTLE, allocFail: this.#random.pick([0, 0, 0.01, 0.1]) };
    void this.#read();
    for (let n = 0; n < STREAMS && !this.#broken; n++) {
      void quiet(this.#ask());
      if (this.#chance(0.5)) await this.#net.sleep(this.#random.below(20));
    }
    await this.#net.sleep(500);
    network.faults = NO_FAULTS;
    for (let id = 1; id < this.#next && !this.#broken; id += 2)
      if (this.#client.past(id)?.reset === undefined || this.#client.past(id)?.reset === null)
        await this.#client.send(frame(TYPE.RST_STREAM, 0, id, word(CODE.CANCEL)));
    await this.#net.sleep(1000);
    assert.equal(this.#rig.get(CELL.REQUESTS_ACTIVE), 0);
    if (!this.#broken) await this.#probeBoth();
    this.#client.peer.close();
    await this.#net.sleep(1000);
    assert.equal(this.#rig.get(CELL.HTTP2_STREAMS), 0);
    assert.equal(this.#rig.get(CELL.HTTP2_STREAMS + 1), 0);
    this.#net.patient = false;
    for (const { peer } of this.#connections) peer.close();
    await this.#net.advance(60_000);
    await this.#rig.end();
  }

  /**
   * One stream more, whose content is taken piece by piece, both ways: when a connection's window is granted anew, all
   * that came was taken, and it is as large as it ever was.
   */
  async #probeBoth(): Promise<void> {
    const id = this.#next;
    this.#open(id);
    this.#takes.add(id);
    await this.#client.send(head(id, ask('/probe', [], 'POST'), false));
    await this.#net.sleep(100);
    const probe = this.#probe;
    assert.ok(probe !== null, 'the probe came');
    const { connection } = probe;
    await probe.head([[':status', '200']]);
    for (let before = connection.window; connection.window <= before; ) {
      before = connection.window;
      await Promise.race([probe.data(PIECE), this.#net.sleep(5000)]);
      await this.#net.sleep(100);
      assert.ok(connection.window !== before, 'a window of a backend that is not opened');
    }
    assert.equal(connection.window, WHOLE, 'of a backend');
    for (let before = this.#window; this.#window <= before; ) {
      before = this.#window;
      await Promise.race([this.#send(id, PIECE.length, false, 0), this.#net.sleep(5000)]);
      await this.#net.sleep(100);
      assert.ok(this.#window !== before, 'a window of a client that is not opened');
    }
    assert.equal(this.#window, WHOLE, 'of a client');
    await this.#client.send(frame(TYPE.RST_STREAM, 0, id, word(CODE.CANCEL)));
  }
}

test('when all streams are over, whatever ended them, the windows of both connections are whole', async () => {
  for (const seed of seedsOf(SEEDS)) {
    await runSeed(seed, (net) => new World(net, seed).run(), NO_FAULTS, undefined, seed % 2 === 0);
  }
});
