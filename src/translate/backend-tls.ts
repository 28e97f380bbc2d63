// BackendTLSPolicy: whether TLS is spoken with a backend, and how (apis/v1 BackendTLSPolicy). A policy that is there
// and is not good makes its backends answer 5xx: nobody is ever spoken to in the clear because a policy was broken.

import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { type Fields, fields, isFields } from '../base/fields.ts';
import type { ClientTls, SubjectAltName, TlsVersion, TrustEntry } from '../ir/ir.ts';
import { SYSTEM_TRUST, trustKey } from '../ir/keys.ts';
import { type Authorities, authoritiesIn, tooMuch } from './authorities.ts';
import type { Fault } from './conditions.ts';
import { createdOf, olderFirst, RAUTA_GROUP, type SystemTrust, X_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { isHostname } from './hostname.ts';
import { anyText, list, shown, text } from './read.ts';

/** Protocols offered to backends by ALPN. */
const ALPN: readonly string[] = ['http/1.1'];
const VERSIONS: Readonly<Record<string, TlsVersion>> = { '1.2': 'TLSv1.2', '1.3': 'TLSv1.3' };
const MIN_VERSION = 'rauta.io/tls-min-version';
/** Kinds of object that hold authorities. */
const AUTHORITY_KINDS: readonly string[] = ['ConfigMap', 'Secret'];

/** TLS with whoever has a certificate for `hostname` of an authority that the system knows. */
export function systemTls(hostname: string): ClientTls {
  return {
    trust: SYSTEM_TRUST,
    hostname,
    subjectAltNames: [],
    certificate: null,
    alpn: ALPN,
    minVersion: 'TLSv1.2',
  };
}

/** What a policy comes to. */
export interface PolicyVerdict {
  /** Null: nothing can be spoken by it. */
  readonly tls: ClientTls | null;
  /** Its own authorities; null when they are the system's, or there are none. */
  readonly trust: TrustEntry | null;
  /** Why it is not accepted, conflicts with others apart. */
  readonly refused: Fault | null;
  /** The first reference that does not resolve. */
  readonly unresolved: Fault | null;
  readonly problems: Problems;
}

export function readPolicy(reader: Reader, policy: KubeObject, system: SystemTrust | null): PolicyVerdict {
  const problems = new Problems(keyOf(policy));
  const spec = fields(policy.spec);
  let refused: Fault | null = null;
  const refuse: Refuse = (field, message, name = 'policyInvalid') => {
    problems.error(field, message);
    refused ??= { name, message };
  };
  const minVersion = optionsOf(fields(spec['options']), refuse);
  const found = readValidation(reader, policy, fields(spec['validation']), 'spec.validation', system, problems, refuse);
  return { ...found, tls: refused === null ? { ...found.tls, minVersion } : null, refused, problems };
}

/** What a validation comes to; it counts only where nothing of it was refused. */
export interface Validation {
  readonly tls: ClientTls;
  /** Its own authorities; null when they are the system's, or there are none. */
  readonly trust: TrustEntry | null;
  readonly unresolved: Fault | null;
}

/** Whom to believe (apis/v1 BackendTLSPolicyValidation); `validation` stands at `field` of `owner`. */
export function readValidation(
  reader: Reader,
  owner: KubeObject,
  validation: Fields,
  field: string,
  system: SystemTrust | null,
  problems: Problems,
  refuse: Refuse,
): Validation {
  const hostname = (anyText(validation['hostname']) ?? '').toLowerCase();
  if (!isHostname(hostname) || hostname.startsWith('*'))
    refuse(`${field}.hostname`, `${shown(validation['hostname'])} is not the name of a host.`);
  const names = list(validation['subjectAltNames']).map((item, i) => {
    const name = alternativeName(fields(item));
    if (name === null) refuse(`${field}.subjectAltNames[${i}]`, `${shown(item)} is no alternative name.`);
    return name;
  });
  const { trust, unresolved } = trustOf(reader, owner, validation, field, system, problems, refuse);
  const subjectAltNames = names.filter((name): name is SubjectAltName => name !== null);
  const base = systemTls(hostname);
  return { tls: { ...base, trust: trust?.key ?? base.trust, subjectAltNames }, trust, unresolved };
}

export type Refuse = (field: string, message: string, name?: 'policyInvalid' | 'policyNoAuthority') => void;

function optionsOf(options: Fields, refuse: Refuse): TlsVersion {
  let minVersion: TlsVersion = 'TLSv1.2';
  for (const [name, value] of Object.entries(options)) {
    const at = `spec.options[${shown(name)}]`;
    const version = VERSIONS[anyText(value) ?? ''];
    if (name !== MIN_VERSION) refuse(at, `Option ${shown(name)} is not known; ${MIN_VERSION} is.`);
    else if (version === undefined) refuse(at, `TLS version ${shown(value)} is not one of 1.2, 1.3.`);
    else minVersion = version;
  }
  return minVersion;
}

function alternativeName(item: Fields): SubjectAltName | null {
  const hostname = anyText(item['hostname'])?.toLowerCase() ?? '';
  const uri = text(item['uri']);
  if (item['type'] === 'Hostname' && isHostname(hostname)) return { type: 'Hostname', value: hostname };
  if (item['type'] === 'URI' && uri !== undefined) return { type: 'URI', value: uri };
  return null;
}

/** The owner's own authorities; null for the system's, and where it is refused for want of any. */
function trustOf(
  reader: Reader,
  owner: KubeObject,
  validation: Fields,
  at: string,
  system: SystemTrust | null,
  problems: Problems,
  refuse: Refuse,
): { readonly trust: TrustEntry | null; readonly unresolved: Fault | null } {
  const wellKnown = text(validation['wellKnownCACertificates']);
  const refs = list(validation['caCertificateRefs']);
  if (refs.length > 0 === (wellKnown !== undefined)) {
    refuse(at, 'It needs one of caCertificateRefs and wellKnownCACertificates.');
    return { trust: null, unresolved: null };
  }
  if (wellKnown !== undefined) {
    const field = `${at}.wellKnownCACertificates`;
    if (wellKnown !== 'System') refuse(field, `${shown(wellKnown)} is not known; "System" is.`);
    else if (system === null || system().length === 0) refuse(field, 'This system knows no authorities.');
    return { trust: null, unresolved: null };
  }
  const namespace = owner.metadata.namespace ?? '';
  const found: Authorities[] = [];
  let unresolved: Fault | null = null;
  for (const [i, item] of refs.entries()) {
    const one = authoritiesOf(reader, namespace, fields(item));
    if ('authorities' in one) {
      found.push(one);
      continue;
    }
    problems.error(`${at}.caCertificateRefs[${i}]`, one.message, one.absent);
    unresolved ??= one;
  }
  if (found.length === 0) {
    refuse(`${at}.caCertificateRefs`, 'None of the references is good.', 'policyNoAuthority');
    return { trust: null, unresolved };
  }
  const trust: TrustEntry = {
    kind: 'trust',
    key: trustKey(namespace, `${owner.kind}:${owner.metadata.name}`),
    authorities: [...new Set(found.flatMap(({ authorities }) => authorities))],
    revoked: [...new Set(found.flatMap(({ revoked }) => revoked))],
  };
  const much = tooMuch(trust);
  if (much === null) return { trust, unresolved };
  refuse(`${at}.caCertificateRefs`, much, 'policyNoAuthority');
  return { trust: null, unresolved: unresolved ?? { name: 'policyAuthority', message: much } };
}

/** Of one reference, which stays in the owner's namespace (LocalObjectReference). */
function authoritiesOf(reader: Reader, namespace: string, ref: Fields): Authorities | Fault {
  const group = anyText(ref['group']) ?? '';
  const kind = text(ref['kind']) ?? '';
  const name = text(ref['name']) ?? '';
  if (group !== '' || !AUTHORITY_KINDS.includes(kind)) {
    const message = `Authorities of kind ${shown(kind)} in group ${shown(group)} are not supported; ConfigMaps and Secrets are.`;
    return { name: 'policyAuthorityKind', message };
  }
  const object = reader.get(kind, namespace, name);
  const read = object === undefined ? 'does not exist.' : authoritiesIn(object);
  if (typeof read !== 'string') return read;
  const fault: Fault = { name: 'policyAuthority', message: `${kind} ${namespace}/${name} ${read}` };
  return object === undefined ? { ...fault, absent: objectKey(kind, namespace, name) } : fault;
}

/**
 * The name of a trust's key is an object's kind and name; where a Gateway's is, its port stands in the second place.
 */
export function ownerOfTrust(name: string): { readonly kind: string; readonly name: string } {
  const [kind = '', called = ''] = name.split(':');
  return { kind, name: called };
}

/** What stands for one port of a backend. */
export interface Governed {
  /** The policy that counts; null when none is for it. */
  readonly policy: KubeObject | null;
  /** All that are for the backend, whichever counts. */
  readonly policies: readonly ObjectKey[];
}

/** `section`: the port's name, '' for none. One that names the section counts before one that does not. */
export function governing(reader: Reader, kind: string, namespace: string, name: string, section: string): Governed {
  const target = objectKey(kind, namespace, name);
  const all = reader
    .by('tlsPoliciesByTarget', target)
    .filter((policy) => targetsOf(policy).some((one) => one.key === target));
  const oldest = (wanted: string): KubeObject | null => contenders(reader, target, wanted)[0] ?? null;
  const policy = (section === '' ? null : oldest(section)) ?? oldest('');
  return { policy, policies: all.map(keyOf) };
}

export interface PolicyTarget {
  /** Of the object. */
  readonly key: ObjectKey;
  /** '' for the whole. */
  readonly section: string;
  /** Field path in the policy. */
  readonly field: string;
}

/**
 * What a policy is for, of the kinds that are backends here. An XBackend says itself how TLS is spoken with it
 * (GEP-4488: a BackendTLSPolicy is not for one).
 */
export function targetsOf(policy: KubeObject): PolicyTarget[] {
  const traffic = policy.kind === 'XBackendTrafficPolicy';
  return list(fields(policy.spec)['targetRefs']).flatMap((item, i) => {
    if (!isFields(item)) return [];
    const group = anyText(item['group']) ?? '';
    const kind = text(item['kind']) ?? '';
    const isBackend = (group === '' && kind === 'Service') || (group === RAUTA_GROUP && kind === 'Backend');
    if (!isBackend && !(traffic && group === X_GROUP && kind === 'XBackend')) return [];
    const key = objectKey(kind, policy.metadata.namespace, text(item['name']) ?? '');
    return [{ key, section: anyText(item['sectionName']) ?? '', field: `spec.targetRefs[${i}]` }];
  });
}

/** Policies for the same section of a target, that which counts in front (older first, then by name). */
export function contenders(
  reader: Reader,
  target: ObjectKey,
  section: string,
  index: 'tlsPoliciesByTarget' | 'trafficPoliciesByTarget' = 'tlsPoliciesByTarget',
): KubeObject[] {
  const aged = (policy: KubeObject): { created: number; name: string } => ({
    created: createdOf(policy),
    name: `${policy.metadata.namespace ?? ''}/${policy.metadata.name}`,
  });
  return reader
    .by(index, target)
    .filter((policy) => targetsOf(policy).some((one) => one.key === target && one.section === section))
    .sort((a, b) => olderFirst(aged(a), aged(b)));
}
