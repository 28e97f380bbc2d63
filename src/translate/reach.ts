// Where a Gateway is reached, as its status says it, beyond the addresses that are its own (ADR 22): those of a Service
// that was named, of the Service that is kept for it, of the nodes or pods that run this program, or of this machine.

import type { KubeObject } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import type { Fault, GatewayAddress } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { compare, type Reader } from './dependencies.ts';
import { serviceTypeOf, standingService } from './exposure.ts';
import type { GatewayDraft, GatewayPlan } from './gateway.ts';
import { isAddress, list, text } from './read.ts';
import { replicasOf, takingReplicas } from './replicas.ts';

export interface Reach {
  readonly addresses: readonly GatewayAddress[];
  /** Why it has none yet that anybody could use. */
  readonly fault: Fault | null;
}

/** All of a Gateway's addresses: its own first. */
export function reachOf(reader: Reader, draft: GatewayDraft, plan: GatewayPlan, options: TranslatorOptions): Reach {
  const own = plan.addresses.status.map(addressOf);
  if (!plan.addresses.open) return { addresses: own, fault: null };
  const given = givenTo(reader, draft, options);
  const seen = new Set<string>();
  const all = [...own, ...given.addresses].filter(({ value }) => !seen.has(value) && seen.add(value));
  return { addresses: all.slice(0, LIMITS.STATUS_ADDRESSES), fault: given.fault };
}

function givenTo(reader: Reader, draft: GatewayDraft, options: TranslatorOptions): Reach {
  const { exposure, defaultAddresses, statusAddresses = defaultAddresses } = options;
  if (exposure?.published != null) {
    const { namespace, name } = exposure.published;
    const service = reader.get('Service', namespace, name);
    if (service === undefined) return missing(`Service ${namespace}/${name} (--publish-service) does not exist.`);
    const addresses = publishedOf(service);
    if (addresses.length > 0) return { addresses, fault: null };
    return missing(`Service ${namespace}/${name} (--publish-service) has no address yet.`);
  }
  const type = serviceTypeOf(draft, options);
  if (type === 'LoadBalancer' || type === 'ClusterIP') {
    const { name, service, foreign } = standingService(reader, draft);
    if (foreign !== null) return missing(foreign);
    const addresses = service === undefined ? [] : type === 'ClusterIP' ? clusterIps(service) : balancersOf(service);
    if (addresses.length > 0) return { addresses, fault: null };
    const who = type === 'ClusterIP' ? '' : ': whoever makes load balancers in this cluster gives it one';
    return missing(`Service ${draft.namespace}/${name} has no address yet${who}.`);
  }
  const replicas = takingReplicas(replicasOf(reader));
  const nodes = type === 'NodePort';
  const found = replicas.flatMap((r) => (nodes || r.hostNetwork ? r.nodeAddresses : r.addresses));
  // Names of pods change with each rollout, addresses of nodes do not.
  found.sort(compare);
  return { addresses: (found.length > 0 ? found : statusAddresses).map(addressOf), fault: null };
}

function missing(message: string): Reach {
  return { addresses: [], fault: { name: 'gatewayUnassigned', message } };
}

function addressOf(value: string): GatewayAddress {
  return { type: isAddress(value) ? 'IPAddress' : 'Hostname', value };
}

/**
 * Of a Service that somebody else keeps: its load balancer's, else those that lead to it from outside, else its own.
 */
function publishedOf(service: KubeObject): GatewayAddress[] {
  const balancers = balancersOf(service);
  if (balancers.length > 0) return balancers;
  const { type, externalIPs } = fields(service.spec);
  const external = list(externalIPs).flatMap((value) => text(value) ?? []);
  if (external.length > 0) return external.map(addressOf);
  // A load balancer that has no address yet is not one of the cluster's own.
  return type === 'LoadBalancer' ? [] : clusterIps(service);
}

function balancersOf(service: KubeObject): GatewayAddress[] {
  return list(fields(fields(service.status)['loadBalancer'])['ingress']).flatMap((item) => {
    const { ip, hostname } = fields(item);
    const value = text(ip) ?? text(hostname);
    return value === undefined ? [] : addressOf(value);
  });
}

function clusterIps(service: KubeObject): GatewayAddress[] {
  const { clusterIP, clusterIPs } = fields(service.spec);
  const all = list(clusterIPs).length > 0 ? list(clusterIPs) : [clusterIP];
  // Headless: None.
  return all.flatMap((value) => text(value) ?? []).flatMap((value) => (isAddress(value) ? addressOf(value) : []));
}
