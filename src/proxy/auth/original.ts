// What a server that is asked one URL about all requests (AuthSubrequest) is told of each: as auth_request of nginx is,
// set up by ingress-nginx.

import { bytesOf } from '../../base/bytes.ts';
import type { AuthPart } from '../../ir/ir.ts';
import { equalLoosely } from '../lookalike.ts';

/** Of a request, as texts of one byte a sign. */
export interface Original {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** Its host, with its port. */
  readonly host: string;
  /** Path and query. */
  readonly uri: string;
}

/** What the question says of the request; nobody else may say it. */
const OWN = ['x-original-url', 'x-original-method', 'x-auth-request-redirect'] as const;
const REDIRECT = bytesOf('x-auth-request-redirect');
/** Some servers look for X-Original-URI and the like besides. */
const PREFIX = bytesOf('x-original-');
/** And for these, which a proxy that is believed may pass on as a client said them. */
const OTHERS = ['x-forwarded-uri', 'x-forwarded-method'].map((name) => bytesOf(name));

/** Of content: the question is about none, and an answer in part, or that there is nothing new, would be no answer. */
const CONDITIONS = /^(?:if-.*|range)$/;

/** Whether the field `name` (lower case) of a request is not told: or a server may take it for one of these. */
export function isLeftOut(name: string): boolean {
  const bytes = bytesOf(name);
  if (CONDITIONS.test(name)) return true;
  if (bytes.length >= PREFIX.length && equalLoosely(bytes, 0, PREFIX)) return true;
  return [REDIRECT, ...OTHERS].some((other) => bytes.length === other.length && equalLoosely(bytes, 0, other));
}

/** The lines that tell of the request, each with its CRLF. `redirect`: of the AuthSubrequest. */
export function originalLines(redirect: readonly AuthPart[], original: Original): string {
  const { method, scheme, host, uri } = original;
  const back = redirect.length === 0 ? visible(uri) : textOfParts(redirect, original);
  const values = [`${scheme}://${host}${visible(uri)}`, method, back];
  return OWN.map((name, i) => `${name}: ${values[i]}\r\n`).join('');
}

/** The parts as one text, which can stand in a field. */
export function textOfParts(parts: readonly AuthPart[], { method, scheme, host, uri }: Original): string {
  const mark = uri.indexOf('?');
  const query = mark === -1 ? '' : uri.slice(mark + 1);
  const texts = parts.map(({ type, text }) => {
    if (type === 'text') return text;
    if (type === 'scheme') return scheme;
    if (type === 'host') return host;
    if (type === 'method') return method;
    if (type === 'mark') return query === '' ? '' : '?';
    if (type === 'query') return visible(query);
    return type === 'uri' ? visible(uri) : escaped(uri, /[^A-Za-z0-9._~-]/g);
  });
  return texts.join('');
}

/** What is no visible ASCII is escaped. */
function visible(text: string): string {
  return escaped(text, /[^\x21-\x7e]/g);
}

function escaped(text: string, signs: RegExp): string {
  return text.replace(signs, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}
