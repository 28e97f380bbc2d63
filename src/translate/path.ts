// Paths of matches as workers take them: a revision that has another one they refuse as a whole, so that it would stop
// everybody's changes.

import { LIMITS } from '../base/limits.ts';

const BROKEN_ESCAPE = /%(?![0-9a-fA-F]{2})/;
/**
 * A dot segment, plain or escaped, between slashes or what some backends take for one, or with parameters that some
 * take off first (`..;x`).
 */
const DOT_SEGMENT = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;]|%2f|%5c|%3b|$)/i;

/**
 * Why no request can have the path once its own is normalised (RFC 3986 section 6.2.2; proxy/route/normalize.ts), with
 * what to write; null when one can. `path` begins with a slash.
 */
export function pathFault(path: string): string | null {
  if (Buffer.byteLength(path) > LIMITS.URI_BYTES) return `is longer than ${LIMITS.URI_BYTES} bytes`;
  if (BROKEN_ESCAPE.test(path)) return 'has a % without two hexadecimal digits: write %25 for a percent sign';
  if (path.includes('%00')) return 'contains %00';
  return DOT_SEGMENT.test(path) ? 'contains a dot segment' : null;
}
