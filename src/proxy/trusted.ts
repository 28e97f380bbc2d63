// Whose X-Forwarded-*, Forwarded and X-Request-ID are believed.

import { BlockList, isIPv6 } from 'node:net';
import type { SocketAddress } from '../io/io.ts';

export class TrustedProxies {
  readonly #list: BlockList | null;

  /** CIDR ranges or single addresses; throws on anything else. */
  constructor(ranges: readonly string[]) {
    if (ranges.length === 0) {
      this.#list = null;
      return;
    }
    this.#list = new BlockList();
    for (const range of ranges) {
      const [address = '', bits] = range.split('/');
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      try {
        if (bits === undefined) this.#list.addAddress(address, family);
        else this.#list.addSubnet(address, /^\d{1,3}$/.test(bits) ? Number(bits) : -1, family);
      } catch {
        throw new Error(`trusted proxies: ${JSON.stringify(range)} is not an address or CIDR range`);
      }
    }
  }

  has(address: SocketAddress): boolean {
    return this.#list !== null && address.family !== 'unix' && this.#list.check(address.address, address.family);
  }

  hasText(address: string): boolean {
    return this.#list?.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') ?? false;
  }
}
