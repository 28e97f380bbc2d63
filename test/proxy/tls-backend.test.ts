// TLS to backends that are Node's own TLS servers over real sockets: whose certificates are good, what is said of those
// that are not, sessions, client certificates, replacement under load, ends.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { ClientTls, Entry, TrustEntry } from '../../src/ir/ir.ts';
import { NativeTls } from '../../src/native/tls.ts';
import { handshakeCell } from '../../src/telemetry/layout.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import type { NativeNet } from '../support/native-net.ts';
import { nativeOnly, type TestNet } from '../support/net.ts';
import { bodyText, cluster, endpoint, get, ok, Rig, rule } from './rig.ts';

const root = authority('Root');
const middle = authority('Middle', root);
const good = leaf(middle, ['app.example', 'spiffe://example/app', '127.0.0.1']);

const TRUST = 'trust/default/app';

function trust(...authorities: readonly Buffer[]): TrustEntry {
  return { kind: 'trust', key: TRUST, authorities: authorities.map((der) => der.toString('base64')), revoked: [] };
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
