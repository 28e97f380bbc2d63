// Whose requests an Ingress takes, by the annotations of ingress-nginx: ranges of clients' addresses that it takes
// alone, and such as it does not take. One whose ranges cannot be read takes nobody's.

import { parseRange } from '../base/ip.ts';
import type { Filter } from '../ir/ir.ts';
import type { AnnotationsRead } from './ingress-auth.ts';
import { NGINX } from './ingress-nginx.ts';
import { shown } from './read.ts';

const ALLOW = `${NGINX}allowlist-source-range`;
/** What it was called before. */
const WHITELIST = `${NGINX}whitelist-source-range`;
const DENY = `${NGINX}denylist-source-range`;
const ANSWERS = 'The Ingress answers 500 while it is there.';

interface Access {
  readonly filters: readonly Filter[];
  /** Why nothing of the Ingress may be served. */
  readonly refused: string | null;
}

/** As nginx reads them: who is refused is, whoever is allowed. */
export function accessOf(read: AnnotationsRead): Access {
  const [denied, allowed, former] = [rangesOf(read, DENY), rangesOf(read, ALLOW), rangesOf(read, WHITELIST)];
  if (allowed.ranges !== null && former.ranges !== null)
    read.idle(WHITELIST, 'whitelist-source-range has no effect beside allowlist-source-range.');
  const refused = denied.refused ?? allowed.refused ?? former.refused;
  if (refused !== null) return { filters: [], refused };
  const filters = [filterOf('deny', denied.ranges), filterOf('allow', allowed.ranges ?? former.ranges)];
  return { filters: filters.flat(), refused: null };
}

function filterOf(effect: 'allow' | 'deny', ranges: readonly string[] | null): Filter[] {
  return ranges === null ? [] : [{ type: 'access', effect, ranges, methods: [], paths: [] }];
}

interface Ranges {
  /** Null: it is not there. */
  readonly ranges: readonly string[] | null;
  readonly refused: string | null;
}

function rangesOf(read: AnnotationsRead, name: string): Ranges {
  const value = read.written(name);
  if (value === null) return { ranges: null, refused: null };
  const ranges = value.split(',').map((item) => item.trim());
  const wrong = ranges.find((range) => parseRange(range) === null);
  if (wrong === undefined) return { ranges, refused: null };
  const why = `${shown(wrong)} is not a range of addresses like 10.0.0.0/8 or fd00::/8, nor an address.`;
  read.wrong(name, `${why} ${ANSWERS}`);
  return { ranges: null, refused: `${name.slice(NGINX.length)}: ${why}` };
}
