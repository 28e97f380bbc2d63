// Leadership against a lease that is kept as the API server keeps it, with a clock that is turned by hand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, Api } from './api.ts';
import { Lease } from './lease.ts';

type Spec = Record<string, unknown>;

/** One lease, with versions and conflicts; and time for everybody. */
class World implements Api {
  ms = 0;
  version = 0;
  spec: Spec | null = null;
  /** How long an answer takes, of a question that was carried out at once. */
  slowMs = 0;
  /** Until when the server is out of reach of whom, and how that shows: an error, or no answer at all. */
  readonly away = new Map<string, { untilMs: number; how: 'error' | 'silence' | 'refusal' }>();
  readonly #due: { at: number; fire: () => void }[] = [];

  readonly timers = {
    after: (ms: number, fire: () => void) => {
      const timer = { at: this.ms + ms, fire };
      this.#due.push(timer);
      return () => {
        const i = this.#due.indexOf(timer);
        if (i >= 0) this.#due.splice(i, 1);
      };
    },
  };

  /** Time passes; what falls due happens in order, with what follows from it. */
  async pass(ms: number): Promise<void> {
    const end = this.ms + ms;
    await settle();
    for (;;) {
      const next = this.#due.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.ms = Math.max(this.ms, next.at);
      this.#due.splice(this.#due.indexOf(next), 1);
      next.fire();
      await settle();
    }
    this.ms = end;
  }

  async ask(question: Parameters<Api['ask']>[0]): Promise<Answer> {
    const refuse = (code: number): Answer => ({
      ok: false,
      failure: { code, reason: 'x', message: '', retryAfterMs: null },
    });
    const body = question.body as { metadata: { resourceVersion?: string }; spec: Spec } | undefined;
    if (question.verb === 'create') {
      if (this.spec !== null) return refuse(409);
      this.spec = body?.spec ?? null;
      this.version++;
    } else if (this.spec === null) return refuse(404);
    else if (question.verb === 'update') {
      if (body?.metadata.resourceVersion !== String(this.version)) return refuse(409);
      this.spec = body.spec;
      this.version++;
    }
    return {
      ok: true,
      body: { metadata: { name: 'l', resourceVersion: String(this.version) }, spec: structuredClone(this.spec) },
    };
  }

