// Files and folders as the file source sees them: what counts as a configuration file, what identifies a file's state.

import { constants, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, dirname, extname, join, sep } from 'node:path';
import { LIMITS } from '../../base/limits.ts';

/** Should a FIFO have taken the file's place since it was looked at, nobody waits for its writer. */
const WITHOUT_WAITING = constants.O_RDONLY | constants.O_NONBLOCK;

/** Identity and state of a file or folder. */
export interface Stamp {
  readonly folder: boolean;
  /** Device, inode and when it was made: the number alone is soon used again. */
  readonly id: string;
  /** Changes whenever the contents do (up to the file system's clock). */
  readonly state: string;
  readonly bytes: number;
}

export type Look =
  | { readonly kind: 'found'; readonly stamp: Stamp }
  | { readonly kind: 'missing' }
  | { readonly kind: 'error'; readonly message: string };

/** What is there, symbolic links followed. */
export function look(path: string): Look {
  try {
    const s = statSync(path, { bigint: true });
    if (!s.isFile() && !s.isDirectory()) return { kind: 'error', message: 'neither a file nor a folder' };
    const id = `${s.dev}:${s.ino}:${s.birthtimeNs}`;
    const stamp: Stamp = {
      folder: s.isDirectory(),
      id,
      state: `${id}:${s.size}:${s.mtimeNs}:${s.ctimeNs}`,
      bytes: Number(s.size),
    };
    return { kind: 'found', stamp };
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' && isLink(path)) return { kind: 'error', message: 'a symbolic link to nothing' };
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
    return { kind: 'error', message: `cannot be read: ${reason(code)}` };
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/** Why a path of the configuration cannot be read, root or not; null when it can. */
export function unreadable(path: string): string | null {
  const seen = look(path);
  if (seen.kind === 'missing') return MISSING;
  if (seen.kind === 'error') return seen.message;
  const read = seen.stamp.folder ? listFolder(path) : readContents(path, seen.stamp);
  if (read.kind === 'missing') return MISSING;
  return read.kind === 'error' ? read.message : null;
}

export const MISSING = 'no such file or folder';
export const MISNAMED = 'its name is not UTF-8 and it is not read; give it another name';

export type Contents =
  | { readonly kind: 'found'; readonly bytes: Buffer }
  | { readonly kind: 'missing' }
  | { readonly kind: 'error'; readonly message: string };

export function readContents(path: string, stamp: Stamp): Contents {
  if (stamp.bytes > LIMITS.CONFIG_FILE_BYTES) {
    return { kind: 'error', message: `larger than ${LIMITS.CONFIG_FILE_BYTES} bytes` };
  }
  try {
    return { kind: 'found', bytes: readFileSync(path, { flag: WITHOUT_WAITING }) };
  } catch (error) {
    const code = codeOf(error);
    return code === 'ENOENT' ? { kind: 'missing' } : { kind: 'error', message: `cannot be read: ${reason(code)}` };
  }
}

export type Listing =
  | { readonly kind: 'found'; readonly paths: readonly string[] }
  | { readonly kind: 'missing' }
  | { readonly kind: 'error'; readonly message: string };

/** What in a folder may matter, sorted. */
export function listFolder(path: string): Listing {
  try {
    const paths = readdirSync(path, { withFileTypes: true })
      .filter((e) => !e.name.startsWith('.') && (isConfigName(e.name) || e.isDirectory() || e.isSymbolicLink()))
      .map((e) => join(path, e.name))
      .sort();
    return { kind: 'found', paths };
  } catch (error) {
    const code = codeOf(error);
    return code === 'ENOENT' ? { kind: 'missing' } : { kind: 'error', message: `cannot be read: ${reason(code)}` };
  }
}

/** Dotfiles are editors' and ConfigMap mounts' own (`..data`, `.a.yaml.swp`). */
export function isConfigName(name: string): boolean {
  return !name.startsWith('.') && ['.yaml', '.yml', '.json'].includes(extname(name));
}

const REPLACED = '\ufffd';
const SEPARATOR = Buffer.from(sep);

/**
 * Whether `path`, which is not there, is what became of the name of something that is: of a file or folder that counts,
 * had its name's bytes been UTF-8. By a path of text it cannot be opened.
 */
export function isMisnamed(path: string): boolean {
  const name = basename(path);
  if (!name.includes(REPLACED) || name.startsWith('.')) return false;
  const folder = dirname(path);
  try {
    const same = readdirSync(folder, { encoding: 'buffer' }).filter((raw) => raw.toString() === name);
    const counts = (raw: Buffer): boolean =>
      isConfigName(name) || statSync(Buffer.concat([Buffer.from(folder), SEPARATOR, raw])).isDirectory();
    return same.some((raw) => !raw.equals(Buffer.from(name)) && counts(raw));
  } catch {
    // It has gone meanwhile.
    return false;
  }
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  ELOOP: 'symbolic links go in a circle',
  EISDIR: 'it is a folder',
  EMFILE: 'too many open files',
  EIO: 'the disk fails',
};

function reason(code: string): string {
  if (code === 'EACCES' || code === 'EPERM') return `permission denied for user ${userName()} (${code})`;
  return REASONS[code] === undefined ? code : `${REASONS[code]} (${code})`;
}

/** Who reads: a program that root started has become somebody else (`--user`), which is easily forgotten. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // Nobody of that number is in /etc/passwd.
    return String(process.geteuid?.());
  }
}
