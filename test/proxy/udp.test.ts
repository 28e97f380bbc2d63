// UDPRoute over sockets and over the simulation.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { IpAddress } from '../../src/io/io.ts';
import type { ClusterEntry, EndpointsEntry, Entry, RelayEntry, SocketEntry } from '../../src/ir/ir.ts';
import { Engine, type EngineSettings } from '../../src/proxy/engine.ts';
import { pathFrom } from '../../src/proxy/udp/flow-hash.ts';
import { HARSH } from '../../src/sim/faults.ts';
import { Random } from '../../src/sim/random.ts';
import { Cells } from '../../src/telemetry/cells.ts';
import {
  BACKEND_ERROR,
  datagramsCell,
  ENDPOINT,
  limitCell,
  OTHER_ENDPOINT_BLOCK,
  sessionsCell,
} from '../../src/telemetry/layout.ts';
import { nativeOnly, plainly, type TestNet } from '../support/net.ts';
import { echo, type UdpPeer, udpPeer, udpSocket, until } from '../support/udp.ts';
import { clusterKey, endpoint, GATEWAY, Records, type RelayOptions, relay } from './rig.ts';

const { onBoth, simOnly } = plainly('datagrams know no TLS');
const SOCKET = 'socket/127.0.0.1/53/udp';
const SESSIONS = sessionsCell(2);

function listener(): SocketEntry {
  return {
    kind: 'socket',
    key: SOCKET,
    address: '127.0.0.1',
    port: 53,
    transport: 'udp',
    hosts: [{ hostname: '*', gateway: GATEWAY.key, listener: 'dns', port: 53, protocol: 'UDP', tls: null }],
    fallback: null,
    proxyProtocol: null,
  };
}

function route(options: RelayOptions = {}): RelayEntry {
  const tcp = relay(options);
  return {
    ...tcp,
    key: `relay/UDPRoute/${tcp.route}/0`,
    routeKind: 'UDPRoute',
    attachments: [{ socket: SOCKET, host: '*', hostnames: ['*'] }],
  };
}

/** A cluster of these, and where they are. */
function app(peers: readonly { readonly address: IpAddress }[], name = 'app'): [ClusterEntry, EndpointsEntry] {
  const endpoints = `endpoints/Service/default/${name}/53/udp`;
  return [
    {
      kind: 'cluster',
      key: clusterKey(name),
      backend: `default/${name}`,
      endpoints,
      protocol: 'udp',
      proxyProtocol: null,
      tls: null,
      balancer: { type: 'maglev', key: 'flow', name: '' },
    },
    { kind: 'endpoints', key: endpoints, endpoints: peers.map(({ address }) => endpoint(address)) },
  ];
}

class UdpRig {
  readonly net: TestNet;
  readonly engine: Engine;
  readonly records = new Records();
  readonly cells = Cells.local();
  readonly address: IpAddress;
  readonly handle: number;
  #mayClose = true;

  constructor(net: TestNet, entries: readonly Entry[], settings: Partial<EngineSettings> = {}, bind = '127.0.0.1') {
    this.net = net;
    this.engine = new Engine({
      io: net.io,
      cells: this.cells,
      records: this.records,
      settings: { trustedProxies: [], ...settings },
    });
    this.apply([GATEWAY, listener(), ...entries]);
    const { handle, address } = udpSocket(net, bind);
    this.handle = handle;
    this.address = address;
    this.engine.addSocket(SOCKET, handle);
  }

  apply(upserts: readonly Entry[], removals: readonly string[] = []): void {
    this.engine.apply({ upserts, removals });
  }

  get open(): number {
    return this.cells.get(SESSIONS);
  }

