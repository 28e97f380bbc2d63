// A scripted client or backend that speaks the simulation's TLS: what it sends is put into records, what it reads was
// in some.

import {
  CLOSE_NOTIFY,
  clientHello,
  HANDSHAKE,
  Opener,
  plainRecord,
  protocolsOf,
  RECORD,
  RECORD_BYTES,
  Sealer,
  serverHello,
} from '../../src/sim/tls-records.ts';
import { BasePeer, bytesOf, type Peer, SocketError } from './peer.ts';

export class ToyTlsPeer extends BasePeer {
  readonly #under: Peer;
  readonly #sealer = new Sealer();
  readonly #opener = new Opener();
  #plain: Uint8Array = new Uint8Array(0);
  /** Sealed, and not taken by the network yet. */
  #out: Uint8Array = new Uint8Array(0);
  #over = false;
  #serves = false;

  private constructor(under: Peer) {
    super();
    this.#under = under;
  }

  /** A handshake over `under`; rejects as a connection does that is reset when the server refuses. */
  static async open(under: Peer, name = '', alpn: readonly string[] = []): Promise<ToyTlsPeer> {
    const peer = new ToyTlsPeer(under);
    await under.send(clientHello(name, alpn));
    const record = await peer.#record();
    if (record === null || record.type !== RECORD.HANDSHAKE || record.body[0] !== HANDSHAKE.SERVER_HELLO) {
      under.close();
      throw new SocketError('EPROTO', record === null ? 'no handshake' : `alert ${record.body.at(-1)}`);
    }
    peer.#opener.sealed = true;
    await under.send(plainRecord(RECORD.HANDSHAKE, Uint8Array.of(HANDSHAKE.FINISHED)));
    return peer;
  }

  /** The same as a server that shows `chain`; null when the client leaves before it stands, or is refused. */
  static async accept(under: Peer, chain: readonly Uint8Array[], alpn: readonly string[]): Promise<ToyTlsPeer | null> {
    const peer = new ToyTlsPeer(under);
    peer.#serves = true;
    const hello = await peer.#record();
    if (hello === null || hello.type !== RECORD.HANDSHAKE || hello.body[0] !== HANDSHAKE.CLIENT_HELLO) return null;
    const offered = protocolsOf(hello.body);
    await under.send(serverHello(alpn.find((one) => offered.includes(one)) ?? '', chain));
    const finished = await peer.#record();
    if (finished === null || finished.type !== RECORD.HANDSHAKE) return null;
    peer.#opener.sealed = true;
    return peer;
  }

  get remote(): string {
    return this.#under.remote;
  }

  async #record(): Promise<{ readonly type: number; readonly body: Uint8Array } | null> {
    for (;;) {
      const record = this.#opener.next();
      if (record === 'bad') throw new Error(`a record of ${this.remote} is not what was sealed`);
      if (record !== null) return record;
      const more = await this.#under.read();
      if (more === null) return null;
      this.#opener.push(more);
    }
  }

  protected override async pull(max: number): Promise<Uint8Array | null> {
    while (this.#plain.length === 0) {
      if (this.#over) return null;
      const record = await this.#read();
      if (record.type === RECORD.DATA) this.#plain = record.body;
      else if (record.type === RECORD.ALERT && record.body.at(-1) === CLOSE_NOTIFY) {
        this.#over = true;
        this.ended('fin');
      } else throw new Error(`alert ${record.body.at(-1)} of ${this.remote}`);
    }
    const taken = this.#plain.subarray(0, max);
    this.#plain = this.#plain.subarray(taken.length);
    return taken;
  }

  /** An end without close_notify is no end in order: anybody could have made it. */
  async #read(): Promise<{ readonly type: number; readonly body: Uint8Array }> {
    try {
      const record = await this.#record();
      if (record !== null) return record;
    } catch (error) {
      if ((error as { code?: unknown }).code !== undefined) this.ended('reset');
      throw error;
    }
    this.ended('reset');
    throw new SocketError('ECONNRESET', `connection with ${this.remote} without close_notify`);
  }

  #seal(type: number, bytes: Uint8Array): void {
    this.#out = Buffer.concat([this.#out, this.#sealer.seal(type, bytes)]);
  }

  async #flush(): Promise<void> {
    const out = this.#out;
    this.#out = new Uint8Array(0);
    if (out.length === 0) return;
    try {
      await this.#under.send(out);
    } catch (error) {
      this.ended('reset');
      throw error;
    }
  }

  async send(data: string | Uint8Array): Promise<void> {
    const bytes = bytesOf(data);
    await this.#flush();
    for (let at = 0; at < bytes.length; at += RECORD_BYTES) {
      this.#seal(RECORD.DATA, bytes.subarray(at, at + RECORD_BYTES));
      await this.#flush();
    }
  }

  trySend(data: string | Uint8Array): number {
    const bytes = bytesOf(data);
    let taken = 0;
    for (;;) {
      if (this.#out.length > 0) this.#out = this.#out.subarray(this.#under.trySend(this.#out));
      if (this.#out.length > 0 || taken === bytes.length) return taken;
      const part = bytes.subarray(taken, taken + 1024);
      this.#seal(RECORD.DATA, part);
      taken += part.length;
    }
  }

  end(): void {
    this.#seal(RECORD.ALERT, Uint8Array.of(1, CLOSE_NOTIFY));
    this.#flush().then(
      () => this.#under.end(),
      () => {},
    );
  }

  reset(): void {
    this.#under.reset();
  }

  /** A backend says that it is whole, as a server's library does for it. */
  close(): void {
    if (this.#serves) {
      this.#seal(RECORD.ALERT, Uint8Array.of(1, CLOSE_NOTIFY));
      try {
        this.#under.trySend(this.#out);
      } catch {
        // Nobody is there any more.
      }
    }
    this.#under.close();
  }
}
