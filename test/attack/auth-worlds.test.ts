// Worlds of external authorization over HTTP, by chance: requests in every writing, rules of every kind, servers that
// answer, lie, break off, flood and say nothing. A model says what the server, the backend, the client and the log must
// see. SEEDS=5000 for a long run, SEED=n to repeat one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import type { ExternalAuth, Filter } from '../../src/ir/ir.ts';
import { GENTLE, NO_FAULTS } from '../../src/sim/faults.ts';
import { authCell } from '../../src/telemetry/layout.ts';
import { auth } from '../proxy/auth-rig.ts';
import { cluster, clusterKey, endpoint, Rig, rule } from '../proxy/rig.ts';
import { type Message, readBody } from '../support/http.ts';
import { type Backend, type Peer, runSeed, seedsOf } from '../support/net.ts';
import type { SimNet } from '../support/sim-net.ts';
import { askOf, bytes, chunks, Dice, linesOf, seen, send, served } from './auth-asks.ts';
import { type Ask, amended, byName, type HttpSays, httpVerdict, keptOf, type Line, toldOf } from './auth-model.ts';

const SEEDS = 60;
const ANSWERED: readonly Line[] = [
  ['X-User', 'alice'],
  ['x-user', 'bob'],
  ['X-Tenant', 't9'],
  ['X-Latin', 'M\xfcller'],
  ['X-Long', 'l'.repeat(9000)],
  ['X-Template', '{{uuid}}'],
  ['Set-Cookie', 'c=1; Path=/'],
  ['Set-Cookie', 'd=\xe9'],
  ['WWW-Authenticate', 'Basic realm="x"'],
  ['Location', 'https://login.example/?rd=/a'],
  ['Content-Type', 'text/y'],
  ['Content-Language', 'de'],
  ['Authorization', 'Bearer inner'],
  ['Cookie', 'z=9'],
  ['Server', 's'],
  ['Date', 'Sun, 06 Nov 1994 08:49:37 GMT'],
  ['Vary', 'Cookie'],
  ['Host', 'evil'],
  ['X-Forwarded-For', '9.9.9.9'],
  ['X-Real-IP', '9.9.9.9'],
  ['X-Scheme', 'https'],
  ['Keep-Alive', 'timeout=60'],
  ['Connection', 'x-tenant'],
  ['Upgrade', 'h2c'],
  ['Trailer', 'X-T'],
  ['Expect', 'x'],
];
const NAMES = ['x-user', 'x-tenant', 'cookie', 'x-latin', 'range', 'content-type', 'x-forwarded-for', 'x-empty'];
const COPIED = ['x-user', 'x-tenant', 'x-latin', 'authorization', 'set-cookie', 'x-template'];
const LARGE = 40_000;

