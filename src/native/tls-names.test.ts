import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, leaf } from '../../tools/certificates.ts';
import type { PeerName } from '../io/tls.ts';
import { hostsOf, isCertificateFor, isOpenSslsWork } from './tls-names.ts';

const root = authority('Root');
const host = (value: string): PeerName => ({ type: 'Hostname', value });
const uri = (value: string): PeerName => ({ type: 'URI', value });

test('a URI is that of the certificate, as it stands, and what looks like one within another name is none', () => {
  const odd = 'spiffe://a/b, URI:spiffe://evil/x';
  const { der } = leaf(root, ['spiffe://example/app', odd, 'dns.example', '127.0.0.1', 'spiffe://q/"quoted"']);
  for (const good of ['spiffe://example/app', odd, 'spiffe://q/"quoted"']) {
    assert.ok(isCertificateFor(der, [uri('spiffe://none'), uri(good)]), good);
  }
  for (const bad of ['spiffe://evil/x', 'spiffe://example', 'spiffe://example/app/', 'SPIFFE://example/app', '']) {
    assert.ok(!isCertificateFor(der, [uri(bad)]), bad);
  }
  assert.ok(!isCertificateFor(der, [uri('dns.example')]));
});

test('hosts and addresses beside URIs; a subject is no host', () => {
  const { der } = leaf(root, ['a.example', '*.b.example', '127.0.0.1'], { commonName: 'subject.example' });
  for (const [name, good] of [
    ['a.example', true],
    ['x.b.example', true],
    ['*.b.example', true],
    ['x.y.b.example', false],
    ['b.example', false],
    ['subject.example', false],
    ['127.0.0.1', true],
    ['127.0.0.2', false],
  ] as const) {
    assert.equal(isCertificateFor(der, [uri('spiffe://none'), host(name)]), good, name);
  }
  assert.ok(!isCertificateFor(leaf(root, [], { commonName: 'subject.example' }).der, [host('subject.example')]));
});

test('OpenSSL looks for hosts, or for one address', () => {
  assert.ok(isOpenSslsWork([]));
  assert.ok(isOpenSslsWork([host('a.example'), host('b.example')]));
  assert.ok(isOpenSslsWork([host('127.0.0.1')]));
  assert.ok(!isOpenSslsWork([host('127.0.0.1'), host('a.example')]));
  assert.ok(!isOpenSslsWork([host('a.example'), uri('spiffe://a/b')]));
});

test('hosts of a certificate: lower case, wildcards as they are; no addresses, no URIs, none of what is no certificate', () => {
  const { der } = leaf(root, ['A.example', '*.B.example', '127.0.0.1', 'spiffe://a/DNS:c.example', 'd, DNS:e.example']);
  assert.deepEqual(hostsOf(der), ['a.example', '*.b.example']);
  assert.deepEqual(hostsOf(leaf(root, []).der), []);
  assert.deepEqual(hostsOf(der.subarray(0, 100)), []);
});
