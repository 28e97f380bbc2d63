// How long an Ingress waits (proxy-read-timeout, proxy-send-timeout): as in nginx a time between two pieces of content,
// not one for all of it. And when it asks again (proxy-next-upstream).

import { LIMITS } from '../base/limits.ts';
import type { Retry, Timeouts } from '../ir/ir.ts';
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

const NEXT = `${NGINX}proxy-next-upstream`;
const TRIES = `${NGINX}proxy-next-upstream-tries`;
const NEXT_TIMEOUT = `${NGINX}proxy-next-upstream-timeout`;
const USUAL_NEXT = 'error timeout';
const USUAL_TRIES = 3;
const TRIES_MOST = 100;
/** Failures without an answer: wherever something is asked again, after these. */
const ALWAYS: ReadonlySet<string> = new Set(['error', 'timeout', 'invalid_header', 'non_idempotent', 'off']);

/** Null where nobody says anything: what failed before a byte was sent is repeated whatever stands here. */
export function retryOf(read: Annotations): Retry | null {
  const [next, tries] = [read.text(NEXT), read.text(TRIES)];
  // No end of its own, as there is none here.
  if (read.peek(NEXT_TIMEOUT) === '0') read.text(NEXT_TIMEOUT);
  if (next === null && tries === null) return null;
  const words = (next ?? USUAL_NEXT).trim().split(/[\s,]+/);
  const codes = new Set<number>();
  for (const word of words) {
    const code = Number(/^http_(403|404|429|50[0234])$/.exec(word)?.[1] ?? 0);
    if (code > 0) codes.add(code);
    else if (!ALWAYS.has(word)) {
      const like = 'error, timeout, http_500, http_502, http_503, http_504, http_403, http_404, http_429';
      read.wrong(NEXT, `${shown(word)} is not one of ${like}, non_idempotent, off: it has no effect.`);
    }
  }
  const attempts = words.includes('off') ? 0 : triesOf(read, tries) - 1;
  const asked = { attempts, codes: attempts === 0 ? [] : [...codes].sort((a, b) => a - b), backoffMs: 0 };
  return words.includes('non_idempotent') ? asked : { ...asked, idempotent: true };
}

/** With the first; 0 is as many as there are in nginx. */
function triesOf(read: Annotations, value: string | null): number {
  if (value === null) return USUAL_TRIES;
  if (/^0{1,3}$/.test(value)) return LIMITS.UPSTREAM_TRIED;
  if (/^\d{1,3}$/.test(value)) return Math.min(Number(value), TRIES_MOST);
  read.wrong(TRIES, `${shown(value)} is not a number like "3", in quotes: ${USUAL_TRIES} holds.`);
  return USUAL_TRIES;
}
