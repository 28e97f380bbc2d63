// What flags name and the controller uses, opened here, where the privileges are: the access log, the token, the files
// of a certificate and its key, the admin's listening sockets. The controller gets descriptors, again after each death,
// so that it needs no right of its own to a folder, a file or a low port, and a port that was ours once stays ours.
// Nothing is read here.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { addressText } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Handle } from '../io/io.ts';
import { errnoName, type NativeIo } from '../native/index.ts';
import type { Grant, GrantName, Retire } from '../stream/messages.ts';
import { stampOf } from './keys-file.ts';

export interface GrantOptions {
  readonly accessLog: string;
  readonly adminTokenFile: string | null;
  /** Paths of a certificate and its key. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly admin: Bind | null;
  readonly requests: Bind | null;
}
interface Bind {
  readonly host: string;
  readonly port: number;
}

interface Opened {
  readonly fds: readonly number[];
  /** A file that ends within a line. */
  readonly torn: boolean;
  close(): void;
}

/** One thing that a flag names. */
interface Wish {
  readonly name: GrantName;
  /** `--access-log /var/log/rauta.log` */
  readonly flag: string;
  readonly open: () => Opened;
  /** What shows that its files are others, or say something else; null for what is opened again only when asked to. */
  readonly stamp: (() => string) | null;
  /** When it was opened, and when it was last looked at. */
  opened: string;
  seen: string;
  now: Opened | null;
  /** Why it is not open, or not open anew; '' for nothing. */
  problem: string;
}

const NEWLINE = 0x0a;
const LOG_MODE = 0o640;
const { O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** For people, besides the system's name of it. */
const MEANINGS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'no permission',
  ENXIO: 'nobody reads from it',
  EADDRINUSE: 'something listens there already',
  EADDRNOTAVAIL: 'not an address of this machine',
};
/** What is bound for a host; the second where the machine lacks the family, or the address, of the first. */
const OTHERWISE: Readonly<Record<string, readonly string[]>> = {
  localhost: ['127.0.0.1', '::1'],
  '::': ['::', '0.0.0.0'],
};
const LACKING = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'];
/** Whoever is in the way at the start may go, and what is missing may come. */
const PASSING = ['ENXIO'];

type Tell = (grant: Grant | Retire, fds: readonly number[]) => void;

export class Grants {
  readonly #io: NativeIo;
  readonly #log: Logger;
  readonly #tell: Tell;
  #wishes: readonly Wish[];
  #retired = false;
  #triedMs = 0;
  #lookedMs = 0;

  constructor(io: NativeIo, log: Logger, options: GrantOptions, tell: Tell) {
    this.#io = io;
    this.#log = log;
    this.#tell = tell;
    const { accessLog, adminTokenFile, tls, admin, requests } = options;
    const wishes: Wish[] = [];
    const wish = (name: GrantName, flag: string, open: () => Opened, stamp: (() => string) | null = null): void => {
      wishes.push({ name, flag, open, stamp, opened: '', seen: '', now: null, problem: '' });
    };
    if (accessLog !== '-' && accessLog !== 'off')
      wish('accessLog', `--access-log ${accessLog}`, () => openLog(accessLog));
    if (adminTokenFile !== null)
      wish('adminToken', `--admin-token-file ${adminTokenFile}`, () => openToken(adminTokenFile));
    if (tls !== null) {
      const { cert, key } = tls;
      const stamp = (): string => `${stampOf(cert)} ${stampOf(key)}`;
      wish('tls', `--tls-cert ${cert} and --tls-key ${key}`, () => openPair(cert, key), stamp);
    }
    if (admin !== null) wish('admin', `--admin ${addressText(admin.host, admin.port)}`, () => this.#listen(admin));
    if (requests !== null)
      wish('requests', `--requests ${addressText(requests.host, requests.port)}`, () => this.#listen(requests));
    this.#wishes = wishes;
  }

  /**
   * Opens everything, before anything is served. Returns what cannot be opened and why, with the flag's name, or null.
   * `portsLater`: another program still has our ports and will let go of them.
   */
  open(portsLater: boolean): string | null {
    for (const wish of this.#wishes) {
      const code = this.#try(wish);
      if (code === '') continue;
      if (!PASSING.includes(code) && !(portsLater && code === 'EADDRINUSE')) return wish.problem;
      if (!portsLater) this.#say(wish);
    }
    return null;
  }

  /** Everything, to a controller that has just started. */
  give(): void {
    for (const wish of this.#wishes) this.#give(wish);
    if (this.#retired) this.#tell({ type: 'retire' }, []);
  }

  /** The ports are a successor's from now on, and whatever else a program has of which there is one. */
  retire(): void {
    this.#retired = true;
    this.#tell({ type: 'retire' }, []);
    this.#wishes = this.#wishes.filter((wish) => {
      const port = wish.name === 'admin' || wish.name === 'requests';
      if (port) wish.now?.close();
      return !port;
    });
  }

  close(): void {
    for (const wish of this.#wishes) {
      wish.now?.close();
      wish.now = null;
    }
  }

  /** After a rotation. What cannot be opened is tried again later; the old file is used until then. */
  reopenLog(): void {
    this.#again(['accessLog']);
  }
  reread(): void {
    this.#again(['accessLog', 'adminToken', 'tls']);
  }

  /** Tries again what could not be opened, and looks whether files have changed. */
  tick(nowMs: number): void {
    if (nowMs - this.#lookedMs >= LIMITS.TLS_FILES_MS) {
      this.#lookedMs = nowMs;
      this.#look();
    }
    if (nowMs - this.#triedMs < LIMITS.OPEN_RETRY_MS) return;
    this.#triedMs = nowMs;
    this.retry();
  }
  retry(): void {
    for (const wish of this.#wishes) {
      if (wish.problem === '') continue;
      const before = wish.problem;
      const code = this.#try(wish);
      if (wish.problem === before) continue;
      if (code === '') this.#log.info('opened after all', { flag: wish.flag });
      else this.#say(wish);
      this.#give(wish);
    }
  }

  /** What has changed is opened again once it stays as it is: of two files the second may still be on its way. */
  #look(): void {
    for (const wish of this.#wishes) {
      const now = wish.stamp?.() ?? '';
      if (now !== wish.opened && now === wish.seen) this.#again([wish.name]);
      wish.seen = now;
    }
  }

  #again(names: readonly GrantName[]): void {
    for (const wish of this.#wishes) {
      if (!names.includes(wish.name)) continue;
      if (this.#try(wish) !== '') this.#say(wish);
      this.#give(wish);
    }
  }

  #say({ problem }: Wish): void {
    this.#log.error(problem, { retry_in_ms: LIMITS.OPEN_RETRY_MS });
  }

  /** Returns the name of the system's error, '' for none. */
  #try(wish: Wish): string {
    wish.opened = wish.stamp?.() ?? '';
    try {
      const opened = wish.open();
      wish.now?.close();
      wish.now = opened;
      wish.problem = '';
      return '';
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      const meaning = MEANINGS[code];
      const flag = error instanceof NotOpened ? error.flag : wish.flag;
      const problem = `${flag}: ${code}${meaning === undefined ? '' : ` (${meaning})`}`;
      wish.problem = problem;
      return code;
    }
  }

