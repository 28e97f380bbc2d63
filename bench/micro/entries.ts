// Entries of the configuration as the micro benches make them by the thousand.

import type { RuleEntry, WeightedBackend } from '../../src/ir/ir.ts';

export const LISTENER = 'socket/0.0.0.0/80/tcp';

/** Rule 0 of HTTPRoute number `index`: one hostname, one path prefix, any method unless one is named. */
export function prefixRule(
  index: number,
  hostname: string,
  path: string,
  backends: readonly WeightedBackend[],
  method = '',
): RuleEntry {
  return {
    kind: 'rule',
    key: `rule/HTTPRoute/default/route-${index}/0`,
    routeKind: 'HTTPRoute',
    route: `default/route-${index}`,
    index: 0,
    name: '',
    created: 0,
    attachments: [{ socket: LISTENER, host: '*', hostnames: [hostname] }],
    matches: [{ path: { type: 'PathPrefix', value: path }, method, headers: [], query: [] }],
    filters: [],
    action: { type: 'forward', backends },
    timeouts: { requestMs: null, backendMs: null },
    retry: null,
  };
}
