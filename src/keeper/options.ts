// What the keeper itself reads of the program's options; the controller is given all of them.

import type { Level } from '../base/log.ts';
import type { WorkerSettings } from '../stream/messages.ts';
import type { GrantOptions } from './grants.ts';
import type { KeysFileSettings } from './keys-file.ts';
import type { StateFileSettings } from './state-file.ts';

export interface KeeperOptions extends GrantOptions {
  readonly workers: number;
  readonly takeover: string | null;
  readonly stateFile: StateFileSettings | null;
  readonly keysFile: KeysFileSettings | null;
  readonly drainDelayMs: number;
  readonly drainTimeoutMs: number;
  readonly tunnelDrainTimeoutMs: number;
  readonly trustedProxies: readonly string[];
  readonly accessLogQuery: boolean;
  readonly accessLogFormat: 'json' | 'combined' | 'text';
  readonly user: string;
  readonly clientIdleMs: number;
  readonly streamIdleMs: number;
  readonly bodyIdleMs: number;
  readonly halfClose: boolean;
  readonly logLevel: Level;
  readonly logFormat: 'json' | 'text';
}

/** What of them workers are told. */
export function workerSettings(options: KeeperOptions): WorkerSettings {
  return {
    trustedProxies: options.trustedProxies,
    accessLogQuery: options.accessLogQuery,
    accessLogFormat: options.accessLogFormat,
    user: options.user,
    logLevel: options.logLevel,
    logJson: options.logFormat === 'json',
    drainTimeoutMs: options.drainTimeoutMs,
    tunnelDrainTimeoutMs: options.tunnelDrainTimeoutMs,
    clientIdleMs: options.clientIdleMs,
    streamIdleMs: options.streamIdleMs,
    bodyIdleMs: options.bodyIdleMs,
    halfClose: options.halfClose,
    // Port 0, for tests, is any.
    ownBinds: [options.admin, options.requests].filter((bind) => bind !== null).filter(({ port }) => port !== 0),
  };
}
