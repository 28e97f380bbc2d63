// The keeper's listening sockets: one per (transport, address, port) and worker slot, SO_REUSEPORT, held for as long as
// a revision asks for them, so that what waits in an accept queue outlives the worker that would have taken it. The
// first one of a port is bound alone: SO_REUSEPORT would let a second program of the same user share the traffic
// without a word.

import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { ERRNO, type Handle, type IpAddress } from '../io/io.ts';
import { admitNew, errnoName, holdNew, type NativeIo } from '../native/index.ts';
import type { FailedSocket, SocketWish } from '../stream/messages.ts';
import { describeHolder, holdersOf, isOwn, type Listening, othersOn } from './ports.ts';
import type { PassedListener } from './system.ts';

/** The machine has no such address family. */
const EAFNOSUPPORT = 97;

export interface OpenSocket {
  readonly wish: SocketWish;
  /** One per slot. */
  readonly handles: readonly Handle[];
}

/** One that a successor is given. */
export interface GivenSocket {
  readonly transport: SocketWish['transport'];
  readonly address: string;
  readonly port: number;
  readonly handle: Handle;
  /** Under this name it was passed by whoever started the program; absent: it is our own. */
  readonly passed?: string;
}

interface Failed {
  readonly wish: SocketWish;
  /** errno and who has it: the reason is found anew only when one of them changed. */
  readonly cause: string;
  readonly code: string;
  readonly reason: string;
}

export class Sockets {
  readonly #io: NativeIo;
  readonly #log: Logger;
  readonly #slots: number;
  readonly #open = new Map<string, OpenSocket>();
  readonly #failed = new Map<string, Failed>();
  /** Taken over from a predecessor, by `transport address port`, until a revision asks for them. */
  readonly #inherited = new Map<string, Handle[]>();
  /** Opened by whoever started this program, who has them too: by the same name, in use or not. */
  readonly #passed = new Map<string, PassedListener>();

  constructor(io: NativeIo, log: Logger, slots: number, passed: readonly PassedListener[] = []) {
    this.#io = io;
    this.#log = log;
    this.#slots = slots;
    for (const one of passed) this.#passed.set(nameOf('tcp', one), one);
  }

