// What a lookup costs with 10, 1,000 and 10,000 routes, spread over hosts and all on one host; what a change costs;
// memory.
//   bin/node --expose-gc bench/micro/route.ts [ROUNDS]

import { bytesOf } from '../../src/base/bytes.ts';
import { newMemory } from '../../src/base/memory.ts';
import type { RuleEntry } from '../../src/ir/ir.ts';
import { Head } from '../../src/proxy/head.ts';
import { normalizeTarget } from '../../src/proxy/route/normalize.ts';
import { Router } from '../../src/proxy/route/router.ts';
import { LISTENER, prefixRule } from './entries.ts';
import { type Case, report, runPaired } from './paired.ts';

const HOT = 10;
const rounds = Number(process.argv[2] ?? 30);

type Shape = 'hosts' | 'one-host';
const HOST = 'api.example.com';
const hostOf = (shape: Shape, i: number): string => (shape === 'hosts' ? `service-${10_000 + i}.example.com` : HOST);
const pathOf = (shape: Shape, i: number): string => (shape === 'hosts' ? '/api/v1' : `/api/v1/service-${10_000 + i}`);

function rule(shape: Shape, i: number): RuleEntry {
  return prefixRule(i, hostOf(shape, i), pathOf(shape, i), []);
}

function routerOf(shape: Shape, routes: number): Router<number> {
  const router = new Router<number>(LISTENER);
  router.setHosts([
    { hostname: '*', gateway: 'gateway/default/gateway', listener: 'http', port: 80, protocol: 'HTTP', tls: null },
  ]);
  for (let i = 0; i < routes; i++) router.set(rule(shape, i), i + 1);
  return router;
}

/** Requests for `count` of the routes, evenly over them; all heads lie in one memory. */
function requests(shape: Shape, routes: number, count: number): { mem: Uint8Array; heads: Head[] } {
  const mem = newMemory(count * 256);
  const heads: Head[] = [];
  for (let k = 0; k < count; k++) {
    const i = Math.floor((k * routes) / count);
    const head = new Head();
    let at = k * 256;
    const write = (text: string): number => {
      mem.set(bytesOf(text), at);
      at += text.length;
      return at;
    };
    head.hostStart = at;
    head.hostEnd = write(hostOf(shape, i));
    head.pathStart = at;
    head.pathEnd = write(`${pathOf(shape, i)}/users/1234`);
    head.targetStart = head.pathStart;
    head.targetEnd = head.pathEnd;
    heads.push(head);
  }
  return { mem, heads };
}

function lookup(name: string, shape: Shape, routes: number, distinct: number, base?: string): Case {
  const router = routerOf(shape, routes);
  const { mem, heads } = requests(shape, routes, distinct);
  const run = (operations: number): number => {
    let sum = 0;
    let k = 0;
    for (let n = 0; n < operations; n++) {
      const payload = router.find(mem, heads[k] as Head);
      if (payload === null) throw new Error(`${name}: request ${k} found no route`);
      sum += payload;
      if (++k === distinct) k = 0;
    }
    return sum;
  };
  return base === undefined ? { name, run } : { name, base, run };
}

function change(name: string, shape: Shape, routes: number, base?: string): Case {
  const router = routerOf(shape, routes);
  const rules = Array.from({ length: 10 }, (_, k) => rule(shape, Math.floor((k * routes) / 10)));
  const run = (operations: number): number => {
    for (let n = 0; n < operations; n++) {
      const one = rules[n % rules.length] as RuleEntry;
      router.remove(one.key);
      router.set(one, n + 1);
    }
    return router.size;
  };
  return base === undefined ? { name, run } : { name, base, run };
}

function normalize(): Case {
  const { mem, heads } = requests('one-host', 10, HOT);
  return {
    name: 'normalizeTarget, nothing to do',
    run: (operations) => {
      let good = 0;
      for (let n = 0; n < operations; n++) if (normalizeTarget(mem, heads[n % HOT] as Head)) good++;
      return good;
    },
  };
}

function memory(shape: Shape): number {
  const gc = globalThis.gc;
  if (gc === undefined) throw new Error('run with --expose-gc');
  const rules = Array.from({ length: 10_000 }, (_, i) => rule(shape, i));
  gc();
  const before = process.memoryUsage();
  const router = new Router<number>(LISTENER);
  for (const one of rules) router.set(one, 1);
  gc();
  const after = process.memoryUsage();
  const bytes = after.heapUsed + after.external - before.heapUsed - before.external;
  if (router.size !== rules.length) throw new Error('rules were lost');
  return Math.round(bytes / 1024) / 1024;
}

const memoryMb = { 'hosts, 10,000 routes': memory('hosts'), 'one host, 10,000 routes': memory('one-host') };
const cases: Case[] = [];
for (const shape of ['hosts', 'one-host'] as const) {
  const base = `${shape}, 10 routes`;
  cases.push(lookup(base, shape, 10, HOT));
  cases.push(lookup(`${shape}, 1,000 routes`, shape, 1000, HOT, base));
  cases.push(lookup(`${shape}, 10,000 routes`, shape, 10_000, HOT, base));
  // The same with 1,000 requests in turn, of as many routes as there are: what the processor's caches make of it.
  const cold = `${shape}, 10 routes, 1,000 requests in turn`;
  cases.push(lookup(cold, shape, 10, 1000));
  cases.push(lookup(`${shape}, 10,000 routes, 1,000 requests in turn`, shape, 10_000, 1000, cold));
}
cases.push(normalize());
for (const shape of ['hosts', 'one-host'] as const) {
  const base = `${shape}, remove and set one of 10`;
  cases.push(change(base, shape, 10));
  cases.push(change(`${shape}, remove and set one of 10,000`, shape, 10_000, base));
}
const results = runPaired(cases, rounds, 20);
report('route', `bin/node --expose-gc bench/micro/route.ts ${rounds}`, { rounds, memoryMb, results });
