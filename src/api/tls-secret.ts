// Certificates and keys of Secrets as they are kept. Thousands of them are most of what a configuration holds, and
// Base64 of PEM is twice as long as what it says: of the two values that TLS reads, the blocks of PEM are kept instead,
// and one copy of the certificates that many have above their own.

import { fields } from '../base/fields.ts';
import { KnownIssuers, type PemBlock, pemBlock, readPem, readPemTexts } from '../base/pem.ts';
import type { KubeObject } from './object.ts';

/** Blocks in their order, or why there are none. */
export type Pem = readonly PemBlock[] | string;

/** In the place of a value: of each block its label, then its DER, one character a byte. */
interface KeptPem {
  readonly pem: readonly string[];
}

const KEPT = ['tls.crt', 'tls.key'] as const;

/**
 * A Secret as it is to be kept, which holds no other text alive; what is no PEM stays as it is, to be judged where it
 * is used. Others as they are, this one too when it is of that form already.
 */
export function keptSecret(object: KubeObject): KubeObject {
  if (object.kind !== 'Secret') return object;
  const data = fields(object['data']);
  const names = Object.keys(data);
  if (!names.some((name) => typeof data[name] === 'string')) return object;
  const kept: Record<string, unknown> = Object.create(null);
  for (const name of names) kept[name] = keptValue(name, data[name]);
  return { ...object, data: { ...kept } };
}

/** What `name` of a Secret says: `stringData` as it stands wins over `data`, which is Base64 (core/v1 Secret). */
export function pemOf(secret: KubeObject, name: string): Pem {
  const plain = fields(secret['stringData'])[name];
  const value = fields(secret['data'])[name];
  if (isKept(value) && plain === undefined) return blocksOf(value);
  return readPem(typeof plain === 'string' ? plain : typeof value === 'string' ? decoded(value) : '');
}

function keptValue(name: string, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const kept = KEPT.some((one) => one === name) ? keptPem(decoded(value)) : null;
  // A slice would hold the whole text that it is of.
  return kept ?? Buffer.from(value).toString();
}

/** What is kept of PEM; null where it holds none, or is wrong. */
export function keptPem(text: string): object | null {
  const read = readPemTexts(text, ISSUERS);
  if (typeof read === 'string' || read.length === 0) return null;
  const pem: string[] = [];
  for (const { label, text: der } of read) pem.push(labelOf(label), der);
  // Without room to grow.
  return { pem: pem.slice() } satisfies KeptPem;
}

function isKept(value: unknown): value is KeptPem {
  return typeof value === 'object' && value !== null && Array.isArray((value as Partial<KeptPem>).pem);
}

function blocksOf({ pem }: KeptPem): PemBlock[] {
  const blocks: PemBlock[] = [];
  for (let i = 0; i + 1 < pem.length; i += 2) {
    blocks.push(pemBlock({ label: pem[i] as string, text: pem[i + 1] as string }));
  }
  return blocks;
}

const ISSUERS = new KnownIssuers();
const LABELS = ['CERTIFICATE', 'PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY'];

/** Not the slice of a text that is to go. */
function labelOf(label: string): string {
  return LABELS.find((known) => known === label) ?? Buffer.from(label).toString();
}

function decoded(base64: string): string {
  return Buffer.from(base64, 'base64').toString('latin1');
}
