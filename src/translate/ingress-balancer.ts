// How an Ingress's requests are shared among endpoints (upstream-hash-by, load-balance): by one thing that they have,
// or by how many each endpoint is answering.

import type { Balancer } from '../ir/ir.ts';
import { isToken } from './http-match.ts';
import { NGINX } from './ingress-nginx.ts';
import type { Annotations } from './ingress-read.ts';
import { shown } from './read.ts';

const HASH = `${NGINX}upstream-hash-by`;
const BALANCE = `${NGINX}load-balance`;

/** Null: endpoints take turns. As there, upstream-hash-by counts where both stand. */
export function balancerOf(read: Annotations): Balancer | null {
  const [by, name] = [read.text(HASH), read.text(BALANCE)];
  const hashed = by === null ? null : hashedBy(by);
  if (by !== null && hashed === null) {
    const none = `${shown(by)} has no effect here, and endpoints take turns: one variable is known`;
    read.wrong(HASH, `${none}, of $remote_addr, $request_uri, $uri, $http_NAME and $cookie_NAME.`);
  }
  if (name !== null && name !== 'round_robin' && name !== 'ewma')
    read.wrong(BALANCE, `${shown(name)} has no effect: write "ewma" or "round_robin".`);
  return hashed ?? (name === 'ewma' ? { type: 'leastRequest' } : null);
}

/** Of a path without its query, which keeps together what belongs together. */
function hashedBy(text: string): Balancer | null {
  const variable = /^\$(?:\{(\w+)\}|(\w+))$/.exec(text.trim());
  const name = variable?.[1] ?? variable?.[2] ?? '';
  const by = (key: 'clientAddress' | 'header' | 'cookie' | 'path', of = ''): Balancer => {
    return { type: 'maglev', key, name: of };
  };
  if (name === 'remote_addr' || name === 'binary_remote_addr') return by('clientAddress');
  if (name === 'request_uri' || name === 'uri') return by('path');
  const [, kind, rest = ''] = /^(http|cookie)_(\w+)$/.exec(name) ?? [];
  if (kind === 'http') {
    const field = rest.toLowerCase().replaceAll('_', '-');
    return isToken(field) ? by('header', field) : null;
  }
  return kind === 'cookie' ? by('cookie', rest) : null;
}
