import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, leaf, revocations } from '../../tools/certificates.ts';
import type { TrustEntry } from '../ir/ir.ts';
import { TAG, timeOf } from './der.ts';
import { revocationProblems } from './revocation.ts';

const HOUR_MS = 3_600_000;
const now = Date.now();
const root = authority('Root');
const other = authority('Other');
const lost = leaf(root, ['lost'], { client: true });

function trust(name: string, ...revoked: Buffer[]): TrustEntry {
  return {
    kind: 'trust',
    key: `trust/ns/${name}`,
    authorities: [root.der.toString('base64')],
    revoked: revoked.map((der) => der.toString('base64')),
  };
}
const told = (entries: readonly TrustEntry[], atMs: number): string[] =>
  revocationProblems(entries, atMs).map(({ place, message, severity }) => `${severity} ${place.object}: ${message}`);

test('a list that holds is nothing to speak of; one that is over refuses all, and is told at its owner', () => {
  const until = Math.floor(now / 1000) * 1000 + 2 * HOUR_MS;
  const entries = [
    trust('gw:default', revocations(root, [lost], until)),
    trust('BackendTLSPolicy:app', revocations(root, [], until)),
  ];
  assert.deepEqual(told(entries, now), []);
  const ended = new Date(until).toISOString().replace('.000', '');
  const message = `The list of revoked certificates of CN=Root ended on ${ended}: certificates of CN=Root are refused until there is a newer one.`;
  assert.deepEqual(told(entries, until + 1), [
    `warning Gateway/ns/gw: ${message}`,
    `warning BackendTLSPolicy/ns/app: ${message}`,
  ]);
});

test('one that has not begun, one of nobody, and what is none', () => {
  const list = revocations(root, [], now + HOUR_MS);
  assert.match(
    told([trust('gw:443', list)], now - 365 * 24 * HOUR_MS).join(),
    /begins on .*: certificates of CN=Root are refused before\./,
  );
  assert.deepEqual(told([trust('gw:443', revocations(other, [], now + HOUR_MS), Buffer.from('3000', 'hex'))], now), [
    'warning Gateway/ns/gw: A list of revoked certificates (ca.crl) is of none of the authorities beside it, and revokes nothing.',
    'warning Gateway/ns/gw: A list of revoked certificates (ca.crl) cannot be read: certificates of authorities without another are refused.',
  ]);
  for (let n = 0; n < list.length; n++) assert.equal(told([trust('gw:443', list.subarray(0, n))], now).length, 1);
});

test('times of both kinds: what authorities write until 2049 has two digits of the year', () => {
  const at = (tag: number, text: string): number => timeOf({ tag, whole: Buffer.alloc(0), body: Buffer.from(text) });
  assert.equal(at(TAG.UTC_TIME, '261127055000Z'), Date.UTC(2026, 10, 27, 5, 50));
  assert.equal(at(TAG.UTC_TIME, '991231235959Z'), Date.UTC(1999, 11, 31, 23, 59, 59));
  assert.equal(at(TAG.TIME, '20500101000000Z'), Date.UTC(2050, 0, 1));
  assert.ok(Number.isNaN(at(TAG.UTC_TIME, '20500101000000Z')) && Number.isNaN(at(TAG.INTEGER, '261127055000Z')));
});
