// Addresses of Gateways: what each asks for, and what it gets. (apis/v1 GatewaySpec.Addresses)

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { bytesOf } from '../base/bytes.ts';
import { fields } from '../base/fields.ts';
import { hash32 } from '../base/hash.ts';
import type { IpRange } from '../base/ip.ts';
import { formatIp, isPlainIp, parseIp, parseRange } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Fault } from './conditions.ts';
import type { AddressClaim, Claimant, Pool, TranslatorOptions } from './context.ts';
import { list, shown, text } from './read.ts';

/** What one Gateway gets. */
export interface Addresses {
  readonly bound: readonly string[];
  /** Its own, for its status. */
  readonly status: readonly string[];
  /** It also has those that lead to the default ones (reach.ts). */
  readonly open: boolean;
  readonly fault: Fault | null;
}

export function claimAddresses(object: KubeObject, options: TranslatorOptions, problems: Problems): AddressClaim {
  const asked = list(fields(object.spec)['addresses']).map(fields);
  const own = new Set<string>();
  const unusable: string[] = [];
  let any = asked.length === 0;
  let unsupported: string | null = null;
  for (const [index, address] of asked.entries()) {
    const type = address['type'] ?? 'IPAddress';
    const value = text(address['value']);
    if (type !== 'IPAddress') {
      const message = `Addresses of type ${shown(type)} are not supported, only IPAddress.`;
      unsupported ??= message;
      problems.error(`spec.addresses[${index}].type`, message);
    } else if (value === undefined) any = true;
    else if (isPlainIp(value)) own.add(value);
    else {
      unusable.push(value);
      problems.error(`spec.addresses[${index}].value`, `Address ${shown(value)} cannot be bound here.`);
    }
  }
  return {
    own: [...own],
    any,
    held: options.addressPool === undefined ? [] : heldAddresses(object),
    unsupported,
    unusable: unusable.length === 0 ? null : `Addresses that cannot be bound here: ${unusable.join(', ')}.`,
  };
}

function heldAddresses(object: KubeObject): string[] {
  return list(fields(object.status)['addresses']).flatMap((item) => text(fields(item)['value']) ?? []);
}

/** Addresses for all Gateways, given oldest first: a younger one never takes an older one's. */
export function assignAddresses(claimants: readonly Claimant[], options: TranslatorOptions): Map<string, Addresses> {
  const given = options.addressPool?.assign(claimants.filter(({ addresses }) => addresses.any));
  const assigned = new Map<string, Addresses>();
  for (const { name, addresses: claim } of claimants) {
    const fault: Fault | null = claim.unusable === null ? null : { name: 'gatewayAddress', message: claim.unusable };
    if (!claim.any) assigned.set(name, { bound: claim.own, status: claim.own, open: false, fault });
    else if (given === undefined) {
      const bound = union(claim.own, options.defaultAddresses);
      assigned.set(name, { bound, status: claim.own, open: true, fault });
    } else {
      const address = given.get(name);
      const all = union(claim.own, address === undefined ? [] : [address]);
      const missing: Fault = { name: 'gatewayUnassigned', message: 'The address pool is used up.' };
      assigned.set(name, {
        bound: all,
        status: all,
        open: false,
        fault: fault ?? (address === undefined ? missing : null),
      });
    }
  }
  return assigned;
}

function union(a: readonly string[], b: readonly string[]): readonly string[] {
  return [...new Set([...a, ...b])];
}

/**
 * Addresses of which each Gateway gets one of its own. A Gateway keeps what its status says it has; otherwise its name
 * chooses, so that the same one comes out after a restart and on every replica.
 */
export class AddressPool implements Pool {
  readonly #ranges: readonly { readonly range: IpRange; readonly skip: bigint; readonly size: number }[];
  readonly #size: number;

  /** `ranges`: CIDR. Throws RangeError for one that is none. Network and broadcast addresses are left out. */
  constructor(ranges: readonly string[]) {
    this.#ranges = ranges.map((text) => {
      const range = parseRange(text);
      if (range === null) throw new RangeError(`address pool: ${JSON.stringify(text)} is not an address or CIDR range`);
      const whole = 2 ** Math.min(range.hostBits, 32);
      const skip = range.hostBits > 1 ? 1 : 0;
      const size = whole - skip - (range.family === 4 ? skip : 0);
      return { range, skip: BigInt(skip), size: Math.min(size, LIMITS.ADDRESS_POOL_RANGE) };
    });
    this.#size = this.#ranges.reduce((sum, { size }) => sum + size, 0);
  }

  /** By name; who gets none is not in the result. */
  assign(claimants: readonly Claimant[]): Map<string, string> {
    const byName = new Map<string, string>();
    const taken = new Set<number>();
    const take = (name: string, index: number): void => {
      taken.add(index);
      byName.set(name, this.#at(index));
    };
    for (const { name, addresses } of claimants) {
      const index = addresses.held.map((address) => this.#indexOf(address)).find((i) => i >= 0 && !taken.has(i));
      if (index !== undefined) take(name, index);
    }
    for (const { name } of claimants) {
      if (byName.has(name) || taken.size === this.#size) continue;
      const bytes = bytesOf(name);
      let index = hash32(bytes, 0, bytes.length) % this.#size;
      while (taken.has(index)) index = (index + 1) % this.#size;
      take(name, index);
    }
    return byName;
  }

  #at(index: number): string {
    let rest = index;
    for (const { range, skip, size } of this.#ranges) {
      if (rest < size) return formatIp({ family: range.family, value: range.first + skip + BigInt(rest) });
      rest -= size;
    }
    throw new RangeError(`the pool has no address ${index}`);
  }

  #indexOf(address: string): number {
    const ip = parseIp(address);
    let before = 0;
    for (const { range, skip, size } of this.#ranges) {
      const offset = ip === null || ip.family !== range.family ? -1n : ip.value - range.first - skip;
      if (offset >= 0n && offset < BigInt(size)) return before + Number(offset);
      before += size;
    }
    return -1;
  }
}
