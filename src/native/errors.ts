// errno as text, and the error thrown where a system call fails outside the hot path.

import { constants } from 'node:os';

const NAMES = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) if (!NAMES.has(number)) NAMES.set(number, name);
// Linux gives two names to one number; the first is what its manual pages say.
NAMES.set(11, 'EAGAIN');
NAMES.set(95, 'EOPNOTSUPP');

/** `ECONNREFUSED` for 111 or -111; `errno N` for a number without a name. */
export function errnoName(errno: number): string {
  const number = Math.abs(errno);
  return NAMES.get(number) ?? `errno ${number}`;
}

/** A system call that was expected to work did not. */
export class NativeError extends Error {
  readonly syscall: string;
  readonly errno: number;
  /** Name of the errno, as Node's own system errors carry it. */
  readonly code: string;

  /** `about`: what it was called for, e.g. an address. */
  constructor(syscall: string, errno: number, about: string) {
    const code = errnoName(errno);
    super(`${syscall}: ${code}${about === '' ? '' : ` (${about})`}`);
    this.name = 'NativeError';
    this.syscall = syscall;
    this.errno = Math.abs(errno);
    this.code = code;
  }
}
