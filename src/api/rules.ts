// Rules across fields: what the CRDs say in CEL (x-kubernetes-validations, with the CRD's own words) and what the API
// server's code says of core kinds. A rule runs only on an object whose every field has passed its shape.

import { isIP, isIPv4, isIPv6 } from 'node:net';
import { type Fields, isFields } from '../base/fields.ts';
import type { BackendEndpoint } from './backend.ts';
import type { EndpointSlice, HTTPIngressPath, IngressBackend, Secret, ServiceSpec } from './core.ts';
import { durationMs } from './duration.ts';
import type {
  Fraction,
  GatewaySpecAddress,
  GRPCMethodMatch,
  GRPCRouteMatch,
  HTTPExternalAuthFilter,
  HTTPPathMatch,
  HTTPPathModifier,
  HTTPRouteFilter,
  HTTPRouteMatch,
  HTTPRouteRule,
  HTTPRouteTimeouts,
  Listener,
  ListenerTLSConfig,
  ParentReference,
  TLSPortConfig,
} from './generated/index.ts';
import { STATIC_RESPONSE } from './own-filters.ts';
import { PARAMETERS } from './parameters.ts';
import { BACKEND_TLS_POLICY, BACKEND_TRAFFIC_POLICY, INFRASTRUCTURE, sessionPersistence } from './policy-rules.ts';
import type { Problems } from './problem.ts';
import { type Check, firstRepeated, type Rule, rule } from './rule.ts';

export function checkRules(kind: string, body: Fields, problems: Problems): void {
  for (const { path, check } of RULES[kind] ?? [])
    visit(body, path === '' ? [] : path.split('.'), 0, '', check, problems);
}

function visit(
  value: unknown,
  steps: readonly string[],
  i: number,
  path: string,
  check: Check<unknown>,
  problems: Problems,
): void {
  if (value === undefined || value === null) return;
  const step = steps[i];
  if (step === undefined) {
    check(value, path, problems);
    return;
  }
  const each = step.endsWith('[]');
  const name = each ? step.slice(0, -2) : step;
  const child = isFields(value) ? value[name] : undefined;
  const childPath = path === '' ? name : `${path}.${name}`;
  if (!each) visit(child, steps, i + 1, childPath, check, problems);
  else if (Array.isArray(child)) {
    for (let n = 0; n < child.length; n++) visit(child[n], steps, i + 1, `${childPath}[${n}]`, check, problems);
  }
}

const FILTER_FIELDS: Readonly<Record<string, string>> = {
  CORS: 'cors',
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestMirror: 'requestMirror',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  ExtensionRef: 'extensionRef',
  ExternalAuth: 'externalAuth',
};
const ONCE = ['CORS', 'RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestRedirect', 'URLRewrite'];

/** A filter has exactly the field its type names. */
function filterFields(filter: HTTPRouteFilter, path: string, problems: Problems): void {
  const given: Fields = { ...filter };
  for (const [type, field] of Object.entries(FILTER_FIELDS)) {
    if (given[field] !== undefined && filter.type !== type) {
      problems.error(`${path}.${field}`, `filter.${field} must be nil if the filter.type is not ${type}`);
    } else if (given[field] === undefined && filter.type === type) {
      problems.error(`${path}.${field}`, `filter.${field} must be specified for ${type} filter.type`);
    }
  }
}

function filterList(filters: readonly HTTPRouteFilter[], path: string, problems: Problems): void {
  for (const type of ONCE) {
    const again = filters.findLastIndex((f) => f.type === type);
    if (again !== filters.findIndex((f) => f.type === type)) {
      problems.error(`${path}[${again}]`, `${type} filter cannot be repeated`);
    }
  }
  if (filters.some((f) => f.type === 'RequestRedirect') && filters.some((f) => f.type === 'URLRewrite')) {
    problems.error(
      path,
      'May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both',
    );
  }
}

function pathModifier(modifier: HTTPPathModifier, path: string, problems: Problems): void {
  for (const [type, field] of [
    ['ReplaceFullPath', 'replaceFullPath'],
    ['ReplacePrefixMatch', 'replacePrefixMatch'],
  ] as const) {
    const given = modifier[field] !== undefined;
    if (modifier.type === type && !given) {
      problems.error(`${path}.${field}`, `${field} must be specified when type is set to '${type}'`);
    } else if (given && modifier.type !== type) {
      problems.error(`${path}.type`, `type must be '${type}' when ${field} is set`);
    }
  }
}

