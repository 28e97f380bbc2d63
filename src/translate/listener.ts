// One listener of a Gateway or ListenerSet by itself: what it asks for, what of it cannot be served, which routes it
// lets in. Whether it gets its traffic is decided against its neighbours (gateway.ts) and other Gateways (sockets.ts).

import type { Problems } from '../api/problem.ts';
import { fields } from '../base/fields.ts';
import { nearest } from '../base/nearest.ts';
import { shared } from '../base/tight.ts';
import type { SocketEntry } from '../ir/ir.ts';
import type { Fault, RouteGroupKind } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { GATEWAY_GROUP } from './context.ts';
import type { Reader } from './dependencies.ts';
import { type FrontendTls, UNASKED } from './frontend-tls.ts';
import { isHostname } from './hostname.ts';
import { defaultCertificate, type ListenerTls, listenerTls, type Referrer } from './listener-tls.ts';
import { LISTENER_PROTOCOLS, protocolOf } from './protocols.ts';
import { anyText, list, port, shown, text } from './read.ts';
import { parseSelector, type Selector } from './selector.ts';

export interface Conflict {
  readonly type: 'hostname' | 'protocol';
  readonly message: string;
}

export interface ListenerDraft {
  readonly name: string;
  /** Field path in the Gateway or ListenerSet. */
  readonly field: string;
  /** As written, 0 if invalid; routes refer to this one. */
  readonly port: number;
  /** After the port map: what is bound. */
  readonly boundPort: number;
  readonly protocol: string;
  /** '*' when the listener names none. */
  readonly hostname: string;
  /** Route kinds that may attach. */
  readonly kinds: readonly RouteGroupKind[];
  readonly namespaces: NamespacePolicy;
  /** Of HTTPS and TLS; null for cleartext, and when there is nothing to show to clients. */
  readonly tls: ListenerTls | null;
  /** Of TLS: it does not end here (mode Passthrough). */
  readonly passthrough: boolean;
  readonly proxyProtocol: SocketEntry['proxyProtocol'];
  /** Why the listener is not accepted, conflicts apart. */
  readonly fault: Fault | null;
  /**
   * Why it lets nobody in. It is not accepted, but keeps its place: what it would have taken goes to no listener of a
   * wider hostname.
   */
  readonly closed: Fault | null;
  /** Why its references do not resolve. */
  readonly refs: Fault | null;
}

/** Namespaces whose routes, or ListenerSets, may attach. */
export type NamespacePolicy =
  | { readonly from: 'Same' | 'All' | 'None' }
  | { readonly from: 'Selector'; readonly selector: Selector };

/** What a Gateway says for all of its listeners, those of ListenerSets too. */
export interface GatewayWide {
  /** By port. */
  readonly frontend: (number: number) => FrontendTls;
  /** By name. */
  readonly proxied: (listener: string) => SocketEntry['proxyProtocol'];
}

