// Addresses at which this program's own admin server listens. No worker connects there: what a bind of loopback shows
// to whoever is on this machine, a Backend that names that address would show to everybody.

import { networkInterfaces } from 'node:os';
import { parseIp } from '../base/ip.ts';
import type { SocketAddress } from '../io/io.ts';

interface Bind {
  readonly host: string;
  readonly port: number;
}

/** The high bits of ::ffff:0:0/96: an IPv4 address in the form of IPv6 (RFC 4291 section 2.5.5.2). */
const MAPPED = 0xffffn;
const LOOPBACK = 127n << 24n;

/** A text that is the same for all ways to write an address; what is no literal stays. */
function canonical(host: string): string {
  const ip = parseIp(host);
  if (ip === null) return host;
  const mapped = ip.family === 6 && ip.value >> 32n === MAPPED;
  return mapped || ip.family === 4 ? `4 ${ip.value & 0xffff_ffffn}` : `6 ${ip.value}`;
}

/** Whether every machine has this address for itself: 127.0.0.0/8, ::1, and the wildcards, which lead there. */
function isOfAnyMachine(host: string): boolean {
  const [family, value = '0'] = canonical(host).split(' ');
  if (family === '4') return BigInt(value) === 0n || BigInt(value) >> 24n === LOOPBACK >> 24n;
  return family === '6' && BigInt(value) <= 1n;
}

function isWildcard(host: string): boolean {
  return ['4 0', '6 0'].includes(canonical(host));
}

function localAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}

/** Whether a connection to `address` would reach one of `binds`. `locals`: the addresses of this machine. */
export function ownSockets(
  binds: readonly Bind[],
  locals: () => readonly string[] = localAddresses,
): (address: SocketAddress) => boolean {
  return (address) => {
    if (address.family === 'unix') return false;
    // Asked for each connection, and nearly always answered by the port: addresses are looked at behind that only.
    for (const { host, port } of binds)
      if (port === address.port && leadsTo(host, address.address, locals)) return true;
    return false;
  };
}

/** Addresses of this machine are looked up again after so long. */
const LOCALS_MS = 1_000;

/** Whether `address` leads to a socket that is bound to `bound`, whatever the port. */
export function leadsToOwn(
  locals: () => readonly string[] = localAddresses,
  now: () => number = () => performance.now(),
): (bound: string, address: string) => boolean {
  let known: readonly string[] = [];
  let until = Number.NEGATIVE_INFINITY;
  const kept = (): readonly string[] => {
    if (now() >= until) {
      known = locals();
      until = now() + LOCALS_MS;
    }
    return known;
  };
  return (bound, address) => leadsTo(bound, address, kept);
}

function leadsTo(bound: string, address: string, locals: () => readonly string[]): boolean {
  // Either of them is bound, whichever the machine has.
  if (bound === 'localhost') return leadsTo('127.0.0.1', address, locals) || leadsTo('::1', address, locals);
  const to = canonical(address);
  if (!isWildcard(bound)) {
    // A wildcard as destination is loopback; which of its addresses is the kernel's choice.
    return to === canonical(bound) || (isWildcard(address) && isOfAnyMachine(bound));
  }
  return isOfAnyMachine(address) || locals().some((local) => canonical(local) === to);
}
