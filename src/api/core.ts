// The core kinds that are read, by hand in the same compact form as the generated ones. Fields that mean nothing here
// are known all the same (`free`), so that a manifest written for a cluster reads without a warning.

import type { KubeObject, Metadata } from './object.ts';
import type { KindInfo, Shape } from './shape.ts';

export interface Namespace extends KubeObject {
  readonly kind: 'Namespace';
}

export interface ServicePort {
  readonly name?: string;
  readonly protocol: string;
  readonly appProtocol?: string;
  readonly port: number;
  readonly targetPort?: number | string;
  readonly nodePort?: number;
}

export interface ServiceSpec {
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  readonly clusterIP?: string;
  readonly externalName?: string;
  readonly ports?: readonly ServicePort[];
  readonly selector?: Readonly<Record<string, string>>;
  readonly publishNotReadyAddresses?: boolean;
  readonly sessionAffinity: 'None' | 'ClientIP';
}

export interface Service extends KubeObject {
  readonly kind: 'Service';
  readonly spec: ServiceSpec;
}

export interface EndpointConditions {
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
}

export interface Endpoint {
  readonly addresses: readonly string[];
  readonly conditions?: EndpointConditions;
  readonly hostname?: string;
  readonly nodeName?: string;
  readonly zone?: string;
  readonly targetRef?: { readonly kind?: string; readonly namespace?: string; readonly name?: string };
}

export interface EndpointPort {
  readonly name: string;
  readonly protocol: string;
  readonly port?: number;
  readonly appProtocol?: string;
}

export interface EndpointSlice extends KubeObject {
  readonly kind: 'EndpointSlice';
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints?: readonly Endpoint[];
  readonly ports?: readonly EndpointPort[];
}

/** `stringData` has been folded into `data`; values are base64, but for those of TLS once kept (tls-secret.ts). */
export interface Secret extends KubeObject {
  readonly kind: 'Secret';
  readonly type: string;
  readonly data?: Readonly<Record<string, string>>;
}

export interface ConfigMap extends KubeObject {
  readonly kind: 'ConfigMap';
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
}

export interface IngressServiceBackend {
  readonly name: string;
  readonly port?: { readonly name?: string; readonly number?: number };
}

export interface IngressBackend {
  readonly service?: IngressServiceBackend;
  readonly resource?: { readonly apiGroup?: string; readonly kind: string; readonly name: string };
}

export interface HTTPIngressPath {
  readonly path?: string;
  readonly pathType: 'Exact' | 'Prefix' | 'ImplementationSpecific';
  readonly backend: IngressBackend;
}

export interface IngressRule {
  readonly host?: string;
  readonly http?: { readonly paths: readonly HTTPIngressPath[] };
}

export interface Ingress extends KubeObject {
  readonly kind: 'Ingress';
  readonly spec?: {
    readonly ingressClassName?: string;
    readonly defaultBackend?: IngressBackend;
    readonly tls?: readonly { readonly hosts?: readonly string[]; readonly secretName?: string }[];
    readonly rules?: readonly IngressRule[];
  };
}

export interface IngressClass extends KubeObject {
  readonly kind: 'IngressClass';
  readonly metadata: Metadata;
  readonly spec?: { readonly controller?: string };
}

const free: Shape = { type: 'free' };
const text: Shape = { type: 'string' };
const flag: Shape = { type: 'boolean' };
const texts: Shape = { type: 'array', items: text };
const port: Shape = { type: 'integer', format: 'int32', min: 1, max: 65_535 };
const protocol: Shape = { type: 'string', enum: ['TCP', 'UDP', 'SCTP'], default: 'TCP' };
const appProtocol: Shape = {
  type: 'string',
  pattern: '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$',
};
const portName: Shape = { type: 'string', max: 63, pattern: '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' };
const dataKeys: Shape = { type: 'map', values: text };
const bytes: Shape = { type: 'map', values: { type: 'string', format: 'byte' } };

const namespace: Shape = { type: 'object', fields: { spec: free } };

const service: Shape = {
  type: 'object',
  fields: {
    spec: {
      type: 'object',
      default: {},
      fields: {
        type: {
          type: 'string',
          enum: ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'],
          default: 'ClusterIP',
        },
        ports: {
          type: 'array',
          keys: ['port', 'protocol'],
          items: {
            type: 'object',
            required: ['port'],
            fields: {
              name: portName,
              protocol,
              appProtocol,
              port,
              targetPort: { type: 'intOrString' },
              nodePort: { type: 'integer', format: 'int32', min: 0, max: 65_535 },
            },
          },
        },
        selector: { type: 'map', values: text },
        clusterIP: text,
        clusterIPs: texts,
        externalIPs: texts,
        externalName: { type: 'string', max: 253 },
        publishNotReadyAddresses: flag,
        sessionAffinity: { type: 'string', enum: ['None', 'ClientIP'], default: 'None' },
        sessionAffinityConfig: free,
        ipFamilies: texts,
        ipFamilyPolicy: text,
        loadBalancerIP: text,
        loadBalancerSourceRanges: texts,
        loadBalancerClass: text,
        allocateLoadBalancerNodePorts: flag,
        externalTrafficPolicy: text,
        internalTrafficPolicy: text,
        trafficDistribution: { type: 'string', enum: ['PreferClose', 'PreferSameZone', 'PreferSameNode'] },
        healthCheckNodePort: { type: 'integer', format: 'int32' },
      },
    },
  },
};

