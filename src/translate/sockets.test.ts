// Who gets a port of an address when several want it: at the plan, for every protocol, served here or not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mulberry32 } from '../../test/support/mulberry32.ts';
import { AddressPool } from './addresses.ts';
import type { TranslatorOptions } from './context.ts';
import type { GatewayDraft } from './gateway.ts';
import type { ListenerDraft } from './listener.ts';
import { planSockets } from './sockets.ts';
import { socketsOf } from './units.ts';

const OPTIONS: TranslatorOptions = {
  controllerName: 'rauta.io/gateway-controller',
  implicitClass: 'rauta',
  defaultAddresses: ['0.0.0.0'],
  portMap: new Map(),
};

type Wish = readonly [protocol: string, port: number, hostname?: string];

const TLS: NonNullable<ListenerDraft['tls']> = {
  settings: {
    certificates: ['certificate/default/a'],
    minVersion: 'TLSv1.2',
    ciphers: [],
    suites: [],
    alpn: [],
    clients: null,
  },
  trust: null,
  fallback: null,
};

function draft(name: string, created: number, own: readonly string[], ...wishes: readonly Wish[]): GatewayDraft {
  const listeners = wishes.map(
    ([protocol, port, hostname = '*'], i): ListenerDraft => ({
      name: `l${i}`,
      field: `spec.listeners[${i}]`,
      port,
      boundPort: port,
      protocol,
      passthrough: protocol === 'TLS',
      proxyProtocol: null,
      hostname,
      kinds: [{ group: 'any', kind: 'AnyRoute' }],
      namespaces: { from: 'Same' },
      closed: null,
      tls: protocol === 'HTTPS' ? TLS : null,
      fault: null,
      refs: null,
    }),
  );
  return {
    key: `Gateway/default/${name}`,
    name: `default/${name}`,
    namespace: 'default',
    className: 'rauta',
    uid: '',
    infrastructure: { labels: {}, annotations: {} },
    created,
    generation: 1,
    service: null,
    entry: { kind: 'gateway', key: `gateway/default/${name}`, name: `default/${name}` },
    refused: null,
    clientCertificate: { key: null, fault: null },
    addresses: { own, any: own.length === 0, held: [], unsupported: null, unusable: null },
    sets: { from: 'None' },
    listeners,
    conflicts: listeners.map(() => null),
  };
}

/** Conflicts by Gateway and listener: their type, and who is named; null for none. */
function conflicts(...drafts: readonly GatewayDraft[]): Record<string, (string | null)[]> {
  const found: Record<string, (string | null)[]> = {};
  for (const order of [drafts, [...drafts].reverse()]) {
    for (const [key, { placements }] of planSockets(order, OPTIONS, []).gateways) {
      const said = placements.map(({ conflict }) =>
        conflict === null ? null : `${conflict.type} ${/Gateway default\/(\w+)/.exec(conflict.message)?.[1]}`,
      );
      const name = key.replace('Gateway/default/', '');
      if (found[name] !== undefined)
        assert.deepEqual(said, found[name], 'the order in which they are given is nothing');
      found[name] = said;
    }
  }
  return found;
}

test('protocols that cannot share a port: the older Gateway has it, whichever protocol that is', () => {
  for (const [mine, other] of [
    ['HTTP', 'HTTPS'],
    ['HTTP', 'TLS'],
    ['HTTP', 'TCP'],
    ['TLS', 'TCP'],
  ] as const) {
    for (const [first, second] of [
      [mine, other],
      [other, mine],
    ] as const) {
      const old = draft('old', 1, [], [first, 80, 'a.example']);
      const young = draft('young', 2, [], [second, 80, 'b.example'], [second, 81]);
      assert.deepEqual(conflicts(young, old), { old: [null], young: ['protocol old', null] }, `${first} ${second}`);
    }
  }
});

test('protocols that can share a port are told apart by hostname', () => {
  const old = draft('old', 1, [], ['HTTPS', 443, 'a.example']);
  const young = draft('young', 2, [], ['TLS', 443, 'b.example'], ['TLS', 443, 'a.example']);
  assert.deepEqual(conflicts(old, young), { old: [null], young: [null, 'hostname old'] });
});

test('of a protocol without hostnames a port has one', () => {
  const old = draft('old', 1, [], ['TCP', 9000], ['UDP', 9000]);
  const young = draft('young', 2, [], ['TCP', 9000], ['UDP', 9001]);
  assert.deepEqual(conflicts(old, young), { old: [null, null], young: ['protocol old', null] });
});

