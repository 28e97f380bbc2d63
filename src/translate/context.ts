// What every translated kind shares: the options, the API groups, how an object's age orders it.

import type { KubeObject } from '../api/object.ts';
import { compare } from './dependencies.ts';

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';
export const RAUTA_GROUP = 'rauta.io';
/** Of Ingresses. */
export const INGRESS_GROUP = 'networking.k8s.io';
/** Of what the Gateway API tries out. */
export const X_GROUP = 'gateway.networking.x-k8s.io';

/** What one Gateway asks for. */
export interface AddressClaim {
  /** Asked for by value, and to be had. */
  readonly own: readonly string[];
  /** It names none, or one without a value: it takes what it is given. */
  readonly any: boolean;
  /** What its status says it has; read only where a pool gives addresses. */
  readonly held: readonly string[];
  /** A type that we do not know refuses the whole Gateway. */
  readonly unsupported: string | null;
  /** A value that cannot be had leaves it unprogrammed. */
  readonly unusable: string | null;
}

export interface Claimant {
  /** `namespace/name`. */
  readonly name: string;
  readonly addresses: AddressClaim;
}

/** Addresses of which each Gateway gets one of its own. */
export interface Pool {
  /** By name; who gets none is not in the result. */
  assign(claimants: readonly Claimant[]): ReadonlyMap<string, string>;
}

/** Types of the Service that is kept for each Gateway. */
export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer';

/** How others in a cluster, and from outside it, come to what the pods listen on (ADR 22). */
export interface Exposure {
  /** Null: no Service is kept. */
  readonly serviceType: ServiceType | null;
  /** A Service whose addresses Gateways have that name none; null: none was named. */
  readonly published: { readonly namespace: string; readonly name: string } | null;
}

/** The authorities that the system knows, Base64 of DER; an empty list when it knows none. */
export type SystemTrust = () => readonly string[];

export interface TranslatorOptions {
  /** GatewayClasses whose spec.controllerName is this are ours: rauta.io/gateway-controller. */
  readonly controllerName: string;
  /**
   * A class name that needs no GatewayClass object: Gateways that name it are ours as long as no such object exists.
   * For configuration from files (`--gateway-class`, rauta); null in a cluster, where a class has to exist.
   */
  readonly implicitClass: string | null;
  /** Whether a Backend or XBackend may not lead to this address (nor to a unix socket); absent: it may to any. */
  readonly forbidden?: (address: string) => boolean;
  /** Backends and XBackends are not read here (`--backends off`). */
  readonly withoutBackends?: boolean;
  /** Under which the cluster's own names stand; default: cluster.local. */
  readonly clusterDomain?: string;
  /** Objects come from files: nobody makes EndpointSlices but who writes the files. */
  readonly fromFiles?: boolean;
  /** Where Gateways without addresses of their own listen: IP literals, '0.0.0.0' and '::' included. */
  readonly defaultAddresses: readonly string[];
  /** What status.addresses says for those Gateways where nothing else does; default: defaultAddresses. */
  readonly statusAddresses?: readonly string[];
  /** In a cluster; absent: nobody keeps Services here. */
  readonly exposure?: Exposure;
  /** Gives each of those Gateways an address of its own instead. */
  readonly addressPool?: Pool;
  /** The zone that this program is in, as it was told; null or absent: that of its node. */
  readonly zone?: string | null;
  /** Name of the node that it runs on; null or absent: not known. */
  readonly node?: string | null;
  /** Ports in listeners -> ports really bound, for those who may not bind low ones. */
  readonly portMap: ReadonlyMap<number, number>;
  /** A Secret whose certificate clients get that name no host of a socket; null: they are refused. */
  readonly defaultCertificate?: { readonly namespace: string; readonly name: string } | null;
  /** CIDR ranges of those whose connections begin with a PROXY header, where no annotation says otherwise. */
  readonly proxyProtocol?: readonly string[];
  /** There are proxies in front that are believed (--trusted-proxies): TLS may have ended there. */
  readonly trustsProxies?: boolean;
  /** Default: the system knows none. */
  readonly systemTrust?: SystemTrust;
}

/** Generation that conditions observe; objects from files have none and count as their first. */
export function generationOf(object: KubeObject): number {
  return typeof object.metadata.generation === 'number' ? object.metadata.generation : 1;
}

/** Creation time in unix seconds, 0 when unknown. */
export function createdOf(object: KubeObject): number {
  const stamp = object.metadata.creationTimestamp;
  const ms = typeof stamp === 'string' ? Date.parse(stamp) : Number.NaN;
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000);
}

export interface Aged {
  readonly created: number;
  /** `namespace/name`. */
  readonly name: string;
}

/** Older first, then by `namespace/name`: how the API breaks ties everywhere. */
export function olderFirst(a: Aged, b: Aged): number {
  return a.created - b.created || compare(a.name, b.name);
}
