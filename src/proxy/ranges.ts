// A set of addresses by CIDR range. The families are kept apart: `::/0` is every IPv6 address and no IPv4 one, however
// it is written (RFC 4291 section 2.5.5.2).

import { BlockList, isIP } from 'node:net';

const MAPPED = new BlockList();
MAPPED.addSubnet('::ffff:0:0', 96, 'ipv6');

export class AddressRanges {
  readonly #ipv4 = new BlockList();
  readonly #ipv6 = new BlockList();
  readonly #none: boolean;

  /** CIDR ranges or single addresses; throws on anything else. `what` they are, for its message. */
  constructor(ranges: readonly string[], what: string) {
    this.#none = ranges.length === 0;
    for (const range of ranges) {
      const [address = '', bits = ''] = range.split('/');
      const is6 = isIP(address) === 6;
      const list = is6 && !MAPPED.check(address, 'ipv6') ? this.#ipv6 : this.#ipv4;
      try {
        if (!range.includes('/')) list.addAddress(address, is6 ? 'ipv6' : 'ipv4');
        else list.addSubnet(address, /^\d{1,3}$/.test(bits) ? Number(bits) : -1, is6 ? 'ipv6' : 'ipv4');
      } catch {
        throw new Error(`${what}: ${JSON.stringify(range)} is not an address or CIDR range`);
      }
    }
  }

  /** What is no IP address is in no range. */
  has(address: string): boolean {
    const family = this.#none ? 0 : isIP(address);
    if (family === 0) return false;
    if (family === 4) return this.#ipv4.check(address, 'ipv4');
    return (MAPPED.check(address, 'ipv6') ? this.#ipv4 : this.#ipv6).check(address, 'ipv6');
  }
}
