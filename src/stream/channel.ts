// A unix socket between two of our processes: frames both ways, with descriptors beside them.

import { LIMITS } from '../base/limits.ts';
import { BROKEN, ERRNO, type Handle, PEER_CLOSED, READABLE, type ReadySink, WRITABLE } from '../io/io.ts';
import { closeDescriptor, errnoName, type NativeIo, recvMessage, sendMessage } from '../native/index.ts';
import { encodeJson, FRAME, type Frame, FrameDecoder } from './frames.ts';
import { ProtocolError } from './protocol-error.ts';

/** How a channel ended: the other side closed it, the system did, or the other side broke the protocol. */
export interface ChannelEnd {
  readonly cause: 'closed' | 'failed' | 'violation';
  readonly reason: string;
}

export interface ChannelOwner {
  /** May throw ProtocolError, which ends the channel as a violation; whatever else it throws is a bug and goes up. */
  onFrame(frame: Frame): void;
  /** Called once, unless this side closed it. */
  onEnded(end: ChannelEnd): void;
}

/** What the other side may do. */
export interface ChannelRules {
  /** Its largest frame. */
  readonly frameBytes: number;
  /** Whether it may send descriptors. If not they never become ours: the kernel drops them, and it is a violation. */
  readonly descriptors: boolean;
  /** Bytes of it that are read in one turn; LIMITS.BYTES_PER_TURN if not given. */
  readonly turnBytes?: number;
}

/** For the keeper, which everybody believes. */
const TRUSTED: ChannelRules = {
  frameBytes: LIMITS.FRAME_BYTES,
  descriptors: true,
  turnBytes: LIMITS.STREAM_BYTES_PER_TURN,
};

/** The sending half of a channel: what most of the program needs of it. `Out`: the messages that go this way. */
export interface Link<Out> {
  /** Bytes not yet taken by the other side. */
  readonly queued: number;
  readonly open: boolean;
  message(value: Out, fds?: readonly number[]): void;
  /** Whole frames. */
  send(bytes: Buffer, fds?: readonly number[]): void;
  close(): void;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly fds: readonly number[];
  sent: number;
}

export class Channel<Out> implements Link<Out>, ReadySink {
  readonly #io: NativeIo;
  readonly #handle: Handle;
  readonly #owner: ChannelOwner;
  readonly #decoder: FrameDecoder;
  readonly #block: number;
  readonly #turnBytes: number;
  #queue: Waiting[] = [];
  #queued = 0;
  /** Received and not yet asked for; null when none are taken. */
  readonly #fds: number[] | null;
  #open = true;
  /** What came while the owner takes nothing: of what was read when it said so; null: it takes what comes. */
  #held: Frame[] | null = null;
  /** The other side takes no more: its last words may still be there to be read. */
  #deaf = false;

