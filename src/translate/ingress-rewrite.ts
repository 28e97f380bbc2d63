// What the backend of an Ingress is asked for instead (rewrite-target, upstream-vhost): a path, perhaps with what the
// rule's own path captured, and a host.

import type { Filter, PathModifier } from '../ir/ir.ts';
import { isPreciseHostname } from './hostname.ts';
import { NGINX } from './ingress-nginx.ts';
import type { Annotations, Reading } from './ingress-read.ts';
import { shown } from './read.ts';

export interface IngressRewrite {
  /** Null: it stays. It may name groups of the path, $1 to $9. */
  readonly target: string | null;
  readonly hostname: string | null;
}

const TARGET = `${NGINX}rewrite-target`;
const HOST = `${NGINX}upstream-vhost`;
const ANSWERS = 'The Ingress answers 500 while it is there.';
const GROUP = /\$[1-9]/;
/** Each may bring a whole path. */
const GROUPS_MOST = 9;

export function rewriteOf(read: Annotations): Reading<IngressRewrite> {
  const target = read.text(TARGET);
  const host = read.text(HOST);
  const faults: string[] = [];
  const fault = target === null ? null : targetFault(target);
  if (fault !== null) {
    faults.push(`rewrite-target ${fault}`);
    read.wrong(TARGET, `rewrite-target ${fault} ${ANSWERS}`);
  }
  const hostname = host?.toLowerCase() ?? null;
  if (hostname !== null && !isPreciseHostname(hostname)) {
    const why = `${shown(host)} is not a hostname.`;
    faults.push(`upstream-vhost ${why}`);
    read.wrong(HOST, `${why} ${ANSWERS}`);
  }
  const [refused = null] = faults;
  return { refused, value: refused === null ? { target, hostname } : { target: null, hostname: null } };
}

function targetFault(target: string): string | null {
  const bare = target.replaceAll(/\$[1-9]/g, '');
  const fault = (what: string): string =>
    `must be a path like /api or, with what the rule's path captured, /$2, ${what}.`;
  if (!/^(\/|\$[1-9])/.test(target)) return fault(`and begin with a slash, not ${shown(target)}`);
  if (bare.includes('$')) return fault(`without other variables, not ${shown(target)}`);
  if (/[?#]/.test(bare)) return fault(`without query (that of the request stays), not ${shown(target)}`);
  if (/\s/.test(bare)) return fault(`without spaces, not ${shown(target)}`);
  if ((target.match(/\$[1-9]/g)?.length ?? 0) > GROUPS_MOST) return fault(`with at most ${GROUPS_MOST} groups`);
  return null;
}

/** It names groups, so that paths are meant as regular expressions. */
export function captures({ target }: IngressRewrite): boolean {
  return target !== null && GROUP.test(target);
}

/** Of a rule whose path is the expression `pattern`, or none. */
export function rewriteFilters(rewrite: IngressRewrite, pattern: string | null): Filter[] {
  const { target, hostname } = rewrite;
  if (target === null && hostname === null) return [];
  return [{ type: 'rewrite', hostname, path: target === null ? null : edit(target, pattern) }];
}

function edit(target: string, pattern: string | null): PathModifier {
  if (!GROUP.test(target)) return { type: 'ReplaceFullPath', value: target };
  if (pattern !== null) return { type: 'ReplaceExpression', pattern, value: target };
  // Without an expression there are no groups: each stands for nothing, as there.
  return { type: 'ReplaceFullPath', value: target.replaceAll(/\$[1-9]/g, '') || '/' };
}
