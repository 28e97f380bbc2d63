// A head that comes again. Who asks for the same once more sends the same bytes, indexes of a table that has not
// changed since: what they stand for is then known (docs/adr/0059-heads-that-come-again.md).

import { sameBytes } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import { move } from '../../base/memory.ts';
import type { Io } from '../../io/io.ts';
import { Head } from '../head.ts';
import type { HpackDecoder } from './hpack/decoder.ts';

export class RepeatedHead {
  readonly #io: Pick<Io, 'mem' | 'alloc' | 'free'>;
  /** Whose it is, and how often that one's table had changed. */
  #decoder: HpackDecoder | null = null;
  #changes = 0;
  /** It had no content: that, too, is how `interpretRequest` read it. */
  #ended = false;
  /** LIMITS.HTTP2_REPEATED_BYTES: the block as it came, and behind it the lines that it stands for. */
  #at = -1;
  #blockBytes = 0;
  /** 0 while the block came only once. */
  #lineBytes = 0;
  #head: Head | null = null;
  /** Fields that were decoded. */
  count = 0;

  constructor(io: Pick<Io, 'mem' | 'alloc' | 'free'>) {
    this.#io = io;
  }

  #isBlock(decoder: HpackDecoder, ended: boolean, start: number, end: number): boolean {
    return (
      decoder === this.#decoder &&
      decoder.changes === this.#changes &&
      ended === this.#ended &&
      end - start === this.#blockBytes &&
      sameBytes(this.#io.mem, this.#at, start, end)
    );
  }

  /**
   * Whether it is what the block mem[start..end) stands for, of a request without content where it is `ended`. It need
   * not be decoded then.
   */
  has(decoder: HpackDecoder, ended: boolean, start: number, end: number): boolean {
    return this.#lineBytes > 0 && this.#isBlock(decoder, ended, start, end);
  }

  /** Puts it where field sections are decoded to, and into `head`, as if it had been decoded and read. */
  restore(head: Head): void {
    const { mem } = this.#io;
    const from = this.#head as Head;
    const lines = this.#at + this.#blockBytes;
    move(mem, from.start, lines, lines + this.#lineBytes);
    head.fault = null;
    head.limit = null;
    head.rebase(from, 0);
  }

  /**
   * The block mem[start..end) was decoded, of `count` fields, and `head` read of it without a fault, as that of a
   * request without content where it is `ended`; the table had changed `changes` times before. It is kept when it comes
   * a second time and says nothing new to the table.
   */
  note(
    decoder: HpackDecoder,
    changes: number,
    ended: boolean,
    start: number,
    end: number,
    head: Head,
    count: number,
  ): void {
    const { mem } = this.#io;
    const block = end - start;
    const lines = head.end - head.start;
    if (decoder.changes !== changes || block + lines > LIMITS.HTTP2_REPEATED_BYTES) return;
    if (this.#isBlock(decoder, ended, start, end)) {
      this.#head ??= new Head();
      this.#head.rebase(head, 0);
      move(mem, this.#at + block, head.start, head.end);
      this.#lineBytes = lines;
      this.count = count;
      return;
    }
    this.#lineBytes = 0;
    this.#decoder = null;
    if (this.#at < 0) this.#at = this.#io.alloc(LIMITS.HTTP2_REPEATED_BYTES);
    if (this.#at < 0) return;
    this.#decoder = decoder;
    this.#changes = changes;
    this.#ended = ended;
    this.#blockBytes = block;
    move(mem, this.#at, start, end);
  }

  dispose(): void {
    if (this.#at >= 0) this.#io.free(this.#at);
    this.#at = -1;
    this.#decoder = null;
    this.#lineBytes = 0;
  }
}