export function draftListener(
  reader: Reader,
  owner: Referrer,
  index: number,
  value: unknown,
  options: TranslatorOptions,
  { frontend, proxied }: GatewayWide,
  problems: Problems,
): ListenerDraft {
  const spec = fields(value);
  const field = shared(`spec.listeners[${index}]`);
  const name = text(spec['name']) ?? '';
  const protocol = text(spec['protocol']) ?? '';
  const number = port(spec['port']);
  const hostname = (anyText(spec['hostname']) ?? '').toLowerCase();
  const allowed = fields(spec['allowedRoutes']);
  const served = routeKindsOf(protocol).length > 0;
  const { kinds, refused } = routeKinds(protocol, allowed['kinds']);

  let fault: Fault | null = null;
  if (!served) {
    fault = { name: 'listenerProtocol', message: unknownProtocol(spec['protocol']) };
    problems.error(`${field}.protocol`, fault.message);
  } else if (number === undefined) {
    fault = { name: 'listenerPort', message: `${shown(spec['port'])} is not a port: write one from 1 to 65535.` };
    problems.error(`${field}.port`, fault.message);
  } else if (hostname !== '' && !isHostname(hostname)) {
    fault = { name: 'listenerValue', message: `${shown(spec['hostname'])} is not a hostname.` };
    problems.error(`${field}.hostname`, fault.message);
  }
  let refs: Fault | null = null;
  if (served && refused.length > 0) {
    const can = routeKindsOf(protocol).join(', ');
    const message = `Route kinds that cannot attach here: ${refused.join(', ')}; what can is ${can}.`;
    refs = { name: 'listenerRouteKinds', message };
    problems.error(`${field}.allowedRoutes.kinds`, refs.message);
  }
  const passthrough = protocol === 'TLS' && fields(spec['tls'])['mode'] === 'Passthrough';
  if (passthrough) unshown(fields(spec['tls'])['certificateRefs'], `${field}.tls.certificateRefs`, problems);
  let tls: ListenerTls | null = null;
  if (protocol === 'HTTPS' || (protocol === 'TLS' && !passthrough)) {
    const https = protocol === 'HTTPS';
    // GEP-91 is about HTTPS.
    const clients = https ? frontend(number ?? 0) : UNASKED;
    const at = { field: `${field}.tls`, hostname, ...(https ? {} : NO_ALPN) };
    const secured = listenerTls(reader, owner, spec['tls'], at, clients, problems);
    tls = https ? withDefault(reader, secured.tls, at.field, options, problems) : secured.tls;
    fault ??= secured.fault;
    refs ??= secured.refs;
  }

  const at = `${field}.allowedRoutes.namespaces`;
  const namespaces = namespacePolicy(allowed['namespaces'], 'Same', at, problems);
  return {
    name,
    field,
    port: number ?? 0,
    boundPort: number === undefined ? 0 : (options.portMap.get(number) ?? number),
    protocol,
    hostname: hostname === '' ? '*' : hostname,
    kinds,
    namespaces: namespaces ?? { from: 'None' },
    tls,
    passthrough,
    proxyProtocol: protocol === 'UDP' ? null : proxied(name),
    fault,
    closed: namespaces === null ? NOBODY : null,
    refs,
  };
}

/** Certificates where TLS does not end. */
function unshown(refs: unknown, field: string, problems: Problems): void {
  if (list(refs).length === 0) return;
  const how = 'Leave them out, or write mode: Terminate.';
  problems.warning(field, `TLS passes through: backends show certificates, these have no effect. ${how}`);
}

/** With the certificate of --default-certificate, where there is one. */
function withDefault(
  reader: Reader,
  tls: ListenerTls | null,
  field: string,
  { defaultCertificate: other = null }: TranslatorOptions,
  problems: Problems,
): ListenerTls | null {
  if (tls === null || other === null) return tls;
  return { ...tls, fallback: defaultCertificate(reader, other, field, problems) };
}

interface RouteKinds {
  readonly kinds: readonly RouteGroupKind[];
  readonly refused: readonly string[];
}

/** By the kinds of a protocol: of ten thousand listeners most say the same. */
const ALL_KINDS = new Map<readonly string[], RouteKinds>();

function allKinds(possible: readonly string[]): RouteKinds {
  let all = ALL_KINDS.get(possible);
  if (all === undefined) {
    all = { kinds: possible.map((kind) => ({ group: GATEWAY_GROUP, kind })), refused: [] };
    ALL_KINDS.set(possible, all);
  }
  return all;
}

/** Kinds that are both asked for and possible on the protocol, in the order asked for; and the rest, as shown. */
function routeKinds(protocol: string, asked: unknown): RouteKinds {
  const possible = routeKindsOf(protocol);
  const wanted = list(asked).map(fields);
  if (wanted.length === 0) return allKinds(possible);
  const kinds: RouteGroupKind[] = [];
  const refused: string[] = [];
  for (const item of wanted) {
    const group = item['group'] ?? GATEWAY_GROUP;
    const kind = text(item['kind']) ?? '';
    if (group === GATEWAY_GROUP && possible.includes(kind)) {
      if (!kinds.some((known) => known.kind === kind)) kinds.push({ group: GATEWAY_GROUP, kind });
    } else refused.push(group === GATEWAY_GROUP ? shown(kind) : `${shown(kind)} of group ${shown(group)}`);
  }
  return { kinds, refused };
}

/** What is spoken behind the handshake is not known here: whatever clients offer, nothing is agreed on. */
const NO_ALPN = { alpn: [] } as const;

const NOBODY: Fault = {
  name: 'listenerValue',
  message: 'allowedRoutes.namespaces cannot be read: no namespace is let in.',
};

const FROM = { Same: { from: 'Same' }, All: { from: 'All' }, None: { from: 'None' } } as const;

