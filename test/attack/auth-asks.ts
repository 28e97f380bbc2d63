// Requests by chance, in every writing, and what of them everybody behind the proxy is to see.

import assert from 'node:assert/strict';
import type { Message } from '../support/http.ts';
import { mulberry32 } from '../support/mulberry32.ts';
import type { Peer } from '../support/net.ts';
import type { Ask, Line } from './auth-model.ts';
import { byName } from './auth-model.ts';

/** What comes of a target: path and query as everybody behind sees them, null when it is refused. */
const TARGETS: readonly (readonly [target: string, meant: string | null])[] = [
  ['/', '/'],
  ['/a', '/a'],
  ['/a?b=c&d=%2F', '/a?b=c&d=%2F'],
  ['/a?', '/a?'],
  ['/a??b', '/a??b'],
  ['//a', '/a'],
  ['/a//b/', '/a/b/'],
  ['/a/./b', '/a/b'],
  ['/a/../b?x', '/b?x'],
  ['/%61%2e', '/a.'],
  ['/%2e%2e/a', null],
  ['/a%2fb', '/a%2Fb'],
  ['/a;x=1/b', '/a;x=1/b'],
  ['/a/..%2fb', null],
  ['/a/..;/b', null],
  ['/a%', null],
  ['/%00', null],
  ['/a\\b', '/a\\b'],
  ['http://b.example/x?q', '/x?q'],
  ['http://b.example', '/'],
  ['http://b.example?q', '/?q'],
];
const FIELDS: readonly Line[] = [
  ['X-User', 'mallory'],
  ['x_user', 'eve'],
  ['X-User', 'second'],
  ['X-Tenant', 't1'],
  ['x.tenant', 't2'],
  ['Authorization', 'Bearer t'],
  ['Cookie', 'a=1'],
  ['Cookie', 'b=2'],
  ['X-Forwarded-For', '6.6.6.6'],
  ['X-Forwarded-Uri', '/free'],
  ['X_Forwarded_For', '7.7.7.7'],
  ['Forwarded', 'for=6.6.6.6'],
  ['X-Real-IP', '6.6.6.6'],
  ['x_scheme', 'https'],
  ['X-Request-ID', 'mine'],
  ['X-Latin', 'J\xe9r\xf4me'],
  ['X-Empty', ''],
  ['Connection', 'x-user, authorization'],
  ['Connection', 'X-Forwarded-For, content-length, host, X-Tenant'],
  ['Connection', 'close'],
  ['Te', 'trailers'],
  ['Proxy-Authorization', 'Basic x'],
  ['Range', 'bytes=0-1'],
  ['Accept-Encoding', 'gzip'],
  ['Content-Type', 'text/x'],
];

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
export const chunks = (text: string): string => (text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`);

export class Dice {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = mulberry32(seed);
  }
  int(n: number): number {
    return Math.floor(this.#random() * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }
  chance(p: number): boolean {
    return this.#random() < p;
  }
  /** Each of them with the chance `p`, in an order of their own. */
  some<T>(list: readonly T[], p: number): T[] {
    const some = list.filter(() => this.chance(p));
    for (let i = some.length - 1; i > 0; i--) {
      const k = this.int(i + 1);
      [some[i], some[k]] = [some[k] as T, some[i] as T];
    }
    return some;
  }
}

export function askOf(dice: Dice): Ask {
  const method = dice.pick(['GET', 'GET', 'HEAD', 'POST', 'PUT', 'OPTIONS', 'DELETE', 'BREW']);
  let [target, meant] = dice.pick(TARGETS);
  if (method === 'OPTIONS' && dice.chance(0.3)) [target, meant] = ['*', '*'];
  if (method === 'OPTIONS' && target === 'http://b.example') meant = '*';
  const version = dice.chance(0.1) ? '1.0' : '1.1';
  const host = version === '1.0' && dice.chance(0.5) ? '' : dice.pick(['a.example', 'a.example:8080', 'A.Example']);
  const authority = target.startsWith('http:') ? 'b.example' : host;
  const size = dice.pick([0, 5, 10, 11, 4000, 6000, 20_000]);
  const content = method === 'POST' || method === 'PUT' || dice.chance(0.15) ? 'c'.repeat(size) : null;
  const chunked = content !== null && version === '1.1' && dice.chance(0.4);
  const trailers: readonly Line[] = chunked
    ? dice.some(
        [
          ['X-User', 'z'],
          ['X-T', '1'],
          ['x_tenant', 'z'],
        ],
        0.3,
      )
    : [];
  const expects = content !== null && content !== '' && version === '1.1' && dice.chance(0.3);
  const fields = dice.some(FIELDS, dice.pick([0.05, 0.2, 0.5]));
  return { method, target, meant, host, authority, version, fields, content, chunked, trailers, expects };
}

/** Sends it, its content when it may, and reads the answer. */
export async function send(client: Peer, ask: Ask): Promise<Message> {
  const { method, target, host, version, content, chunked, expects } = ask;
  const fields = ask.fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const named = host === '' ? '' : `Host: ${host}\r\n`;
  const framing =
    content === null ? '' : chunked ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${content.length}\r\n`;
  const more = expects ? 'Expect: 100-continue\r\n' : '';
  const trailers = ask.trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const body = content === null ? '' : chunked ? `${chunks(content)}0\r\n${trailers}\r\n` : content;
  const head = `${method} ${target} HTTP/${version}\r\n${named}${fields}${framing}${more}\r\n`;
  // Who does not read meanwhile may wait for ever for the end of what nobody wants.
  const say = (text: string): void => void client.send(bytes(text)).catch(() => null);
  say(expects ? head : head + body);
  for (;;) {
    const answer = await client.readMessage({ answersHead: method === 'HEAD' });
    if (answer.status >= 200) return answer;
    assert.equal(answer.status, 100, 'nobody but the backend sends interim responses');
    assert.ok(expects);
    say(body);
  }
}

export function linesOf(message: Message, trailers = false): Line[] {
  const fields = trailers ? message.trailers : message.headers;
  return [...fields].flatMap(([name, values]) => values.map((value): Line => [name, value]));
}

/** What a server was sent, to compare; without Host, and what RAUTA makes up. */
export function seen(message: Message): { head: unknown; fields: Record<string, string[]>; body: string } {
  const { method, target, headers, body } = message;
  const rest = linesOf(message).filter(([name]) => name !== 'host' && name !== 'x-request-id');
  const head = [method, target, headers.get('host')?.[0]];
  return { head, fields: byName(rest), body: Buffer.from(body).toString('latin1') };
}

const OWN = /^(x-forwarded-(for|proto|host)|content-length|transfer-encoding|te|connection|expect)$/;

/** What a backend was sent; without what RAUTA says of client and connection. */
export function served(message: Message): unknown {
  const { head, fields, body } = seen(message);
  const rest = Object.fromEntries(Object.entries(fields).filter(([name]) => !OWN.test(name)));
  assert.deepEqual(message.headers.get('x-forwarded-for'), ['127.0.0.1']);
  assert.notEqual(message.headers.get('x-request-id')?.[0], 'mine');
  return { head, fields: rest, body, trailers: byName(linesOf(message, true)) };
}
