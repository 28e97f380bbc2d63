// What one worker is sent: changes as they come, or, when it did not read for long, everything afresh once it reads again.
// A slow one holds nobody back and makes nobody's memory grow.

import { LIMITS } from '../base/limits.ts';
import type { Link } from './channel.ts';

export class Outbox {
  readonly link: Pick<Link<never>, 'queued'>;
  /** Its next revision must be a full one. */
  behind = true;

  constructor(link: Pick<Link<never>, 'queued'>) {
    this.link = link;
  }

  /** Whether a change may go to it. If not it is behind from now on, and the change reaches it with everything else. */
  takesChange(): boolean {
    if (this.link.queued > LIMITS.STREAM_QUEUE_BYTES) this.behind = true;
    return !this.behind;
  }

  /** Whether it is behind and has read all that it was sent before. */
  get hungry(): boolean {
    return this.behind && this.link.queued === 0;
  }
}
