// What the processes say to each other besides entries. Plain data; `type` tells which.

import type { Level } from '../base/log.ts';

/**
 * Version of the stream between keeper, controller and workers: of its frames and messages. Whoever connects says in
 * its `hello` which one it speaks; another one than the keeper's is refused. It changes when an old program's keeper
 * could misunderstand a child that is started from newer files.
 */
export const PROTOCOL = 4;
/**
 * Version of what a program and its successor say to each other (--takeover), which are of different versions by
 * nature.
 */
export const TAKEOVER_PROTOCOL = 2;

/** A listening socket that a revision asks for. */
export interface SocketWish {
  /** Key of the SocketEntry. */
  readonly key: string;
  readonly address: string;
  readonly port: number;
  readonly transport: 'tcp' | 'udp';
}

/** One that could not be opened. */
export interface FailedSocket {
  readonly key: string;
  /** The system's name of the error: EADDRINUSE. */
  readonly code: string;
  /** For people; begins with the code. */
  readonly reason: string;
}

export interface WorkerSettings {
  readonly trustedProxies: readonly string[];
  readonly accessLogQuery: boolean;
  readonly accessLogFormat: 'json' | 'combined' | 'text';
  readonly user: string | null;
  readonly logLevel: Level;
  readonly logJson: boolean;
  /** How long requests, and tunnels with sessions of layer 4, may go on when the worker leaves. */
  readonly drainTimeoutMs: number;
  readonly tunnelDrainTimeoutMs: number;
  /** How long a client's connection may stay between two requests. */
  readonly clientIdleMs: number;
  /** How long nothing may move of a request, and how long a client may pause while it sends content. */
  readonly streamIdleMs: number;
  readonly bodyIdleMs: number;
  readonly halfClose: boolean;
  /** Where the program's own admin server listens: nobody is led there. */
  readonly ownBinds: readonly { readonly host: string; readonly port: number }[];
}

export interface WorkerState {
  readonly slot: number;
  readonly pid: number;
  readonly state: 'starting' | 'serving' | 'draining' | 'down';
  /** Revision it acked last. */
  readonly revision: number;
  readonly restarts: number;
}

/** Why a process was replaced: it ended, made no progress, or said what it may not say. */
export type RestartCause = 'exit' | 'stalled' | 'violation';
/** How often since the program started. */
export type Restarts = Readonly<Record<RestartCause, number>>;
export const NO_RESTARTS: Restarts = { exit: 0, stalled: 0, violation: 0 };

/** The newest revision, while it is not what is served: workers died of it, or one refused it. */
export interface Held {
  readonly revision: number;
  readonly cause: 'deaths' | 'refused';
  /** For people: which worker, which entry, why. */
  readonly reason: string;
}

/** Controller -> keeper. */
export type FromController =
  | { readonly type: 'hello'; readonly protocol: number }
  /** It makes progress. */
  | { readonly type: 'beat' }
  /** Sockets of the revision being sent; the keeper opens and closes what differs when it is committed. */
  | { readonly type: 'sockets'; readonly sockets: readonly SocketWish[] }
  | { readonly type: 'logLevel'; readonly level: Level }
  /** Cannot go on: a program that never served ends with this code, one that serves starts another controller. */
  | { readonly type: 'fatal'; readonly code: number; readonly message: string }
  /** The answer to `reread`: everything was. */
  | { readonly type: 'reread' }
  /** The answer to `stop`: everything in the log rings was written. */
  | { readonly type: 'flushed' };

/**
 * What flags name and the keeper opens for the controller: --access-log, --admin-token-file, --tls-cert, --admin,
 * --requests, --state-file.
 */
export type GrantName = 'accessLog' | 'adminToken' | 'tls' | 'admin' | 'requests' | 'state';

export interface Grant {
  readonly type: 'grant';
  readonly name: GrantName;
  /** Descriptors that come with it: the open file, those of the certificate and of its key, or the listening socket. */
  readonly given: number;
  /** A log that ends within a line. */
  readonly torn: boolean;
  /** Why it could not be opened, or not again, in which case the one given earlier stays in use; '' for nothing. */
  readonly problem: string;
}

/** A successor answers for the whole: show nothing any more, and write nothing but the log. */
export interface Retire {
  readonly type: 'retire';
}

