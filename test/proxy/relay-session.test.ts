// Sessions of layer 4: TCPRoute over sockets and over the simulation, in the clear and behind TLS that ends here.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { ReadySink } from '../../src/io/io.ts';
import type { Entry } from '../../src/ir/ir.ts';
import { RelaySession } from '../../src/proxy/relay/session.ts';
import { CELL, limitCell, sessionsCell } from '../../src/telemetry/layout.ts';
import { breakOff, readToReset, SEND_BUFFER } from '../support/break-off.ts';
import { nativeOnly, onBoth, type Peer, simOnly, type TestNet } from '../support/net.ts';
import { cluster, clusterKey, endpoint, Rig, relay, tcpListener } from './rig.ts';

const TCP = { protocol: 'tcp' } as const;

type Backends = ConstructorParameters<typeof Rig>[1];

/** `entries` with the listener and a cluster `app` of `backends`, relayed to. */
function relaying(net: TestNet, backends: Backends, entries: readonly (Entry | readonly Entry[])[] = [relay()]): Rig {
  const app = cluster(
    'app',
    backends.map((b) => endpoint(b)),
    TCP,
  );
  return new Rig(net, [], [tcpListener(), app, ...entries]);
}

/** A backend that says its name, then returns what it hears. */
function named(net: TestNet, name: string): Backends[number] {
  return net.serve(async (peer) => {
    await peer.send(`${name}\n`);
    for (;;) {
      const bytes = await peer.read().catch(() => null);
      if (bytes === null) break;
      await peer.send(bytes);
    }
    peer.end();
  });
}

async function nameOf(client: Peer): Promise<string> {
  const name = (await client.readUntil('\n')).trim();
  client.end();
  await client.readAll();
  client.close();
  return name;
}

onBoth('a session accepted as its backend leaves the configuration still comes to it', async (net) => {
  const rig = relaying(net, [named(net, 'old')]);
  const two = cluster('two', [endpoint(named(net, 'new'))], TCP);
  const change = { upserts: [two, relay({ to: ['two'] })].flat(), removals: [clusterKey('app')] };
  const again = net.io.again.bind(net.io);
  let accepted = 0;
  // Whoever is accepted goes on at the end of the turn: what the controller says may be between.
  Object.assign(net.io, {
    again: (sink: ReadySink, events: number): void => {
      again(sink, events);
      if (sink instanceof RelaySession && accepted++ === 0) rig.apply(change);
    },
  });
  assert.equal(await nameOf(await rig.connect()), 'old');
  assert.equal(await nameOf(await rig.connect()), 'new');
  assert.equal(accepted, 2);
  await rig.end();
});

const open = (rig: Rig): number => rig.get(sessionsCell(0)) + rig.get(sessionsCell(1));

onBoth('bytes pass both ways, the server may speak first, and each side ends for itself', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.send('220 ready\r\n');
    assert.equal(await peer.readUntil('\n'), 'HELO\r\n');
    await peer.send('250 ok\r\n');
    assert.equal(await peer.read(), null, 'the end of the client comes through');
    await peer.send('221 bye\r\n');
    peer.end();
    assert.equal(await peer.closed, 'fin');
  });
  const rig = relaying(net, [backend]);
  const client = await rig.connect();
  assert.equal(await client.readUntil('\n'), '220 ready\r\n');
  assert.equal(open(rig), 1);
  await client.send('HELO\r\n');
  assert.equal(await client.readUntil('\n'), '250 ok\r\n');
  client.end();
  assert.equal(Buffer.from(await client.readAll()).toString(), '221 bye\r\n', 'and what is said behind it');
  assert.equal(await client.closed, 'fin');
  client.close();
  await rig.end();
  assert.equal(open(rig), 0);
  assert.equal(rig.get(CELL.CONNECTIONS), 0);
  const { session, flags, end, requestBytes, responseBytes, route, backend: to, attempts, status } = rig.records.last;
  assert.equal(rig.records.all.length, 1);
  assert.ok(session >= 0);
  assert.deepEqual([flags, end, requestBytes, responseBytes, attempts, status], ['', 'client', 6, 28, 1, 0]);
  assert.equal(route, '"kind":"TCPRoute","route":"default/db","rule":"0"');
  assert.equal(to, '"backend":"default/app:80"');
});

onBoth('a client that sends all and ends before the backend is there is heard whole', async (net) => {
  const backend = net.serve(async (peer) => {
    const all = Buffer.from(await peer.readAll()).toString();
    await peer.send(`heard ${all}`);
    peer.end();
  });
  const rig = relaying(net, [backend]);
  const client = await rig.connect();
  await client.send('everything');
  client.end();
  assert.equal(Buffer.from(await client.readAll()).toString(), 'heard everything');
  client.close();
  await rig.end();
  assert.deepEqual([rig.records.last.end, rig.records.last.flags], ['client', '']);
});

