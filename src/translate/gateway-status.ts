// What we say of a Gateway: its conditions and its listeners', from what it is, where it was placed and which of its
// sockets could not be opened.

import type { Problem } from '../api/problem.ts';
import { Problems } from '../api/problem.ts';
import { addressText } from '../base/ip.ts';
import type { Key } from '../ir/ir.ts';
import { parseKey } from '../ir/keys.ts';
import type { Condition, ConditionName, Fault, GatewayStatus, ListenerStatus } from './conditions.ts';
import { condition, onceServed } from './conditions.ts';
import type { GatewayDraft, GatewayPlan, ListenerOwner, Placement } from './gateway.ts';
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

function unopened(gateway: GatewayDraft, sockets: readonly Key[], faults: SocketFaults): Unopened {
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
      const given = fault.code === 'EAFNOSUPPORT' && !gateway.addresses.own.includes(address);
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
  return [...problems.found, ...listenerProblems(draft, draft, plan, faults)];
}

/** The same of the listeners of a Gateway, or of a ListenerSet of it, alone. */
export function listenerProblems(
  gateway: GatewayDraft,
  owner: ListenerOwner,
  plan: GatewayPlan,
  faults: SocketFaults,
): readonly Problem[] {
  const problems = new Problems(owner.key);
  for (const [i, { conflict, sockets }] of plan.placements.entries()) {
    const listener = owner.listeners[i] as ListenerDraft;
    const { field } = listener;
    if (conflict !== null) problems.error(field, conflict.message);
    const { port, address } = unopened(gateway, sockets, faults);
    if (port !== null) problems.error(`${field}.port`, notOpen(owner, listener, port));
    if (address !== null) problems.error(field, notOpen(owner, listener, address));
  }
  return problems.found;
}

function notOpen(owner: ListenerOwner, listener: ListenerDraft, message: string): string {
  const kind = owner.key.startsWith('ListenerSet/') ? 'ListenerSet' : 'Gateway';
  return `${kind} ${owner.name}, listener ${listener.name}: ${message}`;
}

/** What is said of listeners that lack a socket: of a Gateway, or of a ListenerSet of it. */
export function unopenedListeners(
  gateway: GatewayDraft,
  owner: ListenerOwner,
  plan: GatewayPlan,
  faults: SocketFaults,
): string[] {
  return plan.placements.flatMap(({ sockets }, i) => {
    const { port, address } = unopened(gateway, sockets, faults);
    const message = port ?? address;
    return message === null ? [] : [notOpen(owner, owner.listeners[i] as ListenerDraft, message)];
  });
}

/**
 * What is said of the listeners of a Gateway, or of a ListenerSet of it. `served`: servedAs of each; `attached`:
 * accepted routes by their names.
 */
export function listenerStatuses(
  gateway: GatewayDraft,
  owner: ListenerOwner,
  plan: GatewayPlan,
  served: readonly string[],
  attached: ReadonlyMap<string, number>,
  faults: SocketFaults,
): ListenerStatus[] {
  return owner.listeners.map((listener, i) => {
    const placement = plan.placements[i] as Placement;
    const conflict = owner.conflicts[i] ?? placement.conflict;
    const found = listenerFaults(owner, plan, listener, conflict, unopened(gateway, placement.sockets, faults));
    const pends = served[i] as string;
    return listenerStatus(owner.generation, listener, found, pends, attached.get(listener.name) ?? 0);
  });
}

/** `attached`: accepted routes by listener name; `sets`: how many ListenerSets are accepted. */
export function gatewayStatus(
  draft: GatewayDraft,
  plan: GatewayPlan,
  attached: ReadonlyMap<string, number>,
  sets: number,
  faults: SocketFaults,
  reach: Reach,
): GatewayStatus {
  const lacking = plan.placements.map(({ sockets }) => unopened(draft, sockets, faults));
  const served = plan.placements.map(servedAs);
  const listeners = listenerStatuses(draft, draft, plan, served, attached, faults);
  const unusable = new Set(lacking.flatMap(({ addresses }) => addresses));
  const missing = lacking.find(({ address }) => address !== null)?.address ?? null;
  const fault: Fault | null = missing === null ? null : { name: 'gatewayAddress', message: missing };
  return {
    addresses: reach.addresses.filter(({ value }) => !unusable.has(value)),
    conditions: gatewayConditions(draft, served, plan.addresses.fault ?? fault ?? reach.fault, listeners),
    listeners,
    ...(draft.sets.from === 'None' ? {} : { attachedListenerSets: sets }),
  };
}

export function isTrue(status: { readonly conditions: readonly Condition[] }, type: string): boolean {
  return status.conditions.some((c) => c.type === type && c.status === 'True');
}

/** `fault`: of its addresses. */
function gatewayConditions(
  draft: GatewayDraft,
  served: readonly string[],
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
    programmed = onceServed('gatewayProgrammed', generation, servedTogether(draft.entry, served));
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

export function naming(listeners: readonly ListenerStatus[], which: (listener: ListenerStatus) => boolean): string {
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
  owner: ListenerOwner,
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
  if (owner.refused !== null) programmed = named('listenerInvalid', 'The Gateway is not accepted.');
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
export function servedAs({ sockets, host }: Placement): string {
  return JSON.stringify([sockets, host]);
}

/** The same of all listeners and what they are of; none holds a line feed, which JSON writes in another way. */
export function servedTogether(owner: unknown, listeners: readonly string[]): string {
  return [JSON.stringify(owner), ...listeners].join('\n');
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
