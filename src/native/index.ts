// The only unsafe room: everything that reaches C does so here. Typed functions over offsets and handles; no pointer
// leaves it.

import { LIMITS } from '../base/limits.ts';
import { NativeIo } from './io.ts';
import { limitAllocator } from './process.ts';

export { errnoName, NativeError } from './errors.ts';
export { NativeIo } from './io.ts';
export { confine, landlockVersion, type Opening } from './landlock.ts';
export { admitNew, holdNew } from './listening.ts';
export { PORT_TABLE_BYTES } from './local-ports.ts';
export { Reactor } from './loop.ts';
export { closeDescriptor, keepOverExec, peerCredentials, recvMessage, sendMessage, socketPair } from './message.ts';
export { Outlet } from './outlet.ts';
export {
  cpuSeconds,
  dropBoundingSet,
  forbidCoreDumps,
  keepCapabilities,
  limitCpu,
  mayReadAnything,
  raiseBinding,
  setNoNewPrivileges,
  setParentDeathSignal,
  shedCapabilities,
  trimAllocator,
} from './process.ts';
export { createShared, isShared, mapShared } from './shared.ts';
export { adoptListening, type PassedSocket, sendToUnix } from './supervision.ts';

/**
 * The process's one `Io`. `arenaBytes`: a multiple of 64 KB up to 1 GB; address space only, pages come when touched.
 */
export function openNative(options: { arenaBytes?: number } = {}): NativeIo {
  limitAllocator();
  return new NativeIo(options.arenaBytes ?? LIMITS.ARENA_BYTES);
}
