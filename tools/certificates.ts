// Certificates for examples and tests, written as DER (RFC 5280, X.690): an authority of one's own, and leaves of any
// shape. Not for anything that others are to trust. As a command: `bin/node tools/certificates.ts SECRET NAME...`
// prints a Secret with a certificate for the names; the certificate of its authority stands in front as a comment.

import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const DAY_MS = 86_400_000;
const OID = {
  commonName: '2.5.4.3',
  ocspBasic: '1.3.6.1.5.5.7.48.1.1',
  sha1: '1.3.14.3.2.26',
  keyUsage: '2.5.29.15',
  subjectKeyId: '2.5.29.14',
  authorityKeyId: '2.5.29.35',
  basicConstraints: '2.5.29.19',
  subjectAltName: '2.5.29.17',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ecdsaSha256: '1.2.840.10045.4.3.2',
  rsaSha256: '1.2.840.113549.1.1.11',
} as const;
const NULL = Uint8Array.of(5, 0);
const TRUE = Uint8Array.of(1, 1, 255);

function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const n = body.length;
  const digits = n < 256 ? [n] : n < 65_536 ? [n >> 8, n & 255] : [n >> 16, (n >> 8) & 255, n & 255];
  if (n >= 2 ** 24) throw new RangeError(`${n} bytes in one element`);
  return Buffer.concat([Uint8Array.of(tag, ...(n < 128 ? [n] : [0x80 + digits.length, ...digits])), body]);
}
const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, ...parts);
const octets = (...parts: readonly Uint8Array[]): Buffer => tlv(4, ...parts);
const text = (tag: number, value: string): Buffer => tlv(tag, Buffer.from(value));

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const out = [first * 40 + second];
  for (const value of rest) {
    const digits = [value & 127];
    for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift((left & 127) | 128);
    out.push(...digits);
  }
  return tlv(6, Uint8Array.from(out));
}

const nameOf = (commonName: string): Buffer => sequence(tlv(0x31, sequence(oid(OID.commonName), text(12, commonName))));
const time = (ms: number): Buffer => text(0x17, `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`);
const generalized = (ms: number): Buffer =>
  text(0x18, `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`);
const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));

/** Who signs. */
export interface Authority {
  readonly commonName: string;
  readonly key: KeyObject;
  /** The certificate. */
  readonly der: Buffer;
  readonly keyId: Buffer;
}

export interface Leaf {
  readonly der: Buffer;
  /** PKCS#8. */
  readonly keyDer: Buffer;
  readonly key: KeyObject;
}

export interface LeafOptions {
  /** Dates in Unix milliseconds; a day ago and in 90 days. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** For clients rather than servers. */
  readonly client?: boolean;
  /** For something else, an object identifier. */
  readonly purpose?: string;
  /** Of its subject; the first of the names if not given. */
  readonly commonName?: string;
  /** Behind the others: object identifier in dotted form, whether it is critical, and DER. */
  readonly extensions?: readonly (readonly [string, boolean, Uint8Array])[];
  /** Its key, or of which kind one is made; P-256 if not given. */
  readonly pair?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly kind?: 'p256' | 'p384' | 'rsa2048' | 'rsa1024' | 'rsa-pss' | 'ed25519';
}

function newKey(kind: NonNullable<LeafOptions['kind']>): { publicKey: KeyObject; privateKey: KeyObject } {
  switch (kind) {
    case 'p256':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
    case 'rsa2048':
      return generateKeyPairSync('rsa', { modulusLength: 2048 });
    case 'rsa1024':
      return generateKeyPairSync('rsa', { modulusLength: 1024 });
    case 'rsa-pss':
      return generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
    case 'ed25519':
      return generateKeyPairSync('ed25519');
  }
}

interface Parts {
  readonly commonName: string;
  readonly publicKey: KeyObject;
  readonly issuer: { readonly commonName: string; readonly key: KeyObject; readonly keyId: Buffer | null };
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly Uint8Array[];
}

