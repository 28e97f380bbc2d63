// What a connection goes through before it speaks its protocol, with steps made up for the test.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { type Handle, READABLE } from '../../src/io/io.ts';
import { ClientInfo, type OpeningStep, STEP_LAYERED, STEP_MORE, STEP_REFUSED } from '../../src/proxy/client-info.ts';
import type { Connection, ConnectionOwner } from '../../src/proxy/connection.ts';
import { Listener } from '../../src/proxy/listener.ts';
import { Opening } from '../../src/proxy/opening.ts';
import { Shared } from '../../src/proxy/transport/shared.ts';
import { Tcp } from '../../src/proxy/transport/tcp.ts';
import type { Transport, TransportUser } from '../../src/proxy/transport/transport.ts';
import { PlainWire } from '../../src/proxy/transport/wire.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { plainly, type TestNet } from '../support/net.ts';
import type { Peer } from '../support/peer.ts';

const { onBoth, simOnly } = plainly('its listener has steps of its own');

function lineEnd(mem: Uint8Array, start: number, end: number): number {
  const at = mem.subarray(start, end).indexOf(0x0a);
  return at < 0 ? -1 : start + at + 1;
}

/** A line `FROM address` names the client; anything else is refused. */
const NAMES_CLIENT: OpeningStep = {
  read(mem, start, end, info) {
    const after = lineEnd(mem, start, end);
    if (after < 0) return STEP_MORE;
    const line = Buffer.from(mem.subarray(start, after - 1)).toString('latin1');
    if (!line.startsWith('FROM ')) return STEP_REFUSED;
    info.client = Buffer.from(line.slice(5), 'latin1');
    return after;
  },
};

/** Looks at what comes next and uses nothing of it. */
const PEEKS: OpeningStep = {
  read(mem, start, end, info) {
    if (start === end) return STEP_MORE;
    info.secure = mem[start] === 0x16;
    return start;
  },
};

/** The protocol that is spoken behind the steps: it says who it speaks with, then repeats what it hears. */
class Echo implements Connection, TransportUser {
  readonly listener: Listener;
  readonly #owner: Server;
  readonly #transport: Transport;
  next: Connection | null = null;
  previous: Connection | null = null;

  constructor(owner: Server, listener: Listener, transport: Transport, info: ClientInfo) {
    this.#owner = owner;
    this.listener = listener;
    this.#transport = transport;
    transport.user = this;
    this.#say(Buffer.from(`${Buffer.from(info.client).toString()} ${info.secure}: `));
  }

  #say(bytes: Uint8Array): void {
    const at = this.#transport.reserve(bytes.length);
    this.#owner.shared.mem.set(bytes, at);
    this.#transport.commit(at + bytes.length);
    this.#transport.uncork();
  }

  onBytes(start: number, end: number): number {
    this.#say(this.#owner.shared.mem.slice(start, end));
    return end;
  }
  onEnd(): void {
    this.#transport.finish(false);
    this.#owner.closed(this);
  }
  onLost(): void {
    this.#owner.closed(this);
  }
  onHangup(): void {
    this.destroy();
  }
  destroy(): void {
    this.#transport.abort();
    this.#owner.closed(this);
  }
  onPeerClosed(): void {}
  onDrained(): void {}
  onConnected(): void {}
  onRelayed(): void {}
  drain(): void {}
  leave(): number {
    return 0;
  }
}

class Server implements ConnectionOwner {
  readonly shared: Shared;
  readonly cells = Cells.local();
  readonly held = new Set<Connection>();
  readonly address: Parameters<TestNet['connect']>[0];
  readonly #net: TestNet;

  constructor(net: TestNet, steps: readonly OpeningStep[]) {
    this.#net = net;
    this.shared = new Shared(net.io, this.cells);
    const listener = new Listener('listener/127.0.0.1:80');
    listener.steps = steps;
    const { handle, address } = net.listen();
    this.address = address;
    net.io.watch(handle, {
      onReady: (events) => {
        if ((events & READABLE) !== 0)
          for (let h = net.io.accept(handle); h >= 0; h = net.io.accept(handle)) this.#take(listener, h);
      },
    });
  }

