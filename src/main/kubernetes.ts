// The API server as this program uses it: access, client and source put together. Loaded only with --kubernetes.

import { readFileSync } from 'node:fs';
import { BY_REFERENCE, isServed, kindInfo, knownKinds } from '../api/kinds.ts';
import type { KindInfo } from '../api/shape.ts';
import { EXIT, ExitError } from '../base/errors.ts';
import { Client } from '../source/kubernetes/client.ts';
import { Credentials, runPlugin } from '../source/kubernetes/credentials.ts';
import { AccessError, findAccess } from '../source/kubernetes/kubeconfig.ts';
import { type KindHealth, KubernetesSource } from '../source/kubernetes/kubernetes-source.ts';
import { Transport } from '../source/kubernetes/transport.ts';
import { SYSTEM_TIMERS } from '../source/timers.ts';
import type { ClusterNumbers } from '../telemetry/numbers.ts';
import type { KubernetesFlags } from './options.ts';
import { versionInfo } from './version.ts';

export interface Cluster {
  readonly source: KubernetesSource;
  /** Of the admin server: `/kubernetes`. */
  page(): unknown;
  numbers(): ClusterNumbers;
}

/** Throws ExitError when there is no usable configuration; whether a server is there shows later. */
export function openCluster(flags: KubernetesFlags): Cluster {
  const read = (path: string): string => readFileSync(path, 'utf8');
  const now = (): number => performance.now();
  const access = accessOf(flags, read);
  const credentials = new Credentials(access, { read, run: runPlugin, now, wall: () => Date.now() });
  const client = new Client(new Transport(access), credentials, {
    userAgent: `rauta/${versionInfo().version} (${process.platform}/${process.arch})`,
    qps: flags.qps,
    burst: flags.burst,
    now,
    timers: SYSTEM_TIMERS,
  });
  const source = new KubernetesSource(
    {
      kinds: knownKinds().filter(
        ({ kind }) =>
          isServed(kind) && !BY_REFERENCE.includes(kind) && (kind !== 'Backend' || flags.backends !== 'off'),
      ),
      named: BY_REFERENCE.map((kind) => kindInfo(kind) as KindInfo),
      namespaces: flags.namespaces,
      gatewayClass: flags.gatewayClass,
    },
    { client, timers: SYSTEM_TIMERS, now, random: Math.random, server: { streams: true } },
  );
  return {
    source,
    page: () => ({ server: access.server, waiting: source.waiting(), kinds: source.health().map(pageOf) }),
    numbers: () => ({
      requests: client.counts(),
      kinds: source.health().map(({ kind, synced, relists }) => ({ kind, synced, relists })),
    }),
  };
}

function accessOf(flags: KubernetesFlags, read: (path: string) => string): ReturnType<typeof findAccess> {
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
