// How a process of ours leaves root: it becomes --user, and everybody loses the way back, core dumps and outliving the
// keeper.

import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { EXIT, ExitError } from '../base/errors.ts';
import {
  dropBoundingSet,
  forbidCoreDumps,
  keepCapabilities,
  keepOverExec,
  mayReadAnything,
  raiseBinding,
  setNoNewPrivileges,
  setParentDeathSignal,
  shedCapabilities,
} from '../native/index.ts';

/**
 * Sent to a worker by the kernel when the keeper dies. One that runs sees the end of its channel and drains, whatever
 * the signal; one that is stopped is made to run by this one, and by no other that leaves it time to drain (ADR 12).
 */
export const WORKER_FOLLOWS = 'SIGCONT';

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The last number is no user's: calls of the kernel take it for "as it is". */
const LAST_USER = 0xffff_fffe;

/** Throws ExitError when there is no such user. */
export function lookUpUser(name: string): User {
  if (/^\d+$/.test(name)) {
    if (Number(name) > LAST_USER) throw new ExitError(EXIT.cannotRun, `--user ${name}: is no number of a user`);
    return { uid: Number(name), gid: Number(name) };
  }
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [user, , uid, gid] = line.split(':');
    if (user === name) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new ExitError(EXIT.cannotRun, `--user ${name}: is not in /etc/passwd`);
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/**
 * For the keeper: it may bind low ports where it can, nobody it starts gains anything by an exec, and what it keeps
 * (private keys are among the entries) gets into no core file.
 */
export function becomeKeeper(): void {
  if (!isRoot()) raiseBinding();
  setNoNewPrivileges();
  forbidCoreDumps();
}

/**
 * For a child of a keeper that is not root. What the program's file permits every thread of it has, and a thread can
 * take it from itself only: so the first one does, and starts the program again, which gains nothing by that
 * (NO_NEW_PRIVS). Returns when nothing is left. `channel`: the descriptor of its channel to the keeper.
 */
export function startBare(channel: number): void {
  if (isRoot() || !shedCapabilities()) return;
  setNoNewPrivileges();
  keepOverExec(channel);
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve?.(process.execPath, again, process.env);
  throw new ExitError(EXIT.cannotRun, 'this Node cannot start itself again');
}

/** For a worker: nothing is left. */
export function becomeUnprivileged(user: string | null): void {
  const other = user !== null && isRoot() ? lookUpUser(user) : null;
  if (isRoot()) dropBoundingSet();
  if (other !== null) become(other, null);
  // What a supervisor gave, and what `--user root` would leave.
  shedCapabilities();
  settle(WORKER_FOLLOWS);
}

/**
 * For the controller: nothing is left, but where `paths` (of the configuration) hold something that only root may read,
 * the one capability to read (CAP_DAC_READ_SEARCH). Returns those paths, and whether they can be read.
 */
export function becomeReader(user: string, paths: readonly string[]): { closed: string[]; reads: boolean } {
  let closed: string[] = [];
  let reads = true;
  if (isRoot()) {
    keepCapabilities(true);
    become(lookUpUser(user), user);
    // access(2) asks for the real user, as if no capability were there.
    closed = paths.filter((path) => !readable(path));
    reads = mayReadAnything(closed.length > 0);
    keepCapabilities(false);
  }
  settle('SIGKILL');
  return { closed, reads };
}

/** `named`: whose further groups are taken too. Throws ExitError when this process may not, as in some containers. */
function become({ uid, gid }: User, named: string | null): void {
  try {
    if (named === null || /^\d+$/.test(named)) process.setgroups?.([gid]);
    else (process as Partial<{ initgroups(user: string, group: number): void }>).initgroups?.(named, gid);
    process.setgid?.(gid);
    process.setuid?.(uid);
  } catch (error) {
    throw new ExitError(
      EXIT.cannotRun,
      `cannot become user ${named ?? uid}: ${error instanceof Error ? error.message : error}`,
    );
  }
}

function settle(signal: NodeJS.Signals): void {
  setNoNewPrivileges();
  forbidCoreDumps();
  // After setuid, which clears it.
  setParentDeathSignal(signal);
}

/** A path that is not there is for whoever reads it to tell. */
function readable(path: string): boolean {
  const { R_OK, X_OK } = constants;
  try {
    accessSync(path, R_OK);
    if (statSync(path).isDirectory()) accessSync(path, R_OK | X_OK);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EACCES';
  }
}
