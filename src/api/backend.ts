// RAUTA's own kinds (group rauta.io). Backend names where traffic goes when there is no Kubernetes to say it.

import type { KubeObject } from './object.ts';
import { OWN_FILTERS } from './own-filters.ts';
import { OWN_PARAMETERS } from './parameters.ts';
import type { KindInfo, Shape } from './shape.ts';

/** Exactly one of address (with port), hostname (with port) and unix. */
export interface BackendEndpoint {
  /** IPv4 or IPv6. */
  readonly address?: string;
  /** Resolved by A and AAAA records, by their TTL. */
  readonly hostname?: string;
  readonly port?: number;
  /** Absolute path of a unix socket. */
  readonly unix?: string;
  readonly zone?: string;
  /** Share among the endpoints; 0 gets nothing. */
  readonly weight: number;
}

export interface BackendSpec {
  readonly endpoints: readonly BackendEndpoint[];
  readonly appProtocol: 'http' | 'kubernetes.io/h2c' | 'kubernetes.io/ws' | 'https';
}

export interface Backend extends KubeObject {
  readonly kind: 'Backend';
  readonly spec: BackendSpec;
}

/**
 * What a hostname of a Backend or XBackend resolves to: made by the controller, never read from a file. It is called as
 * the hostname, or as `wholeName` has it.
 */
export interface ResolvedHost extends KubeObject {
  readonly kind: 'ResolvedHost';
  readonly addresses: readonly { readonly address: string; readonly family: 4 | 6 }[];
}

/** A name that no search domain is put behind: with a dot at its end it is a whole one (RFC 1034 section 3.1). */
export function wholeName(hostname: string): string {
  return `${hostname}.`;
}

const backend: Shape = {
  type: 'object',
  required: ['spec'],
  fields: {
    spec: {
      type: 'object',
      required: ['endpoints'],
      fields: {
        endpoints: {
          type: 'array',
          max: 1000,
          items: {
            type: 'object',
            fields: {
              address: { type: 'string', min: 1, max: 45 },
              hostname: {
                type: 'string',
                min: 1,
                max: 253,
                pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
              },
              port: { type: 'integer', format: 'int32', min: 1, max: 65_535 },
              // sun_path of sockaddr_un holds 108 bytes with its final zero (unix(7)).
              unix: { type: 'string', min: 2, max: 107, pattern: '^/' },
              zone: { type: 'string', max: 63 },
              weight: { type: 'integer', format: 'int32', min: 0, max: 1_000_000, default: 1 },
            },
          },
        },
        appProtocol: {
          type: 'string',
          enum: ['http', 'kubernetes.io/h2c', 'kubernetes.io/ws', 'https'],
          default: 'http',
        },
      },
    },
  },
};

export const OWN_KINDS: readonly KindInfo[] = [
  ...OWN_FILTERS,
  ...OWN_PARAMETERS,
  {
    kind: 'Backend',
    apiVersion: 'rauta.io/v1alpha1',
    namespaced: true,
    versions: { 'rauta.io/v1alpha1': backend },
  },
];
