// A Kubernetes object as everything behind the sources sees it, and the key that names it.

/** As a source delivers it: checked against its schema, defaults filled in, unknown fields pruned. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly spec?: unknown;
  readonly status?: unknown;
  /** Kinds without spec (Secret, EndpointSlice ...) carry their fields here. */
  readonly [field: string]: unknown;
}

export interface Metadata {
  readonly name: string;
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly resourceVersion?: string;
  /** RFC 3339. */
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** `kind/namespace/name` (namespace '' for cluster-scoped): unique, for a kind name stands for one group here. */
export type ObjectKey = string;

export function objectKey(kind: string, namespace: string | undefined, name: string): ObjectKey {
  return `${kind}/${namespace ?? ''}/${name}`;
}
export function keyOf(object: KubeObject): ObjectKey {
  return objectKey(object.kind, object.metadata.namespace, object.metadata.name);
}
