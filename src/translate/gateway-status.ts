// What we say of a Gateway: its conditions and its listeners', from what it is, where it was placed and which of its
// sockets could not be opened.

import type { Problem } from '../api/problem.ts';
import { Problems } from '../api/problem.ts';
import { addressText } from '../base/ip.ts';
import type { Key } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import type { Condition, ConditionName, Fault, GatewayStatus, ListenerStatus } from './conditions.ts';
import { condition, onceServed } from './conditions.ts';
import type { GatewayDraft, GatewayPlan, Placement } from './gateway.ts';
import { type Conflict, type ListenerDraft, lacksCertificate } from './listener.ts';
import type { Reach } from './reach.ts';

/** Why a socket could not be opened, by its key. */
export type SocketFaults = ReadonlyMap<Key, SocketFault>;

export interface SocketFault {
  /** The system's name of it: EADDRINUSE, EADDRNOTAVAIL ... */
  readonly code: string;
  /** For people. */
  readonly reason: string;
}

/** Of the address and not of the port: it is not this machine's, or of a family that it does not have. */
const ADDRESS_CODES: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** What the sockets of one listener lack. */
interface Unopened {
  readonly port: string | null;
  readonly address: string | null;
  /** Addresses that cannot be had. */
  readonly addresses: readonly string[];
}

const OPEN: Unopened = { port: null, address: null, addresses: [] };

function unopened(draft: GatewayDraft, sockets: readonly Key[], faults: SocketFaults): Unopened {
  if (!sockets.some((key) => faults.has(key))) return OPEN;
  const ports: string[] = [];
  const unusable: string[] = [];
  const addresses: string[] = [];
  const allFailed = sockets.every((key) => faults.has(key));
  for (const key of sockets) {
    const fault = faults.get(key);
    const socket = parseKey(key);
    if (fault === undefined || socket.kind !== 'socket') continue;
    const { address, port } = socket;
    const message = `Cannot listen on ${addressText(address, port)}: ${fault.reason}.`;
    if (!ADDRESS_CODES.has(fault.code)) ports.push(message);
    else {
      addresses.push(address);
      // Nobody asked for it by name, and the other family serves: a machine without IPv6 is a machine like any other.
      const given = fault.code === 'EAFNOSUPPORT' && !draft.addresses.own.includes(address);
      if (!given || allFailed) unusable.push(message);
    }
  }
  const joined = (messages: readonly string[]): string | null => (messages.length === 0 ? null : messages.join(' '));
  return { port: joined(ports), address: joined(unusable), addresses };
}

/** What is wrong with a Gateway for what others are: other Gateways, other programs, the machine. */
export function placeProblems(draft: GatewayDraft, plan: GatewayPlan, faults: SocketFaults): readonly Problem[] {
  const problems = new Problems(draft.key);
  const { fault } = plan.addresses;
  // An address that cannot be had was named with the draft.
  if (fault !== null && draft.addresses.unusable === null) problems.error('spec.addresses', fault.message);
  for (const [i, { conflict, sockets }] of plan.placements.entries()) {
    const listener = draft.listeners[i] as ListenerDraft;
    const { field } = listener;
    if (conflict !== null) problems.error(field, conflict.message);
    const { port, address } = unopened(draft, sockets, faults);
    if (port !== null) problems.error(`${field}.port`, notOpen(draft, listener, port));
    if (address !== null) problems.error(field, notOpen(draft, listener, address));
  }
  return problems.found;
}

function notOpen(draft: GatewayDraft, listener: ListenerDraft, message: string): string {
  return `Gateway ${draft.name}, listener ${listener.name}: ${message}`;
}

/** What is said of listeners that lack a socket. */
export function unopenedListeners(draft: GatewayDraft, plan: GatewayPlan, faults: SocketFaults): string[] {
  return plan.placements.flatMap(({ sockets }, i) => {
    const { port, address } = unopened(draft, sockets, faults);
    const message = port ?? address;
    return message === null ? [] : [notOpen(draft, draft.listeners[i] as ListenerDraft, message)];
  });
}

/** `attached`: accepted routes by listener name. */
export function gatewayStatus(
  draft: GatewayDraft,
  plan: GatewayPlan,
  attached: ReadonlyMap<string, number>,
  faults: SocketFaults,
  reach: Reach,
): GatewayStatus {
  const lacking = plan.placements.map(({ sockets }) => unopened(draft, sockets, faults));
  const listeners = draft.listeners.map((listener, i) => {
    const conflict = draft.conflicts[i] ?? (plan.placements[i] as Placement).conflict;
    const faults = listenerFaults(draft, plan, listener, conflict, lacking[i] as Unopened);
    const served = servedAs(plan.placements[i] as Placement);
    return listenerStatus(draft.generation, listener, faults, served, attached.get(listener.name) ?? 0);
  });
  const unusable = new Set(lacking.flatMap(({ addresses }) => addresses));
  const missing = lacking.find(({ address }) => address !== null)?.address ?? null;
  const fault: Fault | null = missing === null ? null : { name: 'gatewayAddress', message: missing };
  return {
    addresses: reach.addresses.filter(({ value }) => !unusable.has(value)),
    conditions: gatewayConditions(draft, plan, plan.addresses.fault ?? fault ?? reach.fault, listeners),
    listeners,
  };
}

function isTrue(status: ListenerStatus, type: string): boolean {
  return status.conditions.some((c) => c.type === type && c.status === 'True');
}

