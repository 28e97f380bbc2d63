// Secrets that replicas share, as text: base64 a line, the first in use and the others still accepted; empty lines and
// those that begin with # are nothing (--keys-file, --keys-secret).

import { LIMITS } from './limits.ts';

/** What a secret is at the least: as much as comes out of HMAC-SHA-256 (RFC 5869 section 3.1 asks for no more). */
const SECRET_BYTES = 32;
const LINE = /^[A-Za-z0-9+/]+={0,2}$/;

/** The secrets of a text, in order, at least one. Throws Error with the line's number, never with its text. */
export function secretsOf(text: string): Buffer[] {
  const secrets: Buffer[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const secret = LINE.test(line) ? Buffer.from(line, 'base64') : Buffer.alloc(0);
    if (secret.length < SECRET_BYTES)
      throw new Error(`line ${i + 1} is not the base64 of ${SECRET_BYTES} bytes or more`);
    secrets.push(secret);
  }
  if (secrets.length === 0) throw new Error('has no key');
  if (secrets.length > LIMITS.TLS_TICKET_KEYS) throw new Error(`has more than ${LIMITS.TLS_TICKET_KEYS} keys`);
  return secrets;
}

/** The text of secrets, as secretsOf() reads it. */
export function textOfSecrets(secrets: readonly Buffer[]): string {
  return secrets.map((secret) => `${secret.toString('base64')}\n`).join('');
}
