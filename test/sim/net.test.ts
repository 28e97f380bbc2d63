// The test network itself: a relay must work on both makings of it, and every part of the scripts' interface is used.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HARSH } from '../../src/sim/faults.ts';
import { Random } from '../../src/sim/random.ts';
import { plainly, runSeed, seedsOf } from '../support/net.ts';
import { EndedEarly, isGone } from '../support/peer.ts';
import { SimNet } from '../support/sim-net.ts';
import { Relay } from './relay.ts';

const { onBoth, simOnly } = plainly('the network itself');

onBoth('bytes pass both ways, FIN after FIN, and nothing is left', async (net) => {
  const backend = net.serve(async (peer) => {
    assert.equal(await peer.readUntil('\n'), 'ping\n');
    await peer.send('pong\n');
    assert.equal(await peer.read(), null);
    await peer.send('bye');
    peer.end();
    assert.equal(await peer.closed, 'fin');
  });
  const { handle, address } = net.listen();
  new Relay(net.io, handle, backend);
  const client = await net.connect(address, '127.0.0.9');
  await client.send('ping\n');
  assert.equal(await client.readUntil('\n'), 'pong\n');
  client.end();
  assert.equal(Buffer.from(await client.readAll()).toString(), 'bye');
  assert.equal(await client.closed, 'fin');
  await net.settle();
  assert.deepEqual(net.leaks(), []);
});

onBoth('a large body survives every cut, with a reader slower than the writer', async (net) => {
  const body = Buffer.alloc(1_000_003);
  const random = new Random(5);
  for (let i = 0; i < body.length; i++) body[i] = random.u32();
  const backend = net.serve(async (peer) => {
    const got = await peer.readExactly(body.length);
    assert.ok(body.equals(got));
    await peer.send(got);
    peer.end();
  });
  const { handle, address } = net.listen();
  new Relay(net.io, handle, backend);
  const client = await net.connect(address);
  await client.send(body);
  client.end();
  const got: Uint8Array[] = [];
  for (let more = await client.read(1000); more !== null; more = await client.read(10_000)) {
    if (got.length < 5) await net.settle();
    got.push(more);
  }
  assert.ok(Buffer.concat(got).equals(body));
});

onBoth('who does not read stops the writer: back-pressure is real', async (net) => {
  const backend = net.serve(() => {});
  const { handle, address } = net.listen();
  const relay = new Relay(net.io, handle, backend);
  const client = await net.connect(address);
  const piece = Buffer.alloc(65_536);
  let sent = 0;
  let still = 0;
  while (still < 3) {
    const n = client.trySend(piece);
    sent += n;
    still = n === 0 ? still + 1 : 0;
    if (n === 0) await net.settle();
    assert.ok(sent < 100_000_000, 'it is never full');
  }
  assert.ok(sent > 0);
  client.reset();
  await net.settle();
  assert.equal(relay.pairs.size, 0);
});

onBoth('a reset passes through, and shows as one', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.send('partial');
    await peer.readUntil('now');
    peer.reset();
  });
  const { handle, address } = net.listen();
  new Relay(net.io, handle, backend);
  const client = await net.connect(address);
  assert.equal(await client.readUntil('partial'), 'partial');
  await client.send('now');
  await assert.rejects(client.read(), { code: 'ECONNRESET' });
  assert.equal(await client.closed, 'reset');
});

onBoth('FIN in the middle is no end', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readUntil('\r\n\r\n');
    await peer.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    peer.end();
  });
  const { handle, address } = net.listen();
  new Relay(net.io, handle, backend);
  const client = await net.connect(address);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await assert.rejects(client.readMessage(), EndedEarly);
});

onBoth('refused backends, unix backends, IPv6', async (net) => {
  const refused = net.listen();
  new Relay(net.io, refused.handle, net.refuse());
  const lost = await net.connect(refused.address);
  await assert.rejects(lost.readAll(), { code: 'ECONNRESET' });

  const unix = net.serveUnix(async (peer) => {
    await peer.send(await peer.readUntil('!'));
    peer.end();
  });
  const six = net.listen({ family: 'ipv6' });
  new Relay(net.io, six.handle, unix);
  const client = await net.connect(six.address);
  await client.send('hello!');
  client.end();
  assert.equal(Buffer.from(await client.readAll()).toString(), 'hello!');
});

