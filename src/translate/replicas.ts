// The pods that run this program, as the source tells of them (source/kubernetes/own.ts): kind Pod, these and no
// others.

import type { KubeObject } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import type { Reader } from './dependencies.ts';
import { isAddress, list, text } from './read.ts';

export interface Replica {
  readonly namespace: string;
  readonly name: string;
  readonly nodeName: string | undefined;
  /** Of the pod, one of each family; with the host's network those of its node. */
  readonly addresses: readonly string[];
  /** Of its node. */
  readonly nodeAddresses: readonly string[];
  readonly hostNetwork: boolean;
  /** Its probes say so. */
  readonly serving: boolean;
  readonly terminating: boolean;
}

/** By namespace and name; without those that have ended, or have no address yet. */
export function replicasOf(reader: Reader): Replica[] {
  return reader
    .by('replicas', '')
    .map(replicaOf)
    .filter((replica) => replica !== null);
}

function replicaOf({ metadata, spec, status }: KubeObject): Replica | null {
  const { hostNetwork, nodeName } = fields(spec);
  const { phase, podIPs, hostIPs, conditions } = fields(status);
  const addresses = addressesOf(podIPs);
  if (phase === 'Succeeded' || phase === 'Failed' || addresses.length === 0) return null;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    nodeName: text(nodeName),
    addresses,
    nodeAddresses: addressesOf(hostIPs),
    hostNetwork: hostNetwork === true,
    serving: list(conditions)
      .map(fields)
      .some(({ type, status: said }) => type === 'Ready' && said === 'True'),
    terminating: metadata.deletionTimestamp !== undefined,
  };
}

function addressesOf(value: unknown): string[] {
  return list(value)
    .map((item) => text(fields(item)['ip']) ?? '')
    .filter(isAddress);
}

/** Those that take new connections; while none does, those that have not ended. */
export function takingReplicas(replicas: readonly Replica[]): readonly Replica[] {
  const ready = replicas.filter(({ serving, terminating }) => serving && !terminating);
  return ready.length > 0 ? ready : replicas;
}
