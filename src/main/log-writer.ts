// Writes the access log out of the workers' rings, to one place and from where the lines stand, without a copy. It is the only
// writer, so lines never tear; a slow reader of our output fills the rings, which then drop and count.

import { closeSync, openSync, writev, writevSync } from 'node:fs';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { RingReader } from '../telemetry/log-ring.ts';
import { combined, type RequestLine } from '../telemetry/recent.ts';

export interface LogWriterOptions {
  /** '-' for standard output, 'off', or a file's path. */
  readonly target: string;
  readonly format: 'json' | 'combined';
}

const STDOUT = 1;
const NOWHERE = -1;

export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #rings: readonly RingReader[];
  readonly #log: Logger;
  #fd: number;
  #reopen = false;
  #stopped = false;
  #timer: NodeJS.Timeout | null = null;
  #failed = false;

  constructor(options: LogWriterOptions, rings: readonly RingReader[], log: Logger) {
    this.#options = options;
    this.#rings = rings;
    this.#log = log;
    this.#fd = this.#open();
  }

  start(): void {
    this.#again(LIMITS.LOG_IDLE_MS);
  }

  /** After a log rotation moved the file away: done between two writes. */
  reopen(): void {
    this.#reopen = true;
  }

  /** Writes what is left in the rings and stops. */
  flush(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#fd === NOWHERE) return;
    for (const ring of this.#rings) writeAll(this.#fd, this.#shape(ring.pending(LIMITS.LOG_RING_BYTES)));
  }

  #open(): number {
    const { target } = this.#options;
    if (target === 'off') return NOWHERE;
    return target === '-' ? STDOUT : openSync(target, 'a', 0o640);
  }

  #again(ms: number): void {
    if (!this.#stopped) this.#timer = setTimeout(() => this.#round(0, false), ms);
  }

  /** One ring after the other, each up to the end of a line. */
  #round(index: number, wrote: boolean): void {
    if (this.#stopped) return;
    if (this.#reopen) this.#replace();
    const ring = this.#rings[index];
    if (ring === undefined) {
      this.#again(wrote ? LIMITS.LOG_BUSY_MS : LIMITS.LOG_IDLE_MS);
      return;
    }
    const pieces = ring.pending(LIMITS.LOG_BATCH_BYTES);
    if (pieces.length === 0) this.#round(index + 1, wrote);
    else if (this.#fd === NOWHERE) {
      ring.consume(sizeOf(pieces));
      this.#round(index + 1, true);
    } else {
      this.#write(this.#shape(pieces), () => {
        ring.consume(sizeOf(pieces));
        // Small writes one after the other: a long one would keep a worker on the same core waiting for milliseconds.
        this.#round(ring.waiting >= LIMITS.LOG_BATCH_BYTES ? index : index + 1, true);
      });
    }
  }

  #replace(): void {
    this.#reopen = false;
    try {
      const next = this.#open();
      if (this.#fd > STDOUT) closeSync(this.#fd);
      this.#fd = next;
    } catch (error) {
      this.#log.error('cannot reopen the access log', {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** In libuv's pool: a pipe that nobody reads blocks a thread there, not us. */
  #write(pieces: readonly Uint8Array[], done: () => void): void {
    writev(this.#fd, pieces, (error, written) => {
      if (this.#stopped) return;
      if (error !== null && error.code !== 'EAGAIN') {
        if (!this.#failed) this.#log.error('cannot write the access log', { reason: error.message });
        this.#failed = true;
        done();
        return;
      }
      this.#failed = false;
      const rest = error === null ? behind(pieces, written) : pieces;
      if (rest.length === 0) done();
      else setTimeout(() => this.#write(rest, done), error === null ? 0 : LIMITS.LOG_BUSY_MS);
    });
  }

  #shape(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
    if (this.#options.format === 'json' || pieces.length === 0) return pieces;
    const text = Buffer.concat(pieces)
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => combined(JSON.parse(line) as RequestLine))
      .join('');
    return [Buffer.from(text)];
  }
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((n, piece) => n + piece.length, 0);
}

/** What is left of `pieces` after the first `n` bytes. */
function behind(pieces: readonly Uint8Array[], n: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  let skip = n;
  for (const piece of pieces) {
    if (skip < piece.length) out.push(piece.subarray(skip));
    skip = Math.max(0, skip - piece.length);
  }
  return out;
}

function writeAll(fd: number, pieces: readonly Uint8Array[]): void {
  try {
    for (let rest = pieces; rest.length > 0; ) rest = behind(rest, writevSync(fd, rest));
  } catch {
    // The reader of our output is gone or full, and we are stopping: nobody is left to tell.
  }
}
