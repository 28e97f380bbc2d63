// Rules of policies and XBackends, and of what a Gateway hands on to what is made for it.

import type { Fields } from '../base/fields.ts';
import { durationMs } from './duration.ts';
import type {
  BackendTLSPolicyValidation,
  PolicyTargetReference,
  SessionPersistence,
  SubjectAltName,
  XBackendSpec,
  XBackendSpecTls,
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
      const message = 'refers to the same target as an earlier one: each then has to name a sectionName';
      problems.error(`${path}[${i}].sectionName`, message);
    }
    first.set(target(ref), named);
  });
  const again = firstRepeated(refs.map((ref) => JSON.stringify([target(ref), ref.sectionName ?? ''])));
  if (again < 0) return;
  const message = 'refers to the same as an earlier one: leave it out, or name another sectionName';
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
        problems.error(path, `${what} keys may have at most 253 characters in front of '/', not ${prefix}`);
      } else if (!QUALIFIED_KEY.test(key)) {
        const form = "must be a name of at most 63 letters, digits, '-', '_' and '.', perhaps behind a domain and '/'";
        problems.error(atField(path, key), `${what} keys ${form}: write app or example.com/tier`);
      }
    }
  };
}

/** CEL: bounds of an interval. */
function interval(leastMs: number, words: string): Check<string> {
  return (value, path, problems) => {
    const ms = durationMs(value);
    if (ms < leastMs || ms > 3_600_000) problems.wrong(path, { must: `must be a duration ${words}`, write: '' }, value);
  };
}

function tlsValidation(value: BackendTLSPolicyValidation, path: string, problems: Problems): void {
  const refs = (value.caCertificateRefs ?? []).length > 0;
  const known = (value.wellKnownCACertificates ?? '') !== '';
  if (refs && known)
    problems.error(path, 'caCertificateRefs and wellKnownCACertificates exclude each other: write one of them');
  if (!refs && !known)
    problems.error(path, 'the authorities are missing: write wellKnownCACertificates: System, or caCertificateRefs');
}

function subjectAltName(name: SubjectAltName, path: string, problems: Problems): void {
  for (const [type, value] of [
    ['Hostname', name.hostname],
    ['URI', name.uri],
  ] as const) {
    const given = (value ?? '') !== '';
    if (given && name.type !== type) {
      problems.error(path, `${type.toLowerCase()} is for type ${type}, not ${name.type}: write type: ${type}`);
    } else if (!given && name.type === type) {
      const form = type === 'URI' ? 'uri: spiffe://example.com/app' : 'hostname: app.example.com';
      problems.error(path, `${type.toLowerCase()} is missing, which type ${type} needs: write ${form}`);
    }
  }
}

export function sessionPersistence(value: SessionPersistence, path: string, problems: Problems): void {
  if (value.cookieConfig !== undefined && value.type !== 'Cookie') {
    problems.error(`${path}.cookieConfig`, `cookieConfig is for type Cookie, not ${value.type}: write type: Cookie`);
  }
  if (value.cookieConfig?.lifetimeType === 'Permanent' && value.absoluteTimeout === undefined) {
    problems.missing(`${path}.absoluteTimeout`, 'absoluteTimeout: 24h', ', which lifetimeType Permanent needs');
  }
}

export const BACKEND_TLS_POLICY: readonly Rule[] = [
  rule('spec.targetRefs', targetRefs),
  rule('spec.validation', tlsValidation),
  rule('spec.validation.subjectAltNames[]', subjectAltName),
];

const CLUSTER_DOMAIN = /\.cluster\.local$/;

function externalBackend(spec: XBackendSpec, path: string, problems: Problems): void {
  if (spec.type === 'ExternalHostname' && spec.externalHostname === undefined) {
    const form = 'externalHostname: { hostname: api.example.com }';
    problems.missing(`${path}.externalHostname`, form, ', which type ExternalHostname needs');
  }
}

function externalHostname(value: string, path: string, problems: Problems): void {
  if (!CLUSTER_DOMAIN.test(value)) return;
  const [name = 'app', namespace = 'default'] = value.split('.');
  const ref = `backendRefs: [{ name: ${name}, namespace: ${namespace}, port: 80 }]`;
  problems.error(path, `${value} is of the cluster itself: refer to the Service, like ${ref}`);
}

/**
 * Whatever is written: the definition's rule holds for no name (v1.6.1 compares an optional with null), and so no API
 * server with it takes one.
 */
function portName(value: string, path: string, problems: Problems): void {
  if (value === '') return;
  problems.error(
    path,
    `${JSON.stringify(value)}: leave it out: it means nothing, and API servers refuse any name here`,
  );
}

function externalTls(tls: XBackendSpecTls, path: string, problems: Problems): void {
  const given = tls.clientCertificateRef !== undefined;
  if (tls.mode === 'ClientAndServer' && !given) {
    const form = 'clientCertificateRef: { name: client }';
    problems.missing(`${path}.clientCertificateRef`, form, ', which mode ClientAndServer needs');
  } else if (tls.mode !== 'ClientAndServer' && given) {
    const message = `is for mode ClientAndServer, not ${tls.mode}: write mode: ClientAndServer, or leave it out`;
    problems.error(`${path}.clientCertificateRef`, message);
  }
}

export const X_BACKEND: readonly Rule[] = [
  rule('spec', externalBackend),
  rule('spec.externalHostname.hostname', externalHostname),
  rule('spec.port.name', portName),
  rule('spec.tls', externalTls),
  rule('spec.tls.validation', tlsValidation),
  rule('spec.tls.validation.subjectAltNames[]', subjectAltName),
];

export const BACKEND_TRAFFIC_POLICY: readonly Rule[] = [
  rule('spec.sessionPersistence', sessionPersistence),
  rule('spec.retryConstraint.budget.interval', interval(1_000, 'from 1s to 1h')),
  rule('spec.retryConstraint.minRetryRate.interval', interval(1, 'from 1ms to 1h')),
];

export const INFRASTRUCTURE: readonly Rule[] = [
  rule('spec.infrastructure.labels', infrastructureKeys('Label')),
  rule('spec.infrastructure.annotations', infrastructureKeys('Annotation')),
];
