// What is said of a policy for backends, a BackendTLSPolicy first of all: for each Gateway whose routes send to what it
// is for, whether it counts, and whether its references resolve.

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import { servicePortNames } from './backend.ts';
import { contenders, type PolicyTarget, readPolicy, targetsOf } from './backend-tls.ts';
import type { Condition, ConditionName, Fault, PolicyStatus } from './conditions.ts';
import { condition } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { GATEWAY_GROUP, generationOf } from './context.ts';
import { compare, type Reader } from './dependencies.ts';
import { list } from './read.ts';

export interface PolicyResult {
  /** Null when no Gateway of ours has to do with it. */
  readonly status: PolicyStatus | null;
  readonly problems: Problems;
}

/** `gateways`: keys of those whose routes send to what the policy is for. */
export function policyStatus(
  reader: Reader,
  policy: KubeObject,
  gateways: readonly ObjectKey[],
  options: TranslatorOptions,
): PolicyResult {
  const { refused, unresolved, problems } = readPolicy(reader, policy, options.systemTrust ?? null);
  const { fault, missing } = misplacedAt(reader, policy, problems);
  const said = { accepted: 'policyAccepted', fault: fault ?? refused, missing, unresolved } as const;
  return policyResult(policy, gateways, options, said, problems);
}

interface Said {
  /** What is said when nothing is wrong with it. */
  readonly accepted: ConditionName;
  readonly fault: Fault | null;
  /** What of its targets is not there, while others are. */
  readonly missing: string | null;
  /** Of kinds that refer to others. */
  readonly unresolved?: Fault | null;
}

/** The same said for each of the Gateways. */
export function policyResult(
  policy: KubeObject,
  gateways: readonly ObjectKey[],
  options: TranslatorOptions,
  { accepted, fault, missing, unresolved }: Said,
  problems: Problems,
): PolicyResult {
  const generation = generationOf(policy);
  const either = (found: Fault | null, good: ConditionName): Condition =>
    found === null ? condition(good, generation) : condition(found.name, generation, found.message);
  const partly = missing === null ? undefined : `It counts for its other targets: ${missing}`;
  const conditions = [fault === null ? condition(accepted, generation, partly) : either(fault, accepted)];
  if (unresolved !== undefined) conditions.push(either(unresolved, 'policyResolved'));
  const ancestors = [...gateways]
    .sort(compare)
    .slice(0, LIMITS.POLICY_ANCESTORS)
    .map((gateway) => {
      const [kind = '', namespace = '', name = ''] = gateway.split('/');
      return {
        ancestorRef: { group: GATEWAY_GROUP, kind, namespace, name },
        controllerName: options.controllerName,
        conditions,
      };
    });
  return { status: ancestors.length === 0 ? null : { ancestors }, problems };
}

/** What is wrong with a policy's targets. */
export interface Misplaced {
  /** What keeps it from counting somewhere: an older one, a target of another kind, or that none of them exists. */
  readonly fault: Fault | null;
  /** Targets or sections that do not exist, while others do: those have what the policy says. */
  readonly missing: string | null;
}

export function misplacedAt(
  reader: Reader,
  policy: KubeObject,
  problems: Problems,
  index: 'tlsPoliciesByTarget' | 'trafficPoliciesByTarget' = 'tlsPoliciesByTarget',
): Misplaced {
  let first: Fault | null = null;
  const say = (field: string, fault: Fault): void => {
    problems.error(field, fault.message);
    first ??= fault;
  };
  const targets = targetsOf(policy);
  const refs = list(fields(policy.spec)['targetRefs']);
  if (targets.length < refs.length) {
    say('spec.targetRefs', { name: 'policyTarget', message: otherTargets(policy, refs) });
  }
  const absent = targets.map((target) => missingSection(reader, target));
  const some = absent.includes(null);
  for (const [i, target] of targets.entries()) {
    const missing = absent[i] ?? null;
    if (missing !== null && some) problems.warning(target.field, missing);
    else if (missing !== null) say(target.field, { name: 'policyTarget', message: missing });
    const winner = contenders(reader, target.key, target.section, index)[0];
    if (winner === undefined || keyOf(winner) === keyOf(policy)) continue;
    const message = `The older ${winner.metadata.namespace}/${winner.metadata.name} is for the same target.`;
    say(target.field, { name: 'policyConflicted', message });
  }
  const missing = absent.filter((message) => message !== null);
  return { fault: first, missing: some && missing.length > 0 ? missing.join(' ') : null };
}

function otherTargets({ kind }: KubeObject, refs: readonly unknown[]): string {
  if (kind === 'XBackendTrafficPolicy')
    return 'Policies are for Services, Backends of rauta.io and XBackends; other targets have no effect.';
  const external = refs.some((ref) => fields(ref)['kind'] === 'XBackend');
  const said = external ? ' How TLS is spoken with an XBackend says its own spec.tls.' : '';
  return `Policies are for Services and for Backends of rauta.io; other targets have no effect.${said}`;
}

function missingSection(reader: Reader, { key, section }: PolicyTarget): string | null {
  const [kind = '', namespace, name = ''] = key.split('/');
  const object = reader.get(kind, namespace, name);
  if (object === undefined) return `${kind} ${namespace}/${name} does not exist.`;
  if (section === '') return null;
  if (kind === 'Service' && servicePortNames(object).includes(section)) return null;
  return `${kind} ${namespace}/${name} has no port named ${section}.`;
}
