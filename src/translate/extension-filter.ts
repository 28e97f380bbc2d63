// Filters that a rule names by ExtensionRef: kinds of RAUTA's own, in the route's namespace (apis/v1
// HTTPRouteFilter.ExtensionRef, a LocalObjectReference). One that cannot be used is not skipped: the rule answers 500.

import { isIP } from 'node:net';
import { type KubeObject, type ObjectKey, objectKey } from '../api/object.ts';
import type { AccessControlFilter, StaticResponseFilter } from '../api/own-filters.ts';
import { fields } from '../base/fields.ts';
import { parseRange } from '../base/ip.ts';
import type { Action, Filter } from '../ir/ir.ts';
import { RAUTA_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { editFault, FIELD_VALUE } from './field-rules.ts';
import { isToken } from './http-match.ts';
import { definedSpec } from './own-object.ts';
import { pathFault } from './path.ts';
import { shown, text } from './read.ts';

export type Extension =
  | { readonly type: 'filter'; readonly filter: Filter }
  | { readonly type: 'answer'; readonly action: Action }
  | { readonly type: 'fault'; readonly field: string; readonly message: string; readonly absent?: ObjectKey };

const KINDS = ['AccessControlFilter', 'StaticResponseFilter'];

/** What the reference stands for; `field` of a fault is under the reference. */
export function extensionOf(reader: Reader, namespace: string, reference: unknown): Extension {
  const ref = fields(reference);
  const { group, kind } = ref;
  const name = text(ref['name']) ?? '';
  if (group !== RAUTA_GROUP || !KINDS.includes(String(kind))) {
    const known = `${KINDS.join(' and ')} of group ${RAUTA_GROUP}`;
    return fault('.kind', `Filters of kind ${shown(kind)} in group ${shown(group)} are not known here; ${known} are.`);
  }
  const object = reader.get(kind as string, namespace, name);
  if (object === undefined) {
    const absent = objectKey(kind as string, namespace, name);
    return { ...fault('.name', `${kind} ${namespace}/${name} does not exist.`), absent };
  }
  const spec = definedSpec(object);
  if (typeof spec === 'string') return wrongWith(object, spec);
  const defined: KubeObject = { ...object, spec };
  return kind === 'StaticResponseFilter'
    ? staticResponse(defined as StaticResponseFilter)
    : accessControl(defined as AccessControlFilter);
}

function fault(field: string, message: string): Extension & { readonly type: 'fault' } {
  return { type: 'fault', field, message };
}

function wrongWith(object: KubeObject, message: string): Extension {
  const { namespace, name } = object.metadata;
  return fault('', `${object.kind} ${namespace}/${name}: ${message}`);
}

/** Statuses whose responses have no content (RFC 9110 section 6.4.1). */
const NO_CONTENT: ReadonlySet<number> = new Set([204, 205, 304]);

function staticResponse(object: StaticResponseFilter): Extension {
  const { statusCode, headers, body } = object.spec;
  for (const [i, { name, value }] of headers.entries()) {
    const wrong = isToken(name) ? editFault('response', name) : `${shown(name)} is not a field name.`;
    if (wrong !== null) return wrongWith(object, `spec.headers[${i}].name: ${wrong}`);
    if (!FIELD_VALUE.test(value))
      return wrongWith(object, `spec.headers[${i}].value: ${shown(value)} is not a field value.`);
  }
  const type =
    body?.contentType ?? (body?.text === undefined ? 'application/octet-stream' : 'text/plain; charset=utf-8');
  if (!FIELD_VALUE.test(type)) return wrongWith(object, `spec.body.contentType: ${shown(type)} is not a field value.`);
  const content = body?.text === undefined ? (body?.binary ?? '') : Buffer.from(body.text).toString('base64');
  if (content !== '' && NO_CONTENT.has(statusCode)) {
    return wrongWith(object, `spec.body: a response ${statusCode} has no content (RFC 9110 section 6.4.1).`);
  }
  const named = headers.some(({ name }) => name.toLowerCase() === 'content-type');
  const own = content === '' || named ? [] : [{ name: 'Content-Type', value: type }];
  const answer = { status: statusCode, headers: [...own, ...headers], body: content };
  return { type: 'answer', action: { type: 'static', ...answer } };
}

function accessControl(object: AccessControlFilter): Extension {
  const { effect, clients, methods, paths } = object.spec;
  for (const [i, address] of clients.ips.entries()) {
    if (isIP(address) === 0)
      return wrongWith(
        object,
        `spec.clients.ips[${i}]: ${shown(address)} is not an IP address like 10.0.0.1; ranges go into ipRanges.`,
      );
  }
  for (const [i, range] of clients.ipRanges.entries()) {
    if (!range.includes('/') || parseRange(range) === null)
      return wrongWith(
        object,
        `spec.clients.ipRanges[${i}]: ${shown(range)} is not a range of addresses like 10.0.0.0/8 or fd00::/8.`,
      );
  }
  for (const [i, { value }] of paths.entries()) {
    const fault = pathFault(value);
    if (fault !== null) return wrongWith(object, `spec.paths[${i}].value: ${shown(value)} ${fault}.`);
  }
  const ranges = [...clients.ips, ...clients.ipRanges];
  const filter: Filter = { type: 'access', effect: effect === 'Allow' ? 'allow' : 'deny', ranges, methods, paths };
  return { type: 'filter', filter };
}
