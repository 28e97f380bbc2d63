// Where an Ingress sends clients instead of to a backend (permanent-redirect, app-root, from-to-www-redirect), and the
// other hosts that it is served under (server-alias).

import type { Redirect } from '../ir/ir.ts';
import { isHostname, isPreciseHostname } from './hostname.ts';
import { NGINX } from './ingress-nginx.ts';
import type { Annotations, Reading } from './ingress-read.ts';
import { shown } from './read.ts';

const REDIRECT_CODES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
export const ALIAS = `${NGINX}server-alias`;
export const WWW_REDIRECT = `${NGINX}from-to-www-redirect`;
const APP_ROOT = `${NGINX}app-root`;
const WWW = 'www.';

export function redirectOf(read: Annotations): Reading<Redirect | null> {
  const permanent = targetOf(read, `${NGINX}permanent-redirect`);
  const temporal = targetOf(read, `${NGINX}temporal-redirect`);
  const permanentCode = codeOf(read, `${NGINX}permanent-redirect-code`, 301);
  const temporalCode = codeOf(read, `${NGINX}temporal-redirect-code`, 302);
  const refused = permanent.refused ?? temporal.refused;
  // As in ingress-nginx the temporal one comes first.
  const [target, status] = temporal.value === null ? [permanent.value, permanentCode] : [temporal.value, temporalCode];
  if (target === null) return { value: null, refused };
  const { url, keepsPath } = target;
  const port = url.port === '' ? null : Number(url.port);
  const path = keepsPath ? null : ({ type: 'ReplaceFullPath', value: url.pathname } as const);
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  return { value: { scheme, hostname: url.hostname, port, path, status }, refused };
}

interface Target {
  readonly url: URL;
  /** Path and query stay those of the request. */
  readonly keepsPath: boolean;
}

/** What stands behind the host and means that path and query stay. */
const REQUEST_URI = /^(https?:\/\/[^/?#$]+)\/?\$request_uri$/;

function targetOf(read: Annotations, name: string): Reading<Target | null> {
  const value = read.text(name);
  if (value === null) return { value: null, refused: null };
  const [, origin] = REQUEST_URI.exec(value) ?? [];
  const written = origin ?? value;
  const url = URL.canParse(written) ? new URL(written) : null;
  const plain = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.search + url.hash === '';
  // Workers put no other name in front of a path, and refuse a revision that has one.
  if (plain && isPreciseHostname(url.hostname) && !written.includes('$'))
    return { value: { url, keepsPath: origin !== undefined }, refused: null };
  const like = 'must be a whole URL with a host name like https://www.example.com/new (or, to keep path and query,';
  const without = 'https://www.example.com$request_uri), without query, fragment and other variables';
  const message = `${like} ${without}, not ${shown(value)}`;
  read.wrong(name, message);
  return { value: null, refused: `${name}: ${message}` };
}

function codeOf(read: Annotations, name: string, fallback: Redirect['status']): Redirect['status'] {
  const value = read.text(name);
  if (value === null) return fallback;
  const code = Number(value);
  if (REDIRECT_CODES.has(code)) return code as Redirect['status'];
  const codes = [...REDIRECT_CODES].join(', ');
  read.wrong(name, `must be one of ${codes}, not ${shown(value)}: ${fallback} is sent`);
  return fallback;
}

/** Of who asks for / alone. */
export function appRootOf(read: Annotations): Redirect | null {
  const value = read.text(APP_ROOT);
  if (value === null) return null;
  if (value.startsWith('/') && value !== '/' && !/[?#\s$]/.test(value)) {
    return { scheme: null, hostname: null, port: null, path: { type: 'ReplaceFullPath', value }, status: 302 };
  }
  const like = 'must be a path like /app, without query and variables';
  read.wrong(APP_ROOT, `${like}, not ${shown(value)}: / is served as it is.`);
  return null;
}

export function aliasesOf(read: Annotations): readonly string[] {
  const value = read.text(ALIAS);
  const found = new Set<string>();
  for (const item of value?.split(',') ?? []) {
    const name = item.trim().toLowerCase();
    if (name === '') continue;
    if (isHostname(name)) found.add(name);
    else
      read.wrong(ALIAS, `${shown(item.trim())} is not a host name like app.example.com or *.example.com: not served.`);
  }
  return [...found];
}

export function wwwOf(read: Annotations): boolean {
  return read.flag(WWW_REDIRECT, false);
}

/** The one of a pair of hosts that `name` is the other of; null when there is none. */
export function otherOfWww(name: string): string | null {
  const other = name.startsWith(WWW) ? name.slice(WWW.length) : `${WWW}${name}`;
  return isPreciseHostname(name) && isPreciseHostname(other) ? other : null;
}
