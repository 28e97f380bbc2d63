// The FFI library, loaded once, from this project's own dependency and only if its bytes are the ones reviewed; and the
// C functions called through it. Nothing else in RAUTA touches it.

import { createHash } from 'node:crypto';
import { DynamicLibrary } from 'node:ffi';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { EXIT, ExitError } from '../base/errors.ts';

/** SHA-256 of `koffi.node` in the platform packages of koffi 3.3.4, by `<libc>_<arch>`. */
export const FFI_SHA256: Readonly<Record<string, string>> = {
  linux_x64: 'bee3ebc173f47178269e8441fbfd90899c8fe6bc3c948f481c79670f924b1725',
  musl_x64: '9adcea38c4feb5bdf91d07535c75d9d1caecf7a9b9f8cc87a9a1271a52d8b1ab',
  linux_arm64: '7086182b845ae3a0e22113513c9a4e4f2b7838814b079c9a91270887eab1adf1',
  musl_arm64: '07454e12b8c3f3444d8fb74d533f9a5c4951b4cb2040d43987e46168b7de2a45',
};

/**
 * How a value is passed to C. `long` is any 64-bit value exact in a double, as every `address` of a process is on both
 * architectures; `bytes` a typed array of our own, for calls that are rare.
 */
type Kind = 'int' | 'address' | 'long' | 'bytes';
type Passed<K extends Kind> = K extends 'bytes' ? NodeJS.TypedArray : number;
type Arguments<K extends readonly Kind[]> = { [I in keyof K]: Passed<K[I]> };

/** What the poll of the event loop hands back: readiness of a descriptor as a libuv watcher. */
export interface PollHandle {
  start(options: { readable: boolean }, callback: () => void): void;
  stop(): void;
  close(): void;
}

interface Ffi {
  load(path: null): { func(name: string, result: string, args: readonly string[]): unknown };
  view(address: bigint, bytes: number): ArrayBuffer;
  address(buffer: ArrayBuffer): bigint;
  errno(): number;
  proto(definition: string): unknown;
  pointer(type: unknown): unknown;
  register(callback: (...args: number[]) => number, type: unknown): bigint;
  readonly node: {
    poll(fd: number, options: { readable: boolean }, callback: () => void): PollHandle | null;
  };
}

/** The bytes at `path` are those of `sha256`, or an error that says which file to look at. */
export function verifyBinary(path: string, sha256: string | undefined): void {
  if (!existsSync(path)) {
    throw new ExitError(EXIT.cannotRun, `the FFI library is not installed: ${path} is missing (run 'make deps')`);
  }
  const actual = createHash('sha256').update(readFileSync(path)).digest('hex');
  if (actual !== sha256) {
    throw new ExitError(EXIT.cannotRun, `${path} has SHA-256 ${actual}, expected ${sha256 ?? 'none'}: not loaded`);
  }
}

/** The C library of this process, from its own memory map: the loader of musl names itself. */
function libcName(): 'linux' | 'musl' {
  try {
    return readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-') ? 'musl' : 'linux';
  } catch (error) {
    throw new ExitError(EXIT.cannotRun, `/proc has to be mounted: ${error instanceof Error ? error.message : error}`);
  }
}

const libc = libcName();

function loadFfi(): Ffi {
  const arch = process.arch;
  if (process.platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw new ExitError(EXIT.cannotRun, `RAUTA runs on Linux on x86-64 and arm64, not on ${process.platform} ${arch}`);
  }
  const build = `${libc}_${arch}`;
  const path = fileURLToPath(
    new URL(`../../node_modules/@koromix/koffi-linux-${arch}/${build}/koffi.node`, import.meta.url),
  );
  verifyBinary(path, FFI_SHA256[build]);
  return createRequire(import.meta.url)(path) as Ffi;
}

const ffi = loadFfi();
const library = ffi.load(null);
const TYPES = { int: 'int', address: 'long', long: 'long', bytes: 'void *' } as const;