  /** As the worker lets go of it. */
  letGo(): void {
    this.#mayClose = this.engine.removeSocket(SOCKET);
    if (this.#mayClose) this.net.io.close(this.handle);
  }

  /** Ends the engine; it holds nothing any more. */
  end(): void {
    this.engine.stop();
    if (this.#mayClose) this.net.io.close(this.handle);
    assert.equal(this.open, 0);
    assert.deepEqual(this.net.leaks(), []);
  }
}

/** Sends, and waits for what comes back. */
async function ask(net: TestNet, client: UdpPeer, to: IpAddress, text: string): Promise<string> {
  const before = client.heard.length;
  client.send(text, to);
  await until(net, `an answer to ${text}`, () => client.heard.length > before);
  return client.heard[before]?.text ?? '';
}

onBoth('a datagram and its answer, from the address that was asked; one line for the session', async (net) => {
  const backend = await echo(net, 'a');
  const rig = new UdpRig(net, [route(), ...app([backend])], {}, '0.0.0.0');
  const asked: IpAddress = { ...rig.address, address: '127.0.0.9' };
  const client = await udpPeer(net, undefined, '127.0.0.3');
  assert.equal(await ask(net, client, asked, 'one'), 'a:one');
  assert.equal(await ask(net, client, asked, ''), 'a:', 'an empty one is one too');
  assert.deepEqual(
    client.heard.map(({ from }) => from),
    [asked, asked],
  );
  assert.equal(rig.open, 1);
  client.close();
  backend.close();
  rig.end();
  const { session, client: who, flags, end, requestBytes, responseBytes, attempts, route: by } = rig.records.last;
  assert.equal(rig.records.all.length, 1);
  assert.deepEqual(
    [session, who, flags, end, requestBytes, responseBytes, attempts],
    [2, '127.0.0.3', '', 'drain', 3, 7, 1],
  );
  assert.equal(by, '"kind":"UDPRoute","route":"default/db","rule":"0"');
  assert.deepEqual(
    [rig.records.last.listener, rig.records.last.backend, rig.records.last.endpoint],
    [
      '"gateway":"default/gw","listener":"dns"',
      '"backend":"default/app:80"',
      `"endpoint":"127.0.0.1:${backend.address.port}"`,
    ],
  );
  assert.equal(rig.cells.get(datagramsCell('request', 'passed')), 2);
  assert.equal(rig.cells.get(datagramsCell('answer', 'passed')), 2);
});

onBoth(
  'a flow keeps its endpoint, clients are spread over them, and no answer comes to another client',
  async (net) => {
    const backends = await Promise.all(['a', 'b', 'c'].map((name) => echo(net, name)));
    const rig = new UdpRig(net, [route(), ...app(backends)]);
    const clients = await Promise.all(Array.from({ length: 60 }, () => udpPeer(net)));
    for (let round = 0; round < 3; round++) {
      for (const [i, client] of clients.entries()) client.send(`${i}.${round}`, rig.address);
      await until(net, 'all answers', () => clients.every(({ heard }) => heard.length > round));
    }
    const names = clients.map(({ heard }, i) => {
      const [name = ''] = heard.map(({ text }) => text.split(':')[0]);
      assert.deepEqual(
        heard.map(({ text }) => text).sort(),
        [0, 1, 2].map((round) => `${name}:${i}.${round}`),
      );
      return name;
    });
    for (const name of ['a', 'b', 'c']) assert.ok(names.filter((n) => n === name).length > 5, names.join(''));
    assert.equal(rig.open, 60);
    for (const peer of [...clients, ...backends]) peer.close();
    rig.end();
  },
);

onBoth(
  'an endpoint that goes: its flows go on with another one, those of the others stay where they are',
  async (net) => {
    const backends = await Promise.all(['a', 'b'].map((name) => echo(net, name)));
    const [a, b] = backends as [UdpPeer, UdpPeer];
    const rig = new UdpRig(net, [route(), ...app(backends)]);
    const clients = await Promise.all(Array.from({ length: 12 }, () => udpPeer(net)));
    const before: string[] = [];
    for (const client of clients) before.push(await ask(net, client, rig.address, 'x'));
    assert.ok(before.includes('a:x') && before.includes('b:x'));
    rig.apply(app([b]));
    for (const client of clients) assert.equal(await ask(net, client, rig.address, 'y'), 'b:y');
    // It comes back: who is there stays.
    rig.apply(app([a, b]));
    for (const client of clients) assert.equal(await ask(net, client, rig.address, 'z'), 'b:z');
    assert.equal(rig.records.all.length, 0, 'one session each, all the time');
    for (const peer of [...clients, ...backends]) peer.close();
    rig.end();
    assert.deepEqual([...new Set(rig.records.all.map(({ attempts }) => attempts))].sort(), [1, 2]);
  },
);

onBoth('an endpoint where nobody is: the flow goes to another one, and it is counted', async (net) => {
  const [a, b] = (await Promise.all(['a', 'b'].map((name) => echo(net, name)))) as [UdpPeer, UdpPeer];
  const rig = new UdpRig(net, [route(), ...app([a, b])]);
  const clients = await Promise.all(Array.from({ length: 8 }, () => udpPeer(net)));
  for (const client of clients) await ask(net, client, rig.address, 'x');
  a.close();
  for (const client of clients) {
    // The first one may be lost: that nobody took it is told only then.
    const before = client.heard.length;
    await until(net, 'an answer of b', () => {
      client.send('y', rig.address);
      return client.heard.length > before;
    });
    assert.match(client.heard.at(-1)?.text ?? '', /^b:/);
  }
  assert.ok(rig.cells.get(OTHER_ENDPOINT_BLOCK + ENDPOINT.ERRORS + BACKEND_ERROR.connect) > 0);
  for (const peer of [...clients, b]) peer.close();
  rig.end();
});

onBoth('the only endpoint is away for a while: the flow is there when it comes back', async (net) => {
  const a = await echo(net, 'a');
  const { port } = a.address;
  const rig = new UdpRig(net, [route(), ...app([a])]);
  const client = await udpPeer(net);
  await ask(net, client, rig.address, 'x');
  a.close();
  for (let i = 0; i < 3; i++) {
    client.send('lost', rig.address);
    await net.settle();
  }
  const again = await echo(net, 'again', port);
  await until(net, 'an answer', () => {
    client.send('y', rig.address);
    return client.heard.length > 1;
  });
  assert.equal(client.heard[1]?.text, 'again:y');
  assert.equal(rig.records.all.length, 0);
  client.close();
  again.close();
  rig.end();
});

onBoth('without a route, a good backend or an endpoint there is silence, and a line that says why', async (net) => {
  const rig = new UdpRig(net, []);
  const client = await udpPeer(net);
  const flags = async (): Promise<string> => {
    const before = rig.records.all.length;
    client.send('x', rig.address);
    await until(net, 'a line', () => rig.records.all.length > before);
    assert.equal(rig.records.last.end, 'refused');
    return rig.records.last.flags;
  };
  assert.equal(await flags(), 'NR');
  rig.apply([route({ to: [null] })]);
  assert.equal(await flags(), 'NC');
  rig.apply([route(), ...app([])]);
  assert.equal(await flags(), 'UH');
  assert.equal(rig.cells.get(datagramsCell('request', 'refused')), 3);
  assert.deepEqual(client.heard, []);
  client.close();
  rig.end();
});

onBoth(
  'the oldest route has the flows; one that goes ends none, but the next of its datagrams finds nobody',
  async (net) => {
    const [a, b] = (await Promise.all(['a', 'b'].map((name) => echo(net, name)))) as [UdpPeer, UdpPeer];
    const old = route({ name: 'old', created: 1, to: ['old'] });
    const young = route({ name: 'young', created: 2, to: ['young'] });
    const rig = new UdpRig(net, [young, old, ...app([a], 'old'), ...app([b], 'young')]);
    const client = await udpPeer(net);
    assert.equal(await ask(net, client, rig.address, 'x'), 'a:x');
    rig.apply([], [old.key]);
    assert.equal(await ask(net, client, rig.address, 'x'), 'a:x', 'it keeps what it has');
    const other = await udpPeer(net);
    assert.equal(await ask(net, other, rig.address, 'x'), 'b:x');
    rig.apply([], [clusterKey('old')]);
    assert.equal(await ask(net, client, rig.address, 'x'), 'b:x', 'until that is gone too');
    for (const peer of [client, other, a, b]) peer.close();
    rig.end();
  },
);

onBoth('a listener that is its own endpoint circles nothing: another endpoint has the flow, or nobody', async (net) => {
  const rig = new UdpRig(net, [route()]);
  const at = { ...listener(), port: rig.address.port };
  const self = { address: rig.address };
  const client = await udpPeer(net);
  rig.apply([at, ...app([self])]);
  client.send('round', rig.address);
  await until(net, 'a line', () => rig.records.all.length > 0);
  await net.settle();
  assert.deepEqual(
    rig.records.all.map(({ flags, end }) => `${flags} ${end}`),
    ['UH refused'],
  );
  const a = await echo(net, 'a');
  rig.apply(app([self, a]));
  const clients = await Promise.all(Array.from({ length: 8 }, () => udpPeer(net)));
  for (const one of clients) assert.equal(await ask(net, one, rig.address, 'x'), 'a:x');
  assert.equal(rig.open, 8);
  for (const peer of [client, ...clients, a]) peer.close();
  rig.end();
});

onBoth('a datagram that says to come from the listener itself begins nothing', async (net) => {
  const a = await echo(net, 'a');
  const rig = new UdpRig(net, [route(), ...app([a])]);
  rig.apply([{ ...listener(), port: rig.address.port }]);
  // From the listener's own socket: nobody else can have its address.
  const { datagrams } = net.io;
  const batch = datagrams.open();
  const { handle } = rig;
  assert.ok(batch !== null);
  batch.paths.set(pathFrom(rig.address.address, rig.address.port));
  batch.family = 4;
  batch.lengths[0] = 5;
  batch.segments[0] = 0;
  assert.equal(datagrams.sendTo(handle, batch, 0, 1), 1);
  await until(net, 'it is dropped', () => rig.cells.get(datagramsCell('request', 'refused')) === 1);
  assert.deepEqual([rig.open, a.heard.length, rig.records.all.length], [0, 0, 0]);
  const client = await udpPeer(net);
  assert.equal(await ask(net, client, rig.address, 'x'), 'a:x');
  datagrams.release(batch);
  client.close();
  a.close();
  rig.end();
});

onBoth('shares by weight, by whose the flow is', async (net) => {
  const [a, b] = (await Promise.all(['a', 'b'].map((name) => echo(net, name)))) as [UdpPeer, UdpPeer];
  const rig = new UdpRig(net, [
    route({ to: ['one', 'two', 'none'], weights: [3, 1, 0] }),
    ...app([a], 'one'),
    ...app([b], 'two'),
  ]);
  const clients = await Promise.all(Array.from({ length: 120 }, () => udpPeer(net)));
  for (const client of clients) client.send('x', rig.address);
  await until(net, 'all answers', () => clients.every(({ heard }) => heard.length === 1));
  const share = a.heard.length / clients.length;
  assert.ok(share > 0.6 && share < 0.9, String(share));
  for (const peer of [...clients, a, b]) peer.close();
  rig.end();
});

onBoth('more flows than there may be: the one that rested longest makes room', async (net) => {
  const a = await echo(net, 'a');
  const rig = new UdpRig(net, [route(), ...app([a])], { maxConnections: 32 });
  const hosts = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'];
  const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => udpPeer(net, undefined, hosts[i % 4])));
  for (const client of clients) assert.equal(await ask(net, client, rig.address, 'x'), 'a:x');
  assert.equal(rig.open, 16);
  assert.equal(rig.cells.get(limitCell('UDP_FLOWS')), 4);
  assert.deepEqual([rig.records.all.length, rig.records.last.end, rig.records.last.limit], [4, 'limit', 'UDP_FLOWS']);
  // The others are served all the while, and he who had to go begins anew.
  for (const client of [...clients.slice(4), ...clients.slice(0, 1)])
    assert.equal(await ask(net, client, rig.address, 'y'), 'a:y');
  for (const peer of [...clients, a]) peer.close();
  rig.end();
});

