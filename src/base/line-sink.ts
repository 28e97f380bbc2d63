// Lines on their way to a place that may not take them: what it cannot take now waits, up to a limit, and what is more
// is dropped and counted. Whoever writes never waits, and a line that was begun is ended before another one.

import { LIMITS } from './limits.ts';

export interface LinePlace {
  /**
   * Takes some of `bytes` at once: how many, 0 for none now, or -1: it takes none of this, and nothing waits for it.
   */
  write(bytes: Uint8Array): number;
  /** Calls `fire` once after `ms`, without keeping the process alive. */
  after(ms: number, fire: () => void): void;
}

export class LineSink {
  readonly #place: LinePlace;
  /** The line that says how many were lost. */
  readonly #lossOf: (lines: number) => string;
  #waiting: Buffer[] = [];
  #bytes = 0;
  /** Of the first that waits. */
  #taken = 0;
  /** Half a line stands there, and its rest is lost. */
  #torn = false;
  #armed = false;
  #dropped = 0;
  /** Of them, those that no line told of yet, and those that the line tells of which stands first. */
  #unsaid = 0;
  #saying = 0;

  constructor(place: LinePlace, lossOf: (lines: number) => string) {
    this.#place = place;
    this.#lossOf = lossOf;
  }

  /** Lines lost so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** `line` with its newline. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#bytes + bytes.length > LIMITS.STDERR_BUFFER_BYTES) {
      this.#drop(1);
      return;
    }
    this.#push(bytes);
    if (!this.#armed) this.flush();
  }

  /** Tries to get rid of what waits. */
  flush(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined) {
        if (this.#unsaid === 0) return;
        this.#push(Buffer.from(this.#lossOf(this.#unsaid)));
        this.#saying = this.#unsaid;
        this.#unsaid = 0;
        continue;
      }
      const bytes = this.#torn && this.#taken === 0 ? Buffer.concat([NEWLINE, first]) : first.subarray(this.#taken);
      const n = this.#place.write(bytes);
      if (n < 0) {
        this.#fail();
        return;
      }
      if (n === 0) {
        this.#again();
        return;
      }
      this.#taken += this.#torn ? n - 1 : n;
      this.#torn = false;
      if (this.#taken < first.length) continue;
      this.#waiting.shift();
      this.#bytes -= first.length;
      this.#taken = 0;
      this.#saying = 0;
    }
  }

  #push(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Nobody is there, or there is no room: everything that waits is lost; the next line tries again. */
  #fail(): void {
    this.#torn ||= this.#taken > 0;
    // Of a line that lacks its newline only, nothing is lost.
    const ended = this.#taken > 0 && this.#taken === (this.#waiting[0] as Buffer).length - 1 ? 1 : 0;
    if (this.#saying === 0) this.#drop(this.#waiting.length - ended);
    else {
      this.#drop(this.#waiting.length - 1);
      if (ended === 0) this.#unsaid += this.#saying;
    }
    this.#saying = 0;
    this.#waiting = [];
    this.#bytes = 0;
    this.#taken = 0;
  }

  #drop(lines: number): void {
    this.#dropped += lines;
    this.#unsaid += lines;
  }

  #again(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#place.after(LIMITS.LOG_PAUSE_MS, () => {
      this.#armed = false;
      this.flush();
    });
  }
}

const NEWLINE = Buffer.from('\n');
