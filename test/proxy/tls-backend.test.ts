// TLS to backends that are Node's own TLS servers over real sockets: whose certificates are good, what is said of those
// that are not, sessions, client certificates, replacement under load, ends.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { LIMITS } from '../../src/base/limits.ts';
import type { CertificateEntry, ClientTls, Entry, TrustEntry } from '../../src/ir/ir.ts';
import { NativeTls } from '../../src/native/tls.ts';
import {
  BACKEND_TLS,
  type BackendTlsError,
  backendTlsCell,
  ENDPOINT,
  handshakeCell,
  OTHER_ENDPOINT_BLOCK,
} from '../../src/telemetry/layout.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import type { NativeNet } from '../support/native-net.ts';
import { nativeOnly, type TestNet } from '../support/net.ts';
import { auth } from './auth-rig.ts';
import { bodyText, cluster, endpoint, get, ok, Rig, rule } from './rig.ts';

const root = authority('Root');
const middle = authority('Middle', root);
const good = leaf(middle, ['app.example', 'spiffe://example/app', '127.0.0.1']);

const TRUST = 'trust/default/app';
const US = 'certificate/default/us:client';
const DAY_MS = 86_400_000;

function trust(...authorities: readonly Buffer[]): TrustEntry {
  return { kind: 'trust', key: TRUST, authorities: authorities.map((der) => der.toString('base64')), revoked: [] };
}

function certificate(own: Leaf): CertificateEntry {
  return {
    kind: 'certificate',
    key: US,
    chain: [own.der.toString('latin1')],
    privateKey: own.keyDer.toString('latin1'),
    fingerprint: createHash('sha256').update(own.der).digest('hex'),
    staple: '',
    stapleFrom: 0,
    stapleUntil: 0,
  };
}

const TLS: ClientTls = {
  trust: TRUST,
  hostname: 'app.example',
  subjectAltNames: [],
  certificate: null,
  alpn: ['http/1.1'],
  minVersion: 'TLSv1.2',
};

const shown = (own: Leaf): { cert: string; key: string } => ({
  cert: pem('CERTIFICATE', own.der) + pem('CERTIFICATE', middle.der),
  key: pem('PRIVATE KEY', own.keyDer),
});

/** A backend of Node's; `answer` says what it does with each connection that stands. */
class Backend {
  readonly server: Server;
  readonly sockets: TLSSocket[] = [];

  private constructor(server: Server) {
    this.server = server;
  }

  static async start(options: TlsOptions = {}, answer: (socket: TLSSocket) => void = answerAll): Promise<Backend> {
    const server = createServer({ ...shown(good), ALPNProtocols: ['http/1.1'], ...options });
    const backend = new Backend(server);
    server.on('secureConnection', (socket) => {
      backend.sockets.push(socket);
      socket.on('error', () => {});
      answer(socket);
    });
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async end(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** Answers each request with what it learnt of the connection. */
function answerAll(socket: TLSSocket): void {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
    while (text.includes('\r\n\r\n')) {
      text = text.slice(text.indexOf('\r\n\r\n') + 4);
      const peer = socket.getPeerCertificate().subject?.CN ?? '-';
      const sni = (socket as TLSSocket & { servername: string | false }).servername || '-';
      socket.write(ok(`${sni} ${socket.alpnProtocol || '-'} ${socket.isSessionReused()} ${peer}`));
    }
  });
}

class BackendRig extends Rig {
  readonly #tls: () => NativeTls | null;

  constructor(net: TestNet, ports: readonly number[], tls: Partial<ClientTls> = {}, entries: readonly Entry[] = []) {
    let opened: NativeTls | null = null;
    super(net, [], [rule({ to: ['tls'] }), trust(root.der), ...entries, BackendRig.cluster(ports, tls)], {}, () => {
      opened = new NativeTls((net as NativeNet).io);
      return opened;
    });
    this.#tls = () => opened;
  }

  static cluster(ports: readonly number[], tls: Partial<ClientTls>): ReturnType<typeof cluster> {
    const endpoints = ports.map((port) => endpoint({ family: 'ipv4', address: '127.0.0.1', port }));
    return cluster('tls', endpoints, { tls: { ...TLS, ...tls } });
  }

