// What annotations of an Ingress mean here: RAUTA's own, and those of ingress-nginx that can be served as they were
// meant. Of the others each is told of; where one would have kept somebody out, its Ingress is not served without it.

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import type { Balancer, Filter, Redirect, Retry, Timeouts } from '../ir/ir.ts';
import { type BackendProtocol, PROTOCOL_ANNOTATION, writtenProtocol } from './backend-protocol.ts';
import { isToken } from './http-match.ts';
import { accessOf } from './ingress-access.ts';
import { authOf, type IngressAuth } from './ingress-auth.ts';
import { balancerOf } from './ingress-balancer.ts';
import { asksForNothing, canaryTermsOf } from './ingress-canary.ts';
import { contentLimitOf } from './ingress-content.ts';
import { NGINX, nginxAnnotation } from './ingress-nginx.ts';
import { givenBy, restrictsNobody } from './ingress-off.ts';
import { snippetRefuses, tellOfOthers } from './ingress-others.ts';
import { Annotations, type Reading } from './ingress-read.ts';
import { aliasesOf, appRootOf, redirectOf, wwwOf } from './ingress-redirect.ts';
import { captures, type IngressRewrite, rewriteOf } from './ingress-rewrite.ts';
import { retryOf, timeoutsOf } from './ingress-timing.ts';
import { shown } from './read.ts';
import { KEEP_SLASHES, mergesSlashes, SLASHES_ANNOTATION } from './slashes.ts';

const OWN = 'rauta.io/';

export interface IngressSettings {
  /** Cleartext requests for hosts of spec.tls are sent to https. */
  readonly sslRedirect: boolean;
  /** Those for any host are. */
  readonly forceSslRedirect: boolean;
  /** Paths of type ImplementationSpecific are regular expressions, others where they have signs of them. */
  readonly regex: boolean;
  /** Instead of any backend. */
  readonly redirect: Redirect | null;
  /** Where who asks for / is sent; null: nowhere. */
  readonly appRoot: Redirect | null;
  /** Other hosts by which each of its rules is reached. */
  readonly aliases: readonly string[];
  /** Requests for a host with or without www. are sent to the one that has a rule. */
  readonly www: boolean;
  readonly rewrite: IngressRewrite;
  readonly filters: readonly Filter[];
  readonly timeouts: Timeouts;
  readonly retry: Retry | null;
  /** Who is asked about each request; null: nobody. */
  readonly auth: IngressAuth | null;
  /** It has a share of another one's requests, and by itself none. */
  readonly canary: boolean;
  /** In what all its backends are spoken to; null: in what each says of itself. */
  readonly protocol: BackendProtocol | null;
  /** How their endpoints share its requests; null: they take turns. */
  readonly balancer: Balancer | null;
  /** Why nothing of it may be served: what would have kept somebody out has no effect here. */
  readonly refused: string | null;
}

const NO_TERMS = 'It gets no requests: write canary-weight, canary-by-header or canary-by-cookie.';
const CORS_HEADERS =
  'DNT, Keep-Alive, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, Content-Type, Range, Authorization';
const CORS_MAX_AGE_S = 1_728_000;

const CANARY: IngressSettings = {
  sslRedirect: true,
  forceSslRedirect: false,
  regex: false,
  redirect: null,
  appRoot: null,
  aliases: [],
  www: false,
  rewrite: { target: null, hostname: null },
  filters: [],
  timeouts: { requestMs: null, backendMs: null },
  retry: null,
  auth: null,
  canary: true,
  protocol: null,
  balancer: null,
  refused: null,
};

/** `domain`: under which the cluster's own names stand. */
export function readAnnotations(ingress: KubeObject, problems: Problems, domain?: string): IngressSettings {
  const read = new Annotations(ingress, problems);
  const canary = read.flag(`${NGINX}canary`, false);
  const terms = canaryTermsOf(read, canary);
  if (canary) {
    if (asksForNothing(read, terms)) read.idle(`${NGINX}canary`, NO_TERMS);
    // As there, the others are those of the Ingress that it belongs to.
    return CANARY;
  }
  const redirect = redirectOf(read);
  const rewrite = rewriteOf(read);
  const access = accessOf(read);
  const protocol = protocolOf(read);
  const auth = authOf(read, domain);
  const regex = read.flag(`${NGINX}use-regex`, false);
  const settings = {
    sslRedirect: read.flag(`${OWN}ssl-redirect`, read.flag(`${NGINX}ssl-redirect`, true)),
    forceSslRedirect: read.flag(`${NGINX}force-ssl-redirect`, false),
    regex: regex || captures(rewrite.value),
    redirect: redirect.value,
    appRoot: appRootOf(read),
    aliases: aliasesOf(read),
    www: wwwOf(read),
    rewrite: rewrite.value,
    filters: [
      ...access.filters,
      ...contentLimitOf(read),
      ...prefixOf(read),
      ...corsOf(read),
      ...slashesOf(read, rewrite.value),
    ],
    timeouts: timeoutsOf(read),
    retry: retryOf(read),
    auth: auth.auth,
    protocol: protocol.value,
    balancer: balancerOf(read),
    canary,
  };
  const snippet = snippetRefuses(read);
  tellOfOthers(read);
  const faults = [
    snippet,
    ...[redirect, rewrite, access, protocol, auth].map(({ refused }) => refused),
    ...leftOver(read),
  ];
  return { ...settings, refused: faults.find((why) => why !== null) ?? null };
}

/** Tells of what has no effect; returns why it must not be served without. */
function leftOver(read: Annotations): string[] {
  const refused: string[] = [];
  const given = givenBy((name) => read.peek(name));
  for (const name of read.left(NGINX)) {
    const short = name.slice(NGINX.length);
    const { fate, says } = nginxAnnotation(short);
    if (fate === 'restricts') {
      if (restrictsNobody(short, given)) continue;
      const message = `${short} is not served, and it restricts who may ask: the Ingress answers 500 while it is there.`;
      read.wrong(name, `${message} ${says}`);
      refused.push(message);
    } else if (fate !== 'granted') read.idle(name, `${short} is not served and has no effect. ${says}`);
  }
  for (const name of read.left(OWN)) {
    read.wrong(
      name,
      `There is no such annotation of an Ingress: it has no effect. Those there are: ${[PROTOCOL_ANNOTATION, SLASHES_ANNOTATION, `${OWN}ssl-redirect`].join(', ')}.`,
    );
  }
  return refused;
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

function slashesOf(read: Annotations, rewrite: IngressRewrite): Filter[] {
  const value = read.text(SLASHES_ANNOTATION);
  const merges = value === null || mergesSlashes(value);
  if (merges === null) read.wrong(SLASHES_ANNOTATION, `${shown(value)} has no effect: write "off", or leave it out.`);
  if (merges !== false) return [];
  // Its groups are of the path that was matched, and without groups nothing of that goes on.
  if (rewrite.target === null) return [KEEP_SLASHES];
  read.idle(SLASHES_ANNOTATION, 'It has no effect beside rewrite-target, which goes by the path that was matched.');
  return [];
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

/** Of any scheme, as there: apps and extensions have their own. */
const ORIGIN = /^(\*|[a-zA-Z][a-zA-Z0-9+.-]*:\/\/(\*\.)?[a-zA-Z0-9.-]+(:[0-9]{1,5})?)$/;

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
