// Certificates and trust in use: TLS is made ready when the first entry needs it, and what a revision replaces is seen
// by handshakes only when the whole revision stands.

import type { TlsIo } from '../../io/tls.ts';
import type { Entry, Key } from '../../ir/ir.ts';
import { type Installed, TlsTable } from '../tls/table.ts';
import { KEY_WORK, type Pieces, type Steps, TLS_WORK } from './pieces.ts';
import { guarded, type Undo } from './refused.ts';

export class Secrets {
  readonly #open: () => TlsIo;
  /** null until an entry needs it. */
  #table: TlsTable | null = null;
  #ticketKeys: readonly Uint8Array[] = [];
  /** What was made ready before the revision that it is of was whole. */
  readonly #ahead = new Map<Entry, Installed>();

  constructor(open: () => TlsIo) {
    this.#open = open;
  }

  get table(): TlsTable {
    if (this.#table === null) {
      this.#table = new TlsTable(this.#open());
      this.#table.io.setTicketKeys(this.#ticketKeys);
    }
    return this.#table;
  }

  get kept(): number {
    return this.#table === null ? 0 : this.#table.kept;
  }

  setTicketKeys(keys: readonly Uint8Array[]): void {
    this.#ticketKeys = keys;
    this.#table?.io.setTicketKeys(keys);
  }

  /**
   * Makes ready what an entry stands for that will probably be in the next revision; nobody sees it before that is
   * applied, and what is not in it then is undone there. What cannot be used is for the revision to refuse.
   */
  ahead(entry: Entry): void {
    if (entry.kind !== 'certificate' && entry.kind !== 'trust') return;
    try {
      this.#ahead.set(entry, this.table.install(entry));
    } catch {
      // It will throw again.
    }
  }

  /** Of what was made ready ahead what `upserts` do not have: first, for another one may stand under its key. */
  #undoOthers(upserts: readonly Entry[]): void {
    if (this.#ahead.size === 0) return;
    const wanted = new Set(upserts);
    for (const [entry, installed] of this.#ahead) {
      if (wanted.has(entry)) continue;
      this.#ahead.delete(entry);
      installed.undo();
    }
  }

  /** What of the revision is to be committed when all of it stands. Throws ApplyError. */
  *install(
    upserts: readonly Entry[],
    removed: Readonly<Record<'certificate' | 'trust', readonly Key[]>>,
    undo: Undo,
    pieces: Pieces,
  ): Steps<readonly Installed[]> {
    const installed: Installed[] = [];
    this.#undoOthers(upserts);
    const take = (one: Installed): void => {
      installed.push(one);
      undo.push(() => one.undo());
    };
    for (const key of removed.certificate) take(this.table.remove('certificate', key));
    for (const key of removed.trust) take(this.table.remove('trust', key));
    for (const entry of upserts) {
      if (entry.kind !== 'certificate' && entry.kind !== 'trust') continue;
      const ahead = this.#ahead.get(entry);
      this.#ahead.delete(entry);
      take(ahead ?? guarded(entry.key, () => this.table.install(entry)));
      if (pieces.full(ahead === undefined ? TLS_WORK : KEY_WORK)) yield;
    }
    return installed;
  }

  dispose(): void {
    this.#undoOthers([]);
    this.#table?.dispose();
  }
}
