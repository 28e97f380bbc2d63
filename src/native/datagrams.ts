// Datagrams by recvmmsg(2) and sendmmsg(2). The headers of a batch are laid out once; for a call only words of 32 bits
// change. They lie behind the arena, where no offset of the proxy reaches: what it sets are lengths and paths, of which
// every one is looked at here.

import { LIMITS } from '../base/limits.ts';
import { type DatagramBatch, type DatagramIo, PATH, PLACE_BYTES } from '../io/datagrams.ts';
import { ERRNO, type Handle, type Io, type IpAddress, NO_HANDLE, type ReadySink } from '../io/io.ts';
import { encodeAddress } from './address.ts';
import type { Arena } from './arena.ts';
import * as c from './ffi.ts';
import { AF, EPOLL, IPV6_V6ONLY, LAYOUT, MSG, PKTINFO, SO, SOCK, SOL, UDP } from './layout.ts';
import { LocalPorts, localPortRange, PORT_TABLE_BYTES } from './local-ports.ts';

const PLACES = LIMITS.UDP_BATCH;
/** Where headers of batches begin, behind the scratch memory and the events of the reactor. */
const HEADERS_AT = 8_192;
const CONTROL_BYTES = 64;
const NAME_BYTES = 32;
const { mmsghdr, msghdr, iovec, cmsghdr } = LAYOUT;
const BATCH_BYTES = PLACES * (mmsghdr.size + iovec.size + NAME_BYTES + CONTROL_BYTES);

// In words.
const HEADER = mmsghdr.size >> 2;
const NAME_LENGTH = msghdr.nameLength >> 2;
const AT_ONCE = BigInt(MSG.DONTWAIT);
const AT_ONCE_QUIETLY = BigInt(MSG.DONTWAIT | MSG.NOSIGNAL);
const IOV_LENGTH = iovec.length >> 2;
const CONTROL_LENGTH = msghdr.controlLength >> 2;
const MESSAGE_LENGTH = mmsghdr.length >> 2;
const CMSG_LEVEL = cmsghdr.level >> 2;
const CMSG_TYPE = cmsghdr.type >> 2;
const CMSG_DATA = cmsghdr.size >> 2;
const CMSG_ALIGN = cmsghdr.align - 1;
const { sockaddrIn, sockaddrIn6 } = LAYOUT;
const ADDRESS6 = sockaddrIn6.address >> 2;
const SCOPE6 = sockaddrIn6.scope >> 2;
/** fe80::/10 by the first two bytes, as they lie in the low half of a word. */
const LINK_LOCAL_MASK = 0xc0ff;
const LINK_LOCAL = 0x80fe;

/** In the scratch memory: the one message that goes by sendmsg(2), its piece, its control data, and an address. */
const ONE_AT = 512;
const ONE_IOVEC_AT = ONE_AT + msghdr.size;
const ONE_CONTROL_AT = ONE_IOVEC_AT + iovec.size;
const NAME_AT = 64;
/** Ports that are tried for a socket before the system chooses one. */
const PORT_TRIES = 16;
/** Of them, so many may be somebody else's, to see whether he is still there. */
const PORT_PROBES = 2;
const SEGMENT_CONTROL = cmsghdr.size + 2;

/** Of NativeIo, what is needed here. */
export interface DatagramOwner extends Pick<Io, 'mem' | 'alloc' | 'free' | 'send' | 'close' | 'random32'> {
  readonly arena: Arena;
  readonly scratch: Uint8Array;
  readonly scratchAddress: number;
  readonly scratchAt: bigint;
  fdOf(handle: Handle): number;
  opened(fd: number): Handle;
  watch(handle: Handle, sink: ReadySink, first: boolean, events: number): number;
  unwatch(handle: Handle): void;
}

class NativeBatch implements DatagramBatch {
  readonly places = PLACES;
  readonly at: number;
  readonly lengths = new Int32Array(PLACES);
  readonly segments = new Int32Array(PLACES);
  readonly paths = new Int32Array(PLACES * PATH.WORDS);
  family: 4 | 6 = 4;
  /** Headers, as words, and where each part begins in them. */
  readonly words: Int32Array;
  readonly address: number;
  /** The same, for direct calls. */
  readonly messages: bigint;
  readonly iovecs: number;
  readonly names: number;
  readonly controls: number;

