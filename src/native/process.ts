// What a process of RAUTA tells the kernel about itself (prctl(2), setrlimit(2)).

import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { LIMITS } from '../base/limits.ts';
import { NativeError } from './errors.ts';
import * as c from './ffi.ts';
import { CAP, M, PR, RLIMIT } from './layout.ts';

/** RLIM_INFINITY */
const UNLIMITED = 0xffff_ffff_ffff_ffffn;
/** Asked once: later there may be no descriptor left to ask with. */
let mostCpu: bigint | null = null;

function hardCpuLimit(): bigint {
  const hard = /^Max cpu time\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return hard === undefined ? UNLIMITED : BigInt(hard);
}

function control(option: number, value: number, about: string): void {
  if (c.prctl(option, value, 0, 0, 0) < 0) throw new NativeError('prctl', c.errno(), about);
}

/**
 * `signal` is sent to this process when its parent dies. The kernel forgets it when the user or group changes, so it
 * comes after that; and a parent that died before is not noticed, so compare `process.ppid` afterwards.
 */
export function setParentDeathSignal(signal: NodeJS.Signals): void {
  control(PR.SET_PDEATHSIG, constants.signals[signal], signal);
}

/** Neither this process nor its children can gain privileges by exec any more. */
export function setNoNewPrivileges(): void {
  control(PR.SET_NO_NEW_PRIVS, 1, 'no new privileges');
}

/** Whether what this thread may use stays permitted (though not in force) when the user changes (capabilities(7)). */
export function keepCapabilities(keep: boolean): void {
  control(PR.SET_KEEPCAPS, keep ? 1 : 0, 'keep capabilities');
}

/**
 * Of all capabilities this thread keeps the one to read any file, or none. Whether it is as asked: it may never have
 * had that one (in a container it is not among the usual ones), and then has none.
 */
export function mayReadAnything(may: boolean): boolean {
  const kept = may ? 1 << CAP.DAC_READ_SEARCH : 0;
  // struct __user_cap_header_struct, and two of __user_cap_data_struct: effective, permitted, inheritable.
  const data = Uint32Array.of(kept, kept, 0, 0, 0, 0);
  if (c.capset(Uint32Array.of(CAP.VERSION_3, 0), data) >= 0) return true;
  if (!may) throw new NativeError('capset', c.errno(), '');
  mayReadAnything(false);
  return false;
}

/**
 * What this process was permitted when it started, as bits; of the first 32 capabilities, which is all that are asked
 * for.
 */
function permitted(): number {
  const line = /^CapPrm:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
  return Number(BigInt(`0x${line}`) & 0xffff_ffffn);
}

function setCapabilities(effective: number, kept: number): void {
  const data = Uint32Array.of(effective, kept, 0, 0, 0, 0);
  if (c.capset(Uint32Array.of(CAP.VERSION_3, 0), data) < 0) throw new NativeError('capset', c.errno(), '');
}

/**
 * For the keeper of a program that is not root: this thread may bind ports below 1024, and take from those it starts
 * what they are not to have, as far as the program's file, or whoever started it, permits that.
 */
export function raiseBinding(): void {
  const kept = permitted() & ((1 << CAP.NET_BIND_SERVICE) | (1 << CAP.SETPCAP));
  if (kept !== 0) setCapabilities(kept, kept);
}

/** No exec of this thread can give it a capability any more (capabilities(7), bounding set), where it may say so. */
export function dropBoundingSet(): void {
  for (let cap = 0; cap <= CAP.LAST && c.prctl(PR.CAPBSET_DROP, cap, 0, 0, 0) === 0; cap++);
}

/** Takes every capability from this thread; others keep theirs. Returns whether it had any. */
export function shedCapabilities(): boolean {
  const had = permitted();
  const taker = had & (1 << CAP.SETPCAP);
  if (taker !== 0) {
    setCapabilities(taker, taker);
    dropBoundingSet();
  }
  setCapabilities(0, 0);
  return had !== 0;
}

/** No core file, and no other process of the same user can look into this one's memory. */
export function forbidCoreDumps(): void {
  if (c.setrlimit(RLIMIT.CORE, new BigUint64Array(2)) < 0) throw new NativeError('setrlimit', c.errno(), 'core');
  control(PR.SET_DUMPABLE, 0, 'dumpable');
}

/**
 * The kernel ends this process (SIGXCPU) when it has used `seconds` of CPU more, whether it still runs its own code or
 * not; to be called again before. RLIMIT_CPU counts whole seconds.
 */
export function limitCpu(seconds: number): void {
  mostCpu ??= hardCpuLimit();
  const soft = BigInt(Math.ceil(cpuSeconds()) + seconds);
  const limits = new BigUint64Array([soft < mostCpu ? soft : mostCpu, mostCpu]);
  if (c.setrlimit(RLIMIT.CPU, limits) < 0) throw new NativeError('setrlimit', c.errno(), 'CPU');
}

/**
 * Fixes from what size on an allocation is pages of its own, returned when freed, and how much may stay free at the end
 * of a heap (mallopt(3)). Left alone the C library raises both to twice the largest thing ever freed: one file of 3 MB
 * read at the start is 6 MB kept for good. And fewer heaps: V8's threads would have one each.
 */
export function limitAllocator(): void {
  c.mallopt?.(M.MMAP_THRESHOLD, LIMITS.ALLOCATOR_PAGES_BYTES);
  c.mallopt?.(M.TRIM_THRESHOLD, LIMITS.ALLOCATOR_PAGES_BYTES);
  c.mallopt?.(M.ARENA_MAX, 2);
}

/** Returns the C library's free pages to the system (malloc_trim(3)); 1 to 3 ms. musl returns them by itself. */
export function trimAllocator(): void {
  c.mallocTrim?.(0);
}

/** CPU seconds of this process so far, user and system. Not for hot paths. */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
