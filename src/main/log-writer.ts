// Writes the access log out of the workers' rings to one place. It is the only writer, so lines never tear: what was
// begun is ended before anything else, or the place is brought to the end of a line. While the place takes nothing (a
// reader that stands still, a full disk, a FIFO that nobody reads) lines wait in the rings; what no longer fits there
// is dropped, oldest first, and counted.

import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { visible } from '../base/steering.ts';
import { LineCheck } from '../telemetry/line-check.ts';
import type { RingReader } from '../telemetry/log-ring.ts';
import { type AccessLogFormat, combined, describe, parseLine } from '../telemetry/recent.ts';

const NEWLINE = 0x0a;
const EAGAIN = -11;
/** The part of a ring that a look is to find taken. */
const AIM = 1 / 4;

export interface LogPlace {
  /** What it ends with is half a line. */
  readonly torn: boolean;
  /**
   * Takes some of `bytes` and calls `done`, at once or later: how many, or -errno. Until then `bytes` do not change.
   */
  write(bytes: Uint8Array, done: (taken: number) => void): void;
  close(): void;
}

/** Lines go no further than the rings. */
export const NOWHERE: LogPlace = { torn: false, write: (bytes, done) => done(bytes.length), close: () => {} };

export interface LogWriterOptions {
  readonly format: AccessLogFormat;
  readonly log: Logger;
  /** Why nothing is written, '' when it is again. */
  readonly trouble: (errno: number) => void;
  /** From now on lines go to the place that was named last; the one before is closed. */
  readonly replaced: () => void;
  /** Calls `fire` after `ms`. */
  readonly after: (ms: number, fire: () => void) => void;
}

