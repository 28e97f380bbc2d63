// Where a backend is to be found: the endpoints of a Service's port from its EndpointSlices, those of our Backend as it
// lists them, those of an XBackend by its name. That there are none is no error, but nobody should have to find out by
// a 503: it says why.

import { type KubeObject, keyOf, objectKey } from '../api/object.ts';
import { objectText, type Problem, Problems } from '../api/problem.ts';
import { type Fields, fields } from '../base/fields.ts';
import { addressText } from '../base/ip.ts';
import type { Endpoint, EndpointsEntry, Key } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import { servicePortOf } from './backend.ts';
import type { TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { compare } from './dependencies.ts';
import { nearOnes, type Placed } from './near.ts';
import { anyText, integer, isAddress, list, port, shown, text } from './read.ts';
import { externalAddresses, readXBackend } from './x-backend.ts';

export interface EndpointsResult {
  readonly entry: EndpointsEntry;
  readonly problems: Problems;
}

/** The endpoints under `key`, or null when what they are of is gone (no route refers to it for long then). */
export function translateEndpoints(reader: Reader, key: Key, options: TranslatorOptions): EndpointsResult | null {
  const parsed = parseKey(key);
  if (parsed.kind !== 'endpoints') return null;
  const object = reader.get(parsed.objectKind, parsed.namespace, parsed.name);
  if (object === undefined) return null;
  const problems = new Problems(keyOf(object));
  const endpoints =
    parsed.objectKind === 'Service'
      ? serviceEndpoints(reader, object, parsed, options, problems)
      : parsed.objectKind === 'XBackend'
        ? externalEndpoints(reader, object, options, problems)
        : backendEndpoints(reader, object, options.forbidden, problems);
  return { entry: { kind: 'endpoints', key, endpoints: distinct(endpoints) }, problems };
}

/**
 * Sorted by id; of several with one id (a pod in two slices during a change) one that is near, then a ready one, then
 * the first address: `ready`, `far`, `draining` in this order.
 */
function distinct(endpoints: readonly Endpoint[]): Endpoint[] {
  const byId = new Map<string, Endpoint>();
  for (const endpoint of [...endpoints].sort(preferred)) {
    if (!byId.has(endpoint.id)) byId.set(endpoint.id, endpoint);
  }
  return [...byId.values()];
}

function preferred(a: Endpoint, b: Endpoint): number {
  return (
    compare(a.id, b.id) ||
    compare(b.state, a.state) ||
    compare(a.address, b.address) ||
    a.port - b.port ||
    compare(a.zone, b.zone)
  );
}

/**
 * Endpoints of a Service's port from its EndpointSlices, whoever wrote them (controller or hand). A slice's port
 * belongs to the Service's port of the same name; the number is the slice's, so named target ports and headless
 * Services need nothing more. A Service of two address families is served over its first that has a ready endpoint.
 */
function serviceEndpoints(
  reader: Reader,
  service: KubeObject,
  { port: number, transport }: { readonly port: number; readonly transport: 'tcp' | 'udp' },
  options: TranslatorOptions,
  problems: Problems,
): Endpoint[] {
  const namespace = service.metadata.namespace ?? '';
  const servicePort = servicePortOf(service, number, transport);
  if (servicePort === undefined) return [];
  const portName = anyText(servicePort['name']) ?? '';
  const slices = reader.by('slicesByService', `${namespace}/${service.metadata.name}`);
  const placed: SliceEndpoint[] = [];
  for (const slice of slices) {
    const family = slice['addressType'];
    const target = port(slicePort(slice, portName, transport)?.['port']);
    if ((family !== 'IPv4' && family !== 'IPv6') || target === undefined) continue;
    for (const item of list(slice['endpoints'])) {
      const endpoint = sliceEndpoint(fields(item), family, namespace, target);
      if (endpoint !== null) placed.push(endpoint);
    }
  }
  if (!placed.some((p) => p.ready || p.serving)) {
    const index = list(fields(service.spec)['ports']).indexOf(servicePort);
    const why =
      slices.length === 0
        ? noSlice(service, options)
        : slices
            .slice(0, SLICES_NAMED)
            .map((s) => lacks(s, portName, transport))
            .join(' ');
    const none = `Port ${number} has no endpoint, requests answer 503. ${why}`;
    const absent = slices.length === 0 ? objectKey('EndpointSlice', namespace, '') : undefined;
    problems.warning(`spec.ports[${index}]`, none, absent);
  }
  if (fields(service.spec)['sessionAffinity'] === 'ClientIP') {
    const message = 'ClientIP has no effect by a route or an Ingress: requests are shared among all endpoints';
    problems.warning('spec.sessionAffinity', `${message}. An Ingress may have upstream-hash-by: $remote_addr.`);
  }
  const chosen = placed.filter(({ family }) => family === familyOf(service, placed));
  const near = nearOnes(reader, service, chosen, options);
  return chosen.flatMap((p) => {
    if (p.ready) return { ...p.endpoint, state: near === null || near.has(p) ? 'ready' : 'far' } as const;
    return p.serving ? ({ ...p.endpoint, state: 'draining' } as const) : [];
  });
}

/** The family over which a Service is served: its first that has a ready endpoint, else one that has any. */
function familyOf(service: KubeObject, placed: readonly SliceEndpoint[]): 'IPv4' | 'IPv6' {
  const first = list(fields(service.spec)['ipFamilies'])[0] === 'IPv6' ? 'IPv6' : 'IPv4';
  const order = [first, first === 'IPv4' ? 'IPv6' : 'IPv4'] as const;
  const having = (of: (p: SliceEndpoint) => boolean): 'IPv4' | 'IPv6' | undefined =>
    order.find((family) => placed.some((p) => p.family === family && of(p)));
  return having((p) => p.ready) ?? having((p) => p.serving) ?? first;
}

function slicePort(slice: KubeObject, name: string, transport: 'tcp' | 'udp'): Fields | undefined {
  return portsOver(transport, slice).find((item) => (anyText(item['name']) ?? '') === name);
}

function portsOver(transport: 'tcp' | 'udp', slice: KubeObject): Fields[] {
  return list(slice['ports'])
    .map(fields)
    .filter((item) => (item['protocol'] ?? 'TCP') === transport.toUpperCase());
}

/** Slices that a message names at the most. */
const SLICES_NAMED = 3;

const SERVICE_LABEL = 'kubernetes.io/service-name';

function noSlice({ metadata: { name } }: KubeObject, { fromFiles }: TranslatorOptions): string {
  const none = `No EndpointSlice has the label ${SERVICE_LABEL}: ${name}`;
  return fromFiles === true
    ? `${none}; from files nobody makes one: write it, or refer to a Backend of rauta.io.`
    : `${none}.`;
}

/** Why a slice adds no endpoint to a port of that name. */
function lacks(slice: KubeObject, portName: string, transport: 'tcp' | 'udp'): string {
  const who = `EndpointSlice ${slice.metadata.name}`;
  const family = slice['addressType'];
  if (family !== 'IPv4' && family !== 'IPv6')
    return `${who} is of addressType ${shown(family)}, which is not supported.`;
  if (port(slicePort(slice, portName, transport)?.['port']) === undefined) {
    const names = portsOver(transport, slice).map((item) => shown(anyText(item['name']) ?? ''));
    const wanted = portName === '' ? 'without a name, as the Service has it' : `named ${shown(portName)}`;
    return `${who} has no ${transport.toUpperCase()} port ${wanted} (it has ${names.length === 0 ? 'none' : names.join(', ')}).`;
  }
  const count = list(slice['endpoints']).length;
  return count === 0
    ? `${who} lists no endpoint: write endpoints: [{ addresses: [127.0.0.1] }].`
    : `${who}: none of ${count} is ready (conditions: { ready: true }).`;
}

/**
 * From files nobody else sees to it that slices and Services find each other: what is wrong with a slice that belongs
 * to none, or null.
 */
export function strayProblem(reader: Reader, slice: KubeObject): Problem | null {
  const problems = new Problems(keyOf(slice));
  const service = fields(slice.metadata.labels)[SERVICE_LABEL];
  const field = `metadata.labels[${SERVICE_LABEL}]`;
  if (typeof service !== 'string' || service === '') {
    const write = `write ${SERVICE_LABEL}: and the Service's name`;
    problems.warning('metadata.labels', `It belongs to no Service: its label ${SERVICE_LABEL} is missing; ${write}.`);
  } else if (reader.get('Service', slice.metadata.namespace, service) === undefined) {
    const key = objectKey('Service', slice.metadata.namespace, service);
    problems.warning(field, `It belongs to no Service: ${objectText(key)} does not exist.`, key);
  }
  return problems.found[0] ?? null;
}

interface SliceEndpoint extends Placed {
  readonly family: 'IPv4' | 'IPv6';
  /** Not ready, but still answers on its way out. */
  readonly serving: boolean;
  readonly endpoint: Omit<Endpoint, 'state'>;
}

/**
 * Conditions as EndpointSlice defines them (discovery/v1 EndpointConditions): an unknown `ready` counts as ready, an
 * unknown `serving` follows it, an unknown `terminating` is false. What is neither ready nor serving its last requests
 * is not used.
 */
function sliceEndpoint(item: Fields, family: 'IPv4' | 'IPv6', namespace: string, number: number): SliceEndpoint | null {
  // "Consumers may use the first address": the others are the same endpoint.
  const address = text(list(item['addresses'])[0]);
  if (address === undefined || !isAddress(address)) return null;
  const conditions = fields(item['conditions']);
  const ready = conditions['ready'] !== false;
  const answers = typeof conditions['serving'] === 'boolean' ? conditions['serving'] : ready;
  const terminating = conditions['terminating'] === true;
  const target = fields(item['targetRef']);
  const pod = target['kind'] === 'Pod' ? text(target['name']) : undefined;
  const endpoint = {
    id: pod === undefined ? addressText(address, number) : `${text(target['namespace']) ?? namespace}/${pod}`,
    address,
    port: number,
    zone: text(item['zone']) ?? '',
    weight: 1,
  };
  return { item, family, ready, terminating, serving: !ready && answers && terminating, endpoint };
}

/** Longest path of a unix socket, the closing zero apart (sockaddr_un, unix(7)). */
const UNIX_PATH_BYTES = 107;

/** Endpoints of our Backend: an address, a unix socket, or a hostname that is resolved into ResolvedHost objects. */
function backendEndpoints(
  reader: Reader,
  backend: KubeObject,
  forbidden: TranslatorOptions['forbidden'],
  problems: Problems,
): Endpoint[] {
  const found: Endpoint[] = [];
  const isForbidden = (field: string, address: string): boolean => {
    const is = forbidden !== undefined && (address.startsWith('/') || forbidden(address));
    if (is) problems.error(field, forbiddenText(address));
    return is;
  };
  for (const [i, value] of list(fields(backend.spec)['endpoints']).entries()) {
    const item = fields(value);
    const field = `spec.endpoints[${i}]`;
    const weight = integer(item['weight'] ?? 1, 0, 1_000_000);
    if (weight === undefined) {
      problems.error(`${field}.weight`, `${shown(item['weight'])} is not a weight; the endpoint is left out.`);
      continue;
    }
    if (weight === 0) continue;
    const rest = { zone: text(item['zone']) ?? '', weight, state: 'ready' } as const;
    const unix = text(item['unix']);
    if (unix !== undefined) {
      if (!unix.startsWith('/') || unix.includes('\0') || Buffer.byteLength(unix) > UNIX_PATH_BYTES) {
        problems.error(`${field}.unix`, `${shown(unix)} is not an absolute path of at most ${UNIX_PATH_BYTES} bytes.`);
      } else if (!isForbidden(`${field}.unix`, unix)) found.push({ id: unix, address: unix, port: 0, ...rest });
      continue;
    }
    const number = port(item['port']);
    if (number === undefined) {
      problems.error(`${field}.port`, `${shown(item['port'])} is not a port; the endpoint is left out.`);
      continue;
    }
    const address = text(item['address']);
    const hostname = text(item['hostname'])?.toLowerCase();
    if (address !== undefined && isAddress(address)) {
      if (!isForbidden(`${field}.address`, address))
        found.push({ id: addressText(address, number), address, port: number, ...rest });
    } else if (address !== undefined) {
      problems.error(`${field}.address`, `${shown(address)} is not an IP address; names go into hostname.`);
    } else if (hostname !== undefined) {
      for (const one of resolvedAddresses(reader, hostname)) {
        if (!isForbidden(`${field}.hostname`, one))
          found.push({ id: addressText(one, number), address: one, port: number, ...rest });
      }
    } else problems.error(field, 'An endpoint needs one of address, hostname, unix.');
  }
  const weights = list(fields(backend.spec)['endpoints']).map((item) => fields(item)['weight']);
  if (weights.every((weight) => weight === 0)) {
    const why = weights.length === 0 ? 'It lists no endpoint' : 'Every endpoint is of weight 0';
    const form = 'Write endpoints: [{ address: 127.0.0.1, port: 9001 }].';
    problems.warning('spec.endpoints', `${why}: requests answer 503. ${form}`);
  }
  return found;
}

/** The addresses of an XBackend's host, each on its port. */
function externalEndpoints(
  reader: Reader,
  object: KubeObject,
  options: TranslatorOptions,
  problems: Problems,
): Endpoint[] {
  const { host } = readXBackend(reader, object, options);
  if (host === null) return [];
  const { allowed, refused } = externalAddresses(reader, host.hostname, options);
  for (const address of refused) problems.error('spec.externalHostname.hostname', forbiddenText(address));
  const rest = { port: host.port, zone: '', weight: 1, state: 'ready' } as const;
  return allowed.map((address) => ({ id: addressText(address, host.port), address, ...rest }));
}

function forbiddenText(address: string): string {
  return `${shown(address)} is of this machine or its link: only --backends local allows it.`;
}

/** What the controller resolved `hostname` to (api/backend.ts ResolvedHost): nothing yet is no endpoint yet. */
function resolvedAddresses(reader: Reader, hostname: string): string[] {
  return list(reader.get('ResolvedHost', undefined, hostname)?.['addresses'])
    .map((item) => text(fields(item)['address']) ?? '')
    .filter((address) => isAddress(address));
}
