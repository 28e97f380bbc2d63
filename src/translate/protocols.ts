// What each protocol of a listener is to the plan of sockets: one table for all that ask.

import type { SocketEntry, SocketHost } from '../ir/ir.ts';

interface Protocol {
  readonly transport: 'tcp' | 'udp';
  /** Only listeners of one family can share a port of one transport. */
  readonly family: 'cleartext' | 'tls' | 'tcp' | 'udp';
  /** Listeners on one port are told apart by hostname; of other protocols a port has one. */
  readonly byHostname: boolean;
  /** Kinds of routes that it carries here; none: it is not served. */
  readonly routeKinds: readonly string[];
}

const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  HTTP: { transport: 'tcp', family: 'cleartext', byHostname: true, routeKinds: ['HTTPRoute', 'GRPCRoute'] },
  HTTPS: { transport: 'tcp', family: 'tls', byHostname: true, routeKinds: ['HTTPRoute', 'GRPCRoute'] },
  TLS: { transport: 'tcp', family: 'tls', byHostname: true, routeKinds: ['TLSRoute'] },
  TCP: { transport: 'tcp', family: 'tcp', byHostname: false, routeKinds: ['TCPRoute'] },
  UDP: { transport: 'udp', family: 'udp', byHostname: false, routeKinds: ['UDPRoute'] },
};

export const LISTENER_PROTOCOLS: readonly string[] = Object.keys(PROTOCOLS);

/** Undefined for a protocol that nobody knows. */
export function protocolOf(name: string): Protocol | undefined {
  return Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
}

/** A protocol and transport as entries have them, or null for those that are not served. */
export function servedProtocol(
  name: string,
): { readonly protocol: SocketHost['protocol']; readonly transport: SocketEntry['transport'] } | null {
  const protocol = protocolOf(name);
  if (protocol === undefined || protocol.routeKinds.length === 0) return null;
  return { protocol: name as SocketHost['protocol'], transport: protocol.transport };
}
