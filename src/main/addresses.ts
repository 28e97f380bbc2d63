// Where others reach what this machine listens on.

import { networkInterfaces } from 'node:os';
import { type IpAddress, type IpRange, parseIp, parseRange } from '../base/ip.ts';

type Interfaces = ReturnType<typeof networkInterfaces>;

/**
 * For a Gateway's status in a cluster: of a wildcard the first address of its family that is neither loopback nor
 * link-local (a pod's own, or with the host's network the node's), of any other address itself. Where there is none,
 * the wildcard stays.
 */
export function reachableAddresses(listen: readonly string[], interfaces: Interfaces = networkInterfaces()): string[] {
  const all = Object.values(interfaces).flatMap((list) => list ?? []);
  const first = (family: string): string | undefined =>
    all.find((a) => a.family === family && !a.internal && !/^(169\.254\.|fe80:)/i.test(a.address))?.address;
  const out = listen.map((address) =>
    address === '0.0.0.0' ? first('IPv4') : address === '::' ? first('IPv6') : address,
  );
  const found = out.filter((address) => address !== undefined);
  return found.length > 0 ? found : [...listen];
}

const NEVER = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '::/128', '::1/128', 'fe80::/10'].map((text) => {
  const range = parseRange(text);
  if (range === null) throw new Error(text);
  return range;
});
/** ::ffff:0:0/96, RFC 4291 section 2.5.5.2: an IPv4 address in other clothes. */
const MAPPED = 0xffffn << 32n;

/**
 * Whether an address leads to this machine or cannot leave its link: loopback, unspecified, link-local, or one of its
 * own (in a pod the pod's, with the host's network the node's).
 */
export function isLocal(text: string, interfaces: Interfaces = networkInterfaces()): boolean {
  const written = parseIp(text);
  if (written === null) return false;
  const mapped = written.family === 6 && (written.value >> 32n) << 32n === MAPPED;
  const ip: IpAddress = mapped ? { family: 4, value: written.value - MAPPED } : written;
  const within = ({ family, first, hostBits }: IpRange): boolean =>
    family === ip.family && (ip.value >> BigInt(hostBits)) << BigInt(hostBits) === first;
  const own = Object.values(interfaces).flatMap((list) => list ?? []);
  return NEVER.some(within) || own.some(({ address }) => parseIp(address)?.value === ip.value);
}
