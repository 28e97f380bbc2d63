// Reads DER (X.690) one element after the other, as far as certificates and OCSP responses need it. What does not fit
// is null, never an exception.

export const TAG = {
  INTEGER: 2,
  BIT_STRING: 3,
  OCTET_STRING: 4,
  OID: 6,
  ENUMERATED: 10,
  UTC_TIME: 23,
  TIME: 24,
  SEQUENCE: 48,
} as const;
/** A context-specific tag that holds others: [n]. */
export const context = (n: number): number => 0xa0 + n;

export interface Element {
  readonly tag: number;
  /** With tag and length. */
  readonly whole: Uint8Array;
  readonly body: Uint8Array;
}

/** The element at `at`; null when there is none that is whole. Tags of one byte, lengths up to 16 MB. */
export function elementAt(bytes: Uint8Array, at: number): Element | null {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined || (tag & 31) === 31) return null;
  let start = at + 2;
  let length = first;
  if (first >= 128) {
    const digits = first - 128;
    if (digits < 1 || digits > 3) return null;
    length = 0;
    for (let i = 0; i < digits; i++) length = length * 256 + (bytes[start + i] ?? 0);
    start += digits;
  }
  const end = start + length;
  return end > bytes.length ? null : { tag, whole: bytes.subarray(at, end), body: bytes.subarray(start, end) };
}

/** The elements that `bytes` are, all of them; null when they are not. */
export function elementsOf(bytes: Uint8Array): readonly Element[] | null {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = elementAt(bytes, at);
    if (element === null) return null;
    found.push(element);
    at += element.whole.length;
  }
  return found;
}

/** What a SEQUENCE, or whatever has `tag`, holds; null when `element` is none. */
export function within(element: Element | null | undefined, tag: number = TAG.SEQUENCE): readonly Element[] | null {
  return element?.tag === tag ? elementsOf(element.body) : null;
}

/** OBJECT IDENTIFIER in dotted form; '' when `element` is none. */
export function oidOf(element: Element | null | undefined): string {
  if (element?.tag !== TAG.OID || element.body.length === 0) return '';
  const parts: number[] = [];
  let value = 0;
  for (const byte of element.body) {
    value = value * 128 + (byte & 127);
    if (byte >= 128) continue;
    if (parts.length === 0)
      parts.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else parts.push(value);
    value = 0;
  }
  return parts.join('.');
}

/** A time as RFC 5280 section 4.1.2.5 has it: Unix milliseconds, NaN when `element` is none. */
export function timeOf(element: Element | null | undefined): number {
  const text = Buffer.from(element?.body ?? []).toString('latin1');
  // Two digits of a year from 50 on are of the last century (RFC 5280 section 4.1.2.5.1).
  const whole = element?.tag === TAG.UTC_TIME ? `${text < '5' ? '20' : '19'}${text}` : text;
  if (element?.tag !== TAG.TIME && element?.tag !== TAG.UTC_TIME) return Number.NaN;
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(whole);
  if (match === null) return Number.NaN;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** serialNumber, signature, issuer, validity, subject ... of a certificate (RFC 5280 section 4.1); none: it is none. */
export function tbsFieldsOf(certificate: Uint8Array): readonly Element[] {
  const fields = within(within(elementAt(certificate, 0))?.[0]) ?? [];
  // [0] is the version, which may be left out.
  return fields[0]?.tag === context(0) ? fields.slice(1) : fields;
}
