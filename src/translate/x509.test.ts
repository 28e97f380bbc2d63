// What the own reader accepts the library accepts, and says the same of it: certificates of every kind, and thousands
// that are nearly some. The library is the judge, so no case has an expected answer of its own.

import assert from 'node:assert/strict';
import { createPrivateKey, sign, verify, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { authority, type Leaf, type LeafOptions, leaf, pem } from '../../tools/certificates.ts';
import { type PemBlock, readPem } from '../base/pem.ts';
import { namesOf, readByLibrary, readPlain } from './certificate.ts';
import { type CurveName, plainEcKey } from './plain-ec.ts';
import { plainRsaKey } from './plain-rsa.ts';
import { readPlainCertificate, SERVER_AUTH } from './x509.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1_500);
const root = authority('Root');
const middle = authority('Middle', root);
const other = authority('Other', root);
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const tlv = (tag: number, ...parts: readonly Uint8Array[]): Buffer => bytesOf({ tag, body: Buffer.concat(parts) });
const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, ...parts);
const text = (tag: number, value: string): Buffer => tlv(tag, Buffer.from(value));
const oid = (body: string): Buffer => tlv(6, hex(body));
const uri = (value: string): Buffer => text(0x86, value);

/** As public authorities write them. */
const USUAL: LeafOptions['extensions'] = [
  [
    ...(['2.5.29.32', false] as const),
    sequence(
      sequence(oid('67810c010201')),
      sequence(
        oid('2b0601040182df130101'),
        sequence(sequence(oid('2b06010505070201'), text(0x16, 'http://a.example/cps'))),
      ),
    ),
  ],
  [
    ...(['1.3.6.1.5.5.7.1.1', false] as const),
    sequence(
      sequence(oid('2b06010505073001'), uri('http://a.example/ocsp')),
      sequence(oid('2b06010505073002'), uri('http://a.example/i')),
    ),
  ],
  ['2.5.29.31', false, sequence(sequence(tlv(0xa0, tlv(0xa0, uri('http://a.example/1.crl')))))],
  ['1.3.6.1.4.1.11129.2.4.2', false, tlv(4, hex('0004 0002 aabb'))],
  ['1.3.6.1.5.5.7.1.24', false, hex('3003020105')],
];

const NAMES = ['Site.example', '*.site.example', '127.0.0.1'];
const DATES = [
  Date.UTC(1999, 11, 31, 23, 59, 59),
  Date.UTC(2000, 1, 29),
  Date.UTC(2049, 11, 31),
  Date.UTC(2024, 1, 29, 12, 30, 1),
];

const KINDS: Readonly<Record<string, () => Leaf>> = {
  'all that is usual': () => leaf(middle, NAMES, { extensions: USUAL }),
  'names alone': () => leaf(middle, NAMES),
  'one name': () => leaf(middle, ['a.example'], { commonName: 'somebody else' }),
  'no name': () => leaf(middle, []),
  'for clients': () => leaf(middle, ['a.example'], { client: true }),
  'P-384': () => leaf(middle, ['a.example'], { kind: 'p384' }),
  RSA: () => leaf(middle, ['a.example'], { kind: 'rsa2048', extensions: USUAL }),
  'of a root': () => leaf(root, ['a.example']),
  'of somebody else': () => leaf(other, ['a.example']),
  'ended long ago': () => leaf(middle, ['a.example'], { notBefore: DATES[0], notAfter: DATES[1] }),
  'to come': () => leaf(middle, ['a.example'], { notBefore: DATES[3], notAfter: DATES[2] }),
  'an address of 16 bytes': () =>
    leaf(middle, [], {
      extensions: [['2.5.29.17', false, sequence(tlv(0x87, hex('20010db8 00000000 00000000 0000abcd')))]],
    }),
  'a URI among its names': () => leaf(middle, ['spiffe://a/b', 'a.example']),
  'a name beyond ASCII': () => leaf(middle, ['a.example'], { commonName: 'Müller' }),
  'a name with a comma': () => leaf(middle, ['a.example, DNS:b.example']),
  'an address of 5 bytes': () =>
    leaf(middle, [], { extensions: [['2.5.29.17', false, sequence(tlv(0x87, hex('0102030405')))]] }),
  'an extension twice': () => leaf(middle, ['a.example'], { extensions: [['2.5.29.19', false, hex('3000')]] }),
  'an extension of nobody': () => leaf(middle, ['a.example'], { extensions: [['1.2.3.4', true, hex('0500')]] }),
  'weak RSA': () => leaf(middle, ['a.example'], { kind: 'rsa1024' }),
  Ed25519: () => leaf(middle, ['a.example'], { kind: 'ed25519' }),
};
const PLAIN = Object.keys(KINDS).slice(0, 12);

