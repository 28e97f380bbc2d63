// How a process of ours leaves root: it becomes --user, and everybody loses the way back, core dumps and outliving the
// keeper.

import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EXIT, ExitError } from '../base/errors.ts';
import {
  confine,
  dropBoundingSet,
  forbidCoreDumps,
  keepCapabilities,
  keepOverExec,
  mayReadAnything,
  type Opening,
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
  for (const line of usersOf(name).split('\n')) {
    const [user, , uid, gid] = line.split(':');
    if (user === name) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new ExitError(EXIT.cannotRun, `--user ${name}: is not in /etc/passwd`);
}

function usersOf(name: string): string {
  try {
    return readFileSync('/etc/passwd', 'utf8');
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const message = `--user ${name}: /etc/passwd cannot be read (${why}); a number needs none: write --user 65534`;
    throw new ExitError(EXIT.cannotRun, message);
  }
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

/** Behind the role of a child that has been started again with less. */
export const AGAIN = 'again';

/**
 * For a child of the keeper. What the program's file permits every thread of it has, and what is forbidden (`openings`,
 * null for nothing) is forbidden to a thread; one can take from itself only. So the first one does, and starts the
 * program again, which gains nothing by that (NO_NEW_PRIVS) and has no thread that was there before. Returns when
 * nothing is left to be taken. `channel`: the descriptor of its channel to the keeper.
 */
export function startBare(channel: number, openings: readonly Opening[] | null): void {
  if (process.argv.at(-1) === AGAIN) return;
  const shed = !isRoot() && shedCapabilities();
  setNoNewPrivileges();
  const confined = openings !== null && confine(openings);
  if (!shed && !confined) return;
  keepOverExec(channel);
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1), AGAIN];
  process.execve?.(process.execPath, again, process.env);
  throw new ExitError(EXIT.cannotRun, 'this Node cannot start itself again');
}

/**
 * What a worker may open once it has its descriptors: the program itself and what it is loaded with, what Node asks of
 * the system, the name of the user that it becomes. No configuration, no token, no key, nothing to write.
 */
export function workerOpenings(): Opening[] {
  const program = fileURLToPath(new URL('../../', import.meta.url));
  const own = ['src', 'node_modules', 'package.json', 'build'].map((name) => ({ path: `${program}${name}` }));
  const cache = process.env['RAUTA_COMPILE_CACHE'];
  return [
    ...own,
    ...(cache === undefined ? [] : [{ path: cache }]),
    ...mappedFiles().map((path) => ({ path, execute: true })),
    ...SYSTEM_FILES.map((path) => ({ path })),
  ];
}

/** Node, the loader and the libraries. */
function mappedFiles(): string[] {
  const paths = new Set<string>([process.execPath]);
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const path = line.slice(line.indexOf('/'));
    if (line.includes('/') && statSync(path, { throwIfNoEntry: false })?.isFile() === true) paths.add(path);
  }
  return [...paths];
}

/**
 * /proc: of others no more can be read than their names, for to look into a process is forbidden too. The rest: the
 * loader's list of libraries, time zones, OpenSSL's settings, memory and cores that this program may use.
 */
const SYSTEM_FILES = [
  ...['/proc', '/sys/fs/cgroup', '/sys/devices/system/cpu', '/dev/null', '/dev/urandom'],
  ...['/etc/ld.so.cache', '/etc/passwd', '/etc/localtime', '/usr/share/zoneinfo', '/etc/ssl/openssl.cnf'],
];

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
    if (!isAlready(uid, gid)) {
      if (named === null || /^\d+$/.test(named)) process.setgroups?.([gid]);
      else (process as Partial<{ initgroups(user: string, group: number): void }>).initgroups?.(named, gid);
    }
    process.setgid?.(gid);
    process.setuid?.(uid);
  } catch (error) {
    const remedy = groupsAreFixed() ? ' (this user namespace knows nobody else; write --user root)' : '';
    throw new ExitError(
      EXIT.cannotRun,
      `cannot become user ${named ?? uid}: ${error instanceof Error ? error.message : error}${remedy}`,
    );
  }
}

/** Root of a user namespace of its own that is to stay who it is: its groups nobody there can change. */
function isAlready(uid: number, gid: number): boolean {
  return process.getuid?.() === uid && process.getgid?.() === gid && groupsAreFixed();
}

/** user_namespaces(7), of namespaces that somebody without privileges made. */
function groupsAreFixed(): boolean {
  try {
    return readFileSync('/proc/self/setgroups', 'utf8').trim() === 'deny';
  } catch {
    return false;
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
