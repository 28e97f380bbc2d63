// Random worlds: objects change, others write into the same statuses, the API server does all that it may, replicas
// come, end and are killed. When it is quiet, each replica serves what a fresh controller would make of what there is,
// and statuses are what that one would say. `SEEDS=1000 FIRST=1` runs more; one seed is the same run each time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KubeObject, keyOf, type ObjectKey } from '../../src/api/object.ts';
import { checkObject } from '../../src/api/schema.ts';
import { equal } from '../../src/base/equal.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { mergeStatus } from '../../src/publish/kubernetes/merge.ts';
import { type Condition, conditionTable, type Status } from '../../src/translate/conditions.ts';
import type { TranslatorOptions } from '../../src/translate/context.ts';
import { Translator } from '../../src/translate/translator.ts';
import { diff } from '../support/diff.ts';
import { mulberry32 } from '../support/mulberry32.ts';
import { Chance, DEFINITION, Edits, Weather } from './chance.ts';
import { defineKinds, FakeApi } from './fake-api.ts';
import { VirtualTime } from './memory-api.ts';
import { CONTROLLER, Replica } from './replica.ts';
import { NOWHERE } from './support.ts';

const SEEDS = Number(process.env['SEEDS'] ?? '10');
const FIRST = Number(process.env['FIRST'] ?? '1');
/** Worlds that once did not: a server that was away and behind, a lost answer, who is named of one age. */
const KNOWN = process.env['SEEDS'] === undefined ? [1054, 3119, 5102] : [];
/** Of the kinds that are followed, those that a fresh controller would have, too. */
const UNSEEN = /^(Secret|ConfigMap|Lease|Event|Node|Pod|CustomResourceDefinition)$/;

class Scene {
  readonly time = new VirtualTime();
  readonly api = new FakeApi();
  readonly chance: Chance;
  readonly edits: Edits;
  readonly weather: Weather;
  readonly replicas: Replica[] = [];
  /** What is not to happen. */
  readonly wrong: string[] = [];
  readonly translation: TranslatorOptions;
  readonly #seed: number;
  #made = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.chance = new Chance(mulberry32(seed));
    defineKinds(this.api);
    this.api.streams = !this.chance.is(0.3);
    this.edits = new Edits(this.api, this.time, this.chance);
    this.weather = new Weather(this.api, this.time, this.chance);
    const pods = this.chance.is(0.3);
    this.translation = {
      controllerName: CONTROLLER,
      implicitClass: null,
      fromFiles: false,
      withoutBackends: true,
      defaultAddresses: ['0.0.0.0', '::'],
      portMap: new Map(),
      statusAddresses: ['192.0.2.1'],
      ...(pods ? { exposure: { serviceType: 'ClusterIP', published: null } } : {}),
    };
    this.api.put('CustomResourceDefinition', { metadata: { name: DEFINITION } });
    this.api.put('Pod', {
      metadata: { name: 'pod', namespace: 'rauta-system', labels: { app: 'rauta' } },
      spec: { nodeName: 'node' },
      status: { podIPs: [{ ip: '10.9.0.1' }], conditions: [{ type: 'Ready', status: 'True' }] },
    });
  }

  join(): void {
    const there = new Map(this.#followed().map((object) => [keyOf(object), object.metadata.uid]));
    const name = `replica-${++this.#made}`;
    const replica = new Replica({
      name,
      api: this.api,
      wire: {
        time: this.time,
        random: this.chance.random,
        latency: () => this.weather.latency(),
        down: () => this.weather.down,
      },
      own:
        this.translation.exposure === undefined
          ? NOWHERE
          : { pod: { namespace: 'rauta-system', name: 'pod' }, node: null },
      translation: this.translation,
      onRemoved: (key, object) => this.#removed(name, key, object),
      onPublished: (store) => {
        // Only what was there all the while has to be in it.
        for (const object of this.#followed()) {
          const { kind, metadata } = object;
          const key = keyOf(object);
          if (there.get(key) === metadata.uid && store.get(kind, metadata.namespace, metadata.name) === undefined)
            this.#say(name, `publishes without ${key}`);
        }
      },
    });
    this.replicas.push(replica);
    replica.start();
  }

  /** One minute of bookmarks each: as servers do it. */
  async quiet(seconds: number): Promise<void> {
    for (let at = 0; at < seconds; at += 60) {
      await this.time.pass(60_000);
      this.api.bookmark();
    }
    await this.time.pass(10_000);
  }

  check(): void {
    for (const replica of this.replicas) this.#checkReplica(replica);
    const leading = this.replicas.filter(({ lease }) => lease.leads());
    if (leading.length !== 1) this.wrong.push(`${leading.length} lead`);
    const [first] = this.replicas;
    if (first !== undefined) this.#checkStatuses(first);
  }

  #checkReplica(replica: Replica): void {
    const { name, store, translator } = replica;
    if (!replica.isPublished) return void this.#say(name, `is not ready: ${replica.source.waiting()}`);
    const versions = (objects: Iterable<KubeObject>): string[] =>
      [...objects]
        .filter(({ kind }) => !UNSEEN.test(kind))
        .map((o) => `${keyOf(o)} ${o.metadata.resourceVersion}`)
        .sort();
    const [has, should] = [versions(store.all()), versions(this.#followed())];
    for (const one of should) if (!has.includes(one)) this.#say(name, `lacks ${one}`);
    for (const one of has) if (!should.includes(one)) this.#say(name, `has still ${one}`);
    const wanted = this.#fresh(replica).takeWanted();
    for (const [kind, keys] of wanted) {
      const known = [...store.keysOf(kind)];
      for (const key of known) if (!keys.has(key)) this.#say(name, `keeps ${key}`);
      for (const key of keys) {
        const [, namespace = '', called = ''] = key.split('/');
        const there = this.api.get(kind, namespace, called)?.metadata.resourceVersion;
        if (store.get(kind, namespace, called)?.metadata.resourceVersion !== there)
          this.#say(name, `has another ${key}`);
      }
    }
    const fresh = this.#fresh(replica);
    const { upserts, removals } = diff(fresh.ir, translator.ir);
    for (const key of [...upserts.map((entry) => entry.key), ...removals]) this.#say(name, `serves another ${key}`);
    for (const key of new Set([...fresh.statuses.keys(), ...translator.statuses.keys()]))
      if (!equal(fresh.statuses.get(key), translator.statuses.get(key)))
        this.#say(name, `says another thing of ${key}`);
    for (const [key, generated] of fresh.generated) {
      const { kind, metadata } = generated.object ?? {};
      if (kind === undefined || metadata === undefined) continue;
      if (this.api.get(kind, metadata.namespace ?? '', metadata.name) === undefined)
        this.#say(name, `has not made ${key}`);
    }
  }

  /** Of everything there is: nothing would be written. */
  #checkStatuses(replica: Replica): void {
    const fresh = this.#fresh(replica);
    const types = new Set(conditionTable().map(({ type }) => type));
    for (const object of this.#followed()) {
      if (object.kind === 'Service' || UNSEEN.test(object.kind)) continue;
      const key = keyOf(object);
      const wanted = fresh.statuses.get(key);
      const options = { controllerName: CONTROLLER, types, time: 'never' };
      const next = mergeStatus(object.status, wanted === undefined ? null : served(wanted), options);
      if (next === null) continue;
      this.wrong.push(`status of ${key}: ${JSON.stringify(object.status)} is to be ${JSON.stringify(next)}`);
    }
  }

  #fresh({ store, translator }: Replica): Translator {
    const fresh = new Translator(this.translation);
    fresh.succeed(translator.ir.values());
    fresh.update(store, { keys: new Set(store.keys()) });
    return fresh;
  }

  /** What there is of the kinds that are followed as a whole, as it is read. */
  #followed(): KubeObject[] {
    return this.api.everything().flatMap((object) => {
      const { object: read } = checkObject(object, { lenient: true, accepted: true });
      return read === null || UNSEEN.test(read.kind) ? [] : [read];
    });
  }

  #removed(name: string, key: ObjectKey, { kind, metadata }: KubeObject): void {
    if (/^(Secret|ConfigMap|Pod)$/.test(kind)) return;
    const now = this.api.get(kind, metadata.namespace ?? '', metadata.name);
    if (now?.metadata.uid === metadata.uid) this.#say(name, `takes away ${key}, which is there`);
  }

  #say(name: string, what: string): void {
    this.wrong.push(`seed ${this.#seed}, ${Math.round(this.time.ms)} ms, ${name}: ${what}`);
  }
}

