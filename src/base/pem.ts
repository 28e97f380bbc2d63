// Blocks of PEM (RFC 7468): text around them is left out, what stands within them is decoded strictly.

import { plainBase64 } from './base64.ts';

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`. */
  readonly label: string;
  readonly der: Uint8Array;
  /** The same, one character a byte. */
  readonly text: string;
}

const BEGIN = '-----BEGIN ';
const DASHES = '-----';
/** What a message may name: where dashes are missing, all that is read as the label may be the key itself. */
const LABEL = /^[A-Z][A-Z0-9 ]{0,31}$/;

/** The blocks of `text` in order; a message for one that does not end, or whose content is not Base64. */
export function readPem(text: string): readonly PemBlock[] | string {
  const blocks: PemBlock[] = [];
  for (let at = text.indexOf(BEGIN); at >= 0; at = text.indexOf(BEGIN, at)) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    const label = labelEnd < 0 ? '' : text.slice(at + BEGIN.length, labelEnd);
    if (!LABEL.test(label)) return `a line that begins with "${BEGIN}" does not end with "${DASHES}"`;
    const from = labelEnd + DASHES.length;
    const to = text.indexOf(`-----END ${label}${DASHES}`, from);
    if (to < 0) return `"${BEGIN}${label}${DASHES}" has no "-----END ${label}${DASHES}"`;
    const body = text.slice(from, to);
    at = to + DASHES.length;
    const plain = plainBase64(body);
    if (plain !== null && plain.length > 0) {
      blocks.push({ label, der: plain, text: plain.toString('latin1') });
      continue;
    }
    // Header fields in front of the Base64 are those of encrypted keys (RFC 1421).
    if (body.includes(':')) return `${label} is encrypted`;
    const base64 = body.replace(/\s+/g, '');
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return `${label} is not Base64`;
    const der = Buffer.from(base64, 'base64');
    blocks.push({ label, der, text: der.toString('latin1') });
  }
  return blocks;
}
