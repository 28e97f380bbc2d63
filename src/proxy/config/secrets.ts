// Certificates and trust in use: TLS is made ready when the first entry needs it, and what a revision replaces is seen
// by handshakes only when the whole revision stands.

import type { TlsIo } from '../../io/tls.ts';
import type { Entry, Key } from '../../ir/ir.ts';
import { type Installed, TlsTable } from '../tls/table.ts';
import { type Pieces, type Steps, TLS_WORK } from './pieces.ts';
import { guarded, type Undo } from './refused.ts';

export class Secrets {
  readonly #open: () => TlsIo;
  /** null until an entry needs it. */
  #table: TlsTable | null = null;
  #ticketKeys: readonly Uint8Array[] = [];

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

  /** What of the revision is to be committed when all of it stands. Throws ApplyError. */
  *install(
    upserts: readonly Entry[],
    removed: Readonly<Record<'certificate' | 'trust', readonly Key[]>>,
    undo: Undo,
    pieces: Pieces,
  ): Steps<readonly Installed[]> {
    const installed: Installed[] = [];
    const take = (one: Installed): void => {
      installed.push(one);
      undo.push(() => one.undo());
    };
    for (const key of removed.certificate) take(this.table.remove('certificate', key));
    for (const key of removed.trust) take(this.table.remove('trust', key));
    for (const entry of upserts) {
      if (entry.kind !== 'certificate' && entry.kind !== 'trust') continue;
      take(guarded(entry.key, () => this.table.install(entry)));
      if (pieces.full(TLS_WORK)) yield;
    }
    return installed;
  }

  dispose(): void {
    this.#table?.dispose();
  }
}
