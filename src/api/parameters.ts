// Parameters of a GatewayClass and of a Gateway (group rauta.io): the same fields, the Gateway's winning one by one.

import { isPlainIp, isPlainRange } from '../base/ip.ts';
import type { KubeObject } from './object.ts';
import { type Rule, rule } from './rule.ts';
import type { KindInfo, Shape } from './shape.ts';

export interface ErrorResponses {
  readonly kind?: 'Text' | 'Empty' | 'Html' | 'ProblemDetail';
  readonly problemDetail?: {
    /** Types of problems are URIs under it (RFC 9457 section 3.1.1). */
    readonly authority?: string;
  };
}

export interface ClientAddresses {
  readonly source?: 'None' | 'Header' | 'Proxies';
  /** Of Header: the field whose value is the client's address. */
  readonly header?: string;
  /** Who is believed. */
  readonly proxies?: {
    readonly trustLocalRanges?: boolean;
    readonly trustedIps?: readonly string[];
    readonly trustedRanges?: readonly string[];
  };
}

/** Nothing has a default here, for what a Gateway leaves out is its class's. */
export interface ParametersSpec {
  readonly errorResponses?: ErrorResponses;
  readonly clientAddresses?: ClientAddresses;
  readonly logLevel?: 'Error' | 'Warn' | 'Info' | 'Debug';
  readonly service?: { readonly type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' };
}

export interface Parameters extends KubeObject {
  readonly kind: 'GatewayClassParameters' | 'GatewayParameters';
  readonly spec: ParametersSpec;
}

/** Known of the briefs' data planes, and without effect here; paths under `spec`. */
export const WITHOUT_EFFECT: readonly string[] = [
  'clientAddresses.proxies.trustedHeaders',
  'deployment',
  'openTelemetry',
];

export const PARAMETERS: readonly Rule[] = [
  rule<ErrorResponses>('spec.errorResponses', ({ kind, problemDetail }, path, problems) => {
    if (problemDetail === undefined || kind === undefined || kind === 'ProblemDetail') return;
    const message = `is for kind ProblemDetail, not ${kind}: write kind: ProblemDetail, or leave it out`;
    problems.error(`${path}.problemDetail`, message);
  }),
  rule<ClientAddresses>('spec.clientAddresses', ({ source, header, proxies }, path, problems) => {
    if (header !== undefined && source !== undefined && source !== 'Header')
      problems.error(`${path}.header`, `is for source Header, not ${source}: write source: Header, or leave it out`);
    if (proxies !== undefined && source === 'None')
      problems.error(`${path}.proxies`, 'with source None nobody is believed: leave it out, or write source: Proxies');
  }),
  rule<string>('spec.clientAddresses.proxies.trustedIps[]', (address, path, problems) => {
    if (!isPlainIp(address))
      problems.error(path, `must be an IPv4 or IPv6 address${problems.not(address)}; ranges go to trustedRanges`);
  }),
  rule<string>('spec.clientAddresses.proxies.trustedRanges[]', (range, path, problems) => {
    if (!isPlainRange(range))
      problems.error(path, `must be a CIDR range like 10.0.0.0/8${problems.not(range)}; addresses go to trustedIps`);
  }),
];

const ranges = (min: number, max: number): Shape => ({
  type: 'array',
  max: 256,
  set: true,
  items: { type: 'string', min, max },
});

const shape: Shape = {
  type: 'object',
  required: ['spec'],
  fields: {
    spec: {
      type: 'object',
      fields: {
        errorResponses: {
          type: 'object',
          fields: {
            kind: { type: 'string', enum: ['Text', 'Empty', 'Html', 'ProblemDetail'] },
            problemDetail: {
              type: 'object',
              fields: {
                authority: { type: 'string', min: 8, max: 256, pattern: '^https?://[!#-;=?-Z_a-z~]+$' },
              },
            },
          },
        },
        clientAddresses: {
          type: 'object',
          fields: {
            source: { type: 'string', enum: ['None', 'Header', 'Proxies'] },
            header: { type: 'string', min: 1, max: 64, pattern: '^[0-9A-Za-z-]+$' },
            proxies: {
              type: 'object',
              fields: {
                trustLocalRanges: { type: 'boolean' },
                trustedIps: ranges(2, 45),
                trustedRanges: ranges(4, 49),
                trustedHeaders: { type: 'free' },
              },
            },
          },
        },
        logLevel: { type: 'string', enum: ['Error', 'Warn', 'Info', 'Debug'] },
        service: {
          type: 'object',
          fields: { type: { type: 'string', enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] } },
        },
        deployment: { type: 'free' },
        openTelemetry: { type: 'free' },
      },
    },
  },
};

const VERSION = 'rauta.io/v1alpha1';

export const OWN_PARAMETERS: readonly KindInfo[] = [
  { kind: 'GatewayClassParameters', apiVersion: VERSION, namespaced: false, versions: { [VERSION]: shape } },
  { kind: 'GatewayParameters', apiVersion: VERSION, namespaced: true, versions: { [VERSION]: shape } },
];
