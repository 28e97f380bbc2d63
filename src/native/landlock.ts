// Landlock (landlock(7), include/uapi/linux/landlock.h): what this thread, and whatever it starts by exec, may still
// open. What was open before stays open.

import { closeSync, openSync, statSync } from 'node:fs';
import { NativeError } from './errors.ts';
import * as c from './ffi.ts';
import { LANDLOCK, SYS } from './layout.ts';

/** A path below which, or which itself as a file, may be read; `execute`: and started as a program. */
export interface Opening {
  readonly path: string;
  readonly execute?: boolean;
}

/** Version of what this kernel has; 0: nothing, or not switched on, or forbidden to this program. */
export function landlockVersion(): number {
  return Math.max(0, c.syscallVersion(SYS.LANDLOCK_CREATE_RULESET, 0, 0, LANDLOCK.CREATE_RULESET_VERSION));
}

/**
 * From now on nothing of the file system can be opened or changed but what `openings` name, nothing outside can be
 * signalled and no other process looked into. Needs NO_NEW_PRIVS. Of other threads of this process nothing is taken:
 * whoever means them too execs. False where the kernel has none of it. Throws NativeError when it has and refuses.
 */
export function confine(openings: readonly Opening[]): boolean {
  const version = landlockVersion();
  if (version === 0) return false;
  const ruleset = create(version);
  try {
    for (const { path, execute } of openings) add(ruleset, path, execute === true);
    if (c.landlockRestrictSelf(SYS.LANDLOCK_RESTRICT_SELF, ruleset, 0) < 0)
      throw new NativeError('landlock_restrict_self', c.errno(), '');
  } finally {
    c.closeFd(ruleset);
  }
  return true;
}

/** Everything is forbidden that this version of it can forbid; a later one can forbid more than we know. */
function create(version: number): number {
  const rights = LANDLOCK.FS_RIGHTS[Math.min(version, LANDLOCK.FS_RIGHTS.length) - 1] as number;
  const scoped = version >= LANDLOCK.SCOPES_SINCE ? LANDLOCK.SCOPE_SIGNAL : 0;
  // struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped. An older kernel takes the first only.
  const attributes = BigUint64Array.of(BigInt(rights), 0n, BigInt(scoped));
  const size = scoped === 0 ? 8 : attributes.byteLength;
  const fd = c.landlockCreateRuleset(SYS.LANDLOCK_CREATE_RULESET, attributes, size, 0);
  if (fd < 0) throw new NativeError('landlock_create_ruleset', c.errno(), '');
  return fd;
}

/** What is not there needs no rule. */
function add(ruleset: number, path: string, execute: boolean): void {
  let fd = -1;
  try {
    fd = openSync(path, O_PATH);
  } catch {
    return;
  }
  try {
    const folder = statSync(path).isDirectory() ? LANDLOCK.READ_DIR : 0;
    const rights = LANDLOCK.READ_FILE | folder | (execute ? LANDLOCK.EXECUTE : 0);
    // struct landlock_path_beneath_attr, packed: allowed_access, parent_fd.
    const attributes = new DataView(new ArrayBuffer(12));
    attributes.setBigUint64(0, BigInt(rights), true);
    attributes.setInt32(8, fd, true);
    const bytes = new Uint8Array(attributes.buffer);
    if (c.landlockAddRule(SYS.LANDLOCK_ADD_RULE, ruleset, LANDLOCK.PATH_BENEATH, bytes, 0) < 0)
      throw new NativeError('landlock_add_rule', c.errno(), path);
  } finally {
    closeSync(fd);
  }
}

/** open(2): a name of the file, without a right to it. Node has no constant for it. */
const O_PATH = 0o10000000;