  candidate(identity: string): { lease: Lease; said: boolean[]; troubles: (string | null)[] } {
    const said: boolean[] = [];
    const troubles: (string | null)[] = [];
    const api: Api = {
      ask: async (question) => {
        const away = this.away.get(identity);
        if (away === undefined || away.untilMs <= this.ms) {
          const answer = await this.ask(question);
          if (this.slowMs > 0) await new Promise<void>((resolve) => this.timers.after(this.slowMs, resolve));
          return answer;
        }
        // As the client does it: no answer ends with the time that was given.
        if (away.how === 'refusal')
          return { ok: false, failure: { code: 403, reason: 'Forbidden', message: 'no', retryAfterMs: null } };
        if (away.how === 'silence')
          await new Promise<void>((resolve) => this.timers.after(question.timeoutMs ?? 0, resolve));
        return { ok: false, failure: { code: 0, reason: 'Timeout', message: '', retryAfterMs: null } };
      },
    };
    const lease = new Lease(
      { namespace: 'n', name: 'l', identity },
      {
        api,
        timers: this.timers,
        now: () => this.ms,
        wall: () => new Date(this.ms),
        random: () => 0,
        onTrouble: (reason) => troubles.push(reason),
      },
      (leads) => said.push(leads),
    );
    return { lease, said, troubles };
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve();
}

test('the first takes it, renews it every two seconds by what it wrote, and the second waits', async () => {
  const world = new World();
  const [a, b] = [world.candidate('a'), world.candidate('b')];
  a.lease.start();
  await world.pass(0);
  b.lease.start();
  await world.pass(20_000);
  assert.equal(a.lease.leads(), true);
  assert.equal(b.lease.leads(), false);
  assert.deepEqual([a.said, b.said], [[true], []]);
  assert.equal(b.lease.holder, 'a');
  assert.deepEqual(world.spec, {
    holderIdentity: 'a',
    leaseDurationSeconds: 15,
    acquireTime: '1970-01-01T00:00:00.000000Z',
    renewTime: '1970-01-01T00:00:20.000000Z',
    leaseTransitions: 0,
  });
});

test('a leader that ends gives it back: the next one leads within its next look', async () => {
  const world = new World();
  const [a, b] = [world.candidate('a'), world.candidate('b')];
  a.lease.start();
  await world.pass(0);
  b.lease.start();
  await world.pass(5_000);
  await a.lease.stop();
  assert.equal(a.lease.leads(), false);
  await world.pass(2_000);
  assert.equal(b.lease.leads(), true);
  assert.equal(world.spec?.['leaseTransitions'], 1);
});

test('a leader that ends while it renews gives it back none the less', async () => {
  const world = new World();
  const [a, b] = [world.candidate('a'), world.candidate('b')];
  a.lease.start();
  await world.pass(0);
  b.lease.start();
  await world.pass(1_900);
  world.slowMs = 300;
  await world.pass(200);
  const stopped = a.lease.stop();
  assert.equal(a.lease.leads(), false);
  await world.pass(1_000);
  await stopped;
  assert.equal(world.spec?.['holderIdentity'], undefined);
  await world.pass(3_000);
  assert.equal(b.lease.leads(), true);
});

test('a leader that is gone is followed within 15 s and a look, and never before', async () => {
  const world = new World();
  const [a, b] = [world.candidate('a'), world.candidate('b')];
  a.lease.start();
  await world.pass(0);
  b.lease.start();
  await world.pass(4_000);
  const frozen = world.ms;
  const renewed = world.version;
  world.away.set('a', { untilMs: Number.POSITIVE_INFINITY, how: 'silence' });
  await world.pass(10_000);
  assert.equal(world.version, renewed);
  assert.equal(a.lease.leads(), false, 'its own time is over first');
  assert.equal(b.lease.leads(), false);
  await world.pass(8_000);
  assert.equal(b.lease.leads(), true);
  assert.ok(world.ms - frozen <= 18_000);
});

test('two never lead at once, whatever fails in between', async () => {
  let state = 7;
  const random = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  const world = new World();
  const all = ['a', 'b', 'c'].map((id) => world.candidate(id));
  for (const { lease } of all) lease.start();
  let changes = 0;
  let leader = -1;
  for (let i = 0; i < 3_000; i++) {
    if (random() < 0.05) {
      const id = ['a', 'b', 'c'][Math.floor(random() * 3)] ?? 'a';
      const how = random() < 0.5 ? 'error' : 'silence';
      world.away.set(id, { untilMs: world.ms + random() * 40_000, how });
    }
    await world.pass(200 + random() * 1_500);
    const leading = all.flatMap(({ lease }, n) => (lease.leads() ? [n] : []));
    assert.ok(leading.length <= 1, `at ${world.ms}: ${leading.join()}`);
    if (leading[0] !== undefined && leading[0] !== leader) {
      leader = leading[0];
      changes++;
    }
  }
  assert.ok(changes > 3, 'it went from one to another');
});

test('a conflict is looked into, and whoever finds another there no longer leads', async () => {
  const world = new World();
  const a = world.candidate('a');
  a.lease.start();
  await world.pass(1_000);
  assert.equal(a.lease.leads(), true);
  world.spec = { ...world.spec, holderIdentity: 'thief' };
  world.version++;
  await world.pass(4_000);
  assert.equal(a.lease.leads(), false);
  assert.deepEqual(a.said, [true, false]);
  world.spec = null;
  await world.pass(20_000);
  assert.equal(a.lease.leads(), true, 'a lease that was removed is made anew');
});

test('a lease that cannot be had is told of once, at once where there is no right to it, and when it can', async () => {
  const world = new World();
  const [a, b] = [world.candidate('a'), world.candidate('b')];
  world.away.set('a', { untilMs: 20_000, how: 'refusal' });
  world.away.set('b', { untilMs: 3_000, how: 'error' });
  a.lease.start();
  b.lease.start();
  await world.pass(19_000);
  assert.deepEqual(a.troubles, ['Forbidden: no']);
  assert.deepEqual(b.troubles, [], 'two that failed are nothing to speak of');
  await world.pass(5_000);
  assert.deepEqual(a.troubles, ['Forbidden: no', null]);
  world.away.set('b', { untilMs: 60_000, how: 'error' });
  await world.pass(20_000);
  assert.deepEqual(b.troubles, ['Timeout: ']);
  assert.deepEqual(a.said, [true]);
});

test('who stood still for longer than the lease, and has it back before any timer, is told that it lost it', async () => {
  const world = new World();
  const a = world.candidate('a');
  a.lease.start();
  await world.pass(0);
  assert.deepEqual(a.said, [true]);
  world.ms += 11_000;
  assert.equal(a.lease.leads(), false);
  await world.pass(0);
  assert.deepEqual(a.said, [true, false, true]);
  await world.pass(60_000);
  assert.deepEqual(a.said, [true, false, true]);
  void a.lease.stop();
});
