import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Timer, TimerWheel } from './wheel.ts';

const STEP_MS = 10;

/** Seeded, so that a failure repeats (Marsaglia, "Xorshift RNGs", 2003). */
function randomOf(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

class Owner {
  readonly fired: number[] = [];
  onTimer(timer: Timer): void {
    this.fired.push(timer.id);
  }
}

test('100,000 timers against a sorted list: never early, at most one step late, none lost or fired twice', () => {
  const random = randomOf(0x5eed);
  const owner = new Owner();
  const N = 100_000;
  let now = 1_234_567;
  const wheel = new TimerWheel(now);
  const timers = Array.from({ length: N }, (_, id) => new Timer(owner, id));
  /** The oracle: when each is due, -1 while disarmed. */
  const due = new Float64Array(N).fill(-1);
  const arm = (id: number, ms: number): void => {
    wheel.arm(timers[id] as Timer, now, ms);
    due[id] = now + ms;
  };
  // Up to five minutes, which is beyond one round of the wheel.
  for (let id = 0; id < N; id++) arm(id, random(300_000));
  let total = 0;
  for (let step = 0; step < 800; step++) {
    now += step % 100 === 99 ? random(20_000) : random(250);
    owner.fired.length = 0;
    assert.equal(wheel.advance(now), owner.fired.length);
    total += owner.fired.length;
    for (const id of owner.fired) {
      assert.ok(due[id] !== -1, `timer ${id} fired while disarmed`);
      assert.ok((due[id] as number) <= now, `timer ${id} fired at ${now}, due ${due[id]}`);
      due[id] = -1;
    }
    if (step % 25 === 0) {
      const sorted = due.filter((d) => d !== -1).sort();
      assert.equal(wheel.armed, sorted.length);
      const earliest = sorted[0] ?? Number.POSITIVE_INFINITY;
      assert.ok(earliest > now - STEP_MS, `due ${earliest} and not fired at ${now}`);
      // The bound for sleeping never passes the earliest deadline by more than its step.
      assert.ok(now + wheel.untilNext(now, 60_000) <= Math.ceil(earliest / STEP_MS) * STEP_MS);
    }
    for (let i = 0; i < 200; i++) {
      const id = random(N);
      switch (random(4)) {
        case 0:
          wheel.cancel(timers[id] as Timer);
          due[id] = -1;
          break;
        case 1: // often an extension, which only writes a field
          arm(id, 60_000);
          break;
        default:
          arm(id, random(300_000));
      }
    }
  }
  assert.ok(total > 15_000, `${total} timers fired`);
});

test('a sink may arm and cancel its own and other timers, of the same slot too', () => {
  const wheel = new TimerWheel(0);
  const log: string[] = [];
  const sink = {
    onTimer(timer: Timer): void {
      log.push(`${timer.id}`);
      if (timer.id === 3) {
        // The list hands out the last linked first: 3 cancels 2, postpones 1 within its slot, re-arms itself.
        wheel.cancel(two);
        wheel.arm(one, 20, 30);
        wheel.arm(timer, 20, 0);
      }
    },
  };
  const one = new Timer(sink, 1);
  const two = new Timer(sink, 2);
  const three = new Timer(sink, 3);
  for (const timer of [one, two, three]) wheel.arm(timer, 0, 15);
  assert.equal(wheel.advance(20), 1);
  assert.deepEqual(log, ['3']);
  assert.equal(wheel.armed, 2);
  assert.equal(wheel.advance(29), 0);
  assert.equal(wheel.advance(30), 1);
  assert.equal(wheel.armed, 2, 'three armed itself again, one waits');
  wheel.cancel(three);
  assert.equal(wheel.advance(49), 0);
  assert.equal(wheel.advance(50), 1);
  assert.deepEqual(log, ['3', '3', '1']);
  assert.equal(wheel.armed, 0);
});

test('extending a held timer moves nothing until its old slot comes round', () => {
  const owner = new Owner();
  const wheel = new TimerWheel(0);
  const timer = new Timer(owner, 7);
  wheel.arm(timer, 0, 100);
  const slot = timer.slot;
  for (let now = 0; now < 90; now++) wheel.arm(timer, now, 100);
  assert.equal(timer.slot, slot);
  assert.equal(wheel.advance(110), 0);
  assert.notEqual(timer.slot, slot);
  assert.equal(wheel.advance(188), 0);
  assert.equal(wheel.advance(190), 1);
  // Shortening moves it at once.
  wheel.arm(timer, 190, 1000);
  wheel.arm(timer, 190, 20);
  assert.equal(wheel.advance(210), 1);
});

test('cancel is idempotent, and a cancelled timer can be armed again', () => {
  const owner = new Owner();
  const wheel = new TimerWheel(5);
  const timer = new Timer(owner, 1);
  wheel.cancel(timer);
  wheel.arm(timer, 5, 50);
  wheel.cancel(timer);
  wheel.cancel(timer);
  assert.equal(wheel.armed, 0);
  assert.equal(wheel.advance(1000), 0);
  wheel.arm(timer, 1000, 0);
  assert.equal(wheel.advance(1000), 0, 'the slot of now is passed');
  assert.equal(wheel.advance(1010), 1);
});

test('a sleep longer than the whole wheel fires everything once', () => {
  const owner = new Owner();
  const wheel = new TimerWheel(0);
  for (let id = 0; id < 1000; id++) wheel.arm(new Timer(owner, id), 0, id * 200);
  assert.equal(wheel.advance(10_000_000), 1000);
  assert.equal(new Set(owner.fired).size, 1000);
  assert.equal(wheel.untilNext(10_000_000, 500), 500);
});
