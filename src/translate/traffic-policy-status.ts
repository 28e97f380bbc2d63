// What is said of an XBackendTrafficPolicy: for each Gateway whose routes send to what it is for, whether it counts.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import { misplacedAt, type PolicyResult, policyResult } from './backend-tls-status.ts';
import type { TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { readTraffic, TRAFFIC_INDEX } from './traffic-policy.ts';

/** `gateways`: keys of those whose routes send to what the policy is for. */
export function trafficStatus(
  reader: Reader,
  policy: KubeObject,
  gateways: readonly ObjectKey[],
  options: TranslatorOptions,
): PolicyResult {
  const { refused, problems } = readTraffic(policy);
  const { fault, missing } = misplacedAt(reader, policy, problems, TRAFFIC_INDEX);
  const said = { accepted: 'trafficAccepted', fault: fault ?? refused, missing } as const;
  return policyResult(policy, gateways, options, said, problems);
}
