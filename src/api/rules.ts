// Rules across fields: what the CRDs say in CEL (x-kubernetes-validations, with the CRD's own words) and what the API
// server's code says of core kinds. A rule runs only on an object whose every field has passed its shape.

import { isIP, isIPv4, isIPv6 } from 'node:net';
import { type Fields, isFields } from '../base/fields.ts';
import type { BackendEndpoint } from './backend.ts';
import type { EndpointSlice, HTTPIngressPath, IngressBackend, Secret, ServiceSpec } from './core.ts';
import { durationMs } from './duration.ts';
import { exampleOf, type Form, hostForm, pathForm, templateForm } from './forms.ts';
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
import {
  BACKEND_TLS_POLICY,
  BACKEND_TRAFFIC_POLICY,
  INFRASTRUCTURE,
  sessionPersistence,
  X_BACKEND,
} from './policy-rules.ts';
import type { Problems } from './problem.ts';
import { type Check, firstRepeated, type Rule, rule, type Step } from './rule.ts';

export function checkRules(kind: string, body: Fields, problems: Problems): void {
  for (const { steps, check } of RULES[kind] ?? []) visit(body, steps, 0, '', check, problems);
}

/** Most of what rules are about is not there: where it would be is put into words only where it is. */
function visit(
  value: unknown,
  steps: readonly Step[],
  i: number,
  path: string,
  check: Check<unknown>,
  problems: Problems,
): void {
  const step = steps[i];
  if (step === undefined) {
    check(value, path, problems);
    return;
  }
  const child = isFields(value) ? value[step.name] : undefined;
  if (child === undefined || child === null) return;
  const childPath = path === '' ? step.name : `${path}.${step.name}`;
  if (!step.each) visit(child, steps, i + 1, childPath, check, problems);
  else if (Array.isArray(child)) {
    for (let n = 0; n < child.length; n++) {
      const item: unknown = child[n];
      if (item !== undefined && item !== null) visit(item, steps, i + 1, `${childPath}[${n}]`, check, problems);
    }
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
  const own = FILTER_FIELDS[filter.type];
  const others = Object.entries(FILTER_FIELDS).filter(([, field]) => field !== own && given[field] !== undefined);
  for (const [type, field] of others) {
    const rename = given[own ?? ''] === undefined && own !== undefined ? `, or call the field ${own}` : '';
    problems.error(
      `${path}.${field}`,
      `${field} is for type ${type}, not ${filter.type}: write type: ${type}${rename}`,
    );
  }
  if (own === undefined || given[own] !== undefined || others.length > 0) return;
  problems.missing(`${path}.${own}`, exampleOf(path, own, undefined), `, which type ${filter.type} needs`);
}

function filterList(filters: readonly HTTPRouteFilter[], path: string, problems: Problems): void {
  for (const type of ONCE) {
    const again = filters.findLastIndex((f) => f.type === type);
    if (again !== filters.findIndex((f) => f.type === type)) {
      const first = filters.findIndex((f) => f.type === type);
      problems.error(`${path}[${again}]`, `${type} may stand once in a list: put this into that of [${first}]`);
    }
  }
  if (filters.some((f) => f.type === 'RequestRedirect') && filters.some((f) => f.type === 'URLRewrite')) {
    problems.error(path, 'RequestRedirect and URLRewrite exclude each other: leave one out');
  }
}

function pathModifier(modifier: HTTPPathModifier, path: string, problems: Problems): void {
  for (const [type, field] of [
    ['ReplaceFullPath', 'replaceFullPath'],
    ['ReplacePrefixMatch', 'replacePrefixMatch'],
  ] as const) {
    const given = modifier[field] !== undefined;
    if (modifier.type === type && !given) {
      if (!(['replaceFullPath', 'replacePrefixMatch'] as const).some((other) => modifier[other] !== undefined))
        problems.missing(`${path}.${field}`, exampleOf(path, field, undefined), `, which type ${type} needs`);
    } else if (given && modifier.type !== type) {
      problems.error(`${path}.${field}`, `${field} is for type ${type}, not ${modifier.type}: write type: ${type}`);
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
      if (filter.grpc === undefined && filter.http === undefined)
        problems.missing(`${path}.${field}`, `${field}: {}`, `, which protocol ${protocol} needs`);
    } else if (given && filter.protocol !== protocol) {
      problems.error(`${path}.${field}`, `${field} is for protocol ${protocol}: write protocol: ${protocol}`);
    }
  }
}

function wildcardAlone(values: readonly string[], path: string, problems: Problems): void {
  if (values.includes('*') && values.length > 1)
    problems.error(path, '"*" means all of them and must stand alone: leave out the others, or "*"');
}

function servicePort(ref: { group: string; kind: string; port?: number }, path: string, problems: Problems): void {
  if (ref.group === '' && ref.kind === 'Service' && ref.port === undefined) {
    problems.missing(`${path}.port`, 'port: 80 (or, for a Backend, group: rauta.io, kind: Backend)', SERVICE_PORT);
  }
}

const SERVICE_PORT = ', which a reference to a Service needs';

/** Names of header fields are the same in any case (RFC 9110 section 5.1): of several the first counts. */
function fieldNames(list: readonly { readonly name: string }[], path: string, problems: Problems): void {
  list.forEach(({ name }, i) => {
    const first = list.findIndex((other) => other.name.toLowerCase() === name.toLowerCase());
    if (first === i || list[first]?.name === name) return;
    const message = `${name} is the same field as ${list[first]?.name} of [${first}], which counts: write it once`;
    problems.warning(`${path}[${i}]`, message);
  });
}

function routeHostnames(names: readonly string[], path: string, problems: Problems): void {
  names.forEach((name, i) => {
    if (isIP(name) === 0) return;
    problems.warning(
      `${path}[${i}]`,
      `${JSON.stringify(name)} is an address, and hosts are names: for every host leave it out`,
    );
  });
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
        problems.error(path, 'percent and fraction say the same: leave out one of them');
      }
    }),
    rule<Fraction>(`${at}[].requestMirror.fraction`, (fraction, path, problems) => {
      if (fraction.numerator > fraction.denominator) {
        const { numerator, denominator } = fraction;
        problems.error(`${path}.numerator`, `must be at most the denominator, ${denominator}, not ${numerator}`);
      }
    }),
    rule(`${at}[].cors.allowHeaders`, wildcardAlone),
    rule(`${at}[].cors.allowMethods`, wildcardAlone),
    rule(`${at}[].cors.allowOrigins`, wildcardAlone),
  ];
}

