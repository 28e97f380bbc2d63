// The keeper's system: processes and time, by Node. A process of ours is the same program in another role, with one
// unix socket as descriptor 3.

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../base/limits.ts';
import type { Child, ChildOwner, Role, Supervisor, System } from '../keeper/system.ts';
import { type NativeIo, socketPair } from '../native/index.ts';
import { Channel, type ChannelRules, type Link } from '../stream/channel.ts';
import { CHILD_COMMAND } from './child.ts';
import { GiveBack } from './give-back.ts';
import { OomKills, WANT_OF_MEMORY } from './oom.ts';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

const YOUNG_MB: Readonly<Record<Role, number>> = {
  controller: LIMITS.CONTROLLER_YOUNG_MB,
  worker: LIMITS.WORKER_YOUNG_MB,
};

/** Arguments of Node for a child of ours. Of a flag given twice the last one counts. */
function childArgv(role: Role): string[] {
  return [...process.execArgv, `--max-semi-space-size=${YOUNG_MB[role]}`, MAIN, CHILD_COMMAND, role];
}

/** All that workers get of our environment: where compiled code is. */
const KEPT = 'RAUTA_COMPILE_CACHE';

/** The keeper gives descriptors and takes none; what workers say is short. */
const RULES: Readonly<Record<Role, ChannelRules>> = {
  controller: { frameBytes: LIMITS.FRAME_BYTES, descriptors: false },
  worker: { frameBytes: LIMITS.WORKER_FRAME_BYTES, descriptors: false },
};

const NO_LINK: Link<unknown> = { queued: 0, open: false, message() {}, send() {}, close() {} };

export function nodeSystem(io: NativeIo, supervisor: Supervisor): System {
  const giveBack = new GiveBack();
  const kills = new OomKills();
  return {
    io,
    supervisor,
    nowMs: () => io.nowMs,
    after: (ms, fire) => {
      const timer = setTimeout(fire, ms);
      return () => clearTimeout(timer);
    },
    spawn: (role, owner) => startChild(io, role, owner, kills),
    revised: (entries) => giveBack.revised(entries),
  };
}

/**
 * Starts `role` in a session of its own, so that a terminal's Ctrl-C reaches the keeper alone.
 * Workers get an empty environment but for KEPT; the controller keeps ours (HOME, KUBECONFIG, resolver settings).
 */
function startChild<Out>(io: NativeIo, role: Role, owner: ChildOwner, kills: OomKills): Child<Out> {
  let failure = '';
  let child: ChildProcess | null = null;
  let channel: Channel<Out> | null = null;
  try {
    const [ours, theirs] = socketPair(io);
    try {
      channel = new Channel<Out>(io, ours, owner, RULES[role]);
      child = launch(role, io.fdOf(theirs));
    } finally {
      io.close(theirs);
      if (channel === null) io.close(ours);
    }
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  }
  const [link, started] = [channel, child];
  const pid = started?.pid;
  if (started === null || link === null || pid === undefined) {
    link?.close();
    const gone = (why: string): void => owner.onExit({ code: null, signal: null, failure: why, hint: null });
    if (started === null) process.nextTick(gone, failure);
    // Node says why a moment later.
    else started.on('error', (error) => gone(error.message));
    return { pid: 0, link: NO_LINK, kill() {} };
  }
  started.on('exit', (code, signal) => {
    link.finish();
    const hint = signal === 'SIGKILL' && kills.any() ? WANT_OF_MEMORY : null;
    owner.onExit({ code, signal, failure: null, hint });
  });
  // It runs; what cannot be done to it any more (a signal) is told by its end.
  started.on('error', () => {});
  return { pid, link, kill: () => void started.kill('SIGKILL') };
}

function launch(role: Role, channel: number): ChildProcess {
  return spawn(process.execPath, childArgv(role), {
    stdio: ['ignore', role === 'controller' ? 'inherit' : 'ignore', 'inherit', channel],
    env: role === 'worker' ? { [KEPT]: process.env[KEPT] } : process.env,
    detached: true,
  });
}
