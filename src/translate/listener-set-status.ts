// What we say of a ListenerSet: its own conditions and its listeners' (apis/v1 ListenerSetStatus).

import type { Condition, ListenerSetStatus, ListenerStatus } from './conditions.ts';
import { condition, onceServed } from './conditions.ts';
import type { GatewayDraft, GatewayPlan } from './gateway.ts';
import { isPlaceable } from './gateway.ts';
import { isTrue, listenerStatuses, naming, type SocketFaults, servedAs, servedTogether } from './gateway-status.ts';
import { type ListenerSetDraft, refusalOf } from './listener-set.ts';

/** `gateway`: null when there is none any more. `attached`: accepted routes by listener name. */
export function listenerSetStatus(
  draft: ListenerSetDraft,
  gateway: GatewayDraft | null,
  plan: GatewayPlan,
  attached: ReadonlyMap<string, number>,
  faults: SocketFaults,
): ListenerSetStatus {
  const { generation } = draft;
  const refused = refusalOf(draft, gateway);
  const owner = { ...draft, refused };
  const served = plan.placements.map(servedAs);
  const listeners = gateway === null ? [] : listenerStatuses(gateway, owner, plan, served, attached, faults);
  if (refused !== null) {
    const name = refused.name === 'setNotAllowed' ? 'setNotAllowedUnprogrammed' : 'setParentUnprogrammed';
    const conditions = [
      condition(refused.name, generation, refused.message),
      condition(name, generation, refused.message),
    ];
    return { conditions, listeners };
  }
  // One whose references leave nothing to show is no listener, here.
  const valid = listeners.filter((listener, i) => isTrue(listener, 'Accepted') && isPlaceable(owner, i));
  const among = (listener: ListenerStatus): boolean => valid.includes(listener);
  const message = `Not valid: ${naming(listeners, (l) => !among(l))}. Valid: ${naming(listeners, among)}.`;
  let accepted: Condition;
  if (listeners.length > 0 && valid.length === listeners.length) accepted = condition('setAccepted', generation);
  else accepted = condition(valid.length > 0 ? 'setSomeListeners' : 'setNoListeners', generation, message);
  const programmed = valid.some((listener) => isTrue(listener, 'Programmed'))
    ? onceServed('setProgrammed', generation, servedTogether(draft.gateway, served))
    : condition('setUnprogrammed', generation);
  return { conditions: [accepted, programmed], listeners };
}