/** How a server fails. */
const FAILURES: readonly (readonly [bytes: string, end: End])[] = [
  ['', 'reset'],
  ['', 'fin'],
  ['', 'silent'],
  ['nonsense\r\n\r\n', 'keep'],
  ['HTTP/0.9 200 OK\r\n\r\n', 'keep'],
  ['HTTP/2.0 200 OK\r\n\r\n', 'keep'],
  ['HTTP/1.1 99 X\r\n\r\n', 'keep'],
  ['HTTP/1.1 000 X\r\n\r\n', 'keep'],
  ['HTTP/1.1 1000 X\r\n\r\n', 'keep'],
  ['HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'keep'],
  ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok', 'keep'],
  ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'keep'],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 'keep'],
  ['HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n', 'keep'],
  ['HTTP/1.1 101 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'keep'],
  ['HTTP/1.1 200 OK\r\nX-User: a\r\n folded\r\nContent-Length: 0\r\n\r\n', 'keep'],
  [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`, 'keep'],
  [`HTTP/1.1 200 OK\r\n${'X: x\r\n'.repeat(300)}\r\n`, 'keep'],
  ['HTTP/1.1 103 X\r\nLink: x\r\n\r\n'.repeat(40), 'silent'],
  ['HTTP/1.1 200 OK\r\nX-User: alice\r\n', 'fin'],
  ['HTTP/1.1 200 OK\r\nX-User: alice\r\n', 'silent'],
  ['HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n', 'keep'],
];
type End = 'keep' | 'fin' | 'reset' | 'silent';

interface Answer {
  /** null: it fails. */
  readonly says: HttpSays | null;
  readonly bytes: string;
  readonly end: End;
}

class World {
  readonly #net: SimNet;
  readonly #dice: Dice;
  readonly #filter: ExternalAuth;
  readonly #edits: boolean;
  readonly #rig: Rig;
  #answer: Answer = { says: null, bytes: '', end: 'reset' };
  #asked: Message[] = [];
  #served: Message[] = [];
  readonly #counts = { allowed: 0, denied: 0, failed: 0, open: 0 };

  constructor(net: SimNet, seed: number) {
    this.#net = net;
    net.patient = true;
    this.#dice = new Dice(seed);
    this.#filter = this.#rule();
    this.#edits = this.#dice.chance(0.3);
    const edits = { set: [{ name: 'X-Edit', value: 'e' }], add: [], remove: ['X-Tenant'] };
    const filters: Filter[] = this.#edits ? [this.#filter, { type: 'requestHeaders', edits }] : [this.#filter];
    net.sim.network.faults = NO_FAULTS;
    this.#rig = new Rig(net, [this.#backend()], [rule({ filters }), cluster('auth', [endpoint(this.#server())])]);
    net.sim.network.faults = this.#dice.chance(0.5) ? GENTLE : NO_FAULTS;
  }

  // ---- the world

  #rule(): ExternalAuth {
    const more = {
      cluster: clusterKey('auth'),
      responseHeaders: this.#dice.chance(0.3) ? [] : this.#dice.some(COPIED, 0.5),
      failOpen: this.#dice.chance(0.4),
    };
    if (this.#dice.chance(0.3)) {
      const method = this.#dice.pick(['GET', 'HEAD', 'POST']);
      const subrequest = { method, host: 'auth.example', target: '/check?x=1', signin: [], redirect: [] };
      return auth({ ...more, subrequest });
    }
    const bodyBytes = this.#dice.pick([0, 0, 10, 5000]);
    const path = this.#dice.pick(['', '', '/verify', '/v/']);
    return auth({ ...more, bodyBytes, path, requestHeaders: this.#dice.some(NAMES, 0.4) });
  }

  #backend(): Backend {
    return this.#net.serve(async (peer) => {
      for (;;) {
        const head = await peer.readHead();
        if (head.headers.has('expect') && head.framing !== 'none') await peer.send('HTTP/1.1 100 Continue\r\n\r\n');
        const rest = await readBody(peer, head);
        this.#served.push({ ...head, ...rest });
        const body = head.method === 'HEAD' ? '' : 'app';
        await peer.send(`HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-App: 1\r\n\r\n${body}`);
      }
    });
  }

  #server(): Backend {
    return this.#net.serve(async (peer) => {
      for (;;) {
        const question = await peer.readMessage();
        this.#asked.push(question);
        const { bytes: text, end } = this.#answer;
        await peer.send(bytes(text));
        if (end === 'silent') await peer.readAll();
        // What came in front of a reset may be lost with it: not here.
        if (end === 'reset' && text !== '') await this.#net.sleep(100);
        if (end === 'reset') peer.reset();
        if (end === 'fin') peer.end();
        if (end !== 'keep') return;
      }
    });
  }

  #answering(head: boolean): Answer {
    if (this.#dice.chance(0.25)) {
      const [text, end] = this.#dice.pick(FAILURES);
      return { says: null, bytes: text, end };
    }
    const statuses = [200, 200, 200, 200, 201, 204, 299, 302, 304, 401, 401, 403, 403, 404, 407, 429, 500, 503];
    const status = this.#dice.pick(statuses);
    const lines = this.#dice.some(ANSWERED, 0.25);
    const bare = head || status === 204 || status === 304;
    const size = bare ? 0 : this.#dice.pick([0, 2, 2, 500, LARGE]);
    const content = 'n'.repeat(size);
    const cut = size > 0 && this.#dice.chance(0.25);
    const framing = bare && status !== 200 ? 'none' : this.#dice.pick(['length', 'chunked', 'close']);
    const said = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const interim = 'HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n'.repeat(this.#dice.pick([0, 0, 0, 1, 3]));
    const start = `${interim}HTTP/1.1 ${status} X\r\n${said}`;
    const part = cut ? content.slice(0, this.#dice.int(size)) : content;
    const kept = content.length < LARGE;
    const end = cut ? this.#dice.pick<End>(['fin', 'reset', 'silent']) : 'keep';
    // Once more came than is kept, no more is waited for.
    const says = { status, lines, content, cut: cut && part.length <= LIMITS.EXTERNAL_AUTH_ANSWER_BYTES, kept };
    if (framing === 'chunked') {
      const last = cut ? '' : '0\r\nX-User: t\r\n\r\n';
      return { says, bytes: `${start}Transfer-Encoding: chunked\r\n\r\n${head ? '' : chunks(part) + last}`, end };
    }
    if (framing === 'length') return { says, bytes: `${start}Content-Length: ${size}\r\n\r\n${part}`, end };
    const bytes = `${start}\r\n${content}`;
    return { says: { ...says, cut: false }, bytes, end: framing === 'close' && !bare ? 'fin' : 'keep' };
  }

  // ---- what is to be seen

  /** What the server is to be asked, as text to compare. */
  #question({ method, meant, authority, ...ask }: Ask & { readonly meant: string }): unknown {
    const { subrequest, path, requestHeaders, bodyBytes } = this.#filter;
    const told = toldOf({ method, meant, authority, ...ask });
    if (subrequest !== undefined) {
      const own: Line[] = [
        ['x-original-url', `http://${authority}${meant}`],
        ['x-original-method', method],
        ['x-auth-request-redirect', meant],
        ['x-real-ip', '127.0.0.1'],
      ];
      const rest = told.filter(([name]) => !/^(range|if-.*)$/i.test(name));
      const head = [subrequest.method, subrequest.target, subrequest.host];
      return { head, fields: byName([...rest, ...own, ['content-length', '0']]), body: '' };
    }
    const body = bodyBytes > 0 ? (ask.content ?? '') : '';
    const allowed = new Set(['authorization', ...requestHeaders]);
    const fields = told.filter(([name]) => allowed.has(name.toLowerCase()));
    const between = path !== '' && !meant.startsWith('/') ? '/' : '';
    const head = [method, `${path}${between}${meant}`, authority];
    return { head, fields: byName([...fields, ['content-length', String(body.length)]]), body };
  }

  #toBackend(ask: Ask & { readonly meant: string }, removed: readonly string[], set: readonly Line[]): unknown {
    const edit: Line[] = this.#edits ? [['X-Edit', 'e']] : [];
    const taken = this.#edits ? ['x-tenant'] : [];
    let fields = amended(keptOf(ask), removed, set);
    fields = amended(fields, taken, edit);
    const gone = [...removed, ...set.map(([name]) => name), ...taken, ...edit.map(([name]) => name)];
    const trailers = amended(ask.trailers, gone, []);
    const head = [ask.method, ask.meant, ask.authority];
    return { head, fields: byName(fields), body: ask.content ?? '', trailers: byName(trailers) };
  }

  #checkDenied(answer: Message, lines: readonly Line[], content: string, ask: Ask): void {
    const own = new Set(['content-length', 'connection', 'date']);
    const shown = linesOf(answer).filter(([name]) => !own.has(name));
    assert.deepEqual(byName(shown), byName(lines), 'fields of a denial');
    assert.equal(Buffer.from(answer.body).toString('latin1'), ask.method === 'HEAD' ? '' : content);
    for (const name of own) assert.ok((answer.headers.get(name) ?? []).length <= 1, `${name} twice`);
  }

  #check(ask: Ask, answer: Message): void {
    const { says } = this.#answer;
    const { failOpen, bodyBytes } = this.#filter;
    const log = this.#rig.records.last;
    const note = { status: log.status, flags: log.flags, auth: log.auth };
    const body = Buffer.from(answer.body).toString('latin1');
    assert.equal(log.status, answer.status, 'the log says what the client got');
    assert.equal(log.responseBytes, answer.body.length);
    const { meant } = ask;
    const tooLarge = bodyBytes > 0 && ask.content !== null && ask.content.length > bodyBytes;
    if (meant === null || tooLarge) {
      assert.equal(answer.status, meant === null ? 400 : 413);
      assert.deepEqual([this.#asked.length, this.#served.length], [0, 0]);
      return;
    }
    const known = { ...ask, meant };
    assert.ok(this.#asked.length > 0, `nobody was asked: ${answer.head} ${JSON.stringify(log)}`);
    for (const one of this.#asked) assert.deepEqual(seen(one), this.#question(known), 'the question');
    const verdict = says === null ? { type: 'failed' as const } : httpVerdict(says, this.#filter);
    if (verdict.type === 'denied') {
      this.#counts.denied++;
      assert.equal(answer.status, verdict.status);
      this.#checkDenied(answer, verdict.lines, verdict.content, ask);
      assert.deepEqual([note.flags, note.auth, this.#served.length], ['UAEX', 'denied', 0]);
      return;
    }
    if (verdict.type === 'failed' && !failOpen) {
      this.#counts.failed++;
      assert.deepEqual(note, { status: 403, flags: 'UAEX', auth: 'failed' });
      assert.equal(body, ask.method === 'HEAD' ? '' : 'authorization failed\n');
      assert.equal(this.#served.length, 0);
      return;
    }
    this.#counts[verdict.type === 'failed' ? 'open' : 'allowed']++;
    const { removed, set, told } =
      verdict.type === 'allowed' ? verdict : { removed: this.#filter.responseHeaders, set: [], told: [] };
    assert.deepEqual(note, { status: 200, flags: '', auth: verdict.type });
    assert.equal(body, ask.method === 'HEAD' ? '' : 'app');
    assert.deepEqual(
      this.#served.map((one) => served(one)),
      [this.#toBackend(known, removed, set)],
    );
    assert.deepEqual(
      answer.headers.get('set-cookie') ?? [],
      told.map(([, value]) => value),
    );
    assert.equal(log.requestBytes, ask.content?.length ?? 0);
  }

  async run(): Promise<void> {
    let client: Peer | null = null;
    for (let i = 0; i < 6; i++) {
      const ask = askOf(this.#dice);
      const { subrequest } = this.#filter;
      this.#answer = this.#answering((subrequest?.method ?? ask.method) === 'HEAD');
      this.#asked = [];
      this.#served = [];
      client ??= await this.#rig.connect();
      const text = JSON.stringify({ ask, answer: this.#answer, filter: this.#filter, edits: this.#edits }).slice(
        0,
        3000,
      );
      try {
        const answer = await send(client, ask);
        await this.#net.settle();
        this.#check(ask, answer);
        if (answer.headers.get('connection')?.[0] === 'close') {
          assert.equal((await client.readAll()).length, 0);
          client = null;
        }
      } catch (error) {
        throw new Error(`${text.replaceAll(/([nclx])\1{20,}/g, '$1…')}\n${(error as Error).message}`);
      }
    }
    client?.close();
    for (const name of ['allowed', 'denied', 'failed', 'open'] as const) {
      assert.equal(this.#rig.get(authCell(name)), this.#counts[name], name);
    }
    await this.#rig.end();
  }
}

test('who is asked, the backend, the client and the log see what the model says', async () => {
  for (const seed of seedsOf(SEEDS)) await runSeed(seed, (net) => new World(net, seed).run(), NO_FAULTS);
});
