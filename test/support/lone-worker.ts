// One worker process without a program around it, for who is to say what it is sent.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../../src/base/limits.ts';
import type { SocketAddress } from '../../src/io/io.ts';
import { createShared, type NativeIo, PORT_TABLE_BYTES, socketPair } from '../../src/native/index.ts';
import { Channel, type ChannelEnd } from '../../src/stream/channel.ts';
import { fromWorker } from '../../src/stream/checks.ts';
import { encodeBegin, encodeJson, encodePut, FRAME } from '../../src/stream/frames.ts';
import type { FromWorker, ToWorker } from '../../src/stream/messages.ts';
import { CELLS_BYTES } from '../../src/stream/segments.ts';
import { METHOD_TABLE_BYTES } from '../../src/telemetry/grpc-methods.ts';
import { ringBytes } from '../../src/telemetry/log-ring.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Entries by key, as frames. */
export function putsOf(entries: Readonly<Record<string, Uint8Array>>): Buffer {
  return Buffer.concat(Object.entries(entries).map(([key, bytes]) => encodePut(key, Buffer.from(bytes))));
}

/** A worker's keeper, by hand. */
export class LoneKeeper {
  readonly process: ChildProcess;
  readonly channel: Channel<ToWorker>;
  readonly heard: FromWorker[] = [];
  end: ChannelEnd | null = null;
  #waiting: {
    is: (message: FromWorker) => boolean;
    resolve: (message: FromWorker) => void;
    reject: (error: Error) => void;
  }[] = [];

  readonly #io: NativeIo;

  /** `program`: the root of a checkout; `prefix`: a command that runs the worker. */
  constructor(io: NativeIo, program: string = ROOT, prefix: readonly string[] = []) {
    this.#io = io;
    const [ours, theirs] = socketPair(io);
    const main = join(program, 'src/main/main.js');
    const [command = '', ...argv] = [...prefix, process.execPath, '--disable-warning=ExperimentalWarning', main];
    this.process = spawn(command, [...argv, '__child', 'worker'], {
      stdio: ['ignore', 'ignore', 'ignore', io.fdOf(theirs)],
    });
    io.close(theirs);
    this.channel = new Channel<ToWorker>(io, ours, {
      onFrame: ({ body }) => this.#hear(fromWorker(body)),
      onEnded: (end) => {
        this.end = end;
        // What it said before has been heard: nothing comes any more.
        for (const { reject } of this.#waiting.splice(0))
          reject(new Error(`the channel of the worker ended: ${JSON.stringify(end)}`));
      },
    });
  }

  kill(): void {
    this.process.kill('SIGKILL');
    this.channel.close();
  }

  /** A listening socket for the listener `key`; the worker's from then on. */
  socket(key: string, address: SocketAddress): void {
    const handle = this.#io.listen(address, { reusePort: false, backlog: 128 });
    if (handle < 0) throw new Error(`no listening socket for ${key}: errno ${-handle}`);
    this.channel.message({ type: 'socket', key }, [this.#io.fdOf(handle)]);
    this.#io.close(handle);
  }

  #hear(message: FromWorker): void {
    this.heard.push(message);
    for (const waiting of this.#waiting.filter((w) => w.is(message))) {
      this.#waiting = this.#waiting.filter((w) => w !== waiting);
      waiting.resolve(message);
    }
  }

  /** The first such message, past or to come. */
  hears<T extends FromWorker['type']>(
    type: T,
    is: (message: Extract<FromWorker, { type: T }>) => boolean = () => true,
  ): Promise<Extract<FromWorker, { type: T }>> {
    const match = (message: FromWorker): boolean => message.type === type && is(message as never);
    const past = this.heard.find(match);
    return (
      past !== undefined
        ? Promise.resolve(past)
        : new Promise<FromWorker>((resolve, reject) => this.#waiting.push({ is: match, resolve, reject }))
    ) as Promise<Extract<FromWorker, { type: T }>>;
  }

  assign(user: string | null = null): void {
    const fds = [createShared('test-cells', CELLS_BYTES), createShared('test-ring', ringBytes(LIMITS.LOG_RING_BYTES))];
    fds.push(createShared('test-ports', PORT_TABLE_BYTES), createShared('test-methods', METHOD_TABLE_BYTES));
    const settings = {
      trustedProxies: [],
      accessLogQuery: false,
      accessLogFormat: 'json' as const,
      user,
      logLevel: 'error' as const,
      logJson: true,
      drainTimeoutMs: 1_000,
      tunnelDrainTimeoutMs: 1_000,
      clientIdleMs: 60_000,
      streamIdleMs: 300_000,
      bodyIdleMs: 30_000,
      halfClose: false,
      ownBinds: [],
    };
    this.channel.message({ type: 'assign', slot: 0, settings }, fds);
  }

  revise(revision: number, base: number | null, entries: Readonly<Record<string, Uint8Array>>): void {
    this.reviseBy(revision, base, putsOf(entries));
  }

  /** `puts`: its frames but the first and the last. */
  reviseBy(revision: number, base: number | null, puts: Buffer): void {
    this.channel.send(encodeBegin({ revision, base }));
    this.channel.send(puts);
    this.channel.send(encodeJson(FRAME.COMMIT, { revision }));
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }
}