/** What an Exact or PathPrefix value may not hold. */
const PATH_REFUSED = /\/\/|\/\.{1,2}(\/|$)|%2f|#/i;
const PATH_CHARACTERS = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;

function pathMatch(match: HTTPPathMatch, path: string, problems: Problems): void {
  const at = `${path}.value`;
  const { type, value } = match;
  if (type === 'RegularExpression') pathExpression(value, at, problems);
  else if (!value.startsWith('/') || PATH_REFUSED.test(value) || !PATH_CHARACTERS.test(value))
    problems.wrong(at, templateForm(value) ?? pathForm(value), value);
  else pathStar(value, at, problems);
}

/** A value that is right and yet never matches what was meant: it has to match a whole path, which begins with `/`. */
function pathExpression(value: string, at: string, problems: Problems): void {
  const first = /^\^?([A-Za-z0-9_-])/.exec(value)?.[1];
  if (first === undefined) return;
  problems.warning(at, `never matches, for no path begins with "${first}": write /${value.replace(/^\^/, '')}`);
}

function pathStar(value: string, at: string, problems: Problems): void {
  const star = /\/?\.?\*+$/.exec(value);
  if (star !== null) {
    const prefix = value.slice(0, star.index) || '/';
    problems.warning(at, `"*" stands for itself here: for everything below it write type PathPrefix, value ${prefix}`);
  } else if (value.includes('*')) {
    const pattern = value.replace(/[.+()]/g, '\\$&').replaceAll('*', '[^/]*');
    problems.warning(
      at,
      `"*" stands for itself here: for any one segment write type RegularExpression, value ${pattern}`,
    );
  }
}

function httpRule(rule: HTTPRouteRule, path: string, problems: Problems): void {
  const filters = rule.filters ?? [];
  const redirect = filters.findIndex((f) => f.requestRedirect !== undefined);
  if ((rule.backendRefs ?? []).length > 0 && redirect >= 0) {
    const message = 'a rule that redirects sends nothing to backends: leave out backendRefs, or RequestRedirect';
    problems.error(`${path}.filters[${redirect}]`, message);
  }
  const match = rule.matches.length === 1 ? rule.matches[0] : undefined;
  if (match?.path?.type === 'PathPrefix') return;
  const type = match?.path?.type;
  const found = type === undefined ? `${rule.matches.length} matches` : `a match of type ${type}`;
  const need = `replaces a prefix, and the rule has ${found}: it needs exactly one match of type PathPrefix`;
  const complain = (list: readonly HTTPRouteFilter[], at: string): void => {
    list.forEach((filter, i) => {
      for (const [name, modifier] of [
        ['RequestRedirect', filter.requestRedirect?.path],
        ['URLRewrite', filter.urlRewrite?.path],
      ] as const) {
        if (modifier?.replacePrefixMatch !== undefined) problems.error(`${at}[${i}]`, `${name} ${need}`);
      }
    });
  };
  complain(filters, `${path}.filters`);
  rule.backendRefs?.forEach((ref, i) => {
    complain(ref.filters ?? [], `${path}.backendRefs[${i}].filters`);
  });
}