export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #rings: readonly RingReader[];
  readonly #check = new LineCheck(LIMITS.LOG_BATCH_BYTES);
  #place: LogPlace | null = null;
  /** What to write to from now on; undefined: what there is. */
  #next: LogPlace | null | undefined;
  /** The place ends with half a line of which the rest is lost. */
  #torn = false;
  /** Lines being written, of which `#done` bytes are. They wait in `#ring` until all are. */
  #batch: Uint8Array | null = null;
  #done = 0;
  #ring: RingReader | null = null;
  #ringBytes = 0;
  #index = 0;
  /** What part of the fullest ring this look found taken. */
  #fullest = 0;
  /** Before the next look. */
  #pauseMs: number = LIMITS.LOG_PAUSE_MS;
  #errno = 0;
  #flushed: (() => void) | null = null;
  #ended = false;

  constructor(rings: readonly RingReader[], options: LogWriterOptions) {
    this.#rings = rings;
    this.#options = options;
  }

  start(): void {
    this.#again(this.#pauseMs);
  }

  /** Writes to `place` from the next line on; null: nowhere for now, lines wait. */
  use(place: LogPlace | null): void {
    if (this.#next !== undefined) this.#next?.close();
    this.#next = place;
  }

  /**
   * Writes what is left in the rings if the place takes it, and stops; what it does not take is lost. `done` is called
   * once, at the latest after FLUSH_MS / 2.
   */
  flush(done: () => void): void {
    this.#flushed = done;
    this.#options.after(LIMITS.FLUSH_MS / 2, () => this.#end());
  }

  /** The next batch of the ring whose turn it is; a pause after all had theirs: then that look is over. */
  #round(): void {
    if (this.#ended) return;
    if (this.#next !== undefined) this.#replace(this.#next);
    while (this.#batch === null && this.#index < this.#rings.length) if (!this.#fill()) this.#index++;
    if (this.#batch === null) this.#pause();
    else if (this.#place === null) this.#stuck(0);
    else if (this.#torn) this.#place.write(LINE_END, (n) => this.#onWritten(n));
    else this.#place.write(this.#batch.subarray(this.#done), (n) => this.#onWritten(n));
  }

  #pause(): void {
    // If lines go on coming as they did, the next look finds a quarter of a ring. A look costs more than its lines.
    const next = Math.floor(this.#pauseMs / (this.#fullest / AIM));
    this.#pauseMs = Math.min(LIMITS.LOG_PAUSE_MS, Math.max(LIMITS.LOG_BUSY_PAUSE_MS, next));
    this.#index = 0;
    this.#fullest = 0;
    if (this.#flushed === null) this.#again(this.#pauseMs);
    else if (this.#rings.every((ring) => ring.waiting === 0)) this.#end();
    else this.#again(0);
  }

  #again(ms: number): void {
    this.#options.after(ms, () => this.#round());
  }

  #onWritten(n: number): void {
    if (this.#ended) return;
    if (n < 0) {
      this.#stuck(n);
      return;
    }
    if (this.#errno !== 0) this.#trouble(0);
    if (this.#torn) {
      this.#torn = n === 0;
      this.#again(0);
      return;
    }
    this.#done += n;
    if (this.#done === (this.#batch as Uint8Array).length) {
      this.#drop(0);
      // Bounded writes one after the other: a long one would keep a worker on the same core waiting for milliseconds.
      if ((this.#rings[this.#index] as RingReader).waiting < LIMITS.LOG_BATCH_BYTES) this.#index++;
    }
    this.#again(0);
  }

  /** Nothing is taken now: makes room in rings that are nearly full, and tries again later. */
  #stuck(errno: number): void {
    if (errno !== EAGAIN && errno !== 0) this.#trouble(errno);
    if (this.#flushed !== null && errno !== EAGAIN) {
      this.#end();
      return;
    }
    for (const ring of this.#rings) {
      if (ring.waiting <= Math.min(LIMITS.LOG_WAITING_BYTES, ring.size * 0.75)) continue;
      if (ring === this.#ring) this.#abandon();
      ring.discard(ring.size / 4);
    }
    this.#again(LIMITS.LOG_BUSY_PAUSE_MS);
  }

  /** The rest of the batch is lost. */
  #abandon(): void {
    const batch = this.#batch as Uint8Array;
    this.#torn ||= this.#done > 0 && batch[this.#done - 1] !== NEWLINE;
    this.#drop(linesIn(batch.subarray(this.#done)));
  }

  /** Done with the batch, `lost` lines of which went nowhere. */
  #drop(lost: number): void {
    this.#ring?.drop(lost);
    this.#ring?.consume(this.#ringBytes);
    this.#batch = null;
    this.#ring = null;
    this.#done = 0;
  }

  /** Takes a batch out of the ring whose turn it is; false when there is nothing to write in it. */
  #fill(): boolean {
    const ring = this.#rings[this.#index] as RingReader;
    this.#fullest = Math.max(this.#fullest, ring.waiting / ring.size);
    if (this.#place === NOWHERE) {
      ring.consume(ring.waiting);
      return false;
    }
    const n = ring.take(this.#check.batch);
    if (n === 0) return false;
    const end = this.#check.sift(n);
    ring.drop(this.#check.bad);
    const batch = this.#shape(this.#check.batch.subarray(0, end), ring);
    if (batch.length === 0) {
      ring.consume(n);
      return false;
    }
    this.#batch = batch;
    this.#ring = ring;
    this.#ringBytes = n;
    return true;
  }

  #shape(lines: Uint8Array, ring: RingReader): Uint8Array {
    const { format } = this.#options;
    if (format === 'json') return lines;
    let text = '';
    for (const line of Buffer.from(lines).toString('utf8').split('\n')) {
      if (line === '') continue;
      const parsed = parseLine(line);
      if (parsed === null) ring.drop(1);
      else text += format === 'text' ? `${visible(describe(parsed))}\n` : combined(parsed);
    }
    return Buffer.from(text);
  }

  /** A line of which the old place has a part goes whole to the new one. */
  #replace(next: LogPlace | null): void {
    this.#place?.close();
    this.#place = next;
    this.#next = undefined;
    this.#torn = next?.torn ?? false;
    if (this.#batch !== null && this.#done > 0) this.#done = this.#batch.lastIndexOf(NEWLINE, this.#done - 1) + 1;
    this.#options.replaced();
  }

  #trouble(errno: number): void {
    if (this.#errno === errno) return;
    this.#errno = errno;
    this.#options.trouble(errno);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#giveUp();
    this.#flushed?.();
  }

  #giveUp(): void {
    let lost = this.#batch === null ? 0 : linesIn(this.#batch.subarray(this.#done));
    if (this.#batch !== null) this.#ring?.consume(this.#ringBytes);
    for (const ring of this.#rings) {
      const before = ring.dropped;
      while (ring.waiting > 0) ring.discard(ring.size);
      lost += ring.dropped - before;
    }
    if (lost > 0) this.#options.log.warn('lines of the access log are lost: it could not be written', { lines: lost });
  }
}

const LINE_END = Uint8Array.of(NEWLINE);

function linesIn(bytes: Uint8Array): number {
  let n = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) n++;
  return n;
}
