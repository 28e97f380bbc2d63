// Certificates and trust in use: TLS is made ready when the first entry needs it, and what a revision replaces is seen
// by handshakes only when the whole revision stands.

import type { TlsIo } from '../../io/tls.ts';
import type { Delta } from '../../ir/ir.ts';
import { parseKey } from '../../ir/keys.ts';
import { type Installed, TlsTable } from '../tls/table.ts';
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
  install(delta: Delta, undo: Undo): readonly Installed[] {
    const installed: Installed[] = [];
    const take = (one: Installed): void => {
      installed.push(one);
      undo.push(() => one.undo());
    };
    for (const key of delta.removals) {
      const { kind } = parseKey(key);
      if (kind === 'certificate' || kind === 'trust') take(this.table.remove(kind, key));
    }
    for (const entry of delta.upserts) {
      if (entry.kind !== 'certificate' && entry.kind !== 'trust') continue;
      take(guarded(entry.key, () => this.table.install(entry)));
    }
    return installed;
  }

  dispose(): void {
    this.#table?.dispose();
  }
}
