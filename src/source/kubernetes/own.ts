// What this program is in the cluster: its pod, those that run it too, and the node it is on. The downward API says who
// it is (POD_NAME, POD_NAMESPACE, NODE_NAME); the labels of its own pod say which others are like it. They are
// delivered as objects of the kinds Pod and Node, of which there are no others in the world.

import type { KubeObject, ObjectKey } from '../../api/object.ts';
import { type Fields, fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import { backoffMs } from './backoff.ts';
import type { Failure } from './failure.ts';
import { type RawObject, Reflector, type ReflectorTools } from './reflector.ts';

export interface OwnPlace {
  /** Null: not in a pod, or nobody said in which. */
  readonly pod: { readonly namespace: string; readonly name: string } | null;
  /** Node whose zone is to be read; null: none is. */
  readonly node: string | null;
}

export interface OwnSink {
  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void;
  /** Something was settled, or is followed or not. */
  changed(): void;
}

export const ZONE_LABEL = 'topology.kubernetes.io/zone';

/** What programs are called by, where somebody does so (recommended labels of Kubernetes). */
const NAMING = ['name', 'instance', 'component'].map((name) => `app.kubernetes.io/${name}`);
/** Labels of one generation of a pod's template, or of one pod: those of others of its kind differ. */
const PASSING: ReadonlySet<string> = new Set([
  ...['pod-template-hash', 'controller-revision-hash', 'pod-template-generation'],
  ...['statefulset.kubernetes.io/pod-name', 'apps.kubernetes.io/pod-index'],
]);

/** From version 1.35 on the API server puts those of its node on each pod. */
const OF_NODE = 'topology.kubernetes.io/';

/** Of the pods that are like one with these labels; empty: none is. */
function selectorOf(labels: Fields): string {
  const named = NAMING.filter((key) => typeof labels[key] === 'string');
  const lasting = Object.keys(labels).filter((key) => !PASSING.has(key) && !key.startsWith(OF_NODE));
  return (named.length > 0 ? named : lasting)
    .sort()
    .map((key) => `${key}=${labels[key]}`)
    .join(',');
}

export class Own {
  readonly #place: OwnPlace;
  readonly #sink: OwnSink;
  readonly #tools: ReflectorTools;
  readonly #waits = new Set<() => void>();
  /** Questions without an answer, of those that are asked once. */
  #open: number;
  #stopped = false;
  /** Of the pods; null before their labels are known. */
  reflector: Reflector | null = null;
  readonly #reasons = new Map<string, string>();

  constructor(place: OwnPlace, sink: OwnSink, tools: ReflectorTools) {
    this.#place = place;
    this.#sink = sink;
    this.#tools = tools;
    this.#open = (place.pod === null ? 0 : 1) + (place.node === null ? 0 : 1);
  }

  /** Everything has been delivered, or is refused: who may not look is told so elsewhere, and serves. */
  get settled(): boolean {
    const { reflector } = this;
    if (this.#open > 0) return false;
    return reflector === null || reflector.health.synced || reflector.health.reason?.startsWith('Forbidden') === true;
  }

  /** Why its own pod is not known, or null. */
  get reason(): string | null {
    return this.#reasons.get('Pod') ?? null;
  }

  start(): void {
    const { pod, node } = this.#place;
    if (pod !== null) {
      const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`;
      void this.#ask('Pod', path, (object) => this.#follow(pod, fields(object['metadata'])));
    }
    if (node !== null) void this.#ask('Node', `/api/v1/nodes/${node}`, (object) => this.#deliverNode(node, object));
  }

  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#waits) cancel();
    this.reflector?.stop();
  }

  /** Until there is an answer; a refusal counts as one, and is asked about again. */
  async #ask(kind: string, path: string, found: (object: Fields) => void): Promise<void> {
    let open = true;
    const settle = (): void => {
      if (open) this.#open--;
      open = false;
      this.#sink.changed();
    };
    for (let failures = 1; !this.#stopped; failures++) {
      const reply = await this.#tools.client.ask({ verb: 'get', kind, path });
      if (this.#stopped) return;
      if (reply.ok) {
        this.#reasons.delete(kind);
        found(fields(reply.body));
        settle();
        return;
      }
      this.#reasons.set(kind, `${reply.failure.reason}: ${reply.failure.message}`);
      const refused = isRefusal(reply.failure);
      if (refused) settle();
      await this.#sleep(refused ? LIMITS.KUBERNETES_RETRY_MAX_MS : backoffMs(failures, this.#tools.random()));
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#tools.timers.after(ms, done);
      const waits = this.#waits;
      function done(): void {
        waits.delete(end);
        resolve();
      }
      function end(): void {
        cancel();
        done();
      }
      waits.add(end);
    });
  }

  #follow({ namespace, name }: { readonly namespace: string; readonly name: string }, metadata: Fields): void {
    const selector = selectorOf(fields(metadata['labels']));
    this.reflector = new Reflector(
      {
        kind: 'Pod',
        apiVersion: 'v1',
        path: `/api/v1/namespaces/${namespace}/pods`,
        // One without labels is like no other.
        ...(selector === '' ? { fieldSelector: `metadata.name=${name}` } : { labelSelector: selector }),
      },
      {
        apply: (objects, gone) =>
          this.#sink.apply(
            objects.map(podOf),
            gone.map((raw) => `Pod/${raw}`),
          ),
        changed: () => this.#sink.changed(),
        missing: () => this.#sink.changed(),
      },
      this.#tools,
    );
    this.reflector.start();
  }

  #deliverNode(name: string, object: Fields): void {
    const zone = fields(fields(object['metadata'])['labels'])[ZONE_LABEL];
    const labels: Record<string, string> = typeof zone === 'string' ? { [ZONE_LABEL]: zone } : {};
    this.#sink.apply([{ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } }], []);
  }
}

function isRefusal({ code }: Failure): boolean {
  return code === 403 || code === 404;
}

/** What is asked of a pod: the rest is large and changes often. */
function podOf(raw: RawObject): KubeObject {
  const { name, namespace, deletionTimestamp } = raw.metadata as KubeObject['metadata'];
  const { nodeName, hostNetwork } = fields(raw['spec']);
  const { phase, podIPs, hostIPs, conditions } = fields(raw['status']);
  const ready = (Array.isArray(conditions) ? conditions : [])
    .map(fields)
    .filter(({ type }) => type === 'Ready')
    .map(({ type, status }) => ({ type, status }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    spec: { nodeName, hostNetwork: hostNetwork === true },
    status: { phase, podIPs, hostIPs, conditions: ready },
  };
}
