// Which of a socket's hosts a client means by the name in its ClientHello: an exact name, else the longest wildcard,
// else the host that takes any (apis/v1 Listener.Hostname). The work does not grow with the number of hosts.

export class ServerNames<T> {
  readonly #exact = new Map<string, T>();
  /** By what follows the asterisk: `.example.com`. */
  readonly #wildcards = new Map<string, T>();
  #any: T | null = null;

  /** `hostname`: '*', '*.example.com' or exact, lower case. */
  add(hostname: string, value: T): void {
    if (hostname === '*') this.#any = value;
    else if (hostname.startsWith('*.')) this.#wildcards.set(hostname.slice(1), value);
    else this.#exact.set(hostname, value);
  }

  /** `name`: lower case, '' when the client named nobody. */
  find(name: string): T | null {
    const exact = this.#exact.get(name);
    if (exact !== undefined) return exact;
    if (this.#wildcards.size > 0) {
      // A wildcard stands for one label or more: what is in front of the first dot at least.
      for (let dot = name.indexOf('.', 1); dot > 0; dot = name.indexOf('.', dot + 1)) {
        const found = this.#wildcards.get(name.slice(dot));
        if (found !== undefined) return found;
      }
    }
    return this.#any;
  }
}

/**
 * Whether a certificate for `hosts` is for `name` (RFC 9525 section 6.3): `exact` by that name, `wildcard` by one,
 * which stands for one label; null if not. All lower case.
 */
export function namedBy(hosts: readonly string[], name: string): 'exact' | 'wildcard' | null {
  if (hosts.includes(name)) return 'exact';
  const dot = name.indexOf('.');
  return dot > 0 && hosts.includes(`*${name.slice(dot)}`) ? 'wildcard' : null;
}
