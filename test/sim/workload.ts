// Random clients and backends around an HTTP/1.1 proxy on the simulated network, and what must hold whatever happens:
//
// - a complete response that bears a token is the one that the backend made for the request with that token: same
//   status, same bytes, in the order of the requests of its connection;
// - no false end: what a backend broke off never looks complete to a client, nor the other way round;
// - a backend gets no request that no client sent, no bytes of another one, and no unsafe request twice;
// - both sides speak strict HTTP/1.1 (test/support/http.ts throws otherwise);
// - in a calm run, where nobody breaks anything off, every request is answered by its backend, in good time.

import type { IpAddress, UnixAddress } from '../../src/io/io.ts';
import { Random } from '../../src/sim/random.ts';
import { type ByteSource, Malformed, type MessageHead, readBody } from '../support/http.ts';
import type { Backend } from '../support/net.ts';
import { EndedEarly, isGone, type Peer } from '../support/peer.ts';
import type { SimNet } from '../support/sim-net.ts';
import { BROKEN_RESPONSES, HOSTILE_REQUESTS } from './hostile.ts';

export interface WorkloadOptions {
  readonly seed: number;
  readonly clients: number;
  readonly connectionsPerClient: number;
  readonly requestsPerConnection: number;
  readonly maxBodyBytes: number;
  /** Nobody aborts, everybody answers in full. */
  readonly calm: boolean;
  /** The proxy has time limits that are shorter than some answers: 504 and 408 are its right. */
  readonly mayTimeOut?: boolean;
  /** Connections of attackers beside the clients (HOSTILE_REQUESTS); then backends, too, break rules (BROKEN_RESPONSES). */
  readonly hostile?: number;
  /** Some clients send requests before they have the answers to the ones before (true). */
  readonly pipelining?: boolean;
}

/** How the backend ends the response. */
type Fate = 'complete' | 'fin' | 'reset';

/** One request and the answer it is to get; both scripts act on it, the proxy sees only the bytes. */
interface Plan {
  readonly token: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  readonly version: '1.0' | '1.1';
  readonly keepAlive: boolean;
  readonly requestBody: Uint8Array;
  readonly requestChunked: boolean;
  readonly expect: boolean;
  readonly interim: boolean;
  readonly status: number;
  readonly responseBody: Uint8Array;
  readonly responseFraming: 'length' | 'chunked' | 'close';
  readonly trailer: boolean;
  readonly backendCloses: boolean;
  /** The backend answers before it reads the request's content; then it leaves, or reads it and stays. */
  readonly early: 'no' | 'leaves' | 'stays';
  /** Sent instead of the response; '' for none. */
  readonly broken: string;
  readonly fate: Fate;
  /** Bytes of the whole response after which `fate` strikes. */
  readonly fateAt: number;
  /** Bytes of the request after which the client leaves, Infinity for never; or of the response. */
  readonly clientGoneAt: number;
  readonly clientLeavesReading: number;
  readonly clientLeavesHow: 'reset' | 'close' | 'end';
  readonly pauseMs: number;
  readonly pieceBytes: number;
}

export interface Tally {
  requests: number;
  complete: number;
  proxyAnswers: Map<number, number>;
  brokenOff: number;
}

const NOISE_BYTES = 4 * 1024 * 1024;
const NOISE = noise();
/** What the proxy may answer itself; nobody here is slow enough for 408 or 504, so these would be a stall. */
const OWN_STATUSES = new Set([400, 502, 503]);
/** Virtual time a calm request may take. */
const CALM_MS = 30_000;

function noise(): Uint8Array {
  const bytes = new Uint32Array(NOISE_BYTES / 4);
  const random = new Random(20_260_101);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.u32();
  return new Uint8Array(bytes.buffer);
}

function bodyOf(random: Random, length: number): Uint8Array {
  const from = random.below(NOISE_BYTES - length);
  return NOISE.subarray(from, from + length);
}