  constructor(io: DatagramOwner, at: number, headersAt: number) {
    this.at = at;
    const { buffer, byteOffset } = io.arena.control;
    this.words = new Int32Array(buffer, byteOffset + headersAt, BATCH_BYTES >> 2);
    this.address = io.arena.controlBase + headersAt;
    this.messages = BigInt(this.address);
    const iovecs = PLACES * mmsghdr.size;
    const names = iovecs + PLACES * iovec.size;
    const controls = names + PLACES * NAME_BYTES;
    this.iovecs = iovecs >> 2;
    this.names = names >> 2;
    this.controls = controls >> 2;
    const view = new DataView(buffer, byteOffset + headersAt, BATCH_BYTES);
    for (let i = 0; i < PLACES; i++) {
      const header = i * mmsghdr.size;
      view.setBigUint64(header + msghdr.name, BigInt(this.address + names + i * NAME_BYTES), true);
      view.setBigUint64(header + msghdr.iov, BigInt(this.address + iovecs + i * iovec.size), true);
      view.setUint32(header + msghdr.iovLength, 1, true);
      view.setBigUint64(header + msghdr.control, BigInt(this.address + controls + i * CONTROL_BYTES), true);
      view.setBigUint64(iovecs + i * iovec.size, BigInt(io.arena.base + at + i * PLACE_BYTES), true);
    }
  }
}

export class NativeDatagrams implements DatagramIo {
  readonly #io: DatagramOwner;
  /** By the place of their headers: whose they are now. */
  readonly #rooms: (NativeBatch | null)[] = [];
  readonly #one: Int32Array;
  readonly #oneView: DataView;
  /** Made when the first socket is connected. */
  #ports: LocalPorts | null = null;
  #portWords: Int32Array | null = null;
  /** By descriptor, of connected sockets; 0: none of ours. */
  readonly #portOf: Uint16Array;

  constructor(io: DatagramOwner, descriptors: number) {
    this.#portOf = new Uint16Array(descriptors);
    this.#io = io;
    const { buffer, byteOffset, byteLength } = io.scratch;
    this.#one = new Int32Array(buffer, byteOffset, byteLength >> 2);
    this.#oneView = new DataView(buffer, byteOffset, byteLength);
    const most = Math.floor((io.arena.control.length - HEADERS_AT) / BATCH_BYTES);
    for (let i = 0; i < most; i++) this.#rooms.push(null);
  }

  /** PORT_TABLE_BYTES that other workers have as well; before any socket is connected. */
  sharePorts(table: ArrayBuffer): void {
    this.#portWords = new Int32Array(table, 0, PORT_TABLE_BYTES / 4);
  }