onBoth('a client at its own limit makes room by a flow of its own', async (net) => {
  const a = await echo(net, 'a');
  const rig = new UdpRig(net, [route(), ...app([a])], { maxConnections: 32 });
  const other = await udpPeer(net, undefined, '127.0.0.2');
  await ask(net, other, rig.address, 'x');
  const clients = await Promise.all(Array.from({ length: 12 }, () => udpPeer(net)));
  for (const client of clients) assert.equal(await ask(net, client, rig.address, 'x'), 'a:x');
  assert.equal(rig.open, 9, 'half of all, and the other');
  assert.equal(rig.cells.get(limitCell('UDP_FLOWS_PER_CLIENT')), 4);
  assert.ok(rig.records.all.every(({ client }) => client === '127.0.0.1'));
  for (const peer of [...clients, other, a]) peer.close();
  rig.end();
});

onBoth('who has sent nothing since it was answered is not flooded; who goes on is', async (net) => {
  const piece = 'x'.repeat(4096);
  const a = await udpPeer(net, ({ from }, peer) => {
    for (let i = 0; i < 20; i++) peer.send(piece, from);
  });
  const rig = new UdpRig(net, [route(), ...app([a])]);
  const client = await udpPeer(net);
  client.send('give', rig.address);
  const most = LIMITS.UDP_ANSWER_BYTES / 4096;
  await until(net, 'the rest is dropped', () => rig.cells.get(datagramsCell('answer', 'limit')) === 20 - most);
  assert.equal(client.heard.length, most);
  client.send('more', rig.address);
  await until(net, 'all of the second', () => client.heard.length === most + 20);
  assert.equal(rig.cells.get(limitCell('UDP_ANSWER_BYTES')), 1);
  client.close();
  a.close();
  rig.end();
  assert.equal(rig.records.last.limit, 'UDP_ANSWER_BYTES');
});

