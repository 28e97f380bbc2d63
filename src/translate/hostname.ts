// Hostnames of listeners and routes: '*' for any, '*.example.com' for one or more labels under it, or exact.

/** Pattern of the API's Hostname type (RFC 1123 with an optional leading wildcard label). */
const HOSTNAME = /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const HOSTNAME_LENGTH = 253;

export function isHostname(value: string): boolean {
  return value.length <= HOSTNAME_LENGTH && HOSTNAME.test(value);
}
/** A hostname without a wildcard label. */
export function isPreciseHostname(value: string): boolean {
  return isHostname(value) && !value.startsWith('*');
}

/** What both sides match, or null. */
export function intersect(a: string, b: string): string | null {
  if (a === b || b === '*') return a;
  if (a === '*') return b;
  const wildA = a.startsWith('*.');
  const wildB = b.startsWith('*.');
  // '*.example.com' holds every name that ends with '.example.com', other wildcards under it included.
  if (wildA && b.endsWith(a.slice(1))) return b;
  if (wildB && a.endsWith(b.slice(1))) return a;
  return null;
}

/** The hostnames under which a route with `hosts` (empty: any) is reachable at a listener, sorted; empty if none. */
export function intersectAll(listener: string, hosts: readonly string[]): string[] {
  if (hosts.length === 0) return [listener];
  const found = new Set<string>();
  for (const host of hosts) {
    const both = intersect(listener, host);
    if (both !== null) found.add(both);
  }
  return [...found].sort();
}
