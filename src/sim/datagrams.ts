// Simulated datagrams: lost, delayed past each other, refused where nobody listens. What udp_sendmsg, udp_recvmsg and
// udp_poll do; test/sim/differential.test.ts holds it to the real kernel. Runs (GSO, GRO) are always taken apart.

import { parseIp, textOfWords, wordsOf } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import { type DatagramBatch, type DatagramIo, PATH, PLACE_BYTES } from '../io/datagrams.ts';
import { BROKEN, ERRNO, type Handle, type IpAddress, READABLE, type ReadySink } from '../io/io.ts';
import type { Faults } from './faults.ts';
import type { Random } from './random.ts';

/** What fits an IPv4 datagram. */
const MOST_BYTES = 65_507;
/** The kernel counts each waiting datagram with its overhead; this is about what 4 MB hold. */
const QUEUED = 4_096;

export interface SimDatagram {
  readonly bytes: Uint8Array;
  readonly from: IpAddress;
  /** The address that was asked. */
  readonly to: IpAddress;
}

export class SimDatagramSocket {
  readonly local: IpAddress;
  /** null: it hears from everybody. */
  readonly remote: IpAddress | null;
  onEdge: (() => void) | null = null;
  readonly #net: SimDatagramNet;
  readonly #queue: SimDatagram[] = [];
  #error = 0;
  /** How often something was taken from it. */
  taken = 0;

  constructor(net: SimDatagramNet, local: IpAddress, remote: IpAddress | null) {
    this.#net = net;
    this.local = local;
    this.remote = remote;
  }