/** Something that must never be. */
export class Violation extends Error {}

export class Workload {
  readonly tally: Tally = { requests: 0, complete: 0, proxyAnswers: new Map(), brokenOff: 0 };
  readonly #net: SimNet;
  readonly #options: WorkloadOptions;
  readonly #random: Random;
  readonly #plans = new Map<string, Plan>();
  /** Unsafe requests that a backend got. */
  readonly #unsafe = new Set<string>();
  #violation: Error | null = null;

  constructor(net: SimNet, options: WorkloadOptions) {
    net.patient = true;
    this.#net = net;
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  backend(): Backend {
    return this.#net.serve((peer) => this.#serve(peer, false));
  }

  unixBackend(): Backend<UnixAddress> {
    return this.#net.serveUnix((peer) => this.#serve(peer, true));
  }

  /** Runs all clients against the proxy at `address` to their end; throws the first violation. */
  async run(address: IpAddress): Promise<void> {
    const clients = Array.from({ length: this.#options.clients }, (_, i) => this.#client(i, address));
    for (let i = 0; i < (this.#options.hostile ?? 0); i++) clients.push(this.#attack(address));
    const ended = await Promise.allSettled(clients);
    if (this.#violation !== null) throw this.#violation;
    for (const result of ended) if (result.status === 'rejected') throw result.reason;
  }

  // ---- plans

  #plan(token: string): Plan {
    const random = this.#random;
    const { calm } = this.#options;
    const method = random.pick(['GET', 'GET', 'GET', 'HEAD', 'POST', 'POST', 'PUT', 'DELETE'] as const);
    const version = random.chance(0.1) ? '1.0' : '1.1';
    const hasBody = method === 'POST' || method === 'PUT' || random.chance(0.05);
    const requestBody = bodyOf(random, hasBody ? this.#length() : 0);
    const requestChunked = hasBody && version === '1.1' && random.chance(0.4);
    const status = random.chance(0.85) ? 200 : random.pick([201, 204, 304, 404, 500]);
    const bodiless = status === 204 || status === 304;
    const responseBody = bodyOf(random, bodiless ? 0 : this.#length());
    const responseFraming = random.pick(['length', 'length', 'chunked', 'chunked', 'close'] as const);
    const early = !calm && hasBody && random.chance(0.15) ? random.pick(['leaves', 'stays'] as const) : 'no';
    const broken = !calm && random.chance(early === 'no' ? 0.15 : 0.4);
    const fate = broken ? random.pick(['fin', 'reset'] as const) : 'complete';
    return {
      token,
      method,
      version,
      keepAlive: random.chance(0.9),
      requestBody,
      requestChunked,
      expect: version === '1.1' && requestBody.length > 0 && random.chance(0.1),
      interim: version === '1.1' && random.chance(0.05),
      status,
      responseBody,
      responseFraming,
      trailer: random.chance(0.3),
      backendCloses: random.chance(0.1),
      // To HEAD nothing that is wrong about content can be seen.
      broken:
        this.#options.hostile !== undefined && method !== 'HEAD' && random.chance(0.05)
          ? random.pick(BROKEN_RESPONSES)
          : '',
      early,
      // FIN is the end of a body without a length: breaking that off takes a reset.
      fate: fate === 'fin' && responseFraming === 'close' ? 'reset' : fate,
      fateAt: random.chance(0.3) ? random.below(200) : random.below(responseBody.length + 300),
      clientGoneAt: !calm && random.chance(0.07) ? random.below(requestBody.length + 200) : Number.POSITIVE_INFINITY,
      clientLeavesReading:
        !calm && random.chance(0.07)
          ? random.below((method === 'HEAD' ? 0 : responseBody.length) + 40)
          : Number.POSITIVE_INFINITY,
      clientLeavesHow: random.pick(['reset', 'close', 'end'] as const),
      pauseMs: random.chance(0.2) ? random.below(30) : 0,
      pieceBytes: random.pick([7, 100, 4096, 65_536, 1 << 20]),
    };
  }

  #length(): number {
    const random = this.#random;
    const pick = random.below(10);
    if (pick < 2) return 0;
    if (pick < 6) return random.below(2_000);
    if (pick < 9) return random.below(Math.min(100_000, this.#options.maxBodyBytes));
    return random.below(this.#options.maxBodyBytes + 1);
  }

  // ---- clients

  async #client(index: number, address: IpAddress): Promise<void> {
    const random = this.#random;
    for (let c = 0; c < this.#options.connectionsPerClient; c++) {
      await this.#net.sleep(random.below(50));
      const plans = Array.from({ length: random.between(1, this.#options.requestsPerConnection) }, (_, r) => {
        const plan = this.#plan(`${this.#options.seed}-${index}-${c}-${r}`);
        this.#plans.set(plan.token, plan);
        return plan;
      });
      const pipelined = random.chance(0.3) && this.#options.pipelining !== false;
      const peer = await this.#net.connect(address, `127.0.0.${index + 2}`);
      try {
        await this.#converse(peer, plans, pipelined);
      } catch (error) {
        this.#judge(error);
      }
      if (random.chance(0.5)) peer.close();
      else peer.reset();
    }
  }

  async #converse(peer: Peer, plans: readonly Plan[], pipelined: boolean): Promise<void> {
    let sending: Promise<void> = Promise.resolve();
    if (pipelined) {
      sending = (async () => {
        for (const plan of plans) {
          await this.#sendRequest(peer, plan, () => Promise.resolve());
          // Whoever asks for the end sends nothing behind it (RFC 9112 section 9.6).
          if (endsPipeline(plan)) break;
        }
      })();
      sending.catch(() => {});
    }
    for (const plan of plans) {
      this.tally.requests++;
      const started = this.#net.io.nowMs;
      let allow: () => void = () => {};
      if (!pipelined) {
        // With Expect: 100-continue the content waits until the answer's first head, interim or not.
        const allowed = new Promise<void>((resolve) => {
          allow = resolve;
        });
        sending = this.#sendRequest(peer, plan, () => allowed);
        sending.catch(() => {});
      }
      const goesOn = await this.#readResponse(peer, plan, allow);
      const took = this.#net.io.nowMs - started;
      if (this.#options.calm && took > CALM_MS)
        throw new Violation(`${plan.token} took ${took} ms in a calm run. ${described(plan)}`);
      if (!goesOn || (pipelined && endsPipeline(plan))) return;
      if (!pipelined) await sending;
    }
  }

  async #sendRequest(peer: Peer, plan: Plan, allowed: () => Promise<void>): Promise<void> {
    const { requestBody: body } = plan;
    const fields = [`Host: sim.example`, `X-Token: ${plan.token}`];
    if (plan.requestChunked) fields.push('Transfer-Encoding: chunked');
    else if (body.length > 0 || plan.method === 'POST' || plan.method === 'PUT')
      fields.push(`Content-Length: ${body.length}`);
    if (plan.expect) fields.push('Expect: 100-continue');
    if (plan.version === '1.1') {
      if (!plan.keepAlive) fields.push('Connection: close');
    } else if (plan.keepAlive) fields.push('Connection: keep-alive');
    const head = `${plan.method} /${plan.token} HTTP/${plan.version}\r\n${fields.join('\r\n')}\r\n\r\n`;
    const out = new Sender(this.#net, peer, plan, plan.clientGoneAt, (p) => this.#leave(p, plan, false));
    await out.send(Buffer.from(head, 'latin1'));
    if (plan.expect) await allowed();
    await out.body(body, plan.requestChunked);
  }

  /** False when the connection is not to be used further. */
  async #readResponse(peer: Peer, plan: Plan, allow: () => void): Promise<boolean> {
    if (plan.clientLeavesReading !== Number.POSITIVE_INFINITY) {
      for (let got = 0; got < plan.clientLeavesReading; ) {
        const some = await peer.read(Math.min(plan.clientLeavesReading - got, plan.pieceBytes));
        if (some === null) break;
        got += some.length;
        allow();
      }
      this.#leave(peer, plan, true);
      return false;
    }
    let head: MessageHead;
    do {
      head = await peer.readHead({ answersHead: plan.method === 'HEAD' });
      allow();
    } while (head.status < 200);
    const { body } = await readBody(this.#slowly(peer, plan), head);
    this.#check(plan, head, body);
    const close = head.headers.get('connection')?.some((v) => /\bclose\b/i.test(v)) ?? false;
    const keep = head.headers.get('connection')?.some((v) => /\bkeep-alive\b/i.test(v)) ?? false;
    return !close && (plan.version === '1.1' ? plan.keepAlive : plan.keepAlive && keep) && head.framing !== 'close';
  }

  /** A connection that sends what is to be misread, in random pieces, and looks at nothing that comes back. */
  async #attack(address: IpAddress): Promise<void> {
    const random = this.#random;
    await this.#net.sleep(random.below(150));
    const peer = await this.#net.connect(address, '127.0.0.99');
    try {
      const bytes = Buffer.from(random.pick(HOSTILE_REQUESTS), 'latin1');
      const pieceBytes = random.pick([1, 7, 1000]);
      for (let at = 0; at < bytes.length; at += pieceBytes) await peer.send(bytes.subarray(at, at + pieceBytes));
      if (random.chance(0.5)) peer.end();
      else await this.#net.sleep(random.below(100));
      while (random.chance(0.9) && (await peer.read()) !== null) {}
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    peer.close();
  }

  #check(asked: Plan, head: MessageHead, body: Uint8Array): void {
    const plan = this.#plans.get(asked.token) as Plan;
    const token = head.headers.get('x-token')?.[0];
    const { calm } = this.#options;
    if (token === undefined) {
      this.tally.proxyAnswers.set(head.status, (this.tally.proxyAnswers.get(head.status) ?? 0) + 1);
      const late = this.#options.mayTimeOut === true && (head.status === 504 || head.status === 408);
      if (calm || !(late || OWN_STATUSES.has(head.status)))
        throw new Violation(`${plan.token}: the proxy answered ${head.status} itself. ${described(plan)}`);
      return;
    }
    if (token !== plan.token) throw new Violation(`${plan.token} got the answer to ${token}`);
    if (head.status !== plan.status) throw new Violation(`${token}: status ${head.status} instead of ${plan.status}`);
    if (plan.broken !== '') throw new Violation(`${token}: a broken response passed as one. ${described(plan)}`);
    if (plan.fate !== 'complete' && plan.fateAt < sizeOnWire(plan))
      throw new Violation(`${token}: a false end: the backend broke off, the client saw an end. ${described(plan)}`);
    const expected = plan.method === 'HEAD' ? new Uint8Array(0) : plan.responseBody;
    if (Buffer.compare(expected, body) !== 0)
      throw new Violation(
        `${token}: ${body.length} bytes ${differ(expected, body)} (${expected.length} expected). ${described(plan)}`,
      );
    this.tally.complete++;
  }

  #leave(peer: Peer, plan: Plan, reading: boolean): void {
    this.tally.brokenOff++;
    if (plan.clientLeavesHow === 'reset') peer.reset();
    else if (plan.clientLeavesHow === 'close' || reading) peer.close();
    else peer.end();
  }

  #slowly(peer: Peer, plan: Plan): ByteSource {
    return plan.pauseMs === 0 ? peer : slowReader(peer, this.#net, plan);
  }

  /** What ends a connection of a client without being wrong; anything else is a violation. */
  #judge(error: unknown): void {
    const abrupt = isGone(error) || error instanceof EndedEarly;
    if (abrupt && !this.#options.calm) {
      this.tally.brokenOff++;
      return;
    }
    this.#violation ??= error instanceof Error ? error : new Error(String(error));
  }

  // ---- backends

  async #serve(peer: Peer, unix: boolean): Promise<void> {
    try {
      while (await this.#answerOne(peer, unix)) {}
    } catch (error) {
      if (error instanceof EndedEarly || isGone(error)) {
        peer.close();
        return;
      }
      this.#violation ??= error as Error;
      peer.reset();
    }
  }

  async #answerOne(peer: Peer, unix: boolean): Promise<boolean> {
    let head: MessageHead;
    try {
      head = await peer.readHead();
    } catch (error) {
      if (error instanceof Malformed) throw new Violation(`a backend got: ${error.message}`);
      throw error;
    }
    const token = head.headers.get('x-token')?.[0] ?? '';
    if (token === 'hostile' && head.target === '/hostile') {
      await readBody(peer, head);
      await peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      return true;
    }
    let plan = this.#plans.get(token);
    if (plan === undefined || head.method !== plan.method || head.target !== `/${token}`)
      throw new Violation(`a backend got a request that no client sent: ${JSON.stringify(head.head)}`);
    if (unix && plan.responseFraming === 'close' && plan.fate !== 'complete') {
      // A unix socket has no reset: breaking off would be an end in order.
      plan = { ...plan, fate: 'complete' };
      this.#plans.set(token, plan);
    }
    if (plan.method === 'POST') {
      if (this.#unsafe.has(token)) throw new Violation(`POST ${token} was sent twice`);
      this.#unsafe.add(token);
    }
    if (head.headers.has('expect') && plan.early === 'no') await peer.send('HTTP/1.1 100 Continue\r\n\r\n');
    if (plan.interim) await peer.send('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
    const readRequest = async (): Promise<void> => {
      const { body } = await readBody(this.#slowly(peer, plan), head);
      if (Buffer.compare(plan.requestBody, body) !== 0)
        throw new Violation(`${token}: a backend got ${body.length} bytes ${differ(plan.requestBody, body)}`);
    };
    if (plan.early === 'no') await readRequest();
    if (plan.broken !== '') {
      await peer.send(plan.broken.replace('TOKEN', token));
      peer.end();
      return false;
    }
    await this.#respond(peer, plan);
    if (leaves(plan)) {
      peer.end();
      if (plan.early !== 'no') await peer.readAll();
      return false;
    }
    if (plan.early === 'stays') await readRequest();
    return true;
  }

  async #respond(peer: Peer, plan: Plan): Promise<void> {
    const struck = plan.fate === 'complete' ? Number.POSITIVE_INFINITY : plan.fateAt;
    const out = new Sender(this.#net, peer, plan, struck, (p) => {
      if (plan.fate === 'reset') p.reset();
      else p.close();
    });
    await out.send(responseHead(plan));
    if (hasBody(plan)) await out.body(plan.responseBody, plan.responseFraming === 'chunked');
  }
}

/** With HTTP/1.0 the end of the response may be the end of the connection, whatever was asked for. */
function endsPipeline(plan: Plan): boolean {
  return !plan.keepAlive || plan.version === '1.0';
}

function described(plan: Plan): string {
  return JSON.stringify(plan, (_, value: unknown) =>
    value instanceof Uint8Array ? value.length : value === Number.POSITIVE_INFINITY ? 'never' : value,
  );
}

/** The backend ends the connection behind its answer, and says so. */
function leaves(plan: Plan): boolean {
  return plan.backendCloses || plan.responseFraming === 'close' || plan.early === 'leaves';
}

function hasBody(plan: Plan): boolean {
  return plan.method !== 'HEAD' && plan.status !== 204 && plan.status !== 304;
}

function responseHead(plan: Plan): Buffer {
  const fields = [`X-Token: ${plan.token}`];
  if (plan.status !== 204 && plan.status !== 304) {
    if (plan.responseFraming === 'length') fields.push(`Content-Length: ${plan.responseBody.length}`);
    if (plan.responseFraming === 'chunked') fields.push('Transfer-Encoding: chunked');
  }
  if (leaves(plan)) fields.push('Connection: close');
  return Buffer.from(`HTTP/1.1 ${plan.status} As Planned\r\n${fields.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** Bytes of the whole response as the backend sends it. */
function sizeOnWire(plan: Plan): number {
  const head = responseHead(plan).length;
  if (!hasBody(plan)) return head;
  // Its end is the FIN behind its last byte.
  if (plan.responseFraming === 'close') return head + plan.responseBody.length + 1;
  if (plan.responseFraming === 'length') return head + plan.responseBody.length;
  return head + chunked(plan.responseBody, plan).reduce((sum, piece) => sum + piece.length, 0);
}

const CHUNK_BYTES = 10_000;

function chunked(body: Uint8Array, plan: Plan): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    const chunk = body.subarray(at, at + CHUNK_BYTES);
    pieces.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(plan.trailer ? '0\r\nX-Sum: 1\r\n\r\n' : '0\r\n\r\n'));
  return pieces;
}

/** Sends piece by piece, with pauses, and leaves after `leaveAt` bytes. */
class Sender {
  readonly #net: SimNet;
  readonly #peer: Peer;
  readonly #plan: Plan;
  #left: number;
  #pauses = 5;
  readonly #leave: (peer: Peer) => void;

  constructor(net: SimNet, peer: Peer, plan: Plan, leaveAt: number, leave: (peer: Peer) => void) {
    this.#net = net;
    this.#peer = peer;
    this.#plan = plan;
    this.#left = leaveAt;
    this.#leave = leave;
  }

  async body(body: Uint8Array, inChunks: boolean): Promise<void> {
    for (const piece of inChunks ? chunked(body, this.#plan) : [body]) await this.send(piece);
  }

  async send(bytes: Uint8Array): Promise<void> {
    const { pauseMs } = this.#plan;
    // Tiny pieces only where that is not a hundred thousand of them.
    const pieceBytes = Math.max(this.#plan.pieceBytes, Math.ceil(bytes.length / 40));
    for (let at = 0; at < bytes.length; ) {
      const n = Math.min(pieceBytes, bytes.length - at, this.#left);
      if (n > 0) await this.#peer.send(bytes.subarray(at, at + n));
      at += n;
      this.#left -= n;
      if (this.#left <= 0) {
        this.#leave(this.#peer);
        throw new EndedEarly('the end of the message (by plan)', new Uint8Array(0));
      }
      if (pauseMs > 0 && this.#pauses > 0) {
        this.#pauses--;
        await this.#net.sleep(pauseMs);
      }
    }
  }
}

/** The same peer, read in pieces with some pauses. */
function slowReader(peer: Peer, net: SimNet, plan: Plan): ByteSource {
  let pauses = 5;
  const pause = async (): Promise<void> => {
    if (pauses-- > 0) await net.sleep(plan.pauseMs);
  };
  return {
    readUntil: (text) => peer.readUntil(text),
    async readExactly(n) {
      const parts: Uint8Array[] = [];
      for (let left = n; left > 0; ) {
        await pause();
        const part = await peer.readExactly(Math.min(left, Math.max(plan.pieceBytes, 1000)));
        parts.push(part);
        left -= part.length;
      }
      return Buffer.concat(parts);
    },
    async readAll() {
      await pause();
      return peer.readAll();
    },
  };
}

function differ(expected: Uint8Array, got: Uint8Array): string {
  const n = Math.min(expected.length, got.length);
  for (let i = 0; i < n; i++) if (expected[i] !== got[i]) return `differ at byte ${i}`;
  return 'are a part of it';
}
