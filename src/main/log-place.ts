// Where access log lines can go: standard output, or what the keeper opened.

import { write } from 'node:fs';
import { Outlet } from '../native/index.ts';
import { type LogPlace, NOWHERE } from './log-writer.ts';

const STDOUT = 1;
const EIO = 5;

/** The place that needs no file, or null: the keeper opens it. To be called before privileges go. */
export function placeOfItsOwn(target: string): LogPlace | null {
  if (target === 'off') return NOWHERE;
  return target === '-' ? place(new Outlet(STDOUT), false) : null;
}

/** `fd` was opened with O_NONBLOCK and is this place's from now on; `torn`: the file ends within a line. */
export function placeOf(fd: number, torn: boolean): LogPlace {
  return place(new Outlet(fd, true), torn);
}

function place(outlet: Outlet, torn: boolean): LogPlace {
  return {
    torn,
    write: (bytes, done) => {
      // A disk may be slow: libuv's pool waits for it. Anything else takes at once what it can.
      if (outlet.isFile)
        write(outlet.fd, bytes, (error, n) => done(error === null ? n : -Math.abs(error.errno ?? EIO)));
      else done(outlet.write(bytes));
    },
    close: () => outlet.close(),
  };
}
