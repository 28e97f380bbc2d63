// The worker: an engine on the reactor, fed by the config stream, without privileges. It starts as a spare (everything
// loaded, nothing owned) and becomes a worker when the keeper assigns it a slot.

import { closeSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { EXIT } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Handle, ReadySink } from '../io/io.ts';
import { TICKET_KEY_BYTES } from '../io/tls.ts';
import { Timer, type TimerSink } from '../io/wheel.ts';
import { decodeEntry } from '../ir/codec.ts';
import type { Entry, Key } from '../ir/ir.ts';
import {
  cpuSeconds,
  limitCpu,
  mapShared,
  type NativeIo,
  openNative,
  PORT_TABLE_BYTES,
  Reactor,
  setParentDeathSignal,
} from '../native/index.ts';
import { NativeTls } from '../native/tls.ts';
import type { Steps } from '../proxy/config/pieces.ts';
import { Engine } from '../proxy/engine.ts';
import type { LeaveTimes } from '../proxy/leaving.ts';
import { Channel, type ChannelEnd, type ChannelOwner } from '../stream/channel.ts';
import { FRAME, type Frame } from '../stream/frames.ts';
import { Inbox, type Received } from '../stream/inbox.ts';
import { type FromWorker, PROTOCOL, type ToWorker, type WorkerSettings } from '../stream/messages.ts';
import { mapSegment } from '../stream/segments.ts';
import { Cells } from '../telemetry/cells.ts';
import { GrpcMethods, METHOD_TABLE_BYTES } from '../telemetry/grpc-methods.ts';
import { CELL } from '../telemetry/layout.ts';
import { RingWriter, ringBytes } from '../telemetry/log-ring.ts';
import { Recorder } from '../telemetry/recorder.ts';
import { CHANNEL_FD } from './child.ts';
import { GiveBack } from './give-back.ts';
import { INLINING } from './inlining.ts';
import { stderrLogger } from './logger.ts';
import { leadsToOwn, ownSockets } from './own-sockets.ts';
import { becomeUnprivileged, WORKER_FOLLOWS } from './privileges.ts';
import { Shortages } from './shortages.ts';

const HEARTBEAT = 0;
const LATE = 'requests in flight did not end in time';
const TUNNELS_LATE = 'tunnels and sessions did not end in time';

/** A revision that came, and how far it is. */
interface Making {
  readonly received: Received<Entry>;
  readonly given: readonly Given[];
  readonly keys: readonly Key[];
  readonly steps: Steps;
}

interface Given {
  readonly key: Key;
  readonly handle: Handle;
}

class Worker implements ChannelOwner, TimerSink, ReadySink {
  readonly #io: NativeIo;
  readonly #channel: Channel<FromWorker>;
  #log: Logger;
  #engine: Engine | null = null;
  #shortages: Shortages | null = null;
  /** Once TLS is spoken. */
  #tls: NativeTls | null = null;
  #cells: Cells = Cells.local();
  #methods = GrpcMethods.local();
  readonly #heartbeat = new Timer(this, HEARTBEAT);
  readonly #inbox = new Inbox((value) => this.#read(value));
  /** Sockets that came within the revision being received: they wait for the entries that give them a meaning. */
  #given: Given[] = [];
  /** The revision that is being made, a piece a turn; nothing is taken of the keeper meanwhile. */
  #making: Making | null = null;
  /** Listening sockets: our duplicates of the keeper's. */
  readonly #sockets = new Map<Key, Handle>();
  #cpuSeconds = 0;
  readonly #giveBack = new GiveBack(() => this.#rested());
  /** Requests so far, when that was last looked at. */
  #requests = 0;
  #privileged = true;
  /** Nothing of it is left. */
  #left = false;
  #times: Omit<LeaveTimes, 'onOver'> = { requestsMs: 0, tunnelsMs: 0 };

  constructor(io: NativeIo) {
    this.#io = io;
    this.#log = stderrLogger('info', true);
    this.#channel = new Channel(io, io.adopt(CHANNEL_FD), this);
    this.#say({ type: 'hello', protocol: PROTOCOL });
  }

