// Transports joined by relayTo, on loopback and on the simulation: order, back-pressure, half-close, resets, idle ends.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { type Handle, READABLE, type ReadySink, type SocketAddress } from '../../src/io/io.ts';
import { Shared } from '../../src/proxy/transport/shared.ts';
import { Tcp } from '../../src/proxy/transport/tcp.ts';
import type { TransportUser } from '../../src/proxy/transport/transport.ts';
import { PlainWire } from '../../src/proxy/transport/wire.ts';
import { GENTLE, HARSH } from '../../src/sim/faults.ts';
import { Random } from '../../src/sim/random.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { isGone, type Peer } from '../support/peer.ts';
import { Tunnel, type TunnelEnd } from '../support/tunnel.ts';

const { onBoth, simOnly } = plainly('its transports stand over sockets by themselves');

const IDLE_MS = 10_000;
const PREFIX = 'to the backend\r\n';

/** Accepts, reads a line as a codec would, connects, and joins the two: what is behind the line is relayed. */
class Program implements ReadySink {
  readonly net: TestNet;
  readonly shared: Shared;
  readonly ends: TunnelEnd[] = [];
  readonly #tunnels = new Set<Tunnel>();
  readonly #listener: Handle;
  readonly #target: SocketAddress;
  readonly address: Parameters<TestNet['connect']>[0];

  constructor(net: TestNet, target: SocketAddress) {
    this.net = net;
    this.shared = new Shared(net.io, Cells.local());
    this.#target = target;
    const { handle, address } = net.listen();
    this.#listener = handle;
    this.address = address;
    net.io.watch(handle, this);
    net.io.onTurn(() => this.shared.onTurn());
  }

