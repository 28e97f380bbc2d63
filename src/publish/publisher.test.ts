import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import type { ClusterEntry, EndpointsEntry, Entry, RuleEntry, SocketEntry } from '../ir/ir.ts';
import { FIRST_FREE_CELL } from '../telemetry/layout.ts';
import { CellBook } from './cells.ts';
import { type Downstream, Publisher } from './publisher.ts';

function rule(route: string, index = 0, method = ''): RuleEntry {
  return {
    kind: 'rule',
    key: `rule/HTTPRoute/${route}/${index}`,
    routeKind: 'HTTPRoute',
    route,
    index,
    name: '',
    created: 0,
    attachments: [{ socket: 'socket/0.0.0.0/80/tcp', host: '*', hostnames: ['*'] }],
    matches: [{ path: { type: 'PathPrefix', value: '/' }, method, headers: [], query: [] }],
    filters: [],
    action: { type: 'respond', status: 500 },
    timeouts: { requestMs: null, backendMs: null },
    retry: null,
  };
}

const C = 'cluster/Service/default/c/80/000000000000';
const D = 'cluster/Service/default/d/80/000000000000';

function cluster(key: string): ClusterEntry {
  const endpoints = key.replace('cluster/', 'endpoints/').replace(/\/[0-9]+$/, '');
  return {
    kind: 'cluster',
    key,
    backend: 'default/c',
    endpoints,
    protocol: 'http1',
    proxyProtocol: null,
    tls: null,
    balancer: { type: 'roundRobin' },
  };
}

function endpoints(clusterKey: string, ids: string[]): EndpointsEntry {
  return {
    kind: 'endpoints',
    key: cluster(clusterKey).endpoints,
    endpoints: ids.map((id) => ({ id, address: '10.0.0.1', port: 80, zone: '', weight: 1, state: 'ready' })),
  };
}

const SOCKET = 'socket/0.0.0.0/80/tcp';
const socket: SocketEntry = {
  kind: 'socket',
  key: SOCKET,
  address: '0.0.0.0',
  port: 80,
  transport: 'tcp',
  hosts: [{ hostname: '*', gateway: 'gateway/default/g', listener: 'http', port: 80, protocol: 'HTTP', tls: null }],
  fallback: null,
  proxyProtocol: null,
};

class Sent implements Downstream {
  push(): void {}
  readonly entries = new Map<string, Buffer>();
  lines: string[] = [];
  begin(revision: number): void {
    this.lines.push(`begin ${revision}`);
  }
  put(key: string, value: Buffer): void {
    this.entries.set(key, value);
    this.lines.push(`put ${key}`);
  }
  remove(key: string): void {
    assert.ok(this.entries.delete(key), `removed ${key}, which was not there`);
    this.lines.push(`remove ${key}`);
  }
  sockets(sockets: readonly SocketEntry[]): void {
    this.lines.push(`sockets ${sockets.map((s) => s.key).join()}`);
  }
  commit(revision: number): void {
    this.lines.push(`commit ${revision}`);
  }
  take(): string[] {
    const lines = this.lines.filter((l) => !l.includes('state/'));
    this.lines = [];
    return lines;
  }
}

const encode = (entry: Entry): Buffer => Buffer.from(JSON.stringify(entry));

function setup(out = new Sent()): { out: Sent; publisher: Publisher; book: CellBook; refused: string[] } {
  const book = new CellBook(() => {}, { route: 20, endpoint: 50 });
  const refused: string[] = [];
  return { out, publisher: new Publisher(out, book, encode, (key) => refused.push(key)), book, refused };
}

test('a revision carries entries, their cells and their sockets', () => {
  const { out, publisher } = setup();
  publisher.publish({ upserts: [socket, rule('default/a'), cluster(C), endpoints(C, ['p1'])], removals: [] });
  assert.deepEqual(out.take(), [
    'begin 1',
    `put ${SOCKET}`,
    'put rule/HTTPRoute/default/a/0',
    'put cells/HTTPRoute/default/a',
    `put ${C}`,
    `put ${endpoints(C, []).key}`,
    `put cells/${C}`,
    `sockets ${SOCKET}`,
    'commit 1',
  ]);
  assert.deepEqual(JSON.parse(String(out.entries.get('cells/HTTPRoute/default/a'))).blocks, { route: FIRST_FREE_CELL });
});

test('an entry is sent before the next one is made bytes of', () => {
  const out = new Sent();
  const book = new CellBook(() => {}, { route: 20, endpoint: 50 });
  const telling = (entry: Entry): Buffer => {
    out.lines.push(`encode ${entry.key}`);
    return encode(entry);
  };
  const gateways = ['a', 'b'].map((name): Entry => ({ kind: 'gateway', key: `gateway/default/${name}`, name }));
  new Publisher(out, book, telling, () => {}).publishAll(gateways);
  const lines = gateways.flatMap(({ key }) => [`encode ${key}`, `put ${key}`]);
  lines.splice(1, 0, 'begin 1');
  assert.deepEqual(out.take(), [...lines, 'commit 1']);
});

