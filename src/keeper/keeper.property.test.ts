// Any order of revisions, deaths, refusals, slow readers and controllers that come anew: whoever serves, serves what
// its number says, and when everything has been read everybody serves the newest revision that can be served.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FakeSystem, ModelController, ModelWorker, OPTIONS } from '../../test/support/keeper.ts';
import { LIMITS } from '../base/limits.ts';
import { Keeper } from './keeper.ts';

const key = fc.constantFrom('a', 'b', 'c', 'state/x');
const value = fc.oneof({ weight: 6, arbitrary: fc.nat(99).map(String) }, { weight: 2, arbitrary: fc.constant('bad') });
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('revise' as const),
      change: fc.dictionary(key, fc.option(value), { maxKeys: 3 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), worker: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('die' as const), worker: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stuff' as const), worker: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('controller' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 4_000 }) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class World {
  readonly system = new FakeSystem();
  readonly keeper: Keeper<typeof OPTIONS>;
  controller: ModelController;
  readonly workers: ModelWorker[] = [];
  /** What each revision's number stands for, as the controller made it; a held one stands for nothing. */
  readonly made = new Map<number, string>([[0, '{}']]);
  readonly #wanted = new Map<string, string>();

  constructor() {
    this.keeper = new Keeper({ ...OPTIONS, workers: 3 }, this.system, this.system.log, () => assert.fail('it ends'));
    this.keeper.start();
    this.controller = this.#newController();
    this.#meet();
    this.#revise({ a: '0' });
    for (const worker of this.workers) worker.read();
    assert.equal(this.system.said('serving').length, 1);
  }

  #newController(): ModelController {
    const child = this.system.alive('controller')[0];
    assert.ok(child !== undefined, 'there is a controller');
    return new ModelController(child);
  }

  /** Whoever was started meanwhile says hello. */
  #meet(): void {
    for (const child of this.system.alive('worker'))
      if (!this.workers.some((w) => w.child === child)) this.workers.push(new ModelWorker(child));
  }

  run(step: Step): void {
    const worker = 'worker' in step ? this.#serving(step.worker) : undefined;
    switch (step.do) {
      case 'revise':
        this.#revise(step.change);
        break;
      case 'read':
        this.#read(worker);
        break;
      case 'die':
        worker?.child.exit({ code: 1 });
        break;
      case 'stuff':
        if (worker !== undefined) worker.child.stuffed = LIMITS.STREAM_QUEUE_BYTES + 1;
        break;
      case 'controller':
        this.controller.child.exit({ code: 1 });
        this.#pass(LIMITS.RESTART_MAX_MS);
        this.controller = this.#newController();
        break;
      case 'pass':
        this.#pass(step.ms);
        break;
    }
    this.#reap();
    this.#meet();
    this.controller.read();
    this.check();
  }

  #pass(ms: number): void {
    for (let left = ms; left > 0; left -= LIMITS.HEARTBEAT_MS) {
      for (const worker of this.workers) if (!worker.child.gone) worker.beat();
      if (!this.controller.child.gone) this.controller.child.says({ type: 'beat' });
      this.system.pass(Math.min(left, LIMITS.HEARTBEAT_MS));
      this.#meet();
    }
  }

  #revise(change: Readonly<Record<string, string | null>>): void {
    for (const [name, text] of Object.entries(change))
      if (name.startsWith('state/')) continue;
      else if (text === null) this.#wanted.delete(name);
      else this.#wanted.set(name, text);
    const revision = this.controller.revision + 1;
    this.made.set(revision, textOf(this.#wanted));
    this.controller.send(change);
  }

  #read(worker: ModelWorker | undefined): void {
    if (worker === undefined) return;
    worker.child.stuffed = 0;
    worker.read();
  }

  #serving(index: number): ModelWorker | undefined {
    const alive = this.workers.filter((w) => !w.child.gone);
    return alive[index % Math.max(1, alive.length)];
  }

  #reap(): void {
    for (const child of this.system.children) if (child.killed) child.exit();
  }

  check(): void {
    for (const worker of this.workers) {
      if (worker.child.gone) continue;
      assert.equal(textOf(worker.content), this.made.get(worker.revision), `what is called ${worker.revision}`);
    }
    assert.deepEqual(this.system.said('a worker broke'), []);
    assert.deepEqual(this.system.said('worker makes no progress'), []);
    assert.deepEqual(this.system.said('the channel to the controller broke'), []);
    assert.deepEqual(this.system.said('a bug'), []);
  }

  /** Everything that is under way arrives. */
  settle(): void {
    for (let round = 0; round < 40; round++) {
      for (const worker of this.workers) if (!worker.child.gone) this.#read(worker);
      this.#pass(LIMITS.HEARTBEAT_MS);
      this.#reap();
      this.#meet();
      this.controller.read();
      this.check();
    }
    const alive = this.workers.filter((w) => !w.child.gone);
    const serving = new Set(alive.filter((w) => w.revision > 0).map((w) => w.revision));
    assert.ok(serving.size <= 1, `they serve different things: ${[...serving]}`);
    const [revision = 0] = serving;
    assert.equal(this.controller.acked, revision, 'the controller knows');
    if (revision !== this.controller.revision && this.controller.revision > 0)
      assert.notEqual(this.controller.held, null);
    if (![...this.#wanted.values()].includes('bad') && this.controller.held?.cause !== 'deaths')
      assert.equal(revision, this.controller.revision);
  }
}

function textOf(content: ReadonlyMap<string, string>): string {
  return JSON.stringify(Object.fromEntries([...content].sort(([a], [b]) => (a < b ? -1 : 1))));
}

test('whoever serves, serves what its number says; in the end all serve the newest that can be served', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
      const world = new World();
      try {
        for (const one of steps) world.run(one);
        world.settle();
      } finally {
        world.system.dispose();
      }
    }),
    {
      numRuns: 150,
      examples: [
        // Two deaths lead back to a revision that is refused.
        [
          [
            { do: 'revise', change: { c: 'bad' } },
            { do: 'revise', change: { c: null } },
            { do: 'die', worker: 0 },
            { do: 'die', worker: 0 },
          ],
        ],
        // One that was quarantined is acked by who had it; then those behind it are refused one by one.
        [
          [
            { do: 'revise', change: {} },
            { do: 'read', worker: 2 },
            { do: 'die', worker: 0 },
            { do: 'die', worker: 2 },
            { do: 'revise', change: { a: 'bad' } },
            { do: 'revise', change: {} },
            { do: 'revise', change: {} },
          ],
        ],
      ],
    },
  );
});
