// Whether the kernel kills processes for want of memory. Whoever is killed cannot say so, and SIGKILL has no sender:
// what there is are counters (cgroup-v2.rst, memory.events; memory.rst of version 1; /proc/vmstat for the whole
// machine).

import { readFileSync } from 'node:fs';

export const WANT_OF_MEMORY = 'killed by the kernel for want of memory (oom_kill)';

type Read = (path: string) => string;

export class OomKills {
  readonly #read: Read;
  /** The first of these that can be read; null: none can. */
  readonly #path: string | null;
  #count: number;

  constructor(read: Read = (path) => readFileSync(path, 'utf8')) {
    this.#read = read;
    this.#path = placesOf(this.#tryRead('/proc/self/cgroup') ?? '').find((path) => this.#now(path) !== null) ?? null;
    this.#count = this.#now(this.#path) ?? 0;
  }

  /** Whether any happened since this was last asked. */
  any(): boolean {
    const now = this.#now(this.#path) ?? this.#count;
    const more = now > this.#count;
    this.#count = now;
    return more;
  }

  #now(path: string | null): number | null {
    const count = path === null ? undefined : /^oom_kill (\d+)$/m.exec(this.#tryRead(path) ?? '')?.[1];
    return count === undefined ? null : Number(count);
  }

  #tryRead(path: string): string | null {
    try {
      return this.#read(path);
    } catch {
      // Another version of cgroups, none at all, or no descriptor left: then nobody knows.
      return null;
    }
  }
}

/** Nearest first. In a container a cgroup's path may be that of the machine, while its own is mounted as the root. */
function placesOf(cgroups: string): string[] {
  const places: string[] = [];
  for (const line of cgroups.split('\n')) {
    const [id = '', controllers = '', ...rest] = line.split(':');
    const path = rest.join(':').replace(/\/$/, '');
    if (id === '0' && controllers === '')
      places.push(`/sys/fs/cgroup${path}/memory.events`, '/sys/fs/cgroup/memory.events');
    else if (controllers.split(',').includes('memory'))
      places.push(`/sys/fs/cgroup/memory${path}/memory.oom_control`, '/sys/fs/cgroup/memory/memory.oom_control');
  }
  return [...places, '/proc/vmstat'];
}