const endpointSlice: Shape = {
  type: 'object',
  required: ['addressType'],
  fields: {
    addressType: { type: 'string', enum: ['IPv4', 'IPv6', 'FQDN'] },
    endpoints: {
      type: 'array',
      max: 1000,
      items: {
        type: 'object',
        required: ['addresses'],
        fields: {
          addresses: { type: 'array', set: true, min: 1, max: 100, items: { type: 'string', min: 1, max: 253 } },
          conditions: { type: 'object', fields: { ready: flag, serving: flag, terminating: flag } },
          hostname: text,
          nodeName: text,
          zone: text,
          hints: free,
          targetRef: {
            type: 'object',
            fields: {
              kind: text,
              namespace: text,
              name: text,
              uid: text,
              apiVersion: text,
              resourceVersion: text,
              fieldPath: text,
            },
          },
          deprecatedTopology: free,
        },
      },
    },
    ports: {
      type: 'array',
      max: 20_000,
      items: {
        type: 'object',
        fields: { name: { ...portName, default: '' }, protocol, port, appProtocol },
      },
    },
  },
};

const secret: Shape = {
  type: 'object',
  fields: {
    type: { type: 'string', default: 'Opaque' },
    immutable: flag,
    data: bytes,
    stringData: dataKeys,
  },
};

const configMap: Shape = { type: 'object', fields: { immutable: flag, data: dataKeys, binaryData: bytes } };

const ingressBackend: Shape = {
  type: 'object',
  fields: {
    service: {
      type: 'object',
      required: ['name'],
      fields: { name: { type: 'string', min: 1 }, port: { type: 'object', fields: { name: portName, number: port } } },
    },
    resource: {
      type: 'object',
      required: ['kind', 'name'],
      fields: { apiGroup: text, kind: { type: 'string', min: 1 }, name: { type: 'string', min: 1 } },
    },
  },
};

const ingress: Shape = {
  type: 'object',
  fields: {
    spec: {
      type: 'object',
      fields: {
        ingressClassName: text,
        defaultBackend: ingressBackend,
        tls: { type: 'array', items: { type: 'object', fields: { hosts: texts, secretName: text } } },
        rules: {
          type: 'array',
          items: {
            type: 'object',
            fields: {
              host: text,
              http: {
                type: 'object',
                required: ['paths'],
                fields: {
                  paths: {
                    type: 'array',
                    min: 1,
                    items: {
                      type: 'object',
                      required: ['pathType', 'backend'],
                      fields: {
                        path: text,
                        pathType: { type: 'string', enum: ['Exact', 'Prefix', 'ImplementationSpecific'] },
                        backend: ingressBackend,
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
};

/** A name behind the domain of whose it is (k8s.io/apimachinery IsDomainPrefixedPath). */
const DOMAIN_PREFIXED =
  "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$";

const ingressClass: Shape = {
  type: 'object',
  required: ['spec'],
  fields: {
    spec: {
      type: 'object',
      required: ['controller'],
      fields: { controller: { type: 'string', max: 250, pattern: DOMAIN_PREFIXED }, parameters: free },
    },
  },
};

export const CORE_KINDS: readonly KindInfo[] = [
  { kind: 'Namespace', apiVersion: 'v1', namespaced: false, name: 'label', versions: { v1: namespace } },
  { kind: 'Service', apiVersion: 'v1', namespaced: true, name: 'label', versions: { v1: service } },
  {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    namespaced: true,
    versions: { 'discovery.k8s.io/v1': endpointSlice },
  },
  { kind: 'Secret', apiVersion: 'v1', namespaced: true, secret: true, versions: { v1: secret } },
  { kind: 'ConfigMap', apiVersion: 'v1', namespaced: true, versions: { v1: configMap } },
  {
    kind: 'Ingress',
    apiVersion: 'networking.k8s.io/v1',
    namespaced: true,
    versions: { 'networking.k8s.io/v1': ingress },
  },
  {
    kind: 'IngressClass',
    apiVersion: 'networking.k8s.io/v1',
    namespaced: false,
    versions: { 'networking.k8s.io/v1': ingressClass },
  },
];