onBoth('megabytes both ways at once, with back-pressure', async (net) => {
  const rig = relaying(net, [named(net, 'app')]);
  const client = await rig.connect();
  assert.equal(await client.readUntil('\n'), 'app\n');
  const large = Buffer.alloc(3_000_000);
  for (let i = 0; i < large.length; i += 4) large.writeUInt32LE(i, i);
  const [back] = await Promise.all([client.readExactly(large.length), client.send(large)]);
  assert.ok(large.equals(back));
  client.end();
  await client.readAll();
  client.close();
  await rig.end();
  const { requestBytes, responseBytes } = rig.records.last;
  assert.deepEqual([requestBytes, responseBytes], [large.length, large.length + 4]);
});

onBoth('a reset of either side is passed on as a reset', async (net) => {
  const ends: string[] = [];
  const backend = net.serve(async (peer) => {
    await peer.send('x\n');
    const line = await peer.readUntil('\n').catch(() => 'reset');
    ends.push(line);
    if (line !== 'reset') peer.reset();
  });
  const rig = relaying(net, [backend]);
  const first = await rig.connect();
  await first.readUntil('\n');
  await first.send('go\n');
  await assert.rejects(first.readAll());
  const second = await rig.connect();
  await second.readUntil('\n');
  second.reset();
  await rig.end();
  assert.deepEqual(ends, ['go\n', 'reset']);
  assert.deepEqual(
    rig.records.all.map(({ end, flags }) => [end, flags]),
    [
      ['backend', 'UC'],
      ['client', 'DC'],
    ],
  );
});

onBoth('what a backend said before it was reset arrives at a client that reads later, then the reset', async (net) => {
  const said = Promise.withResolvers<number>();
  const rig = relaying(net, [net.serve(async (peer) => said.resolve(await breakOff(net, peer)))]);
  const client = await rig.connect();
  const sent = await said.promise;
  const got = await readToReset(net, client);
  // What its own kernel still had is lost with it, as without us.
  if (net.kind === 'sim') assert.ok(got >= sent - SEND_BUFFER, `${got} of ${sent}`);
  assert.ok(got > 0);
  assert.deepEqual([rig.records.last.end, rig.records.last.flags], ['backend', 'UC']);
  await rig.end();
});

onBoth('and what a client said, at its backend', async (net) => {
  const later = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<number>();
  const backend = net.serve(async (peer) => {
    await peer.send('x');
    await later.promise;
    heard.resolve(await readToReset(net, peer));
  });
  const rig = relaying(net, [backend]);
  const client = await rig.connect();
  await client.readExactly(1);
  const sent = await breakOff(net, client);
  later.resolve();
  const got = await heard.promise;
  if (net.kind === 'sim') assert.ok(got >= sent - SEND_BUFFER, `${got} of ${sent}`);
  assert.ok(got > 0);
  assert.deepEqual([rig.records.last.end, rig.records.last.flags], ['client', 'DC']);
  await rig.end();
});

simOnly(
  'who takes nothing of it is reset after a while',
  async (net) => {
    const said = Promise.withResolvers<number>();
    const rig = relaying(net, [net.serve(async (peer) => said.resolve(await breakOff(net, peer)))]);
    const client = await rig.connect();
    await said.promise;
    assert.equal(rig.records.all.length, 0);
    await net.advance(LIMITS.LINGER_MS * 2);
    assert.deepEqual([rig.records.last.end, rig.records.last.flags], ['backend', 'UC']);
    assert.equal(rig.get(limitCell('LINGER_MS')), 1);
    await net.advance(LIMITS.LINGER_MS * 2);
    await assert.rejects(client.readAll(), { code: 'ECONNRESET' });
    await rig.end();
  },
  { sim: { sendBufferBytes: 4_096, receiveBufferBytes: 4_096 } },
);

nativeOnly('all of it where nothing was left behind', async (net) => {
  const some = 150_000;
  const said = Promise.withResolvers<number>();
  const rig = relaying(net, [net.serve(async (peer) => said.resolve(await breakOff(net, peer, some)))]);
  const client = await rig.connect();
  assert.equal(await said.promise, some);
  assert.equal(await readToReset(net, client), some);
  await rig.end();
});

