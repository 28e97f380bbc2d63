// The engine with a listener of TLS, and Node's own TLS client over real sockets.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { IpAddress } from '../../src/io/io.ts';
import type { CertificateEntry, Entry, ServerTls, SocketEntry } from '../../src/ir/ir.ts';
import { NativeTls } from '../../src/native/tls.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import type { NativeNet } from '../support/native-net.ts';
import type { TestNet } from '../support/net.ts';
import { answering, GATEWAY, LISTENER, ok, Rig, type RuleOptions, rule } from './rig.ts';

export const root = authority('Root');
export const middle = authority('Middle', root);
export const CA = pem('CERTIFICATE', root.der);
export const certificates = {
  a: leaf(middle, ['a.example']),
  wild: leaf(middle, ['*.wild.example']),
  any: leaf(middle, ['any.example', 'localhost']),
  rsa: leaf(middle, ['a.example'], { kind: 'rsa2048' }),
};

export function certificate(name: string, own: Leaf, staple = '', stapleUntil = 0): CertificateEntry {
  return {
    kind: 'certificate',
    key: `certificate/default/${name}`,
    chain: [own.der.toString('latin1'), middle.der.toString('latin1')],
    privateKey: own.keyDer.toString('latin1'),
    fingerprint: createHash('sha256').update(own.der).digest('hex'),
    staple,
    stapleFrom: 0,
    stapleUntil,
  };
}

export function tls(names: readonly string[], more: Partial<ServerTls> = {}): ServerTls {
  return {
    certificates: names.map((name) => `certificate/default/${name}`),
    minVersion: 'TLSv1.2',
    ciphers: [],
    suites: [],
    alpn: ['http/1.1'],
    clients: null,
    ...more,
  };
}

/** A socket with one host for each name. */
export function socket(hosts: Readonly<Record<string, ServerTls>>, fallback: ServerTls | null = null): SocketEntry {
  return {
    kind: 'socket',
    key: LISTENER,
    address: '127.0.0.1',
    port: 443,
    transport: 'tcp',
    hosts: Object.entries(hosts).map(([hostname, settings]) => ({
      hostname,
      gateway: GATEWAY.key,
      listener: `https-${hostname}`,
      port: 443,
      protocol: 'HTTPS' as const,
      tls: settings,
    })),
    fallback,
    proxyProtocol: null,
  };
}

export const HOSTS = { 'a.example': tls(['a', 'rsa']), '*.wild.example': tls(['wild']) };
export const ENTRIES: readonly Entry[] = [
  certificate('a', certificates.a),
  certificate('wild', certificates.wild),
  certificate('rsa', certificates.rsa),
  socket(HOSTS),
];

export class TlsRig extends Rig {
  readonly address: IpAddress;
  /** Of the requests that the backend got. */
  readonly heads: string[];
  readonly #tls: NativeTls;

  constructor(net: TestNet, entries: readonly Entry[] = ENTRIES, options: RuleOptions = {}) {
    const heads: string[] = [];
    const backend = answering(net, ({ head, body }) => {
      heads.push(head);
      return ok(`${/x-forwarded-proto: (\w+)/i.exec(head)?.[1]} ${body.length}`);
    });
    let opened: NativeTls | null = null;
    const hosts = entries.flatMap((entry) => (entry.kind === 'socket' ? entry.hosts : []));
    const rules = hosts.map(({ hostname }, i) => ({
      ...rule({ name: `r${i}`, ...options }),
      attachments: [{ socket: LISTENER, host: hostname, hostnames: [hostname] }],
    }));
    super(net, [backend], [...rules, ...entries], {}, () => {
      opened = new NativeTls((net as NativeNet).io);
      return opened;
    });
    this.#tls = opened as unknown as NativeTls;
    this.heads = heads;
    this.address = this.listening as IpAddress;
  }

  override async end(): Promise<void> {
    await this.net.settle();
    this.engine.stop();
    assert.deepEqual(this.#tls.counts, { connections: 0, contexts: 0, sessions: 0, certificates: 0, parsed: 0 });
    this.#tls.dispose();
    await super.end();
  }

  client(servername: string, options: ConnectionOptions = {}): TLSSocket {
    const { port } = this.address;
    return connect({ host: '127.0.0.1', port, servername, ca: CA, checkServerIdentity: () => undefined, ...options });
  }

  /** The answer to one request, and what the handshake agreed on. */
  async ask(
    servername: string,
    options: Omit<ConnectionOptions, 'host'> & { host?: string; body?: string } = {},
  ): Promise<Answer> {
    const { host: asked, body = '', ...rest } = options;
    const client = this.client(servername, rest);
    await once(client, 'secureConnect');
    const peer = client.getPeerCertificate();
    const found = { protocol: client.getProtocol(), alpn: client.alpnProtocol, subject: String(peer.subject?.CN) };
    const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
    client.write(`POST / HTTP/1.1\r\nHost: ${asked ?? servername}\r\n${length}Connection: close\r\n\r\n${body}`);
    let text = '';
    for await (const chunk of client) text += chunk;
    return { ...found, status: Number(text.slice(9, 12)), body: text.slice(text.indexOf('\r\n\r\n') + 4) };
  }
}

export interface Answer {
  readonly protocol: string | null;
  readonly alpn: string | false | null;
  readonly subject: string;
  readonly status: number;
  readonly body: string;
}

export async function refusal(client: TLSSocket): Promise<string> {
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
  return `${error.code} ${error.message}`;
}
