// What an exchange is doing, and what may follow.
//
//   RESTING   in the pool
//   COLLECTING its content is held, for somebody who is to see it before it goes on; its head is kept
//   DECIDING  somebody else was asked about the request; its head is kept
//   WAITING   the request is prepared; capacity at a backend is awaited
//   BACKOFF   an attempt failed, the next one has its time
//   SENDING   a backend has the request; its content follows as it comes
//   ANSWERING the final response head went to the client; its content follows
//   TUNNEL    the protocol was switched: bytes, both ways
//
//   RESTING -> WAITING -> SENDING -> ANSWERING -> RESTING     the way of most

import { assert } from '../../base/assert.ts';

export const STATE = {
  RESTING: 0,
  COLLECTING: 1,
  DECIDING: 2,
  WAITING: 3,
  BACKOFF: 4,
  SENDING: 5,
  ANSWERING: 6,
  TUNNEL: 7,
} as const;

function to(...states: readonly number[]): number {
  return states.reduce((bits, state) => bits | (1 << state), 0);
}

/** By state: those that may follow, as bits. Each may end, but only by Exchange.finish. */
const FOLLOWS: readonly number[] = [
  to(STATE.WAITING),
  to(STATE.WAITING, STATE.RESTING),
  to(STATE.WAITING, STATE.RESTING),
  to(STATE.COLLECTING, STATE.DECIDING, STATE.SENDING, STATE.WAITING, STATE.BACKOFF, STATE.RESTING),
  to(STATE.WAITING, STATE.RESTING),
  to(STATE.ANSWERING, STATE.TUNNEL, STATE.WAITING, STATE.BACKOFF, STATE.RESTING),
  to(STATE.RESTING),
  to(STATE.RESTING),
];
const NAMES = Object.keys(STATE);

/** The state `next`, if it may follow `state`. */
export function transition(state: number, next: number): number {
  if (((FOLLOWS[state] as number) & (1 << next)) === 0) refuse(state, next);
  return next;
}

function refuse(state: number, next: number): never {
  assert(false, `an exchange that is ${NAMES[state]} is not ${NAMES[next]} next`);
  throw new Error();
}
