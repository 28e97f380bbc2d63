// A worker's configuration without a worker: whether it takes what the translator hands out. It refuses a revision as a
// whole, so one entry that it does not take would stop everybody's changes.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { TlsIo } from '../../src/io/tls.ts';
import { decodeEntry, encodeEntry } from '../../src/ir/codec.ts';
import type { Entry } from '../../src/ir/ir.ts';
import { Config } from '../../src/proxy/config.ts';
import { Core } from '../../src/proxy/core.ts';
import { TrustedProxies } from '../../src/proxy/trusted.ts';
import { SimIo } from '../../src/sim/io.ts';
import { Cells } from '../../src/telemetry/cells.ts';

/** TLS that takes everything and says nothing: its parts are numbers. */
function numbers(): TlsIo {
  let next = 1;
  const give = (): number => next++;
  const drop = (): void => {};
  const io: Partial<TlsIo> = {
    serverContext: give,
    clientContext: give,
    dropContext: drop,
    certificate: give,
    dropCertificate: drop,
    trust: give,
    dropTrust: drop,
    setTicketKeys: drop,
  };
  return io as TlsIo;
}

/** A worker's configuration, into which everything goes as it would come: as bytes, whole, and out again. */
export class Worker {
  readonly #io = new SimIo({ seed: 1 });
  readonly #config: Config;
  readonly kinds = new Map<string, number>();

  constructor() {
    const trusted = new TrustedProxies([]);
    const core = new Core({ io: this.#io, cells: Cells.local(), records: { record: () => {} }, trusted });
    this.#config = new Config(
      core,
      { http1: { expected: 1, connect: () => null }, http2: { expected: 1, connect: () => null } },
      () => numbers(),
      () => {},
    );
  }

  takes(entries: Iterable<Entry>): void {
    const upserts = [...entries].map((entry) => decodeEntry(encodeEntry(entry)));
    this.#config.apply({ upserts, removals: [] });
    const sizes = upserts.filter(({ kind }) => kind === 'rule').length;
    assert.equal(this.#config.rules, sizes);
    for (const entry of upserts) {
      this.kinds.set(entry.kind, (this.kinds.get(entry.kind) ?? 0) + 1);
      if (entry.kind !== 'cluster') continue;
      const made = [...this.#config.clusters].find(({ key }) => key === entry.key)?.current;
      const endpoints = upserts.find(({ key }) => key === entry.endpoints);
      assert.ok(endpoints?.kind === 'endpoints', entry.key);
      assert.equal(made?.pools.length, endpoints.endpoints.length);
    }
    this.#config.apply({ upserts: [], removals: upserts.map(({ key }) => key) });
    // What secured clusters is kept for a while for those who began before.
    this.#io.nowMs += LIMITS.RETIRED_TLS_MS + 1_000;
    this.#io.timers.advance(this.#io.nowMs);
    for (const [what, count] of Object.entries(this.#config.kept)) assert.equal(count, 0, what);
  }
}
