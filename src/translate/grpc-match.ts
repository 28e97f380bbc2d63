// Matches of a GRPCRoute rule (apis/v1 GRPCRouteMatch), as matches of paths: a call's is `/service/method`.

import { fields, isFields } from '../base/fields.ts';
import type { Match } from '../ir/ir.ts';
import { checkExpression, type Report, valueMatches } from './http-match.ts';
import { anyText, list, shown } from './read.ts';

const EVERYTHING: Match['path'] = { type: 'PathPrefix', value: '/' };
/** Names of services and methods, as the API restricts those of type Exact. */
const SERVICE = /^[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*$/;
const METHOD = /^[A-Za-z_][A-Za-z_0-9]*$/;
const ANY = '[^/]+';

/** Never empty. What is wrong goes to `report`; the result then is of no use. */
export function grpcMatchesOf(value: unknown, field: string, report: Report): Match[] {
  const specs = list(value);
  return (specs.length === 0 ? [{}] : specs).map((item, i) => {
    const spec = fields(item);
    const at = `${field}[${i}]`;
    return {
      path: methodPath(spec['method'], `${at}.method`, report),
      method: '',
      headers: valueMatches(spec['headers'], `${at}.headers`, true, report),
      query: [],
    };
  });
}

function methodPath(value: unknown, field: string, report: Report): Match['path'] {
  if (!isFields(value)) return EVERYTHING;
  const type = value['type'] ?? 'Exact';
  const service = anyText(value['service']) ?? '';
  const method = anyText(value['method']) ?? '';
  if (service === '' && method === '') {
    report(field, 'One or both of service and method must be given.');
    return EVERYTHING;
  }
  if (type === 'RegularExpression') {
    if (service !== '') checkExpression(service, `${field}.service`, report);
    if (method !== '') checkExpression(method, `${field}.method`, report);
    const part = (expression: string): string => (expression === '' ? ANY : `(?:${expression})`);
    return { type, value: `/${part(service)}/${part(method)}` };
  }
  if (type !== 'Exact') {
    report(`${field}.type`, `${shown(type)} is not one of Exact, RegularExpression.`);
    return EVERYTHING;
  }
  if (service !== '' && !SERVICE.test(service)) report(`${field}.service`, `${shown(service)} is not a service.`);
  if (method !== '' && !METHOD.test(method)) report(`${field}.method`, `${shown(method)} is not a method.`);
  if (method === '') return { type: 'PathPrefix', value: `/${service}` };
  if (service === '') return { type: 'RegularExpression', value: `/${ANY}/${method}` };
  return { type, value: `/${service}/${method}` };
}