/** The certificate (RFC 5280 section 4.1) and the identifier of its key. */
function issue(parts: Parts): { der: Buffer; keyId: Buffer } {
  const { issuer } = parts;
  const spki = parts.publicKey.export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha1').update(spki).digest();
  const serial = randomBytes(16);
  serial[0] = ((serial[0] as number) & 0x7f) | 1;
  const algorithm =
    issuer.key.asymmetricKeyType === 'rsa' ? sequence(oid(OID.rsaSha256), NULL) : sequence(oid(OID.ecdsaSha256));
  const extensions = [
    ...parts.extensions,
    extension(OID.subjectKeyId, false, octets(keyId)),
    ...(issuer.keyId === null ? [] : [extension(OID.authorityKeyId, false, sequence(tlv(0x80, issuer.keyId)))]),
  ];
  const body = sequence(
    tlv(0xa0, Uint8Array.of(2, 1, 2)),
    tlv(2, serial),
    algorithm,
    nameOf(issuer.commonName),
    sequence(time(parts.notBefore), time(parts.notAfter)),
    nameOf(parts.commonName),
    spki,
    tlv(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuer.key);
  return { der: sequence(body, algorithm, tlv(3, Uint8Array.of(0), signature)), keyId };
}

/** An authority; one without `parent` signs itself. */
export function authority(commonName: string, parent: Authority | null = null): Authority {
  const { publicKey, privateKey } = newKey('p256');
  const now = Date.now();
  const { der, keyId } = issue({
    commonName,
    publicKey,
    issuer: parent ?? { commonName, key: privateKey, keyId: null },
    notBefore: now - DAY_MS,
    notAfter: now + 3650 * DAY_MS,
    extensions: [
      extension(OID.basicConstraints, true, sequence(TRUE)),
      // keyCertSign and cRLSign.
      extension(OID.keyUsage, true, Uint8Array.of(3, 2, 1, 6)),
    ],
  });
  return { commonName, key: privateKey, der, keyId };
}

const purposeOf = ({ client }: LeafOptions): string => (client === true ? OID.clientAuth : OID.serverAuth);

/** A certificate for `names`: host names, addresses in their text form, or URIs. */
export function leaf(issuer: Authority, names: readonly string[], options: LeafOptions = {}): Leaf {
  const { publicKey, privateKey } = options.pair ?? newKey(options.kind ?? 'p256');
  const now = Date.now();
  const alternatives = names.map((name) => {
    if (name.includes('://')) return text(0x86, name);
    const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(name);
    return isAddress ? tlv(0x87, Uint8Array.from(name.split('.').map(Number))) : text(0x82, name);
  });
  const { der } = issue({
    commonName: (options.commonName ?? names[0] ?? 'nobody').slice(0, 60),
    publicKey,
    issuer,
    notBefore: options.notBefore ?? now - DAY_MS,
    notAfter: options.notAfter ?? now + 90 * DAY_MS,
    extensions: [
      extension(OID.basicConstraints, true, sequence()),
      extension(OID.keyUsage, true, Uint8Array.of(3, 2, 7, 128)),
      extension(OID.extendedKeyUsage, false, sequence(oid(options.purpose ?? purposeOf(options)))),
      ...(names.length === 0 ? [] : [extension(OID.subjectAltName, false, sequence(...alternatives))]),
      ...(options.extensions ?? []).map((one) => extension(...one)),
    ],
  });
  return { der, keyDer: privateKey.export({ type: 'pkcs8', format: 'der' }), key: privateKey };
}

export interface OcspOptions {
  readonly status?: 'good' | 'revoked' | 'unknown';
  /** Unix milliseconds; a week from now. */
  readonly nextUpdate?: number;
  /** Since when it holds, Unix milliseconds; a day ago. */
  readonly thisUpdate?: number;
  /** Whose word it is, if not the issuer's. */
  readonly signer?: KeyObject;
  /** Whose word it is, with the certificate that lets him. */
  readonly delegate?: Leaf;
  /** Other words on the same certificate, behind: until when. */
  readonly more?: readonly number[];
}

/** An OCSP response (RFC 6960 section 4.2.1) of `issuer` for a certificate, DER. */
export function ocspResponse(issuer: Authority, own: Leaf, options: OcspOptions = {}): Buffer {
  const sha1 = (bytes: Uint8Array): Buffer => createHash('sha1').update(bytes).digest();
  const serial = new X509Certificate(own.der).serialNumber;
  // The point of a key on P-256, which ends its SubjectPublicKeyInfo.
  const point = createPublicKey(issuer.key).export({ type: 'spki', format: 'der' }).subarray(-65);
  const status = { good: tlv(0x80), revoked: tlv(0xa1, generalized(Date.now())), unknown: tlv(0x82) };
  const id = sequence(
    sequence(oid(OID.sha1), NULL),
    octets(sha1(nameOf(issuer.commonName))),
    octets(sha1(point)),
    tlv(2, Buffer.from(serial.length % 2 === 0 ? serial : `0${serial}`, 'hex')),
  );
  const { delegate, more = [], nextUpdate = Date.now() + 7 * DAY_MS, thisUpdate = Date.now() - DAY_MS } = options;
  const single = (until: number): Buffer =>
    sequence(id, status[options.status ?? 'good'], generalized(thisUpdate), tlv(0xa0, generalized(until)));
  const singles = sequence(...[nextUpdate, ...more].map(single));
  const data = sequence(tlv(0xa2, octets(sha1(point))), generalized(Date.now() - DAY_MS), singles);
  const signature = sign('sha256', data, options.signer ?? delegate?.key ?? issuer.key);
  const certificates = delegate === undefined ? [] : [tlv(0xa0, sequence(delegate.der))];
  const basic = sequence(data, sequence(oid(OID.ecdsaSha256)), tlv(3, Uint8Array.of(0), signature), ...certificates);
  return sequence(tlv(10, Uint8Array.of(0)), tlv(0xa0, sequence(oid(OID.ocspBasic), octets(basic))));
}

/** A list of what `issuer` has revoked (RFC 5280 section 5.1), DER; `nextUpdate` in Unix milliseconds, in a week. */
export function revocations(issuer: Authority, revoked: readonly Leaf[], nextUpdate = Date.now() + 7 * DAY_MS): Buffer {
  const since = Date.now() - DAY_MS;
  const entries = revoked.map(({ der }) => {
    const serial = new X509Certificate(der).serialNumber;
    return sequence(tlv(2, Buffer.from(serial.length % 2 === 0 ? serial : `0${serial}`, 'hex')), time(since));
  });
  const algorithm = sequence(oid(OID.ecdsaSha256));
  const body = sequence(
    algorithm,
    nameOf(issuer.commonName),
    time(since),
    time(nextUpdate),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
  );
  return sequence(body, algorithm, tlv(3, Uint8Array.of(0), sign('sha256', body, issuer.key)));
}

/** `label`: CERTIFICATE, PRIVATE KEY (RFC 7468). */
export function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

export interface SecretOptions {
  /** Of everything. */
  readonly namespace?: string;
  /** A ConfigMap with the authority's certificate, of this name. */
  readonly configMap?: string;
  /** A Secret with a certificate for clients, of this name. */
  readonly clientSecret?: string;
  /** A file with a key and a certificate for clients, as curl takes it. */
  readonly clientFile?: string;
}

/**
 * YAML of a Secret of type kubernetes.io/tls, with what else is asked for, all by one authority; lines of its
 * certificate stand in front, behind `# `.
 */
export function secretYaml(name: string, names: readonly string[], options: SecretOptions = {}): string {
  const { namespace, configMap, clientSecret, clientFile } = options;
  const issuer = authority(`${name} authority`);
  const ca = pem('CERTIFICATE', issuer.der);
  const client = (): Leaf => leaf(issuer, [`client.${name}`], { client: true });
  const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ');
  const head = (kind: string, called: string): string =>
    `apiVersion: v1\nkind: ${kind}\nmetadata:\n  name: ${called}\n${namespace === undefined ? '' : `  namespace: ${namespace}\n`}`;
  const secret = (called: string, own: Leaf): string =>
    `${head('Secret', called)}type: kubernetes.io/tls
stringData:
  tls.crt: |
${indented(pem('CERTIFICATE', own.der) + ca)}
  tls.key: |
${indented(pem('PRIVATE KEY', own.keyDer))}
`;
  if (clientFile !== undefined) {
    const own = client();
    writeFileSync(clientFile, pem('PRIVATE KEY', own.keyDer) + pem('CERTIFICATE', own.der), { mode: 0o600 });
  }
  const documents = [
    secret(name, leaf(issuer, names)),
    ...(clientSecret === undefined ? [] : [secret(clientSecret, client())]),
    ...(configMap === undefined ? [] : [`${head('ConfigMap', configMap)}data:\n  ca.crt: |\n${indented(ca)}\n`]),
  ];
  return `${ca.trimEnd().replace(/^/gm, '# ')}\n${documents.join('---\n')}`;
}

/** As the command is given it; throws a text for whoever gave it. */
function fromArguments(argv: readonly string[]): string {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      namespace: { type: 'string' },
      'config-map': { type: 'string' },
      'client-secret': { type: 'string' },
      'client-file': { type: 'string' },
    },
  });
  const [name, ...names] = positionals;
  if (name === undefined || names.length === 0) throw new Error('no SECRET, or no NAME');
  const { namespace, 'config-map': configMap, 'client-secret': clientSecret, 'client-file': clientFile } = values;
  return secretYaml(name, names, {
    ...(namespace === undefined ? {} : { namespace }),
    ...(configMap === undefined ? {} : { configMap }),
    ...(clientSecret === undefined ? {} : { clientSecret }),
    ...(clientFile === undefined ? {} : { clientFile }),
  });
}

