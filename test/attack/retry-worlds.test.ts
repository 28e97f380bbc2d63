// Worlds of attempts, by chance: requests of all kinds, rules that repeat, limit times, mirror and edit, backends that
// answer in every framing, fail, break off or say nothing. A model says what the backend, the mirror, the client and
// the log must see. SEEDS=5000 for a long run, SEED=n to repeat one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Filter, Retry } from '../../src/ir/ir.ts';
import { GENTLE, NO_FAULTS } from '../../src/sim/faults.ts';
import { CELL } from '../../src/telemetry/layout.ts';
import { cluster, clusterKey, endpoint, Rig, rule } from '../proxy/rig.ts';
import { type Message, readBody } from '../support/http.ts';
import { type Backend, type Peer, runSeed, seedsOf } from '../support/net.ts';
import { EndedEarly, isGone } from '../support/peer.ts';
import type { SimNet } from '../support/sim-net.ts';
import { bytes, chunks, Dice } from './auth-asks.ts';

const SEEDS = 60;
const CLOSE = 'Connection: close\r\n';
const BACKEND_MS = 100;
const REQUEST_MS = 10_000;

interface Ask {
  readonly method: string;
  readonly version: '1.0' | '1.1';
  readonly content: string | null;
  readonly chunked: boolean;
  readonly expects: boolean;
}

/** What a backend does with one request, of which it reads all; each has a connection of its own. */
type Act =
  | {
      readonly type: 'answers';
      readonly status: number;
      readonly framing: 'length' | 'chunked' | 'close' | 'none';
      readonly early: number;
    }
  /** Behind a head of 200. */
  | { readonly type: 'cuts'; readonly chunked: boolean; readonly reset: boolean }
  | { readonly type: 'ends'; readonly reset: boolean; readonly part: string }
  | { readonly type: 'slow' | 'silent' | 'malformed' };

/** How it ends for the client, and after how many attempts. */
interface End {
  readonly attempts: number;
  readonly status: number;
  readonly flags: string;
  /** Of a backend's answer; null: RAUTA's own. */
  readonly act: Act | null;
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);
const SMALL = 2000;

class World {
  readonly #net: SimNet;
  readonly #dice: Dice;
  readonly #retry: Retry | null;
  readonly #backendMs: number | null;
  readonly #mirrors: boolean;
  readonly #rig: Rig;
  #acts: Act[] = [];
  #turn = 0;
  #served: Message[] = [];
  #mirrored: Message[] = [];
  #repeats = 0;

