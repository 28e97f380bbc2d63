// How long an Ingress waits (proxy-read-timeout, proxy-send-timeout): as in nginx a time between two pieces of content,
// not one for all of it.

import type { Timeouts } from '../ir/ir.ts';
import { NGINX } from './ingress-nginx.ts';
import type { Annotations } from './ingress-read.ts';
import { shown } from './read.ts';

const READ = `${NGINX}proxy-read-timeout`;
const SEND = `${NGINX}proxy-send-timeout`;
/** What nginx has where only the other one is written. */
const USUAL_S = 60;
/** What fits a 32-bit timer. */
const MOST_S = Math.floor((2 ** 31 - 1) / 1000);

/** The longer of both: there is one time in which something has to move, either way. */
export function timeoutsOf(read: Annotations): Timeouts {
  const none = { requestMs: null, backendMs: null };
  const times = [secondsOf(read, READ), secondsOf(read, SEND)] as const;
  if (times[0] === null && times[1] === null) return none;
  return { ...none, idleMs: Math.max(times[0] ?? USUAL_S, times[1] ?? USUAL_S) * 1000 };
}

function secondsOf(read: Annotations, name: string): number | null {
  const value = read.text(name);
  if (value === null) return null;
  // Charts write 60s, which ingress-nginx does not read either; what is meant is plain.
  const seconds = Number(/^(\d{1,9})s?$/.exec(value.trim())?.[1] ?? 0);
  if (seconds > 0) return Math.min(seconds, MOST_S);
  read.wrong(name, `${shown(value)} is not a number of seconds like "60"; it has no effect.`);
  return null;
}
