// Where others reach what this machine listens on.

import { networkInterfaces } from 'node:os';

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
