// RSA private keys in the two forms that programs write (RFC 8017 appendix A.1.2, RFC 5958), with two primes and strict
// DER. That their numbers belong together is computed, not believed: OpenSSL signs by the primes, and a key whose
// primes are another's would fail each handshake.

import { Strange, StrictDer } from './strict-der.ts';

const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex');
const [SEQUENCE, OCTET_STRING] = [0x30, 4];
const VERSION_0 = bytesOf('020100');
/** AlgorithmIdentifier of rsaEncryption (RFC 3279 section 2.3.1). */
export const RSA_ENCRYPTION = bytesOf('300d06092a864886f70d0101010500');

/** What an RSAPrivateKey holds, in its order; each a positive number, its bytes without a zero in front. */
interface Numbers {
  readonly n: Uint8Array;
  readonly e: Uint8Array;
  readonly d: Uint8Array;
  readonly p: Uint8Array;
  readonly q: Uint8Array;
  readonly dp: Uint8Array;
  readonly dq: Uint8Array;
  readonly qInv: Uint8Array;
}

/**
 * PKCS#8 of a key, DER, if it is one in such a form, its numbers belong together, and its public ones are `n` and `e`;
 * null otherwise. `label`: of its PEM.
 */
export function plainRsaKey(label: string, der: Uint8Array, n: Uint8Array, e: Uint8Array): Uint8Array | null {
  const wrapped = label === 'PRIVATE KEY';
  if (!wrapped && label !== 'RSA PRIVATE KEY') return null;
  const numbers = read(der, wrapped ? pkcs8 : pkcs1);
  if (numbers === null || !same(numbers.n, n) || !same(numbers.e, e)) return null;
  if (!belong(numbers) || !usual(numbers)) return null;
  return wrapped ? der : element(SEQUENCE, VERSION_0, RSA_ENCRYPTION, element(OCTET_STRING, der));
}

/** Whether the numbers of a key, PKCS#1 DER, do not belong together; one of other forms is not judged. */
export function isTornRsa(der: Uint8Array): boolean {
  const numbers = read(der, pkcs1);
  return numbers !== null && !belong(numbers);
}

function read(der: Uint8Array, form: (der: StrictDer) => Numbers): Numbers | null {
  try {
    const strict = new StrictDer(Buffer.from(der.buffer, der.byteOffset, der.length));
    const numbers = form(strict);
    strict.close(der.length);
    return numbers;
  } catch (error) {
    if (error instanceof Strange) return null;
    throw error;
  }
}

function pkcs8(der: StrictDer): Numbers {
  const end = der.open(SEQUENCE);
  der.expect(VERSION_0);
  der.expect(RSA_ENCRYPTION);
  const keyEnd = der.open(OCTET_STRING);
  const numbers = pkcs1(der);
  der.close(keyEnd);
  der.close(end);
  return numbers;
}

function pkcs1(der: StrictDer): Numbers {
  const end = der.open(SEQUENCE);
  // Of version 1 there are more than two primes.
  der.expect(VERSION_0);
  const [n, e, d] = [der.positive(), der.positive(), der.positive()];
  const [p, q, dp, dq, qInv] = [der.positive(), der.positive(), der.positive(), der.positive(), der.positive()];
  der.close(end);
  return { n, e, d, p, q, dp, dq, qInv };
}

/** What makes a signature by the primes right (RFC 8017 section 3.2), as far as they are primes. */
function belong(numbers: Numbers): boolean {
  // No prime of it is longer; numbers as long as a file would take seconds.
  const most = numbers.n.length;
  if (numbers.p.length > most || numbers.q.length > most) return false;
  const [p, q, e] = [number(numbers.p), number(numbers.q), number(numbers.e)];
  if (p < 3n || q < 3n || p * q !== number(numbers.n)) return false;
  const inverse = (exponent: Uint8Array, prime: bigint): boolean => (e * number(exponent)) % (prime - 1n) === 1n;
  return inverse(numbers.dp, p) && inverse(numbers.dq, q) && (number(numbers.qInv) * q) % p === 1n;
}

/** Exponents are what their primes make them, none larger than it has to be; others are the library's to judge. */
function usual({ n, e, d, p, q, dp, dq, qInv }: Numbers): boolean {
  const [exponent, secret, first, second] = [number(e), number(d), number(p), number(q)];
  const product = exponent * secret;
  if (product % (first - 1n) !== 1n || product % (second - 1n) !== 1n) return false;
  return secret < number(n) && number(dp) < first && number(dq) < second && number(qInv) < first;
}

function number(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')}`);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** An element of at most 64 KB. */
function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head =
    length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Uint8Array.from(head), ...parts]);
}
