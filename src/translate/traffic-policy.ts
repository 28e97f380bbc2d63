// XBackendTrafficPolicy (experimental channel, GEP-3388): how much of what a backend is asked may be asked again. Of
// several for one backend the oldest counts. Session persistence is not served: a policy that asks for it is not
// accepted, so that nobody takes it for in force.

import { durationMs } from '../api/duration.ts';
import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { fields, isFields } from '../base/fields.ts';
import type { RetryBudget } from '../ir/ir.ts';
import { contenders } from './backend-tls.ts';
import type { Fault } from './conditions.ts';
import type { Reader } from './dependencies.ts';
import { integer, text } from './read.ts';

/** Of policies by what they are for. */
export const TRAFFIC_INDEX = 'trafficPoliciesByTarget';
/** What the API's schema fills in (apis/v1alpha1 RetryConstraint). */
const DEFAULT = { percent: 20, interval: '10s', count: 10, countInterval: '1s' } as const;

interface Traffic {
  /** Null: what the limits say. */
  readonly budget: RetryBudget | null;
  /** All that are for the backend, whichever counts. */
  readonly policies: readonly ObjectKey[];
}

export const NO_TRAFFIC: Traffic = { budget: null, policies: [] };

/** What holds for a backend. */
export function trafficOf(reader: Reader, kind: string, namespace: string, name: string): Traffic {
  const all = contenders(reader, objectKey(kind, namespace, name), '', TRAFFIC_INDEX);
  const [first] = all;
  if (first === undefined) return NO_TRAFFIC;
  return { budget: readTraffic(first).budget, policies: all.map(keyOf) };
}

interface Read {
  readonly budget: RetryBudget | null;
  readonly refused: Fault | null;
  readonly problems: Problems;
}

/** What a policy comes to, others for the same backend apart. */
export function readTraffic(policy: KubeObject): Read {
  const problems = new Problems(keyOf(policy));
  const spec = fields(policy.spec);
  const refuse = (field: string, message: string): Read => {
    problems.error(field, message);
    return { budget: null, refused: { name: 'policyInvalid', message }, problems };
  };
  if (isFields(spec['sessionPersistence'])) {
    return refuse('spec.sessionPersistence', 'sessionPersistence is not supported: nothing of the policy is in force.');
  }
  const constraint = spec['retryConstraint'];
  if (!isFields(constraint)) {
    problems.warning('spec', 'It has no retryConstraint and no effect.');
    return { budget: null, refused: null, problems };
  }
  const [share, rate] = [fields(constraint['budget']), fields(constraint['minRetryRate'])];
  const percent = integer(share['percent'] ?? DEFAULT.percent, 0, 100);
  const count = integer(rate['count'] ?? DEFAULT.count, 1, 1_000_000);
  const intervalMs = durationMs(text(share['interval']) ?? DEFAULT.interval);
  const countMs = durationMs(text(rate['interval']) ?? DEFAULT.countInterval);
  if (percent === undefined || !(intervalMs >= 1_000)) {
    return refuse('spec.retryConstraint.budget', 'The budget needs a percentage and an interval of at least 1s.');
  }
  if (count === undefined || !(countMs > 0)) {
    return refuse('spec.retryConstraint.minRetryRate', 'minRetryRate needs a count of at least 1 and an interval.');
  }
  return { budget: { percent, intervalMs, count, countMs }, refused: null, problems };
}