function externalAuth(filter: HTTPExternalAuthFilter, path: string, problems: Problems): void {
  for (const [protocol, field] of [
    ['GRPC', 'grpc'],
    ['HTTP', 'http'],
  ] as const) {
    const given = filter[field] !== undefined;
    if (filter.protocol === protocol && !given) {
      problems.error(`${path}.${field}`, `${field} must be specified when protocol is set to '${protocol}'`);
    } else if (given && filter.protocol !== protocol) {
      problems.error(`${path}.protocol`, `protocol must be '${protocol}' when ${field} is set`);
    }
  }
}

function wildcardAlone(what: string, others: string): Check<readonly string[]> {
  return (values, path, problems) => {
    if (values.includes('*') && values.length > 1)
      problems.error(path, `${what} cannot contain '*' alongside other ${others}`);
  };
}

function servicePort(ref: { group: string; kind: string; port?: number }, path: string, problems: Problems): void {
  if (ref.group === '' && ref.kind === 'Service' && ref.port === undefined) {
    problems.error(`${path}.port`, 'Must have port for Service reference');
  }
}

/** Filters of a rule and of its backendRefs share their rules. */
function filterRules(at: string): Rule[] {
  return [
    rule(at, filterList),
    rule(`${at}[]`, filterFields),
    rule(`${at}[].requestRedirect.path`, pathModifier),
    rule(`${at}[].urlRewrite.path`, pathModifier),
    rule(`${at}[].externalAuth`, externalAuth),
    rule(`${at}[].externalAuth.backendRef`, servicePort),
    rule(`${at}[].requestMirror.backendRef`, servicePort),
    rule<{ percent?: number; fraction?: Fraction }>(`${at}[].requestMirror`, (mirror, path, problems) => {
      if (mirror.percent !== undefined && mirror.fraction !== undefined) {
        problems.error(path, 'Only one of percent or fraction may be specified in HTTPRequestMirrorFilter');
      }
    }),
    rule<Fraction>(`${at}[].requestMirror.fraction`, (fraction, path, problems) => {
      if (fraction.numerator > fraction.denominator) {
        problems.error(`${path}.numerator`, 'numerator must be less than or equal to denominator');
      }
    }),
    rule(`${at}[].cors.allowHeaders`, wildcardAlone('AllowHeaders', 'methods')),
    rule(`${at}[].cors.allowMethods`, wildcardAlone('AllowMethods', 'methods')),
    rule(`${at}[].cors.allowOrigins`, wildcardAlone('AllowOrigins', 'origins')),
  ];
}

/** What an Exact or PathPrefix value may not hold. */
const PATH_WITHOUT = ['//', '/./', '/../', '%2f', '%2F', '#'];
const PATH_NO_END = ['/..', '/.'];
const PATH_CHARACTERS = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;

function pathMatch(match: HTTPPathMatch, path: string, problems: Problems): void {
  pathMeaning(match, `${path}.value`, problems);
  if (match.type === 'RegularExpression') return;
  const when = "when type one of ['Exact', 'PathPrefix']";
  const { value } = match;
  const at = `${path}.value`;
  if (!value.startsWith('/')) problems.error(at, `value must be an absolute path and start with '/' ${when}`);
  for (const part of PATH_WITHOUT) if (value.includes(part)) problems.error(at, `must not contain '${part}' ${when}`);
  for (const end of PATH_NO_END) if (value.endsWith(end)) problems.error(at, `must not end with '${end}' ${when}`);
  if (!PATH_CHARACTERS.test(value) && !value.includes('#')) {
    problems.error(at, `must only contain valid characters for types ['Exact', 'PathPrefix']${problems.not(value)}`);
  }
}

/** Values that are right and yet never match what was meant. */
function pathMeaning({ type, value }: HTTPPathMatch, at: string, problems: Problems): void {
  if (type === 'RegularExpression') {
    // It has to match a whole path, and those begin with a slash.
    const first = /^\^?([A-Za-z0-9_-])/.exec(value)?.[1];
    if (first === undefined) return;
    problems.warning(at, `never matches, for no path begins with "${first}": write /${value.replace(/^\^/, '')}`);
    return;
  }
  const star = /\/?\.?\*+$/.exec(value);
  if (star !== null) {
    const prefix = value.slice(0, star.index) || '/';
    problems.warning(at, `"*" stands for itself here: for everything below it write type PathPrefix, value ${prefix}`);
  } else if (value.includes('*')) {
    problems.warning(at, '"*" stands for itself here: for patterns write type RegularExpression');
  }
}