  onFrame(frame: Frame): void {
    if (frame.type === FRAME.MESSAGE) this.#onMessage(JSON.parse(frame.body.toString()) as ToWorker);
    else if (frame.type === FRAME.TICKETS) this.#engine?.setTicketKeys(keysOf(frame.body));
    else {
      const received = this.#inbox.take(frame);
      if (received !== null) this.#commit(received);
    }
  }

  /** Of its first revision a worker has time for what comes, until it has all of it. */
  #read(value: Buffer): Entry {
    const entry = decodeEntry(value);
    if (this.#inbox.revision === 0) this.#engine?.ahead(entry);
    return entry;
  }

  /** The keeper is gone: finish what is in flight, take nothing new. */
  onEnded({ reason }: ChannelEnd): void {
    this.#log.warn('keeper is gone, draining', { reason });
    this.#drain();
    const { requestsMs, tunnelsMs } = this.#times;
    setTimeout(() => process.exit(1), Math.max(requestsMs, tunnelsMs) + LIMITS.DRAIN_GRACE_MS);
  }

  onTimer(timer: Timer): void {
    this.#measureMemory();
    const cpu = cpuSeconds();
    // Added, not set: a counter of the slot, which outlives this worker.
    this.#cells.add(CELL.CPU_SECONDS, cpu - this.#cpuSeconds);
    this.#cpuSeconds = cpu;
    this.#cells.set(CELL.ARENA_BYTES, this.#io.arena.inUse);
    if (this.#tls !== null) this.#measureTls(this.#tls);
    this.#shortages?.look(this.#io.nowMs);
    this.#beat();
    limitCpu(LIMITS.WORKER_CPU_STALL_S);
    this.#io.timers.arm(timer, this.#io.nowMs, LIMITS.HEARTBEAT_MS);
  }

  #measureTls({ counts }: NativeTls): void {
    const cells = this.#cells;
    cells.set(CELL.TLS_CONNECTIONS, counts.connections);
    cells.set(CELL.TLS_CONTEXTS, counts.contexts);
  }

