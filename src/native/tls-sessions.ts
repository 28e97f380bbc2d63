// Sessions of connections to servers (SSL_SESSION), by number, to be taken up by later ones.

import * as ssl from './openssl.ts';

export class TlsSessions {
  readonly #sessions = new Map<number, number>();
  #next = 1;

  get size(): number {
    return this.#sessions.size;
  }

  /** Of what stands: 0 when it cannot be taken up again. */
  keep(s: number): number {
    const pointer = ssl.sslGet1Session(s);
    if (pointer === 0) return 0;
    if (ssl.sessionIsResumable(pointer) !== 1) {
      ssl.sessionFree(pointer);
      return 0;
    }
    const id = this.#next++;
    this.#sessions.set(id, pointer);
    return id;
  }

  /** Before a handshake: `s` offers it. */
  offer(s: number, session: number): void {
    const pointer = this.#sessions.get(session);
    if (pointer !== undefined) ssl.sslSetSession(s, pointer);
  }

  drop(session: number): void {
    const pointer = this.#sessions.get(session);
    if (pointer === undefined) return;
    this.#sessions.delete(session);
    ssl.sessionFree(pointer);
  }

  dispose(): void {
    for (const session of [...this.#sessions.keys()]) this.drop(session);
  }
}
