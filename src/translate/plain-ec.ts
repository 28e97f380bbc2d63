// Private keys on P-256 and P-384 in the two forms that programs write (RFC 5915 section 3, RFC 5958): scalar and point
// are where they always are. The scalar decides: its point is computed, not believed.

import { createECDH, type ECDH } from 'node:crypto';

const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex');

/** What stands in front of the scalar and between it and the point. */
interface Form {
  readonly head: Buffer;
  readonly middle: Buffer;
}

interface Curve {
  /** Of a scalar, in bytes; a point is two and one more (uncompressed, SEC 1 section 2.3.3). */
  readonly size: number;
  readonly pkcs8: Form;
  readonly sec1: Form;
}

const CURVES = {
  prime256v1: {
    size: 32,
    pkcs8: {
      head: bytesOf('308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420'),
      middle: bytesOf('a144034200'),
    },
    sec1: { head: bytesOf('30770201010420'), middle: bytesOf('a00a06082a8648ce3d030107a144034200') },
  },
  secp384r1: {
    size: 48,
    pkcs8: {
      head: bytesOf('3081b6020100301006072a8648ce3d020106052b8104002204819e30819b0201010430'),
      middle: bytesOf('a164036200'),
    },
    sec1: { head: bytesOf('3081a40201010430'), middle: bytesOf('a00706052b81040022a164036200') },
  },
} as const satisfies Readonly<Record<string, Curve>>;

export type CurveName = keyof typeof CURVES;

const MADE = new Map<CurveName, ECDH>();

export const P256_SCALAR_BYTES = CURVES.prime256v1.size;
export const P256_POINT_BYTES = 2 * P256_SCALAR_BYTES + 1;

/** Points of scalars on P-256, both one character a byte or more, computed by somebody else; null: not by him. */
type KnownPoints = (scalar: string) => Uint8Array | null;

let known: KnownPoints | null = null;

/** Of a scalar there is one point, whoever computes it; `null`: none is known beforehand. */
export function usePoints(points: KnownPoints | null): void {
  known = points;
}

/** The scalar of a key on P-256 in such a form (`label` of its PEM, `der` one character a byte), or null. */
export function p256ScalarOf(label: string, der: string): string | null {
  const { size, pkcs8, sec1 } = CURVES.prime256v1;
  const form = label === 'PRIVATE KEY' ? pkcs8 : label === 'EC PRIVATE KEY' ? sec1 : null;
  if (form === null) return null;
  const from = form.head.length;
  return der.startsWith(textOf(form.head)) && der.length > from + size ? der.slice(from, from + size) : null;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/**
 * PKCS#8 of a key, DER, if it is one on `name` in such a form and `point` (uncompressed) is what its scalar makes, and
 * what the key says of itself; null otherwise. `label`: of its PEM.
 */
export function plainEcKey(name: CurveName, label: string, der: Uint8Array, point: Uint8Array): Uint8Array | null {
  const { size, pkcs8, sec1 } = CURVES[name];
  const form = label === 'PRIVATE KEY' ? pkcs8 : label === 'EC PRIVATE KEY' ? sec1 : null;
  if (form === null) return null;
  const { head, middle } = form;
  const from = head.length + size;
  const own = from + middle.length;
  if (der.length !== own + 2 * size + 1 || !starts(der, head, 0) || !starts(der, middle, from)) return null;
  if (!starts(der, point, own)) return null;
  const scalar = der.subarray(head.length, from);
  const computed = pointOf(name, scalar);
  if (computed === null || !starts(der, computed, own)) return null;
  return form === pkcs8 ? der : Buffer.concat([pkcs8.head, scalar, pkcs8.middle, point]);
}

/** Uncompressed; null for a number that is no key of the curve. */
function pointOf(name: CurveName, scalar: Uint8Array): Uint8Array | null {
  const ahead = name === 'prime256v1' ? known?.(textOf(scalar)) : null;
  if (ahead != null) return ahead;
  const curve = MADE.get(name) ?? createECDH(name);
  MADE.set(name, curve);
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
