// One checkout's engine over a system that is none: what JavaScript makes of a request and its answer, from the read of
// one to the write of the other, log line and counters included. Started by request.ts, which says of what kind and how
// many: a small GET, a POST of 1 KB, a GET on a connection of its own, or by HTTP/2, 32 streams on each of a few
// connections, GETs to a backend of HTTP/1.1 (`h2`) or calls of gRPC to one of HTTP/2 (`grpc`); or as bytes that are
// relayed (TCPRoute), by sessions that stay (`exchange`) or one for each (`session`).

import type { Handle, Io, ReadySink, SocketAddress } from '../../src/io/io.ts';
import { Http2BenchBackend, Http2BenchClient } from './http2-peers.ts';

const ARENA_BYTES = 64 * 2 ** 20;
const RING_BYTES = 4 * 2 ** 20;
const EAGAIN = 11;
const READABLE = 1;
const WRITABLE = 2;
const WARM_UP = 50_000;
const LISTENING = 1;
/** What `#waits` says of a client that has closed. */
const ENDED = 2;

const [root = '', work = 'get'] = process.argv.slice(2);
const CALLS = work === 'grpc';
const HTTP2 = work === 'h2' || CALLS;
const SESSION = work === 'session';
const RELAYED = SESSION || work === 'exchange';
const CLIENTS = HTTP2 ? 8 : 64;
const STREAMS = 32;
const load = <T>(path: string): Promise<T> => import(`${root}/${path}`) as Promise<T>;
const { Engine } = await load<typeof import('../../src/proxy/engine.ts')>('src/proxy/engine.ts');
const { TimerWheel } = await load<typeof import('../../src/io/wheel.ts')>('src/io/wheel.ts');
const { Arena } = await load<typeof import('../../src/native/arena.ts')>('src/native/arena.ts');
const { Cells } = await load<typeof import('../../src/telemetry/cells.ts')>('src/telemetry/cells.ts');
const { RingWriter, ringBytes } =
  await load<typeof import('../../src/telemetry/log-ring.ts')>('src/telemetry/log-ring.ts');
const { Recorder } = await load<typeof import('../../src/telemetry/recorder.ts')>('src/telemetry/recorder.ts');
const rig = await load<typeof import('../../test/proxy/rig.ts')>('test/proxy/rig.ts');

const FIELDS =
  'Host: app.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.5\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n';
