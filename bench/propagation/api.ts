// The API server as the bench uses it: an administrator who creates and changes objects, and an independent watcher.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fields } from '../../src/base/fields.ts';
import { Client } from '../../src/source/kubernetes/client.ts';
import { Credentials } from '../../src/source/kubernetes/credentials.ts';
import { readKubeconfig } from '../../src/source/kubernetes/kubeconfig.ts';
import { Transport } from '../../src/source/kubernetes/transport.ts';
import { SYSTEM_TIMERS } from '../../src/source/timers.ts';
import type { Made } from './objects.ts';

export * from './objects.ts';

const GATEWAY_API = '/apis/gateway.networking.k8s.io/v1';
const PATHS: Readonly<Record<string, string>> = {
  Gateway: `${GATEWAY_API}/namespaces/*/gateways`,
  HTTPRoute: `${GATEWAY_API}/namespaces/*/httproutes`,
  ListenerSet: `${GATEWAY_API}/namespaces/*/listenersets`,
  Service: '/api/v1/namespaces/*/services',
  EndpointSlice: '/apis/discovery.k8s.io/v1/namespaces/*/endpointslices',
  Namespace: '/api/v1/namespaces',
};
/** The user as whom RAUTA writes. */
const ACCOUNT = 'system:serviceaccount:rauta-system:rauta';

const read = (path: string): string => readFileSync(path, 'utf8');
const now = (): number => performance.now();
const access = readKubeconfig([process.env['RAUTA_CLUSTER_DIRECT_KUBECONFIG'] as string], null, read);
const credentials = new Credentials(access, { read, run: () => Promise.reject(new Error('none')), now, wall: now });
const options = { userAgent: 'bench', qps: 10_000, burst: 10_000, now, timers: SYSTEM_TIMERS };
const client = new Client(new Transport(access), credentials, options);

async function ask(question: Parameters<Client['ask']>[0]): Promise<unknown> {
  const reply = await client.ask(question);
  if (reply.ok) return reply.body;
  throw new Error(`${question.verb} ${question.path}: ${reply.failure.reason}: ${reply.failure.message}`);
}
const place = (kind: string, namespace = ''): string => (PATHS[kind] as string).replace('*', namespace);

export const create = (object: Made): Promise<unknown> =>
  ask({ verb: 'create', kind: object.kind, path: place(object.kind, object.metadata.namespace), body: object });
export const get = (kind: string, namespace: string, name: string): Promise<unknown> =>
  ask({ verb: 'get', kind, path: `${place(kind, namespace)}/${name}` });
export const list = async (kind: string, namespace: string): Promise<unknown[]> =>
  fields(await ask({ verb: 'list', kind, path: place(kind, namespace) }))['items'] as unknown[];
export const change = (kind: string, namespace: string, name: string, body: unknown): Promise<unknown> =>
  ask({
    verb: 'patch',
    kind,
    path: `${place(kind, namespace)}/${name}`,
    contentType: 'application/merge-patch+json',
    body,
  });
export const remove = (kind: string, namespace: string, name: string): Promise<unknown> =>
  ask({ verb: 'delete', kind, path: `${place(kind, namespace)}/${name}` });

/** Does `work` for each, 16 at a time. */
export async function many<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items];
  const one = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: 16 }, one));
}

/** When an independent watcher saw an object of `kind` in `namespace` for the first time, by name. */
export function watchFirst(kind: string, namespace: string): { readonly seen: Map<string, number>; stop(): void } {
  const seen = new Map<string, number>();
  const abort = new AbortController();
  const query = { watch: 'true', sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };
  const question = { verb: 'watch', kind, path: place(kind, namespace), signal: abort.signal } as const;
  void client.watch({ ...question, query: { ...query, allowWatchBookmarks: 'true' } }, 600_000, (event) => {
    const name = fields(fields(fields(event)['object'])['metadata'])['name'];
    if (typeof name === 'string' && !seen.has(name)) seen.set(name, now());
  });
  return { seen, stop: () => abort.abort() };
}

/** RAUTA's writes by resource (`gateways/status`), as the API server's audit log has them. */
export function writes(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of read(join(process.env['RAUTA_CLUSTER_DIR'] as string, 'audit.log')).split('\n')) {
    if (!line.includes(ACCOUNT)) continue;
    const { resource, subresource } = fields(fields(JSON.parse(line))['objectRef']);
    const key = subresource === undefined ? String(resource) : `${resource}/${subresource}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

export const stop = (): Promise<void> => client.stop();
