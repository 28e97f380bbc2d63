// Connections that attack, each begun anew when it is ended, and what that took. As a program of its own: `bin/node
// bench/abuse/attacker.ts PORT NAME CONNECTIONS [ENDS]` attacks until its standard input ends, or so many were ended,
// and prints it as JSON.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { TYPE } from '../../src/proxy/http2/frames.ts';
import { nameOfCode, PREFACE } from '../../test/support/http2.ts';
import { ATTACKS, type Attack } from './attacks.ts';

/** Times that are sent in one write. */
const BATCH = 64;
/** And bytes: less than is read of a connection that is ending (LINGER_BYTES), or its code is lost to a reset. */
const BATCH_BYTES = 128 * 1024;

/** What it took, and how connections ended: by the code's name, `open` for those that were never ended. */
export interface Spent {
  connections: number;
  frames: number;
  bytes: number;
  readonly ends: Record<string, number>;
}

class Connection {
  readonly #attack: Attack;
  readonly #spent: Spent;
  readonly #socket: Socket;
  readonly over: Promise<void>;
  #sent = 0;
  #stopped = false;
  /** Of frames: a head that is not whole, and bytes of a payload that are still to come. */
  #held: Buffer = Buffer.alloc(0);
  #skip = 0;
  #code: string | null = null;

  constructor(port: number, attack: Attack, spent: Spent) {
    this.#attack = attack;
    this.#spent = spent;
    spent.connections++;
    this.#socket = connect(port, '127.0.0.1').setNoDelay(true);
    this.#socket.on('data', (part: Buffer) => this.#take(part));
    this.#socket.on('error', () => {});
    this.#socket.once('connect', () => {
      this.#socket.write(PREFACE);
      this.#send(attack.first);
      this.#go();
    });
    this.over = new Promise((resolve) => {
      this.#socket.once('close', () => {
        const end = this.#code ?? (this.#stopped ? 'open' : 'no code');
        spent.ends[end] = (spent.ends[end] ?? 0) + 1;
        resolve();
      });
    });
  }

  #send(frames: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(frames);
    this.#spent.bytes += bytes.length;
    this.#spent.frames += frames.length;
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** As much as the other end takes. */
  #go(): void {
    const { more } = this.#attack;
    if (more === null || this.#stopped || this.#code !== null || this.#socket.destroyed) return;
    const frames: Uint8Array[] = [];
    for (let bytes = 0, n = 0; n < BATCH && bytes < BATCH_BYTES; n++) {
      const made = more(this.#sent++);
      frames.push(...made);
      for (const { length } of made) bytes += length;
    }
    this.#send(frames);
    if (this.#socket.writableNeedDrain) this.#socket.once('drain', () => this.#go());
    else setImmediate(() => this.#go());
  }

  #take(part: Buffer): void {
    let at = 0;
    while (at < part.length) {
      if (this.#skip > 0) {
        const n = Math.min(this.#skip, part.length - at);
        this.#skip -= n;
        at += n;
        continue;
      }
      const more = part.subarray(at, at + 17 - this.#held.length);
      this.#held = Buffer.concat([this.#held, more]);
      at += more.length;
      if (this.#held.length < 9) return;
      const length = this.#held.readUIntBE(0, 3);
      const goaway = this.#held[3] === TYPE.GOAWAY;
      if (goaway && this.#held.length < 17) return;
      if (goaway) this.#code = nameOfCode(this.#held.readUInt32BE(13));
      // It does not wait for the end in order.
      if (goaway) this.#socket.resetAndDestroy();
      // What was read beyond this frame's head is its payload, or belongs to the next.
      const beyond = this.#held.length - 9;
      at -= Math.max(0, beyond - length);
      this.#skip = Math.max(0, length - beyond);
      this.#held = Buffer.alloc(0);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#socket.resetAndDestroy();
  }
}

export class Attacker {
  readonly spent: Spent = { connections: 0, frames: 0, bytes: 0, ends: {} };
  readonly #port: number;
  readonly #attack: Attack;
  readonly #open = new Set<Connection>();
  readonly #loops: Promise<void>[];
  #stopped = false;
  #onEnd: () => void = () => {};

  constructor(port: number, attack: Attack, connections: number) {
    this.#port = port;
    this.#attack = attack;
    this.#loops = Array.from({ length: connections }, () => this.#loop());
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) {
      const connection = new Connection(this.#port, this.#attack, this.spent);
      this.#open.add(connection);
      await connection.over;
      this.#open.delete(connection);
      this.#onEnd();
    }
  }

  /** Until so many connections were ended by the other side, one of them by the code, which a reset may overtake. */
  async ended(count: number): Promise<void> {
    const done = (): number => Object.values(this.spent.ends).reduce((sum, n) => sum + n, 0);
    while (done() < count || this.spent.ends[this.#attack.end] === undefined) {
      await new Promise<void>((resolve) => {
        this.#onEnd = resolve;
      });
    }
  }

  async stop(): Promise<Spent> {
    this.#stopped = true;
    for (const connection of this.#open) connection.stop();
    await Promise.all(this.#loops);
    return this.spent;
  }
}

if (import.meta.main) {
  const [port, name, connections, ends] = process.argv.slice(2);
  const attack = ATTACKS.find((one) => one.name === name);
  if (attack === undefined) throw new Error(`no attack is called ${name}`);
  process.stdout.write('attacking\n');
  const start = performance.now();
  const before = process.cpuUsage();
  const attacker = new Attacker(Number(port), attack, Number(connections));
  const over = once(process.stdin.resume(), 'end');
  await (ends === undefined ? over : Promise.race([over, attacker.ended(Number(ends))]));
  process.stdin.destroy();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  const spent = await attacker.stop();
  process.stdout.write(`${JSON.stringify({ ...spent, seconds, cpuSeconds: (user + system) / 1e6 })}\n`);
}
