// Mutations of HTTP/1 messages: bytes, pieces of the grammar, and splices of two messages.

import { mulberry32 } from '../support/mulberry32.ts';

/** The same seed, the same run. */
export class Chance {
  readonly #next: () => number;
  constructor(seed: number) {
    this.#next = mulberry32(seed);
  }
  /** An integer in [0, below). */
  next(below: number): number {
    return (this.#next() * 2 ** 32) % below;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.next(list.length)] as T;
  }
}

const PIECES: readonly string[] = [
  ...'\r\n\t\0 :;,="\\#?/@[]%*+-_.0159aAfFxX{}|~\x01\x0b\x0c\x1f\x7f\x80\xa0\xff',
  '\r\n',
  '\r\n\r\n',
  '\n\n',
  '\r\r\n',
  '\r\n ',
  '\r\n\t',
  ' :',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Content-Length : 3\r\n',
  'content-length:\t3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer-Encoding: gzip, chunked\r\n',
  'transfer-encoding:chunked\r\n',
  'Transfer-Encoding:\x0bchunked\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Connection: content-length\r\n',
  'Host: b\r\n',
  'Host: [::1]:80\r\n',
  'Expect: 100-continue\r\n',
  'TE: trailers\r\n',
  'Trailer: x\r\n',
  'X_Y: z\r\n',
  'HTTP/1.0',
  'HTTP/1.1',
  'HTTP/1.2',
  'http://a/',
  'http://u@a/',
  'chunked',
  '5\r\nhello\r\n',
  '0\r\n\r\n',
  '0\r\nx: y\r\n\r\n',
  '5;a=b\r\nhello\r\n',
  '00000005\r\nhello\r\n',
  'GET /admin HTTP/1.1\r\nHost: b\r\n\r\n',
  '+',
  '0x',
  '99999999999999999999',
  'fffffffffffffffff',
];

/** `seeds` mutated once to four times. */
export function mutate(chance: Chance, seeds: readonly string[]): string {
  let text = chance.pick(seeds);
  for (let times = 1 + chance.next(4); times > 0; times--) {
    const at = chance.next(text.length + 1);
    switch (chance.next(7)) {
      case 0: // put a piece in
        text = text.slice(0, at) + chance.pick(PIECES) + text.slice(at);
        break;
      case 1: // take some bytes out
        text = text.slice(0, at) + text.slice(at + 1 + chance.next(4));
        break;
      case 2: // replace a byte
        text = text.slice(0, at) + chance.pick(PIECES) + text.slice(at + 1);
        break;
      case 3: // double a stretch
        text = text.slice(0, at) + text.slice(Math.max(0, at - chance.next(24)));
        break;
      case 4: {
        // the rest of another message
        const other = chance.pick(seeds);
        text = text.slice(0, at) + other.slice(chance.next(other.length + 1));
        break;
      }
      case 5: {
        // a whole line more
        const line = text.indexOf('\r\n', at);
        if (line >= 0) text = text.slice(0, line + 2) + chance.pick(PIECES) + text.slice(line + 2);
        break;
      }
      default: // any byte
        text = text.slice(0, at) + String.fromCharCode(chance.next(256)) + text.slice(at + 1);
    }
  }
  return text.slice(0, 4096);
}