onBoth('a backend that has ended and takes no more keeps no session: it ends with its client', async (net) => {
  const gone = Promise.withResolvers<void>();
  const backend = net.serve(async (peer) => {
    await peer.send('bye');
    peer.end();
    await gone.promise;
    peer.reset();
  });
  const rig = relaying(net, [backend]);
  const client = await rig.connect();
  assert.equal(Buffer.from(await client.readAll()).toString(), 'bye');
  const sent = client.send(Buffer.alloc(4_000_000));
  await net.settle();
  gone.resolve();
  await sent;
  client.end();
  while (rig.records.all.length === 0) await net.advance(10);
  assert.deepEqual([rig.records.last.end, rig.records.last.flags], ['backend', '']);
  client.close();
  await rig.end();
});

onBoth('an endpoint that refuses costs nobody anything: another one is dialled', async (net) => {
  const rig = relaying(net, [net.refuse(), net.refuse(), named(net, 'good')]);
  for (let i = 0; i < 6; i++) assert.equal(await nameOf(await rig.connect()), 'good');
  await rig.end();
  const attempts = rig.records.all.map((r) => r.attempts);
  assert.ok(Math.max(...attempts) > 1 && Math.max(...attempts) <= 3, String(attempts));
  assert.ok(rig.records.all.every(({ flags }) => flags === ''));
});

onBoth('what comes to no backend is reset, and the log says why', async (net) => {
  const rig = relaying(net, [net.refuse()], []);
  const refused = async (): Promise<string> => {
    const client = await rig.connect();
    // Behind TLS the handshake itself is fine.
    await client.send('x').catch(() => {});
    await assert.rejects(client.readAll(), { code: 'ECONNRESET' });
    await net.settle();
    return `${rig.records.last.flags} ${rig.records.last.end}`;
  };
  assert.equal(await refused(), 'NR refused', 'no route');
  rig.apply({ upserts: [relay({ to: [null] })], removals: [] });
  assert.equal(await refused(), 'NC refused', 'a reference that is not good');
  rig.apply({ upserts: [relay({ to: ['app'], weights: [0] })], removals: [] });
  assert.equal(await refused(), 'NC refused', 'nobody has a share');
  rig.apply({ upserts: [relay({ to: ['none'] }), cluster('none', [], TCP)], removals: [] });
  assert.equal(await refused(), 'UH refused', 'no endpoint');
  rig.apply({ upserts: [relay()], removals: [] });
  assert.equal(await refused(), 'UF refused', 'every endpoint refuses');
  await rig.end();
});

/** The listener where it really is. */
function found(rig: Rig): Entry {
  const { address, port } = rig.listening;
  return { ...tcpListener(), address, port };
}

onBoth('an endpoint that is the listener itself is left for another one', async (net) => {
  const good = named(net, 'good');
  const rig = relaying(net, [good]);
  const both = cluster('app', [endpoint(rig.listening), endpoint(good)], TCP);
  rig.apply({ upserts: [found(rig), ...both], removals: [] });
  for (let i = 0; i < 4; i++) assert.equal(await nameOf(await rig.connect()), 'good');
  await rig.end();
  assert.equal(rig.records.all.length, 4, 'none of them came here again');
});

onBoth('where there is no other one a session ends at once, and does not go round', async (net) => {
  const rig = relaying(net, []);
  rig.apply({ upserts: [found(rig), ...cluster('app', [endpoint(rig.listening)], TCP)], removals: [] });
  const client = await rig.connect();
  await client.send('x').catch(() => {});
  await assert.rejects(client.readAll(), { code: 'ECONNRESET' });
  await net.settle();
  assert.deepEqual(
    rig.records.all.map(({ flags, end }) => `${flags} ${end}`),
    ['UF refused'],
  );
  await rig.end();
});

onBoth('shares are as the weights say, those of bad references among them', async (net) => {
  const rig = relaying(
    net,
    [named(net, 'app')],
    [
      relay({ to: ['app', 'other', null, 'never'], weights: [5, 3, 2, 0] }),
      cluster('other', [endpoint(named(net, 'other'))], TCP),
      cluster('never', [endpoint(named(net, 'never'))], TCP),
    ],
  );
  const got: Record<string, number> = {};
  for (let i = 0; i < 40; i++) {
    const name = await rig
      .connect()
      .then(nameOf)
      .catch(() => 'refused');
    got[name] = (got[name] ?? 0) + 1;
  }
  await rig.end();
  assert.deepEqual(got, { app: 20, other: 12, refused: 8 });
});

