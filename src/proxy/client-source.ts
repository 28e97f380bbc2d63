// Where requests of one Gateway come from, where it has a say in that: who is believed, and which field names the
// client.

import { textOf } from '../base/bytes.ts';
import type { ClientSource } from '../ir/ir.ts';
import { FieldName } from './field-name.ts';
import type { Head } from './head.ts';
import { isAlike, looseName } from './lookalike.ts';
import { TrustedProxies } from './trusted.ts';

export class Clients {
  readonly trusted: TrustedProxies;
  /** The field that names the client; null: X-Forwarded-For. */
  readonly header: FieldName | null;
  /** What a backend may take for it. */
  readonly #loose: Uint8Array | null;
  /** By the bytes of an address, which all connections of it share: to look it up in ranges costs a microsecond. */
  readonly #known = new WeakMap<Uint8Array, boolean>();

  /** Throws when a range is none. */
  constructor({ trusted, header }: ClientSource) {
    this.trusted = new TrustedProxies(trusted);
    this.header = header === null ? null : new FieldName(header);
    this.#loose = this.header === null ? null : looseName(this.header.lower);
  }

  /** Whether the client's end of a connection is believed. `peer`: ASCII, without port. */
  trusts(peer: Uint8Array): boolean {
    let known = this.#known.get(peer);
    if (known === undefined) {
      known = this.trusted.hasText(textOf(peer, 0, peer.length));
      this.#known.set(peer, known);
    }
    return known;
  }

  /** Somebody who is not believed names a client: no backend is to take it for the truth. */
  discard(mem: Uint8Array, head: Head): void {
    if (this.#loose === null) return;
    for (let i = 0; i < head.count; i++) if (this.isNamed(mem, head.nameStart(i), head.nameEnd(i))) head.drop(i);
  }

  /** Whether a field of the name mem[start..end) names a client, or may be taken for the one that does. */
  isNamed(mem: Uint8Array, start: number, end: number): boolean {
    return this.#loose !== null && isAlike(mem, start, end, this.#loose);
  }
}
