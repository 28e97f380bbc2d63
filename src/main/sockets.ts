// The keeper's listening sockets: one per (address, port) and worker slot, SO_REUSEPORT, held for as long as a revision
// asks for them, so that what waits in an accept queue outlives the worker that would have taken it.

import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Handle } from '../io/io.ts';
import { errnoName, type NativeIo } from '../native/index.ts';
import type { SocketWish } from './stream/messages.ts';

/** The machine has no such address family. */
const EAFNOSUPPORT = 97;

export interface OpenSocket {
  readonly wish: SocketWish;
  /** One per slot. */
  readonly handles: readonly Handle[];
}

export class Sockets {
  readonly #io: NativeIo;
  readonly #log: Logger;
  readonly #slots: number;
  readonly #open = new Map<string, OpenSocket>();
  readonly #failed = new Map<string, { wish: SocketWish; reason: string }>();
  /** Taken over from a predecessor, by `address port`, until a revision asks for them. */
  readonly #inherited = new Map<string, Handle[]>();

  constructor(io: NativeIo, log: Logger, slots: number) {
    this.#io = io;
    this.#log = log;
    this.#slots = slots;
  }

  get open(): ReadonlyMap<string, OpenSocket> {
    return this.#open;
  }
  get failed(): { key: string; reason: string }[] {
    return [...this.#failed].map(([key, { reason }]) => ({ key, reason }));
  }

  inherit(address: string, port: number, handles: Handle[]): void {
    this.#inherited.set(`${address} ${port}`, handles);
  }

  /** Opens what is wished and not open, forgets what is no longer wished; returns both differences. */
  want(wishes: readonly SocketWish[]): { opened: OpenSocket[]; closing: OpenSocket[] } {
    const keys = new Set(wishes.map((w) => w.key));
    const closing = [...this.#open.values()].filter((s) => !keys.has(s.wish.key));
    for (const { wish } of closing) this.#open.delete(wish.key);
    for (const key of this.#failed.keys()) if (!keys.has(key)) this.#failed.delete(key);
    const opened = wishes.filter((w) => !this.#open.has(w.key)).flatMap((w) => this.#try(w) ?? []);
    return { opened, closing };
  }

  /** Tries again what could not be opened. */
  retry(): OpenSocket[] {
    return [...this.#failed.values()].flatMap(({ wish }) => this.#try(wish) ?? []);
  }

  close(socket: OpenSocket): void {
    for (const handle of socket.handles) this.#io.close(handle);
  }

  /** Takes all that are open out of this table, for their end. */
  all(): OpenSocket[] {
    const sockets = [...this.#open.values()];
    this.#open.clear();
    return sockets;
  }

  #try(wish: SocketWish): OpenSocket | null {
    const handles = this.#inherited.get(`${wish.address} ${wish.port}`) ?? [];
    this.#inherited.delete(`${wish.address} ${wish.port}`);
    while (handles.length > this.#slots) this.#io.close(handles.pop() as Handle);
    while (handles.length < this.#slots) {
      const handle = this.#io.listen(
        { family: wish.address.includes(':') ? 'ipv6' : 'ipv4', address: wish.address, port: wish.port },
        { reusePort: true, backlog: LIMITS.BACKLOG },
      );
      if (handle < 0) {
        for (const h of handles) this.#io.close(h);
        this.#fail(wish, -handle);
        return null;
      }
      handles.push(handle);
    }
    this.#failed.delete(wish.key);
    const socket = { wish, handles };
    this.#open.set(wish.key, socket);
    this.#log.info('listening', { address: wish.address, port: wish.port });
    return socket;
  }

  #fail(wish: SocketWish, errno: number): void {
    const reason = reasonOf(wish, errno);
    const before = this.#failed.get(wish.key);
    this.#failed.set(wish.key, { wish, reason });
    if (before?.reason === reason) return;
    const fields = { address: wish.address, port: wish.port, reason };
    if (errno === EAFNOSUPPORT) this.#log.warn('this machine has no IPv6', fields);
    else this.#log.error('cannot listen', fields);
  }
}

function reasonOf(wish: SocketWish, errno: number): string {
  const name = errnoName(errno);
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program listens there',
    EACCES: `ports below 1024 need root or CAP_NET_BIND_SERVICE; --port-map ${wish.port}=${wish.port + 8000} listens elsewhere`,
    EADDRNOTAVAIL: 'no interface has this address',
    EAFNOSUPPORT: 'the machine has no such address family',
  };
  return hints[name] === undefined ? name : `${name}: ${hints[name]}`;
}
