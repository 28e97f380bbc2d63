// The ExternalAuth filter of an HTTPRoute rule (apis/v1 HTTPExternalAuthFilter, GEP-1494; experimental channel). What
// cannot be asked as it is written lets nobody through: the rule answers 500.

import type { KubeObject } from '../api/object.ts';
import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import type { ExternalAuth } from '../ir/ir.ts';
import { editFault } from './field-rules.ts';
import type { Report } from './http-match.ts';
import { isToken } from './http-match.ts';
import { anyText, integer, list, shown } from './read.ts';

/** On an HTTPRoute: what becomes of requests when the server fails. The API has no field for it. */
const FAILURE_ANNOTATION = 'rauta.io/external-auth-failure';

/** The filter, whose server is still to be resolved. */
export interface Authorizer {
  /** Field path of the reference. */
  readonly field: string;
  readonly backendRef: unknown;
  readonly filter: ExternalAuth;
}

interface Reports {
  readonly unsupported: Report;
  readonly warning: Report;
}

/** As the API's expression for it; and nothing that a server could take for another path. */
const PATH = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;
const PATH_WITHOUT = /\/\/|\/\.{1,2}(?:\/|$)|%2f|%2e/i;
/** What RAUTA itself tells backends of clients. */
const TELLING = /^(?:forwarded|x-real-ip|x-request-id|x-forwarded-.*)$/;

export function authorizerOf(value: unknown, field: string, reports: Reports): Authorizer {
  const spec = fields(value);
  const { protocol } = spec;
  if (protocol !== 'HTTP' && protocol !== 'GRPC') {
    reports.unsupported(`${field}.protocol`, `${shown(protocol)} is not one of HTTP, GRPC.`);
  }
  const name = protocol === 'GRPC' ? 'grpc' : 'http';
  const config = fields(spec[name]);
  const maxSize = fields(spec['forwardBody'])['maxSize'] ?? 0;
  const bodyBytes = integer(maxSize, 0, LIMITS.DECISION_BODY_BYTES);
  if (bodyBytes === undefined) {
    const most = LIMITS.DECISION_BODY_BYTES;
    reports.unsupported(
      `${field}.forwardBody.maxSize`,
      `${shown(maxSize)} is not a number of bytes from 0 to ${most}.`,
    );
  }
  return {
    field: `${field}.backendRef`,
    backendRef: spec['backendRef'],
    filter: {
      type: 'externalAuth',
      protocol: name,
      cluster: null,
      backend: '',
      path: name === 'http' ? pathOf(config['path'], `${field}.http.path`, reports) : '',
      requestHeaders: names(config['allowedHeaders'], `${field}.${name}.allowedHeaders`, reports),
      responseHeaders: takenOf(config['allowedResponseHeaders'], `${field}.${name}.allowedResponseHeaders`, reports),
      bodyBytes: bodyBytes ?? 0,
      failOpen: false,
    },
  };
}

/** In lower case, each once. */
function names(value: unknown, field: string, reports: Reports): string[] {
  const found = new Set<string>();
  for (const [i, item] of list(value).entries()) {
    const name = anyText(item)?.toLowerCase() ?? '';
    if (isToken(name)) found.add(name);
    else reports.unsupported(`${field}[${i}]`, `${shown(item)} is not a field name.`);
  }
  return [...found];
}

/** Those that a request may get from a server. */
function takenOf(value: unknown, field: string, reports: Reports): string[] {
  for (const [i, item] of list(value).entries()) {
    const name = anyText(item)?.toLowerCase() ?? '';
    const fault = takenFault(name);
    if (fault !== null) reports.warning(`${field}[${i}]`, `${fault} This entry has no effect.`);
  }
  return names(value, field, reports);
}

/** Why a request may not get the field `name` (lower case) from a server; null where it may. */
export function takenFault(name: string): string | null {
  return TELLING.test(name) ? `${name} is told by RAUTA alone.` : editFault('request', name);
}

/** Without the slash that every path begins with, too. */
function pathOf(value: unknown, field: string, reports: Reports): string {
  const path = anyText(value) ?? '';
  if (path === '') return '';
  if (!path.startsWith('/') || !PATH.test(path) || PATH_WITHOUT.test(path)) {
    reports.unsupported(field, `${shown(value)} is not a path that starts with /, without "//", "." and "..".`);
  }
  return path.replace(/\/+$/, '');
}

/** Whether the route's author lets requests go on where the server fails. */
export function failsOpen({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[FAILURE_ANNOTATION] === 'open';
}

export function checkFailure({ metadata }: KubeObject, problems: Problems): void {
  const wish = metadata.annotations?.[FAILURE_ANNOTATION];
  if (wish === undefined || wish === 'open' || wish === 'closed') return;
  const at = `metadata.annotations["${FAILURE_ANNOTATION}"]`;
  problems.error(at, `${shown(wish)} is not one of open, closed; closed holds.`);
}