test('UDP and TCP of one number are two sockets', () => {
  const old = draft('old', 1, [], ['HTTP', 443]);
  const young = draft('young', 2, [], ['UDP', 443]);
  assert.deepEqual(conflicts(old, young), { old: [null], young: [null] });
});

test('another address is another socket; a conflict on one address keeps the listener off all', () => {
  const old = draft('old', 1, ['192.0.2.1'], ['HTTP', 80]);
  const apart = draft('apart', 2, ['192.0.2.2'], ['HTTPS', 80]);
  const both = draft('both', 3, ['192.0.2.1', '192.0.2.3'], ['HTTPS', 80]);
  assert.deepEqual(conflicts(old, apart, both), { old: [null], apart: [null], both: ['protocol old'] });
  const last = draft('last', 4, ['192.0.2.3'], ['HTTP', 80]);
  assert.deepEqual(conflicts(old, both, last)['last'], [null]);
});

test('entries are of what is served, and of Gateways that have some of it', () => {
  const plan = planSockets(
    [draft('a', 1, [], ['HTTP', 80], ['INVALID', 443]), draft('b', 2, [], ['HTTP', 80])],
    OPTIONS,
    [],
  );
  assert.deepEqual([...plan.entries.keys()].sort(), ['gateway/default/a', 'socket/0.0.0.0/80/tcp']);
});

test('of Gateways of one age the one that serves stays, whatever they are called', () => {
  const serving = draft('zebra', 0, [], ['HTTP', 80, 'a.example'], ['HTTP', 81]);
  const before = socketsOf(planSockets([serving], OPTIONS, []).entries.values());
  const newcomer = draft('ant', 0, [], ['HTTP', 80, 'a.example'], ['HTTP', 80, 'b.example']);
  const plan = planSockets([newcomer, serving], OPTIONS, before);
  const conflictsOf = (name: string): (string | undefined)[] =>
    plan.gateways.get(`Gateway/default/${name}`)?.placements.map(({ conflict }) => conflict?.type) ?? [];
  assert.deepEqual(conflictsOf('zebra'), [undefined, undefined]);
  assert.deepEqual(conflictsOf('ant'), ['hostname', undefined]);
  const again = planSockets([serving, newcomer], OPTIONS, socketsOf(plan.entries.values()));
  assert.deepEqual(again, plan, 'and it stays so');
  const older = { ...newcomer, created: -1 };
  const taken = planSockets([older, serving], OPTIONS, before).gateways.get('Gateway/default/zebra');
  assert.equal(taken?.placements[0]?.conflict?.type, 'hostname', 'an older one takes it all the same');
});

test('whatever was served before, a plan over what it plans is the same, messages and all', () => {
  const random = mulberry32(8);
  const one = <T>(...of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  for (let world = 0; world < 2_000; world++) {
    const wish = (port: number): Wish => [one('HTTP', 'HTTP', 'HTTPS', 'TLS'), port, one('*', 'a.example', 'b.test')];
    const drafts = ['ant', 'bee', 'cow', 'dog'].map((name) =>
      draft(name, one(0, 0, 1), one([], [], ['192.0.2.1'], ['192.0.2.2']), wish(80), wish(81)),
    );
    const some = drafts.filter(() => random() < 0.5).reverse();
    const plan = planSockets(drafts, OPTIONS, socketsOf(planSockets(some, OPTIONS, []).entries.values()));
    assert.deepEqual(planSockets(drafts, OPTIONS, socketsOf(plan.entries.values())), plan, `world ${world}`);
  }
});

test('an address of the pool stays with the Gateway that has it', () => {
  const options = { ...OPTIONS, addressPool: new AddressPool(['10.0.0.1']) };
  const before = socketsOf(planSockets([draft('zebra', 0, [], ['HTTP', 80])], options, []).entries.values());
  const plan = planSockets([draft('ant', 0, [], ['HTTP', 80]), draft('zebra', 0, [], ['HTTP', 80])], options, before);
  assert.deepEqual(plan.gateways.get('Gateway/default/zebra')?.addresses.bound, ['10.0.0.1']);
  assert.equal(plan.gateways.get('Gateway/default/ant')?.addresses.fault?.name, 'gatewayUnassigned');
});