onBoth('of two routes the older has the sessions; when it goes, the younger; open sessions stay', async (net) => {
  const rig = relaying(
    net,
    [named(net, 'old')],
    [
      relay({ name: 'a-young', created: 20, to: ['young'] }),
      cluster('young', [endpoint(named(net, 'young'))], TCP),
      relay({ name: 'z-old', created: 10 }),
    ],
  );
  const stays = await rig.connect();
  assert.equal(await stays.readUntil('\n'), 'old\n');
  rig.apply({ upserts: [], removals: ['relay/TCPRoute/default/z-old/0'] });
  assert.equal(await nameOf(await rig.connect()), 'young');
  await stays.send('still here\n');
  assert.equal(await stays.readUntil('\n'), 'still here\n');
  rig.apply({ upserts: [relay({ name: 'b-same', created: 20 })], removals: [] });
  assert.equal(await nameOf(await rig.connect()), 'young', 'of one age the first by name');
  stays.end();
  await stays.readAll();
  stays.close();
  await rig.end();
});

onBoth('endpoints, clusters and routes that go leave sessions alone, and nothing is kept of them', async (net) => {
  const rig = relaying(net, [named(net, 'app')]);
  const client = await rig.connect();
  assert.equal(await client.readUntil('\n'), 'app\n');
  const [entry, endpoints] = cluster('app', [], TCP);
  rig.apply({ upserts: [], removals: [relay().key, entry.key, endpoints.key] });
  await client.send('on\n');
  assert.equal(await client.readUntil('\n'), 'on\n');
  client.end();
  await client.readAll();
  client.close();
  await rig.end();
  assert.equal(rig.get(CELL.UPSTREAM_CONNECTIONS), 0);
});

onBoth('one client keeps its endpoint where the cluster hashes addresses', async (net) => {
  const backends = ['a', 'b', 'c', 'd'].map((name) => endpoint(named(net, name)));
  const balancer = { type: 'maglev', key: 'clientAddress', name: '' } as const;
  const rig = new Rig(net, [], [tcpListener(), relay(), cluster('app', backends, { ...TCP, balancer })]);
  const names = new Set<string>();
  for (let i = 0; i < 8; i++) names.add(await nameOf(await rig.connect()));
  assert.equal(names.size, 1);
  await rig.end();
});

simOnly('a session in which nothing moves ends; one with a byte now and then does not', async (net) => {
  const rig = relaying(net, [named(net, 'app')], [relay({ idleMs: 8_000 })]);
  const [lazy, quiet] = [await rig.connect(), await rig.connect()];
  for (const client of [lazy, quiet]) assert.equal(await client.readUntil('\n'), 'app\n');
  for (let i = 0; i < 5; i++) {
    await net.advance(4_000);
    await lazy.send('.\n');
    assert.equal(await lazy.readUntil('\n'), '.\n');
  }
  await assert.rejects(quiet.readAll(), { code: 'ECONNRESET' });
  lazy.end();
  await lazy.readAll();
  lazy.close();
  await rig.end();
  const [first, second] = rig.records.all;
  assert.deepEqual([first?.end, first?.flags, first?.limit, second?.end], ['idle', 'SI', 'SESSION_IDLE_MS', 'client']);
  assert.equal(rig.get(limitCell('SESSION_IDLE_MS')), 1);
});

simOnly('a listener that goes lets its sessions end; those that do not are ended after a while', async (net) => {
  const rig = relaying(net, [named(net, 'app')]);
  const [short, long] = [await rig.connect(), await rig.connect()];
  for (const client of [short, long]) assert.equal(await client.readUntil('\n'), 'app\n');
  rig.apply({ upserts: [], removals: [tcpListener().key] });
  await net.advance(LIMITS.SESSION_DRAIN_MS / 2);
  await short.send('x\n');
  assert.equal(await short.readUntil('\n'), 'x\n');
  short.end();
  await short.readAll();
  short.close();
  await net.advance(LIMITS.SESSION_DRAIN_MS);
  await assert.rejects(long.readAll(), { code: 'ECONNRESET' });
  await rig.end();
  assert.deepEqual(
    rig.records.all.map(({ end }) => end),
    ['client', 'drain'],
  );
});

onBoth('a worker that leaves waits for its sessions, and ends what is left when it must go', async (net) => {
  const rig = relaying(net, [named(net, 'app')]);
  const [ends, stays] = [await rig.connect(), await rig.connect()];
  for (const client of [ends, stays]) assert.equal(await client.readUntil('\n'), 'app\n');
  let drained = false;
  rig.engine.drain(() => {
    drained = true;
  });
  await ends.send('x\n');
  assert.equal(await ends.readUntil('\n'), 'x\n');
  ends.end();
  await ends.readAll();
  ends.close();
  await net.settle();
  assert.equal(drained, false);
  rig.engine.stop();
  await assert.rejects(stays.readAll(), { code: 'ECONNRESET' });
  await rig.end();
  assert.deepEqual(
    rig.records.all.map(({ end }) => end),
    ['client', 'drain'],
  );
});
