import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { Departures, type Holder } from './departures.ts';
import type { OpenSocket } from './sockets.ts';

class Stage {
  readonly said: string[] = [];
  readonly holders: Holder[] = [];
  #timers: { at: number; fire: () => void }[] = [];
  #now = 0;
  readonly departures = new Departures<Holder>(
    {
      after: (ms, fire) => {
        this.#timers.push({ at: this.#now + ms, fire });
        return () => {};
      },
    },
    {
      hold: ({ wish }) => void this.said.push(`hold ${wish.key}`),
      close: ({ wish }) => void this.said.push(`close ${wish.key}`),
    },
    () => this.holders,
  );

  holder(name: string): Holder {
    const holder = { letGo: (key: string): void => void this.said.push(`${name} is asked for ${key}`) };
    this.holders.push(holder);
    return holder;
  }
  pass(ms: number): void {
    this.#now += ms;
    const due = this.#timers.filter((t) => t.at <= this.#now);
    this.#timers = this.#timers.filter((t) => t.at > this.#now);
    for (const { fire } of due) fire();
  }
}

const socket = (key: string): OpenSocket => ({
  wish: { key, address: '::', port: 80, transport: 'tcp' },
  handles: [],
});

test('a socket is held, settles, is emptied by everybody, and only then closed', () => {
  const stage = new Stage();
  const [one, two] = [stage.holder('one'), stage.holder('two')];
  let asked = false;
  stage.departures.start([socket('a')], false, () => {
    asked = true;
  });
  assert.deepEqual(stage.said, ['hold a']);
  stage.pass(LIMITS.SOCKET_SETTLE_MS - 1);
  assert.ok(!asked);
  stage.pass(1);
  assert.ok(asked);
  assert.deepEqual(stage.said, ['hold a', 'one is asked for a', 'two is asked for a']);
  stage.departures.letGo(one, 'a');
  stage.departures.letGo(one, 'a');
  assert.equal(stage.said.length, 3);
  stage.departures.letGo(two, 'a');
  assert.equal(stage.said[3], 'close a');
  stage.departures.letGo(two, 'a');
  assert.equal(stage.said.length, 4, 'once');
});

test('a holder that dies has let go; with none left it closes at once', () => {
  const stage = new Stage();
  const one = stage.holder('one');
  stage.departures.start([socket('a'), socket('b')], false);
  stage.pass(LIMITS.SOCKET_SETTLE_MS);
  stage.holders.length = 0;
  stage.departures.gone(one);
  assert.deepEqual(stage.said.slice(4), ['close a', 'close b']);
  stage.departures.start([socket('c')], false);
  stage.pass(LIMITS.SOCKET_SETTLE_MS);
  assert.deepEqual(stage.said.slice(6), ['hold c', 'close c']);
});

test('one that is wished again is taken back, and settles in full when it leaves once more', () => {
  const stage = new Stage();
  stage.holder('one');
  const first = socket('a');
  stage.departures.start([first], false);
  stage.pass(LIMITS.SOCKET_SETTLE_MS - 1);
  assert.equal(stage.departures.takeBack('a'), first);
  assert.equal(stage.departures.takeBack('a'), null);
  stage.departures.start([first], false);
  stage.pass(1);
  assert.deepEqual(stage.said, ['hold a', 'hold a'], 'the first departure is over');
  stage.pass(LIMITS.SOCKET_SETTLE_MS - 1);
  assert.equal(stage.said.at(-1), 'one is asked for a');
});

test('sockets that are a successor’s too are not held', () => {
  const stage = new Stage();
  stage.holder('one');
  stage.departures.start([socket('a')], true);
  assert.deepEqual(stage.said, ['one is asked for a']);
});