simOnly('time passes only when told, timer by timer', async (net) => {
  const silent = net.silent();
  const { handle, address } = net.listen();
  new Relay(net.io, handle, silent);
  const client = await net.connect(address);
  const before = net.io.nowMs;
  await net.settle();
  assert.ok(net.io.nowMs - before < 100);
  const answer = assert.rejects(client.readAll(), { code: 'ECONNRESET' });
  await net.advance(130_000);
  await answer;
  assert.ok(net.io.nowMs - before >= 130_000);
});

test('a simulation in which nothing can happen says so, with its seed', async () => {
  const stuck = runSeed(
    77,
    async (net) => {
      const client = await net.connect(net.listen().address);
      await client.read();
    },
    { ...HARSH, connectFail: 0, resetPerByte: 0 },
  );
  await assert.rejects(stuck, /seed 77 .*nothing can happen any more; waiting: bytes from 127\.0\.0\.1/s);
});

test('what the program under test throws fails the test', async () => {
  const net = new SimNet({ seed: 1 });
  const { handle, address } = net.listen();
  net.io.watch(handle, {
    onReady() {
      throw new Error('a bug in a sink');
    },
  });
  await assert.rejects(
    net.connect(address).then((c) => c.read()),
    /a bug in a sink/,
  );
  await assert.rejects(net.close(), /a bug in a sink/);
});

test('what a script of a backend throws fails the test', async () => {
  const net = new SimNet({ seed: 1 });
  const backend = net.serve(() => {
    throw new Error('not what was expected');
  });
  const client = await net.connect(backend);
  await assert.rejects(client.readAll(), { code: 'ECONNRESET' });
  await assert.rejects(net.close(), /not what was expected/);
});

/** A crowd of clients through the relay; what they see, in the order they see it. */
async function crowd(net: SimNet, seed: number, note: (line: string) => void): Promise<void> {
  net.patient = true;
  const random = new Random(seed);
  const backend = net.serve(async (peer) => {
    await peer.send(await peer.readAll());
    peer.end();
  });
  const { handle, address } = net.listen();
  const relay = new Relay(net.io, handle, backend);
  const clients = Array.from({ length: 12 }, async (_, i) => {
    const body = Buffer.alloc(random.below(100_000), i + 1);
    const abort = random.chance(0.2);
    try {
      const client = await net.connect(address);
      const answer = client.readAll();
      answer.catch(() => {});
      await client.send(body);
      if (abort) {
        client.reset();
        return;
      }
      client.end();
      const got = await answer;
      assert.ok(body.equals(got), `client ${i} sent ${body.length} and got ${got.length} bytes`);
      note(`${i}: ${got.length} at ${net.io.nowUs}`);
    } catch (error) {
      const code = (error as { code?: string }).code;
      if (code === undefined || code === 'ERR_ASSERTION') throw error;
      note(`${i}: ${code} at ${net.io.nowUs}`);
    }
  });
  await Promise.all(clients);
  await net.settle();
  relay.close();
  await net.settle();
  assert.deepEqual(net.leaks(), []);
}

test('a crowd on the relay under every fault: all or an error, never a false end; nothing left', async () => {
  const seen = new Set<string>();
  for (const seed of seedsOf(12)) {
    await runSeed(seed, (net) => crowd(net, seed, (line) => seen.add(line.replace(/^\d+: (\w+) .*/, '$1'))), {
      ...HARSH,
      allocFail: 0.05,
      resetPerByte: 1e-5,
    });
  }
  if (seedsOf(12).length >= 12) assert.ok(seen.has('ECONNRESET'), 'faults do happen');
});

test('equal seeds give equal runs, call by call; another seed another run', async () => {
  const runs: string[] = [];
  for (const seed of [3, 3, 4]) {
    const lines: string[] = [];
    const trace = (line: string): void => {
      lines.push(line);
    };
    await runSeed(seed, (net) => crowd(net, 9, trace), HARSH, { trace });
    assert.ok(lines.length > 1000, `${lines.length} lines`);
    runs.push(lines.join('\n'));
  }
  assert.ok(runs[0] === runs[1], 'the same seed gave another run');
  assert.ok(runs[0] !== runs[2], 'another seed gave the same run');
});

test('isGone knows what a vanished peer looks like', () => {
  assert.ok(isGone({ code: 'ECONNRESET' }));
  assert.ok(!isGone(new Error('x')));
});
