// Private keys on P-256 in the two forms that programs write (RFC 5915 section 3, RFC 5958): scalar and point are where
// they always are. The scalar decides: its point is computed, not believed.

import { createECDH, type ECDH } from 'node:crypto';

const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex');
/** What stands in front of the scalar and between it and the point. */
const PKCS8 = {
  head: bytesOf('308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420'),
  middle: bytesOf('a144034200'),
} as const;
const SEC1 = { head: bytesOf('30770201010420'), middle: bytesOf('a00a06082a8648ce3d030107a144034200') } as const;
const SCALAR = 32;
const POINT = 65;

let curve: ECDH | null = null;

/**
 * PKCS#8 of a key, DER, if it is one in such a form and `point` (uncompressed) is what its scalar makes, and what the
 * key says of itself; null otherwise. `label`: of its PEM.
 */
export function plainKey(label: string, der: Uint8Array, point: Uint8Array): Uint8Array | null {
  const form = label === 'PRIVATE KEY' ? PKCS8 : label === 'EC PRIVATE KEY' ? SEC1 : null;
  if (form === null) return null;
  const { head, middle } = form;
  const from = head.length + SCALAR;
  const own = from + middle.length;
  if (der.length !== own + POINT || !starts(der, head, 0) || !starts(der, middle, from)) return null;
  if (!starts(der, point, own)) return null;
  const scalar = der.subarray(head.length, from);
  const computed = pointOf(scalar);
  if (computed === null || !starts(der, computed, own)) return null;
  return form === PKCS8 ? der : Buffer.concat([PKCS8.head, scalar, PKCS8.middle, point]);
}

/** Uncompressed (SEC 1 section 2.3.3); null for a number that is no key of the curve. */
function pointOf(scalar: Uint8Array): Uint8Array | null {
  curve ??= createECDH('prime256v1');
  try {
    curve.setPrivateKey(scalar);
    return curve.getPublicKey();
  } catch {
    return null;
  }
}

function starts(der: Uint8Array, part: Uint8Array, at: number): boolean {
  return Buffer.compare(der.subarray(at, at + part.length), part) === 0;
}
