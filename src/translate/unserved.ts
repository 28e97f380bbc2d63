// Kinds that a user may rightly bring and that nothing serves yet: each is told so, rather than met with silence.

const UNSERVED: ReadonlySet<string> = new Set([
  'BackendTLSPolicy',
  'GRPCRoute',
  'Ingress',
  'ListenerSet',
  'TCPRoute',
  'TLSRoute',
  'UDPRoute',
]);

/** What to say of an object of that kind, or null when the kind is served or none of our business. */
export function unservedKind(kind: string): string | null {
  return UNSERVED.has(kind) ? `Objects of kind ${kind} are not served; this one has no effect.` : null;
}
