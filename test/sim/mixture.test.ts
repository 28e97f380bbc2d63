// What may meet in one program, by chance: clients of both versions that end their requests early, late or never, that
// reset, leave or do not read; backends of both that answer in front of a request's end, switch protocols, break off or
// say nothing; somebody who is asked, mirrors, retries, limits and edits; changes of the configuration. Whatever comes,
// no worker stumbles, and when all peers are gone nothing is left. SEEDS=1000 for a long run, SEED=n to repeat one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry, Filter } from '../../src/ir/ir.ts';
import { GENTLE, NO_FAULTS } from '../../src/sim/faults.ts';
import { auth } from '../proxy/auth-rig.ts';
import { cluster, clusterKey, endpoint, ok, Rig, rule } from '../proxy/rig.ts';
import type { Field } from '../support/hpack.ts';
import { ask, data, frame, Http2Client, head, PREFACE, settings, windowUpdate, word } from '../support/http2.ts';
import { type Asked, serveHttp2 } from '../support/http2-backend.ts';
import { mulberry32 } from '../support/mulberry32.ts';
import { type Backend, type Peer, runSeed, seedsOf } from '../support/net.ts';
import type { SimNet } from '../support/sim-net.ts';
import { switched } from '../support/websocket.ts';

const SEEDS = 100;
const H = 'Host: a.example\r\n';
const SIZES = [0, 1, 40, 60_000] as const;

/** Answers of a backend of HTTP/1.1; what is not among them it does not say. */
const ANSWERS: Readonly<Record<string, string>> = {
  ok: ok('x'),
  big: ok('b'.repeat(100_000)),
  early: `HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${ok('y')}`,
  proceed: `HTTP/1.1 100 Continue\r\n\r\n${ok('z')}`,
  denied: 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n',
  busy: 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1\r\n\r\nx',
  empty: 'HTTP/1.1 204 No Content\r\n\r\n',
  same: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
  chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n',
  // Where a request was read, it is its key that is answered.
  switched: '',
  close: 'HTTP/1.1 200 OK\r\n\r\nabc',
  cut: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc',
  bad: 'HTTP/9\r\n\r\n',
};
const ACTS = [...Object.keys(ANSWERS), 'switched', 'fin', 'reset', 'nothing'];
const ENDING = new Set(['close', 'cut', 'fin']);

/** One who is gone is no failure of anybody's. */
const quiet = (doing: Promise<unknown>): Promise<unknown> => doing.catch(() => null);

class Mixture {
  readonly #net: SimNet;
  readonly #random: () => number;
  readonly #http2: boolean;
  readonly #slow: boolean;
  readonly #peers: { close(): void }[] = [];
  readonly #filters: Filter[] = [];
  readonly #backends: readonly Backend[];
  readonly #rig: Rig;

  constructor(net: SimNet, seed: number) {
    this.#net = net;
    this.#random = mulberry32(seed);
    this.#http2 = this.#chance(0.5);
    this.#slow = this.#chance(0.4);
    const backend = (): Backend => (this.#http2 ? this.#serve2() : this.#serve1());
    this.#backends = this.#chance(0.3) ? [backend(), backend()] : [backend()];
    const others = this.#others();
    // What it needs to start at all it has.
    const { network } = net.sim;
    network.faults = NO_FAULTS;
    const halfClose = this.#chance(0.3);
    this.#rig = new Rig(net, [], [this.#rule(), this.#cluster(this.#backends), ...others], { halfClose });
    network.faults = this.#chance(0.5) ? GENTLE : NO_FAULTS;
  }

  #int(n: number): number {
    return Math.floor(this.#random() * n);
  }
  #pick<T>(list: readonly T[]): T {
    return list[this.#int(list.length)] as T;
  }
  #chance(p: number): boolean {
    return this.#random() < p;
  }

  // ---- the configuration

