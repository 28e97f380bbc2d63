// The Secret of --keys-secret: secrets that all replicas derive the keys of session tickets from, made and rotated by
// the leader (docs/adr/0024-shared-keys.md). Replicas read it as a file (--keys-file), each when its volume follows, so
// a secret is in it for a whole time before it is the one that issues.

import { randomBytes } from 'node:crypto';
import { fields } from '../../base/fields.ts';
import { secretsOf, textOfSecrets } from '../../base/key-lines.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import type { Answer, Api } from './api.ts';

/** As much as `openssl rand -base64 48` gives. */
const BYTES = 48;
/** When its first line began to issue (RFC 3339). */
const ROTATED_ANNOTATION = 'rauta.io/rotated';
/** The file in a volume of it. */
const FIELD = 'keys';

export interface SharedKeysTools {
  readonly api: Api;
  readonly timers: Timers;
  readonly wall: () => Date;
  readonly leads: () => boolean;
  /** Something happened: for the log, and nothing of a key in it. */
  readonly say: (level: 'info' | 'warn', message: string) => void;
}

/**
 * What the lines are at `nowMs` (wall clock) after they were `text`, whose first line issues since `rotatedMs` (NaN:
 * nobody knows): the one that issues, the one that will be next, and the one before. Null: they stay. Throws Error for
 * a text that is none (secretsOf).
 */
export function rotated(text: string, rotatedMs: number, nowMs: number): string | null {
  const [issuing, next, ...older] = secretsOf(text);
  // A clock that was set back does not keep a key for years.
  if (Math.abs(nowMs - rotatedMs) < LIMITS.TLS_TICKET_ROTATION_MS) return null;
  const fresh = randomBytes(BYTES);
  // Made by somebody else: the one that issues goes on until the other is everywhere.
  if (next === undefined) return textOfSecrets([issuing as Buffer, fresh]);
  if (Number.isNaN(rotatedMs)) return textOfSecrets([issuing as Buffer, next, ...older]);
  return textOfSecrets([next, fresh, issuing as Buffer]);
}

export class SharedKeys {
  readonly #tools: SharedKeysTools;
  readonly #path: string;
  readonly #what: string;
  #cancel: (() => void) | null = null;
  #looking = false;
  #stopped = false;
  /** What went wrong last, that it is not said again. */
  #told = '';

  /** `place` is `NAMESPACE/NAME`. */
  constructor(place: string, tools: SharedKeysTools) {
    const [namespace, name] = place.split('/');
    this.#tools = tools;
    this.#path = `/api/v1/namespaces/${namespace}/secrets/${name}`;
    this.#what = `Secret ${place}`;
  }

  /** This program leads from now on. */
  lead(): void {
    this.#cancel?.();
    this.#cancel = null;
    if (!this.#looking && !this.#stopped) void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    const problem = await this.#keep(0);
    this.#looking = false;
    if (this.#stopped || !this.#tools.leads()) return;
    if (problem !== '' && problem !== this.#told) this.#tools.say('warn', `${this.#what}: ${problem}`);
    if (problem === '' && this.#told !== '') this.#tools.say('info', `${this.#what}: keys are kept in it again`);
    this.#told = problem;
    const wait = problem === '' ? LIMITS.KEYS_SECRET_LOOK_MS : LIMITS.KEYS_SECRET_RETRY_MS;
    this.#cancel = this.#tools.timers.after(wait, () => this.lead());
  }

  /** Writes it if that is due. Returns what is wrong, or ''. */
  async #keep(conflicts: number): Promise<string> {
    const { api, leads, wall } = this.#tools;
    const found = await api.ask({ verb: 'get', kind: 'Secret', path: this.#path });
    if (!found.ok) return notDone('cannot be read', found);
    const { metadata, data } = fields(found.body);
    const { annotations, resourceVersion } = fields(metadata);
    const now = wall();
    const before = fields(data)[FIELD];
    const rotatedMs = Date.parse(String(fields(annotations)[ROTATED_ANNOTATION] ?? ''));
    const text = typeof before === 'string' ? Buffer.from(before, 'base64').toString('latin1') : '';
    const next = this.#next(text, rotatedMs, now.getTime());
    if (next === null) return '';
    const written = await api.ask({
      verb: 'patch',
      kind: 'Secret',
      path: this.#path,
      contentType: 'application/merge-patch+json',
      body: {
        metadata: { resourceVersion, annotations: { [ROTATED_ANNOTATION]: `${now.toISOString().slice(0, 19)}Z` } },
        data: { [FIELD]: Buffer.from(next).toString('base64') },
      },
      mayStart: leads,
    });
    // Somebody else wrote into it in between.
    if (!written.ok && written.failure.code === 409 && conflicts < LIMITS.STATUS_CONFLICTS)
      return await this.#keep(conflicts + 1);
    if (!written.ok) return notDone('cannot be written', written);
    const done = Number.isNaN(rotatedMs) ? 'keys are kept in it from now on' : 'keys rotated';
    this.#tools.say('info', `${this.#what}: ${done}`);
    return '';
  }

  #next(text: string, rotatedMs: number, nowMs: number): string | null {
    if (text !== '') {
      try {
        return rotated(text, rotatedMs, nowMs);
      } catch (error) {
        this.#tools.say('warn', `${this.#what}: its field ${FIELD} ${(error as Error).message}; keys are made anew`);
      }
    }
    return textOfSecrets([randomBytes(BYTES), randomBytes(BYTES)]);
  }
}

function notDone(what: string, { failure: { reason, message } }: Answer & { ok: false }): string {
  return `${what}: ${reason}: ${message}`;
}
