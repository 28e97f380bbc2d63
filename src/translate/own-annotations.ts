// Annotations of ours (`rauta.io/`) that mean nothing where they stand: a name that is misspelt, of another kind, or of
// a listener that is not there. Those of Ingresses are read by ingress-annotations.ts, which tells of its own.

import type { KubeObject } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import { nearest } from '../base/nearest.ts';
import { PROTOCOL_ANNOTATION } from './backend-protocol.ts';
import { APPLIED_ANNOTATION, UID_ANNOTATION } from './exposure.ts';
import { list, shown } from './read.ts';
import { mergesSlashes, SLASHES_ANNOTATION } from './slashes.ts';

const OWN = 'rauta.io/';
const PROXY = 'rauta.io/proxy-protocol';
const WEB = 'rauta.io/grpc-web';
const FAILURE = 'rauta.io/external-auth-failure';
const IDLE = ['rauta.io/idle-timeout'];

/** What each kind takes. Services that were made here have more, which a copy of them in a file keeps. */
const TAKEN: Readonly<Record<string, readonly string[]>> = {
  Gateway: [PROXY],
  HTTPRoute: [WEB, FAILURE, SLASHES_ANNOTATION],
  GRPCRoute: [],
  TCPRoute: IDLE,
  TLSRoute: IDLE,
  UDPRoute: IDLE,
  Backend: [PROXY],
  Service: [
    PROXY,
    PROTOCOL_ANNOTATION,
    APPLIED_ANNOTATION,
    UID_ANNOTATION,
    'rauta.io/gateway',
    'rauta.io/controller-name',
  ],
};

interface Idle {
  readonly field: string;
  readonly message: string;
}

/** `sets`: there are ListenerSets, whose listeners a Gateway's annotation may be for. */
export function idleAnnotations(object: KubeObject, sets: boolean): Idle[] {
  const known = Object.hasOwn(TAKEN, object.kind) ? TAKEN[object.kind] : undefined;
  const { annotations } = object.metadata;
  if (known === undefined || annotations === undefined) return [];
  const found: Idle[] = [];
  for (const [name, value] of Object.entries(annotations)) {
    if (!name.startsWith(OWN)) continue;
    const message = known.includes(name) ? valueFault(name, value) : nameFault(name, known, object, sets);
    if (message !== null) found.push({ field: `metadata.annotations[${name}]`, message });
  }
  return found;
}

function valueFault(name: string, value: unknown): string | null {
  if (name === SLASHES_ANNOTATION) {
    return mergesSlashes(value) === null ? `${shown(value)} has no effect: write "off", or leave it out.` : null;
  }
  if (name !== WEB || value === 'on' || value === 'off') return null;
  return `${shown(value)} has no effect: write "on", or leave it out.`;
}

function nameFault(name: string, known: readonly string[], object: KubeObject, sets: boolean): string | null {
  if (object.kind === 'Gateway' && name.startsWith(`${PROXY}.`)) {
    const listeners = list(fields(object.spec)['listeners']).map(fields);
    const names = listeners.map((listener) => String(listener['name']));
    const own = name.slice(PROXY.length + 1);
    if (listeners.find((listener) => listener['name'] === own)?.['protocol'] === 'UDP')
      return `Listener ${own} is of UDP, whose datagrams have no PROXY headers: it has no effect.`;
    if (sets || names.includes(own)) return null;
    return `There is no listener ${own}: it has no effect. There are ${names.join(', ')}.`;
  }
  const near = nearest(name, known);
  const there = known.length === 0 ? 'There is none for this kind.' : `There is ${known.join(', ')}.`;
  return `No annotation of a ${object.kind}: it has no effect. ${near === undefined ? there : `Did you mean ${near}?`}`;
}
