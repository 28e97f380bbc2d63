import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SocketAddress } from '../../io/io.ts';
import type { SocketEntry } from '../../ir/ir.ts';
import { Loops, type Way, type Waypoint } from './loops.ts';

const at = (port: number): SocketAddress => ({ family: 'ipv4', address: '127.0.0.1', port });

function entry(port: number, transport: 'tcp' | 'udp' = 'tcp'): SocketEntry {
  const key = `socket/127.0.0.1/${port}/${transport}`;
  return { kind: 'socket', key, address: '127.0.0.1', port, transport, hosts: [], fallback: null, proxyProtocol: null };
}

/** A listener whose sessions go on to `ports`, all by the name they came by, or to where a name leads. */
class Place implements Waypoint {
  readonly key: string;
  entry: SocketEntry | null;
  ways: (name: string | null) => number[];

  constructor(port: number, ways: (name: string | null) => number[], transport: 'tcp' | 'udp' = 'tcp') {
    this.entry = entry(port, transport);
    this.key = this.entry.key;
    this.ways = ways;
  }
  onward(name: string | null): Way[] {
    return this.ways(name).map((port) => ({ address: at(port), name }));
  }
}

function placed(...places: Place[]): Loops {
  const loops = new Loops((bound, address) => bound === address);
  for (const place of places) loops.moved(place, null);
  return loops;
}

test('itself, a circle of any length, and a row that ends somewhere', () => {
  const one = new Place(1, () => [2]);
  const two = new Place(2, () => [3, 9]);
  const three = new Place(3, () => [1]);
  const loops = placed(one, two, three);
  assert.equal(loops.comesBack(at(1), one, null), true);
  assert.equal(loops.comesBack(at(2), one, null), true);
  assert.equal(loops.comesBack(at(9), one, null), false);
  three.ways = () => [8];
  assert.equal(loops.comesBack(at(2), one, null), false);
  // A circle that does not lead here is its own listeners' to see.
  three.ways = () => [2];
  assert.equal(loops.comesBack(at(2), one, null), false);
});

test('of TLS the name decides: by another one it goes another way', () => {
  const one = new Place(443, (name) => (name === 'b' ? [8443] : [443]));
  const loops = placed(one);
  assert.equal(loops.comesBack(at(443), one, 'a'), true);
  const two = new Place(8443, () => [443]);
  loops.moved(two, null);
  two.onward = () => [{ address: at(443), name: 'c' }];
  one.onward = (name) => [{ address: at(name === 'c' ? 9 : 8443), name }];
  assert.equal(loops.comesBack(at(8443), one, 'b'), false);
});

test('a port of the other transport, another address, a listener that moved or is gone', () => {
  const one = new Place(53, () => [53], 'udp');
  const loops = placed(one, new Place(54, () => []));
  assert.equal(loops.comesBack(at(54), one, null), false);
  assert.equal(loops.comesBack({ family: 'ipv4', address: '127.0.0.2', port: 53 }, one, null), false);
  assert.equal(loops.comesBack({ family: 'unix', path: '/x' }, one, null), false);
  assert.equal(loops.comesBack(at(53), one, null), true);
  const before = one.entry;
  one.entry = entry(55, 'udp');
  loops.moved(one, before);
  assert.equal(loops.comesBack(at(53), one, null), false);
  assert.equal(loops.comesBack(at(55), one, null), true);
});
