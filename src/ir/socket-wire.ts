// A socket's entry as it travels: hosts whose TLS differs in certificates alone say so by the number of what they have
// in common. Ten thousand listeners of a socket mostly have one way of speaking, which is longer than all else they
// say.

import type { ServerTls, SocketEntry, SocketHost } from './ir.ts';

/** What listeners of a socket have in common. */
export type WireTls = Omit<ServerTls, 'certificates'>;

export interface WireHostTls {
  readonly certificates: ServerTls['certificates'];
  /** Index in `WireSocket.ways`. */
  readonly way: number;
}

export type WireHost = Omit<SocketHost, 'tls'> & { readonly tls: WireHostTls | null };

export type WireSocket = Omit<SocketEntry, 'hosts'> & {
  readonly hosts: readonly WireHost[];
  /** In the order in which hosts have them. */
  readonly ways: readonly WireTls[];
};

export function packSocket(entry: SocketEntry): WireSocket {
  const ways: WireTls[] = [];
  const known = new Map<string, number>();
  const pack = ({ certificates, minVersion, ciphers, suites, alpn, clients }: ServerTls): WireHostTls => {
    const tls: WireTls = { minVersion, ciphers, suites, alpn, clients };
    // In an order of its own: equal ones are one, however they were made.
    const asked = clients === null ? null : [clients.trust, clients.mode, clients.forward];
    const text = JSON.stringify([minVersion, ciphers, suites, alpn, asked]);
    const way = known.get(text) ?? ways.push(tls) - 1;
    known.set(text, way);
    return { certificates, way };
  };
  const hosts = entry.hosts.map((host) => ({ ...host, tls: host.tls === null ? null : pack(host.tls) }));
  return { ...entry, hosts, ways };
}

/** Hosts share what they have in common. Null when one has none of the ways. */
export function unpackSocket({ ways, ...entry }: WireSocket): SocketEntry | null {
  const hosts: SocketHost[] = [];
  for (const { tls, ...host } of entry.hosts) {
    const way = tls === null ? null : ways[tls.way];
    if (way === undefined) return null;
    hosts.push({ ...host, tls: tls === null || way === null ? null : { certificates: tls.certificates, ...way } });
  }
  return { ...entry, hosts };
}
