// A system by hand for tests of the keeper: processes that are told to die, time that is told to pass.

import assert from 'node:assert/strict';
import { Logger } from '../../src/base/log.ts';
import type { KeeperOptions } from '../../src/keeper/options.ts';
import type { Child, ChildEnd, ChildOwner, Role, Supervisor, System } from '../../src/keeper/system.ts';
import { closeDescriptor, type NativeIo, openNative } from '../../src/native/index.ts';
import type { Link } from '../../src/stream/channel.ts';
import {
  decodeJson,
  encodeBegin,
  encodeFrame,
  encodeJson,
  encodePut,
  FRAME,
  type Frame,
  FrameDecoder,
} from '../../src/stream/frames.ts';
import { Inbox } from '../../src/stream/inbox.ts';
import { type Held, PROTOCOL, type Restarts, type SocketWish } from '../../src/stream/messages.ts';
import { ProtocolError } from '../../src/stream/protocol-error.ts';
import { mapSegment } from '../../src/stream/segments.ts';
import { CELL } from '../../src/telemetry/layout.ts';

export const OPTIONS: KeeperOptions = {
  workers: 1,
  takeover: null,
  stateFile: null,
  keysFile: null,
  accessLog: 'off',
  adminTokenFile: null,
  tls: null,
  admin: null,
  requests: null,
  drainDelayMs: 0,
  drainTimeoutMs: 30_000,
  tunnelDrainTimeoutMs: 30_000,
  trustedProxies: [],
  accessLogQuery: false,
  accessLogFormat: 'json',
  user: 'nobody',
  clientIdleMs: 180_000,
  streamIdleMs: 300_000,
  bodyIdleMs: 30_000,
  halfClose: false,
  logLevel: 'debug',
  logFormat: 'json',
};

/** A loopback address that is this process's alone, so that its ports need not be guessed. */
export const OWN_ADDRESS = `127.${64 + ((process.pid >> 16) & 63)}.${(process.pid >> 8) & 255}.${process.pid & 255}`;
/**
 * Below those that the kernel gives to whoever asks for any, and not those of the processes beside this one: what
 * listens on every address meets them all.
 */
let lastPort = 10_000 + ((process.pid * 32) % 22_000);
export function ownPort(): number {
  return ++lastPort;
}

export interface Line {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A process that never was. */
export class FakeChild implements Child<unknown> {
  readonly role: Role;
  readonly pid: number;
  readonly owner: ChildOwner;
  /** Sent to it and not yet taken. */
  wire: Buffer[] = [];
  /** Descriptors that came with messages. */
  readonly fds: number[] = [];
  /** SIGKILL was sent; `exit` delivers it. */
  killed = false;
  gone = false;
  /** Makes it look as if it did not read. */
  stuffed = 0;
  readonly link: Link<unknown>;
  #open = true;
  readonly #decoder = new FrameDecoder();

