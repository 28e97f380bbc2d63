// Units of TLS to backends: the status of a policy, which follows from the routes that send to what it is for, and the
// trust and client certificates that clusters name, which are handed out as long as one does.

import { type ObjectKey, objectKey } from '../api/object.ts';
import { objectText, Problems } from '../api/problem.ts';
import type { ClientTls, Key, TrustEntry } from '../ir/ir.ts';
import { parseKey, SYSTEM_TRUST, secretOfCertificate, trustKey } from '../ir/keys.ts';
import type { World } from '../store/world.ts';
import { ownerOfTrust, readPolicy, targetsOf } from './backend-tls.ts';
import { policyStatus } from './backend-tls-status.ts';
import { certificateEntry } from './client-certificate.ts';
import type { TranslatorOptions } from './context.ts';
import type { Reader, Unit } from './dependencies.ts';
import { INGRESS_GATEWAY } from './ingress.ts';
import type { RouteResult } from './route.ts';
import type { State } from './state.ts';
import { trafficStatus } from './traffic-policy-status.ts';
import { readXBackend } from './x-backend.ts';

/** Counts for each policy the Gateways whose routes have to do with it; `by`: 1 for one more route, -1 for one less. */
export function countPolicies(
  state: State,
  route: Pick<RouteResult, 'policies' | 'gateways'> | null | undefined,
  by: 1 | -1,
): void {
  for (const policy of route?.policies ?? []) {
    const gateways = state.policyGateways.get(policy) ?? new Map<ObjectKey, number>();
    for (const gateway of route?.gateways ?? []) {
      const routes = (gateways.get(gateway) ?? 0) + by;
      if (routes > 0) gateways.set(gateway, routes);
      else gateways.delete(gateway);
    }
    if (gateways.size > 0) state.policyGateways.set(policy, gateways);
    else state.policyGateways.delete(policy);
    state.mark(policy);
  }
}

export function updatePolicy(state: State, world: World, key: ObjectKey): void {
  const [kind = '', namespace, name = ''] = key.split('/');
  const policy = world.get(kind, namespace, name);
  const gateways = state.policyGateways.get(key);
  if (policy === undefined || gateways === undefined) {
    state.forget(key);
    state.out.status(key, null);
    // In a cluster others may have to do with it; who writes a file means it.
    const unused = new Problems(key);
    if (policy !== undefined && state.options.fromFiles === true) {
      const absent = state.read(world, key, (reader) =>
        targetsOf(policy).filter(({ key: target }) => {
          const [of = '', at, called = ''] = target.split('/');
          return reader.get(of, at, called) === undefined;
        }),
      );
      for (const { key: target, field } of absent)
        unused.warning(field, `${objectText(target)} does not exist: the policy has no effect.`, target);
      if (absent.length === 0) unused.idle('spec.targetRefs', 'No route sends to what it is for: it has no effect.');
    }
    state.out.diagnose(key, unused.found);
    return;
  }
  const statusOf = kind === 'BackendTLSPolicy' ? policyStatus : trafficStatus;
  const { status, problems } = state.read(world, key, (reader) =>
    statusOf(reader, policy, [...gateways.keys()].filter(isGateway), state.options),
  );
  state.out.status(key, status);
  state.out.diagnose(key, problems.found);
}

/** A status can speak of Gateways only: Ingresses have none. */
export function isGateway(key: ObjectKey): boolean {
  return key !== INGRESS_GATEWAY;
}

/** A cluster names, or no longer names, what its TLS is made of. */
export function useTls(state: State, tls: ClientTls | null, by: 1 | -1): void {
  if (tls === null) return;
  for (const key of [tls.trust, tls.certificate]) if (key !== null) useKey(state, key, by);
}

/** Something names, or no longer names, trust or a certificate. */
export function useKey(state: State, key: Key, by: 1 | -1): void {
  const users = (state.tlsUsers.get(key) ?? 0) + by;
  if (users > 0) state.tlsUsers.set(key, users);
  else state.tlsUsers.delete(key);
  state.mark(key);
}

/** Trust or a certificate, by its key. */
export function updateTls(state: State, world: World, key: Key): void {
  const parsed = parseKey(key);
  if (parsed.kind !== 'trust' && parsed.kind !== 'certificate') return;
  const { kind, namespace, name } = parsed;
  const entry = state.tlsUsers.has(key)
    ? state.read(world, key, (reader) =>
        kind === 'trust'
          ? trustEntry(reader, namespace, name, state.options)
          : certificateEntry(reader, namespace, secretOfCertificate(name)),
      )
    : null;
  if (entry !== null) {
    state.out.upsert(entry);
    return;
  }
  state.forget(key);
  state.out.remove(key);
}

/** The trust entry under that name, of a policy, an XBackend or the system; null when there is none (any more). */
function trustEntry(reader: Reader, namespace: string, name: string, options: TranslatorOptions): TrustEntry | null {
  const system = options.systemTrust ?? null;
  if (trustKey(namespace, name) === trustKey('', 'system')) {
    return { kind: 'trust', key: SYSTEM_TRUST, authorities: system?.() ?? [], revoked: [] };
  }
  const owner = ownerOfTrust(name);
  const object = reader.get(owner.kind, namespace, owner.name);
  if (object === undefined) return null;
  return owner.kind === 'XBackend'
    ? readXBackend(reader, object, options).trust
    : readPolicy(reader, object, system).trust;
}

/** What a fault of ours is told of. */
export function tlsOwner(key: Unit): ObjectKey {
  const parsed = parseKey(key);
  if (parsed.kind === 'certificate') return `Secret/${parsed.namespace}/${secretOfCertificate(parsed.name).secret}`;
  if (parsed.kind !== 'trust') return key;
  const { kind, name } = ownerOfTrust(parsed.name);
  return objectKey(kind, parsed.namespace, name);
}