  onReady(events: number): void {
    if ((events & READABLE) === 0) return;
    for (let handle = this.net.io.accept(this.#listener); handle >= 0; handle = this.net.io.accept(this.#listener)) {
      const client = new Tcp(this.shared, new PlainWire(this.net.io, handle), true, false);
      client.user = user({
        onBytes: (start, end) => {
          const line = Buffer.from(this.shared.mem.subarray(start, end)).indexOf('\n');
          if (line < 0) return start;
          client.pause();
          this.#dial(client);
          return start + line + 1;
        },
        onEnd: () => client.abort(),
      });
      this.net.io.watch(handle, client);
    }
  }

  #dial(client: Tcp): void {
    const handle = this.net.io.connect(this.#target);
    if (handle < 0) {
      client.abort();
      return;
    }
    const backend = new Tcp(this.shared, new PlainWire(this.net.io, handle), false, true);
    backend.user = user({ onConnected: () => this.#join(client, backend), onLost: () => client.abort() });
    const leave = (): void => {
      client.abort();
      backend.abort();
    };
    client.user = user({ onLost: leave, onHangup: leave });
    this.net.io.watch(handle, backend, true);
  }

  #join(client: Tcp, backend: Tcp): void {
    const tunnel: Tunnel = new Tunnel(this.shared, client, backend, IDLE_MS, {
      onTunnelEnd: (end) => {
        this.ends.push(end);
        this.#tunnels.delete(tunnel);
      },
    });
    this.#tunnels.add(tunnel);
  }

  async connect(): Promise<Peer> {
    const peer = await this.net.connect(this.address);
    await peer.send(PREFIX);
    return peer;
  }

  /** Ends what is left and checks that nothing is held. */
  async stop(): Promise<void> {
    await this.net.settle();
    for (const tunnel of this.#tunnels) tunnel.destroy();
    this.shared.dispose();
    assert.deepEqual(this.net.leaks(), []);
  }
}

function user(wanted: Partial<TransportUser>): TransportUser {
  return {
    onBytes: (start) => start,
    onEnd() {},
    onLost() {},
    onHangup() {},
    onPeerClosed() {},
    onDrained() {},
    onConnected() {},
    onRelayed() {},
    ...wanted,
  };
}

/** Bytes that tell their place. */
function pattern(length: number, seed = 1): Buffer {
  const random = new Random(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = random.u32();
  return Buffer.from(words.buffer, 0, length);
}

onBoth('bytes pass both ways, also those that came with the head, and each direction ends by itself', async (net) => {
  const backend = net.serve(async (peer) => {
    assert.equal(await peer.readUntil('\n'), 'ping\n');
    await peer.send('pong\n');
    assert.equal(await peer.read(), null);
    await peer.send('bye');
    peer.end();
    assert.equal(await peer.closed, 'fin');
  });
  const program = new Program(net, backend);
  const client = await net.connect(program.address);
  await client.send(`${PREFIX}ping\n`);
  assert.equal(await client.readUntil('\n'), 'pong\n');
  client.end();
  assert.equal(Buffer.from(await client.readAll()).toString(), 'bye');
  assert.equal(await client.closed, 'fin');
  await program.stop();
  assert.deepEqual(program.ends, ['closed']);
});

onBoth('a direction that the backend ends leaves the other one open', async (net) => {
  let got = '';
  const backend = net.serve(async (peer) => {
    await peer.send('all of mine');
    peer.end();
    got = Buffer.from(await peer.readAll()).toString();
  });
  const program = new Program(net, backend);
  const client = await program.connect();
  assert.equal(Buffer.from(await client.readAll()).toString(), 'all of mine');
  await client.send('still here, ');
  await net.settle();
  await client.send('and again');
  client.end();
  while (program.ends.length === 0) await net.advance(1);
  await program.stop();
  assert.equal(got, 'still here, and again');
  assert.deepEqual(program.ends, ['closed']);
});

onBoth(
  'megabytes both ways at once, with readers slower than writers, arrive whole and in order',
  async (net) => {
    const up = pattern(1_500_003, 1);
    const down = pattern(2_000_001, 2);
    const backend = net.serve(async (peer) => {
      const sending = peer.send(down).then(() => peer.end());
      const got: Uint8Array[] = [];
      for (let more = await peer.read(1000); more !== null; more = await peer.read(50_000)) {
        if (got.length < 5) await net.settle();
        got.push(more);
      }
      await sending;
      assert.ok(up.equals(Buffer.concat(got)), 'what the client sent');
    });
    const program = new Program(net, backend);
    const client = await program.connect();
    const sending = client.send(up).then(() => client.end());
    const got: Uint8Array[] = [];
    for (let more = await client.read(1000); more !== null; more = await client.read(50_000)) {
      if (got.length < 5) await net.settle();
      got.push(more);
    }
    await sending;
    assert.ok(down.equals(Buffer.concat(got)), 'what the backend sent');
    // With buffers of 16 KB or more on the way the most of it has not come into this process.
    if (net.sim === null || net.sim.network.receiveBufferBytes > 16_384) assert.ok(program.shared.pipes.count > 0);
    while (program.ends.length === 0) await net.advance(1);
    await program.stop();
    assert.deepEqual(program.ends, ['closed']);
  },
  { seeds: 8 },
);

onBoth('a session that was large once and is small now is copied again', async (net) => {
  const large = pattern(300_000);
  const backend = net.serve(async (peer) => {
    await peer.send(large);
    for (let i = 0; i < 16; i++) await peer.send(await peer.readUntil('\n'));
    peer.end();
  });
  const program = new Program(net, backend);
  let pipes = 0;
  const { io } = net;
  const spliceIn = io.spliceIn.bind(io);
  io.spliceIn = (socket, pipe, length) => {
    pipes++;
    return spliceIn(socket, pipe, length);
  };
  const client = await program.connect();
  for (let got = 0; got < large.length; ) got += (await client.read(50_000))?.length ?? large.length;
  if (net.sim === null || net.sim.network.receiveBufferBytes > 16_384) assert.ok(pipes > 0, 'within the kernel first');
  const ask = async (): Promise<void> => {
    await client.send('ping\n');
    assert.equal(await client.readUntil('\n'), 'ping\n');
  };
  for (let i = 0; i < 8; i++) await ask();
  pipes = 0;
  for (let i = 0; i < 8; i++) await ask();
  assert.equal(pipes, 0);
  client.end();
  await client.readAll();
  while (program.ends.length === 0) await net.advance(1);
  await program.stop();
});

onBoth(
  'what the kernel moves in a turn counts less than what is copied, up to a bound for all connections',
  async (net) => {
    const shared = new Shared(net.io, Cells.local());
    const piece = LIMITS.PIPE_BYTES;
    for (let turn = 0; turn < 2; turn++) {
      for (let moved = 0; moved < LIMITS.SPLICED_PER_TURN; moved += piece) {
        assert.equal(shared.costOfMoving(piece), piece / LIMITS.SPLICED_FOR_COPIED);
      }
      assert.equal(shared.costOfMoving(piece), piece);
      shared.onTurn();
    }
    shared.dispose();
  },
);

onBoth('one connection moves no more in a turn than its share, and goes on in the next', async (net) => {
  const large = pattern(6_000_000);
  const program = new Program(
    net,
    net.serve(async (peer) => {
      await peer.send(large);
      peer.end();
    }),
  );
  const { io } = net;
  let moved = 0;
  let most = 0;
  const spliceIn = io.spliceIn.bind(io);
  io.spliceIn = (socket, pipe, length) => {
    const n = spliceIn(socket, pipe, length);
    moved += Math.max(0, n);
    most = Math.max(most, moved);
    return n;
  };
  io.onTurn(() => {
    moved = 0;
  });
  const client = await program.connect();
  let got = 0;
  for (let part = await client.read(100_000); part !== null; part = await client.read(100_000)) got += part.length;
  assert.equal(got, large.length);
  const share = LIMITS.BYTES_PER_TURN * LIMITS.SPLICED_FOR_COPIED + LIMITS.PIPE_BYTES;
  // By an event, and once more by going on where that left off.
  assert.ok(most <= 2 * share, `${most} bytes in one turn`);
  client.end();
  while (program.ends.length === 0) await net.advance(1);
  await program.stop();
});

onBoth('who does not read stops the writer: little is held', async (net) => {
  const program = new Program(
    net,
    net.serve(() => {}),
  );
  const client = await program.connect();
  await net.settle();
  const piece = Buffer.alloc(65_536);
  let sent = 0;
  for (let still = 0; still < 3; ) {
    const n = client.trySend(piece);
    sent += n;
    still = n === 0 ? still + 1 : 0;
    if (n === 0) await net.settle();
    assert.ok(sent < 100_000_000, 'it is never full');
  }
  if (net.sim !== null) assert.ok(net.sim.arena.bytes < 1024 * 1024, `${net.sim.arena.bytes} bytes`);
  client.reset();
  while (program.ends.length === 0) await net.advance(1);
  await program.stop();
  assert.deepEqual(program.ends, ['client']);
});

for (const side of ['client', 'backend'] as const) {
  onBoth(`a reset by the ${side} reaches the other side as one`, async (net) => {
    let other: Peer | null = null;
    const backend = net.serve(async (peer) => {
      other = peer;
      await peer.readUntil('go');
      if (side === 'backend') peer.reset();
      else await peer.readAll();
    });
    const program = new Program(net, backend);
    const client = await program.connect();
    await client.send('go');
    while (other === null) await net.advance(1);
    await net.settle();
    if (side === 'client') client.reset();
    const left: Peer = side === 'client' ? other : client;
    if (side === 'backend') await assert.rejects(client.readAll(), isGone);
    assert.equal(await left.closed, 'reset');
    while (program.ends.length === 0) await net.advance(1);
    await program.stop();
    assert.deepEqual(program.ends, [side]);
  });
}

simOnly('a tunnel in which nothing moves ends; a slow one does not', async (net) => {
  const program = new Program(
    net,
    net.serve(async (peer) => {
      await peer.readAll().catch(() => {});
    }),
  );
  const client = await program.connect();
  for (let i = 0; i < 5; i++) {
    await net.advance(IDLE_MS - 1000);
    await client.send('x');
  }
  assert.deepEqual(program.ends, []);
  const ended = assert.rejects(client.readAll(), isGone);
  await net.advance(2 * IDLE_MS + 1000);
  await ended;
  await program.stop();
  assert.deepEqual(program.ends, ['idle']);
});

simOnly(
  'under resets at any byte and without memory nothing is a false end and nothing is left',
  async (net) => {
    net.patient = true;
    const body = pattern(300_000, net.sim.network.seed);
    const backend = net.serve(async (peer) => {
      await peer.send(await peer.readAll());
      peer.end();
    });
    const faults = net.sim.network.faults;
    net.sim.network.faults = GENTLE;
    const program = new Program(net, backend);
    net.sim.network.faults = faults;
    await Promise.all(
      Array.from({ length: 6 }, async (_, i) => {
        const mine = body.subarray(0, 50_000 * i);
        try {
          const client = await program.connect();
          const reading = client.readAll();
          reading.catch(() => {});
          await client.send(mine);
          client.end();
          assert.ok(mine.equals(Buffer.from(await reading)), 'an end that was none');
        } catch (error) {
          if (!isGone(error)) throw error;
        }
      }),
    );
    net.sim.network.faults = GENTLE;
    // Connects that time out take two minutes.
    await net.advance(200_000);
    await program.stop();
  },
  { seeds: 25, faults: { ...HARSH, resetPerByte: 2e-6, allocFail: 0.02 } },
);
