// What annotations of an Ingress mean here: RAUTA's own, and those of ingress-nginx that can be served as they were
// meant. Of the others each is told of; where one would have kept somebody out, its Ingress is not served without it.

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import type { Filter, Redirect } from '../ir/ir.ts';
import { type BackendProtocol, PROTOCOL_ANNOTATION, writtenProtocol } from './backend-protocol.ts';
import { isPreciseHostname } from './hostname.ts';
import { isToken } from './http-match.ts';
import { accessOf } from './ingress-access.ts';
import { authOf, type IngressAuth } from './ingress-auth.ts';
import { NGINX, nginxAnnotation } from './ingress-nginx.ts';
import { shown } from './read.ts';

const OWN = 'rauta.io/';

export interface IngressSettings {
  /** Cleartext requests for hosts of spec.tls are sent to https. */
  readonly sslRedirect: boolean;
  /** Those for any host are. */
  readonly forceSslRedirect: boolean;
  /** Paths of type ImplementationSpecific are regular expressions. */
  readonly regex: boolean;
  /** Instead of any backend. */
  readonly redirect: Redirect | null;
  readonly filters: readonly Filter[];
  /** Who is asked about each request; null: nobody. */
  readonly auth: IngressAuth | null;
  /** It asks for a share of another one's requests, and gets none. */
  readonly canary: boolean;
  /** In what all its backends are spoken to; null: in what each says of itself. */
  readonly protocol: BackendProtocol | null;
  /** Why nothing of it may be served: what would have kept somebody out has no effect here. */
  readonly refused: string | null;
}

const ROUTE_OF = 'an HTTPRoute with a filter of type';

const CORS_HEADERS =
  'DNT, Keep-Alive, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, Content-Type, Range, Authorization';
const CORS_MAX_AGE_S = 1_728_000;
const REDIRECT_CODES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

const CANARY: IngressSettings = {
  sslRedirect: true,
  forceSslRedirect: false,
  regex: false,
  redirect: null,
  filters: [],
  auth: null,
  canary: true,
  protocol: null,
  refused: null,
};

/** A reading of one Ingress's annotations. */
class Annotations {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #problems: Problems;
  readonly #asked = new Set<string>();

  constructor(ingress: KubeObject, problems: Problems) {
    this.#values = fields(ingress.metadata.annotations);
    this.#problems = problems;
  }

  text(name: string): string | null {
    this.#asked.add(name);
    const value = this.#values[name];
    return typeof value === 'string' ? value : null;
  }

  /** `fallback` where it is not there or is neither. */
  flag(name: string, fallback: boolean): boolean {
    const value = this.text(name);
    if (value === null) return fallback;
    if (value === 'true' || value === 'false') return value === 'true';
    this.wrong(name, `must be "true" or "false", in quotes, not ${shown(value)}`);
    return fallback;
  }

  wrong(name: string, message: string): void {
    this.#problems.error(`metadata.annotations[${name}]`, message);
  }

  /** Without it things work, but not as its author may think. */
  idle(name: string, message: string): void {
    this.#problems.warning(`metadata.annotations[${name}]`, message);
  }

