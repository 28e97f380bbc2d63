// Named indexes over the desired world: one table says what an object is filed under. Whoever needs "all of a kind that
// have to do with X" asks for an index here instead of walking the kind.

import { type KubeObject, objectKey } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import { flagOf } from '../base/flag-text.ts';

/** Separates index and value in a bucket's name; neither can hold it. */
const SEPARATOR = '\0';

interface Index {
  readonly name: string;
  readonly kind: string;
  values(object: KubeObject): Iterable<string>;
}

function* endpointSliceService(object: KubeObject): Iterable<string> {
  const service = fields(object.metadata.labels)['kubernetes.io/service-name'];
  if (typeof service === 'string' && service !== '') yield `${object.metadata.namespace ?? ''}/${service}`;
}

function* namespaceOf(object: KubeObject): Iterable<string> {
  yield object.metadata.namespace ?? '';
}

function* everything(): Iterable<string> {
  yield '';
}

/** Kind, namespace and name of what a policy is for; it is of the policy's own namespace. */
function* policyTargets(object: KubeObject): Iterable<string> {
  const refs = fields(object.spec)['targetRefs'];
  for (const item of Array.isArray(refs) ? refs : []) {
    const { kind, name } = fields(item);
    if (typeof kind === 'string' && typeof name === 'string') {
      yield objectKey(kind, object.metadata.namespace, name);
    }
  }
}

const CANARY = 'nginx.ingress.kubernetes.io/canary';

/** Lower case, '' for any, of each rule of an Ingress. */
function hostsOf(object: KubeObject): string[] {
  const { rules } = fields(object.spec);
  return (Array.isArray(rules) ? rules : []).map((item) => {
    const { host } = fields(item);
    return typeof host === 'string' ? host.toLowerCase() : '';
  });
}

function* canaryHosts(object: KubeObject): Iterable<string> {
  if (flagOf(fields(object.metadata.annotations)[CANARY]) !== true) return;
  for (const host of hostsOf(object)) yield `${object.metadata.namespace ?? ''}/${host}`;
}

/** What each index files: values are `namespace/name` unless said otherwise. */
const INDEXES: readonly Index[] = [
  /** EndpointSlices by the Service that their label names. */
  { name: 'slicesByService', kind: 'EndpointSlice', values: endpointSliceService },
  /** ReferenceGrants by their namespace. */
  { name: 'grantsByNamespace', kind: 'ReferenceGrant', values: namespaceOf },
  /** Pods, all under '': they are in the world only when they run this program. */
  { name: 'replicas', kind: 'Pod', values: everything },
  /** IngressClasses, all under ''. */
  { name: 'ingressClasses', kind: 'IngressClass', values: everything },
  /** Ingresses by the hosts of their rules, of whichever namespace; canaries by namespace and host. */
  { name: 'ingressesByHost', kind: 'Ingress', values: hostsOf },
  { name: 'canariesByHost', kind: 'Ingress', values: canaryHosts },
  /** XBackendTrafficPolicies by the key of what they are for. */
  { name: 'trafficPoliciesByTarget', kind: 'XBackendTrafficPolicy', values: policyTargets },
  /** BackendTLSPolicies by the key of what they are for. */
  { name: 'tlsPoliciesByTarget', kind: 'BackendTLSPolicy', values: policyTargets },
];

const BY_KIND = Map.groupBy(INDEXES, (index) => index.kind);

/** Name of the bucket that `index` keeps for `value`. */
export function bucketName(index: string, value: string): string {
  return `${index}${SEPARATOR}${value}`;
}

/** Names of all buckets that `object` lies in. */
export function bucketsOf(object: KubeObject): string[] {
  const indexes = BY_KIND.get(object.kind);
  if (indexes === undefined) return [];
  const names = new Set<string>();
  for (const index of indexes) for (const value of index.values(object)) names.add(bucketName(index.name, value));
  return [...names];
}
