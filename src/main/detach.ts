// `rauta serve --detach`: starts the program in the background and ends when it serves, or as it ended before it did.
// What waits for this command, a supervisor's reload or a script, knows then how it went.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EXIT } from '../base/errors.ts';
import { type Early, onSignals, STOPS } from './signals.ts';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const SERVING = 'serving';

/** `argv`: of `serve`. Resolves with the exit code of this command. */
export function startDetached(argv: readonly string[], early: Early): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, MAIN, 'serve', ...argv, '--detach=false'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  const { promise, resolve } = Promise.withResolvers<number>();
  child.on('message', (message) => {
    if (message === SERVING) resolve(EXIT.ok);
  });
  child.on('error', (error) => {
    process.stderr.write(`rauta: cannot start in the background: ${error.message}\n`);
    resolve(EXIT.cannotRun);
  });
  // One that was told to stop before it served ended in order, and serves as little as any other.
  child.on('exit', (code) => resolve(code || EXIT.cannotRun));
  // Who gives up waiting gives up the program that has yet to serve.
  onSignals(early, STOPS, (signal) => child.kill(signal));
  return promise;
}

/** For the program that was started so; nothing to any other one. */
export function tellStarter(): void {
  if (process.send === undefined || !process.connected) return;
  process.send(SERVING, () => process.disconnect?.());
}
