// Parameters: of a GatewayClass (spec.parametersRef) and of a Gateway (spec.infrastructure.parametersRef), merged field
// by field, the Gateway's winning; lists replace. What has no effect here, or cannot be used, refuses the object that
// refers to it (InvalidParameters), as the API has it for parameters that are missing or malformed.

import { isIP } from 'node:net';
import { type ObjectKey, objectKey } from '../api/object.ts';
import { type ParametersSpec, WITHOUT_EFFECT } from '../api/parameters.ts';
import { type Fields, fields, isFields } from '../base/fields.ts';
import { parseRange } from '../base/ip.ts';
import type { ClientSource, ErrorBodies, GatewayEntry } from '../ir/ir.ts';
import { RAUTA_GROUP, type ServiceType } from './context.ts';
import type { Reader } from './dependencies.ts';
import { editFault } from './field-rules.ts';
import { definedSpec } from './own-object.ts';
import { list, shown, text } from './read.ts';

export type ParametersKind = 'GatewayClassParameters' | 'GatewayParameters';

/** `spec` of what was referred to, or why it cannot be honoured. */
export type Found =
  | { readonly spec: Fields; readonly fault: null }
  | { readonly spec: null; readonly fault: string; readonly absent?: ObjectKey };

const NONE: Found = { spec: {}, fault: null };

/** Of a class `namespace` is undefined. */
export function parametersOf(reader: Reader, kind: ParametersKind, namespace: string | undefined, ref: unknown): Found {
  if (ref === undefined || ref === null) return NONE;
  const named = fields(ref);
  const name = text(named['name']) ?? '';
  if (named['group'] !== RAUTA_GROUP || named['kind'] !== kind) {
    const what = `${text(named['group']) ?? 'core'}/${text(named['kind']) ?? '?'} ${name}`;
    return fault(`parametersRef ${what} is of no supported kind; ${kind} of group ${RAUTA_GROUP} is.`);
  }
  if (namespace === undefined && named['namespace'] !== undefined && named['namespace'] !== null)
    return fault(`parametersRef.namespace: ${kind} are in no namespace.`);
  const object = reader.get(kind, namespace, name);
  const called = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  if (object === undefined)
    return { spec: null, fault: `${called} does not exist.`, absent: objectKey(kind, namespace, name) };
  const given = fields(object.spec);
  const wrong = idle(given) ?? unusable(given);
  if (wrong !== null) return fault(`${called}: ${wrong}`);
  const spec = definedSpec(object);
  return typeof spec === 'string' ? fault(`${called}: ${spec}`) : { spec, fault: null };
}

function fault(message: string): Found {
  return { spec: null, fault: message };
}

/** A field that is written and means nothing yet. */
function idle(spec: Fields): string | null {
  for (const path of WITHOUT_EFFECT) {
    const value = path.split('.').reduce<unknown>((at, name) => fields(at)[name], spec);
    if (value !== undefined && value !== null) return `spec.${path} has no effect yet.`;
  }
  return null;
}

/** A value that its shape allows and that cannot be used. */
function unusable(spec: Fields): string | null {
  const { header, proxies } = fields(spec['clientAddresses']);
  const { trustedIps, trustedRanges } = fields(proxies);
  const at = 'spec.clientAddresses';
  if (typeof header === 'string') {
    if (editFault('request', header) !== null) return `${at}.header: ${header} says nothing about a client.`;
    if (/^x-forwarded-for$/i.test(header)) return `${at}.header: X-Forwarded-For is what source Proxies reads.`;
  }
  for (const [i, address] of list(trustedIps).entries())
    if (typeof address !== 'string' || isIP(address) === 0)
      return `${at}.proxies.trustedIps[${i}]: ${shown(address)} is not an IP address.`;
  for (const [i, range] of list(trustedRanges).entries())
    if (typeof range !== 'string' || !range.includes('/') || parseRange(range) === null)
      return `${at}.proxies.trustedRanges[${i}]: ${shown(range)} is not a CIDR range.`;
  return null;
}

/** What a Gateway's parameters come to. */
export interface Effective {
  readonly entry: Pick<GatewayEntry, 'errors' | 'clients' | 'logs'>;
  /** Null: as --gateway-service says. */
  readonly service: ServiceType | null;
  /** Why they cannot be used together. */
  readonly fault: string | null;
  /** What is not there, where that is why. */
  readonly absent?: ObjectKey;
}

/** `ofClass` and `own`: specs as parametersOf gives them. */
export function effective(ofClass: Fields, own: Fields): Effective {
  const { errorResponses, clientAddresses, logLevel, service } = merged(ofClass, own) as ParametersSpec;
  const clients = clientsOf(clientAddresses);
  if (typeof clients === 'string') return { entry: {}, service: null, fault: clients };
  const errors = errorsOf(errorResponses);
  const logs = logLevel === undefined ? undefined : LOGS[logLevel];
  return {
    entry: {
      ...(errors === null ? {} : { errors }),
      ...(clients === null ? {} : { clients }),
      ...(logs === undefined ? {} : { logs }),
    },
    service: service?.type ?? null,
    fault: null,
  };
}

function merged(under: Fields, over: Fields): Fields {
  const result: Record<string, unknown> = { ...under };
  for (const [name, value] of Object.entries(over)) {
    const below = result[name];
    result[name] = isFields(value) && isFields(below) ? merged(below, value) : value;
  }
  return result;
}

const LOGS = { Error: 'errors', Warn: 'warnings', Info: undefined, Debug: undefined } as const;
const KINDS = { Empty: 'empty', Html: 'html', ProblemDetail: 'problem' } as const;

function errorsOf(given: ParametersSpec['errorResponses']): ErrorBodies | null {
  const kind = given?.kind;
  if (kind === undefined || kind === 'Text') return null;
  const authority = kind === 'ProblemDetail' ? (given?.problemDetail?.authority ?? '') : '';
  return { type: KINDS[kind], authority: authority.replace(/\/+$/, '') };
}

/** Loopback, RFC 1918, link-local (RFC 3927, RFC 4291) and unique local addresses (RFC 4193). */
const LOCAL_RANGES: readonly string[] = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '169.254.0.0/16',
  '::1/128',
  'fe80::/10',
  'fc00::/7',
];

/** Null: nothing is said; a text: why it cannot be. */
function clientsOf(given: ParametersSpec['clientAddresses']): ClientSource | null | string {
  const source = given?.source;
  if (given === undefined) return null;
  if (source === undefined) return 'spec.clientAddresses.source is needed: nothing says where addresses are from.';
  if (source === 'None') return { trusted: [], header: null };
  const { trustLocalRanges = true, trustedIps = [], trustedRanges = [] } = given.proxies ?? {};
  const trusted = [...(trustLocalRanges ? LOCAL_RANGES : []), ...trustedIps, ...trustedRanges];
  if (trusted.length === 0) return 'spec.clientAddresses.proxies: nobody is trusted; source None says so.';
  if (source === 'Proxies') return { trusted, header: null };
  if (given.header === undefined) return 'spec.clientAddresses.header is needed with source Header.';
  return { trusted, header: given.header };
}
