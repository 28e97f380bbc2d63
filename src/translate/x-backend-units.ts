// What is said of an XBackend: for each Gateway whose routes send to it, whether it is accepted, and whether what it
// refers to is there (apis/v1alpha1 BackendStatus). Of Ingresses that send to it a status cannot speak.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import type { World } from '../store/world.ts';
import { isGateway } from './backend-tls-units.ts';
import { condition, type Fault, type RouteStatus } from './conditions.ts';
import { GATEWAY_GROUP, generationOf, type TranslatorOptions } from './context.ts';
import { compare, type Reader } from './dependencies.ts';
import { tellOfBackend } from './endpoints-units.ts';
import type { State } from './state.ts';
import { objectOf } from './unit.ts';
import { externalAddresses, readXBackend } from './x-backend.ts';

export function updateXBackend(state: State, world: World, key: ObjectKey): void {
  const object = objectOf(world, key);
  const gateways = [...(state.policyGateways.get(key)?.keys() ?? [])];
  // In a cluster others may serve it, and what it refers to is none of our business.
  if (object === undefined || (gateways.length === 0 && state.options.fromFiles !== true)) {
    state.forget(key);
    state.out.status(key, null);
    tellOfBackend(state, key, []);
    return;
  }
  const { status, problems } = state.read(world, key, (reader) => judged(reader, object, gateways, state.options));
  state.out.status(key, status);
  tellOfBackend(state, key, problems);
}

function judged(
  reader: Reader,
  object: KubeObject,
  gateways: readonly ObjectKey[],
  options: TranslatorOptions,
): { readonly status: RouteStatus | null; readonly problems: readonly Problem[] } {
  const { host, refused, unresolved, problems } = readXBackend(reader, object, options);
  if (gateways.length === 0) problems.idle('spec', 'No route sends to it: it has no effect.');
  const fault = refused ?? (host === null ? null : forbidden(reader, host.hostname, options));
  const generation = generationOf(object);
  const conditions = [
    fault === null ? condition('externalAccepted', generation) : condition(fault.name, generation, fault.message),
    unresolved === null
      ? condition('policyResolved', generation)
      : condition(unresolved.name, generation, unresolved.message),
  ];
  const parents = gateways
    .filter(isGateway)
    .sort(compare)
    .slice(0, LIMITS.STATUS_PARENTS)
    .map((gateway) => {
      const [kind = '', namespace = '', name = ''] = gateway.split('/');
      const parentRef = { group: GATEWAY_GROUP, kind, namespace, name };
      return { parentRef, controllerName: options.controllerName, conditions };
    });
  return { status: parents.length === 0 ? null : { parents }, problems: problems.found };
}

/** Where every address is one that nobody may lead to. */
function forbidden(reader: Reader, hostname: string, options: TranslatorOptions): Fault | null {
  const { allowed, refused } = externalAddresses(reader, hostname, options);
  if (allowed.length > 0 || refused.length === 0) return null;
  const message = `${hostname} is ${refused.join(', ')}, of this machine or its link: only --backends local allows it.`;
  return { name: 'externalForbidden', message };
}
