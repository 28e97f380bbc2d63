// One running program for a file of tests: objects in files, real sockets, backends that say what reached them. Each
// test is named after the one of the official conformance suite whose situation it is; the objects of all stand in the
// folder from the start, those that come later are put there by the test.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { request as requestTls } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { Rauta } from '../process/support.ts';
import { heldPort } from '../support/port.ts';

/** How long something that has to come is waited for: far more than it takes. */
const SOON_MS = 60_000;
const API = 'gateway.networking.k8s.io/v1';

export interface Made {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly creationTimestamp?: string };
  readonly [field: string]: unknown;
}

/** `name`: with a namespace in front, else it is of `infra`. */
export function made(kind: string, name: string, rest: object, apiVersion = API): Made {
  const [namespace, own] = name.includes('/') ? (name.split('/') as [string, string]) : ['infra', name];
  return { apiVersion, kind, metadata: { name: own, namespace }, ...rest };
}

/** The same, made at that time. */
export function aged(object: Made, creationTimestamp: string): Made {
  return { ...object, metadata: { ...object.metadata, creationTimestamp } };
}

export function gateway(name: string, listeners: readonly object[], more: object = {}): Made {
  return made('Gateway', name, { spec: { gatewayClassName: 'rauta', listeners, ...more } });
}

/** A listener that lets routes of every namespace in. */
export function open(name: string, port: number, protocol = 'HTTP', more: object = {}): object {
  return { name, port, protocol, allowedRoutes: { namespaces: { from: 'All' } }, ...more };
}

