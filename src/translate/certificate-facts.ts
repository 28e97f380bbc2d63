// What people are told of the certificates that listeners show: never a key. Pure, the time is given.

import { X509Certificate } from 'node:crypto';
import type { Problem } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import type { CertificateEntry, Entry, Key } from '../ir/ir.ts';
import { parseKey, secretOfCertificate } from '../ir/keys.ts';
import { keyText, namesOf, type ServerCertificate } from './certificate.ts';
import { compare } from './dependencies.ts';

export type CertificateState = 'valid' | 'expiring' | 'expired' | 'not_yet_valid';

export interface CertificateFacts {
  /** `NAMESPACE/NAME` of its Secret. */
  readonly certificate: string;
  /** Shown to backends rather than to clients. */
  readonly client: boolean;
  readonly state: CertificateState;
  /** DNS names and addresses of its subjectAltName. */
  readonly names: readonly string[];
  /** `NAMESPACE/NAME LISTENER` of whoever shows it, and sockets whose default it is, in order. */
  readonly listeners: readonly string[];
  /** Unix milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** In hexadecimal digits. */
  readonly sha256: string;
  /** `ECDSA prime256v1`, `RSA 2048`, `Ed25519`. */
  readonly key: string;
  /** Whether an OCSP response is shown with it. */
  readonly staple: StapleState;
  /** From when until when, Unix milliseconds; 0 for none. */
  readonly stapleFrom: number;
  readonly stapleUntil: number;
}

export type StapleState = 'none' | 'good' | 'expired' | 'not_yet_valid';

type Known = Pick<CertificateFacts, 'names' | 'notBefore' | 'notAfter' | 'key'>;
const KNOWN = new WeakMap<CertificateEntry, Known>();

/** Of every certificate in the configuration, that which ends first in front. `nowMs`: Unix milliseconds. */
export function certificateFacts(entries: Iterable<Entry>, nowMs: number): CertificateFacts[] {
  const certificates: CertificateEntry[] = [];
  const listeners = new Map<Key, Set<string>>();
  for (const entry of entries) {
    if (entry.kind === 'certificate') certificates.push(entry);
    if (entry.kind === 'cluster' && entry.tls !== null && entry.tls.certificate !== null) {
      const shown = listeners.get(entry.tls.certificate) ?? new Set();
      listeners.set(entry.tls.certificate, shown.add(`to backend ${entry.backend}`));
    }
    if (entry.kind !== 'socket') continue;
    for (const key of entry.fallback?.certificates ?? []) {
      const shown = listeners.get(key) ?? new Set();
      listeners.set(key, shown.add(`default of ${entry.address} port ${entry.port}`));
    }
    for (const { gateway, listener, tls } of entry.hosts) {
      for (const key of tls?.certificates ?? []) {
        const shown = listeners.get(key) ?? new Set();
        listeners.set(key, shown.add(`${nameOf(gateway)} ${listener}`));
      }
    }
  }
  return certificates
    .map((entry): CertificateFacts => {
      const known = knownOf(entry);
      return {
        certificate: nameOf(entry.key),
        client: isClient(entry.key),
        state: stateOf(known, nowMs),
        ...known,
        listeners: [...(listeners.get(entry.key) ?? [])].sort(),
        sha256: entry.fingerprint,
        staple: stapleOf(entry, nowMs),
        stapleFrom: entry.stapleFrom,
        stapleUntil: entry.stapleUntil,
      };
    })
    .sort((a, b) => a.notAfter - b.notAfter || compare(a.certificate, b.certificate));
}

export interface CertificateNumbers {
  readonly states: Readonly<Record<CertificateState, number>>;
  readonly staples: Readonly<Record<StapleState, number>>;
  /** Those that end first, in order, at most LIMITS.CERTIFICATES_EXPOSED. */
  readonly soonest: readonly Pick<CertificateFacts, 'certificate' | 'notAfter'>[];
}

