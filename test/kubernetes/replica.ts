// One controller in a cluster, put together as main/resources.ts and main/kubernetes.ts do it, with the clock, chance
// and way to the API server of a test.

import { BY_REFERENCE, kindInfo, knownKinds } from '../../src/api/kinds.ts';
import type { KubeObject, ObjectKey } from '../../src/api/object.ts';
import type { KindInfo } from '../../src/api/shape.ts';
import { GeneratedWriter } from '../../src/publish/kubernetes/generated-writer.ts';
import { Lease } from '../../src/publish/kubernetes/lease.ts';
import { StatusWriter } from '../../src/publish/kubernetes/status-writer.ts';
import { StatusStream } from '../../src/publish/status.ts';
import { Client } from '../../src/source/kubernetes/client.ts';
import { Credentials } from '../../src/source/kubernetes/credentials.ts';
import { KubernetesSource } from '../../src/source/kubernetes/kubernetes-source.ts';
import type { OwnPlace } from '../../src/source/kubernetes/own.ts';
import { Batch } from '../../src/store/batch.ts';
import { Store } from '../../src/store/store.ts';
import type { TranslatorOptions } from '../../src/translate/context.ts';
import type { Update } from '../../src/translate/output.ts';
import { Translator } from '../../src/translate/translator.ts';
import { readOfStatus } from '../../src/translate/unit.ts';
import type { FakeApi } from './fake-api.ts';
import { memoryTransport, type Wire } from './memory-api.ts';
import { PLAIN } from './support.ts';

export const CONTROLLER = 'rauta.io/gateway-controller';

export interface ReplicaOptions {
  readonly name: string;
  readonly api: FakeApi;
  readonly wire: Wire;
  readonly own: OwnPlace;
  readonly translation: TranslatorOptions;
  /** An object is taken from what is served, whose copy was this. */
  readonly onRemoved: (key: ObjectKey, object: KubeObject) => void;
  /** All has been read, and is served from now on. */
  readonly onPublished: (store: Store) => void;
}

export class Replica {
  readonly name: string;
  readonly store = new Store(readOfStatus);
  readonly translator: Translator;
  readonly source: KubernetesSource;
  readonly lease: Lease;
  readonly troubles: string[] = [];
  isPublished = false;
  readonly #options: ReplicaOptions;
  readonly #client: Client;
  readonly #batch: Batch;
  readonly #writer: StatusWriter;
  readonly #generated: GeneratedWriter;
  readonly #statuses: StatusStream;
  #revision = 0;
  /** What workers have acked. */
  #served = 0;
  #stopped = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    const { name, api, wire, own, translation } = options;
    const { time, random } = wire;
    this.name = name;
    const credentials = new Credentials(
      { ...PLAIN, server: 'http://memory' },
      { read: () => '', run: () => Promise.reject(new Error('no plugin')), now: time.now, wall: time.now },
    );
    const rate = { qps: 200, burst: 400 };
    const client = new Client(memoryTransport(api, wire), credentials, {
      userAgent: name,
      ...rate,
      now: time.now,
      timers: time,
    });
    this.#client = client;
    this.translator = new Translator(translation);
    const kinds = knownKinds().filter(({ kind }) => !BY_REFERENCE.includes(kind) && !/^X?Backend$/.test(kind));
    const named = BY_REFERENCE.map((kind) => kindInfo(kind) as KindInfo);
    this.source = new KubernetesSource(
      { kinds, named, namespaces: [], gatewayClass: null, own },
      { client, timers: time, now: time.now, random, server: { streams: true } },
    );
    const leads = (): boolean => this.lease.leads();
    const find = (key: ObjectKey): KubeObject | undefined => this.#get(key);
    const pathOf = (object: KubeObject): string | null => this.source.pathOf(object);
    const tools = { api: client, timers: time, now: time.now, leads, find, pathOf };
    this.#writer = new StatusWriter(CONTROLLER, {
      ...tools,
      wall: () => new Date(time.ms),
      onWritten: () => {},
      onTrouble: (key, message) => this.troubles.push(`${key}: ${message}`),
    });
    this.#generated = new GeneratedWriter({
      ...tools,
      onTrouble: (key, _reason, message) => this.troubles.push(`${key}: ${message}`),
    });
    this.#statuses = new StatusStream({ write: (key, status) => this.#writer.write(key, status) });
    this.#batch = new Batch(time, time.now, ({ keys }) =>
      this.#revise(this.translator.update(this.store, { keys }), keys),
    );
    const place = { namespace: 'rauta-system', name: 'rauta', identity: name };
    this.lease = new Lease(
      place,
      { ...tools, wall: () => new Date(time.ms), random, onTrouble: () => {} },
      (leading) => {
        if (!leading) return;
        this.#writer.lead();
        this.#generated.lead();
      },
    );
  }

  start(): void {
    this.lease.start();
    this.source.start(this);
  }

  /** It is gone, without a word. */
  async crash(): Promise<void> {
    this.#stopped = true;
    this.#batch.stop();
    await this.#client.stop();
    await this.leave();
  }

  /** It ends in order. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#writer.stop();
    this.#generated.stop();
    await this.lease.stop();
    await this.source.stop();
    this.#batch.stop();
    await this.#client.stop();
  }

  // ---- SourceSink

  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    if (this.#stopped) return;
    for (const key of removals) {
      const object = this.#get(key);
      if (object !== undefined) this.#options.onRemoved(key, object);
    }
    const restated = new Set<ObjectKey>();
    const changed = this.store.apply(upserts, removals, restated);
    this.#batch.add([...changed].filter((key) => !restated.has(key)));
    this.#writer.seen(changed);
    this.#generated.seen(changed);
    if (this.isPublished) this.#writer.forgotten([...restated].flatMap((key) => this.#get(key) ?? []));
  }
  problems(): void {}
  synced(): void {
    if (this.isPublished || this.#stopped) return;
    this.#batch.flush();
    this.isPublished = true;
    this.#options.onPublished(this.store);
    this.translator.settle();
    const { statuses, generated } = this.translator;
    this.#note(statuses);
    this.#writer.forgotten(this.store.all());
    for (const [key, wanted] of generated) this.#generated.write(key, wanted);
  }

  #revise({ delta, statuses, generated }: Update, keys: ReadonlySet<ObjectKey>): void {
    for (const [kind, wanted] of this.translator.takeWanted()) this.source.want(kind, wanted);
    if (!this.isPublished) return;
    const isNews = delta.upserts.length + delta.removals.length > 0;
    this.#note(statuses, isNews);
    this.#writer.forgotten([...keys].flatMap((key) => this.#get(key) ?? []));
    for (const [key, wanted] of generated) this.#generated.write(key, wanted);
  }

  /** Workers ack what is new a little later. */
  #note(statuses: Update['statuses'] | Translator['statuses'], isNews = true): void {
    if (isNews) this.#revision++;
    const revision = this.#revision;
    this.#statuses.note(revision, statuses);
    const { time, latency } = this.#options.wire;
    if (isNews) time.after(latency(), () => this.#acked(revision));
  }

  #acked(revision: number): void {
    if (revision <= this.#served) return;
    this.#served = revision;
    this.#statuses.acked(revision);
  }

  #get(key: ObjectKey): KubeObject | undefined {
    const [kind = '', namespace, name = ''] = key.split('/');
    return this.store.get(kind, namespace, name);
  }
}