/** What an example needs as certificate.yaml, made as its README does, but for files beside it; null: nothing. */
export function exampleCertificate(folder: string): string | null {
  const readme = join(folder, 'README.md');
  if (!existsSync(readme)) return null;
  const command = /^bin\/node tools\/certificates\.ts (.*) > examples\/[a-z0-9-]+\/certificate\.yaml$/m;
  const words = command.exec(readFileSync(readme, 'utf8').replaceAll('\\\n', ''))?.[1];
  return words === undefined ? null : fromArguments(words.replace(/--client-file \S+ /, '').split(/\s+/));
}

/** Writes that where it is not. Returns whether it did. */
export function ensureExampleCertificate(folder: string): boolean {
  const path = join(folder, 'certificate.yaml');
  const text = existsSync(path) ? null : exampleCertificate(folder);
  // Whoever serves has to read it, and a key for an afternoon on one machine is no secret.
  if (text !== null) writeFileSync(path, text, { mode: 0o644 });
  return text !== null;
}

if (import.meta.main) {
  try {
    process.stdout.write(fromArguments(process.argv.slice(2)));
  } catch (error) {
    const options = '[--namespace NS] [--config-map NAME] [--client-secret NAME] [--client-file PATH]';
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${why}; usage: bin/node tools/certificates.ts ${options} SECRET NAME...\n`);
    process.exitCode = 2;
  }
}