/** What is counted of them. */
export function certificateNumbers(entries: Iterable<Entry>, nowMs: number): CertificateNumbers {
  const states = { valid: 0, expiring: 0, expired: 0, not_yet_valid: 0 };
  const staples = { none: 0, good: 0, expired: 0, not_yet_valid: 0 };
  const first: CertificateEntry[] = [];
  const sooner = (a: CertificateEntry, b: CertificateEntry): number =>
    knownOf(a).notAfter - knownOf(b).notAfter || compare(nameOf(a.key), nameOf(b.key));
  for (const entry of entries) {
    if (entry.kind !== 'certificate') continue;
    states[stateOf(knownOf(entry), nowMs)]++;
    staples[stapleOf(entry, nowMs)]++;
    const last = first.at(-1);
    if (first.length < LIMITS.CERTIFICATES_EXPOSED) first.push(entry);
    else if (last !== undefined && sooner(entry, last) < 0) first[first.length - 1] = entry;
    else continue;
    first.sort(sooner);
  }
  const soonest = first.map((entry) => ({ certificate: nameOf(entry.key), notAfter: knownOf(entry).notAfter }));
  return { states, staples, soonest };
}

function stapleOf({ staple, stapleFrom, stapleUntil }: CertificateEntry, nowMs: number): StapleState {
  if (staple === '') return 'none';
  if (nowMs < stapleFrom) return 'not_yet_valid';
  return nowMs < stapleUntil ? 'good' : 'expired';
}

/** Those that clients refuse, or soon will. What is said changes with each day that is left. */
export function expiryProblems(facts: readonly CertificateFacts[], nowMs: number): Problem[] {
  const problems: Problem[] = [];
  for (const { certificate, state, notBefore, notAfter, staple, stapleFrom, stapleUntil, client } of facts) {
    const who = client ? 'backends' : 'clients';
    const place = { object: `Secret/${certificate}` };
    if (staple === 'expired') {
      const message = `The OCSP response ended on ${dateText(stapleUntil)}: none is shown.`;
      problems.push({ severity: 'warning', message, place });
    }
    if (staple === 'not_yet_valid') {
      const message = `The OCSP response holds from ${dateText(stapleFrom)} on: none is shown before.`;
      problems.push({ severity: 'warning', message, place });
    }
    if (state === 'valid') continue;
    const [ends, begins] = [dateText(notAfter), dateText(notBefore)];
    const message =
      state === 'not_yet_valid'
        ? `The certificate is not valid before ${begins}: ${who} refuse it.`
        : state === 'expired'
          ? `The certificate expired ${daysText(nowMs - notAfter)} ago, on ${ends}: ${who} refuse it.`
          : `The certificate expires in ${daysText(notAfter - nowMs)}, on ${ends}.`;
    problems.push({ severity: 'warning', message, place });
  }
  return problems;
}

/** What was found when the entry was made, so that its certificate is not read again. */
export function remember(entry: CertificateEntry, { names, notBefore, notAfter, keyKind }: ServerCertificate): void {
  KNOWN.set(entry, { names, notBefore, notAfter, key: keyKind });
}

function knownOf(entry: CertificateEntry): Known {
  let known = KNOWN.get(entry);
  if (known === undefined) {
    const own = new X509Certificate(Buffer.from(entry.chain[0] as string, 'latin1'));
    known = {
      names: namesOf(own),
      notBefore: own.validFromDate.getTime(),
      notAfter: own.validToDate.getTime(),
      key: keyText(own.publicKey),
    };
    KNOWN.set(entry, known);
  }
  return known;
}

function stateOf({ notBefore, notAfter }: Known, nowMs: number): CertificateState {
  if (nowMs > notAfter) return 'expired';
  if (nowMs < notBefore) return 'not_yet_valid';
  return notAfter - nowMs < LIMITS.CERTIFICATE_EXPIRING_MS ? 'expiring' : 'valid';
}

const DAY_MS = 86_400_000;

function daysText(ms: number): string {
  const days = Math.floor(ms / DAY_MS);
  return days === 0 ? 'less than a day' : days === 1 ? '1 day' : `${days} days`;
}

/** Unix milliseconds as people read them, to the second where they are whole ones. */
export function dateText(ms: number): string {
  return new Date(ms).toISOString().replace('.000', '');
}

/** NAMESPACE/NAME of an entry's key. */
function isClient(key: Key): boolean {
  const parsed = parseKey(key);
  return parsed.kind === 'certificate' && secretOfCertificate(parsed.name).client;
}

function nameOf(key: Key): string {
  const parsed = parseKey(key);
  if (parsed.kind === 'certificate') return `${parsed.namespace}/${secretOfCertificate(parsed.name).secret}`;
  return 'namespace' in parsed ? `${parsed.namespace}/${parsed.name}` : key;
}
