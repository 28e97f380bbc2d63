// Which fields of a message may be edited, and what a value may be.

/**
 * Fields that frame a message or belong to one connection: editing them would corrupt it (RFC 9110 section 7.6.1, RFC
 * 9112 section 6).
 */
const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export type Side = 'request' | 'response';

/** Why a field must not be edited on this side, or null. */
export function editFault(side: Side, name: string): string | null {
  const lower = name.toLowerCase();
  if (FRAMING.has(lower))
    return `${name} belongs to the connection and its framing, and cannot be edited: leave it out.`;
  if (side === 'request' && lower === 'host')
    return 'Host cannot be edited so: write a filter of type URLRewrite with urlRewrite.hostname.';
  if (side === 'request' && lower === 'expect')
    return 'Expect is answered by the proxy and cannot be edited: leave it out.';
  return null;
}

/** Field values without control bytes (RFC 9110 section 5.5). */
export const FIELD_VALUE = /^(?:\t|[^\p{Cc}])*$/u;