  open(): DatagramBatch | null {
    const room = this.#rooms.indexOf(null);
    if (room < 0) return null;
    const at = this.#io.alloc(PLACES * PLACE_BYTES);
    if (at < 0) return null;
    const batch = new NativeBatch(this.#io, at, HEADERS_AT + room * BATCH_BYTES);
    this.#rooms[room] = batch;
    return batch;
  }

  release(batch: DatagramBatch): void {
    const room = this.#rooms.indexOf(batch as NativeBatch);
    if (room < 0) throw new RangeError('a batch that is not open');
    this.#rooms[room] = null;
    this.#io.free(batch.at);
  }

  connect(address: IpAddress): Handle {
    const length = encodeAddress(this.#io.scratch, NAME_AT, address);
    if (length === 0) return -ERRNO.EINVAL;
    const handle = this.#onOwnPort(address.family);
    const fd = this.#io.fdOf(handle);
    if (fd < 0) return handle;
    this.#option(fd, SOL.UDP, UDP.GRO, 1);
    encodeAddress(this.#io.scratch, NAME_AT, address);
    if (c.connect(fd, this.#io.scratchAddress + NAME_AT, length) >= 0) return handle;
    const error = c.errno();
    this.#io.close(handle);
    return -error;
  }

  /** A socket on a port that nobody has; where so many are taken, the system finds one when it connects. */
  #onOwnPort(family: IpAddress['family']): Handle {
    this.#ports ??= new LocalPorts(
      localPortRange(),
      // CLOCK_MONOTONIC, which is the machine's; performance.now() is the process's own.
      { random32: () => this.#io.random32(), seconds: () => process.hrtime()[0] },
      this.#portWords ?? new Int32Array(PORT_TABLE_BYTES / 4),
    );
    const any = family === 'ipv4' ? '0.0.0.0' : '::';
    let handle = NO_HANDLE;
    for (let tries = 0; tries < PORT_TRIES; tries++) {
      if (handle === NO_HANDLE) handle = this.#socket(family);
      const fd = this.#io.fdOf(handle);
      if (fd < 0) return handle;
      // Of this family alone: a port of the other is another's.
      if (family === 'ipv6') this.#option(fd, SOL.IPV6, IPV6_V6ONLY, 1);
      const port = this.#ports.next(tries >= PORT_PROBES);
      const length = encodeAddress(this.#io.scratch, NAME_AT, { family, address: any, port });
      if (c.bind(fd, this.#io.scratchAddress + NAME_AT, length) < 0) continue;
      if (this.#ports.take(port)) {
        this.#portOf[fd] = port;
        return handle;
      }
      this.#io.close(handle);
      handle = NO_HANDLE;
    }
    return handle === NO_HANDLE ? this.#socket(family) : handle;
  }

  /** Descriptor `fd` is about to be closed, whatever it is. */
  closing(fd: number): void {
    const port = this.#portOf[fd] as number;
    if (port === 0) return;
    this.#portOf[fd] = 0;
    this.#ports?.letGo(port);
  }

  /**
   * A socket bound to `address` (IPv6 takes IPv6 only), open to others of the same user that bind the same way, or
   * -errno. `first`: it is EADDRINUSE when anybody has the port already.
   */
  bind(address: IpAddress, options: { readonly first: boolean }): Handle {
    const length = encodeAddress(this.#io.scratch, NAME_AT, address);
    if (length === 0) return -ERRNO.EINVAL;
    const handle = this.#socket(address.family);
    const fd = this.#io.fdOf(handle);
    if (fd < 0) return handle;
    if (!options.first) this.#option(fd, SOL.SOCKET, SO.REUSEPORT, 1);
    if (address.family === 'ipv6') {
      this.#option(fd, SOL.IPV6, IPV6_V6ONLY, 1);
      this.#option(fd, SOL.IPV6, PKTINFO.IPV6, 1);
    } else this.#option(fd, SOL.IP, PKTINFO.IPV4, 1);
    this.#option(fd, SOL.UDP, UDP.GRO, 1);
    // As far as the system lets it (net.core.rmem_max): a turn of the worker is to lose nothing.
    this.#option(fd, SOL.SOCKET, SO.RCVBUF, LIMITS.UDP_SOCKET_BYTES);
    this.#option(fd, SOL.SOCKET, SO.SNDBUF, LIMITS.UDP_SOCKET_BYTES);
    if (c.bind(fd, this.#io.scratchAddress + NAME_AT, length) < 0) {
      const error = c.errno();
      this.#io.close(handle);
      return -error;
    }
    if (options.first) this.#option(fd, SOL.SOCKET, SO.REUSEPORT, 1);
    return handle;
  }

  #socket(family: IpAddress['family']): Handle {
    const fd = c.socket(family === 'ipv4' ? AF.INET : AF.INET6, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
    return fd < 0 ? -c.errno() : this.#io.opened(fd);
  }

  #option(fd: number, level: number, option: number, value: number): void {
    this.#one[0] = value;
    // What a kernel has not (UDP_GRO before 5.0) it goes without.
    c.setsockopt(fd, level, option, this.#io.scratchAddress, 4);
  }

  watch(handle: Handle, sink: ReadySink, first = false): number {
    // Without EPOLLOUT: each buffer that the kernel gives back would be an event.
    return this.#io.watch(handle, sink, first, EPOLL.IN);
  }

  unwatch(handle: Handle): void {
    this.#io.unwatch(handle);
  }

  receiveFrom(handle: Handle, batch: DatagramBatch, from: number, count: number): number {
    const own = this.#own(batch, from, count);
    const n = this.#receive(handle, own, from, count, NAME_BYTES - 4);
    for (let i = from; i < from + n; i++) {
      readPath(own, i);
      readControl(own, i);
    }
    return n;
  }

  receive(handle: Handle, batch: DatagramBatch, from: number, count: number): number {
    const own = this.#own(batch, from, count);
    const n = this.#receive(handle, own, from, count, 0);
    for (let i = from; i < from + n; i++) readSegment(own, i);
    return n;
  }

  #receive(handle: Handle, batch: NativeBatch, from: number, count: number, nameBytes: number): number {
    const fd = this.#io.fdOf(handle);
    if (fd < 0) return fd;
    const { words, iovecs, lengths } = batch;
    for (let i = from; i < from + count; i++) {
      words[i * HEADER + NAME_LENGTH] = nameBytes;
      words[i * HEADER + CONTROL_LENGTH] = CONTROL_BYTES;
      words[iovecs + i * 4 + IOV_LENGTH] = PLACE_BYTES;
    }
    const address = batch.messages + BigInt((from * mmsghdr.size) | 0);
    let n: number;
    do n = c.recvmmsg(BigInt(fd | 0), address, BigInt(count | 0), AT_ONCE, 0n);
    while (n < 0 && c.errno() === ERRNO.EINTR);
    if (n < 0) return -c.errno();
    for (let i = from; i < from + n; i++) lengths[i] = words[i * HEADER + MESSAGE_LENGTH] as number;
    return n;
  }

  sendTo(handle: Handle, batch: DatagramBatch, from: number, count: number): number {
    const own = this.#own(batch, from, count);
    const fd = this.#io.fdOf(handle);
    if (fd < 0) return fd;
    for (let i = from; i < from + count; i++) prepare(own, i);
    let n: number;
    const messages = own.messages + BigInt((from * mmsghdr.size) | 0);
    do n = c.sendmmsg(BigInt(fd | 0), messages, BigInt(count | 0), AT_ONCE_QUIETLY);
    while (n < 0 && c.errno() === ERRNO.EINTR);
    if (n >= 0) return n;
    const error = c.errno();
    if (own.segments[from] === 0 || !refusesRun(error)) return -error;
    const { names } = own;
    const length = own.words[from * HEADER + NAME_LENGTH] as number;
    const name = own.address + (names << 2) + from * NAME_BYTES;
    this.#singly(fd, name, length, batch.at + from * PLACE_BYTES, own.lengths[from] as number, own, from);
    return 1;
  }

  send(handle: Handle, offset: number, length: number, segment: number): number {
    if (segment === 0 || length <= segment) {
      const n = this.#io.send(handle, offset, length);
      return Math.min(n, 0);
    }
    const fd = this.#io.fdOf(handle);
    if (fd < 0) return fd;
    if (!(offset >= 0 && length >= 0 && offset + length <= this.#io.mem.length && segment <= PLACE_BYTES))
      throw new RangeError(`mem[${offset}..+${length}) is outside the arena`);
    putSegment(this.#one, ONE_CONTROL_AT >> 2, segment);
    const n = this.#message(fd, 0, 0, offset, length, SEGMENT_CONTROL);
    if (n >= 0 || !refusesRun(-n)) return Math.min(n, 0);
    let first = 0;
    for (let at = 0; at < length; at += segment) {
      const sent = this.#io.send(handle, offset + at, Math.min(segment, length - at));
      if (sent < 0 && first === 0) first = sent;
    }
    return first;
  }

  /** Each datagram of a run for itself; what does not go is lost, as datagrams are. */
  #singly(
    fd: number,
    name: number,
    nameBytes: number,
    offset: number,
    length: number,
    batch: NativeBatch,
    place: number,
  ): void {
    const { words, controls } = batch;
    const at = controls + place * (CONTROL_BYTES >> 2);
    const control = putLocal(words, at, batch, place);
    for (let i = 0; i < control >> 2; i++) this.#one[(ONE_CONTROL_AT >> 2) + i] = words[at + i] as number;
    const segment = batch.segments[place] as number;
    for (let done = 0; done < length; done += segment)
      this.#message(fd, name, nameBytes, offset + done, Math.min(segment, length - done), control);
  }

  /** One sendmsg(2) of mem[offset..+length) with what stands at ONE_CONTROL_AT: bytes or -errno. */
  #message(fd: number, name: number, nameBytes: number, offset: number, length: number, control: number): number {
    const view = this.#oneView;
    const { scratchAddress, scratchAt, arena } = this.#io;
    view.setBigUint64(ONE_AT + msghdr.name, BigInt(name), true);
    view.setUint32(ONE_AT + msghdr.nameLength, nameBytes, true);
    view.setBigUint64(ONE_AT + msghdr.iov, BigInt(scratchAddress + ONE_IOVEC_AT), true);
    view.setBigUint64(ONE_AT + msghdr.iovLength, 1n, true);
    view.setBigUint64(ONE_AT + msghdr.control, BigInt(scratchAddress + ONE_CONTROL_AT), true);
    view.setBigUint64(ONE_AT + msghdr.controlLength, BigInt(control), true);
    view.setBigUint64(ONE_IOVEC_AT + iovec.base, BigInt(arena.base + offset), true);
    view.setBigUint64(ONE_IOVEC_AT + iovec.length, BigInt(length), true);
    const n = c.each.sendmsg(BigInt(fd | 0), scratchAt + BigInt(ONE_AT), AT_ONCE_QUIETLY);
    return n < 0 ? -c.errno() : n;
  }

  #own(batch: DatagramBatch, from: number, count: number): NativeBatch {
    if (!(from >= 0 && count > 0 && from + count <= PLACES) || !this.#rooms.includes(batch as NativeBatch))
      throw new RangeError(`places ${from}..+${count} of a batch`);
    return batch as NativeBatch;
  }
}

/** Larger than a packet may be, more datagrams than one call takes, or no device that cuts them up. */
function refusesRun(error: number): boolean {
  const EIO = 5;
  return error === ERRNO.EMSGSIZE || error === ERRNO.EINVAL || error === EIO;
}

/** The sender, from where the kernel wrote it. */
function readPath(batch: NativeBatch, place: number): void {
  const { words, paths } = batch;
  const name = batch.names + place * (NAME_BYTES >> 2);
  const path = place * PATH.WORDS;
  const first = words[name] as number;
  paths[path + PATH.PORT] = swap16(first >>> 16);
  paths[path + PATH.SCOPE] = 0;
  const four = (first & 0xffff) === AF.INET;
  batch.family = four ? 4 : 6;
  const from = name + (four ? sockaddrIn.address >> 2 : ADDRESS6);
  paths[path] = words[from] as number;
  for (let i = 1; i < 4; i++) paths[path + i] = four ? 0 : (words[from + i] as number);
}

/** The address that was asked, and whether it is a run. */
function readControl(batch: NativeBatch, place: number): void {
  const { words, paths, segments, lengths } = batch;
  const path = place * PATH.WORDS;
  for (let i = 0; i < 4; i++) paths[path + PATH.LOCAL + i] = 0;
  segments[place] = 0;
  let at = batch.controls + place * (CONTROL_BYTES >> 2);
  const end = at + ((words[place * HEADER + CONTROL_LENGTH] as number) >> 2);
  while (at + CMSG_DATA <= end) {
    const length = words[at] as number;
    if (length < cmsghdr.size) break;
    const data = at + CMSG_DATA;
    const level = words[at + CMSG_LEVEL] as number;
    const type = words[at + CMSG_TYPE] as number;
    // struct in_pktinfo: ifindex, spec_dst, addr. struct in6_pktinfo: addr, ifindex.
    if (level === SOL.IP && type === PKTINFO.IPV4_MESSAGE) paths[path + PATH.LOCAL] = words[data + 1] as number;
    else if (level === SOL.IPV6 && type === PKTINFO.IPV6_MESSAGE) {
      for (let i = 0; i < 4; i++) paths[path + PATH.LOCAL + i] = words[data + i] as number;
      if (((paths[path] as number) & LINK_LOCAL_MASK) === LINK_LOCAL)
        paths[path + PATH.SCOPE] = words[data + 4] as number;
    } else if (level === SOL.UDP && type === UDP.GRO) {
      const segment = words[data] as number;
      segments[place] = segment > 0 && segment < (lengths[place] as number) ? segment : 0;
    }
    at += ((length + CMSG_ALIGN) & ~CMSG_ALIGN) >> 2;
  }
}

function readSegment(batch: NativeBatch, place: number): void {
  const { words, segments, lengths } = batch;
  const at = batch.controls + place * (CONTROL_BYTES >> 2);
  segments[place] = 0;
  if ((words[place * HEADER + CONTROL_LENGTH] as number) < cmsghdr.size) return;
  if (words[at + CMSG_LEVEL] !== SOL.UDP || words[at + CMSG_TYPE] !== UDP.GRO) return;
  const segment = words[at + CMSG_DATA] as number;
  if (segment > 0 && segment < (lengths[place] as number)) segments[place] = segment;
}

/** Lays out what is to be sent from `place`. */
function prepare(batch: NativeBatch, place: number): void {
  const { words, paths } = batch;
  const length = batch.lengths[place] as number;
  const segment = batch.segments[place] as number;
  if (!(length >= 0 && length <= PLACE_BYTES && segment >= 0 && segment <= length))
    throw new RangeError(`${length} bytes in runs of ${segment}`);
  const name = batch.names + place * (NAME_BYTES >> 2);
  const path = place * PATH.WORDS;
  const four = batch.family === 4;
  words[name] = (four ? AF.INET : AF.INET6) | (swap16(paths[path + PATH.PORT] as number) << 16);
  words[name + 1] = four ? (paths[path] as number) : 0;
  if (!four) {
    for (let i = 0; i < 4; i++) words[name + ADDRESS6 + i] = paths[path + i] as number;
    words[name + SCOPE6] = paths[path + PATH.SCOPE] as number;
  }
  const header = place * HEADER;
  words[header + NAME_LENGTH] = four ? sockaddrIn.size : sockaddrIn6.size;
  words[batch.iovecs + place * 4 + IOV_LENGTH] = length;
  const at = batch.controls + place * (CONTROL_BYTES >> 2);
  let control = putLocal(words, at, batch, place);
  if (segment > 0 && segment < length) {
    putSegment(words, at + (control >> 2), segment);
    control += (SEGMENT_CONTROL + CMSG_ALIGN) & ~CMSG_ALIGN;
  }
  words[header + CONTROL_LENGTH] = control;
}

/** The address from which it goes; bytes of control data, none where that is not known. */
function putLocal(words: Int32Array, at: number, { paths, family }: NativeBatch, place: number): number {
  const local = place * PATH.WORDS + PATH.LOCAL;
  const a = paths[local] as number;
  const b = paths[local + 1] as number;
  const e = paths[local + 2] as number;
  const d = paths[local + 3] as number;
  if ((a | b | e | d) === 0) return 0;
  const data = at + CMSG_DATA;
  words[at + 1] = 0;
  if (family === 4) {
    words[at] = cmsghdr.size + 12;
    words[at + CMSG_LEVEL] = SOL.IP;
    words[at + CMSG_TYPE] = PKTINFO.IPV4_MESSAGE;
    words[data] = 0;
    words[data + 1] = a;
    words[data + 2] = 0;
    words[data + 3] = 0;
    return cmsghdr.size + 16;
  }
  words[at] = cmsghdr.size + 20;
  words[at + CMSG_LEVEL] = SOL.IPV6;
  words[at + CMSG_TYPE] = PKTINFO.IPV6_MESSAGE;
  words[data] = a;
  words[data + 1] = b;
  words[data + 2] = e;
  words[data + 3] = d;
  words[data + 4] = paths[place * PATH.WORDS + PATH.SCOPE] as number;
  words[data + 5] = 0;
  return cmsghdr.size + 24;
}

function putSegment(words: Int32Array, at: number, segment: number): void {
  words[at] = SEGMENT_CONTROL;
  words[at + 1] = 0;
  words[at + CMSG_LEVEL] = SOL.UDP;
  words[at + CMSG_TYPE] = UDP.SEGMENT;
  words[at + CMSG_DATA] = segment;
  words[at + CMSG_DATA + 1] = 0;
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}
