// Rules of policies, and of what a Gateway hands on to what is made for it.

import type { Fields } from '../base/fields.ts';
import { durationMs } from './duration.ts';
import type {
  BackendTLSPolicyValidation,
  PolicyTargetReference,
  SessionPersistence,
  SubjectAltName,
} from './generated/index.ts';
import type { Problems } from './problem.ts';
import { type Check, firstRepeated, type Rule, rule } from './rule.ts';
import { at as atField } from './value.ts';

/** CEL: sectionName is given in all references to one target or in none, and once each. */
function targetRefs(refs: readonly PolicyTargetReference[], path: string, problems: Problems): void {
  const target = (r: PolicyTargetReference): string => JSON.stringify([r.group, r.kind, r.name]);
  const first = new Map<string, boolean>();
  refs.forEach((ref, i) => {
    const named = (ref.sectionName ?? '') !== '';
    if ((first.get(target(ref)) ?? named) !== named) {
      const message = 'sectionName must be specified when targetRefs includes 2 or more references to the same target';
      problems.error(`${path}[${i}].sectionName`, message);
    }
    first.set(target(ref), named);
  });
  const again = firstRepeated(refs.map((ref) => JSON.stringify([target(ref), ref.sectionName ?? ''])));
  if (again < 0) return;
  const message = 'sectionName must be unique when targetRefs includes 2 or more references to the same target';
  problems.error(`${path}[${again}].sectionName`, message);
}

const QUALIFIED_KEY =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$/;

/** CEL: keys of what a Gateway's infrastructure is labelled with. */
function infrastructureKeys(what: 'Label' | 'Annotation'): Check<Fields> {
  return (map, path, problems) => {
    for (const key of Object.keys(map)) {
      const prefix = (key.split('/')[0] as string).length;
      if (prefix >= 253) {
        const message = `If specified, the ${what.toLowerCase()} key's prefix must be a DNS subdomain not longer than 253 characters in total.`;
        problems.error(path, message);
      } else if (!QUALIFIED_KEY.test(key)) {
        const form = 'an optional DNS subdomain prefix followed by a required name segment of up to 63 characters';
        problems.error(atField(path, key), `${what} keys must be in the form of ${form}.`);
      }
    }
  };
}

/** CEL: bounds of an interval. */
function interval(leastMs: number, words: string): Check<string> {
  return (value, path, problems) => {
    const ms = durationMs(value);
    if (ms < leastMs || ms > 3_600_000) problems.error(path, `${words}${problems.not(value)}`);
  };
}

function tlsValidation(value: BackendTLSPolicyValidation, path: string, problems: Problems): void {
  const refs = (value.caCertificateRefs ?? []).length > 0;
  const known = (value.wellKnownCACertificates ?? '') !== '';
  if (refs && known) problems.error(path, 'must not contain both CACertificateRefs and WellKnownCACertificates');
  if (!refs && !known) problems.error(path, 'must specify either CACertificateRefs or WellKnownCACertificates');
}

function subjectAltName(name: SubjectAltName, path: string, problems: Problems): void {
  for (const [type, value] of [
    ['Hostname', name.hostname],
    ['URI', name.uri],
  ] as const) {
    const given = (value ?? '') !== '';
    if (given && name.type !== type) {
      problems.error(path, `SubjectAltName element must not contain ${type}, if Type is not set to ${type}`);
    } else if (!given && name.type === type) {
      problems.error(path, `SubjectAltName element must contain ${type}, if Type is set to ${type}`);
    }
  }
}

export function sessionPersistence(value: SessionPersistence, path: string, problems: Problems): void {
  if (value.cookieConfig !== undefined && value.type !== 'Cookie') {
    problems.error(`${path}.cookieConfig`, 'cookieConfig can only be set with type Cookie');
  }
  if (value.cookieConfig?.lifetimeType === 'Permanent' && value.absoluteTimeout === undefined) {
    problems.error(
      `${path}.absoluteTimeout`,
      'AbsoluteTimeout must be specified when cookie lifetimeType is Permanent',
    );
  }
}

export const BACKEND_TLS_POLICY: readonly Rule[] = [
  rule('spec.targetRefs', targetRefs),
  rule('spec.validation', tlsValidation),
  rule('spec.validation.subjectAltNames[]', subjectAltName),
];

export const BACKEND_TRAFFIC_POLICY: readonly Rule[] = [
  rule('spec.sessionPersistence', sessionPersistence),
  rule(
    'spec.retryConstraint.budget.interval',
    interval(1_000, 'interval cannot be greater than one hour or less than one second'),
  ),
  rule('spec.retryConstraint.minRetryRate.interval', interval(1, 'interval cannot be greater than one hour, or 0')),
];

export const INFRASTRUCTURE: readonly Rule[] = [
  rule('spec.infrastructure.labels', infrastructureKeys('Label')),
  rule('spec.infrastructure.annotations', infrastructureKeys('Annotation')),
];
