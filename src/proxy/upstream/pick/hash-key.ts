// What of a request decides where it goes, for the pickers that hash.

import { bytesOf } from '../../../base/bytes.ts';
import { hash32 } from '../../../base/hash.ts';
import type { Balancer } from '../../../ir/ir.ts';
import { FieldName } from '../../field-name.ts';
import { type Head, NAME } from '../../head.ts';
import type { Random } from './types.ts';

const EQUALS = 0x3d;
const SEMICOLON = 0x3b;
const SPACE = 0x20;

type Hashing = Extract<Balancer, { readonly type: 'maglev' }>;

/** null: the balancer looks at no request. */
export function hashKeyOf(balancer: Balancer): HashKey | null {
  return balancer.type === 'maglev' ? new HashKey(balancer) : null;
}

export class HashKey {
  readonly #from: Hashing['key'];
  readonly #header: FieldName | null;
  readonly #cookie: Uint8Array;

  constructor({ key, name }: Hashing) {
    this.#from = key;
    this.#header = key === 'header' ? new FieldName(name) : null;
    this.#cookie = bytesOf(key === 'cookie' ? name : '');
  }

  /** 32 unsigned bits; a request without the header or cookie goes anywhere. `client`: its address, ASCII. */
  hash(mem: Uint8Array, head: Head, client: Uint8Array, random: Random): number {
    switch (this.#from) {
      case 'clientAddress':
      case 'flow':
        return hash32(client, 0, client.length);
      case 'path':
        return hash32(mem, head.pathStart, head.pathEnd);
      case 'header': {
        const name = this.#header as FieldName;
        for (let i = 0; i < head.count; i++) {
          if (name.is(mem, head, i)) return hash32(mem, head.valueStart(i), head.valueEnd(i));
        }
        return random.random32();
      }
      case 'cookie':
        return this.#hashCookie(mem, head, random);
    }
  }

  /** Cookie: a=1; b=2 (RFC 6265 section 4.2.1). */
  #hashCookie(mem: Uint8Array, head: Head, random: Random): number {
    const wanted = this.#cookie;
    for (let i = 0; i < head.count; i++) {
      if (head.name(i) !== NAME.COOKIE) continue;
      const end = head.valueEnd(i);
      for (let at = head.valueStart(i); at < end; ) {
        while (at < end && mem[at] === SPACE) at++;
        let stop = at;
        while (stop < end && mem[stop] !== SEMICOLON) stop++;
        let k = 0;
        while (k < wanted.length && mem[at + k] === wanted[k]) k++;
        if (k === wanted.length && at + k < stop && mem[at + k] === EQUALS) return hash32(mem, at + k + 1, stop);
        at = stop + 1;
      }
    }
    return random.random32();
  }
}
