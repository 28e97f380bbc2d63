// What a configuration keeps: nothing that nobody names any more, whatever came and went, and all or nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endpoint, GATEWAY, LISTENER, listener, rule, cluster as withEndpoints } from '../../test/proxy/rig.ts';
import type { Entry } from '../ir/ir.ts';
import { SimIo } from '../sim/io.ts';
import { Cells } from '../telemetry/cells.ts';
import { ApplyError } from './config/refused.ts';
import { Config } from './config.ts';
import { Core } from './core.ts';
import type { Listener } from './listener.ts';
import { TrustedProxies } from './trusted.ts';

const AT = { family: 'ipv4', address: '10.0.0.1', port: 80 } as const;
const [CLUSTER, ENDPOINTS] = withEndpoints('app', [endpoint(AT)]);
const ROUTE_CELLS: Entry = { kind: 'cells', key: 'cells/HTTPRoute/default/r', blocks: { route: 4096 } };
const CLUSTER_CELLS: Entry = { kind: 'cells', key: `cells/${CLUSTER.key}`, blocks: { '10.0.0.1:80': 8192 } };
const ALL: readonly Entry[] = [GATEWAY, listener(), rule({}), CLUSTER, ENDPOINTS, ROUTE_CELLS, CLUSTER_CELLS];
const NOTHING = { listeners: 0, gateways: 0, clusters: 0, endpoints: 0, cells: 0, tls: 0 };

function setup(): { config: Config; left: Listener[] } {
  const trusted = new TrustedProxies([]);
  const options = { io: new SimIo({ seed: 1 }), cells: Cells.local(), records: { record: () => {} }, trusted };
  const left: Listener[] = [];
  const config = new Config(
    new Core(options),
    { http1: { expected: 1, connect: () => null }, http2: { expected: 1, connect: () => null } },
    () => assert.fail(),
    (listener) => left.push(listener),
  );
  return { config, left };
}

function orders(entries: readonly Entry[]): (readonly Entry[])[] {
  return entries.map((_, i) => [...entries.slice(i), ...entries.slice(0, i)]);
}

test('whatever comes first and whatever goes first, nothing stays of what left', () => {
  for (const arriving of orders(ALL)) {
    for (const leaving of [...orders(ALL), ...orders([...ALL].reverse())]) {
      const { config, left } = setup();
      for (const entry of arriving) config.apply({ upserts: [entry], removals: [] });
      assert.equal([...config.clusters][0]?.current?.pools.length, 1);
      for (const { key } of leaving) config.apply({ upserts: [], removals: [key] });
      assert.deepEqual(config.kept, NOTHING);
      assert.deepEqual(
        left.map(({ key }) => key),
        [LISTENER],
      );
    }
  }
});

test('a listener that left stays as long as a socket or a rule leads to it', () => {
  const { config } = setup();
  config.apply({ upserts: ALL, removals: [] });
  const held = config.listener(LISTENER);
  held.acceptors++;
  config.apply({ upserts: [], removals: [LISTENER] });
  assert.equal(config.listener(LISTENER), held);
  config.apply({ upserts: [], removals: [rule({}).key] });
  assert.equal(config.listener(LISTENER), held);
  held.acceptors--;
  config.dropUnused(held);
  assert.equal(config.kept['listeners'], 0);
});

test('a thousand sockets that came and went leave nothing', () => {
  const { config } = setup();
  for (let port = 1; port <= 1_000; port++) {
    const key = `socket/127.0.0.1/${port}/tcp`;
    config.apply({ upserts: [GATEWAY, { ...listener(port), key }], removals: [] });
    config.apply({ upserts: [], removals: [key, GATEWAY.key] });
  }
  assert.deepEqual(config.kept, NOTHING);
});

test('a revision that is refused leaves nothing behind', () => {
  const { config } = setup();
  const bad = rule({ match: { path: { type: 'RegularExpression', value: '(' } } });
  assert.throws(() => config.apply({ upserts: [rule({ name: 'good' }), bad], removals: [] }), ApplyError);
  assert.deepEqual(config.kept, NOTHING);
  assert.equal(config.rules, 0);
});

test('endpoints change the clusters that are made of them, and no other', () => {
  const { config } = setup();
  const [other, others] = withEndpoints('other', [endpoint(AT)]);
  const second = { ...CLUSTER, key: CLUSTER.key.replace(/0+$/, '111111111111') };
  config.apply({ upserts: [...ALL, second, other, others], removals: [] });
  const before = new Map([...config.clusters].map((ref) => [ref.key, ref.current]));
  config.apply({ upserts: [withEndpoints('app', [endpoint(AT), endpoint({ ...AT, port: 81 })])[1]], removals: [] });
  const pools = new Map([...config.clusters].map((ref) => [ref.key, ref.current?.pools]));
  assert.deepEqual(
    [pools.get(CLUSTER.key)?.length, pools.get(second.key)?.length, pools.get(other.key)?.length],
    [2, 2, 1],
  );
  assert.equal(pools.get(CLUSTER.key)?.[0], before.get(CLUSTER.key)?.pools[0], 'an endpoint that stays keeps its pool');
  assert.notEqual(pools.get(CLUSTER.key)?.[0], pools.get(second.key)?.[0], 'clusters share no pool');
  assert.equal([...config.clusters].find((ref) => ref.key === other.key)?.current, before.get(other.key));
  config.apply({ upserts: [], removals: [ENDPOINTS.key] });
  assert.equal([...config.clusters].find((ref) => ref.key === CLUSTER.key)?.current?.pools.length, 0);
});

test('logs call a host by the name of its Gateway, whichever came first', () => {
  const { config } = setup();
  config.apply({ upserts: [listener()], removals: [] });
  config.apply({ upserts: [GATEWAY], removals: [] });
  const on = config.listener(LISTENER);
  const [host] = on.entry?.hosts ?? [];
  assert.ok(host !== undefined);
  assert.equal(on.jsonOf(host).text, ',"gateway":"default/gw","listener":"http"');
});
