// The access log of the program: from the workers' rings to the place that the flags name, opened again when that is asked for
// and, where it cannot be, every two seconds until it can.

import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { errnoName } from '../native/index.ts';
import type { RingReader } from '../telemetry/log-ring.ts';
import { openLog } from './log-place.ts';
import { LogWriter } from './log-writer.ts';

const NO_READER = 'ENXIO';

export class AccessLog {
  readonly #target: string;
  readonly #log: Logger;
  readonly #writer: LogWriter;
  #retry: NodeJS.Timeout | null = null;
  #cannotOpen = '';
  #cannotWrite = '';

  constructor(target: string, format: 'json' | 'combined', rings: readonly RingReader[], log: Logger) {
    this.#target = target;
    this.#log = log;
    this.#writer = new LogWriter(rings, {
      format,
      log,
      trouble: (errno) => this.#trouble(errno),
      after: (ms, fire) => void (ms === 0 ? setImmediate(fire) : setTimeout(fire, ms)),
    });
  }

  /** What is wrong with it now, '' for nothing. */
  get problem(): string {
    return this.#cannotOpen || this.#cannotWrite;
  }

  /** `first`: nothing was served before; then a place that cannot be opened is the caller's error, but for a FIFO without a reader. */
  start(first: boolean): void {
    try {
      this.#writer.use(openLog(this.#target));
    } catch (error) {
      if (first && codeOf(error) !== NO_READER) throw error;
      this.#failed(error);
    }
    this.#writer.start();
  }

  /** After a rotation moved the file away. Until the new one can be opened lines go on into the old one. */
  reopen(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    try {
      this.#writer.use(openLog(this.#target));
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#cannotOpen = '';
    this.#log.info('access log opened', { path: this.#target });
  }

  /** Writes what is left in the rings, if it can be written, and stops. `leave`: another writer goes on with what could not. */
  flush(done: () => void, leave: boolean): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#writer.flush(done, leave);
  }

  #failed(error: unknown): void {
    const code = codeOf(error);
    const why = code === NO_READER ? 'nobody reads from it (ENXIO)' : code;
    const text = `--access-log ${this.#target}: cannot be opened: ${why}`;
    if (text !== this.#cannotOpen) this.#log.error(text, { retry_in_ms: LIMITS.LOG_REOPEN_MS });
    this.#cannotOpen = text;
    this.#retry = setTimeout(() => this.reopen(), LIMITS.LOG_REOPEN_MS);
  }

  #trouble(errno: number): void {
    const before = this.#cannotWrite;
    this.#cannotWrite = errno === 0 ? '' : `--access-log ${this.#target}: cannot be written: ${errnoName(errno)}`;
    if (this.#cannotWrite !== '') this.#log.error(this.#cannotWrite);
    else if (before !== '') this.#log.info('the access log is written again', { path: this.#target });
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