function httpRule(rule: HTTPRouteRule, path: string, problems: Problems): void {
  const filters = rule.filters ?? [];
  const redirect = filters.findIndex((f) => f.requestRedirect !== undefined);
  if ((rule.backendRefs ?? []).length > 0 && redirect >= 0) {
    problems.error(`${path}.filters[${redirect}]`, 'RequestRedirect filter must not be used together with backendRefs');
  }
  const match = rule.matches.length === 1 ? rule.matches[0] : undefined;
  if (match?.path?.type === 'PathPrefix') return;
  const need = 'filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified';
  const complain = (list: readonly HTTPRouteFilter[], at: string, when: string): void => {
    list.forEach((filter, i) => {
      for (const [name, modifier] of [
        ['RequestRedirect', filter.requestRedirect?.path],
        ['URLRewrite', filter.urlRewrite?.path],
      ] as const) {
        if (modifier?.replacePrefixMatch !== undefined) problems.error(`${at}[${i}]`, `${when} using ${name} ${need}`);
      }
    });
  };
  complain(filters, `${path}.filters`, 'When');
  rule.backendRefs?.forEach((ref, i) => {
    complain(ref.filters ?? [], `${path}.backendRefs[${i}].filters`, 'Within backendRefs, when');
  });
}

function timeouts(value: HTTPRouteTimeouts, path: string, problems: Problems): void {
  const request = durationMs(value.request ?? '0s');
  if (request > 0 && durationMs(value.backendRequest ?? '0s') > request) {
    problems.error(`${path}.backendRequest`, 'backendRequest timeout cannot be longer than request timeout');
  }
}

function ruleNames(rules: readonly { name?: string }[], path: string, problems: Problems): void {
  const again = firstRepeated(rules.map((r) => r.name ?? null));
  if (again >= 0) problems.error(`${path}[${again}].name`, 'Rule name must be unique within the route');
}

function matchCount(
  rules: readonly { matches?: readonly (HTTPRouteMatch | GRPCRouteMatch)[] }[],
  path: string,
  problems: Problems,
): void {
  const total = rules.reduce((sum, r) => sum + (r.matches ?? []).length, 0);
  if (total > 128) {
    problems.error(path, `the total number of matches across all rules in a route must be at most 128, not ${total}`);
  }
}

function parentRefs(refs: readonly ParentReference[], path: string, problems: Problems): void {
  const parent = (r: ParentReference): string => JSON.stringify([r.group, r.kind, r.namespace ?? '', r.name]);
  const section = (r: ParentReference): string => JSON.stringify([parent(r), r.sectionName ?? '', r.port ?? 0]);
  const again = firstRepeated(refs.map(section));
  if (again >= 0) {
    const message =
      'sectionName or port must be unique when parentRefs includes 2 or more references to the same parent';
    problems.error(`${path}[${again}]`, message);
    return;
  }
  const sorts = new Map<string, string>();
  refs.forEach((ref, i) => {
    const sort = `${ref.sectionName === undefined} ${ref.port === undefined}`;
    const first = sorts.get(parent(ref)) ?? sort;
    sorts.set(parent(ref), first);
    if (first === sort) return;
    const message =
      'sectionName or port must be specified when parentRefs includes 2 or more references to the same parent';
    problems.error(`${path}[${i}]`, message);
  });
}

const ROUTE: readonly Rule[] = [rule('spec.parentRefs', parentRefs), rule('spec.rules', ruleNames)];
const BACKEND_REFS = rule('spec.rules[].backendRefs[]', servicePort);

function listeners(list: readonly Listener[], path: string, problems: Problems): void {
  list.forEach((l, i) => {
    const at = `${path}[${i}]`;
    if (['HTTP', 'TCP', 'UDP'].includes(l.protocol) && l.tls !== undefined) {
      problems.error(`${at}.tls`, "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']");
    }
    if (l.protocol === 'HTTPS' && l.tls !== undefined && l.tls.mode !== 'Terminate') {
      problems.error(`${at}.tls.mode`, 'tls mode must be Terminate for protocol HTTPS');
    }
    if (l.protocol === 'TLS' && l.tls === undefined)
      problems.error(`${at}.tls`, 'tls mode must be set for protocol TLS');
    if (['TCP', 'UDP'].includes(l.protocol) && (l.hostname ?? '') !== '') {
      problems.error(`${at}.hostname`, "hostname must not be specified for protocols ['TCP', 'UDP']");
    }
  });
  const name = firstRepeated(list.map((l) => l.name));
  if (name >= 0) problems.error(`${path}[${name}].name`, 'Listener name must be unique within the Gateway');
  const same = firstRepeated(list.map((l) => JSON.stringify([l.port, l.protocol, l.hostname ?? null])));
  if (same >= 0) {
    problems.error(`${path}[${same}]`, 'Combination of port, protocol and hostname must be unique for each listener');
  }
}

