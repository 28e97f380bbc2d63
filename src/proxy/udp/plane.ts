// UDP (UDPRoute): datagrams of clients to endpoints and answers back. A flow keeps its endpoint and has a connected
// socket there, so that an answer can be nobody else's; it leaves from the address that was asked. Answers of a turn
// go together at its end, what clients send at once. Datagrams may be lost: what has no place is dropped and counted.

import { bytesOf } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { textOfWords } from '../../base/ip.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import { type DatagramBatch, PATH, PLACE_BYTES } from '../../io/datagrams.ts';
import { ERRNO, type Handle, type IpAddress } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import { datagramsCell, limitCell, SESSION_PROTOCOLS, type SessionEnd } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR, faultCell } from '../counts.ts';
import type { Listener } from '../listener.ts';
import type { CompiledRelay } from '../relay/relay.ts';
import { type EndpointPool, OUTCOME } from '../upstream/endpoint.ts';
import { UdpEndpoints } from './endpoints.ts';
import { type AnswerReader, Flow } from './flow.ts';
import { Flows, KEY_WORDS } from './flows.ts';
import { FlowGrants } from './grants.ts';
import { type RequestReader, UdpSocket } from './socket.ts';

const UDP = SESSION_PROTOCOLS.indexOf('UDP');
const SWEEP_MS = 1_000;
/** Flows that one sweep ends; the others wait for the next, which comes soon then. */
const SWEPT = 256;
const SWEEP_AGAIN_MS = 20;
/** Most datagrams that are read of one flow in one turn. */
const BURST = 8;
const PLACES = LIMITS.UDP_BATCH;
/** More full reads in a row than a socket can hold: clients send more than can be read. */
const PRESSED = 256;

const ANSWER_PASSED = datagramsCell('answer', 'passed');
const REQUEST_PASSED = datagramsCell('request', 'passed');
const NEW_LIMIT = limitCell('UDP_NEW_FLOWS_PER_SECOND');
const ANSWER_LIMIT = limitCell('UDP_ANSWER_BYTES');
const ANSWER_KEPT = datagramsCell('answer', 'limit');

export interface UdpOwner {
  /** The last flow of a socket that leaves is over. */
  onUdpLeft(): void;
}

export class UdpPlane implements RequestReader, AnswerReader, TimerSink {
  readonly #core: Core;
  readonly #owner: UdpOwner;
  readonly #table: Flows;
  readonly #endpoints: UdpEndpoints;
  /** By number. */
  readonly #flows: Flow[] = [];
  /** By number; null: free. */
  readonly #sockets: (UdpSocket | null)[] = [];
  readonly #requests: DatagramBatch;
  readonly #answers: DatagramBatch;
  /** Answers that wait for the end of the turn, and whose socket they leave by. */
  #queued = 0;
  #queuedOf: UdpSocket | null = null;
  readonly #key = new Int32Array(KEY_WORDS);
  /** The same, for what ends meanwhile. */
  readonly #other = new Int32Array(KEY_WORDS);
  readonly #timer = new Timer(this, 0);
  #turn = 0;
  readonly #grants = new FlowGrants();

  /** null: there is no memory for it. `capacity`: flows at the most. */
  static open(core: Core, owner: UdpOwner, capacity: number): UdpPlane | null {
    const { datagrams } = core.io;
    const requests = datagrams.open();
    const answers = requests === null ? null : datagrams.open();
    if (requests !== null && answers !== null) return new UdpPlane(core, owner, capacity, requests, answers);
    if (requests !== null) datagrams.release(requests);
    return null;
  }

  private constructor(core: Core, owner: UdpOwner, capacity: number, requests: DatagramBatch, answers: DatagramBatch) {
    this.#core = core;
    this.#owner = owner;
    this.#table = new Flows(() => core.io.random32(), capacity, Math.min(LIMITS.UDP_FLOWS_PER_CLIENT, capacity >> 1));
    this.#endpoints = new UdpEndpoints(core);
    this.#requests = requests;
    this.#answers = answers;
    core.io.onTurn(() => this.#endTurn());
  }

  /** Flows that are open. */
  get count(): number {
    return this.#table.count;
  }

  // ---- sockets

  /** Reads from the socket of `listener` from now on; another of the same listener is let go. 0 or -errno. */
  addSocket(listener: Listener, handle: Handle): number {
    const before = this.#socketOf(listener);
    if (before !== undefined) {
      // The same socket by another descriptor: answers leave by it from now on, and the owner closes the old one.
      this.#flush();
      this.#core.io.datagrams.unwatch(before.handle);
      before.handle = handle;
      return this.#core.io.datagrams.watch(handle, before);
    }
    let number = this.#sockets.indexOf(null);
    if (number < 0) number = this.#sockets.push(null) - 1;
    const family = listener.key.includes(':') ? 6 : 4;
    const socket = new UdpSocket(this, listener, number, family, handle);
    const result = this.#core.io.datagrams.watch(handle, socket);
    if (result >= 0) this.#sockets[number] = socket;
    return result;
  }

  #socketOf(listener: Listener): UdpSocket | undefined {
    return this.#sockets.find((s): s is UdpSocket => s !== null && s.listener === listener && !s.leaving);
  }