/** The C function `name` of this process; a missing one is a plain error at start, never a crash later. */
export function symbol<const K extends readonly Kind[]>(
  name: string,
  args: K,
  result: 'int' | 'long' = 'int',
): (...args: Arguments<K>) => number {
  try {
    const types = args.map((kind) => TYPES[kind]);
    return library.func(name, result, types) as (...args: Arguments<K>) => number;
  } catch (cause) {
    throw missing(name, cause);
  }
}

function missing(name: string, cause: unknown): ExitError {
  return new ExitError(EXIT.cannotRun, `this system's C library has no ${name}(): ${String(cause)}`);
}

/** Of this process, as `library`, by Node's own foreign functions. */
const own = new DynamicLibrary(null);

/**
 * The same for a function of at most six arguments that every request passes through. Each argument is a bigint of 0 or
 * more, for that is what Node asks for where nothing but pointers is declared, and only then does it hand out the bare
 * function, which optimized code calls by a stub of a few instructions, instead of one that looks every argument up in
 * a table first. `BigInt(x)` of a small integer, and its sum with a bigint, cost nothing there and are not allocated.
 * A single argument is looked up all the same: beside it stands another one, `unused`, which C does not look at. The C
 * function must not call back into JavaScript.
 */
export function direct<const K extends readonly ('int' | 'address' | 'unused')[]>(
  name: string,
  args: K,
): (...args: { [I in keyof K]: bigint }) => number {
  try {
    const signature = { arguments: args.map(() => 'pointer' as const), return: 'int32' as const };
    return own.getFunction(name, signature) as (...args: readonly unknown[]) => number;
  } catch (cause) {
    throw missing(name, cause);
  }
}

/** errno of the last call into C, by `symbol` or `direct`; only meaningful right after it failed. */
export const errno: () => number = ffi.errno;
/** The memory at `address` as an ArrayBuffer that does not own it. */
export function view(address: number, bytes: number): ArrayBuffer {
  return ffi.view(BigInt(address), bytes);
}
/** Where `buffer` begins; it must never move. */
export function addressOf(buffer: ArrayBuffer): number {
  return Number(ffi.address(buffer));
}
/**
 * The address of a C function that calls `callback` with six numbers and gives its answer. It lives as long as the
 * process. It must not throw: what is above it is C.
 */
export function callbackAddress(name: string, callback: (...args: number[]) => number): number {
  const type = ffi.proto(`int ${name}(long, long, long, long, int, long)`);
  return Number(ffi.register(callback, ffi.pointer(type)));
}
/** Calls back from libuv's loop while `fd` is readable. */
export function pollReadable(fd: number, callback: () => void): PollHandle {
  const handle = ffi.node.poll(fd, { readable: true }, callback);
  if (handle === null) throw new ExitError(EXIT.cannotRun, 'the event loop cannot poll the reactor');
  return handle;
}

// Hot. `ssize_t` results are read as int, since no length given reaches 2^31.
export const recv = direct('recv', ['int', 'address', 'int', 'int']);
export const send = direct('send', ['int', 'address', 'int', 'int']);
export const epollWait = direct('epoll_wait', ['int', 'address', 'int', 'int']);
export const splice = direct('splice', ['int', 'address', 'int', 'address', 'int', 'int']);
export const recvmmsg = direct('recvmmsg', ['int', 'address', 'int', 'int', 'address']);
export const sendmmsg = direct('sendmmsg', ['int', 'address', 'int', 'int']);
/** What a connection or a run passes; who has no hurry calls the same by what follows. */
export const each = {
  sendmsg: direct('sendmsg', ['int', 'address', 'int']),
  accept4: direct('accept4', ['int', 'address', 'address', 'int']),
  epollCtl: direct('epoll_ctl', ['int', 'int', 'int', 'address']),
  socket: direct('socket', ['int', 'int', 'int']),
  connect: direct('connect', ['int', 'address', 'int']),
  setsockopt: direct('setsockopt', ['int', 'int', 'int', 'address', 'int']),
  shutdown: direct('shutdown', ['int', 'int']),
  /** Of a function of one argument Node makes a wrapper; what stands behind that one is not looked at. */
  close: direct('close', ['int', 'int']),
};

