// Where a request goes and how it is spoken there: shares, kinds of Services, protocols, times, and asking again.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import {
  answers,
  ask,
  backend,
  becomes,
  echo,
  GOOD_ROUTE,
  gateway,
  heldPort,
  made,
  open,
  prefix,
  route,
  Site,
  service,
  shares,
  to,
  who,
} from './site.ts';

const port = heldPort();
/** By what a request calls itself, how often it came. */
const came = new Map<string, number>();

/** Fails as often as the request says, says nothing at all to `/silent`. */
function moody(name: string, incoming: IncomingMessage, response: ServerResponse): void {
  if (incoming.url?.startsWith('/silent') === true) return;
  const id = String(incoming.headers['x-id']);
  const times = (came.get(id) ?? 0) + 1;
  came.set(id, times);
  if (times > Number(incoming.headers['x-fails'] ?? 0)) echo(name, incoming, response);
  else if (incoming.url?.startsWith('/reset') === true) incoming.socket.resetAndDestroy();
  else response.writeHead(500).end();
}

async function h2c(): Promise<number> {
  const server = createHttp2Server((incoming, response) =>
    echo('h2c', incoming as unknown as IncomingMessage, response as unknown as ServerResponse),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

/** Switches to a protocol in which each hears what it said. */
async function webSocket(): Promise<number> {
  const server = createServer();
  server.on('upgrade', (incoming: IncomingMessage, socket: Socket) => {
    socket.on('error', () => {});
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${incoming.headers.upgrade}\r\nConnection: Upgrade\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

let manual = 0;
const site = new Site(async () => {
  const names = ['v1', 'v2', 'v3'];
  const ports = await Promise.all(names.map((name) => backend(name)));
  manual = ports[0] as number;
  return [
    gateway('shared', [open('http', port)]),
    ...names.flatMap((name, i) => service(name, ports[i] as number)),
    ...service('moody', await backend('moody', moody)),
    ...service('h2c', await h2c(), { appProtocol: 'kubernetes.io/h2c' }),
    ...service('socket', await webSocket(), { appProtocol: 'kubernetes.io/ws' }),
    // Without a selector, and without an address of its own: the slice's port is where it is.
    ...service('manual', manual),
    made('Service', 'headless', { spec: { clusterIP: 'None', ports: [{ name: 'main', port: 80 }] } }, 'v1'),
    ...service('headless', manual).slice(1),
  ];
});

const at = (host: string) => ({ hostnames: [host] });

site.situation(
  'HTTPRouteWeight',
  [route('weights', 'shared', [{ backendRefs: to(['v1', 70], ['v2', 30], ['v3', 0]) }], at('weights.test'))],
  async () => {
    assert.deepEqual(await shares(100, () => who(port, 'weights.test/')), { v1: 70, v2: 30 });
  },
);

site.situation(
  'HTTPRouteServiceTypes',
  [
    route(
      'service-types',
      'shared',
      ['manual', 'headless'].map((name) => ({ matches: [prefix(`/${name}`)], backendRefs: to(name) })),
      at('service-types.test'),
    ),
  ],
  async () => {
    await site.says('HTTPRoute', 'service-types', GOOD_ROUTE);
    await answers(port, ['service-types.test/manual', 'v1'], ['service-types.test/headless', 'v1']);
  },
);

site.situation(
  'HTTPRouteBackendProtocolH2C',
  [route('h2c', 'shared', [{ backendRefs: to('h2c') }], at('h2c.test'))],
  () => answers(port, ['h2c.test/', 'h2c'], ['POST h2c.test/any', 'h2c']),
);

site.situation(
  'HTTPRouteBackendProtocolWebSocket',
  [route('socket', 'shared', [{ backendRefs: to('socket') }], at('socket.test'))],
  async () => {
    const headers = {
      ...{ host: 'socket.test', connection: 'Upgrade', upgrade: 'websocket' },
      ...{ 'sec-websocket-version': '13', 'sec-websocket-key': Buffer.alloc(16).toString('base64') },
    };
    const sent = request({ host: '127.0.0.1', port, path: '/', headers });
    sent.end();
    const [response, socket] = (await once(sent, 'upgrade')) as [IncomingMessage, Socket];
    assert.equal(response.statusCode, 101);
    for (const text of ['one', 'two']) {
      socket.write(text);
      assert.equal(String(await once(socket, 'data')), text);
    }
    socket.destroy();
  },
);

const timed = (path: string, timeouts: object): object => ({
  matches: [prefix(path)],
  timeouts,
  backendRefs: to('moody'),
});

site.situation(
  'HTTPRouteTimeoutRequest',
  [
    route(
      'request-timeout',
      'shared',
      [timed('/', { request: '10s' }), timed('/silent', { request: '50ms' }), timed('/never', { request: '0s' })],
      at('request-timeout.test'),
    ),
  ],
  () =>
    answers(
      port,
      ['request-timeout.test/', 'moody'],
      ['request-timeout.test/silent', '504'],
      ['request-timeout.test/never', 'moody'],
    ),
);

site.situation(
  'HTTPRouteTimeoutBackendRequest',
  [
    route(
      'backend-timeout',
      'shared',
      [timed('/', { backendRequest: '10s' }), timed('/silent', { request: '10s', backendRequest: '50ms' })],
      at('backend-timeout.test'),
    ),
  ],
  () => answers(port, ['backend-timeout.test/', 'moody'], ['backend-timeout.test/silent', '504']),
);

const again = (path: string, retry: object, timeouts: object = {}): object => ({
  matches: [prefix(path)],
  retry: { backoff: '1ms', ...retry },
  timeouts,
  backendRefs: to('moody'),
});

site.situation(
  'HTTPRouteRetry',
  [
    route(
      'retry',
      'shared',
      [
        again('/twice', { codes: [500], attempts: 2 }),
        again('/other', { codes: [502], attempts: 2 }),
        again('/reset', { codes: [500], attempts: 2 }),
        again('/silent', { codes: [500], attempts: 2 }, { backendRequest: '50ms' }),
      ],
      at('retry.test'),
    ),
  ],
  async () => {
    const tried = async (path: string, fails: number): Promise<[string, number]> => {
      const id = `${path} ${fails}`;
      const answer = await who(port, `retry.test${path}`, { headers: { 'x-id': id, 'x-fails': String(fails) } });
      return [answer, came.get(id) ?? 0];
    };
    assert.deepEqual(await tried('/twice', 0), ['moody', 1]);
    assert.deepEqual(await tried('/twice', 1), ['moody', 2]);
    assert.deepEqual(await tried('/twice', 2), ['moody', 3]);
    assert.deepEqual(await tried('/twice', 3), ['500', 3], 'no more than it may');
    assert.deepEqual(await tried('/other', 1), ['500', 1], 'a code that is not named');
    assert.deepEqual(await tried('/reset', 2), ['moody', 3], 'a connection that ends');
    assert.equal((await ask(port, 'retry.test/silent')).status, 504);
  },
);

site.situation(
  'HTTPRouteRetry: what it allows is changed',
  [route('retry-changed', 'shared', [again('/', { codes: [500], attempts: 1 })], at('retry-changed.test'))],
  async () => {
    let n = 0;
    const tried = (): Promise<string> =>
      who(port, 'retry-changed.test/', { headers: { 'x-id': `changed ${n++}`, 'x-fails': '2' } });
    assert.equal(await tried(), '500');
    site.put(route('retry-changed', 'shared', [again('/', { codes: [500], attempts: 2 })], at('retry-changed.test')));
    await becomes(tried, 'moody');
  },
);
