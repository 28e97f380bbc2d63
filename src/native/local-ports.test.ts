import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../sim/random.ts';
import { LocalPorts, localPortRange } from './local-ports.ts';

test('no port comes again before half of all others were used, and the order is another each time', () => {
  const random = new Random(5);
  const ports = new LocalPorts([1_000, 1_999], () => random.u32());
  const last = new Map<number, number>();
  const rounds: number[][] = [[], [], []];
  for (let i = 0; i < 3_000; i++) {
    const port = ports.next();
    assert.ok(port >= 1_000 && port <= 1_999);
    const before = last.get(port);
    assert.ok(before === undefined || i - before >= 500, `${port} after ${i - (before ?? 0)}`);
    last.set(port, i);
    rounds[Math.floor(i / 1_000)]?.push(port);
  }
  assert.ok(last.size > 950, `${last.size} were used`);
  assert.notDeepEqual(rounds[0], rounds[1]);
  const steps = (rounds[1] ?? []).filter((port, i, all) => i > 0 && port === (all[i - 1] ?? 0) + 1).length;
  assert.ok(steps < 20, 'not one after the other');
  assert.ok(localPortRange()[1] > localPortRange()[0]);
});
