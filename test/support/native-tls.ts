// Clients and servers of NativeTls in one process, over pairs of sockets: joined, or with somebody in between who
// passes their bytes on.

import assert from 'node:assert/strict';
import { ERRNO, type Handle } from '../../src/io/io.ts';
import type { Tls, TlsPeer, TlsSettings, TlsVersion } from '../../src/io/tls.ts';
import { openNative, socketPair } from '../../src/native/index.ts';
import * as ssl from '../../src/native/openssl.ts';
import { NativeTls } from '../../src/native/tls.ts';
import { TlsMemory } from '../../src/native/tls-memory.ts';
import { authority, leaf } from '../../tools/certificates.ts';

export const PLAIN: TlsSettings = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: '',
  suites: '',
  alpn: [],
  verify: null,
};

export interface Pair {
  readonly server: Tls;
  readonly client: Tls;
  readonly sockets: readonly [Handle, Handle];
}

/** Bytes wait in between until they are passed on. The sockets: the client's and its other end, then the server's. */
export type Apart = Pair & { pass(bytes: number): number; back(): number };

export class NativeTlsRig {
  readonly io = openNative({ arenaBytes: 32 * 2 ** 20 });
  readonly tls = new NativeTls(this.io);
  /** Room for 256 KB; what is passed on goes through its second half. */
  readonly at = this.io.alloc(256 * 1024);
  readonly middle;
  readonly site;
  readonly chain: readonly Uint8Array[];
  readonly trust: number;
  readonly certificate: number;
  readonly server: number;
  readonly client: number;

  constructor() {
    const { tls } = this;
    const root = authority('Test Root');
    this.middle = authority('Test Intermediate', root);
    this.site = leaf(this.middle, ['site.example', '*.wild.example', '127.0.0.1']);
    this.chain = [this.site.der, this.middle.der];
    this.trust = tls.trust([root.der], []);
    this.certificate = tls.certificate(this.chain, this.site.keyDer);
    this.server = tls.serverContext({ ...PLAIN, alpn: ['h2', 'http/1.1'] });
    const verify = { trust: this.trust, mode: 'require' } as const;
    this.client = tls.clientContext({ ...PLAIN, alpn: ['http/1.1'], verify }, 0);
  }

  /** Lets a context of OpenSSL's own show `site`. */
  dress(context: number): void {
    const memory = new TlsMemory(this.io);
    const [own, above] = this.chain.map((der) => memory.read(ssl.d2iX509, der)) as [number, number];
    const key = memory.read(ssl.d2iAutoPrivateKey, this.site.keyDer);
    memory.dispose();
    const stack = ssl.stackNew();
    ssl.stackPush(stack, above);
    assert.equal(ssl.ctxUseCertAndKey(context, own, key, stack, 1), 1);
    for (const one of [own, above]) ssl.x509Free(one);
    ssl.pkeyFree(key);
    ssl.stackFree(stack);
  }

  /** Everything was given back. */
  end(): void {
    this.tls.dispose();
    this.io.free(this.at);
    assert.equal(this.io.arena.inUse, 0, 'everything was given back');
    this.io.dispose();
  }

  readonly pair = (
    options: { server?: number; client?: number; name?: string; certificates?: readonly number[] } = {},
  ): Pair => {
    const { tls } = this;
    const sockets = socketPair(this.io);
    const s = tls.accept(options.server ?? this.server, sockets[0]);
    const c = tls.connect(options.client ?? this.client, sockets[1], peer(options.name ?? 'site.example'));
    assert.ok(s > 0 && c > 0, `${s} ${c}`);
    for (const one of options.certificates ?? [this.certificate]) assert.equal(tls.use(s, one), 0);
    tls.bind(s, new Uint8Array(32).fill(7));
    return { server: s, client: c, sockets };
  };

  /** Both sides in turns, until neither has anything to do: what each said last. */
  readonly shake = (p: Pair): [server: number, client: number] => {
    let s = -ERRNO.EAGAIN;
    let c = -ERRNO.EAGAIN;
    for (let i = 0; i < 8; i++) {
      if (c === -ERRNO.EAGAIN) c = this.tls.handshake(p.client);
      if (s === -ERRNO.EAGAIN) s = this.tls.handshake(p.server);
    }
    return [s, c];
  };

  readonly close = (p: Pair): void => {
    this.tls.close(p.server);
    this.tls.close(p.client);
    for (const socket of p.sockets) this.io.close(socket);
  };

  readonly write = (one: Tls, text: string): void => {
    const bytes = Buffer.from(text);
    this.io.mem.set(bytes, this.at);
    assert.equal(this.tls.send(one, this.at, bytes.length), bytes.length);
  };

  readonly read = (one: Tls): string => {
    const n = this.tls.recv(one, this.at, 65_536);
    assert.ok(n >= 0, String(n));
    return Buffer.from(this.io.mem.buffer, this.io.mem.byteOffset + this.at, n).toString();
  };

  /** A client and a server that shook hands, and whose bytes wait in between until they are passed on. */
  readonly apart = (version: TlsVersion): Apart => {
    const p = this.strangers(version);
    for (let i = 0; i < 8; i++) {
      this.tls.handshake(p.client);
      p.pass(65_536);
      this.tls.handshake(p.server);
      p.back();
    }
    return p;
  };

  /** Before they did. */
  readonly strangers = (version: TlsVersion): Apart => {
    const { io, tls } = this;
    const [near, far] = [socketPair(io), socketPair(io)];
    const settings = { ...PLAIN, minVersion: version, maxVersion: version };
    const context = tls.serverContext(settings);
    const s = tls.accept(context, far[0]);
    tls.dropContext(context);
    const c = tls.connect(this.client, near[0], peer('site.example'));
    assert.equal(tls.use(s, this.certificate), 0);
    const room = this.at + 128 * 1024;
    const move = (from: Handle, to: Handle, bytes: number): number => {
      const n = io.recv(from, room, bytes);
      if (n > 0) assert.equal(io.send(to, room, n), n);
      return Math.max(0, n);
    };
    const sockets = [...near, ...far] as unknown as Pair['sockets'];
    const pass = (bytes: number): number => move(near[1], far[1], bytes);
    return { server: s, client: c, sockets, pass, back: () => move(far[1], near[1], 65_536) };
  };
}

function peer(name: string): TlsPeer {
  return { serverName: name, names: name === '' ? [] : [{ type: 'Hostname', value: name }] };
}
