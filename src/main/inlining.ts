// How far V8's optimizing compiler draws small functions together in a worker. A request passes through many of them,
// and with V8's own bounds the outer ones call most. Flags, to be set once all code is loaded, since they are part of
// what makes cached code usable (give-back.ts).

import { LIMITS } from '../base/limits.ts';

const bytes = LIMITS.WORKER_INLINED_BYTES;

export const INLINING: readonly string[] = [
  `--max-inlined-bytecode-size-cumulative=${bytes}`,
  // Of one function that is drawn in, and of all with what was drawn into those.
  `--max-inlined-bytecode-size=${Math.floor(bytes / 6)}`,
  `--max-inlined-bytecode-size-absolute=${bytes * 2}`,
];
