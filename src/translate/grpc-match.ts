// Matches of a GRPCRoute rule (apis/v1 GRPCRouteMatch), as matches of paths: a call's is `/service/method`.

import { fields, isFields } from '../base/fields.ts';
import { type Match, PATH_CONDITION, type ValueMatch } from '../ir/ir.ts';
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
    const { path, method } = callOf(spec['method'], `${at}.method`, report);
    const headers = valueMatches(spec['headers'], `${at}.headers`, true, report);
    return { path, method: '', headers: method === '' ? headers : [callMatch(method), ...headers], query: [] };
  });
}

/** A method, whatever its service is: asked of the whole path besides what `path` says, and ranked behind it. */
function callMatch(expression: string): ValueMatch {
  return { name: PATH_CONDITION, type: 'RegularExpression', value: `/${ANY}/${expression}` };
}

/** What a match says of the path; `method` is an expression for the method, where that is ranked by itself. */
interface Call {
  readonly path: Match['path'];
  readonly method: string;
}
const EVERY_CALL: Call = { path: EVERYTHING, method: '' };

/**
 * Of two matches the one with more characters of a service comes first, then the one with more of a method
 * (GRPCRouteRule.matches).
 */
function callOf(value: unknown, field: string, report: Report): Call {
  if (!isFields(value)) return EVERY_CALL;
  const type = value['type'] ?? 'Exact';
  const service = anyText(value['service']) ?? '';
  const method = anyText(value['method']) ?? '';
  if (service === '' && method === '') {
    report(field, 'One or both of service and method must be given.');
    return EVERY_CALL;
  }
  if (type === 'RegularExpression') {
    const ofService = `/(?:${service})/${ANY}`;
    const ofMethod = `(?:${method})`;
    if (service !== '') checkExpression(service, `${field}.service`, report, ofService);
    if (method !== '') checkExpression(method, `${field}.method`, report, callMatch(ofMethod).value);
    const path: Match['path'] = service === '' ? EVERYTHING : { type, value: ofService };
    return { path, method: method === '' ? '' : ofMethod };
  }
  if (type !== 'Exact') {
    report(`${field}.type`, `${shown(type)} is not one of Exact, RegularExpression.`);
    return EVERY_CALL;
  }
  if (service !== '' && !SERVICE.test(service)) report(`${field}.service`, `${shown(service)} is not a service.`);
  if (method !== '' && !METHOD.test(method)) report(`${field}.method`, `${shown(method)} is not a method.`);
  if (method === '') return { path: { type: 'PathPrefix', value: `/${service}` }, method: '' };
  if (service === '') return { path: EVERYTHING, method };
  return { path: { type, value: `/${service}/${method}` }, method: '' };
}
