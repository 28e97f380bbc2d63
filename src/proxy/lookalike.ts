// Fields that a backend may take for another one. Servers that hand fields on as variables (CGI, RFC 3875 section
// 4.1.18, and with it FastCGI, WSGI, Rack, PSGI, PHP) upper-case the name and turn what is no letter or digit into '_':
// to them `X_Forwarded_For` is `X-Forwarded-For`, and a field called `Proxy` is the variable by which programs are told
// to use one. So a client could say what only RAUTA may say. nginx drops every name with '_'; here only the dangerous
// ones go.

import { bytesOf } from '../base/bytes.ts';

const NAMES = ['proxy', 'content-length', 'transfer-encoding', 'x-real-ip', 'x-request-id'].map((name) =>
  bytesOf(name),
);
const PREFIX = bytesOf('x-forwarded-');
/** As X-Forwarded-Proto is, from ingress-nginx. */
const SCHEME = bytesOf('x-scheme');
/** Whose certificate was checked only RAUTA may say. */
const CERTIFICATE = bytesOf('x-forwarded-client-cert');
const HYPHEN = 0x2d;

/** 1 for the first letters of these. */
const FIRST = new Uint8Array(256);
for (const name of [...NAMES, PREFIX]) FIRST[name[0] as number] = 1;

/**
 * Whether the name [start, end), a token that is none of NAME, can be taken for a field of framing or for one in which
 * proxies tell of the client. `trusted`: X-Forwarded-Anything may be told, if written so, but not of certificates.
 */
export function isLookalike(mem: Uint8Array, start: number, end: number, trusted: boolean): boolean {
  if (FIRST[(mem[start] as number) | 0x20] === 0) return false;
  const length = end - start;
  if (length > PREFIX.length && equalLoosely(mem, start, PREFIX)) {
    return (
      !trusted || !isPlain(mem, start, end) || (length === CERTIFICATE.length && equalLoosely(mem, start, CERTIFICATE))
    );
  }
  if (length === SCHEME.length && equalLoosely(mem, start, SCHEME)) return !trusted || !isPlain(mem, start, end);
  for (let k = 0; k < NAMES.length; k++) {
    const name = NAMES[k] as Uint8Array;
    if (name.length === length && equalLoosely(mem, start, name)) return true;
  }
  return false;
}

/**
 * Whether a field of this name (a token, lower case), or what a backend takes for it, tells what only RAUTA may tell.
 */
export function isTelling(lower: string): boolean {
  const name = bytesOf(lower);
  return lower === 'forwarded' || isLookalike(name, 0, name.length, false);
}

function isPlain(mem: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (mem[i] !== HYPHEN && !isAlphanumeric((mem[i] as number) | 0x20)) return false;
  return true;
}

/** A digit or a letter in lower case. */
function isAlphanumeric(c: number): boolean {
  return (c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39);
}

/** What `isAlike` takes names for: `name` (a token, lower case) with '-' for each sign that is no letter or digit. */
export function looseName(name: string): Uint8Array {
  return bytesOf(name.replace(/[^a-z0-9]/g, '-'));
}

/** Whether the name [start, end) is the one of `loose`, or one that a backend may take for it. */
export function isAlike(mem: Uint8Array, start: number, end: number, loose: Uint8Array): boolean {
  return end - start === loose.length && equalLoosely(mem, start, loose);
}

/**
 * Whether mem[start..] is `name` (lower case), in any case and with anything but a letter or digit for each of its '-'.
 */
export function equalLoosely(mem: Uint8Array, start: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) {
    let c = mem[start + i] as number;
    if (c >= 0x41 && c <= 0x5a) c |= 0x20;
    if ((isAlphanumeric(c) ? c : HYPHEN) !== name[i]) return false;
  }
  return true;
}
