import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateEntry } from './ir.ts';
import { shownEntry } from './shown.ts';

test('a private key is shown by no page', () => {
  const entry: CertificateEntry = {
    kind: 'certificate',
    key: 'certificate/ns/cert',
    chain: ['MIIB'],
    privateKey: 'c2VjcmV0',
    fingerprint: 'ab12',
    staple: '',
    stapleUntil: 0,
  };
  const shown = JSON.stringify(shownEntry(entry));
  assert.ok(!shown.includes('c2VjcmV0'));
  assert.match(shown, /"fingerprint":"ab12"/);
});
