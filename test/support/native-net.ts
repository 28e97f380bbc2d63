// The test network on loopback: the proxy's side is the native room with its reactor, the peers are node:net.

import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Handle, IpAddress, UnixAddress } from '../../src/io/io.ts';
import { type NativeIo, openNative, Reactor } from '../../src/native/index.ts';
import type { Backend, ListenOptions, OnPeer, ServeOptions, TestNet } from './net.ts';
import { BasePeer, bytesOf, isEndOfScript, type Peer, SocketError } from './peer.ts';

const ARENA_BYTES = 64 * 1024 * 1024;
/** A script's peer reads no more ahead of its script than this. */
const READ_AHEAD_BYTES = 65_536;
/** Loopback delivers within the call; this many rounds let both event loops see it and answer. */
const SETTLE_ROUNDS = 6;

export class NativeNet implements TestNet {
  readonly kind = 'native';
  readonly tls = false;
  readonly io: NativeIo;
  readonly sim = null;
  readonly #reactor: Reactor;
  readonly #listening: Handle[] = [];
  readonly #servers: Server[] = [];
  readonly #peers = new Set<NativePeer>();
  readonly #scripts = new Set<Promise<void>>();
  readonly #scriptErrors: unknown[] = [];
  readonly #inUseAtStart: number;
  #directory: string | null = null;
  #unixPaths = 0;

  constructor() {
    this.io = openNative({ arenaBytes: ARENA_BYTES });
    this.#inUseAtStart = this.io.arena.inUse;
    this.#reactor = new Reactor(this.io);
    this.#reactor.run();
  }

  listen(options: ListenOptions = {}): { handle: Handle; address: IpAddress } {
    const listening = this.#bind(options.family ?? 'ipv4', options.backlog);
    this.#listening.push(listening.handle);
    return listening;
  }

  serve(onPeer: OnPeer, options: ServeOptions = {}): Backend {
    // Bound by us, because node's own listen tells its address only later.
    const { handle, address } = this.#bind(options.family ?? 'ipv4');
    const server = this.#server(onPeer);
    server.listen({ fd: this.io.fdOf(handle) });
    return { ...address, close: () => server.close() };
  }

