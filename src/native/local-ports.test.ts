import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { Random } from '../sim/random.ts';
import { LocalPorts, localPortRange, PORT_TABLE_BYTES } from './local-ports.ts';

const REST = LIMITS.UDP_PORT_REST_S;

/** Workers that share a table and a clock. */
function machine(workers: number, range: readonly [number, number]) {
  const clock = { now: 1_000 };
  const random = new Random(5);
  const words = new Int32Array(new SharedArrayBuffer(PORT_TABLE_BYTES));
  const tools = { random32: () => random.u32(), seconds: () => clock.now };
  return { clock, workers: Array.from({ length: workers }, () => new LocalPorts(range, tools, words)) };
}

test('a port that one worker let go of rests for all of them', () => {
  const { clock, workers } = machine(2, [1_000, 3_999]);
  const [one, two] = workers as [LocalPorts, LocalPorts];
  const gone = new Map<number, number>();
  for (let i = 0; i < 20_000; i++) {
    if (i % 50 === 0) clock.now++;
    const ports = i % 2 === 0 ? one : two;
    const port = ports.next(false);
    assert.ok(port >= 1_000 && port <= 3_999);
    assert.ok(clock.now - (gone.get(port) ?? 0) > REST, `${port} after ${clock.now - (gone.get(port) ?? 0)} s`);
    assert.equal(ports.take(port), true);
    ports.letGo(port);
    gone.set(port, clock.now);
  }
  assert.ok(gone.size > 2_900, `${gone.size} of 3,000 were used`);
});

test('what a dead worker had rests from when that is found out', () => {
  const { clock, workers } = machine(2, [1_000, 1_000]);
  const [dead, heir] = workers as [LocalPorts, LocalPorts];
  assert.equal(dead.take(dead.next(false)), true);
  clock.now += 10 * REST;
  assert.equal(heir.next(false), 1_000, 'only binding it tells');
  assert.equal(heir.take(1_000), false);
  clock.now += REST + 1;
  assert.equal(heir.take(heir.next(false)), true);
});

test('where all rest or are taken, the one that rests for longest is better than none', () => {
  const { clock, workers } = machine(1, [1_000, 1_001]);
  const [ports] = workers as [LocalPorts];
  ports.letGo(1_001);
  clock.now++;
  ports.letGo(1_000);
  assert.equal(ports.next(false), 1_001);
  const other = machine(2, [1_000, 1_001]);
  other.workers[0]?.take(1_000);
  other.workers[1]?.letGo(1_001);
  const found = Array.from({ length: 20 }, (_, i) => other.workers[1]?.next(i % 2 === 1));
  assert.deepEqual(found.slice(0, 4), [1_000, 1_001, 1_000, 1_001], 'one that somebody has, only to look at');
  assert.ok(localPortRange()[1] > localPortRange()[0]);
});

test('which is the next cannot be told from those before', () => {
  const { workers } = machine(1, [1_000, 1_999]);
  const [ports] = workers as [LocalPorts];
  const order = Array.from({ length: 500 }, () => {
    const port = ports.next(false);
    ports.take(port);
    return port;
  });
  assert.equal(new Set(order).size, order.length, 'none is given twice');
  assert.ok(order.filter((port, i) => i > 0 && port === (order[i - 1] as number) + 1).length < 20);
});
