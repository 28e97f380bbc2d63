import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject, type RSAPSSKeyPairOptions } from 'node:crypto';
import { test } from 'node:test';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { readPem } from '../base/pem.ts';
import { readCertificate, type ServerCertificate } from './certificate.ts';

const root = authority('Root');
const middle = authority('Middle', root);
const site = leaf(middle, ['Site.example', '*.site.example', '127.0.0.1']);
const crt = pem('CERTIFICATE', site.der) + pem('CERTIFICATE', middle.der);
const key = pem('PRIVATE KEY', site.keyDer);

function pairOf(certificates: string, own: string): ServerCertificate | string {
  return readCertificate(readPem(certificates), readPem(own));
}

/** Without what ends the line of its label. */
function glued(text: string): string {
  return text.replaceAll('\n', ' ').replace('KEY-----', 'KEY');
}

function good(result: ServerCertificate | string): ServerCertificate {
  assert.ok(typeof result !== 'string', String(result));
  return result;
}

test('what a listener needs of a certificate', () => {
  const read = good(pairOf(`# a comment\n${crt}`, key));
  assert.deepEqual(
    read.chain.map((der) => Buffer.from(der, 'latin1')),
    [site.der, middle.der],
  );
  assert.deepEqual(Buffer.from(read.key, 'latin1'), site.keyDer);
  assert.deepEqual(read.names, ['site.example', '*.site.example', '127.0.0.1']);
  assert.match(read.fingerprint, /^[0-9a-f]{64}$/);
  assert.ok(read.notBefore < Date.now() && read.notAfter > Date.now());
  assert.deepEqual(read.warnings, []);
});

test('keys in each of their forms', () => {
  const sec1 = pem('EC PRIVATE KEY', site.key.export({ type: 'sec1', format: 'der' }));
  assert.deepEqual(Buffer.from(good(pairOf(crt, sec1)).key, 'latin1'), site.keyDer);
  for (const kind of ['p384', 'rsa2048', 'rsa-pss', 'ed25519'] as const) {
    const other = leaf(middle, ['a.example'], { kind });
    const text =
      kind === 'rsa2048'
        ? pem('RSA PRIVATE KEY', other.key.export({ type: 'pkcs1', format: 'der' }))
        : pem('PRIVATE KEY', other.keyDer);
    assert.deepEqual(good(pairOf(pem('CERTIFICATE', other.der), text)).names, ['a.example'], kind);
  }
});

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

interface PssOptions {
  readonly modulusLength?: number;
  readonly hashAlgorithm?: string;
  readonly mgf1HashAlgorithm?: string;
  readonly saltLength?: number;
}

test('a key for RSA-PSS alone: served where TLS can sign with it, and told of', () => {
  const read = (options: PssOptions): ServerCertificate | string => {
    const own = leaf(middle, ['a.example'], {
      pair: generateKeyPairSync('rsa-pss', {
        modulusLength: 2048,
        ...options,
      } as unknown as RSAPSSKeyPairOptions) as KeyPair,
    });
    return pairOf(pem('CERTIFICATE', own.der) + pem('CERTIFICATE', middle.der), pem('PRIVATE KEY', own.keyDer));
  };
  const served = [
    {},
    { hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 32 },
    { hashAlgorithm: 'sha384', mgf1HashAlgorithm: 'sha384', saltLength: 20 },
  ];
  for (const options of served) {
    const said = read(options);
    assert.ok(typeof said !== 'string', String(said));
    assert.equal(said.keyKind, 'RSA-PSS 2048');
    assert.match(said.warnings.join(), /RSA-PSS alone/);
  }
  for (const [options, why] of [
    [{ modulusLength: 1024 }, /RSA-PSS key of 1024 bits is too weak/],
    [{ hashAlgorithm: 'sha1', mgf1HashAlgorithm: 'sha1', saltLength: 20 }, /for sha1/],
    [{ hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha512', saltLength: 32 }, /for sha256 with MGF1 of sha512/],
    [{ hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 33 }, /salts of 33 bytes/],
  ] as const) {
    assert.match(String(read(options)), why);
  }
});

test('what is wrong is said, and nothing of the key with it', () => {
  const other = leaf(middle, ['a.example']);
  const weak = leaf(middle, ['a.example'], { kind: 'rsa1024' });
  const strange = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;
  const encrypted = site.key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }) as string;
  const cases: [string, string, RegExp][] = [
    ['', key, /tls\.crt holds no certificate/],
    ['-----BEGIN CERTIFICATE-----\nabc', key, /has no "-----END CERTIFICATE-----"/],
    [pem('CERTIFICATE', Buffer.from('abc')), key, /certificate 1 cannot be read/],
    [pem('CERTIFICATE', site.der) + pem('CERTIFICATE', Buffer.from('abc')), key, /certificate 2 cannot be read/],
    [crt + key, key, /tls\.crt holds a private key/],
    [crt, '', /tls\.key holds no private key/],
    [crt, crt, /tls\.key holds no private key/],
    [crt, encrypted, /encrypted/],
    [crt, pem('PRIVATE KEY', Buffer.from('abc')), /tls\.key: the PRIVATE KEY cannot be read/],
    [crt, key.slice(0, 80), /tls\.key is no PEM/],
    [
      crt + pem('CERTIFICATE', middle.der).repeat(300),
      key,
      /tls\.crt holds \d+ bytes of certificates, more than clients/,
    ],
    [crt, pem('PRIVATE KEY', Buffer.alloc(40_000)), /tls\.key is of 40000 bytes, no key is/],
    // On one line, without its dashes: what is read as the label is the key.
    [glued(key), key, /tls\.crt: a line that begins with "-----BEGIN " does not end/],
    [crt, glued(key), /tls\.key is no PEM/],
    [crt, pem('PRIVATE KEY', other.keyDer), /does not belong to the certificate/],
    [crt, pem('PRIVATE KEY', strange.export({ type: 'pkcs8', format: 'der' })), /does not belong/],
    [pem('CERTIFICATE', weak.der), pem('PRIVATE KEY', weak.keyDer), /RSA key of 1024 bits is too weak/],
  ];
  const secret = site.keyDer.toString('base64');
  for (const [certificate, own, message] of cases) {
    const said = pairOf(certificate, own);
    assert.ok(typeof said === 'string');
    assert.match(said, message);
    assert.ok(!said.includes(secret.slice(40, 60)));
  }
});