onBoth('who asks several things at once is answered each of them, and not more', async (net) => {
  const questions = 8;
  const piece = 'x'.repeat(6_000);
  const asked: IpAddress[] = [];
  const a = await udpPeer(net, ({ from }, peer) => {
    if (asked.push(from) < questions) return;
    for (let i = 0; i < questions + 3; i++) peer.send(piece, from);
  });
  const rig = new UdpRig(net, [route(), ...app([a])]);
  const client = await udpPeer(net);
  for (let i = 0; i < questions; i++) client.send('give', rig.address);
  await until(net, 'the rest is dropped', () => rig.cells.get(datagramsCell('answer', 'limit')) === 3);
  await until(net, 'an answer for each', () => client.heard.length === questions);
  client.close();
  a.close();
  rig.end();
});

nativeOnly('one answer passes however long it is; what follows it unasked does not', async (net) => {
  const long = 'x'.repeat(60_000);
  const a = await udpPeer(net, ({ from }, peer) => {
    peer.send(long, from);
    for (let i = 0; i < 3; i++) peer.send('more', from);
  });
  const rig = new UdpRig(net, [route(), ...app([a])]);
  const client = await udpPeer(net);
  client.send('give', rig.address);
  await until(net, 'the rest is dropped', () => rig.cells.get(datagramsCell('answer', 'limit')) === 3);
  assert.deepEqual(
    client.heard.map(({ text }) => text.length),
    [long.length],
  );
  client.close();
  a.close();
  rig.end();
});

