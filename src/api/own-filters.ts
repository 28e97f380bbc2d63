// Filters of RAUTA's own (group rauta.io), which rules name by ExtensionRef.

import type { KubeObject } from './object.ts';
import { type Rule, rule } from './rule.ts';
import type { KindInfo, Shape } from './shape.ts';

/** Content of a static response, in bytes. */
const BODY_BYTES = 65_536;

export interface StaticResponseSpec {
  readonly statusCode: number;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** At most one of text and binary. */
  readonly body?: {
    readonly contentType?: string;
    readonly text?: string;
    /** Base64. */
    readonly binary?: string;
  };
}

export interface StaticResponseFilter extends KubeObject {
  readonly kind: 'StaticResponseFilter';
  readonly spec: StaticResponseSpec;
}

/** Which requests are meant (each list that is empty: any), and whether they, or all others, get through. */
export interface AccessControlSpec {
  readonly effect: 'Allow' | 'Deny';
  /** Addresses and CIDR ranges. */
  readonly clients: { readonly ips: readonly string[]; readonly ipRanges: readonly string[] };
  readonly methods: readonly string[];
  readonly paths: readonly { readonly type: 'Exact' | 'PathPrefix'; readonly value: string }[];
}

export interface AccessControlFilter extends KubeObject {
  readonly kind: 'AccessControlFilter';
  readonly spec: AccessControlSpec;
}

/** The tool that makes the CRDs says the same in CEL (tools/crds.ts). */
export const STATIC_RESPONSE: readonly Rule[] = [
  rule<NonNullable<StaticResponseSpec['body']>>('spec.body', ({ text, binary }, path, problems) => {
    if (text !== undefined && binary !== undefined)
      problems.error(path, 'text and binary exclude each other: write one of them');
  }),
];

const TOKEN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

const staticResponse: Shape = {
  type: 'object',
  required: ['spec'],
  fields: {
    spec: {
      type: 'object',
      required: ['statusCode'],
      fields: {
        statusCode: { type: 'integer', format: 'int32', min: 200, max: 599 },
        headers: {
          type: 'array',
          max: 16,
          keys: ['name'],
          default: [],
          items: {
            type: 'object',
            required: ['name', 'value'],
            fields: {
              name: { type: 'string', min: 1, max: 256, pattern: TOKEN },
              value: { type: 'string', max: 4096 },
            },
          },
        },
        body: {
          type: 'object',
          fields: {
            contentType: { type: 'string', min: 1, max: 256 },
            text: { type: 'string', max: BODY_BYTES },
            binary: { type: 'string', format: 'byte', max: Math.ceil(BODY_BYTES / 3) * 4 },
          },
        },
      },
    },
  },
};

const accessControl: Shape = {
  type: 'object',
  required: ['spec'],
  fields: {
    spec: {
      type: 'object',
      required: ['effect'],
      fields: {
        effect: { type: 'string', enum: ['Allow', 'Deny'] },
        clients: {
          type: 'object',
          default: {},
          fields: {
            ips: { type: 'array', max: 1024, set: true, default: [], items: { type: 'string', min: 2, max: 45 } },
            ipRanges: { type: 'array', max: 1024, set: true, default: [], items: { type: 'string', min: 4, max: 49 } },
          },
        },
        methods: {
          type: 'array',
          max: 16,
          set: true,
          default: [],
          items: { type: 'string', min: 1, max: 32, pattern: TOKEN },
        },
        paths: {
          type: 'array',
          max: 64,
          default: [],
          items: {
            type: 'object',
            required: ['value'],
            fields: {
              type: { type: 'string', enum: ['Exact', 'PathPrefix'], default: 'PathPrefix' },
              value: { type: 'string', min: 1, max: 1024, pattern: '^/' },
            },
          },
        },
      },
    },
  },
};

const VERSION = 'rauta.io/v1alpha1';

export const OWN_FILTERS: readonly KindInfo[] = [
  {
    kind: 'StaticResponseFilter',
    apiVersion: VERSION,
    namespaced: true,
    versions: { [VERSION]: staticResponse },
  },
  {
    kind: 'AccessControlFilter',
    apiVersion: VERSION,
    namespaced: true,
    versions: { [VERSION]: accessControl },
  },
];