  constructor(role: Role, pid: number, owner: ChildOwner) {
    this.role = role;
    this.pid = pid;
    this.owner = owner;
    const child = this;
    this.link = {
      get queued(): number {
        return child.stuffed;
      },
      get open(): boolean {
        return child.#open;
      },
      message: (value, fds = []) => {
        if (this.#open) this.wire.push(encodeJson(FRAME.MESSAGE, value));
        this.fds.push(...fds);
      },
      send: (bytes) => {
        assert.ok(bytes.length > 0, 'a channel sends no empty piece');
        if (this.#open) this.wire.push(bytes);
      },
      close: () => {
        this.#open = false;
      },
    };
  }

  kill(): void {
    this.killed = true;
  }

  /** What was sent to it since the last time, as frames. */
  take(): Frame[] {
    const frames: Frame[] = [];
    for (const bytes of this.wire.splice(0)) this.#decoder.push(bytes, (frame) => frames.push(frame));
    return frames;
  }
  /** The same, but messages only. */
  heard(): Record<string, unknown>[] {
    return this.take().flatMap(({ type, body }) => (type === FRAME.MESSAGE ? [decodeJson(body)] : []));
  }

  /** It says something, as a channel would hand it on. */
  says(message: unknown): void {
    this.frame({ type: FRAME.MESSAGE, body: Buffer.from(JSON.stringify(message)) });
  }
  frames(bytes: Buffer): void {
    new FrameDecoder().push(bytes, (frame) => this.frame(frame));
  }
  frame(frame: Frame): void {
    if (!this.#open) return;
    try {
      this.owner.onFrame(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#open = false;
      this.owner.onEnded({ cause: 'violation', reason: error.message });
    }
  }

  /** Its end is seen. */
  exit(end: Partial<ChildEnd> = {}): void {
    if (this.gone) return;
    this.gone = true;
    const signal = this.killed ? 'SIGKILL' : null;
    if (this.#open) {
      this.#open = false;
      this.owner.onEnded({ cause: 'closed', reason: 'closed by the other side' });
    }
    this.owner.onExit({ code: signal === null ? 0 : null, signal, failure: null, hint: null, ...end });
  }
}

export class FakeSystem implements System {
  readonly io: NativeIo = openNative({ arenaBytes: 1 << 20 });
  /** What a supervisor was told. */
  readonly notified: string[] = [];
  supervisor: Supervisor = { notify: (state) => this.notified.push(state), watchdogUs: 0, passed: [] };
  readonly lines: Line[] = [];
  readonly log = Logger.to(
    { write: (line) => this.lines.push(JSON.parse(line)), now: () => new Date(0) },
    { level: 'debug', json: true },
  );
  readonly children: FakeChild[] = [];
  /** While set, no process can be started. */
  failure: string | null = null;
  #now = 1_000;
  #timers: { at: number; fire: () => void }[] = [];

  nowMs(): number {
    return this.#now;
  }

  after(ms: number, fire: () => void): () => void {
    const timer = { at: this.#now + ms, fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((t) => t !== timer);
    };
  }

  spawn<Out>(role: Role, owner: ChildOwner): Child<Out> {
    const child = new FakeChild(role, this.failure === null ? 100 + this.children.length : 0, owner);
    if (this.failure === null) this.children.push(child);
    else {
      const failure = this.failure;
      this.after(0, () => child.exit({ code: null, failure }));
    }
    return child as Child<Out>;
  }

  revised(): void {}

  /** Lets time pass; timers fire in their order. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#timers.reduce<{ at: number; fire: () => void } | null>(
        (first, t) => (t.at <= end && (first === null || t.at < first.at) ? t : first),
        null,
      );
      if (next === null) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
    }
    this.#now = end;
  }

  /** Time passes in which this process does not run. */
  freeze(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) timer.at = Math.max(timer.at, this.#now);
  }

  alive(role: Role): FakeChild[] {
    return this.children.filter((c) => c.role === role && !c.gone);
  }
  said(message: string): Line[] {
    return this.lines.filter((line) => line.message.startsWith(message));
  }
  /** Closes what a keeper on it opened. */
  dispose(): void {
    for (const fd of new Set(this.children.flatMap((c) => c.fds))) closeDescriptor(fd);
    this.io.dispose();
  }
}

/** A worker as it should be: keeps what it is sent, refuses values that begin with `bad`, answers. */
export class ModelWorker {
  readonly child: FakeChild;
  readonly content = new Map<string, string>();
  readonly sockets = new Set<string>();
  /** Keys of session tickets, as they came. */
  readonly tickets: Buffer[] = [];
  readonly #inbox = new Inbox((value) => value.toString());
  /** Came within the revision being received. */
  #given = new Set<string>();
  #cells: Float64Array | null = null;

  constructor(child: FakeChild) {
    this.child = child;
    child.says({ type: 'hello', protocol: PROTOCOL });
  }

  get revision(): number {
    return this.#inbox.revision;
  }

  /** Shows that it makes progress. */
  beat(): void {
    const cells = this.child.fds[0];
    if (cells === undefined) return;
    this.#cells ??= mapSegment(cells, 0);
    this.#cells[CELL.TURNS_TOTAL]! += 1;
  }

  /** Reads and answers everything that was sent so far. */
  read(): void {
    for (const frame of this.child.take()) {
      if (this.child.killed) return;
      if (frame.type === FRAME.MESSAGE) this.#hear(decodeJson(frame.body));
      else if (frame.type === FRAME.TICKETS) this.tickets.push(Buffer.from(frame.body));
      else this.#receive(frame);
    }
  }

  #hear(message: Record<string, unknown>): void {
    if (message['type'] === 'socket')
      (this.#inbox.receiving ? this.#given : this.sockets).add(message['key'] as string);
    else if (message['type'] === 'unsocket') {
      this.sockets.delete(message['key'] as string);
      this.child.says({ type: 'unsocketed', key: message['key'] });
    } else if (message['type'] === 'drain') this.child.says({ type: 'drained' });
  }

  #receive(frame: Frame): void {
    const received = this.#inbox.take(frame);
    if (received === null) return;
    const given = this.#given;
    this.#given = new Set();
    if (!received.applies) return;
    const { revision, puts, removals } = received;
    const bad = [...puts].find(([, value]) => value.startsWith('bad'));
    if (bad !== undefined) {
      this.child.says({ type: 'nack', revision, reason: `${bad[0]}: no` });
      return;
    }
    for (const key of removals) this.content.delete(key);
    for (const [key, value] of puts) this.content.set(key, value);
    this.#inbox.applied(received);
    for (const key of given) this.sockets.add(key);
    this.child.says({ type: 'ack', revision });
  }
}

/** A controller that sends what it is told to, and knows what the keeper told it. */
export class ModelController {
  readonly child: FakeChild;
  readonly memory = new Map<string, string>();
  revision = 0;
  acked = 0;
  held: Held | null = null;
  restarts: { worker: Restarts; controller: Restarts } | null = null;
  options: KeeperOptions | null = null;
  readonly heard: string[] = [];

  constructor(child: FakeChild) {
    this.child = child;
    child.says({ type: 'hello', protocol: PROTOCOL });
    this.read();
  }

  read(): void {
    for (const { type, body } of this.child.take()) {
      if (type === FRAME.PUT) {
        const length = body.readUInt16LE(0);
        this.memory.set(body.toString('utf8', 2, 2 + length), body.toString('utf8', 2 + length));
      } else if (type === FRAME.MESSAGE) this.#hear(decodeJson(body));
    }
  }

  #hear(message: Record<string, unknown>): void {
    this.heard.push(message['type'] as string);
    if (message['type'] === 'welcome') this.revision = message['revision'] as number;
    else if (message['type'] === 'acked') this.acked = message['revision'] as number;
    else if (message['type'] === 'held') this.held = message['held'] as Held | null;
    else if (message['type'] === 'workers') this.restarts = message['restarts'] as typeof this.restarts;
    else if (message['type'] === 'options') this.options = message['options'] as KeeperOptions;
    else if (message['type'] === 'stop') this.child.says({ type: 'flushed' });
  }

  /** Sends a revision: null removes. Its number. */
  send(change: Readonly<Record<string, string | null>>, sockets: readonly SocketWish[] | null = null): number {
    const base = this.revision;
    this.revision++;
    this.child.frames(encodeBegin({ revision: this.revision, base }));
    if (sockets !== null) this.child.says({ type: 'sockets', sockets });
    for (const [key, value] of Object.entries(change))
      this.child.frames(
        value === null ? encodeFrame(FRAME.DELETE, Buffer.from(key)) : encodePut(key, Buffer.from(value)),
      );
    this.child.frames(encodeJson(FRAME.COMMIT, { revision: this.revision }));
    assert.ok(!this.child.killed, 'the keeper takes it');
    return this.revision;
  }
}
