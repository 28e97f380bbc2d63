// What the keeper needs of the system besides sockets: processes and time. main/ does it by Node, tests by hand.

import type { NativeIo, PassedSocket } from '../native/index.ts';
import type { ChannelEnd, Link } from '../stream/channel.ts';
import type { Frame } from '../stream/frames.ts';

export type Role = 'controller' | 'worker';

/** A process of ours, from its start to its end. */
export interface Child<Out> {
  /** 0 when it could not be started. */
  readonly pid: number;
  readonly link: Link<Out>;
  /** SIGKILL: at once, also when it is stopped. */
  kill(): void;
}

/** How a process ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not be started; null when it was. */
  readonly failure: string | null;
  /** What the system lets one guess of why it was ended; null: nothing. */
  readonly hint: string | null;
}

export interface ChildOwner {
  /** May throw ProtocolError (stream/channel.ts). */
  onFrame(frame: Frame): void;
  /** Nothing more comes from it, though it may still run. */
  onEnded(end: ChannelEnd): void;
  /** It is no more, or never was. Called once, never before `spawn` returned. */
  onExit(end: ChildEnd): void;
}

/** A listening socket that whoever started the program opened, under a name of its own. */
export interface PassedListener extends PassedSocket {
  readonly name: string;
}

/** Who started the program and wants to be told how it does; often nobody. */
export interface Supervisor {
  /** Takes lines of NAME=VALUE (sd_notify(3)). Never throws, never waits. */
  notify(state: string): void;
  /** How long it waits for WATCHDOG=1, in microseconds; 0: it does not. */
  readonly watchdogUs: number;
  readonly passed: readonly PassedListener[];
}

export interface System {
  readonly io: NativeIo;
  readonly supervisor: Supervisor;
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Calls `fire` once after `ms`; what it returns takes that back. */
  after(ms: number, fire: () => void): () => void;
  /** Starts a process. Never throws: one that cannot be started is one that ended. */
  spawn<Out>(role: Role, owner: ChildOwner): Child<Out>;
  /** A revision of so many entries went through: memory that it needed can be given back. */
  revised(entries: number): void;
}
