// What the processes say to each other besides entries. Plain data; `type` tells which.

import type { Level } from '../../base/log.ts';

/** A listening socket that a revision asks for. */
export interface SocketWish {
  /** Key of the ListenerEntry. */
  readonly key: string;
  readonly address: string;
  readonly port: number;
}

export interface WorkerSettings {
  readonly trustedProxies: readonly string[];
  readonly accessLogQuery: boolean;
  readonly user: string | null;
  readonly logLevel: Level;
  readonly logJson: boolean;
  /** How long requests in flight may take to end when the keeper is gone. */
  readonly drainTimeoutMs: number;
}

export interface WorkerState {
  readonly slot: number;
  readonly pid: number;
  readonly state: 'starting' | 'serving' | 'draining' | 'down';
  /** Revision it acked last. */
  readonly revision: number;
  readonly restarts: number;
}

/** Controller -> keeper. */
export type FromController =
  | { readonly type: 'hello' }
  /** Sockets of the revision being sent; the keeper opens and closes what differs when it is committed. */
  | { readonly type: 'sockets'; readonly sockets: readonly SocketWish[] }
  | { readonly type: 'logLevel'; readonly level: Level }
  /** Cannot go on: the program ends with this code. */
  | { readonly type: 'fatal'; readonly code: number; readonly message: string }
  /** Everything in the log rings was written. */
  | { readonly type: 'flushed' };

/** Keeper -> controller. */
export type ToController =
  /** Options, then one `slot` per worker slot (descriptors: cells, ring), then the snapshot as a full revision, then `welcome`. */
  | { readonly type: 'options'; readonly options: unknown }
  | { readonly type: 'slot'; readonly slot: number }
  | { readonly type: 'welcome'; readonly revision: number }
  | { readonly type: 'acked'; readonly revision: number }
  | { readonly type: 'refused'; readonly slot: number; readonly revision: number; readonly reason: string }
  | { readonly type: 'quarantined'; readonly revision: number; readonly serving: number }
  | { readonly type: 'workers'; readonly workers: readonly WorkerState[]; readonly storm: boolean }
  | { readonly type: 'restarted'; readonly cause: 'exit' | 'stalled' }
  /** Of the sockets of a revision: which could not be opened and why; an empty list when all are open. */
  | {
      readonly type: 'sockets';
      readonly revision: number;
      readonly failed: readonly { readonly key: string; readonly reason: string }[];
    }
  | { readonly type: 'reread' }
  | { readonly type: 'reopenLogs' }
  | { readonly type: 'draining' }
  | { readonly type: 'stop' };

/** Keeper -> worker. */
export type ToWorker =
  /** Descriptors: cells, ring. */
  | { readonly type: 'assign'; readonly slot: number; readonly settings: WorkerSettings }
  /** Descriptor: a listening socket. */
  | { readonly type: 'socket'; readonly key: string }
  | { readonly type: 'unsocket'; readonly key: string }
  | { readonly type: 'logLevel'; readonly level: Level }
  | { readonly type: 'drain' };

/** Worker -> keeper. */
export type FromWorker =
  /** Loaded and waiting for a slot. */
  | { readonly type: 'loaded' }
  | { readonly type: 'ack'; readonly revision: number }
  | { readonly type: 'nack'; readonly revision: number; readonly reason: string }
  /** No longer accepts from this socket, and took what waited in it. */
  | { readonly type: 'unsocketed'; readonly key: string }
  | { readonly type: 'drained' };

/** A program that is to take over -> the one that runs. */
export type FromSuccessor =
  /** Wants the listening sockets. */
  | { readonly type: 'take' }
  /** Every worker of it serves. */
  | { readonly type: 'ready' };

/** The program that runs -> the one that takes over. */
export type FromPredecessor =
  /** Descriptor: a listening socket; those of one address and port come in the order of their slots. */
  | { readonly type: 'inherit'; readonly address: string; readonly port: number }
  | { readonly type: 'inherited' }
  /** No longer listens on the path, and drains; the end of the stream is its end. */
  | { readonly type: 'leaving' };