  /** Annotations of `prefix` that nobody asked for. */
  left(prefix: string): string[] {
    return Object.keys(this.#values).filter((name) => name.startsWith(prefix) && !this.#asked.has(name));
  }
}

/** `domain`: under which the cluster's own names stand. */
export function readAnnotations(ingress: KubeObject, problems: Problems, domain?: string): IngressSettings {
  const read = new Annotations(ingress, problems);
  const canary = read.flag(`${NGINX}canary`, false);
  if (canary) {
    const none = "It asks for a share of another Ingress's requests, which is not served: it gets none";
    read.wrong(`${NGINX}canary`, `${none}. ${nginxAnnotation('canary-weight').says}`);
    // As there, the others are those of the Ingress that it belongs to.
    return CANARY;
  }
  const redirect = redirectOf(read);
  const rewrite = rewriteOf(read);
  const protocol = protocolOf(read);
  const auth = authOf(read, domain);
  const access = accessOf(read);
  const regex = read.flag(`${NGINX}use-regex`, false);
  const settings = {
    sslRedirect: read.flag(`${OWN}ssl-redirect`, read.flag(`${NGINX}ssl-redirect`, true)),
    forceSslRedirect: read.flag(`${NGINX}force-ssl-redirect`, false),
    regex,
    redirect: redirect.redirect,
    filters: [...access.filters, ...rewrite.filters, ...prefixOf(read), ...corsOf(read)],
    auth: auth.auth,
    protocol: protocol.value,
    canary,
  };
  const faults = [redirect.refused, rewrite.refused, protocol.refused, auth.refused, access.refused, ...leftOver(read)];
  return { ...settings, refused: faults.find((why) => why !== null) ?? null };
}

/** Tells of what has no effect; returns why it must not be served without. */
function leftOver(read: Annotations): string[] {
  const refused: string[] = [];
  for (const name of read.left(NGINX)) {
    const short = name.slice(NGINX.length);
    const { fate, says } = nginxAnnotation(short);
    if (fate === 'restricts') {
      const message = `${short} is not served, and it restricts who may ask: the Ingress answers 500 while it is there.`;
      read.wrong(name, `${message} ${says}`);
      refused.push(message);
    } else if (fate !== 'granted') read.idle(name, `${short} is not served and has no effect. ${says}`);
  }
  for (const name of read.left(OWN)) {
    read.wrong(
      name,
      `There is no such annotation of an Ingress: it has no effect. Those there are: ${PROTOCOL_ANNOTATION}, ${OWN}ssl-redirect.`,
    );
  }
  return refused;
}

interface Reading<T> {
  readonly refused: string | null;
  readonly value: T;
}

/** Ours counts, and so that of ingress-nginx may stand beside it for the other controller. */
function protocolOf(read: Annotations): Reading<BackendProtocol | null> {
  const given = [PROTOCOL_ANNOTATION, `${NGINX}backend-protocol`].map((name) => ({ name, value: read.text(name) }));
  const first = given.find(({ value }) => value !== null);
  if (first === undefined) return { value: null, refused: null };
  const protocol = writtenProtocol(first.name, first.value);
  if (typeof protocol !== 'string') return { value: protocol, refused: null };
  // Guessed wrong it would be an answer that nobody understands, or a secret in the clear.
  read.wrong(first.name, `${protocol}: the Ingress answers 500 while it is there.`);
  return { value: null, refused: `${first.name} ${protocol}.` };
}

function redirectOf(read: Annotations): { readonly redirect: Redirect | null; readonly refused: string | null } {
  const permanent = targetOf(read, `${NGINX}permanent-redirect`);
  const temporal = targetOf(read, `${NGINX}temporal-redirect`);
  const permanentCode = codeOf(read, `${NGINX}permanent-redirect-code`, 301);
  const temporalCode = codeOf(read, `${NGINX}temporal-redirect-code`, 302);
  const refused = permanent.refused ?? temporal.refused;
  // As in ingress-nginx the temporal one comes first.
  const [target, status] = temporal.value === null ? [permanent.value, permanentCode] : [temporal.value, temporalCode];
  if (target === null) return { redirect: null, refused };
  const port = target.port === '' ? null : Number(target.port);
  const path = { type: 'ReplaceFullPath', value: target.pathname } as const;
  const scheme = target.protocol === 'https:' ? 'https' : 'http';
  return { redirect: { scheme, hostname: target.hostname, port, path, status }, refused };
}

function targetOf(read: Annotations, name: string): Reading<URL | null> {
  const value = read.text(name);
  if (value === null) return { value: null, refused: null };
  const url = URL.canParse(value) ? new URL(value) : null;
  const plain = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.search + url.hash === '';
  // Workers put no other name in front of a path, and refuse a revision that has one.
  if (plain && isPreciseHostname(url.hostname) && !value.includes('$')) return { value: url, refused: null };
  const message = `must be a whole URL with a host name like https://www.example.com/new, without query, fragment and variables, not ${shown(value)}`;
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

function rewriteOf(read: Annotations): { readonly filters: readonly Filter[]; readonly refused: string | null } {
  const target = read.text(`${NGINX}rewrite-target`);
  const host = read.text(`${NGINX}upstream-vhost`);
  let refused: string | null = null;
  let path: string | null = null;
  let hostname: string | null = null;
  if (target !== null) {
    if (target.startsWith('/') && !/[$?#\s]/.test(target)) path = target;
    else {
      refused = `rewrite-target must be a path without variables and query, not ${shown(target)}`;
      const instead = `the Ingress answers 500 while it is there. To replace a prefix write ${ROUTE_OF} URLRewrite`;
      read.wrong(`${NGINX}rewrite-target`, `${refused}: ${instead} (ReplacePrefixMatch).`);
    }
  }
  if (host !== null) {
    if (isPreciseHostname(host.toLowerCase())) hostname = host.toLowerCase();
    else {
      refused ??= `upstream-vhost ${shown(host)} is not a hostname.`;
      read.wrong(
        `${NGINX}upstream-vhost`,
        `${shown(host)} is not a hostname. The Ingress answers 500 while it is there.`,
      );
    }
  }
  if (path === null && hostname === null) return { filters: [], refused };
  const edit = path === null ? null : ({ type: 'ReplaceFullPath', value: path } as const);
  return { filters: [{ type: 'rewrite', hostname, path: edit }], refused };
}

function prefixOf(read: Annotations): Filter[] {
  const name = `${NGINX}x-forwarded-prefix`;
  const value = read.text(name);
  if (value === null) return [];
  if (!/^[\x21-\x7e]+$/.test(value)) {
    read.wrong(name, `${shown(value)} cannot stand in a header field; it has no effect.`);
    return [];
  }
  const edits = { set: [{ name: 'X-Forwarded-Prefix', value }], add: [], remove: [] };
  return [{ type: 'requestHeaders', edits }];
}

const ORIGIN = /^(\*|https?:\/\/(\*\.)?[a-zA-Z0-9.-]+(:[0-9]{1,5})?)$/;

/** With ingress-nginx's defaults. */
function corsOf(read: Annotations): Filter[] {
  const enabled = read.flag(`${NGINX}enable-cors`, false);
  const names = (name: string, fallback: string, isGood: (text: string) => boolean): string[] => {
    const items = (read.text(`${NGINX}${name}`) ?? fallback).split(',').map((item) => item.trim());
    const good = items.filter((item) => item !== '' && isGood(item));
    if (enabled && good.length < items.filter((item) => item !== '').length) {
      read.wrong(
        `${NGINX}${name}`,
        `${shown(items.filter((item) => !good.includes(item)).join(', '))} has no effect here.`,
      );
    }
    return good.includes('*') ? ['*'] : good;
  };
  const cors = {
    origins: names('cors-allow-origin', '*', (text) => ORIGIN.test(text)),
    credentials: read.flag(`${NGINX}cors-allow-credentials`, true),
    methods: names('cors-allow-methods', 'GET, PUT, POST, DELETE, PATCH, OPTIONS', isToken),
    headers: names('cors-allow-headers', CORS_HEADERS, isToken),
    exposedHeaders: names('cors-expose-headers', '', isToken),
    maxAgeS: secondsOf(read, `${NGINX}cors-max-age`) ?? CORS_MAX_AGE_S,
  };
  return enabled ? [{ type: 'cors', cors }] : [];
}

function secondsOf(read: Annotations, name: string): number | null {
  const value = read.text(name);
  if (value === null) return null;
  if (/^\d{1,9}$/.test(value) && Number(value) > 0) return Number(value);
  read.wrong(name, `${shown(value)} is not a number of seconds; the default holds.`);
  return null;
}