  #take(listener: Listener, handle: Handle): void {
    const { io } = this.#net;
    const transport = new Tcp(this.shared, new PlainWire(io, handle), true, false);
    const info = new ClientInfo(io.peer(handle), handle, false);
    const speak = (): Connection => new Echo(this, listener, transport, info);
    this.held.add(new Opening(this.shared, this, listener, listener.steps, transport, info, speak));
    io.watch(handle, transport);
  }

  request(): never {
    throw new Error('nothing here speaks HTTP');
  }
  prefaced(): null {
    return null;
  }
  became(before: Connection, after: Connection): void {
    assert.ok(this.held.delete(before));
    this.held.add(after);
  }
  closed(connection: Connection): void {
    assert.ok(this.held.delete(connection));
  }

  async stop(): Promise<void> {
    await this.#net.settle();
    assert.equal(this.held.size, 0);
    this.shared.dispose();
    assert.deepEqual(this.#net.leaks(), []);
  }
}

async function exchange(peer: Peer, send: string): Promise<string> {
  await peer.send(send);
  peer.end();
  return Buffer.from(await peer.readAll()).toString('latin1');
}

onBoth(
  'steps take their part of the bytes, change what is known of the client, and hand over the rest',
  async (net) => {
    const server = new Server(net, [NAMES_CLIENT, PEEKS]);
    assert.equal(await exchange(await net.connect(server.address), 'FROM 10.1.2.3\nhello'), '10.1.2.3 false: hello');
    assert.equal(await exchange(await net.connect(server.address), 'FROM ::7\n\x16\x03'), '::7 true: \x16\x03');
    await server.stop();
  },
);

onBoth('a step that refuses ends the connection without an answer', async (net) => {
  const server = new Server(net, [NAMES_CLIENT]);
  const peer = await net.connect(server.address);
  await peer.send('GET / HTTP/1.1\r\n\r\n');
  await assert.rejects(peer.readAll(), { code: 'ECONNRESET' });
  await server.stop();
});

onBoth('a client that leaves before its opening is over leaves nothing behind', async (net) => {
  const server = new Server(net, [NAMES_CLIENT]);
  const one = await net.connect(server.address);
  await one.send('FRO');
  one.end();
  assert.equal(await one.read(), null);
  const two = await net.connect(server.address);
  await two.send('FRO');
  await net.settle();
  two.reset();
  await server.stop();
});

simOnly('an opening that does not come to its end is cut off, and counted', async (net) => {
  const server = new Server(net, [NAMES_CLIENT]);
  const peer = await net.connect(server.address);
  await peer.send('FROM');
  const ended = assert.rejects(peer.readAll(), { code: 'ECONNRESET' });
  await net.advance(LIMITS.HEAD_MS + 100);
  await ended;
  assert.equal(server.cells.get(limitCell('HEAD_MS')), 1);
  await server.stop();
});

/** A layer that stands once a line came from below, which it reads without a look behind it. */
class LineLayer extends PlainWire {
  override readonly layered = true;
  override shortReadEmpties = false;
  asked = 0;
  reads = 0;
  readonly #empties: boolean;

  constructor(net: TestNet, handle: Handle, empties: boolean) {
    super(net.io, handle);
    this.#empties = empties;
  }
  override recv(at: number, length: number): number {
    this.reads++;
    return super.recv(at, length);
  }
  override establish(): number {
    this.asked++;
    const n = super.recv(0, 100);
    if (n < 0) return n;
    this.shortReadEmpties = this.#empties;
    return 0;
  }
}

for (const [name, decided, empties, asked, reads] of [
  ['is asked when more comes from below, and no earlier; known to be empty it is not read', false, true, 1, 0],
  ['that may have something left is read at once', false, false, 1, 1],
  ['that has decided is asked in the next turn', true, true, 2, 0],
] as const) {
  simOnly(
    `a layer ${name}`,
    async (net) => {
      let layer: LineLayer | null = null;
      const step: OpeningStep = {
        read(mem, start, end, info, transport) {
          if (lineEnd(mem, start, end) !== end) return STEP_MORE;
          layer = new LineLayer(net, info.handle, empties);
          transport.layer(layer, decided);
          return STEP_LAYERED;
        },
      };
      const server = new Server(net, [step]);
      const peer = await net.connect(server.address);
      await peer.send('hello\n');
      await net.settle();
      const made = layer as unknown as LineLayer;
      assert.equal(made.asked, decided ? 1 : 0);
      await peer.send('shake\n');
      await net.settle();
      assert.deepEqual([made.asked, made.reads], [asked, reads]);
      await peer.send('word');
      peer.end();
      assert.match(Buffer.from(await peer.readAll()).toString(), /: word$/);
      await server.stop();
    },
    { seeds: 0 },
  );
}
