// An API server of our own over real loopback sockets, as small as the tests need it: discovery, LIST in pages, WATCH
// with bookmarks and initial events, resume from a version, optimistic updates, and everything that can go wrong with
// them.

import { createServer, type IncomingMessage, Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { TlsOptions } from 'node:tls';
import { GATEWAY_API_KINDS } from '../../src/api/generated/index.ts';
import { heldPort } from '../support/port.ts';

export interface ApiObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** What happens to a request instead of, or to, its answer. */
export interface Fault {
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfter?: number;
  /** Taken, never answered. */
  readonly silent?: boolean;
  /** Bytes of the answer after which the connection is destroyed. */
  readonly truncate?: number;
  /** Any body, with status 200. */
  readonly body?: string;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly watch: boolean;
}

interface Kind {
  readonly kind: string;
  readonly apiVersion: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly objects: Map<string, ApiObject>;
}

interface Change {
  readonly version: number;
  readonly kind: Kind;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: ApiObject;
}

interface Watcher {
  readonly kind: Kind;
  readonly matches: (object: ApiObject) => boolean;
  readonly response: ServerResponse;
  readonly bookmarks: boolean;
}

export class FakeApi {
  readonly #server: Server;
  #port: number | null = null;
  readonly #kinds: Kind[] = [];
  readonly #watchers = new Set<Watcher>();
  /** Pages still to be fetched: the snapshot they are cut from. */
  readonly #pages = new Map<string, { readonly version: number; readonly rest: readonly ApiObject[] }>();
  /** What each manager applied last. */
  readonly #applied = new Map<string, ApiObject>();
  #history: Change[] = [];
  #version = 100;
  /** Versions below this are gone. */
  #oldest = 100;
  #uids = 0;
  readonly requests: Seen[] = [];
  /** Decides of each request whether it fails. */
  fault: (seen: Seen) => Fault | null = () => null;
  /** Whether WATCH with sendInitialEvents is known here. */
  streams = true;
  /** Expired versions are told by status 410, or within the watch as an ERROR. */
  expiry: 'status' | 'event' = 'event';
  onRequest: (seen: Seen) => void = () => {};

  constructor(tls?: TlsOptions) {
    const listener = (request: IncomingMessage, response: ServerResponse): void => void this.answer(request, response);
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  }

  /** URL: the same each time. */
  async listen(): Promise<string> {
    const port = this.#port ?? heldPort();
    this.#port = port;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    const scheme = this.#server instanceof Server ? 'http' : 'https';
    return `${scheme}://127.0.0.1:${port}`;
  }

  /** Whoever connects is refused. What it holds stays, and it may listen again. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  // ---- what there is

  /** A kind that is served from now on: `define('gateway.networking.k8s.io/v1', 'Gateway', 'gateways')`. */
  define(apiVersion: string, kind: string, plural: string, namespaced = true): void {
    this.#kinds.push({ kind, apiVersion, plural, namespaced, objects: new Map() });
  }
  undefine(kind: string): void {
    const at = this.#kinds.findIndex((k) => k.kind === kind);
    const [gone] = this.#kinds.splice(at, 1);
    for (const watcher of this.#watchers) {
      if (watcher.kind !== gone) continue;
      this.#watchers.delete(watcher);
      watcher.response.end();
    }
  }

  /** Creates or changes an object as anybody may: version, uid and generation are the server's. */
  put(kind: string, object: ApiObject): ApiObject {
    return this.#store(this.#named(kind), object);
  }
  delete(kind: string, namespace: string, name: string): void {
    const found = this.#named(kind);
    const old = found.objects.get(`${namespace}/${name}`);
    if (old === undefined) return;
    found.objects.delete(`${namespace}/${name}`);
    this.#version++;
    const metadata = { ...old.metadata, resourceVersion: String(this.#version) };
    this.#announce({ version: this.#version, kind: found, type: 'DELETED', object: { ...old, metadata } });
  }
  get(kind: string, namespace: string, name: string): ApiObject | undefined {
    return this.#named(kind).objects.get(`${namespace}/${name}`);
  }
  all(kind: string): ApiObject[] {
    return [...this.#named(kind).objects.values()];
  }
  everything(): ApiObject[] {
    return this.#kinds.flatMap(({ objects }) => [...objects.values()]);
  }
  /** As by the subresource: the generation stays. */
  putStatus(kind: string, object: ApiObject, status: unknown): void {
    this.#store(this.#named(kind), { ...object, status }, 'status');
  }

  // ---- what goes wrong

  /** Everything before now can no longer be gone on from, pages included. */
  compact(): void {
    this.#history = [];
    this.#oldest = this.#version;
    this.#pages.clear();
  }
  /** An older state is put back: versions are lower than those that were seen. */
  restore(objects: readonly ApiObject[], version: number): void {
    for (const kind of this.#kinds) kind.objects.clear();
    this.#version = version;
    this.#oldest = version;
    this.#history = [];
    for (const object of objects)
      this.#named(object.kind ?? '').objects.set(`${object.metadata.namespace ?? ''}/${object.metadata.name}`, object);
    this.cut('reset');
  }
  bookmark(): void {
    for (const watcher of this.#watchers) if (watcher.bookmarks) this.#sendBookmark(watcher, false);
  }
  /** Ends every watch: in order, by reset, in the midst of an event, or with a line that is no JSON. */
  cut(how: 'end' | 'reset' | 'half' | 'garbage'): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const { response } of watchers) {
      if (how === 'garbage') response.write('{"type":"MOD\n');
      if (how === 'half') response.write('{"type":"MODIFIED","object":{"meta');
      if (how === 'end' || how === 'half') response.end();
      if (how === 'reset') response.socket?.resetAndDestroy();
    }
  }
  get watching(): number {
    return this.#watchers.size;
  }

  // ---- serving

  /** One question, whichever way it came. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const seen: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      watch: url.searchParams.get('watch') === 'true',
    };
    this.requests.push(seen);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const fault = this.fault(seen);
    this.onRequest(seen);
    if (fault?.silent === true) return;
    if (fault?.status !== undefined) {
      if (fault.retryAfter !== undefined) response.setHeader('retry-after', String(fault.retryAfter));
      return void this.#status(response, fault.status, fault.reason ?? '', 'injected');
    }
    if (fault?.body !== undefined) return void response.writeHead(200).end(fault.body);
    if (fault?.truncate !== undefined) truncate(response, fault.truncate);
    const body: unknown = parts.length === 0 ? null : JSON.parse(Buffer.concat(parts).toString());
    this.#route(seen, body as ApiObject | null, response);
  }

  #route(seen: Seen, body: ApiObject | null, response: ServerResponse): void {
    if (seen.path === '/apis') return void json(response, 200, this.groups());
    const found = /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/(.*))?$/.exec(seen.path);
    if (found === null) return void this.#status(response, 404, 'NotFound', 'no such path');
    const apiVersion = found[1] === undefined ? (found[2] as string) : `${found[1]}/${found[2]}`;
    const kinds = this.#kinds.filter((k) => k.apiVersion === apiVersion);
    if (kinds.length === 0) return void this.#status(response, 404, 'NotFound', 'no such group and version');
    if (found[3] === undefined) return void json(response, 200, resourceList(apiVersion, kinds));
    const place = /^(?:namespaces\/([^/]+)\/)?([^/]+)(?:\/([^/]+))?(?:\/(status))?$/.exec(found[3]);
    const kind = kinds.find((k) => k.plural === place?.[2]);
    if (place === null || kind === undefined) return void this.#status(response, 404, 'NotFound', 'no such resource');
    const [, namespace, , name, sub] = place;
    if (name !== undefined) return void this.#one(seen, kind, `${namespace ?? ''}/${name}`, sub, body, response);
    if (seen.method === 'POST') return void this.#create(kind, namespace ?? '', body as ApiObject, response);
    const wanted = /^metadata\.name=(.+)$/.exec(seen.query.get('fieldSelector') ?? '')?.[1];
    const labels = (seen.query.get('labelSelector') ?? '').split(',').filter((pair) => pair !== '');
    const matches = ({ metadata }: ApiObject): boolean =>
      (namespace === undefined || metadata.namespace === namespace) &&
      (wanted === undefined || metadata.name === wanted) &&
      labels.every((pair) => {
        const [key = '', value] = pair.split('=');
        return (metadata['labels'] as Record<string, string> | undefined)?.[key] === value;
      });
    if (seen.watch) this.#watch(seen, kind, matches, response);
    else this.#list(seen, kind, matches, response);
  }

  #list(seen: Seen, kind: Kind, matches: (object: ApiObject) => boolean, response: ServerResponse): void {
    const token = seen.query.get('continue');
    const page = token === null ? null : this.#pages.get(token);
    if (page === undefined) return void this.#status(response, 410, 'Expired', 'the continue token is too old');
    const all = page?.rest ?? [...kind.objects.values()].filter(matches);
    const version = page?.version ?? this.#version;
    const limit = Number(seen.query.get('limit') ?? all.length);
    const rest = all.slice(limit);
    const next = rest.length === 0 ? undefined : `page-${version}-${this.#pages.size}-${rest.length}`;
    if (next !== undefined) this.#pages.set(next, { version, rest });
    // Items of a list do not say what they are.
    const items = all.slice(0, limit).map(({ apiVersion: _, kind: __, ...object }) => object);
    json(response, 200, {
      kind: `${kind.kind}List`,
      apiVersion: kind.apiVersion,
      metadata: { resourceVersion: String(version), ...(next === undefined ? {} : { continue: next }) },
      items,
    });
  }

  #watch(seen: Seen, kind: Kind, matches: (object: ApiObject) => boolean, response: ServerResponse): void {
    const initial = seen.query.get('sendInitialEvents') === 'true';
    if (initial && !this.streams) return void this.#status(response, 422, 'Invalid', 'sendInitialEvents is forbidden');
    const from = Number(seen.query.get('resourceVersion') ?? '0');
    // As after a restore of etcd from a backup.
    if (from > this.#version) return void this.#status(response, 504, 'Timeout', 'Too large resource version');
    const gone = !initial && from < this.#oldest;
    if (gone && this.expiry === 'status')
      return void this.#status(response, 410, 'Expired', 'too old resource version');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watcher = { kind, matches, response, bookmarks: seen.query.get('allowWatchBookmarks') === 'true' };
    if (gone) {
      send(response, 'ERROR', status(410, 'Expired', 'too old resource version'));
      return void response.end();
    }
    if (initial) {
      for (const object of kind.objects.values()) if (matches(object)) send(response, 'ADDED', object);
      this.#sendBookmark(watcher, true);
    } else {
      for (const change of this.#history)
        if (change.kind === kind && change.version > from && matches(change.object))
          send(response, change.type, change.object);
    }
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
  }

  #one(
    seen: Seen,
    kind: Kind,
    key: string,
    sub: string | undefined,
    body: ApiObject | null,
    response: ServerResponse,
  ): void {
    const old = kind.objects.get(key);
    if (seen.headers['content-type'] === 'application/apply-patch+yaml' && body !== null) {
      this.#apply(seen, kind, key, body, response);
      return;
    }
    if (old === undefined) return void this.#status(response, 404, 'NotFound', `${key} not found`);
    if (seen.method === 'GET') return void json(response, 200, old);
    if (seen.method === 'DELETE') {
      const { uid, resourceVersion } = (body?.['preconditions'] ?? {}) as Partial<Record<string, string>>;
      const { metadata } = old;
      if (
        (uid ?? metadata.uid) !== metadata.uid ||
        (resourceVersion ?? metadata.resourceVersion) !== metadata.resourceVersion
      )
        return void this.#status(response, 409, 'Conflict', 'a precondition failed');
      const [namespace = '', name = ''] = key.split('/');
      this.delete(kind.kind, namespace, name);
      return void json(response, 200, status(200, '', ''));
    }
    const patch = seen.method === 'PATCH' && seen.headers['content-type'] === 'application/merge-patch+json';
    if ((seen.method !== 'PUT' && !patch) || body === null)
      return void this.#status(response, 405, 'MethodNotAllowed', 'no such method');
    const asked = body.metadata.resourceVersion;
    if (asked !== undefined && asked !== old.metadata.resourceVersion)
      return void this.#status(response, 409, 'Conflict', 'the object has been modified');
    const next = patch ? (mergePatch(old, body) as ApiObject) : body;
    json(response, 200, this.#store(kind, sub === 'status' ? { ...old, status: next['status'] } : next, sub));
  }

  /** Server-side apply, as far as one manager goes: what it named before and names no more goes, the rest stays. */
  #apply(seen: Seen, kind: Kind, key: string, body: ApiObject, response: ServerResponse): void {
    const old = kind.objects.get(key);
    const uid = body.metadata.uid;
    if (uid !== undefined && uid !== old?.metadata.uid)
      return void this.#status(response, 409, 'Conflict', 'uid mismatch');
    const manager = `${seen.query.get('fieldManager')} ${kind.kind} ${key} ${old?.metadata.uid ?? ''}`;
    const last = this.#applied.get(manager);
    if (old !== undefined && last === undefined && seen.query.get('force') !== 'true' && contradicts(old, body))
      return void this.#status(response, 409, 'Conflict', 'Apply failed with conflicts');
    const stored = this.#store(kind, mergePatch(without(old ?? body, last, body), body) as ApiObject);
    this.#applied.set(`${seen.query.get('fieldManager')} ${kind.kind} ${key} ${stored.metadata.uid}`, body);
    const managers = ['rauta', ...(old !== undefined && last === undefined ? ['somebody'] : [])];
    const managedFields = managers.map((name) => ({ manager: name }));
    json(response, old === undefined ? 201 : 200, { ...stored, metadata: { ...stored.metadata, managedFields } });
  }

  #create(kind: Kind, namespace: string, body: ApiObject, response: ServerResponse): void {
    const name = body.metadata.name ?? `${body.metadata['generateName'] as string}${++this.#uids}`;
    const object = { ...body, metadata: { ...body.metadata, name, ...(kind.namespaced ? { namespace } : {}) } };
    if (kind.objects.has(`${namespace}/${name}`))
      return void this.#status(response, 409, 'AlreadyExists', `${name} already exists`);
    json(response, 201, this.#store(kind, object));
  }

  #store(kind: Kind, object: ApiObject, sub?: string): ApiObject {
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    const old = kind.objects.get(key);
    const stored: ApiObject = {
      ...object,
      apiVersion: kind.apiVersion,
      kind: kind.kind,
      metadata: {
        creationTimestamp: '2026-11-21T10:00:00Z',
        ...object.metadata,
        uid: old?.metadata.uid ?? `uid-${++this.#uids}`,
        generation: old === undefined ? 1 : (old.metadata.generation as number) + (sub === 'status' ? 0 : 1),
        resourceVersion: String(++this.#version),
      },
    };
    kind.objects.set(key, stored);
    this.#announce({ version: this.#version, kind, type: old === undefined ? 'ADDED' : 'MODIFIED', object: stored });
    return stored;
  }

  #announce(change: Change): void {
    this.#history.push(change);
    for (const watcher of this.#watchers)
      if (watcher.kind === change.kind && watcher.matches(change.object))
        send(watcher.response, change.type, change.object);
  }

  #sendBookmark({ kind, response }: Watcher, end: boolean): void {
    const annotations = end ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
    const metadata = { resourceVersion: String(this.#version), ...annotations };
    send(response, 'BOOKMARK', { kind: kind.kind, apiVersion: kind.apiVersion, metadata });
  }

  /** What `/apis` says, of the versions that are served. */
  groups(served: (version: string) => boolean = () => true): unknown {
    const versions = new Set(this.#kinds.map((k) => k.apiVersion).filter((v) => v.includes('/') && served(v)));
    const names = new Set([...versions].map((v) => v.split('/')[0] as string));
    const groups = [...names].map((name) => ({
      name,
      versions: [...versions].filter((v) => v.startsWith(`${name}/`)).map((groupVersion) => ({ groupVersion })),
    }));
    return { kind: 'APIGroupList', apiVersion: 'v1', groups };
  }

  #status(response: ServerResponse, code: number, reason: string, message: string): void {
    json(response, code, status(code, reason, message));
  }

  #named(kind: string): Kind {
    const found = this.#kinds.find((k) => k.kind === kind);
    if (found === undefined) throw new Error(`the fake server has no kind ${kind}`);
    return found;
  }
}

export const GATEWAY_API = 'gateway.networking.k8s.io/v1';

/** gateways, gatewayclasses, backendtlspolicies. */
function pluralOf(kind: string): string {
  const name = kind.toLowerCase();
  return name.endsWith('s') ? `${name}es` : /[^aeiou]y$/.test(name) ? `${name.slice(0, -1)}ies` : `${name}s`;
}

/** The kinds of a cluster that RAUTA reads. */
export function defineKinds(api: FakeApi, gatewayApi = true): void {
  api.define('v1', 'Namespace', 'namespaces', false);
  api.define('v1', 'Service', 'services');
  api.define('v1', 'Pod', 'pods');
  api.define('v1', 'Node', 'nodes', false);
  api.define('v1', 'Secret', 'secrets');
  api.define('v1', 'ConfigMap', 'configmaps');
  api.define('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices');
  api.define('coordination.k8s.io/v1', 'Lease', 'leases');
  api.define('events.k8s.io/v1', 'Event', 'events');
  api.define('rauta.io/v1alpha1', 'AccessControlFilter', 'accesscontrolfilters');
  api.define('rauta.io/v1alpha1', 'StaticResponseFilter', 'staticresponsefilters');
  api.define('rauta.io/v1alpha1', 'GatewayClassParameters', 'gatewayclassparameters', false);
  api.define('rauta.io/v1alpha1', 'GatewayParameters', 'gatewayparameters');
  api.define('networking.k8s.io/v1', 'Ingress', 'ingresses');
  api.define('networking.k8s.io/v1', 'IngressClass', 'ingressclasses', false);
  api.define('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'customresourcedefinitions', false);
  if (gatewayApi) defineGatewayApi(api);
}
export function defineGatewayApi(api: FakeApi): void {
  for (const { apiVersion, kind, namespaced } of GATEWAY_API_KINDS) {
    // As most clusters have it: of this one an older version.
    const served = kind === 'ReferenceGrant' ? 'gateway.networking.k8s.io/v1beta1' : apiVersion;
    api.define(served, kind, pluralOf(kind), namespaced);
  }
}

/** RFC 7396. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const out: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete out[name];
    else out[name] = mergePatch(out[name], value);
  }
  return out;
}

/** Both say something of a field, and not the same. */
function contradicts(a: unknown, b: unknown): boolean {
  const isMap = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isMap(a) || !isMap(b)) return JSON.stringify(a) !== JSON.stringify(b);
  return Object.keys(b).some((name) => name in a && contradicts(a[name], b[name]));
}

/** `object` without the fields that `last` names and `next` does not. */
function without(object: unknown, last: unknown, next: unknown): unknown {
  const isMap = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isMap(object) || !isMap(last) || !isMap(next)) return object;
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(object)) {
    if (name in last && !(name in next) && !(isMap(value) && isMap(last[name]))) continue;
    out[name] = without(value, last[name], next[name] ?? {});
  }
  return out;
}

function resourceList(groupVersion: string, kinds: readonly Kind[]): unknown {
  const resources = kinds.map(({ plural: name, namespaced, kind }) => ({
    name,
    namespaced,
    kind,
    verbs: ['get', 'list', 'watch'],
  }));
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

function status(code: number, reason: string, message: string): unknown {
  return { kind: 'Status', apiVersion: 'v1', status: code < 300 ? 'Success' : 'Failure', code, reason, message };
}

function json(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function send(response: ServerResponse, type: string, object: unknown): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

/** The connection ends without warning after so many bytes of the body. */
function truncate(response: ServerResponse, bytes: number): void {
  const end = response.end.bind(response);
  response.end = ((body = '') => {
    response.write(body.slice(0, bytes), () => response.socket?.destroy());
    return response;
  }) as typeof end;
}
