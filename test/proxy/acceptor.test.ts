// How connections are taken from a listening socket: so many a turn; and who is established when it is let go of is
// taken along.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import type { IpAddress } from '../../src/io/io.ts';
import { openNative } from '../../src/native/index.ts';
import { Engine } from '../../src/proxy/engine.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import { LISTENER, listener, Records } from './rig.ts';

const QUEUED = 100;

test('what waits in the accept queue is taken before the socket is let go of', () => {
  const io = openNative({ arenaBytes: 16 << 20 });
  const engine = new Engine({
    io,
    cells: Cells.local(),
    records: new Records(),
    settings: { trustedProxies: [] },
  });
  engine.apply({ upserts: [listener()], removals: [] });
  const listen = (): number =>
    io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: false, backlog: QUEUED });
  const handle = listen();
  engine.addSocket(LISTENER, handle);
  // On loopback a handshake is over when connect(2) returns; nobody has turned since.
  const clients = Array.from({ length: QUEUED }, () => io.connect(io.localAddress(handle) as IpAddress));
  assert.equal(engine.stats().connections, 0);
  let drained = false;
  engine.removeSocket(LISTENER);
  assert.equal(engine.stats().connections, QUEUED, 'more than one turn would take');
  engine.drain(() => {
    drained = true;
  });
  assert.ok(!drained);
  for (const client of clients) io.close(client);
  while (engine.stats().connections > 0) io.turn(100);
  assert.ok(drained);

  // One that ends everything at once takes nobody in.
  const other = listen();
  engine.addSocket(LISTENER, other);
  const late = io.connect(io.localAddress(other) as IpAddress);
  engine.stop();
  assert.equal(engine.stats().connections, 0);
  for (const left of [late, handle, other]) io.close(left);
  io.dispose();
});

test('a queue that is never empty gives no more a turn, however long it lasts', () => {
  const io = openNative({ arenaBytes: 16 << 20 });
  const settings = { trustedProxies: [] };
  const engine = new Engine({ io, cells: Cells.local(), records: new Records(), settings });
  engine.apply({ upserts: [listener()], removals: [] });
  const handle = io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: false, backlog: 1024 });
  engine.addSocket(LISTENER, handle);
  const at = io.localAddress(handle) as IpAddress;
  const clients: number[] = [];
  const each = LIMITS.ACCEPTS_PER_TURN;
  const connect = (count: number): void => {
    for (let i = 0; i < count; i++) clients.push(io.connect(at));
  };
  connect(6 * each);
  const taken: number[] = [];
  for (let turn = 0; turn < 6; turn++) {
    // Somebody comes in each turn: an edge.
    connect(each / 4);
    const before = engine.stats().connections;
    io.turn(0);
    taken.push(engine.stats().connections - before);
  }
  // What its own call takes belongs to the turn in which it was first asked for.
  assert.deepEqual(taken, [2 * each, each, each, each, each, each]);
  engine.stop();
  for (const left of [...clients, handle]) io.close(left);
  io.dispose();
});
