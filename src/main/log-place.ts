// Where access log lines can go: standard output, a file, a FIFO; opened without waiting for anybody.

import { closeSync, constants, fstatSync, openSync, readSync, write } from 'node:fs';
import { Outlet } from '../native/index.ts';
import { type LogPlace, NOWHERE } from './log-writer.ts';

const NEWLINE = 0x0a;
const STDOUT = 1;
const MODE = 0o640;

/** O_NONBLOCK: a FIFO that nobody reads is ENXIO at once (fifo(7)). Never the controlling terminal of a program of its own. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

/** Opens `target` ('-': standard output, 'off', a path); throws the system's error. */
export function openLog(target: string): LogPlace {
  if (target === 'off') return NOWHERE;
  if (target === '-') return placeOf(new Outlet(STDOUT), false);
  const fd = openSync(target, APPEND, MODE);
  return placeOf(new Outlet(fd, true), endsInHalfALine(fd));
}

function placeOf(outlet: Outlet, torn: boolean): LogPlace {
  return {
    torn,
    write: (bytes, done) => {
      // A disk may be slow: libuv's pool waits for it. Anything else takes at once what it can.
      if (outlet.isFile) write(outlet.fd, bytes, (error, n) => done(error === null ? n : -Math.abs(error.errno ?? 1)));
      else done(outlet.write(bytes));
    },
    close: () => outlet.close(),
  };
}

/** Whoever wrote there before may have been stopped by a full disk within a line. */
function endsInHalfALine(fd: number): boolean {
  const { size } = fstatSync(fd);
  if (!fstatSync(fd).isFile() || size === 0) return false;
  let reader = -1;
  try {
    reader = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
    const last = new Uint8Array(1);
    return readSync(reader, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
  } catch {
    // A file that may be written and not be read: then nobody knows.
    return false;
  } finally {
    if (reader >= 0) closeSync(reader);
  }
}
