// Whose X-Forwarded-*, Forwarded and X-Request-ID are believed.

import type { SocketAddress } from '../io/io.ts';
import { AddressRanges } from './ranges.ts';

export class TrustedProxies {
  readonly #ranges: AddressRanges;

  /** CIDR ranges or single addresses; throws on anything else. */
  constructor(ranges: readonly string[]) {
    this.#ranges = new AddressRanges(ranges, 'trusted proxies');
  }

  has(address: SocketAddress): boolean {
    return address.family !== 'unix' && this.#ranges.has(address.address);
  }

  hasText(address: string): boolean {
    return this.#ranges.has(address);
  }
}