/** Null when it cannot be read: nobody is let in then. */
export function namespacePolicy(
  value: unknown,
  standard: 'Same' | 'None',
  field: string,
  problems: Problems,
): NamespacePolicy | null {
  const spec = fields(value);
  const from = spec['from'] ?? standard;
  if (from === 'Same' || from === 'All' || from === 'None') return FROM[from];
  if (from !== 'Selector') {
    problems.error(`${field}.from`, `${shown(from)} is not one of All, Same, Selector, None; no namespace is let in.`);
    return null;
  }
  const at = `${field}.selector`;
  if (spec['selector'] === undefined || spec['selector'] === null) {
    const form = 'selector: { matchLabels: { NAME: VALUE } }';
    problems.error(at, `from: Selector needs a selector; no namespace is let in. Write ${form}.`);
    return null;
  }
  const selector = parseSelector(spec['selector'], at, (where, message) =>
    problems.error(where, `${message} No namespace is let in.`),
  );
  return selector === null ? null : { from, selector };
}

/**
 * Conflicts among the listeners of one Gateway or ListenerSet, by index. Listeners must be distinct by port, protocol
 * and hostname, and none of those that are not may win (apis/v1 GatewaySpec.Listeners, "Handling indistinct
 * Listeners"). Ports are compared as they are bound.
 */
export function conflictsWithin(listeners: readonly ListenerDraft[]): (Conflict | null)[] {
  const conflicts = listeners.map((): Conflict | null => null);
  const sharing = Map.groupBy(listeners.entries(), ([, listener]) => {
    const protocol = familyOf(listener);
    return protocol === undefined || listener.boundPort === 0 ? null : `${listener.boundPort} ${protocol.transport}`;
  });
  for (const [port, group] of sharing) {
    const [first, second] = group;
    if (port === null || first === undefined || second === undefined) continue;
    const family = familyOf(first[1])?.family;
    const stranger = group.find(([, other]) => familyOf(other)?.family !== family);
    const named = Map.groupBy(group, ([, { hostname }]) => hostname);
    for (const [i, listener] of group) {
      const protocol = familyOf(listener);
      const another = i === first[0] ? second : first;
      const mixed = protocol?.byHostname === false ? another : protocol?.family === family ? stranger : first;
      const same = named.get(listener.hostname)?.find(([index]) => index !== i);
      if (mixed !== undefined) conflicts[i] = mixedConflict(listener, mixed[1]);
      else if (same !== undefined) conflicts[i] = hostnameConflict(listener, same[1]);
    }
  }
  return conflicts;
}

function mixedConflict({ boundPort }: ListenerDraft, { name, protocol }: ListenerDraft): Conflict {
  return { type: 'protocol', message: `Listener ${name} wants protocol ${protocol} on the same port ${boundPort}.` };
}

function hostnameConflict({ boundPort, hostname }: ListenerDraft, { name }: ListenerDraft): Conflict {
  const host = hostname === '*' ? 'every hostname' : `hostname ${hostname}`;
  return { type: 'hostname', message: `Listener ${name} wants ${host} on the same port ${boundPort}.` };
}

function unknownProtocol(value: unknown): string {
  const given = typeof value === 'string' ? value.toUpperCase() : '';
  const near =
    LISTENER_PROTOCOLS.find((name) => name === given) ??
    (/^(HTTP2|H2C|HTTP\/.*|GRPC|WS|HTTP_ONLY)$/.test(given) ? 'HTTP' : nearest(given, LISTENER_PROTOCOLS));
  const http =
    near === 'HTTP' && given !== 'HTTP' && nearest(given, ['HTTP']) === undefined ? ', of every version' : '';
  const hint = near === undefined ? `${LISTENER_PROTOCOLS.join(', ')} are` : `write ${near}${http}`;
  return `Protocol ${shown(value)} is not served: ${hint}.`;
}

/** Undefined for what is not served: it takes nothing from anybody. */
function familyOf({ protocol }: ListenerDraft): ReturnType<typeof protocolOf> {
  return routeKindsOf(protocol).length === 0 ? undefined : protocolOf(protocol);
}

function routeKindsOf(protocol: string): readonly string[] {
  return protocolOf(protocol)?.routeKinds ?? [];
}

/** TLS is to end at it, and there is nothing to show to clients. */
export function lacksCertificate({ protocol, passthrough, tls }: ListenerDraft): boolean {
  return tls === null && (protocol === 'HTTPS' || (protocol === 'TLS' && !passthrough));
}
