// The Service that is kept for a Gateway, and the EndpointSlices that say where the Gateway listens (GEP-1762, ADR 22).
// What is made here is made whole at each change; src/publish/kubernetes writes it when it differs from what stands.

import { createHash } from 'node:crypto';
import { type KubeObject, keyOf, type ObjectKey, objectKey } from '../api/object.ts';
import { LIMITS } from '../base/limits.ts';
import type { ServiceType, TranslatorOptions } from './context.ts';
import { GATEWAY_GROUP, olderFirst } from './context.ts';
import type { Reader } from './dependencies.ts';
import { compare } from './dependencies.ts';
import type { GatewayDraft, GatewayPlan } from './gateway.ts';
import type { ListenerDraft } from './listener.ts';
import { servedProtocol } from './protocols.ts';
import { isAddress } from './read.ts';
import { replicasOf } from './replicas.ts';

/**
 * What is to become of an object that is made for a Gateway. Under the key of the Gateway itself: that nothing is made,
 * and why.
 */
export interface Generated {
  readonly gateway: ObjectKey;
  /** As it is to be; null: it goes, if it is ours. */
  readonly object: KubeObject | null;
  readonly refused: string | null;
}

/** What is made for one Gateway. */
export interface Exposed {
  readonly objects: ReadonlyMap<ObjectKey, KubeObject>;
  /** Why none is made, where somebody is to hear of it. */
  readonly refused: string | null;
  /** Nothing follows from what the Gateway is just now: what stands stays. */
  readonly keep: boolean;
}

const MANAGER = 'rauta';
const SLICE_MANAGER = 'gateway-controller.rauta.io';
const SERVICE_NAME = 'kubernetes.io/service-name';
/** Of which controller, which Gateway of what uid: whose object this is. */
const CONTROLLER_ANNOTATION = 'rauta.io/controller-name';
const GATEWAY_ANNOTATION = 'rauta.io/gateway';
export const UID_ANNOTATION = 'rauta.io/gateway-uid';
/** A digest of what was written: tells also what is no longer to stand there. */
export const APPLIED_ANNOTATION = 'rauta.io/applied';

/** Longest label and name of a Service (RFC 1035). */
const LABEL_LENGTH = 63;

/** `<gateway>-<class>`, as GEP-1762 asks; where that is no name of a Service, a like one with a digest of it. */
function serviceName(gateway: string, className: string): string {
  const plain = `${gateway}-${className}`;
  if (plain.length <= LABEL_LENGTH && /^[a-z][-a-z0-9]*$/.test(plain)) return plain;
  const start = plain.replaceAll('.', '-').replace(/^([^a-z])/, 'gw-$1');
  return `${start.slice(0, LABEL_LENGTH - 9)}-${digest(plain).slice(0, 8)}`;
}

