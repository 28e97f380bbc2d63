// The API server as this program uses it: access, client, source, leadership, statuses and events put together. Loaded
// only with --kubernetes.

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { BY_REFERENCE, kindInfo, knownKinds } from '../api/kinds.ts';
import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import type { KindInfo } from '../api/shape.ts';
import { EXIT, ExitError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { EndpointEvents } from '../publish/kubernetes/endpoint-events.ts';
import { Events } from '../publish/kubernetes/events.ts';
import { GeneratedWriter } from '../publish/kubernetes/generated-writer.ts';
import { Lease } from '../publish/kubernetes/lease.ts';
import { SharedKeys } from '../publish/kubernetes/shared-keys.ts';
import { StatusWriter } from '../publish/kubernetes/status-writer.ts';
import { Client } from '../source/kubernetes/client.ts';
import { Credentials, runPlugin } from '../source/kubernetes/credentials.ts';
import { type Access, AccessError, findAccess } from '../source/kubernetes/kubeconfig.ts';
import { type KindHealth, KubernetesSource } from '../source/kubernetes/kubernetes-source.ts';
import { Transport } from '../source/kubernetes/transport.ts';
import { SYSTEM_TIMERS } from '../source/timers.ts';
import type { ClusterNumbers } from '../telemetry/numbers.ts';
import type { Status } from '../translate/conditions.ts';
import type { Generated } from '../translate/exposure.ts';
import type { KubernetesFlags } from './options.ts';
import { versionInfo } from './version.ts';

const LEASE_NAME = 'rauta';
/** Kinds by which whoever may write one leads requests anywhere: read where the operator says so. */
const LEADING: readonly string[] = ['Backend', 'XBackend'];

/** What there is. */
export interface Objects {
  /** The newest copy. */
  readonly find: (key: ObjectKey) => KubeObject | undefined;
  readonly all: () => Iterable<KubeObject>;
}

export class Cluster {
  readonly source: KubernetesSource;
  readonly #access: Access;
  readonly #client: Client;
  readonly #writer: StatusWriter;
  readonly #generated: GeneratedWriter;
  readonly #keys: SharedKeys | null;
  readonly #events: Events;
  readonly #endpoints: EndpointEvents;
  readonly #seesAll: boolean;
  /** Null: there is no other, and this one always writes. */
  readonly #lease: Lease | null;
  #objects: Objects = { find: () => undefined, all: () => [] };

  /** Throws ExitError when there is no usable configuration; whether a server is there shows later. */
  constructor(flags: KubernetesFlags, controllerName: string, log: Logger) {
    this.#seesAll = flags.gatewayClass === null && flags.namespaces.length === 0;
    const read = (path: string): string => readFileSync(path, 'utf8');
    const now = (): number => performance.now();
    const wall = (): Date => new Date();
    const timers = SYSTEM_TIMERS;
    const random = Math.random;
    this.#access = accessOf(flags, read);
    const credentials = new Credentials(this.#access, { read, run: runPlugin, now, wall: () => Date.now() });
    const client = new Client(new Transport(this.#access), credentials, {
      userAgent: `rauta/${versionInfo().version} (${process.platform}/${process.arch})`,
      qps: flags.qps,
      burst: flags.burst,
      now,
      timers,
    });
    this.#client = client;
    this.source = new KubernetesSource(
      {
        kinds: knownKinds().filter(
          ({ kind }) => !BY_REFERENCE.includes(kind) && (!LEADING.includes(kind) || flags.backends !== 'off'),
        ),
        named: BY_REFERENCE.map((kind) => kindInfo(kind) as KindInfo),
        namespaces: flags.namespaces,
        gatewayClass: flags.gatewayClass,
        own: { pod: flags.pod, node: flags.node },
      },
      { client, timers, now, random, server: { streams: true } },
    );
    const instance = hostname();
    const leads = (): boolean => this.#lease?.leads() ?? true;
    this.#events = new Events({ api: client, now, wall, random, leads, controllerName, instance });
    this.#endpoints = new EndpointEvents({
      controllerName,
      timers,
      leads,
      find: (key) => this.#objects.find(key),
      all: () => this.#objects.all(),
      warn: (object, reason, note) => this.#events.warn(object, reason, note),
    });
    this.#writer = this.#statusWriter(controllerName, client, leads, log);
    this.#generated = this.#maker(client, leads, log);
    const say = (level: 'info' | 'warn', message: string): void => log[level](message);
    this.#keys =
      flags.keysSecret === null ? null : new SharedKeys(flags.keysSecret, { api: client, timers, wall, leads, say });
    if (!flags.leaderElection) {
      this.#lease = null;
      return;
    }
    const [namespace, name] = flags.lease?.split('/') ?? [this.#access.namespace ?? 'default', LEASE_NAME];
    const place = { namespace: namespace as string, name: name as string, identity: `${instance}_${flags.instance}` };
    const lease = `${place.namespace}/${place.name}`;
    const onTrouble = (reason: string | null): void => {
      if (reason === null) log.info('the lease can be had again', { lease });
      else log.warn(`the lease cannot be had: ${reason}`, { lease, effect: 'this program writes no statuses' });
    };
    this.#lease = new Lease(place, { api: client, timers, now, wall, random, onTrouble }, (leading) => {
      log.info(leading ? 'leads: statuses are written by this program' : 'does not lead any more', { lease });
      if (!leading) return;
      this.#writer.lead();
      this.#generated.lead();
      this.#endpoints.lead();
      this.#keys?.lead();
    });
  }

  #statusWriter(controllerName: string, api: Client, leads: () => boolean, log: Logger): StatusWriter {
    return new StatusWriter(controllerName, {
      api,
      timers: SYSTEM_TIMERS,
      now: () => performance.now(),
      wall: () => new Date(),
      leads,
      find: (key) => this.#objects.find(key),
      pathOf: (object) => this.source.pathOf(object),
      onWritten: (object, before, after) => {
        this.#events.written(object, before, after);
        this.#endpoints.written(object);
      },
      onTrouble: (object, message) => log.warn(message, { object }),
    });
  }

  #maker(api: Client, leads: () => boolean, log: Logger): GeneratedWriter {
    return new GeneratedWriter({
      api,
      timers: SYSTEM_TIMERS,
      now: () => performance.now(),
      leads,
      find: (key) => this.#objects.find(key),
      pathOf: (object) => this.source.pathOf(object),
      onTrouble: (gateway, reason, message) => {
        log.warn(message, { object: gateway });
        const object = this.#objects.find(gateway);
        if (object !== undefined) this.#events.warn(object, reason, message);
      },
    });
  }

  start(objects: Objects): void {
    this.#objects = objects;
    if (this.#lease === null) this.#keys?.lead();
    else this.#lease.start();
  }

  /** Gives the lease back, so that another need not wait for its end. */
  async stop(): Promise<void> {
    this.#writer.stop();
    this.#generated.stop();
    this.#keys?.stop();
    await this.#lease?.stop();
  }

  // ---- StatusSink, and what it has to hear of objects

  write(key: ObjectKey, status: Status | null): void {
    this.#writer.write(key, status);
  }
  seen(keys: Iterable<ObjectKey>): void {
    this.#writer.seen(keys);
    this.#generated.seen(keys);
  }

  /** What is said of these was told just now. */
  told(objects: Iterable<KubeObject>): void {
    // Of other classes and namespaces another program of this name may speak.
    if (this.#seesAll) this.#writer.forgotten(objects);
  }

  /** What is wrong with objects, as far as it changed. */
  diagnosed(diagnostics: ReadonlyMap<ObjectKey, readonly Problem[]>): void {
    this.#endpoints.diagnosed(diagnostics);
  }

  /** What sources say of a host's name that nobody can resolve; an empty list: nothing any more. */
  unresolved(origin: string, problems: readonly Problem[]): void {
    this.#endpoints.unresolved(origin, problems);
  }

  /** What is made for Gateways; null: nothing is said of it any more. */
  make(generated: ReadonlyMap<ObjectKey, Generated | null>): void {
    for (const [key, wanted] of generated) this.#generated.write(key, wanted);
  }

  // ---- what is shown

  /** `/kubernetes`. */
  page(): unknown {
    const { source } = this;
    return {
      server: this.#access.server,
      waiting: source.waiting(),
      leader:
        this.#lease === null
          ? null
          : { leads: this.#lease.leads(), holder: this.#lease.holder, reason: this.#lease.reason },
      kinds: source.health().map(pageOf),
    };
  }

  numbers(): ClusterNumbers {
    return {
      requests: this.#client.counts(),
      kinds: this.source.health().map(({ kind, synced, relists }) => ({ kind, synced, relists })),
      leads: this.#lease?.leads() ?? true,
      statusWrites: this.#writer.counts(),
      generatedWrites: this.#generated.counts(),
      eventsDropped: this.#events.dropped,
    };
  }
}

function accessOf(flags: KubernetesFlags, read: (path: string) => string): Access {
  try {
    return findAccess(flags, process.env, read);
  } catch (error) {
    if (error instanceof AccessError) throw new ExitError(EXIT.configuration, `--kubernetes: ${error.message}`);
    throw error;
  }
}

function pageOf({ relists, lastEventAgoMs, ...health }: KindHealth): unknown {
  return { ...health, last_event_ago_ms: lastEventAgoMs, relists: Object.fromEntries(relists) };
}
