// Sockets that could not be opened, as the Gateways say it: listener by listener, and nobody else's.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../api/object.ts';
import { Store } from '../store/store.ts';
import type { GatewayStatus } from './conditions.ts';
import type { SocketFault } from './gateway-status.ts';
import { Translator } from './translator.ts';

const GATEWAY = 'Gateway/default/web';
const TAKEN: SocketFault = { code: 'EADDRINUSE', reason: 'EADDRINUSE: another program listens there' };
const NOWHERE: SocketFault = { code: 'EADDRNOTAVAIL', reason: 'EADDRNOTAVAIL: no interface has this address' };
const NO_FAMILY: SocketFault = { code: 'EAFNOSUPPORT', reason: 'EAFNOSUPPORT: the machine has no such address family' };

class Bench {
  readonly #store = new Store();
  readonly translator: Translator;

  constructor(defaultAddresses: readonly string[], ports: readonly number[], addresses?: readonly string[]) {
    this.translator = new Translator({
      controllerName: 'rauta.io/gateway-controller',
      implicitClass: 'rauta',
      defaultAddresses,
      portMap: new Map(),
    });
    const listeners = ports.map((port) => ({ name: `p${port}`, port, protocol: 'HTTP' }));
    const spec = { gatewayClassName: 'rauta', listeners, addresses: addresses?.map((value) => ({ value })) };
    const object = { apiVersion: 'v1', kind: 'Gateway', metadata: { name: 'web', namespace: 'default' }, spec };
    this.translator.update(this.#store, { keys: this.#store.apply([object as KubeObject], []) });
  }

  fail(faults: Readonly<Record<string, SocketFault>>): ReturnType<Translator['sockets']> {
    return this.translator.sockets(this.#store, new Map(Object.entries(faults)));
  }

  get status(): GatewayStatus {
    return this.translator.statuses.get(GATEWAY) as GatewayStatus;
  }

  /** Accepted and Programmed of the Gateway, then of each listener. */
  said(): string[] {
    return [this.status, ...this.status.listeners].map(({ conditions }) =>
      ['Accepted', 'Programmed']
        .map((type) => conditions.find((c) => c.type === type))
        .map((c) => `${c?.status} ${c?.reason}`)
        .join(', '),
    );
  }

  problems(): string[] {
    const found = this.translator.diagnostics.get(GATEWAY) ?? [];
    return found.map(({ place, message }) => `${place.object} ${place.field} ${message}`);
  }
}

const GOOD = 'True Accepted, True Programmed';

test('a port that is taken: PortUnavailable for its listener, its neighbour stays programmed', () => {
  const bench = new Bench(['0.0.0.0'], [80, 81]);
  assert.deepEqual(bench.said(), [GOOD, GOOD, GOOD]);
  const update = bench.fail({ 'socket/0.0.0.0/80/tcp': TAKEN });
  assert.deepEqual(update.delta, { upserts: [], removals: [] }, 'what serves goes on serving');
  assert.deepEqual(bench.said(), [
    'True ListenersNotValid, True Programmed',
    'False PortUnavailable, False PortUnavailable',
    GOOD,
  ]);
  assert.deepEqual(bench.problems(), [
    'Gateway/default/web spec.listeners[0].port Gateway default/web, listener p80: Cannot listen on 0.0.0.0:80: EADDRINUSE: another program listens there.',
  ]);
  assert.deepEqual(bench.translator.openness(), {
    sockets: 2,
    open: 1,
    unopened: [
      'Gateway default/web, listener p80: Cannot listen on 0.0.0.0:80: EADDRINUSE: another program listens there.',
    ],
  });
});

test('no port to be had: the Gateway is not accepted', () => {
  const bench = new Bench(['0.0.0.0'], [80]);
  bench.fail({ 'socket/0.0.0.0/80/tcp': { code: 'EACCES', reason: 'EACCES: not allowed' } });
  assert.deepEqual(bench.said(), [
    'False ListenersNotValid, False Invalid',
    'False PortUnavailable, False PortUnavailable',
  ]);
});

test('an address that is not of this machine: AddressNotUsable, and not among the addresses', () => {
  const bench = new Bench(['0.0.0.0'], [80], ['192.0.2.1', '127.0.0.1']);
  bench.fail({ 'socket/192.0.2.1/80/tcp': NOWHERE });
  assert.deepEqual(bench.said(), ['True Accepted, False AddressNotUsable', 'True Accepted, False AddressNotUsable']);
  assert.deepEqual(bench.status.addresses, [{ type: 'IPAddress', value: '127.0.0.1' }]);
  assert.match(bench.problems().join(), /spec\.listeners\[0\] .*192\.0\.2\.1:80: EADDRNOTAVAIL/);
});

test('a machine without IPv6 is no fault as long as nobody asked for it by name', () => {
  const given = new Bench(['0.0.0.0', '::'], [80]);
  given.fail({ 'socket/::/80/tcp': NO_FAMILY });
  assert.deepEqual(given.said(), [GOOD, GOOD]);
  assert.deepEqual(given.status.addresses, [{ type: 'IPAddress', value: '0.0.0.0' }]);
  assert.deepEqual(given.problems(), []);

  const asked = new Bench(['0.0.0.0'], [80], ['::1', '127.0.0.1']);
  asked.fail({ 'socket/::1/80/tcp': NO_FAMILY });
  assert.equal(asked.said()[0], 'True Accepted, False AddressNotUsable');

  const alone = new Bench(['::'], [80]);
  alone.fail({ 'socket/::/80/tcp': NO_FAMILY });
  assert.equal(alone.said()[0], 'True Accepted, False AddressNotUsable');
});

test('a socket that opens at last takes everything back', () => {
  const bench = new Bench(['0.0.0.0'], [80, 81]);
  const before = structuredClone(bench.status);
  bench.fail({ 'socket/0.0.0.0/80/tcp': TAKEN, 'socket/0.0.0.0/81/tcp': TAKEN });
  assert.equal(bench.translator.openness().open, 0);
  const update = bench.fail({});
  assert.deepEqual([...update.statuses.keys()], [GATEWAY]);
  assert.deepEqual(bench.status, before);
  assert.deepEqual(bench.problems(), []);
  assert.deepEqual(bench.fail({}).statuses.size, 0);
});

test('faults that came before the Gateway hold for it', () => {
  const store = new Store();
  const { translator } = new Bench(['0.0.0.0'], [80]);
  translator.sockets(store, new Map([['socket/0.0.0.0/82/tcp', TAKEN]]));
  const spec = { gatewayClassName: 'rauta', listeners: [{ name: 'late', port: 82, protocol: 'HTTP' }] };
  const late = { apiVersion: 'v1', kind: 'Gateway', metadata: { name: 'late', namespace: 'default' }, spec };
  translator.update(store, { keys: store.apply([late as KubeObject], []) });
  const status = translator.statuses.get('Gateway/default/late') as GatewayStatus;
  assert.equal(status.listeners[0]?.conditions[0]?.reason, 'PortUnavailable');
});
