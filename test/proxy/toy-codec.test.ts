// A second pair of codecs, that is not HTTP/1: a client's and a backend's side in memory, driving an exchange through
// what sides.ts and upstream/connection.ts say, and nothing else. Heads come as tables of lines without a start line,
// as HTTP/2's will.

import assert from 'node:assert/strict';
import { bytesOf, textOf } from '../../src/base/bytes.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { Endpoint, Retry } from '../../src/ir/ir.ts';
import { Core } from '../../src/proxy/core.ts';
import { Answer, NO_BODY } from '../../src/proxy/exchange/answer.ts';
import type { Asked, Decision } from '../../src/proxy/exchange/decision.ts';
import { ExchangePool } from '../../src/proxy/exchange/pool.ts';
import { ClusterRef, CompiledRule, type Extras, RouteCells } from '../../src/proxy/exchange/rule.ts';
import type {
  Downstream,
  PreparedRequest,
  RequestSide,
  ResponseSide,
  Upstream,
} from '../../src/proxy/exchange/sides.ts';
import type { Tap, TapReader } from '../../src/proxy/exchange/tap.ts';
import { FIELD } from '../../src/proxy/field-table.ts';
import type { FieldLines } from '../../src/proxy/filter/field-lines.ts';
import { BODY, type Head, METHOD, NAME } from '../../src/proxy/head.ts';
import { copyFields } from '../../src/proxy/lines.ts';
import { Listener } from '../../src/proxy/listener.ts';
import type { Transport } from '../../src/proxy/transport/transport.ts';
import { TrustedProxies } from '../../src/proxy/trusted.ts';
import { Cluster } from '../../src/proxy/upstream/cluster.ts';
import type { ConnectionPool, Connector, UpstreamConnection } from '../../src/proxy/upstream/connection.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import { NO_FRAGMENT } from '../../src/telemetry/fragment.ts';
import { simOnly } from '../support/net.ts';
import type { SimNet } from '../support/sim-net.ts';
import {
  clusterKey,
  cluster as clusterOf,
  endpoint,
  LISTENER,
  listener,
  Records,
  type RuleOptions,
  rule,
} from './rig.ts';

const IDS: Readonly<Record<string, number>> = {
  host: NAME.HOST,
  'user-agent': NAME.USER_AGENT,
  upgrade: NAME.UPGRADE,
};

/** A toy head: pseudo fields first, then lines, in memory of its own. */
class Toys {
  readonly core: Core;
  readonly #at: number;
  #used: number;

  constructor(core: Core) {
    this.core = core;
    this.#at = core.io.alloc(16_384);
    this.#used = this.#at;
  }