export const read = symbol('read', ['int', 'address', 'int']);
export const socket = symbol('socket', ['int', 'int', 'int']);
export const connect = symbol('connect', ['int', 'address', 'int']);
export const setsockopt = symbol('setsockopt', ['int', 'int', 'int', 'address', 'int']);
export const getsockopt = symbol('getsockopt', ['int', 'int', 'int', 'address', 'address']);
export const getpeername = symbol('getpeername', ['int', 'address', 'address']);
export const getsockname = symbol('getsockname', ['int', 'address', 'address']);
export const closeFd = symbol('close', ['int']);

// Rare.
export const sendmsg = symbol('sendmsg', ['int', 'address', 'int']);
export const epollCreate = symbol('epoll_create1', ['int']);
export const bind = symbol('bind', ['int', 'address', 'int']);
export const listen = symbol('listen', ['int', 'int']);
export const socketpair = symbol('socketpair', ['int', 'int', 'int', 'address']);
export const sendBytes = symbol('send', ['int', 'bytes', 'int', 'int']);
export const recvmsg = symbol('recvmsg', ['int', 'address', 'int']);
export const pipe2 = symbol('pipe2', ['address', 'int']);
// fcntl is variadic: with integer arguments both ABIs pass them as they pass named ones.
export const fcntl = symbol('fcntl', ['int', 'int', 'int']);
export const ioctl = symbol('ioctl', ['int', 'long', 'address']);
export const mmap = symbol('mmap', ['long', 'long', 'int', 'int', 'int', 'long'], 'long');
export const madvise = symbol('madvise', ['address', 'long', 'int']);
/** null with musl, which has neither. */
export const mallopt = libc === 'musl' ? null : symbol('mallopt', ['int', 'int']);
export const mallocTrim = libc === 'musl' ? null : symbol('malloc_trim', ['long']);
export const memfdCreate = symbol('memfd_create', ['bytes', 'int']);
export const ftruncate = symbol('ftruncate', ['int', 'long']);
export const prctl = symbol('prctl', ['int', 'long', 'long', 'long', 'long']);
export const capset = symbol('capset', ['bytes', 'bytes']);
export const setrlimit = symbol('setrlimit', ['int', 'bytes']);
// syscall(2) is variadic, as fcntl is.
export const syscallVersion = symbol('syscall', ['long', 'long', 'long', 'int'], 'long');
export const landlockCreateRuleset = symbol('syscall', ['long', 'bytes', 'long', 'int'], 'long');
export const landlockAddRule = symbol('syscall', ['long', 'int', 'int', 'bytes', 'int'], 'long');
export const landlockRestrictSelf = symbol('syscall', ['long', 'int', 'int'], 'long');

// libuv's functions are part of Node's own ABI; these are for those who wait in its stead (its manual,
// "uv_backend_fd").
const loop = symbol('uv_default_loop', [], 'long')();
const loopAt = BigInt(loop);
const updateTime = direct('uv_update_time', ['address', 'unused']);
const backendTimeout = direct('uv_backend_timeout', ['address', 'unused']);

/** The descriptor by which libuv's default loop waits. */
export function uvBackendFd(): number {
  return symbol('uv_backend_fd', ['long'])(loop);
}

/**
 * For how many ms libuv would wait from now on, were it its turn: until its next timer, 0 when something is to be done
 * at once (an immediate, say) or nothing keeps the process alive, -1 for ever.
 */
export function uvWouldWait(): number {
  updateTime(loopAt, 0n);
  return backendTimeout(loopAt, 0n);
}
