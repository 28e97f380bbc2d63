// What the HTTP/2 connections of a worker's clients share, and how one is told that it is going to be one.

import { bytesOf, equalAt } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Core } from '../core.ts';
import { ServerStream, type StreamPool } from './downstream.ts';
import { PREFACE } from './frames.ts';
import { Turns } from './turns.ts';

const PREFACE_LINE = bytesOf(PREFACE.slice(0, PREFACE.indexOf('\n') + 1));

/** The preface's first line stands at `at`, whole (section 3.4). */
export function beginsHttp2(mem: Uint8Array, at: number): boolean {
  return equalAt(mem, at, PREFACE_LINE);
}

export class Http2Servers implements StreamPool {
  readonly core: Core;
  readonly turns: Turns;
  readonly #free: ServerStream[] = [];

  constructor(core: Core) {
    this.core = core;
    this.turns = new Turns(core);
  }

  take(): ServerStream {
    return this.#free.pop() ?? new ServerStream(this.core, this);
  }

  give(stream: ServerStream): void {
    if (this.#free.length < LIMITS.EXCHANGES_POOLED) this.#free.push(stream);
  }

  dispose(): void {
    this.turns.dispose();
  }
}