/** Memory that comes with it. */
export type MemoryMessage = { readonly type: 'methods' } | { readonly type: 'slot'; readonly slot: number };

/** Keeper -> controller. `Options`: what the program was started with, which the stream only carries. */
export type ToController<Options> =
  /**
   * Options, then grants, `methods` (descriptor: names of methods of gRPC) and one `slot` per worker slot (descriptors:
   * cells, ring), then the snapshot as entries, then `welcome`.
   */
  | { readonly type: 'options'; readonly options: Options }
  | MemoryMessage
  /** `succeeds`: another program serves and would hand over to this one, which has served nothing yet. */
  | { readonly type: 'welcome'; readonly revision: number; readonly succeeds: boolean }
  /** What every live worker serves; less than before when a revision is held back. */
  | { readonly type: 'acked'; readonly revision: number }
  | { readonly type: 'held'; readonly held: Held | null }
  | {
      readonly type: 'workers';
      readonly workers: readonly WorkerState[];
      readonly storm: boolean;
      readonly restarts: { readonly worker: Restarts; readonly controller: Restarts };
    }
  /** Of the sockets of a revision: which could not be opened and why; an empty list when all are open. */
  | {
      readonly type: 'sockets';
      readonly revision: number;
      readonly failed: readonly FailedSocket[];
    }
  | Grant
  | { readonly type: 'reread' }
  | { readonly type: 'draining' }
  | Retire
  /** A successor (--takeover) has begun to take over, or is gone before it served. */
  | { readonly type: 'succession'; readonly begun: boolean }
  /** The program ends: write what is left in the log rings. */
  | { readonly type: 'stop' };

/** Keeper -> worker. */
export type ToWorker =
  /** It waits for a slot, and gives up its privileges meanwhile. */
  | { readonly type: 'drop'; readonly user: string | null }
  /** Descriptors: cells, ring, ports, names of methods of gRPC. */
  | { readonly type: 'assign'; readonly slot: number; readonly settings: WorkerSettings }
  /** Descriptor: a listening socket. */
  | { readonly type: 'socket'; readonly key: string }
  | { readonly type: 'unsocket'; readonly key: string }
  | { readonly type: 'logLevel'; readonly level: Level }
  /** The program ends after its delay: answers say so, so that clients move while there is time. */
  | { readonly type: 'leaveSoon' }
  | { readonly type: 'drain' };

/** Worker -> keeper. */
export type FromWorker =
  /** Loaded and waiting for a slot. */
  | { readonly type: 'hello'; readonly protocol: number }
  /** It cannot be a worker, and ends. */
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'ack'; readonly revision: number }
  /** Nothing of the revision was applied. `reason` names the entry. */
  | { readonly type: 'nack'; readonly revision: number; readonly reason: string }
  /** No longer accepts from this socket, and took what waited in it. */
  | { readonly type: 'unsocketed'; readonly key: string }
  | { readonly type: 'drained' };

/** A program that is to take over -> the one that runs. */
export type FromSuccessor =
  /** Wants the listening sockets. */
  | { readonly type: 'take'; readonly protocol: number }
  /** Every worker of it serves. */
  | { readonly type: 'ready' };

/** The program that runs -> the one that takes over. */
export type FromPredecessor =
  /** Descriptor: a listening socket; those of one address and port come in the order of their slots. */
  | {
      readonly type: 'inherit';
      readonly address: string;
      readonly port: number;
      /** Whoever started the program made it, and called it so; who does not know of that takes it for our own. */
      readonly passed?: string;
    }
  /** The same of a socket for datagrams; who knows none does not take over. */
  | { readonly type: 'inheritDatagrams'; readonly address: string; readonly port: number }
  /** The table of ports that workers send datagrams from, with its descriptor. */
  | { readonly type: 'inheritPorts' }
  | {
      readonly type: 'inherited';
      /** How long the supervisor of both waits for a sign of life, in microseconds; absent: it does not. */
      readonly watchdogUs?: number;
    }
  /** Gives nothing, and why. */
  | { readonly type: 'refused'; readonly reason: string }
  /** No longer listens on the path, and drains; the end of the stream is its end. */
  | { readonly type: 'leaving' };
