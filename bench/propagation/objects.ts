// What the benches of the API server make.

export interface Made {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: object };
  readonly [field: string]: unknown;
}

export const namespace = (name: string): Made => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
export const gateway = (name: string, port: number): Made => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: { name, namespace: 'bench' },
  spec: {
    gatewayClassName: 'rauta',
    allowedListeners: { namespaces: { from: 'All' } },
    listeners: [{ name: 'http', port, protocol: 'HTTP', allowedRoutes: { namespaces: { from: 'All' } } }],
  },
});
/** A listener of the `bench` Gateway named, for one hostname. */
export const listenerSet = (place: string, name: string, gateway: string, port: number): Made => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'ListenerSet',
  metadata: { name, namespace: place },
  spec: {
    parentRef: { name: gateway, namespace: 'bench' },
    listeners: [{ name: 'own', port, protocol: 'HTTP', hostname: `${name}.example` }],
  },
});
/** A Service without a selector, and the EndpointSlice that is all it has. */
export const service = (place: string, name: string, port: number): Made => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: place },
  spec: { ports: [{ name: 'http', port: 80, targetPort: port }] },
});
export const endpoints = (addresses: readonly string[]): object[] =>
  addresses.map((address) => ({ addresses: [address], conditions: { ready: true } }));
export const slice = (place: string, name: string, port: number, addresses: readonly string[]): Made => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace: place, labels: { 'kubernetes.io/service-name': name } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port, protocol: 'TCP' }],
  endpoints: endpoints(addresses),
});
export const rules = (service: string, path = '/', filters: readonly object[] = []): object[] => [
  { matches: [{ path: { type: 'PathPrefix', value: path } }], filters, backendRefs: [{ name: service, port: 80 }] },
];
export const route = (place: string, name: string, parent: string, spec: object): Made => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name, namespace: place },
  spec: { parentRefs: [{ name: parent, namespace: 'bench' }], hostnames: [`${name}.example`], ...spec },
});

/**
 * As an API server keeps and sends it: with who owns which field (managedFields), by two managers where it has a
 * status, which is most of its text.
 */
export function stored(object: Made): Made {
  const { apiVersion, kind, metadata, ...rest } = object;
  const entry = (manager: string, fields: object, more: object): object => ({
    ...{ manager, operation: 'Update', apiVersion, time: '2026-11-21T10:00:00Z' },
    ...{ fieldsType: 'FieldsV1', fieldsV1: fields, ...more },
  });
  const managedFields = [entry('bench', owned(rest), {})];
  if (kind === 'HTTPRoute' || kind === 'Gateway')
    managedFields.push(entry('rauta', { 'f:status': { 'f:parents': {} } }, { subresource: 'status' }));
  return { ...object, metadata: { ...metadata, managedFields } as Made['metadata'] };
}
function owned(value: unknown): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [`f:${name}`, owned(inner)]));
}
