// XBackend (experimental channel of the Gateway API, GEP-4488): a host outside the cluster, by its name, and how it is
// spoken to. The name is a whole one, so that no search domain makes a Service of it, and it may not be one of the
// cluster's own: what is inside is referred to by its Service, where a ReferenceGrant has a say.

import { wholeName } from '../api/backend.ts';
import { type KubeObject, keyOf } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { fields, isFields } from '../base/fields.ts';
import type { ClientTls, TrustEntry } from '../ir/ir.ts';
import { readValidation, systemTls } from './backend-tls.ts';
import { clientSecret } from './client-certificate.ts';
import type { ConditionName, Fault } from './conditions.ts';
import { type TranslatorOptions, X_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { isPreciseHostname } from './hostname.ts';
import { anyText, isAddress, port, shown } from './read.ts';

export interface XBackendVerdict {
  /** Null where nobody may be asked. */
  readonly host: { readonly hostname: string; readonly port: number } | null;
  /** Of spec.protocol; '' where the route decides. */
  readonly protocol: string;
  /** Null: it is spoken to in the clear. */
  readonly tls: ClientTls | null;
  /** Its own authorities; null when they are the system's, or there are none. */
  readonly trust: TrustEntry | null;
  /** Why it is not accepted: it gets nothing then. */
  readonly refused: Fault | null;
  /** The first reference that does not resolve. */
  readonly unresolved: Fault | null;
  /** Why what it is to be shown cannot be: who is to say who it is and cannot is not let go on as nobody. */
  readonly nameless: Fault | null;
  readonly problems: Problems;
}

const CLUSTER_DOMAIN = 'cluster.local';
const PROTOCOLS: readonly string[] = ['HTTP', 'HTTP2', 'HTTP11', 'H2C', 'GRPC', 'TCP'];

type Refuse = (field: string, message: string, name?: ConditionName) => void;

export function readXBackend(reader: Reader, object: KubeObject, options: TranslatorOptions): XBackendVerdict {
  const problems = new Problems(keyOf(object));
  const spec = fields(object.spec);
  let refused: Fault | null = null;
  const refuse: Refuse = (field, message, name = 'policyInvalid') => {
    problems.error(field, message);
    refused ??= { name, message };
  };
  if (spec['type'] !== 'ExternalHostname') {
    const instead = 'ExternalHostname is. For pods write a Service, and refer to that.';
    refuse('spec.type', `Type ${shown(spec['type'])} is not supported; ${instead}`);
    return { ...CLEAR, host: null, protocol: '', refused, problems };
  }
  const host = hostOf(spec, options, refuse);
  const protocol = protocolOf(spec, refuse);
  const security = securityOf(reader, object, host?.hostname ?? '', protocol, options, problems, refuse);
  return { ...security, host: refused === null ? host : null, protocol, refused, problems };
}

function hostOf(spec: ReturnType<typeof fields>, options: TranslatorOptions, refuse: Refuse): XBackendVerdict['host'] {
  const at = 'spec.externalHostname.hostname';
  const value = fields(spec['externalHostname'])['hostname'];
  const hostname = (anyText(value) ?? '').toLowerCase();
  const number = port(fields(spec['port'])['port']);
  if (number === undefined) refuse('spec.port.port', `${shown(fields(spec['port'])['port'])} is not a port.`);
  if (isAddress(hostname)) refuse(at, `${hostname} is an address: write a host's name, or a Backend of rauta.io.`);
  else if (!isPreciseHostname(hostname)) refuse(at, `${shown(value)} is not the name of a host.`);
  const own = [CLUSTER_DOMAIN, options.clusterDomain ?? CLUSTER_DOMAIN].find(
    (domain) => hostname === domain || hostname.endsWith(`.${domain}`),
  );
  if (own !== undefined)
    refuse(at, `${hostname} is of the cluster itself (${own}): refer to its Service instead, under a ReferenceGrant.`);
  return number === undefined ? null : { hostname, port: number };
}

function protocolOf(spec: ReturnType<typeof fields>, refuse: Refuse): string {
  const value = spec['protocol'] ?? '';
  if (value === '') return '';
  if (typeof value === 'string' && PROTOCOLS.includes(value)) return value;
  const mcp = value === 'MCP' ? ' MCP over HTTP is HTTP: write that, and nothing of it is looked into.' : '';
  refuse(
    'spec.protocol',
    `Protocol ${shown(value)} is not supported; ${PROTOCOLS.join(', ')} are.${mcp}`,
    'externalProtocol',
  );
  return '';
}

type Security = Pick<XBackendVerdict, 'tls' | 'trust' | 'unresolved' | 'nameless'>;

const CLEAR: Security = { tls: null, trust: null, unresolved: null, nameless: null };

function securityOf(
  reader: Reader,
  object: KubeObject,
  hostname: string,
  protocol: string,
  options: TranslatorOptions,
  problems: Problems,
  refuse: Refuse,
): Security {
  const value = fields(object.spec)['tls'];
  const { mode, validation, clientCertificateRef } = fields(value);
  if (!isFields(value)) {
    const how = 'write tls: { mode: ServerOnly }, or mode: None if that is meant';
    if (hostname !== '')
      problems.warning(
        'spec',
        `Nothing secures what is sent to ${shown(hostname)}, whoever may be on the way: ${how}.`,
      );
    return CLEAR;
  }
  if (mode === 'None') {
    if (isFields(validation)) problems.warning('spec.tls.validation', 'With mode None it has no effect.');
    return CLEAR;
  }
  if (mode !== 'ServerOnly' && mode !== 'ClientAndServer') {
    refuse('spec.tls.mode', `Mode ${shown(mode)} is not one of None, ServerOnly, ClientAndServer.`);
    return CLEAR;
  }
  if (protocol === 'H2C') {
    const message = 'H2C is HTTP/2 in the clear, and tls secures it: write protocol HTTP2, or mode None.';
    refuse('spec.protocol', message, 'externalProtocol');
  }
  const system = options.systemTrust ?? null;
  let security: Security;
  if (isFields(validation)) {
    const believed = readValidation(reader, object, validation, 'spec.tls.validation', system, problems, refuse);
    security = { ...believed, nameless: null };
  } else {
    // Whoever has a certificate for that very name of an authority that the system knows.
    security = { ...CLEAR, tls: systemTls(hostname) };
    if (system === null || system().length === 0) refuse('spec.tls', 'This system knows no authorities.');
  }
  return mode === 'ServerOnly'
    ? security
    : showingOwn(reader, object, clientCertificateRef, security, problems, refuse);
}

/** With the certificate that the XBackend names: that of the Gateway is not shown to it. */
function showingOwn(
  reader: Reader,
  object: KubeObject,
  ref: unknown,
  security: Security,
  problems: Problems,
  refuse: Refuse,
): Security {
  const at = 'spec.tls.clientCertificateRef';
  if (!isFields(ref)) {
    refuse(at, 'Mode ClientAndServer needs a clientCertificateRef.');
    return security;
  }
  const from = { group: X_GROUP, kind: 'XBackend', namespace: object.metadata.namespace ?? '' };
  const found = clientSecret(reader, ref, from);
  if (found.fault === null) {
    const tls = security.tls === null ? null : { ...security.tls, certificate: found.key };
    return { ...security, tls };
  }
  const { why, message, absent } = found.fault;
  const fault: Fault = { name: why === 'notPermitted' ? 'externalNotPermitted' : 'externalCertificate', message };
  problems.error(at, message, absent);
  const { unresolved } = security;
  const both = unresolved === null ? fault : { ...unresolved, message: `${unresolved.message} ${message}` };
  return { ...security, unresolved: both, nameless: fault };
}

/** What an HTTPRoute or GRPCRoute speaks with it; a text says why it cannot. `http2`: nothing else will do. */
export function spokenWith({ protocol, tls }: XBackendVerdict, http2: boolean): 'http1' | 'http2' | string {
  if (protocol === 'TCP') return 'Protocol TCP: it is for TCPRoutes and TLSRoutes. Write HTTP, or leave it out.';
  if (http2) {
    return protocol === 'HTTP11' || (protocol === 'HTTP' && tls === null)
      ? `Protocol ${protocol} is HTTP/1.1, and gRPC needs HTTP/2: write HTTP2, or leave it out.`
      : 'http2';
  }
  // By ALPN it says itself which it prefers.
  const chooses = protocol === 'HTTP' && tls !== null;
  return chooses || protocol === 'HTTP2' || protocol === 'H2C' || protocol === 'GRPC' ? 'http2' : 'http1';
}

/** What the controller resolved a host's name to, and what of that nobody may lead to here. */
export function externalAddresses(
  reader: Reader,
  hostname: string,
  { forbidden }: TranslatorOptions,
): ExternalAddresses {
  const addresses = addressesOf(reader, hostname);
  const refused = forbidden === undefined ? [] : addresses.filter(forbidden);
  return { allowed: addresses.filter((address) => !refused.includes(address)), refused };
}

export interface ExternalAddresses {
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
}

function addressesOf(reader: Reader, hostname: string): string[] {
  const known = reader.get('ResolvedHost', undefined, wholeName(hostname))?.['addresses'];
  return (Array.isArray(known) ? known : []).map((item) => anyText(fields(item)['address']) ?? '').filter(isAddress);
}
