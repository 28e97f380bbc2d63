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
import { HOSTILE_REQUESTS } from './hostile.ts';
import {
  described,
  drawPlan,
  endsPipeline,
  hasBody,
  leaves,
  type Plan,
  type PlanOptions,
  responseHead,
  sizeOnWire,
} from './plan.ts';
import { Sender, slowReader } from './sender.ts';

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
  /**
   * Connections of attackers beside the clients (HOSTILE_REQUESTS); then backends, too, break rules (BROKEN_RESPONSES).
   */
  readonly hostile?: number;
}

export interface Tally {
  requests: number;
  complete: number;
  proxyAnswers: Map<number, number>;
  brokenOff: number;
}

/** What the proxy may answer itself; nobody here is slow enough for 408 or 504, so these would be a stall. */
const OWN_STATUSES = new Set([400, 502, 503]);
/** Virtual time a calm request may take. */
const CALM_MS = 30_000;

/** Something that must never be. */
export class Violation extends Error {}

export class Workload {
  readonly tally: Tally = { requests: 0, complete: 0, proxyAnswers: new Map(), brokenOff: 0 };
  readonly #net: SimNet;
  readonly #options: WorkloadOptions;
  readonly #planOptions: PlanOptions;
  readonly #random: Random;
  readonly #plans = new Map<string, Plan>();
  /** Unsafe requests that a backend got. */
  readonly #unsafe = new Set<string>();
  #violation: Error | null = null;

  constructor(net: SimNet, options: WorkloadOptions) {
    net.patient = true;
    this.#net = net;
    this.#options = options;
    this.#planOptions = {
      maxBodyBytes: options.maxBodyBytes,
      calm: options.calm,
      rulesBroken: options.hostile !== undefined,
    };
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

  // ---- clients

  async #client(index: number, address: IpAddress): Promise<void> {
    const random = this.#random;
    for (let c = 0; c < this.#options.connectionsPerClient; c++) {
      await this.#net.sleep(random.below(50));
      const plans = Array.from({ length: random.between(1, this.#options.requestsPerConnection) }, (_, r) => {
        const plan = drawPlan(random, this.#planOptions, `${this.#options.seed}-${index}-${c}-${r}`);
        this.#plans.set(plan.token, plan);
        return plan;
      });
      const pipelined = random.chance(0.3);
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

function differ(expected: Uint8Array, got: Uint8Array): string {
  const n = Math.min(expected.length, got.length);
  for (let i = 0; i < n; i++) if (expected[i] !== got[i]) return `differ at byte ${i}`;
  return 'are a part of it';
}