nativeOnly(
  'of a run to who may not be who asked as many datagrams pass as fit, and each kept one counts',
  async (net) => {
    const piece = 1_000;
    const { datagrams } = net.io;
    const run = datagrams.open();
    assert.ok(run !== null);
    const backend = udpSocket(net);
    const rig = new UdpRig(net, [route(), ...app([backend])]);
    const client = await udpPeer(net);
    client.send('give', rig.address);
    await until(net, 'the question', () => datagrams.receiveFrom(backend.handle, run, 0, 1) === 1);
    // Back to where the question came from, as it stands in the first place.
    run.family = 4;
    run.lengths[0] = 40 * piece;
    run.segments[0] = piece;
    assert.equal(datagrams.sendTo(backend.handle, run, 0, 1), 1);
    const most = Math.floor(LIMITS.UDP_ANSWER_BYTES / piece);
    await until(net, 'what does not fit', () => rig.cells.get(datagramsCell('answer', 'limit')) === 40 - most);
    await until(net, 'what fits', () => client.heard.length === most);
    datagrams.release(run);
    net.io.close(backend.handle);
    client.close();
    rig.end();
  },
);

nativeOnly(
  'a run of datagrams, put together by its sender or by the kernel, is passed on whole, both ways',
  async (net) => {
    const backend = await echo(net, 'a');
    const rig = new UdpRig(net, [route(), ...app([backend])]);
    const { datagrams } = net.io;
    const batch = datagrams.open();
    const client = datagrams.connect(rig.address);
    assert.ok(batch !== null && client >= 0);
    for (let i = 0; i < 1_000; i++) net.io.mem[batch.at + i] = 0x30 + Math.floor(i / 100);
    assert.equal(datagrams.send(client, batch.at, 950, 100), 0);
    await until(net, 'ten', () => backend.heard.length === 10);
    assert.deepEqual(
      backend.heard.map(({ text }) => text),
      Array.from({ length: 10 }, (_, i) => String(i).repeat(i < 9 ? 100 : 50)),
    );
    assert.equal(rig.cells.get(datagramsCell('request', 'passed')), 10);
    await until(net, 'their answers', () => rig.cells.get(datagramsCell('answer', 'passed')) === 10);
    let bytes = 0;
    for (let n = datagrams.receive(client, batch, 0, 16); n > 0; n = datagrams.receive(client, batch, 0, 16))
      for (let i = 0; i < n; i++) bytes += batch.lengths[i] as number;
    assert.equal(bytes, 950 + 10 * 'a:'.length);
    net.io.close(client);
    datagrams.release(batch);
    backend.close();
    rig.end();
  },
);

onBoth('a socket that leaves is read by somebody else: what waits in it wakes nobody here', async (net) => {
  const a = await echo(net, 'a');
  const rig = new UdpRig(net, [route(), ...app([a])]);
  const client = await udpPeer(net);
  await ask(net, client, rig.address, 'x');
  rig.letGo();
  for (let i = 0; i < 3; i++) client.send('y', rig.address);
  await net.settle();
  let turns = 0;
  net.io.onTurn(() => turns++);
  await net.settle();
  assert.ok(turns < 3, `${turns} turns`);
  assert.equal(a.heard.length, 1);
  client.close();
  a.close();
  rig.end();
});

