// Whose state file it is: what of the flags decides what the same objects come to.

import { hash } from 'node:crypto';
import type { KeptBy } from '../stream/kept.ts';
import { versionInfo } from './version.ts';

const DECISIVE = [
  ...['kubeconfig', 'context', 'watch-namespaces', 'controller-name', 'gateway-class', 'backends'],
  ...['listen', 'address-pool', 'port-map', 'default-certificate', 'zone', 'gateway-service', 'publish-service'],
];

/** `text`: the value of a flag. */
export function keptBy(text: (flag: string) => string): KeptBy {
  const flags = JSON.stringify(DECISIVE.map((flag) => [flag, text(flag)]));
  return { version: versionInfo().version, flags: hash('sha256', flags, 'hex') };
}