  serveUnix(onPeer: OnPeer): Backend<UnixAddress> {
    this.#directory ??= mkdtempSync(join(tmpdir(), 'rauta-net-'));
    const path = join(this.#directory, `${++this.#unixPaths}.sock`);
    const server = this.#server(onPeer);
    server.listen(path);
    return { family: 'unix', path, close: () => server.close() };
  }

  refuse(): IpAddress {
    const { handle, address } = this.#bind('ipv4');
    this.io.close(handle);
    return address;
  }

  silent(): IpAddress {
    throw new Error('only the simulation has an address that never answers');
  }

  async connect(to: IpAddress, from?: string): Promise<Peer> {
    const socket = connect({
      host: to.address,
      port: to.port,
      allowHalfOpen: true,
      noDelay: true,
      ...(from === undefined ? {} : { localAddress: from }),
    });
    const peer = this.#peer(socket, `${to.address}:${to.port}`);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return peer;
  }

  async advance(ms: number): Promise<void> {
    await sleep(ms);
    // Where nothing here ran meanwhile the time is over before anybody has seen what came in it.
    await this.settle();
  }

  async settle(): Promise<void> {
    for (let i = 0; i < SETTLE_ROUNDS; i++) await sleep(1);
  }

  leaks(): string[] {
    const leaks: string[] = [];
    const bytes = this.io.arena.inUse - this.#inUseAtStart;
    if (bytes > 0) leaks.push(`${bytes} bytes allocated`);
    if (this.io.timers.armed > 0) leaks.push(`${this.io.timers.armed} timers armed`);
    return leaks;
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.close();
    for (const peer of this.#peers) peer.reset();
    await this.settle();
    this.#reactor.stop();
    for (const handle of this.#listening) this.io.close(handle);
    this.io.dispose();
    if (this.#directory !== null) rmSync(this.#directory, { recursive: true, force: true });
    await Promise.allSettled(this.#scripts);
    if (this.#scriptErrors.length > 0) throw this.#scriptErrors[0];
  }

  #bind(family: 'ipv4' | 'ipv6', backlog = 511): { handle: Handle; address: IpAddress } {
    const address: IpAddress = { family, address: family === 'ipv4' ? '127.0.0.1' : '::1', port: 0 };
    const handle = this.io.listen(address, { reusePort: false, backlog });
    if (handle < 0) throw new Error(`listen on ${address.address}: errno ${-handle}`);
    return { handle, address: this.io.localAddress(handle) as IpAddress };
  }

  #server(onPeer: OnPeer): Server {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
      const peer = this.#peer(socket, `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`);
      const running = (async () => onPeer(peer))()
        .catch((error: unknown) => {
          if (isEndOfScript(error)) return;
          this.#scriptErrors.push(error);
          peer.reset();
        })
        .finally(() => this.#scripts.delete(running));
      this.#scripts.add(running);
    });
    this.#servers.push(server);
    return server;
  }

  #peer(socket: Socket, remote: string): NativePeer {
    const peer = new NativePeer(socket, remote);
    this.#peers.add(peer);
    socket.once('close', () => this.#peers.delete(peer));
    return peer;
  }
}

class NativePeer extends BasePeer {
  readonly remote: string;
  readonly #socket: Socket;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #fin = false;
  #error: SocketError | null = null;
  #waiters: (() => void)[] = [];

  constructor(socket: Socket, remote: string) {
    super();
    this.#socket = socket;
    this.remote = remote;
    socket.pause();
    // What was read is kept here and not in the stream, which forgets it when a reset follows.
    socket.on('data', (chunk: Uint8Array) => {
      this.#queue.push(chunk);
      this.#queued += chunk.length;
      if (this.#queued >= READ_AHEAD_BYTES) socket.pause();
      this.#wake();
    });
    socket.pause();
    socket.on('end', () => {
      this.#fin = true;
      this.#wake();
    });
    socket.on('error', (error: Error & { code?: string }) => this.#broke(error));
    socket.on('close', () => {
      if (!this.#fin) this.#broke({ code: 'ECONNRESET' });
      this.#wake();
    });
  }

  send(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytesOf(data), (error) => {
        if (error == null) resolve();
        else reject(this.#broke(error as { code?: string }));
      });
    });
  }

  trySend(data: string | Uint8Array): number {
    const bytes = bytesOf(data);
    let sent = 0;
    // Node tells only afterwards whether the kernel took a piece whole; the last one may wait in its own buffer.
    while (sent < bytes.length && this.#socket.writableLength === 0) {
      if (this.#error !== null) throw this.#error;
      const piece = bytes.subarray(sent, sent + 16_384);
      this.#socket.write(piece);
      sent += piece.length;
    }
    return sent;
  }

  protected override async pull(max: number): Promise<Uint8Array | null> {
    for (;;) {
      const first = this.#queue[0];
      if (first !== undefined) {
        const taken = first.subarray(0, max);
        if (taken.length === first.length) this.#queue.shift();
        else this.#queue[0] = first.subarray(max);
        this.#queued -= taken.length;
        return taken;
      }
      if (this.#fin) {
        this.ended('fin');
        return null;
      }
      if (this.#error !== null) {
        this.ended('reset');
        throw this.#error;
      }
      const more = new Promise<void>((resolve) => this.#waiters.push(resolve));
      this.#socket.resume();
      await more;
    }
  }

  end(): void {
    this.#socket.end();
  }

  reset(): void {
    // A unix socket has no RST; closing with something unread is the nearest to it.
    if (this.#socket.remoteFamily === undefined) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  #broke(error: { code?: string }): SocketError {
    const code = error.code === 'EPIPE' ? 'EPIPE' : (error.code ?? 'ECONNRESET');
    this.#error ??= new SocketError(code === 'ERR_STREAM_DESTROYED' ? 'ECONNRESET' : code, `connection ${this.remote}`);
    if (code === 'ECONNRESET' || code === 'EPIPE') this.ended('reset');
    this.#wake();
    return this.#error;
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
