// Who is asked about each request of an Ingress, by the annotations of ingress-nginx (auth-url and those beside it):
// one URL, of a Service of the cluster. An Ingress whose login cannot be had as it is written lets nobody in.

import type { KubeObject } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import type { AuthPart, AuthSubrequest } from '../ir/ir.ts';
import { takenFault } from './external-auth.ts';
import { isToken } from './http-match.ts';
import { NGINX } from './ingress-nginx.ts';
import { shown } from './read.ts';

/** The annotations as they are read. */
export interface AnnotationsRead {
  text(name: string): string | null;
  /** Empty ones, too. */
  written(name: string): string | null;
  wrong(name: string, message: string): void;
  idle(name: string, message: string): void;
}

export interface IngressAuth {
  /** The Service, as a backendRef has it. */
  readonly backendRef: { readonly name: string; readonly namespace: string; readonly port: number };
  /** Of the annotation: https. */
  readonly secured: boolean;
  readonly subrequest: AuthSubrequest;
  /** Names (lower case) of fields of its answer that the backend is told. */
  readonly responseHeaders: readonly string[];
}

const NAME = {
  url: `${NGINX}auth-url`,
  method: `${NGINX}auth-method`,
  signin: `${NGINX}auth-signin`,
  parameter: `${NGINX}auth-signin-redirect-param`,
  redirect: `${NGINX}auth-request-redirect`,
  headers: `${NGINX}auth-response-headers`,
} as const;
const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const ANSWERS = 'The Ingress answers 500 while it is there.';
const DEFAULT_DOMAIN = 'cluster.local';
/** What stands for the request's own, and the names that nginx has for it. */
const VARIABLES: ReadonlyMap<string, AuthPart['type']> = new Map([
  ['scheme', 'scheme'],
  ['pass_access_scheme', 'scheme'],
  ['host', 'host'],
  ['http_host', 'host'],
  ['best_http_host', 'host'],
  ['request_uri', 'uri'],
  ['escaped_request_uri', 'escapedUri'],
  ['request_method', 'method'],
  ['args', 'query'],
  ['query_string', 'query'],
  ['is_args', 'mark'],
]);

interface Read {
  readonly auth: IngressAuth | null;
  /** Why nothing of the Ingress may be served. */
  readonly refused: string | null;
}

/** `domain`: under which the cluster's own names stand. */
export function authOf(read: AnnotationsRead, domain: string | undefined): Read {
  const url = read.written(NAME.url);
  const more = Object.values(NAME).filter((name) => name !== NAME.url);
  const given = more.map((name) => ({ name, value: read.text(name) }));
  if (url === null) return withoutUrl(read, given);
  let refused: string | null = null;
  const refuse = (name: string, why: string): void => {
    read.wrong(name, `${why} ${ANSWERS}`);
    refused ??= `${name.slice(NGINX.length)}: ${why}`;
  };
  const server = serverOf(url, domain, (why) => refuse(NAME.url, why));
  const method = read.text(NAME.method) ?? 'GET';
  if (!METHODS.includes(method)) refuse(NAME.method, `${shown(method)} is not one of ${METHODS.join(', ')}.`);
  const signin = signinOf(read, refuse);
  const redirect = partsOf(read.text(NAME.redirect) ?? '', (why) => refuse(NAME.redirect, why));
  const responseHeaders = headersOf(read, refuse);
  if (refused !== null || server === null) return { auth: null, refused };
  const { host, target, ...rest } = server;
  return { auth: { ...rest, subrequest: { method, host, target, signin, redirect }, responseHeaders }, refused };
}

/** Nobody is asked; whoever names a place to sign in at thinks that somebody is. */
function withoutUrl(read: AnnotationsRead, given: readonly { name: string; value: string | null }[]): Read {
  let refused: string | null = null;
  for (const { name, value } of given) {
    if (value === null) continue;
    const short = name.slice(NGINX.length);
    if (name === NAME.signin) {
      refused = `${short} without auth-url asks nobody who may come in.`;
      read.wrong(name, `${refused} ${ANSWERS}`);
    } else read.idle(name, `${short} has no effect without auth-url.`);
  }
  return { auth: null, refused };
}

interface Server {
  readonly backendRef: IngressAuth['backendRef'];
  readonly secured: boolean;
  readonly host: string;
  readonly target: string;
}

