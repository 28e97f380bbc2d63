// Who speaks the PROXY protocol with whom: clients of a Gateway's listeners (annotations, --proxy-protocol), backends
// (an annotation of the Service or Backend).

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { parseRange } from '../base/ip.ts';
import type { ClusterEntry, SocketEntry } from '../ir/ir.ts';
import { anyText, shown } from './read.ts';

type Clients = SocketEntry['proxyProtocol'];

/** Of a Gateway, for all its listeners; followed by a dot and the name of one, for that one. */
const ANNOTATION = 'rauta.io/proxy-protocol';
const OFF = 'off';

/**
 * Whose connections to a listener of the Gateway begin with a header: CIDR ranges, or `off`. `given`: those of
 * --proxy-protocol. A range that is none is left out: whoever is not named is believed nothing. What is wrong is said
 * once, however many listeners it is for.
 */
export function proxiedOf(
  gateway: KubeObject,
  given: readonly string[],
  problems: Problems,
): (listener: string) => Clients {
  const annotations = fields(gateway.metadata.annotations);
  if (Object.keys(annotations).length === 0) {
    // Thousands of listeners would each be looked for by a name of their own.
    const clients = clientsOf(ANNOTATION, undefined, given, problems);
    return () => clients;
  }
  const known = new Map<string, Clients>();
  return (listener) => {
    const own = `${ANNOTATION}.${listener}`;
    const name = annotations[own] === undefined ? ANNOTATION : own;
    const before = known.get(name);
    if (before !== undefined) return before;
    const clients = clientsOf(name, anyText(annotations[name]), given, problems);
    known.set(name, clients);
    return clients;
  };
}

function clientsOf(name: string, value: string | undefined, given: readonly string[], problems: Problems): Clients {
  if (value === undefined) return given.length === 0 ? null : { trusted: given };
  if (value === OFF) return null;
  const trusted = value.split(/[\s,]+/).filter((one) => {
    if (one === '' || parseRange(one) !== null) return one !== '';
    const message = `${shown(one)} is not an address or CIDR range and names nobody: write 10.0.0.0/8.`;
    problems.error(`metadata.annotations[${name}]`, message);
    return false;
  });
  return trusted.length === 0 ? null : { trusted };
}

/** The version of the header that sessions of layer 4 begin with; a text says why it cannot be told. */
export function proxiedTo(backend: KubeObject): ClusterEntry['proxyProtocol'] | { readonly wrong: string } {
  const value = fields(backend.metadata.annotations)[ANNOTATION];
  if (value === undefined) return null;
  if (value === 'v1' || value === 'v2') return value;
  return { wrong: `annotation ${ANNOTATION}: ${shown(value)} is not v1 or v2.` };
}

/** What is said of the same annotation where datagrams go, which have no header. */
export function proxyIgnored({ kind, metadata }: KubeObject): { readonly unheard?: string } {
  if (fields(metadata.annotations)[ANNOTATION] === undefined) return {};
  const who = `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
  return { unheard: `${who} asks for PROXY headers (annotation ${ANNOTATION}): datagrams have none.` };
}
