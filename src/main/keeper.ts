// The keeper's process: signals in, exit code out.

import { existsSync, readFileSync } from 'node:fs';
import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { Keeper } from '../keeper/keeper.ts';
import { landlockVersion, NativeError, openNative, Reactor } from '../native/index.ts';
import type { Options } from './options.ts';
import { becomeKeeper } from './privileges.ts';
import { nodeSystem } from './process.ts';
import { apart, type Early, onSignals, STOPS } from './signals.ts';
import { supervisorOf } from './supervisor.ts';

const ARENA_BYTES = 64 * 1024 * 1024;
const LONG_MS = 3_600_000;

/** Serves until stopped; resolves with the exit code. Throws ExitError when it cannot start. */
export function runKeeper(options: Options, log: Logger, early: Early): Promise<number> {
  requireDescriptors(options.workers);
  // Of a program that cannot be started for want of it the system says that the program is not there.
  if (!existsSync('/dev/null'))
    throw new ExitError(EXIT.cannotRun, '/dev/null has to be there: no process can be started without it (mount /dev)');
  return new Promise((resolve, reject) => {
    try {
      becomeKeeper();
      if (landlockVersion() === 0)
        log.warn('this kernel has no Landlock: workers can open what their user may', {
          remedy: 'Linux 5.13 or newer',
        });
      const io = openNative({ arenaBytes: ARENA_BYTES });
      const system = nodeSystem(io, supervisorOf(process.env, io, log));
      const keeper = new Keeper(options, system, log, (code, handedOver) => {
        if (handedOver && options.afterTakeover === 'wait') rest(log, () => resolve(code));
        else resolve(code);
      });
      process.on('uncaughtException', (error) => keeper.crash(error));
      new Reactor(io).run();
      keeper.start();
      listen(keeper, () => io.nowMs, { options, log, early });
    } catch (error) {
      reject(error instanceof NativeError ? new ExitError(EXIT.cannotRun, `cannot start: ${error.message}`) : error);
    }
  });
}

/** Signals that came before count now that there is something to stop. */
function listen(
  keeper: Keeper<Options>,
  nowMs: () => number,
  { options, log, early }: { readonly options: Options; readonly log: Logger; readonly early: Early },
): void {
  const stop = (signal: string): void => keeper.stop(signal);
  onSignals(early, STOPS, apart(nowMs, stop));
  onSignals(early, ['SIGHUP'], () => keeper.reread());
  onSignals(early, ['SIGUSR1'], () => {
    // Who signals is answered, also where there is nothing to do.
    const { accessLog } = options;
    if (['-', 'off'].includes(accessLog)) log.info('no file to open anew', { flag: `--access-log ${accessLog}` });
    keeper.reopenLogs();
  });
  onSignals(early, ['SIGUSR2'], (signal) => log.warn('this signal asks for nothing', { signal, remedy: NEW_VERSION }));
}

/** Whom SIGUSR2 starts elsewhere. */
const NEW_VERSION = 'a new version takes over when it is started with the same --takeover';

/** Said before it is met in the middle of something. */
function requireDescriptors(workers: number): void {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  const needed = LIMITS.KEEPER_DESCRIPTORS + workers * LIMITS.KEEPER_DESCRIPTORS_PER_WORKER;
  if (limit !== undefined && Number(limit) < needed)
    throw new ExitError(
      EXIT.cannotRun,
      `${limit} open files are too few for ${workers} workers, which need ${needed} at the least (ulimit -n)`,
    );
}

/** Nothing is left but to be told to end: whoever started this program would start it again if it ended by itself. */
function rest(log: Logger, done: () => void): void {
  log.info('handed over, waiting for the signal to end');
  const stays = setInterval(() => {}, LONG_MS);
  for (const signal of STOPS)
    process.once(signal, () => {
      clearInterval(stays);
      done();
    });
}