  ready(): number {
    return (this.#queue.length > 0 ? READABLE : 0) | (this.#error !== 0 ? BROKEN : 0);
  }

  /** The pending error goes before anything that came. */
  take(): SimDatagram | number {
    this.taken++;
    if (this.#error !== 0) return -this.#takeError();
    return this.#queue.shift() ?? -ERRNO.EAGAIN;
  }

  /** 0 or -errno; `from` is the local address where it is not the socket's own. */
  send(to: IpAddress, bytes: Uint8Array, from: IpAddress = this.local): number {
    if (this.#error !== 0) return -this.#takeError();
    if (bytes.length > MOST_BYTES) return -ERRNO.EMSGSIZE;
    this.#net.carry(this, { bytes: Uint8Array.from(bytes), from, to });
    return 0;
  }

  arrive(datagram: SimDatagram): void {
    if (this.#queue.length >= QUEUED) return;
    this.#queue.push(datagram);
    this.onEdge?.();
  }

  refuse(): void {
    // Only who is connected is told (udp_err without IP_RECVERR).
    if (this.remote === null) return;
    this.#error = ERRNO.ECONNREFUSED;
    this.onEdge?.();
  }

  close(): void {
    this.onEdge = null;
    this.#net.forget(this);
  }

  #takeError(): number {
    const error = this.#error;
    this.#error = 0;
    return error;
  }
}

/** What carries datagrams. */
export interface DatagramWire {
  readonly random: Random;
  readonly faults: Faults;
  /** A port of the system's choice. */
  freePort(address: IpAddress): number;
  /** What is on its way arrives. */
  soon(run: () => void): void;
}

export class SimDatagramNet {
  readonly #network: DatagramWire;
  readonly #sockets = new Map<string, SimDatagramSocket>();

  constructor(network: DatagramWire) {
    this.#network = network;
  }

  /** Throws when the port is taken. */
  bind(address: IpAddress): SimDatagramSocket {
    const local = address.port === 0 ? { ...address, port: this.#network.freePort(address) } : address;
    return this.#add(keyOf(local, null), new SimDatagramSocket(this, local, null));
  }

  connect(remote: IpAddress): SimDatagramSocket {
    const any: IpAddress = { ...remote, address: remote.family === 'ipv4' ? '127.0.0.1' : '::1', port: 0 };
    const local = { ...any, port: this.#network.freePort(any) };
    return this.#add(keyOf(local, remote), new SimDatagramSocket(this, local, remote));
  }

  #add(key: string, socket: SimDatagramSocket): SimDatagramSocket {
    if (this.#sockets.has(key)) throw new Error(`${key} is taken`);
    this.#sockets.set(key, socket);
    return socket;
  }

  forget(socket: SimDatagramSocket): void {
    this.#sockets.delete(keyOf(socket.local, socket.remote));
  }

  carry(sender: SimDatagramSocket, datagram: SimDatagram): void {
    const { random, faults } = this.#network;
    if (random.chance(faults.datagramLoss)) return;
    this.#network.soon(() => {
      const receiver = this.#find(datagram);
      if (receiver !== undefined) receiver.arrive(datagram);
      else if (!random.chance(faults.datagramLoss)) this.#network.soon(() => sender.refuse());
    });
  }

  #find({ from, to }: SimDatagram): SimDatagramSocket | undefined {
    const any = { ...to, address: to.family === 'ipv4' ? '0.0.0.0' : '::' };
    return (
      this.#sockets.get(keyOf(to, from)) ?? this.#sockets.get(keyOf(to, null)) ?? this.#sockets.get(keyOf(any, null))
    );
  }
}

function keyOf(local: IpAddress, remote: IpAddress | null): string {
  const here = `${local.address}|${local.port}`;
  return remote === null ? here : `${here}|${remote.address}|${remote.port}`;
}

class SimBatch implements DatagramBatch {
  readonly places = LIMITS.UDP_BATCH;
  readonly at: number;
  readonly lengths = new Int32Array(LIMITS.UDP_BATCH);
  readonly segments = new Int32Array(LIMITS.UDP_BATCH);
  readonly paths = new Int32Array(LIMITS.UDP_BATCH * PATH.WORDS);
  family: 4 | 6 = 4;
  constructor(at: number) {
    this.at = at;
  }
}

/** The system of one program, as far as datagrams need it. */
export interface DatagramSystem {
  readonly mem: Uint8Array;
  readonly network: { readonly datagrams: SimDatagramNet; interlude(): void };
  alloc(bytes: number): number;
  free(offset: number): void;
  /** The handle of a socket, or -EMFILE. */
  adoptDatagrams(socket: SimDatagramSocket): Handle;
  datagramSocket(handle: Handle): SimDatagramSocket | null;
  /** Returns 0 or -errno. */
  watch(handle: Handle, sink: ReadySink, first?: boolean): number;
  /** Nobody is told of it any more. */
  unwatchDatagrams(handle: Handle): void;
}

export class SimDatagrams implements DatagramIo {
  readonly #io: DatagramSystem;

  constructor(io: DatagramSystem) {
    this.#io = io;
  }

  open(): DatagramBatch | null {
    const at = this.#io.alloc(LIMITS.UDP_BATCH * PLACE_BYTES);
    return at < 0 ? null : new SimBatch(at);
  }

  release(batch: DatagramBatch): void {
    this.#io.free(batch.at);
  }

  /** A bound socket of the program. */
  bind(address: IpAddress): Handle {
    return this.#io.adoptDatagrams(this.#io.network.datagrams.bind(address));
  }

  connect(address: IpAddress): Handle {
    const socket = this.#io.network.datagrams.connect(address);
    const handle = this.#io.adoptDatagrams(socket);
    if (handle < 0) socket.close();
    return handle;
  }

  receiveFrom(handle: Handle, batch: DatagramBatch, from: number, count: number): number {
    return this.#receive(handle, batch, from, count, true);
  }
  receive(handle: Handle, batch: DatagramBatch, from: number, count: number): number {
    return this.#receive(handle, batch, from, count, false);
  }

  #receive(handle: Handle, batch: DatagramBatch, from: number, count: number, paths: boolean): number {
    this.#io.network.interlude();
    const socket = this.#io.datagramSocket(handle);
    if (socket === null) return -ERRNO.EBADF;
    let n = 0;
    for (; n < count; n++) {
      // An error behind what was read waits for the next call.
      if (n > 0 && (socket.ready() & READABLE) === 0) break;
      const taken = socket.take();
      if (typeof taken === 'number') return n > 0 ? n : taken;
      const place = from + n;
      this.#io.mem.set(taken.bytes, batch.at + place * PLACE_BYTES);
      batch.lengths[place] = taken.bytes.length;
      batch.segments[place] = 0;
      if (paths) putPath(batch, place, taken);
    }
    return n;
  }

  sendTo(handle: Handle, batch: DatagramBatch, from: number, count: number): number {
    const socket = this.#io.datagramSocket(handle);
    if (socket === null) return -ERRNO.EBADF;
    for (let n = 0; n < count; n++) {
      const place = from + n;
      const path = place * PATH.WORDS;
      const family = batch.family === 4 ? 'ipv4' : 'ipv6';
      const address = textOfWords(batch.paths, path + PATH.PEER, batch.family);
      const to: IpAddress = { family, address, port: batch.paths[path + PATH.PORT] as number };
      const asked = textOfWords(batch.paths, path + PATH.LOCAL, batch.family);
      const known = asked !== '0.0.0.0' && asked !== '::';
      const source = known ? { ...socket.local, address: asked } : socket.local;
      const at = batch.at + place * PLACE_BYTES;
      const result = this.#run(batch.lengths[place] as number, batch.segments[place] as number, (start, end) =>
        socket.send(to, this.#io.mem.subarray(at + start, at + end), source),
      );
      if (result < 0) return n > 0 ? n : result;
    }
    return count;
  }

  send(handle: Handle, offset: number, length: number, segment: number): number {
    const socket = this.#io.datagramSocket(handle);
    if (socket === null || socket.remote === null) return -ERRNO.EBADF;
    const { remote } = socket;
    return this.#run(length, segment, (start, end) =>
      socket.send(remote, this.#io.mem.subarray(offset + start, offset + end)),
    );
  }

  /** 0, or what the first of a run that does not go answers. */
  #run(length: number, segment: number, send: (start: number, end: number) => number): number {
    const step = segment > 0 ? segment : length;
    let at = 0;
    do {
      const result = send(at, Math.min(length, at + step));
      if (result < 0) return result;
      at += step;
    } while (at < length);
    return 0;
  }

  watch(handle: Handle, sink: ReadySink, first = false): number {
    return this.#io.watch(handle, sink, first);
  }

  unwatch(handle: Handle): void {
    this.#io.unwatchDatagrams(handle);
  }
}

function putPath(batch: DatagramBatch, place: number, { from, to }: SimDatagram): void {
  const path = place * PATH.WORDS;
  const words = (text: string): Int32Array => {
    const ip = parseIp(text);
    if (ip === null) throw new Error(`${text} is no address`);
    return wordsOf(ip);
  };
  batch.family = from.family === 'ipv4' ? 4 : 6;
  batch.paths.set(words(from.address), path + PATH.PEER);
  batch.paths[path + PATH.PORT] = from.port;
  batch.paths.set(words(to.address), path + PATH.LOCAL);
  batch.paths[path + PATH.SCOPE] = 0;
}
