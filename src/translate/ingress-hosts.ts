// Hosts that an Ingress has beside those of its rules (server-alias, from-to-www-redirect): as in ingress-nginx they
// are whoever's rules are for them, of whichever namespace and age. Else one Ingress could take from another what it
// serves, and two that send clients to each other would do so for ever.

import type { KubeObject } from '../api/object.ts';
import { keyOf } from '../api/object.ts';
import { objectText } from '../api/problem.ts';
import type { TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { isCanary } from './ingress-canary.ts';
import { claimIngress } from './ingress-class.ts';

/** The Ingress of ours that has a rule for the host, by name the first; null: none has. Canaries have none alone. */
export function ingressOfHost(reader: Reader, host: string, options: TranslatorOptions): KubeObject | null {
  const all = reader.by('ingressesByHost', host);
  return all.find((object) => !isCanary(object) && claimIngress(reader, object, options).ours) ?? null;
}

/** Why a host of the annotation `short` of `ingress` is not served by it. */
export function takenText(host: string, owner: KubeObject, ingress: KubeObject): string {
  const [own, theirs] = [keyOf(ingress), keyOf(owner)];
  const who = own === theirs ? 'A rule of this Ingress' : `A rule of ${objectText(theirs)}`;
  return `${who} is for ${host}, and serves it alone.`;
}
