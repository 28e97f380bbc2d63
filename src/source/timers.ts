import type { Timers } from '../base/timers.ts';

/** The process's own. */
export const SYSTEM_TIMERS: Timers = {
  after: (ms, fire) => {
    const timer = setTimeout(fire, ms);
    return () => clearTimeout(timer);
  },
};
