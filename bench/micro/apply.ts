// What a revision costs a worker: one changed rule, one new rule and changed endpoints applied to an engine that holds
// 10 or 10,000 rules on one host, and everything applied from nothing.
//   bin/node bench/micro/apply.ts [ROUNDS]

import type { ClusterEntry, EndpointsEntry, Entry, GatewayEntry, RuleEntry, SocketEntry } from '../../src/ir/ir.ts';
import { Engine } from '../../src/proxy/engine.ts';
import { SimIo } from '../../src/sim/io.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import { LISTENER, prefixRule } from './entries.ts';
import { type Case, report, runPaired } from './paired.ts';

const rounds = Number(process.argv[2] ?? 20);
const SMALL = 10;
const LARGE = 10_000;

const CLUSTER = 'cluster/Backend/default/app/0/000000000000';
const ENDPOINTS = 'endpoints/Backend/default/app/0';

const gateway: GatewayEntry = { kind: 'gateway', key: 'gateway/default/web', name: 'default/web' };
const socket: SocketEntry = {
  kind: 'socket',
  key: LISTENER,
  address: '0.0.0.0',
  port: 80,
  transport: 'tcp',
  hosts: [{ hostname: '*', gateway: gateway.key, listener: 'http', port: 80, protocol: 'HTTP', tls: null }],
  fallback: null,
  proxyProtocol: null,
};
const cluster: ClusterEntry = {
  kind: 'cluster',
  key: CLUSTER,
  backend: 'default/app',
  endpoints: ENDPOINTS,
  protocol: 'http1',
  proxyProtocol: null,
  tls: null,
  balancer: { type: 'roundRobin' },
};

function endpoints(weight: number): EndpointsEntry {
  return {
    kind: 'endpoints',
    key: ENDPOINTS,
    endpoints: [1, 2, 3].map((n) => ({
      id: `pod-${n}`,
      address: `10.0.0.${n}`,
      port: 80,
      zone: '',
      weight,
      state: 'ready',
    })),
  };
}

const BACKENDS = [{ cluster: CLUSTER, backend: 'default/app:80', weight: 1, filters: [] }];

function rule(index: number, method: string): RuleEntry {
  return prefixRule(index, 'app.example.com', `/api/service-${index}`, BACKENDS, method);
}

function everything(rules: number): Entry[] {
  return [gateway, socket, cluster, endpoints(1), ...Array.from({ length: rules }, (_, i) => rule(i, ''))];
}

function engine(rules: number): Engine {
  const made = new Engine({
    io: new SimIo({ seed: 1 }),
    cells: Cells.local(),
    records: { record: () => {} },
    settings: { trustedProxies: [] },
  });
  made.apply({ upserts: everything(rules), removals: [] });
  return made;
}

function changes(rules: number): Case[] {
  const target = engine(rules);
  const base = (name: string): { base?: string } => (rules === SMALL ? {} : { base: `${name}, ${SMALL} rules` });
  const named = (name: string, change: (n: number) => void): Case => ({
    name: `${name}, ${rules} rules`,
    ...base(name),
    run: (operations) => {
      for (let i = 0; i < operations; i++) change(i);
      return operations;
    },
  });
  return [
    named('one rule changed', (i) =>
      target.apply({ upserts: [rule(i % rules, i % 2 === 0 ? 'GET' : '')], removals: [] }),
    ),
    named('one rule added and removed', () => {
      target.apply({ upserts: [rule(rules, '')], removals: [] });
      target.apply({ upserts: [], removals: [`rule/HTTPRoute/default/route-${rules}/0`] });
    }),
    named('endpoints changed', (i) => target.apply({ upserts: [endpoints(1 + (i % 3))], removals: [] })),
  ];
}

const cases = [...changes(SMALL), ...changes(LARGE)];
const results = runPaired(cases, rounds, 20);
const from = process.cpuUsage();
engine(LARGE);
const took = process.cpuUsage(from);
report('apply', `bin/node bench/micro/apply.ts ${rounds}`, {
  rounds,
  results,
  [`everythingFromNothingMs_${LARGE}_rules`]: (took.user + took.system) / 1000,
});
