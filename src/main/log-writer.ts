// Takes the access log out of the workers' rings and writes it to one place. It is the only writer, so lines never tear;
// a slow reader of our output fills the rings, which then drop and count.

import { closeSync, openSync, write, writeSync } from 'node:fs';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { RingReader } from '../telemetry/log-ring.ts';
import { combined, type Recent, type RequestLine } from '../telemetry/recent.ts';

export interface LogWriterOptions {
  /** '-' for standard output, 'off', or a file's path. */
  readonly target: string;
  readonly format: 'json' | 'combined';
}

const STDOUT = 1;
const NOWHERE = -1;

export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #recent: Recent;
  readonly #log: Logger;
  readonly #rings: RingReader[] = [];
  #fd: number;
  #writing = false;
  #timer: NodeJS.Timeout | null = null;
  #failed = false;

  constructor(options: LogWriterOptions, recent: Recent, log: Logger) {
    this.#options = options;
    this.#recent = recent;
    this.#log = log;
    this.#fd = this.#open();
  }

  addRing(ring: RingReader): void {
    this.#rings.push(ring);
  }

  start(): void {
    this.#schedule(LIMITS.LOG_IDLE_MS);
  }

  /** After a log rotation moved the file away. */
  reopen(): void {
    if (this.#fd > STDOUT) closeSync(this.#fd);
    this.#fd = this.#open();
  }

  /** Writes what is left in the rings and stops. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const ring of this.#rings) {
      for (;;) {
        const lines = ring.take(LIMITS.LOG_BATCH_BYTES);
        if (lines.length === 0) break;
        this.#recent.add(lines);
        if (this.#fd !== NOWHERE) writeAll(this.#fd, this.#shape(lines));
      }
    }
  }

  #open(): number {
    const { target } = this.#options;
    if (target === 'off') return NOWHERE;
    return target === '-' ? STDOUT : openSync(target, 'a', 0o640);
  }

  #schedule(ms: number): void {
    this.#timer = setTimeout(() => this.#poll(), ms);
  }

  #poll(): void {
    if (this.#writing) return;
    const parts = this.#rings.map((ring) => ring.take(LIMITS.LOG_BATCH_BYTES)).filter((part) => part.length > 0);
    if (parts.length === 0) {
      this.#schedule(LIMITS.LOG_IDLE_MS);
      return;
    }
    for (const part of parts) this.#recent.add(part);
    if (this.#fd === NOWHERE) {
      this.#schedule(LIMITS.LOG_BUSY_MS);
      return;
    }
    this.#writing = true;
    this.#write(parts.length === 1 ? this.#shape(parts[0] as Buffer) : this.#shape(Buffer.concat(parts)), 0);
  }

  /** In libuv's pool: a pipe that nobody reads blocks a thread there, not us. */
  #write(bytes: Buffer, from: number): void {
    write(this.#fd, bytes, from, bytes.length - from, null, (error, written) => {
      if (error !== null && error.code !== 'EAGAIN') {
        if (!this.#failed) this.#log.error('cannot write the access log', { reason: error.message });
        this.#failed = true;
      } else {
        this.#failed = false;
        const next = from + (error === null ? written : 0);
        if (next < bytes.length) {
          setTimeout(() => this.#write(bytes, next), error === null ? 0 : LIMITS.LOG_BUSY_MS);
          return;
        }
      }
      this.#writing = false;
      this.#schedule(LIMITS.LOG_BUSY_MS);
    });
  }

  #shape(lines: Buffer): Buffer {
    if (this.#options.format === 'json') return lines;
    const text = lines
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => combined(JSON.parse(line) as RequestLine))
      .join('');
    return Buffer.from(text);
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  } catch {
    // The reader of our output is gone or full, and we are stopping: nobody is left to tell.
  }
}