  get open(): ReadonlyMap<string, OpenSocket> {
    return this.#open;
  }
  get failed(): FailedSocket[] {
    return [...this.#failed].map(([key, { code, reason }]) => ({ key, code, reason }));
  }

  /** Every socket that a successor is given, each once, those of one address and port in the order of their slots. */
  *given(): Generator<GivenSocket> {
    for (const { wish, handles } of this.#open.values()) {
      const passed = this.#passed.get(nameOf(wish.transport, wish));
      for (const handle of new Set(handles))
        if (handle !== passed?.handle)
          yield { transport: wish.transport, address: wish.address, port: wish.port, handle };
    }
    for (const { address, port, handle, name } of this.#passed.values())
      yield { transport: 'tcp', address, port, handle, passed: name };
  }

  /** A socket of a predecessor that was passed to it, or to the one before. */
  inheritPassed(passed: PassedListener): void {
    this.#passed.set(nameOf('tcp', passed), passed);
  }

  /** A socket of a predecessor: the next slot of this address and port has it. */
  inherit(transport: SocketWish['transport'], address: string, port: number, handle: Handle): void {
    const name = nameOf(transport, { address, port });
    const handles = this.#inherited.get(name);
    if (handles === undefined) this.#inherited.set(name, [handle]);
    else handles.push(handle);
  }

  /**
   * Lets go of what a predecessor had and nobody wishes: its own workers take what waits there. Says which of the
   * sockets that were passed no listener asks for; they stay as they are, others have them, too.
   */
  disinherit(): void {
    for (const [name, handles] of this.#inherited)
      for (const handle of handles) this.#renounce(handle, name.startsWith('udp'));
    this.#inherited.clear();
    const used = new Set([...this.#open.values()].map(({ wish }) => nameOf(wish.transport, wish)));
    for (const [key, passed] of this.#passed) if (!used.has(key)) this.#tellUnused(passed);
  }
  #tellUnused({ name, address, port }: PassedListener): void {
    this.#log.error('a socket passed by LISTEN_FDS is asked for by no listener', { name, address, port });
  }

  /** Opens what is wished and not open, takes out what is no longer wished; returns both differences. */
  want(wishes: readonly SocketWish[]): { opened: OpenSocket[]; closing: OpenSocket[] } {
    const keys = new Set(wishes.map((w) => w.key));
    const closing = [...this.#open.values()].filter((s) => !keys.has(s.wish.key));
    for (const { wish } of closing) {
      this.#open.delete(wish.key);
      const passed = this.#passed.get(nameOf(wish.transport, wish));
      if (passed !== undefined) this.#tellUnused(passed);
    }
    for (const key of this.#failed.keys()) if (!keys.has(key)) this.#failed.delete(key);
    const opened = wishes.filter((w) => !this.#open.has(w.key)).flatMap((w) => this.#try(w) ?? []);
    return { opened, closing };
  }

  /** Tries again what could not be opened. */
  retry(): OpenSocket[] {
    return [...this.#failed.values()].flatMap(({ wish }) => this.#try(wish) ?? []);
  }

  /** No connection begins there any more; what is established waits for its worker. */
  hold(socket: OpenSocket): void {
    // Of datagrams there is no beginning to hold off: workers pass on what waits, then the socket is closed.
    if (socket.wish.transport === 'udp') return;
    for (const handle of this.#ours(socket)) holdNew(this.#io, handle);
  }

  /** Takes every hold back. */
  admit(): void {
    for (const { handles } of this.#open.values()) for (const handle of handles) admitNew(this.#io, handle);
  }

  /** One that was held is wished again. */
  reopen(socket: OpenSocket): void {
    for (const handle of socket.handles) admitNew(this.#io, handle);
    this.#open.set(socket.wish.key, socket);
  }

  close(socket: OpenSocket): void {
    for (const handle of this.#ours(socket)) this.#io.close(handle);
  }

  /**
   * Without the one that was passed: it is somebody else's too, who lets connections wait there for the next program.
   */
  #ours({ wish, handles }: OpenSocket): Handle[] {
    const passed = this.#passed.get(nameOf(wish.transport, wish));
    return [...new Set(handles)].filter((handle) => handle !== passed?.handle);
  }

  /** Takes all that are open out of this table, for their end. */
  all(): OpenSocket[] {
    const sockets = [...this.#open.values()];
    this.#open.clear();
    return sockets;
  }

  #try(wish: SocketWish): OpenSocket | null {
    const name = nameOf(wish.transport, wish);
    const passed = this.#passed.get(name);
    const handles = [...(passed === undefined ? [] : [passed.handle]), ...(this.#inherited.get(name) ?? [])];
    this.#inherited.delete(name);
    const inherited = Math.min(handles.length, this.#slots);
    while (handles.length > this.#slots) this.#renounce(handles.pop() as Handle, wish.transport === 'udp');
    // The predecessor may have been about to let go of it.
    for (const handle of handles) admitNew(this.#io, handle);
    while (handles.length < this.#slots) {
      const handle = this.#bind(wish, handles.length === 0);
      if (handle < 0) {
        // Whoever made it shares it with nobody who binds anew, or this program may not: workers have it together.
        if (passed !== undefined) {
          handles.push(passed.handle);
          continue;
        }
        for (const h of this.#ours({ wish, handles })) this.#io.close(h);
        this.#fail(wish, -handle);
        return null;
      }
      handles.push(handle);
    }
    this.#failed.delete(wish.key);
    const socket = { wish, handles };
    this.#open.set(wish.key, socket);
    const fields = { address: wish.address, port: wish.port };
    if (passed !== undefined) this.#log.info('listening socket was passed', { ...fields, name: passed.name });
    else if (inherited === 0) this.#log.info('listening', fields);
    else this.#log.info('listening socket taken over', { ...fields, taken: inherited, bound: this.#slots - inherited });
    return socket;
  }

  /** A socket of one slot, or -errno. */
  #bind(wish: SocketWish, first: boolean): Handle {
    const { address, port, transport } = wish;
    const at: IpAddress = { family: address.includes(':') ? 'ipv6' : 'ipv4', address, port };
    const bind = (alone: boolean): Handle =>
      transport === 'udp'
        ? this.#io.datagrams.bind(at, { first: alone })
        : this.#io.listen(at, { reusePort: true, first: alone, backlog: LIMITS.BACKLOG });
    const handle = bind(first);
    // Our own on its way out, or on another address of the port, is no reason to refuse.
    return first && handle === -ERRNO.EADDRINUSE && othersOn(transport, address, port).length === 0
      ? bind(false)
      : handle;
  }

  #renounce(handle: Handle, datagrams: boolean): void {
    if (!datagrams) holdNew(this.#io, handle);
    this.#io.close(handle);
  }

  #fail(wish: SocketWish, errno: number): void {
    const others = errno === ERRNO.EADDRINUSE ? othersOn(wish.transport, wish.address, wish.port) : [];
    const cause = [errno, ...others.map((l) => l.inode)].join(' ');
    if (this.#failed.get(wish.key)?.cause === cause) return;
    const reason = reasonOf(wish, errno, others);
    this.#failed.set(wish.key, { wish, cause, code: errnoName(errno), reason });
    const fields = { address: wish.address, port: wish.port, reason };
    if (errno === EAFNOSUPPORT) this.#log.warn('this machine has no IPv6', fields);
    else this.#log.error('cannot listen', fields);
  }
}

function nameOf(transport: SocketWish['transport'], { address, port }: { address: string; port: number }): string {
  return `${transport} ${address} ${port}`;
}

function reasonOf(wish: SocketWish, errno: number, others: readonly Listening[]): string {
  const holders = holdersOf(others).map(describeHolder);
  if (holders.length === 0 && errno === ERRNO.EADDRINUSE) holders.push(unnamedOn(wish));
  const name = errnoName(errno);
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: `${holders.join(' and ')} listens there`,
    EACCES: `ports below 1024 need root or CAP_NET_BIND_SERVICE; --port-map ${wish.port}=${wish.port + 8000} listens elsewhere`,
    EADDRNOTAVAIL: 'no interface has this address',
    EAFNOSUPPORT: 'the machine has no such address family',
  };
  return hints[name] === undefined ? name : `${name}: ${hints[name]}`;
}

/** Nobody else is seen there: it is our own admin server, or who has it cannot be seen. */
function unnamedOn({ transport, address, port }: SocketWish): string {
  return isOwn(transport, address, port) ? 'this program itself (--admin or --requests)' : 'another program';
}