/** Of `infra/web#http:80`: the Gateway, its listener, its port; what is not said is left out. */
export function parent(text: string): object {
  const [, namespace = 'infra', name, sectionName, port] =
    /^(?:(.+)\/)?([^#:]+)(?:#([^:]+))?(?::(\d+))?$/.exec(text) ?? [];
  return {
    ...{ namespace, name },
    ...(sectionName === undefined ? {} : { sectionName }),
    ...(port === undefined ? {} : { port: Number(port) }),
  };
}

export interface Shape {
  readonly kind?: string;
  readonly hostnames?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** `parents`: see parent. */
export function route(name: string, parents: string | readonly string[], rules: readonly object[], shape: Shape = {}) {
  const { kind = 'HTTPRoute', hostnames, annotations } = shape;
  const parentRefs = [parents].flat().map(parent);
  const object = made(kind, name, { spec: { parentRefs, ...(hostnames === undefined ? {} : { hostnames }), rules } });
  return annotations === undefined ? object : { ...object, metadata: { ...object.metadata, annotations } };
}

/** backendRefs: services by name, with shares; of another namespace where one stands in front. */
export function to(...backends: readonly (string | readonly [name: string, weight: number])[]): object[] {
  return backends.map((backend) => {
    const [text, weight] = typeof backend === 'string' ? [backend, undefined] : backend;
    const [namespace, name] = text.includes('/') ? text.split('/') : [undefined, text];
    return {
      ...(namespace === undefined ? {} : { namespace }),
      name,
      port: 80,
      ...(weight === undefined ? {} : { weight }),
    };
  });
}

export const prefix = (value: string, more: object = {}): object => ({ path: { type: 'PathPrefix', value }, ...more });
export const exact = (value: string, more: object = {}): object => ({ path: { type: 'Exact', value }, ...more });
export const header = (name: string, value: string): object => ({ headers: [{ name, value }] });

/** A Service whose port 80 leads to a port of this machine, and its endpoint. */
export function service(name: string, port: number, more: object = {}, protocol = 'TCP'): Made[] {
  const [, own = name] = name.split('/');
  const { metadata, ...slice } = made('EndpointSlice', `${name}-1`, {}, 'discovery.k8s.io/v1');
  return [
    made('Service', name, { spec: { ports: [{ name: 'main', port: 80, targetPort: port, protocol, ...more }] } }, 'v1'),
    {
      ...slice,
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': own } } as Made['metadata'],
      addressType: 'IPv4',
      ports: [{ name: 'main', port, protocol }],
      endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
    },
  ];
}

export function grant(name: string, from: object, toWhat: object): Made {
  const spec = { from: [{ group: 'gateway.networking.k8s.io', ...from }], to: [{ group: '', ...toWhat }] };
  return made('ReferenceGrant', name, { spec });
}

/** What a backend was asked. */
export interface Seen {
  readonly backend: string;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Null: no backend of ours answered. */
  readonly seen: Seen | null;
}

export interface AskOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly tls?: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
  };
}

/** `what`: `example.com/path`, with a method in front where it is not GET. */
export function ask(port: number, what: string, options: AskOptions = {}): Promise<Answer> {
  const [method, url] = what.includes(' ') ? (what.split(' ') as [string, string]) : ['GET', what];
  const slash = url.indexOf('/');
  const [host, path] = slash === -1 ? [url, '/'] : [url.slice(0, slash), url.slice(slash)];
  const { headers = {}, body, tls } = options;
  const common = { host: '127.0.0.1', port, method, path, headers: { host, ...headers }, agent: false as const };
  return new Promise((resolve, reject) => {
    const take = (response: IncomingMessage): void => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('error', reject);
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        const seen = response.headers['x-backend'] === undefined ? null : (JSON.parse(text || 'null') as Seen | null);
        resolve({ status, headers: response.headers, body: text, seen });
      });
    };
    const sent =
      tls === undefined
        ? request(common, take)
        : requestTls(
            { ...common, servername: host.replace(/:\d+$/, ''), rejectUnauthorized: tls.ca !== undefined, ...tls },
            take,
          );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Who answers: the name of the backend, else the status. */
export async function who(port: number, what: string, options: AskOptions = {}): Promise<string> {
  const { status, seen } = await ask(port, what, options);
  return status === 200 && seen !== null ? seen.backend : String(status);
}

type Row = readonly [what: string, who: string, headers?: Readonly<Record<string, string>>];

/** Each row: what is asked, and who is to answer. */
export async function answers(port: number, ...rows: readonly Row[]): Promise<void> {
  for (const [what, expected, headers = {}] of rows) {
    assert.equal(await who(port, what, { headers }), expected, `${what} ${JSON.stringify(headers)}`);
  }
}

/** How often each answers. */
export async function shares(count: number, askOne: () => Promise<string>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const name = await askOne();
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** Until it reads what is expected. */
export async function becomes<T>(read: () => T | Promise<T>, expected: T, what = ''): Promise<void> {
  const start = performance.now();
  let last = await read();
  while (!isDeepStrictEqual(last, expected) && performance.now() - start < SOON_MS) {
    // What is waited for may come to this very process.
    await immediate();
    last = await read();
  }
  assert.deepEqual(last, expected, what);
}

/** Answers with what it was asked; `x-status` and `x-answer-*` of a request say how else. */
export function echo(name: string, incoming: IncomingMessage, response: ServerResponse): void {
  let body = '';
  incoming.setEncoding('utf8').on('data', (part: string) => {
    body += part;
  });
  incoming.on('end', () => {
    const { method = '', url: path = '', headers } = incoming;
    response.setHeader('x-backend', name);
    for (const [field, value] of Object.entries(headers)) {
      if (field.startsWith('x-answer-')) response.setHeader(field.slice('x-answer-'.length), String(value));
    }
    response.writeHead(Number(headers['x-status'] ?? 200), { 'content-type': 'application/json' });
    response.end(JSON.stringify({ backend: name, method, path, headers, body } satisfies Seen));
  });
}

/** Starts a backend with a name of its own; its port. */
export async function backend(name: string, answer = echo): Promise<number> {
  const server = createServer((incoming, response) => answer(name, incoming, response));
  server.keepAliveTimeout = 70_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return (server.address() as AddressInfo).port;
}

/** Says its name and ends. */
export async function tcpBackend(name: string): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.end(name);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

interface ListenerShown {
  readonly name: string;
  readonly attachedRoutes: number;
  readonly supportedKinds: readonly { readonly kind: string }[];
  readonly conditions: readonly Condition[];
}

interface Shown {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly generation: number };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly value: string }[];
    readonly conditions?: readonly Condition[];
    readonly listeners?: readonly ListenerShown[];
    readonly parents?: readonly { readonly parentRef: object; readonly conditions: readonly Condition[] }[];
    readonly ancestors?: readonly { readonly conditions: readonly Condition[] }[];
  };
}

/** The API's conditions; what RAUTA says besides is not what the suite is about. */
const line = (conditions: readonly Condition[]): string =>
  conditions
    .filter(({ type }) => !type.startsWith('rauta.io/'))
    .map(({ type, status, reason }) => `${type}=${status} ${reason}`)
    .join(', ');

