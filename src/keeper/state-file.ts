// --state-file: what every worker serves, written down without private keys, so that the whole program can be started
// again and serve before whoever configures it is back (ADR 20). Written here, where that is known and where nobody
// else's death ends it; read by the controller, from a descriptor.

import { closeSync, constants, fstatSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { mayBeWritten } from '../ir/keys.ts';
import { encodeKept, type KeptBy } from '../stream/kept.ts';
import type { Grant } from '../stream/messages.ts';
import type { System } from './system.ts';

const { O_CREAT, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } = constants;
const FILE_MODE = 0o600;
const REPLACING = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
/** Of the name under which a new file is written, behind that of the file whose place it takes. */
const BESIDE = '.new';
const WRITABLE_BY_OTHERS = 0o022;

export interface StateFileSettings extends KeptBy {
  readonly path: string;
}

type Entries = Iterable<readonly [string, Buffer]>;

export class StateFile {
  readonly #settings: StateFileSettings;
  readonly #log: Logger;
  readonly #system: System;
  readonly #settled: () => Entries | null;
  readonly #tell: (grant: Grant, fds: readonly number[]) => void;
  #timed = false;
  #writing = false;
  /** Something was served that is not written. */
  #stale = false;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #problem = '';
  /** Open until somebody serves what is in it: messages that carry it may wait. */
  #given = -1;

  /** `settled`: what every worker serves; null while nothing is to be written down. `tell` is told of the file. */
  constructor(
    settings: StateFileSettings,
    system: System,
    log: Logger,
    settled: () => Entries | null,
    tell: (grant: Grant, fds: readonly number[]) => void,
  ) {
    this.#settings = settings;
    this.#system = system;
    this.#log = log;
    this.#settled = settled;
    this.#tell = tell;
  }

  /**
   * What an earlier program wrote, to the controller. It decides where traffic goes: a file that somebody else could
   * have written is none.
   */
  give(): void {
    const { path } = this.#settings;
    this.#close();
    try {
      this.#given = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
      const why = whyNot(this.#given);
      if (why === null) {
        this.#tell({ type: 'grant', name: 'state', given: 1, torn: false, problem: '' }, [this.#given]);
        return;
      }
      this.#log.warn(`--state-file ${path}: ${why}, ignored`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn(`--state-file ${path}: ${messageOf(error)}, ignored`);
    }
    this.#close();
  }

  #close(): void {
    if (this.#given >= 0) closeSync(this.#given);
    this.#given = -1;
  }

  /** Every worker serves another revision than before. */
  served(): void {
    this.#close();
    this.#stale = true;
    this.#later();
  }

  /** Soon, with what comes in the meantime, and not all the time while there are changes. */
  #later(): void {
    if (this.#timed || this.#writing) return;
    this.#timed = true;
    const rest = this.#writtenMs + LIMITS.STATE_FILE_INTERVAL_MS - this.#system.nowMs();
    this.#system.after(Math.max(LIMITS.STATE_FILE_DELAY_MS, rest), () => {
      this.#timed = false;
      this.#write();
    });
  }

  /** Writes what is served, if that is not written. */
  #write(): void {
    this.#writtenMs = this.#system.nowMs();
    const bytes = this.#bytes();
    if (bytes === null) return;
    this.#writing = true;
    replace(this.#settings.path, bytes)
      .then(
        () => this.#say(''),
        (error) => this.#failed(error),
      )
      .then(() => {
        this.#writing = false;
        if (this.#stale) this.#later();
      });
  }

  /** The program ends: what is not written yet is, at once. */
  finish(): void {
    const bytes = this.#writing ? null : this.#bytes();
    if (bytes === null) return;
    const { path } = this.#settings;
    try {
      const fd = openSync(`${path}${BESIDE}`, REPLACING, FILE_MODE);
      try {
        writeFileSync(fd, bytes);
      } finally {
        closeSync(fd);
      }
      renameSync(`${path}${BESIDE}`, path);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** What is to be written; null for nothing, or not now. */
  #bytes(): Buffer | null {
    const entries = this.#stale ? this.#settled() : null;
    if (entries === null) {
      if (this.#stale) this.#later();
      return null;
    }
    this.#stale = false;
    const written = [...entries].filter(([key]) => mayBeWritten(key));
    const bytes = encodeKept(written, this.#settings, this.#system.io.wallMs);
    if (bytes.length <= LIMITS.STATE_FILE_BYTES) return bytes;
    this.#say(`${bytes.length} bytes are more than ${LIMITS.STATE_FILE_BYTES}: not written`);
    return null;
  }

  #failed(error: unknown): void {
    this.#stale = true;
    this.#say(`cannot be written: ${messageOf(error)}`);
  }

  #say(what: string): void {
    const problem = what === '' ? '' : `--state-file ${this.#settings.path}: ${what}`;
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem === '') this.#log.info('the state file is written again', { path: this.#settings.path });
    else this.#log.error(problem);
    this.#tell({ type: 'grant', name: 'state', given: 0, torn: false, problem }, []);
  }
}

/** Whoever reads `path` finds the one before or this one, whole, also after the power went. */
async function replace(path: string, bytes: Buffer): Promise<void> {
  const beside = `${path}${BESIDE}`;
  const file = await open(beside, REPLACING, FILE_MODE);
  try {
    await file.chmod(FILE_MODE);
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}

/** Why an open file is not believed, or null. */
function whyNot(fd: number): string | null {
  const stat = fstatSync(fd);
  if (!stat.isFile()) return 'is not a regular file';
  if (stat.size > LIMITS.STATE_FILE_BYTES) return `is longer than ${LIMITS.STATE_FILE_BYTES} bytes`;
  if (stat.uid !== 0 && stat.uid !== process.getuid?.()) return `belongs to user ${stat.uid}`;
  return (stat.mode & WRITABLE_BY_OTHERS) === 0 ? null : 'can be written by others than its owner';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
