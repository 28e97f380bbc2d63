// Entries as pages show them. What of a kind may be shown is decided here, kind by kind: an entry may hold what no
// page, log or file is to have (private keys).

import { packCertificate } from './certificate-wire.ts';
import type { Entry } from './ir.ts';

/** The compiler asks for a decision on each new kind. */
const SHOWN: { readonly [Kind in Entry['kind']]: (entry: Extract<Entry, { readonly kind: Kind }>) => unknown } = {
  socket: whole,
  gateway: whole,
  rule: whole,
  relay: whole,
  cluster: whole,
  endpoints: whole,
  certificate: (entry) => ({ ...packCertificate(entry), privateKey: '(hidden)' }),
  trust: whole,
  cells: whole,
};

export function shownEntry(entry: Entry): unknown {
  const show = SHOWN[entry.kind] as (entry: Entry) => unknown;
  return show(entry);
}

function whole(entry: Entry): unknown {
  return entry;
}
