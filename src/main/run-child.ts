// From the command line of a child of ours to its role. It loads nothing of what users' command lines need: flags, help
// and schemas are a quarter of a worker's modules, and a worker starts twice (privileges.ts).

import { EXIT, ExitError } from '../base/errors.ts';
import { visible } from '../base/steering.ts';
import { CHANNEL_FD } from './child.ts';
import { complain } from './printing.ts';

/** `argv`: CHILD_COMMAND, a role, and for `compile` the file that says that it is done. */
export async function run([, role, stamp]: readonly string[]): Promise<void> {
  try {
    await (role === 'compile' ? compile(stamp) : serve(role === 'worker'));
    process.exitCode = EXIT.ok;
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    complain(`rauta: ${visible(error.message)}\n`);
    process.exit(error.code);
  }
}

async function compile(stamp: string | undefined): Promise<void> {
  await (await import('./compile-cache.ts')).compileAll(stamp);
}

async function serve(isWorker: boolean): Promise<void> {
  const { startBare, workerOpenings } = await import('./privileges.ts');
  startBare(CHANNEL_FD, isWorker ? workerOpenings() : null);
  if (isWorker) (await import('./worker.ts')).runWorker();
  else (await import('./controller.ts')).runController();
}
