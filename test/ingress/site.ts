// Ingresses for the tests of this folder: each of the 25 scenarios of the Ingress conformance suite (kubernetes-sigs
// ingress-controller-conformance, release-1.19) has a test of its own here, named after what it says of itself, against
// the running program by real sockets: path-rules.test.ts (16), host-rules.test.ts (6, and the one of the class),
// default-backend.test.ts (1, and the one of balancing).

import { type Made, made } from '../gateway-api/site.ts';

export interface Path {
  readonly path: string;
  readonly pathType: 'Exact' | 'Prefix';
  readonly backend: object;
}

/** The suite's Services have one port, 8080 there; here number 80, named `main`. */
const backendOf = (service: string): object => ({ service: { name: service, port: { number: 80 } } });
export const exact = (path: string, service: string): Path => ({
  path,
  pathType: 'Exact',
  backend: backendOf(service),
});
export const prefix = (path: string, service: string): Path => ({
  path,
  pathType: 'Prefix',
  backend: backendOf(service),
});

interface More {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: object;
}

export function ingress(name: string, hosts: Readonly<Record<string, readonly Path[]>>, more: More = {}): Made {
  const rules = Object.entries(hosts).map(([host, paths]) => ({ host, http: { paths } }));
  const spec = { ...(rules.length === 0 ? {} : { rules }), ...more.spec };
  const object = made('Ingress', name, { spec }, 'networking.k8s.io/v1');
  if (more.annotations === undefined) return object;
  return { ...object, metadata: { ...object.metadata, annotations: more.annotations } as Made['metadata'] };
}

/** All requests that no rule takes. */
export const byDefault = (service: string): object => ({ defaultBackend: backendOf(service) });