test('what goes ahead of the first revision is part of it, sent once, and taken back within it where it is not', () => {
  const { out, publisher } = setup();
  const gateways = ['a', 'b', 'c'].map((name): Entry => ({ kind: 'gateway', key: `gateway/default/${name}`, name }));
  const [a, b, c] = gateways as [Entry, Entry, Entry];
  for (const entry of [a, b, b]) publisher.ahead(entry);
  assert.deepEqual(out.take(), ['begin 1', `put ${a.key}`, `put ${b.key}`]);
  assert.equal(publisher.revision, 0);
  assert.equal(publisher.publishAll([b, c]), 1);
  assert.deepEqual(out.take(), [`remove ${a.key}`, `put ${c.key}`, 'commit 1']);
  assert.equal(publisher.publishAll([b, c]), 1, 'nothing is new');
  publisher.publish({ upserts: [{ ...b, name: 'other' } as Entry], removals: [] });
  assert.deepEqual(out.take(), ['begin 2', `put ${b.key}`, 'commit 2']);
});

test('one changed rule is one put; what did not change is not sent', () => {
  const { out, publisher } = setup();
  publisher.publish({ upserts: [socket, rule('default/a'), rule('default/a', 1)], removals: [] });
  out.take();
  assert.equal(publisher.publish({ upserts: [rule('default/a')], removals: [] }), 1);
  assert.deepEqual(out.take(), []);
  publisher.publish({ upserts: [rule('default/a', 0, 'GET')], removals: [] });
  assert.deepEqual(out.take(), ['begin 2', 'put rule/HTTPRoute/default/a/0', 'commit 2']);
});

test('a route loses its cells with its last rule, an endpoint with its address', () => {
  const { out, publisher } = setup();
  publisher.publish({
    upserts: [rule('default/a'), rule('default/a', 1), cluster(C), endpoints(C, ['p1', 'p2'])],
    removals: [],
  });
  out.take();
  publisher.publish({ upserts: [], removals: ['rule/HTTPRoute/default/a/0'] });
  assert.deepEqual(out.take(), ['begin 2', 'remove rule/HTTPRoute/default/a/0', 'commit 2']);
  publisher.publish({ upserts: [endpoints(C, ['p2'])], removals: ['rule/HTTPRoute/default/a/1'] });
  assert.deepEqual(out.take(), [
    'begin 3',
    'remove rule/HTTPRoute/default/a/1',
    `put ${endpoints(C, []).key}`,
    `put cells/${C}`,
    'remove cells/HTTPRoute/default/a',
    'commit 3',
  ]);
});

test('a controller that comes back says nothing new when nothing is new', () => {
  const { out, publisher } = setup();
  const all = [socket, rule('default/a'), rule('default/b'), cluster(C), endpoints(C, ['p1'])];
  publisher.publish({ upserts: all, removals: [] });
  out.take();
  const again = setup(out);
  again.publisher.adopt(new Map(out.entries), 1);
  assert.equal(again.publisher.publishAll(all), 1);
  assert.deepEqual(out.take(), []);
  // The list of sockets is whole when it goes out the next time.
  const other = { ...socket, key: 'socket/0.0.0.0/81/tcp', port: 81 };
  again.publisher.publish({ upserts: [other], removals: [] });
  assert.deepEqual(out.take(), ['begin 2', `put ${other.key}`, `sockets ${SOCKET},${other.key}`, 'commit 2']);
});

test('a socket that went while no controller was there is closed', () => {
  const { out, publisher } = setup();
  publisher.publish({ upserts: [socket, rule('default/a')], removals: [] });
  out.take();
  const again = setup(out);
  again.publisher.adopt(new Map(out.entries), 1);
  again.publisher.publishAll([rule('default/a')]);
  assert.deepEqual(out.take(), ['begin 2', `remove ${SOCKET}`, 'sockets ', 'commit 2']);
});

test('a controller that comes back removes what is gone and keeps cells where they were', () => {
  const { out, publisher } = setup();
  publisher.publish({
    upserts: [rule('default/a'), rule('default/b'), cluster(C), endpoints(C, ['p1']), cluster(D), endpoints(D, ['p1'])],
    removals: [],
  });
  out.take();
  const before = String(out.entries.get('cells/HTTPRoute/default/b'));
  const again = setup(out);
  again.publisher.adopt(new Map(out.entries), 1);
  again.publisher.publishAll([rule('default/b'), endpoints(D, ['p1']), cluster(D)]);
  assert.deepEqual(out.take().sort(), [
    'begin 2',
    'commit 2',
    'remove cells/HTTPRoute/default/a',
    `remove cells/${C}`,
    `remove ${C}`,
    `remove ${endpoints(C, []).key}`,
    'remove rule/HTTPRoute/default/a/0',
  ]);
  assert.equal(String(out.entries.get('cells/HTTPRoute/default/b')), before);
});

test('an entry that is too large to be sent is refused, and its neighbours are sent', () => {
  const { out, publisher, refused } = setup();
  publisher.publish({ upserts: [rule('default/a'), rule('default/b')], removals: [] });
  out.take();
  const huge = { ...rule('default/a'), name: 'x'.repeat(LIMITS.FRAME_BYTES) };
  publisher.publish({ upserts: [huge, rule('default/b', 0, 'GET')], removals: [] });
  assert.deepEqual(refused, ['rule/HTTPRoute/default/a/0']);
  assert.deepEqual([...(publisher.takeUnsent() ?? [])], [['rule/HTTPRoute/default/a/0', encode(huge).length]]);
  assert.equal(publisher.takeUnsent(), null, 'it is told once');
  assert.deepEqual(out.take(), [
    'begin 2',
    'remove rule/HTTPRoute/default/a/0',
    'put rule/HTTPRoute/default/b/0',
    'remove cells/HTTPRoute/default/a',
    'commit 2',
  ]);
  publisher.publish({ upserts: [rule('default/a')], removals: [] });
  assert.deepEqual(publisher.takeUnsent(), new Map(), 'and that it is no more');
});
