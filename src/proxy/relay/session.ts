// A session of layer 4: a connection of a client and one to a backend, whose bytes go on as they are. An endpoint that
// refuses is no end: another one is dialled. Nothing of the client is read before a backend is there, so nothing is
// kept of it but what stood in front (a ClientHello that is passed on).

import { FAULTS, type Fault } from '../../base/errors.ts';
import { hash32 } from '../../base/hash.ts';
import { LIMITS, type LimitName } from '../../base/limits.ts';
import type { ReadySink } from '../../io/io.ts';
import { Timer, type TimerSink } from '../../io/wheel.ts';
import type { SocketHost } from '../../ir/ir.ts';
import type { Fragment } from '../../telemetry/fragment.ts';
import { NO_FRAGMENT } from '../../telemetry/fragment.ts';
import { limitCell, SESSION_PROTOCOLS, type SessionEnd } from '../../telemetry/layout.ts';
import type { ClientInfo } from '../client-info.ts';
import type { Connection, ConnectionOwner } from '../connection.ts';
import type { Core } from '../core.ts';
import { BACKEND_ERROR, faultCell } from '../counts.ts';
import { Attempts } from '../exchange/attempts.ts';
import type { Listener } from '../listener.ts';
import { proxyHeader } from '../proxy-header.ts';
import type { Transport, TransportUser } from '../transport/transport.ts';
import { Dial, type DialOwner } from '../upstream/dial.ts';
import { type EndpointPool, OUTCOME } from '../upstream/endpoint.ts';
import type { CompiledRelay } from './relay.ts';

const IDLE_LIMIT = limitCell('SESSION_IDLE_MS');
const LINGER_LIMIT = limitCell('LINGER_MS');
const DRAIN_LIMIT = limitCell('SESSION_DRAIN_MS');
const TCP = SESSION_PROTOCOLS.indexOf('TCP');
const TLS = SESSION_PROTOCOLS.indexOf('TLS');
/** Looks at a session in the time after which it is idle. */
const LOOKS = 4;
const NEVER = Number.POSITIVE_INFINITY;

/** One side: what arrives here goes to the other. */
class Side implements TransportUser {
  readonly #session: RelaySession;
  readonly transport: Transport;
  readonly #name: 'client' | 'backend';
  other: Side | null = null;
  /** It has ended its direction in order. */
  ended = false;

  constructor(session: RelaySession, transport: Transport, name: 'client' | 'backend') {
    this.#session = session;
    this.transport = transport;
    this.#name = name;
    transport.user = this;
  }

  onEnd(): void {
    this.ended = true;
    const { other } = this;
    this.#session.ended(this.#name, other === null || other.ended);
    if (other !== null && !other.ended) other.transport.end();
  }
  onLost(): void {
    this.#session.lost(this.#name);
  }
  onHangup(): void {
    // A backend that has ended in order takes no more: what comes is dropped, until the client ends, too.
    if (this.#name === 'backend' && this.ended) this.onDrained();
    // It is read to its end first, as fast as the other side takes it, which has nobody to speak to any more.
    else if (!this.ended && this.other?.transport.congested === true) this.#session.orphaned(this.#name, this.other);
    else this.#session.lost(this.#name);
  }
  onDrained(): void {
    const { other } = this;
    if (other !== null && !other.ended) other.transport.resume();
  }

  /** What stood in front of a backend: kept until there is one. */
  onBytes(start: number): number {
    return start;
  }
  onRelayed(): void {}
  onPeerClosed(): void {}
  onConnected(): void {}
}

export class RelaySession implements Connection, DialOwner, ReadySink, TimerSink {
  readonly #core: Core;
  readonly #owner: ConnectionOwner;
  readonly listener: Listener;
  readonly #info: ClientInfo;
  readonly #client: Side;
  #backend: Side | null = null;
  readonly #startUs: number;
  readonly #startWallMs: number;
  readonly #timer = new Timer(this, 0);
  #relay: CompiledRelay | null = null;
  #backendJson: Fragment = NO_FRAGMENT;
  /** While no backend is there. */
  #attempts: Attempts | null = null;
  #dial: Dial | null = null;
  /** Said to a backend before anything of the client's. */
  #preface: Uint8Array | null = null;
  /** Where its connection is, or is tried. */
  #endpoint: EndpointPool | null = null;
  /** Bytes of ours that the backend took before those of the client. */
  #said = 0;
  #count = 0;
  #connectUs = -1;
  /** What both sides had taken when last looked at, and how often that was the same. */
  #moved = -1;
  #quiet = 0;
  /** 0: never. */
  #idleMs: number;
  /** It has to be over then (monotonic ms). */
  #deadline = NEVER;
  #over = false;
  readonly #host: SocketHost | null;
  /** One of SESSION_PROTOCOLS. */
  readonly #protocol: number;
  readonly #refused: boolean;
  /** Who was reset, and is still to be read to its end. */
  #gone: 'client' | 'backend' | null = null;
  /** Who ended its direction first. */
  #firstEnd: 'client' | 'backend' | null = null;
  next: Connection | null = null;
  previous: Connection | null = null;

