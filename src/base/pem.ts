// Blocks of PEM (RFC 7468): text around them is left out, what stands within them is decoded strictly.

import { plainBase64 } from './base64.ts';
import { LIMITS } from './limits.ts';

export interface PemText {
  /** `CERTIFICATE`, `PRIVATE KEY`. */
  readonly label: string;
  /** DER, one character a byte. */
  readonly text: string;
}

export interface PemBlock extends PemText {
  readonly der: Uint8Array;
}

const BEGIN = '-----BEGIN ';
const DASHES = '-----';
/** What a message may name: where dashes are missing, all that is read as the label may be the key itself. */
const LABEL = /^[A-Z][A-Z0-9 ]{0,31}$/;

/**
 * Certificates that many have above their own: read once, and one text for all. By what stands between the lines that
 * begin and end them.
 */
export class KnownIssuers {
  readonly #blocks = new Map<string, PemText>();

  get(body: string): PemText | undefined {
    return this.#blocks.get(body);
  }

  add(body: string, { text }: PemText): void {
    if (this.#blocks.size >= LIMITS.ISSUERS_KEPT) this.#blocks.clear();
    // A copy: a slice would hold what it is of, as the label of its block would.
    this.#blocks.set(Buffer.from(body).toString(), { label: CERTIFICATE, text });
  }
}

const CERTIFICATE = 'CERTIFICATE';

/** The blocks of `text` in order; a message for one that does not end, or whose content is not Base64. */
export function readPem(text: string): readonly PemBlock[] | string {
  const blocks = readPemTexts(text, null);
  return typeof blocks === 'string' ? blocks : blocks.map(pemBlock);
}

/** With its bytes. */
export function pemBlock({ label, text }: PemText): PemBlock {
  return { label, text, der: Buffer.from(text, 'latin1') };
}

/**
 * The same without bytes. `issuers`: what was read of certificates behind the first block; of nothing else, for a key
 * goes with whoever has it.
 */
export function readPemTexts(text: string, issuers: KnownIssuers | null): readonly PemText[] | string {
  const blocks: PemText[] = [];
  for (let at = text.indexOf(BEGIN); at >= 0; at = text.indexOf(BEGIN, at)) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    const label = labelEnd < 0 ? '' : text.slice(at + BEGIN.length, labelEnd);
    if (!LABEL.test(label)) return `a line that begins with "${BEGIN}" does not end with "${DASHES}"`;
    const from = labelEnd + DASHES.length;
    const to = text.indexOf(`-----END ${label}${DASHES}`, from);
    if (to < 0) return `"${BEGIN}${label}${DASHES}" has no "-----END ${label}${DASHES}"`;
    const body = text.slice(from, to);
    at = to + DASHES.length;
    const above = issuers !== null && blocks.length > 0 && label === CERTIFICATE ? issuers : null;
    const known = above?.get(body);
    const block = known ?? blockOf(label, body);
    if (typeof block === 'string') return block;
    if (known === undefined) above?.add(body, block);
    blocks.push(block);
  }
  return blocks;
}

function blockOf(label: string, body: string): PemText | string {
  const plain = plainBase64(body);
  if (plain !== null && plain.length > 0) return { label, text: plain };
  // Header fields in front of the Base64 are those of encrypted keys (RFC 1421).
  if (body.includes(':')) return `${label} is encrypted`;
  const base64 = body.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return `${label} is not Base64`;
  return { label, text: Buffer.from(base64, 'base64').toString('latin1') };
}