  /**
   * Passes on what waits in it, then reads no more. True: its owner may close it; false: that is done here, once its
   * flows are over.
   */
  removeSocket(listener: Listener): boolean {
    const socket = this.#socketOf(listener);
    if (socket === undefined) return true;
    if (!this.#core.stopping) this.#empty(socket);
    socket.leaving = true;
    // It may have something to read for good, for somebody else.
    this.#core.io.datagrams.unwatch(socket.handle);
    if (socket.flows > 0) return false;
    this.#sockets[socket.number] = null;
    return true;
  }

  /** What clients sent before is not lost, as far as a socket holds it. */
  #empty(socket: UdpSocket): void {
    for (let n = 0; n < LIMITS.UDP_SOCKET_BYTES >> 16; n++) {
      if (this.#read(socket) < PLACES) return;
    }
  }

  // ---- from clients

  requests(socket: UdpSocket): void {
    this.#read(socket);
  }

  #read(socket: UdpSocket): number {
    const batch = this.#requests;
    const n = this.#core.io.datagrams.receiveFrom(socket.handle, batch, 0, PLACES);
    socket.full = n === PLACES ? socket.full + 1 : 0;
    for (let i = 0; i < n; i++) this.#pass(socket, i);
    return n;
  }

  #pass(socket: UdpSocket, place: number): void {
    const { paths } = this.#requests;
    const key = this.#key;
    for (let w = 0; w < PATH.WORDS; w++) key[w] = paths[place * PATH.WORDS + w] as number;
    key[PATH.WORDS] = socket.number;
    const number = this.#table.find(key, 0);
    let flow = number < 0 ? this.#begin(socket) : (this.#flows[number] as Flow);
    if (number >= 0 && flow !== null) {
      this.#table.touch(number);
      if (flow.answeredUs >= 0) this.#table.prove(number);
      flow.usedMs = this.#core.io.nowMs;
      if (flow.endpoint?.retired === true) flow = this.#move(flow);
    }
    if (flow === null) return;
    this.#send(flow, place, true);
  }

  #send(flow: Flow, place: number, mayMove: boolean): void {
    const batch = this.#requests;
    const length = batch.lengths[place] as number;
    const segment = batch.segments[place] as number;
    const { io, cells } = this.#core;
    const count = segment > 0 ? Math.ceil(length / segment) : 1;
    const result = io.datagrams.send(flow.handle, batch.at + place * PLACE_BYTES, length, segment);
    if (result >= 0) {
      flow.requestBytes += length;
      flow.requests += count;
      cells.add(REQUEST_PASSED, count);
      return;
    }
    if (result === -ERRNO.EAGAIN || result === -ERRNO.ENOBUFS) cells.add(datagramsCell('request', 'full'), count);
    else if (result === -ERRNO.EMSGSIZE || result === -ERRNO.EINVAL || !mayMove)
      cells.add(datagramsCell('request', 'failed'), count);
    else {
      // The word that nobody took an earlier one; this one has not gone.
      const moved = this.#refused(flow);
      if (moved !== null) this.#send(moved, place, false);
    }
  }

  // ---- flows

  #flowOf(number: number): Flow {
    while (this.#flows.length <= number) this.#flows.push(new Flow(this.#flows.length, this));
    return this.#flows[number] as Flow;
  }

  /** A flow for the key at hand; null when there is none to be had. */
  #begin(socket: UdpSocket): Flow | null {
    const { io, cells, sessions } = this.#core;
    if (!this.#grants.take(io.nowMs, socket.full > PRESSED)) {
      cells.add(NEW_LIMIT, 1);
      cells.add(datagramsCell('request', 'limit'), 1);
      return null;
    }
    const key = this.#key;
    if (this.#isAnswer(socket, key)) {
      cells.add(datagramsCell('request', 'refused'), 1);
      return null;
    }
    const host = socket.listener.entry?.hosts[0] ?? null;
    const relay = host === null ? null : socket.listener.relays.find(host, '');
    sessions.began(UDP);
    const flow = this.#flowOf(this.#place(key));
    flow.socket = socket;
    flow.host = host;
    flow.relay = relay;
    flow.startUs = io.nowUs;
    flow.startWallMs = io.wallMs;
    flow.usedMs = io.nowMs;
    flow.idleMs = relay?.entry.idleMs ?? LIMITS.UDP_IDLE_MS;
    socket.flows++;
    const fault = relay === null ? FAULTS.noRoute : this.#connect(flow, relay, socket.listener, key);
    if (fault !== null) {
      cells.add(datagramsCell('request', 'refused'), 1);
      this.#refuse(flow, fault);
      return null;
    }
    if (this.#timer.due === -1) io.timers.arm(this.#timer, io.nowMs, SWEEP_MS);
    return flow;
  }

  /**
   * Who says to send from a listener of ours has made that up: what is answered there would come back as a question,
   * and circle.
   */
  #isAnswer({ family }: UdpSocket, key: Int32Array): boolean {
    const { loops } = this.#core;
    const port = key[PATH.PORT] as number;
    return loops.hasPort('udp', port) && loops.isOurs('udp', textOfWords(key, PATH.PEER, family), port);
  }

  /** A number for the key, for which another flow may have to go. */
  #place(key: Int32Array): number {
    const victim = this.#table.victim(key, 0);
    if (victim >= 0) {
      const limit = this.#table.isCrowded(key, 0) ? 'UDP_FLOWS_PER_CLIENT' : 'UDP_FLOWS';
      this.#core.cells.add(limitCell(limit), 1);
      this.#end(this.#flows[victim] as Flow, 'limit', '', limit);
    }
    return this.#table.add(key, 0);
  }

  /** Chooses an endpoint for a flow and opens its socket there. */
  #connect(flow: Flow, relay: CompiledRelay, from: Listener, path: Int32Array): Fault | null {
    const endpoint = this.#endpoints.pick(relay, from, path, 0);
    const { backend } = this.#endpoints;
    if (backend !== null) flow.backendJson = backend.json;
    if (endpoint === null) return backend?.cluster?.current == null ? FAULTS.noCluster : FAULTS.noEndpoint;
    return this.#open(flow, endpoint);
  }

  #open(flow: Flow, endpoint: EndpointPool): Fault | null {
    const { datagrams } = this.#core.io;
    flow.attempts++;
    if (endpoint.address.family === 'unix' || !endpoint.takeOwn()) return FAULTS.overload;
    const handle = datagrams.connect(endpoint.address as IpAddress);
    if (handle < 0 || datagrams.watch(handle, flow, true) < 0) {
      // No descriptor or no port is left, or there is no way there.
      if (handle >= 0) this.#core.io.close(handle);
      endpoint.leftOwn();
      return FAULTS.connectFailed;
    }
    endpoint.begun();
    flow.endpoint = endpoint;
    flow.handle = handle;
    return null;
  }

  /** Lets go of its endpoint. */
  #leave(flow: Flow, outcome: number): void {
    const { endpoint } = flow;
    if (endpoint === null) return;
    this.#core.io.close(flow.handle);
    endpoint.leftOwn();
    endpoint.finished(outcome);
  }

  /** Its endpoint went away: the client goes on with another one. */
  #move(flow: Flow): Flow | null {
    const { cells } = this.#core;
    const { socket } = flow;
    const host = socket?.listener.entry?.hosts[0];
    const relay = host === undefined || socket === null ? null : socket.listener.relays.find(host, '');
    this.#leave(flow, flow.answeredUs >= 0 ? OUTCOME.ANSWERED : OUTCOME.NONE);
    flow.endpoint = null;
    const path = this.#other;
    this.#table.path(flow.number, path, 0);
    if (relay !== null) flow.relay = relay;
    const from = socket?.listener ?? null;
    const fault = relay === null || from === null ? FAULTS.noRoute : this.#connect(flow, relay, from, path);
    if (fault === null) return flow;
    cells.add(datagramsCell('request', 'refused'), 1);
    this.#refuse(flow, fault);
    return null;
  }

  /**
   * Nobody is there (ICMP): counted against the endpoint, and the flow goes to another one if there is one. Null when
   * it is over.
   */
  #refused(flow: Flow): Flow | null {
    const { endpoint, relay, socket } = flow;
    if (endpoint === null || relay === null || socket === null) return null;
    const { io, cells } = this.#core;
    endpoint.finished(BACKEND_ERROR.connect);
    cells.add(faultCell(FAULTS.connectFailed), 1);
    this.#endpoints.refuse(endpoint);
    const path = this.#other;
    this.#table.path(flow.number, path, 0);
    const next = this.#endpoints.pick(relay, socket.listener, path, 0);
    if (next === null || next === endpoint) {
      // It stays: the endpoint may come back before another one does.
      endpoint.begun();
      return flow;
    }
    io.close(flow.handle);
    endpoint.leftOwn();
    flow.endpoint = null;
    const fault = this.#open(flow, next);
    if (fault === null) return flow;
    this.#refuse(flow, fault);
    return null;
  }

  #refuse(flow: Flow, fault: Fault): void {
    this.#core.cells.add(faultCell(fault), 1);
    this.#end(flow, 'refused', fault.flag, '');
  }

  /** The one end of every flow. */
  #end(flow: Flow, end: SessionEnd, flag: string, limit: LimitName | ''): void {
    const { io, sessions } = this.#core;
    const { socket, relay, host, endpoint } = flow;
    if (socket === null) return;
    if (this.#queuedOf === socket) this.#flush();
    this.#leave(flow, flow.answeredUs >= 0 ? OUTCOME.ANSWERED : OUTCOME.NONE);
    this.#table.path(flow.number, this.#other, 0);
    const record = sessions.record(UDP);
    record.client = bytesOf(textOfWords(this.#other, PATH.PEER, socket.family));
    record.startUs = flow.startUs;
    record.startWallMs = flow.startWallMs;
    record.endUs = io.nowUs;
    record.upstreamUs = flow.answeredUs;
    if (host !== null) {
      record.listenerJson = socket.listener.jsonOf(host);
      record.logged = socket.listener.policyOf(host).logged;
    }
    if (relay !== null) {
      record.routeJson = relay.json;
      record.routeBlock = relay.cells.route;
    }
    record.backendJson = flow.backendJson;
    if (endpoint !== null) {
      record.endpointJson = endpoint.json;
      record.endpointBlock = endpoint.block;
    }
    record.attempts = flow.attempts;
    record.requestBytes = flow.requestBytes;
    record.responseBytes = flow.responseBytes;
    record.flags = flag;
    record.end = end;
    record.limit = limit === '' && flow.held ? 'UDP_ANSWER_BYTES' : limit;
    this.#table.remove(flow.number);
    flow.clear();
    sessions.ended(record);
    socket.flows--;
    if (socket.leaving && socket.flows === 0) this.#close(socket);
  }

  #close(socket: UdpSocket): void {
    this.#sockets[socket.number] = null;
    this.#core.io.close(socket.handle);
    this.#owner.onUdpLeft();
  }

  // ---- from endpoints

  answers(flow: Flow): void {
    const batch = this.#answers;
    const { socket } = flow;
    if (socket === null) return;
    // More than one only while the last turn, too, found all that it asked for.
    const want = flow.turn === this.#turn - 1 ? flow.burst : 1;
    if (this.#queuedOf !== socket || PLACES - this.#queued < want) this.#flush();
    const first = this.#queued;
    const n = this.#core.io.datagrams.receive(flow.handle, batch, first, want);
    if (n < 0) {
      if (n !== -ERRNO.EAGAIN) this.#refused(flow);
      return;
    }
    flow.burst = n === want ? Math.min(BURST, want * 2) : 1;
    flow.turn = this.#turn;
    this.#queuedOf = socket;
    batch.family = socket.family;
    let passed = 0;
    while (passed < n && this.#admits(flow, first + passed)) {
      this.#table.path(flow.number, batch.paths, (first + passed) * PATH.WORDS);
      passed++;
    }
    this.#queued = first + passed;
    for (let i = first + passed; i < first + n; i++) this.#core.cells.add(ANSWER_KEPT, datagramsAt(batch, i));
    flow.usedMs = this.#core.io.nowMs;
    this.#table.touch(flow.number);
    if (flow.answeredUs < 0) flow.answeredUs = this.#core.io.nowUs - flow.startUs;
  }

  /**
   * Who has sent nothing since it was answered may not be who asked: it is not to be flooded. It gets as many datagrams
   * as it sent, how ever long (by other ports it would get them, too), and of more as many as fit the limit; of a run
   * what does not fit is cut off.
   */
  #admits(flow: Flow, place: number): boolean {
    const { lengths, segments } = this.#answers;
    const length = lengths[place] as number;
    const room = LIMITS.UDP_ANSWER_BYTES - flow.responseBytes;
    const one = (segments[place] as number) || length;
    if (length <= room || this.#table.isProven(flow.number)) {
      flow.responseBytes += length;
      flow.answers += datagramsAt(this.#answers, place);
      return true;
    }
    const fits = Math.max(flow.requests - flow.answers, Math.floor(room / one));
    const bytes = Math.min(length, fits * one);
    if (bytes < length) {
      const { cells } = this.#core;
      if (!flow.held) cells.add(ANSWER_LIMIT, 1);
      flow.held = true;
      if (bytes <= 0) return false;
      cells.add(ANSWER_KEPT, Math.ceil((length - bytes) / one));
      lengths[place] = bytes;
    }
    flow.answers += datagramsAt(this.#answers, place);
    flow.responseBytes += bytes;
    return true;
  }

  #endTurn(): void {
    this.#turn++;
    if (this.#queued > 0) this.#flush();
  }

  #flush(): void {
    const batch = this.#answers;
    const socket = this.#queuedOf;
    const queued = this.#queued;
    this.#queued = 0;
    this.#queuedOf = null;
    if (socket === null) return;
    const { io, cells } = this.#core;
    let told = false;
    for (let at = 0; at < queued; ) {
      const n = io.datagrams.sendTo(socket.handle, batch, at, queued - at);
      if (n > 0) {
        for (let i = at; i < at + n; i++) cells.add(ANSWER_PASSED, datagramsAt(batch, i));
        at += n;
      } else if (n === -ERRNO.EAGAIN || n === -ERRNO.ENOBUFS) {
        cells.add(datagramsCell('answer', 'full'), queued - at);
        return;
      } else if (n === -ERRNO.ECONNREFUSED && !told) {
        // It speaks of an earlier one, and of another client perhaps.
        told = true;
      } else {
        cells.add(datagramsCell('answer', 'failed'), 1);
        at++;
      }
    }
  }

  // ---- time

  onTimer(): void {
    const { io, cells } = this.#core;
    const now = io.nowMs;
    let ended = 0;
    this.#endpoints.sweep();
    for (let i = 0; i < this.#flows.length && ended < SWEPT; i++) {
      const flow = this.#flows[i] as Flow;
      const { socket } = flow;
      if (socket === null) continue;
      const rested = now - flow.usedMs;
      if (socket.leaving && rested >= LIMITS.UDP_LEAVE_MS) {
        cells.add(limitCell('UDP_LEAVE_MS'), 1);
        this.#end(flow, 'drain', '', '');
        ended++;
      } else if (flow.idleMs > 0 && rested >= flow.idleMs) {
        cells.add(limitCell('UDP_IDLE_MS'), 1);
        this.#end(flow, 'idle', '', 'UDP_IDLE_MS');
        ended++;
      }
    }
    if (this.count > 0) io.timers.arm(this.#timer, now, ended === SWEPT ? SWEEP_AGAIN_MS : SWEEP_MS);
  }

  /** The worker waits no longer: all flows end, and the sockets that leave with them. Returns how many. */
  leave(): number {
    const { count } = this;
    this.#flush();
    for (const flow of this.#flows) this.#end(flow, 'drain', '', '');
    return count;
  }

  /** Ends everything at once; the sockets that leave are closed, the others stay their owner's. */
  stop(): void {
    const { io } = this.#core;
    this.#flush();
    for (const flow of this.#flows) this.#end(flow, 'drain', '', '');
    for (const socket of this.#sockets) if (socket !== null) socket.leaving = true;
    this.#sockets.length = 0;
    io.timers.cancel(this.#timer);
    io.datagrams.release(this.#requests);
    io.datagrams.release(this.#answers);
  }
}

function datagramsAt(batch: DatagramBatch, place: number): number {
  const segment = batch.segments[place] as number;
  return segment > 0 ? Math.ceil((batch.lengths[place] as number) / segment) : 1;
}
