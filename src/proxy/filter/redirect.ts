// RequestRedirect (Gateway API v1.6.1, HTTPRequestRedirectFilter), compiled.

import { bytesOf, put, putDecimal } from '../../base/bytes.ts';
import { move } from '../../base/memory.ts';
import type { Redirect } from '../../ir/ir.ts';
import type { Head } from '../head.ts';
import { checkedHostname } from './edits.ts';
import { PathEdit, putTarget, targetBound } from './path-edit.ts';

const HTTP = bytesOf('http://');
const HTTPS = bytesOf('https://');
const LOCATION = bytesOf('Location: ');
const CRLF = bytesOf('\r\n');
const COLON = 0x3a;
const SLASH = 0x2f;

export class CompiledRedirect {
  readonly status: number;
  readonly #scheme: 'http' | 'https' | null;
  readonly #hostname: Uint8Array | null;
  readonly #port: number | null;
  readonly #path: PathEdit | null;

  /** Throws FilterError for a bad hostname. */
  constructor(redirect: Redirect) {
    this.status = redirect.status;
    this.#scheme = redirect.scheme;
    this.#hostname = redirect.hostname === null ? null : bytesOf(checkedHostname(redirect.hostname));
    this.#port = redirect.port;
    this.#path = redirect.path === null ? null : new PathEdit(redirect.path);
  }

  /** Most bytes that `putLocation` writes, and `putLine` but 16. */
  locationBound(head: Head): number {
    const host = this.#hostname === null ? head.hostEnd - head.hostStart : this.#hostname.length;
    return HTTPS.length + host + ':65535'.length + targetBound(head, this.#path);
  }

  /** `Location: ` and what putLocation writes, CRLF; bytes: locationBound + 16. */
  putLine(
    mem: Uint8Array,
    at: number,
    head: Head,
    prefixLength: number,
    secure: boolean,
    listenerPort: number,
  ): number {
    const value = put(mem, at, LOCATION);
    return put(mem, this.putLocation(mem, value, head, prefixLength, secure, listenerPort), CRLF);
  }

  /**
   * Writes the value of Location: scheme, host, port, path and query of the request with what the filter replaces.
   * `prefixLength` as the router found it; `secure`: the request came over TLS; `listenerPort`: the Listener's port
   * (not the one it may be mapped to).
   *
   * The port is that of the filter; else the well-known one of the filter's scheme; else the listener's. 80 with http
   * and 443 with https are left out. A request without a host (HTTP/1.0) gets a relative reference (RFC 9110 section
   * 10.2.2).
   */
  putLocation(
    mem: Uint8Array,
    at: number,
    head: Head,
    prefixLength: number,
    secure: boolean,
    listenerPort: number,
  ): number {
    let to = at;
    if (this.#hostname !== null || head.hostStart < head.hostEnd) {
      const https = this.#scheme === null ? secure : this.#scheme === 'https';
      const wellKnown = https ? 443 : 80;
      const port = this.#port ?? (this.#scheme === null ? listenerPort : wellKnown);
      to = put(mem, to, https ? HTTPS : HTTP);
      to = this.#hostname === null ? move(mem, to, head.hostStart, head.hostEnd) : put(mem, to, this.#hostname);
      if (port !== wellKnown) {
        mem[to++] = COLON;
        to = putDecimal(mem, to, port);
      }
    }
    if (mem[head.pathStart] === SLASH) return putTarget(mem, to, head, prefixLength, this.#path);
    // '*' of a whole server is no path, and would be a part of its name.
    mem[to] = SLASH;
    return to + 1;
  }
}
