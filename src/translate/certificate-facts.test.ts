import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, leaf } from '../../tools/certificates.ts';
import { LIMITS } from '../base/limits.ts';
import type { CertificateEntry, Entry, ServerTls } from '../ir/ir.ts';
import { certificateFacts, certificateNumbers, expiryProblems } from './certificate-facts.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2030, 0, 1);
const root = authority('Root');

function certificate(name: string, from: number, to: number, kind: 'p256' | 'rsa2048' = 'p256'): CertificateEntry {
  const own = leaf(root, [`${name}.example`], { notBefore: NOW + from * DAY_MS, notAfter: NOW + to * DAY_MS, kind });
  const chain = [own.der.toString('latin1')];
  const privateKey = own.keyDer.toString('base64');
  const holds: Partial<Record<string, readonly [number, number]>> = {
    soon: [0, NOW - 1],
    early: [NOW + DAY_MS - 1, NOW + 2 * DAY_MS],
  };
  const [stapleFrom, stapleUntil] = holds[name] ?? [0, 0];
  const shown = { fingerprint: name, staple: stapleUntil > 0 ? 'MAA=' : '', stapleFrom, stapleUntil };
  return { kind: 'certificate', key: `certificate/ns/${name}`, chain, privateKey, ...shown };
}

function socket(port: number, ...certificates: string[]): Entry {
  const tls: ServerTls = {
    certificates: certificates.map((name) => `certificate/ns/${name}`),
    ...{ minVersion: 'TLSv1.2', ciphers: [], suites: [], alpn: [], clients: null },
  };
  const host = {
    hostname: '*',
    gateway: 'gateway/ns/web',
    listener: `l${port}`,
    port,
    protocol: 'HTTPS',
    tls,
  } as const;
  return {
    kind: 'socket',
    key: `socket/::/${port}/tcp`,
    address: '::',
    port,
    transport: 'tcp',
    hosts: [host],
    fallback: null,
    proxyProtocol: null,
  };
}

const ENTRIES = [
  certificate('good', -1, 31),
  certificate('soon', -1, 29.5, 'rsa2048'),
  certificate('late', -9, -2.5),
  certificate('early', 1, 90),
  socket(443, 'good', 'soon'),
  socket(444, 'good', 'late', 'early'),
];

test('of each certificate: how it stands, who shows it, and never its key; those that end first in front', () => {
  const facts = certificateFacts(ENTRIES, NOW);
  assert.deepEqual(
    facts.map((f) => [f.certificate, f.state, f.key, f.names, f.listeners]),
    [
      ['ns/late', 'expired', 'ECDSA prime256v1', ['late.example'], ['ns/web l444']],
      ['ns/soon', 'expiring', 'RSA 2048', ['soon.example'], ['ns/web l443']],
      ['ns/good', 'valid', 'ECDSA prime256v1', ['good.example'], ['ns/web l443', 'ns/web l444']],
      ['ns/early', 'not_yet_valid', 'ECDSA prime256v1', ['early.example'], ['ns/web l444']],
    ],
  );
  assert.equal(facts[2]?.notAfter, NOW + 31 * DAY_MS);
  const text = JSON.stringify(facts);
  for (const entry of ENTRIES) if (entry.kind === 'certificate') assert.ok(!text.includes(entry.privateKey));
});

test('what is counted is what is told, of whichever number of certificates', () => {
  const many = [
    ...ENTRIES,
    ...Array.from({ length: LIMITS.CERTIFICATES_EXPOSED + 5 }, (_, i) => certificate(`c${i}`, -1, 40 + ((i * 7) % 25))),
  ];
  const facts = certificateFacts(many, NOW);
  const { states, staples, soonest } = certificateNumbers(many, NOW);
  for (const [state, n] of Object.entries(states))
    assert.equal(n, facts.filter((f) => f.state === state).length, state);
  for (const [state, n] of Object.entries(staples)) assert.equal(n, facts.filter((f) => f.staple === state).length);
  const first = facts.slice(0, LIMITS.CERTIFICATES_EXPOSED);
  assert.deepEqual(
    soonest,
    first.map(({ certificate: name, notAfter }) => ({ certificate: name, notAfter })),
  );
});

test('what is said of an end is the same for a day, and another thing on the next', () => {
  const saidAt = (nowMs: number): string[] =>
    expiryProblems(certificateFacts(ENTRIES, nowMs), nowMs).map((p) => `${p.place.object}: ${p.message}`);
  assert.deepEqual(saidAt(NOW), [
    'Secret/ns/late: The certificate expired 2 days ago, on 2029-12-29T12:00:00Z: clients refuse it.',
    'Secret/ns/soon: The OCSP response ended on 2029-12-31T23:59:59.999Z: none is shown.',
    'Secret/ns/soon: The certificate expires in 29 days, on 2030-01-30T12:00:00Z.',
    'Secret/ns/early: The OCSP response holds from 2030-01-01T23:59:59.999Z on: none is shown before.',
    'Secret/ns/early: The certificate is not valid before 2030-01-02T00:00:00Z: clients refuse it.',
  ]);
  assert.deepEqual(saidAt(NOW + 11 * 3_600_000), saidAt(NOW));
  assert.notDeepEqual(saidAt(NOW + DAY_MS), saidAt(NOW));
});
