import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateEntry } from './ir.ts';
import { shownEntry } from './shown.ts';

test('a private key is shown by no page', () => {
  const entry: CertificateEntry = {
    kind: 'certificate',
    key: 'certificate/ns/cert',
    chain: ['0\x82\x01'],
    privateKey: 'secret',
    fingerprint: 'ab12',
    staple: '',
    stapleFrom: 0,
    stapleUntil: 0,
  };
  const shown = JSON.stringify(shownEntry(entry));
  assert.ok(!/secret|c2VjcmV0|115,101,99/.test(shown), shown);
  assert.match(shown, /"MIIB"/);
  assert.match(shown, /"fingerprint":"ab12"/);
});
