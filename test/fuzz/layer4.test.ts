// Layer 4, translated, against a small model of the API: worlds by chance of Gateways with listeners that are in each
// other's way, TCPRoutes, TLSRoutes and UDPRoutes, Services with endpoints, grants; each changed some times. What must
// agree: conditions and counts, and for every port and every name in a handshake whose route gets it, which backends it
// has and where they are. FUZZ_WORLDS (600) and FUZZ_SEED as in http1.test.ts.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import type { KubeObject } from '../../src/api/object.ts';
import type { EndpointsEntry, RelayEntry, SocketEntry, SocketHost } from '../../src/ir/ir.ts';
import { ClusterRef, RouteCells } from '../../src/proxy/exchange/rule.ts';
import { CompiledRelay, RelayTable } from '../../src/proxy/relay/relay.ts';
import { ServerNames } from '../../src/proxy/tls/names.ts';
import { Store } from '../../src/store/store.ts';
import type { GatewayStatus, ListenerStatus, RouteStatus, Status } from '../../src/translate/conditions.ts';
import { Translator } from '../../src/translate/translator.ts';
import { Chance } from './http1-mutate.ts';
import { type Answer, gatewayConditions, reached, routeConditions } from './layer4-model.ts';
import { change, NAMES, objectsOf, PORTS, someWorld, type World, type WorldRoute } from './layer4-world.ts';

const WORLDS = Number(process.env['FUZZ_WORLDS'] ?? 600);
const SEED = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));
const CHANGES = 4;

class Bench {
  readonly store = new Store();
  readonly translator = new Translator({
    controllerName: 'rauta.io/gateway-controller',
    implicitClass: 'rauta',
    defaultAddresses: ['0.0.0.0'],
    portMap: new Map(),
  });
  readonly statuses = new Map<string, Status | null>();
  readonly entries = new Map<string, unknown>();
  #objects = new Map<string, KubeObject>();

  show(world: World): void {
    const next = new Map(
      objectsOf(world).map((o) => [`${o.kind}/${o.metadata.namespace ?? ''}/${o.metadata.name}`, o]),
    );
    const gone = [...this.#objects.keys()].filter((key) => !next.has(key));
    this.#objects = next;
    const keys = this.store.apply([...next.values()], gone as never);
    const { delta, statuses } = this.translator.update(this.store, { keys });
    for (const [key, status] of statuses) this.statuses.set(key, status);
    for (const entry of delta.upserts) this.entries.set(entry.key, entry);
    for (const key of delta.removals) this.entries.delete(key);
  }

  of<T>(kind: string): T[] {
    return [...this.entries.values()].filter((entry) => (entry as { kind: string }).kind === kind) as T[];
  }

  /** Who gets a session or datagram: by the tables that workers ask. */
  reached(transport: 'tcp' | 'udp', port: number, name: string): Answer {
    const socket = this.of<SocketEntry>('socket').find((s) => s.transport === transport && s.port === port);
    if (socket === undefined) return null;
    const host = hostOf(socket, name);
    if (host === undefined) return 'http';
    if (host === null) return 'nobody';
    const table = new RelayTable(socket.key);
    for (const relay of this.of<RelayEntry>('relay'))
      if (relay.attachments.some((at) => at.socket === socket.key))
        table.set(new CompiledRelay(relay, new RouteCells(), (key) => new ClusterRef(key)));
    const found = table.find(host, host.protocol === 'TLS' ? name : '');
    if (found === null) return 'nobody';
    const { route, routeKind, backends } = found.entry;
    return {
      route: `${routeKind} ${route}`,
      backends: backends.map(({ cluster, weight }) => ({ weight, at: cluster === null ? null : this.#at(cluster) })),
    };
  }

  #at(key: string): string[] {
    const cluster = this.entries.get(key) as { endpoints: string } | undefined;
    assert.ok(cluster !== undefined, `a cluster that is not there: ${key}`);
    const endpoints = this.entries.get(cluster.endpoints) as EndpointsEntry | undefined;
    return (endpoints?.endpoints ?? []).map(({ address, port }) => `${address} ${port}`).sort();
  }
}

/** As TlsOpening and the listener find it; undefined: of HTTP. */
function hostOf({ hosts }: SocketEntry, name: string): SocketHost | null | undefined {
  const bytes = hosts.find(({ protocol }) => protocol === 'TCP' || protocol === 'UDP');
  if (bytes !== undefined) return bytes;
  if (!hosts.some(({ protocol }) => protocol === 'TLS')) return undefined;
  const names = new ServerNames<SocketHost>();
  for (const host of hosts) names.add(host.hostname, host);
  const host = names.find(name);
  return host !== null && host.protocol === 'HTTPS' ? undefined : host;
}

/** Without what is RAUTA's own to say. */
const short = (conditions: readonly { type: string; status: string; reason: string }[]): string[] =>
  conditions
    .filter(({ type }) => !type.includes('/'))
    .map(({ type, status, reason }) => `${type}=${status} ${reason}`)
    .sort();

function listenerText({ attachedRoutes, conditions, supportedKinds }: ListenerStatus): string {
  const said = conditions.filter(({ type }) => type === 'Conflicted' || type === 'Accepted');
  return `${attachedRoutes} [${supportedKinds.map(({ kind }) => kind).sort()}] ${short(said).join(', ')}`;
}

function compare(bench: Bench, world: World): void {
  for (const route of world.routes) {
    const status = bench.statuses.get(`${route.kind}/${route.namespace}/${route.name}`) as
      | RouteStatus
      | null
      | undefined;
    const said = (status?.parents ?? []).map(({ conditions }) => short(conditions).join(', '));
    assert.deepEqual(said, routeConditions(world, route), `${route.kind} ${route.namespace}/${route.name}`);
  }
  for (const gateway of world.gateways) {
    const name = `${gateway.namespace}/${gateway.name}`;
    const status = bench.statuses.get(`Gateway/${name}`) as GatewayStatus;
    const said = Object.fromEntries(status.listeners.map((one) => [one.name, listenerText(one)]));
    assert.deepEqual(said, gatewayConditions(world, gateway), name);
  }
  for (const transport of ['tcp', 'udp'] as const)
    for (const port of PORTS)
      for (const name of transport === 'udp' ? [''] : NAMES) {
        const asked = `${transport} ${port} ${name}`;
        assert.deepEqual(bench.reached(transport, port, name), reached(world, transport, port, name), asked);
      }
}

test('worlds of layer 4 are what the model says, whatever changes', () => {
  const served: Record<WorldRoute['kind'], number> = { TCPRoute: 0, TLSRoute: 0, UDPRoute: 0 };
  for (let i = 0; i < WORLDS; i++) {
    const chance = new Chance(SEED + i);
    let world = someWorld(chance);
    const bench = new Bench();
    for (let step = 0; step <= CHANGES; step++) {
      bench.show(world);
      try {
        compare(bench, world);
      } catch (error) {
        const text = JSON.stringify(world, null, 1);
        throw new Error(`FUZZ_SEED=${SEED + i} FUZZ_WORLDS=1, step ${step}: ${(error as Error).message}\n${text}`, {
          cause: error,
        });
      }
      for (const port of PORTS)
        for (const transport of ['tcp', 'udp'] as const) {
          const answer = reached(world, transport, port, 'a.x');
          if (typeof answer === 'object' && answer !== null) served[answer.route.split(' ')[0] as WorldRoute['kind']]++;
        }
      world = change(chance, world);
    }
  }
  // Worlds in which nothing is served would agree, too.
  for (const [kind, count] of Object.entries(served)) assert.ok(count > WORLDS / 10, `${kind}: ${count}`);
});