/** `fault`: of its addresses. */
function gatewayConditions(
  draft: GatewayDraft,
  plan: GatewayPlan,
  fault: Fault | null,
  listeners: readonly ListenerStatus[],
): Condition[] {
  const { generation } = draft;
  const valid = listeners.filter((listener) => isTrue(listener, 'Accepted'));
  const good = naming(listeners, (l) => isTrue(l, 'Accepted'));
  const message = `Not valid: ${naming(listeners, (l) => !isTrue(l, 'Accepted'))}. Valid: ${good}.`;
  let accepted: Condition;
  if (draft.refused !== null) accepted = condition(draft.refused.name, generation, draft.refused.message);
  else if (listeners.length > 0 && valid.length === listeners.length)
    accepted = condition('gatewayAccepted', generation);
  else accepted = condition(valid.length > 0 ? 'gatewaySomeListeners' : 'gatewayNoListeners', generation, message);

  let programmed: Condition;
  if (accepted.status !== 'True') programmed = condition('gatewayNotAccepted', generation);
  else if (fault !== null) programmed = condition(fault.name, generation, fault.message);
  else if (!listeners.some((listener) => isTrue(listener, 'Programmed'))) {
    programmed = condition('gatewayUnprogrammed', generation);
  } else {
    const served = JSON.stringify([draft.entry, plan.placements.map(servedAs)]);
    programmed = onceServed('gatewayProgrammed', generation, served);
  }

  const unresolved = naming(listeners, (listener) => !isTrue(listener, 'ResolvedRefs'));
  const certificate = draft.clientCertificate.fault;
  const resolved =
    certificate !== null
      ? condition(certificate.name, generation, certificate.message)
      : unresolved === 'none'
        ? condition('gatewayResolved', generation)
        : condition('gatewayUnresolved', generation, `Listeners with references that do not resolve: ${unresolved}.`);
  // Taken back with the mode (apis/v1 GatewayConditionInsecureFrontendValidationMode).
  const insecure = draft.listeners.filter(({ tls }) => tls?.settings.clients?.mode === 'AllowInsecureFallback');
  if (insecure.length === 0) return [accepted, programmed, resolved];
  const ports = [...new Set(insecure.map(({ port }) => port))].join(', ');
  const text = `Clients need no good certificate on port ${ports}: backends have to decide.`;
  return [accepted, programmed, resolved, condition('gatewayInsecureClients', generation, text)];
}

function naming(listeners: readonly ListenerStatus[], which: (listener: ListenerStatus) => boolean): string {
  const names = listeners.filter(which).map((listener) => listener.name);
  return names.length === 0 ? 'none' : names.join(', ');
}

/** Why a listener is not what it should be; null where it is. */
interface ListenerFaults {
  readonly accepted: Fault | null;
  readonly programmed: Fault | null;
  readonly conflicted: Fault | null;
}

const CONFLICT_CONDITIONS = {
  hostname: ['listenerHostnameTaken', 'listenerHostnameUnprogrammed', 'listenerHostnameConflict'],
  protocol: ['listenerProtocolTaken', 'listenerProtocolUnprogrammed', 'listenerProtocolConflict'],
} as const satisfies Record<Conflict['type'], readonly ConditionName[]>;

/** What a listener is matters more than with whom it collides, and that more than whether its socket opened. */
function listenerFaults(
  draft: GatewayDraft,
  plan: GatewayPlan,
  listener: ListenerDraft,
  conflict: Conflict | null,
  lacking: Unopened,
): ListenerFaults {
  const [taken, unprogrammed, conflicting] = CONFLICT_CONDITIONS[conflict?.type ?? 'hostname'];
  const named = (name: ConditionName, message: string): Fault => ({ name, message });
  const conflicted = conflict === null ? null : named(conflicting, conflict.message);
  if (listener.fault !== null) {
    return { accepted: listener.fault, programmed: named('listenerInvalid', listener.fault.message), conflicted };
  }
  if (conflict === null && listener.closed !== null) {
    return { accepted: listener.closed, programmed: named('listenerInvalid', listener.closed.message), conflicted };
  }
  if (conflict !== null) {
    return { accepted: named(taken, conflict.message), programmed: named(unprogrammed, conflict.message), conflicted };
  }
  let programmed: Fault | null = null;
  if (draft.refused !== null) programmed = named('listenerInvalid', 'The Gateway is not accepted.');
  else if (listener.kinds.length === 0) programmed = named('listenerInvalid', 'No kind of route can attach.');
  else if (lacksCertificate(listener))
    programmed = named('listenerInvalid', listener.refs?.message ?? 'No certificate can be shown.');
  else if (plan.addresses.bound.length === 0) programmed = named('listenerInvalid', 'No usable address.');
  else if (lacking.port !== null) programmed = named('listenerPortUnprogrammed', lacking.port);
  else if (lacking.address !== null) programmed = named('listenerAddress', lacking.address);
  return {
    accepted: lacking.port === null ? null : named('listenerPort', lacking.port),
    programmed,
    conflicted,
  };
}

/** What workers have to serve for a listener: while that is the same, nothing is pending. */
function servedAs({ sockets, host }: Placement): string {
  return JSON.stringify([sockets, host]);
}

function listenerStatus(
  generation: number,
  listener: ListenerDraft,
  faults: ListenerFaults,
  served: string,
  attachedRoutes: number,
): ListenerStatus {
  const either = (fault: Fault | null, good: ConditionName): Condition =>
    fault === null ? condition(good, generation) : condition(fault.name, generation, fault.message);
  return {
    name: listener.name,
    supportedKinds: listener.kinds,
    attachedRoutes,
    conditions: [
      either(faults.accepted, 'listenerAccepted'),
      faults.programmed === null
        ? onceServed('listenerProgrammed', generation, served)
        : either(faults.programmed, 'listenerProgrammed'),
      either(listener.refs, 'listenerResolved'),
      either(faults.conflicted, 'listenerDistinct'),
    ],
  };
}