  dispose(): void {
    this.core.io.free(this.#at);
  }

  put(text: string): [number, number] {
    const start = this.#used;
    this.core.mem.set(bytesOf(text), start);
    this.#used += text.length;
    return [start, this.#used];
  }

  /** Decodes `fields` into `head` as lines. */
  lines(head: Head, fields: Readonly<Record<string, string>>): void {
    head.raw = false;
    head.count = 0;
    head.seen = head.twice = 0;
    head.drops = false;
    head.teTrailers = head.upgrade = head.expectContinue = false;
    head.hostField = -1;
    head.fieldsStart = this.#used;
    for (const [name, value] of Object.entries(fields)) {
      const k = head.count++;
      const words = head.fields.subarray(k * FIELD.WORDS, (k + 1) * FIELD.WORDS);
      const [start] = this.put(name);
      words[FIELD.NAME_START] = start;
      words[FIELD.NAME_END] = this.#used;
      this.put(': ');
      words[FIELD.VALUE_START] = this.#used;
      this.put(value);
      words[FIELD.VALUE_END] = this.#used;
      this.put('\r\n');
      words[FIELD.LINE_END] = this.#used;
      words[FIELD.NAME] = IDS[name] ?? NAME.OTHER;
      words[FIELD.DROP] = 0;
      head.seen |= 1 << (words[FIELD.NAME] as number);
    }
    this.put('\r\n');
    head.end = this.#used;
  }

  request(method: keyof typeof METHOD, path: string, host: string, length: number, fields = {}): Head {
    const { request: head } = this.core;
    this.#used = this.#at;
    head.start = this.#used;
    [head.methodStart, head.methodEnd] = this.put(method);
    [head.pathStart, head.pathEnd] = this.put(path);
    head.targetStart = head.pathStart;
    head.targetEnd = head.queryStart = head.queryEnd = head.pathEnd;
    head.hasQuery = false;
    [head.authorityStart, head.authorityEnd] = this.put(host);
    head.hostStart = head.authorityStart;
    head.hostEnd = head.authorityEnd;
    head.method = METHOD[method];
    head.version = 20;
    head.scheme = 0;
    head.body = length < 0 ? BODY.UNTIL_CLOSE : length > 0 ? BODY.LENGTH : BODY.NONE;
    head.contentLength = Math.max(0, length);
    this.lines(head, fields);
    return head;
  }

  response(status: number, fields = {}): Head {
    const { response: head } = this.core;
    head.start = this.#used;
    head.status = status;
    head.version = 20;
    head.body = BODY.UNTIL_CLOSE;
    head.reasonStart = head.reasonEnd = this.#used;
    this.lines(head, fields);
    return head;
  }
}

/** The client's codec: writes down what it is told. */
class ToyClient implements Downstream {
  readonly plain = null;
  readonly client = bytesOf('192.0.2.1');
  readonly trusted = false;
  readonly secure = false;
  readonly certificate = null;
  readonly host = null;
  readonly json = NO_FRAGMENT;
  readonly connection = this;
  readonly requestUs: number;
  readonly sentBytes = 0;
  readonly unsentBytes = 0;
  readonly said: string[] = [];
  resumed = 0;
  readonly #toys: Toys;

  requestsAt(): number {
    return 1;
  }

  constructor(toys: Toys) {
    this.#toys = toys;
    this.requestUs = toys.core.io.nowUs;
  }

  #fields(head: Head, added: FieldLines | null): string {
    const { mem, io } = this.#toys.core;
    const at = io.alloc(4096);
    const lines = textOf(mem, at, copyFields(mem, at, head));
    io.free(at);
    return lines + (added?.lines ?? []).map(({ name, value }) => `${name}: ${value}\r\n`).join('');
  }
  proceed(): void {}
  resumeRequest(): void {
    this.resumed++;
  }
  interim(head: Head): void {
    this.said.push(`${head.status}`);
  }
  respond(head: Head, added: FieldLines | null): void {
    this.said.push(`${head.status} ${this.#fields(head, added)}`);
  }
  body(start: number, end: number): void {
    this.said.push(textOf(this.#toys.core.mem, start, end));
  }
  trailers(): void {}
  end(): void {
    this.said.push('END');
  }
  flush(): boolean {
    return true;
  }
  answer(answer: Answer): number {
    this.said.push(`answer ${answer.status}`);
    return answer.body.length;
  }
  retract(): boolean {
    return false;
  }
  accepts(): boolean {
    return true;
  }
  switched(head: Head): void {
    this.said.push(`${head.status} SWITCHED`);
  }
  abort(): void {
    this.said.push('ABORT');
  }
  release(): void {
    this.said.push('RELEASED');
  }
}

/** The backend's codec: any number of exchanges on one connection. */
class ToyBackend implements UpstreamConnection {
  free = 100;
  busy = 0;
  readonly opening = false;
  listed = false;
  next: UpstreamConnection | null = null;
  previous: UpstreamConnection | null = null;
  readonly streams: ToyStream[] = [];
  readonly #transport: Transport;
  readonly #pool: ConnectionPool;
  readonly mem: Uint8Array;

  constructor(mem: Uint8Array, transport: Transport, pool: ConnectionPool) {
    this.mem = mem;
    this.#transport = transport;
    this.#pool = pool;
    const nothing = (): void => {};
    transport.user = {
      onBytes: (_start, end) => end,
      onEnd: () => this.close(),
      onLost: nothing,
      onHangup: nothing,
      onPeerClosed: nothing,
      onDrained: nothing,
      onConnected: nothing,
      onRelayed: nothing,
    };
  }
  take(side: ResponseSide): Upstream {
    this.busy++;
    this.free--;
    const stream = new ToyStream(this, side);
    this.streams.push(stream);
    return stream;
  }
  over(): void {
    this.busy--;
    this.free++;
    this.#pool.released(this);
  }
  isQuiet(): boolean {
    return true;
  }
  rest(): void {}
  leave(): void {
    if (this.busy === 0) this.close();
  }
  close(): void {
    if (!this.#transport.open) return;
    this.#transport.finish(false);
    this.#pool.gone(this, false);
  }
}

class ToyStream implements Upstream {
  readonly plain = null;
  readonly sentBytes = 0;
  readonly side: ResponseSide;
  readonly got: string[] = [];
  readonly #connection: ToyBackend;

  constructor(connection: ToyBackend, side: ResponseSide) {
    this.#connection = connection;
    this.side = side;
  }
  #text(start: number, end: number): string {
    return textOf(this.#connection.mem, start, end);
  }
  send(request: PreparedRequest): void {
    const method = this.#text(request.start, request.methodEnd);
    const target = this.#text(request.methodEnd + 1, request.fieldsStart - 11);
    this.got.push(`${method}|${target}|${this.#text(request.fieldsStart, request.linesEnd)}`);
    if (request.end > request.bodyStart) this.got.push(this.#text(request.bodyStart, request.end));
    if (request.done) this.got.push('END');
  }
  body(start: number, end: number): void {
    this.got.push(this.#text(start, end));
  }
  trailers(): void {}
  end(): void {
    this.got.push('END');
  }
  flush(): boolean {
    return true;
  }
  resumeResponse(): void {}
  cancel(): void {
    this.got.push('CANCEL');
    this.#connection.over();
  }
  done(): void {
    this.#connection.over();
    this.side.responseEnded();
  }
}

interface Setup {
  readonly core: Core;
  readonly toys: Toys;
  readonly records: Records;
  readonly cluster: Cluster;
  readonly connections: ToyBackend[];
  ask(): { side: RequestSide; client: ToyClient };
  /** The newest stream, when there is one. */
  stream(n: number): Promise<ToyStream>;
  end(): Promise<void>;
}

function setup(
  net: SimNet,
  options: RuleOptions = {},
  extras?: Extras,
  retry: Retry | null = null,
  more: Endpoint[] = [],
): Setup {
  const { io } = net;
  const records = new Records();
  const core = new Core({ io, cells: Cells.local(), records, trusted: new TrustedProxies([]) });
  io.onTurn(() => core.shared.onTurn());
  const connections: ToyBackend[] = [];
  const connector: Connector = {
    expected: 1,
    connect(transport, pool) {
      const made = new ToyBackend(core.mem, transport, pool);
      connections.push(made);
      return made;
    },
  };
  const [entry] = clusterOf('app', []);
  const cluster = new Cluster(core, connector, entry, [...more, endpoint(net.serve(() => {}))], null, {}, null);
  cluster.install(null);
  const ref = new ClusterRef(clusterKey('app'));
  ref.current = cluster;
  const ruleEntry = { ...rule(options), retry };
  const at = new Listener(LISTENER);
  at.setEntry(listener(), () => 'default/gw');
  at.router.set(ruleEntry, new CompiledRule(ruleEntry, new RouteCells(), () => ref, extras));
  const pool = new ExchangePool(core);
  const toys = new Toys(core);
  const streams = (): ToyStream[] => connections.flatMap((c) => c.streams);
  return {
    core,
    toys,
    records,
    cluster,
    connections,
    ask: () => ({ side: pool.take(at), client: new ToyClient(toys) }),
    async stream(n) {
      for (let i = 0; i < 200 && streams().length <= n; i++) await net.advance(10);
      const found = streams()[n];
      assert.ok(found !== undefined, 'no stream came');
      return found;
    },
    async end() {
      cluster.retire();
      for (const c of connections) c.close();
      await net.settle();
      pool.dispose();
      toys.dispose();
      core.dispose();
      assert.deepEqual(net.leaks(), []);
    },
  };
}

simOnly('a request and its response, two at a time on one connection', async (net) => {
  const s = setup(net, {
    filters: [
      { type: 'requestHeaders', edits: { set: [{ name: 'X-Set', value: '1' }], add: [], remove: ['x-gone'] } },
      { type: 'responseHeaders', edits: { set: [], add: [{ name: 'X-Added', value: '2' }], remove: ['x-hidden'] } },
      { type: 'rewrite', hostname: null, path: { type: 'ReplaceFullPath', value: '/new' } },
    ],
  });
  const a = s.ask();
  a.side.begin(a.client, s.toys.request('POST', '/a', 'toy.example', 3, { 'x-gone': '1', accept: '*/*' }));
  const first = await s.stream(0);
  assert.equal(a.client.resumed, 1);
  s.core.mem.set(bytesOf('abc'), s.core.shared.readAt);
  a.side.requestBody(s.core.shared.readAt, s.core.shared.readAt + 3);
  a.side.requestEnded(0, 0);
  const [head, ...content] = first.got;
  assert.match(
    head as string,
    /^POST\|\/new\|Host: toy\.example\r\naccept: \*\/\*\r\nX-Forwarded-For: 192\.0\.2\.1\r\n/,
  );
  assert.match(head as string, /X-Set: 1\r\n$/);
  assert.deepEqual(content, ['abc', 'END']);

  const b = s.ask();
  b.side.begin(b.client, s.toys.request('GET', '/b', 'toy.example', 0));
  b.side.requestEnded(0, 0);
  const second = await s.stream(1);
  assert.equal(s.connections.length, 1);
  second.side.onResponse(s.toys.response(200, { 'x-hidden': '1', 'x-seen': '2' }));
  const [start, end] = s.toys.put('content');
  second.side.responseBody(start, end, 0);
  second.done();
  assert.deepEqual(b.client.said, ['200 x-seen: 2\r\nX-Added: 2\r\n', 'content', 'END', 'RELEASED']);

  first.side.onResponse(s.toys.response(404));
  first.done();
  assert.deepEqual(a.client.said, ['404 X-Added: 2\r\n', 'END', 'RELEASED']);
  assert.deepEqual(
    s.records.all.map((r) => [r.method, r.path, r.status]),
    [
      ['GET', '/b', 200],
      ['POST', '/a', 404],
    ],
  );
  await s.end();
});

simOnly(
  'a decision takes its time: the head is kept, whatever comes in between; it lets go on, answers, or is too late',
  async (net) => {
    const asked: Asked[] = [];
    const decision: Decision = { waits: false, contentBytes: 0, ask: (one) => asked.push(one) };
    const s = setup(net, {}, { decisions: [decision], taps: [] });
    const a = s.ask();
    a.side.begin(a.client, s.toys.request('GET', '/kept', 'toy.example', 0, { 'user-agent': 'one', 'x-a': '1' }));
    a.side.requestEnded(0, 0);
    assert.equal(a.side.takesBody, false);
    const b = s.ask();
    b.side.begin(b.client, s.toys.request('GET', '/other', 'toy.example', 0, { 'x-b': '22' }));
    b.side.requestEnded(0, 0);
    asked[0]?.goOn();
    asked[0]?.answer(new Answer(403, null, NO_BODY, false), 0, 0);
    const stream = await s.stream(0);
    assert.match(
      stream.got[0] as string,
      /^GET\|\/kept\|Host: toy\.example\r\nuser-agent: one\r\nx-a: 1\r\nX-Forwarded-For/,
    );
    assert.deepEqual(stream.got.slice(1), ['END']);
    asked[1]?.answer(new Answer(403, null, NO_BODY, false), 0, 0);
    assert.deepEqual(b.client.said, ['answer 403', 'RELEASED']);
    stream.side.onResponse(s.toys.response(204));
    stream.done();
    // The client leaves; then one that nobody ever decides about.
    let gone = 0;
    const c = s.ask();
    c.side.begin(c.client, s.toys.request('GET', '/c', 'toy.example', 0));
    (asked[2] as Asked).onGone = () => gone++;
    c.side.onDownstreamGone();
    asked[2]?.goOn();
    const d = s.ask();
    d.side.begin(d.client, s.toys.request('GET', '/d', 'toy.example', 0));
    await net.advance(LIMITS.DECISION_MS + 100);
    assert.deepEqual(d.client.said, ['answer 503', 'RELEASED']);
    assert.equal(gone, 1);
    assert.deepEqual(
      s.records.all.map((r) => [r.path, r.status, r.flags, r.limit]),
      [
        ['/other', 403, 'UAEX', ''],
        ['/kept', 204, '', ''],
        ['/c', 499, 'DC', ''],
        ['/d', 503, 'UO', 'DECISION_MS'],
      ],
    );
    await s.end();
  },
);

simOnly('a verdict at once costs nothing: nothing is kept', async (net) => {
  const verdicts: Decision[] = [
    { waits: false, contentBytes: 0, ask: (one) => one.goOn() },
    {
      waits: false,
      contentBytes: 0,
      ask: (one, head) =>
        head.pathEnd - head.pathStart === 3 ? one.answer(new Answer(401, null, NO_BODY, false), 0, 0) : one.goOn(),
    },
  ];
  const s = setup(net, {}, { decisions: verdicts, taps: [] });
  const a = s.ask();
  a.side.begin(a.client, s.toys.request('GET', '/no', 'toy.example', 0));
  assert.deepEqual(a.client.said, ['answer 401', 'RELEASED']);
  const b = s.ask();
  b.side.begin(b.client, s.toys.request('GET', '/yes', 'toy.example', 0));
  b.side.requestEnded(0, 0);
  assert.equal((await s.stream(0)).got.length, 2);
  b.side.onDownstreamGone();
  await s.end();
});

simOnly('a tap reads along, and is left behind when it does not keep up', async (net) => {
  const seen: string[] = [];
  const taps: Tap[] = [];
  const source = {
    wants: () => true,
    open(tap: Tap): TapReader {
      taps.push(tap);
      return {
        request: (r) => seen.push(`request ${r.end - r.bodyStart}`),
        requestBody: (start, end) => seen.push(`body ${end - start}`),
        requestEnded: () => seen.push('ended'),
        responseBody: (start, end) => seen.push(`response ${end - start}`),
        over: (whole) => seen.push(whole ? 'whole' : 'left behind'),
      };
    },
  };
  const s = setup(net, {}, { decisions: [], taps: [source] });
  const run = async (n: number, bytes: number): Promise<void> => {
    const a = s.ask();
    a.side.begin(a.client, s.toys.request('POST', '/a', 'toy.example', -1));
    const stream = await s.stream(n);
    for (let left = bytes; left > 0; left -= 32_000) {
      const size = Math.min(left, 32_000);
      a.side.requestBody(s.core.shared.readAt, s.core.shared.readAt + size);
    }
    a.side.requestEnded(0, 0);
    stream.side.onResponse(s.toys.response(200));
    const [start, end] = s.toys.put('xy');
    stream.side.responseBody(start, end, 0);
    stream.done();
    assert.deepEqual(a.client.said.slice(1), ['xy', 'END', 'RELEASED']);
    assert.equal(
      stream.got.reduce((sum, text, i) => sum + (i > 0 && text !== 'END' ? text.length : 0), 0),
      bytes,
    );
  };
  await run(0, 10);
  assert.deepEqual(seen.splice(0), ['request 0', 'body 10', 'ended', 'response 2', 'whole']);
  await run(1, 96_000);
  assert.deepEqual(seen.splice(0), ['request 0', 'body 32000', 'body 32000', 'left behind']);
  await s.end();
});

simOnly('a tunnel between codecs that are not HTTP/1', async (net) => {
  const s = setup(net);
  const a = s.ask();
  const asked = s.toys.request('GET', '/a', 'toy.example', 0, { upgrade: 'toy' });
  asked.upgrade = true;
  a.side.begin(a.client, asked);
  a.side.requestEnded(0, 0);
  const stream = await s.stream(0);
  stream.side.onSwitched(s.toys.response(101, { upgrade: 'toy' }));
  assert.ok(a.side.takesBody);
  const [start, end] = s.toys.put('to');
  a.side.requestBody(start, end);
  stream.side.responseBody(start, end, 0);
  a.side.requestEnded(0, 0);
  stream.side.responseBody(start, end, 0);
  stream.side.onBackendEnded();
  assert.deepEqual(stream.got.slice(1), ['END', 'to', 'END', 'CANCEL']);
  assert.deepEqual(a.client.said, ['101 SWITCHED', 'to', 'to', 'END', 'RELEASED']);
  assert.deepEqual([s.records.last.status, s.records.last.requestBytes, s.records.last.responseBytes], [101, 2, 4]);
  await s.end();
});

simOnly(
  'a retry goes elsewhere: an endpoint that refuses; a status that the rule repeats, after its pause',
  async (net) => {
    const refusing = endpoint(net.refuse());
    const s = setup(net, {}, undefined, { attempts: 1, codes: [503], backoffMs: 500 }, [refusing]);
    for (let n = 0; n < 4; n += 2) {
      const a = s.ask();
      a.side.begin(a.client, s.toys.request('POST', '/a', 'toy.example', 0));
      a.side.requestEnded(0, 0);
      const first = await s.stream(n);
      const before = net.io.nowMs;
      first.side.onResponse(s.toys.response(503));
      assert.deepEqual(first.got.slice(1), ['END', 'CANCEL']);
      const again = await s.stream(n + 1);
      assert.ok(net.io.nowMs - before >= 500);
      assert.deepEqual(again.got, first.got.slice(0, 2));
      again.side.onResponse(s.toys.response(503));
      again.done();
      assert.deepEqual(a.client.said, ['503 ', 'END', 'RELEASED']);
    }
    await s.end();
  },
);

simOnly('health takes an endpoint out of the picker, and back', async (net) => {
  const s = setup(net, {}, undefined, null, [endpoint(net.serve(() => {}))]);
  const picked = (): Set<unknown> => new Set(Array.from({ length: 8 }, () => s.cluster.pick(0)));
  assert.equal(picked().size, 2);
  s.cluster.setHealth(0, false);
  assert.deepEqual(picked(), new Set([s.cluster.pools[1]]));
  s.cluster.setHealth(1, false);
  assert.equal(picked().size, 2, 'where most are passed over, none is');
  s.cluster.setHealth(0, true);
  assert.deepEqual(picked(), new Set([s.cluster.pools[0]]));
  await s.end();
});