  #cluster(backends: readonly Backend[]): readonly Entry[] {
    const protocol = this.#http2 ? 'http2' : 'http1';
    return cluster(
      'app',
      backends.map((one) => endpoint(one)),
      { protocol },
    );
  }

  #rule(): Entry {
    const retry = { attempts: 2, codes: [503, 401], backoffMs: this.#pick([0, 20, 500]) };
    return rule({
      filters: this.#filters,
      ...(this.#chance(0.3) ? { retry } : {}),
      ...(this.#chance(0.3) ? { backendTimeoutMs: this.#pick([50, 5000]) } : {}),
      ...(this.#chance(0.2) ? { requestTimeoutMs: this.#pick([50, 5000]) } : {}),
    });
  }

  /** Whom the rule's filters name. */
  #others(): readonly (readonly Entry[])[] {
    const entries: (readonly Entry[])[] = [];
    if (this.#chance(0.4)) {
      this.#filters.push(auth({ bodyBytes: this.#pick([0, 50, 5000]), failOpen: this.#chance(0.3) }));
      entries.push(cluster('auth', [endpoint(this.#serve1())]));
    }
    if (this.#chance(0.3)) {
      this.#filters.push({ type: 'mirror', cluster: clusterKey('mirror'), share: 1, of: 1 });
      entries.push(cluster('mirror', [endpoint(this.#serve1())]));
    }
    const edits = { set: [{ name: 'X-A', value: 'b' }], add: [], remove: ['X-Sum'] };
    if (this.#chance(0.3)) this.#filters.push({ type: 'responseHeaders', edits }, { type: 'requestHeaders', edits });
    if (this.#chance(0.3)) this.#filters.push({ type: 'grpcWeb' });
    if (this.#chance(0.2)) this.#filters.push({ type: 'contentLimit', bytes: this.#pick([10, 1000]) });
    return entries;
  }

  /** The configuration changes. */
  #change(): void {
    const answers = { type: 'static', status: 200, headers: [], body: '' } as const;
    const changes = [
      { upserts: [rule({ action: answers })], removals: [clusterKey('app')] },
      { upserts: [this.#rule(), ...this.#cluster(this.#backends)], removals: [] },
      { upserts: this.#cluster(this.#backends.slice(1)), removals: [] },
    ];
    this.#rig.apply(this.#pick(changes));
  }

  async #wait(): Promise<void> {
    for (let i = this.#int(3); i > 0; i--) await this.#net.settle();
    if (this.#slow && this.#chance(0.3)) await this.#net.advance(this.#pick([1, 10, 60, 600, 6000, 31_000]));
    if (this.#chance(0.05)) this.#change();
  }

  // ---- backends

  #serve1(): Backend {
    return this.#net.serve(async (peer) => {
      this.#peers.push(peer);
      for (let i = 0; i < 6; i++) if (!(await this.#answer1(peer))) return;
    });
  }

  /** False: it does no more. */
  async #answer1(peer: Peer): Promise<boolean> {
    const reads = this.#pick(['head', 'message', 'none', 'message', 'message']);
    const read = reads === 'head' ? peer.readHead() : reads === 'message' ? peer.readMessage() : { head: '' };
    const asked = await Promise.resolve(read).catch(() => null);
    if (asked === null) return false;
    const act = this.#pick(ACTS);
    const text = act === 'switched' ? `${switched(asked.head)}hi` : (ANSWERS[act] ?? '');
    const cut = this.#chance(0.3) ? this.#int(text.length) : text.length;
    await quiet(peer.send(text.slice(0, cut)));
    if (cut < text.length) await this.#wait();
    await quiet(peer.send(text.slice(cut)));
    if (ENDING.has(act) || (act === 'switched' && this.#chance(0.4))) peer.end();
    if (act === 'reset') peer.reset();
    if (act === 'switched' && this.#chance(0.5)) await quiet(peer.read());
    if (act === 'switched' && this.#chance(0.2)) peer.reset();
    if (act !== 'switched' && act !== 'nothing' && !ENDING.has(act)) return act !== 'reset';
    if (this.#chance(0.5)) await quiet(peer.readAll());
    return false;
  }

  #serve2(): Backend {
    const options = (): { settings: [number, number][]; grants: boolean } => ({
      settings: this.#chance(0.5)
        ? []
        : [
            [8, 1],
            [4, this.#pick([0, 10, 65_535])],
            [3, this.#pick([1, 100])],
          ],
      grants: this.#chance(0.8),
    });
    const { address, connections } = serveHttp2(this.#net, (asked) => this.#answer2(asked).catch(() => {}), options);
    const close = (): void => {
      for (const { peer } of connections) peer.close();
    };
    this.#peers.push({ close });
    return address;
  }

  async #answer2(asked: Asked): Promise<void> {
    const { connection } = asked;
    const acts = ['ok', 'ok', 'bare', 'trailers', 'stream', 'reset', 'goaway', 'nothing', 'early', 'part', 'gone'];
    const act = this.#pick(acts);
    if (this.#chance(0.5)) await asked.until(() => asked.body.length > 0 || asked.whole || asked.reset !== null);
    if (act === 'ok') await asked.respond('abc');
    else if (act === 'bare') await asked.head([[':status', this.#pick(['200', '204', '304'])]], true);
    else if (act === 'reset') await asked.refuse(this.#pick([0, 2, 7, 8, 11]));
    else if (act === 'goaway') await connection.goAway(this.#pick([0, asked.id, 0x7fffffff]));
    else if (act === 'gone') connection.peer.close();
    else if (act !== 'nothing') {
      if (act === 'early') await asked.head([[':status', '103']]);
      await asked.head([[':status', '200']]);
      await asked.data('s'.repeat(this.#pick([1, 70_000])), act === 'early');
      if (act === 'trailers') await asked.head([['grpc-status', '0']], true);
      if (act === 'part') await asked.refuse(this.#pick([0, 2, 8]));
    }
    if (this.#chance(0.2)) await asked.refuse(0);
  }

  // ---- clients

  #request1(n: number): string {
    const chunk = n === 0 ? '' : `${n.toString(16)}\r\n${'c'.repeat(n)}\r\n`;
    const upgrade = `GET / HTTP/1.1\r\n${H}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`;
    return this.#pick([
      `GET / HTTP/1.1\r\n${H}\r\n`,
      `HEAD / HTTP/1.1\r\n${H}\r\n`,
      'GET / HTTP/1.0\r\n\r\n',
      `POST / HTTP/1.1\r\n${H}Content-Length: ${n}\r\n\r\n${'p'.repeat(n)}`,
      `PUT / HTTP/1.1\r\n${H}Expect: 100-continue\r\nContent-Length: ${n + 1}\r\n\r\n${'p'.repeat(n)}`,
      `PUT / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`,
      `PUT / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${chunk}0\r\nX-User: b\r\nX-Sum: 1\r\n\r\n`,
      upgrade,
      `${upgrade}early`,
    ]);
  }

  async #ask1(): Promise<void> {
    const peer = await this.#rig.connect();
    this.#peers.push(peer);
    for (let i = 1 + this.#int(3); i > 0; i--) {
      const text = this.#request1(this.#pick(SIZES));
      const cut = this.#chance(0.3) ? this.#int(text.length) : text.length;
      peer.trySend(text.slice(0, cut));
      await this.#wait();
      if (this.#chance(0.7)) peer.trySend(text.slice(cut));
      await this.#wait();
      const after = this.#pick(['read', 'read', '', 'fin', 'reset', 'close']);
      if (after === 'read') void quiet(peer.read());
      else if (after === 'fin') peer.end();
      else if (after === 'reset') peer.reset();
      else if (after === 'close') peer.close();
      await this.#wait();
      if (after !== 'read' && after !== '') return;
    }
  }

  /** The frames of a request. */
  #request2(id: number): readonly Buffer[] {
    const n = this.#pick(SIZES);
    const web = this.#pick(['application/grpc-web', 'application/grpc-web-text', 'application/grpc']);
    const fields = this.#pick<readonly Field[]>([
      ask('/', [], 'POST'),
      ask('/', [['expect', '100-continue']], 'PUT'),
      ask('/', [['content-length', String(n + this.#int(2) * this.#int(2))]], 'PUT'),
      ask('/', [['content-type', web]], 'POST'),
      [[':protocol', 'websocket'], ...ask('/', [], 'CONNECT')],
      [[':protocol', 'websocket'], ...ask('/', [], 'CONNECT')],
    ]);
    const frames: Buffer[] = [head(id, fields, false)];
    const text = web === 'application/grpc-web-text' ? 'AAAAAAVoZWxsbw==' : 'd'.repeat(n);
    for (let at = 0; at < text.length; at += 10_000) frames.push(data(id, text.slice(at, at + 10_000)));
    const trailers = head(id, [
      ['x-user', 'b'],
      ['x-sum', '1'],
    ]);
    if (this.#chance(0.8)) frames.push(this.#chance(0.3) ? trailers : data(id, '', true));
    return this.#chance(0.2) ? [head(id, ask())] : frames;
  }

  async #ask2(): Promise<void> {
    const peer = await this.#rig.connect(undefined, ['h2', 'http/1.1']);
    this.#peers.push(peer);
    const client = new Http2Client(peer);
    client.waits = false;
    client.grants = this.#chance(0.7);
    const reads = this.#chance(0.8);
    await client.send(Buffer.from(PREFACE), settings(this.#chance(0.5) ? [] : [[4, this.#pick([0, 5, 65_535])]]));
    if (reads) void quiet(client.ended());
    for (let id = 1, i = 1 + this.#int(5); i > 0; i--, id += 2) {
      const frames = this.#request2(id);
      const cut = this.#chance(0.3) ? 1 + this.#int(frames.length) : frames.length;
      void quiet(client.send(...frames.slice(0, cut)));
      await this.#wait();
      void quiet(client.send(...frames.slice(cut)));
      await this.#wait();
      const after = this.#pick(['', '', '', 'reset', 'window', 'goaway', 'close', 'fin']);
      if (after === 'reset') void quiet(client.send(frame(3, 0, id, word(8))));
      else if (after === 'window') void quiet(client.send(windowUpdate(id, 1000), windowUpdate(0, 1000)));
      else if (after === 'goaway') void quiet(client.send(frame(7, 0, 0, Buffer.alloc(8))));
      else if (after === 'close') peer.close();
      else if (after === 'fin') peer.end();
      if (after === 'close' || after === 'fin') return;
    }
  }

  async run(): Promise<void> {
    const clients = Array.from({ length: 1 + this.#int(3) }, () => (this.#chance(0.5) ? this.#ask1() : this.#ask2()));
    await Promise.all(clients.map(quiet));
    this.#net.sim.network.faults = NO_FAULTS;
    // An attempt more may come to a backend by another connection.
    for (let i = 0; i < 8; i++) {
      for (const peer of this.#peers) peer.close();
      await this.#net.settle();
      await this.#net.advance(400);
    }
    assert.equal(this.#rig.engine.stats().requests, 0, 'requests whose peers are gone');
    await this.#rig.end();
  }
}

test('whatever meets whatever, no worker stumbles, and nothing is left of it', async () => {
  for (const seed of seedsOf(SEEDS))
    await runSeed(seed, (net) => new Mixture(net, seed).run(), NO_FAULTS, undefined, seed % 3 === 0);
});
