// Starting a process of ours: same program, another role, one unix socket as descriptor 3.

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../base/limits.ts';
import { type NativeIo, socketPair } from '../native/index.ts';
import { Channel, type ChannelOwner } from '../stream/channel.ts';

export const CHANNEL_FD = 3;
export type ChildRole = 'controller' | 'worker';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
/** Role argument of a child: not part of the command line that users see. */
export const CHILD_COMMAND = '__child';

const YOUNG_MB: Readonly<Record<ChildRole, number>> = {
  controller: LIMITS.CONTROLLER_YOUNG_MB,
  worker: LIMITS.WORKER_YOUNG_MB,
};

/** Arguments of Node for a child of ours. Of a flag given twice the last one counts. */
function childArgv(role: ChildRole): string[] {
  return [...process.execArgv, `--max-semi-space-size=${YOUNG_MB[role]}`, MAIN, CHILD_COMMAND, role];
}

/** All that workers get of our environment: where compiled code is. */
const KEPT = 'RAUTA_COMPILE_CACHE';

export interface Child<Out> {
  readonly process: ChildProcess;
  readonly channel: Channel<Out>;
}

/**
 * Starts `role` in a session of its own, so that a terminal's Ctrl-C reaches the keeper alone.
 * Workers get an empty environment but for KEPT; the controller keeps ours (HOME, KUBECONFIG, resolver settings).
 */
export function startChild<Out>(io: NativeIo, role: ChildRole, owner: ChannelOwner): Child<Out> {
  const [ours, theirs] = socketPair(io);
  const child = spawn(process.execPath, childArgv(role), {
    stdio: ['ignore', role === 'controller' ? 'inherit' : 'ignore', 'inherit', io.fdOf(theirs)],
    env: role === 'worker' ? { [KEPT]: process.env[KEPT] } : process.env,
    detached: true,
  });
  io.close(theirs);
  return { process: child, channel: new Channel<Out>(io, ours, owner) };
}