  #onMessage(message: ToWorker): void {
    switch (message.type) {
      case 'drop':
        this.#orEnd(() => this.#drop(message.user));
        break;
      case 'assign':
        this.#orEnd(() => this.#become(message.slot, message.settings));
        break;
      case 'socket':
        this.#addSocket(message.key, this.#io.adopt(this.#channel.takeFd()));
        break;
      case 'unsocket':
        this.#removeSocket(message.key);
        break;
      case 'logLevel':
        this.#log.level = message.level;
        break;
      case 'leaveSoon':
        this.#engine?.leaveSoon();
        break;
      case 'drain':
        this.#drain();
        break;
    }
  }

  #become(slot: number, settings: WorkerSettings): void {
    const [cellsFd, ringFd] = [this.#channel.takeFd(), this.#channel.takeFd()];
    this.#io.datagrams.sharePorts(this.#shared(PORT_TABLE_BYTES));
    this.#methods = new GrpcMethods(this.#shared(METHOD_TABLE_BYTES));
    this.#assign(slot, settings, cellsFd, ringFd);
  }

  /** The next descriptor that came, as memory. */
  #shared(bytes: number): ArrayBuffer {
    const fd = this.#channel.takeFd();
    const memory = mapShared(fd, 0, bytes);
    closeSync(fd);
    return memory;
  }

  /** Once: what is given up cannot be given up again. */
  #drop(user: string | null): void {
    if (!this.#privileged) return;
    this.#privileged = false;
    becomeUnprivileged(user);
    this.#log.debug('privileges dropped', { uid: process.getuid?.() ?? -1 });
  }

  /** Does it, or says why it cannot and ends. */
  #orEnd(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#say({ type: 'failed', reason: textOf(error) });
      this.#log.error('cannot be a worker', { reason: textOf(error) });
      process.exit(EXIT.cannotRun);
    }
  }

  #assign(slot: number, settings: WorkerSettings, cellsFd: number, ringFd: number): void {
    this.#times = { requestsMs: settings.drainTimeoutMs, tunnelsMs: settings.tunnelDrainTimeoutMs };
    this.#log = stderrLogger(settings.logLevel, settings.logJson).with({ worker: slot });
    this.#cells = new Cells((index) => mapSegment(cellsFd, index));
    this.#cells.zeroGauges();
    const ring = new RingWriter(mapShared(ringFd, 0, ringBytes(LIMITS.LOG_RING_BYTES)));
    closeSync(ringFd);
    this.#drop(settings.user);
    this.#cells.set(CELL.PID, process.pid);
    const maxConnections = clientConnections();
    this.#shortages = new Shortages(this.#cells, this.#log, maxConnections);
    this.#engine = new Engine({
      io: this.#io,
      tls: () => {
        this.#tls = new NativeTls(this.#io);
        return this.#tls;
      },
      cells: this.#cells,
      records: new Recorder(this.#cells, ring, { withQuery: settings.accessLogQuery }, this.#methods),
      settings: {
        trustedProxies: settings.trustedProxies,
        maxConnections,
        clientIdleMs: settings.clientIdleMs,
        streamIdleMs: settings.streamIdleMs,
        bodyProgressMs: settings.bodyIdleMs,
        halfClose: settings.halfClose,
        notesReferer: settings.accessLogFormat === 'combined',
        refuses: ownSockets(settings.ownBinds),
        leadsTo: leadsToOwn(),
      },
    });
    this.#io.onTurn(() => ring.publish());
    process.on('exit', () => ring.publish());
    this.#io.onTurn(() => this.#beat());
    this.#io.onTurn(() => this.#left && this.#onLeft());
    this.onTimer(this.#heartbeat);
  }

  /** No request came since this was last asked, and none is in flight. */
  #rested(): boolean {
    const before = this.#requests;
    this.#requests = this.#cells.get(CELL.REQUESTS_TOTAL);
    return this.#requests === before && this.#cells.get(CELL.REQUESTS_ACTIVE) === 0;
  }

  /** It is read from a file: with no descriptor left the last figure stands. */
  #measureMemory(): void {
    try {
      this.#cells.set(CELL.RSS_BYTES, process.memoryUsage.rss());
    } catch (error) {
      this.#log.debug('memory cannot be measured', { reason: String(error) });
    }
  }

  #beat(): void {
    this.#cells.add(CELL.TURNS_TOTAL, 1);
  }

  #commit(received: Received<Entry>): void {
    const given = this.#given;
    this.#given = [];
    if (!received.applies) {
      for (const { handle } of given) this.#io.close(handle);
      const { revision } = received;
      this.#log.debug('a change of a refused revision is passed over', { revision, serving: this.#inbox.revision });
      return;
    }
    const upserts = [...received.puts.values()];
    const steps = this.#steps(received, upserts);
    this.#making = { received, given, keys: upserts.map((entry) => entry.key), steps };
    this.#channel.hold();
    this.onReady();
  }

  *#steps(received: Received<Entry>, upserts: readonly Entry[]): Steps {
    refuseUnreadable(received);
    yield* (this.#engine as Engine).applying({ upserts, removals: [...received.removals] });
  }

  /** A piece of the revision, between two of which requests are served. */
  onReady(): void {
    const making = this.#making as Making;
    let reason: string | null = null;
    try {
      if (making.steps.next().done !== true) {
        this.#io.again(this, 0);
        return;
      }
    } catch (error) {
      reason = textOf(error);
    }
    this.#making = null;
    if (reason === null) this.#made(making);
    else this.#refused(making, reason);
    this.#channel.release();
  }

  #refused({ received: { revision }, given }: Making, reason: string): void {
    for (const { handle } of given) this.#io.close(handle);
    this.#cells.add(CELL.REVISIONS_REFUSED_TOTAL, 1);
    this.#log.error('revision refused', { revision, reason });
    this.#say({ type: 'nack', revision, reason });
  }

  #made({ received, given, keys }: Making): void {
    const { revision, puts, removals } = received;
    this.#inbox.applied(received, keys);
    for (const { key, handle } of given) this.#listen(key, handle);
    this.#cells.set(CELL.REVISION, revision);
    this.#cells.add(CELL.REVISIONS_APPLIED_TOTAL, 1);
    this.#say({ type: 'ack', revision });
    this.#rested();
    this.#giveBack.revised(puts.size + removals.size);
  }

  #addSocket(key: Key, handle: Handle): void {
    if (this.#inbox.receiving) this.#given.push({ key, handle });
    else this.#listen(key, handle);
  }

  #listen(key: Key, handle: Handle): void {
    const before = this.#sockets.get(key);
    (this.#engine as Engine).addSocket(key, handle);
    if (before !== undefined) this.#io.close(before);
    this.#sockets.set(key, handle);
  }

  /** Takes what waits in the socket, then lets go of it: the keeper closes it once every worker did. */
  #removeSocket(key: Key): void {
    const handle = this.#sockets.get(key);
    if (handle !== undefined) {
      const mayClose = (this.#engine as Engine).removeSocket(key);
      this.#sockets.delete(key);
      if (mayClose) this.#io.close(handle);
    }
    this.#say({ type: 'unsocketed', key });
  }

  /** Behind what the turn has counted and logged: whoever hears it ends this process. */
  #onLeft(): void {
    this.#left = false;
    this.#say({ type: 'drained' });
    if (!this.#channel.open) process.exit(0);
  }

  #drain(): void {
    if (this.#engine === null) process.exit(0);
    // First what waits in the queues, so that it is among the connections that drain.
    for (const key of [...this.#sockets.keys()]) this.#removeSocket(key);
    const onOver = (tunnels: boolean, ended: number): void => this.#log.warn(tunnels ? TUNNELS_LATE : LATE, { ended });
    this.#engine.drain(
      () => {
        this.#left = true;
      },
      { ...this.#times, onOver },
    );
  }

  /** An exception of its own: its connections end, and it is replaced. */
  crash(error: Error): void {
    this.#log.error('a bug in a worker, ending', { stack: error.stack ?? String(error) });
    process.exit(EXIT.bug);
  }

  #say(message: FromWorker): void {
    this.#channel.message(message);
  }
}