function timeouts(value: HTTPRouteTimeouts, path: string, problems: Problems): void {
  const request = durationMs(value.request ?? '0s');
  if (request > 0 && durationMs(value.backendRequest ?? '0s') > request) {
    const { request: whole = '', backendRequest = '' } = value;
    problems.error(
      `${path}.backendRequest`,
      `must be at most the request's ${whole}, of which it is a part, not ${backendRequest}`,
    );
  }
}

function ruleNames(rules: readonly { name?: string }[], path: string, problems: Problems): void {
  const again = firstRepeated(rules.map((r) => r.name ?? null));
  if (again >= 0)
    problems.error(
      `${path}[${again}].name`,
      `${JSON.stringify(rules[again]?.name)} is the name of an earlier rule: each may stand once`,
    );
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
    problems.error(
      `${path}[${again}]`,
      'refers to the same as an earlier one: leave it out, or name another sectionName',
    );
    return;
  }
  const sorts = new Map<string, string>();
  refs.forEach((ref, i) => {
    const sort = `${ref.sectionName === undefined} ${ref.port === undefined}`;
    const first = sorts.get(parent(ref)) ?? sort;
    sorts.set(parent(ref), first);
    if (first === sort) return;
    const message = 'refers to the same parent as an earlier one: each then has to name a sectionName (or a port)';
    problems.error(`${path}[${i}]`, message);
  });
}

const ROUTE: readonly Rule[] = [rule('spec.parentRefs', parentRefs), rule('spec.rules', ruleNames)];
const BACKEND_REFS = rule('spec.rules[].backendRefs[]', servicePort);

function listeners(list: readonly Listener[], path: string, problems: Problems): void {
  list.forEach((l, i) => {
    const at = `${path}[${i}]`;
    if (['HTTP', 'TCP', 'UDP'].includes(l.protocol) && l.tls !== undefined) {
      const secured = l.protocol === 'HTTP' ? 'protocol: HTTPS' : 'protocol: TLS';
      problems.error(`${at}.tls`, `protocol ${l.protocol} has no TLS: write ${secured}, or leave tls out`);
    }
    if (l.protocol === 'HTTPS' && l.tls !== undefined && l.tls.mode !== 'Terminate') {
      const message = `must be Terminate for protocol HTTPS, not ${l.tls.mode}: protocol TLS with a TLSRoute passes through`;
      problems.error(`${at}.tls.mode`, message);
    }
    if (l.protocol === 'TLS' && l.tls === undefined)
      problems.missing(`${at}.tls`, 'tls: { mode: Passthrough }', ', which protocol TLS needs');
    if (['TCP', 'UDP'].includes(l.protocol) && (l.hostname ?? '') !== '') {
      const none = `protocol ${l.protocol} knows no hostnames${problems.not(l.hostname).replace(', not', ':')}`;
      problems.error(`${at}.hostname`, `${none}: leave it out`);
    }
  });
  const name = firstRepeated(list.map((l) => l.name));
  if (name >= 0)
    problems.error(
      `${path}[${name}].name`,
      `${JSON.stringify(list[name]?.name)} is the name of an earlier listener: each may stand once`,
    );
  const same = firstRepeated(list.map((l) => JSON.stringify([l.port, l.protocol, l.hostname ?? null])));
  if (same >= 0) {
    const { port, protocol, hostname } = list[same] as Listener;
    const first = list.findIndex((l) => l.port === port && l.protocol === protocol && l.hostname === hostname);
    const what = `port ${port}, protocol ${protocol} and ${hostname === undefined ? 'every hostname' : hostname}`;
    problems.error(`${path}[${same}]`, `[${first}] has ${what}, too: give this one another port or hostname`);
  }
}

function listenerTls(tls: ListenerTLSConfig, path: string, problems: Problems): void {
  const some = (tls.certificateRefs ?? []).length > 0 || Object.keys(tls.options ?? {}).length > 0;
  if (tls.mode === 'Terminate' && !some) {
    problems.missing(`${path}.certificateRefs`, 'certificateRefs: [{ name: cert }]', ', which mode Terminate needs');
  }
}

