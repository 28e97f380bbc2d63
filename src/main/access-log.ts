// The access log of the program: from the workers' rings to the place that the flags name.

import type { Logger } from '../base/log.ts';
import { errnoName } from '../native/index.ts';
import type { RingReader } from '../telemetry/log-ring.ts';
import type { AccessLogFormat } from '../telemetry/recent.ts';
import { placeOf, placeOfItsOwn } from './log-place.ts';
import { LogWriter } from './log-writer.ts';

export class AccessLog {
  readonly #target: string;
  readonly #log: Logger;
  readonly #writer: LogWriter;
  #problem = '';
  /** What the writer was given last is another file than before. */
  #anew = true;

  /** To be made before privileges go. `rings` may still grow until `start`. */
  constructor(target: string, format: AccessLogFormat, rings: readonly RingReader[], log: Logger) {
    this.#target = target;
    this.#log = log;
    const own = placeOfItsOwn(target);
    this.#writer = new LogWriter(rings, {
      format,
      log,
      trouble: (errno) => this.#trouble(errno),
      replaced: () => {
        if (own === null && this.#anew) log.info('access log opened', { path: target });
      },
      after: (ms, fire) => void (ms === 0 ? setImmediate(fire) : setTimeout(fire, ms)),
    });
    if (own !== null) this.#writer.use(own);
  }

  /** Why lines wait, '' for nothing. */
  get problem(): string {
    return this.#problem;
  }

  start(): void {
    this.#writer.start();
  }

  /** The file that the keeper opened, or opened again after a rotation; not `anew`: still the one it had. */
  use(fd: number, torn: boolean, anew: boolean): void {
    this.#anew = anew;
    this.#writer.use(placeOf(fd, torn));
  }

  /** Writes what is left in the rings, if it can be written, and stops. */
  flush(done: () => void): void {
    this.#writer.flush(done);
  }

  #trouble(errno: number): void {
    const before = this.#problem;
    this.#problem = errno === 0 ? '' : `--access-log ${this.#target}: cannot be written: ${errnoName(errno)}`;
    if (this.#problem !== '') this.#log.error(this.#problem);
    else if (before !== '') this.#log.info('the access log is written again', { path: this.#target });
  }
}
