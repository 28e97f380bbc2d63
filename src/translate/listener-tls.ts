// TLS of one listener: which certificates it shows, which versions and ciphers it speaks (apis/v1 ListenerTLSConfig).

import { type KubeObject, objectKey } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { pemOf } from '../api/tls-secret.ts';
import { type Fields, fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import type {
  CertificateEntry,
  CertificatePart,
  ClientValidation,
  Key,
  ServerTls,
  TlsVersion,
  TrustEntry,
} from '../ir/ir.ts';
import { certificateKey } from '../ir/keys.ts';
import { covers, readCertificate, type ServerCertificate } from './certificate.ts';
import { remember } from './certificate-facts.ts';
import type { Fault } from './conditions.ts';
import { GATEWAY_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import type { FrontendTls } from './frontend-tls.ts';
import { readStaple } from './ocsp.ts';
import { anyText, list, shown, text } from './read.ts';
import { permitted } from './reference-grant.ts';

export interface ListenerTls {
  /** With the keys of certificates alone: what stands in a Secret may change without anything else doing so. */
  readonly settings: ServerTls;
  /** What certificates of clients are checked against; null when none is asked for. */
  readonly trust: TrustEntry | null;
  /** Key of the certificate for clients that name no host; null when there is none. */
  readonly fallback: Key | null;
}

/** Whose listener refers to Secrets: grants are for a kind in a namespace. */
export interface Referrer {
  readonly kind: 'Gateway' | 'ListenerSet';
  readonly namespace: string;
}

export interface TlsResult {
  /** Null when there is nothing to show to clients. */
  readonly tls: ListenerTls | null;
  /** Why the listener is not accepted. */
  readonly fault: Fault | null;
  /** Why its references do not resolve. */
  readonly refs: Fault | null;
}

/** Suites of TLS 1.2 with forward secrecy and authenticated encryption (RFC 9325 section 4.2), in order. */
const CIPHERS: readonly string[] = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];
/** Suites of TLS 1.3 (RFC 8446 appendix B.4), in order. */
const SUITES: readonly string[] = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
const VERSIONS: Readonly<Record<string, TlsVersion>> = { '1.2': 'TLSv1.2', '1.3': 'TLSv1.3' };
const MIN_VERSION = 'rauta.io/tls-min-version';
/** Key of a Secret that holds an OCSP response, DER. */
const STAPLE = 'tls.ocsp-staple';
/** TLSFeature (RFC 7633) with status_request in it: object identifier and value, DER, one character a byte. */
const MUST_STAPLE = '\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x18\x04\x05\x30\x03\x02\x01\x05';
const CIPHER_OPTION = 'rauta.io/tls-ciphers';
const FORWARD_OPTION = 'rauta.io/forward-client-certificate';
const KNOWN_OPTIONS = [MIN_VERSION, CIPHER_OPTION, FORWARD_OPTION].join(', ');
const PARTS: readonly CertificatePart[] = ['Hash', 'Subject', 'URI', 'DNS', 'Cert'];
/** Protocols that clients are offered by ALPN. */
const ALPN: readonly string[] = ['h2', 'http/1.1'];

/** `value`: spec.listeners[].tls, at `field`; `hostname`: the listener's, '' for any; `alpn`: what is offered. */
export function listenerTls(
  reader: Reader,
  owner: Referrer,
  value: unknown,
  {
    field,
    hostname,
    alpn = ALPN,
  }: { readonly field: string; readonly hostname: string; readonly alpn?: readonly string[] },
  frontend: FrontendTls,
  problems: Problems,
): TlsResult {
  const spec = fields(value);
  const found = certificatesOf(reader, owner, spec['certificateRefs'], field, problems);
  const { certificates } = found;
  if (certificates.length > 0 && hostname !== '' && !covers(found.names, hostname)) {
    problems.warning(
      `${field}.certificateRefs`,
      `No certificate is for ${hostname}, they name ${shownNames(found.names)}: clients will refuse it.`,
    );
  }
  const refs = found.refs ?? frontend.refs;
  const options = optionsOf(fields(spec['options']), `${field}.options`, problems);
  if ((spec['mode'] ?? 'Terminate') !== 'Terminate') {
    const message = `TLS ends at this listener: mode ${shown(spec['mode'])} is not Terminate.`;
    problems.error(`${field}.mode`, message);
    return { tls: null, fault: { name: 'listenerValue', message }, refs };
  }
  if (typeof options === 'string') return { tls: null, fault: { name: 'listenerValue', message: options }, refs };
  if (frontend.fault !== null) return { tls: null, fault: frontend.fault, refs };
  if (certificates.length === 0) return { tls: null, fault: null, refs };
  const { clients } = frontend;
  const { forward, ...rest } = options;
  if (forward.length > 0 && clients === null) {
    problems.warning(`${field}.options`, `No certificate is asked for at this port: ${FORWARD_OPTION} has no effect.`);
  }
  const settings = {
    ...rest,
    certificates,
    alpn,
    clients: clients === null ? null : { ...clients.validation, forward },
  };
  return { tls: { settings, trust: clients?.trust ?? null, fallback: null }, fault: null, refs };
}

function certificatesOf(
  reader: Reader,
  owner: Referrer,
  refs: unknown,
  field: string,
  problems: Problems,
): {
  readonly certificates: readonly Key[];
  /** For whom they are, all together. */
  readonly names: readonly string[];
  readonly refs: Fault | null;
} {
  const certificates: Key[] = [];
  const names: string[] = [];
  let fault: Fault | null = null;
  for (const [index, item] of list(refs).entries()) {
    const at = `${field}.certificateRefs[${index}]`;
    const found = certificateOf(reader, owner, fields(item), index, (message) => problems.warning(at, message));
    if ('key' in found) {
      names.push(...found.names);
      // Named twice it is still one.
      if (!certificates.includes(found.key)) certificates.push(found.key);
      continue;
    }
    problems.error(at, found.message, found.absent);
    fault ??= found;
  }
  if (list(refs).length === 0) {
    const message = 'Protocols HTTPS and TLS need a certificate: write tls: { certificateRefs: [{ name: SECRET }] }.';
    problems.error(`${field}.certificateRefs`, message);
    fault = { name: 'listenerCertificate', message };
  }
  // Copies have no room to grow: there are as many as listeners.
  return { certificates: certificates.slice(), names, refs: fault };
}

function shownNames(names: readonly string[]): string {
  const some = names.slice(0, LIMITS.NAMES_LISTED).join(', ');
  return names.length > LIMITS.NAMES_LISTED
    ? `${some} and ${names.length - LIMITS.NAMES_LISTED} more`
    : some || 'nobody';
}

/** The key of what one reference names, or why it names nothing good. */
function certificateOf(
  reader: Reader,
  owner: Referrer,
  ref: Fields,
  index: number,
  warn: (message: string) => void,
): { readonly key: Key; readonly names: readonly string[] } | Fault {
  const invalid = (message: string): Fault => ({ name: 'listenerCertificate', message });
  const group = ref['group'] ?? '';
  const kind = ref['kind'] ?? 'Secret';
  const name = text(ref['name']) ?? '';
  const namespace = text(ref['namespace']) ?? owner.namespace;
  if (group !== '' || kind !== 'Secret') {
    return invalid(
      `certificateRefs[${index}] is of kind ${shown(kind)} in group ${shown(group)}: only kind Secret, of group "", is supported.`,
    );
  }
  const reference = {
    fromGroup: GATEWAY_GROUP,
    fromKind: owner.kind,
    fromNamespace: owner.namespace,
    toGroup: '',
    toKind: 'Secret',
    toNamespace: namespace,
    toName: name,
  };
  if (!permitted(reader, reference)) {
    const message = `No ReferenceGrant in namespace ${namespace} lets ${owner.kind}s of ${owner.namespace} refer to Secret ${name}.`;
    return { name: 'listenerNotPermitted', message, absent: objectKey('ReferenceGrant', namespace, '') };
  }
  const secret = reader.get('Secret', namespace, name);
  if (secret === undefined) {
    const made = 'make one of type kubernetes.io/tls with tls.crt and tls.key';
    const absent = objectKey('Secret', namespace, name);
    return { ...invalid(`Secret ${namespace}/${name} does not exist: ${made}.`), absent };
  }
  const read = secretEntry(secret, namespace, name);
  for (const warning of read.warnings) warn(`Secret ${namespace}/${name}: ${warning}`);
  if (read.entry === null) return invalid(`Secret ${namespace}/${name}: ${read.fault}`);
  return { key: read.entry.key, names: read.names };
}

/** Key of the certificate of --default-certificate; null, and a warning at `field`, when it cannot be shown. */
export function defaultCertificate(
  reader: Reader,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  field: string,
  problems: Problems,
): Key | null {
  const secret = reader.get('Secret', namespace, name);
  const read = secret === undefined ? null : secretEntry(secret, namespace, name);
  if (read?.entry) return read.entry.key;
  const why = read === null ? 'does not exist.' : read.fault;
  problems.warning(
    field,
    `--default-certificate: Secret ${namespace}/${name} ${why} Clients without a name are refused.`,
  );
  return null;
}

interface SecretResult {
  readonly entry: CertificateEntry | null;
  /** Of the certificate's subjectAltName. */
  readonly names: readonly string[];
  readonly fault: string;
  readonly warnings: readonly string[];
}

/**
 * Reading a Secret costs as much as translating three routes, and a Gateway has many: each is read once as it stands.
 */
const READ = new WeakMap<KubeObject, SecretResult>();

/** What a Secret of type kubernetes.io/tls holds; `fault` is empty where that can be shown. */
export function secretEntry(secret: KubeObject, namespace: string, name: string): SecretResult {
  let result = READ.get(secret);
  if (result === undefined) {
    result = readSecret(secret, namespace, name);
    READ.set(secret, result);
  }
  return result;
}

function readSecret(secret: KubeObject, namespace: string, name: string): SecretResult {
  const read = readCertificate(pemOf(secret, 'tls.crt'), pemOf(secret, 'tls.key'));
  if (typeof read === 'string') return { entry: null, names: [], fault: read, warnings: [] };
  const warnings = read.warnings.slice();
  const staple = stapleOf(secret, read, warnings);
  const entry: CertificateEntry = {
    kind: 'certificate',
    key: certificateKey(namespace, name),
    chain: read.chain,
    privateKey: read.key,
    fingerprint: read.fingerprint,
    ...staple,
  };
  remember(entry, read);
  return { entry, names: read.names, fault: '', warnings };
}

const NO_STAPLE = { staple: '', stapleFrom: 0, stapleUntil: 0 } as const;

/** The OCSP response in the Secret, if it may be shown; else none, and a warning. */
function stapleOf(
  secret: KubeObject,
  { chain, certificates }: ServerCertificate,
  warnings: string[],
): Pick<CertificateEntry, 'staple' | 'stapleFrom' | 'stapleUntil'> {
  const given = anyText(fields(secret['data'])[STAPLE]) ?? '';
  if (given === '') {
    if (chain[0]?.includes(MUST_STAPLE) === true) {
      warnings.push(
        `The certificate wants an OCSP response beside it (Must-Staple): clients refuse it without ${STAPLE}.`,
      );
    }
    return NO_STAPLE;
  }
  const der = Buffer.from(given, 'base64');
  const most = LIMITS.TLS_STAPLE_BYTES;
  const read = der.length > most ? `is of ${der.length} bytes, clients take ${most}` : readStaple(der, certificates());
  const said = typeof read === 'string' ? `${read}; it is not shown` : read.warning;
  if (said !== '') warnings.push(`${STAPLE} ${said}.`);
  return typeof read === 'string'
    ? NO_STAPLE
    : { staple: der.toString('base64'), stapleFrom: read.from, stapleUntil: read.until };
}

/** What the listener's options ask for; a text that says why they cannot be had. */
function optionsOf(
  options: Fields,
  field: string,
  problems: Problems,
): (Pick<ServerTls, 'minVersion' | 'ciphers' | 'suites'> & Pick<ClientValidation, 'forward'>) | string {
  let wrong: string | null = null;
  const refuse = (name: string, message: string): void => {
    problems.error(`${field}[${shown(name)}]`, message);
    wrong ??= message;
  };
  let minVersion: TlsVersion = 'TLSv1.2';
  let ciphers = CIPHERS;
  let suites = SUITES;
  let forward: readonly CertificatePart[] = [];
  for (const [name, value] of Object.entries(options)) {
    const given = anyText(value) ?? '';
    if (name === MIN_VERSION) {
      const version = VERSIONS[given];
      if (version === undefined) refuse(name, `TLS version ${shown(value)} is not one of 1.2, 1.3.`);
      else minVersion = version;
    } else if (name === CIPHER_OPTION) {
      const wanted = given.split(/[\s,:]+/).filter((one) => one !== '');
      const unknown = wanted.filter((one) => !CIPHERS.includes(one) && !SUITES.includes(one));
      for (const one of unknown)
        refuse(name, `Cipher ${shown(one)} is not one of ${[...CIPHERS, ...SUITES].join(', ')}.`);
      if (wanted.length === 0) refuse(name, 'No cipher is named.');
      // Of a version that none is named for, all stay.
      ciphers = chosen(CIPHERS, wanted);
      suites = chosen(SUITES, wanted);
    } else if (name === FORWARD_OPTION) {
      const wanted = given.split(/[\s,]+/).filter((one) => one !== '');
      const unknown = wanted.filter((one) => !isPart(one));
      for (const one of unknown) refuse(name, `${shown(one)} is not one of ${PARTS.join(', ')}.`);
      forward = PARTS.filter((part) => wanted.includes(part));
    } else refuse(name, `Option ${shown(name)} is not known; ${KNOWN_OPTIONS} are.`);
  }
  return wrong ?? { minVersion, ciphers, suites, forward };
}

function isPart(text: string): text is CertificatePart {
  return (PARTS as readonly string[]).includes(text);
}

function chosen(all: readonly string[], wanted: readonly string[]): readonly string[] {
  const named = wanted.filter((one) => all.includes(one));
  return named.length === 0 ? all : named;
}