/** As it is written once workers serve it. */
function served(status: Status): Status {
  return JSON.parse(
    JSON.stringify(status, (name, value: unknown) => (name === 'pendsOn' ? undefined : (value as Condition))),
  ) as Status;
}

async function run(seed: number): Promise<void> {
  const scene = new Scene(seed);
  const { chance, edits, weather, time, api, replicas } = scene;
  for (let i = chance.below(80); i > 0; i--) edits.edit();
  scene.join();
  let wipes = LIMITS.STATUS_REASSERTIONS - 1;
  for (let step = 0; step < 120; step++) {
    const fate = chance.random();
    if (fate < 0.6) for (let n = chance.below(4); n >= 0; n--) edits.edit();
    else if (fate < 0.8) weather.change();
    else if (fate < 0.86) edits.foreign();
    else if (fate < 0.88) edits.reinstall();
    else if (fate < 0.89 && wipes-- > 0) edits.wipe();
    else if (fate < 0.93 && replicas.length < 3) scene.join();
    else if (fate < 0.96 && replicas.length > 1) {
      const [gone] = replicas.splice(chance.below(replicas.length), 1) as [Replica];
      void (chance.is(0.5) ? gone.crash() : gone.leave());
    }
    await time.pass(chance.random() ** 3 * 8_000);
    const leading = replicas.filter(({ lease }) => lease.leads());
    if (leading.length > 1) scene.wrong.push(`${leading.length} lead at once`);
  }
  weather.calm();
  if (replicas.length === 1) scene.join();
  await scene.quiet(300);
  scene.check();
  // And then nothing more is written.
  api.requests.length = 0;
  await scene.quiet(60);
  const writes = api.requests.filter(({ method, path }) => method !== 'GET' && !path.includes('/leases'));
  for (const { method, path } of writes) scene.wrong.push(`${method} ${path} when all is quiet`);
  for (const replica of replicas) await replica.crash();
  assert.deepEqual(scene.wrong, [], `seed ${seed}`);
}

test(`${SEEDS} random worlds come to rest as a fresh controller would have them`, async (t) => {
  for (const seed of [...KNOWN, ...Array.from({ length: SEEDS }, (_, i) => FIRST + i)]) {
    await run(seed).catch((error: Error) => {
      t.diagnostic(`seed ${seed}`);
      throw error;
    });
  }
});