export class Site {
  #rauta: Rauta | null = null;
  readonly #objects: Made[] = [];
  readonly #args: readonly string[];

  /** Registers what starts and ends the program. `prepare`: what has to run before; its objects are there, too. */
  constructor(prepare: () => Promise<readonly Made[]> = async () => [], args: readonly string[] = []) {
    this.#args = args;
    before(async () => {
      this.#objects.push(...(await prepare()));
      const files = Object.fromEntries(this.#objects.map((object) => [fileOf(object), JSON.stringify(object)]));
      assert.equal(Object.keys(files).length, this.#objects.length, 'each object has a name of its own');
      this.#rauta = await Rauta.start(files, this.#args);
    });
    // It is killed by then (process/support.ts): its folder is left.
    after(() => this.#rauta?.stop());
  }

  get rauta(): Rauta {
    return this.#rauta as Rauta;
  }

  /** A situation of the conformance suite, by the name of its test: its objects, and what has to hold. */
  situation(name: string, objects: readonly Made[], prove: () => Promise<void>): void {
    this.#objects.push(...objects);
    test(name, prove);
  }

  put(...objects: readonly Made[]): void {
    for (const object of objects) this.rauta.write(fileOf(object), JSON.stringify(object));
  }

  remove(...objects: readonly Made[]): void {
    for (const object of objects) rmSync(join(this.rauta.folder, fileOf(object)));
  }

  async shown(kind: string, name: string): Promise<Shown | null> {
    const { objects } = JSON.parse((await this.rauta.ask('/config')).body) as { objects: readonly Shown[] };
    const wanted = name.includes('/') || kind === 'GatewayClass' ? name : `infra/${name}`;
    const nameOf = ({ metadata }: Shown): string =>
      kind === 'GatewayClass' ? metadata.name : `${metadata.namespace}/${metadata.name}`;
    return objects.find((object) => object.kind === kind && nameOf(object) === wanted) ?? null;
  }

  /** Conditions, one text for each parent or ancestor where the kind has those: `Accepted=True Accepted, ...`. */
  async said(kind: string, name: string): Promise<readonly string[]> {
    const { conditions, parents, ancestors } = (await this.shown(kind, name))?.status ?? {};
    return (parents ?? ancestors ?? (conditions === undefined ? [] : [{ conditions }])).map((one) =>
      line(one.conditions),
    );
  }

  /** Of a listener: its conditions, with the routes it has and the kinds it takes. */
  async listener(gateway: string, name: string, kind = 'Gateway'): Promise<string> {
    const found = (await this.shown(kind, gateway))?.status?.listeners?.find((one) => one.name === name);
    if (found === undefined) return 'none';
    const kinds = found.supportedKinds.map((one) => one.kind).join(' ');
    return `${found.attachedRoutes} of ${kinds === '' ? 'no kind' : kinds}: ${line(found.conditions)}`;
  }

  /** Until the object says that of itself: one text for each parent. */
  says(kind: string, name: string, ...expected: readonly string[]): Promise<void> {
    return becomes(() => this.said(kind, name), expected, `${kind} ${name}`);
  }

  /** Until all its conditions, those of listeners and parents included, observe its generation, which is `expected`. */
  async observed(kind: string, name: string, expected: number): Promise<void> {
    const read = async (): Promise<number[]> => {
      const object = await this.shown(kind, name);
      const { conditions = [], listeners = [], parents = [], ancestors = [] } = object?.status ?? {};
      const all = [conditions, ...[...listeners, ...parents, ...ancestors].map((one) => one.conditions)].flat();
      return [...new Set([object?.metadata.generation ?? 0, ...all.map((one) => one.observedGeneration)])];
    };
    await becomes(read, [expected], `generation of ${kind} ${name}`);
  }
}

function fileOf({ kind, metadata: { namespace, name } }: Made): string {
  return `${kind}.${namespace ?? ''}.${name}.yaml`.toLowerCase();
}

export const GOOD_ROUTE = 'Accepted=True Accepted, ResolvedRefs=True ResolvedRefs';
export const GOOD_LISTENER =
  'Accepted=True Accepted, Programmed=True Programmed, ResolvedRefs=True ResolvedRefs, Conflicted=False NoConflicts';
export const GOOD_GATEWAY = 'Accepted=True Accepted, Programmed=True Programmed, ResolvedRefs=True ResolvedRefs';

export { heldPort };