function listenerTls(tls: ListenerTLSConfig, path: string, problems: Problems): void {
  const some = (tls.certificateRefs ?? []).length > 0 || Object.keys(tls.options ?? {}).length > 0;
  if (tls.mode === 'Terminate' && !some) {
    problems.error(`${path}.certificateRefs`, 'certificateRefs or options must be specified when mode is Terminate');
  }
}

const LISTENERS: readonly Rule[] = [rule('spec.listeners', listeners), rule('spec.listeners[].tls', listenerTls)];
const HOSTNAME = /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function addresses(list: readonly GatewaySpecAddress[], path: string, problems: Problems): void {
  list.forEach(({ type, value }, i) => {
    const at = `${path}[${i}].value`;
    if (value === undefined) return;
    if (type === 'IPAddress' && isIP(value) === 0)
      problems.error(at, `must be an IPv4 or IPv6 address${problems.not(value)}`);
    if (type === 'Hostname' && value !== '' && !HOSTNAME.test(value)) {
      problems.error(at, `Hostname value must be empty or contain only valid characters${problems.not(value)}`);
    }
  });
  for (const type of ['IPAddress', 'Hostname']) {
    const again = firstRepeated(list.map((a) => (a.type === type ? (a.value ?? null) : null)));
    if (again >= 0) problems.error(`${path}[${again}].value`, `${type} values must be unique`);
  }
}

function perPort(list: readonly TLSPortConfig[], path: string, problems: Problems): void {
  const again = firstRepeated(list.map((t) => String(t.port)));
  if (again >= 0)
    problems.error(`${path}[${again}].port`, 'Port for TLS configuration must be unique within the Gateway');
}

function tlsHostnames(names: readonly string[], path: string, problems: Problems): void {
  names.forEach((name, i) => {
    if (isIP(name) !== 0) problems.error(`${path}[${i}]`, 'Hostnames cannot contain an IP');
    else if (!HOSTNAME.test(name)) problems.error(`${path}[${i}]`, 'Hostnames must be valid based on RFC-1123');
  });
}

function grpcMethod(match: GRPCMethodMatch, path: string, problems: Problems): void {
  if (match.service === undefined && match.method === undefined) {
    problems.error(path, "One or both of 'service' or 'method' must be specified");
  }
  if (match.type !== 'Exact') return;
  if (match.method !== undefined && !/^[A-Za-z_][A-Za-z_0-9]*$/.test(match.method)) {
    problems.error(`${path}.method`, 'method must only contain valid characters (matching ^[A-Za-z_][A-Za-z_0-9]*$)');
  }
  if (match.service !== undefined && !/^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i.test(match.service)) {
    problems.error(`${path}.service`, 'service must only contain valid characters');
  }
}

/** k8s.io/kubernetes pkg/apis/core/validation ValidateService, as far as traffic depends on it. */
function service(spec: ServiceSpec, path: string, problems: Problems): void {
  if (spec.type === 'ExternalName') {
    if ((spec.externalName ?? '') === '') problems.error(`${path}.externalName`, 'required for type ExternalName');
    return;
  }
  const ports = spec.ports ?? [];
  if (ports.length === 0 && spec.clusterIP !== 'None') problems.error(`${path}.ports`, 'required');
  const unnamed = ports.findIndex((p) => (p.name ?? '') === '');
  if (ports.length > 1 && unnamed >= 0)
    problems.error(`${path}.ports[${unnamed}].name`, 'required when there is more than one port');
  const again = firstRepeated(ports.map((p) => p.name ?? null));
  if (again >= 0) problems.error(`${path}.ports[${again}].name`, 'must be unique within the Service');
}

/** Any address will do in a file, loopback included, but it must be one of its type. */
function endpointAddresses(slice: EndpointSlice, _path: string, problems: Problems): void {
  const type = slice.addressType;
  const good = type === 'IPv4' ? isIPv4 : type === 'IPv6' ? isIPv6 : (name: string) => HOSTNAME.test(name);
  slice.endpoints?.forEach((endpoint, i) => {
    endpoint.addresses.forEach((address, n) => {
      if (!good(address))
        problems.error(`endpoints[${i}].addresses[${n}]`, `must be of addressType ${type}${problems.not(address)}`);
    });
  });
}