const blocks = (...ders: readonly Buffer[]): PemBlock[] =>
  ders.map((der) => ({ label: 'CERTIFICATE', der, text: der.toString('latin1') }));

/** Of a certificate with its key and who issued it: both ways of reading say the same, or the own one nothing. */
function agree(der: Buffer, key: string, about: string): boolean {
  const found = readPlainCertificate(der);
  const [chain, its] = [blocks(der, middle.der), readPem(key)];
  const [plain, judged] = [readPlain(chain, its), readByLibrary(chain, its)];
  if (found === null) {
    assert.equal(plain, null);
    return false;
  }
  const one = new X509Certificate(der);
  const [from, to] = [one.validFromDate.getTime(), one.validToDate.getTime()];
  assert.deepEqual([found.names, found.notBefore, found.notAfter], [namesOf(one), from, to], about);
  const forServers = one.keyUsage?.includes('1.3.6.1.5.5.7.3.1') ?? true;
  assert.equal(found.purposes?.includes(SERVER_AUTH) ?? true, forServers, about);
  assert.ok(one.raw.equals(der), about);
  if (plain === null) return true;
  assert.ok(typeof judged !== 'string', `${about}: ${judged}`);
  const { certificates: ours, ...facts } = plain;
  const { certificates: theirs, ...same } = judged;
  assert.deepEqual(facts, same, about);
  assert.deepEqual(
    ours().map(({ raw }) => raw),
    theirs().map(({ raw }) => raw),
  );
  return true;
}

test('certificates of every kind are read as the library reads them, the usual ones without it', () => {
  for (const [name, make] of Object.entries(KINDS)) {
    const { der, keyDer } = make();
    assert.equal(agree(der, pem('PRIVATE KEY', keyDer), name), PLAIN.includes(name), name);
  }
});

interface Tree {
  readonly tag: number;
  readonly body: Buffer | readonly Tree[];
}

/** Elements within elements, those within an extension's value too; what is none is bytes. */
function treesOf(bytes: Buffer): Tree[] | null {
  const found: Tree[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [tag = 0, first = 0] = bytes.subarray(at);
    const digits = first > 127 ? first - 128 : 0;
    const length =
      digits > 0 && digits < 4 && at + 2 + digits <= bytes.length ? bytes.readUIntBE(at + 2, digits) : first;
    const [from, to] = [at + 2 + digits, at + 2 + digits + length];
    if (tag === 0 || digits > 3 || to > bytes.length) return null;
    const inner = bytes.subarray(from, to);
    const nested = (tag & 0x20) !== 0 || tag === 4 ? treesOf(inner) : null;
    found.push({ tag, body: nested !== null && inner.length > 0 ? nested : inner });
    at = to;
  }
  return found;
}

function bytesOf({ tag, body }: Tree): Buffer {
  const content = Buffer.isBuffer(body) ? body : Buffer.concat(body.map(bytesOf));
  const n = content.length;
  return Buffer.concat([
    Buffer.from(n < 128 ? [tag, n] : n < 256 ? [tag, 0x81, n] : [tag, 0x82, n >> 8, n & 255]),
    content,
  ]);
}

