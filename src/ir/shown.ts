// Entries as pages show them. What of a kind may be shown is decided here, kind by kind: an entry may hold what no
// page, log or file is to have (private keys).

import type { Entry } from './ir.ts';

/** The compiler asks for a decision on each new kind. */
const SHOWN: { readonly [Kind in Entry['kind']]: (entry: Extract<Entry, { readonly kind: Kind }>) => unknown } = {
  socket: whole,
  gateway: whole,
  rule: whole,
  relay: whole,
  cluster: whole,
  endpoints: whole,
  certificate: (entry) => ({ ...entry, chain: entry.chain.map(base64Of), privateKey: '(hidden)' }),
  trust: whole,
  cells: whole,
};

export function shownEntry(entry: Entry): unknown {
  const show = SHOWN[entry.kind] as (entry: Entry) => unknown;
  return show(entry);
}

/** Of DER, one character a byte. */
export function base64Of(der: string): string {
  return Buffer.from(der, 'latin1').toString('base64');
}

function whole(entry: Entry): unknown {
  return entry;
}