  constructor(net: SimNet, seed: number) {
    this.#net = net;
    net.patient = true;
    const dice = new Dice(seed);
    this.#dice = dice;
    this.#retry = dice.chance(0.7) ? this.#policy() : null;
    this.#backendMs = dice.chance(0.5) ? BACKEND_MS : null;
    this.#mirrors = dice.chance(0.4);
    const edits = { set: [{ name: 'X-Edit', value: 'e' }], add: [], remove: ['X-Gone'] };
    const filters: Filter[] = [{ type: 'responseHeaders', edits }];
    if (this.#mirrors) filters.push({ type: 'mirror', cluster: clusterKey('mirror'), share: 1, of: 1 });
    const options = { filters, requestTimeoutMs: REQUEST_MS, ...(this.#retry === null ? {} : { retry: this.#retry }) };
    const entry = rule({ ...options, ...(this.#backendMs === null ? {} : { backendTimeoutMs: this.#backendMs }) });
    net.sim.network.faults = NO_FAULTS;
    this.#rig = new Rig(net, [this.#backend()], [entry, cluster('mirror', [endpoint(this.#mirror())])]);
    net.sim.network.faults = dice.chance(0.5) ? GENTLE : NO_FAULTS;
  }

  #policy(): Retry {
    const dice = this.#dice;
    const base = { attempts: dice.int(4), codes: dice.some([429, 500, 502, 503], 0.5), backoffMs: dice.pick([0, 20]) };
    return dice.chance(0.3) ? { ...base, idempotent: true } : base;
  }

  // ---- the world

  #backend(): Backend {
    return this.#net.serve(async (peer) => {
      const head = await peer.readHead();
      if (head.headers.has('expect') && head.framing !== 'none') await peer.send('HTTP/1.1 100 Continue\r\n\r\n');
      const rest = await readBody(peer, head);
      this.#served.push({ ...head, ...rest });
      await this.#act(peer, this.#acts[this.#turn++] as Act, head.method === 'HEAD');
    });
  }

  async #act(peer: Peer, act: Act, head: boolean): Promise<void> {
    if (act.type === 'silent') return void (await peer.readAll());
    if (act.type === 'slow') await this.#net.sleep(3 * BACKEND_MS);
    await peer.send(textOf(act, head));
    if ((act.type === 'cuts' || act.type === 'ends') && act.reset) {
      // What came in front of a reset may be lost with it: not here.
      await this.#net.sleep(20);
      peer.reset();
    } else peer.end();
  }

  #mirror(): Backend {
    return this.#net.serve(async (peer) => {
      for (;;) {
        const copy = await peer.readMessage();
        this.#mirrored.push(copy);
        if (this.#dice.chance(0.2)) return peer.reset();
        await peer.send('HTTP/1.1 500 Mirror\r\nContent-Length: 6\r\n\r\nmirror');
      }
    });
  }

  #oneAct(): Act {
    const dice = this.#dice;
    if (dice.chance(0.55)) {
      const status = dice.pick([200, 200, 204, 304, 404, 429, 500, 502, 503, 503]);
      const bare = status === 204 || status === 304;
      const framing = bare ? 'none' : dice.pick(['length', 'chunked', 'close'] as const);
      return { type: 'answers', status, framing, early: dice.pick([0, 0, 1, 3]) };
    }
    const reset = dice.chance(0.5);
    if (dice.chance(0.2)) return { type: 'cuts', chunked: dice.chance(0.5), reset };
    if (dice.chance(0.5))
      return { type: 'ends', reset, part: dice.pick(['', 'HTTP/1.', 'HTTP/1.1 200 OK\r\nX-A: b\r\n']) };
    return { type: dice.pick(['slow', 'silent', 'malformed'] as const) };
  }

  #ask(): Ask {
    const dice = this.#dice;
    const method = dice.pick(['GET', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'BREW']);
    const version = dice.chance(0.1) ? '1.0' : '1.1';
    const n = dice.pick([0, 5, SMALL, 20_000]);
    const content = ['POST', 'PUT', 'PATCH'].includes(method) || dice.chance(0.1) ? 'c'.repeat(n) : null;
    const chunked = content !== null && version === '1.1' && dice.chance(0.4);
    const expects = content !== null && content !== '' && version === '1.1' && dice.chance(0.2);
    return { method, version, content, chunked, expects };
  }

  // ---- what is to be seen

  #model(ask: Ask): End {
    const retry = this.#retry;
    const applies = retry !== null && (retry.idempotent !== true || IDEMPOTENT.has(ask.method));
    const whole = ask.content === null || ask.content.length <= SMALL;
    for (let attempts = 1; ; attempts++) {
      const act = this.#acts[attempts - 1] as Act;
      const may = applies && whole && attempts <= (retry?.attempts ?? 0);
      const own = (status: number, flags: string): End => ({ attempts, status, flags, act: null });
      const late = act.type === 'silent' || (act.type === 'slow' && this.#backendMs !== null);
      if (act.type === 'malformed') return own(502, 'UPE');
      if (late && this.#backendMs === null) return own(504, 'UT');
      if (late && !may) return own(504, 'UT');
      if (act.type === 'ends' && !may) return own(502, 'UC');
      if (act.type === 'answers' && !(may && retry?.codes.includes(act.status))) {
        return { attempts, status: act.status, flags: '', act };
      }
      if (act.type === 'slow' && !late) return { attempts, status: 200, flags: '', act };
      if (act.type === 'cuts') return { attempts, status: 200, flags: ask.method === 'HEAD' ? '' : 'UC', act };
    }
  }

  async #send(client: Peer, { method, version, content, chunked, expects }: Ask): Promise<Message | null> {
    const framing =
      content === null ? '' : chunked ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${content.length}\r\n`;
    const body = content === null ? '' : chunked ? `${chunks(content)}0\r\n\r\n` : content;
    const head = `${method} /p?q HTTP/${version}\r\nHost: a.example\r\n${framing}${expects ? 'Expect: 100-continue\r\n' : ''}\r\n`;
    const say = (text: string): void => void client.send(bytes(text)).catch(() => null);
    say(expects ? head : head + body);
    let asked = expects;
    try {
      for (;;) {
        const answer = await client.readMessage({ answersHead: method === 'HEAD' });
        if (answer.status >= 200) return answer;
        if (answer.status === 100 && asked) say(body);
        if (answer.status === 100) asked = false;
        assert.ok(version === '1.1', 'HTTP/1.0 knows no interim responses');
      }
    } catch (error) {
      if (error instanceof EndedEarly || isGone(error)) return null;
      throw error;
    }
  }

  #checkAnswer(ask: Ask, answer: Message, { act, status }: End): void {
    const body = Buffer.from(answer.body).toString('latin1');
    if (act === null) {
      assert.equal(answer.headers.get('x-edit'), undefined, 'nobody edits what RAUTA says');
      return;
    }
    const bare = ask.method === 'HEAD' || status === 204 || status === 304;
    assert.equal(body, bare ? '' : 'answer');
    assert.deepEqual([answer.headers.get('x-edit'), answer.headers.get('x-gone')], [['e'], undefined]);
    assert.deepEqual(answer.headers.get('x-status'), [String(status)]);
  }

  #check(ask: Ask, answer: Message | null): void {
    let end = this.#model(ask);
    const log = this.#rig.records.last;
    const { act } = end;
    if (act?.type === 'cuts' && answer !== null && ask.method !== 'HEAD') {
      // Nothing of it went out yet: the client is told.
      end = { ...end, status: 502, act: null };
    } else if (act?.type === 'cuts' && ask.method !== 'HEAD') assert.equal(answer, null, 'cut, and looks complete');
    assert.deepEqual([log.status, log.flags, log.attempts], [end.status, end.flags, end.attempts], 'the log');
    if (answer !== null) {
      assert.equal(answer.status, end.status);
      assert.equal(log.responseBytes, answer.body.length);
      this.#checkAnswer(ask, answer, end);
    }
    assert.equal(this.#served.length, end.attempts, 'attempts');
    const copies = this.#mirrors ? 1 : 0;
    assert.equal(this.#mirrored.length, copies, 'copies');
    for (const one of [...this.#served, ...this.#mirrored]) {
      const seen = [one.method, one.target, Buffer.from(one.body).toString('latin1')];
      assert.deepEqual(seen, [ask.method, '/p?q', ask.content ?? '']);
    }
    this.#repeats += end.attempts - 1;
    assert.equal(this.#rig.get(CELL.UPSTREAM_RETRIES_TOTAL), this.#repeats);
    assert.equal(log.requestBytes, ask.content?.length ?? 0);
  }

  async run(): Promise<void> {
    let client: Peer | null = null;
    for (let i = 0; i < 5; i++) {
      const ask = this.#ask();
      this.#acts = Array.from({ length: 5 }, () => this.#oneAct());
      this.#turn = 0;
      this.#served = [];
      this.#mirrored = [];
      client ??= await this.#rig.connect();
      const rules = { retry: this.#retry, backendMs: this.#backendMs, mirrors: this.#mirrors };
      const text = JSON.stringify({ ask, acts: this.#acts, rules });
      try {
        const answer = await this.#send(client, ask);
        await this.#net.advance(50);
        this.#check(ask, answer);
        if (answer === null || answer.headers.get('connection')?.[0] === 'close') {
          if (answer !== null) assert.equal((await client.readAll()).length, 0);
          client.close();
          client = null;
        }
      } catch (error) {
        throw new Error(`${text.replaceAll(/c{20,}/g, 'c…')}\n${(error as Error).message}`);
      }
    }
    client?.close();
    await this.#rig.end();
  }
}

function textOf(act: Act, head: boolean): string {
  const early = 'HTTP/1.1 103 Early Hints\r\nLink: <x>\r\nX-Edit: x\r\nX-Gone: x\r\n\r\n';
  const start = (status: number): string =>
    `HTTP/1.1 ${status} X\r\n${CLOSE}X-Status: ${status}\r\nX-Edit: theirs\r\nX-Gone: x\r\n`;
  switch (act.type) {
    case 'answers': {
      const { framing, status } = act;
      const fields = {
        length: 'Content-Length: 6\r\n',
        chunked: 'Transfer-Encoding: chunked\r\n',
        close: '',
        none: '',
      };
      const content = {
        length: 'answer',
        chunked: `${chunks('answer')}0\r\nX-T: 1\r\n\r\n`,
        close: 'answer',
        none: '',
      };
      return `${early.repeat(act.early)}${start(status)}${fields[framing]}\r\n${head ? '' : content[framing]}`;
    }
    case 'cuts':
      return act.chunked
        ? `${start(200)}Transfer-Encoding: chunked\r\n\r\n${head ? '' : 'a\r\nabc'}`
        : `${start(200)}Content-Length: 10\r\n\r\n${head ? '' : 'abc'}`;
    case 'ends':
      return act.part;
    case 'malformed':
      return 'HTTP/9 200 OK\r\n\r\n';
    default:
      return `${start(200)}Content-Length: 6\r\n\r\n${head ? '' : 'answer'}`;
  }
}

test('attempts, copies, the client and the log are as the model says', async () => {
  for (const seed of seedsOf(SEEDS)) await runSeed(seed, (net) => new World(net, seed).run(), NO_FAULTS);
});