function nodesOf(tree: Tree): Tree[] {
  return Buffer.isBuffer(tree.body) ? [tree] : [tree, ...tree.body.flatMap(nodesOf)];
}

/** What becomes of the node that was chosen: bytes that a hand or an attacker might put there. */
type Change = (node: Tree, value: number) => readonly Tree[];
const content = (node: Tree): Buffer =>
  Buffer.isBuffer(node.body) ? node.body : Buffer.concat(node.body.map(bytesOf));
const CHANGES: readonly Change[] = [
  () => [],
  (node) => [node, node],
  ({ body }, value) => [{ tag: value & 255, body }],
  ({ tag }) => [{ tag, body: Buffer.alloc(0) }],
  (node, value) => [{ tag: node.tag, body: changed(content(node), value) }],
  (node, value) => [{ tag: node.tag, body: content(node).subarray(0, value % (content(node).length + 1)) }],
  (node, value) => [{ tag: node.tag, body: Buffer.concat([content(node), Buffer.of(value & 255)]) }],
  (node, value) => [{ tag: node.tag, body: Buffer.concat([Buffer.of(value & 255), content(node)]) }],
  (node) => [{ tag: node.tag, body: Buffer.isBuffer(node.body) ? node.body : node.body.toReversed() }],
];

function changed(bytes: Buffer, value: number): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length > 0) copy[value % copy.length] = (value >> 8) & 255;
  return copy;
}

function rewrite(tree: Tree, chosen: Tree, change: Change, value: number): readonly Tree[] {
  if (tree === chosen) return change(tree, value);
  if (Buffer.isBuffer(tree.body)) return [tree];
  return [{ tag: tree.tag, body: tree.body.flatMap((inner) => rewrite(inner, chosen, change, value)) }];
}

const STEP = fc.tuple(fc.nat(), fc.nat(CHANGES.length), fc.nat(0xffff));

/** A change at any element with lengths that fit again, or of any byte as it stands. */
function step(der: Buffer, [where, what, value]: readonly [number, number, number]): Buffer {
  const change = CHANGES[what];
  const trees = change === undefined ? null : treesOf(der);
  if (change === undefined || trees?.[0] === undefined) return changed(der, (value << 8) ^ where);
  const nodes = trees.flatMap(nodesOf);
  const chosen = nodes[where % nodes.length] as Tree;
  return Buffer.concat(trees.flatMap((tree) => rewrite(tree, chosen, change, value)).map(bytesOf));
}

test('whatever certificate is changed by hand: what the own reader accepts the library accepts as the same', () => {
  const bases = PLAIN.map((name) => (KINDS[name] as () => Leaf)());
  let accepted = 0;
  const property = fc.property(fc.nat(bases.length - 1), fc.array(STEP, { minLength: 1, maxLength: 2 }), (i, steps) => {
    const { der, keyDer } = bases[i] as Leaf;
    if (agree(steps.reduce(step, der), pem('PRIVATE KEY', keyDer), '')) accepted++;
  });
  fc.assert(property, { numRuns: RUNS });
  // Serial numbers, signatures and times change without making it another kind.
  assert.ok(accepted > RUNS / 40, `${accepted} of ${RUNS}`);
});

/** Keys with the ways in which programs write them: label of their PEM, DER, and Node's name of the form. */
interface Written {
  readonly leaf: Leaf;
  readonly label: string;
  readonly bytes: Buffer;
  readonly type: 'pkcs8' | 'sec1' | 'pkcs1';
}
const OLD_FORMS = {
  p256: ['EC PRIVATE KEY', 'sec1'],
  p384: ['EC PRIVATE KEY', 'sec1'],
  rsa2048: ['RSA PRIVATE KEY', 'pkcs1'],
} as const;