/** Throws with the key of an entry that cannot be read. */
function refuseUnreadable({ unreadable }: Received<Entry>): void {
  if (unreadable === null) return;
  const { key, error } = unreadable;
  throw new Error(`${key}: cannot be read: ${textOf(error)}`, { cause: error });
}

/** Short enough for a message. */
function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, LIMITS.STREAM_TEXT_CHARACTERS);
}

/** Files of this process that are no connections, about: its log, its listeners, what it shares with others. */
const OWN_FILES = 64;

/**
 * Connections of clients this process has descriptors for: each may have one to a backend besides, as every session of
 * layer 4 and every tunnel has, and an eighth more are taken to be refused (OVERLOAD_CONNECTIONS). Where descriptors
 * ran out before, nobody would be accepted, and nobody be told so.
 */
function clientConnections(): number {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  if (limit === undefined) return LIMITS.DOWNSTREAM_CONNECTIONS;
  const files = Math.max(Number(limit) - OWN_FILES, Number(limit) >> 1);
  return Math.min(LIMITS.DOWNSTREAM_CONNECTIONS, Math.floor((files * 8) / 17));
}

/** Copies: the frame's bytes are good for this call only. */
function keysOf(body: Buffer): Uint8Array[] {
  const count = Math.floor(body.length / TICKET_KEY_BYTES);
  return Array.from({ length: count }, (_, i) =>
    Uint8Array.from(body.subarray(i * TICKET_KEY_BYTES, (i + 1) * TICKET_KEY_BYTES)),
  );
}

export function runWorker(): void {
  setParentDeathSignal(WORKER_FOLLOWS);
  for (const flag of INLINING) setFlagsFromString(flag);
  const io = openNative();
  const worker = new Worker(io);
  process.on('uncaughtException', (error) => worker.crash(error));
  new Reactor(io).run();
}
