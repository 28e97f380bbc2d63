// A request that nobody sends: read from a command line or a page, and written as the bytes that a client would send.

import { isIP } from 'node:net';
import { splitHostPort } from '../base/ip.ts';

/** The words of a question as they came. */
export interface Words {
  readonly method: string;
  readonly url: string;
  /** `name: value` each. */
  readonly headers: readonly string[];
  /** The name in the TLS handshake; null: the host of the URL, as clients do. */
  readonly sni: string | null;
  /** Address of the client, with its port or without; null: 127.0.0.1. */
  readonly client: string | null;
  /** `namespace/gateway/listener`; null: whoever has the port of the URL. */
  readonly listener: string | null;
}

export interface Question {
  /** `udp`: a datagram; all else comes by TCP. */
  readonly transport: 'tcp' | 'udp';
  readonly secure: boolean;
  readonly port: number;
  /** The URL names it. */
  readonly portNamed: boolean;
  /** The address that the URL names; '' for a name. */
  readonly address: string;
  /** '' when the client names nobody: an address is no name (RFC 6066 section 3). */
  readonly sni: string;
  readonly client: string;
  /** 0: nobody said. */
  readonly clientPort: number;
  readonly listener: string | null;
  /** A whole request head of HTTP/1.1. */
  readonly head: string;
}

/** scheme, authority, and the target behind it as it stands: nothing is resolved, for that is the proxy's to do. */
const URL_PARTS = /^(https?|tcp|tls|udp):\/\/([^/?#@]*)([^#]*)$/i;
const AUTHORITY = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/;
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/s;
/** What would end a line, and with it the question. */
const LINE_END = /[\r\n\0]/;
/** Of a URL that names none. That of datagrams is DNS's. */
const PORTS: Readonly<Record<string, number>> = { https: 443, tls: 443, udp: 53 };

/** The question, or a sentence that says what is wrong with its words. */
export function questionOf(words: Words): Question | string {
  const { method, url, headers, client, listener } = words;
  if (!METHOD.test(method)) return `method: '${method}' is no method; write GET`;
  const [whole, scheme = '', authority = '', rest = ''] = URL_PARTS.exec(url) ?? [];
  if (whole === undefined || LINE_END.test(url))
    return `URL: '${url}' is not http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH (or tcp:, tls:, udp:)${urlForm(url)}`;
  const [named, host = '', digits] = AUTHORITY.exec(authority) ?? [];
  const kind = scheme.toLowerCase();
  const port = digits === undefined ? (PORTS[kind] ?? 80) : Number(digits);
  if (named === undefined || host === '' || port < 1 || port > 65_535)
    return `URL: '${url}' has no host, or a bad port; write http://app.example.com:8080/`;
  const from = clientOf(client ?? '127.0.0.1');
  if (from === null) return `client: '${client}' is not an IP address; write client=192.0.2.1`;
  if (listener !== null && listener.split('/').length !== 3)
    return `listener: '${listener}' is not NAMESPACE/GATEWAY/LISTENER; write listener=default/web/http`;
  const lines: string[] = [];
  for (const header of headers) {
    const [line, name = '', value = ''] = FIELD.exec(header) ?? [];
    if (line === undefined || LINE_END.test(value))
      return `header: '${header}' is not NAME: VALUE; write header=Accept: text/html`;
    lines.push(`${name}: ${value}\r\n`);
  }
  // As curl does: who gives a Host field means that one.
  const own = lines.some((line) => /^host:/i.test(line)) ? '' : `Host: ${authority}\r\n`;
  const target = rest.startsWith('/') ? rest : `/${rest}`;
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  const isAddress = isIP(bare) !== 0;
  return {
    transport: kind === 'udp' ? 'udp' : 'tcp',
    secure: kind === 'https' || kind === 'tls',
    port,
    portNamed: digits !== undefined,
    address: isAddress ? bare : '',
    sni: words.sni ?? (isAddress ? '' : bare),
    client: from.address,
    clientPort: from.port,
    listener,
    head: `${method} ${target} HTTP/1.1\r\n${own}${lines.join('')}\r\n`,
  };
}

/** An address alone, or with a port as everywhere; null when it is neither. */
function clientOf(text: string): { readonly address: string; readonly port: number } | null {
  if (isIP(text) !== 0) return { address: text, port: 0 };
  const parts = splitHostPort(text);
  if (parts === null || parts.port < 1 || parts.port > 65_535) return null;
  return isIP(parts.host) === (parts.bracketed ? 6 : 4) ? { address: parts.host, port: parts.port } : null;
}

/** `; write http://a/b` for `a/b`. */
function urlForm(url: string): string {
  const bare = url.replace(/^(?:[a-z]+:)?\/*/i, '').replace(/#.*$/, '');
  const host = url.startsWith('/') ? 'app.example.com/' : '';
  return `; write http://${/^[\w.[\]:-]+(\/[!-~]*)?$/.test(bare) ? host + bare : 'app.example.com/'}`;
}
