// Lists of revoked certificates (RFC 5280 section 5) that are over, not begun, or of nobody: while such a list is in
// use everybody is refused whose authority it is of, so that is told. Pure, the time is given.

import { X509Certificate } from 'node:crypto';
import type { Problem } from '../api/problem.ts';
import type { Entry, Key, TrustEntry } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import { dateText } from './certificate-facts.ts';
import { type Element, elementAt, TAG, tbsFieldsOf, timeOf, within } from './der.ts';

interface List {
  /** The issuer's name, DER in hexadecimal digits. */
  readonly issuer: string;
  /** thisUpdate and nextUpdate, Unix milliseconds; NaN: it does not say. */
  readonly from: number;
  readonly until: number;
}

const READ = new WeakMap<TrustEntry, readonly (List | null)[]>();
/** Of the authorities of an entry: names, DER in hexadecimal digits, and as people write them. */
const NAMES = new WeakMap<TrustEntry, ReadonlyMap<string, string>>();

/** `nowMs`: Unix milliseconds. */
export function revocationProblems(entries: Iterable<Entry>, nowMs: number): Problem[] {
  const problems: Problem[] = [];
  for (const entry of entries) {
    if (entry.kind !== 'trust' || entry.revoked.length === 0) continue;
    const names = namesOf(entry);
    for (const list of listsOf(entry)) {
      const said =
        list === null
          ? 'A list of revoked certificates (ca.crl) cannot be read: certificates of authorities without another are refused.'
          : about(list, names, nowMs);
      if (said !== '') problems.push({ severity: 'warning', message: said, place: { object: ownerOf(entry.key) } });
    }
  }
  return problems;
}

function about({ issuer, from, until }: List, names: ReadonlyMap<string, string>, nowMs: number): string {
  const name = names.get(issuer);
  if (name === undefined)
    return 'A list of revoked certificates (ca.crl) is of none of the authorities beside it, and revokes nothing.';
  const refused = `certificates of ${name} are refused`;
  if (nowMs > until)
    return `The list of revoked certificates of ${name} ended on ${dateText(until)}: ${refused} until there is a newer one.`;
  return nowMs < from
    ? `The list of revoked certificates of ${name} begins on ${dateText(from)}: ${refused} before.`
    : '';
}

function listsOf(entry: TrustEntry): readonly (List | null)[] {
  let lists = READ.get(entry);
  if (lists === undefined) {
    lists = entry.revoked.map((der) => readList(Buffer.from(der, 'base64')));
    READ.set(entry, lists);
  }
  return lists;
}

/** tbsCertList: version, signature, issuer, thisUpdate, nextUpdate (RFC 5280 section 5.1); null when it is none. */
function readList(der: Uint8Array): List | null {
  const fields = within(within(elementAt(der, 0))?.[0]);
  const at = fields?.[0]?.tag === TAG.INTEGER ? 1 : 0;
  const [, issuer, from, until] = fields?.slice(at) ?? [];
  const begins = timeOf(from);
  if (issuer?.tag !== TAG.SEQUENCE || Number.isNaN(begins)) return null;
  return { issuer: hexOf(issuer), from: begins, until: timeOf(until) };
}

function namesOf(entry: TrustEntry): ReadonlyMap<string, string> {
  let names = NAMES.get(entry);
  if (names === undefined) {
    names = new Map(
      entry.authorities.map((der) => {
        const authority = new X509Certificate(Buffer.from(der, 'base64'));
        return [subjectOf(authority), authority.subject.split('\n').join(', ')];
      }),
    );
    NAMES.set(entry, names);
  }
  return names;
}

function subjectOf({ raw }: X509Certificate): string {
  const [, , , , subject] = tbsFieldsOf(raw);
  return subject === undefined ? '' : hexOf(subject);
}

function hexOf({ whole }: Element): string {
  return Buffer.from(whole).toString('hex');
}

/** Whose authorities they are: of a Gateway (`NAME:PORT` in the key), or of a policy (`KIND:NAME`). */
function ownerOf(key: Key): string {
  const parsed = parseKey(key);
  if (parsed.kind !== 'trust') return key;
  const [first = '', second = ''] = parsed.name.split(':');
  const [kind, name] = first === 'BackendTLSPolicy' ? [first, second] : ['Gateway', first];
  return `${kind}/${parsed.namespace}/${name}`;
}