const LISTENERS: readonly Rule[] = [rule('spec.listeners', listeners), rule('spec.listeners[].tls', listenerTls)];
const HOSTNAME = /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function addresses(list: readonly GatewaySpecAddress[], path: string, problems: Problems): void {
  list.forEach(({ type, value }, i) => {
    const at = `${path}[${i}].value`;
    if (value === undefined) return;
    if (type === 'IPAddress' && isIP(value) === 0)
      problems.wrong(at, { must: ADDRESS, write: value === 'localhost' ? '127.0.0.1' : '' }, value);
    if (type === 'Hostname' && value !== '' && !HOSTNAME.test(value)) problems.wrong(at, hostForm(value, true), value);
  });
  for (const type of ['IPAddress', 'Hostname']) {
    const again = firstRepeated(list.map((a) => (a.type === type ? (a.value ?? null) : null)));
    if (again >= 0)
      problems.error(
        `${path}[${again}].value`,
        `stands there more than once${problems.not(list[again]?.value).replace(', not', ':')}`,
      );
  }
}

function perPort(list: readonly TLSPortConfig[], path: string, problems: Problems): void {
  const again = firstRepeated(list.map((t) => String(t.port)));
  if (again >= 0)
    problems.error(
      `${path}[${again}].port`,
      `an earlier entry is for port ${list[again]?.port}, too: each may stand once`,
    );
}

function tlsHostnames(names: readonly string[], path: string, problems: Problems): void {
  names.forEach((name, i) => {
    if (isIP(name) !== 0 || !HOSTNAME.test(name)) problems.wrong(`${path}[${i}]`, hostForm(name, true), name);
  });
}

function grpcMethod(match: GRPCMethodMatch, path: string, problems: Problems): void {
  if (match.service === undefined && match.method === undefined) {
    problems.error(path, 'service and method are missing: write one of them, like service: shop.Cart');
  }
  if (match.type !== 'Exact') return;
  if (match.method !== undefined && !/^[A-Za-z_][A-Za-z_0-9]*$/.test(match.method)) {
    const write = /([A-Za-z_][A-Za-z_0-9]*)$/.exec(match.method)?.[1] ?? '';
    problems.wrong(`${path}.method`, { must: 'must be the name of a gRPC method like Add', write }, match.method);
  }
  if (match.service !== undefined && !/^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i.test(match.service)) {
    const write = match.service.replace(/^\/|\/.*$/g, '');
    problems.wrong(
      `${path}.service`,
      { must: 'must be the name of a gRPC service like shop.Cart', write },
      match.service,
    );
  }
}

/** k8s.io/kubernetes pkg/apis/core/validation ValidateService, as far as traffic depends on it. */
function service(spec: ServiceSpec, path: string, problems: Problems): void {
  if (spec.type === 'ExternalName') {
    if ((spec.externalName ?? '') === '')
      problems.missing(`${path}.externalName`, 'externalName: app.example.com', ', which type ExternalName needs');
    return;
  }
  const ports = spec.ports ?? [];
  if (ports.length === 0 && spec.clusterIP !== 'None') problems.missing(`${path}.ports`, 'ports: [{ port: 80 }]');
  const unnamed = ports.findIndex((p) => (p.name ?? '') === '');
  if (ports.length > 1 && unnamed >= 0)
    problems.missing(`${path}.ports[${unnamed}].name`, 'name: http', ', which each of several ports needs');
  const again = firstRepeated(ports.map((p) => p.name ?? null));
  if (again >= 0)
    problems.error(
      `${path}.ports[${again}].name`,
      `${JSON.stringify(ports[again]?.name)} is the name of an earlier port: each may stand once`,
    );
}

/** Any address will do in a file, loopback included, but it must be one of its type. */
function endpointAddresses(slice: EndpointSlice, _path: string, problems: Problems): void {
  const type = slice.addressType;
  const good = type === 'IPv4' ? isIPv4 : type === 'IPv6' ? isIPv6 : (name: string) => HOSTNAME.test(name);
  slice.endpoints?.forEach((endpoint, i) => {
    endpoint.addresses.forEach((address, n) => {
      if (!good(address)) problems.wrong(`endpoints[${i}].addresses[${n}]`, addressForm(type, address), address);
    });
  });
}

const ADDRESS = 'must be an IPv4 or IPv6 address like 127.0.0.1 or ::1';