function tlsSecret(body: Secret, _path: string, problems: Problems): void {
  if (body.type !== 'kubernetes.io/tls') return;
  for (const name of ['tls.crt', 'tls.key']) {
    if (body.data?.[name] === undefined) problems.error(`data[${name}]`, 'required for type kubernetes.io/tls');
  }
}

function ingressBackend(backend: IngressBackend, path: string, problems: Problems): void {
  if ((backend.service === undefined) === (backend.resource === undefined)) {
    problems.error(path, 'exactly one of service and resource must be specified');
  }
  const port = backend.service?.port;
  if (backend.service !== undefined && (port?.name === undefined) === (port?.number === undefined)) {
    problems.error(`${path}.service.port`, 'exactly one of name and number must be specified');
  }
}

function ingressPath(path: HTTPIngressPath, at: string, problems: Problems): void {
  const value = path.path ?? '';
  if (value === '' && path.pathType === 'ImplementationSpecific') return;
  if (!value.startsWith('/')) problems.error(`${at}.path`, `must be an absolute path${problems.not(value)}`);
  if (path.pathType === 'ImplementationSpecific') return;
  if (value.endsWith('*')) problems.warning(`${at}.path`, '"*" stands for itself here: leave it out, pathType Prefix');
  for (const part of ['//', '/./', '/../', '%2f', '%2F']) {
    if (value.includes(part)) problems.error(`${at}.path`, `must not contain '${part}'`);
  }
}

function backendEndpoint(endpoint: BackendEndpoint, path: string, problems: Problems): void {
  const given = (['address', 'hostname', 'unix'] as const).filter((name) => endpoint[name] !== undefined);
  if (given.length !== 1) {
    problems.error(path, 'exactly one of address, hostname and unix must be specified');
    return;
  }
  if (endpoint.address !== undefined && isIP(endpoint.address) === 0) {
    problems.error(
      `${path}.address`,
      `must be an IPv4 or IPv6 address${problems.not(endpoint.address)}; names go to hostname`,
    );
  }
  if (endpoint.unix !== undefined && endpoint.port !== undefined)
    problems.error(`${path}.port`, 'must not be specified with unix');
  if (endpoint.unix === undefined && endpoint.port === undefined) problems.error(`${path}.port`, 'required');
}

const INGRESS_PATHS = 'spec.rules[].http.paths[]';

const RULES: Readonly<Record<string, readonly Rule[]>> = {
  HTTPRoute: [
    ...ROUTE,
    BACKEND_REFS,
    rule('spec.rules', matchCount),
    rule('spec.rules[]', httpRule),
    rule('spec.rules[].matches[].path', pathMatch),
    rule('spec.rules[].timeouts', timeouts),
    rule('spec.rules[].sessionPersistence', sessionPersistence),
    ...filterRules('spec.rules[].filters'),
    ...filterRules('spec.rules[].backendRefs[].filters'),
  ],
  GRPCRoute: [
    ...ROUTE,
    BACKEND_REFS,
    rule('spec.rules', matchCount),
    rule('spec.rules[].matches[].method', grpcMethod),
    rule('spec.rules[].sessionPersistence', sessionPersistence),
    ...filterRules('spec.rules[].filters'),
    ...filterRules('spec.rules[].backendRefs[].filters'),
  ],
  TLSRoute: [...ROUTE, BACKEND_REFS, rule('spec.hostnames', tlsHostnames)],
  TCPRoute: [...ROUTE, BACKEND_REFS],
  UDPRoute: [...ROUTE, BACKEND_REFS],
  Gateway: [
    ...LISTENERS,
    rule('spec.addresses', addresses),
    rule('spec.tls.frontend.perPort', perPort),
    ...INFRASTRUCTURE,
  ],
  ListenerSet: LISTENERS,
  BackendTLSPolicy: BACKEND_TLS_POLICY,
  XBackendTrafficPolicy: BACKEND_TRAFFIC_POLICY,
  Service: [rule('spec', service)],
  EndpointSlice: [rule('', endpointAddresses)],
  Secret: [rule('', tlsSecret)],
  Ingress: [
    rule('spec.defaultBackend', ingressBackend),
    rule(INGRESS_PATHS, ingressPath),
    rule(`${INGRESS_PATHS}.backend`, ingressBackend),
  ],
  StaticResponseFilter: STATIC_RESPONSE,
  GatewayClassParameters: PARAMETERS,
  GatewayParameters: PARAMETERS,
  Backend: [rule('spec.endpoints[]', backendEndpoint)],
};