  /** Takes `handle` over. Throws when there is no memory or no place among the watched. */
  constructor(io: NativeIo, handle: Handle, owner: ChannelOwner, rules: ChannelRules = TRUSTED) {
    this.#io = io;
    this.#handle = handle;
    this.#owner = owner;
    this.#decoder = new FrameDecoder(rules.frameBytes);
    this.#fds = rules.descriptors ? [] : null;
    this.#turnBytes = rules.turnBytes ?? LIMITS.BYTES_PER_TURN;
    this.#block = io.alloc(LIMITS.READ_BYTES);
    if (this.#block < 0) throw new Error('no memory for a channel');
    const watched = io.watch(handle, this);
    if (watched < 0) {
      io.free(this.#block);
      throw new Error(`cannot watch a channel: ${errnoName(watched)}`);
    }
  }

  get queued(): number {
    return this.#queued;
  }
  get open(): boolean {
    return this.#open;
  }

  /** The next descriptor that came beside a frame; the sender put it there before the frame's first byte. */
  takeFd(): number {
    const fd = this.#fds?.shift();
    if (fd === undefined) throw new ProtocolError('a frame without the descriptor it announces');
    return fd;
  }

  message(value: Out, fds: readonly number[] = []): void {
    this.send(encodeJson(FRAME.MESSAGE, value), fds);
  }

  send(bytes: Buffer, fds: readonly number[] = []): void {
    if (!this.#open || this.#deaf) return;
    this.#queue.push({ bytes, fds, sent: 0 });
    this.#queued += bytes.length;
    // Also behind others: whoever sends much in one piece is read meanwhile.
    this.flush();
  }

  /**
   * Takes nothing until `release`: what was read stays here, what was not, in the socket. What is sent goes on, and the
   * end of the other side is heard afterwards.
   */
  hold(): void {
    this.#held ??= [];
  }

  /** Hands over what was held, and reads on. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    this.#checked(() => {
      for (const frame of held) this.#take(frame);
    });
    if (this.#open && this.#held === null) this.#io.again(this, READABLE);
  }

  /** The other side is no more: its last words are read, then the channel is closed, whoever else may hold its end. */
  finish(): void {
    if (this.#open) this.#read();
    this.close();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#io.close(this.#handle);
    this.#io.free(this.#block);
    this.#queue = [];
    this.#queued = 0;
    for (const fd of this.#fds?.splice(0) ?? []) closeDescriptor(fd);
  }

  onReady(events: number): void {
    if ((events & WRITABLE) !== 0 && this.#queue.length > 0) this.flush();
    if (this.#open && (events & (READABLE | PEER_CLOSED | BROKEN)) !== 0) this.#read();
  }

  #read(): void {
    for (let budget = this.#turnBytes; budget > 0 && this.#open; ) {
      if (this.#held !== null) return;
      const n = recvMessage(this.#io, this.#handle, this.#block, Math.min(budget, LIMITS.READ_BYTES), this.#fds);
      if (n === -ERRNO.EAGAIN) return;
      if (n === 0) this.#end({ cause: 'closed', reason: 'closed by the other side' });
      else if (n === -ERRNO.EINVAL) this.#end({ cause: 'violation', reason: this.#unwelcome });
      else if (n < 0) this.#end({ cause: 'failed', reason: errnoName(n) });
      else this.#decode(n);
      budget -= n;
    }
    if (this.#open) this.#io.again(this, READABLE);
  }

  get #unwelcome(): string {
    return this.#fds === null ? 'descriptors that nobody asked for' : 'more descriptors than can be opened';
  }

  #decode(bytes: number): void {
    const part = Buffer.from(this.#io.mem.subarray(this.#block, this.#block + bytes));
    this.#checked(() => this.#decoder.push(part, (frame) => this.#take(frame)));
  }

  #take(frame: Frame): void {
    if (!this.#open) return;
    if (this.#held === null) this.#owner.onFrame(frame);
    else this.#held.push(frame);
  }

  #checked(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#end({ cause: 'violation', reason: error.message });
    }
  }

  /** Sends of what waits as much as the other side takes: when the reactor says so, or its owner. */
  flush(): void {
    while (this.#open && this.#queue.length > 0) {
      const first = this.#queue[0] as Waiting;
      const n = Math.min(first.bytes.length - first.sent, LIMITS.READ_BYTES);
      this.#io.mem.set(first.bytes.subarray(first.sent, first.sent + n), this.#block);
      const sent = sendMessage(this.#io, this.#handle, this.#block, n, first.sent === 0 ? first.fds : []);
      if (sent === -ERRNO.EAGAIN) return;
      if (sent < 0) {
        this.#deaf = true;
        this.#queue = [];
        this.#queued = 0;
        this.#io.again(this, READABLE);
        return;
      }
      first.sent += sent;
      this.#queued -= sent;
      if (first.sent === first.bytes.length) this.#queue.shift();
    }
  }

  #end(end: ChannelEnd): void {
    if (!this.#open) return;
    this.close();
    this.#owner.onEnded(end);
  }
}
