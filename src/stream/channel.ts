// A unix socket between two of our processes: frames both ways, with descriptors beside them.

import { LIMITS } from '../base/limits.ts';
import { BROKEN, ERRNO, type Handle, PEER_CLOSED, READABLE, type ReadySink, WRITABLE } from '../io/io.ts';
import { type NativeIo, recvMessage, sendMessage } from '../native/index.ts';
import { encodeJson, FRAME, type Frame, FrameDecoder } from './frames.ts';

export interface ChannelOwner {
  onFrame(frame: Frame): void;
  /** The other side is gone, or sent what is no frame. Called once. */
  onClosed(reason: string): void;
}

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
  readonly #decoder = new FrameDecoder();
  readonly #block: number;
  #queue: Waiting[] = [];
  #queued = 0;
  #fds: number[] = [];
  #open = true;

  constructor(io: NativeIo, handle: Handle, owner: ChannelOwner) {
    this.#io = io;
    this.#handle = handle;
    this.#owner = owner;
    this.#block = io.alloc(LIMITS.READ_BYTES);
    if (this.#block < 0) throw new Error('no memory for a channel');
    const watched = io.watch(handle, this);
    if (watched < 0) throw new Error(`cannot watch a channel: errno ${-watched}`);
  }

  get queued(): number {
    return this.#queued;
  }
  get open(): boolean {
    return this.#open;
  }

  /** The next descriptor that came beside a frame; the sender put it there before the frame's first byte. */
  takeFd(): number {
    const fd = this.#fds.shift();
    if (fd === undefined) throw new Error('a frame without the descriptor it announces');
    return fd;
  }

  message(value: Out, fds: readonly number[] = []): void {
    this.send(encodeJson(FRAME.MESSAGE, value), fds);
  }

  send(bytes: Buffer, fds: readonly number[] = []): void {
    if (!this.#open) return;
    this.#queue.push({ bytes, fds, sent: 0 });
    this.#queued += bytes.length;
    if (this.#queue.length === 1) this.#flush();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#io.close(this.#handle);
    this.#io.free(this.#block);
    this.#queue = [];
    this.#queued = 0;
  }

  onReady(events: number): void {
    if ((events & WRITABLE) !== 0 && this.#queue.length > 0) this.#flush();
    if (this.#open && (events & (READABLE | PEER_CLOSED | BROKEN)) !== 0) this.#read();
  }

  #read(): void {
    for (let budget = LIMITS.BYTES_PER_TURN; budget > 0 && this.#open; ) {
      const n = recvMessage(this.#io, this.#handle, this.#block, LIMITS.READ_BYTES, this.#fds);
      if (n === -ERRNO.EAGAIN) return;
      if (n <= 0) {
        this.#fail(n === 0 ? 'closed' : `errno ${-n}`);
        return;
      }
      budget -= n;
      try {
        this.#decoder.push(Buffer.from(this.#io.mem.subarray(this.#block, this.#block + n)), (frame) => {
          if (this.#open) this.#owner.onFrame(frame);
        });
      } catch (error) {
        this.#fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
        return;
      }
    }
    if (this.#open) this.#io.again(this, READABLE);
  }

  #flush(): void {
    while (this.#open && this.#queue.length > 0) {
      const first = this.#queue[0] as Waiting;
      const n = Math.min(first.bytes.length - first.sent, LIMITS.READ_BYTES);
      this.#io.mem.set(first.bytes.subarray(first.sent, first.sent + n), this.#block);
      const sent = sendMessage(this.#io, this.#handle, this.#block, n, first.sent === 0 ? first.fds : []);
      if (sent === -ERRNO.EAGAIN) return;
      if (sent < 0) {
        this.#fail(`errno ${-sent}`);
        return;
      }
      first.sent += sent;
      this.#queued -= sent;
      if (first.sent === first.bytes.length) this.#queue.shift();
    }
  }

  #fail(reason: string): void {
    if (!this.#open) return;
    this.close();
    this.#owner.onClosed(reason);
  }
}
