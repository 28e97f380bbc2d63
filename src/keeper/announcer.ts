// Tells whoever started the program how it does (sd_notify(3)): once it serves, while it reads its files anew, when it
// stops, and, where that is asked for, now and then that it is alive. A successor by --takeover says that it is the one
// to ask from now on, before the one that it succeeds is told to go.

import { LIMITS } from '../base/limits.ts';
import type { System } from './system.ts';

export class Announcer {
  readonly #system: Pick<System, 'supervisor' | 'after'>;
  readonly #revision: () => number;
  /** Microseconds; of a successor, what its predecessor was started with. */
  #watchdogUs: number;
  #serving = false;
  #reloading = false;
  /** It is not, or no longer, this program's turn to say anything. */
  #silent = false;

  /** `revision`: what every worker serves. */
  constructor(system: Pick<System, 'supervisor' | 'after'>, revision: () => number) {
    this.#system = system;
    this.#revision = revision;
    this.#watchdogUs = system.supervisor.watchdogUs;
    this.#beat();
  }

  get watchdogUs(): number {
    return this.#watchdogUs;
  }

  /** What a predecessor is watched by holds for this program, too: it was started by no supervisor itself. */
  inherit(watchdogUs: number): void {
    if (this.#watchdogUs > 0 || watchdogUs === 0) return;
    this.#watchdogUs = watchdogUs;
    this.#beat();
  }

  /** To be called before a predecessor is told to go: a supervisor is to know whom to ask by then. */
  serving(): void {
    this.#serving = true;
    this.#say('READY=1', `MAINPID=${process.pid}`, `STATUS=serving revision ${this.#revision()}`);
  }

  reloading(): void {
    if (!this.#serving || this.#silent) return;
    this.#reloading = true;
    this.#say('RELOADING=1', 'STATUS=reading everything again');
  }

  /** What was asked for is done, or a new controller reads everything anyway. */
  reloaded(): void {
    if (!this.#reloading) return;
    this.#reloading = false;
    this.#say('READY=1', `STATUS=serving revision ${this.#revision()}`);
  }

  /** Not of a program that never served: it may be a successor that failed, of a service that goes on. */
  stopping(status: string): void {
    if (this.#serving) this.#say('STOPPING=1', `STATUS=${status}`);
  }

  /** A successor speaks from now on. */
  succeeded(): void {
    this.#silent = true;
  }

  /** Twice as often as it is waited for. */
  #beat(): void {
    if (this.#watchdogUs === 0) return;
    this.#say('WATCHDOG=1');
    const ms = Math.max(LIMITS.WATCHDOG_LEAST_MS, Math.floor(this.#watchdogUs / 2_000));
    this.#system.after(ms, () => !this.#silent && this.#beat());
  }

  #say(...lines: readonly string[]): void {
    if (!this.#silent) this.#system.supervisor.notify(lines.join('\n'));
  }
}
