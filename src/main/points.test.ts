// Points that are computed ahead are those that the library computes, and nothing of a key stays when they are not
// asked for any more.

import assert from 'node:assert/strict';
import { createECDH } from 'node:crypto';
import { test } from 'node:test';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import type { KubeObject } from '../api/object.ts';
import { keptSecret } from '../api/tls-secret.ts';
import { LIMITS } from '../base/limits.ts';
import { P256_SCALAR_BYTES, p256ScalarOf, plainEcKey, usePoints } from '../translate/plain-ec.ts';
import { Points } from './points.ts';

const SIZE = P256_SCALAR_BYTES;
const HEAD = Buffer.from('308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420', 'hex');
const MIDDLE = Buffer.from('a144034200', 'hex');

/** PKCS#8 of `scalar` with `point`, DER. */
const keyOf = (scalar: Buffer, point: Buffer): Buffer => Buffer.concat([HEAD, scalar, MIDDLE, point]);
const base64 = (text: string): string => Buffer.from(text).toString('base64');

function secretOf(name: string, key: string): KubeObject {
  return keptSecret({
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'default' }, type: 'kubernetes.io/tls' },
    data: { 'tls.crt': base64('none'), 'tls.key': base64(key) },
  } as KubeObject);
}

/** Scalars with their points: a few thousand that differ at both ends. */
function scalars(count: number): { readonly scalar: Buffer; readonly point: Buffer }[] {
  const curve = createECDH('prime256v1');
  return Array.from({ length: count }, (_, i) => {
    const scalar = Buffer.alloc(SIZE);
    scalar.writeUInt32BE(i * 7919, 1);
    scalar.writeUInt32BE(i + 1, SIZE - 4);
    curve.setPrivateKey(scalar);
    return { scalar, point: curve.getPublicKey() };
  });
}

async function done(points: Points): Promise<void> {
  while (points.progress.done < points.progress.given) await new Promise(setImmediate);
}

test('of thousands of keys the thread has the points that the library has, and of what is no key none', async () => {
  const points = new Points();
  const all = scalars(2 * LIMITS.POINTS_LEAST);
  const zero = Buffer.alloc(SIZE);
  try {
    points.found(secretOf('zero', pem('PRIVATE KEY', keyOf(zero, Buffer.alloc(2 * SIZE + 1, 4)))));
    for (const [i, { scalar, point }] of all.entries()) {
      points.found(secretOf(`s${i}`, pem('PRIVATE KEY', keyOf(scalar, point))));
    }
    assert.equal(points.progress.given, all.length + 1);
    await done(points);
    for (const { scalar, point } of all) {
      const key = keyOf(scalar, point);
      assert.equal(plainEcKey('prime256v1', 'PRIVATE KEY', key, point), key);
      const wrong = Buffer.from(point);
      wrong[SIZE] = (wrong[SIZE] as number) ^ 1;
      assert.equal(plainEcKey('prime256v1', 'PRIVATE KEY', keyOf(scalar, wrong), wrong), null, 'the scalar decides');
    }
    const none = Buffer.alloc(2 * SIZE + 1);
    assert.equal(plainEcKey('prime256v1', 'PRIVATE KEY', keyOf(zero, none), none), null);
  } finally {
    points.end();
  }
  const [{ scalar, point }] = all as [(typeof all)[number]];
  assert.ok(plainEcKey('prime256v1', 'PRIVATE KEY', keyOf(scalar, point), point) !== null, 'without it, too');
  assert.deepEqual(points.progress, { given: 0, done: 0 });
  points.found(secretOf('late', pem('PRIVATE KEY', keyOf(scalar, point))));
  assert.deepEqual(points.progress, { given: 0, done: 0 });
});

test('few keys, and what is none, are no matter for a thread', () => {
  const points = new Points();
  for (const [i, { scalar, point }] of scalars(LIMITS.POINTS_LEAST - 1).entries()) {
    points.found(secretOf(`s${i}`, pem('PRIVATE KEY', keyOf(scalar, point))));
  }
  const { keyDer } = leaf(authority('Root'), ['a.example'], { kind: 'rsa2048' });
  points.found(secretOf('rsa', pem('PRIVATE KEY', keyDer)));
  points.found(secretOf('text', 'no key'));
  points.found({ ...secretOf('other', 'x'), type: 'Opaque' } as KubeObject);
  assert.deepEqual(points.progress, { given: 0, done: 0 });
  points.end();
});

test('a scalar is found in both forms of a key, and in nothing that is shorter', () => {
  const [{ scalar, point }] = scalars(1) as [{ scalar: Buffer; point: Buffer }];
  const key = keyOf(scalar, point).toString('latin1');
  assert.equal(p256ScalarOf('PRIVATE KEY', key), scalar.toString('latin1'));
  assert.equal(p256ScalarOf('EC PRIVATE KEY', key), null);
  assert.equal(p256ScalarOf('RSA PRIVATE KEY', key), null);
  const sec1 = `${Buffer.from('30770201010420', 'hex').toString('latin1')}${scalar.toString('latin1')}${'\xa0'.repeat(80)}`;
  assert.equal(p256ScalarOf('EC PRIVATE KEY', sec1), scalar.toString('latin1'));
  for (let length = 0; length <= HEAD.length + SIZE; length++) {
    assert.equal(p256ScalarOf('PRIVATE KEY', key.slice(0, length)), null);
  }
});

test('points that somebody else has are used, and asked for by their scalar', () => {
  const [{ scalar, point }] = scalars(1) as [{ scalar: Buffer; point: Buffer }];
  const asked: string[] = [];
  usePoints((text) => {
    asked.push(text);
    return null;
  });
  try {
    assert.ok(plainEcKey('prime256v1', 'PRIVATE KEY', keyOf(scalar, point), point) !== null);
  } finally {
    usePoints(null);
  }
  assert.deepEqual(asked, [scalar.toString('latin1')]);
});
