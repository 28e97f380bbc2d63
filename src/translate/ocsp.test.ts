import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { authority, leaf, ocspResponse } from '../../tools/certificates.ts';
import { elementAt, elementsOf, oidOf, TAG, timeOf } from './der.ts';
import { readStaple } from './ocsp.ts';

const issuer = authority('Issuer');
const own = leaf(issuer, ['a.example']);
const chain = [own.der, issuer.der].map((der) => new X509Certificate(der));
const until = Date.UTC(2031, 1, 2, 3, 4, 5);
const from = Date.UTC(2025, 5, 6, 7, 8, 9);
const good = ocspResponse(issuer, own, { nextUpdate: until, thisUpdate: from });

test('a response for the certificate, by its issuer: since and until when it holds', () => {
  assert.deepEqual(readStaple(good, chain), { from, until, warning: '' });
  const past = Date.UTC(2001, 0, 1);
  assert.deepEqual(readStaple(ocspResponse(issuer, own, { nextUpdate: past, thisUpdate: past - 1000 }), chain), {
    from: past - 1000,
    until: past,
    warning: '',
  });
  const revoked = readStaple(ocspResponse(issuer, own, { status: 'revoked' }), chain);
  assert.match(typeof revoked === 'string' ? '' : revoked.warning, /revoked: clients refuse it/);
});

test('whoever the issuer lets may say it, and no longer than he is let', () => {
  const purpose = '1.3.6.1.5.5.7.3.9';
  const ends = Date.UTC(2030, 0, 1);
  const begins = from + 86_400_000;
  const delegate = leaf(issuer, [], { purpose, notBefore: begins, notAfter: ends });
  const said = { delegate, thisUpdate: from };
  assert.deepEqual(readStaple(ocspResponse(issuer, own, { ...said, nextUpdate: until }), chain), {
    from: begins,
    until: ends,
    warning: '',
  });
  const sooner = ends - 1000;
  assert.deepEqual(readStaple(ocspResponse(issuer, own, { ...said, nextUpdate: sooner }), chain), {
    from: begins,
    until: sooner,
    warning: '',
  });
  for (const other of [leaf(issuer, []), leaf(authority('Other'), [], { purpose })]) {
    assert.match(String(readStaple(ocspResponse(issuer, own, { delegate: other }), chain)), /^is not signed by/);
  }
});

test('of several words on one certificate that which ends first counts', () => {
  const first = until - 86_400_000;
  for (const [nextUpdate, more] of [
    [until, [until + 1000, first]],
    [first, [until]],
  ] as const) {
    assert.deepEqual(readStaple(ocspResponse(issuer, own, { nextUpdate, thisUpdate: from, more }), chain), {
      from,
      until: first,
      warning: '',
    });
  }
});

test('an issuer whose key cannot be read vouches for nobody', () => {
  const der = Buffer.from(issuer.der);
  // The point leaves the curve.
  const point = createPublicKey(issuer.key).export({ type: 'spki', format: 'der' }).subarray(-64);
  const at = der.indexOf(point);
  der[at] = (der[at] as number) ^ 1;
  assert.match(String(readStaple(good, [chain[0] as X509Certificate, new X509Certificate(der)])), /is for another/);
});

test('what is not to be shown, and why', () => {
  const other = leaf(issuer, ['a.example']);
  const namesake = authority('Issuer');
  const cases: [Uint8Array, RegExp][] = [
    [Buffer.from('garbage'), /^is no OCSP response/],
    [Buffer.alloc(0), /^is no OCSP response/],
    [Buffer.concat([good, Uint8Array.of(0)]), /^is no OCSP response/],
    [Uint8Array.of(0x30, 3, 10, 1, 6), /^is an answer of failure \(6\)/],
    [ocspResponse(issuer, other), /^is for another certificate/],
    [ocspResponse(namesake, own), /^is for another certificate/],
    [ocspResponse(issuer, own, { signer: namesake.key }), /^is not signed by whoever issued/],
    [ocspResponse(issuer, own, { status: 'unknown' }), /does not know/],
  ];
  for (const [bytes, why] of cases) {
    const said = readStaple(bytes, chain);
    assert.match(typeof said === 'string' ? said : 'shown', why);
  }
  assert.match(String(readStaple(good, chain.slice(0, 1))), /lacks the certificate that issued/);
});

test('damage is refused or changes nothing, and never throws', () => {
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(good.length), (at, value, cut) => {
      const copy = Uint8Array.from(good);
      copy[at] = value;
      const said = readStaple(copy, chain);
      assert.ok(typeof said === 'string' || said.until === until);
      assert.ok(cut === good.length || typeof readStaple(good.subarray(0, cut), chain) === 'string');
    }),
    { seed: 3, numRuns: 2000 },
  );
});

test('elements of DER: whole or none', () => {
  assert.equal(elementAt(Uint8Array.of(4, 3, 1, 2), 0), null);
  assert.equal(elementAt(Uint8Array.of(4, 0x84, 0, 0, 0, 0), 0), null);
  assert.equal(elementAt(Uint8Array.of(0x1f, 1, 1), 0), null);
  assert.equal(elementsOf(Uint8Array.of(5, 0, 5)), null);
  assert.equal(elementsOf(Uint8Array.of(5, 0, 5, 0))?.length, 2);
  assert.equal(oidOf(elementAt(Uint8Array.of(TAG.OID, 3, 0x2b, 0x65, 0x70), 0)), '1.3.101.112');
  assert.equal(oidOf(elementAt(Uint8Array.of(TAG.OID, 3, 0x88, 0x37, 3), 0)), '2.999.3');
  assert.ok(Number.isNaN(timeOf(elementAt(Buffer.from('\x18\x04late', 'latin1'), 0))));
});
