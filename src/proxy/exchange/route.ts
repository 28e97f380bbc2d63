// From a request's head to the rule that takes it.

import { FAULTS, type Fault } from '../../base/errors.ts';
import type { AccessRecord } from '../../telemetry/record.ts';
import { type Head, METHOD, SCHEME } from '../head.ts';
import { isSameListener, type Listener } from '../listener.ts';
import { keepSlashes, normalizeTarget } from '../route/normalize.ts';
import type { CompiledRule } from './rule.ts';
import type { Downstream } from './sides.ts';

/** What was found; one for each exchange, filled anew. */
export interface Found {
  rule: CompiledRule | null;
  /** Bytes of the path that the match covers. */
  prefixLength: number;
  /** Of the listener, as its Gateway writes it. */
  port: number;
}

/**
 * Fills `found`, and what the log says of listener and route; the fault when no rule takes the request. `trusted`: what
 * it says of its client is believed.
 */
export function findRule(
  mem: Uint8Array,
  record: AccessRecord,
  listener: Listener,
  head: Head,
  down: Pick<Downstream, 'secure' | 'host'>,
  trusted: boolean,
  found: Found,
): Fault | null {
  const { router } = listener;
  if (!normalizeTarget(mem, head)) return FAULTS.badRequest;
  // RFC 9110 section 7.4: unless it comes from a gateway that is trusted, which ends TLS in front and says so.
  if (head.scheme === SCHEME.HTTPS && !down.secure && !trusted) return FAULTS.misdirected;
  // CONNECT asks for a tunnel, which no rule offers (RFC 9110 section 9.3.6).
  const rule = head.method === METHOD.CONNECT ? null : router.find(mem, head);
  const { host } = router;
  if (host !== null) {
    record.listenerJson = listener.jsonOf(host);
    if (down.host === null) {
      // A connection of no listener: nobody was asked for a certificate.
      if (host.tls !== null && host.tls.clients !== null) return FAULTS.misdirected;
    } else if (!isSameListener(down.host, host)) return FAULTS.misdirected;
  }
  if (rule === null) return FAULTS.noRoute;
  found.rule = rule;
  found.prefixLength = rule.keepsSlashes ? keepSlashes(mem, head, router.prefixLength) : router.prefixLength;
  found.port = host === null ? 0 : host.port;
  record.routeJson = rule.json;
  record.routeBlock = rule.cells.route;
  return null;
}