/** As one whose public key is none: the point leaves the curve. */
function offCurve({ der, key }: { readonly der: Buffer; readonly key: KeyObject }): Buffer {
  const point = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-64);
  const copy = Buffer.from(der);
  const at = copy.indexOf(point);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}

test('a public key that is none is said of the certificate that has it, and is no exception', () => {
  const cases: [readonly Buffer[], RegExp][] = [
    [[offCurve(site), middle.der], /^tls\.crt: the public key of the certificate cannot be read/],
    [[offCurve(site)], /^tls\.crt: the public key of the certificate cannot be read/],
    [[site.der, offCurve(middle)], /^tls\.crt: the public key of certificate 2 cannot be read/],
  ];
  // id-ecPublicKey becomes an algorithm that nobody knows.
  const unknown = Buffer.from(site.der);
  unknown[unknown.indexOf(Buffer.from('2a8648ce3d0201', 'hex')) + 6] = 9;
  cases.push([[unknown, middle.der], /^tls\.crt: the public key of the certificate cannot be read/]);
  for (const [chain, message] of cases) {
    assert.match(String(pairOf(chain.map((der) => pem('CERTIFICATE', der)).join(''), key)), message);
  }
});

test('a key whose parts do not belong together is refused, whatever it says of itself', () => {
  for (const kind of ['p256', 'p384'] as const) {
    const [one, two] = [leaf(middle, ['a.example'], { kind }), leaf(middle, ['a.example'], { kind })];
    // The scalar of the other key, with the point that the certificate has.
    const torn = Buffer.from(two.keyDer);
    one.keyDer.copy(torn, torn.length - 64, one.keyDer.length - 64);
    if (kind === 'p384') one.keyDer.copy(torn, torn.length - 96, one.keyDer.length - 96);
    const crt = pem('CERTIFICATE', one.der) + pem('CERTIFICATE', middle.der);
    assert.match(String(pairOf(crt, pem('PRIVATE KEY', torn))), /its public part is not that of its private/);
  }
});

test('what only clients will mind is a warning', () => {
  const warnings = (...ders: readonly Uint8Array[]): string =>
    good(pairOf(ders.map((der) => pem('CERTIFICATE', der)).join(''), key)).warnings.join(' ');
  assert.match(warnings(site.der), /alone, without the one that issued it/);
  assert.match(warnings(site.der, root.der), /Certificate 2 in tls\.crt did not issue certificate 1/);
  const client = leaf(middle, [], { client: true });
  const said = good(pairOf(pem('CERTIFICATE', client.der), pem('PRIVATE KEY', client.keyDer))).warnings.join(' ');
  assert.match(said, /not for servers/);
  assert.match(said, /names no host/);
});