simOnly(
  'a flow in which nothing moves ends, by its route’s limit or the default; one that moves stays',
  async (net) => {
    const a = await echo(net, 'a');
    const rig = new UdpRig(net, [route({ idleMs: 5_000 }), ...app([a])]);
    const [quiet, busy] = (await Promise.all([udpPeer(net), udpPeer(net)])) as [UdpPeer, UdpPeer];
    for (const client of [quiet, busy]) await ask(net, client, rig.address, 'x');
    for (let i = 0; i < 3; i++) {
      await net.advance(3_000);
      await ask(net, busy, rig.address, 'x');
    }
    assert.deepEqual([rig.open, rig.records.all.length, rig.records.last.end], [1, 1, 'idle']);
    assert.equal(await ask(net, quiet, rig.address, 'again'), 'a:again');
    rig.apply([route()]);
    const slow = await udpPeer(net);
    await ask(net, slow, rig.address, 'x');
    await net.advance(LIMITS.UDP_IDLE_MS - 2_000);
    assert.equal(rig.open, 1);
    await net.advance(4_000);
    assert.equal(rig.open, 0);
    for (const peer of [quiet, busy, slow, a]) peer.close();
    rig.end();
  },
);

simOnly('a worker that leaves passes on what waits, waits for answers a while, and is done', async (net) => {
  const asked: { text: string; from: IpAddress }[] = [];
  const a = await udpPeer(net, (heard) => asked.push(heard));
  const rig = new UdpRig(net, [route(), ...app([a])]);
  const [one, two] = (await Promise.all([udpPeer(net), udpPeer(net)])) as [UdpPeer, UdpPeer];
  one.send('first', rig.address);
  await until(net, 'it arrives', () => asked.length === 1);
  let drained = false;
  rig.letGo();
  rig.engine.drain(() => {
    drained = true;
  });
  two.send('late', rig.address);
  await net.settle();
  assert.equal(asked.length, 1, 'another worker reads now');
  const [first] = asked;
  assert.ok(first !== undefined);
  a.send('answer', first.from);
  await until(net, 'the answer', () => one.heard.length === 1);
  assert.equal(drained, false);
  await net.advance(LIMITS.UDP_LEAVE_MS + 2_000);
  assert.equal(drained, true);
  assert.deepEqual([rig.records.all.length, rig.records.last.end], [1, 'drain']);
  for (const peer of [one, two, a]) peer.close();
  rig.end();
});

simOnly(
  'loss, delay, refusals, and endpoints that come and go: no answer comes to another client',
  async (net) => {
    const random = new Random(net.sim.network.seed);
    const ports = [7001, 7002, 7003, 7004];
    const peers = new Map<number, UdpPeer>();
    for (const port of ports) peers.set(port, await echo(net, String(port), port));
    const entry = (list: readonly number[]): Entry[] =>
      app(list.map((port) => ({ address: { family: 'ipv4', address: '127.0.0.1', port } })));
    const rig = new UdpRig(net, [route({ idleMs: 3_000 }), ...entry(ports)], { maxConnections: 64 });
    const hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
    const clients = await Promise.all(Array.from({ length: 50 }, (_, i) => udpPeer(net, undefined, hosts[i % 3])));
    for (let step = 0; step < 60; step++) {
      for (const [i, client] of clients.entries()) if (random.chance(0.5)) client.send(`${i}/${step}`, rig.address);
      if (random.chance(0.2)) rig.apply(entry(ports.filter(() => random.chance(0.7))));
      const port = random.pick(ports);
      const peer = peers.get(port);
      if (random.chance(0.1) && peer !== undefined) {
        peer.close();
        peers.delete(port);
      } else if (peer === undefined) peers.set(port, await echo(net, String(port), port));
      await net.advance(random.pick([0, 20, 2_000]));
    }
    let heard = 0;
    for (const [i, client] of clients.entries()) {
      for (const { text } of client.heard) assert.match(text, new RegExp(`^\\d+:${i}/\\d+$`));
      heard += client.heard.length;
    }
    assert.ok(heard > 300, `${heard} answers`);
    for (const peer of [...clients, ...peers.values()]) peer.close();
    rig.end();
  },
  { seeds: 6, faults: { ...HARSH, allocFail: 0 } },
);
