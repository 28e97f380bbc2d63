// What a command prints: all of it, or nothing more once nobody reads.

import { writeSync } from 'node:fs';
import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';

const STDOUT = 1;
const STDERR = 2;

/** To standard output. Throws ExitError with code 3 when it takes nothing (a full disk); a reader who left is none. */
export function print(text: string): void {
  const code = write(STDOUT, text);
  if (code !== '') throw new ExitError(EXIT.cannotRun, `standard output cannot be written: ${code}`);
}

/** To standard error. Where that cannot be, nobody is left to be told. */
export function complain(text: string): void {
  write(STDERR, text);
}

/**
 * Waits for whoever reads: a pipe that somebody else made non-blocking takes a part, and then nothing for a while.
 * Returns the name of the system's error, '' for none or for a reader who left.
 */
function write(fd: number, text: string): string {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      if (code === 'EPIPE') return '';
      if (code !== 'EAGAIN') return code;
      Atomics.wait(NOBODY, 0, 0, LIMITS.LOG_BUSY_PAUSE_MS);
    }
  }
  return '';
}

/** Never notified: to wait for it is to sleep. */
const NOBODY = new Int32Array(new SharedArrayBuffer(4));