  /** `host` null: nobody takes what the client asked for. */
  constructor(
    core: Core,
    owner: ConnectionOwner,
    listener: Listener,
    host: SocketHost | null,
    transport: Transport,
    info: ClientInfo,
    refused: boolean,
  ) {
    this.#core = core;
    this.#owner = owner;
    this.listener = listener;
    this.#host = host;
    this.#info = info;
    this.#startUs = core.io.nowUs;
    this.#startWallMs = core.io.wallMs;
    this.#client = new Side(this, transport, 'client');
    this.#protocol = info.relayed ? TLS : TCP;
    core.sessions.began(this.#protocol);
    transport.pause();
    const relay = host === null ? null : listener.relays.find(host, info.serverName);
    this.#relay = relay;
    this.#idleMs = relay?.entry.idleMs ?? LIMITS.SESSION_IDLE_MS;
    // Nothing of it ends before whoever made it has it.
    this.#refused = refused;
    core.io.again(this, 0);
  }

  onReady(): void {
    if (this.#over) return;
    if (this.#refused) {
      this.#refuse(FAULTS.overload, 'DOWNSTREAM_CONNECTIONS');
      return;
    }
    const relay = this.#relay;
    if (relay === null) {
      this.#refuse(FAULTS.noRoute);
      return;
    }
    const backend = relay.pick();
    if (backend !== null) this.#backendJson = backend.json;
    const cluster = backend?.cluster?.current ?? null;
    if (cluster === null) {
      this.#refuse(FAULTS.noCluster);
      return;
    }
    const { client } = this.#info;
    const attempts = new Attempts(this.#core);
    const endpoint = attempts.first(cluster, cluster.hashes ? hash32(client, 0, client.length) : 0, null);
    if (endpoint === null) {
      this.#refuse(FAULTS.noEndpoint);
      return;
    }
    this.#attempts = attempts;
    const version = cluster.entry.proxyProtocol;
    if (version !== null) this.#preface = this.#headerOf(version);
    this.#try(attempts, endpoint);
  }

  /** Whose connection it is, for the backend; null when it is not open any more, as will be told. */
  #headerOf(version: 'v1' | 'v2'): Uint8Array | null {
    const { client, clientPort, handle } = this.#info;
    try {
      return proxyHeader(
        version,
        Buffer.from(client).toString('latin1'),
        clientPort,
        this.#core.io.localAddress(handle),
      );
    } catch {
      return null;
    }
  }

  #try(attempts: Attempts, first: EndpointPool): void {
    this.#endpoint = first;
    attempts.begin(first);
    this.#count = attempts.count;
    const dial = new Dial(this.#core, this, this.#comesBack(first));
    this.#dial = dial;
    if (!first.dialOwn(dial, this.#preface) && !this.#over) {
      this.#dial = null;
      attempts.leave(OUTCOME.NONE);
      this.#endpoint = null;
      this.#refuse(FAULTS.overload, 'SESSIONS_PER_ENDPOINT');
    }
  }

  /** Who would come back here is not let go there, as if nobody were there. */
  #comesBack({ address }: EndpointPool): boolean {
    const { serverName } = this.#info;
    return this.#core.loops.comesBack(address, this.listener, serverName === '' ? null : serverName);
  }

  onDialFailed(_dial: Dial, fault: Fault, error: number): void {
    const endpoint = this.#endpoint;
    const attempts = this.#attempts;
    if (endpoint === null || attempts === null) return;
    this.#dial = null;
    endpoint.leftOwn();
    attempts.leave(error);
    const next = fault.retryable ? attempts.next(endpoint, fault) : null;
    if (next === null) this.#refuse(fault);
    else this.#try(attempts, next);
  }

  onDialed(_dial: Dial, transport: Transport): void {
    const { io } = this.#core;
    this.#dial = null;
    this.#attempts?.clear();
    this.#attempts = null;
    this.#said = this.#preface === null ? 0 : transport.sentBytes;
    this.#preface = null;
    this.#connectUs = io.nowUs - this.#startUs;
    const client = this.#client;
    const backend = new Side(this, transport, 'backend');
    this.#backend = backend;
    client.other = backend;
    backend.other = client;
    // A worker that dies is no end in order, for neither side.
    client.transport.endsByClosing();
    transport.endsByClosing();
    client.transport.relayTo(transport, NEVER);
    transport.relayTo(client.transport, NEVER);
    client.transport.resume();
    this.#arm();
  }

  #arm(): void {
    const { io } = this.#core;
    const look = this.#idleMs === 0 ? NEVER : io.nowMs + Math.ceil(this.#idleMs / LOOKS);
    const due = Math.min(look, this.#deadline);
    if (due === NEVER) io.timers.cancel(this.#timer);
    else io.timers.arm(this.#timer, io.nowMs, Math.max(1, due - io.nowMs));
  }

  /** A slow reader is not idle while it takes anything at all. */
  onTimer(): void {
    const { io, cells } = this.#core;
    if (io.nowMs >= this.#deadline) {
      cells.add(DRAIN_LIMIT, 1);
      this.over('drain', '', false, 'SESSION_DRAIN_MS');
      return;
    }
    const backend = this.#backend;
    const moved = backend === null ? -1 : this.#client.transport.sentBytes + backend.transport.sentBytes;
    this.#quiet = moved === this.#moved ? this.#quiet + 1 : 0;
    this.#moved = moved;
    if (this.#idleMs > 0 && backend !== null && this.#quiet >= LOOKS) {
      if (this.#gone !== null) {
        cells.add(LINGER_LIMIT, 1);
        this.lost(this.#gone);
        return;
      }
      cells.add(IDLE_LIMIT, 1);
      cells.add(faultCell(FAULTS.streamIdle), 1);
      this.over('idle', FAULTS.streamIdle.flag, false, 'SESSION_IDLE_MS');
      return;
    }
    this.#arm();
  }

  /** Only a listener that was taken away ends it: a worker that leaves waits for it as long as it may. */
  drain(): void {
    if (this.#core.leaving || this.#over || this.#deadline !== NEVER) return;
    this.#deadline = this.#core.io.nowMs + LIMITS.SESSION_DRAIN_MS;
    this.#arm();
  }

  leave(tunnels: boolean): number {
    if (!tunnels || this.#over) return 0;
    this.over('drain', '', false);
    return 1;
  }

  destroy(): void {
    this.over(this.#core.leaving || this.#core.stopping ? 'drain' : 'limit', '', false);
  }

  /** It comes to no backend: told by a reset, that nobody takes for an end in order. */
  #refuse(fault: Fault, limit: LimitName | '' = ''): void {
    if (this.#over) return;
    this.#core.cells.add(faultCell(fault), 1);
    this.over('refused', fault.flag, false, limit);
  }

  /** A side has ended its direction in order; `both`: now both have. */
  ended(side: 'client' | 'backend', both: boolean): void {
    this.#firstEnd ??= side;
    if (both) this.over(this.#firstEnd, '', true);
  }

  /** `gone` is, and what it said is still on its way to the other side, which has some time for it. */
  orphaned(gone: 'client' | 'backend', { transport }: Side): void {
    transport.pause();
    if (this.#gone !== null) return;
    this.#gone = gone;
    this.#idleMs = LIMITS.LINGER_MS;
    this.#quiet = 0;
    this.#arm();
  }

  /** A side was reset. */
  lost(side: 'client' | 'backend'): void {
    const fault = side === 'client' ? FAULTS.clientGone : FAULTS.upstreamReset;
    if (side === 'backend' && !this.#over) this.#core.cells.add(faultCell(fault), 1);
    this.over(side, fault.flag, false);
  }

  /** The one end of every session. */
  over(end: SessionEnd, flag: string, orderly: boolean, limit: LimitName | '' = ''): void {
    if (this.#over) return;
    this.#over = true;
    const { io, sessions } = this.#core;
    io.timers.cancel(this.#timer);
    const backend = this.#backend;
    const endpoint = this.#endpoint;
    if (this.#dial !== null) {
      this.#dial.cancel();
      this.#dial = null;
      endpoint?.leftOwn();
      this.#attempts?.leave(OUTCOME.NONE);
    }
    if (backend !== null && endpoint !== null) {
      const failed = end === 'backend' && !orderly;
      endpoint.leftOwn();
      endpoint.finished(failed ? BACKEND_ERROR.reset : OUTCOME.ANSWERED);
    }
    this.#attempts?.clear();
    // What one side said before it broke off is not lost on the other.
    const broke = !orderly && backend !== null && (end === 'client' || end === 'backend');
    leave(this.#client.transport, orderly, broke);
    if (backend !== null) leave(backend.transport, orderly, broke);
    const record = sessions.record(this.#protocol);
    record.client = this.#info.client;
    record.startUs = this.#startUs;
    record.startWallMs = this.#startWallMs;
    record.endUs = io.nowUs;
    record.upstreamUs = this.#connectUs;
    record.connectionJson = this.#info.json;
    if (this.#host !== null) {
      record.listenerJson = this.listener.jsonOf(this.#host);
      record.logged = this.listener.policyOf(this.#host).logged;
    }
    const relay = this.#relay;
    if (relay !== null) {
      record.routeJson = relay.json;
      record.routeBlock = relay.cells.route;
    }
    record.backendJson = this.#backendJson;
    if (endpoint !== null) {
      record.endpointJson = end === 'refused' ? endpoint.failedJson : endpoint.json;
      record.endpointBlock = endpoint.block;
    }
    record.attempts = this.#count;
    record.requestBytes = backend === null ? 0 : backend.transport.sentBytes - this.#said;
    record.responseBytes = this.#client.transport.sentBytes;
    record.flags = flag;
    record.end = end;
    record.limit = limit;
    sessions.ended(record);
    this.#owner.closed(this);
  }
}

function leave(transport: Transport, orderly: boolean, broke: boolean): void {
  if (orderly) transport.finish(false);
  else if (broke) transport.breakOff();
  else transport.abort();
}
