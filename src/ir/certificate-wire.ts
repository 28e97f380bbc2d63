// A certificate's entry as it travels: what it says as JSON, and behind that the bytes of its chain and of its key,
// which JSON has no short form for. Ten thousand of them are most of what a configuration weighs.

import { isFields } from '../base/fields.ts';
import type { CertificateEntry } from './ir.ts';

/** First byte of one; JSON begins with another. */
const MARK = 0;
const HEAD_BYTES = 5;

/** In the place of what stands behind: how many bytes it is. Fields in ascending order, as in all entries. */
interface Said extends Omit<CertificateEntry, 'chain' | 'privateKey'> {
  readonly chain: readonly number[];
  readonly privateKey: number;
}

export function packCertificate({ chain, privateKey, ...entry }: CertificateEntry): Buffer {
  const { fingerprint, key, kind, staple, stapleFrom, stapleUntil } = entry;
  const lengths = chain.map((der) => der.length);
  const own = { chain: lengths, fingerprint, key, kind, privateKey: privateKey.length };
  const said: Said = { ...own, staple, stapleFrom, stapleUntil };
  const text = JSON.stringify(said);
  const textBytes = Buffer.byteLength(text);
  const bytes = lengths.reduce((sum, length) => sum + length, HEAD_BYTES + textBytes + privateKey.length);
  const out = Buffer.allocUnsafe(bytes);
  out[0] = MARK;
  out.writeUInt32LE(textBytes, 1);
  let at = HEAD_BYTES + out.write(text, HEAD_BYTES);
  for (const der of chain) at += out.write(der, at, 'latin1');
  out.write(privateKey, at, 'latin1');
  return out;
}

export function isPackedCertificate(bytes: Uint8Array): boolean {
  return bytes[0] === MARK;
}

/** What it says, to be checked as any entry is; null where lengths do not fit the bytes. Throws for what is no JSON. */
export function unpackCertificate(given: Uint8Array, parse: (text: Uint8Array) => unknown): unknown {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.length);
  if (bytes.length < HEAD_BYTES) return null;
  let at = HEAD_BYTES + bytes.readUInt32LE(1);
  const said = parse(bytes.subarray(HEAD_BYTES, at));
  if (!isFields(said) || !Array.isArray(said['chain'])) return null;
  const next = (length: unknown): string | null => {
    if (!Number.isInteger(length) || (length as number) < 0 || at + (length as number) > bytes.length) return null;
    const from = at;
    at += length as number;
    return bytes.toString('latin1', from, at);
  };
  const chain = said['chain'].map(next);
  const privateKey = next(said['privateKey']);
  return at === bytes.length ? { ...said, chain, privateKey } : null;
}