function labelOf(name: string): string {
  return name.length <= LABEL_LENGTH ? name : `${name.slice(0, LABEL_LENGTH - 9)}-${digest(name).slice(0, 8)}`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** The key of the Service that is made for a Gateway. */
export function serviceKey(draft: GatewayDraft): ObjectKey {
  return objectKey('Service', draft.namespace, nameOf(draft));
}

function nameOf({ name, namespace, className }: GatewayDraft): string {
  return serviceName(name.slice(namespace.length + 1), className);
}

/** The Service of a Gateway as it stands, and whether it is another's. */
export interface Standing {
  readonly name: string;
  readonly service: KubeObject | undefined;
  /** Why it is not touched. */
  readonly foreign: string | null;
}

export function standingService(reader: Reader, draft: GatewayDraft): Standing {
  const name = nameOf(draft);
  const service = reader.get('Service', draft.namespace, name);
  const foreign = service === undefined ? null : foreignness(service, draft);
  return { name, service, foreign };
}

function foreignness(object: KubeObject, draft: GatewayDraft): string | null {
  const { [UID_ANNOTATION]: uid } = object.metadata.annotations ?? {};
  if (uid === draft.uid && uid !== '') return null;
  const what = `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`;
  return uid === undefined
    ? `${what} was not made for this Gateway and is left alone; one of the two needs another name.`
    : `${what} was made for another Gateway and is left alone; when that one is gone, this one gets its own.`;
}

/** Null: none is kept. Where the operator wants none at all, a Gateway's parameters do not change that. */
export function serviceTypeOf(draft: GatewayDraft, { exposure }: TranslatorOptions): ServiceType | null {
  const type = exposure?.serviceType ?? null;
  return type === null ? null : (draft.service ?? type);
}

interface Port {
  readonly name: string;
  /** As the Gateway says it, and as it is bound. */
  readonly port: number;
  readonly bound: number;
  readonly protocol: 'TCP' | 'UDP';
}

/**
 * One for each port of its listeners and its sets', ascending, also of those that are not served just now: a load
 * balancer stays.
 */
function portsOf(listeners: readonly ListenerDraft[]): Port[] {
  const ports = new Map<string, Port>();
  for (const { port, boundPort: bound, protocol: spoken } of listeners) {
    const served = servedProtocol(spoken);
    if (served === null) continue;
    const protocol = served.transport === 'tcp' ? 'TCP' : 'UDP';
    const key = `${protocol} ${port}`;
    if (!ports.has(key)) ports.set(key, { name: `${spoken.toLowerCase()}-${port}`, port, bound, protocol });
  }
  const sorted = [...ports.values()].sort((a, b) => a.port - b.port || compare(a.protocol, b.protocol));
  return sorted.slice(0, LIMITS.EXPOSED_PORTS);
}

/**
 * What is kept for a Gateway of ours. `listeners`: its own and those of its sets; `rivals`: all whose Service would
 * have the same name.
 */
export function expose(
  reader: Reader,
  draft: GatewayDraft,
  listeners: readonly ListenerDraft[],
  plan: GatewayPlan,
  rivals: readonly GatewayDraft[],
  options: TranslatorOptions,
): Exposed {
  const type = serviceTypeOf(draft, options);
  if (type === null) return { objects: new Map(), refused: null, keep: false };
  const ports = portsOf(listeners);
  // A Gateway that is refused for a moment does not lose the address of its load balancer.
  if (draft.refused !== null || ports.length === 0) return { objects: new Map(), refused: null, keep: true };
  const { name, service: standing, foreign } = standingService(reader, draft);
  const first = [...rivals].sort(olderFirst)[0];
  const rival = standing === undefined && first !== undefined && first.key !== draft.key ? first : null;
  const refused =
    rival === null
      ? foreign
      : `Service ${draft.namespace}/${name} is made for Gateway ${rival.name}, which comes first.`;
  if (refused !== null) return { objects: new Map(), refused, keep: true };
  const slices = slicesOf(reader, draft, plan, name, ports, options);
  const families = new Set(slices.map(({ addressType }) => addressType));
  const service = made(
    draft,
    options,
    'v1',
    'Service',
    name,
    {},
    {
      spec: {
        type,
        ...(families.size === 2 ? { ipFamilyPolicy: 'PreferDualStack' } : {}),
        ports: ports.map(({ name: portName, port, bound, protocol }) => ({
          name: portName,
          port,
          protocol,
          targetPort: bound,
        })),
      },
    },
  );
  return { objects: new Map([service, ...slices].map((o) => [keyOf(o), o])), refused: null, keep: false };
}

/** Whether an object was made for a Gateway by a controller of this name, and which Gateway that is. */
export function gatewayOfGenerated(
  { metadata: { annotations, namespace } }: KubeObject,
  options: TranslatorOptions,
): { readonly key: ObjectKey; readonly uid: string; readonly name: string } | null {
  if (annotations?.[CONTROLLER_ANNOTATION] !== options.controllerName) return null;
  const { [GATEWAY_ANNOTATION]: name = '', [UID_ANNOTATION]: uid = '' } = annotations;
  return { key: objectKey('Gateway', namespace, name), uid, name };
}

function made(
  draft: GatewayDraft,
  options: TranslatorOptions,
  apiVersion: string,
  kind: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  body: Readonly<Record<string, unknown>>,
): KubeObject {
  const gateway = draft.name.slice(draft.namespace.length + 1);
  const { infrastructure, namespace, uid } = draft;
  const owner = { apiVersion: `${GATEWAY_GROUP}/v1`, kind: 'Gateway', name: gateway, uid, controller: true };
  const object = {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      labels: {
        ...infrastructure.labels,
        'app.kubernetes.io/managed-by': MANAGER,
        [`${GATEWAY_GROUP}/gateway-name`]: labelOf(gateway),
        [`${GATEWAY_GROUP}/gateway-class-name`]: labelOf(draft.className),
        ...labels,
      },
      annotations: {
        ...infrastructure.annotations,
        [CONTROLLER_ANNOTATION]: options.controllerName,
        [GATEWAY_ANNOTATION]: gateway,
        [UID_ANNOTATION]: uid,
      },
      ownerReferences: [owner],
    },
    ...body,
  };
  const annotations = { ...object.metadata.annotations, [APPLIED_ANNOTATION]: digest(JSON.stringify(object)) };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

interface SliceEndpoint {
  readonly addresses: readonly [string];
  readonly conditions: { readonly ready: boolean; readonly serving: boolean; readonly terminating: boolean };
  readonly nodeName?: string;
  readonly targetRef?: { readonly kind: 'Pod'; readonly namespace: string; readonly name: string };
}

const WILDCARDS = { IPv4: '0.0.0.0', IPv6: '::' } as const;
const HERE = { ready: true, serving: true, terminating: false } as const;

/** Slices of one family each, of at most LIMITS.SLICE_ENDPOINTS endpoints. */
function slicesOf(
  reader: Reader,
  draft: GatewayDraft,
  plan: GatewayPlan,
  service: string,
  ports: readonly Port[],
  options: TranslatorOptions,
): KubeObject[] {
  const slices: KubeObject[] = [];
  for (const family of ['IPv4', 'IPv6'] as const) {
    const endpoints = endpointsOf(reader, family, plan.addresses.bound, options);
    for (let from = 0; from < endpoints.length; from += LIMITS.SLICE_ENDPOINTS) {
      const number = from === 0 ? '' : `-${from / LIMITS.SLICE_ENDPOINTS + 1}`;
      const labels = { [SERVICE_NAME]: service, 'endpointslice.kubernetes.io/managed-by': SLICE_MANAGER };
      slices.push(
        made(
          draft,
          options,
          'discovery.k8s.io/v1',
          'EndpointSlice',
          `${service}-${family.toLowerCase()}${number}`,
          labels,
          {
            addressType: family,
            ports: ports.map(({ name, bound, protocol }) => ({ name, port: bound, protocol })),
            endpoints: endpoints.slice(from, from + LIMITS.SLICE_ENDPOINTS),
          },
        ),
      );
    }
  }
  return slices;
}

/** Where a Gateway listens: on every address of every pod, or on addresses that are its own. */
function endpointsOf(
  reader: Reader,
  family: 'IPv4' | 'IPv6',
  bound: readonly string[],
  options: TranslatorOptions,
): SliceEndpoint[] {
  if (!bound.includes(WILDCARDS[family])) {
    const own = bound.filter((address) => isOf(family, address));
    return own.map((address) => ({ addresses: [address], conditions: HERE }));
  }
  const replicas = replicasOf(reader);
  if (replicas.length === 0) {
    // Not in a pod, or nothing is known of it: this program alone.
    const here = (options.statusAddresses ?? []).filter((address) => isOf(family, address));
    return here.map((address) => ({ addresses: [address], conditions: HERE }));
  }
  return replicas.flatMap(({ addresses, namespace, name, nodeName, serving, terminating }) => {
    const address = addresses.find((a) => isOf(family, a));
    if (address === undefined) return [];
    return {
      addresses: [address] as const,
      conditions: { ready: serving && !terminating, serving, terminating },
      ...(nodeName === undefined ? {} : { nodeName }),
      targetRef: { kind: 'Pod', namespace, name } as const,
    };
  });
}

/** Of the family, and one that an EndpointSlice may hold: neither unspecified, loopback, link-local nor multicast. */
function isOf(family: 'IPv4' | 'IPv6', address: string): boolean {
  if (!isAddress(address)) return false;
  return family === 'IPv4'
    ? !address.includes(':') && !/^(0\.0\.0\.0$|127\.|169\.254\.|2(2[4-9]|3\d)\.)/.test(address)
    : address.includes(':') && !/^(::1?$|fe[89ab]|ff)/i.test(address);
}
