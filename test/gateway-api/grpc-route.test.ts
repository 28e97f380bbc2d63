// GRPCRoutes, spoken to by HTTP/2 without TLS as clients of gRPC do; and what they share with HTTPRoutes.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';
import {
  aged,
  answers,
  backend,
  becomes,
  GOOD_ROUTE,
  gateway,
  heldPort,
  open,
  route,
  Site,
  service,
  shares,
  to,
  who,
} from './site.ts';

const [port, second] = [heldPort(), heldPort()];
const UNIMPLEMENTED = 'status 12';

/** A server that answers every call with one message, its name. */
async function grpcBackend(name: string): Promise<number> {
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    if (headers['content-type'] !== 'application/grpc') {
      stream.respond({ ':status': 200, 'x-backend': name });
      stream.end(JSON.stringify({ backend: name }));
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(name.length, 1);
    stream.end(Buffer.concat([head, Buffer.from(name)]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

const sessions = new Map<number, ClientHttp2Session>();
after(() => {
  for (const session of sessions.values()) session.destroy();
});

/** The message of the answer, or its grpc-status. */
async function call(at: number, authority: string, path: string, more: Record<string, string> = {}): Promise<string> {
  const session = sessions.get(at) ?? connect(`http://127.0.0.1:${at}`);
  sessions.set(at, session);
  const stream = session.request({
    ...{ ':method': 'POST', ':path': path, ':authority': authority },
    ...{ 'content-type': 'application/grpc', te: 'trailers' },
    ...more,
  });
  let status = '';
  stream.on('response', (headers) => {
    status = String(headers['grpc-status'] ?? '');
  });
  stream.on('trailers', (trailers) => {
    status = String(trailers['grpc-status'] ?? '');
  });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.end(Buffer.alloc(5));
  await once(stream, 'close');
  return status === '0' ? Buffer.concat(chunks).subarray(5).toString() : `status ${status}`;
}

const site = new Site(async () => {
  const names = ['v1', 'v2', 'v3'];
  const ports = await Promise.all(names.map(grpcBackend));
  return [
    gateway('shared', [open('http', port)]),
    ...names.flatMap((name, i) => service(name, ports[i] as number)),
    ...service('page', await backend('page')),
  ];
});

const grpc = (host?: string) => ({ kind: 'GRPCRoute', ...(host === undefined ? {} : { hostnames: [host] }) });
const ECHO = 'example.echo.Echo';
const method = (name: string): object => ({ matches: [{ method: { service: ECHO, method: name } }] });

site.situation(
  'GRPCExactMethodMatching',
  [
    route(
      'methods',
      'shared',
      [
        { ...method('One'), backendRefs: to('v1') },
        { ...method('Two'), backendRefs: to('v2') },
      ],
      grpc('methods.test'),
    ),
  ],
  async () => {
    await site.says('GRPCRoute', 'methods', GOOD_ROUTE);
    assert.equal(await call(port, 'methods.test', `/${ECHO}/One`), 'v1');
    assert.equal(await call(port, 'methods.test', `/${ECHO}/Two`), 'v2');
    assert.equal(await call(port, 'methods.test', `/${ECHO}/Three`), UNIMPLEMENTED);
  },
);

const headers = (...pairs: readonly (readonly [string, string])[]): object => ({
  headers: pairs.map(([name, value]) => ({ name, value })),
});

site.situation(
  'GRPCRouteHeaderMatching',
  [
    route(
      'headers',
      'shared',
      [
        { matches: [headers(['version', 'one'])], backendRefs: to('v1') },
        { matches: [headers(['version', 'two'])], backendRefs: to('v2') },
        { matches: [headers(['version', 'two'], ['color', 'orange'])], backendRefs: to('v1') },
        { matches: [headers(['color', 'blue']), headers(['color', 'green'])], backendRefs: to('v1') },
        { matches: [headers(['color', 'red']), headers(['color', 'yellow'])], backendRefs: to('v2') },
      ],
      grpc('headers.test'),
    ),
  ],
  async () => {
    const rows: readonly (readonly [string, Record<string, string>])[] = [
      ['v1', { version: 'one' }],
      ['v2', { version: 'two' }],
      ['v1', { version: 'two', color: 'orange' }],
      ['v2', { version: 'two', color: 'blue' }],
      ['v1', { color: 'blue' }],
      ['v1', { color: 'green' }],
      ['v2', { color: 'red' }],
      ['v2', { color: 'yellow' }],
      [UNIMPLEMENTED, { color: 'purple' }],
      [UNIMPLEMENTED, {}],
    ];
    for (const [expected, given] of rows) {
      assert.equal(await call(port, 'headers.test', `/${ECHO}/Any`, given), expected, JSON.stringify(given));
    }
  },
);

site.situation(
  'GRPCRouteListenerHostnameMatching',
  [
    gateway('hosts', [
      { ...open('exact', second), hostname: 'bar.com' },
      { ...open('narrow', second), hostname: 'foo.bar.com' },
      { ...open('wild', second), hostname: '*.bar.com' },
      { ...open('wilder', second), hostname: '*.foo.com' },
    ]),
    route('host-1', 'hosts#exact', [{ backendRefs: to('v1') }], grpc()),
    route('host-2', 'hosts#narrow', [{ backendRefs: to('v2') }], grpc()),
    route('host-3', ['hosts#wild', 'hosts#wilder'], [{ backendRefs: to('v3') }], grpc()),
  ],
  async () => {
    for (const [host, expected] of [
      ['bar.com', 'v1'],
      ['foo.bar.com', 'v2'],
      ['baz.bar.com', 'v3'],
      ['multiple.prefixes.bar.com', 'v3'],
      ['multiple.prefixes.foo.com', 'v3'],
      ['foo.com', UNIMPLEMENTED],
      ['no.matching.host', UNIMPLEMENTED],
    ] as const) {
      assert.equal(await call(second, host, `/${ECHO}/Any`), expected, host);
    }
  },
);

site.situation(
  'GRPCRouteNamedRule',
  [route('named', 'shared', [{ name: 'named-rule', ...method('One'), backendRefs: to('v1') }], grpc('named.test'))],
  async () => {
    await site.says('GRPCRoute', 'named', GOOD_ROUTE);
    assert.equal(await call(port, 'named.test', `/${ECHO}/One`), 'v1');
  },
);

site.situation(
  'GRPCRouteWeight',
  [route('weights', 'shared', [{ backendRefs: to(['v1', 70], ['v2', 30], ['v3', 0]) }], grpc('weights.test'))],
  async () => {
    assert.deepEqual(await shares(100, () => call(port, 'weights.test', `/${ECHO}/Any`)), { v1: 70, v2: 30 });
  },
);

const TAKEN = 'Accepted=False HostnameConflict, ResolvedRefs=True ResolvedRefs';
const calls = route('calls', 'shared', [{ backendRefs: to('v1') }], grpc('rivals.test'));
const pages = route('pages', 'shared', [{ backendRefs: to('page') }], { hostnames: ['*.test', 'rivals.test'] });
site.situation(
  'An HTTPRoute and a GRPCRoute with a hostname in common: the older is served, and the other once that is gone',
  [aged(calls, '2026-01-01T00:00:00Z'), aged(pages, '2026-01-02T00:00:00Z')],
  async () => {
    await site.says('GRPCRoute', 'calls', GOOD_ROUTE);
    await site.says('HTTPRoute', 'pages', TAKEN);
    assert.equal(await call(port, 'rivals.test', '/any/Method'), 'v1');
    assert.equal(await who(port, 'other-name.test/'), '404');
    // Its rivals of the other tests have *.test in common with it as well.
    for (const name of ['methods', 'headers', 'named', 'weights']) site.remove(route(name, [], [], grpc()));
    site.remove(calls);
    await site.says('HTTPRoute', 'pages', GOOD_ROUTE);
    await becomes(() => who(port, 'rivals.test/'), 'page');
    await answers(port, ['other-name.test/', 'page']);
    site.put(calls);
    await site.says('GRPCRoute', 'calls', TAKEN);
    await becomes(async () => (await site.listener('shared', 'http')).slice(0, 4), '1 of');
  },
);