function writtenKeys(): Written[] {
  return (['p256', 'p384', 'rsa2048'] as const).flatMap((kind): Written[] => {
    const own = leaf(middle, ['a.example'], { kind });
    const [label, type] = OLD_FORMS[kind];
    const old = own.key.export({ type, format: 'der' } as { type: 'pkcs1'; format: 'der' });
    return [
      { leaf: own, label: 'PRIVATE KEY', bytes: own.keyDer, type: 'pkcs8' },
      { leaf: own, label, bytes: old, type },
    ];
  });
}

function plainOf({ leaf: { der } }: Written, label: string, bytes: Uint8Array): Uint8Array | null {
  const key = readPlainCertificate(der)?.publicKey;
  assert.ok(key !== undefined);
  if (key.curve === null) return plainRsaKey(label, bytes, key.n, key.e);
  return plainEcKey(key.curve as CurveName, label, bytes, key.point);
}

test('whatever key is changed by hand: what the own reader accepts the library accepts as the same', () => {
  const keys = writtenKeys();
  for (const one of keys) {
    const { label, bytes, leaf: own } = one;
    assert.deepEqual(Buffer.from(plainOf(one, label, bytes) ?? []), own.keyDer, label);
    assert.equal(plainOf(one, label.startsWith('EC') ? 'RSA PRIVATE KEY' : 'EC PRIVATE KEY', bytes), null);
    const another = keys.find((key) => key.leaf !== own && key.label === label);
    if (another !== undefined) assert.equal(plainOf(one, label, another.bytes), null, 'the key of another');
  }
  const property = fc.property(
    fc.constantFrom(...keys),
    fc.array(STEP, { minLength: 1, maxLength: 2 }),
    (one, steps) => {
      const mutant = steps.reduce(step, one.bytes);
      const read = plainOf(one, one.label, mutant);
      if (read === null) return;
      const judged = createPrivateKey({ key: mutant, format: 'der', type: one.type });
      assert.deepEqual(Buffer.from(read), judged.export({ type: 'pkcs8', format: 'der' }));
      assert.ok(new X509Certificate(one.leaf.der).checkPrivateKey(judged));
      // And it signs what the certificate's key verifies.
      const said = Buffer.from('hello');
      assert.ok(verify('sha256', said, new X509Certificate(one.leaf.der).publicKey, sign('sha256', said, judged)));
    },
  );
  fc.assert(property, { numRuns: RUNS });
});

test('an RSA key whose numbers are not of one key is refused, as it would fail each handshake', () => {
  const [own, other] = [
    leaf(middle, ['a.example'], { kind: 'rsa2048' }),
    leaf(middle, ['b.example'], { kind: 'rsa2048' }),
  ];
  const numbersOf = ({ key }: Leaf): readonly Tree[] => {
    const [whole] = treesOf(key.export({ type: 'pkcs1', format: 'der' })) ?? [];
    return (whole as Tree).body as readonly Tree[];
  };
  const [mine, theirs] = [numbersOf(own), numbersOf(other)];
  // RSAPrivateKey: version, n, e, d, then p, q, d mod p - 1, d mod q - 1, the inverse of q.
  for (const places of [[4], [5], [6], [7], [8], [4, 5, 6, 7, 8], [3, 4, 5, 6, 7, 8]]) {
    const body = mine.map((tree, i) => (places.includes(i) ? (theirs[i] as Tree) : tree));
    const text = pem('RSA PRIVATE KEY', bytesOf({ tag: 0x30, body }));
    assert.equal(readPlain(blocks(own.der, middle.der), readPem(text)), null, places.join());
    const said = readByLibrary(blocks(own.der, middle.der), readPem(text));
    assert.equal(said, 'tls.key: its public part is not that of its private part.', places.join());
  }
  assert.ok(readPlain(blocks(own.der, middle.der), readPem(pem('PRIVATE KEY', own.keyDer))) !== null);
});
