// Requests and rules for the tests of routing and filters.

import { newMemory } from '../../src/base/memory.ts';
import type { Attachment, Filter, Match, RuleEntry, SocketHost, ValueMatch } from '../../src/ir/ir.ts';
import { Head } from '../../src/proxy/head.ts';
import { parseRequest } from '../../src/proxy/http1/request.ts';
import { parseResponse } from '../../src/proxy/http1/response.ts';
import { DONE } from '../../src/proxy/http1/scan.ts';

export interface Parsed {
  readonly mem: Uint8Array;
  readonly head: Head;
}

/** Room behind the head for what filters write. */
export const ROOM = 64 * 1024;

/** Parses a request; `lines` are its field lines. Without a Host line and without `host` it is HTTP/1.0. */
export function request(host: string, target: string, lines: readonly string[] = [], method = 'GET'): Parsed {
  const version = host === '' ? 'HTTP/1.0' : 'HTTP/1.1';
  const fields = host === '' ? lines : [`Host: ${host}`, ...lines];
  return parsed([`${method} ${target} ${version}`, ...fields], (mem, end, head) => parseRequest(mem, 0, end, head));
}

export function response(lines: readonly string[]): Parsed {
  return parsed(['HTTP/1.1 200 OK', ...lines], (mem, end, head) => parseResponse(mem, 0, end, head, false));
}

function parsed(lines: readonly string[], parse: (mem: Uint8Array, end: number, head: Head) => number): Parsed {
  const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  const mem = newMemory(bytes.length + ROOM);
  mem.set(bytes);
  const head = new Head();
  if (parse(mem, bytes.length, head) !== DONE) throw new Error(`not a good head: ${lines[0]}`);
  return { mem, head };
}

/** What `write` puts behind the head, as text. */
export function written({ mem, head }: Parsed, write: (at: number) => number): string {
  return Buffer.from(mem.subarray(head.end, write(head.end))).toString('latin1');
}

/** The field lines that are forwarded. */
export function forwarded({ mem, head }: Parsed): string[] {
  const text = Buffer.from(mem.buffer).toString('latin1');
  const lines: string[] = [];
  for (let i = 0; i < head.count; i++) {
    if (head.dropped(i)) continue;
    const name = text.slice(head.nameStart(i), head.nameEnd(i));
    lines.push(`${name}: ${text.slice(head.valueStart(i), head.valueEnd(i))}`);
  }
  return lines;
}

export const LISTENER = 'socket/0.0.0.0/80/tcp';

export interface RuleOptions {
  /** `namespace/name`. */
  readonly route?: string;
  readonly index?: number;
  readonly created?: number;
  readonly hostnames?: readonly string[];
  /** SocketHost.hostname it is attached to. */
  readonly host?: string;
  readonly attachments?: readonly Attachment[];
  readonly matches?: readonly Match[];
  readonly filters?: readonly Filter[];
}

export function rule(options: RuleOptions): RuleEntry {
  const route = options.route ?? 'default/route';
  const index = options.index ?? 0;
  return {
    kind: 'rule',
    key: `rule/HTTPRoute/${route}/${index}`,
    routeKind: 'HTTPRoute',
    route,
    index,
    name: '',
    created: options.created ?? 0,
    attachments: options.attachments ?? [
      { socket: LISTENER, host: options.host ?? '*', hostnames: options.hostnames ?? ['*'] },
    ],
    matches: options.matches ?? [match('PathPrefix', '/')],
    filters: options.filters ?? [],
    action: { type: 'respond', status: 500 },
    timeouts: { requestMs: null, backendMs: null },
    retry: null,
  };
}

export interface MatchOptions {
  readonly method?: string;
  /** `name=value`, or `name~pattern`. */
  readonly headers?: readonly string[];
  readonly query?: readonly string[];
}

export function match(type: Match['path']['type'], value: string, options: MatchOptions = {}): Match {
  return {
    path: { type, value },
    method: options.method ?? '',
    headers: (options.headers ?? []).map(valueMatch),
    query: (options.query ?? []).map(valueMatch),
  };
}

function valueMatch(text: string): ValueMatch {
  const at = text.search(/[=~]/);
  const type = text[at] === '~' ? 'RegularExpression' : 'Exact';
  return { name: text.slice(0, at), type, value: text.slice(at + 1) };
}

export function listenerHost(hostname: string): SocketHost {
  return { hostname, gateway: 'gateway/default/gateway', listener: hostname, port: 80, protocol: 'HTTP', tls: null };
}