  #give({ name, now, problem }: Wish): void {
    const torn = now?.torn ?? false;
    const fds = now?.fds ?? [];
    this.#tell({ type: 'grant', name, given: fds.length, torn, problem }, fds);
  }

  #listen({ host, port }: Bind): Opened {
    let handle: Handle = -1;
    for (const address of OTHERWISE[host] ?? [host]) {
      handle = this.#io.listen(
        { family: address.includes(':') ? 'ipv6' : 'ipv4', address, port },
        // Both families by one socket: what is asked for is `::`, not a listener of a Gateway.
        { reusePort: false, dual: address === '::', backlog: LIMITS.ADMIN_CONNECTIONS },
      );
      if (handle >= 0 || !LACKING.includes(errnoName(handle))) break;
    }
    if (handle < 0) throw Object.assign(new Error(errnoName(handle)), { code: errnoName(handle) });
    return { fds: [this.#io.fdOf(handle)], torn: false, close: () => this.#io.close(handle) };
  }
}

/** O_NONBLOCK: a FIFO that nobody reads is ENXIO at once (fifo(7)). */
function openLog(path: string): Opened {
  const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY, LOG_MODE);
  return { fds: [fd], torn: endsInHalfALine(fd), close: () => closeSync(fd) };
}

function openToken(path: string): Opened {
  const fd = openFile(path);
  return { fds: [fd], torn: false, close: () => closeSync(fd) };
}

function openFile(path: string): number {
  const fd = openSync(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error('is not a regular file');
}

/** Of several files of a wish, the one that could not be opened. */
class NotOpened extends Error {
  readonly flag: string;
  readonly code: string;

  constructor(flag: string, error: unknown) {
    super((error as Error).message);
    this.flag = flag;
    this.code = (error as NodeJS.ErrnoException).code ?? this.message;
  }
}

function openPair(cert: string, key: string): Opened {
  const fds: number[] = [];
  const close = (): void => fds.forEach((fd) => void closeSync(fd));
  for (const [flag, path] of [
    ['--tls-cert', cert],
    ['--tls-key', key],
  ] as const) {
    try {
      fds.push(openFile(path));
    } catch (error) {
      close();
      throw new NotOpened(`${flag} ${path}`, error);
    }
  }
  return { fds, torn: false, close };
}

/** Whoever wrote there before may have been stopped by a full disk within a line. */
function endsInHalfALine(fd: number): boolean {
  const stat = fstatSync(fd);
  if (!stat.isFile() || stat.size === 0) return false;
  let reader = -1;
  try {
    reader = openSync(`/proc/self/fd/${fd}`, O_RDONLY | O_NONBLOCK);
    const last = new Uint8Array(1);
    return readSync(reader, last, 0, 1, stat.size - 1) === 1 && last[0] !== NEWLINE;
  } catch {
    // A file that may be written and not be read: then nobody knows.
    return false;
  } finally {
    if (reader >= 0) closeSync(reader);
  }
}
