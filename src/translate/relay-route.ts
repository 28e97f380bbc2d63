// TCPRoute, TLSRoute and UDPRoute: one rule each, whose backends get bytes or datagrams as they come (apis/v1
// TCPRouteSpec, TLSRouteSpec, UDPRouteSpec). Several may be attached to one listener: which of them gets a session is
// the data plane's to say, and all of them are Accepted (conflicts.md of the API: the oldest is served).

import { durationMs } from '../api/duration.ts';
import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import type { Attachment, ClusterEntry, RelayBackend, RelayEntry } from '../ir/ir.ts';
import { relayKey } from '../ir/keys.ts';
import { type BackendFault, resolveBackend } from './backend.ts';
import { createdOf, type TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { hostnamesOf } from './http-route.ts';
import { integer, list, shown, text } from './read.ts';
import type { Invalid, RouteKind, RouteRule } from './route.ts';

export const TCP_ROUTE: RouteKind = relayed('TCPRoute');
export const TLS_ROUTE: RouteKind = relayed('TLSRoute');
export const UDP_ROUTE: RouteKind = relayed('UDPRoute');

/** After how long a session of the route in which nothing moves ends: a duration of GEP-2257, 0s for never. */
const IDLE_TIMEOUT = 'rauta.io/idle-timeout';

const ANY: readonly string[] = [];
const WEIGHT_MAX = 1_000_000;
/** What fits a 32-bit timer. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

function relayed(kind: RelayEntry['routeKind']): RouteKind {
  const named = kind === 'TLSRoute';
  return {
    rivals: null,
    hostnames: named ? hostnamesOf : () => ANY,
    rules(reader: Reader, route: KubeObject, problems: Problems, options: TranslatorOptions): readonly RouteRule[] {
      const idleMs = idleOf(route, problems);
      return list(fields(route.spec)['rules']).map((value, index): RouteRule => {
        const make = (through: boolean, told: Problems | null): RouteRule =>
          ruleOf({ kind, reader, route, index, idleMs, options, through, problems: told }, value);
        return named ? { ...make(false, problems), through: make(true, null) } : make(false, problems);
      });
    },
  };
}

function idleOf(route: KubeObject, problems: Problems): number | null {
  const given = fields(route.metadata.annotations)[IDLE_TIMEOUT];
  if (given === undefined) return null;
  const ms = durationMs(text(given) ?? '');
  if (!Number.isNaN(ms)) return Math.min(ms, TIMEOUT_MAX_MS);
  problems.error(
    `metadata.annotations[${IDLE_TIMEOUT}]`,
    `${shown(given)} is not a duration like 10m, 1h30m or 10s: the default holds.`,
  );
  return null;
}

interface Making {
  readonly kind: RelayEntry['routeKind'];
  readonly reader: Reader;
  readonly route: KubeObject;
  readonly index: number;
  readonly idleMs: number | null;
  readonly options: TranslatorOptions;
  /** For listeners that pass TLS through. */
  readonly through: boolean;
  /** Null: what is wrong is said already. */
  readonly problems: Problems | null;
}

function ruleOf({ kind, reader, route, index, idleMs, options, through, problems }: Making, value: unknown): RouteRule {
  const spec = fields(value);
  const namespace = route.metadata.namespace ?? '';
  const field = `spec.rules[${index}]`;
  const clusters: ClusterEntry[] = [];
  const policies = new Set<ObjectKey>();
  let unresolved: BackendFault | null = null;
  let invalid: Invalid | null = null;
  const backends = list(spec['backendRefs']).map((item, i): RelayBackend => {
    const at = `${field}.backendRefs[${i}]`;
    const ref = fields(item);
    const found = resolveBackend(reader, kind, namespace, ref, options, { through });
    for (const policy of found.policies) policies.add(policy);
    if (found.unheard !== undefined) problems?.warning(at, found.unheard);
    if (found.untrusted !== null) problems?.warning(at, `${found.untrusted} Sessions are refused.`);
    if (found.fault !== null) {
      const { field: of, message, absent } = found.fault;
      problems?.error(of === '' ? at : `${at}.${of}`, message, absent);
      unresolved ??= found.fault;
    } else if (found.cluster !== null) clusters.push(found.cluster);
    const weight = integer(ref['weight'] ?? 1, 0, WEIGHT_MAX);
    if (weight === undefined) {
      const message = `${shown(ref['weight'])} is not a weight.`;
      problems?.error(`${at}.weight`, message);
      invalid ??= { reason: 'UnsupportedValue', message };
    }
    return { cluster: found.cluster?.key ?? null, backend: found.label, weight: weight ?? 0 };
  });
  if (!backends.some(({ weight }) => weight > 0)) {
    problems?.warning(`${field}.backendRefs`, 'No backend has a share of the sessions: they are refused.');
  }
  const name = text(spec['name']) ?? '';
  return {
    name,
    invalid,
    unresolved,
    clusters,
    policies: [...policies],
    entry: (object: KubeObject, position: number, attachments: readonly Attachment[]): RelayEntry => ({
      kind: 'relay',
      key: relayKey(kind, namespace, object.metadata.name, position),
      routeKind: kind,
      route: `${namespace}/${object.metadata.name}`,
      index: position,
      name,
      created: createdOf(object),
      attachments,
      backends: backends.length > 0 ? backends : [{ cluster: null, backend: '', weight: 0 }],
      idleMs,
    }),
  };
}