/** Service and namespace of a name of the cluster. */
const SERVICE = /^([a-z0-9]([-a-z0-9]*[a-z0-9])?)\.([a-z0-9]([-a-z0-9]*[a-z0-9])?)\.svc(?:\.(.+))?$/;
const LIKE = 'http://oauth2-proxy.NAMESPACE.svc.cluster.local:4180/oauth2/auth';

function serverOf(value: string, domain: string | undefined, refuse: (why: string) => void): Server | null {
  const no = (why: string): null => {
    refuse(why);
    return null;
  };
  if (value.includes('$')) return no(`Variables have no effect in it: write the Service, like ${LIKE}.`);
  if (!URL.canParse(value)) return no(`${shown(value)} is not a URL like ${LIKE}.`);
  const url = new URL(value);
  // (What may be a password is not repeated.)
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    return no(`It must be a URL of http or https without a user, like ${LIKE}.`);
  const [, name = '', , namespace = '', , own] = SERVICE.exec(url.hostname) ?? [];
  if (name === '' || (own !== undefined && own !== DEFAULT_DOMAIN && own !== domain)) {
    const why = 'is not the name of a Service of this cluster, and nobody else is told what clients send';
    return no(`${shown(url.hostname)} ${why}: write it like ${LIKE}.`);
  }
  const secured = url.protocol === 'https:';
  const port = url.port === '' ? (secured ? 443 : 80) : Number(url.port);
  const target = `${url.pathname}${url.search}`;
  return { backendRef: { name, namespace, port }, secured, host: url.host, target };
}

/** The Service that an Ingress asks, as far as its URL names one; whether it may is not asked. */
export function authService({ metadata }: KubeObject): { readonly name: string; readonly namespace: string } | null {
  const value = fields(metadata.annotations)[NAME.url];
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null;
  const [, name, , namespace] = SERVICE.exec(url?.hostname ?? '') ?? [];
  return name === undefined || namespace === undefined ? null : { name, namespace };
}

function signinOf(read: AnnotationsRead, refuse: (name: string, why: string) => void): readonly AuthPart[] {
  const value = read.text(NAME.signin);
  const parameter = read.text(NAME.parameter) ?? 'rd';
  if (!/^[A-Za-z0-9_.-]+$/.test(parameter))
    refuse(NAME.parameter, `${shown(parameter)} is not the name of a parameter.`);
  if (value === null) return [];
  if (!/^https?:\/\/[^/?#]/.test(value)) {
    refuse(NAME.signin, `${shown(value)} is not a whole URL like https://auth.example.com/oauth2/start.`);
    return [];
  }
  // As ingress-nginx has it: where one comes back to, unless it says so itself.
  const [before, query] = value.split('?', 2);
  const back = `${parameter}=$pass_access_scheme://$http_host$escaped_request_uri`;
  const whole =
    query === undefined || query === ''
      ? `${before}?${back}`
      : new URLSearchParams(query).get(parameter)
        ? value
        : `${value}&${back}`;
  return partsOf(whole, (why) => refuse(NAME.signin, why));
}

/** A text with variables, taken apart. */
function partsOf(value: string, refuse: (why: string) => void): AuthPart[] {
  const parts: AuthPart[] = [];
  if (!/^[\x21-\x7e]*$/.test(value)) {
    refuse(`${shown(value)} has signs that cannot stand in it.`);
    return parts;
  }
  for (const piece of value.split(/(\$\w+|\$\{\w+\})/)) {
    const name = /^\$\{?(\w+)\}?$/.exec(piece)?.[1];
    if (name === undefined && piece.includes('$')) {
      refuse(`${shown(value)} has a "$" that begins no variable.`);
      return [];
    }
    if (name === undefined) {
      if (piece !== '') parts.push({ type: 'text', text: piece });
      continue;
    }
    const type = VARIABLES.get(name);
    if (type === undefined) {
      refuse(`$${name} is not known; those that are: ${[...VARIABLES.keys()].map((one) => `$${one}`).join(', ')}.`);
      return [];
    }
    parts.push({ type, text: '' });
  }
  return parts;
}

function headersOf(read: AnnotationsRead, refuse: (name: string, why: string) => void): string[] {
  const names = new Set<string>();
  for (const item of (read.text(NAME.headers) ?? '').split(',')) {
    const name = item.trim().toLowerCase();
    if (name === '') continue;
    if (!isToken(name)) refuse(NAME.headers, `${shown(item.trim())} is not a field name.`);
    const fault = takenFault(name);
    if (fault !== null) read.idle(NAME.headers, `${fault} This name has no effect.`);
    else names.add(name);
  }
  return [...names];
}
