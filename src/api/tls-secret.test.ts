import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Authority, authority, leaf, pem } from '../../tools/certificates.ts';
import { readPem } from '../base/pem.ts';
import type { KubeObject } from './object.ts';
import { keptSecret, pemOf } from './tls-secret.ts';

const middle = authority('Middle', authority('Root'));
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const secret = (data: unknown): KubeObject => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data });

function pairOf(issuer: Authority, name: string): { readonly crt: string; readonly key: string } {
  const { der, keyDer } = leaf(issuer, [name]);
  return { crt: pem('CERTIFICATE', der) + pem('CERTIFICATE', issuer.der), key: pem('PRIVATE KEY', keyDer) };
}
const dataOf = ({ crt, key }: { crt: string; key: string }): Record<string, string> => ({
  'tls.crt': base64(crt),
  'tls.key': base64(key),
});
/** What a value holds, as short texts count. */
const lengthOf = (value: unknown): number => JSON.stringify(value).length;

test('a Secret that is kept says the same, in less than half of the text', () => {
  const own = pairOf(middle, 'a.example');
  const given = secret(dataOf(own));
  const kept = keptSecret(given);
  for (const name of ['tls.crt', 'tls.key'] as const) {
    const said = readPem(name === 'tls.crt' ? own.crt : own.key);
    assert.ok(typeof said !== 'string');
    assert.deepEqual(pemOf(kept, name), said);
    assert.deepEqual(pemOf(given, name), said);
  }
  const { pem: blocks } = (kept['data'] as Record<string, { pem: string[] }>)['tls.crt'] as { pem: string[] };
  assert.ok(blocks.join('').length < (dataOf(own)['tls.crt'] as string).length * 0.6);
  assert.equal(keptSecret(kept), kept, 'once kept it stays as it is');
  assert.deepEqual(keptSecret(secret(dataOf(own))), kept, 'and is equal to what says the same');
  assert.notDeepEqual(keptSecret(secret(dataOf(pairOf(middle, 'a.example')))), kept);
});

test('what is no PEM, and what TLS does not read, stays as it is', () => {
  const data = {
    'tls.crt': base64('nothing'),
    'tls.key': base64('-----BEGIN PRIVATE KEY-----\nabc'),
    'ca.crt': 'YQ==',
  };
  const kept = keptSecret(secret(data));
  assert.deepEqual(kept, secret(data));
  assert.deepEqual(pemOf(kept, 'tls.crt'), []);
  assert.match(String(pemOf(kept, 'tls.key')), /has no "-----END PRIVATE KEY-----"/);
  assert.deepEqual(pemOf(secret(undefined), 'tls.crt'), []);
  const other: KubeObject = { ...secret(dataOf(pairOf(middle, 'a.example'))), kind: 'ConfigMap' };
  assert.equal(keptSecret(other), other);
  assert.ok(lengthOf(keptSecret(secret({ ...data, 'x.bin': 'QUJD' }))) > lengthOf(kept));
});

test('stringData wins over what is kept, as over data', () => {
  const [one, two] = [pairOf(middle, 'a.example'), pairOf(middle, 'b.example')];
  const both = { ...keptSecret(secret(dataOf(one))), stringData: { 'tls.crt': two.crt } };
  assert.deepEqual(pemOf(both, 'tls.crt'), readPem(two.crt));
  assert.deepEqual(pemOf(both, 'tls.key'), readPem(one.key));
});