  get counts(): NativeTls['counts'] {
    return (this.#tls() as NativeTls).counts;
  }

  /** What the last connection to the only endpoint failed for: one more than its place in BACKEND_TLS. */
  get tlsError(): number {
    return this.cells.get(OTHER_ENDPOINT_BLOCK + ENDPOINT.TLS_ERROR);
  }

  async ask(target = '/'): Promise<{ readonly status: number; readonly body: string }> {
    const client = await this.connect();
    await client.send(get(target, 'Connection: close\r\n'));
    const message = await client.readMessage();
    await client.close();
    return { status: message.status, body: bodyText(message) };
  }

  override async end(): Promise<void> {
    await this.net.settle();
    this.engine.stop();
    const tls = this.#tls() as NativeTls;
    assert.deepEqual(tls.counts, { connections: 0, contexts: 0, sessions: 0, certificates: 0, parsed: 0 });
    tls.dispose();
    await super.end();
  }
}

nativeOnly(
  'a backend with a good certificate: SNI, ALPN, and the next connection takes the session up',
  async (net) => {
    const backend = await Backend.start();
    const rig = new BackendRig(net, [backend.port]);
    assert.deepEqual(await rig.ask(), { status: 200, body: 'app.example http/1.1 false -' });
    assert.equal(rig.get(handshakeCell('upstream', true, false)), 1);
    assert.deepEqual(await rig.ask(), { status: 200, body: 'app.example http/1.1 false -' }, 'the same connection');
    backend.sockets[0]?.end();
    await net.settle();
    assert.deepEqual(await rig.ask(), { status: 200, body: 'app.example http/1.1 true -' });
    assert.equal(rig.get(handshakeCell('upstream', true, true)), 1);
    assert.doesNotMatch(rig.records.last.endpoint, /upstream_tls/);
    await rig.end();
    await backend.end();
  },
);

nativeOnly('a backend is looked at again in time, however often its session was taken up', async (net) => {
  const backend = await Backend.start();
  const rig = new BackendRig(net, [backend.port]);
  const { io } = net;
  const { get: clock } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(io), 'nowMs') as { get(): number };
  let past = 0;
  Object.defineProperty(io, 'nowMs', { get: () => clock.call(io) + past });
  for (const reused of [false, true, false, true]) {
    assert.deepEqual(await rig.ask(), { status: 200, body: `app.example http/1.1 ${reused} -` });
    backend.sockets.at(-1)?.end();
    await net.settle();
    past += 0.6 * LIMITS.TLS_SESSION_MS;
  }
  await rig.end();
  await backend.end();
});

/** A backend of plain bytes: `serve` says what it does with each connection. */
async function plain(serve: (socket: Socket) => void): Promise<{ port: number; end(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createTcp((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    end: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Bad {
  readonly name: string;
  readonly error: BackendTlsError;
  readonly server?: TlsOptions;
  readonly tls?: Partial<ClientTls>;
}

const foreign = leaf(authority('Foreign'), ['app.example']);
const BAD: readonly Bad[] = [
  { name: 'a foreign authority', error: 'TLS_UNKNOWN_CA', server: shown(foreign) },
  { name: 'another name', error: 'TLS_HOSTNAME', tls: { hostname: 'other.example' } },
  {
    name: 'a name in the subject alone',
    error: 'TLS_HOSTNAME',
    server: shown(leaf(middle, [], { commonName: 'app.example' })),
  },
  {
    name: 'a certificate that has ended',
    error: 'TLS_CERT_EXPIRED',
    server: shown(leaf(middle, ['app.example'], { notBefore: Date.now() - 9 * DAY_MS, notAfter: Date.now() - DAY_MS })),
  },
  {
    name: 'a certificate that has not begun',
    error: 'TLS_CERT_NOT_YET_VALID',
    server: shown(leaf(middle, ['app.example'], { notBefore: Date.now() + DAY_MS })),
  },
  {
    name: 'a certificate for clients',
    error: 'TLS_CERT_INVALID',
    server: shown(leaf(middle, ['app.example'], { client: true })),
  },
  {
    name: 'none of the alternative names',
    error: 'TLS_HOSTNAME',
    tls: {
      subjectAltNames: [
        { type: 'Hostname', value: 'x.example' },
        { type: 'URI', value: 'spiffe://example/x' },
      ],
    },
  },
  {
    name: 'the hostname does not count beside alternative names',
    error: 'TLS_HOSTNAME',
    tls: { subjectAltNames: [{ type: 'Hostname', value: 'x.example' }] },
  },
  {
    name: 'an older version alone',
    error: 'TLS_VERSION',
    server: { maxVersion: 'TLSv1.2' },
    tls: { minVersion: 'TLSv1.3' },
  },
  { name: 'no protocol in common', error: 'TLS_NO_PROTOCOL', server: { ALPNProtocols: ['h3'] } },
  {
    name: 'no cipher in common',
    error: 'TLS_REFUSED',
    server: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
  },
  {
    name: 'a client certificate wanted, TLS 1.2',
    error: 'TLS_REFUSED',
    server: { requestCert: true, ca: [pem('CERTIFICATE', root.der)], maxVersion: 'TLSv1.2' },
  },
  {
    name: 'a client certificate wanted, TLS 1.3',
    error: 'TLS_CLIENT_CERT',
    server: { requestCert: true, ca: [pem('CERTIFICATE', root.der)] },
  },
];

for (const { name, error, server, tls } of BAD) {
  nativeOnly(`refused, and said why: ${name}`, async (net) => {
    const backend = await Backend.start(server);
    const rig = new BackendRig(net, [backend.port], tls);
    const late = error === 'TLS_CLIENT_CERT' && server?.maxVersion === undefined;
    const answer = await rig.ask();
    assert.equal(answer.status, late ? 502 : 503);
    const { endpoint: logged, flags } = rig.records.last;
    assert.match(logged, new RegExp(`"upstream_tls":"${error}"`));
    assert.equal(flags, late ? 'UC' : 'UF');
    assert.ok(rig.get(backendTlsCell(error)) > 0);
    assert.equal(BACKEND_TLS[rig.tlsError - 1], error);
    await rig.end();
    await backend.end();
  });
}

nativeOnly('refused, and said why: HTTP in the clear, an end within the handshake', async (net) => {
  const clear = await plain((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const silent = await plain((socket) => socket.end());
  const reset = await plain((socket) => socket.once('data', () => socket.resetAndDestroy()));
  for (const [{ port }, error] of [
    [clear, 'TLS_NOT_TLS'],
    [silent, 'TLS_CLOSED'],
    [reset, 'TLS_CLOSED'],
  ] as const) {
    const rig = new BackendRig(net, [port]);
    assert.equal((await rig.ask()).status, 503);
    assert.match(rig.records.last.endpoint, new RegExp(`"upstream_tls":"${error}"`));
    await rig.end();
  }
  for (const one of [clear, silent, reset]) await one.end();
});

nativeOnly('good: TLS 1.2, an address, one of several alternative names, an authority that is no root', async (net) => {
  const cases: readonly [Partial<ClientTls>, TlsOptions, TrustEntry?][] = [
    [{}, { maxVersion: 'TLSv1.2' }],
    [{ hostname: '127.0.0.1' }, {}],
    [
      {
        subjectAltNames: [
          { type: 'Hostname', value: 'x.example' },
          { type: 'Hostname', value: 'app.example' },
        ],
      },
      {},
    ],
    [{ subjectAltNames: [{ type: 'URI', value: 'spiffe://example/app' }], hostname: 'sni.example' }, {}],
    [
      {
        subjectAltNames: [
          { type: 'Hostname', value: 'x.example' },
          { type: 'URI', value: 'spiffe://example/app' },
        ],
      },
      {},
    ],
    [{}, {}, trust(middle.der)],
    [{ alpn: [] }, {}],
  ];
  for (const [tls, server, other] of cases) {
    const backend = await Backend.start(server);
    const rig = new BackendRig(net, [backend.port], tls, other === undefined ? [] : [other]);
    const sni = tls.hostname === '127.0.0.1' ? '-' : (tls.hostname ?? 'app.example');
    const answer = await rig.ask();
    assert.deepEqual(answer, { status: 200, body: `${sni} ${tls.alpn === undefined ? 'http/1.1' : '-'} false -` });
    await rig.end();
    await backend.end();
  }
});

nativeOnly('a backend that asks for a certificate is shown ours; another one makes other connections', async (net) => {
  const clients = authority('Clients');
  const options: TlsOptions = { requestCert: true, ca: [pem('CERTIFICATE', clients.der)] };
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const backend = await Backend.start({ ...options, maxVersion });
    const us = certificate(leaf(clients, [], { client: true, commonName: 'us' }));
    const rig = new BackendRig(net, [backend.port], { certificate: US }, [us]);
    assert.deepEqual(await rig.ask(), { status: 200, body: 'app.example http/1.1 false us' });
    const others = certificate(leaf(clients, [], { client: true, commonName: 'others' }));
    rig.apply({ upserts: [others], removals: [] });
    assert.deepEqual(await rig.ask(), { status: 200, body: 'app.example http/1.1 false others' });
    await rig.end();
    await backend.end();
  }
});

nativeOnly('a second endpoint serves when TLS with the first fails', async (net) => {
  const bad = await Backend.start(shown(foreign));
  const backend = await Backend.start();
  const rig = new BackendRig(net, [bad.port, backend.port]);
  for (let i = 0; i < 4; i++) assert.equal((await rig.ask()).status, 200);
  assert.ok(rig.get(backendTlsCell('TLS_UNKNOWN_CA')) > 0);
  await rig.end();
  await bad.end();
  await backend.end();
});

nativeOnly('authorities replaced under load: nothing fails, and what is refused is refused at once', async (net) => {
  const next = authority('Next');
  const both = trust(root.der, next.der);
  const backend = await Backend.start();
  const rig = new BackendRig(net, [backend.port]);
  let going = true;
  const client = async (): Promise<void> => {
    const peer = await rig.connect();
    while (going) {
      await peer.send(get('/'));
      assert.equal((await peer.readMessage()).status, 200);
    }
    await peer.close();
  };
  const clients = Array.from({ length: 4 }, client);
  for (let i = 0; i < 20; i++) {
    rig.apply({ upserts: [i % 2 === 0 ? both : trust(root.der)], removals: [] });
    const before = rig.records.all.length;
    while (rig.records.all.length < before + 8) await net.settle();
  }
  going = false;
  await Promise.all(clients);
  assert.ok(rig.records.all.every(({ status }) => status === 200));
  assert.ok(backend.sockets.length >= 20, 'other authorities make other connections');
  assert.equal(rig.counts.contexts, 1, 'and leave nothing behind');
  rig.apply({ upserts: [trust(next.der)], removals: [] });
  assert.equal((await rig.ask()).status, 503);
  assert.match(rig.records.last.endpoint, /TLS_UNKNOWN_CA/);
  await rig.end();
  await backend.end();
});

nativeOnly('a request under way ends over the connection it has, whatever becomes of the authorities', async (net) => {
  const held: TLSSocket[] = [];
  const backend = await Backend.start({}, (socket) => socket.once('data', () => held.push(socket)));
  const rig = new BackendRig(net, [backend.port]);
  const client = await rig.connect();
  await client.send(get('/'));
  while (held.length === 0) await net.settle();
  rig.apply({ upserts: [trust(foreign.der)], removals: [] });
  held[0]?.write(ok('late'));
  assert.equal(bodyText(await client.readMessage()), 'late');
  await client.close();
  await rig.end();
  await backend.end();
});

nativeOnly('the end of a response without a length: in order with close_notify, never without', async (net) => {
  const open = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole';
  const orderly = await Backend.start({}, (socket) => socket.once('data', () => socket.end(open)));
  const cut = await Backend.start({}, (socket) => {
    socket.once('data', () => {
      socket.write(open, () =>
        (socket as unknown as { _handle: { _parent: { close(): void } } })._handle._parent.close(),
      );
    });
  });
  const rig = new BackendRig(net, [orderly.port]);
  assert.deepEqual(await rig.ask(), { status: 200, body: 'whole' });
  await rig.end();
  const other = new BackendRig(net, [cut.port]);
  await assert.rejects(other.ask(), 'the client must not take it for whole');
  await other.end();
  await orderly.end();
  await cut.end();
});

nativeOnly('large content both ways', async (net) => {
  const backend = await Backend.start({}, (socket) => {
    let seen = 0;
    socket.on('data', (chunk) => {
      seen += chunk.length;
      if (seen < 1_000_000) return;
      seen = -1e12;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n`);
      socket.write(Buffer.alloc(1_000_000, 0x61));
    });
  });
  const rig = new BackendRig(net, [backend.port]);
  const client = await rig.connect();
  const sending = client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n${'b'.repeat(1_000_000)}`);
  const message = await client.readMessage();
  await sending;
  assert.equal(message.body.length, 1_000_000);
  assert.ok(message.body.every((byte) => byte === 0x61));
  await client.close();
  await rig.end();
  await backend.end();
});

nativeOnly(
  'a revision whose authorities or certificate are not there is refused whole, and holds nothing',
  async (net) => {
    const backend = await Backend.start();
    const rig = new BackendRig(net, [backend.port]);
    assert.equal((await rig.ask()).status, 200);
    const { contexts } = rig.counts;
    const missing = BackendRig.cluster([backend.port], { trust: 'trust/default/none' });
    assert.throws(() => rig.apply({ upserts: [missing], removals: [] }), /is not there/);
    const unsigned = BackendRig.cluster([backend.port], { certificate: US });
    assert.throws(() => rig.apply({ upserts: [unsigned], removals: [] }), /is not there/);
    assert.equal(rig.counts.contexts, contexts);
    assert.equal((await rig.ask()).status, 200);
    await rig.end();
    await backend.end();
  },
);

nativeOnly('a cluster, its authorities and its endpoints go in one revision', async (net) => {
  const backend = await Backend.start();
  const rig = new BackendRig(net, [backend.port]);
  assert.equal((await rig.ask()).status, 200);
  const [entry, endpoints] = BackendRig.cluster([], {});
  rig.apply({ upserts: [endpoints], removals: [TRUST, entry.key, rule({}).key] });
  assert.equal((await rig.ask()).status, 404);
  // What is left is for those who began before, and for RETIRED_TLS_MS.
  assert.deepEqual(rig.counts, { connections: 0, contexts: 1, sessions: 0, certificates: 0, parsed: 0 });
  await rig.end();
  await backend.end();
});

nativeOnly(
  'a request that is asked about meanwhile goes where it was to go, by what that was trusted for',
  async (net) => {
    const { promise: came, resolve: onCame } = Promise.withResolvers<void>();
    const { promise: may, resolve: allow } = Promise.withResolvers<void>();
    const server = net.serve(async (peer) => {
      await peer.readMessage();
      onCame();
      await may;
      await peer.send(ok(''));
    });
    const backend = await Backend.start();
    const asked = rule({ to: ['tls'], filters: [auth()] });
    const rig = new BackendRig(net, [backend.port], {}, [asked, ...cluster('auth', [endpoint(server)])]);
    const answer = rig.ask();
    await came;
    const [entry, endpoints] = BackendRig.cluster([], {});
    rig.apply({ upserts: [endpoints], removals: [TRUST, entry.key, rule({}).key] });
    allow();
    assert.deepEqual(await answer, { status: 200, body: 'app.example http/1.1 false -' });
    await rig.end();
    await backend.end();
  },
);

nativeOnly(
  'HTTP/2 by ALPN where a backend agrees to it, HTTP/1.1 where it does not, on one connection each',
  async (net) => {
    const ports: number[] = [];
    const ends: (() => Promise<void>)[] = [];
    const answer = (
      request: { httpVersion: string; url?: string | undefined },
      response: { end(text: string): unknown },
    ): void => {
      response.end(`${request.httpVersion} ${request.url}`);
    };
    for (const server of [http2.createSecureServer(shown(good), answer), https.createServer(shown(good), answer)]) {
      const versions = server instanceof https.Server ? 0 : 1;
      const sessions: http2.Http2Session[] = [];
      server.on('session', (session) => sessions.push(session));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      ports.push((server.address() as AddressInfo).port);
      ends.push(async () => {
        for (const session of sessions) session.destroy();
        server.close();
        await once(server, 'close');
        assert.equal(sessions.length, versions);
      });
    }
    const both = ports.map((port, i) => [
      rule({ name: `r${i}`, path: `/${i}`, to: [`alpn${i}`] }),
      ...cluster(`alpn${i}`, [endpoint({ family: 'ipv4', address: '127.0.0.1', port })], {
        tls: { ...TLS, alpn: ['h2', 'http/1.1'] },
      }),
    ]);
    const rig = new BackendRig(net, [], {}, both.flat());
    const client = await rig.connect();
    for (let n = 0; n < 3; n++) {
      for (const [i, version] of ['2.0', '1.1'].entries()) {
        await client.send(get(`/${i}/x`));
        assert.equal(bodyText(await client.readMessage()), `${version} /${i}/x`);
      }
    }
    client.close();
    await rig.end();
    for (const end of ends) await end();
  },
);
