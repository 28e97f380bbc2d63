// What the leader makes of the Secret of keys, as time goes by; no key is ever said.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { secretsOf, textOfSecrets } from '../../base/key-lines.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Answer, Api } from './api.ts';
import { rotated, SharedKeys } from './shared-keys.ts';

const DAY = 24 * 3_600_000;
const START = Date.parse('2026-01-01T00:00:00Z');

const lines = (text: string): string[] => text.trim().split('\n');

test('a secret is in all files for a whole time before it issues, and for another one after it', () => {
  let text = textOfSecrets([randomBytes(48), randomBytes(48)]);
  let at = START;
  const seen: string[][] = [lines(text)];
  for (let i = 0; i < 4; i++) {
    assert.equal(rotated(text, at, at + LIMITS.TLS_TICKET_ROTATION_MS - 1), null);
    at += LIMITS.TLS_TICKET_ROTATION_MS;
    text = rotated(text, at - LIMITS.TLS_TICKET_ROTATION_MS, at) as string;
    assert.equal(secretsOf(text).length, 3);
    const [issuing, next, before] = lines(text);
    const last = seen.at(-1) as string[];
    assert.equal(issuing, last[1], 'what issues now was known before');
    assert.equal(before, last[0], 'and what issued is still accepted');
    assert.ok(!seen.flat().includes(next as string), 'the next one is new');
    seen.push(lines(text));
  }
});

test('a clock that was set back keeps no key for ever, and a Secret of somebody else’s goes on', () => {
  const text = textOfSecrets([randomBytes(48), randomBytes(48)]);
  assert.notEqual(rotated(text, START + 10 * DAY, START), null);
  const theirs = textOfSecrets([randomBytes(32)]);
  const first = lines(rotated(theirs, Number.NaN, START) as string);
  assert.deepEqual([first[0], first.length], [lines(theirs)[0], 2], 'its key goes on to issue');
  assert.equal(rotated(text, Number.NaN, START), text, 'one that has a next is only dated');
  assert.throws(() => rotated('sesame', START, START), /line 1/);
});

/** One Secret, time, and what was said. */
class World implements Api {
  ms = START;
  version = 1;
  secret: { metadata: Record<string, unknown>; data?: Record<string, string> } | null = { metadata: { name: 'k' } };
  leads = true;
  failure = '';
  writes = 0;
  readonly said: string[] = [];
  #due: { at: number; fire: () => void }[] = [];
  readonly keys = new SharedKeys('rauta-system/k', {
    api: this,
    timers: {
      after: (ms, fire) => {
        const timer = { at: this.ms + ms, fire };
        this.#due.push(timer);
        return () => {
          this.#due = this.#due.filter((other) => other !== timer);
        };
      },
    },
    wall: () => new Date(this.ms),
    leads: () => this.leads,
    say: (level, message) => void this.said.push(`${level} ${message}`),
  });

  async ask(question: Parameters<Api['ask']>[0]): Promise<Answer> {
    assert.equal(question.path, '/api/v1/namespaces/rauta-system/secrets/k');
    const refuse = (code: number, reason: string): Answer => ({
      ok: false,
      failure: { code, reason, message: 'no', retryAfterMs: null },
    });
    if (this.failure !== '') return refuse(403, this.failure);
    if (this.secret === null) return refuse(404, 'NotFound');
    if (question.verb === 'patch') {
      assert.equal(question.mayStart?.(), true);
      const { metadata, data } = question.body as Required<typeof this.secret>;
      if (metadata['resourceVersion'] !== String(this.version)) return refuse(409, 'Conflict');
      this.secret = { metadata: { ...this.secret.metadata, annotations: metadata['annotations'] }, data };
      this.version++;
      this.writes++;
    }
    return {
      ok: true,
      body: { ...this.secret, metadata: { ...this.secret.metadata, resourceVersion: String(this.version) } },
    };
  }

  async pass(ms: number): Promise<void> {
    const end = this.ms + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.#due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#due = this.#due.filter((other) => other !== next);
      this.ms = next.at;
      next.fire();
    }
    this.ms = end;
  }
  get text(): string {
    return Buffer.from(this.secret?.data?.['keys'] ?? '', 'base64').toString();
  }
}

test('the leader fills the Secret, leaves it alone, and rotates it in time', async () => {
  const world = new World();
  world.keys.lead();
  await world.pass(0);
  const made = lines(world.text);
  assert.equal(secretsOf(world.text).length, 2);
  await world.pass(LIMITS.TLS_TICKET_ROTATION_MS - 1);
  assert.equal(world.writes, 1);
  await world.pass(LIMITS.KEYS_SECRET_LOOK_MS);
  assert.equal(lines(world.text)[0], made[1]);
  world.leads = false;
  await world.pass(3 * DAY);
  assert.equal(world.writes, 2, 'who leads no more writes no more');
  for (const line of [...made, ...lines(world.text)]) assert.ok(!world.said.join().includes(line));
  assert.deepEqual(world.said, [
    'info Secret rauta-system/k: keys are kept in it from now on',
    'info Secret rauta-system/k: keys rotated',
  ]);
  world.keys.stop();
});

test('what is no key is made anew; a missing Secret and a missing right are said once, and tried until they are there', async () => {
  const world = new World();
  world.secret = { metadata: {}, data: { keys: Buffer.from('sesame\n').toString('base64') } };
  world.keys.lead();
  await world.pass(0);
  assert.equal(secretsOf(world.text).length, 2);
  world.failure = 'Forbidden';
  await world.pass(LIMITS.KEYS_SECRET_LOOK_MS + 10 * LIMITS.KEYS_SECRET_RETRY_MS);
  world.failure = '';
  const { secret } = world;
  world.secret = null;
  await world.pass(2 * LIMITS.KEYS_SECRET_RETRY_MS);
  world.secret = secret;
  await world.pass(LIMITS.KEYS_SECRET_RETRY_MS);
  assert.deepEqual(world.said, [
    'warn Secret rauta-system/k: its field keys line 1 is not the base64 of 32 bytes or more; keys are made anew',
    'info Secret rauta-system/k: keys are kept in it from now on',
    'warn Secret rauta-system/k: cannot be read: Forbidden: no',
    'warn Secret rauta-system/k: cannot be read: NotFound: no',
    'info Secret rauta-system/k: keys are kept in it again',
  ]);
  world.keys.stop();
  await world.pass(DAY);
  assert.equal(world.writes, 1);
});