function addressForm(type: string, address: string): Form {
  const own = isIPv4(address) ? 'IPv4' : isIPv6(address) ? 'IPv6' : 'FQDN';
  const like = { IPv4: '127.0.0.1', IPv6: '::1' }[type] ?? 'app.example.com';
  const other = own === 'FQDN' ? '' : `; this one is for a slice of addressType ${own}`;
  return { must: `must be of addressType ${type}, like ${like}${other}`, write: '' };
}

function tlsSecret(body: Secret, _path: string, problems: Problems): void {
  if (body.type !== 'kubernetes.io/tls') return;
  for (const name of ['tls.crt', 'tls.key']) {
    if (body.data?.[name] === undefined)
      problems.missing(
        `data[${name}]`,
        `${name}: BASE64 (or plain PEM under stringData)`,
        ', which type kubernetes.io/tls needs',
      );
  }
}

function ingressBackend(backend: IngressBackend, path: string, problems: Problems): void {
  if ((backend.service === undefined) === (backend.resource === undefined)) {
    problems.error(path, 'must name one of service and resource: write service: { name: app, port: { number: 80 } }');
  }
  const port = backend.service?.port;
  if (backend.service !== undefined && (port?.name === undefined) === (port?.number === undefined)) {
    const none = port?.name === undefined;
    if (none) problems.missing(`${path}.service.port`, 'port: { number: 80 }');
    else problems.error(`${path}.service.port`, 'name and number say the same: leave out one of them');
  }
}

function ingressPath(path: HTTPIngressPath, at: string, problems: Problems): void {
  const value = path.path ?? '';
  if (value === '' && path.pathType === 'ImplementationSpecific') return;
  if (!value.startsWith('/')) {
    problems.wrong(`${at}.path`, templateForm(value) ?? pathForm(value), value);
    return;
  }
  if (path.pathType === 'ImplementationSpecific') return;
  if (value.endsWith('*')) {
    const prefix = value.replace(/\/?\*+$/, '') || '/';
    problems.warning(`${at}.path`, `"*" stands for itself here: write path: ${prefix}, pathType: Prefix`);
  }
  if (/\/\/|\/\.{1,2}\/|%2f/i.test(value)) problems.wrong(`${at}.path`, pathForm(value), value);
}

function backendEndpoint(endpoint: BackendEndpoint, path: string, problems: Problems): void {
  const given = (['address', 'hostname', 'unix'] as const).filter((name) => endpoint[name] !== undefined);
  if (given.length === 0) {
    problems.error(path, 'its address is missing: write address: 127.0.0.1 (or hostname, or unix)');
    return;
  }
  if (given.length > 1) {
    problems.error(path, `${given.join(' and ')} exclude each other: write one of address, hostname and unix`);
    return;
  }
  const { address, port, unix } = endpoint;
  if (address !== undefined && isIP(address) === 0) {
    const [, host = '', number] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(address) ?? [];
    const named = isIP(host) === 0 ? `hostname: ${host === '' ? address : host}` : `address: ${host}`;
    const write = templateForm(address) === null ? `${named}${number === undefined ? '' : `, port: ${number}`}` : '';
    problems.wrong(`${path}.address`, templateForm(address) ?? { must: ADDRESS, write }, address);
    return;
  }
  if (unix !== undefined && port !== undefined)
    problems.error(`${path}.port`, `${port}: a unix socket has no port: leave it out`);
  if (unix === undefined && port === undefined) problems.missing(`${path}.port`, 'port: 9001');
}

const INGRESS_PATHS = 'spec.rules[].http.paths[]';

const RULES: Readonly<Record<string, readonly Rule[]>> = {
  HTTPRoute: [
    ...ROUTE,
    BACKEND_REFS,
    rule('spec.rules', matchCount),
    rule('spec.rules[]', httpRule),
    rule('spec.hostnames', routeHostnames),
    rule('spec.rules[].matches[].path', pathMatch),
    rule('spec.rules[].matches[].headers', fieldNames),
    rule('spec.rules[].timeouts', timeouts),
    rule('spec.rules[].sessionPersistence', sessionPersistence),
    ...filterRules('spec.rules[].filters'),
    ...filterRules('spec.rules[].backendRefs[].filters'),
  ],
  GRPCRoute: [
    ...ROUTE,
    BACKEND_REFS,
    rule('spec.rules', matchCount),
    rule('spec.hostnames', routeHostnames),
    rule('spec.rules[].matches[].headers', fieldNames),
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
  XBackend: X_BACKEND,
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