const BODY = 'x'.repeat(1024);
const REQUEST = Buffer.from(
  work === 'post'
    ? `POST /api/v1/items HTTP/1.1\r\n${FIELDS}Content-Type: application/octet-stream\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`
    : `GET /api/v1/items/42?x=1 HTTP/1.1\r\n${FIELDS}\r\n`,
);
/** Each connection is good for one request: its client closes behind the answer. */
const ONCE = work === 'connect' || SESSION;
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 26 Nov 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n${'x'.repeat(100)}`,
);

/** Sockets that answer as soon as they are written to: a client with its next request, a backend with its answer. */
class Stub implements Io {
  readonly kind = 'native';
  readonly #arena = new Arena(ARENA_BYTES);
  readonly mem: Uint8Array = this.#arena.mem;
  nowMs = 1_000;
  nowUs = 1_000_000.5;
  wallMs = 1_700_000_000_000;
  readonly timers = new TimerWheel(this.nowMs);
  get datagrams(): never {
    throw new Error('no datagrams here');
  }
  answered = 0;
  #toAccept = CLIENTS;
  #opened = 1;
  #seed = 1;
  readonly #sinks: (ReadySink | null)[] = [];
  readonly #clients = new Uint8Array(4096);
  readonly #http2: (Http2BenchClient | undefined)[] = [];
  readonly #backends: (Http2BenchBackend | undefined)[] = [];
  readonly #waits = new Uint8Array(4096);
  /** Bytes of a request that a backend has; streams that a client of HTTP/2 is to open. */
  readonly #sent = new Int32Array(4096);
  readonly #free: Handle[] = [];
  #connecting: Handle[] = [];
  #answers: Handle[] = [];
  #requests: Handle[] = [];
  #again: (readonly [ReadySink, number])[] = [];
  readonly #hooks: (() => void)[] = [];

  #handle(): Handle {
    return this.#free.pop() ?? ++this.#opened;
  }

  alloc(bytes: number): number {
    return this.#arena.alloc(bytes);
  }
  free(offset: number): void {
    this.#arena.free(offset);
  }
  sizeOf(offset: number): number {
    return this.#arena.sizeOf(offset);
  }
  random32(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed;
  }
  accept(): Handle {
    if (this.#toAccept === 0) return -EAGAIN;
    this.#toAccept--;
    const handle = this.#handle();
    this.#clients[handle] = 1;
    if (HTTP2) {
      this.#http2[handle] = new Http2BenchClient(CALLS);
      this.#sent[handle] = STREAMS;
    }
    return handle;
  }
  connect(): Handle {
    const handle = this.#handle();
    this.#clients[handle] = 0;
    this.#waits[handle] = 0;
    if (CALLS) this.#backends[handle] = new Http2BenchBackend();
    this.#connecting.push(handle);
    return handle;
  }
  connectError(): number {
    return 0;
  }
  recv(handle: Handle, offset: number, length: number): number {
    if (this.#waits[handle] === ENDED) return 0;
    if (this.#waits[handle] === 0) return -EAGAIN;
    this.#waits[handle] = 0;
    if (HTTP2 && this.#clients[handle] === 1) {
      const streams = this.#sent[handle] as number;
      this.#sent[handle] = 0;
      return (this.#http2[handle] as Http2BenchClient).put(this.mem, offset, streams);
    }
    const backend = this.#backends[handle];
    if (CALLS && backend !== undefined) return this.#answer(handle, backend, offset, length);
    const bytes = this.#clients[handle] === 1 ? REQUEST : ANSWER;
    this.mem.set(bytes, offset);
    return bytes.length;
  }
  #answer(handle: Handle, backend: Http2BenchBackend, offset: number, length: number): number {
    const bytes = backend.put(this.mem, offset, length);
    if (backend.waits) this.#ready(handle);
    return bytes;
  }
  /** A backend has something to say. */
  #ready(handle: Handle): void {
    if (this.#waits[handle] !== 0) return;
    this.#waits[handle] = 1;
    this.#answers.push(handle);
  }
  send(handle: Handle, offset: number, length: number): number {
    if (HTTP2 && this.#clients[handle] === 1) {
      const ended = (this.#http2[handle] as Http2BenchClient).read(this.mem, offset, offset + length);
      this.answered += ended;
      this.#sent[handle] = (this.#sent[handle] as number) + ended;
      if (ended > 0 && this.#waits[handle] === 0) {
        this.#waits[handle] = 1;
        this.#requests.push(handle);
      }
      return length;
    }
    if (this.#clients[handle] === 1) {
      this.#waits[handle] = ONCE ? ENDED : 1;
      this.answered++;
      this.#requests.push(handle);
      return length;
    }
    const backend = this.#backends[handle];
    if (CALLS && backend !== undefined) {
      backend.read(this.mem, offset, offset + length);
      if (backend.waits) this.#ready(handle);
      return length;
    }
    this.#sent[handle] = (this.#sent[handle] as number) + length;
    if (work !== 'post' || (this.#sent[handle] as number) > BODY.length) {
      this.#sent[handle] = 0;
      this.#waits[handle] = 1;
      this.#answers.push(handle);
    }
    return length;
  }
  /** A backend ends when its client has. */
  shutdown(handle: Handle): number {
    if (!SESSION || this.#clients[handle] === 1) return 0;
    this.#waits[handle] = ENDED;
    this.#answers.push(handle);
    return 0;
  }
  close(handle: Handle): void {
    this.#sinks[handle] = null;
    if (this.#clients[handle] === 1 || SESSION) this.#free.push(handle);
    if (this.#clients[handle] !== 1) return;
    this.#toAccept++;
    if (this.#toAccept === 1) this.#requests.push(LISTENING);
  }
  reset(): void {}
  resetOnExit(): void {}
  unsent(): number {
    return 0;
  }
  peer(): SocketAddress {
    return { family: 'ipv4', address: '127.0.0.1', port: 40_000 };
  }
  localAddress(): SocketAddress {
    return { family: 'ipv4', address: '127.0.0.1', port: 80 };
  }
  openPipe(): Handle {
    return -EAGAIN;
  }
  spliceIn(): number {
    return -EAGAIN;
  }
  spliceOut(): number {
    return -EAGAIN;
  }
  watch(handle: Handle, sink: ReadySink): number {
    this.#sinks[handle] = sink;
    if (this.#clients[handle] === 1) this.#waits[handle] = 1;
    if (this.#clients[handle] === 1 || handle === LISTENING) this.#requests.push(handle);
    return 0;
  }
  again(sink: ReadySink, events: number): void {
    this.#again.push([sink, events]);
  }
  onTurn(callback: () => void): void {
    this.#hooks.push(callback);
  }

  /** A turn of the reactor: backends first (docs/adr/0001-event-loop.md). */
  turn(): void {
    this.nowUs += 50;
    this.nowMs = Math.floor(this.nowUs / 1000);
    const [connecting, answers, requests, again] = [this.#connecting, this.#answers, this.#requests, this.#again];
    this.#connecting = [];
    this.#answers = [];
    this.#requests = [];
    this.#again = [];
    for (const handle of connecting) this.#sinks[handle]?.onReady(WRITABLE);
    for (let i = 0; i < answers.length; i++) this.#sinks[answers[i] as Handle]?.onReady(READABLE);
    for (let i = 0; i < requests.length; i++) this.#sinks[requests[i] as Handle]?.onReady(READABLE);
    for (const [sink, events] of again) sink.onReady(events);
    this.timers.advance(this.nowMs);
    for (const hook of this.#hooks) hook();
  }
}

const io = new Stub();
const cells = Cells.local();
const memory = new ArrayBuffer(ringBytes(RING_BYTES));
const ring = new RingWriter(memory);
const records = new Recorder(cells, ring, { withQuery: false });
const engine = new Engine({ io, cells, records, settings: { trustedProxies: [] } });
const app = rig.cluster('app', [rig.endpoint({ family: 'ipv4', address: '10.0.0.1', port: 80 })], {
  protocol: CALLS ? 'http2' : RELAYED ? 'tcp' : 'http1',
});
const served = RELAYED ? [rig.tcpListener(), rig.relay()] : [rig.listener(), rig.rule({})];
// Older checkouts know no gateways and one entry for a cluster.
const upserts = [rig.GATEWAY, app, ...served].flat().filter((entry) => entry !== undefined);
engine.apply({ upserts, removals: [] });
engine.addSocket(rig.LISTENER, LISTENING);

/** WRITTEN and READ of the ring: what was written counts as read. */
const positions = new Int32Array(memory, 0, 32);

function serve(requests: number): void {
  const until = io.answered + requests;
  for (let turns = 0; io.answered < until; turns++) {
    io.turn();
    ring.publish();
    if (turns % 64 === 0) positions[16] = positions[0] as number;
  }
}

serve(WARM_UP);
process.on('message', (requests: number) => {
  if (requests === 0) process.exit(0);
  const before = process.cpuUsage();
  serve(requests);
  const { user, system } = process.cpuUsage(before);
  process.send?.(((user + system) * 1000) / requests);
});
process.send?.(0);
