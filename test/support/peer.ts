// A scripted end of a connection, a client's or a backend's. It pulls: what the script does not read stays in the
// network, so not reading is being a slow reader.

import { type ByteSource, type Message, type MessageHead, readHead, readMessage } from './http.ts';

/** How a connection ended, as far as the script has looked. */
export type End = 'fin' | 'reset';

export interface Peer extends ByteSource {
  /** The other end as this one sees it: address:port, or the path of a unix socket. */
  readonly remote: string;
  /** Resolves when the network took it all; rejects with code ECONNRESET or EPIPE. */
  send(data: string | Uint8Array): Promise<void>;
  /** Offers `data`; returns how many bytes of it the network takes now (0 when full). */
  trySend(data: string | Uint8Array): number;
  /** Some bytes, at most `max`; null at FIN; rejects with code ECONNRESET. */
  read(max?: number): Promise<Uint8Array | null>;
  /** Up to and with `text`, one character a byte; rejects when FIN comes before. */
  readUntil(text: string): Promise<string>;
  readExactly(n: number): Promise<Uint8Array>;
  /** Everything until FIN. */
  readAll(): Promise<Uint8Array>;
  /** A head alone: its body is left for the script to read. */
  readHead(options?: MessageOptions): Promise<MessageHead>;
  /** One whole message, strictly; an interim response (1xx) is a message of its own. */
  readMessage(options?: MessageOptions): Promise<Message>;
  /** Sends FIN behind what was sent; reading goes on. */
  end(): void;
  /** Closes with RST. */
  reset(): void;
  /** Closes as a program does that lets go of its socket: FIN, or RST when something is unread. */
  close(): void;
  /** How the other end finished; settles once a read or a send of the script met it, not by itself. */
  readonly closed: Promise<End>;
}

export interface MessageOptions {
  /** The message answers a HEAD request: it has no body whatever it says. */
  readonly answersHead?: boolean;
}

/** An error with an errno name in `code`, as Node's own have it. */
export class SocketError extends Error {
  readonly code: string;
  constructor(code: string, what: string) {
    super(`${what}: ${code}`);
    this.name = 'SocketError';
    this.code = code;
  }
}

/** True when `error` says no more than that the other end is gone. */
export function isGone(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED';
}

/** What may end a backend's script without being a failure: the other end is gone, or ended between two messages. */
export function isEndOfScript(error: unknown): boolean {
  return isGone(error) || (error instanceof EndedEarly && error.got.length === 0);
}

/** FIN in the middle of what was to be read. */
export class EndedEarly extends Error {
  readonly got: Uint8Array;
  constructor(wanted: string, got: Uint8Array) {
    const text = Buffer.from(got.subarray(0, 200)).toString('latin1');
    super(`the stream ended before ${wanted}; got ${got.length} bytes: ${JSON.stringify(text)}`);
    this.name = 'EndedEarly';
    this.got = got;
  }
}

/** The reading half that both networks share: framing over `pull`. */
export abstract class BasePeer implements Peer {
  abstract readonly remote: string;
  readonly closed: Promise<End>;
  #resolveClosed: (how: End) => void = () => {};
  /** Read from the network but not yet by the script. */
  #held: Buffer = Buffer.alloc(0);

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** At least one byte and at most `max`, or null at FIN; rejects on a reset. */
  protected abstract pull(max: number): Promise<Uint8Array | null>;
  abstract send(data: string | Uint8Array): Promise<void>;
  abstract trySend(data: string | Uint8Array): number;
  abstract end(): void;
  abstract reset(): void;
  abstract close(): void;

  protected ended(how: End): void {
    this.#resolveClosed(how);
  }

  async read(max = 65_536): Promise<Uint8Array | null> {
    if (this.#held.length === 0) return this.pull(max);
    const taken = this.#held.subarray(0, max);
    this.#held = this.#held.subarray(taken.length);
    return taken;
  }

  async readUntil(text: string): Promise<string> {
    const wanted = Buffer.from(text, 'latin1');
    let all = this.#held;
    let from = 0;
    for (;;) {
      const at = all.indexOf(wanted, from);
      if (at >= 0) {
        const end = at + wanted.length;
        this.#held = all.subarray(end);
        return all.toString('latin1', 0, end);
      }
      from = Math.max(0, all.length - wanted.length + 1);
      const more = await this.pull(65_536);
      if (more === null) {
        this.#held = Buffer.alloc(0);
        throw new EndedEarly(JSON.stringify(text), all);
      }
      all = Buffer.concat([all, more]);
    }
  }

  async readExactly(n: number): Promise<Uint8Array> {
    const out = Buffer.alloc(n);
    let got = 0;
    while (got < n) {
      const more = await this.read(n - got);
      if (more === null) throw new EndedEarly(`${n} bytes`, out.subarray(0, got));
      out.set(more, got);
      got += more.length;
    }
    return out;
  }

  async readAll(): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for (;;) {
      const more = await this.read();
      if (more === null) return Buffer.concat(chunks);
      chunks.push(more);
    }
  }

  readHead(options: MessageOptions = {}): Promise<MessageHead> {
    return readHead(this, options.answersHead);
  }

  readMessage(options: MessageOptions = {}): Promise<Message> {
    return readMessage(this, options.answersHead);
  }
}

export function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
}
